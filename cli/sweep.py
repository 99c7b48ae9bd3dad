"""`asapnb sweep`."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from asapnb.record import to_json
from asapnb.sweep import Progress, Sweep, describe, load_sweep, run_sweep
from asapnb.sweep.points import FAILED

from . import FAILED as EXIT_FAILED
from . import INTERRUPTED
from .text import console, pairs, seconds_text


@click.command("sweep")
@click.argument("source", metavar="SWEEP.toml", type=click.Path())
@click.option("-o", "--out", type=click.Path(), metavar="DIR",
              help="The folder for run files and manifest.  [default: runs/SWEEP]")  # fmt: skip
@click.option("--jobs", type=int, metavar="N",
              help="Processes at a time.  [default: one per core; one for runs on real threads]")  # fmt: skip
@click.option("--dask", "address", metavar="ADDRESS", help="Compute on the Dask cluster of this scheduler.")
@click.option("--resume", is_flag=True, help="Go on: skip what is done, do again what failed or is half-written.")
@click.option("--extend", is_flag=True, help="With --resume: also if the sweep has got more points.")
@click.option("--force", is_flag=True, help="Start anew in a folder that holds a sweep.")
@click.option("--list", "listed", is_flag=True, help="Only list the points.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    out: str | None,
    jobs: int | None,
    address: str | None,
    resume: bool,
    extend: bool,
    force: bool,
    listed: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run every point of a grid, in parallel, each into a run file of its own.

    SWEEP.toml has a table [base] of what all runs have in common, and a table [grid] of lists, of which every
    combination is run; docs/sweeps.md says more. Points that fail are recorded and the others carried on.
    """
    sweep = load_sweep(source)
    folder = Path(out) if out is not None else Path("runs", Path(source).stem)
    screen = console(quiet=quiet or as_json)
    if listed:
        _list(sweep, screen, as_json)
        return
    screen.print(pairs([
        ("sweep", f"{len(sweep.points):,} runs of {sweep.kind}"),
        ("varying", ", ".join(f"{name} ({count})" for name, count in _varying(sweep).items())),
        ("folder", str(folder)),
    ]))  # fmt: skip
    screen.print()
    with ExitStack() as stack:
        display = stack.enter_context(_Display(screen, sweep))
        try:
            manifest = run_sweep(sweep, folder, jobs=jobs, address=address, resume=resume,
                                 extend=extend, force=force, progress=display.show)  # fmt: skip
        except KeyboardInterrupt:
            stack.close()
            again = f"asapnb sweep {source} -o {folder} --resume"
            click.echo(f"Interrupted. What is done is kept; to go on: {again}", err=True)
            ctx.exit(INTERRUPTED)
    counts = Counter(outcome.status for outcome in manifest.outcomes.values())
    if as_json:
        click.echo(to_json({"folder": str(folder), "points": len(sweep.points), "statuses": counts}))
    screen.print("", ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items())), sep="\n")
    screen.print(f"{folder} holds the runs. Next: asapnb compare {folder}", style="dim")
    if counts[FAILED]:
        click.echo(
            f"Error: {counts[FAILED]:,} of {len(sweep.points):,} points failed; {folder}/manifest.jsonl says why; "
            f"to try them again: asapnb sweep {source} -o {folder} --resume",
            err=True,
        )
        ctx.exit(EXIT_FAILED)


def _list(sweep: Sweep, screen: Console, as_json: bool) -> None:
    """The points, one a line."""
    if as_json:
        points = [
            {"name": point.name, "axes": dict(point.axes), "config": dict(point.config)} for point in sweep.points
        ]
        click.echo(to_json({"kind": sweep.kind, "points": points}))
    for point in sweep.points:
        screen.print(describe({**point.axes, "seed": point.config.get("seed", 0)}))


def _varying(sweep: Sweep) -> dict[str, int]:
    """The axes, each with the number of its different values."""
    values: dict[str, set[str]] = {}
    for point in sweep.points:
        for name, value in point.axes.items():
            values.setdefault(name, set()).add(str(value))
    return {name: len(found) for name, found in values.items() if len(found) > 1}


class _Display:
    """Shows how far a sweep is: a bar with the time left on a terminal, a line for each point elsewhere."""

    def __init__(self, screen: Console, sweep: Sweep) -> None:
        self._screen = screen
        self._axes = {point.name: point.axes for point in sweep.points}
        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), console=screen, disable=not screen.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("runs", total=len(sweep.points))

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, now: Progress) -> None:
        failed = f", {now.failed} failed" if now.failed else ""
        self._bar.update(self._task, completed=now.done, description=f"runs{failed}")
        if (outcome := now.outcome) is None:
            if now.skipped:
                self._screen.print(f"{now.skipped:,} runs are there already", style="dim")
            return
        said = f"{now.done:>5}/{now.total}  {outcome.status:<10} {seconds_text(outcome.seconds):>8} s"
        self._screen.print(f"{said}  {describe(self._axes[outcome.point])}")
        if outcome.error:
            self._screen.print(f"       {outcome.error.strip().splitlines()[-1]}", style="red")
