"""Runs as records: curves beside slow twins, first crossings, keys that vary; and `asapnb compare` on files."""

import csv
import io
import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from commands import call
from hypothesis import given
from hypothesis import strategies as st
from problems import quadratic
from simulations import simulate
from synthetic import record

import asapnb as ab
from asapnb.analysis import Curve, Table, Target, crossing, escape, grouped, matching, records, seeds, varying
from asapnb.analysis.curves import _sums
from asapnb.config import run_config
from asapnb.errors import RecordError, UsageError

RULES = ("constant", "tail", "inverse")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three rules, two seeds each."""
    path = tmp_path_factory.mktemp("runs")
    for rule in RULES:
        for seed in (0, 1):
            config = {
                "problem": "mlp(hidden=[4])", "rule": rule, "workers": 4, "updates": 60, "eval_every": 10,
                "eval_samples": 200, "step_size": 0.1, "seed": seed, "threads": 1,
            }  # fmt: skip
            run_config(config, "simulate", out=path / f"{rule}-{seed}.h5")
    return path


@pytest.mark.parametrize("scheme", ["lock-based", "synchronous", "leashed(persistence=0)", "hogwild"])
def test_curves_are_those_of_the_rows(scheme):
    run = simulate(scheme=scheme, rule="inverse", batch_size=2, updates=50)
    (found,) = records(run)
    u = {name: run.updates[name][run.updates["dropped"] != 1] for name in ("version", "scale", "loss", "t_apply")}
    versions = [u["version"] == version for version in range(1, 51)]
    steps = np.cumsum([0, *(0.03 * u["scale"][rows].mean(dtype=float) for rows in versions)])
    curve = found.curve()
    np.testing.assert_array_equal(curve.updates, run.evals["step"])
    np.testing.assert_array_equal(curve.loss, run.evals["train_loss"])
    np.testing.assert_allclose(curve.steps, steps[run.evals["step"]])
    assert curve.steps[-1] == pytest.approx(run.summary()["sum_of_steps"])
    for window in (1, 7, 50, 99):
        smooth, full = found.curve("smoothed", window), min(window, 50)
        np.testing.assert_array_equal(smooth.updates, [0, *range(full, 51)])
        np.testing.assert_allclose(smooth.steps, steps[smooth.updates])
        assert smooth.loss[0] == run.evals["train_loss"][0]
        for version, loss, seconds in zip(smooth.updates[1:], smooth.loss[1:], smooth.seconds[1:], strict=True):
            last = (u["version"] > version - full) & (u["version"] <= version)
            assert loss == pytest.approx(u["loss"][last].mean(dtype=float))
            assert seconds == u["t_apply"][u["version"] <= version].max()
    epoch = 60 / 2 / (5 if scheme == "synchronous" else 1)
    assert found.updates_per_epoch == pytest.approx(epoch)
    assert found.end["epochs"] == pytest.approx(50 / epoch)
    np.testing.assert_array_equal(found.curve("smoothed").updates[1], round(epoch / 5))


def test_long_curves_are_thinned():
    (found,) = records(ab.simulate(quadratic(), workers=2, updates=5000, batch_size=1, step_size=0.01, threads=1))
    curve = found.curve("smoothed", 10)
    assert (len(curve), curve.updates[1], curve.updates[-1]) == (2001, 10, 5000)


FLOATS = st.one_of(st.floats(-100, 100), st.sampled_from([np.nan, np.inf, 1e30]))


@given(st.lists(FLOATS, min_size=1, max_size=40), st.data())
def test_sums_of_slices(values, data):
    values = np.array(values)
    ends = st.tuples(st.integers(0, len(values) - 1), st.integers(1, len(values)))
    slices = data.draw(st.lists(ends.filter(lambda pair: pair[0] < pair[1]), min_size=1, max_size=8))
    starts, stops = np.array(slices).T
    with np.errstate(invalid="ignore"):
        found, expected = _sums(values, starts, stops), [values[i:j].sum() for i, j in slices]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def with_curve(losses, status="finished"):
    """A record with these losses, one at each tenth update."""
    found = record(None, status, end=10.0 * (len(losses) - 1))
    at = 10.0 * np.arange(len(losses))
    found.__dict__["_facts"] = (found.summary(), Curve(at, at / 2, at / 10, np.array(losses)), 10.0)
    return found


@given(st.lists(st.one_of(st.floats(0, 3), st.sampled_from([np.nan, np.inf])), max_size=12), st.floats(0.01, 0.99))
def test_the_first_crossing(losses, level):
    losses = [1.0, *losses]
    found = crossing(with_curve(losses), Target(loss=level))
    first = next((i for i, loss in enumerate(losses) if loss <= level), None)
    if first is None:
        assert (found.outcome, found.updates) == ("not reached", None)
        assert found.time("seconds") == found.end["seconds"]
    else:
        assert 10 * (first - 1) <= found.updates <= 10 * first
        if np.isfinite(losses[first - 1]):
            expected = np.interp(-level, [-losses[first - 1], -losses[first]], [10 * (first - 1), 10 * first])
            assert found.updates == pytest.approx(expected)
        assert found.time("seconds") == pytest.approx(found.updates / 2)
        assert found.at("epochs") == pytest.approx(found.at("steps")) == pytest.approx(found.updates / 10)


def test_outcomes_and_escape():
    falling = with_curve([1.0, 0.9, 0.5, 0.1])
    assert escape(falling).updates == pytest.approx(5)
    assert crossing(falling, Target(fraction=0.2)).updates == pytest.approx(27.5)
    outcomes = {"finished": "not reached", "converged": "not reached", "timed-out": "not reached", "failed": "failed",
                "diverged": "diverged", "interrupted": "interrupted", "running": "interrupted"}  # fmt: skip
    for status, outcome in outcomes.items():
        found = crossing(with_curve([1.0, 0.9], status), Target(loss=0.5))
        assert found.outcome == outcome
        assert found.time("updates") == (np.inf if status == "diverged" else 10)
    with pytest.raises(UsageError, match=r"loss 1, is not below the initial loss of .*, 1: give a lower one"):
        crossing(falling, Target(loss=1))
    for arguments, message in (
        ({}, "none"),
        ({"loss": 1, "fraction": 0.5}, "both"),
        ({"fraction": 1.0}, "above 0 and below 1"),
        ({"fraction": 0}, "above 0 and below 1"),
        ({"loss": np.nan}, "finite"),
    ):
        with pytest.raises(UsageError, match=message):
            Target(**arguments)


def test_what_varies():
    found = [record(1, seed=seed, rule=rule, workers=4) for seed in (0, 1) for rule in ("constant()", "inverse()")]
    assert varying(found) == ["rule", "seed"]
    assert varying([*found, record(1, kind="train", virtual=False, pin_workers=True)]) == ["rule", "kind", "seed"]
    assert varying([record(1), record(1, max_seconds=5.0)]) == ["max_seconds"]
    assert list(grouped(found, ["rule"])) == [("constant()",), ("inverse()",)]
    assert list(grouped([record(1, workers=m) for m in (16, 4, 128)], ["workers"])) == [(4,), (16,), (128,)]
    assert matching(found, {"rule": "inverse"}) == [found[1], found[3]]
    assert matching(found, {"workers": "4", "seed": 1.0, "scheme": "lock-based"}) == found[2:]
    assert seeds(found) == [0, 1]
    with pytest.raises(UsageError, match="no run has workers=5: workers is 4"):
        matching(found, {"workers": 5})
    with pytest.raises(UsageError, match="'colour': what differs among these runs is rule, seed"):
        grouped(found, ["colour"])


def test_files_folders_and_runs(folder):
    found = records(folder)
    assert [one.path.name for one in found] == sorted(f"{rule}-{seed}.h5" for rule in RULES for seed in (0, 1))
    assert len(records([folder, folder / "tail-0.h5"])) == 6
    assert (found[0].clock, found[0].kind, found[0].is_virtual) == ("virtual", "simulate", True)
    again = ab.replay(ab.load_run(folder / "constant-0.h5"), rule="tail")
    tables = ab.compare([folder / "constant-0.h5", again], target_fraction=0.95).tables
    assert tables[2].rows[0][0] == "tail(amplitude=1.0)"
    assert str(ab.compare(folder)).startswith("6 runs\nrule ")


def test_a_replay_of_threads_is_paired_with_its_source(tmp_path):
    problem, found = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,)), []
    for seed in (0, 1):
        arguments = {"workers": 2, "updates": 60, "step_size": 0.2, "eval_every": 10, "seed": seed}
        run = ab.train(problem, out=tmp_path / f"{seed}.h5", **arguments)
        found.append((run, ab.replay(run, rule="inverse")))
    base, other = (records(list(side)) for side in zip(*found, strict=True))
    assert [one.clock for one in (base[0], other[0])] == ["wall", "recorded"]
    assert ab.analysis.speed_up(base, other, Target(fraction=0.99), by="seconds").paired


TABLE = Table("Times", ("rule", "n", "x%"), (("a|b_c", 1234, 0.12345), ("d", None, float("inf"))), ("a note",))


def test_tables():
    assert (
        TABLE.text() == "Times\nrule       n          x%\na|b_c  1,234      0.1235\nd          –  not finite\na note"
    )
    assert TABLE.csv() == "rule,n,x%\na|b_c,1234,0.12345\nd,,inf"
    assert TABLE.markdown().splitlines()[2:6] == [
        "| rule | n | x% |", "| --- | --: | --: |", "| a\\|b_c | 1,234 | 0.1235 |", "| d | – | not finite |",
    ]  # fmt: skip
    assert TABLE.latex().splitlines()[1:6] == [
        r"\begin{tabular}{lrr}", r"\toprule", r"rule & n & x\% \\", r"\midrule",
        r"a\textbar{}b\_c & 1,234 & 0.1235 \\",
    ]  # fmt: skip


def test_compare_prints_tables(folder, tmp_path):
    text = call("compare", folder, "--target-fraction", 0.9, "--clock", "steps").stdout
    assert text.startswith("6 runs\n")
    assert "Time to 90 % of the initial loss" in text
    assert "Speed-up over rule=constant() to 90 % of the initial loss, in sums of step sizes Ση" in text
    assert "Compared seed by seed; from" in text
    assert "Unequal magnitude" in text
    assert "nan" not in text.lower()
    tables = json.loads(call("compare", folder, "--json", "--where", "rule=tail").stdout)
    assert tables[0]["title"] == "2 runs"
    assert tables[0]["rows"][0]["runs"] == 2
    options = ["--loss", "smoothed", "--window", 9, "--unpaired", "--confidence", 0.5, "--budget", 55, "--by", "rule"]
    text = call("compare", folder, *options, "--target-loss", 2.2, "--baseline", "rule=tail").stdout
    assert "Speed-up over rule=tail(amplitude=1.0) to loss 2.2" in text
    assert "50 % bootstrap interval" in text
    assert "as independent samples" in text
    out = tmp_path / "table.csv"
    assert call("compare", folder, "--where", "seed=1", "--format", "csv", "-o", out).exit_code == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["rule"] for row in rows if row["table"] == "3 runs"] == [
        "constant()",
        "inverse()",
        "tail(amplitude=1.0)",
    ]
    assert call("compare", folder, "-o", out).exit_code == 2
    assert call("compare", folder, "-o", out, "--force").exit_code == 0
    refused = call("compare", folder, "-o", next(folder.glob("*.h5")), "--force")
    assert (refused.exit_code, "tables are text" in refused.output) == (2, True)
    assert r"\toprule" in call("compare", folder, "--format", "latex").stdout


def test_a_comparison_in_csv_and_pandas_is_one_tidy_table(folder):
    options = ["--target-loss", 0.01, "--target-fraction", 0.97]
    found = ab.compare(folder, target_loss=0.01, target_fraction=0.97)
    assert len(found.tables) > 2
    frame = found.to_pandas()
    read = pd.read_csv(io.StringIO(call("compare", folder, *options, "--format", "csv").stdout))
    pd.testing.assert_frame_equal(read, frame.astype(read.dtypes), check_dtype=False)
    for table in found:
        rows = frame[frame["table"] == table.title]
        assert len(rows) == len(table.rows)
        for name in table.columns:
            assert rows[name].fillna(-1).tolist() == table.to_pandas()[name].fillna(-1).tolist()
    late = read[read["table"] == "Time to loss 0.01"]
    assert (late["updates"] == np.inf).all(), "not reached"
    assert "not reached" in call("compare", folder, *options).stdout


def test_what_compare_cannot_use(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.h5").write_text("no")
    shutil.copy(folder / "tail-0.h5", tmp_path / "newer.h5")
    with h5py.File(tmp_path / "newer.h5", "r+") as file:
        file.attrs["schema"] = 99
    for arguments, message in (
        ([], "there are no runs"),
        ([tmp_path / "empty"], "holds no run file"),
        ([tmp_path / "nowhere.h5"], "there is no run file"),
        ([tmp_path / "no.h5"], "is not an HDF5 file, so it is not a run file"),
        ([tmp_path / "newer.h5"], "has schema 99"),
        ([folder, "--by", "colour"], "what differs among these runs is rule, seed"),
        ([folder, "--baseline", "rule=power"], "rule is constant(), inverse(), tail(amplitude=1.0)"),
        ([folder, "--baseline", "workers=4"], "every run has workers=4"),
        ([folder, "--baseline", "constant"], "is no key and value"),
        ([folder, "--where", "colour=red"], "no run has a key 'colour'"),
        ([folder / "tail-0.h5", folder / "constant-1.h5", "--paired"], "the runs are no pairs"),
        ([folder, "--target-loss", 99], "is not below the initial loss"),
        ([folder, "--target-fraction", 1], "above 0 and below 1"),
        ([folder, "--tune-seeds", 1], "no grid to choose from"),
        ([folder, "--window", 3], "a window is for loss='smoothed'"),
        ([folder, "--loss", "smoothed", "--window", 0], "must be an integer of at least 1"),
        ([folder, "--confidence", 1], "confidence is 1.0"),
        ([folder, "-o", tmp_path / "no" / "table.txt"], "does not exist"),
    ):
        done = call("compare", *arguments)
        assert done.exit_code == 2, (arguments, done.output)
        assert message in done.output, (arguments, done.output)
    unseen = record(1)
    unseen.summary()["initial"] = None
    with pytest.raises(RecordError, match="no evaluation"):
        crossing(unseen, Target(fraction=0.5))
