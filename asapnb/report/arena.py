"""One HTML page about the arena: standings, a figure, the cells of a contestant, and how to read them."""

import os
from collections.abc import Collection

from .. import plots
from ..arena import Standings
from ..arena.stored import computed_on, here
from ..arena.tables import cell_table, kernel_note, problem_table, scenario_table, standing_table, verdict
from ..formatting import count
from ..record.files import put_in_place
from .figures import picture
from .page import Page, check_needed, checked_page, rendered

READING = {
    "speed-up": "Mean updates of constant until the target / those of the contestant: 2 is half as many. Over all "
    "cells, the geometric mean. A run that does not arrive counts as its budget.",
    "its own best step size": "Found on one grid, 2^(k/8), with seeds of which none is reported.",
    "at equal step": "All contestants at the step size that is best for constant. Speed-ups are over constant there.",
    "interval": "95 %, bootstrap over seeds, drawn jointly in all cells and for all contestants. It does not "
    "include the effect of another choice of scenarios, problems or tuning seeds.",
    "rank": "By the speed-up at the best step size; with the interval of the rank.",
    "arrived": "The share of the runs that reached the target within the budget.",
    "best step": "Best step size / that of constant, geometric mean over the cells.",
    "mean scale": "The mean of scale · factor as applied: 1 keeps the mean step.",
    "stable step": "Largest stable step of a quadratic / that of constant, geometric mean over the scenarios where "
    "it is known.",
}


def arena_page(
    found: Standings, out: str | os.PathLike[str], mine: Collection[str] = (), force: bool = False
) -> Page:
    """Write one HTML page about standings of the arena. It needs no network.

    Args:
        found: the standings, from `asapnb.arena.standings`.
        out: the file to write; it ends in .html.
        mine: the names of the contestants that the page is about.
        force: replace an existing file.

    Raises:
        MissingExtraError: without Matplotlib and Jinja.
        UsageError: for a name that does not end in .html.
        RecordError: for a page that cannot be written, or that exists already.
    """
    check_needed("a page", {"matplotlib": "Matplotlib", "jinja2": "Jinja"})
    target, table, now = checked_page(out, force), computed_on(), here()
    about = [place for place in found.places if place.result.name in mine]
    text = rendered(
        "arena.html",
        title=f"Arena: {', '.join(place.result.name for place in about) or 'the built-in rules'}",
        subtitle=f"Suite {found.suite.version}, {count(len(found.suite.cells), 'cell')}, "
        f"{count(len(found.suite.seeds), 'seed')}",
        standing=standing_table(found),
        emphasised=list(mine),
        picture=picture("Speed-up over constant, with 95 % intervals", plots.arena(found, mine)),
        verdicts=[verdict(place, found) for place in about],
        mine=[cell_table(place, found.suite) for place in about],
        suite=[scenario_table(found.suite), problem_table(found.suite)],
        reading=READING.items(),
        origin=[
            ("built-in results", f"asapnb {table['versions']['asapnb']}, kernels {table['kernels']}, {table['cpu']}"),
            *(
                [("these", f"asapnb {now['versions']['asapnb']}, kernels {now['kernels']}, {now['cpu']}")]
                if about
                else []
            ),
            *((f"rule of {place.result.name}", place.result.rule) for place in about),
        ],
        note=kernel_note(table) if about else "",
    )
    put_in_place(target, lambda part: part.write_text(text, encoding="utf-8", errors="replace"))
    return Page(target)
