"""The gradients of the analytic problems: an exact objective, plus a linear term of each sample as noise.

Sample i of N has the loss f(x) + ⟨ξ_i, x⟩ (regression: that of row i, with ⟨ξ_i, x⟩), with ξ_i of independent normal
coordinates and ξ_(N−1−i) = −ξ_i, so that the mean over all samples is f. ξ_i is a function of (seed, i) alone.

`plan` is [KIND, NOISY, SEED]; `inputs` begins with the standard deviation of a coordinate of the noise.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from math import cos, exp, log, log1p, pi, sin, sqrt, tanh

from numba import float64, int64, uint64

from ..compiled import kernel, part
from ..random import splitmix64

KIND, NOISY, SEED = range(3)  # of plan
QUADRATIC, LOG_COSH, SINE_PL, BOUNDED, ROSENBROCK = range(5)
LEAST_SQUARES, LOGISTIC = range(2)
_LOG_2 = log(2)


@part()
def _uniform(key, number):
    """The number-th output of SplitMix64 that started from `key`, in [0, 1)."""
    return float64(int64(splitmix64(key + number * uint64(0x9E3779B97F4A7C15)) >> uint64(11))) * 2.0**-53


@part()
def _normals(key, number):
    """The number-th two of a sequence of independent standard normal variates (Box and Muller, 1958)."""
    radius = sqrt(-2 * log(1 - _uniform(key, uint64(2) * number)))
    angle = 2 * pi * _uniform(key, uint64(2) * number + uint64(1))
    return radius * cos(angle), radius * sin(angle)


@part()
def _noise(params, gradient, indices, samples, seed, deviation):
    """The mean linear term of these samples; its gradient is added to `gradient`."""
    n, loss = params.size, 0.0
    key = splitmix64(uint64(seed) ^ uint64(0x6E6F697365))  # not the keys of the order of the data
    per_sample = uint64((n + 1) // 2)
    for j in range(0, n, 2):
        a, b = 0.0, 0.0
        for k in range(indices.size):
            mirror = samples - 1 - indices[k]
            first = min(indices[k], mirror)
            if indices[k] != mirror:  # the middle of an odd number is its own mirror
                u, v = _normals(key, uint64(first) * per_sample + uint64(j // 2))
                sign = 1.0 if mirror > first else -1.0
                a += sign * u
                b += sign * v
        a *= deviation / indices.size
        gradient[j] += a
        loss += a * params[j]
        if j + 1 < n:
            b *= deviation / indices.size
            gradient[j + 1] += b
            loss += b * params[j + 1]
    return loss


@kernel(_nrt=False)  # nothing is allocated, and counting references would take longer than the gradient
def of_coordinates(params, gradient, indices, plan, workspace, inputs, labels):
    """A sum over the coordinates, or pairs of them; `inputs` goes on with eigenvalues."""
    kind, n, loss = plan[KIND], params.size, 0.0
    if kind == QUADRATIC:
        eigenvalues = inputs[1:]
        for j in range(n):
            slope = eigenvalues[j] * params[j]
            gradient[j] = slope
            loss += 0.5 * slope * params[j]
    elif kind == LOG_COSH:
        for j in range(n):
            x = params[j]
            gradient[j] = tanh(x)
            loss += abs(x) + log1p(exp(-2 * abs(x))) - _LOG_2
    elif kind == SINE_PL:
        for j in range(n):
            x = params[j]
            gradient[j] = 2 * x + 3 * sin(2 * x)
            loss += x * x + 3 * sin(x) ** 2
    elif kind == BOUNDED:
        for j in range(n):
            x = params[j]
            below = 1 / (1 + x * x)
            gradient[j] = 2 * x * below * below
            loss += 1 - below if abs(x) > 1 else x * x * below
    else:
        for j in range(0, n - 1, 2):
            x, y = params[j], params[j + 1]
            gradient[j] = -400 * x * (y - x * x) - 2 * (1 - x)
            gradient[j + 1] = 200 * (y - x * x)
            loss += 100 * (y - x * x) ** 2 + (1 - x) ** 2
    if plan[NOISY] != 0:
        loss += _noise(params, gradient, indices, labels.size, plan[SEED], inputs[0])
    return loss


@part(fastmath={"contract", "reassoc"})  # a sum in any order becomes a vector loop
def _dot(a, b):
    total = 0.0
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@kernel(_nrt=False)
def of_rows(params, gradient, indices, plan, workspace, inputs, labels):
    """A mean over rows; `inputs` goes on with the ridge, a target of each row and the rows."""
    n, samples, ridge, loss = params.size, labels.size, inputs[1], 0.0
    targets, rows = inputs[2 : 2 + samples], inputs[2 + samples :]
    for j in range(n):
        gradient[j] = 0.0
    for k in range(indices.size):
        i = indices[k]
        row = rows[i * n : (i + 1) * n]
        product, target = _dot(row, params), targets[i]
        if plan[KIND] == LEAST_SQUARES:
            weight = product - target
            loss += 0.5 * weight * weight
        else:
            margin = target * product
            small = exp(-abs(margin))
            loss += max(-margin, 0.0) + log1p(small)
            weight = -target * (small if margin > 0 else 1.0) / (1 + small)
        weight /= indices.size
        for j in range(n):
            gradient[j] += weight * row[j]
    loss /= indices.size
    if ridge > 0:
        for j in range(n):
            gradient[j] += ridge * params[j]
            loss += 0.5 * ridge * params[j] * params[j]
    if plan[NOISY] != 0:
        loss += _noise(params, gradient, indices, samples, plan[SEED], inputs[0])
    return loss
