"""Compile on two cores: the problem in this process, the loops in a process beside it.

Numba compiles one function at a time. What the other process compiles comes from the cache on disk afterwards, as
in any later run; if that process fails, this one compiles everything, as it would have without it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .. import schemes
from ..compiled import CACHE
from ..problems.base import Problem
from ..record.schema import UPDATES
from .collect import compile_access
from .options import cores
from .team import compile_loop

_PROGRAM = """
import importlib, json, sys
sys.path[:], module, function, *arguments = json.loads(sys.argv[1])
getattr(importlib.import_module(module), function)(*arguments)
"""


@contextmanager
def compiling_beside(rest: Callable[..., None], problem: Problem, *names: str) -> Iterator[None]:
    """While this block compiles the problem, have `rest` compile what else a run needs, if it never was.

    It is called with the names, and those of the dtypes of the problem and of its inputs.
    """
    arguments = [rest.__module__, rest.__name__, *names, problem.dtype.name, problem.inputs.dtype.name]
    done = CACHE and CACHE / "-".join(arguments)
    python = Path(sys.executable or "").name.startswith("python")  # and not a program that Python is a part of
    if done is None or done.exists() or len(cores()) < 2 or not python:
        yield
        return
    command = [sys.executable, "-c", _PROGRAM, json.dumps([sys.path, *arguments])]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        done.touch()


def compile_rest(scheme: str, dtype: str, inputs: str) -> None:
    """Fill the cache on disk."""
    compile_loop(getattr(schemes, scheme), np.dtype(dtype), np.dtype(inputs))
    compile_access(UPDATES)
