"""A number of workers that changes during a run: on threads, on MPI, resumed, replayed, and as rules see it."""

from functools import partial

import numpy as np
import pytest
from commands import printed
from mpi_runs import train as train_on_ranks
from naive import assert_rows_are_sound, recompute
from problems import pull_slowly, quadratic, train

import asapnb as ab
from asapnb.analysis import by_class, grouped, records
from asapnb.config import run_config
from asapnb.engine import adapting, elastic, words
from asapnb.engine.collect import compile_access
from asapnb.engine.initial import InitialState
from asapnb.engine.memory import allocate
from asapnb.record.schema import UPDATES
from asapnb.rules import Rule, ScaleTables, every, tail
from asapnb.training.options import Options, resolve
from asapnb.training.prior import as_prior
from asapnb.training.steps import step_tables
from asapnb.workforce import MOST_CHANGES, Workforce, as_workforce

TABLE = "0:2, 30:5, 60:1, 90:3, 91:5, 200:2"
SLOW = quadratic(gradient=pull_slowly)


def one_over_workers(staleness, workers):
    """A static rule that is told the number of workers only."""
    return np.full(len(staleness), 1 / workers)


def assert_only_workers_in_force_read(run):
    force = as_workforce(run.config["workers"])
    assert run.attributes["workers"] == force.most
    for worker, version in zip(run.updates["worker"], run.updates["read_version"], strict=True):
        assert worker < force.at(int(version))


# --- what may be given -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", ["0:8, 5000:16", [(0, 8), (5000, 16)], ((0, 8), (10, 8), (5000, 16)), "0:8,5000:16"]
)
def test_all_ways_to_write_a_table(given):
    force = as_workforce(given)
    assert (force.plain, force.most, force.is_steady) == ("0:8, 5000:16", 16, False)
    assert as_workforce(force.plain) == force
    assert hash(as_workforce(str(force))) == hash(force)
    assert eval(repr(force), {"Workforce": as_workforce}) == force
    assert [force.at(version) for version in (0, 4999, 5000, 10**9)] == [8, 8, 16, 16]


@pytest.mark.parametrize("given", [8, "8", [(0, 8)], "0:8, 10:8", np.int64(8), lambda version: 8])
def test_what_is_one_number(given):
    run = ab.simulate(quadratic(), workers=given, updates=20)
    assert run.config["workers"] == 8
    assert run.attributes["workers"] == 8


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("eight", "workers is 'eight': must be an integer"),
        ("0:8, x:16", "'x'"),
        ("5:8", "first step must begin at 0"),
        ([(0, 8), (10, 4), (10, 5)], "each next one later than the one before"),
        ([(0, 8), (10, 0)], "is 0: must be an integer from 1"),
        ([(0, 8), (10, 2000)], "is 2000: must be an integer from 1 to 1024"),
        ([(0, 8), (2**60, 4)], "last version of workers"),
        ([], "must be 1 to"),
        ([(i, 1 + i % 2) for i in range(MOST_CHANGES + 1)], "must be 1 to"),
        (lambda version: 0, "is 0: must be an integer from 1"),
        (True, "workers is True"),
    ],
)
def test_what_is_no_workforce_is_named(given, says):
    with pytest.raises(ab.UsageError, match=says):
        ab.train(quadratic(), workers=given, updates=20)


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        ("synchronous", "a round needs a fixed number; give one number, or choose lock-based, hogwild, leashed"),
        ("parameter-server(bound=2)", "with bound"),
        ("leashed(interval=8)", "with interval"),
    ],
)
def test_schemes_that_need_a_fixed_number_say_so(scheme, says):
    with pytest.raises(ab.UsageError, match=f"workers is 0:2, 10:4, which changes.*{says}"):
        ab.simulate(quadratic(), scheme, workers="0:2, 10:4", updates=20)
    with pytest.raises(ab.UsageError, match="which changes"):
        ab.schedule("exponential(1)", scheme, workers="0:2, 10:4", updates=20)


def test_a_function_of_the_version_is_made_a_table():
    run = ab.simulate(quadratic(), workers=lambda version: 1 + version // 20, updates=50)
    assert run.config["workers"] == "0:1, 20:2, 40:3"
    assert ab.schedule(1.0, workers=lambda version: 1 + version // 20, updates=50).workforce.most == 3


def test_who_reads_out_of_turn_is_found():
    workers, versions = np.array([1, 3, 3, 2]), np.array([0, 50, 70, 49])
    as_workforce("0:2, 50:4").check_reads(workers[:3], versions[:3])
    with pytest.raises(RuntimeError, match="worker 2 has read version 49, where it was not in force"):
        as_workforce("0:2, 50:4").check_reads(workers, versions)
    for known_by_itself in (as_workforce(1), as_workforce("adaptive(2)")):
        known_by_itself.check_reads(workers, versions)


# --- runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "leashed(persistence=0)"])
@pytest.mark.parametrize("workers", [TABLE, [(7 * i, 1 + i % 4) for i in range(40)]], ids=["few", "many"])
def test_threads_that_are_not_in_force_read_nothing(scheme, workers):
    run = train(SLOW, scheme, workers=workers, updates=250, step_size=1e-3)
    assert run.status == "finished"
    assert run.updates["version"].max() == 250
    assert_rows_are_sound(run)
    assert_only_workers_in_force_read(run)
    if scheme != "hogwild":
        np.testing.assert_array_equal(recompute(SLOW, run), run.params["final"])
        np.testing.assert_array_equal(ab.replay(run, SLOW).params["final"], run.params["final"])


def test_who_waits_ends_with_the_run():
    stopped = train(quadratic(), "leashed", workers="0:1, 1000000000:8", updates=10**9, eval_every=50,
                    on_eval=lambda evaluation: evaluation.step < 50)  # fmt: skip
    assert stopped.status == "stopped"
    assert (stopped.updates["worker"] == 0).all()


@pytest.mark.parametrize("engine", [train, ab.simulate])
@pytest.mark.parametrize("cut", [45, 90, 150])
def test_a_run_goes_on_with_its_table(engine, cut, tmp_path):
    arguments = {"workers": TABLE, "rule": tail(refresh=every(10, warmup=3)), "step_size": 1e-3, "seed": 3}
    before = engine(quadratic(), "lock-based", updates=cut, out=tmp_path / "run.h5", **arguments)
    run = ab.resume(before, updates=250, problem=quadratic())
    assert run.config["workers"] == TABLE
    assert run.status == "finished"
    assert_only_workers_in_force_read(run)
    if engine is ab.simulate:
        whole = ab.simulate(quadratic(), "lock-based", updates=250, **arguments)
        np.testing.assert_array_equal(run.params["final"], whole.params["final"])
        np.testing.assert_array_equal(run.rule_tables.steps, whole.rule_tables.steps)
    else:
        np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


def test_workers_of_mpi_that_are_not_in_force_get_no_parameters(four):
    pytest.importorskip("mpi4py")
    table = "0:1, 20:3, 50:2, 80:3"
    run = four.call(
        train_on_ranks, quadratic, {"scheme": "parameter-server", "workers": table, "updates": 120, "seed": 1}
    )[0]
    assert run.status == "finished"
    assert run.config["workers"] == table
    assert_rows_are_sound(run)
    assert_only_workers_in_force_read(run)
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])
    with pytest.raises(ab.UsageError, match=r"workers is 0:1, 5:9, and there are 4 ranks"):
        four.call(train_on_ranks, quadratic, {"scheme": "parameter-server", "workers": "0:1, 5:9", "updates": 9})


def test_it_is_configured_shown_and_made_again(tmp_path):
    path = tmp_path / "run.h5"
    few = ["-m", "0:2, 10:4", "--updates", 30]
    printed("simulate", "--problem", "mlp(hidden=[4])", *few, "--timing", "exponential(1)", "-o", path)
    assert "2 to 4 workers (0:2, 10:4)" in printed("show", path)
    run = ab.load_run(path)
    again = run_config(run.config, "simulate")
    np.testing.assert_array_equal(again.params["final"], run.params["final"])
    assert "2 to 4 workers (0:2, 10:4)" in run._repr_html_()
    printed("compare", path)
    printed("report", path, "-o", tmp_path / "report.html")
    assert '"0:2, 10:4"' in printed("simulate", "--staleness-only", *few, "--json")
    refused = printed("train", "--problem", "mlp(hidden=[4])", "-m", "2:4", "--updates", 9, code=2)
    assert "must begin at 0" in refused


def test_runs_whose_number_changes_stand_beside_others_in_figures():
    problem = ab.problems.quadratic([1.0, 2.0])
    runs = [
        ab.simulate(problem, workers=workers, updates=60, batch_size=1, step_size=step, eval_every=20)
        for workers in (2, "0:2, 30:4")
        for step in (0.05, 0.1)
    ]
    for kind in ("loss", "staleness", "magnitude", "time_to_target", "survival"):
        assert getattr(ab.plots, kind)(runs) is not None
    assert "workers 0:2, 30:4" in ab.plots.path(runs[2]).axes[0].get_title("left")
    with pytest.raises(ab.UsageError, match="no place on the axis of workers"):
        ab.plots.stability(runs)
    assert [value for (value,) in grouped(records(runs), ["workers"])] == [2, "0:2, 30:4"]


def test_a_forecast_has_the_staleness_and_no_formulas():
    found = ab.forecast(workers="0:2, 500:4", timing="exponential(1)", updates=2000, step_size=0.01)
    assert found.known.mean is None
    assert found.stable is None
    assert "2 to 4 workers" in repr(found)
    made = ab.schedule("exponential(1)", workers="0:2, 500:4", updates=2000)
    assert found.simulated.mean_staleness == pytest.approx(made.staleness.mean())


def test_parts_of_the_data_are_those_of_all_workers():
    problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(2,))
    run = ab.simulate(problem, workers="0:2, 10:4", shards="label", updates=40)
    assert ab.replay(run).params["final"].tobytes() == run.params["final"].tobytes()
    assert len(run.by_worker()["applied"]) == 4
    assert by_class(run, problem)["share_of_weight"].sum() == pytest.approx(1)


# --- what rules see ----------------------------------------------------------------------------------------------


def test_a_rule_is_told_how_many_are_in_force():
    rule = Rule("one_over_workers", one_over_workers)
    run = ab.simulate(quadratic(), "leashed(persistence=0)", rule, workers=TABLE, updates=250)
    force, lands = as_workforce(TABLE), run.updates["read_version"] + run.updates["tau"]
    expected = np.array([1 / force.at(int(version)) for version in lands], np.float32)
    np.testing.assert_array_equal(run.updates["scale"], expected)
    assert run.rule_tables.steps.tolist() == [0, 30, 60, 90, 91, 200]
    threaded = train(quadratic(), "lock-based", rule=rule, workers=TABLE, updates=250)
    assert {*threaded.updates["scale"].tolist()} <= {*np.float32([1 / m for m in (1, 2, 3, 5)]).tolist()}
    replayed = ab.replay(threaded, quadratic(), rule=rule)
    lands = threaded.updates["version"] - 1
    expected = np.array([1 / force.at(int(version)) for version in lands], np.float32)
    np.testing.assert_array_equal(replayed.updates["scale"], expected)


def tables_one_by_one(rows, rule, force, owner=None):
    """The scale of each row of a schedule without drops, by one ScaleTables for each number of workers."""
    restarts, tables, found = rule.refresh.restarts, ScaleTables(rule, force.at(0)), {}
    changes = [*force.changes[1:]]
    for i, row in enumerate(rows):
        while changes and row["version"] > changes[0][0]:
            workers = changes.pop(0)[1]
            if restarts:
                tables = ScaleTables(rule, workers)
        if owner in (None, row["worker"]):
            found[i] = np.float32(tables.current[min(int(row["tau"]), len(tables.current) - 1)])
            tables.observe([row["tau"]])
    return found


@pytest.mark.parametrize("worker_tables", [False, True])
@pytest.mark.parametrize("on_change", ["restart", "keep"])
def test_histories_restart_or_are_kept(worker_tables, on_change):
    rule = tail(refresh=every(10, half_life=50, warmup=2, on_change=on_change))
    run = ab.simulate(quadratic(), rule=rule, workers=TABLE, updates=400, worker_tables=worker_tables, step_size=1e-3)
    force = as_workforce(TABLE)
    for owner in range(force.most) if worker_tables else [None]:
        expected = tables_one_by_one(run_rows(run), rule, force, owner)
        if on_change == "keep":  # the tables at a change are further ones, from the staleness seen by then
            expected = {i: scale for i, scale in expected.items() if run.updates["version"][i] <= 30}
        for i, scale in expected.items():
            assert run.updates["scale"][i] == scale, (owner, i)
    assert {30, 60, 90, 91, 200} & {*run.rule_tables.steps.tolist()}


def run_rows(run):
    names = ("worker", "tau", "version")
    return [dict(zip(names, row, strict=True)) for row in zip(*(run.updates[name] for name in names), strict=True)]


def test_a_prior_holds_again_after_a_change():
    rule = tail(refresh=every(10, warmup=5))
    run = ab.simulate(quadratic(), rule=rule, workers="0:2, 100:6", updates=200, prior="exponential(1)")
    step = run.rule_tables.steps.tolist().index(100)
    expected = ScaleTables(rule, 6, as_prior("exponential(1)").staleness(ab.LockBased(), 6)).current
    np.testing.assert_array_equal(run.rule_tables.scales[step][: len(expected)], expected)


@pytest.mark.parametrize("worker_tables", [False, True])
def test_a_rule_that_sees_the_loss_has_its_tables_at_the_same_updates(worker_tables):
    def plain(staleness, workers):
        return 1 / (workers + np.arange(len(staleness)))

    def seeing(staleness, workers, loss):
        return 1 / (workers + np.arange(len(staleness)))

    plain.refresh = seeing.refresh = every(10, warmup=1)
    runs = [
        ab.simulate(quadratic(), "leashed(persistence=0)", rule, workers=TABLE, updates=250, step_size=1e-3,
                    timing="compute=exponential(1), update=0.1", worker_tables=worker_tables)
        for rule in (plain, seeing)
    ]  # fmt: skip
    np.testing.assert_array_equal(runs[0].updates["scale"], runs[1].updates["scale"])
    np.testing.assert_array_equal(runs[0].params["final"], runs[1].params["final"])


# --- a number that adapts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "leashed"])
def test_a_number_that_follows_the_progress_is_recorded_to_the_version(scheme, monkeypatch, tmp_path):
    monkeypatch.setattr(adapting, "_WINDOW", 20)
    run = train(quadratic(), scheme, workers="adaptive(4)", updates=4000, step_size=1e-4, out=tmp_path / "run.h5")
    table = run.attributes["in_force"]
    assert run.config["workers"] == "adaptive(4)"
    assert "in force" in run._repr_html_()
    force = as_workforce(table)
    assert all(version <= 4000 for version, _ in force.changes)
    reads = [*zip(run.updates["worker"].tolist(), run.updates["read_version"].tolist(), strict=True)]
    assert all(worker < force.at(version) for worker, version in reads)
    if scheme != "hogwild":
        rule = Rule("one_over_workers", one_over_workers)
        replayed = ab.replay(run, quadratic(), rule=rule)
        expected = [np.float32(1 / force.at(version - 1)) for version in replayed.updates["version"].tolist()]
        assert replayed.updates["scale"].tolist() == expected
        assert as_workforce(replayed.config["workers"]) == force
    further = ab.resume(run, updates=4200, problem=quadratic()).attributes["in_force"]
    assert as_workforce(further).until(4000) == force
    assert ab.simulate(quadratic(), workers=table, updates=50).status == "finished"


def test_changes_are_those_of_the_trials_and_hold_from_a_version_that_nobody_has_read(monkeypatch):
    monkeypatch.setattr(adapting, "_WINDOW", 10)
    options = resolve("train", quadratic(), {"workers": "adaptive(8)", "updates": 1000})
    shared = allocate(quadratic(), options, step_tables(options.schedule, Rule("one", one_over_workers), 1000),
                      InitialState(quadratic().init(0)), 1.0)  # fmt: skip
    made = elastic.Elastic(shared, compile_access(UPDATES), options, 0)
    version = 0
    for number, slope in ((8, 1.0), (4, 2.0), (4, 2.0), (8, 1.0), (4, 1.0), (2, 0.5)):
        assert made.workforce.changes[-1][1] == number
        assert elastic.number_at(shared, made.workforce.changes[-1][0]) == number
        rows = np.zeros(80, UPDATES)
        rows["version"], rows["t_apply"] = 1 + version + np.arange(80), version + np.arange(80)
        rows["loss"] = 1000 - slope * np.arange(80)
        version += 80
        shared.control[words.VERSION] = version
        made.observe(rows)
    changes = made.workforce.changes
    assert all(made.workforce.at(v) == elastic.number_at(shared, v) for v in range(600))
    assert [v % 80 for v, _ in changes[1:]] == [32] * (len(changes) - 1), "4 × 8 versions after the window ended"


@pytest.mark.parametrize(
    "given", ["adaptive", "adaptive()", "adaptive(0)", "adaptive(2000)", "adaptive(4, 5)", "adaptive("]
)
def test_what_is_no_adaptive_number_is_named(given):
    with pytest.raises(ab.UsageError):
        ab.train(quadratic(), workers=given, updates=20)


def test_in_virtual_time_the_number_must_be_known():
    given = {"workers": "adaptive(4)"}
    for make in (partial(ab.simulate, quadratic()), partial(ab.schedule, 1.0), ab.forecast):
        with pytest.raises(ab.UsageError, match=r"follows the measured progress.*attribute in_force"):
            make(**given)
    with pytest.raises(ab.UsageError, match="a round needs a fixed number"):
        ab.train(quadratic(), "synchronous", workers="adaptive(4)")


def test_options_hold_the_largest_number_and_the_table():
    assert {"workers", "workforce"} <= Options.__dataclass_fields__.keys()
    assert Workforce(((0, 2), (5, 1))).then(9, 4) == as_workforce("0:2, 5:1, 9:4")
