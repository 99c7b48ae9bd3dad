"""Problems by name: `lenet`, `mlp(hidden=[64, 64])`, `quadratic([1, 10], noise=0.1)`, and problems of your own."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset, load_dataset
from ..errors import UsageError
from ..identity import Piece, identified
from ..identity.library import is_own
from ..numbers import real
from ..text import parse_call
from .base import Builder, Problem
from .plan import LAYERS

Declared = TypeVar("Declared", bound=Builder)
_WRITTEN_OUT = 64  # numbers at most in the text of a problem


@dataclass(frozen=True)
class Entry:
    """A problem that is known by name.

    Attributes:
        build: the function that a text calls; its first argument is the data set if the problem is `on_data`.
        example: the text of such a problem.
        on_data: whether it needs a data set.
    """

    build: Builder
    example: str
    on_data: bool


PROBLEMS: dict[str, Entry] = {}


def register(example: str, build: Builder | None = None) -> Callable[[Declared], Declared]:
    """Register a function that returns a problem, so that texts can name it. Use this as a decorator.

    A new problem needs nothing else: texts, run files, `resume`, `replay` and the help of the command line then know
    it. If the first parameter is `data`, the problem needs a data set. A problem that `custom` makes gets the call as
    its text. If a function is defined again, it replaces the first one. See docs/how-to/extending/problem.md.

    Args:
        example: a text that calls the function, such as "quadratic([1, 10], noise=0.1)".
        build: a function that a text calls instead, if some arguments cannot be written as text.

    Raises:
        UsageError: if the example does not call the function, or if another problem has the name.

    >>> @register("lenet()")
    ... def lenet(): ...
    Traceback (most recent call last):
    asapnb.errors.UsageError: there is a problem 'lenet' already, in asapnb.problems.networks: choose another name
    """

    def enter(builder: Declared) -> Declared:
        name, parameters = builder.__name__, list(inspect.signature(builder).parameters)
        before = PROBLEMS[name].build if name in PROBLEMS else builder
        if before.__module__ != builder.__module__:
            raise UsageError(f"there is a problem {name!r} already, in {before.__module__}: choose another name")
        if not re.fullmatch(rf"{re.escape(name)}(\(.*\))?", example):
            raise UsageError(
                f"problem {name!r} has the example {example!r}: must be a call of it, such as '{name}()'"
            )
        named = _named(builder)
        PROBLEMS[name] = Entry(build or named, example, parameters[:1] == ["data"])
        return named

    return enter


def _named(builder: Declared) -> Declared:
    """The builder. What it returns gets the call as its text, unless it has a text already."""

    @wraps(builder)
    def build(*arguments: Any, **named: Any) -> Problem:
        problem = builder(*arguments, **named)
        if not is_custom(problem.config["problem"]):
            return problem
        values = inspect.signature(builder).bind(*arguments, **named).arguments
        config = {"problem": call_text(builder, values)}
        if isinstance(data := values.pop("data", None), Dataset):
            config = {"data": data.name, "problem": call_text(builder, values)}
        return replace(problem, config=config)

    return build  # type: ignore[return-value]


def is_custom(text: str) -> bool:
    """Whether only Python can build the problem of this text: one of `custom`, or one with too many numbers.

    >>> is_custom("custom(pull)"), is_custom("lenet")
    (True, False)
    """
    return _name(text) == "custom"


def is_known(text: str) -> bool:
    """Whether `parse_problem` can build the problem of this text."""
    return _name(text) in PROBLEMS


def code_of(problem: Problem) -> Piece | None:
    """The code and data that make a problem but do not stand in its text, with a digest; None if there are none.

    There are some if `custom` made the problem, if its builder or functions are not of asapnb, or if it has arrays
    that no text can hold. The digest is made once. What functions remember of their calls does not change it.
    """
    kept = vars(problem)
    if "_code" not in kept:
        text = str(problem.config.get("problem", f"custom({problem.name})"))
        entry = PROBLEMS.get(_name(text))
        functions = (problem.gradient, problem.initial, problem.evaluation, problem.workspace)
        known = entry is not None and entry.build.__module__.startswith("asapnb.")
        if known and not any(callable(function) and is_own(function) for function in functions):
            kept["_code"] = None
        else:
            arrays = (problem.inputs, problem.labels, problem.plan, str(problem.dtype), problem.n_params)
            kept["_code"] = identified("problem", text, (*functions, problem.forward, *arrays))
    return kept["_code"]


def _name(text: str) -> str:
    return text.partition("(")[0].strip()


def parse_problem(text: str, data: str | Dataset = "fashion-mnist-mini") -> Problem:
    """Build a problem from its text. If it needs data, the data set of this name is loaded, or the given one used.

    >>> parse_problem("quadratic([1, 10], noise=0.1)", "no data set")
    <quadratic: 2 parameters, 1,048,576 samples, float64>
    >>> parse_problem("mlp(hidden=[8])", "fashion-mnist-mini").n_params
    6370
    """
    if is_custom(text):
        raise UsageError(
            f"the problem is {text}, which only your own code can build: build it in Python and call train with it"
        )
    known = {name: _on(data, entry.build) if entry.on_data else entry.build for name, entry in PROBLEMS.items()}
    return parse_call(text, known, "problem", {"normal": _normal, **LAYERS})


def _on(data: str | Dataset, builder: Builder) -> Builder:
    """The builder without its first argument. Data is loaded only after the other arguments were checked."""

    def build(*arguments: Any, **named: Any) -> Problem:
        return builder(data if isinstance(data, Dataset) else load_dataset(data), *arguments, **named)

    build.__signature__ = inspect.signature(partial(builder, None))  # type: ignore[attr-defined]
    return build


def _normal(deviation: float) -> str:
    """Lets normal(0.1) be written without quotes."""
    return f"normal({deviation!r})"


def normal_deviation(name: str, text: str, others: str) -> float:
    """s of the text "normal(s)", which stands for normal variates; UsageError with what else is allowed.

    >>> normal_deviation("start", "normal(0.1)", "a number")
    0.1
    """
    match = re.fullmatch(r"normal\(\s*([0-9.eE+-]+)\s*\)", str(text))
    try:
        return real("s", float(match[1]), 0)  # type: ignore[index]
    except (TypeError, ValueError):
        raise UsageError(
            f"{name} is {text!r}: give {others} or 'normal(s)' with a standard deviation s, such as 'normal(0.01)'"
        ) from None


def call_text(builder: Builder, values: Mapping[str, Any], first: Sequence[NDArray[Any]] = ()) -> str:
    """The call that makes a problem again.

    Args:
        builder: the function that is called.
        values: its arguments by name. Those that have their default are left out.
        first: arrays that stand before them, without a name.

    Returns:
        The text; "custom(…)" if there are more than 64 numbers, or a value that no text can hold.

    >>> from asapnb.problems import log_cosh
    >>> call_text(log_cosh, {"noise": 0.5, "dimension": np.int64(3), "seed": 0})
    'log_cosh(dimension=3, noise=0.5)'
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(builder).parameters.items()}
    named = {key: _plain(values[key]) for key in defaults if key in values}
    named = {key: value for key, value in named.items() if value != _plain(defaults[key])}
    if sum(map(np.size, (*first, *named.values()))) > _WRITTEN_OUT or not all(map(_is_literal, named.values())):
        return f"custom({builder.__name__})"
    parts = [repr(array.tolist()) for array in first] + [f"{key}={value!r}" for key, value in named.items()]
    return f"{builder.__name__}({', '.join(parts)})" if parts else builder.__name__


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _is_literal(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_literal, value))
    return value is None or isinstance(value, bool | int | float | str)
