"""`asapnb report`."""

from __future__ import annotations

import click

from asapnb.analysis.records import CLOCKS, parsed
from asapnb.analysis.targets import targets_of
from asapnb.report import report

from .selection import selection
from .text import console, size


@click.command("report")
@selection(several=True, fraction="two that the runs do reach")
@click.option("-o", "--out", type=click.Path(), default="report.html", show_default=True, metavar="PAGE.html",
              help="The page to write.")  # fmt: skip
@click.option("--title", metavar="TEXT", help="The heading.  [default: what is reported on]")
@click.option("--clock", type=click.Choice(CLOCKS), default="updates", show_default=True,
              help="What speed-ups are counted in.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the page if it exists.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
def command(
    runs: tuple[str, ...], out: str, title: str | None, where: tuple[str, ...], target_loss: tuple[float, ...],
    target_fraction: tuple[float, ...], baseline: tuple[str, ...], clock: str, force: bool, quiet: bool, opened: bool,
) -> None:  # fmt: skip
    """Write one HTML page about runs, with tables and interactive charts, that needs no network.

    Runs of each kind, data set and problem are compared apart. Points of sweeps that failed are listed.
    """
    page = report(
        runs, out, title=title, where=parsed(*where), targets=targets_of(target_loss, target_fraction),
        baseline=parsed(*baseline) or None, clock=clock, force=force,
    )  # fmt: skip
    console(quiet=quiet).print(f"{out}, {size(page)}: a page for any browser, which needs no network")
    if opened:
        import webbrowser

        webbrowser.open(page.as_uri())
