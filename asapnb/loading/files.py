"""What `path/file.py:name` names: a function, a rule, a schedule."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from ..numbers import choice
from ..text import Names, parse_call
from .loader import Home

_TEXT = re.compile(r"\s*(?P<path>.*\.py):(?P<name>\w*)\s*(?P<arguments>\(.*\))?\s*", re.DOTALL)


@dataclass(frozen=True, repr=False)
class FileFunction:
    """What can be called, from a file: equal to another when its text and that of the file are equal.

    No module that could be imported holds it, so it is pickled as the text that loads it.
    """

    text: str
    source: str
    function: Callable[..., Any] = field(compare=False)
    home: Home = field(compare=False)
    helpers: Names = field(default_factory=dict, compare=False)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function returns."""
        if not self.home.late:
            return self.function(*arguments, **named)
        with self.home.in_place():
            return self.function(*arguments, **named)

    @property
    def files(self) -> Mapping[str, str]:
        """The SHA-256 of each file that was run to have it, by path."""
        return self.home.files

    @property
    def sources(self) -> Mapping[str, str]:
        """The text of each of these files."""
        return self.home.sources

    def _identity_(self) -> Any:
        return self.function

    def __repr__(self) -> str:
        return repr(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return load_function, (self.text, dict(self.helpers))


def is_of_file(text: str) -> bool:
    """Whether a text names something in a file.

    >>> is_of_file("rules.py:mine"), is_of_file("rules.py:mine(0.5)"), is_of_file("profile(g='rules.py:mine')")
    (True, True, False)
    """
    return _TEXT.fullmatch(text) is not None


def load_function(text: str, helpers: Names | None = None) -> FileFunction:
    """What `path/file.py:name` names, or what `path/file.py:name(arguments)` returns: something that can be called.

    Args:
        text: the path, the name, and arguments.
        helpers: what the arguments may call besides, by name, such as `every`.

    UsageError where there is no such file or name, and where the file cannot be run; RecordError if a run file names
    it that recorded other code.
    """
    named = _TEXT.fullmatch(text)
    if named is None:
        raise UsageError(f"{text!r} names nothing in a file: write path/file.py:name")
    path, name = named["path"], named["name"]
    if not os.path.isfile(path):
        raise UsageError(f"there is no file {path} to load {name!r} from")
    home = Home(path)
    functions = {key: one for key, one in vars(home.module).items() if callable(one) and not key.startswith("_")}
    found = functions[choice(f"function in {path}", name, functions)]
    if named["arguments"]:
        with home.in_place():
            found = parse_call(name + named["arguments"], functions, f"function in {path}", helpers)
    return FileFunction(text.strip(), "\n".join(home.sources.values()), found, home, helpers or {})
