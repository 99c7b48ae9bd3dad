"""The smoothness and the noise of a problem, estimated from gradients, against problems whose constants are known."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import quadratic as pulled

import asapnb as ab
from asapnb.errors import UsageError
from asapnb.forecasting import Estimate, gradient_variance, smoothness
from asapnb.problems import least_squares, log_cosh, logistic, quadratic

FEW = {"samples": 8}


def others(largest):
    """Eigenvalues below a gap of a fifth, so that power iteration ends."""
    return st.lists(st.floats(0, 0.8 * largest), min_size=0, max_size=5)


@given(
    st.floats(1e-3, 1e3).flatmap(lambda largest: st.tuples(st.just(largest), others(largest))), st.integers(0, 2**32)
)
def test_the_smoothness_of_a_quadratic_is_its_largest_eigenvalue(eigenvalues, seed):
    largest, rest = eigenvalues
    problem = quadratic([*rest, largest], start="normal(1.0)")
    found = smoothness(problem, problem.init(seed), **FEW, seed=seed)
    assert found.value <= largest * (1 + 1e-6)
    assert found.value >= largest - found.error - 1e-6 * largest
    assert found.error <= 0.011 * largest
    assert found.gradients % 16 == 0


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_the_smoothness_of_regressions(seed, dimension):
    for build in (least_squares, logistic):
        problem = build(samples=20, dimension=dimension, seed=seed)  # logistic: L is the curvature at 0
        found = smoothness(problem)
        assert found.value <= problem.constants.L * (1 + 1e-6)
        assert abs(found.value - problem.constants.L) <= 0.25 * problem.constants.L
        hessian = [problem.loss_and_gradient(1e-5 * row, range(20))[1] for row in np.eye(dimension)]
        away = [problem.loss_and_gradient(-1e-5 * row, range(20))[1] for row in np.eye(dimension)]
        nearest = np.abs(np.linalg.eigvalsh((np.array(hessian) - away) / 2e-5) - found.value).min()
        assert nearest <= found.error + 1e-6 * found.value


def test_noise_does_not_change_the_smoothness():
    assert smoothness(quadratic([1.0, 7.0], noise=50.0), **FEW).value == pytest.approx(7, rel=1e-3)
    assert smoothness(log_cosh(3, start=0.0), **FEW).value == pytest.approx(1, rel=1e-3)


def test_a_part_of_the_samples_has_a_larger_error_than_all():
    problem = least_squares(samples=400, dimension=3)
    part, whole = smoothness(problem, samples=50, tolerance=1e-4), smoothness(problem, samples=1000, tolerance=1e-4)
    assert whole.value == pytest.approx(problem.constants.L, rel=1e-3)
    assert part.error > 10 * whole.error
    assert abs(part.value - whole.value) < 4 * part.error
    assert whole.gradients % 800 == 0


def test_the_iteration_ends_by_its_number_too():
    close = quadratic(np.linspace(0.99, 1, 50))
    assert smoothness(close, tolerance=1e-9, iterations=10, **FEW).gradients == 10 * 16 + 16
    assert smoothness(quadratic(1.0), **FEW).error < 1e-6


def test_in_single_precision():
    found = smoothness(pulled())  # 50 parameters in float32, and a curvature of 1
    assert found.value == pytest.approx(1, rel=1e-3)
    assert smoothness(pulled(dtype=np.float64)).value == pytest.approx(1, rel=1e-6)


@given(st.floats(1e-3, 1e3), st.integers(4, 40), st.integers(1, 8), st.integers(0, 2**32))
def test_the_variance_of_a_minibatch(noise, dimension, size, seed):
    problem = quadratic(np.ones(dimension), noise=noise)
    found = gradient_variance(problem, batch_size=size, pairs=40, seed=seed)
    error = np.sqrt(2 / dimension / 40) * noise / size
    assert abs(found.value - noise / size) <= 7 * error
    assert error / 3 < found.error < 3 * error
    assert found.gradients == 80 * size


def test_the_variance_over_rows():
    """Of a minibatch without replacement: that of a row, over the batch size, times 1 - batch / rows."""
    problem = least_squares(samples=60, dimension=3)
    rows = np.array([problem.loss_and_gradient(problem.init(), [i])[1] for i in range(60)])
    each = rows.var(axis=0, ddof=1).sum()
    for size in (1, 10):
        found = gradient_variance(problem, batch_size=size, pairs=500)
        assert abs(found.value - each / size * (1 - size / 60)) < 4 * found.error
    assert gradient_variance(problem, batch_size=60).value < 1e-20


def test_estimates_follow_from_the_seed():
    problem = least_squares(samples=50, dimension=4)
    for estimate in (smoothness, gradient_variance):
        assert estimate(problem, seed=1) == estimate(problem, seed=1) != estimate(problem, seed=2)
    assert "gradients of a sample" in str(smoothness(problem))
    assert Estimate(1.0, 0.1, 5, 0.2) != 5
    assert len({Estimate(1.0, 0.1, 5, 0.2), Estimate(1.0, 0.1, 5, 0.3)}) == 1


def test_at_other_parameters_than_the_initial_ones():
    problem = log_cosh(1)
    assert smoothness(problem, [2.0]).value == pytest.approx(np.cosh(2.0) ** -2, rel=1e-4)
    network = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    start = ab.train(network, workers=1, updates=60, step_size=0.1)
    found = [
        ab.forecast(network, workers=2, updates=20, estimate=True, samples=100, start=one) for one in (None, start)
    ]
    assert found[0].L.value != found[1].L.value
    assert found[0].L.estimate == smoothness(network, samples=100)
    assert found[1].noise.estimate == gradient_variance(network, start.params["final"])


@numba.njit
def endless(params, gradient, indices, plan, workspace, inputs, labels):
    """A gradient that is not finite."""
    gradient[:] = np.inf
    return 1.0


@pytest.mark.parametrize(
    ("estimate", "arguments", "message"),
    [
        (smoothness, {"problem": 5}, "problem is 5"),
        (smoothness, {"samples": 0}, "samples is 0"),
        (smoothness, {"iterations": 9}, "iterations is 9"),
        (smoothness, {"tolerance": 0}, "tolerance is 0"),
        (smoothness, {"params": [1.0, 2.0]}, r"params have shape \(2,\)"),
        (smoothness, {"params": [np.nan]}, "give 1 finite numbers"),
        (smoothness, {"seed": -1}, "seed is -1"),
        (gradient_variance, {"batch_size": 0}, "batch_size is 0"),
        (gradient_variance, {"pairs": 1}, "pairs is 1"),
        (gradient_variance, {"params": ["a"]}, "params have shape"),
        (gradient_variance, {"problem": None}, "problem is None"),
    ],
    ids=lambda given: getattr(given, "__name__", str(given)),
)
def test_errors(estimate, arguments, message):
    with pytest.raises(UsageError, match=message):
        estimate(**{"problem": quadratic(1.0), **arguments})


@pytest.mark.parametrize("estimate", [smoothness, gradient_variance])
def test_a_gradient_that_is_not_finite(estimate):
    problem = ab.custom(endless, np.zeros(60, np.float32), np.zeros(60, int), 4)
    with pytest.raises(UsageError, match="is not finite there: estimate at other parameters"):
        estimate(problem)
