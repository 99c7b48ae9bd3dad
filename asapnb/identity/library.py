"""Tells code of a library, which its name and version identify, from code of users."""

import functools
import os
import site
import sys
import sysconfig
from types import ModuleType
from typing import Any

_INSTALLED = ("site-packages", "dist-packages")


@functools.cache
def _places() -> tuple[str, ...]:
    """The folders of the standard library, of installed packages and of asapnb."""
    found = {path for name, path in sysconfig.get_paths().items() if name.endswith("lib") or name == "stdlib"}
    found |= {os.path.dirname(os.__file__), site.getusersitepackages(), os.path.dirname(os.path.dirname(__file__))}
    return tuple(os.path.realpath(path) + os.sep for path in found if path)


@functools.cache
def is_library_file(path: str) -> bool:
    """Whether a file is of the standard library or of an installed package, or is Python itself."""
    if path.startswith("<frozen"):
        return True
    real = os.path.realpath(path)
    return real.startswith(_places()) or any(f"{os.sep}{name}{os.sep}" in real for name in _INSTALLED)


def is_library(module: ModuleType) -> bool:
    """Whether a module is of asapnb, of the standard library or of an installed package.

    >>> import json
    >>> is_library(json), is_library(sys), is_library(ModuleType("mine"))
    (True, True, False)
    """
    name = module.__name__
    if name == "asapnb" or name.startswith("asapnb."):
        return True
    file = getattr(module, "__file__", None)
    if file is None:  # compiled in, a namespace, or made by hand
        return name.partition(".")[0] in sys.stdlib_module_names and name != "__main__"
    return is_library_file(file)


def is_own_class(kind: type) -> bool:
    """Whether a class is written in Python, in a module that is not of a library."""
    module = sys.modules.get(kind.__module__)
    return library_name(kind) is None and (module is None or not is_library(module))


def library_name(value: Any) -> str | None:
    """The name "module:name" under which a library holds this very value; None if none does."""
    named = vars(value).get("_defn", value) if hasattr(value, "__dict__") else value  # what Numba's intrinsics wrap
    module_name, name = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    if module_name is None and name is not None:  # some C functions say neither
        module_name = getattr(getattr(value, "__self__", None), "__name__", None)
    if not isinstance(module_name, str) or not isinstance(name, str):
        return None
    module = sys.modules.get(module_name)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module_name}:{name}" if module is not None and found is value and is_library(module) else None


def is_own(value: Any) -> bool:
    """Whether something that can be called is made of code that is not of a library.

    >>> is_own(is_own), is_own(functools.partial(is_own, 1)), is_own(lambda: 1)  # this file is of a library
    (False, False, True)
    """
    while isinstance(value, functools.partial):
        value = value.func
    value = getattr(value, "py_func", value)
    if library_name(value) is not None:
        return False
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    return library_name(type(value)) is None if code is None else not is_library_file(code.co_filename)
