"""`asapnb demo`."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from asapnb.config import run_config
from asapnb.errors import MissingExtraError, UsageError
from asapnb.formatting import fixed, loss, seconds
from asapnb.record import Run, checked_target, to_json
from asapnb.simulator import replay
from asapnb.training.cores import cores

from . import DIVERGED
from .compiling import announced
from .options import JSON
from .streams import echo
from .text import Columns, console, document, histogram

RULES = ("constant", "inverse", "tail")  # the first is recorded, the others are replays of it
SETTINGS = {
    "data": "fashion-mnist-mini", "problem": "lenet", "scheme": "leashed", "rule": RULES[0], "step_size": 0.1,
    "batch_size": 128, "epochs": 30,
}  # fmt: skip
FIGURE = "demo.png"
_STALE = 0.9  # the quantile of the staleness that stands for a stale update
_WIDTH = 80


@click.command("demo")
@click.option(
    "-m", "--workers", type=click.IntRange(2, 64), default=8, metavar="N", help="The number of threads that train."
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    metavar="N",
    help="The seed of the initial parameters and the minibatches.",
)
@click.option("-o", "--out", type=click.Path(file_okay=False), default="runs/demo", metavar="DIR",
              help="The folder for three run files and a figure.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite these files if they exist.")
@JSON
def command(workers: int, seed: int, out: str, force: bool, as_json: bool) -> None:
    """Record an asynchronous run on threads, and replay it under other step-size rules. Takes a few seconds.

    LeNet learns 5,000 embedded images of Fashion-MNIST under a constant step size. The run is then replayed
    under two rules that adapt the step size to the staleness: inverse and tail. A replay keeps the views, the
    minibatches and their order.
    """
    folder = Path(out)
    files = _files(folder, force)
    screen = console(quiet=as_json)
    shared = f"{workers} threads on {len(cores())} cores"
    screen.print(f"Training LeNet with {shared}, then replaying under other rules …")
    recorded = {**SETTINGS, "workers": workers, "seed": seed}
    with announced(console(stderr=True)):
        runs = {RULES[0]: _whole(run_config(recorded, out=files[RULES[0]], force=force))}
        for rule in RULES[1:]:
            runs[rule] = _whole(replay(runs[RULES[0]], rule=rule, out=files[rule], force=force))
    figure = _drawn(runs, folder / FIGURE, f"{shared}, step size {SETTINGS['step_size']}")
    if as_json:
        echo(
            to_json({"folder": folder, "figure": figure, "runs": {rule: document(run) for rule, run in runs.items()}})
        )
    else:
        _show(runs, screen)
        _close(folder, figure, screen)
    if any(run.status == "diverged" for run in runs.values()):
        click.get_current_context().exit(DIVERGED)


def _files(folder: Path, force: bool) -> dict[str, Path]:
    """The run files by rule, once the folder is there and they, and the figure, can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}; give another one with -o") from None
    files = {rule: folder / f"{rule}.h5" for rule in RULES}
    for file in (*files.values(), folder / FIGURE):
        if not force and os.path.exists(file):
            raise UsageError(
                f"{file} already exists, perhaps of an earlier demo: asapnb demo --force overwrites the files of "
                "the demo, and -o DIR puts new ones into another folder"
            )
        checked_target(file, force)
    return files


def _whole(run: Run) -> Run:
    if run.status == "interrupted":
        raise KeyboardInterrupt
    return run


def _drawn(runs: Mapping[str, Run], file: Path, about: str) -> Path | None:
    """The figure, written; None without Matplotlib."""
    from asapnb.plots import save
    from asapnb.plots.replays import replays

    try:
        return save(replays(runs, about), file, force=True)
    except MissingExtraError:
        return None


def _show(runs: Mapping[str, Run], screen: Console) -> None:
    """What was recorded, and a table of the rules with a word on each line."""
    recorded = runs[RULES[0]]
    facts, tau = recorded.summary(), recorded.staleness
    screen.print("\nThe run", style="bold")
    screen.print(
        f"""{facts["updates"]:,} updates in {seconds(facts["seconds"])} s. The staleness of an update is the number
of updates by others between its reading the parameters and changing them.
Here it is {tau.mean():.1f} on average and {tau.support:,} at most.
"""
    )
    screen.print(histogram(recorded, min(screen.width, _WIDTH)))
    screen.print("\nThe same run under three rules: only the step sizes differ", style="bold")
    screen.print(_table(runs))
    inverse, tail = (runs[rule].summary()["sum_of_steps"] / facts["sum_of_steps"] for rule in RULES[1:])
    screen.print(
        f"""
A rule multiplies the step size of each update by a scale, which depends on
the staleness. inverse makes stale steps smaller: its steps add up to {inverse:.0%} of
those of constant. tail also makes fresh steps larger: its steps add up to {tail:.0%}.
Smaller steps alone change how fast a model learns, so compare the sums of steps
before the losses. One run at one step size does not say which rule is better:
asapnb arena compares rules in many runs, each at its own best step size."""
    )


def _table(runs: Mapping[str, Run]) -> Columns:
    """A line for each figure, a column for each rule, and what the line means."""
    first = runs[RULES[0]]
    stale = int(first.staleness.quantile(_STALE))
    begun = loss(first.summary()["initial"]["train_loss"])
    lines: dict[str, tuple[Callable[[Run, Any], str], str]] = {
        "scale, τ = 0": (lambda run, facts: fixed(_scale(run, 0), ".3f"), "of a fresh update, at the end"),
        f"scale, τ = {stale:,}": (
            lambda run, facts: fixed(_scale(run, stale), ".3f"),
            "of a stale one; 10% are staler",
        ),
        "mean scale": (lambda run, facts: fixed(facts["mean_scale"], ".3f"), "of all updates"),
        "sum of steps": (lambda run, facts: fixed(facts["sum_of_steps"], ",.1f"), "step size × scale, added up"),
        "training loss": (lambda run, facts: loss(facts["last"]["train_loss"]), f"at the end; {begun} at first"),
        "test accuracy": (
            lambda run, facts: fixed(facts["last"]["test_accuracy"], ".1%"),
            "at the end; 1,000 images",
        ),
    }
    table = Columns("", *runs, "", left=[""])
    for name, (show, meaning) in lines.items():
        table.add_row(name, *(show(run, run.summary()) for run in runs.values()), Text(meaning, "dim"))
    return table


def _scale(run: Run, tau: int) -> float:
    """The scale in force at the end."""
    table = run.rule_tables.scales[-1]
    return float(table[min(tau, len(table) - 1)])


def _close(folder: Path, figure: Path | None, screen: Console) -> None:
    """Where the figure is, or how to get it, and what to do next."""
    name, bin = shlex.quote(click.format_filename(folder)), _bin()
    screen.print(f"\nFigure: {name}/{FIGURE}" if figure else f'\nFor a figure: {bin}pip install "asapnb[plot]"')
    screen.print("\nNext", style="bold")
    following = {
        f"{bin}asapnb show {name}/{RULES[2]}.h5": "what a run did",
        f"{bin}asapnb replay {name}/{RULES[0]}.h5 --rule fleet": "another rule",
        f"{bin}asapnb rules list": "the rules there are",
    }
    screen.print(Text("\n").join(Text.assemble(f"{line:<{max(map(len, following))}}  ", (what, "dim"))
                                 for line, what in following.items()))  # fmt: skip
    screen.print("From here to a rule of your own: docs/tutorials/ten-minutes.md in the repository")


def _bin() -> str:
    """What to write before a command of this environment, where it is not on the path."""
    called = Path(sys.argv[0])
    if called.name != "asapnb" or called.parent == Path() or shutil.which("asapnb") == str(called):
        return ""
    return f"{called.parent}/"
