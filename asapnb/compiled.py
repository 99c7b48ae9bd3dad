"""How asapnb compiles: one decorator, one cache folder, one choice of kernel path.

* `kernel` compiles without the GIL and caches on disk, in a folder whose name carries the CPU's features and a
  hash of all kernel sources. Numba watches only the file a function stands in, so an edited callee in another
  module would otherwise leave stale machine code behind.
* `specialise` compiles one signature of a kernel (or loads it) and returns its bare entry point. That is how a
  worker loop takes a gradient as an argument and still comes from the disk cache: the argument's type is
  `types.FunctionType`, not the dispatcher, which would differ in every process.
* `KERNEL_PATH` is "avx512", "avx2" or "portable": taken from the CPU, or from $ASAPNB_KERNELS.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import platformdirs
from numba import types

from .errors import unknown

KERNEL_PATHS = ("avx512", "avx2", "portable")
_KERNEL_SOURCES = ("compiled.py", "random.py", "problems", "engine", "timing", "simulator")
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
            raise unknown("kernel path in $ASAPNB_KERNELS", asked, ("auto", *KERNEL_PATHS))
        return asked
    features = set(_cpu_features().split(","))
    if "+avx512f" in features:
        return "avx512"
    return "avx2" if {"+avx2", "+fma"} <= features else "portable"


KERNEL_PATH = _choose_path()


def _source_hash() -> str:
    """One hash over every file that kernels are made of: any edit starts a fresh cache."""
    digest = hashlib.sha256()
    for name in _KERNEL_SOURCES:
        source = Path(__file__).parent / name
        for file in [source] if source.suffix else sorted(source.rglob("*.py")):
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
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
    """The folder for compiled kernels, or None (with a warning) when nowhere can be written."""
    target = f"{numba.__version__}|{llvm.get_host_cpu_name()}|{_cpu_features()}|{KERNEL_PATH}"
    name = f"{KERNEL_PATH}-{hashlib.sha256(target.encode()).hexdigest()[:8]}-{_source_hash()}"
    root = os.environ.get("ASAPNB_CACHE") or platformdirs.user_cache_dir("asapnb")
    parent = Path(root) / "kernels"
    if _usable(parent / name):
        _forget_old(parent)
        return parent / name
    warnings.warn(
        f"asapnb cannot write its cache of compiled kernels to {parent}, so it compiles at every start; "
        "set ASAPNB_CACHE to a folder that can be written",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


CACHE = _choose_cache()


@contextmanager
def _cache_folder() -> Iterator[None]:
    """Numba reads its cache folder when a function is decorated: lend it ours for that moment only."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(CACHE)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def kernel(*signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a module-level function without the GIL and cache it; with a signature, at once."""

    def decorate(function: Callable[..., Any]) -> Any:
        with _cache_folder():
            return numba.njit(*signature, nogil=True, cache=CACHE is not None, **options)(function)

    return decorate


def part(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a module-level function that only kernels call: no way in from Python, no cache of its own."""
    return numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


def specialise(function: Any, *arguments: types.Type) -> Callable[..., Any]:
    """Compile `function` for these argument types (or load it from the cache); returns its entry point."""
    function.compile(arguments)
    return function.overloads[arguments].entry_point
