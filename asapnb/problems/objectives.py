"""The gradients of the analytic problems: an exact objective, plus a linear term of each sample as noise.

Sample i of N has the loss f(x) + ⟨ξ_i, x⟩ (regression: that of row i, with ⟨ξ_i, x⟩), with ξ_i of independent normal
coordinates and ξ_(N−1−i) = −ξ_i, so that the mean over all samples is f. ξ_i is a function of (seed, i) alone.

`plan` is [KIND, NOISY, SEED]; `inputs` begins with the standard deviation of a coordinate of the noise.
"""

# mypy: disable-error-code="no-untyped-def"
from math import cos, exp, log, log1p, pi, sin, sqrt, tanh

from numba import float64, int64, uint64

from ..compiled import kernel, part
from ..kernels.choice import by_number
from ..random import splitmix64

KIND, NOISY, SEED = range(3)  # of plan
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
    """The mean linear term of these samples; its gradient is added to `gradient`. Twin: `noise` in tests/naive.py."""
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


@part(inline="always")
def quadratic(params, gradient, eigenvalues):
    """½ Σ λ x². Twin: `quadratic` in tests/naive.py."""
    loss = 0.0
    for j in range(params.size):
        slope = eigenvalues[j] * params[j]
        gradient[j] = slope
        loss += 0.5 * slope * params[j]
    return loss


@part(inline="always")
def log_cosh(params, gradient, eigenvalues):
    """Σ log cosh x, without overflow. Twin: OBJECTIVES in tests/naive.py."""
    loss = 0.0
    for j in range(params.size):
        x = params[j]
        gradient[j] = tanh(x)
        loss += abs(x) + log1p(exp(-2 * abs(x))) - _LOG_2
    return loss


@part(inline="always")
def sine_pl(params, gradient, eigenvalues):
    """Σ x² + 3 sin² x. Twin: OBJECTIVES in tests/naive.py."""
    loss = 0.0
    for j in range(params.size):
        x = params[j]
        gradient[j] = 2 * x + 3 * sin(2 * x)
        loss += x * x + 3 * sin(x) ** 2
    return loss


@part(inline="always")
def bounded(params, gradient, eigenvalues):
    """Σ x² / (1 + x²), without overflow. Twin: OBJECTIVES in tests/naive.py."""
    loss = 0.0
    for j in range(params.size):
        x = params[j]
        below = 1 / (1 + x * x)
        gradient[j] = 2 * x * below * below
        loss += 1 - below if abs(x) > 1 else x * x * below
    return loss


@part(inline="always")
def rosenbrock(params, gradient, eigenvalues):
    """Σ 100 (y - x²)² + (1 - x)² over pairs. Twin: OBJECTIVES in tests/naive.py."""
    loss = 0.0
    for j in range(0, params.size - 1, 2):
        x, y = params[j], params[j + 1]
        gradient[j] = -400 * x * (y - x * x) - 2 * (1 - x)
        gradient[j + 1] = 200 * (y - x * x)
        loss += 100 * (y - x * x) ** 2 + (1 - x) ** 2
    return loss


OF_COORDINATES = (quadratic, log_cosh, sine_pl, bounded, rosenbrock)  # a plan holds the place of one of them
_objective = by_number(OF_COORDINATES)


@kernel()
def of_coordinates(params, gradient, indices, plan, workspace, inputs, labels):
    """An objective that is a sum over coordinates, or pairs; `inputs` goes on with eigenvalues, or zeros.

    Twins: the objective's own, and `noise`, both in tests/naive.py.
    """
    loss = _objective(plan[KIND], params, gradient, inputs[1:])
    if plan[NOISY] != 0:
        loss += _noise(params, gradient, indices, labels.size, plan[SEED], inputs[0])
    return loss


@part(fastmath={"contract", "reassoc"})  # a sum in any order becomes a vector loop
def _dot(a, b):
    total = 0.0
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@part(inline="always")
def least_squares(product, target):
    """½ (⟨a, x⟩ − b)² of a row, and its derivative by the product. Twin: `least_squares` in tests/naive.py."""
    weight = product - target
    return 0.5 * weight * weight, weight


@part(inline="always")
def logistic(product, target):
    """log(1 + exp(−y ⟨a, x⟩)) of a row, and its derivative by the product. Twin: `logistic` in tests/naive.py."""
    margin = target * product
    small = exp(-abs(margin))
    return max(-margin, 0.0) + log1p(small), -target * (small if margin > 0 else 1.0) / (1 + small)


OF_ROWS = (least_squares, logistic)  # a plan holds the place of one of them
_of_row = by_number(OF_ROWS)


@kernel()
def of_rows(params, gradient, indices, plan, workspace, inputs, labels):
    """A mean over rows, with a ridge; `inputs` goes on with the ridge, a target of each row and the rows.

    1. Clear the gradient.
    2. For each sample, add its loss and its share of the gradient.
    3. Add the ridge.
    4. Add the noise.

    Twins: the objective's own, and `noise`, both in tests/naive.py.
    """
    n, samples, ridge, loss = params.size, labels.size, inputs[1], 0.0
    targets, rows = inputs[2 : 2 + samples], inputs[2 + samples :]
    for j in range(n):  # 1.
        gradient[j] = 0.0
    for k in range(indices.size):  # 2.
        i = indices[k]
        row = rows[i * n : (i + 1) * n]
        here, weight = _of_row(plan[KIND], _dot(row, params), targets[i])
        loss += here
        weight /= indices.size
        for j in range(n):
            gradient[j] += weight * row[j]
    loss /= indices.size
    if ridge > 0:  # 3.
        for j in range(n):
            gradient[j] += ridge * params[j]
            loss += 0.5 * ridge * params[j] * params[j]
    if plan[NOISY] != 0:  # 4.
        loss += _noise(params, gradient, indices, samples, plan[SEED], inputs[0])
    return loss
