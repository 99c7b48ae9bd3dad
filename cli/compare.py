"""`asapnb compare`."""

from typing import Any

import click

from asapnb.analysis import Comparison, compare
from asapnb.analysis.records import CLOCKS, LOSSES
from asapnb.analysis.tables import FORMATS
from asapnb.errors import UsageError
from asapnb.record import checked_target, to_json
from asapnb.record.files import put_in_place

from .completion import names, of_runs
from .options import JSON, output, selection
from .streams import echo


@click.command("compare")
@selection(several=True, fraction="two that the runs reach")
@click.option("--loss", type=click.Choice(LOSSES), default="evaluated",
              help="The training loss: evaluated, or smoothed over the last minibatches.")  # fmt: skip
@click.option("--window", type=int, metavar="N",
              help="A smoothed loss is the mean over this many updates.  [default: a fifth of an epoch]")  # fmt: skip
@click.option("--clock", type=click.Choice(CLOCKS), default="updates",
              help="The unit of speed-ups and of the budget. steps is the sum of step sizes.")  # fmt: skip
@click.option("--by", multiple=True, metavar="KEY", shell_complete=names(of_runs),
              help="Make a row for each value of this key; may be repeated.  "
                   "[default: all keys that vary, except the seed]")  # fmt: skip
@click.option(
    "--budget", type=float, metavar="F",
    help="The longest time that counts, on the clock. A run that has not reached the target by then counts as "
    "this.  [default: where the first such run ended]",
)  # fmt: skip
@click.option("--tune-seeds", type=int, metavar="N",
              help="Choose each rule's step size on the first N seeds, and report on the other seeds.")  # fmt: skip
@click.option(
    "--paired/--unpaired", default=None,
    help="Compare runs seed by seed, or as independent samples.  [default: paired where runs share schedules]",
)  # fmt: skip
@click.option("--confidence", type=float, default=0.95, metavar="F", help="The confidence of all intervals.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="The format of the tables.")
@JSON
@output("FILE")
def command(
    runs: tuple[str, ...], by: tuple[str, ...], form: str, as_json: bool, out: str | None, force: bool, **options: Any
) -> None:
    """Compare runs: how they ended, when they reached a loss, and by how much faster than a baseline.

    Runs that differ only in their seed make one row.
    """
    if out is not None and out.endswith(".h5"):
        raise UsageError(
            f"-o {out}: tables are text, so their file cannot be named like a run file; give another name"
        )
    found = compare(runs, by=by or None, **options)
    text = _document(found) if as_json else found.render(form)
    if out is None:
        echo(text)
        return
    content = f"{text}\n".encode(errors="replace")  # names of files may be in another encoding
    put_in_place(checked_target(out, force), lambda part: part.write_bytes(content))
    echo(f"{out} written, {len(found.tables)} tables.", err=True)


def _document(found: Comparison) -> str:
    """The tables as JSON, numbers in full."""
    return to_json([
        {
            "title": table.title,
            "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows],
            "notes": table.notes,
        }
        for table in found.tables
    ])  # fmt: skip
