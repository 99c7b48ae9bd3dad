"""The one signature that every gradient has, for Numba and for mypy."""

from typing import Any, TypeAlias

import numba
import numpy as np
from numba import types
from numpy.typing import DTypeLike, NDArray

Reals = NDArray[np.floating[Any]]  # of the dtype of the problem, float32 or float64
Integers = NDArray[np.int64]
Gradient: TypeAlias = Any  # a Numba dispatcher that takes the arguments of `gradient_signature`
Forward: TypeAlias = Any  # one without `gradient`, that also writes the most likely classes: see `forward_kernel`


def gradient_signature(dtype: DTypeLike, inputs_dtype: DTypeLike) -> Any:
    """The Numba signature of every gradient: what a worker loop calls and what a problem of your own provides.

    ``loss = gradient(params, gradient, indices, plan, workspace, inputs, labels)``: the mean loss over the samples
    `indices` (int64, at least one), with all of `gradient` overwritten. `params`, `gradient`, `workspace` and the
    loss have the problem's dtype (float32 or float64). Only the problem itself reads `plan` (int64) and `workspace`
    (its contents are arbitrary). `inputs` is the flat training data, `labels` is int64.

    >>> print(gradient_signature("float32", "uint8").return_type)
    float32
    """
    real = numba.from_dtype(np.dtype(dtype))
    integers = types.Array(types.int64, 1, "C")
    reals = types.Array(real, 1, "C")
    inputs = types.Array(numba.from_dtype(np.dtype(inputs_dtype)), 1, "C")
    return real(reals, reals, integers, integers, reals, inputs, integers)
