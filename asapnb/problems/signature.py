"""The one signature that every gradient has, for Numba and for mypy."""

from functools import cache
from typing import Any, TypeAlias

import numba
import numpy as np
from numba import types
from numpy.typing import DTypeLike, NDArray

Reals = NDArray[np.floating[Any]]  # of the dtype of the problem, float32 or float64
Integers = NDArray[np.int64]
Labels = NDArray[Any]  # (n,) or (n, outputs): int64 classes or 0 and 1, or real targets
Dtypes = tuple[np.dtype[Any], np.dtype[Any], np.dtype[Any]]  # of parameters, inputs and labels
Gradient: TypeAlias = Any  # a Numba dispatcher that takes the arguments of `gradient_signature`
Forward: TypeAlias = Any  # one without `gradient`, that also writes the most likely classes: see `forward_kernel`


def gradient_signature(dtype: DTypeLike, inputs_dtype: DTypeLike, labels_dtype: DTypeLike = np.int64) -> Any:
    """The Numba signature of every gradient: workers call it, and a problem of your own provides it.

    A gradient is called as

        loss = gradient(params, gradient, indices, plan, workspace, inputs, labels)

    It returns the mean loss over the samples `indices` (int64, at least one), and overwrites all of `gradient`.
    `params`, `gradient`, `workspace` and the loss have the dtype of the problem. `inputs` are all training inputs,
    flat. `labels` are the labels or targets, flat: the same number for each sample. `plan` (int64) and `workspace`
    are for the problem's own use; what is in `workspace` at first is arbitrary.

    Args:
        dtype: the dtype of parameters and gradients, float32 or float64.
        inputs_dtype: the dtype of the inputs.
        labels_dtype: the dtype of the labels; int64 for classes.

    >>> print(gradient_signature("float32", "uint8").return_type)
    float32
    """
    return _signature(np.dtype(dtype), np.dtype(inputs_dtype), np.dtype(labels_dtype))


@cache
def _signature(dtype: np.dtype[Any], inputs_dtype: np.dtype[Any], labels_dtype: np.dtype[Any]) -> Any:
    real = numba.from_dtype(dtype)
    integers = types.Array(types.int64, 1, "C")
    reals = types.Array(real, 1, "C")
    inputs, labels = (types.Array(numba.from_dtype(one), 1, "C") for one in (inputs_dtype, labels_dtype))
    return real(reals, reals, integers, integers, reals, inputs, labels)
