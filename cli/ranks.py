"""`--mpi`: all ranks carry out a command together. The server shows it, and its exit code is that of the job."""

from __future__ import annotations

import atexit
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TypeVar

import click

from asapnb.errors import AsapnbError, UsageError
from asapnb.signals import Terminated, deadly

from .importing import imported
from .streams import echo

if TYPE_CHECKING:
    from asapnb.engine.ranks import Ranks

T = TypeVar("T")

COMMANDS = ("train", "resume", "calibrate")  # that have --mpi
MPI = click.option("--mpi", is_flag=True, help="Run on MPI: rank 0 is the server, and the other ranks are workers.")
_LAUNCHED = (  # rank and number of ranks, as launchers tell: MPICH and Intel MPI, Open MPI, srun of Slurm
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
_SHOWN_BY_SERVER = ("out", "quiet", "as_json")


@contextmanager
def together(ctx: click.Context, line: Sequence[str]) -> Iterator[None]:
    """In this block the ranks of MPI carry out a command together, if its line has --mpi.

    An error on one is an error on all. The server shows it, and ends with its exit code. The others show nothing and
    end with 0, as launchers combine exit codes; but an error that the server cannot know they show.
    """
    ranks: Ranks | None = None
    name, (rank, size) = "".join(line[:1]), launched()
    known = isinstance(ctx.command, click.Group) and name in ctx.command.list_commands(ctx)
    if not known or "--mpi" not in line or not {"-h", "--help"}.isdisjoint(line):
        if size > 1 and rank == 0 and name in COMMANDS:
            echo(
                f"Warning: this command was started {size} times, and each is by itself; --mpi makes them one run",
                err=True,
            )
        yield
        return
    if name not in COMMANDS:
        if rank > 0:
            ctx.exit(2)
        raise UsageError(f"asapnb {name} has no --mpi: only {', '.join(COMMANDS)} run on MPI; leave it out")
    from asapnb.mpi import library

    try:
        with deadly():  # or it would wait for ever for a rank that has ended before
            world = library().COMM_WORLD
    except AsapnbError:  # which all find
        if rank > 0:
            ctx.exit(2)
        raise
    with _alone(world):
        meeting = imported("asapnb.engine.ranks")
    try:
        with meeting.joining(world) as ranks, _voice(ranks):
            ctx.obj = ranks
            yield
    except (AsapnbError, click.ClickException, KeyboardInterrupt):
        if ranks is None and rank > 0:  # each process finds itself alone, and the first says so
            ctx.exit(2)
        if ranks is None or ranks.serves or not ranks.told:
            raise
        ctx.exit(0)
    finally:
        meeting.all_know()


@contextmanager
def _alone(world: Any) -> Iterator[None]:
    """In this block ranks cannot tell one another of an error yet: after one, this process ends the others."""
    try:
        yield
    except BaseException as error:
        if world.size > 1:
            ended = error.code if isinstance(error, Terminated) else 130
            atexit.register(world.Abort, 2 if isinstance(error, Exception) else ended)
        raise


@contextmanager
def _voice(ranks: Ranks | None) -> Iterator[None]:
    """In this block a worker prints nothing, and an error in its command line is one that the server can show."""
    if ranks is None or ranks.serves:
        yield
        return
    try:
        with redirect_stdout(io.StringIO()):
            yield
    except click.ClickException as error:
        raise UsageError(error.format_message()) from error


def launched() -> tuple[int, int]:
    """The rank of this process and the number of ranks, as far as a launcher tells; else 0 and 1.

    >>> launched()
    (0, 1)
    """
    for rank, size in _LAUNCHED:
        here, there = os.environ.get(rank, ""), os.environ.get(size, "")
        if here.isdecimal() and there.isdecimal():
            return int(here), int(there)
    return 0, 1


def shared(make: Callable[[], T]) -> T:
    """What the server makes for a command, on every rank; without MPI what this process makes."""
    ctx = click.get_current_context()
    ranks = ctx.obj
    if ranks is None:
        return make()
    given = {name: value for name, value in ctx.params.items() if value not in (None, (), False)}
    said = [f"{name}={value}" for name, value in given.items() if name not in _SHOWN_BY_SERVER]
    found: T = ranks.share(f"asapnb {ctx.info_name} {' '.join(said)}", make)
    return found


def is_worker(ctx: click.Context) -> bool:
    """Whether this process is a worker of MPI, which writes and shows nothing."""
    return ctx.obj is not None and not ctx.obj.serves


def of_ranks(ctx: click.Context) -> dict[str, Any]:
    """The argument `comm` of a run on MPI; else nothing."""
    return {} if ctx.obj is None else {"comm": ctx.obj}
