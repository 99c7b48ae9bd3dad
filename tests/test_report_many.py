"""Reports and figures of many runs: what stands for runs that are not drawn one by one, and what is said of it."""

import json

import numpy as np
from reports import unpacked, values
from synthetic import HALF, record

from asapnb import plots
from asapnb.analysis import Table, crossing, grouped
from asapnb.plots import curves, regions
from asapnb.record.schema import EVALS
from asapnb.report import charts, points, sections, targets
from asapnb.report.charts import panels
from asapnb.report.curves import loss_chart
from asapnb.report.packed import chart_json, table_json

RULES = ("constant()", "tail()")


def many(seeds, rules=RULES, sizes=(0.1, 0.2), **config):
    """Runs of each rule, step size and seed; every seventh of the rule tail diverged, every fifth never arrives."""
    luck, found = np.random.default_rng(3), []
    for rule in rules:
        for size in sizes:
            for seed in range(seeds):
                lost = seed % 7 == 6 and rule == "tail()"
                reached = None if lost or seed % 5 == 4 else float(luck.uniform(5, 90))
                status = "diverged" if lost else "finished"
                one = record(reached, status, seed=seed, rule=rule, step_size=size, **config)
                loss, facts = one.curve().loss, one.summary()
                one.run.evals = {name: loss if name == "train_loss" else loss * np.nan for name in EVALS.names}
                facts["last"] = {name: column[-1] for name, column in one.run.evals.items()}
                facts["last"]["train_loss"] = np.nan if lost else loss[-1]
                facts["updates_per_second"] = 2.0
                found.append(one)
    return found


def test_places_of_many_runs_show_their_quartiles_and_the_runs_at_their_ends(monkeypatch):
    monkeypatch.setattr(points, "SINGLE", 79)
    found = many(20)
    chart = points.runs_chart(found, "chart")
    assert "Of 80 runs" in chart.caption
    assert "quartile" in chart.caption
    show, against = chart.choices["Show"].index("last training loss"), chart.choices["Against"].index("step size")
    drawn = chart.figures[f"{show},{against}"]["data"]
    for k, rule in enumerate(RULES):
        middle, single = drawn[2 * k : 2 * k + 2]
        cells = grouped([one for one in found if one.value("rule") == rule], ["step_size"]).values()
        losses = [np.array([one.summary()["last"]["train_loss"] for one in cell]) for cell in cells]
        finite = [of[np.isfinite(of)] for of in losses]
        np.testing.assert_allclose(values(middle["y"]), [np.median(of) for of in finite], rtol=1e-6)
        for reach, share in (("array", 0.75), ("arrayminus", 0.25)):
            far = [abs(np.quantile(of, share) - np.median(of)) for of in finite]
            np.testing.assert_allclose(values(middle["error_y"][reach]), far, rtol=1e-6, atol=1e-7)
        assert middle["text"] == [f"{len(of)} runs" for of in finite]
        ends = [end for of in finite for end in (of.min(), of.max())]
        np.testing.assert_allclose(values(single["y"]), ends, rtol=1e-6)
        for text, end in zip(single["text"], ends, strict=True):
            (named,) = [one for one in found if f"seed {one.value('seed')}<" in text and one.value("rule") == rule
                        and f"step_size: {one.value('step_size')}" in text]  # fmt: skip
            assert named.summary()["last"]["train_loss"] == end
        lost = [np.isnan(of).sum() for of in losses]
        crosses = drawn[4 + k]
        assert crosses["text"] == [f"{n} runs" for n in lost if n]
    assert sum(values(one["y"]).size for one in drawn[4:]) == 2


def test_of_few_runs_at_a_place_all_are_points(monkeypatch):
    monkeypatch.setattr(points, "SINGLE", 7)
    chart = points.runs_chart(many(4, rules=("constant()",)), "chart")
    drawn = chart.figures["0,0"]["data"]
    assert [len(trace["x"]) for trace in drawn] == [8, 0]
    assert drawn[0]["showlegend"]


def test_many_numbers_are_put_into_bins_and_many_texts_left_out_which_is_said(monkeypatch):
    monkeypatch.setattr(points, "SINGLE", 50)
    sizes = np.geomspace(0.001, 1, 90).tolist()
    found = [one for i, size in enumerate(sizes) for one in many(1, ("constant()",), (size,), timing=f"law({i})")]
    chart = points.runs_chart(found, "chart")
    assert chart.choices["Against"] == ["step size"]
    assert "Not against timing, of more than 60 values." in chart.caption
    drawn = chart.figures["0,0"]["data"][0]
    assert len(set(drawn["x"])) == 60
    assert min(sizes) <= min(drawn["x"]) < max(drawn["x"]) <= max(sizes)


def test_many_runs_that_differ_in_seeds_only_stand_at_one_place(monkeypatch):
    monkeypatch.setattr(points, "SINGLE", 60)
    chart = points.runs_chart(many(61, ("constant()",), (0.1,)), "chart")
    assert chart.choices["Against"] == ["seed"]
    assert chart.figures["0,0"]["data"][0]["x"] == ["61 values"]
    assert chart.figures["0,0"]["data"][0]["text"] == ["61 runs"]


def test_boxes_of_many_runs_are_their_quartiles(monkeypatch):
    monkeypatch.setattr(targets, "SINGLE", 79)
    found = many(20)
    chart = targets.target_chart(found, [HALF], "chart")
    assert "A row has 20 runs." in chart.caption
    drawn = chart.figures[f"0,{list(chart.choices['In']).index('updates')}"]["data"]
    boxes = [trace for trace in drawn if "q1" in trace]
    for box, single, cell in zip(boxes, drawn[1::2], grouped(found, ["rule", "step_size"]).values(), strict=True):
        times = [crossing(one, HALF).updates for one in cell]
        times = [time for time in times if time is not None]
        five = [values(box[name])[0] for name in ("lowerfence", "q1", "median", "q3", "upperfence")]
        np.testing.assert_allclose(five, np.quantile(times, (0, 0.25, 0.5, 0.75, 1)), rtol=1e-6)
        np.testing.assert_allclose(sorted(values(single["x"])), [min(times), max(times)], rtol=1e-6)


def test_a_figure_of_many_runs_has_a_point_at_each_end_of_a_box(monkeypatch):
    monkeypatch.setattr("asapnb.plots.times.SINGLE", 79)
    found = many(20)
    figure = plots.time_to_target(found, HALF, ["rule"], x="updates")
    axes = figure.axes[1]
    shown = [line.get_ydata() for line in axes.lines if line.get_linestyle() == "None" and len(line.get_ydata())]
    for ends, cell in zip(shown, grouped(found, ["rule"]).values(), strict=True):
        times = [crossing(one, HALF).updates for one in cell if crossing(one, HALF).reached]
        assert sorted(ends) == [min(times), max(times)]
    assert any("boxes over 40 runs" in text.get_text() for text in figure.texts)


def test_a_band_is_the_same_in_pieces(monkeypatch):
    found = many(9)
    whole = curves.evaluated(found, "train_loss", "updates")
    monkeypatch.setattr(curves, "_AT_ONCE", 40)
    for one, other in zip(whole, curves.evaluated(found, "train_loss", "updates"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_region_of_many_step_sizes_has_bins(monkeypatch):
    monkeypatch.setattr(regions, "_MOST", 9)
    monkeypatch.setattr(regions, "_BINS", 3)
    sizes = np.geomspace(0.01, 0.08, 10)
    found = [*many(2, ("constant()",), sizes.tolist()), *many(1, ("constant()",), (0.01,), workers=8)]
    figure = plots.stability(found, target=HALF)
    shares = figure.axes[0].collections[0].get_array().filled(np.nan)
    assert shares.shape == (3, 2)
    low, high = sizes[0] * 2, sizes[0] * 4
    for row, (least, most) in zip(shares[:, 0], ((0, low), (low, high), (high, 1)), strict=True):
        here = [one for one in found if least <= one.value("step_size") < most and one.value("workers") == 4]
        assert row == np.mean([crossing(one, HALF).reached for one in here])
    assert np.isnan(shares[1:, 1]).all()
    assert any("bins of step size" in text.get_text() for text in figure.texts)


def test_panels_without_room_are_left_out_and_that_is_said(monkeypatch):
    found = many(1, sizes=(0.1, 0.2, 0.3, 0.4))
    assert len(panels(found)[0]) == 4
    monkeypatch.setattr(charts, "LINES", 5)
    shown, said = panels(found)
    assert [len(part.lines) for part in shown] == [2, 2]
    assert "Of 4 choices of runs, there is room for 2" in said


def test_a_chart_says_nothing_twice_and_comes_back_whole():
    chart = loss_chart(many(5), "chart")
    text = chart_json(chart)
    packed = json.loads(text)
    assert len(set(packed["arrays"])) == len(packed["arrays"])
    assert unpacked(packed)["figures"] == json.loads(json.dumps(chart.figures))


def test_the_size_of_charts_does_not_follow_the_number_of_runs(monkeypatch):
    for module in (points, targets):
        monkeypatch.setattr(module, "SINGLE", 20)
    monkeypatch.setattr("asapnb.report.curves._POINTS", 30)
    monkeypatch.setattr("asapnb.report.curves._NUMBERS", 20_000)

    def size(found):
        made = (loss_chart(found, "a"), targets.target_chart(found, [HALF], "b"), points.runs_chart(found, "c"))
        return np.array([len(chart_json(chart)) for chart in made])

    few = size(many(60))
    assert (size(many(180)) < 1.1 * few).all()
    assert size(many(60, sizes=np.geomspace(0.01, 1, 12).tolist()))[0] < 6 * few[0]


def test_a_long_table_is_cut_and_the_note_says_where_all_of_it_is(monkeypatch):
    monkeypatch.setattr(sections, "_ROWS", 3)
    table = Table("Runs", ("file", "loss"), tuple((f"<b>{i}", i / 3) for i in range(5)), ("seen",))
    found = sections.cut(table, "asapnb export --table runs")
    assert (found.rows, found.notes) == (
        table.rows[:3],
        ("The first 3 of 5 rows; all: asapnb export --table runs", "seen"),
    )
    assert "<" not in table_json(found)
    assert json.loads(table_json(found))[1] == ["<b>1", "0.3333"]
