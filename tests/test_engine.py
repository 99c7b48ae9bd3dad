"""Every scheme on real threads: what is recorded, how a run ends, and that its rows give its parameters."""

import mmap
import os
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from naive import assert_rows_are_sound, recompute
from problems import CONSISTENT, counting, failing, fails_on_sample_0, pull_slowly, quadratic, train

import asapnb as ab
from asapnb.engine import controller as controller_module
from asapnb.engine import memory, words
from asapnb.engine import run as run_module
from asapnb.engine.controller import Controller
from asapnb.engine.memory import allocate
from asapnb.kernels.arrays import LINE, aligned
from asapnb.schemes import Leashed

SCHEMES = ["sequential", "synchronous", "lock-based", "hogwild", "hogwild(view=snapshot)", "leashed"]
ASYNCHRONOUS = [*SCHEMES[2:], "leashed(persistence=0)", "leashed(persistence=2, check_early=True)"]


@pytest.mark.parametrize("scheme", ASYNCHRONOUS)
@pytest.mark.parametrize("workers", [1, 2, 16, 64])
def test_exactly_the_requested_updates_with_sound_rows(scheme, workers):
    problem = quadratic(gradient=pull_slowly)
    run = train(problem, scheme, workers=workers, updates=503, momentum=0.3, step_size=1e-3, meetings=2)
    assert run.status == "finished"
    assert_rows_are_sound(run)
    assert run.staleness_counts.sum() == run.updates["version"].max() == 503
    assert np.isfinite(run.params["final"]).all()
    assert workers > 1 or run.staleness.support == 0


@pytest.mark.parametrize(("scheme", "workers"), [("sequential", 1), ("synchronous", 3), ("synchronous", 64)])
def test_rows_without_staleness_are_sound(scheme, workers):
    run = train(quadratic(), scheme, workers=workers, updates=60)
    assert_rows_are_sound(run)
    assert not run.updates["tau"].any()
    np.testing.assert_array_equal(run.updates["batch"], np.arange(60 * workers))


@pytest.mark.parametrize("workers", [2, 8, 16, 64])
@pytest.mark.parametrize("scheme", CONSISTENT, ids=repr)
def test_no_torn_view_no_lost_update_and_no_leaked_vector(scheme, workers, monkeypatch):
    kept = []
    monkeypatch.setattr(run_module, "allocate", lambda *arguments: kept.append(allocate(*arguments)) or kept[0])
    run = train(
        counting(3000), scheme, workers=workers, step_size=1.0, updates=1500, eval_every=7, divergence_factor=1e30
    )
    assert_rows_are_sound(run)
    assert not run.updates["loss"].any(), "a view mixed versions"
    np.testing.assert_array_equal(run.params["final"], np.full(3000, 1500, np.float32))
    if isinstance(scheme, Leashed):
        assert_no_vector_is_leaked(kept[0], workers)


def assert_no_vector_is_leaked(shared, workers):
    """After a run: one vector is current, each worker owns the one that it would have written next."""
    headers = shared.slots.reshape(-1, 2, LINE)[:, :, 0]
    assert not headers[:, 0].any(), "a reader was leaked"
    status = np.bincount(headers[:, 1] & 3, minlength=4)
    assert list(status[[words.OWNED, words.CURRENT, words.STALE]]) == [workers, 1, 0]
    assert len(headers) == 2 * workers + 1 + words.BOXES


def test_a_torn_view_would_be_seen():
    torn = np.zeros(3000, np.float32)
    torn[2000:] = 1
    assert counting(3000).loss_and_gradient(torn, [0])[0] == 1000


@pytest.mark.parametrize("scheme", ["synchronous", "lock-based", "leashed"])
def test_a_thousand_workers(scheme):
    run = train(quadratic(samples=1100), scheme, workers=1024, batch_size=1, updates=3 if scheme[0] == "s" else 2100)
    assert run.status == "finished"
    assert len(run.updates["tau"]) == (3 * 1024 if scheme[0] == "s" else 2100)


def test_an_epoch_of_synchronous_rounds_is_a_pass_over_the_data():
    run = train(quadratic(samples=60), "synchronous", workers=4, batch_size=7, epochs=2)  # 9 batches, 3 rounds
    assert run.updates["version"][-1] == 6
    np.testing.assert_array_equal(run.evals["step"], [0, 3, 6])


def test_a_rule_of_one_s_own_sees_staleness_0_from_the_start_without_other_workers():
    def half_when_fresh(staleness, workers):
        return np.full(len(staleness), 0.5 if staleness.pmf[0] == 1 else 1.0)

    run = train(quadratic(), "synchronous", updates=30, rule=half_when_fresh)
    assert (run.updates["scale"] == 0.5).all()


@pytest.mark.parametrize("scheme", ASYNCHRONOUS)
def test_each_update_uses_the_table_in_force(scheme, stops_when):
    rule = "tail(refresh=every(50))"
    stops_when(lambda controller: controller.shared.rows["row"].max() >= 3)
    run = train(quadratic(2000), scheme, workers=6, updates=10**9, rule=rule)
    steps, tables = run.rule_tables
    rows = run.updates
    assert len(tables) > 2
    tau = np.minimum(rows["tau"], tables.shape[1] - 1)
    np.testing.assert_array_equal(rows["scale"], tables[rows["row"], tau].astype(np.float32))
    assert (tables[0] == 1).all()
    assert (np.diff(steps) > 0).all()
    later = (rows["row"] > 0) & (rows["dropped"] != 1)
    assert (rows["version"][later] > steps[rows["row"][later]]).all(), "a table made from updates yet to come"


def test_updates_staler_than_their_table_are_counted(monkeypatch, stops_when):
    """A table of two entries: staleness 2 is the least beyond it."""
    monkeypatch.setattr(memory, "MAX_TABLE", 2)
    stops_when(lambda controller: (controller.shared.rows["tau"] == 2).any() and controller.totals.version > 10)
    run = train(quadratic(gradient=pull_slowly), "lock-based", workers=4, updates=10**9)
    assert run.attributes["beyond_table"] == (run.updates["tau"] >= 2).sum() > (run.updates["tau"] > 2).sum()


def test_a_zero_scale_makes_a_version_and_leaves_the_parameters():
    def only_fresh(staleness, workers):
        return (np.arange(len(staleness)) == 0) * 1.0

    only_fresh.refresh = None
    problem = quadratic(n=20000)
    run = train(problem, Leashed(), workers=8, updates=300, rule=only_fresh)
    rows = run.updates
    np.testing.assert_array_equal(rows["dropped"], np.where(rows["tau"] > 0, 2, 0))
    np.testing.assert_array_equal(recompute(problem, run), run.params["final"])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_divergence_ends_the_run_and_the_loss_is_reported_as_it_is(scheme):
    run = train(quadratic(), scheme, step_size=1e6, epochs=1000)
    assert run.status == "diverged"
    loss = run.updates["loss"]
    assert not (np.isfinite(loss[-20:]) & (loss[-20:] < 10 * run.evals["train_loss"][0])).all()
    assert len(loss) < 9000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_target_ends_the_run(scheme):
    problem = quadratic()
    start = problem.evaluate(problem.init(3))[0]
    run = train(problem, scheme, step_size=0.01, epochs=100_000, target_loss=0.9 * start)
    assert run.status == "converged"
    step, reached = run.attributes["target_step"], run.attributes["target_seconds"]
    i = list(run.evals["step"]).index(step)
    assert run.evals["train_loss"][i] <= 0.9 * start < run.evals["train_loss"][i - 1]
    assert run.evals["t"][i] == reached


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_time_limit_ends_the_run(scheme, a_second_per_version):
    run = train(quadratic(), scheme, step_size=1e-6, updates=10**12, max_seconds=50.0, eval_every=0)
    assert run.status == "timed-out"
    assert run.updates["version"].max() > 50
    assert run.attributes["seconds"] == run.updates["t_apply"].max() > 0, "no gradient is given up by these schemes"


@pytest.mark.parametrize("scheme", ["sequential", "synchronous"])
def test_an_evaluation_takes_no_training_time(scheme, monkeypatch):
    """The clock stands still, and its origin moves by at least as long as the evaluation takes."""
    kept, seen = [], []
    monkeypatch.setattr(run_module, "allocate", lambda *arguments: kept.append(allocate(*arguments)) or kept[0])

    def evaluate(params, split):
        if kept and kept[0].control[words.GO]:
            begun = time.monotonic_ns()
            assert 0 < kept[0].control[words.PAUSED] <= begun
            seen.append((kept[0].control[words.ORIGIN], time.monotonic_ns() - begun))
        return 1.0, 0.5

    problem = replace(quadratic(), evaluation=evaluate)
    train(problem, scheme, updates=50, eval_every=10, divergence_factor=1e30)
    origins, durations = np.array(seen).T
    assert len(seen) >= 4
    assert (np.diff(origins[::2]) >= durations[:-2:2] + durations[1:-2:2]).all()


def test_training_time_counts_from_the_origin_and_stands_still_while_paused():
    control, clock = np.zeros(words.READING, np.int64), [5_000_000_000]
    access = SimpleNamespace(get=lambda array, position: array[position], now=lambda: clock[0])
    controller = SimpleNamespace(shared=SimpleNamespace(control=control), access=access, _seconds_before=1.5)
    seconds = Controller.seconds.fget
    assert seconds(controller) == 1.5
    control[[words.GO, words.ORIGIN]] = 1, 3_000_000_000
    assert seconds(controller) == 2.0
    control[words.PAUSED] = 4_000_000_000
    assert seconds(controller) == 1.0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("every", [1, 9, 0])
def test_every_evaluation_is_made_in_order_and_of_its_own_version(scheme, every):
    problem = counting(2000)
    seen = []
    run = train(
        problem, scheme, step_size=1.0, updates=100, eval_every=every, on_eval=seen.append, divergence_factor=1e30
    )
    steps = [0, *range(every, 101, every)] if every else [0]
    steps = steps if steps[-1] == 100 else [*steps, 100]
    assert list(run.evals["step"]) == steps == [evaluation.step for evaluation in seen]
    if "hogwild" not in scheme:
        assert not run.evals["train_loss"].any(), "an evaluated vector was torn"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("start", [0, 21], ids=["in the run", "in the first update"])
@pytest.mark.parametrize("workers", [4, 64])
def test_an_error_in_a_worker_ends_all_and_is_raised(scheme, start, workers, tmp_path):
    workers = 1 if scheme == "sequential" else workers
    with pytest.raises(ValueError, match="this gradient fails"):
        train(failing(start=start), scheme, workers=workers, step_size=1.0, updates=100_000, out=tmp_path / "run.h5")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asapnb")]
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "failed"
    assert_rows_are_sound(run)
    assert len(run.updates["tau"]) >= (20 if start == 0 else 0)
    if scheme == "synchronous":
        assert (np.bincount(run.updates["version"])[1:] == workers).all(), "a round is whole or not at all"
        assert (run.params["final"] == run.params["final"][0]).all()


def test_synchronous_workers_do_not_wait_for_one_that_failed_after_a_stop(stops_when):
    stops_when(lambda controller: controller.shared.control[words.GOING])  # in the first round
    problem = failing(fails_on_sample_0)  # one of the four workers has sample 0 in the first round
    with pytest.raises(ValueError, match="this gradient fails"):
        train(problem, "synchronous", batch_size=25, updates=10)


def test_an_error_in_a_callback_ends_all_and_is_raised(tmp_path):
    def broken(evaluation):
        if evaluation.step:
            raise LookupError("callback")

    with pytest.raises(LookupError, match="callback"):
        train(quadratic(), "leashed", epochs=100_000, on_eval=broken, out=tmp_path / "run.h5")
    assert ab.load_run(tmp_path / "run.h5").status == "failed"


def test_a_file_and_memory_hold_the_same(tmp_path):
    problem = quadratic()
    held = train(problem, "sequential", epochs=4)
    file = train(problem, "sequential", epochs=4, out=tmp_path / "run.h5")
    np.testing.assert_array_equal(held.params["final"], file.params["final"])
    for name in ("worker", "batch", "version", "read_version", "tau", "scale", "loss"):
        np.testing.assert_array_equal(held.updates[name], file.updates[name])
    assert ab.load_run(tmp_path / "run.h5").config == held.config


def test_progress_tells_how_far_the_run_is(a_second_per_version, monkeypatch):
    reports = []
    monkeypatch.setattr(controller_module, "REPORT_SECONDS", -1.0)
    train(quadratic(), "leashed", workers=2, updates=10**12, max_seconds=50.0, progress=reports.append)
    assert [report.status for report in reports[-2:]] == ["running", "timed-out"]
    updates = [report.updates for report in reports]
    assert updates == sorted(updates)
    assert updates[-2] > 50
    assert 0 < reports[-1].epoch < reports[-1].epochs


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_workers_begin_on_cores_of_their_own_and_may_leave_them(monkeypatch):
    asked = []
    monkeypatch.setattr("asapnb.engine.team.pinning", lambda: [5, 6, 7])
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, cores: asked.append((thread, cores)))
    train(quadratic(), "lock-based", workers=3, updates=50)
    assert sorted(core for _, cores in asked if len(cores) == 1 for core in cores) == [5, 6, 7]
    assert [cores for _, cores in asked if len(cores) > 1] == [[5, 6, 7]] * 3
    asked.clear()
    for workers in (1, 4):  # more of them spread by themselves
        train(quadratic(), "lock-based", workers=workers, updates=50)
    assert not asked


def test_workers_are_pinned_round_and_round():
    from asapnb.training.cores import cores, pinning

    before, order = cores(), pinning()
    run = train(quadratic(), "lock-based", workers=5, updates=50, pin_workers=True)
    assert run.attributes["pinned"] == {str(i): order[i % len(order)] for i in range(5)}
    assert cores() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers is 0: must be an integer from 1 to 1024"),
        ({"workers": -1}, "workers is -1"),
        ({"workers": 1025}, "workers is 1025"),
        ({"workers": 2.5}, "workers is 2.5: must be an integer"),
        ({"workers": True}, "workers is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 61}, "batch_size is 61: must be an integer from 1 to 60"),
        ({"step_size": -0.1}, "step_size is -0.1"),
        ({"step_size": 0}, "step_size is 0"),
        ({"step_size": float("nan")}, "step_size is nan"),
        ({"step_size": 1e-50}, "step_size is 1e-50: must be a finite number above 0, in float32"),
        ({"step_size": 1e39}, "step_size is 1e+39"),
        ({"momentum": 1 - 1e-9}, "momentum is 0.999999999"),
        ({"eval_every": 2**70}, "eval_every is 1180591620717411303424"),
        ({"scheme": "leashed(persistence=2147483648)"}, "persistence"),
        ({"step_size": "fast"}, "step_size is 'fast': must be a finite number"),
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": 1, "updates": 1}, "give one of them"),
        ({"seed": -1}, "seed is -1"),
        ({"momentum": 1.0}, "momentum is 1.0: must be a finite number of at least 0 and below 1, in float32"),
        ({"momentum_kind": "none"}, "available: ordered, per_worker, shared"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"divergence_factor": 1}, "divergence_factor is 1"),
        ({"max_seconds": 0}, "max_seconds is 0"),
        ({"eval_every": -5}, "eval_every is -5"),
        ({"reshuffle": 1}, "reshuffle is 1: must be True or False"),
        ({"scheme": "leased"}, "Did you mean 'leashed'"),
        ({"scheme": "leashed(persistence=-1)"}, "persistence of Leashed is -1"),
        ({"scheme": "hogwild(view=torn)"}, "available: in_place, snapshot"),
        ({"scheme": 3}, "scheme is 3"),
        ({"scheme": "sequential", "workers": 2}, "Sequential has at most 1"),
        ({"rule": "tial"}, "Did you mean 'tail'"),
        ({"rule": "tail(amplitude=2)"}, "amplitude"),
        ({"rule": lambda staleness, workers: np.full(len(staleness), np.nan)}, "nan at tau = 0"),
        ({"rule": lambda staleness, workers: -np.ones(len(staleness))}, "scale -1.0 at tau = 0"),
        ({"rule": lambda staleness, workers: np.ones(3)}, "shape"),
        ({"out": "/nowhere/run.h5"}, "/nowhere"),
    ],
)
def test_what_cannot_be_used_is_said_and_leaves_no_file(arguments, message, tmp_path):
    arguments = {"out": tmp_path / "run.h5", "scheme": "leashed", **arguments}
    with pytest.raises(ab.AsapnbError) as error:
        train(quadratic(), **arguments)
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept(tmp_path):
    (tmp_path / "run.h5").write_text("mine")
    with pytest.raises(ab.RecordError, match="already exists"):
        train(quadratic(), "leashed", updates=10, out=tmp_path / "run.h5")
    assert (tmp_path / "run.h5").read_text() == "mine"
    assert train(quadratic(), "leashed", updates=10, out=tmp_path / "run.h5", force=True).status == "finished"


@pytest.mark.parametrize(("size", "alignment"), [(100, 64), (2**20, 2**21)])
def test_memory_is_zero_and_begins_at_a_cache_line_or_huge_page(size, alignment):
    array = aligned((3, size), np.float32)
    assert not array.any()
    assert array.ctypes.data % (alignment if hasattr(mmap, "MADV_HUGEPAGE") else 64) == 0
    array[:] = 1


def test_train_needs_a_problem():
    with pytest.raises(ab.UsageError, match=r"must be a Problem, for example asapnb.lenet"):
        ab.train("lenet")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no such file on this system")
def test_large_memory_is_private_as_only_that_has_huge_pages():
    array = aligned(2**22, np.uint8)
    regions = re.findall(r"^(\w+)-(\w+) (\S+)", Path("/proc/self/smaps").read_text(), re.MULTILINE)
    (flags,) = {flags for low, high, flags in regions if int(low, 16) <= array.ctypes.data < int(high, 16)}
    assert flags == "rw-p"
