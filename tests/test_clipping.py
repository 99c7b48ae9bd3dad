"""Gradients are clipped by their norm, alike on threads, in virtual time and in replays, and their rows say so."""

import numpy as np
import pytest
from commands import printed
from naive import clipped, hogwild, recompute, rounds, synchronous
from problems import quadratic, train
from simulations import simulate

import asapnb as ab
from asapnb.kernels.arithmetic import clip_norm

EXTRAS = {"momentum": 0.9, "weight_decay": 0.01, "compensation": 0.3, "step_size": 0.02}


@pytest.mark.parametrize("n", [1, 7, 8, 9, 50, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_kernel_is_its_twin(n, dtype):
    gradient = np.random.default_rng(n).standard_normal(n).astype(dtype)
    norm = float(np.linalg.norm(gradient.astype(np.float64)))
    for most in (dtype(norm * 0.5), dtype(norm * 2)):
        found = gradient.copy()
        assert clip_norm.py_func(found, most) == pytest.approx(norm, rel=1e-14)
        np.testing.assert_allclose(found, clipped(gradient, most)[0], rtol=4 * np.finfo(dtype).eps)
        assert np.linalg.norm(found.astype(np.float64)) <= float(most) * (1 + 1e-6)


@pytest.mark.parametrize("scheme", ["sequential", "synchronous", "lock-based", "leashed", "hogwild(view=snapshot)"])
def test_runs_on_threads_are_recomputed_from_their_rows(scheme, tmp_path):
    extras = EXTRAS if scheme != "synchronous" else EXTRAS | {"compensation": 0.0}
    run = train(quadratic(), scheme, updates=40, clip=15.0, **extras, out=tmp_path / "run.h5")
    acted = run.updates["norm"] > 15.0
    assert 0 < acted.sum() < len(acted)
    if scheme.startswith("hogwild"):
        return
    final = synchronous(quadratic(), run) if scheme == "synchronous" else recompute(quadratic(), run)
    np.testing.assert_allclose(final, run.params["final"], rtol=0, atol=1e-6)
    replayed = ab.replay(run, quadratic())
    assert replayed.config["clip"] == 15.0
    assert replayed.params["final"].tobytes() == run.params["final"].tobytes()
    assert (replayed.updates["norm"] == run.updates["norm"]).all()
    freed = ab.replay(run, quadratic(), clip=0)
    assert "clip" not in freed.config
    assert not freed.updates["norm"].any()
    further = ab.resume(run.path, problem=quadratic(), updates=50)
    assert (further.updates["norm"] > 0).all()


@pytest.mark.parametrize("scheme", ["lock-based", "synchronous", "synchronous(wait_for=3)", "hogwild(blocks=7)"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_runs_in_virtual_time_are_recomputed_from_their_rows(scheme, momentum):
    given = {"clip": 3.0, "momentum": momentum, "weight_decay": 0.01}
    run = simulate(scheme=scheme, **given)
    twin = hogwild(quadratic(), run, 7)[1] if scheme.startswith("hogwild") else None
    twin = (rounds if scheme.startswith("sync") else recompute)(quadratic(), run) if twin is None else twin
    np.testing.assert_allclose(twin, run.params["final"], rtol=0, atol=1e-6)
    assert (run.updates["norm"] > 3.0).any()
    again = simulate(scheme=scheme, threads=2, **given)
    assert again.params["final"].tobytes() == run.params["final"].tobytes()


@pytest.mark.parametrize("run", [simulate, lambda **given: train(quadratic(), "sequential", updates=40, **given)])
def test_a_clip_that_never_acts_changes_no_bit(run):
    plain, wide = run(), run(clip=1e9)
    assert plain.params["final"].tobytes() == wide.params["final"].tobytes()
    assert "clip" not in plain.config
    assert not plain.updates["norm"].any()
    assert (wide.updates["norm"] > 0).all()
    assert run(clip=0).config == plain.config


def test_show_says_how_often_it_acted(tmp_path):
    run = simulate(clip=3.0, out=tmp_path / "run.h5")
    shown = printed("show", run.path)
    assert f"{(run.updates['norm'] > 3.0).mean():.1%} of the gradients, to the norm 3" in shown


@pytest.mark.parametrize("clip", [-1.0, np.nan, np.inf, "long", True])
@pytest.mark.parametrize("run", [ab.train, ab.simulate])
def test_what_is_no_norm_is_refused(run, clip):
    with pytest.raises(ab.UsageError, match="clip is"):
        run(quadratic(), updates=5, clip=clip)
