"""`asapnb plot`."""

from typing import Any

import click

from asapnb.analysis import Target, matching, records
from asapnb.analysis.records import LOSSES
from asapnb.formatting import count
from asapnb.plots import save
from asapnb.plots.curves import CLOCKS
from asapnb.plots.executions import ROWS
from asapnb.plots.kinds import KINDS, draw, kind_for
from asapnb.plots.style import format_of
from asapnb.record import checked_target

from .completion import names, of_key, of_runs
from .options import output, selection
from .streams import echo


@click.command("plot")
@selection(several=False, fraction="the least of 0.1, 0.2 … that half of the runs reach")
@click.option("--kind", metavar="|".join(KINDS), shell_complete=names(lambda: KINDS),
              help="The kind of figure.  [default: one that suits the runs]")  # fmt: skip
@click.option("--by", multiple=True, metavar="KEY", shell_complete=names(of_runs),
              help="Make a line, box or panel for each value of this key; may be repeated.  "
                   "[default: all keys that vary, except the seed]"
)  # fmt: skip
@click.option("--x", metavar="|".join(CLOCKS), shell_complete=names(lambda: CLOCKS),
              help="The unit of time. steps is the sum of step sizes.  [default: seconds; for speed-up, updates]"
)  # fmt: skip
@click.option("--loss", "curve", metavar="|".join(LOSSES), shell_complete=names(lambda: LOSSES),
              help="The training loss: evaluated, or smoothed over the last minibatches.  "
                   "[default: evaluated]")  # fmt: skip
@click.option("--rule", "rules", multiple=True, metavar="RULE", shell_complete=of_key("rule"),
              help="Draw this rule, too (scale, magnitude); may be repeated.")  # fmt: skip
@click.option(
    "--first", type=int, metavar="N", help="The first row that a timeline shows, counted from 0.  [default: 0]"
)
@click.option("--rows", type=int, metavar="N", help=f"How many rows a timeline shows.  [default: {ROWS}]")
@click.option("--update", type=int, metavar="N",
              help="The update that a path marks.  [default: the stale one that raised the loss most]")  # fmt: skip
@output("FIG.png|pdf|svg", help="The file to write.  [default: KIND.png]")
@click.option("--dpi", type=float, metavar="F", help="Dots per inch of a PNG.  [default: 200]")
def command(
    runs: tuple[str, ...], kind: str | None, where: dict[str, str], target_loss: float | None,
    target_fraction: float | None, out: str | None, force: bool, dpi: float | None, skip_bad: bool,
    **chosen: Any,
) -> None:  # fmt: skip
    """Draw a figure of runs: loss, staleness, scales, times to a target, and more.

    Every figure says which time it shows: virtual time, or wall time and on how many cores.
    """
    if out is not None:
        format_of(out)
    found = matching(records(runs, skip_bad=skip_bad), where)
    kind = kind or kind_for(found)
    given = {name: value for name, value in chosen.items() if value not in (None, ())}
    if target_loss is not None or target_fraction is not None:
        given["target"] = Target(target_loss, target_fraction)
    if kind in KINDS and out is None:
        checked_target(f"{kind}.png", force)
    written = save(draw(found, kind, **given), out or f"{kind}.png", force=force, dpi=dpi)
    echo(f"{click.format_filename(out or written.name)} written: {kind}, {count(len(found), 'run')}")
    total = len(found[0].run.updates["version"]) if kind == "timeline" else 0
    if total > given.get("first", 0) + given.get("rows", ROWS) or given.get("first"):
        echo(f"The run has {total:,} rows; --first and --rows show others.")
