"""Functions and rules from a user's file, `path/file.py:name`. The file is run as the Python that it is."""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import AsapnbError, RuleError, UsageError
from ..numbers import choice
from ..text import parse_call
from .refresh import REFRESHES

_TEXT = re.compile(r"\s*(?P<path>.*\.py):(?P<name>\w*)\s*(?P<arguments>\(.*\))?\s*", re.DOTALL)


@dataclass(frozen=True, repr=False)
class FileFunction:
    """A function or a rule from a file: equal to another when its text and that of the file are equal.

    No module that could be imported holds it, so it is pickled as the text that loads it.
    """

    text: str
    source: str
    function: Callable[..., Any] = field(compare=False)

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        return self.function(*arguments)

    def __repr__(self) -> str:
        return repr(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return load_function, (self.text,)


def is_of_file(text: str) -> bool:
    """Whether a text names something in a file.

    >>> is_of_file("rules.py:mine"), is_of_file("rules.py:mine(0.5)"), is_of_file("profile(g='rules.py:mine')")
    (True, True, False)
    """
    return _TEXT.fullmatch(text) is not None


def load_function(text: str) -> FileFunction:
    """What `path/file.py:name` names, or what `path/file.py:name(arguments)` returns: something that can be called.

    UsageError where there is no such file or name; RuleError where the file raises an exception.
    """
    named = _TEXT.fullmatch(text)
    if named is None:
        raise UsageError(f"{text!r} names nothing in a file: write path/file.py:name")
    path, name = named["path"], named["name"]
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise UsageError(f"there is no file {path} to load {name!r} from")
    module = importlib.util.module_from_spec(spec)
    try:
        source = Path(path).read_text()
        spec.loader.exec_module(module)
    except AsapnbError:
        raise
    except Exception as error:
        raise RuleError(f"loading {path} raised {type(error).__name__}: {error}") from error
    functions = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    found = functions[choice(f"function in {path}", name, functions)]
    if named["arguments"]:
        found = parse_call(name + named["arguments"], functions, f"function in {path}", REFRESHES)
    return FileFunction(text.strip(), source, found)
