"""What the microscope sees, computed again from the versions that a slow twin makes of the rows."""

import numpy as np
import pytest
from naive import hogwild, minibatch, versions_of
from problems import quadratic
from simulations import CONSISTENT, HOGWILD, assert_same_contents, contents, simulate

import asapnb as ab
from asapnb.problems import analytic
from asapnb.schemes import parse_scheme

NETWORK = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(6,))
EXACT = analytic.quadratic([1.0, 3.0, 10.0], samples=60)


def seen_by_hand(problem, run, exact=None):
    """For each row of the microscope the vectors: x, view, gradient, its value at x, and the gradient of all."""
    config, rows = run.config, run.updates
    if "hogwild" in run.config["scheme"].lower():
        pairs = hogwild(problem, run, parse_scheme(config["scheme"]).blocks)[2]
    else:
        versions = versions_of(problem, run)
        made = np.where(rows["dropped"] == 1, 0, rows["version"])
        pairs = {i: (versions[rows["read_version"][i]], versions[v - 1]) for i, v in enumerate(made)}
    samples = config["eval_samples"]
    count = problem.n_samples if samples == "none" else min(problem.n_samples, samples)
    everything = np.arange(count) * problem.n_samples // count
    for version in run.microscope["version"]:
        row = int(np.flatnonzero(rows["version"] == version)[-1])
        view, x = pairs[row]
        batch = minibatch(problem, config, rows["batch"][row])
        old, new = (problem.loss_and_gradient(params, batch)[1].astype(float) for params in (view, x))
        whole = exact(x) if exact else problem.loss_and_gradient(x, everything)[1].astype(float)
        yield row, x.astype(float), view.astype(float), old, new, whole


@pytest.mark.parametrize("scheme", [*CONSISTENT, *HOGWILD])
@pytest.mark.parametrize("problem", [quadratic(dtype=np.float64), NETWORK], ids=["quadratic", "mlp"])
def test_what_it_sees(problem, scheme):
    samples = 20 if problem is NETWORK else None
    run = simulate(problem, scheme, microscope=4, momentum=0.5, weight_decay=0.01, eval_samples=samples)
    seen = run.microscope
    np.testing.assert_array_equal(seen["version"], np.arange(4, 61, 4))
    norm, close = np.linalg.norm, {"rtol": 2e-4 if problem.dtype == np.float32 else 1e-9, "atol": 1e-9}
    for i, (row, x, view, old, new, whole) in enumerate(seen_by_hand(problem, run)):
        assert seen["tau"][i] == run.updates["tau"][row]
        np.testing.assert_allclose(seen["distance"][i], norm(x - view), **close)
        np.testing.assert_allclose(seen["gradient"][i], norm(old), **close)
        np.testing.assert_allclose(seen["error"][i], norm(old - new), **close)
        np.testing.assert_allclose(seen["fresh"][i], norm(whole), **close)
        np.testing.assert_allclose(seen["noise"][i], norm(new - whole), **close)
        np.testing.assert_allclose(seen["cosine"][i], old @ new / norm(old) / norm(new), **close)
        np.testing.assert_allclose(seen["along"][i], old @ whole / (whole @ whole), **close)
        np.testing.assert_allclose(old, whole + (new - whole) + (old - new), **close)
    parts = np.array([seen[name] for name in ("gradient", "fresh", "noise", "error")])
    for i in range(4):
        assert (parts[i] <= (parts.sum(0) - parts[i]) * (1 + 1e-6)).all(), "as in a polygon"
    if scheme != "sequential":
        assert (seen["distance"] > 0).any()
    else:
        assert (seen["distance"] == 0).all()
        np.testing.assert_allclose(seen["cosine"], 1)


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild(view=snapshot)"])
def test_without_noise_the_error_is_that_of_the_view(scheme):
    run = simulate(EXACT, scheme, microscope=1, batch_size=1, step_size=0.02)
    eigenvalues, seen = np.array([1.0, 3.0, 10.0]), run.microscope
    assert (seen["noise"] == 0).all()
    for i, (_, x, view, *_) in enumerate(seen_by_hand(EXACT, run, lambda x: eigenvalues * x)):
        np.testing.assert_allclose(seen["error"][i], np.linalg.norm(eigenvalues * (view - x)), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(seen["fresh"][i], np.linalg.norm(eigenvalues * x), rtol=1e-12)


def test_the_gradient_of_all_is_the_known_one():
    problem = analytic.quadratic([1.0, 3.0, 10.0], noise=0.5, samples=60)
    run = simulate(problem, microscope=1, step_size=0.02, eval_samples=5)
    for i, (*_, new, whole) in enumerate(seen_by_hand(problem, run, lambda x: np.array([1.0, 3.0, 10.0]) * x)):
        np.testing.assert_allclose(run.microscope["noise"][i], np.linalg.norm(new - whole), rtol=1e-9)
        assert run.microscope["noise"][i] > 0


@pytest.mark.parametrize("scheme", ["synchronous", "synchronous(wait_for=7, batches=True)"])
def test_a_round_reads_what_it_changes(scheme):
    seen = simulate(scheme=scheme, microscope=3).microscope
    np.testing.assert_array_equal(seen["version"], np.arange(3, 61, 3))
    for name in ("distance", "error", "tau"):
        assert (seen[name] == 0).all()


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "synchronous", "leashed(persistence=0)"])
@pytest.mark.parametrize("every", [1, 7, 61])
def test_looking_changes_nothing_else(scheme, every, tmp_path):
    simulate(scheme=scheme, out=tmp_path / "blind.h5", momentum=0.5)
    run = simulate(scheme=scheme, out=tmp_path / "seen.h5", momentum=0.5, microscope=every, threads=2)
    np.testing.assert_array_equal(run.microscope["version"], np.arange(every, 61, every))
    blind, seen = contents(tmp_path / "blind.h5"), contents(tmp_path / "seen.h5")
    different = {name for name in seen if name.startswith("microscope/")} | {"attribute config"}
    assert seen.keys() - blind.keys() == different - {"attribute config"}
    for name in blind.keys() - different:
        np.testing.assert_array_equal(blind[name], seen[name], err_msg=name)
    simulate(scheme=scheme, out=tmp_path / "again.h5", momentum=0.5, microscope=every, threads=3)
    assert_same_contents(tmp_path / "again.h5", tmp_path / "seen.h5")


def test_a_run_without_one_has_seen_nothing():
    assert list(simulate().microscope) == []
