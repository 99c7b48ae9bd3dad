"""Local steps: a row has the sum of H gradients on the worker's own path."""

import numpy as np
import pytest
from naive import hogwild, recompute, synchronous
from naive_simulator import simulate as by_the_twin
from problems import pull_slowly, quadratic, train
from simulations import simulate, timing_of

import asapnb as ab
from asapnb.schemes import parse_scheme
from asapnb.timing import as_timing

PROBLEM, SLOW = quadratic(), quadratic(gradient=pull_slowly)
ALL = {"momentum": 0.5, "clip": 4.0, "weight_decay": 0.01, "compensation": 0.05, "rule": "inverse"}


@pytest.mark.parametrize("scheme", ["sequential", "synchronous", "lock-based", "leashed", "leashed(persistence=0)"])
@pytest.mark.parametrize("options", [{}, ALL, {"shards": "iid", "clip": 4.0}], ids=["plain", "all", "shards"])
def test_a_run_on_threads_is_that_of_the_twin_and_replays_to_the_bit(scheme, options):
    run = train(SLOW, scheme, updates=40, local_steps=3, step_size=0.02, meetings=2, **options)
    twin = synchronous if scheme == "synchronous" else recompute
    np.testing.assert_array_equal(twin(SLOW, run), run.params["final"])
    again = ab.replay(run, SLOW, threads=2)
    np.testing.assert_array_equal(again.params["final"], run.params["final"])
    for name in ("loss", "norm"):
        np.testing.assert_array_equal(again.updates[name], run.updates[name])


@pytest.mark.parametrize("scheme", ["lock-based", "leashed(persistence=0)", "parameter-server(discard_after=3)"])
def test_a_simulated_run_is_that_of_the_twin(scheme):
    run = simulate(PROBLEM, scheme, local_steps=3, step_size=0.02, **ALL)
    np.testing.assert_array_equal(recompute(PROBLEM, run), run.params["final"])
    np.testing.assert_array_equal(ab.replay(run, PROBLEM).params["final"], run.params["final"])


def test_hogwild_walks_on_from_the_view_that_it_read():
    run = simulate(PROBLEM, "hogwild(blocks=4)", local_steps=2, step_size=0.02)
    np.testing.assert_array_equal(hogwild(PROBLEM, run, 4)[1], run.params["final"])
    assert train(PROBLEM, "hogwild(view=snapshot)", updates=30, local_steps=2, step_size=0.02).status == "finished"
    with pytest.raises(ab.UsageError, match=r"local_steps is 2: .*hogwild\(view=snapshot\), lock-based or leashed"):
        train(PROBLEM, "hogwild", updates=30, local_steps=2)


@pytest.mark.parametrize(
    "scheme",
    ["sequential", "lock-based", "lock-based(fused=True)", "hogwild", "leashed(check_early=True)", "parameter-server",
     "synchronous(wait_for=2)", "synchronous(wait_for=3, batches=True)"],
)  # fmt: skip
@pytest.mark.parametrize("instant", [False, True])
def test_a_gradient_takes_a_compute_time_for_each_step(scheme, instant):
    timing = as_timing("exponential(1)" if instant else timing_of(scheme), 4)
    scheme, workers = parse_scheme(scheme), 1 if scheme == "sequential" else 4
    made = ab.simulator.scheduling.make_schedule(timing, scheme, workers, 60, 3, local_steps=3)
    rows, _ = by_the_twin(timing, scheme, workers, 60, 3, local_steps=3)
    for name in rows.dtype.names:
        np.testing.assert_array_equal(made.rows[name], rows[name], err_msg=name)
    brief = ab.schedule(timing, scheme, workers, 60, 3, local_steps=3)
    np.testing.assert_array_equal(brief.t_apply, rows["t_apply"])
    assert brief.local_steps == made.local_steps == 3


def test_constant_times_add_up():
    assert ab.schedule("compute=2", workers=3, updates=6, local_steps=5).t_apply.tolist() == [10.0] * 3 + [20.0] * 3


def test_a_schedule_says_how_many_steps_its_replay_makes():
    made = ab.schedule("exponential(1)", workers=3, updates=40, seed=3, local_steps=2)
    given = {"step_size": 0.02, "batch_size": 7}
    run = ab.replay(made, PROBLEM, **given)
    assert run.local_steps == 2
    other = ab.simulate(PROBLEM, workers=3, updates=40, seed=3, local_steps=2, **given)
    np.testing.assert_array_equal(run.params["final"], other.params["final"])
    with pytest.raises(ab.UsageError, match="local_steps is 3"):
        ab.replay(run, PROBLEM, local_steps=3)


def test_one_worker_alone_walks_as_single_steps_do():
    """With one worker and exact arithmetic, H local steps are H updates, and the last point is where both end."""
    steps, single = (
        train(quadratic(dtype=np.float64), "sequential", updates=count, local_steps=local)
        for count, local in ((20, 3), (60, 1))
    )
    np.testing.assert_allclose(steps.params["final"], single.params["final"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(steps.updates["loss"], single.updates["loss"].reshape(-1, 3).mean(1), rtol=1e-6)


def test_a_pass_over_the_data_takes_fewer_updates():
    run = train(PROBLEM, "lock-based", epochs=2, local_steps=3, batch_size=5)
    assert run.evals["step"].tolist() == [0, 4, 8]
    assert run.updates["batch"].max() < 2 * 12
    found = ab.forecast(PROBLEM, batch_size=5, local_steps=3, epochs=2, workers=2)
    assert found.options.updates == 8
    assert found.known.rate == pytest.approx(2 / 3)
    assert found.largest_step is None


def test_a_step_size_that_changed_on_the_way_is_that_of_each_part(tmp_path):
    train(SLOW, "lock-based", updates=30, local_steps=2, step_size=0.05, out=tmp_path / "run.h5")
    run = ab.resume(tmp_path / "run.h5", updates=80, step_size=0.01, problem=SLOW)
    np.testing.assert_array_equal(recompute(SLOW, run), run.params["final"])
    for threads in (1, 2):
        again = ab.replay(run, SLOW, threads=threads)
        np.testing.assert_array_equal(again.params["final"], run.params["final"])


def test_the_microscope_compares_whole_paths():
    run = simulate(PROBLEM, "lock-based", local_steps=2, step_size=0.05, microscope=1)
    fresh = run.microscope["tau"] == 0
    assert fresh.any()
    assert (run.microscope["error"][fresh] == 0).all()
