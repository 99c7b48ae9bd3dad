"""The page and the tables of `scaling.py`, from its JSON alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from common import Table
from scaling_cases import DISTANCES, PROBES
from scaling_limits import REASONS
from scaling_plan import BARE, SCHEMES

from asapnb import analysis
from asapnb.errors import AsapnbError
from asapnb.plots.style import GREY, Axes, Figure, look, new_figure, note, style
from asapnb.record.files import put_in_place
from asapnb.report.figures import Picture, picture
from asapnb.report.page import check_needed, rendered

LOOKS = {BARE: look(6), **{scheme: look(number) for number, scheme in enumerate(SCHEMES)}}
Whole = Mapping[str, Any]
Cases = Sequence[Mapping[str, Any]]


def tables(whole: Whole) -> list[Table]:
    """What a terminal and results.md show: throughput by workers, and what limits with all cores at work."""
    rows = []
    for case in whole["cases"]:
        if case["workers"] == 1 or case["scheme"] == BARE or "limit" not in case:
            continue
        row = {"model": case["model"], "scheme": case["scheme"], "workers": case["workers"]}
        row |= {"pinned": "yes" if case["pinned"] else "no", "gradients/s": case["rate"]}
        row |= {"of single": case["efficiency"], "mean τ": case["staleness"]["mean"], "p99": case["staleness"]["p99"]}
        rows.append(row | {"failed": case["failed"], "limit": case["limit"], "why": case["why"]})
    formats = {"gradients/s": ",.0f", "of single": ".0%", "mean τ": ".2f", "p99": ",.0f", "failed": ".3f"}
    text = (
        "of single: throughput over that of one worker times the workers, or times the threads that can run at once."
    )
    return [Table("Scaling with workers", rows, formats, note=text)] if rows else []


def page(whole: Whole, file: Path) -> str:
    """Write the page; returns what to tell the user."""
    try:
        check_needed("the page", {"matplotlib": "Matplotlib", "jinja2": "Jinja"})
    except AsapnbError as error:
        return f"no page: {error}"
    with style():
        pictures = [drawn(title, draw, whole) for title, draw in FIGURES.items()]
    machine = whole["machine"]
    facts = {
        "processor": machine["cpu"], "system": machine["platform"], "kernels": whole["kernels"],
        "CPUs": f"{whole['cores']['allowed']} of {machine['cpus']}, {whole['cores']['at_once']} threads at once",
        "physical cores of these": whole["cores"]["physical"] or "unknown",
        "quota": f"{whole['cores']['quota']:g} CPUs" if whole["cores"]["quota"] else "none",
        "sockets": machine["sockets"] or "unknown",
        "CPUs of each NUMA node": ", ".join(machine["numa_nodes"] or ["unknown"]),
        "load before": f"{machine['load_before']:.2f}",
        "measured": f"{whole['date']}, {whole['seconds'] / 60:.1f} minutes, complete rounds: {whole['rounds']}, "
        f"{whole['status']}",
        "versions": ", ".join(f"{name} {version}" for name, version in whole["versions"].items()),
    }  # fmt: skip
    text = rendered(
        "scaling_template.html",
        folder=Path(__file__).parent,
        title="How asapnb scales on this machine",
        facts=facts.items(),
        status=whole["status"],
        told=whole["told"],
        most=_limit_table(whole),
        pictures=[one for one in pictures if one is not None],
        every=_case_table(whole),
        times=_time_table(whole),
        reasons=REASONS.items(),
        impossible=whole["impossible"],
        target=whole["target"],
    )
    try:
        put_in_place(file, lambda part: part.write_text(text, encoding="utf-8"))
    except AsapnbError as error:
        return f"no page: {error}"
    return f"{file}: the page"


def drawn(title: str, draw: Callable[[Whole], Figure | None], whole: Whole) -> Picture | None:
    """A figure as a picture; None if there is nothing to show."""
    figure = draw(whole)
    return None if figure is None else picture(title, figure)


def _limit_table(whole: Whole) -> analysis.Table:
    """What limits with all cores at work, or with as many workers as come nearest."""
    found = [case for case in whole["cases"] if "limit" in case and case["pinned"] == first_pinned(whole)]
    most = max((case["workers"] for case in found if case["workers"] <= whole["cores"]["at_once"]), default=2)
    rows = tuple(
        (case["model"], case["scheme"], case["workers"], f"{case['efficiency']:.0%}", case["limit"], case["why"])
        for case in found
        if case["workers"] == most
    )
    return analysis.Table("What limits", ("model", "scheme", "workers", "of single", "limit", "why"), rows)


def _case_table(whole: Whole) -> analysis.Table:
    """All throughput cases."""
    rows = []
    for case in whole["cases"]:
        steps, stale = case.get("steps") or {}, case.get("staleness") or {}
        named = (case["model"], case["scheme"], case["workers"], "yes" if case["pinned"] else "no", case["rate"])
        share = f"{case['efficiency']:.0%}" if "efficiency" in case else None
        figures = (*(stale.get(name) for name in ("mean", "deviation", "p50", "p99", "largest")), case.get("failed"))
        parts = tuple(steps.get(name) for name in ("between", "gradient", "update"))
        had = f"{case['had cores']:.0%}" if "had cores" in case else None
        rows.append((*named, share, *figures, *parts, had, case.get("limit")))
    columns = ("model", "scheme", "workers", "pinned", "gradients/s", "of single", "mean τ", "deviation", "median",
               "p99", "largest", "failed", "between, µs", "gradient, µs", "update, µs", "had", "limit")  # fmt: skip
    notes = (
        "between, gradient, update: the mean times of a worker from its last update to reading the view, from there "
        "to the gradient, and from there to the update. had: CPU time of the threads over their cores' time.",
    )
    return analysis.Table("All cases", columns, tuple(rows), notes)


def _time_table(whole: Whole) -> analysis.Table:
    """The times to the loss."""
    rows = tuple(
        (one["scheme"], one["rule"], one["workers"], one["seconds"] or "–", one["updates"] or "–",
         f"{one['reached']} of {one['runs']}", ", ".join(one["outcomes"]))
        for one in whole["times"]
    )  # fmt: skip
    return analysis.Table(
        "Time to a loss", ("scheme", "rule", "workers", "seconds", "updates", "reached", "outcomes"), rows
    )


def first_pinned(whole: Whole) -> bool:
    """Whether figures show pinned workers: where there are such."""
    return any(case["pinned"] for case in whole["cases"])


def lines(whole: Whole, model: str, pinned: bool) -> Iterator[tuple[str, Cases]]:
    """The cases of each scheme of a model, by workers."""
    for scheme in LOOKS:
        found = [c for c in whole["cases"] if (c["model"], c["scheme"], c["pinned"]) == (model, scheme, pinned)]
        if found:
            yield scheme, sorted(found, key=lambda case: case["workers"])


Curve = tuple[Sequence[float], Sequence[float | None]]
Curves = Callable[[Whole, str, Cases], list[Curve]]  # of a scheme and its cases; all but the first are drawn thin


def _panels(
    whole: Whole,
    label: str,
    curves: Curves,
    *,
    log: bool = False,
    finish: Callable[[Axes, Whole], None] | None = None,
) -> Figure | None:
    """A panel for each model that there are curves of, with those of each scheme."""
    pinned = first_pinned(whole)
    found: dict[str, dict[str, list[Curve]]] = {}
    for model in whole["models"]:
        of = {scheme: _with_points(curves(whole, scheme, cases)) for scheme, cases in lines(whole, model, pinned)}
        if any(of.values()):
            found[model] = of
    if not found:
        return None
    columns, rows = min(2, len(found)), -(-len(found) // 2)
    figure = new_figure(1.2 + 3.4 * columns, 0.5 + 2.3 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for panel, (model, of) in zip(grid.ravel(), found.items(), strict=False):
        panel.set_title(f"{model}, {whole['models'][model]['parameters']:,} parameters")
        for scheme, drawn_curves in of.items():
            _draw(panel, scheme, drawn_curves)
        (finish or _by_workers)(panel, whole)
        if log:
            _log_axis(panel)
        else:
            panel.set_ylim(bottom=0)
    for panel in grid.ravel()[len(found) :]:
        panel.set_visible(False)
    for row in grid:
        row[0].set_ylabel(label)
    legends = (zip(*panel.get_legend_handles_labels(), strict=True) for panel in grid.ravel())
    shown = {text: handle for legend in legends for handle, text in legend}
    figure.legend(shown.values(), shown.keys(), loc="outside upper left", ncols=4 if columns > 1 else 2)
    note(figure, "pinned" if pinned else "not pinned", f"{whole['cores']['at_once']} threads run at once")
    return figure


def _with_points(curves: list[Curve]) -> list[Curve]:
    """Without the points that have no value, and the curves that have no points."""
    known = [[(x, y) for x, y in zip(*curve, strict=True) if y is not None] for curve in curves]
    return [tuple(zip(*points, strict=True)) for points in known if points]  # type: ignore[misc]


def _draw(panel: Axes, scheme: str, curves: list[Curve]) -> None:
    of = LOOKS[scheme]
    for number, (x, y) in enumerate(curves):
        if number:
            panel.plot(x, y, color=of.color, linewidth=0.6, marker="_")
        else:
            panel.plot(x, y, color=of.color, linestyle=of.dash, marker=of.marker, label=scheme)


def _by_workers(panel: Axes, whole: Whole) -> None:
    """An axis of workers, with ticks at powers of two, and a line where all cores are at work."""
    most = max(case["workers"] for case in whole["cases"])
    powers = [2**k for k in range(0, most.bit_length(), 1 if most <= 32 else 2)]
    panel.set(xscale="log", xlabel="workers")
    panel.set_xticks(powers, [f"{power}" for power in powers])
    panel.minorticks_off()
    panel.axvline(whole["cores"]["at_once"], color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0.5)


def _by_staleness(panel: Axes, whole: Whole) -> None:
    """An axis of staleness."""
    panel.set_xscale("symlog", linthresh=1)
    panel.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1,000"])
    panel.minorticks_off()
    panel.set(xlabel="staleness τ, in bins from 8 on", xlim=(-0.1, None))


def _log_axis(panel: Axes) -> None:
    """A logarithmic axis with numbers within a decade, too."""
    from matplotlib.ticker import LogLocator, NullLocator

    panel.set_yscale("log")
    low, high = panel.get_ylim()
    panel.yaxis.set_major_locator(
        LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if high < 5 * low else (1, 2, 5) if high < 100 * low else (1,))
    )
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")


def _workers(cases: Cases) -> list[int]:
    return [case["workers"] for case in cases]


def throughput(whole: Whole, scheme: str, cases: Cases) -> list[Curve]:
    """Gradients per second."""
    return [(_workers(cases), [case["rate"] for case in cases])]


def efficiency(whole: Whole, scheme: str, cases: Cases) -> list[Curve]:
    """Throughput over that of as many single workers, at most as many as run at once."""
    one, most = cases[0]["rate"], whole["cores"]["at_once"]
    if cases[0]["workers"] > 1 or len(cases) < 2:
        return []
    return [(_workers(cases), [case["rate"] / one / min(most, case["workers"]) for case in cases])]


def unpinned(whole: Whole, scheme: str, cases: Cases) -> list[Curve]:
    """The throughput of workers that are not pinned over that of those that are."""
    if not cases[0]["pinned"]:
        return []
    rates = {case["workers"]: case["rate"] for case in dict(lines(whole, cases[0]["model"], False)).get(scheme, ())}
    return [(_workers(cases), [rates[c["workers"]] / c["rate"] if c["workers"] in rates else None for c in cases])]


def staleness(whole: Whole, scheme: str, cases: Cases) -> list[Curve]:
    """Mean and 99th percentile."""
    if scheme == BARE or SCHEMES[scheme].fresh:
        return []
    return [(_workers(cases), [case["staleness"][name] for case in cases]) for name in ("mean", "p99")]


def histogram(whole: Whole, scheme: str, cases: Cases) -> list[Curve]:
    """The share of updates by staleness with all cores at work."""
    if scheme == BARE or SCHEMES[scheme].fresh:
        return []
    found = [case["staleness"]["histogram"] for case in cases if case["workers"] == whole["cores"]["at_once"]]
    return [([low for low, _ in bins], [share or None for _, share in bins]) for bins in found]


def failed(whole: Whole) -> Figure | None:
    """Failed attempts to publish for each update, by model."""
    found = {
        f"{model}, {scheme}": (_workers(cases), [case["failed"] for case in cases])
        for model in whole["models"]
        for scheme, cases in lines(whole, model, first_pinned(whole))
        if scheme != BARE and SCHEMES[scheme].published
    }
    return _one_panel(whole, "failed attempts for each update", found)


def time_to_loss(whole: Whole) -> Figure | None:
    """Seconds to the loss under two rules."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for one in whole["times"]:
        if one["seconds"]:
            x, y = found.setdefault(f"{one['scheme']}, {one['rule']}", ([], []))
            x.append(one["workers"])
            y.append(one["seconds"])
    target = whole["target"]
    text = f"{target['model']} to a mean minibatch loss of {target['loss']}, step size {target['step_size']}"
    return _one_panel(whole, "seconds", found, text, log=True)


def _one_panel(
    whole: Whole, label: str, found: Mapping[str, Curve], text: str = "", *, log: bool = False
) -> Figure | None:
    """Curves by workers in one panel, each with a name."""
    if not found:
        return None
    figure = new_figure(6.4, 3.2)
    panel = figure.subplots()
    for number, (name, (x, y)) in enumerate(found.items()):
        of = look(number)
        panel.plot(x, y, color=of.color, linestyle=of.dash, marker=of.marker, label=name)
    _by_workers(panel, whole)
    if log:
        _log_axis(panel)
    else:
        panel.set_ylim(bottom=0)
    panel.set_ylabel(label)
    figure.legend(loc="outside right upper", fontsize=7)
    note(figure, text)
    return figure


def machine(whole: Whole) -> Figure | None:
    """What each thread keeps of arithmetic, memory and counters when others do the same."""
    probes = whole["probes"]
    if len(probes) < 2 or probes[0]["workers"] != 1:
        return None
    found = {}
    for name in PROBES:
        each = [(p["workers"], p[name] / (1 if name in DISTANCES else p["workers"])) for p in probes if p[name]]
        if each:
            text = f"counters, {name}" if name in DISTANCES else name
            found[text] = ([n for n, _ in each], [value / each[0][1] for _, value in each])
    return _one_panel(whole, "of one thread, each", found, "the best of all rounds", log=True)


FIGURES: dict[str, Callable[[Whole], Figure | None]] = {
    "Throughput by number of workers. bare: threads that share nothing": partial(
        _panels, label="gradients per second", curves=throughput, log=True
    ),
    "Throughput over that of as many single workers, at most as many as threads that run at once": partial(
        _panels, label="of single workers", curves=efficiency
    ),
    "Workers that are not pinned, over those that are": partial(_panels, label="unpinned / pinned", curves=unpinned),
    "Staleness by number of workers": partial(_panels, label="τ: mean, p99 (thin)", curves=staleness),
    "Staleness with all cores at work": partial(
        _panels, label="share of updates", curves=histogram, log=True, finish=_by_staleness
    ),
    "Failed attempts to publish, for each update": failed,
    "Time to a loss, constant step and TAIL": time_to_loss,
    "The machine: arithmetic, memory and counters, with as many threads": machine,
}
