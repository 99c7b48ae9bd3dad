"""A recorded run, recomputed one update after the other from its rows: the same parameters, to the bit."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from intervals import assert_none_crosses
from naive import assert_rows_are_sound, recompute, synchronous, updated
from problems import CONSISTENT, pull_slowly, quadratic, train, work_often_overtaken

import asapnb as ab
from asapnb.engine.loops import leashed

DATA = ab.load_dataset("fashion-mnist-mini")
NETWORKS = {"mlp": ab.mlp(DATA, hidden=(16,)), "lenet": ab.lenet(DATA)}


@pytest.mark.parametrize(("momentum", "decay", "workers"), [(0.0, 0.0, 8), (0.9, 1e-3, 2), (0.9, 1e-3, 16)])
@pytest.mark.parametrize("scheme", CONSISTENT, ids=repr)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_file_of_a_network_s_run_gives_its_parameters(network, scheme, momentum, decay, workers, tmp_path):
    train(
        NETWORKS[network],
        scheme,
        workers=workers,
        step_size=0.02,
        updates=120,
        momentum=momentum,
        weight_decay=decay,
        rule="tail(refresh=every(20))",
        eval_samples=100,
        out=tmp_path / "run.h5",
    )
    run = ab.load_run(tmp_path / "run.h5")
    assert run.status == "finished"
    assert_rows_are_sound(run)
    np.testing.assert_array_equal(recompute(NETWORKS[network], run), run.params["final"])


@pytest.mark.parametrize(
    ("momentum", "decay", "share", "kind", "dtype"),
    [
        (0.0, 0.0, 0.0, "per_worker", np.float32),
        (0.9, 0.01, 0.0, "per_worker", np.float64),
        (0.9, 0.01, 0.0, "shared", np.float32),
        (0.9, 0.01, 0.2, "per_worker", np.float32),
        (0.9, 0.01, 0.2, "shared", np.float64),
    ],
)
@pytest.mark.parametrize("scheme", CONSISTENT, ids=repr)
def test_the_rows_give_the_parameters_to_the_bit(scheme, momentum, decay, share, kind, dtype):
    problem = quadratic(n=3000, dtype=dtype, gradient=pull_slowly)
    run = train(
        problem,
        scheme,
        workers=6,
        updates=400,
        momentum=momentum,
        momentum_kind=kind,
        direct_share=share,
        weight_decay=decay,
        rule="inverse",
        meetings=40,
    )
    assert (run.updates["tau"] > 0).sum() > 100, "views must have been stale"
    np.testing.assert_array_equal(recompute(problem, run), run.params["final"])


@pytest.mark.parametrize("interval", [None, 4])  # of which a dropped gradient is one
def test_dropped_gradients_change_nothing(interval, tmp_path, monkeypatch):
    monkeypatch.setattr(leashed, "work", work_often_overtaken())
    problem, out = quadratic(n=3000, gradient=pull_slowly), tmp_path / "run.h5"
    scheme = ab.Leashed(persistence=0, interval=interval)
    train(problem, scheme, workers=16, updates=600, momentum=0.9, step_size=1e-3, out=out)
    run = ab.load_run(out)
    assert_rows_are_sound(run)
    assert (run.updates["dropped"] == 1).sum() > 100
    np.testing.assert_array_equal(recompute(problem, run), run.params["final"])
    if interval:
        assert_none_crosses(run.updates, scheme.intervals)


@pytest.mark.parametrize(
    ("column", "altered"),
    [
        ("read_version", lambda version: version - 1),
        ("batch", lambda ticket: ticket - 1),
        ("worker", lambda worker: (worker + 1) % 6),
        ("scale", lambda scale: np.nextafter(scale, np.float32(2))),
    ],
)
def test_one_altered_row_is_noticed(column, altered):
    problem = quadratic(n=3000, gradient=pull_slowly)
    step_size = 1 / 16  # a power of two: another scale is another step, however little it differs
    run = train(problem, "lock-based", workers=6, updates=100, momentum=0.5, rule="inverse", step_size=step_size)
    rows = {name: run.updates[name].copy() for name in run.updates}
    changed = SimpleNamespace(config=run.config, params=run.params, updates=rows)
    np.testing.assert_array_equal(recompute(problem, changed), run.params["final"])
    rows[column][-1] = altered(rows[column][-1])
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(recompute(problem, changed), run.params["final"])


@pytest.mark.parametrize("reshuffle", [True, False])
def test_sequential_is_plain_sgd_to_the_bit(reshuffle):
    problem = quadratic()
    runs = [
        train(problem, "sequential", epochs=3, momentum=0.5, weight_decay=0.1, reshuffle=reshuffle, rule="tail")
        for _ in range(2)
    ]
    assert (runs[0].updates["scale"] == 1).all()
    np.testing.assert_array_equal(runs[0].params["final"], recompute(problem, runs[0]))
    np.testing.assert_array_equal(runs[0].params["final"], runs[1].params["final"])


@pytest.mark.parametrize(("workers", "share"), [(1, 0.0), (3, 0.2), (8, 0.0)])
def test_synchronous_averages_in_worker_order_to_the_bit(workers, share):
    problem, arguments = quadratic(), {"momentum": 0.5, "direct_share": share, "weight_decay": 0.1}
    runs = [train(problem, "synchronous", workers=workers, updates=40, **arguments) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].params["final"], runs[1].params["final"])
    np.testing.assert_array_equal(runs[0].params["final"], synchronous(problem, runs[0]))
    rows = runs[0].updates
    assert (rows["tau"] == 0).all()
    np.testing.assert_array_equal(rows["version"], np.repeat(np.arange(1, 41), workers))
    np.testing.assert_array_equal(rows["batch"], np.arange(40 * workers))


@given(st.floats(0, 0.9), st.floats(0.01, 1))
def test_with_a_direct_share_a_gradient_moves_by_one_step_in_the_end_and_that_share_of_it_at_once(momentum, share):
    x, velocity, config = np.zeros(1), np.zeros(1), {"momentum": momentum, "direct_share": share}
    x, velocity = updated(x, velocity, np.ones(1), 0.5, config)
    assert x[0] == pytest.approx(-0.5 * (share + (1 - share) * (1 - momentum)))
    for _ in range(300):
        x, velocity = updated(x, velocity, np.zeros(1), 0.5, config)
    assert x[0] == pytest.approx(-0.5)
