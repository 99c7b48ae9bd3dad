"""How asapnb compiles: one decorator, one cache folder, one choice of kernel path.

* `kernel` compiles without the GIL and caches on disk. Within a folder for the CPU each module has a folder, whose
  name carries a hash of the module and of all that it imports of asapnb. Numba watches only the file of a function;
  without the hash it would go on using machine code of an old callee in another module. Kernels import only other
  kernels and constants, so that other edits compile nothing: see `tests/test_compiled.py`.
* `specialise` compiles one signature of a kernel, or loads it, and returns its entry point. So a worker loop takes a
  gradient as an argument and still comes from the cache: the argument has the type `types.FunctionType`, not that of
  a dispatcher, which differs in every process.
* `KERNEL_PATH` is "avx512", "avx2" or "portable": the best that the CPU has, or the one in $ASAPNB_KERNELS.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import platformdirs
from numba import types

KERNEL_PATHS = ("avx512", "avx2", "portable")
_IMPORT = re.compile(
    r"^from (?P<package>\.+|asapnb\.)(?P<module>[\w.]*) import (?P<names>\([^)]*\)|[^\n(#]+)", re.MULTILINE
)  # of asapnb, or relative, at the top level of a module
_DAYS_KEPT = 30  # a cache folder that no process has used for so long belongs to an older version


def _cpu_features() -> str:
    """The features Numba compiles for, as LLVM's comma-separated list."""
    if numba.config.CPU_FEATURES is not None:
        return str(numba.config.CPU_FEATURES)
    return str(llvm.get_host_cpu_features().flatten())


def _choose_path() -> str:
    asked = os.environ.get("ASAPNB_KERNELS", "").lower()
    if asked and asked != "auto":
        if asked not in KERNEL_PATHS:
            from .errors import unknown  # here, because no kernel depends on it

            raise unknown("kernel path in $ASAPNB_KERNELS", asked, ("auto", *KERNEL_PATHS))
        return asked
    features = set(_cpu_features().split(","))
    if "+avx512f" in features:
        return "avx512"
    return "avx2" if {"+avx2", "+fma"} <= features else "portable"


KERNEL_PATH = _choose_path()


def sources(file: Path) -> set[Path]:
    """The files that the compiled code of a file depends on: itself, what it imports of asapnb, what that imports, …

    Imports are read from the text, because Numba inlines constants and callees without a trace.
    """
    found, waiting = {file}, [file]
    while waiting:
        new = _imported(waiting.pop()) - found
        waiting += new
        found |= new
    return found


@cache
def _imported(file: Path) -> frozenset[Path]:
    """The files of asapnb that one imports at its top level."""
    lines = _IMPORT.finditer(file.read_text(encoding="utf-8"))
    return frozenset(target for line in lines for target in _targets(file, line))


def _targets(file: Path, line: re.Match[str]) -> Iterator[Path]:
    """The files that an import line of a file leads to: a module, or modules of a package and the package itself."""
    package = file.parents[len(line["package"]) - 1] if line["package"].startswith(".") else Path(__file__).parent
    base = package.joinpath(*filter(None, line["module"].split(".")))
    if base.is_dir():
        names = [name.split()[0] for name in line["names"].strip("()").split(",") if name.strip()]
        found = [base / "__init__.py", *(base / f"{name}.py" for name in names)]
        modules = found[1:] if all(module.is_file() for module in found[1:]) else found
    else:
        modules = [base.with_suffix(".py")]
    yield from filter(Path.is_file, modules)  # `asapnb.cli` stands elsewhere, and no kernel imports it


@cache
def _source_hash(file: Path) -> str:
    """One hash over all sources of the compiled code of a file: an edit of any of them starts a fresh cache."""
    digest = hashlib.sha256()
    for source in sorted(sources(file)):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            os.utime(folder)
        return True
    except OSError:
        return False


def _forget_old(parent: Path) -> None:
    limit = time.time() - _DAYS_KEPT * 86400
    for folder in parent.iterdir():
        try:
            if folder.is_dir() and folder.stat().st_mtime < limit:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def _choose_cache() -> Path | None:
    """The folder for kernels compiled for this CPU, or None (with a warning) when nowhere can be written."""
    target = f"{numba.__version__}|{llvm.get_host_cpu_name()}|{_cpu_features()}|{KERNEL_PATH}"
    root = os.environ.get("ASAPNB_CACHE") or platformdirs.user_cache_dir("asapnb")
    parent = Path(root) / "kernels"
    folder = parent / f"{KERNEL_PATH}-{hashlib.sha256(target.encode()).hexdigest()[:8]}"
    if _usable(folder):
        _forget_old(parent)
        _forget_old(folder)
        return folder
    warnings.warn(
        f"asapnb cannot write its cache of compiled kernels to {parent}, so it compiles at every start; "
        "set ASAPNB_CACHE to a folder that can be written",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


CACHE = _choose_cache()


@cache
def cache_of(file: str) -> Path | None:
    """The folder for the compiled kernels of a source file, made when it is new; None without a cache."""
    if CACHE is None:
        return None
    source = Path(file).resolve()
    if not source.is_file():  # typed into a session
        return None
    folder = CACHE / f"{source.stem}-{_source_hash(source)}"
    return folder if _usable(folder) else None


@contextmanager
def _cache_folder(folder: Path | None) -> Iterator[None]:
    """Set Numba's cache folder while a function is decorated, which is when Numba reads it."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder or before)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def kernel(*signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a module-level function without the GIL and cache it; with a signature, at once."""

    def decorate(function: Callable[..., Any]) -> Any:
        folder = cache_of(function.__code__.co_filename)
        with _cache_folder(folder):
            return numba.njit(*signature, nogil=True, cache=folder is not None, **options)(function)

    return decorate


def part(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a module-level function that only kernels call: not callable from Python, and without a cache."""
    return numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


def specialise(function: Any, *arguments: types.Type) -> Callable[..., Any]:
    """Compile `function` for these argument types (or load it from the cache); returns its entry point."""
    function.compile(arguments)
    return function.overloads[arguments].entry_point
