"""What the microscope saw: the error of gradients by their staleness."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import Record
from ..errors import UsageError
from .curves import Points
from .groups import Group, Runs, as_records, clock_of, groups
from .labels import End, label_ends
from .style import GREY, Axes, Figure, Look, grey_line, new_figure, note, styled

_BINS = 10
_DOTS = 20_000  # the most dots of a line
_NOISE = Look(GREY, (0, (5, 1.6)), "", "")


@styled
def microscope(runs: Runs, by: Sequence[str] | None = None) -> Figure:
    """The error of gradients, and their angle to the fresh gradient, against staleness.

    The upper panel shows ‖g(view) − g(x)‖ / ‖G(x)‖. That is the error that asynchrony adds to the gradient g of a
    minibatch, relative to the gradient G of all samples. A grey line shows ‖g(x) − G(x)‖ / ‖G(x)‖, the noise of the
    minibatch itself. The lower panel shows the cosine between g(view) and g(x). A dot is an update; at most 20,000
    are drawn. A line shows the medians of a group over bins of equally many updates.

    Args:
        runs: runs that were made with `microscope`.
        by: the keys whose values make groups; by default all that vary, except the seed.

    Raises:
        UsageError: for runs that were made without a microscope.

    >>> import asapnb as ab
    >>> problem = ab.problems.quadratic([1.0, 2.0], noise=0.1)
    >>> run = ab.simulate(problem, workers=8, updates=60, batch_size=1, step_size=0.01, microscope=1)
    >>> len(microscope(run).axes)
    2
    """
    found = as_records(runs)
    for record in found:
        if not record.run.rows.get("microscope"):
            raise UsageError(
                f"{record.name} has nothing seen by a microscope: make the run with one, as in asapnb simulate … "
                "--microscope 10, or asapnb replay RUN.h5 --microscope 10"
            )
    parts = groups(found, by)
    figure = new_figure(5.8, 4.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.4, 1))
    seen = [_seen(part.records) for part in parts]
    ends: list[End] = []
    tops = []
    for part, one in zip(parts, seen, strict=True):
        tau, errors = _column(part, one, "error")
        label = f"error by staleness\n{part.label}".strip()
        ends.append(_draw(above, tau, errors, part.look, label))
        tops.append(float(np.quantile(errors, 0.95)))
    noises = [_column(part, one, "noise") for part, one in zip(parts, seen, strict=True)]
    x, noise = _binned(*map(np.concatenate, zip(*noises, strict=True)))
    above.plot(x, noise, color=GREY, linestyle=_NOISE.dash, linewidth=1.0)
    above.set(ylabel="error / size of full gradient", ylim=(0, 1.15 * max(*tops, float(noise.max()))))
    ends.append(End(x[-1], float(noise[-1]), "noise of the\nminibatch", _NOISE))
    grey_line(below, 0.0)
    lower = [
        _draw(below, *_column(part, one, "cosine", relative=False), part.look, part.label)
        for part, one in zip(parts, seen, strict=True)
    ]
    below.set(xlabel="staleness τ, updates", ylabel="cosine with fresh", ylim=(None, 1.05))
    below.set_xlim(-0.5, 1.12 * max(end.x for end in ends))
    most = max(len(one["tau"]) for one in seen)
    dots = f"dots: {_DOTS:,} of up to {most:,} updates of a line" if most > _DOTS else "dots: updates"
    note(figure, dots, "lines: medians", clock_of(found))
    label_ends(above, ends)
    label_ends(below, [end for end in lower if end.text])
    return figure


def _seen(found: Sequence[Record]) -> dict[str, NDArray[Any]]:
    """What the microscope saw in these runs, each of which is read once and not kept."""
    seen = []
    for record in found:
        columns = record.run.anew().microscope
        seen.append({name: columns[name] for name in ("tau", "error", "noise", "cosine", "fresh")})
    return {name: np.concatenate([one[name] for one in seen]) for name in seen[0]}


def _column(part: Group, seen: Mapping[str, NDArray[Any]], name: str, relative: bool = True) -> Points:
    """Staleness and the finite values of a column; if `relative`, divided by the size of the full gradient."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = seen[name] / seen["fresh"] if relative else seen[name]
    known = np.isfinite(values)
    if not known.any():
        raise UsageError(f"{part.records[0].name} has no finite {name} seen by its microscope: leave the run out")
    return seen["tau"][known].astype(float), values[known]


def _draw(axes: Axes, tau: NDArray[np.float64], values: NDArray[np.float64], of: Look, label: str) -> End:
    few = np.linspace(0, len(tau) - 1, min(len(tau), _DOTS)).astype(np.intp)
    axes.plot(tau[few], values[few], ".", color=of.color, markersize=3, alpha=0.3, markeredgewidth=0, rasterized=True)
    x, middle = _binned(tau, values)
    axes.plot(x, middle, color=of.color, linestyle=of.dash, marker=of.marker, markersize=3.5)
    return End(x[-1], float(middle[-1]), label, of)


def _binned(tau: NDArray[np.float64], values: NDArray[np.float64]) -> Points:
    """Medians of tau and of the values over bins of about equal counts; no tau is in two bins."""
    edges = np.unique(np.quantile(tau, np.linspace(0, 1, _BINS + 1)[1:-1], method="inverted_cdf"))
    bins = np.searchsorted(edges, tau)
    x, y = ([np.median(column[bins == b]) for b in np.unique(bins)] for column in (tau, values))
    return np.array(x), np.array(y)
