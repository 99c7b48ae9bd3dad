"""Traces as schedules: each form gives the schedule it was written from, is replayed, or says what cannot be."""

import json
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from commands import call
from hypothesis import given
from hypothesis import strategies as st
from naive_simulator import fewest_workers
from problems import quadratic
from sweeps import at_once

import asapnb as ab
from asapnb.errors import AsapnbError, DataError, UsageError
from asapnb.simulator.world import ROW
from asapnb.sweep import parse_sweep, run_sweep
from asapnb.sweep import run as run_of_sweeps
from asapnb.sweep.points import check_points

MADE = ab.schedule("compute=exponential(1), update=0.05", workers=6, updates=120, seed=3)
COLUMNS = {name: MADE.rows[name] for name in ROW.names}
VERSIONS = {name: COLUMNS[name] for name in ("worker", "read_version", "version")}
TIMES = {name: COLUMNS[name] for name in ("worker", "t_read", "t_apply")}
PROBLEM = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
# As PIAG's are written in github.com/xuyangwu/Delay-data: 3 workers, 5 iterations; at the last one two arrive
AGES = [[0, 0, 0], [0, 1, 1], [1, 2, 0], [2, 2, 1], [1, 3, 1]]


def written(path, columns, **how):
    pd.DataFrame(columns).to_csv(path, index=False, **how)
    return path


def same(made, *names):
    return all((getattr(made, name) == COLUMNS[name]).all() for name in names or ROW.names)


@pytest.mark.parametrize(
    "form", [dict, pd.DataFrame, pl.DataFrame, lambda columns: MADE.rows], ids=["dict", "pandas", "polars", "rows"]
)
def test_all_columns_give_the_rows_back(form):
    made = ab.schedule_from(form(COLUMNS))
    assert same(made)
    assert (made.workers, made.updates, made.timing, made.seed) == (6, 120, None, None)
    assert made.origin.startswith("the ")
    assert "trace" in made._repr_html_()


@pytest.mark.parametrize("columns", [VERSIONS, TIMES], ids=["versions", "times"])
def test_rows_may_be_in_any_order_and_workers_be_texts(columns, tmp_path):
    order = np.random.default_rng(0).permutation(len(MADE))
    mixed = {name: column[order] for name, column in columns.items()}
    assert same(ab.schedule_from(mixed), "tau", "read_version", "version", *columns)
    hosts = np.array([f"host-{worker}" for worker in mixed["worker"]])
    made = ab.schedule_from(written(tmp_path / "trace.csv", {**mixed, "worker": hosts, "note": "x"}))
    assert same(made, "tau", "read_version")
    assert made.origin.startswith("trace.csv (")
    pd.DataFrame(mixed).to_parquet(tmp_path / "trace.parquet")
    assert (ab.schedule_from(tmp_path / "trace.parquet").rows == ab.schedule_from(mixed).rows).all()


def test_delays_alone_are_given_to_as_few_workers_as_can_have_made_them():
    for trace in (COLUMNS["tau"], COLUMNS["tau"].tolist(), {"staleness": COLUMNS["tau"]}):
        made = ab.schedule_from(trace)
        assert same(made, "tau", "read_version", "version")
        assert made.workers == 6, "in the record all workers always have a gradient in flight"
    assert same(ab.schedule_from({"delay": COLUMNS["tau"], "worker": COLUMNS["worker"]}), "worker", "tau")
    assert ab.schedule_from(COLUMNS["tau"], workers=9, updates=7).rows.tolist() == made.rows[:7].tolist()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_no_worker_has_two_gradients_and_there_are_as_many_as_are_in_flight(delays):
    delays = [min(delay, at) for at, delay in enumerate(delays)]
    made = ab.schedule_from(delays)
    assert made.tau.tolist() == delays
    assert made.workers == fewest_workers(delays)
    for worker in range(made.workers):
        own = np.flatnonzero(made.worker == worker)
        assert (made.read_version[own][1:] >= made.version[own][:-1]).all()
    assert sorted(made.batch) == list(range(len(delays)))
    assert (ab.schedule_from(made.rows).rows == made.rows).all()


def test_ages_of_each_worker_s_newest_gradient():
    made = ab.schedule_from(AGES)
    assert made.version.tolist() == list(range(1, 9))
    assert list(zip(made.worker.tolist(), made.read_version.tolist(), strict=True)) == [
        (0, 0), (1, 0), (2, 0), (0, 3), (2, 4), (1, 3), (0, 5), (2, 5),
    ]  # fmt: skip
    assert made.t_apply.tolist() == [1, 1, 1, 2, 3, 4, 5, 5]


@pytest.mark.parametrize(
    "scheme",
    ["leashed(persistence=0)", "synchronous(wait_for=3)", "parameter-server(buffer=3, discard_after=2)", "hogwild"],
)
def test_a_run_and_its_exported_updates_are_traces(scheme, tmp_path):
    run = ab.simulate(PROBLEM, scheme, "tail", 6, 0.05, timing="compute=exponential(1), update=0.2", updates=40,
                      out=tmp_path / "run.h5")  # fmt: skip
    traces = [ab.schedule_from(tmp_path / "run.h5")]
    if scheme != "hogwild":
        ab.analysis.export(run, tmp_path / "updates.csv")
        traces.append(ab.schedule_from(tmp_path / "updates.csv", scheme))
    for made in traces:
        again = ab.replay(made, PROBLEM, "tail", step_size=0.05)
        assert again.params["final"].tobytes() == run.params["final"].tobytes()
        assert again.config["trace"] == made.origin
        assert "timing" not in again.config
        assert ab.replay(again).params["final"].tobytes() == again.params["final"].tobytes()


def test_a_run_whose_workers_have_their_own_data_and_make_several_steps():
    more = {"local_steps": 2, "shards": "label"}
    run = ab.simulate(PROBLEM, "lock-based", "tail", 6, 0.05, timing="exponential(1)", updates=30, **more)
    made = ab.schedule_from(run)
    assert sorted(made.batch) == list(range(30)), "tickets, not numbers of each worker"
    assert made.local_steps == 2
    again = ab.replay(made, PROBLEM, "tail", step_size=0.05, shards="label")
    assert again.params["final"].tobytes() == run.params["final"].tobytes()
    assert ab.schedule_from(made.rows).local_steps == 1


def test_a_number_of_workers_that_changes():
    given = {"timing": "exponential(1)", "updates": 40, "workers": "0:2, 20:6"}
    run = ab.simulate(PROBLEM, rule="concurrency()", step_size=0.05, **given)
    for made in (ab.schedule_from(run), ab.schedule_from(ab.schedule_from(run).rows, workers="0:2, 20:6")):
        assert made.workers == 6
        again = ab.replay(made, PROBLEM, "concurrency()", step_size=0.05)
        assert again.config["workers"] == run.config["workers"]
        assert again.params["final"].tobytes() == run.params["final"].tobytes()


def test_on_the_command_line(tmp_path):
    path = tmp_path / "delays.csv"
    np.savetxt(path, COLUMNS["tau"][:50])
    options = ["--problem", "mlp(hidden=[8])", "--rule", "tail", "--seed", 2, "--workers", 7, "--batch", 8]
    text = call("replay", path, *options, "-o", tmp_path / "run.h5").stdout
    origin = ab.schedule_from(path, updates=50).origin
    assert re.search(rf"^trace +{re.escape(origin)}$", text, re.MULTILINE)
    run = ab.load_run(tmp_path / "run.h5")
    assert [run.config[name] for name in ("seed", "workers", "batch_size", "trace")] == [2, 7, 8, origin]
    assert origin in call("show", tmp_path / "run.h5").stdout
    assert json.loads(call("replay", tmp_path / "run.h5", "--json").stdout)["equal"]
    for wrong, said in (
        ([tmp_path / "run.h5", "--seed", 3], "only a trace"),
        ([path, tmp_path / "run.h5"], "replay one trace at a time"),
        ([path, "--jobs", 2], "--jobs is for several runs"),
        ([path, "--scheme", "hogwild"], "whose views mix versions"),
        ([path, "--workers", 2], "needs 6"),
    ):
        result = call("replay", *wrong)
        assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_rules_are_swept_and_compared_on_a_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_of_sweeps, "in_processes", at_once)
    np.savetxt("delays.csv", COLUMNS["tau"][:60])
    base = {"source": "delays.csv", "problem": "quadratic([1, 10])", "step_size": 0.02, "eval_every": 10}
    sweep = parse_sweep({"kind": "replay", "base": base, "grid": {"rule": ["constant", "tail"], "seed": [1, 2, 3]}})
    manifest = run_sweep(sweep, "replays")
    assert [outcome.status for outcome in manifest.outcomes.values()] == ["finished"] * 6
    run = ab.load_run(tmp_path / "replays" / manifest.points[0].file)
    assert run.config["trace"] == ab.schedule_from("delays.csv").origin
    lines = (tmp_path / "replays/manifest.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "replays/manifest.jsonl").write_text("".join(lines[:-1]))  # the file of the last is whole
    made = []
    run_sweep(sweep, "replays", resume=True, progress=made.append)
    assert [now.point for now in made if now.point] == []
    assert "seed by seed" in str(ab.compare("replays", target_fraction=0.9))
    np.savetxt("delays.csv", COLUMNS["tau"][:50])
    with pytest.raises(ab.RecordError, match=r"delays\.csv"):
        run_sweep(sweep, "replays", resume=True)
    ab.replay(run, out="run.h5")
    for wrong, said in (
        ({"source": "run.h5"}, r"problem is quadratic\(.*: only a trace"),
        ({"source": "delays.csv", "workers": 2}, "needs 6"),
        ({"source": "delays.csv", "problem": "quadratc"}, "quadratc"),
        ({"source": "delays.csv", "rule": "tial"}, "tial"),
        ({"source": "delays.csv", "schedule": "x"}, "unknown schedule"),
    ):
        points = parse_sweep({"kind": "replay", "base": {**base, **wrong}, "grid": {"step_size": [0.1, 0.2]}}).points
        with pytest.raises(AsapnbError, match=said):
            check_points(points)


def altered(columns, **changes):
    """Columns with one entry changed: name=(row, value)."""
    found = {name: column.copy() for name, column in columns.items()}
    for name, (row, value) in changes.items():
        found[name] = found[name].astype(np.result_type(found[name], type(value)))
        found[name][row] = value
    return found


BAD = [
    ([0, 1, -1], "row 2: the delay is -1: must be at least 0"),
    ([0, 1, 3], "row 2: the delay is 3, and only 2 updates had been made before"),
    ([0.0, np.nan], "row 1: a delay is nan"),
    ([0, 0.5], "row 1: a delay is 0.5: must be an integer"),
    ([], "holds no rows"),
    ({"delay": [0, 0], "worker": [0, -1]}, "row 1: worker is -1"),
    ({"delay": [0, 1], "worker": [0, 0]}, "row 1: worker 0 read version 0, before its last gradient was applied"),
    ({"a": [0], "b": [0]}, "has the columns a, b: a trace has a column delay"),
    ([[0, 0], [2, 0]], "row 1: a delay is 2, and only 1 iterations"),
    ([[0, 0], [1, 0], [0, -1]], "row 2: a delay is -1"),
    ([[0, 0], [0, 1], [1, 2], [3, 0]], "row 3: the delay of worker 0 grows by more than 1"),
    ([[0, 0], [1, 1], [2, 0], [3, 1], [2, 1], [2, 2]], "row 5: worker 0 read iteration 3 before"),
    (altered(VERSIONS, version=(7, 100)), "row 8: the version is 9: must be 8"),
    (
        altered(VERSIONS, version=(7, -1)),
        "row 7: the version is -1, of a gradient that was given up: the trace needs",
    ),
    (altered(VERSIONS, read_version=(5, 6)), "row 5: the version that was read is 6: must be one of those made"),
    (altered(VERSIONS, read_version=(5, -1)), "row 5: the version that was read is -1"),
    (altered(COLUMNS, tau=(5, 99)), "row 5: tau is 99: from version"),
    (altered(COLUMNS, t_apply=(5, -1.0)), "row 5: t_apply is -1, before t_ready"),
    (altered(TIMES, t_apply=(119, -1.0)), "row 119: t_apply is -1, before t_read"),
    (altered(TIMES, t_read=(119, 0.0)), "row 119: worker"),
    (altered(TIMES, t_read=(3, np.inf)), "row 3: t_read is inf"),
]


@pytest.mark.parametrize(("trace", "said"), BAD, ids=[said[:50] for _, said in BAD])
def test_what_no_run_can_have_done_is_refused_with_its_row(trace, said):
    with pytest.raises(DataError, match=re.escape(said)):
        ab.schedule_from(trace)


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        ({"delay": [0, 0], "worker": [0]}, "columns of several lengths ('delay' 2, 'worker' 1)"),
        ({"worker": [0, 1], "t_read": [0, 0, 0], "t_apply": [1, 1, 1]}, "columns of several lengths"),
        ({"delay": 5}, "has the shape ()"),
    ],
)
def test_columns_that_do_not_fit_together(trace, said):
    with pytest.raises(DataError, match=re.escape(said)):
        ab.schedule_from(trace)


@pytest.mark.parametrize(
    ("text", "line"),
    [("0\n1\n9\n", 3), ("delay\n0\n1\n9\n", 4), ("\n-1\n0\n", 2), ("delay\n\n0\n\nx\n", 5), ("delay\n0\n\"\"\n", 3)],
)  # fmt: skip
def test_errors_of_files_name_the_line(text, line, tmp_path):
    (tmp_path / "trace.csv").write_text(text)
    with pytest.raises(DataError, match=f"trace.csv, line {line}: "):
        ab.schedule_from(tmp_path / "trace.csv")


@pytest.mark.parametrize("trace", ["delays.txt", None, 3, [[[0]]], ["a"], [[0], [0, 1]]])
def test_what_is_no_trace(trace):
    with pytest.raises(UsageError, match="trace is "):
        ab.schedule_from(trace)


DELAYS = [min(delay, at) for at, delay in enumerate([5] * 20)]
PROMISES = [
    ({"scheme": "lock-based(interval=4)"}, "row 4: the version that was read is 0: under LockBased(interval=4) an "
     "interval began at version 4"),
    ({"scheme": "leashed(interval='0:6, 6:3')"}, "row 6: the version that was read is 1"),
    ({"scheme": "lock-based(discard_after=3)"}, "row 3: the staleness is 3, and LockBased(discard_after=3) gives up"),
    ({"scheme": "parameter-server(bound=2)", "workers": 7}, "worker 0 of the trace read version 13, when it was 3 "
     "gradients ahead of the slowest"),
    ({"workers": "0:2, 10:6"}, "worker 2 of the trace read version 0, when 2 were in force"),
    ({"workers": "0:6, 10:7", "scheme": "lock-based(interval=20)"}, "workers is 0:6, 10:7, which changes"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), PROMISES, ids=[said[:50] for _, said in PROMISES])
def test_what_the_scheme_or_the_workers_rule_out_is_refused(given, said):
    with pytest.raises(AsapnbError, match=re.escape(said)):
        ab.schedule_from(DELAYS, **given)


@pytest.mark.parametrize(
    "scheme",
    ["lock-based(interval='0:7, 14:4', buffer=3)", "lock-based(interval=4, discard_after=2)",
     "leashed(persistence=0, interval=6)", "parameter-server(bound=0)", "parameter-server(bound=2, buffer=3)",
     "parameter-server(interval=6, discard_after=2, restart=True)"],
)  # fmt: skip
def test_what_a_scheme_has_made_it_can_have_made(scheme):
    for timing in ("exponential(1)", "compute=slowed(exponential(1), factor=5, workers=[0]), update=0.2, read=0.1"):
        made = ab.schedule(timing, scheme, workers=5, updates=40)
        assert (ab.schedule_from(made.rows, scheme).rows == made.rows).all()


def test_a_run_whose_workers_followed_its_progress(tmp_path):
    run = ab.train(quadratic(), workers="adaptive(2)", updates=20, step_size=0.02)
    made = ab.schedule_from(run)
    again = ab.replay(made, quadratic(), step_size=0.02)
    assert again.config["workers"] == 2
    assert again.params["final"].tobytes() == run.params["final"].tobytes()


def test_arguments_that_do_not_fit():
    run = ab.simulate(quadratic(), workers=2, updates=5)
    for wrong in ({"workers": 1}, {"updates": 0}, {"scheme": "hogwild"}, {"scheme": "sequential"}):
        with pytest.raises(UsageError):
            ab.schedule_from(COLUMNS, **wrong)
    with pytest.raises(UsageError, match="leave scheme out"):
        ab.schedule_from(run, "leashed")
    for trace in (AGES, [0, 1], {"delay": [0, 1]}):
        with pytest.raises(UsageError, match="several gradients make a version, and in the trace each makes one"):
            ab.schedule_from(trace, "synchronous")
