"""When runs reach a target: box plots, and speed-ups over a baseline."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np

from .. import analysis
from ..analysis import Crossing, Record, SpeedUp, Target, crossing, grouped, matching
from ..analysis.records import Loss
from ..errors import UsageError
from ..formatting import shortened
from .crowds import BOX_FROM, SINGLE, runs_each, singled
from .curves import axis_label
from .groups import Group, Runs, as_records, clock_of, groups, keys_of, named, rules_coloured
from .labels import legend_columns, short
from .style import GREY, Axes, Figure, new_figure, note, styled

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_BOXES, _ROOMY = 40, 16  # the most boxes in a figure, and the most for which counts have room for "/total"
EVENTS = ("reached", "diverged")
_BOUNDS = {"≥": "at least", "≤": "at most", "~": "open"}  # what each `SpeedUp.bound` says


def usual_target(found: Sequence[Record], loss: Loss = "evaluated") -> Target:
    """The least of 10, 20 … 90 % of the initial loss that at least half of the runs reach; else 90 %."""
    for fraction in FRACTIONS:
        target = Target(fraction=fraction)
        if 2 * sum(crossing(record, target, loss).reached for record in found) >= len(found):
            return target
    return Target(fraction=FRACTIONS[-1])


@styled
def time_to_target(
    runs: Runs, target: Target | None = None, by: Sequence[str] | None = None, *,
    x: str = "seconds", curve: Loss = "evaluated", window: int | None = None,
) -> Figure:  # fmt: skip
    """When runs reached a target, as box plots by number of workers, with a box for each other group.

    A box shows the quartiles and the median. Its whiskers reach to the last run within 1.5 times its length. Points
    are runs; fewer than five runs have no box. With more than 500 runs in all, whiskers reach to the first and the
    last run of a box, and only these are points. Rows above the boxes count the runs that are in no box: those that
    diverged, and others that did not reach the target.

    Args:
        runs: the runs.
        target: the loss to reach; by default the lowest of 10, 20 … 90 % of the initial loss that half of the runs
            reach.
        by: the keys whose values make boxes; by default all that vary, except the seed.
        x: the unit of time: "seconds", "updates", "epochs" or "steps" (the sum of all step sizes).
        curve: the training loss, "evaluated" or "smoothed", as in `Record.curve`.
        window: how many updates a smoothed loss is the mean of, as in `Record.curve`.

    Raises:
        UsageError: for times of several clocks, a target not below a run's initial loss, and more than 40 boxes.

    >>> import asapnb as ab
    >>> problem = ab.problems.quadratic([1.0])
    >>> runs = [ab.simulate(problem, workers=m, updates=60, eval_every=5, batch_size=1) for m in (2, 4)]
    >>> time_to_target(runs, Target(fraction=0.9), x="updates").axes[1].get_ylabel()
    'updates'
    """
    found = as_records(runs)
    target = usual_target(found, curve) if target is None else target
    label = axis_label(found, x)
    parts, columns = _by_workers(found, by)
    crossings = {id(record): crossing(record, target, curve, window) for record in found}
    lost = [event for event in ("diverged", "not reached") if event in map(_outcome, crossings.values())]
    boxes = len(parts) * len(columns)
    if boxes > _BOXES:
        raise UsageError(
            f"there would be {boxes} boxes, {len(parts)} at each of {len(columns)} numbers of workers: a figure has "
            f"room for {_BOXES}; show some runs (--where), or fewer keys (--by)"
        )
    figure = new_figure(max(4.4, min(7.2, 1.2 + 0.34 * boxes)), 3.3 + 0.22 * len(lost))
    above, axes = figure.subplots(2, 1, sharex=True, height_ratios=(max(0.01, 0.075 * len(lost)), 1))
    width, of, crowded = 0.8 / len(parts), "/{}" if boxes <= _ROOMY else "", len(found) > SINGLE
    sizes: list[int] = []
    for n, part in enumerate(parts):
        for position, value in enumerate(columns):
            here = [crossings[id(r)] for r in part.records if value is None or r.value("workers") == value]
            if here:
                sizes.append(len(here))
                place = position + (n - (len(parts) - 1) / 2) * width
                _box(axes, place, 0.8 * width, [float(c.at(x) or 0) for c in here if c.reached], part, crowded)
                _count(above, place, list(map(_outcome, here)), lost, of.format(len(here)))
        axes.plot([], [], color=part.look.color, marker=part.look.marker, linestyle="none", label=part.label)
    _columns(axes, columns)
    axes.set(ylabel=label, ylim=(0, None))
    above.set_title(f"until {target} is reached")
    _rows(above, lost)
    if len(parts) > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", handletextpad=0.2,
                      columnspacing=1.2, ncols=legend_columns([p.label for p in parts]))  # fmt: skip
    said = "boxes: quartiles; points: runs" if len(found) > boxes else "one run a point"
    if crowded:
        said = f"boxes over {runs_each(sizes)}: quartiles, and the first and the last"
    note(figure, said, clock_of(found, x))
    return figure


def _outcome(found: Crossing) -> str:
    """What became of a run: "reached", "diverged", or "not reached" for any other reason."""
    return found.outcome if found.outcome in EVENTS else "not reached"


def _by_workers(found: Sequence[Record], by: Sequence[str] | None) -> tuple[list[Group], list[Any]]:
    """The groups by all keys but workers, and the numbers of workers, [None] if they are no key."""
    keys = keys_of(found, by)
    parts = groups(found, [key for key in keys if key != "workers"])
    return parts, [value for (value,) in grouped(found, ["workers"])] if "workers" in keys else [None]


def _box(axes: Axes, place: float, width: float, times: Sequence[float], part: Group, crowded: bool) -> None:
    """Draw the times of runs that reached the target, as points, and as a box if there are enough.

    In a crowd, whiskers reach to the first and the last run, and only these are points.
    """
    if len(times) >= BOX_FROM:
        line = {"color": part.look.color, "linewidth": 0.9}
        axes.boxplot(
            [times], positions=[place], widths=[width], manage_ticks=False, showfliers=False, patch_artist=True,
            whis=(0, 100) if crowded else 1.5,
            boxprops={"facecolor": part.look.color, "alpha": 0.3, "linewidth": 0}, whiskerprops=line,
            medianprops={**line, "linewidth": 1.8}, capprops={**line, "linewidth": 0},
        )  # fmt: skip
    elif times:
        axes.hlines(np.median(times), place - width / 2, place + width / 2, color=part.look.color, linewidth=1.8)
    shown = [times[i] for i in singled(times, crowded)]
    axes.plot([place] * len(shown), shown, part.look.marker, color=part.look.color, markersize=2.8, alpha=0.7,
              linestyle="none")  # fmt: skip


def _count(axes: Axes, place: float, outcomes: Sequence[str], lost: Sequence[str], of: str) -> None:
    """Write how many runs had each of the outcomes `lost`, but not zeros."""
    for row, outcome in enumerate(lost):
        if number_of := sum(one == outcome for one in outcomes):
            axes.text(place, row, f"{number_of}{of}", ha="center", va="center", fontsize=7)


def _rows(axes: Axes, lost: Sequence[str]) -> None:
    """Prepare the rows of counts above the boxes."""
    axes.set_ylim(max(1, len(lost)) - 0.5, -0.5)
    axes.set_yticks(range(len(lost)), lost)
    axes.tick_params(length=0, labelbottom=False)
    for name in ("left", "bottom"):
        axes.spines[name].set_visible(False)
    for row in range(len(lost)):
        axes.axhspan(row - 0.42, row + 0.42, color="#f0f0f0", linewidth=0, zorder=0)


def _columns(axes: Axes, columns: Sequence[Any]) -> None:
    axes.set_xlim(-0.55, len(columns) - 0.45)
    said = [shortened(one) if isinstance(one, str) else "" if one is None else f"{one:,}" for one in columns]
    axes.set_xticks(range(len(columns)), said)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("" if columns == [None] else "workers")


@styled
def speed_up(
    runs: Runs, target: Target | None = None, baseline: Mapping[str, Any] | None = None,
    by: Sequence[str] | None = None, *, x: str = "updates", curve: Loss = "evaluated", window: int | None = None,
    budget: float | None = None, confidence: float = 0.95,
) -> Figure:  # fmt: skip
    """How much faster than a baseline runs reach a target, by number of workers.

    A bar is the ratio of mean times (`asapnb.analysis.speed_up`), and a line its bootstrap interval. At 1 there is no
    difference. The axis is logarithmic: twice as fast and half as fast are equally far from 1. Where some runs do not
    arrive by the budget, the ratio is a bound (`SpeedUp.bound`): the bar is hollow, and its number says ≥, ≤ or ~.
    Where no run of either side reaches the target, the text "none reached" replaces the bar.

    Args:
        runs: the runs, those of the baseline among them.
        target: the loss to reach; the default is that of `time_to_target`.
        baseline: values of keys that make a run one of the baseline; by default {"rule": "constant"}.
        by: the keys whose values make bars; by default all that vary, except the seed.
        x: the unit of time: "seconds", "updates", "epochs" or "steps" (the sum of all step sizes).
        curve: the training loss, "evaluated" or "smoothed", as in `Record.curve`.
        window: how many updates a smoothed loss is the mean of, as in `Record.curve`.
        budget: the longest time that counts, in the unit `x`. A run that has not reached the target by then counts as
            this. The default is where the first such run ended.
        confidence: of the intervals, in (0, 1).

    Raises:
        UsageError: for a baseline that no run has, and if there are no other runs.
    """
    from matplotlib.patches import Patch

    found = as_records(runs)
    baseline = {"rule": "constant"} if baseline is None else dict(baseline)
    base = matching(found, baseline)
    others = [record for record in found if all(record is not one for one in base)]
    what = ", ".join(f"{key}={value}" for key, value in baseline.items())
    if not others:
        raise UsageError(f"all runs are of the baseline {what}: give others, too, or another baseline (--baseline)")
    target = usual_target(found, curve) if target is None else target
    with rules_coloured(found):
        parts, columns = _by_workers(others, by or keys_of(found, None))
    figure = new_figure(max(4.4, min(7.2, 1.4 + 0.42 * len(parts) * len(columns))), 3.2)
    axes = figure.add_subplot()
    axes.set_yscale("log", base=2)
    width, tops, bounds, drawn = 0.8 / len(parts), [1.25, 0.8], set[str](), False
    for n, part in enumerate(parts):
        for position, value in enumerate(columns):
            sides = [
                [r for r in side if value is None or "workers" in fixed or r.value("workers") == value]
                for side, fixed in ((base, baseline), (part.records, ()))
            ]
            place = position + (n - (len(parts) - 1) / 2) * width
            if all(sides):
                options = {"by": x, "budget": budget, "loss": curve, "window": window, "confidence": confidence}
                drawn, ratio = True, _ratio(sides, target, options)
                tops += _bar(axes, place, 0.86 * width, ratio, part)
                bounds |= {ratio.bound} if ratio else set()
    if not drawn:
        raise UsageError(f"no run beside the baseline {what} is alike in all else: choose another one (--baseline)")
    axes.axhline(1, color="black", linewidth=0.8)
    _columns(axes, columns)
    axes.set_ylim(min(tops) / 1.15, max(tops) * 1.3)
    _ratio_ticks(axes)
    over = ", ".join(short([named(key, str(value)) for key, value in baseline.items()]))
    axes.set_ylabel(fill(f"speed-up over {over}", 24))
    axes.set_title(f"until {target} is reached, in {x if x != 'steps' else 'sums of step sizes'}")
    looks = [(fill(part.label, 60), part.look) for part in parts if part.label]
    handles = [Patch(facecolor=of.color, hatch=of.hatch, edgecolor="white", label=label) for label, of in looks]
    ncols = legend_columns([part.label for part in parts])
    figure.legend(handles=handles, loc="outside upper left", ncols=ncols, columnspacing=1.2)
    said = [f"{sign}: {why}" for sign, why in _BOUNDS.items() if sign in bounds]
    hollow = f"hollow: some did not arrive by the budget ({', '.join(said)})\n" if said else ""
    note(figure, hollow + "bars: ratio of mean times", f"lines: {100 * confidence:g} % intervals", clock_of(found))
    return figure


def _ratio(sides: Sequence[list[Record]], target: Target, options: dict[str, Any]) -> SpeedUp | None:
    """The speed-up of the second side over the first; None if no run reaches the target."""
    curve = {name: options[name] for name in ("loss", "window")}
    if not any(crossing(record, target, **curve).reached for side in sides for record in side):
        return None
    return analysis.speed_up(sides[0], sides[1], target, **options)


def _bar(axes: Axes, place: float, width: float, found: SpeedUp | None, part: Group) -> list[float]:
    """Draw one bar with its interval and its number, hollow for a bound; returns the ends of the interval."""
    if found is None:
        axes.text(place, 1.02, "none\nreached", ha="center", va="bottom", fontsize=6.5, color=GREY)
        return []
    exact = found.bound == "="
    filled: dict[str, Any] = {"color": part.look.color, "alpha": 0.75, "edgecolor": "white", "linewidth": 0}
    hollow: dict[str, Any] = {
        "color": "none",
        "edgecolor": part.look.color,
        "linewidth": 1.2,
        "linestyle": (0, (3, 1.5)),
    }
    axes.bar(place, found.ratio - 1, width, bottom=1, hatch=part.look.hatch, **(filled if exact else hollow))
    low, high = found.interval or (found.ratio, found.ratio)
    axes.vlines(place, low, high, color="black", linewidth=1.0)
    axes.annotate(f"{found.bound.strip('=')}{found.ratio:.2f}", (place, max(1.0, high)), (0, 2),
                  textcoords="offset points", ha="center", va="bottom", fontsize=7)  # fmt: skip
    return [low, high]


def _ratio_ticks(axes: Axes) -> None:
    """Set ticks at round ratios, more of them if the axis is short."""
    low, high = axes.get_ylim()
    steps = (1, 1.25, 1.5, 2, 2.5, 3) if high / low < 8 else (1, 2, 4, 8, 16, 32, 64)
    ticks = sorted({y for step in steps for y in (step, 1 / step) if low <= y <= high})
    axes.set_yticks(ticks, [f"{y:.3g}" if y >= 1 else f"{y:.2f}" for y in ticks])
    axes.minorticks_off()
