"""What a sweep file says: points, seeds, names, and what cannot be."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import TABLE, small, table

import asapnb as ab
from asapnb.record import to_json
from asapnb.sweep import Point, load_sweep, parse_sweep
from asapnb.sweep.points import check_points, sources

PINNED = [
    ("rule=constant-step_size=0.01-repetition=0-5049e83c", 2218086350),
    ("rule=constant-step_size=0.02-repetition=0-dfd63047", 2218086350),
]


def test_seeds_and_names_are_what_they_were():
    points = small(repetitions=2).points
    assert [(point.name, point.config["seed"]) for point in points[:2]] == PINNED
    assert len({point.config["seed"] for point in points}) == 2  # rules and step sizes are paired
    assert points[0].file == f"{points[0].name}.h5"


def test_seeds_depend_on_the_axes_named():
    def seeds(**changes):
        return [point.config["seed"] for point in small(grid={"workers": [2, 4], "rule": None}, **changes).points]

    assert len(set(seeds())) == 1
    paired = seeds(seed_axes=["workers"])
    assert len(set(paired)) == 2
    assert paired[0] == paired[2]
    assert set(seeds(seed=1)).isdisjoint(seeds())
    assert seeds(repetitions=3)[:4] == seeds()


def test_grids_add_up_and_go_before_base():
    sweep = parse_sweep({
        "repetitions": 2,
        "base": {"problem": "mlp(hidden=[8])", "workers": 4, "epochs": 3},
        "grid": [
            {"rule": ["constant", "tail"], "workers": [1, 2], "repetitions": 3},
            {"rule": "inverse", "updates": [7]},
            {"seed": [5, 6], "repetitions": 1},
        ],
    })  # fmt: skip
    assert sweep.kind == "train"
    found = [
        (point.config.get("rule"), point.config["workers"], point.axes.get("repetition")) for point in sweep.points
    ]
    assert sorted(map(str, found)) == sorted(map(str, [
        *((rule, workers, i) for rule in ("constant", "tail") for workers in (1, 2) for i in range(3)),
        ("inverse", 4, 0), ("inverse", 4, 1), (None, 4, None), (None, 4, None),
    ]))  # fmt: skip
    (seven, _) = (point.config for point in sweep.points if point.config.get("rule") == "inverse")
    assert (seven["updates"], "epochs" in seven) == (7, False)
    assert [point.config["seed"] for point in sweep.points if "rule" not in point.config] == [5, 6]
    assert [point.axes.get("repetition", 0) for point in sweep.points] == sorted(
        point.axes.get("repetition", 0) for point in sweep.points
    )


def test_timings_may_be_tables():
    timings = [{"compute": "exponential(1)"}, {"compute": "exponential(1)", "update": 0.1}]
    points = small(grid={"timing": timings}).points
    check_points(points)
    assert {to_json(point.config["timing"]) for point in points} == set(map(to_json, timings))
    assert all(set(point.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.=_-") for point in points)


values = {
    "rule": st.sampled_from(["constant", "tail", "inverse", "tail(0.5)"]),
    "workers": st.integers(1, 64),
    "eval_samples": st.none() | st.integers(1, 9),
    "timing": st.sampled_from(["exponential(1)", "1.0"]),
    "step_size": st.floats(1e-3, 1),
}
grids = st.fixed_dictionaries(
    {},
    optional={name: value | st.lists(value, min_size=1, max_size=3, unique=True) for name, value in values.items()},
)


@given(st.fixed_dictionaries({}, optional=values), grids, st.integers(2, 3), st.integers(0, 9))
def test_a_sweep_comes_back_from_the_head_of_a_manifest(base, grid, repetitions, seed):
    sweep = parse_sweep({"kind": "simulate", "base": base, "grid": grid, "repetitions": repetitions, "seed": seed})
    again = parse_sweep(json.loads(to_json(sweep.plain())))
    assert again.points == sweep.points
    count = math.prod(len(value) for value in grid.values() if isinstance(value, list))
    assert len({point.name for point in sweep.points}) == len(sweep.points) == repetitions * count


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grids": {}}, "unknown key of a sweep 'grids'; available: base, grid"),
        ({"kind": "repeat"}, "unknown kind of run 'repeat'"),
        ({"kind": ["train"]}, "unknown kind of run"),
        ({"grid": {"rool": ["tail"]}}, "unknown key 'rool'"),
        ({"base": {"pin_workers": True}}, "simulate has no pin_workers"),
        ({"grid": {"rule": []}}, r"the axis rule of \[grid\] is empty"),
        ({"grid": {"rule": None, "step_size": None}}, "nothing varies in the sweep"),
        ({"grid": {"batch_size": ["two"]}}, "batch_size = 'two': must be an integer"),
        ({"grid": {"rule": ["tail", "tail"]}}, "two points of the sweep are equal: rule=tail"),
        ({"grid": {"epochs": [1], "updates": [2]}}, r"\[grid\] has epochs and updates"),
        ({"grid": {"seed": [1, 2]}, "repetitions": 2}, "repetitions is 2, but the seeds are given"),
        ({"grid": {"repetitions": 0}}, "repetitions is 0: must be an integer from 1 to"),
        ({"repetitions": 10**9}, "the sweep has 4,000,000,000 points: at most 1,000,000"),
        ({"seed": -1}, "seed is -1"),
        ({"seed_axes": "data"}, "seed_axes = 'data': must be a list"),
        ({"seed_axes": ["seed"]}, "unknown key in seed_axes 'seed'"),
    ],
)
def test_what_no_sweep_can_say(changes, says):
    with pytest.raises(ab.UsageError, match=says):
        small(**changes)


@pytest.mark.parametrize(("name", "value"), [("base", 3), ("grid", 3), ("grid", [3])])
def test_tables_are_tables(name, value):
    with pytest.raises(ab.UsageError, match=f"{name} = 3: must be a table"):
        parse_sweep({**TABLE, name: value})


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"grid": {"rule": ["constant", "tial"]}}, ab.UsageError, "the point rule=tial, .*unknown rule 'tial'"),
        (
            {"grid": {"rule": ["tail", "tail(amplitude=1.0)"]}},
            ab.UsageError,
            "are equal: rule=tail, .* and rule=tail",
        ),
        ({"grid": {"step_size": [0.1, math.nan]}}, ab.UsageError, "step_size is nan"),
        ({"grid": {"timing": ["1.0", "[1.0, 2.0, 3.0]"]}}, ab.UsageError, "compute has 3 times for 2 workers"),
        ({"base": {"timing": "compute=1, network=1"}}, ab.UsageError, "sends no messages"),
        ({"base": {"timing": "none.toml"}}, ab.UsageError, "cannot read the timing file none.toml"),
        ({"base": {"epochs": 2}}, ab.UsageError, "give one of them"),
        ({"base": {"microscope": -1}}, ab.UsageError, "microscope is -1"),
        ({"base": {"threads": 0}}, ab.UsageError, "threads is 0"),
        ({"base": {"problem": "lenet", "data": "mnist"}}, ab.DataError, "mnist"),
        ({"grid": {"rule": "none.py:rule"}}, ab.UsageError, "there is no file none.py"),
        ({"kind": "train", "grid": {"rule": ["tail", "shuffled(tail)"]}}, ab.UsageError, "cannot shuffle"),
    ],
)
def test_what_no_point_can_be(changes, error, says, monkeypatch, tmp_path):
    monkeypatch.setattr("asapnb.data.catalogue.places", lambda root: [tmp_path])
    sweep = small(**changes)
    with pytest.raises(error, match=says):
        check_points(sweep.points)


def test_rules_that_give_no_scales_are_found_before(tmp_path):
    (tmp_path / "own.py").write_text("def short(staleness, workers):\n    return [1.0]\n")
    rule = f"{tmp_path}/own.py:short"
    sweep = small(grid={"rule": ["tail", rule]})
    with pytest.raises(ab.RuleError, match=r"returned shape \(1,\)"):
        check_points(sweep.points)
    assert list(sources(sweep.points)) == [f"{tmp_path}/own.py"]


def test_points_that_differ_in_what_a_run_keeps_only():
    check_points(small(grid={"threads": [1, 2]}).points)
    check_points([Point("a", "train", {}, {}), Point("b", "train", {"pin_workers": True}, {})])


def test_a_file_is_named_in_errors(tmp_path):
    path = tmp_path / "sweep.toml"
    for content, says in (
        (b"a = ", "is no TOML"),
        (b"\xff", "it is not in UTF-8"),
        (b"a = 1", "unknown key of a sweep 'a'"),
    ):
        path.write_bytes(content)
        with pytest.raises(ab.UsageError, match=f"{path}.*{says}"):
            load_sweep(path)
    for missing in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(ab.UsageError, match="cannot read the sweep"):
            load_sweep(missing)
    assert table() == TABLE
