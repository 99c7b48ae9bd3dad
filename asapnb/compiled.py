"""How asapnb compiles: one decorator, one cache folder, one choice of kernel path.

* `kernel` compiles without the GIL and caches on disk (see `compile_cache`). Within a folder for the CPU each module
  has a folder, whose name carries a hash of the module and of all that it imports of asapnb, because Numba inlines
  callees of other modules without a trace. Kernels import only other kernels and constants, so that other edits
  compile nothing: see `tests/test_compiled.py`.
* `specialise` compiles one signature of a kernel, or loads it, and returns its entry point. So a worker loop takes a
  gradient as an argument and still comes from the cache: the argument has the type `types.FunctionType`, not that of
  a dispatcher, which differs in every process.
* `KERNEL_PATH` is "avx512", "avx2" or "portable": the best that the CPU has, or the one in $ASAPNB_KERNELS. The first
  two are for x86-64; elsewhere, as on ARM, it is "portable".
"""

import hashlib
import itertools
import os
import platform
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import types
from numba.core.bytecode import FunctionIdentity

from .parts import PartCompiler
from .platforms import HERE, Platform

_NEEDS: dict[str, set[str]] = {"avx512": {"+avx512f"}, "avx2": {"+avx2", "+fma"}, "portable": set()}  # CPU features
KERNEL_PATHS = tuple(_NEEDS)
_IMPORT = re.compile(
    r"^from (?P<package>\.+|asapnb\.)(?P<module>[\w.]*) import (?P<names>\([^)]*\)|[^\n(#]+)", re.MULTILINE
)  # of asapnb, or relative, at the top level of a module


def _cpu_features() -> str:
    """The features Numba compiles for, as LLVM's comma-separated list."""
    if numba.config.CPU_FEATURES is not None:
        return str(numba.config.CPU_FEATURES)
    return str(llvm.get_host_cpu_features().flatten())


def _choose_path(here: Platform = HERE) -> str:
    asked = os.environ.get("ASAPNB_KERNELS", "").lower()
    if asked in here.kernel_paths:
        return asked
    if asked not in ("", "auto"):
        from .errors import UsageError, unknown  # here, because no kernel depends on it

        if asked not in KERNEL_PATHS:
            raise unknown("kernel path in $ASAPNB_KERNELS", asked, ("auto", *KERNEL_PATHS))
        raise UsageError(
            f"$ASAPNB_KERNELS is {asked}: those kernels are for x86-64, and this processor is {platform.machine()}; "
            "unset it, or set it to auto or portable"
        )
    features = set(_cpu_features().split(","))
    return next(path for path in here.kernel_paths if _NEEDS[path] <= features)


def _name_apart() -> None:
    """Let no two processes give functions one name.

    Numba tells functions of one name apart, such as those that a function makes, by a number that counts from 1 in
    each process. Where two processes compiled them, and a third one loads both from the cache, the linker takes the
    first for the other.
    """
    FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(6)))


_name_apart()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_name_apart)


def _check_compiling() -> None:
    if numba.config.DISABLE_JIT:
        from .errors import UsageError

        raise UsageError("NUMBA_DISABLE_JIT is set: asapnb cannot work without compiling; unset it")


_check_compiling()
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


def _choose_cache() -> Path | None:
    """The folder for kernels compiled for this CPU, or None (with a warning) when there is nowhere to have one."""
    from .compile_cache import in_use, say  # here, as no compiled code depends on it
    from .places import cache_folder

    target = f"{numba.__version__}|{llvm.get_host_cpu_name()}|{_cpu_features()}|{KERNEL_PATH}"
    root = cache_folder()
    if root is None:
        say(
            "asapnb has no home folder to keep compiled kernels in, so it compiles at every start; set ASAPNB_CACHE "
            "to a folder that can be written"
        )
        return None
    folder = root / "kernels" / f"{KERNEL_PATH}-{hashlib.sha256(target.encode()).hexdigest()[:8]}"
    in_use(folder)
    return folder


CACHE = _choose_cache()
PART = {
    "nogil": True,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": PartCompiler,
}  # Numba's options for a function that only kernels call


@cache
def cache_of(file: str) -> Path | None:
    """The folder for the compiled kernels of a source file; None without a cache."""
    if CACHE is None or not os.path.isfile(file):  # typed into a session, or in an archive
        return None
    from .compile_cache import in_use

    source = Path(file).resolve()
    folder = CACHE / f"{source.stem}-{_source_hash(source)}"
    in_use(folder)
    return folder


def kernel(*signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a module-level function without the GIL and cache it; with a signature, at once.

    Neither it nor a part counts references, so one that makes arrays says `_nrt=True`.
    """
    from .compile_cache import KernelCache

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = numba.njit(**{"nogil": True, "_nrt": False, **options})(function)
        folder = cache_of(function.__code__.co_filename)
        if folder is not None:
            compiled._cache = KernelCache(function, folder)
        for one in signature:
            compiled.compile(one)
        if signature:
            compiled.disable_compile()
        return compiled

    return decorate


def part(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a module-level function that only kernels call: not callable from Python, and without a cache.

    It is compiled once for the types of its arguments, where Numba alone would do so for each constant that it gets.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = numba.njit(**{**PART, **options})(function)
        find = compiled.get_call_template
        compiled.get_call_template = lambda arguments, named: find([types.unliteral(one) for one in arguments], named)
        return compiled

    return decorate


def specialise(function: Any, *arguments: types.Type) -> Callable[..., Any]:
    """Compile `function` for these argument types (or load it from the cache); returns its entry point.

    UsageError if it makes an array, which takes references that nobody counts.
    """
    check_fit(function, "loop")  # what its options say
    try:
        function.compile(arguments)
    except numba.TypingError as error:
        if _NO_ARRAY not in str(error):
            raise
        from .errors import UsageError

        raise UsageError(
            f"the loop {function.__name__!r} makes an array, or what it calls returns one: make arrays before the "
            "loop starts, or decorate the loop with kernel(_nrt=True) and what it calls with part(_nrt=True)"
        ) from error
    check_fit(function, "loop")
    return function.overloads[arguments].entry_point


_NO_ARRAY = "Only accept returning of array passed into the function as argument"  # Numba says
_UNFIT = {  # what machine code calls, and what that says of its source
    "numba_parallel_for": "starts threads of its own, by parallel=True",
    "PyObject_Call": "calls Python, by objmode",
}


def check_fit(function: Any, what: str) -> None:
    """UsageError for what threads cannot run side by side, each without the GIL.

    Args:
        function: a dispatcher of Numba's. What it calls is looked at, too, once it is compiled.
        what: it is, for the error.
    """
    reasons = _reasons(function)
    if reasons:
        from .errors import UsageError

        raise UsageError(
            f"the {what} {function.__name__!r} {reasons[0]}: all workers run it at once, each in a thread of its own "
            "without the GIL; compile it, and what it calls, with plain numba.njit"
        )


def _reasons(function: Any) -> list[str]:
    options, compiled = function.targetoptions, function.overloads
    calls = {
        one.name
        for arguments, result in compiled.items()
        for one in result.library._final_module.functions
        if one.is_declaration
        # where an argument is a function, the wrapper calls Python once, to take it
        and not (one.name.startswith("Py") and any(isinstance(given, types.FunctionType) for given in arguments))
    }
    python = options.get("forceobj") or any(result.objectmode for result in compiled.values())
    return [
        *(["is compiled with parallel=True, which starts threads of its own"] if options.get("parallel") else []),
        *(["is in object mode"] if python else []),
        *(
            f"{says}, or calls what does"
            for name, says in _UNFIT.items()
            if any(call.startswith(name) for call in calls)
        ),
    ]
