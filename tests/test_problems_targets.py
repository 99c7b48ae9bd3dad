"""Labels of any dtype: what a gradient gets, and that runs on real targets go on and repeat as all others do."""

import numba
import numpy as np
import pytest
from naive import recompute, synchronous
from problems import pull

import asapnb as ab
from asapnb.problems import custom, gradient_signature

POINTS = np.random.default_rng(0).normal(size=(24, 2))


@numba.njit
def to_targets(params, gradient, indices, plan, workspace, inputs, labels):
    """Mean of |params - t|^2 / 2 over the targets t, (n, n_params) of them."""
    return pull(params, gradient, indices, plan, workspace, labels, labels)


def pulled(targets=POINTS, gradient=to_targets, dtype="float32"):
    return custom(gradient, np.zeros(len(targets), np.float32), targets, 2, dtype=dtype)


def test_a_gradient_gets_its_targets():
    problem = pulled()
    assert problem.n_samples == 24
    assert problem.dtypes == (np.float32, np.float32, np.float32)
    loss, gradient = problem.loss_and_gradient([1.0, 2.0], [3, 5])
    differences = np.array([1.0, 2.0]) - POINTS[[3, 5]]
    assert loss == pytest.approx(np.sum(differences**2) / 4, rel=1e-6)
    assert gradient == pytest.approx(differences.mean(0), rel=1e-6)


@pytest.mark.parametrize("kind", ["uint8", "int32", "float64", "bool"])
def test_labels_have_the_dtype_that_the_gradient_declares(kind):
    declared = numba.njit(gradient_signature("float32", "float32", kind))(to_targets.py_func)
    problem = pulled(np.ones((3, 2)), declared)
    assert problem.labels.dtype == kind
    assert problem.loss_and_gradient([3.0, 1.0], [0, 2])[0] == 2.0


@pytest.mark.parametrize(
    ("given", "parameters", "kept"),
    [("f2", "float32", "f4"), (">f8", "float32", "f4"), ("f4", "float64", "f8"), ("?", "float64", "i8")],
)
def test_without_a_declaration_there_are_two_dtypes(given, parameters, kept):
    to_targets(*[np.zeros(2)] * 2, np.zeros(0, int), *[np.zeros(2, np.int16)] * 4)  # calls of its own declare nothing
    assert pulled(np.zeros((3, 2), given), dtype=parameters).labels.dtype == kept


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["a", "b"], "labels are <U1 of shape"),
        ([], "labels are float64 of shape \\(0,\\)"),
        (np.zeros((2, 2, 2)), "of shape \\(2, 2, 2\\): must be numbers"),
        ([1 + 1j], "complex128"),
        ([0.5, 1.0], "the gradient takes uint8, which cannot hold some"),
        ([255, 256], "the gradient takes uint8, which cannot hold some"),
    ],
)
def test_labels_that_do_not_fit(labels, says):
    declared = numba.njit(gradient_signature("float32", "float32", "uint8"))(to_targets.py_func)
    with pytest.raises(ab.UsageError, match=says):
        custom(declared, np.zeros(2, np.float32), labels, 2)


def test_targets_beyond_the_dtype_are_refused_and_infinite_ones_are_not():
    with pytest.raises(ab.UsageError, match="are float64, and the gradient takes float32, which cannot hold some"):
        pulled(np.full((3, 2), 1e39))
    assert np.isinf(pulled(np.full((3, 2), np.inf)).labels).all()
    assert np.isnan(pulled(np.ma.masked_array(np.zeros((3, 2)), True)).labels).all()


def test_runs_on_real_targets():
    problem, options = pulled(), {"workers": 2, "step_size": 0.1, "batch_size": 4, "seed": 2}
    run = ab.train(problem, "synchronous", updates=300, **options)  # whose loop compiles fastest
    np.testing.assert_array_equal(run.params["final"], synchronous(problem, run))
    assert run.params["final"] == pytest.approx(POINTS.mean(0), abs=0.4)
    simulated = ab.simulate(problem, updates=40, **options)
    np.testing.assert_array_equal(simulated.params["final"], recompute(problem, simulated))
    np.testing.assert_array_equal(ab.replay(simulated, problem=problem).params["final"], simulated.params["final"])
