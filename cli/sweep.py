"""`asapnb sweep`."""

import shlex
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from asapnb.formatting import seconds
from asapnb.record import to_json
from asapnb.sweep import Manifest, Progress, Sweep, describe, load_sweep, run_sweep
from asapnb.sweep.spec import value_text

from . import FAILED, INTERRUPTED
from .options import JSON, QUIET
from .streams import echo
from .text import STATUS_STYLES, Columns, console, pairs


@click.command("sweep")
@click.argument("source", metavar="SWEEP.toml", type=click.Path())
@click.option("-o", "--out", type=click.Path(), metavar="DIR",
              help="The folder for run files and manifest.  [default: runs/SWEEP]")  # fmt: skip
@click.option("--jobs", type=int, metavar="N",
              help="How many runs are made at a time.  [default: one per core; one on real threads]")  # fmt: skip
@click.option("--dask", "address", metavar="ADDRESS", help="Compute the runs on the Dask cluster of this scheduler.")
@click.option(
    "--resume", is_flag=True, help="Continue: skip runs that are done, and make failed and half-written ones again."
)
@click.option("--extend", is_flag=True, help="Continue a sweep that has more points now, like --resume.")
@click.option("--force", is_flag=True, help="Start anew in a folder that holds a sweep. Its run files are removed.")
@click.option("--list", "listed", is_flag=True, help="Only list the points.")
@QUIET
@JSON
def command(source: str, out: str | None, listed: bool, quiet: bool, as_json: bool, **options: Any) -> None:
    """Make a run for every point of a grid, in parallel, each with a run file of its own.

    SWEEP.toml has a table [base] with the keys that all runs have in common, and a table [grid] of lists. Every
    combination of their values is a point. A point that fails is recorded, and the others continue. See
    docs/how-to/sweeps.md.
    """
    sweep = load_sweep(source)
    folder = Path(out) if out is not None else Path("runs", Path(source).stem)
    screen = console(quiet=quiet or as_json)
    if listed:
        _list(sweep, screen, as_json)
        return
    again = f"asapnb sweep {shlex.quote(source)} -o {shlex.quote(str(folder))} --resume"
    manifest = carried_out(sweep, folder, screen, again, **options)
    if as_json:
        echo(to_json(document(manifest, folder)))
    close(manifest, folder, screen, again)


def carried_out(sweep: Sweep, folder: Path, screen: Console, again: str, **options: Any) -> Manifest:
    """Carry out a sweep and show its progress; after Ctrl-C the command ends.

    Args:
        sweep: the sweep.
        folder: for its run files.
        screen: where its progress is shown.
        again: the command that goes on with it.
        options: those of `run_sweep`.
    """
    display = _Display(screen, sweep, folder)
    try:
        with display.bar:
            return run_sweep(sweep, folder, progress=display.show, **options)
    except KeyboardInterrupt:
        echo(f"Interrupted. Finished runs are kept. To continue: {again}", err=True)
        click.get_current_context().exit(INTERRUPTED)


def document(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """What came of a sweep, as one JSON document."""
    return {"folder": str(folder), "points": len(manifest.points), "statuses": manifest.statuses}


def close(manifest: Manifest, folder: Path, screen: Console, again: str, kept: bool = True) -> None:
    """Print what came of a sweep; ends the command with an error if points failed.

    Args:
        manifest: of the sweep.
        folder: with its run files.
        screen: where it is printed.
        again: the command that tries again what failed.
        kept: whether the folder is still there afterwards.
    """
    screen.print("", ", ".join(f"{count:,} {status}" for status, count in manifest.statuses.items()), sep="\n")
    if kept:
        screen.print(f"{folder} holds the runs. Next: asapnb compare {shlex.quote(str(folder))}", style="dim")
    failures = [outcome for outcome in manifest.outcomes.values() if not outcome.done]
    if failures:
        where = f"{folder}/manifest.jsonl says why. To try them again: {again}" if kept else failures[0].gist
        echo(f"Error: {len(failures):,} of {len(manifest.points):,} points failed; {where}", err=True)
        click.get_current_context().exit(FAILED)


def _list(sweep: Sweep, screen: Console, as_json: bool) -> None:
    """The points, one a line: the values of the axes, and the seed."""
    if as_json:
        points = [
            {"name": point.name, "axes": dict(point.axes), "config": dict(point.config)} for point in sweep.points
        ]
        echo(to_json({"kind": sweep.kind, "points": points}))
    names, seeds = [name for name in sweep.axes if name != "seed"], ["seed"] * (sweep.kind != "replay")
    table = Columns(*names, *seeds, left=names)
    for point in sweep.points:
        given = [value_text(point.axes[name]) if name in point.axes else "" for name in names]
        table.add_row(*given, *(str(point.config.get(name, 0)) for name in seeds))
    screen.print(table)


def _varying(sweep: Sweep) -> dict[str, int]:
    """The axes, each with the number of its different values."""
    values = {(name, str(value)) for point in sweep.points for name, value in point.axes.items()}
    counts = Counter(name for name, _ in values)
    return {name: counts[name] for name in sweep.axes if counts[name] > 1}


class _Display:
    """Shows the progress of a sweep: a line for each point and, on a terminal, a bar below."""

    def __init__(self, screen: Console, sweep: Sweep, folder: Path) -> None:
        self._screen = screen
        self._header = pairs([
            ("sweep", f"{len(sweep.points):,} runs of {sweep.kind}"),
            ("varying", ", ".join(f"{name} ({count})" for name, count in _varying(sweep).items())),
            ("folder", str(folder)),
        ])  # fmt: skip
        self.bar = Bar(
            TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.description}"), console=screen, disable=not screen.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self.bar.add_task("", total=len(sweep.points))

    def show(self, now: Progress) -> None:
        """Print how far the sweep is, and the outcome of the last point."""
        left = "" if now.seconds_left is None else f"{timedelta(seconds=round(now.seconds_left))} left"
        failed = f"{now.failed} failed" if now.failed else ""
        self.bar.update(self._task, completed=now.done, description=", ".join(filter(None, [left, failed])))
        if now.waiting:
            echo(now.waiting, err=True)
            return
        if now.outcome is None or now.point is None:
            self._screen.print(self._header, "", sep="\n")
            if now.skipped:
                self._screen.print(f"{now.skipped:,} runs are there already", style="dim")
            return
        status = now.outcome.status
        self._screen.print(Text.assemble(
            f"{now.done:>5}/{now.total}  ", (f"{status:<10}", STATUS_STYLES.get(status, "yellow")),
            f" {seconds(now.outcome.seconds):>8} s  {describe(now.point.axes)}  ", (left, "dim"),
        ))  # fmt: skip
        if now.outcome.error:
            self._screen.print(f"       {now.outcome.gist}", style="red")
