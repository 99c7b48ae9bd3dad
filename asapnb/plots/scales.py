"""Scales of rules by staleness, and the mean scale by number of workers."""

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis import Record, varying
from ..errors import UsageError
from ..formatting import number
from ..numbers import integer
from ..record.figures import workforce
from ..rules import as_rule
from ..rules.tables import table_length
from ..staleness import StalenessDistribution, parse_staleness
from .distributions import counts
from .groups import Runs, as_records, clock_of, groups, spare_looks
from .labels import End, label_ends, short
from .style import PALE, Axes, Figure, Look, grey_line, new_figure, note, styled

_SHOWN = 0.995


@styled
def scale(
    source: StalenessDistribution | str | Runs, rules: Sequence[Any] = (), *, workers: int | None = None
) -> Figure:
    """The scale η(τ)/η₀ that rules give to each staleness, above the distribution of staleness.

    The label of a rule shows its mean scale E[scale] under the distribution. For a rule of the runs it shows the mean
    of what was applied, scale · factor. If runs had factors, as under a schedule, the scales of their rules are drawn
    times the mean factor.

    Args:
        source: a distribution, the text of a model such as "geometric(m=16)", or runs with the same number of
            workers. For runs, the last table of each of their own rules is drawn, too.
        rules: the rules to draw, as for `train`.
        workers: the number of workers that the rules are told. For runs it is theirs. For a distribution the default
            is the mean staleness + 1.

    Raises:
        UsageError: if there is nothing to draw, and for runs of several numbers of workers.

    >>> figure = scale("geometric(m=8)", ["tail", "inverse"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['tail: mean 1', 'inverse: mean 0.297']
    """
    seen, workers, about, lines = _given(source, workers)
    padded = seen.padded(table_length(workers, seen.support))
    named = [as_rule(rule) for rule in rules]
    spare = spare_looks([of for *_, of in lines])
    for name, rule in zip(short([str(rule) for rule in named]), named, strict=True):
        lines.append((name, rule(padded, workers), rule.mean_scale(padded, workers), next(spare)))
    if not lines:
        raise UsageError('there is no rule to draw: give some, as ["tail", "inverse"] (--rule tail --rule inverse)')
    end = int(max(seen.quantile(_SHOWN), 3))
    tau = np.arange(end + 1)
    figure = new_figure(5.8, 4.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    grey_line(above, 1.0)
    ends = []
    for name, table, mean, of in lines:
        drawn = table[np.minimum(tau, len(table) - 1)]
        above.plot(tau, drawn, color=of.color, linestyle=of.dash)
        ends.append(End(end, float(drawn[-1]), f"{name}: mean {number(mean, 3)}", of))
    above.set(ylabel="scale η(τ)/η₀", ylim=(0, min(1.06 * above.get_ylim()[1], _tallest(lines, end))))
    below.bar(tau, 100 * seen.padded(max(len(seen), end + 1)).pmf[: end + 1], width=0.86 if end < 60 else 1.0,
              color=PALE, linewidth=0)  # fmt: skip
    below.set(xlabel="staleness τ, updates", ylabel="share, %", xlim=(-0.5 - 0.01 * end, end + 0.5))
    note(figure, about)
    label_ends(above, ends)
    return figure


Line = tuple[str, NDArray[np.float64], float, Look]


def _given(source: Any, workers: int | None) -> tuple[StalenessDistribution, int, str, list[Line]]:
    """The staleness, the number of workers, a note on both, and the lines of the runs' own rules."""
    if isinstance(source, str) and "(" in source and not source.endswith(".h5"):
        seen, about = parse_staleness(source), f"computed for {source}"
    elif isinstance(source, StalenessDistribution):
        seen, about = source, f"computed, for staleness of mean {number(source.mean(), 3)}"
    else:
        return _recorded(source)
    chosen = 1 + round(seen.mean()) if workers is None else integer("workers", workers, 1)
    return seen, chosen, about, []


def _recorded(runs: Runs) -> tuple[StalenessDistribution, int, str, list[Line]]:
    given = as_records(runs)
    found = [record for record in given if record.summary()["updates"]]  # each with a table
    if not found:
        raise UsageError(f"{given[0].name} has no table of scales: give a run that got as far as its first update")
    forces = sorted({workforce(record.run) for record in found}, key=lambda force: (force.most, force.changes))
    if len(forces) > 1:
        raise UsageError(
            f"the runs have {' and '.join(map(str, forces))} workers, and so different staleness: choose one number "
            f"(--where {shlex.quote(f'workers={forces[0]}')})"
        )
    lines = []
    for part in groups(found, ["rule", *(key for key in varying(found) if key == "schedule")]):
        facts = [record.summary() for record in part.records]
        table = part.records[0].run.rule_tables.scales[-1] * _mean([one["mean_factor"] for one in facts], 1.0)
        lines.append((part.label, table, _mean([one["mean_scale"] for one in facts]), part.look))
    seen = StalenessDistribution.from_counts(counts(found))
    times = "" if all(record.summary()["mean_factor"] in (1, None) for record in found) else " times the mean factor"
    return seen, forces[0].most, f"staleness of {forces[0].briefly}, {clock_of(found)}; last tables{times}", lines


def _mean(values: Sequence[float | None], otherwise: float = np.nan) -> float:
    """The mean of the values that are known, if there are any."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else otherwise


def _tallest(lines: Sequence[Line], end: int) -> float:
    """The top of the axis: above all scales, or at 4 if the largest is 6 or more."""
    tops = sorted(float(table[: end + 1].max()) for _, table, *_ in lines)
    return 1.06 * max(tops[-1] if tops[-1] < 6 else 4.0, 1.2)


@styled
def magnitude(
    runs: Runs | None = None, by: Sequence[str] | None = None, *, rules: Sequence[Any] = (),
    staleness: str = "geometric(m={workers})", workers: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256),
) -> Figure:  # fmt: skip
    """The mean scale E[η]/η₀ of rules against the number of workers.

    Points are means over the applied updates of runs; a bar goes from the least to the greatest run. Lines are
    computed for rules. A rule that only dampens falls; a rule that keeps the mean step stays at 1.

    Args:
        runs: the runs; None to draw computed lines only.
        by: the keys whose values make groups of runs; by default rule, schedule, scheme and timing.
        rules: the rules to compute lines for, as for `train`.
        staleness: the text of the model for `rules`, in which {workers} stands for the number of workers. With runs,
            their own staleness is taken instead.
        workers: the numbers of workers for `rules`. With runs, their own numbers are taken instead.

    Raises:
        UsageError: if there are neither runs nor rules.

    >>> figure = magnitude(rules=["tail", "inverse"], workers=(2, 8))
    >>> [line.get_ydata().round(3).tolist() for line in figure.axes[0].lines[1:]]
    [[1.0, 1.0], [0.693, 0.297]]
    """
    if runs is None and not (rules and workers):
        raise UsageError('there is nothing to draw: give runs, or rules such as ["tail", "inverse"]')
    figure = new_figure(5.2, 3.2)
    axes = figure.add_subplot()
    grey_line(axes, 1.0)
    found = [] if runs is None else as_records(runs)
    own = ["rule", *(key for key in varying(found) if key in ("schedule", "scheme", "timing"))]
    parts = groups(found, own if by is None else by) if found else []
    ends = [_points(axes, part.records, part.label, part.look) for part in parts]
    if found:
        at = sorted({int(record.run.attributes["workers"]) for record in found})
        seen = [StalenessDistribution.from_counts(counts([record for record in found
                if record.run.attributes["workers"] == m])) for m in at]  # fmt: skip
    else:
        at = [integer("workers", m, 1) for m in workers]
        seen = [parse_staleness(staleness.replace("{workers}", str(m))) for m in at]
    named = [as_rule(rule) for rule in rules]
    spare = spare_looks([part.look for part in parts])
    for name, rule in zip(short([str(rule) for rule in named]), named, strict=True):
        means = [
            rule.mean_scale(one.padded(table_length(m, one.support)), m) for one, m in zip(seen, at, strict=True)
        ]
        of = next(spare)
        axes.plot(at, means, color=of.color, linestyle=of.dash)
        ends.append(End(at[-1], means[-1], name + (", computed" if found else ""), of))
    worker_axis(axes, at)
    axes.set(ylabel="mean scale E[η]/η₀", ylim=(0, 1.08 * max(1.0, *(end.y for end in ends), axes.dataLim.y1)))
    model = staleness.replace("{workers}", "workers")
    note(figure, f"means over the updates applied; {clock_of(found)}" if found else f"computed for {model}")
    label_ends(axes, ends)
    return figure


def _points(axes: Axes, found: Sequence[Record], label: str, of: Look) -> End:
    """Draw the mean scale of these runs for each number of workers, with the range over runs."""
    means: dict[int, list[float]] = {}
    for record in found:
        mean = record.summary()["mean_scale"]
        if mean is not None:
            means.setdefault(int(record.run.attributes["workers"]), []).append(mean)
    if not means:
        raise UsageError(f"{found[0].name} has no applied update, so no mean scale: leave the run out")
    at = sorted(means)
    low, middle, high = np.array([(min(means[m]), np.mean(means[m]), max(means[m])) for m in at]).T
    reach = np.maximum([middle - low, high - middle], 0)
    axes.errorbar(at, middle, reach, color=of.color, linestyle=of.dash, marker=of.marker, elinewidth=0.9)
    return End(at[-1], float(middle[-1]), label, of)


def worker_axis(axes: Axes, workers: Sequence[int]) -> None:
    """Numbers of workers on a log axis, each with a tick."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(workers), [f"{m:,}" for m in workers])
    axes.minorticks_off()
    axes.set_xlabel("workers")
