"""`asapnb resume`."""

from functools import partial
from typing import Any

import click
from rich.text import Text

from asapnb.config import resume
from asapnb.record import Run, load_run
from asapnb.record.figures import clock, run_rows
from asapnb.record.schema import RUNNING
from asapnb.training.arguments import of_resume

from .flags import flag, said
from .options import JSON, QUIET
from .running import Job, carry_out
from .text import pairs


@click.command("resume")
@click.argument("run", type=click.Path(), metavar="RUN.h5")
@click.option("--epochs", type=int, metavar="TOTAL", help="Passes over the data in all, those done included.")
@click.option("--updates", type=int, metavar="TOTAL", help="Updates in all; instead of --epochs.")
@click.option("--max-seconds", type=float, metavar="TOTAL", help="The limit of training time in all.")
@click.option("--force", is_flag=True, help="Go on although updates are lost, or code of one's own has changed.")
@QUIET
@JSON
def command(run: str, quiet: bool, as_json: bool, force: bool, **given: Any) -> None:
    """Go on with a run in its file, from its end or, if it was killed, from its last checkpoint.

    Totals count from the beginning of the run, so an interrupted run ends where it would have ended. Without a total,
    that of its configuration holds. A simulated run goes on to the same bits; its --max-seconds are virtual.

    A rule in a file is run only if the file, and what it imports, is what the run recorded; else the difference is
    shown, and --force takes it as it is.

    A run on threads may go on with another step size or rule. The file says from where on, and a replay follows it.
    """
    before = load_run(run)
    totals = {name: given.pop(name) for name in ("epochs", "updates", "max_seconds")}
    chosen = said(given, "train")

    def make() -> Job:
        return Job(
            header=lambda: _header(before, totals["epochs"], totals["updates"], chosen),
            run=partial(resume, before, **totals, **chosen, force=force),
            max_seconds=totals["max_seconds"] or before.config.get("max_seconds"),
            clock=clock(before),
        )

    carry_out(make, run, quiet=quiet, as_json=as_json)


def _header(run: Run, epochs: int | None, updates: int | None, chosen: dict[str, Any]) -> Text:
    """The run that goes on, and what becomes another."""
    total = f"{epochs:,} epochs" if epochs else f"{updates or run.config.get('updates', 0):,} updates"
    state = run.status if run.status != RUNNING else "killed"
    return pairs([("resumed", f"{run.path}, {state}"), *run_rows(run.config | chosen, run.attributes, total)])


command.params[1:1] = [flag(name, "train", "as recorded") for name in ("rule", *of_resume())]
