"""Pickling of objects that hold functions. Functions that another process could not import are pickled whole."""

import copy
import functools
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any


class ByValue:
    """A base class. Its objects are pickled with their lambdas, closures, and functions of a notebook.

    Without this, pickle refuses lambdas and closures, and the new processes of a pool do not find what is defined in
    a notebook. The copy of cloudpickle in Numba pickles such functions.
    """

    def __reduce_ex__(self, protocol: Any) -> Any:
        if all(map(_is_importable, _functions(vars(self).values()))):
            return super().__reduce_ex__(protocol)
        from numba import cloudpickle

        return _loaded, (type(self), cloudpickle.dumps(vars(self)))

    def __copy__(self) -> Any:  # functions stay the same, so that a copy is equal
        return _rebuilt(type(self), vars(self))

    def __deepcopy__(self, memo: Any) -> Any:
        return _rebuilt(type(self), copy.deepcopy(vars(self), memo))


def _rebuilt(kind: type, state: Mapping[str, Any]) -> Any:
    found: Any = object.__new__(kind)
    found.__dict__.update(state)
    return found


def _loaded(kind: type, content: bytes) -> Any:
    from numba import cloudpickle

    return _rebuilt(kind, cloudpickle.loads(content))


def _functions(values: Iterable[Any]) -> Iterable[types.FunctionType]:
    """The plain functions among these values, also within mappings, tuples, lists and partial functions."""
    for value in values:
        if isinstance(value, types.FunctionType):
            yield value
        elif isinstance(value, functools.partial):
            yield from _functions([value.func, *value.args, *value.keywords.values()])
        elif isinstance(value, Mapping):
            yield from _functions(value.values())
        elif isinstance(value, tuple | list):
            yield from _functions(value)


def _is_importable(function: types.FunctionType) -> bool:
    """Whether another process finds the function by its module and name.

    >>> from os.path import join
    >>> _is_importable(join), _is_importable(lambda: None)
    (True, False)
    """
    found: Any = sys.modules.get(function.__module__ or "")
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function and not _is_interactive(function)


def _is_interactive(function: types.FunctionType) -> bool:
    """Whether the function is defined in a notebook or at a prompt, and not in a file that can be run again."""
    return function.__module__ == "__main__" and not hasattr(sys.modules["__main__"], "__file__")
