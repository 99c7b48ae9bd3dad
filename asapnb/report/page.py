"""The page itself: one template with styles and scripts, written as one file."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path, PosixPath
from typing import Any
from urllib.parse import quote

from ..analysis import Record, Target, matching, records
from ..analysis.records import Runs
from ..analysis.tables import shown
from ..errors import MissingExtraError, UsageError
from ..formatting import visible
from ..markup import block, escaped
from ..plots.groups import rules_coloured
from ..record import Run, checked_target
from ..record.files import put_in_place
from .packed import chart_json, table_json
from .sections import Section, sections, title_of
from .sources import SweepSource, is_sweep, sweeps

_HERE = Path(__file__).parent
_ROWS = 100  # of a table that are shown at a time
_NEEDED = {"plotly": "Plotly", "matplotlib": "Matplotlib", "jinja2": "Jinja"}


class Page(PosixPath):
    """The path of a page. A notebook shows it as a link, because a page of many charts would make the notebook
    large."""

    def _repr_html_(self) -> str:
        here = Path.cwd()
        near = self.relative_to(here) if self.is_relative_to(here) else None
        to = self.as_uri() if near is None else quote(str(near))  # notebooks are served from their folder
        link = f"<a href='{escaped(to)}' target='_blank' style='color:inherit'>{escaped(near or self)}</a>"
        return block(f"A report: {link}, {self.stat().st_size / 1e6:.1f} MB")


def report(
    runs: Runs,
    out: str | os.PathLike[str],
    *,
    title: str | None = None,
    where: Mapping[str, Any] | None = None,
    targets: Sequence[Target] = (),
    baseline: Mapping[str, Any] | None = None,
    clock: str = "updates",
    skip_bad: bool = False,
    force: bool = False,
) -> Page:
    """Write one HTML page about runs: what was run, tables, interactive charts and figures. It needs no network.

    Args:
        runs: a `Run`, a run file, a folder of run files, or several of these. For the folder of a sweep, the page
            also lists failed points.
        out: the file to write; it ends in .html.
        title: the heading. By default it names the files and folders.
        where: take only runs with these values, such as `{"workers": 16}`.
        targets, baseline, clock: as in `asapnb.analysis.comparison`. They hold in each section of the page, that is
            for the runs of one kind, data set and problem.
        skip_bad: leave out files that are damaged, or no run files, with a warning that names them.
        force: replace an existing file.

    Returns:
        The path of the page, which a notebook shows as a link.

    Raises:
        MissingExtraError: without Plotly, Matplotlib and Jinja.
        RecordError: for files that cannot be used, all of which it names; for a page that cannot be written, or that
            exists already.
        UsageError: for a name that does not end in .html, for values that no run has, and for targets or a baseline
            by which no runs can be compared.

    >>> import tempfile
    >>> import asapnb as ab
    >>> problem = ab.problems.quadratic([1.0, 10.0])
    >>> run = ab.simulate(problem, workers=4, updates=60, eval_every=20, batch_size=1, step_size=0.02)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report(run, f"{folder}/report.html").name
    'report.html'
    """
    check_needed("a report", _NEEDED)
    target = checked_page(out, force)
    given = _once([runs] if isinstance(runs, Run | str | os.PathLike) else runs)
    found = _found(given, where or {}, skip_bad)
    swept = sweeps(given)  # before the figures, which take long
    with rules_coloured(found):
        parts = sections(found, targets, baseline, clock)
    text = _html(swept, found, title or title_of(given), parts)
    put_in_place(target, lambda part: part.write_text(text, encoding="utf-8", errors="replace"))
    return Page(target)


def check_needed(what: str, modules: Mapping[str, str]) -> None:
    """MissingExtraError if one of these modules, whose names are given too, is not installed."""
    lacking = [name for module, name in modules.items() if find_spec(module) is None]
    if lacking:
        raise MissingExtraError(f'{what} needs {", ".join(lacking)}: pip install "asapnb[plot]"')


def _once(given: Iterable[Any]) -> list[Any]:
    """`given`, but each file and folder only once, however its path is written."""
    found: dict[Any, Any] = {}
    for one in given:
        found.setdefault(os.path.realpath(one) if isinstance(one, str | os.PathLike) else id(one), one)
    return list(found.values())


def _found(given: Sequence[Any], where: Mapping[str, Any], skip_bad: bool) -> list[Record]:
    """The runs with these values; none if there are only sweeps without run files, and no values are given."""
    with_runs = [one for one in given if not is_sweep(one) or any(Path(one).glob("*.h5"))]
    if given and not with_runs and not where:
        return []
    return matching(records(with_runs or given, skip_bad=skip_bad), where)


def checked_page(out: str | os.PathLike[str], force: bool) -> Path:
    """The path `out`, if a page can be written there; UsageError or RecordError if not."""
    if Path(out).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"a report is an HTML page, so its name cannot be {out}: let it end in .html")
    return checked_target(out, force)


def _html(swept: Sequence[SweepSource], found: Sequence[Record], title: str, parts: Sequence[Section]) -> str:
    from plotly.offline import get_plotlyjs

    return rendered(
        "page.html",
        title=title,
        runs=len(found),
        statuses=Counter(name for part in parts for name in Counter(part.statuses).elements()),
        sections=parts,
        rows=_ROWS,
        sweeps=swept,
        js=(_HERE / "page.js").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
    )


def rendered(template: str, folder: Path = _HERE, **values: Any) -> str:
    """A template of this package, or of another folder, as text, with styles, the time and the version of asapnb."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from .. import __version__

    world = Environment(
        loader=FileSystemLoader([folder, _HERE]),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    world.filters |= {"shown": shown, "json": chart_json, "cells": table_json, "count": "{:,}".format}
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    return world.get_template(template).render(made=made, version=__version__, css=css, **values)
