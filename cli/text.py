"""Rows, tables and drawings: what the commands print."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.bar import Bar
from rich.console import Console, ConsoleDimensions, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from asapnb.data import available
from asapnb.data.catalogue import EMBEDDED
from asapnb.formatting import fixed, loss, measured, seconds, visible
from asapnb.record import Run
from asapnb.record.figures import clock, figures, work_done
from asapnb.record.schema import EARLY, METRICS
from asapnb.staleness import StalenessDistribution
from asapnb.staleness.bins import bins_of, span
from asapnb.timing import as_timing

_SHOWN = 21  # evaluations that `show` lists
_NARROWEST, _WIDEST = 40, 10_000  # characters of a line
_AVERAGED = ("distance", "error", "fresh", "noise", "cosine", "along")  # of what a microscope saw
STATUS_STYLES = {**dict.fromkeys(("finished", *EARLY), "bold green"), "diverged": "bold red", "failed": "bold red"}


class _Console(Console):
    @property
    def size(self) -> ConsoleDimensions:
        """That of the terminal or of $COLUMNS, where it is one that can be drawn in."""
        width, height = super().size
        return ConsoleDimensions(min(max(width, _NARROWEST), _WIDEST), max(height, 1))

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self._width, self._height = new

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """What is printed, made visible: it may come from a file of anybody."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console that prints in colour on a terminal, and plain lines of any length elsewhere."""
    return _Console(stderr=stderr, quiet=quiet, soft_wrap=True, highlight=False, emoji=False, markup=False)


class Columns(Table):
    """A table without lines, flush right but in the columns `left`, and as wide as its cells: nothing is cut.

    With a `width` it is that wide, and a column with a ratio takes the room that the others leave.
    """

    def __init__(self, *names: str, left: Sequence[str] = (), width: int | None = None) -> None:
        super().__init__(box=None, pad_edge=False, header_style="dim", width=width)
        for name in names:
            self.add_column(name, justify="default" if name in left else "right", no_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments: Any = super().__rich_console__(console, options.update(max_width=_WIDEST))
        for line in Segment.split_lines(segments):
            while line and not line[-1].text.strip():  # what fills up the last column
                line.pop()
            yield from [*line, Segment.line()]


def pairs(values: Iterable[tuple[str, str]]) -> Text:
    """Names and values, one pair a line, without those whose value is empty."""
    shown = [(name, value) for name, value in values if value]
    width = max((len(name) for name, _ in shown), default=0)
    return Text("\n").join(Text.assemble((f"{name:<{width}}  ", "dim"), value) for name, value in shown)


def mpi_text(found: Mapping[str, Any]) -> str:
    """A library of MPI; empty if there is none."""
    return f"{found['library']}, mpi4py {found['mpi4py']}" if found else ""


def size(path: Any) -> str:
    """How large a file is."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


def summary(run: Run) -> Text:
    """How a run ended, and its figures."""
    facts = run.summary()
    style = STATUS_STYLES.get(facts["status"], "bold yellow")
    headline = Text.assemble((facts["status"], style), f"  {work_done(run, facts)}")
    return Text("\n").join([headline, pairs(figures(run, facts))])


def histogram(run: Run, width: int) -> RenderableType:
    """The staleness of the applied updates, and beside each bin the mean scale unless that was 1 throughout."""
    if run.staleness.is_empty:
        return Text("no updates")
    seen, sums = run.by_staleness, run.sums.numbers
    all_the_same = sums["least_scale"] == sums["most_scale"] == 1
    return drawing(seen["updates"], width, None if all_the_same else seen["scale"])


def drawing(counts: NDArray[np.int64], width: int, sums: NDArray[np.float64] | None = None) -> Columns:
    """How many updates had each staleness, in bins with bars.

    Args:
        counts: how many updates had staleness 0, 1, …
        width: of the drawing, in characters.
        sums: the sum of the scales of these updates; if given, the mean scale of each bin is shown.
    """
    seen, total = StalenessDistribution.from_counts(counts), int(counts.sum())
    ranges = bins_of(seen)
    held = [int(counts[first : last + 1].sum()) for first, last in ranges]
    table = Columns("staleness", "updates", "share", width=width)
    table.add_column(ratio=1)
    if sums is not None:
        table.add_column("mean scale", justify="right")
    for ends, some in zip(ranges, held, strict=True):
        bar = _Bar(max(held), 0, some, color="cyan")
        cells: list[Any] = [span(*ends), f"{some:,}", f"{some / total:.1%}", bar]
        if sums is not None:
            mean = sums[ends[0] : ends[1] + 1].sum() / some if some else None
            cells.append(Text(fixed(mean, ".3f"), "green" if mean is not None and mean >= 1 else "yellow"))
        table.add_row(*cells)
    return table


class _Bar(Bar):
    """A bar of which anything above 0 shows."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.end:  # an eighth of a character at least
            self.end = max(self.end, 1.5 / 8 * self.size / options.max_width)
        yield from super().__rich_console__(console, options)


def microscope(run: Run) -> list[dict[str, Any]]:
    """What a microscope saw, as means of known values over bins of staleness; [] without a microscope."""
    tau = run.microscope.get("tau", np.empty(0, np.int32))
    if not len(tau):
        return []
    seen = StalenessDistribution.from_counts(np.bincount(tau))
    found = []
    for first, last in bins_of(seen):
        within = (tau >= first) & (tau <= last)
        if within.any():
            columns = {name: run.microscope[name][within] for name in _AVERAGED}
            means = {name: float(np.nanmean(v)) if not np.isnan(v).all() else math.nan for name, v in columns.items()}
            found.append({"staleness": [first, last], "updates": int(within.sum()), **means})
    return found


def microscope_table(run: Run) -> Columns:
    """What a microscope saw, a line for each bin of staleness."""
    table = Columns("staleness", "updates", *_AVERAGED)
    for found in microscope(run):
        means = (fixed(found[name], ",.4g") for name in _AVERAGED)
        table.add_row(span(*found["staleness"]), f"{found['updates']:,}", *means)
    return table


def evaluations(run: Run) -> Group:
    """The evaluations of a run; an even choice if there are many."""
    total = len(run.evals["step"])
    chosen = np.unique(np.linspace(0, total - 1, min(total, _SHOWN)).round().astype(int)).tolist()
    whose = clock(run)
    there = [metric for metric in METRICS if np.isfinite(run.evals[metric.column]).any()]
    table = Columns(f"{whose} s" if whose else "seconds", "updates", "training loss", "test loss",
                    *(metric.title for metric in there))  # fmt: skip
    for i in chosen:
        now = {name: column[i].item() for name, column in run.evals.items()}
        losses = loss(now["train_loss"]), loss(measured(now["test_loss"]))
        table.add_row(seconds(now["t"]), f"{now['step']:,}", *losses,
                      *(fixed(now[metric.column], metric.pattern) for metric in there))  # fmt: skip
    cut = [Text(f"{len(chosen)} of {total:,} evaluations; --json shows all", "dim")] if len(chosen) < total else []
    return Group(table, *cut)


def data_sets(root: str | None = None) -> Columns:
    """The known data sets, and where each was found."""
    table = Columns("data set", "images", "training", "test", "where", left=("data set", "images", "where"))
    for entry in available(root):
        where = Text("embedded" if entry.path == EMBEDDED else str(entry.path), "green")
        if entry.path is None:
            where = Text(f"not here: asapnb data get {entry.name}", "yellow")
        table.add_row(entry.name, "×".join(map(str, entry.shape)), f"{entry.train:,}", f"{entry.test:,}", where)
    return table


def document(run: Run) -> dict[str, Any]:
    """A run as one JSON document: its figures, evaluations, staleness, and what it was made with."""
    seen, timing = microscope(run), run.config.get("timing")
    return {
        **run.summary(),
        "path": run.path,
        "evaluations": [
            dict(zip(run.evals, values, strict=True)) for values in zip(*run.evals.values(), strict=True)
        ],
        "staleness_counts": run.by_staleness["updates"],
        **({"microscope": seen} if seen else {}),
        **({"notes": as_timing(timing).notes()} if timing is not None else {}),
        "attributes": {name: value for name, value in run.attributes.items() if name != "config"},
        "config": run.config,
    }
