"""Histograms of staleness, with the models that fit them."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..analysis import Record, varying
from ..errors import UsageError
from ..formatting import number
from ..staleness import Fit, StalenessDistribution, fit
from .groups import Runs, as_records, clock_of, groups, in_panels
from .style import BLACK, GREEN, PALE, VERMILION, Axes, Figure, note, styled

_OF_THREADS = ("problem", "batch_size")  # keys on which the times of real threads depend
_BARS = 40
_SHOWN = 0.995  # share of the updates that the axis has room for
_HEAVY = 4  # bins double if the largest staleness is so many times the length of the axis
_LINES = {"geometric": (VERMILION, "-"), "poisson": (GREEN, (0, (4, 1.5))), "cmp": (BLACK, (0, (1, 1.2)))}
_NAMES = {"geometric": "geometric", "poisson": "Poisson", "cmp": "Conway–Maxwell–Poisson (CMP)"}
_SYMBOLS = {"p": "p", "mean": "λ", "rate": "λ", "dispersion": "ν"}


@styled
def staleness(
    runs: Runs, by: Sequence[str] | None = None, *, models: Sequence[str] = ("geometric", "poisson", "cmp")
) -> Figure:
    """The share of applied updates that had each staleness, in a panel for each group of runs.

    Lines are models fitted to the counts by maximum likelihood (`asapnb.staleness.fit`). The panel names the model
    with the lowest AIC. The axis ends where 99.5 % of the updates are shown. Wide distributions are put into bins,
    and a bar or line then shows the share of all values of a bin. If some updates are far staler than the axis, both
    axes are logarithmic and bins double in width. A bar then holds the values from its tick up to the next one.

    Args:
        runs: the runs.
        by: the keys whose values make panels; by default those that staleness depends on, as far as they vary:
            scheme, workers and timing, and for real threads also problem and batch size.
        models: the models to fit: some of "geometric", "poisson" and "cmp".

    Raises:
        UsageError: for runs without updates, an unknown model, and more than 12 groups.

    >>> import asapnb as ab
    >>> run = ab.simulate(ab.problems.quadratic([1.0]), workers=8, updates=200, batch_size=1, step_size=0.01)
    >>> figure = staleness(run, models=["geometric"])
    >>> float(figure.axes[0].patches[0].get_height()), 100 * float(run.staleness.pmf[0])
    (12.5, 12.5)
    """
    found = as_records(runs)
    parts = groups(found, causes(found) if by is None else by)
    last = len({part.key[-1:] for part in parts})
    columns = last if 1 < last < 4 and len(parts) % last == 0 else min(len(parts), 3)
    width, height = (5.0, 2.3) if columns == 1 else (min(7.2, 3.0 * columns), 1.75)
    figure, grid = in_panels(parts, columns, width, height, "share of updates, %")
    for axes, part in zip(grid.ravel(), parts, strict=False):
        _draw(axes, counts(part.records), models)
    for column in range(columns):
        grid[(len(parts) - 1 - column) // columns, column].set_xlabel("staleness τ, updates")
    handles, names = grid[0, 0].get_legend_handles_labels()
    if names:
        figure.legend(handles, names, loc="outside upper left", ncols=len(names))
    note(figure, "bars: seen", "lines: models fitted", clock_of(found))
    return figure


def causes(found: Sequence[Record]) -> list[str]:
    """The keys that vary among these runs and on which staleness depends."""
    keys = ("scheme", "workers", "timing", *(() if all(record.is_virtual for record in found) else _OF_THREADS))
    vary = varying(found)
    return [key for key in keys if key in vary]


def counts(found: Sequence[Record]) -> NDArray[np.int64]:
    """How many applied updates of these runs had staleness 0, 1, …; UsageError if there are none."""
    of_runs = [record.run.by_staleness["updates"] for record in found]
    total = np.zeros(max(1, *map(len, of_runs)), np.int64)
    for some in of_runs:
        total[: len(some)] += some
    if not total.any():
        raise UsageError(f"{found[0].name} has no applied update, so no staleness: leave the run out")
    return total


def _draw(axes: Axes, seen: NDArray[np.int64], models: Sequence[str]) -> None:
    """Draw a panel: bars, lines of models, and figures as text."""
    observed = StalenessDistribution.from_counts(seen)
    fitted = [fit(seen, model) for model in models]
    end = int(max(observed.quantile(_SHOWN), 3))
    heavy = observed.support > _HEAVY * (end + 1)
    if heavy:
        edges = np.array([0, *(2**i for i in range(observed.support.bit_length() + 1))])
        middle, width = np.arange(len(edges) - 1.0), 1.0
    else:
        width = math.ceil((end + 1) / _BARS)
        edges = np.arange(0, end + width + 1, width)
        middle = (edges[:-1] + edges[1:] - 1) / 2
    bars = 100 * shares(observed, edges)
    axes.bar(middle, bars, width=0.86 * width, color=PALE, linewidth=0)
    for found in fitted:
        color, dash = _LINES[found.model]
        line = 100 * shares(found.distribution, edges)
        axes.plot(middle, line, color=color, linestyle=dash, linewidth=1.2, label=_NAMES[found.model])
    if heavy:
        axes.set(yscale="log", ylim=(0.3 * bars[bars > 0].min(), 3000), xlim=(-0.6, len(middle) - 0.4))
        axes.set_xticks(middle, [f"{low:,}" for low in edges[:-1]], rotation=45 if len(middle) > 8 else 0)
        axes.set_yticks([y for y in (0.01, 0.1, 1, 10, 100) if y > axes.get_ylim()[0]])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    else:
        axes.set(xlim=(-0.5 - 0.01 * end, edges[-1] - 0.5), ylim=(0, 1.3 * axes.get_ylim()[1]))
        axes.locator_params(axis="x", integer=True)
    lines = [f"mean {observed.mean():.3g}, largest {observed.support:,}", *([_best(fitted)] if fitted else [])]
    if width > 1:
        lines.append(f"a bar: {width} values of τ")
    axes.annotate("\n".join(lines), (1, 1), xycoords="axes fraction", ha="right", va="top", fontsize=7.5)


def shares(staleness: StalenessDistribution, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """The probability of the values from each edge up to the next.

    >>> shares(StalenessDistribution.from_pmf([0.5, 0.25, 0.25]), np.array([0, 2, 4])).tolist()
    [0.75, 0.25]
    """
    pmf = staleness.padded(max(len(staleness), int(edges[-1]) + 1)).pmf
    return np.add.reduceat(pmf[: edges[-1]], edges[:-1])


def _best(fitted: Sequence[Fit]) -> str:
    """The model of least AIC, with its parameters."""
    best = min(fitted, key=lambda found: found.aic)
    given = ", ".join(f"{_SYMBOLS[name]} = {number(value, 3)}" for name, value in best.parameters.items())
    return f"best: {best.model.upper() if best.model == 'cmp' else _NAMES[best.model]}, {given}"
