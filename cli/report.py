"""`asapnb report`."""

from typing import Any

import click

from asapnb.analysis.records import CLOCKS
from asapnb.analysis.targets import targets_of
from asapnb.report import report

from .options import QUIET, output, selection
from .text import console, size


@click.command("report")
@selection(several=True, fraction="two that the runs reach")
@output("PAGE.html", "page", default="report.html")
@click.option("--title", metavar="TEXT", help="The heading.  [default: the names of the files and folders]")
@click.option(
    "--clock",
    type=click.Choice(CLOCKS),
    default="updates",
    help="The unit of speed-ups. steps is the sum of step sizes.",
)
@QUIET
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
def command(
    runs: tuple[str, ...], out: str, target_loss: tuple[float, ...], target_fraction: tuple[float, ...], quiet: bool,
    opened: bool, **options: Any,
) -> None:  # fmt: skip
    """Write one HTML page about runs, with tables and interactive charts. It needs no network.

    Each kind of run, data set and problem has a section of its own. For sweeps the page lists failed points.
    """
    page = report(runs, out, targets=targets_of(target_loss, target_fraction), **options)
    console(quiet=quiet).print(f"{out}, {size(page)}: a page for any browser, which needs no network")
    if opened:
        import webbrowser

        webbrowser.open(page.as_uri())
