"""What theory says of delayed gradients of ½λx², with a = ηλ: recursions, moments, matrices, one line a formula."""

import math

import numpy as np
from scipy import stats

# --- constant staleness --------------------------------------------------------------------------------------------


def constant_delay(a, tau, updates, noise=None):
    """x[t+1] = x[t] − a·x[t−τ] − noise[t] from x[0] = 1; before t = τ the oldest there is, x[0], is read."""
    x = [np.ones_like(a)]
    for t in range(updates):
        x.append(x[t] - a * x[max(t - tau, 0)] - (0.0 if noise is None else noise[t]))
    return np.array(x)


def companion(a, tau):
    """The matrix that takes (x[t], …, x[t−τ]) one update further."""
    matrix = np.eye(tau + 1, k=-1)
    matrix[0, 0] += 1
    matrix[0, tau] -= a
    return matrix


def radius(matrix):
    """The largest modulus of an eigenvalue."""
    return np.abs(np.linalg.eigvals(matrix)).max()


def largest_stable(family, high):
    """The largest a in (0, high) for which radius(family(a)) ≤ 1, by bisection."""
    low = 0.0
    while high - low > 1e-9:
        a = (low + high) / 2
        low, high = (a, high) if radius(family(a)) <= 1 + 1e-12 else (low, a)
    return low


# --- a staleness of its own for each update: x[t+1] = x[t] − a·s(τ)·x[t−τ], P(τ = k) = p[k] ------------------------


def independent_delays(a, pmf, scales):
    """The matrix of the second moments E[x[t−i]·x[t−j]]: Σ p[k] A[k]⊗A[k], with a companion matrix for each k."""
    total = np.zeros((len(pmf) ** 2,) * 2)
    for k, (p, scale) in enumerate(zip(pmf, scales, strict=True)):
        matrix = np.eye(len(pmf), k=-1)
        matrix[0, 0] += 1
        matrix[0, k] -= a * scale
        total += p * np.kron(matrix, matrix)
    return total


def mean_of_independent_delays(a, pmf, updates):
    """E[x[t]] from x[0] = 1, where everything older is 1, too."""
    past, mean = np.ones(len(pmf)), [1.0]
    for _ in range(updates):
        past = np.concatenate([[past[0] - a * pmf @ past], past[:-1]])
        mean.append(past[0])
    return np.array(mean)


def heavy_ball(step, momentum, velocity, updates):
    """x[t+1] = x[t] + Δ[t+1], Δ[t+1] = momentum·Δ[t] − step·x[t], from x[0] = 1 and Δ[0] = velocity."""
    x = [1.0]
    for _ in range(updates):
        velocity = momentum * velocity - step * x[-1]
        x.append(x[-1] + velocity)
    return np.array(x)


# --- m workers in any order: one of them, drawn evenly, applies its gradient and reads ------------------------------


def workers_in_order(order, a, m, scales=(1.0,)):
    """x after each update, if worker order[..., t] makes update t: x ← x − a·s(τ)·v[i], then v[i] ← x; all from 1.

    Any number of orders at once, shape (..., T); gives (..., T + 1). The last scale stands for all that is staler.
    """
    order, scales = np.asarray(order), np.asarray(scales)
    several = order.reshape(-1, order.shape[-1])
    rows = np.arange(len(several))
    view, age, x = np.ones((len(several), m)), np.zeros((len(several), m), int), [np.ones(len(several))]
    for t in range(order.shape[-1]):
        i = several[:, t]
        scale = scales[np.minimum(age[rows, i], len(scales) - 1)]
        x.append(x[-1] - a * scale * view[rows, i])
        age += 1
        view[rows, i], age[rows, i] = x[-1], 0
    return np.array(x).T.reshape(*order.shape[:-1], -1)


def every_order(m, updates):
    """All m^updates orders of workers, each as likely as the others."""
    return np.stack(np.meshgrid(*[np.arange(m)] * updates, indexing="ij"), -1).reshape(-1, updates)


def four_moments(a, m, independent=False):
    """The matrix that takes E[x²], E[x·v[i]], E[v[i]²], E[v[i]·v[j]] one update further.

    `independent`: for views x[t−τ] with a geometric τ of its own each time, of any two independent: then the third
    and the fourth are means over τ, and two views may be the same, which those of two workers never are.
    """
    p = 1 / m
    x2, xv, v2, vw = np.eye(4)
    new = x2 - 2 * a * xv + a * a * v2  # E[x²] after the update
    other = xv - a * vw  # E[x·v[j]] after it, where it is not j's
    both = 2 * p * other + (1 - 2 * p) * vw
    if independent:
        both = p * p * new + 2 * p * (1 - p) * other + (1 - p) ** 2 * vw
    return np.array([new, p * new + (1 - p) * other, p * new + (1 - p) * v2, both])


def moments_by_age(a, m, scales):
    """The matrix of the second moments of m workers whose scale is a function of the staleness; also where to begin.

    They are E[x²], E[x·v[i]; i's view is of age k], E[v[i]²; k] and E[v[i]·v[j]; k, l]. The last age stands for all
    that is older, which have its scale: so nothing is cut off.
    """
    ages, p, s = len(scales), 1 / m, np.asarray(scales)
    older = np.eye(ages, k=-1)
    older[-1, -1] = 1
    size = 1 + 2 * ages + ages * ages

    def update(vector):
        x2, xv, v2, vw = np.split(vector, [1, 1 + ages, 1 + 2 * ages])
        vw = vw.reshape(ages, ages)
        new = x2 - 2 * a * s @ xv + a * a * (s * s) @ v2
        other = older @ (xv - a * s @ vw)
        xv, v2 = (1 - p) * other, (1 - p) * older @ v2
        xv[0] += p * new[0]
        v2[0] += p * new[0]
        vw = (1 - 2 * p) * older @ vw @ older.T
        vw[0, :] += p * other
        vw[:, 0] += p * other
        return np.concatenate([new, xv, v2, vw.ravel()])

    begin = np.zeros(size)
    begin[[0, 1, 1 + ages, 1 + 2 * ages]] = 1  # every view is of age 0, and 1
    return np.array([update(column) for column in np.eye(size)]).T, begin


def powers(matrix, vector, updates):
    """The first component of vector, matrix·vector, matrix²·vector, …"""
    first = [vector[0]]
    for _ in range(updates):
        vector = matrix @ vector
        first.append(vector[0])
    return np.array(first)


def growth(matrix, vector):
    """The leading eigenvalue of a matrix of second moments, which is positive, by the power method."""
    for _ in range(400):
        vector = matrix @ vector
        vector /= np.abs(vector).sum()
    return np.abs(matrix @ vector).sum()


def along_rows(rows, a, scales, workers, momentum=0.0, shared=False, direct=0.0):
    """x after each applied row of a schedule: v ← momentum·v − a·s(τ)·x[t−τ], x ← x + v, from x = 1 and v = 0.

    With a direct share d, x ← x + (1 − d)(1 − momentum)·v − d·a·s(τ)·x[t−τ].
    """
    x, velocity = [1.0], np.zeros(1 if shared else workers)
    for row in rows[rows["dropped"] == 0]:
        i, tau = 0 if shared else row["worker"], row["tau"]
        pull = a * scales[min(tau, len(scales) - 1)] * x[len(x) - 1 - tau]
        velocity[i] = momentum * velocity[i] - pull
        x.append(x[-1] + ((1 - direct) * (1 - momentum) * velocity[i] - direct * pull if direct else velocity[i]))
    return np.array(x)


# --- queues ---------------------------------------------------------------------------------------------------------


def repairman(m, ratio):
    """M/M/1//m: the throughput for a service of mean `ratio`, and the mean number in the queue and in service."""
    weights = np.array([math.perm(m, n) * ratio**n for n in range(m + 1)])
    weights /= weights.sum()
    return (1 - weights[0]) / ratio, weights @ np.arange(m + 1)


def repairman_of_constant_service(m, service):
    """M/D/1//m: the throughput, from the chain of those who wait as one has been served and computes again."""
    arrives = 1 - math.exp(-service)
    chain = np.zeros((m, m))  # of 0 to m - 1 who wait, as one leaves; if nobody waits, the next comes alone
    for waiting in range(m):
        there = max(waiting, 1)
        for more in range(m - there + 1):
            chain[waiting, there - 1 + more] += stats.binom.pmf(more, m - there, arrives)
    stationary = np.linalg.matrix_power(chain, 2**14)[0]
    return 1 / (service + stationary[0] / m)


# --- any order of workers, any steps, with noise: what E over the noise is, exactly ---------------------------------


def staleness_of_order(order):
    """τ of each update, if worker order[t] makes update t and reads after it."""
    last, tau = {}, []
    for t, worker in enumerate(order):
        tau.append(t - last.get(worker, 0))
        last[worker] = t + 1
    return np.array(tau)


def path(gradient, start, order, steps):
    """The parameters before each update and after the last, without noise."""
    x = [np.asarray(start, float)]
    for t, (tau, step) in enumerate(zip(staleness_of_order(order), steps, strict=True)):
        x.append(x[t] - step * gradient(x[t - tau]))
    return np.array(x)


def mean_squares(curvature, start, order, steps, noise):
    """E x[t]² of λx²/2 with noise in each gradient, and E of the square of the mean of x[t] weighted by steps."""
    count = len(order)
    x = np.zeros((count + 1, count + 1))  # row t: how x[t] depends on x[0] and on each gradient's noise
    x[0, 0] = 1.0
    for t, (tau, step) in enumerate(zip(staleness_of_order(order), steps, strict=True)):
        x[t + 1] = x[t] - step * curvature * x[t - tau]
        x[t + 1, t + 1] -= step
    sizes = np.array([start**2] + [noise] * count)
    average = steps @ x[:-1] / np.sum(steps)
    return x**2 @ sizes, average**2 @ sizes
