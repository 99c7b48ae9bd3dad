"""The shares of runs that have reached a target, or diverged, by each time."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..analysis import Crossing, Steps, Target, crossing, cumulative_incidence, incidence_bands
from ..analysis.records import Loss
from .curves import axis_label
from .groups import Group, Runs, as_records, clock_of, groups
from .labels import End, label_ends
from .style import Axes, Figure, new_figure, note, styled
from .times import EVENTS, usual_target

_BANDS = 3  # more lines than this have bars instead of bands


@styled
def survival(
    runs: Runs, target: Target | None = None, by: Sequence[str] | None = None, *,
    x: str = "seconds", curve: Loss = "evaluated", window: int | None = None,
) -> Figure:  # fmt: skip
    """The share of runs that have reached a target by each time, and in a panel below the share that have diverged.

    Shares are Aalen-Johansen estimates, in which divergence competes with reaching the target. If no run diverged,
    they are 1 minus the Kaplan-Meier curve. A run that ended otherwise is censored, and a tick on its line marks the
    end. Bands are 95 % intervals at each time (`asapnb.analysis.incidence_bands`). With more than three lines, bars
    show the intervals at the end instead.

    Args:
        runs: the runs.
        target: the loss to reach; the default is that of `time_to_target`.
        by: the keys whose values make lines; by default all that vary, except the seed.
        x: the unit of time: "seconds", "updates", "epochs" or "steps" (the sum of all step sizes).
        curve: the training loss, "evaluated" or "smoothed", as in `Record.curve`.
        window: how many updates a smoothed loss is the mean of, as in `Record.curve`.

    Raises:
        UsageError: for times of several clocks, and for a target not below a run's initial loss.

    >>> import asapnb as ab
    >>> problem = ab.problems.quadratic([1.0])
    >>> runs = [ab.simulate(problem, workers=2, updates=60, eval_every=1, batch_size=1, seed=s) for s in (1, 2)]
    >>> survival(runs, Target(fraction=0.5), x="updates").axes[0].lines[0].get_ydata()[-1]
    np.float64(1.0)
    """
    found = as_records(runs)
    target = usual_target(found, curve) if target is None else target
    label = axis_label(found, x)
    parts = groups(found, by)
    crossings = [[crossing(record, target, curve, window) for record in part.records] for part in parts]
    outcomes = {"reached", *(one.outcome for of in crossings for one in of)}
    events = [event for event in EVENTS if event in outcomes]
    figure = new_figure(5.8, 3.2 if len(events) == 1 else 4.6)
    grid = figure.subplots(len(events), 1, squeeze=False, sharex=True, height_ratios=(1.7, 1)[: len(events)])[:, 0]
    end = max(c.end[x] for part in crossings for c in part)
    panels = dict(zip(events, grid, strict=True))
    bars = [None] * len(parts) if len(parts) <= _BANDS else [(1 - 0.02 * (n + 1)) * end for n in range(len(parts))]
    ends = [_shares(panels, *of, x, end) for of in zip(parts, crossings, bars, strict=True)]
    for event, axes in panels.items():
        axes.set(ylim=(-0.02, 1.04), xlim=(0, 1.01 * end))
        axes.set_ylabel("share that reached it" if event == "reached" else "diverged")
    grid[0].set_title(f"{target} reached")
    grid[-1].set_xlabel(label)
    note(figure, f"{'bars' if any(bars) else 'bands'}: 95 %", "ticks: runs that ended without", clock_of(found, x))
    for event, axes in panels.items():
        label_ends(axes, [of[event] for of in ends if event in of])
    return figure


def _shares(
    panels: Mapping[str, Axes], part: Group, found: Sequence[Crossing], bar: float | None, x: str, end: float
) -> dict[str, End]:  # fmt: skip
    """Draw the line of a group in the panel of each event, with a band or, if `bar` is a place, a bar there.

    Returns the labels of the ends.
    """
    times = np.array([one.end[x] if one.at(x) is None else one.at(x) for one in found], float)
    outcomes = [one.outcome for one in found]
    curves = cumulative_incidence(times, outcomes, EVENTS)
    bands = incidence_bands(times, outcomes, EVENTS)
    censored = times[~np.isin(outcomes, EVENTS)]
    known, ticks = times.max() if len(censored) else end, np.unique(censored)
    ends = {}
    for event, axes in panels.items():
        curve, happened = curves[event], outcomes.count(event)
        (when, low), (_, high) = (_up_to(known, edge) for edge in bands[event])
        axes.step(*_up_to(known, curve), where="post", color=part.look.color, linestyle=part.look.dash)
        if bar is None:
            axes.fill_between(when, low, high, step="post", color=part.look.color, alpha=0.12, linewidth=0)
        else:
            axes.vlines(bar, low[-1], high[-1], color=part.look.color, linewidth=0.9)
        axes.plot(ticks, curve(ticks), "|", color=part.look.color, markersize=7)
        if happened or event == "reached":
            text = f"{part.label}: {happened:,} of {len(found):,}".removeprefix(": ")
            ends[event] = End(known, float(curve.values[-1]), text, part.look)
    return ends


def _up_to(end: float, steps: Steps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The times and values of a step function, continued to the end."""
    return np.append(steps.times, end), np.append(steps.values, steps.values[-1])
