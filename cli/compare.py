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
@selection(several=True, fraction="two that the runs do reach")
@click.option("--loss", type=click.Choice(LOSSES), default="evaluated",
              help="The training loss: at evaluations, or the mean of the last minibatches.")  # fmt: skip
@click.option("--window", type=int, metavar="N",
              help="Updates that a smoothed loss is the mean of.  [default: a fifth of an epoch]")  # fmt: skip
@click.option("--clock", type=click.Choice(CLOCKS), default="updates",
              help="What speed-ups and the budget are measured in; steps: the sum of step sizes.")  # fmt: skip
@click.option("--by", multiple=True, metavar="KEY", shell_complete=names(of_runs),
              help="A key that makes a row.  [default: all that vary but the seed]")  # fmt: skip
@click.option(
    "--budget", type=float, metavar="F",
    help="Up to where times count, on the clock, for runs that do not reach the target.  [default: where the first "
    "of them ended]",
)  # fmt: skip
@click.option("--tune-seeds", type=int, metavar="N",
              help="Choose the step size of each rule on the first N seeds, and report on the others.")  # fmt: skip
@click.option(
    "--paired/--unpaired", default=None,
    help="Compare runs of equal seeds, or as independent samples.  [default: paired where they share schedules]",
)  # fmt: skip
@click.option("--confidence", type=float, default=0.95, metavar="F", help="Of all intervals.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How tables are written.")
@JSON
@output("FILE")
def command(
    runs: tuple[str, ...], by: tuple[str, ...], form: str, as_json: bool, out: str | None, force: bool, **options: Any
) -> None:
    """Compare runs: what they are, how they ended, when they reached a loss, and by how much faster than a baseline.

    Runs with the same configuration but for the seed make a row.
    """
    if out is not None and out.endswith(".h5"):
        raise UsageError(f"-o {out}: tables are text, so their file cannot be called as a run file is")
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
