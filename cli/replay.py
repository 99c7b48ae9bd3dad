"""`asapnb replay`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from asapnb.formatting import fixed, loss, measured, number
from asapnb.record import Run, load_run
from asapnb.record.figures import run_rows
from asapnb.record.schema import RUNNING
from asapnb.simulator import replay
from asapnb.training.arguments import of_replay

from .flags import flag, said
from .options import RUN_FILE
from .running import Job, carry_out
from .text import Columns, pairs

_COMPARED: dict[str, Callable[[Any], str]] = {  # figures, and how they are shown
    "updates": number,
    "train_loss": loss,
    "test_loss": lambda value: loss(measured(value)),
    "test_accuracy": lambda value: fixed(value, ".1%"),
    "mean_scale": lambda value: fixed(value, ".4f"),
    "sum_of_steps": number,
}
_WATCHING = of_replay("watched")
_DEFAULTS = {  # of flags whose default is not "as recorded"
    "rule": "the scales that were recorded",
    **dict.fromkeys(("target_loss", "target_accuracy", "patience"), "none, whatever was recorded"),
    "monitor": None,
    "microscope": None,
    "threads": None,
}


@click.command("replay")
@click.argument("run", type=click.Path(), metavar="RUN.h5")
@RUN_FILE
def command(run: str, out: str | None, force: bool, quiet: bool, as_json: bool, **given: Any) -> None:
    """Make the run in a file again: with the same views, minibatches and order, under this rule and step size.

    Without changes it uses the recorded scales, and its final parameters are the recorded ones, to the bit.
    """
    source = load_run(run)
    chosen = said(given, "simulate")

    def make() -> Job:
        final = source.params["final"] if source.status != RUNNING else None  # read before the file may be replaced
        changed = [name for name in chosen if name not in _WATCHING]
        return Job(
            header=lambda: _header(source, chosen),
            run=partial(replay, source, **chosen, out=out, force=force),
            clock="virtual" if source.is_virtual else "recorded",
            more=partial(_compared, source.summary(), final, changed),
        )

    carry_out(make, out, quiet=quiet, as_json=as_json)


def _header(source: Run, chosen: dict[str, Any]) -> Text:
    """The recorded run, and what is changed."""
    config = source.config | {"rule": f"the recorded scales, of {source.config['rule']}"} | chosen
    state = source.status if source.status != RUNNING else "killed"
    rest = f"momentum {config['momentum']:g}, weight decay {config['weight_decay']:g}"
    replayed = ("replay", f"{source.path}, kind {source.kind}, {state}")
    return pairs([replayed, *run_rows(config, source.attributes, rest)])


def _compared(
    recorded: dict[str, Any], final: NDArray[Any] | None, changed: list[str], run: Run
) -> tuple[dict[str, Any], RenderableType]:
    """Whether the replay gave the recorded parameters `final`, and the figures of both runs."""
    own_scales, facts = "rule" not in changed and "worker_tables" not in changed, run.summary()
    table = {"recorded": _figures(recorded), "replayed": _figures(facts)}
    found: dict[str, Any] = {"scales_recorded": own_scales, "changed": changed, "equal": None, "comparison": table}
    lines = [
        ("scales", "the recorded ones" if own_scales else f"made by {run.config['rule']}"),
        ("changed", ", ".join(f"{name} {run.config[name]}" for name in changed)),
    ]
    if changed:
        return found, Group(pairs(lines), "", _columns(table))
    if final is None:
        said = "nothing to compare with: the recorded run was killed, and has no final ones"
    elif facts["updates"] != recorded["updates"]:
        said = f"nothing to compare with: {facts['updates']:,} of {recorded['updates']:,} updates were replayed"
    else:
        found["equal"], said = _equal(run, final)
    return found, pairs([*lines, ("parameters", said)])


def _equal(run: Run, recorded: NDArray[Any]) -> tuple[bool, str]:
    """Whether the final parameters are the recorded ones, and the same in words."""
    final = run.params["final"]
    if final.tobytes() == recorded.tobytes():
        return True, "equal to the recorded ones, to the bit"
    away = float(np.abs(final.astype(np.float64) - recorded).max())
    why = "" if run.attributes["exact"] else ", as kernels or versions are not those it was recorded with"
    return False, f"differ from the recorded ones by at most {away:.3g}{why}"


def _figures(facts: dict[str, Any]) -> dict[str, Any]:
    """The figures of a run that are compared."""
    known = facts | (facts["last"] or {})
    return {name: known.get(name) for name in _COMPARED}


def _columns(figures: dict[str, dict[str, Any]]) -> Columns:
    """Recorded and replayed figures side by side."""
    table = Columns("", *figures, left=[""])
    for name, show in _COMPARED.items():
        table.add_row(name.replace("_", " "), *(show(of[name]) for of in figures.values()))
    return table


command.params[1:1] = [
    flag(name, "simulate", _DEFAULTS.get(name, "as recorded")) for name in ("rule", *of_replay("changed", "watched"))
]
