"""`custom`: a problem with a gradient of your own."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.registry import CPUDispatcher
from numba.np.numpy_support import as_dtype
from numpy.typing import ArrayLike, DTypeLike

from ..compiled import check_fit
from ..data.dataset import PLAIN
from ..data.table import unmasked
from ..errors import UsageError
from ..numbers import integer
from .base import FLOATS, Evaluation, Initial, Problem, floating, zeros
from .kept import keep
from .places import Parameter
from .signature import Dtypes, Gradient, Labels, gradient_signature


def custom(
    gradient: Callable[..., Any],
    inputs: ArrayLike,
    labels: ArrayLike,
    n_params: int,
    *,
    dtype: DTypeLike = np.float32,
    init: Initial = zeros,
    workspace_size: int | Callable[[int], int] = 0,
    evaluate: Evaluation | None = None,
    name: str | None = None,
) -> Problem:
    """A problem of your own, with a gradient that you write. Train it like any other.

    Args:
        gradient: a module-level function, decorated with `numba.njit`, that takes the arguments which
            `gradient_signature` lists.
        inputs: the training inputs, one row for each sample; uint8, float32 or float64. The gradient gets them flat.
        labels: the labels or targets, (n,) or (n, k). The gradient gets them flat, in the dtype of the signature that
            it was declared with. Without a signature, integers become int64, and floats the dtype of the parameters.
        n_params: the number of parameters.
        dtype: the dtype of the parameters, float32 or float64.
        init: a function from (n_params, generator) to initial parameters. By default they are zero.
        workspace_size: how many elements of scratch a worker needs: a number, or a function of the batch size.
        evaluate: a function from (params, "train" or "test") to (loss, accuracy), or to a mapping of "loss" and
            perhaps "accuracy", "r2" and "rmse". None for the mean of the gradient's loss over the training samples.
        name: a name for readers; None for the name of the gradient.

    Raises:
        UsageError: for arguments that do not fit; and for a gradient that does not compile, has threads of its own
            (parallel=True) or calls Python (objmode).

    >>> @numba.njit
    ... def pull(params, gradient, indices, plan, workspace, inputs, labels):  # mean of |params - x|^2 / 2
    ...     loss, n = 0.0, params.size
    ...     gradient[:] = 0
    ...     for i in indices:
    ...         for j in range(n):
    ...             difference = params[j] - inputs[i * n + j]
    ...             gradient[j] += difference / indices.size
    ...             loss += 0.5 * difference * difference / indices.size
    ...     return loss
    >>> points = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    >>> problem = custom(pull, points, [0, 0], n_params=2)
    >>> loss, gradient = problem.loss_and_gradient([0.0, 0.0], [0, 1])
    >>> loss, gradient.tolist()
    (3.5, [-1.0, -2.0])
    """
    dtype = floating(dtype)
    inputs = np.require(inputs, requirements=PLAIN)
    if inputs.dtype not in (np.uint8, *FLOATS):
        raise UsageError(f"inputs are {inputs.dtype}: must be uint8, float32 or float64")
    labels = _labels(labels, gradient, dtype)
    n_params = integer("n_params", n_params, 1, 2**40)
    name = name or str(getattr(gradient, "__name__", "custom"))
    return Problem(
        name=name,
        gradient=_compile_gradient(gradient, (dtype, inputs.dtype, labels.dtype)),
        n_params=n_params,
        inputs=inputs.reshape(-1),
        labels=labels,
        layout=(Parameter("params", (n_params,), 0),),
        dtype=dtype,
        workspace=workspace_size if callable(workspace_size) else integer("workspace_size", workspace_size, 0, 2**40),
        initial=init,
        evaluation=evaluate,
        config={"problem": f"custom({name})"},
    )


def _labels(values: ArrayLike, gradient: Any, real: np.dtype[Any]) -> Labels:
    """Labels or targets, of the dtype that the gradient declares; else int64, or the dtype of the problem."""
    array = unmasked(values)
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2) or not array.size:
        raise UsageError(f"labels are {array.dtype} of shape {array.shape}: must be numbers, one for each sample, or "
                         "of shape (n, k)")  # fmt: skip
    dtype = _declared(gradient) or (real if array.dtype.kind == "f" else np.dtype(np.int64))
    with np.errstate(over="ignore"):  # what the dtype cannot hold is reported
        cast = np.require(array, dtype, PLAIN)
    if not np.array_equal(np.isinf(cast), np.isinf(array)) if dtype.kind == "f" else not np.array_equal(cast, array):
        raise UsageError(f"labels are {array.dtype}, and the gradient takes {dtype}, which cannot hold some of them")
    return cast


def _declared(gradient: Any) -> np.dtype[Any] | None:
    """The dtype of labels in the signature that a gradient was declared with; None if it was declared without one."""
    kinds = () if getattr(gradient, "_can_compile", True) else {one[-1] for one in gradient.signatures if one}
    dtypes = {as_dtype(kind.dtype) for kind in kinds if isinstance(kind, types.Array)}
    return dtypes.pop() if len(dtypes) == 1 else None


def _compile_gradient(function: Any, dtypes: Dtypes) -> Gradient:
    """The function under exactly the expected signature (a float64 loss in it is then cast, as NumPy would)."""
    signature = gradient_signature(*dtypes)
    if not isinstance(function, CPUDispatcher):
        raise UsageError(f"the gradient is {function!r}: decorate a module-level function with numba.njit")
    check_fit(function, "gradient")
    try:
        compiled = numba.jit(**{**function.targetoptions, "nogil": True})(function.py_func)
        keep(compiled)
        compiled.compile(signature)
        compiled.disable_compile()
        return compiled
    except (numba.core.errors.NumbaError, TypeError) as error:  # TypeError: another number of arguments
        raise UsageError(
            f"the gradient {function.__name__!r} does not compile for the signature that every gradient has,\n"
            f"    {signature}\n    (params, gradient, indices, plan, workspace, inputs, labels) -> mean loss\n"
            f"because Numba says: {error}"
        ) from error
