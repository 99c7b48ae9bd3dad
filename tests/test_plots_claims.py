"""Figures claim no more than the runs show: shares of bins, bounds, what is counted, one colour for a rule."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from synthetic import HALF, record, runs

import asapnb as ab
from asapnb import plots
from asapnb.analysis import Target, matching, records, speed_up
from asapnb.errors import UsageError
from asapnb.plots import distributions
from asapnb.plots.groups import groups, rules_coloured
from asapnb.plots.kinds import KINDS
from asapnb.plots.style import new_figure
from asapnb.report import sections, staleness
from asapnb.staleness import StalenessDistribution


@pytest.fixture(scope="module")
def several():
    """Three rules at two numbers of workers."""
    problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(2,))
    return records([
        ab.simulate(problem, rule=rule, workers=workers, updates=24, eval_every=8, step_size=0.1, eval_samples=50)
        for rule in ("constant", "inverse", "tail") for workers in (2, 4)
    ])  # fmt: skip


@pytest.mark.parametrize("end", [30, 370])
def test_the_bar_of_a_bin_is_its_share(end, monkeypatch):
    monkeypatch.setattr(distributions, "_SHOWN", 1.0)
    counts = np.bincount([0, end], [970, 30]).astype(np.int64)
    axes = new_figure(5, 2).add_subplot()
    distributions._draw(axes, counts, [])
    heights = [bar.get_height() for bar in axes.patches]
    assert_allclose((heights[0], sum(heights)), (97, 100))
    assert ("a bar: 10 values of τ" in axes.texts[0].get_text()) == (end == 370)


def test_a_line_of_a_chart_is_the_share_of_each_bin():
    narrow, wide = (StalenessDistribution.from_counts(np.bincount([0, end], [97, 3])) for end in (3, 370))
    edges = staleness._bins([narrow, wide])
    assert_allclose(np.diff(edges), 4)
    for one in (narrow, wide):
        found = distributions.shares(one, edges)
        assert_allclose((found[0], found.sum()), (1.0 if one is narrow else 0.97, 1.0))


@pytest.mark.parametrize(
    ("base", "other", "bound", "written"),
    [
        ([40, 50], [20, 30], "=", "1.80"),
        ([None, 50], [20, 30], "≥", "≥3.00"),
        ([40, 50], [None, 30], "≤", "≤0.69"),
        ([None, 50], [None, 30], "~", "~1.15"),
    ],
)
def test_what_rests_on_runs_that_never_arrived_is_a_bound(base, other, bound, written):
    base, other = runs(base), runs(other, rule="tail()")
    found = speed_up(base, other, HALF)
    assert (found.bound, found.cut) == (bound, (sum(r.curve().loss[-1] > 0.5 for r in base),
                                                sum(r.curve().loss[-1] > 0.5 for r in other)))  # fmt: skip
    figure = plots.speed_up([*base, *other], HALF)
    assert written in [text.get_text() for text in figure.axes[0].texts]
    (bar,) = figure.axes[0].patches
    assert (bar.get_facecolor()[3] == 0) == (bound != "=")
    assert ("did not arrive by the budget" in figure.get_supxlabel()) == (bound != "=")


@pytest.mark.parametrize("long", [200.0, 1000.0])
@pytest.mark.parametrize("late", ["base", "other"])
def test_the_bound_holds_once_all_have_arrived(late, long):
    """Watched for longer, the ratio moves to the side that the bound says."""

    def measured(arrival):
        times = {"base": [40, 50], "other": [20, 30]} | {late: [arrival, 30]}
        return speed_up(*(runs(some, rule=side) for side, some in times.items()), HALF)

    short, full = measured(None), measured(long)
    assert (short.bound, full.bound) == ("≥" if late == "base" else "≤", "=")
    assert full.ratio > short.ratio if short.bound == "≥" else full.ratio < short.ratio


def test_a_budget_cuts_runs_that_arrive_later():
    found = speed_up(runs([40, 50]), runs([20, 90], rule="tail()"), HALF, budget=60)
    assert (found.bound, found.cut, found.not_reached) == ("≤", (0, 1), (0, 0))


@pytest.mark.parametrize(("target", "says"), [(None, "ended below their initial loss"), (HALF, f"reached {HALF}")])
def test_a_stability_region_names_what_it_counts(target, says):
    """These runs fall, but do not arrive."""
    found = [record(None, step_size=size, workers=workers) for size in (0.1, 0.2) for workers in (1, 2)]
    figure = plots.stability(found, target=target)
    assert figure.get_suptitle() == f"runs that {says}"
    assert_allclose(figure.axes[0].collections[0].get_array(), 1.0 if target is None else 0.0)


def test_a_rule_has_one_colour_in_all_figures_and_dashes_tell_its_lines_apart(several):
    colors = {group.key[0]: group.look.color for group in groups(several, ["rule"])}
    with rules_coloured(several):
        for some in (several, several[2:], matching(several, {"workers": 4}), several[::-1]):
            for by in (["rule"], ["rule", "workers"], ["workers", "rule"], None):
                for group in groups(some, by):
                    assert group.look.color == colors[group.records[0].value("rule")]
    both = groups(several, ["rule", "workers"])
    assert len({(group.look.color, group.look.dash) for group in both}) == len(both) == 6
    figure = plots.speed_up(several, Target(fraction=0.99), {"rule": "constant"}, ["rule", "workers"])
    inverse = next(group.look for group in both if group.label.startswith("inverse"))
    from matplotlib.colors import to_rgba

    drawn = {patch.get_edgecolor()[:3] for patch in figure.axes[0].patches}
    drawn |= {patch.get_facecolor()[:3] for patch in figure.axes[0].patches}
    assert not figure.axes[0].patches or to_rgba(inverse.color)[:3] in drawn


def test_more_lines_of_a_rule_than_dashes_still_differ():
    found = [record(10, rule=rule, step_size=0.1 * (1 + n)) for rule in "ab" for n in range(9 if rule == "a" else 2)]
    looks = [group.look for group in groups(found, ["rule", "step_size"])]
    assert len(set(looks)) == len(looks) == 11


def test_each_chart_names_its_target_and_clock(several):
    (section,) = sections.sections(several, [Target(fraction=0.95)], None, "updates")
    said = {chart.name.partition("-")[2].split("-")[-1]: chart.title + chart.caption for chart in section.charts}
    assert "95 % of the initial loss" in said["target"]
    assert all("virtual time" in text for text in said.values()), said
    pictures = [picture.title for picture in section.pictures]
    assert "Share of runs that reached 95 % of the initial loss, by updates" in pictures


def test_the_accuracy_of_runs_is_drawn(several):
    figure = KINDS["accuracy"].draw(several, by=["rule"], x="updates")
    (axes,) = figure.axes
    for line, group in zip(axes.lines, groups(several, ["rule"]), strict=True):
        shares = [100 * one.run.evals["test_accuracy"] for one in group.records]
        assert_allclose(line.get_ydata(), np.median(shares, axis=0))
    bowl = ab.simulate(ab.problems.quadratic([1.0]), workers=1, updates=4, batch_size=1)
    with pytest.raises(UsageError, match="no test accuracy"):
        plots.accuracy(bowl)
