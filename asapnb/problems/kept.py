"""Gradients of one's own in the cache of compiled kernels, by the digest of their code and of all that they call.

A digest covers code of one's own: instructions, closures, globals, helper modules. What it knows by name only, code
of libraries, is covered by their versions and files. Where something cannot be seen, nothing is kept.
"""

import hashlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from ..compile_cache import KernelCache, in_use
from ..compiled import CACHE, check_fit
from ..identity.digest import Unseen, digest_of
from ..identity.library import is_library

_SETTINGS = ("BOUNDSCHECK", "OPT", "DEBUGINFO_DEFAULT", "CAPTURED_ERRORS")  # of Numba, that change machine code


class _Checked(KernelCache):
    """Keeps no machine code that workers must not run: what was loaded can no longer be looked at."""

    def __init__(self, dispatcher: Any, folder: Path) -> None:
        super().__init__(dispatcher.py_func, folder)
        self._dispatcher = dispatcher

    def save_overload(self, sig: Any, data: Any) -> None:
        check_fit(self._dispatcher, "gradient")
        super().save_overload(sig, data)


def keep(dispatcher: Any) -> None:
    """Let a dispatcher load what it compiles from the cache, and store it there, if its code can be identified."""
    if CACHE is None:
        return
    found: list[Any] = []
    try:
        digest = digest_of(dispatcher, found.append)
        parts = [digest, np.__version__, *(str(getattr(numba.config, name, "")) for name in _SETTINGS)]
        parts += _libraries(found)
        folder = CACHE / f"own-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"
        dispatcher._cache = _Checked(dispatcher, folder)
    except (Unseen, OSError, TypeError, ValueError):  # or what cannot be pickled
        return
    in_use(folder)


def _libraries(found: Iterable[Any]) -> list[str]:
    """What says which code it is that functions of one's own use of libraries other than Python's and Numba's."""
    names = set()
    for function in found:
        for value in _held(function):
            module = value if inspect.ismodule(value) else sys.modules.get(getattr(value, "__module__", None) or "")
            if module is not None and is_library(module):
                names.add(module.__name__.partition(".")[0])
    names -= {"numpy", "numba", "builtins", *sys.stdlib_module_names}
    return [f"{name} {_stamp(name)}" for name in sorted(names)]


def _held(function: Any) -> Iterable[Any]:
    """What a function holds, and what it may find by the names in its code."""
    code = getattr(function, "__code__", None)
    if code is None:
        return
    yield from (function.__globals__[name] for name in code.co_names if name in function.__globals__)
    yield from (cell.cell_contents for cell in function.__closure__ or ())


def _stamp(name: str) -> str:
    """The version of a library, and the sizes and times of the files of its package."""
    module = sys.modules[name]
    paths = [Path(one) for one in getattr(module, "__path__", ())]
    files = [file for path in paths for file in path.rglob("*.py")] or [
        Path(file) for file in [module.__file__] if file
    ]
    about = sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    return f"{getattr(module, '__version__', '')} {hashlib.sha256(repr(about).encode()).hexdigest()}"
