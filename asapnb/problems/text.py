"""Problems as text: `lenet`, `mlp(hidden=[64, 64])`, `quadratic([1, 10], noise=0.1)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..data import Dataset, load_dataset
from ..errors import UsageError
from ..text import parse_call
from .analytic import bounded, log_cosh, quadratic, rosenbrock, sine_pl
from .base import Problem
from .networks import cnn, lenet, mlp, network
from .plan import LAYERS
from .regression import least_squares, logistic


def _network(data: Dataset, layers: Sequence[str], init: str = "he", dtype: str = "float32") -> Problem:
    """The network of these layers, each a text such as "Dense(32)"."""
    return network(data, [parse_call(layer, LAYERS, "layer") for layer in layers], init=init, dtype=dtype)


_ON_DATA: dict[str, Callable[..., Problem]] = {"cnn": cnn, "lenet": lenet, "mlp": mlp, "network": _network}
_ANALYTIC: dict[str, Callable[..., Problem]] = {
    builder.__name__: builder
    for builder in (bounded, least_squares, log_cosh, logistic, quadratic, rosenbrock, sine_pl)
}
PROBLEMS = {**_ON_DATA, **_ANALYTIC}


def parse_problem(text: str, data: str = "fashion-mnist-mini") -> Problem:
    """The problem of this text; the data set of this name is loaded if the problem is one on data.

    >>> parse_problem("quadratic([1, 10], noise=0.1)", "no data set")
    <quadratic: 2 parameters, 1,048,576 samples, float64>
    >>> parse_problem("mlp(hidden=[8])", "fashion-mnist-mini").n_params
    6370
    """
    if text.startswith("custom"):
        raise UsageError(f"the problem is one's own, {text}: build it in Python and call train with it")
    known = {name: _on(data, builder) for name, builder in _ON_DATA.items()} | _ANALYTIC
    return parse_call(text, known, "problem", {"normal": _normal})


def _on(data: str, builder: Callable[..., Problem]) -> Callable[..., Problem]:
    """The builder without its first argument: that data is loaded when the others are known to be right."""

    def build(*arguments: Any, **named: Any) -> Problem:
        return builder(load_dataset(data), *arguments, **named)

    build.__signature__ = inspect.signature(partial(builder, None))  # type: ignore[attr-defined]
    return build


def _normal(deviation: float) -> str:
    """So that normal(0.1) may be written without quotes."""
    return f"normal({deviation!r})"
