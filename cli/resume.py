"""`asapnb resume`."""

from __future__ import annotations

from functools import partial

import click
from rich.text import Text

from asapnb.config import resume
from asapnb.record import Run, load_run
from asapnb.timing import parse_timing

from .flags import timing_rows
from .running import Job, carry_out
from .text import clock, pairs, problem_rows


@click.command("resume")
@click.argument("run", type=click.Path(), metavar="RUN.h5")
@click.option("--epochs", type=int, metavar="TOTAL", help="Passes over the data in all, those done included.")
@click.option("--updates", type=int, metavar="TOTAL", help="Updates in all; instead of --epochs.")
@click.option("--max-seconds", type=float, metavar="TOTAL", help="The limit of training time in all.")
@click.option("--force", is_flag=True, help="Go on although the process that wrote the file seems to be alive.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.pass_context
def command(
    ctx: click.Context, run: str, epochs: int | None, updates: int | None, max_seconds: float | None, force: bool,
    quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Go on with a run in its file, from its end or, if it was killed, from its last checkpoint.

    Totals count from the beginning of the run, so an interrupted run ends where it would have ended. Without a total,
    that of its configuration holds. A simulated run goes on to the same bits; its --max-seconds are virtual.
    """
    before = load_run(run)

    def make() -> Job:
        return Job(
            header=lambda: _header(before, epochs, updates),
            run=partial(resume, before, epochs=epochs, updates=updates, max_seconds=max_seconds, force=force),
            max_seconds=max_seconds or before.config.get("max_seconds"),
            clock=clock(before),
        )

    ctx.exit(carry_out(make, run, quiet=quiet, as_json=as_json))


def _header(run: Run, epochs: int | None, updates: int | None) -> Text:
    """The run that goes on."""
    config = run.config
    total = f"{epochs:,} epochs" if epochs else f"{updates or config.get('updates', 0):,} updates"
    return pairs([
        ("resumed", f"{run.path}, {run.status if run.status != 'running' else 'killed'}"),
        *problem_rows(run),
        ("rule", config["rule"]),
        ("steps", f"size {config['step_size']:g}, batches of {config['batch_size']:,}, {total}"),
        *timing_rows(parse_timing(config["timing"]) if "timing" in config else None),
    ])  # fmt: skip
