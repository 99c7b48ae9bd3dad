"""Numbers, rows and pictures as text: what the commands print."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from asapnb.data import available
from asapnb.data.catalogue import EMBEDDED
from asapnb.record import Run
from asapnb.staleness import StalenessDistribution
from asapnb.timing import parse_timing

NONE = "–"  # shown for what there is none of
BLOCKS = " ▏▎▍▌▋▊▉█"
_BINS = 16  # rows of a histogram
_SHOWN = 21  # evaluations that `show` lists
_LONGEST = 200  # characters of a value
_AVERAGED = ("distance", "error", "fresh", "noise", "cosine", "along")  # of what a microscope saw
STATUS_STYLES = {"finished": "bold green", "converged": "bold green", "diverged": "bold red", "failed": "bold red"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """A reader that goes away (`| head`) ends the output, not the run."""
        with contextlib.suppress(SystemExit):
            super().on_broken_pipe()


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Where text goes: in colour on a terminal, as plain lines of any length elsewhere."""
    return _Console(stderr=stderr, quiet=quiet, soft_wrap=True, highlight=False, emoji=False, markup=False)


def number(value: float | None, pattern: str = ",.0f") -> str:
    """A number in this format; a dash for None.

    >>> number(1234.5), number(None)
    ('1,234', '–')
    """
    return NONE if value is None else format(value, pattern)


def loss(value: float | None) -> str:
    """A loss, four digits after the point or, where it is large, three in all; NaN and infinity as they are."""
    return number(value, ".4f" if value is None or not abs(value) >= 1000 else ".3g")


def measured(value: float | None) -> float | None:
    """None for NaN: of accuracies, where NaN means that there is none."""
    return None if value is None or math.isnan(value) else value


def seconds_text(seconds: float) -> str:
    """Seconds, which virtual ones may be of any size.

    >>> seconds_text(0.0), seconds_text(1234.5), seconds_text(2e-5)
    ('0.00', '1,234.50', '2e-05')
    """
    return format(seconds, ",.2f" if seconds == 0 or 0.01 <= seconds < 1e9 else ".4g")


def rate_text(rate: float | None) -> str:
    """A rate of any size: four digits, or all before the point.

    >>> rate_text(15.99987), rate_text(1234567.8), rate_text(None)
    ('16', '1,234,568', '–')
    """
    return number(rate, ",.4g" if rate is None or rate < 1000 or rate >= 1e12 else ",.0f")


def shortened(value: object) -> str:
    """A value as text, cut where it is long."""
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def clock(run: Run) -> str:
    """Whose seconds the times of a run are: "virtual" or, in a replay of real threads, "recorded"; else ""."""
    return "virtual" if run.is_virtual else "recorded" if run.kind == "replay" else ""


def row(cells: Iterable[str], widths: Iterable[int]) -> str:
    """The cells in columns, flush right."""
    return "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def pairs(values: Iterable[tuple[str, str]]) -> Text:
    """Names and values, one pair a line, but none for an empty value."""
    shown = [(name, value) for name, value in values if value]
    width = max((len(name) for name, _ in shown), default=0)
    return Text("\n").join(Text.assemble((f"{name:<{width}}  ", "dim"), value) for name, value in shown)


def size(path: Any) -> str:
    """How large a file is."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


def summary(run: Run) -> Text:
    """How a run ended, and its figures."""
    facts = run.summary()
    tau, workers = facts["staleness"], facts["workers"]
    whose = clock(run)
    unit, second = f"{whose} s".strip(), f"{whose} second".strip()
    rate = rate_text(facts["updates_per_second"]) if whose else number(facts["updates_per_second"])
    headline = Text.assemble(
        (facts["status"], STATUS_STYLES.get(facts["status"], "bold yellow")),
        f"  {facts['updates']:,} updates in {seconds_text(facts['seconds'])} {unit}, {rate} per {second}, ",
        f"{workers:,} worker{'s' * (workers != 1)}",
    )
    figures = [
        ("training loss", _change(facts, "train_loss", loss)),
        ("test loss", _change(facts, "test_loss", loss)),
        ("test accuracy", _change(facts, "test_accuracy", "{:.1%}".format)),
    ]
    if tau["mean"] is not None:
        figures += [
            ("staleness", f"mean {tau['mean']:.2f}, 99th percentile {tau['p99']:,}, largest {tau['max']:,}"),
            ("scale", f"mean {facts['mean_scale']:.4f}, sum of steps {_steps(facts)}"),
        ]
    if (step := run.attributes.get("target_step")) is not None:
        at = seconds_text(run.attributes["target_seconds"])
        figures.append(("target", f"reached at update {step:,}, {at} {unit}"))
    lost = {"dropped": "dropped", "zeroed": "scaled to zero", "failed_cas": "failed compare-and-swaps"}
    figures.append(("gradients", ", ".join(f"{facts[name]:,} {what}" for name, what in lost.items() if facts[name])))
    if (work := run.attributes.get("replay")) is not None:
        threads = f"{work['threads']} thread{'s' * (work['threads'] != 1)}"
        figures.append(("real time", f"{work['wall_seconds']:.2f} s on {threads}"))
    return Text("\n").join([headline, pairs(figures)])


def _steps(facts: dict[str, Any]) -> str:
    """The sum of all steps, and from how much to how much the workers contributed."""
    shares = facts["sum_of_steps_by_worker"] or [0.0]
    total = number(facts["sum_of_steps"], ",.4g")
    return total if len(shares) == 1 else f"{total}, {min(shares):,.4g} to {max(shares):,.4g} by worker"


def _change(facts: dict[str, Any], name: str, show: Callable[[float], str]) -> str:
    """A figure at the first evaluation and at the last; nothing if there is none."""
    first, last = facts["initial"], facts["last"]
    if first is None or measured(first[name]) is None:
        return ""
    return show(first[name]) if first == last else f"{show(first[name])} → {show(last[name])}"


def bins(support: int, p50: int, p99: int) -> list[tuple[int, int]]:
    """The staleness 0 … support in at most 16 bins: first and last value of each.

    Where the 99th percentile is far above the median they double; else they are equally wide up to it, and what is
    staler shares the last one.

    >>> bins(2, 1, 2), bins(1000, 1, 50)[:4], bins(1000, 15, 45)[-2:]
    ([(0, 0), (1, 1), (2, 2)], [(0, 0), (1, 1), (2, 3), (4, 7)], [(42, 44), (45, 1000)])
    """
    if support < _BINS:
        edges = list(range(support + 1))
    elif p99 > 4 * (p50 + 1):
        edges = [0, *(2**i for i in range(_BINS - 1) if 2**i <= support)]
    else:
        edges = list(range(0, support + 1, max(1, math.ceil(p99 / (_BINS - 1)))))[:_BINS]
    return [(first, last - 1) for first, last in zip(edges, [*edges[1:], support + 1], strict=True)]


def bar(share: float, width: int) -> str:
    """A bar over this share of the width, in eighths of a character; anything above 0 shows.

    >>> bar(0.5, 4), bar(0.28, 4), bar(1e-9, 4)
    ('██', '█▏', '▏')
    """
    eighths = max(round(share * width * 8), share > 0)
    return BLOCKS[8] * (eighths // 8) + BLOCKS[eighths % 8].strip()


def histogram(run: Run, width: int) -> Text:
    """The staleness of the applied updates, and beside each bin the mean scale unless that was 1 throughout."""
    if run.staleness.is_empty:
        return Text("no updates")
    applied = run.updates["dropped"] != 1
    tau, scale = run.updates["tau"][applied], run.updates["scale"][applied].astype(float)
    sums = np.bincount(tau, weights=scale).astype(np.float64)
    return drawing(np.bincount(tau), width, sums if (scale != 1).any() else None)


def drawing(counts: NDArray[np.int64], width: int, sums: NDArray[np.float64] | None = None) -> Text:
    """How many updates had each staleness, in bins; beside each its mean scale, of the `sums` of scales if given."""
    seen, total, scaled = StalenessDistribution.from_counts(counts), int(counts.sum()), sums is not None
    ranges = bins(len(counts) - 1, *(int(seen.quantile(q)) for q in (0.5, 0.99)))
    held = [int(counts[first : last + 1].sum()) for first, last in ranges]
    labels = [_label(*ends) for ends in ranges]
    widths = (max(9, *map(len, labels)), max(9, *(len(f"{count:,}") + 2 for count in held)), 8)
    room = width - sum(widths) - 2 - 12 * scaled
    lines = [Text(row(("staleness", "updates", "share"), widths) + (" " * room + "  mean scale") * scaled, "dim")]
    for (first, last), label, count in zip(ranges, labels, held, strict=True):
        line = Text(row((label, f"{count:,}", f"{count / total:.1%}"), widths) + "  ")
        line.append(bar(count / max(held), room).ljust(room * scaled), "cyan")
        if sums is not None:
            mean = sums[first : last + 1].sum() / count if count else None
            line.append(number(mean, ".3f").rjust(12), "green" if mean is not None and mean >= 1 else "yellow")
        lines.append(line)
    return Text("\n").join(lines)


def _label(first: int, last: int) -> str:
    """The values of a bin."""
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"


def microscope(run: Run) -> list[dict[str, Any]]:
    """What a microscope saw, as means over bins of staleness (those of the cosine over what has one); [] without."""
    tau = run.microscope.get("tau", np.empty(0, np.int32))
    if not len(tau):
        return []
    seen = StalenessDistribution.from_counts(np.bincount(tau))
    found = []
    for first, last in bins(seen.support, *(int(seen.quantile(q)) for q in (0.5, 0.99))):
        within = (tau >= first) & (tau <= last)
        if within.any():
            columns = {name: run.microscope[name][within] for name in _AVERAGED}
            means = {name: float(np.nanmean(v)) if not np.isnan(v).all() else math.nan for name, v in columns.items()}
            found.append({"staleness": [first, last], "updates": int(within.sum()), **means})
    return found


def microscope_table(run: Run) -> Text:
    """What a microscope saw, a line for each bin of staleness."""
    widths = (9, 9, *(11 for _ in _AVERAGED))
    lines = [Text(row(("staleness", "updates", *_AVERAGED), widths), "dim")]
    for found in microscope(run):
        cells = (number(measured(found[name]), ".4g") for name in _AVERAGED)
        lines.append(Text(row((_label(*found["staleness"]), f"{found['updates']:,}", *cells), widths)))
    return Text("\n").join(lines)


def evaluations(run: Run) -> Text:
    """The evaluations of a run, evenly chosen where there are many."""
    count = len(run.evals["step"])
    chosen: Sequence[int] = np.unique(np.linspace(0, count - 1, min(count, _SHOWN)).round().astype(int)).tolist()
    widths = (10, 12, 16, 12, 16)
    whose = clock(run)
    head, unit = f"{whose} s" if whose else "time", "" if whose else " s"
    widths = (max(10, len(head) + 1), *widths[1:])
    lines = [Text(row((head, "updates", "training loss", "test loss", "test accuracy"), widths), "dim")]
    for i in chosen:
        now = {name: column[i].item() for name, column in run.evals.items()}
        when, losses = f"{seconds_text(now['t'])}{unit}", (now["train_loss"], measured(now["test_loss"]))
        cells = (when, f"{now['step']:,}", *map(loss, losses))
        lines.append(Text(row((*cells, number(measured(now["test_accuracy"]), ".1%")), widths)))
    if len(chosen) < count:
        lines.append(Text(f"{len(chosen)} of {count:,} evaluations; --json gives all", "dim"))
    return Text("\n").join(lines)


def data_sets(root: str | None = None) -> Text:
    """The known data sets and where they are."""
    lines = [Text(f"{'data set':<20}{'images':<11}{'training':>8}{'test':>8}  where", "dim")]
    for entry in available(root):
        shape = "×".join(map(str, entry.shape))
        line = Text(f"{entry.name:<20}{shape:<11}{entry.train:>8,}{entry.test:>8,}  ")
        if entry.path is None:
            line.append(f"not here: asapnb data get {entry.name}", "yellow")
        else:
            line.append("embedded" if entry.path == EMBEDDED else str(entry.path), "green")
        lines.append(line)
    return Text("\n").join(lines)


def document(run: Run) -> dict[str, Any]:
    """A run as one JSON document: its figures, evaluations, staleness, and what it was made with."""
    seen, timing = microscope(run), run.config.get("timing")
    return {
        **run.summary(),
        "path": run.path,
        "evaluations": [
            dict(zip(run.evals, values, strict=True)) for values in zip(*run.evals.values(), strict=True)
        ],
        "staleness_counts": np.bincount(run.updates["tau"][run.updates["dropped"] != 1]),
        **({"microscope": seen} if seen else {}),
        **({"notes": parse_timing(timing).notes()} if timing is not None else {}),
        "attributes": {name: value for name, value in run.attributes.items() if name != "config"},
        "config": run.config,
    }
