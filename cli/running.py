"""Making a run for a command: show its progress, and print how it ended."""

import os
import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.text import Text

from asapnb.config import RUNS, prepare
from asapnb.engine import Evaluation, Progress
from asapnb.engine.ranks import of_rank
from asapnb.record import Run, to_json
from asapnb.signals import Terminated
from asapnb.training.arguments import Command

from . import DIVERGED, FAILED, INTERRUPTED
from .compiling import announced
from .flags import header
from .live import Display
from .ranks import is_worker, of_ranks
from .streams import echo
from .text import console, document, histogram, size, summary


@dataclass(frozen=True)
class Job:
    """A run to make.

    Attributes:
        header: makes what is printed before it.
        run: makes the run; takes `on_eval` and `progress`.
        max_seconds: its limit of time, if it has one.
        clock: whose seconds its times are: "" for real ones, "virtual" or "recorded".
        more: called with the finished run; makes further entries of the JSON document, and what is printed of them.
    """

    header: Callable[[], Text]
    run: Callable[..., Run]
    max_seconds: float | None = None
    clock: str = ""
    more: Callable[[Run], tuple[dict[str, Any], RenderableType]] | None = None


def configured(kind: Command, config: Mapping[str, Any], out: str | None, force: bool) -> Job:
    """The run of a configuration."""
    ctx = click.get_current_context()
    problem, arguments = prepare(of_rank(ctx.obj, config), kind, force)
    return Job(
        header=lambda: header(problem, arguments, kind, ctx.obj),
        run=partial(RUNS[kind], problem, **arguments, out=out, force=force, **of_ranks(ctx)),
        max_seconds=arguments.get("max_seconds"),
        clock="virtual" if kind == "simulate" else "",
    )


def carry_out(make: Callable[[], Job], out: str | None, *, quiet: bool, as_json: bool) -> None:
    """Make a run and show it; ends the command, with the exit code of how the run ended.

    Args:
        make: makes the job; it may compile, too.
        out: the run file, which the job writes.
        quiet: print nothing but errors.
        as_json: print a JSON document instead.
    """
    if is_worker(click.get_current_context()):
        with warnings.catch_warnings(action="ignore"):  # the server has them, too
            make().run()
        return
    screen = console(quiet=quiet or as_json)
    with _plain_warnings(), ExitStack() as shown, ExitStack() as compiling:
        compiling.enter_context(announced(console(stderr=True, quiet=quiet)))
        job = make()
        display = Display(screen, job.header, job.max_seconds, job.clock)
        shown.callback(display.close)

        def on_eval(evaluation: Evaluation) -> None:
            compiling.close()  # at the first evaluation everything is compiled
            display.on_eval(evaluation)

        def progress(now: Progress) -> None:
            compiling.close()
            display.progress(now)

        try:
            run = job.run(on_eval=on_eval, progress=progress)
        except Terminated as ended:
            if ended.run is not None:
                with suppress(OSError):  # after a hang-up there is no terminal
                    _interrupted(ended.run, out)
            raise
    found, said = ({}, None) if job.more is None else job.more(run)
    if as_json:
        echo(to_json({**document(run), **found}))
    else:
        screen.print("", summary(run), "", histogram(run, min(screen.width, 100)), sep="\n")
        if said is not None:
            screen.print("", said, sep="\n")
    click.get_current_context().exit(_close(run, out, screen))


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings are shown on stderr without the line of code that they come from."""

    def show(message: Warning | str, *place: Any) -> None:
        click.echo(f"Warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _close(run: Run, out: str | None, screen: Console) -> int:
    """Print where the run is, how to go on, and what went wrong; returns the exit code."""
    name = None if out is None else click.format_filename(out)
    path = None if name is None else shlex.quote(name)
    if out is not None and run.path != Path(os.path.realpath(out)):
        where = "there was no place to write it" if run.path is None else f"it is in {run.path}"
        click.echo(f"Error: {name} does not hold the run, which ended with status {run.status}: {where}", err=True)
        return FAILED
    if name is not None:
        screen.print(f"\n{name} written, {size(run.path)}. Next: asapnb show {path}", style="dim")
    if run.status == "timed-out" and run.kind in RUNS and path is not None:
        screen.print(f"{to_go_on(run, path)} --max-seconds TOTAL", style="dim")
    if run.status == "interrupted":
        _interrupted(run, out)
        return INTERRUPTED
    if run.status == "diverged":
        last = run.summary()["last"]
        echo(
            f"Error: diverged at update {last['step']:,}, training loss {last['train_loss']:.4g}: "
            f"try a smaller --step-size than {run.config['step_size']:g}",
            err=True,
        )
        return DIVERGED
    return 0


def to_go_on(run: Run, path: str) -> str:
    """How to go on with a run."""
    if "ranks" in run.attributes:
        return f"To continue: mpiexec -n {run.attributes['workers'] + 1} asapnb resume --mpi {path}"
    return f"To continue: asapnb resume {path}"


def _interrupted(run: Run, out: str | None) -> None:
    """Print what an interrupted run has kept, and how to go on."""
    kept = "nothing is kept, because there was no -o RUN.h5"
    if out is not None:
        name = click.format_filename(out)
        how = "A replay cannot be resumed: start it anew with --force"
        if run.kind in RUNS:
            how = to_go_on(run, shlex.quote(name))
        kept = f"{name} holds what was done. {how}"
    echo(f"Interrupted after {run.summary()['updates']:,} updates: {kept}", err=True)
