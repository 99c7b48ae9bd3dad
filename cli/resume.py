"""`asapnb resume`."""

from functools import partial
from typing import Any

import click
from rich.text import Text

from asapnb.record import Run, load_run
from asapnb.record.figures import clock, run_rows
from asapnb.record.schema import RUNNING
from asapnb.resuming import resume
from asapnb.training.arguments import of_resume

from .flags import at_work, flag, said
from .options import JSON, QUIET
from .ranks import MPI, is_worker, of_ranks
from .running import Job, carry_out
from .text import pairs


@click.command("resume")
@click.argument("run", type=click.Path(), metavar="RUN.h5")
@click.option(
    "--epochs", type=int, metavar="TOTAL", help="Passes over the data in all, including those already done."
)
@click.option(
    "--updates", type=int, metavar="TOTAL", help="Updates in all, including those already done; instead of --epochs."
)
@click.option(
    "--max-seconds", type=float, metavar="TOTAL", help="The limit of training time, including the time already spent."
)
@click.option(
    "--force", is_flag=True, help="Continue although updates are lost, or although your own code has changed."
)
@MPI
@QUIET
@JSON
@click.pass_context
def command(ctx: click.Context, run: str, quiet: bool, as_json: bool, force: bool, mpi: bool, **given: Any) -> None:
    """Continue a run in its file: from its end or, if it was killed, from its last checkpoint.

    Totals count from the beginning of the run, so an interrupted run ends where it would have ended. Without a total,
    that of its configuration holds. A simulated run continues to the same bits; its --max-seconds are virtual.

    A rule in a file runs only if the file, and what it imports, is what the run recorded. Otherwise the command shows
    the difference; --force runs the rule as it is now.

    A run on threads may continue with another step size or rule. The run file notes the change, and a replay follows
    it.

    A run on MPI continues with --mpi and as many ranks as before: mpiexec -n 9 asapnb resume --mpi RUN.h5. Only rank
    0 needs the file.
    """
    totals = {name: given.pop(name) for name in ("epochs", "updates", "max_seconds")}
    chosen = said(given, "train")
    go_on = partial(resume, run, **totals, **chosen, force=force, **of_ranks(ctx))
    if is_worker(ctx):
        carry_out(partial(Job, Text, go_on), None, quiet=True, as_json=False)
        return
    before = load_run(run)

    def make() -> Job:
        return Job(
            header=lambda: _header(before, totals["epochs"], totals["updates"], chosen, at_work(ctx.obj)),
            run=go_on,
            max_seconds=totals["max_seconds"] or before.config.get("max_seconds"),
            clock=clock(before),
        )

    carry_out(make, run, quiet=quiet, as_json=as_json)


def _header(run: Run, epochs: int | None, updates: int | None, chosen: dict[str, Any], ranks: dict[str, Any]) -> Text:
    """The run that goes on, and what becomes another."""
    total = f"{epochs:,} epochs" if epochs else f"{updates or run.config.get('updates', 0):,} updates"
    state = run.status if run.status != RUNNING else "killed"
    return pairs([("resumed", f"{run.path}, {state}"), *run_rows(run.config | chosen, run.attributes | ranks, total)])


command.params[1:1] = [flag(name, "train", "as recorded") for name in ("rule", *of_resume())]
