"""`asapnb replay`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from asapnb.config import OF_A_TRACE, keys, prepare_replay
from asapnb.errors import UsageError
from asapnb.formatting import NONE, fixed, loss, measured, number
from asapnb.record import Run, checked_target, load_run
from asapnb.record.figures import run_rows
from asapnb.record.schema import METRICS, RUNNING
from asapnb.schemes import parse_scheme
from asapnb.simulator import replay
from asapnb.simulator.replaying import RECORDED, holds_parts
from asapnb.training.arguments import of_replay

from .flags import flag, said
from .options import JSON, QUIET
from .replays import is_for_many, replay_many
from .running import Job, carry_out
from .text import Columns, pairs
from .traces import the_trace, trace_job

_COMPARED: dict[str, Callable[[Any], str]] = {  # figures, and how they are shown
    "updates": number,
    "train_loss": loss,
    "test_loss": lambda value: loss(measured(value)),
    **{one.column: partial(fixed, pattern=one.pattern) for one in METRICS},
    "mean_scale": lambda value: fixed(value, ".4f"),
    "sum_of_steps": number,
}
_SHORT = ("train_loss", "test_accuracy", "mean_scale")  # of many runs
_WATCHING = of_replay("watched")
_DEFAULTS = {  # of flags whose default is not "as recorded"
    "rule": "the recorded scales",
    "schedule": "the recorded factors",
    **dict.fromkeys(
        ("target_loss", "target_accuracy", "target_r2", "patience", "keep_params"), "none, whatever was recorded"
    ),
    **dict.fromkeys(("problem", "data", *OF_A_TRACE), "that of the run; only a trace needs it"),
    "monitor": None,
    "microscope": None,
    "threads": None,
}


@click.command("replay")
@click.argument("runs", nargs=-1, required=True, type=click.Path(), metavar="RUN.h5|FOLDER|TRACE.csv…")
@click.option("-o", "--out", type=click.Path(), metavar="RUN.h5|DIR",
              help="The run file to write or, for several runs, the folder.")  # fmt: skip
@click.option(
    "--force",
    is_flag=True,
    help="Overwrite what exists, and run your own code although it differs from what was recorded.",
)
@click.option(
    "--skip-bad", is_flag=True, help="Leave out files that cannot be replayed, with a warning that names them."
)
@click.option("--resume", is_flag=True, help="Continue in a folder of replays: skip those that are done.")
@click.option("--jobs", type=int, metavar="N", help="How many replays are made at a time.  [default: one per core]")
@QUIET
@JSON
def command(
    runs: tuple[str, ...], out: str | None, force: bool, skip_bad: bool, resume: bool, jobs: int | None,
    quiet: bool, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Carry out recorded runs again: same views, minibatches and order, perhaps another rule or step size.

    Without changes a replay uses the recorded scales, and its final parameters equal the recorded ones to the bit.
    Several runs, or the runs of a folder, are replayed in parallel, into a folder.

    A trace is a .csv or .parquet file of delays. Or it has the columns worker, read_version and version, or the
    columns worker, t_read and t_apply. It is carried out on --problem.
    """
    trace = the_trace(runs)
    chosen = {name: value for name, value in said(given, "replay").items() if value != RECORDED}
    if trace is not None:
        _check_single(skip_bad, resume, jobs)
        if out is not None:
            checked_target(out, force)
        carry_out(partial(trace_job, trace, chosen, out, force), out, quiet=quiet, as_json=as_json)
        return
    changed = [name for name in chosen if name not in _WATCHING]
    if is_for_many(runs, out):
        heads = [*(name.replace("_", " ") for name in _SHORT), "parameters"]
        compared = partial(_compared_files, changed)
        replay_many(runs, chosen, out, heads, compared, skip_bad=skip_bad, quiet=quiet, as_json=as_json, force=force,
                    resume=resume, jobs=jobs)  # fmt: skip
        return
    _check_single(skip_bad, resume, jobs)
    loaded, _, chosen = prepare_replay({"source": runs[0], **chosen}, force)
    assert isinstance(loaded, Run)
    source = loaded
    if out is not None:
        checked_target(out, force)

    def make() -> Job:
        final = _final(source)  # read before the file may be replaced
        return Job(
            header=lambda: _header(source, chosen),
            run=partial(replay, source, **chosen, out=out, force=force),
            clock="virtual" if source.is_virtual else "recorded",
            more=partial(_compared, source.summary(), final, changed),
        )

    carry_out(make, out, quiet=quiet, as_json=as_json)


def _check_single(skip_bad: bool, resume: bool, jobs: int | None) -> None:
    for name, value in (("--skip-bad", skip_bad), ("--resume", resume), ("--jobs", jobs)):
        if value:
            raise UsageError(f"{name} is for several runs: leave it out, or write to a folder, as with -o replays/")


def _header(source: Run, chosen: dict[str, Any]) -> Text:
    """The recorded run, and what is changed."""
    config = source.config | {"rule": f"the recorded scales, of {source.config['rule']}"} | chosen
    state = source.status if source.status != RUNNING else "killed"
    rest = f"momentum {config['momentum']:g}, weight decay {config['weight_decay']:g}"
    replayed = ("replay", f"{source.path}, kind {source.kind}, {state}")
    return pairs([replayed, *run_rows(config, source.attributes, rest)])


def _final(source: Run) -> NDArray[Any] | None:
    """The final parameters of a run; None if it was killed."""
    return source.params["final"] if source.status != RUNNING else None


def _compared_files(changed: list[str], recorded: Path, replayed: Path) -> tuple[dict[str, Any], list[str]]:
    """The entries of a replay in the JSON document, and its cells in a table."""
    source, run = load_run(recorded), load_run(replayed)
    found, _ = _compared(source.summary(), _final(source), changed, run)
    both = found["comparison"]
    cells = [" → ".join(_COMPARED[name](one[name]) for one in both.values()) for name in _SHORT]
    return found, [*cells, {True: "equal", False: "differ", None: NONE}[found["equal"]]]


def _compared(
    recorded: dict[str, Any], final: NDArray[Any] | None, changed: list[str], run: Run
) -> tuple[dict[str, Any], RenderableType]:
    """Whether the replay gave the recorded parameters `final`, and the figures of both runs."""
    own_scales, facts = not {"rule", "worker_tables", "prior"} & {*changed}, run.summary()
    table = {"recorded": _figures(recorded), "replayed": _figures(facts)}
    found: dict[str, Any] = {"scales_recorded": own_scales, "changed": changed, "equal": None, "comparison": table}
    lines = [
        ("scales", "the recorded ones" if own_scales else f"made by {run.config['rule']}"),
        ("changed", ", ".join(f"{name} {run.config[name]}" for name in changed)),
    ]
    if changed:
        return found, Group(pairs(lines), "", _columns(table))
    if final is None:
        said = "nothing to compare with: the recorded run was killed, so it has no final parameters"
    elif facts["updates"] != recorded["updates"]:
        said = f"nothing to compare with: {facts['updates']:,} of {recorded['updates']:,} updates were replayed"
    else:
        found["equal"], said = _equal(run, final, recorded["status"])
    return found, pairs([*lines, ("parameters", said)])


def _equal(run: Run, recorded: NDArray[Any], status: str) -> tuple[bool, str]:
    """Whether the final parameters are those recorded of a run that ended so, and the same in words."""
    final = run.params["final"]
    if final.tobytes() == recorded.tobytes():
        return True, "equal to the recorded ones, to the bit"
    away = float(np.abs(final.astype(np.float64) - recorded).max())
    why = "" if run.attributes["exact"] else ", because the run was recorded with other kernels or versions"
    if holds_parts(parse_scheme(run.config["scheme"]), status):
        why = f": the recorded run ({status}) ended in the middle of updates, and holds parts of them"
    return False, f"differ from the recorded ones by at most {away:.3g}{why}"


def _figures(facts: dict[str, Any]) -> dict[str, Any]:
    """The figures of a run that are compared."""
    known = facts | (facts["last"] or {})
    return {name: known.get(name) for name in _COMPARED}


def _columns(figures: dict[str, dict[str, Any]]) -> Columns:
    """Recorded and replayed figures side by side."""
    table = Columns("", *figures, left=[""])
    absent = {one.column for one in METRICS if all(measured(of[one.column]) is None for of in figures.values())}
    for name, show in _COMPARED.items():
        if name in absent:
            continue
        table.add_row(name.replace("_", " "), *(show(of[name]) for of in figures.values()))
    return table


command.params[1:1] = [
    flag(name, "simulate", _DEFAULTS.get(name, "as recorded")) for name in keys("replay") if name != "source"
]
