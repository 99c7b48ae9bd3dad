"""The path of a run over an objective of two parameters, and the stale update that raised it most."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..analysis import Record
from ..errors import UsageError
from ..formatting import count, number
from ..numbers import integer
from ..problems import Problem
from ..problems.text import is_known, parse_problem
from ..record.changes import step_size_of
from ..record.schema import ABANDONED
from ..schemes import parse_scheme
from ..training.drawing import drawing_from, minibatches, row_gradient
from .executions import one
from .groups import Runs, clock_of, named
from .labels import short
from .style import BLACK, BLUE, GREY, VERMILION, Axes, Figure, new_figure, note, styled

_EXTRAS = ("momentum", "weight_decay", "compensation", "clip")  # a path cannot be computed with these
_GRID = 120
_LEVELS = 14


class Path(NamedTuple):
    """Every version of the parameters, and each update.

    Attributes:
        points: the parameters of each version, of shape (updates + 1, n).
        views: the version of the view of each update, of shape (updates,).
        steps: the step size times the scale of each update, of shape (updates,).
        gradients: the gradient of each update at its view, of shape (updates, n).
    """

    points: NDArray[np.float64]
    views: NDArray[np.int64]
    steps: NDArray[np.float64]
    gradients: NDArray[np.float64]


def trace(record: Record, problem: Problem | None = None) -> Path:
    """All versions of the parameters of a run, computed again from its rows in float64: x − step · g(view).

    UsageError for momentum, an optimizer, weight decay or compensation, for rounds of several gradients, and if the
    last version is not the recorded one, as when views mix versions.
    """
    run, config = record.run, record.config
    extra = [name for name in _EXTRAS if config.get(name)] + ["optimizer"] * (config.get("optimizer", "sgd") != "sgd")
    if extra:
        raise UsageError(f"{record.name} has {extra[0]} {config[extra[0]]}: a path needs runs without it")
    problem = parse_problem(str(config["problem"]), str(config.get("data"))) if problem is None else problem
    rows = np.flatnonzero(run.updates["dropped"] != ABANDONED)
    views, batches, workers = (run.updates[name][rows] for name in ("read_version", "batch", "worker"))
    scales = run.updates["scale"][rows].astype(float) * run.updates["factor"][rows]
    sizes = np.broadcast_to(step_size_of(run, run.updates["version"][rows]), len(rows))
    steps = sizes * scales
    if not np.array_equal(run.updates["version"][rows], np.arange(1, len(rows) + 1)):
        raise UsageError(f"{record.name} has rounds of several gradients: a path needs one update a row, such as "
                         "of LockBased or Leashed")  # fmt: skip
    points = np.empty((len(rows) + 1, problem.n_params))
    gradients = np.empty((len(rows), problem.n_params))
    points[0] = run.params["initial"]
    drawing = drawing_from(problem, run.config)
    for v in range(len(rows)):
        drawn = minibatches(drawing, int(workers[v]), int(batches[v]))
        at = points[views[v]].astype(problem.dtype)
        gradients[v] = row_gradient(problem, at, float(sizes[v]), drawn)
        points[v + 1] = points[v] - steps[v] * gradients[v]
    if "final" in run.params and not _close(points[-1], run.params["final"], problem):
        raise UsageError(
            f"the path of {record.name} ends elsewhere than the run did: its views were no whole versions, as under "
            "Hogwild; use lock-based or leashed"
        )
    return Path(points, views, steps, gradients)


def _close(found: NDArray[Any], recorded: NDArray[Any], problem: Problem) -> bool:
    return np.allclose(found, recorded, rtol=1e-9 if problem.dtype == np.float64 else 1e-3, atol=1e-9, equal_nan=True)


def _follows_versions(record: Record) -> bool:
    """Whether each update of a run is one gradient, taken at one version."""
    scheme = parse_scheme(record.config["scheme"])
    workers = int(record.run.attributes["workers"])
    return scheme.consistent and scheme.gradients(workers) == 1 and not scheme.table_of(workers)


def has_path(record: Record) -> bool:
    """Whether `path` can follow a run: two parameters, a problem known by its text, views that are whole versions."""
    return (
        record.run.attributes["n_params"] == 2
        and is_known(str(record.config.get("problem")))
        and record.value("data") is None
        and _follows_versions(record)
        and not record.run.is_summary
        and not any(record.config.get(name) for name in _EXTRAS)
    )


@styled
def path(run: Runs, update: int | None = None, *, problem: Problem | None = None) -> Figure:
    """The path of a run over the level lines of an objective of two parameters, and one stale update.

    Dots are the versions of the parameters. For the update, arrows show the step of its gradient at its view, where
    the gradient was computed, and at the version it was applied to. A dashed arrow shows the step that a fresh
    gradient would have made.

    Args:
        run: one run.
        update: the number of the update to show, from 1; by default the stale one that raised the objective most.
        problem: the problem of the run. You need it only if the problem is your own.

    Raises:
        UsageError: for several runs, and for a run of other than two parameters, without updates, with views that
            mix versions, or with momentum, weight decay or compensation.

    >>> import asapnb as ab
    >>> bowl = ab.problems.quadratic([1.0, 8.0])
    >>> run = ab.simulate(bowl, workers=4, updates=30, batch_size=1, step_size=0.1, timing="compute=exponential(1)")
    >>> path(run).axes[0].get_xlabel()
    'x₁'
    """
    record = one(run, "a path")
    if (n := int(record.run.attributes["n_params"])) != 2:
        raise UsageError(
            f"{record.name} has {n:,} parameters: a path can be drawn of two, as of problem 'quadratic([1, 10])' or "
            "'rosenbrock'"
        )
    problem = parse_problem(str(record.config["problem"]), "") if problem is None else problem
    found = trace(record, problem)
    chosen = _worst(found, problem) if update is None else integer("update", update, 1, len(found.views))
    figure = new_figure(5.6, 4.2)
    axes = figure.add_subplot()
    shown = _extent(found, chosen)
    _contours(axes, problem, shown)
    before, after = found.points[:chosen], found.points[chosen:]
    axes.plot(*before.T, color=BLUE, linewidth=0.9, marker=".", markersize=4.5)
    axes.plot(
        *np.concatenate((before[-1:], after)).T, color=BLUE, linewidth=0.6, marker=".", markersize=3, alpha=0.35
    )
    _write_update(axes, found, chosen, problem)
    axes.set(xlim=shown[0], ylim=shown[1], xlabel="x₁", ylabel="x₂")
    scheme, rule = short([record.value("scheme")])[0], short([record.value("rule")])[0]
    workers = named("workers", str(record.value("workers")))
    axes.set_title(f"{short([record.value('problem')])[0]}, {scheme}, {workers}, {rule}, "
                   f"step size {number(record.config['step_size'], 3)}")  # fmt: skip
    note(figure, "level lines: equal steps of √f", "dots: parameters after each update", clock_of([record]))
    return figure


def _worst(found: Path, problem: Problem) -> int:
    """The number, from 1, of the stale update that raises the objective most."""
    if not len(found.views):
        raise UsageError("the run has no updates: there is no path to draw")
    values = np.array([problem.evaluate(point)[0] for point in found.points])
    rise = np.where(np.arange(len(found.views)) > found.views, np.diff(values), -np.inf)
    return int(np.nan_to_num(rise, nan=-np.inf).argmax()) + 1


def _extent(found: Path, chosen: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ranges of both axes: they hold the path up to a little after the update."""
    seen = found.points[: chosen + 12]
    seen = seen[np.isfinite(seen).all(axis=1)]
    low, high = seen.min(axis=0), seen.max(axis=0)
    margin = np.maximum(0.16 * (high - low), 0.12 * (high - low).max())
    (x0, y0), (x1, y1) = low - margin, high + margin
    return (float(x0), float(x1)), (float(y0), float(y1))


def _contours(axes: Axes, problem: Problem, shown: tuple[tuple[float, float], tuple[float, float]]) -> None:
    x, y = (np.linspace(*ends, _GRID) for ends in shown)
    values = np.array([[problem.evaluate(np.array([a, b]))[0] for a in x] for b in y])
    axes.contour(x, y, np.sqrt(values - values.min()), _LEVELS, colors="#bbbbbb", linewidths=0.6)


def _write_update(axes: Axes, found: Path, chosen: int, problem: Problem) -> None:
    """Mark the view, the place of application, the step made and the step of a fresh gradient, with a legend."""
    view, at, to = found.points[found.views[chosen - 1]], found.points[chosen - 1], found.points[chosen]
    whole = problem.loss_and_gradient(at, np.arange(1))[1] if problem.n_samples == 1 else _gradient(problem, at)
    fresh = at - found.steps[chosen - 1] * whole
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    for start, end, color, dash in (
        (view, view + (to - at), GREY, ":"), (at, fresh, BLACK, (0, (3, 1.5))), (at, to, VERMILION, "-"),
    ):  # fmt: skip
        axes.annotate(
            "", end, start, arrowprops={**arrow, "color": color, "linestyle": dash, "linewidth": 1.4}, zorder=4
        )
    axes.plot(*view, "s", color="white", markeredgecolor=GREY, markersize=6, zorder=5)
    axes.plot(*at, "o", color=VERMILION, markersize=6, zorder=5)
    values = [problem.evaluate(point)[0] for point in (at, to, fresh)]
    from matplotlib.lines import Line2D

    tau = int(chosen - 1 - found.views[chosen - 1])
    square: dict[str, Any] = {"marker": "s", "markersize": 6, "markerfacecolor": "white", "markeredgecolor": GREY}
    handles = [
        Line2D([], [], color=GREY, linestyle=":", label=f"view {count(tau, 'update')} before, its step", **square),
        Line2D([], [], color=BLACK, linestyle=(0, (3, 1.5)), label=f"fresh: f {_change(values[0], values[2])}"),
        Line2D([], [], color=VERMILION, marker="o", markersize=6,
               label=f"update {chosen} as applied: f {_change(values[0], values[1])}"),
    ]  # fmt: skip
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2, borderaxespad=0)


def _gradient(problem: Problem, at: NDArray[Any]) -> NDArray[np.float64]:
    """The exact gradient if the problem has one, else the gradient of its first samples."""
    exact = getattr(problem.evaluation, "exact_gradient", None)
    if exact is not None:
        return np.asarray(exact(at), dtype=float)
    return np.asarray(problem.loss_and_gradient(at, np.arange(min(problem.n_samples, 10_000)))[1], dtype=float)


def _change(before: float, after: float) -> str:
    return f"{before:.3g} → {after:.3g}"
