"""Functions from a user's file, `path/file.py:name`. The file is run as the Python that it is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import AsapnbError, RuleError, UsageError, unknown


@dataclass(frozen=True, repr=False)
class FileFunction:
    """A function from a file: equal to another when path, name and the file's text are.

    Its module is none that could be imported, so it is pickled as the text that loads it.
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


def load_function(text: str) -> FileFunction:
    """The function that `path/file.py:name` names."""
    path, _, name = text.strip().rpartition(":")
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
    if name not in functions:
        raise unknown(f"function in {path}", name, functions)
    return FileFunction(text.strip(), source, functions[name])
