"""`asapnb replay`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from asapnb.formatting import fixed, loss, number
from asapnb.record import Run, checked_target, load_run
from asapnb.record.schema import RUNNING
from asapnb.simulator import replay
from asapnb.timing import parse_timing

from .flags import flag, output, said, timing_rows
from .running import Job, carry_out
from .text import Columns, measured, pairs, problem_rows

_AS_RECORDED = {
    "rule": "the scales that were recorded",
    **dict.fromkeys(
        ("step_size", "momentum", "momentum_kind", "weight_decay", "compensation", "worker_tables",
         "divergence_factor", "eval_every", "eval_samples"),
        "as recorded",
    ),
}  # fmt: skip
_FLAGS = {**_AS_RECORDED, "target_loss": "none, whatever was recorded", "microscope": None, "threads": None}
_WATCHING = ("eval_every", "eval_samples", "target_loss", "divergence_factor", "microscope", "threads")


@click.command("replay")
@click.argument("run", type=click.Path(), metavar="RUN.h5")
@output
@click.pass_context
def command(
    ctx: click.Context, run: str, out: str | None, force: bool, quiet: bool, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Make the run in a file again: with the same views, minibatches and order, under this rule and step size.

    Without changes it uses the recorded scales, and its final parameters are the recorded ones, to the bit.
    """
    source = load_run(run)
    chosen = said(given, "simulate")
    if out is not None:
        checked_target(out, force)

    def make() -> Job:
        final = source.params["final"] if source.status != RUNNING else None  # read before the file may be replaced
        changed = [name for name in chosen if name not in _WATCHING]
        return Job(
            header=lambda: _header(source, chosen),
            run=partial(replay, source, **chosen, out=out, force=force),
            clock="virtual" if source.is_virtual else "recorded",
            more=partial(_compared, source.summary(), final, changed),
        )

    ctx.exit(carry_out(make, out, quiet=quiet, as_json=as_json))


def _header(source: Run, chosen: dict[str, Any]) -> Text:
    """The recorded run, and what is changed."""
    config = source.config
    rule = chosen.get("rule")
    settings = {name: chosen.get(name, config[name]) for name in ("step_size", "momentum", "weight_decay")}
    return pairs([
        ("replay", f"{source.path}, kind {source.kind}, {source.status if source.status != RUNNING else 'killed'}"),
        *problem_rows(source),
        ("rule", rule if rule is not None else f"the recorded scales, of {config['rule']}"),
        ("steps", f"size {settings['step_size']:g}, batches of {config['batch_size']:,}, momentum "
                  f"{settings['momentum']:g}, weight decay {settings['weight_decay']:g}"),
        *timing_rows(parse_timing(config["timing"]) if "timing" in config else None),
    ])  # fmt: skip


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
    last = facts["last"] or {}
    evaluated = {name: last.get(name) for name in ("train_loss", "test_loss", "test_accuracy")}
    return {"updates": facts["updates"], **evaluated, **{n: facts[n] for n in ("mean_scale", "sum_of_steps")}}


def _columns(figures: dict[str, dict[str, Any]]) -> Columns:
    """Recorded and replayed figures side by side."""
    shown = {
        "updates": number, "train_loss": loss, "test_loss": lambda v: loss(measured(v)),
        "test_accuracy": lambda v: fixed(v, ".1%"), "mean_scale": lambda v: fixed(v, ".4f"), "sum_of_steps": number,
    }  # fmt: skip
    table = Columns("", *figures, left=[""])
    for name, show in shown.items():
        table.add_row(name.replace("_", " "), *(show(of[name]) for of in figures.values()))
    return table


command.params[1:1] = [flag(name, "simulate", default) for name, default in _FLAGS.items()]
