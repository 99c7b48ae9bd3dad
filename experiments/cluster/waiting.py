"""A problem whose gradient takes a given time, and hardly any of a core: the worker sleeps.

So some dozens of ranks on two cores behave as ranks that have a core each, but for what messages and updates cost.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types

import asapnb as ab

usleep = types.ExternalFunction("usleep", types.int32(types.uint32))


@numba.njit
def wait(params, gradient, indices, plan, workspace, inputs, labels):
    """Of |params|²/2, after as many microseconds as the samples say."""
    for i in indices:
        usleep(np.uint32(inputs[i]))
    gradient[:] = params
    return 1.0


CV, SAMPLES = 0.3, 2**16


def waiting(n_params: int, seconds: float) -> ab.Problem:
    """So many float32 parameters, and gradients that take lognormal times of this mean with batches of one sample.

    Waking up takes some 60 microseconds more.
    """
    spread = np.log1p(CV**2)
    drawn = np.random.default_rng(1).lognormal(-spread / 2, np.sqrt(spread), SAMPLES)
    microseconds = (1e6 * seconds * drawn).astype(np.float32)
    return ab.custom(wait, microseconds, np.zeros(SAMPLES, int), n_params, evaluate=lambda params, split: (1.0, 1.0))
