"""The figures hold the data of the runs, and no text lies over another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from processes import python
from synthetic import record

import asapnb as ab
from asapnb import plots
from asapnb.analysis import Target, crossing, matching, records, speed_up, wilson
from asapnb.errors import RecordError, UsageError
from asapnb.plots import curves, labels
from asapnb.plots.groups import as_records, groups, panels, split, time_label
from asapnb.plots.looks import _binned
from asapnb.plots.paths import trace
from asapnb.plots.style import LOOKS, look
from asapnb.report import charts

BOWL = ab.problems.quadratic([1.0, 6.0], start=[-1.0, 0.8])
SLOW = "compute=1, read=exponential(3), update=exponential(3)"
HALF = Target(fraction=0.5)


def simulated(**arguments):
    given = {"updates": 60, "eval_every": 6, "batch_size": 1, "timing": "compute=exponential(1)", "threads": 1}
    return ab.simulate(arguments.pop("problem", BOWL), **{**given, **arguments})


@pytest.fixture(scope="module")
def sweep():
    """Rules × workers × step sizes × seeds on a quadratic; the largest step diverges with many workers."""
    return records([
        simulated(rule=rule, workers=workers, step_size=size, seed=seed)
        for rule in ("constant", "tail") for workers in (2, 12) for size in (0.04, 1.2) for seed in (1, 2, 3)
    ])  # fmt: skip


@pytest.fixture(scope="module")
def small(sweep):
    return matching(sweep, {"step_size": 0.04})


@pytest.fixture(scope="module")
def seen():
    return simulated(workers=6, step_size=0.05, seed=4, microscope=1)


def texts(figure):
    """Every text of a figure that is shown, with the box it fills."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    hidden = set()
    for axes in figure.axes:
        if not axes.axison:
            hidden |= set(axes.findobj(Text))
        for axis in (axes.xaxis, axes.yaxis):  # ticks beyond the ends of an axis are not drawn
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    shown = [text for text in shown if text not in hidden]
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in shown]


def assert_readable(figure):
    """No two texts overlap (by more than a pixel), and none leaves the figure, ticks off the axes aside."""
    found = [(text, box) for text, box in texts(figure) if box.width > 0]
    inside = figure.bbox.padded(1)
    on_figure = [(text, box) for text, box in found if box.overlaps(inside)]
    for i, (text, box) in enumerate(on_figure):
        for other, its in on_figure[:i]:
            wide = min(box.x1, its.x1) - max(box.x0, its.x0)
            high = min(box.y1, its.y1) - max(box.y0, its.y0)
            assert wide <= 1 or high <= 1, (text, other)


def drawn(axes):
    """The lines with data in an axes, those over its whole width aside."""
    return [line for line in axes.lines if line.get_transform() == axes.transData and len(line.get_xdata())]


def small_print(figure):
    return figure._supxlabel.get_text()


def label_of(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_loss_line_is_the_median_of_its_runs(small):
    some = matching(small, {"workers": 2})
    figure = plots.loss(some, x="updates", target=HALF)
    lines = drawn(figure.axes[0])
    for rule, line in zip(("constant", "tail"), lines, strict=True):
        losses = [record.curve().loss for record in matching(some, {"rule": rule})]
        assert_allclose(line.get_ydata(), np.median(losses, axis=0))
        assert_allclose(line.get_xdata(), np.arange(0, 61, 6))
    bands = [band.get_paths()[0].get_extents() for band in figure.axes[0].collections]
    for band, rule in zip(bands, ("constant", "tail"), strict=True):
        losses = [record.curve().loss for record in matching(some, {"rule": rule})]
        assert_allclose((band.y0, band.y1), (np.min(losses), np.max(losses)))
    assert label_of(figure) == ["constant", "tail", "50 % of initial"]
    assert "medians of 3 runs; bands: least to greatest; virtual time" in small_print(figure)
    assert_readable(figure)


def test_many_lines_are_in_panels_of_the_same_looks(sweep):
    parts = panels(sweep, most=4)
    assert [part.label for part in parts] == ["2 workers", "12 workers"]
    assert [line.label for line in parts[0].lines] == [line.label for line in parts[1].lines]
    assert [line.look for line in parts[0].lines] == [line.look for line in parts[1].lines]
    assert sum(len(line.records) for part in parts for line in part.lines) == len(sweep)
    assert_readable(plots.loss(sweep))


def test_panels_are_split_until_their_lines_are_few():
    """Two rules × three schemes × two numbers of workers: with one key alone there would be six lines a panel."""
    runs = records([
        simulated(rule=rule, workers=workers, scheme=scheme)
        for rule in ("constant", "tail") for workers in (2, 3) for scheme in ("lock-based", "leashed", "hogwild")
    ])  # fmt: skip
    assert [len(part.lines) for part in panels(runs)] == [6, 6]
    for parts in (panels(runs, most=4), split(runs, most=4)):
        assert [part.label for part in parts] == [
            f"{workers} workers, {scheme}" for workers in (2, 3) for scheme in ("Hogwild", "Leashed", "LockBased")
        ]
        assert {tuple((line.label, line.look) for line in part.lines) for part in parts} == {
            (("constant", look(0)), ("tail", look(1)))
        }
    assert [len(part.lines) for part in split(runs, most=4, room=5)] == [6, 6], "no room for six panels"
    assert [len(part.lines) for part in panels(runs, ["scheme", "workers"], most=2)] == [3, 3]


def test_figures_and_reports_split_runs_alike():
    runs = records([
        simulated(rule=rule, workers=workers, step_size=size)
        for rule in ("constant", "tail") for workers in (2, 12) for size in (0.01, 0.02, 0.04, 0.08)
    ])  # fmt: skip
    of_figure, (of_report, _) = panels(runs), charts.panels(runs)
    assert [part.label for part in of_figure] == [part.label for part in of_report]
    assert [[line.label for line in part.lines] for part in of_figure] == [
        [line.label for line in part.lines] for part in of_report
    ]


def test_runs_without_a_key_are_named(small):
    threads = ab.train(BOWL, workers=2, updates=20, batch_size=1, step_size=0.04)
    labels = [group.label for group in groups([*small[:1], *records(threads)], ["timing"])]
    assert labels[1] == "no timing"


def test_a_band_counts_a_diverged_run_as_infinite_from_then_on(sweep):
    lost = [record for record in sweep if record.status == "diverged"]
    assert lost, "the largest step diverges"
    kept = matching(sweep, {"step_size": 0.04})[:1]
    points = [(np.array([0.0, 1.0, 2.0]), np.array([4.0, 2.0, 1.0])), (np.array([0.0, 1.0]), np.array([4.0, 100.0]))]
    found = curves.band(points, [*kept, lost[0]])
    assert_allclose(found.x, [0, 1, 2])
    assert_allclose(found.low, [4, 2, 1])
    assert_allclose(found.high, [4, 100, np.inf])
    assert_allclose(found.median, [4, 51, np.inf])


def test_quartiles_from_five_runs_on(small):
    x, losses = np.array([0.0, 1.0]), np.arange(5.0)
    found = curves.band([(x, np.array([9.0, loss])) for loss in losses], small[:5])
    assert_allclose([found.low[1], found.median[1], found.high[1]], np.quantile(losses, [0.25, 0.5, 0.75]))


def test_two_clocks_share_no_time_axis(small):
    wall = records(ab.train(BOWL, workers=2, updates=20, batch_size=1))
    assert time_label(small) == "virtual time, s"
    cores = wall[0].cores
    assert time_label(wall) == f"wall time on {cores} core{'s' * (cores != 1)}, s"
    with pytest.raises(UsageError, match="2 clocks"):
        plots.loss([*small, *wall])
    assert "virtual time; wall time on" in small_print(plots.loss([*small, *wall], ["kind"], x="updates"))


def test_staleness_bars_are_the_shares_of_updates(small):
    figure = plots.staleness(small)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["2 workers", "12 workers"]
    for axes, workers in zip(figure.axes, (2, 12), strict=True):
        tau = np.concatenate([record.run.updates["tau"] for record in matching(small, {"workers": workers})])
        shares = np.bincount(tau) / len(tau)
        heights = np.array([bar.get_height() for bar in axes.patches])
        width = round(axes.patches[0].get_width() / 0.86)  # values in a bin, whose mean is shown
        model = ab.staleness.fit(np.bincount(tau), "geometric").distribution.pmf
        for found, pmf in ((heights, shares), (axes.lines[0].get_ydata(), model)):
            cells = np.append(pmf, np.zeros(200))[: len(heights) * width].reshape(-1, width)
            assert_allclose(found, 100 * cells.sum(axis=1), atol=1e-12)
    assert_readable(figure)


def test_bins_double_where_some_updates_are_far_staler():
    run = simulated(workers=1, updates=200)
    figure = plots.staleness(run)
    assert_readable(figure)
    from asapnb.plots.distributions import _draw

    counts = np.zeros(701, np.int64)
    counts[[0, 1, 2, 3, 700]] = 900, 50, 20, 20, 1
    axes = figure.add_subplot()
    _draw(axes, counts, [])
    heights = [bar.get_height() for bar in axes.patches]
    assert_allclose(heights[:4], [100 * 900 / 991, 100 * 50 / 991, 100 * 40 / 991, 0])
    assert_allclose((sum(heights), heights[-1], axes.get_yscale() == "log"), (100, 100 / 991, True))


def test_scales_are_those_of_the_rules():
    rules = ["constant", "tail", "inverse", "preserve(inverse)"]
    figure = plots.scale("geometric(m=6)", rules)
    seen = ab.staleness.geometric(m=6)
    for line, rule in zip(drawn(figure.axes[0]), map(ab.rules.as_rule, rules), strict=True):
        assert_allclose(line.get_ydata(), rule(seen, 6)[: len(line.get_ydata())])
    assert label_of(figure)[2] == f"inverse: mean {np.log(6) / 5:.3g}"
    assert_allclose(
        [bar.get_height() for bar in figure.axes[1].patches], 100 * seen.pmf[: len(figure.axes[1].patches)]
    )
    assert_readable(figure)
    with pytest.raises(UsageError, match="no rule"):
        plots.scale("geometric(m=6)")


def test_scales_of_runs_are_their_last_tables(small):
    figure = plots.scale(matching(small, {"workers": 12}), ["inverse"])
    line = drawn(figure.axes[0])[1]
    table = matching(small, {"workers": 12, "rule": "tail"})[0].run.rule_tables.scales[-1]
    assert_allclose(line.get_ydata(), table[: len(line.get_ydata())])
    assert_readable(figure)
    with pytest.raises(UsageError, match="2 and 12 workers"):
        plots.scale(small)


def test_the_mean_step_vanishes_under_rules_that_only_dampen(small):
    figure = plots.magnitude(rules=["tail", "inverse"], workers=(2, 16, 64))
    tail, inverse = drawn(figure.axes[0])
    assert_allclose(tail.get_ydata(), 1.0)
    assert_allclose(inverse.get_ydata(), [np.log(m) / (m - 1) for m in (2, 16, 64)])
    assert_readable(figure)
    figure = plots.magnitude(small, rules=["inverse"])
    means = [np.mean([r.summary()["mean_scale"] for r in matching(small, {"rule": "tail", "workers": m})])
             for m in (2, 12)]  # fmt: skip
    assert any(np.allclose(line.get_ydata(), means) for line in drawn(figure.axes[0]))
    assert_readable(figure)
    with pytest.raises(UsageError, match="nothing to draw"):
        plots.magnitude()


def test_boxes_are_of_runs_that_arrived_and_the_others_are_counted(sweep):
    figure = plots.time_to_target(sweep, HALF, x="updates")
    above, axes = figure.axes[:2]
    points = np.concatenate([line.get_ydata() for line in drawn(axes) if line.get_marker() != "None"])
    times = [crossing(record, HALF).at("updates") for record in sweep if crossing(record, HALF).reached]
    assert_allclose(np.sort(points), np.sort(times))
    outcomes = [crossing(record, HALF).outcome for record in sweep]
    assert "diverged" in outcomes
    shown = [text.get_text() for text in above.texts]
    assert sum(int(text.split("/")[0]) for text in shown) == len(sweep) - len(times)
    assert "diverged" in [text.get_text() for text in above.get_yticklabels()]
    assert_readable(figure)


def test_a_cell_is_the_share_that_fell(sweep):
    figure = plots.stability(sweep, curves={"limit of mine": ([2, 12], [1.0, 0.2])})
    for axes, rule in zip(figure.axes[:2], ("constant", "tail"), strict=True):
        shares = axes.collections[0].get_array().reshape(2, 2)
        for row, size in enumerate((0.04, 1.2)):
            for column, workers in enumerate((2, 12)):
                some = matching(sweep, {"rule": rule, "step_size": size, "workers": workers})
                ended = [r.status != "diverged" and r.curve().loss[-1] < r.initial_loss for r in some]
                assert shares[row, column] == pytest.approx(np.mean(ended))
        assert_allclose(axes.lines[0].get_ydata(), [1.0, 0.2])
    assert_readable(figure)


def test_bars_are_speed_ups_with_their_intervals(small):
    from asapnb.analysis import speed_up

    figure = plots.speed_up(small, HALF)
    for n, workers in enumerate((2, 12)):
        base, tail = ({"workers": workers, "rule": rule} for rule in ("constant", "tail"))
        found = speed_up(matching(small, base), matching(small, tail), HALF)
        bar, line = figure.axes[0].patches[n], figure.axes[0].collections[n]
        assert 1 + bar.get_height() == pytest.approx(found.ratio)
        assert_allclose(line.get_segments()[0][:, 1], found.interval)
    assert_readable(figure)
    with pytest.raises(UsageError, match="all runs are of the baseline"):
        plots.speed_up(matching(small, {"rule": "tail"}), HALF, {"rule": "tail"})


def test_a_baseline_of_a_number_of_workers_stands_beside_all_others(small):
    some = matching(small, {"rule": "tail"})
    figure = plots.speed_up(some, HALF, {"workers": 2})
    base, other = (matching(some, {"workers": workers}) for workers in (2, 12))
    (bar,) = figure.axes[0].patches
    assert 1 + bar.get_height() == pytest.approx(speed_up(base, other, HALF).ratio)


def test_losses_below_0_stay_inside_the_axes():
    made = record(20)
    summary, curve, epoch = made.__dict__["_facts"]
    made.__dict__["_facts"] = (summary, replace(curve, loss=np.array([-5.5, -8.0, -9.9])), epoch)
    axes = plots.loss(made, x="updates").axes[0]
    low, high = axes.get_ylim()
    assert_allclose(axes.lines[0].get_ydata(), [-5.5, -8.0, -9.9])
    assert low <= -9.9 < -5.5 <= high


def test_staleness_and_magnitude_keep_timings_apart():
    runs = [simulated(workers=4, rule="tail", timing=f"compute={law}") for law in ("exponential(1)", "constant(1)")]
    assert len([axes for axes in plots.staleness(runs).axes if axes.axison]) == 2
    assert len(plots.magnitude(runs).axes[0].containers) == 2


def test_survival_ends_at_the_shares_that_reached_and_diverged(sweep):
    some = matching(sweep, {"workers": 12, "rule": "tail"})
    figure = plots.survival(some, HALF, x="updates")
    assert len(figure.axes) == 2
    for axes, event in zip(figure.axes, ("reached", "diverged"), strict=True):
        lines = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
        for n, (line, size) in enumerate(zip(lines, (0.04, 1.2), strict=True)):
            outcomes = [crossing(record, HALF).outcome for record in matching(some, {"step_size": size})]
            if "not reached" not in outcomes:
                assert line.get_ydata()[-1] == pytest.approx(np.mean([one == event for one in outcomes]))
                low, high = wilson(outcomes.count(event), len(outcomes))
                band = axes.collections[n].get_paths()[0].vertices[:, 1]
                assert all(np.isclose(band, edge).any() for edge in (low, high))
    assert_readable(figure)


def test_of_many_lines_only_the_ends_have_intervals(sweep):
    from matplotlib.collections import LineCollection

    some = matching(sweep, {"workers": 12})
    figure = plots.survival(some, HALF, x="updates")
    bars = [bar for bar in figure.axes[0].collections if isinstance(bar, LineCollection)]
    assert len(bars) == len(figure.axes[0].collections) == 4
    for bar, of in zip(bars, groups(some), strict=True):
        outcomes = [crossing(record, HALF).outcome for record in of.records]
        if "not reached" not in outcomes:
            ends = bar.get_segments()[0][:, 1]
            assert_allclose(ends, wilson(outcomes.count("reached"), len(outcomes)), atol=1e-9)


def test_a_timeline_marks_whom_the_stalest_was_overtaken_by(seen):
    figure = plots.timeline(seen, first=5, rows=30)
    axes, rows = figure.axes[0], {name: seen.updates[name][5:35] for name in seen.updates}
    left = [bar.get_x() for bar in axes.patches]
    assert_allclose(left, rows["t_read"])
    assert_allclose([bar.get_x() + bar.get_width() for bar in axes.patches], rows["t_ready"])
    whole = rows["read_version"] >= rows["version"][0] - 1
    stalest = rows["tau"][whole].max()
    assert axes.get_title(loc="right") == f"the stalest, and the {stalest} updates that overtook it"
    marked = [c for c in axes.collections if len(c.get_offsets()) == stalest + 1 and c.get_facecolor()[0, 0] > 0.8]
    assert len(marked) == 1
    assert_readable(figure)
    with pytest.raises(UsageError, match="numbered from 0"):
        plots.timeline(seen, first=60)


def test_a_timeline_says_who_worked_and_crosses_what_was_given_up():
    problem = ab.problems.quadratic([1.0, 8.0])
    run = ab.simulate(problem, "lock-based(buffer=3, discard_after=1)", workers=4, updates=6, step_size=0.01)
    lost = int((run.updates["dropped"] == 1).sum())
    axes = plots.timeline(run, rows=100).axes[0]
    assert axes.get_title(loc="left") == f"LockBased, 4 workers, gradients 1–{18 + lost}"
    assert lost
    assert sorted(len(points.get_offsets()) for points in axes.collections)[-2:] == sorted((18, lost))
    assert any("cross: given up" in text.get_text() for text in axes.figure.texts)
    changing = ab.simulate(problem, workers="0:1, 9:3", updates=20, step_size=0.01)
    assert plots.timeline(changing).axes[0].get_title(loc="left") == "LockBased, 1 to 3 workers, updates 1–20"
    assert "staleness of 1 to 3 workers" in next(text.get_text() for text in plots.scale(changing).texts)
    steady = ab.simulate(problem, workers=3, updates=20, step_size=0.01)
    with pytest.raises(UsageError, match=r"the runs have 0:1, 9:3 and 3 workers.*--where 'workers=0:1, 9:3'"):
        plots.scale([changing, steady])


def test_a_path_is_that_of_the_run(seen):
    found = trace(as_records(seen)[0])
    assert_allclose(found.points[0], seen.params["initial"])
    assert_allclose(found.points[-1], seen.params["final"], rtol=1e-9)
    assert_allclose([BOWL.evaluate(found.points[step])[0] for step in seen.evals["step"]], seen.evals["train_loss"])
    figure = plots.path(seen)
    steps = figure.axes[0].lines[0].get_xdata(), figure.axes[0].lines[0].get_ydata()
    assert_allclose(np.transpose(steps), found.points[: len(steps[0])])
    values = np.array([BOWL.evaluate(point)[0] for point in found.points])
    rises = np.where(seen.updates["tau"] > 0, np.diff(values), -np.inf)
    assert len(steps[0]) == rises.argmax() + 1
    assert_readable(figure)


def test_paths_that_cannot_be_drawn_say_why():
    for arguments, why in (
        ({"momentum": 0.9}, "momentum 0.9"),
        ({"scheme": "synchronous"}, "rounds of several"),
        ({"problem": ab.problems.quadratic([1.0, 2.0, 3.0])}, "3 parameters"),
        (
            {"scheme": "hogwild(blocks=2)", "timing": SLOW},
            "ends elsewhere",
        ),
    ):
        with pytest.raises(UsageError, match=why):
            plots.path(simulated(workers=3, updates=12, step_size=0.05, **arguments))


def test_the_microscope_shows_each_update_and_medians(seen):
    figure = plots.microscope(seen)
    look_at = seen.microscope
    dots, line = figure.axes[0].lines[:2]
    assert_allclose(dots.get_ydata(), look_at["error"] / look_at["fresh"])
    tau, middle = _binned(look_at["tau"].astype(float), look_at["error"] / look_at["fresh"])
    assert_allclose(line.get_xydata(), np.stack([tau, middle], axis=1))
    assert_readable(figure)
    with pytest.raises(UsageError, match="--microscope 10"):
        plots.microscope(simulated(workers=2, updates=10))


def test_labels_are_spread_as_little_as_can_be():
    from scipy.optimize import minimize

    wanted, heights = np.array([0.5, 0.52, 0.1, 0.97, 0.99]), np.array([0.1, 0.2, 0.1, 0.1, 0.1])
    found = labels.spread(wanted, heights)
    order = np.argsort(wanted)
    gaps = (heights[order][1:] + heights[order][:-1]) / 2
    assert (np.diff(found[order]) >= gaps - 1e-12).all()
    best = minimize(
        lambda y: ((y - wanted[order]) ** 2).sum(), np.linspace(0, 1, 5), bounds=[(0, 1)] * 5,
        constraints={"type": "ineq", "fun": lambda y: np.diff(y) - gaps},
    )  # fmt: skip
    assert ((found - wanted) ** 2).sum() <= best.fun + 1e-4


def test_no_two_looks_are_alike():
    looks = [look(i) for i in range(LOOKS)]
    assert len(set(looks)) == len({(one.color, one.dash) for one in looks}) == LOOKS
    assert all(len({getattr(one, name) for one in looks[:7]}) == 7 for name in ("color", "dash", "marker", "hatch"))


def test_more_groups_than_looks_are_refused(small):
    with pytest.raises(UsageError, match="at most 14"):
        groups(records([simulated(workers=1, updates=1, step_size=0.001 * (i + 1)) for i in range(15)]))
    assert [group.label for group in groups(small)] == [
        "constant, 2 workers", "constant, 12 workers", "tail, 2 workers", "tail, 12 workers",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_files_are_complete_and_the_same_every_time(tmp_path, kind):
    figures = [plots.magnitude(rules=["inverse"], workers=(2, 4)) for _ in range(2)]
    first, second = (plots.save(figure, tmp_path / f"{i}.{kind}") for i, figure in enumerate(figures))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind])
    with pytest.raises(RecordError, match="already exists"):
        plots.save(figures[0], first)
    plots.save(figures[0], first, force=True, dpi=50)
    with pytest.raises(UsageError, match="dpi"):
        plots.save(figures[0], first, force=True, dpi=1)


def test_dots_per_inch(tmp_path):
    from matplotlib.image import imread

    figure = plots.magnitude(rules=["inverse"], workers=(2, 4))
    for dpi in (None, 50):
        image = imread(plots.save(figure, tmp_path / "x.png", force=True, dpi=dpi))
        assert image.shape[:2] == tuple((figure.get_size_inches()[::-1] * (dpi or 200)).round())


def test_the_style_is_of_the_figure_and_left_behind_nowhere():
    import matplotlib

    before = dict(matplotlib.rcParams)
    axes = plots.magnitude(rules=["tail"], workers=(2,)).axes[0]
    assert not axes.spines["top"].get_visible()
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_the_extra_is_named():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from asapnb import plots, errors\n"
        "try: plots.magnitude(rules=['tail'])\n"
        "except errors.MissingExtraError as error: print(error)\n"
    )
    done = python("-c", code)
    assert 'pip install "asapnb[plot]"' in done.stdout


def test_the_style_file_is_package_data():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "asapnb.plots" in project["packages"]
    assert "*.mplstyle" in project["package-data"]["asapnb.plots"]
