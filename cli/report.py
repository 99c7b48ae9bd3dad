"""`asapnb report`."""

from __future__ import annotations

import click

from asapnb.analysis import Target
from asapnb.analysis.records import CLOCKS, parsed
from asapnb.report import report

from .text import console, size


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(), metavar="RUN.h5|FOLDER…")
@click.option("-o", "--out", type=click.Path(), default="report.html", show_default=True, metavar="PAGE.html",
              help="The page to write.")  # fmt: skip
@click.option("--title", metavar="TEXT", help="The heading.  [default: what is reported on]")
@click.option("--target-loss", "losses", type=float, multiple=True, metavar="F", help="A training loss to reach.")
@click.option("--target-fraction", "fractions", type=float, multiple=True, metavar="F",
              help="A loss to reach, as a fraction of each run's initial one.")  # fmt: skip
@click.option("--baseline", multiple=True, metavar="KEY=VALUE",
              help="What speed-ups are over.  [default: rule=constant]")  # fmt: skip
@click.option("--clock", type=click.Choice(CLOCKS), default="updates", show_default=True,
              help="What speed-ups are counted in.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the page if it exists.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
def command(
    runs: tuple[str, ...],
    out: str,
    title: str | None,
    losses: tuple[float, ...],
    fractions: tuple[float, ...],
    baseline: tuple[str, ...],
    clock: str,
    force: bool,
    quiet: bool,
    opened: bool,
) -> None:
    """Write one HTML page about runs, with tables and interactive charts, that needs no network.

    Runs of each kind, data set and problem are compared apart. Points of sweeps that failed are listed.
    """
    targets = [*(Target(loss=loss) for loss in losses), *(Target(fraction=fraction) for fraction in fractions)]
    over = parsed(*baseline) or None
    page = report(runs, out, title=title, targets=targets, baseline=over, clock=clock, force=force)
    console(quiet=quiet).print(f"{out}, {size(page)}: a page for any browser, which needs no network")
    if opened:
        import webbrowser

        webbrowser.open(page.as_uri())
