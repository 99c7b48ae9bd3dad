"""The one signature that every gradient has, for Numba and for mypy."""

from __future__ import annotations

from typing import Any, Protocol

import numba
import numpy as np
from numba import types
from numpy.typing import DTypeLike, NDArray

Reals = NDArray[np.floating[Any]]  # of the dtype of the problem, float32 or float64
Integers = NDArray[np.int64]


class Gradient(Protocol):
    """A compiled gradient: a Numba dispatcher that takes the arguments of `gradient_signature`."""

    overloads: dict[Any, Any]

    def __call__(
        self,
        params: Reals,
        gradient: Reals,
        indices: Integers,
        plan: Integers,
        workspace: Reals,
        inputs: NDArray[Any],
        labels: Integers,
    ) -> float:
        """The mean loss over the samples `indices`; overwrites all of `gradient`."""

    def compile(self, signature: Any) -> Any:
        """Compile for one signature."""

    def disable_compile(self) -> None:
        """Refuse other signatures from now on."""


class Forward(Protocol):
    """The compiled forward pass of a network."""

    def __call__(
        self,
        params: Reals,
        indices: Integers,
        plan: Integers,
        workspace: Reals,
        inputs: NDArray[Any],
        labels: Integers,
        predicted: Integers,
    ) -> float:
        """The mean loss over the samples `indices`; writes their most likely classes to `predicted`."""


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
