"""Compile on two cores: the problem in this process, the loops in a process beside it.

Numba compiles one function at a time. What the other process compiles comes from the cache on disk afterwards, as
in any later run; if that process fails, this one compiles everything, as it would have without it.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from ..compiled import cache_of
from ..errors import UsageError
from ..problems.base import Dtypes, Problem
from .apart import check_not_forked
from .cores import at_once

_PROGRAM = """
import importlib, json, sys
import numpy
sys.path[:], module, function, loop, *dtypes = json.loads(sys.argv[1])
getattr(importlib.import_module(module), function)(loop, tuple(map(numpy.dtype, dtypes)))
"""
T = TypeVar("T")
Compile = Callable[[str, Dtypes], T]  # (a loop, "module:function", dtypes of a problem) -> what is compiled for them


def load(reference: str) -> Any:
    """The loop that a text "module:function" names. It is imported only now, because importing may compile.

    UsageError for what is not there, or not compiled.

    >>> load("asapnb.engine.loops.hogwild:work").py_func.__name__
    'work'
    """
    module, _, name = reference.partition(":")
    function = getattr(import_module(module), name, None)
    if not hasattr(function, "py_func"):
        said = f"there is no {name} in {module}" if function is None else f"{name} in {module} is not compiled"
        raise UsageError(f"{said}: a loop of a scheme is a function under @kernel(), of asapnb.compiled")
    return function


def compiled(rest: Compile[T], loop: str, problem: Problem) -> T:
    """Compile a problem, and what `rest` compiles for this loop and the dtypes of the problem, which is returned."""
    with compiling_beside(rest, loop, problem):
        problem.compile()
    return rest(loop, problem.dtypes)


@contextmanager
def compiling_beside(rest: Compile[Any], loop: str, problem: Problem) -> Iterator[None]:
    """While the block compiles a problem, let another process compile the rest, unless that is in the cache.

    With the problem compiled there is nothing to do meanwhile, and this process has compiled parts of other loops.

    Args:
        rest: a function of a module that compiles the rest, for `loop` and the dtypes of the problem.
        loop: a loop, "module:function".
        problem: the problem.

    UsageError in a process that was forked while a run was going on.
    """
    check_not_forked()
    arguments = [rest.__module__, rest.__name__, loop, *(one.name for one in problem.dtypes)]
    done = _marker(arguments)
    python = Path(sys.executable or "").name.startswith("python")  # and not a program that embeds Python
    if done is None or os.path.exists(done) or problem.is_compiled or at_once() < 2 or not python:
        yield
        return
    command = [sys.executable, "-c", _PROGRAM, json.dumps([sys.path, *arguments])]
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:  # no further process is allowed, or there is no memory for it
        yield
        return
    with process:
        try:
            yield
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        with suppress(OSError):  # there may be no cache to have stored it in
            done.touch()


def _marker(arguments: list[str]) -> Path | None:
    """The file that exists if this has been compiled from the present sources; None if no other process can do so."""
    module = arguments[2].partition(":")[0]
    spec = find_spec(module) if module != "__main__" else None  # of a script or notebook, which is not imported
    folder = cache_of(spec.origin) if spec is not None and spec.origin is not None else None
    return folder and folder / f"compiled-{hashlib.sha256(json.dumps(arguments).encode()).hexdigest()[:12]}"
