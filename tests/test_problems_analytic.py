"""Objectives with known constants: gradients, noise, the constants themselves; through `train` and text."""

import re

import naive
import numpy as np
import pytest
from commands import printed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from problems import train
from scipy.optimize import minimize_scalar
from scipy.stats import kstest

import asapnb as ab
from asapnb.config import load_config, prepare, run_config
from asapnb.errors import UsageError
from asapnb.problems import (
    bounded,
    custom,
    least_squares,
    log_cosh,
    logistic,
    quadratic,
    rosenbrock,
    sine_pl,
)
from asapnb.problems.text import PROBLEMS, parse_problem

RNG = np.random.default_rng(7)
A, B, Y = RNG.standard_normal((9, 3)), RNG.standard_normal(9), np.where(RNG.random(9) < 0.5, 1, -1)
EIGENVALUES = [0.5, 3.0, 1.0]
N = 1000  # virtual samples


def of_coordinates(name):
    """The case of an objective that takes any even number of parameters."""
    value, gradient = naive.OBJECTIVES[name]
    return (
        lambda noise: getattr(ab.problems, name)(4, noise, samples=N, seed=5),
        lambda x, rows: (value(x), gradient(x).ravel()),
    )


CASES = {name: of_coordinates(name) for name in naive.OBJECTIVES} | {
    # A problem with this noise; its twin, given parameters and rows
    "quadratic": (
        lambda noise: quadratic(EIGENVALUES, noise, samples=N, seed=5),
        lambda x, rows: naive.quadratic(EIGENVALUES, x),
    ),
    "least_squares": (
        lambda noise: least_squares(A, B, noise, seed=5),
        lambda x, rows: naive.least_squares(A[rows], B[rows], x),
    ),
    "logistic": (
        lambda noise: logistic(A, Y, noise, ridge=0.3, seed=5),
        lambda x, rows: naive.logistic(A[rows], Y[rows], 0.3, x),
    ),
}
QUIET = {name: make(0.0) for name, (make, _) in CASES.items()}
NOISY = {name: make(0.7) for name, (make, _) in CASES.items()}
names = pytest.mark.parametrize("name", CASES)


def points(n, scale=3.0):
    return arrays(np.float64, n, elements=st.floats(-scale, scale, width=32))


def gradient(problem, x, samples=(0,)):
    return problem.loss_and_gradient(x, np.array(samples))[1]


def test_every_builder_is_tested():
    missing = {name for name, entry in PROBLEMS.items() if not entry.on_data} - set(CASES)
    assert not missing, "give them a twin: in OBJECTIVES of tests/naive.py, or in CASES"


# --- gradients -----------------------------------------------------------------------------------------------------


@names
@given(data=st.data())
def test_loss_and_gradient_are_those_of_the_formulas(name, data):
    for problem, noise in ((QUIET[name], 0.0), (NOISY[name], 0.7)):
        n, samples = problem.n_params, problem.n_samples
        x = data.draw(points(n))
        rows = np.array(data.draw(st.lists(st.integers(0, samples - 1), min_size=1, max_size=20)))
        loss, slope = CASES[name][1](x, rows)
        if noise:
            terms = np.mean([naive.noise(int(i), samples, noise, n, 5) for i in rows], axis=0)
            loss, slope = loss + terms @ x, slope + terms
        found_loss, found = problem.loss_and_gradient(x, rows)
        np.testing.assert_allclose(found, slope, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found_loss, loss, rtol=1e-12, atol=1e-12)


@names
@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_gradient_is_the_slope_of_the_loss(name, size):
    problem, h = NOISY[name], 1e-5
    x = np.random.default_rng(size).uniform(-2, 2, problem.n_params)
    rows = np.random.default_rng(size).choice(problem.n_samples, size, replace=False)
    steps = h * np.eye(problem.n_params)
    ahead, back = ([problem.loss_and_gradient(x + sign * s, rows)[0] for s in steps] for sign in (1, -1))
    np.testing.assert_allclose((np.array(ahead) - back) / (2 * h), gradient(problem, x, rows), rtol=1e-6, atol=1e-6)


@names
def test_large_parameters_do_not_overflow(name):
    for scale in (0.0, 50.0, 1e6):
        x = np.full(QUIET[name].n_params, scale)
        assert np.isfinite(QUIET[name].evaluate(x)[0])
        assert np.isfinite(gradient(QUIET[name], x)).all()


@names
def test_the_mean_over_all_samples_is_what_is_evaluated(name):
    for x in (np.full(NOISY[name].n_params, 0.7), NOISY[name].init(3)):
        exact = CASES[name][1](x, np.arange(NOISY[name].n_samples))[0]
        quiet = QUIET[name].evaluate(x)
        assert quiet[0] == NOISY[name].evaluate(x, "train", 2)[0] == pytest.approx(exact, rel=1e-13)
        assert np.isnan([quiet[1], *NOISY[name].evaluate(x, "test")]).all()
        every, _ = NOISY[name].loss_and_gradient(x, np.arange(NOISY[name].n_samples))
        assert every == pytest.approx(exact, rel=1e-12)


# --- noise ---------------------------------------------------------------------------------------------------------


def terms(problem, samples):
    """The gradient of each sample where that of f is 0."""
    return np.array([gradient(problem, problem.constants.x_star, [i]) for i in samples])


def test_noise_is_normal_of_the_variance_asked_for_and_independent():
    problem = quadratic(np.ones(5), noise=2.0, seed=1)
    assert problem.n_samples == 2**20
    xi = terms(problem, range(20_000))
    assert (xi**2).sum(1).mean() == pytest.approx(2.0, rel=0.03), "five standard errors"
    for j in range(5):
        assert kstest(xi[:, j] / np.sqrt(2 / 5), "norm").pvalue > 1e-3
    shifted = np.hstack([xi[:-1], xi[1:]])
    assert np.abs(np.corrcoef(shifted.T) - np.eye(10)).max() < 5 / np.sqrt(len(xi))


def test_noise_is_a_function_of_seed_and_sample():
    one, again, other = (quadratic(np.ones(3), noise=1.0, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(terms(one, range(50)), terms(again, range(50)[::-1])[::-1])
    assert not np.isin(terms(one, range(50)), terms(other, range(50))).any()
    assert len(np.unique(terms(one, range(500)))) == 1500


@pytest.mark.parametrize("samples", [2, 10, 1000])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_noise_is_zero_in_the_mean(samples, n):
    problem = log_cosh(n, noise=1.0, samples=samples)
    xi = terms(problem, range(samples))
    np.testing.assert_array_equal(xi, -xi[::-1])
    x = np.zeros(n)
    for i in range(min(samples, 5)):
        assert problem.loss_and_gradient(x + 1, [i, samples - 1 - i])[0] == problem.evaluate(x + 1)[0]
        assert not gradient(problem, x, [i, samples - 1 - i]).any()


def test_the_middle_row_of_an_odd_number_has_no_noise():
    quiet, noisy = QUIET["least_squares"], NOISY["least_squares"]
    x, differ = np.ones(3), []
    for row in range(9):
        differ.append((gradient(quiet, x, [row]) != gradient(noisy, x, [row])).any())
    assert differ == [True] * 4 + [False] + [True] * 4


def test_without_noise_every_sample_is_the_same():
    problem = rosenbrock()
    assert problem.loss_and_gradient([0.3, 0.4], [0])[0] == problem.evaluate([0.3, 0.4])[0]
    np.testing.assert_array_equal(gradient(problem, [0.3, 0.4], [0]), gradient(problem, [0.3, 0.4], [5, 77, 999]))


# --- constants -----------------------------------------------------------------------------------------------------


def full(problem, x):
    """f and its gradient, without noise."""
    return problem.loss_and_gradient(x, np.arange(problem.n_samples))


def deficient():
    return least_squares(samples=30, dimension=8, rank=3, seed=4)


KNOWN = [*QUIET.values(), deficient(), quadratic([0.0, 2.0, 5.0], samples=2), logistic(samples=20, dimension=4)]
known = pytest.mark.parametrize("problem", KNOWN, ids=lambda problem: f"{problem.name}-{problem.n_params}")


@known
@given(data=st.data())
def test_l_mu_pl_and_convexity_hold(problem, data):
    constants = problem.constants
    x, y = data.draw(points(problem.n_params, 10)), data.draw(points(problem.n_params, 10))
    (f_x, g_x), (f_y, g_y) = full(problem, x), full(problem, y)
    rounding = 1e-9 * (1 + abs(f_x) + abs(f_y))
    distance = np.linalg.norm(x - y)
    if constants.L is not None:
        assert np.linalg.norm(g_x - g_y) <= constants.L * distance * (1 + 1e-9) + 1e-12
    if constants.convex:
        assert f_y >= f_x + g_x @ (y - x) + constants.mu / 2 * distance**2 - rounding
    if constants.pl is not None:
        assert g_x @ g_x / 2 >= constants.pl * (f_x - constants.f_star) - rounding
    assert f_x >= constants.f_star - rounding
    assert constants.mu == 0 or (constants.convex and constants.pl >= constants.mu)


@known
def test_the_minimum_is_one(problem):
    constants = problem.constants
    f, slope = full(problem, constants.x_star)
    assert f == pytest.approx(constants.f_star, rel=1e-12, abs=1e-15)
    assert np.abs(slope).max() < 1e-12
    assert problem.evaluate(constants.x_star)[0] == pytest.approx(constants.f_star, rel=1e-12, abs=1e-15)


def hessian(problem, x, h=1e-4):
    return np.array([(full(problem, x + s)[1] - full(problem, x - s)[1]) / (2 * h) for s in h * np.eye(len(x))])


@pytest.mark.parametrize("problem", [problem for problem in KNOWN if problem.constants.L is not None], ids=repr)
def test_l_is_attained(problem):
    """At 0, for all of them."""
    values = np.linalg.eigvalsh(hessian(problem, np.zeros(problem.n_params)))
    assert values[-1] == pytest.approx(problem.constants.L, rel=1e-6)


@pytest.mark.parametrize("problem", [QUIET["quadratic"], QUIET["least_squares"], deficient(), KNOWN[-2]], ids=repr)
def test_mu_and_pl_of_quadratics_are_the_eigenvalues(problem):
    values = np.linalg.eigvalsh(hessian(problem, np.zeros(problem.n_params)))
    assert problem.constants.mu == pytest.approx(max(values[0], 0), rel=1e-6, abs=1e-9)
    assert problem.constants.pl == pytest.approx(values[values > 1e-6][0], rel=1e-6)


def test_mu_of_logistic_regression_is_nearly_attained_far_away():
    problem = logistic(samples=20, dimension=4, ridge=0.1)
    values = np.linalg.eigvalsh(hessian(problem, np.full(4, 1e3), 1e-2))
    assert values[0] == pytest.approx(0.1, rel=1e-6)


def test_pl_of_sine_pl_is_tight():
    def ratio(x):
        f, slope = naive.OBJECTIVES["sine_pl"]
        return slope(np.array([x]))[0] ** 2 / 2 / f(np.array([x]))

    least = min((minimize_scalar(ratio, bounds=(a, a + 0.2), method="bounded") for a in np.arange(0.1, 30, 0.1)),
                key=lambda found: found.fun)  # fmt: skip
    assert sine_pl().constants.pl <= least.fun < sine_pl().constants.pl + 1e-5
    f, slope = sine_pl().loss_and_gradient([least.x], [0])
    assert slope[0] ** 2 / 2 == pytest.approx(least.fun * f)


def test_what_is_said_not_to_be_is_not():
    for problem in (log_cosh(), bounded()):  # no inequality of Polyak and Łojasiewicz: the ratio tends to 0
        f, slope = full(problem, np.array([1e4]))
        assert slope[0] ** 2 / 2 < 1e-3 * f
    for problem in (sine_pl(), bounded(), rosenbrock()):
        grid = [problem.n_params * [x] for x in np.linspace(-2, 2, 81)] + [[0.0, 1.0][: problem.n_params]]
        assert min(np.linalg.eigvalsh(hessian(problem, np.array(x)))[0] for x in grid) < -0.4
        assert not problem.constants.convex
    assert np.linalg.eigvalsh(hessian(rosenbrock(), np.array([1e3, 0.0])))[-1] > 1e8
    assert rosenbrock().constants.L is None
    none = logistic(A, Y, ridge=0.0).constants
    assert (none.mu, none.pl, none.f_star, none.x_star) == (0.0, None, None, None)


def test_least_squares_by_the_pseudoinverse():
    problem = deficient()
    rows = problem.inputs[-30 * 8 :].reshape(30, 8)
    targets = problem.inputs[2:32]
    inverse = np.linalg.pinv(rows, rcond=1e-10)
    assert np.linalg.matrix_rank(rows) == 3
    residual = targets - rows @ inverse @ targets
    assert problem.constants.f_star == pytest.approx(residual @ residual / 60)
    np.testing.assert_allclose(problem.constants.x_star, inverse @ targets, rtol=1e-9)
    assert (problem.constants.mu, least_squares(samples=5, dimension=8).constants.mu) == (0.0, 0.0)


def test_a_problem_on_data_has_no_constants():
    assert custom(quadratic([1.0]).gradient, [0.0, 1.0], [0], 1, dtype="float64").constants is None


# --- train and text ------------------------------------------------------------------------------------------------

SCHEMES = ["sequential", "synchronous", "lock-based", "hogwild", "hogwild(view=snapshot)", "leashed(persistence=1)"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("problem", [quadratic([1.0, 2.0], noise=0.01), NOISY["logistic"]], ids=repr)
def test_training_lowers_the_loss(problem, scheme):
    run = train(problem, scheme, updates=100, batch_size=2, step_size=0.05, divergence_factor=1e6)
    assert run.status == "finished"
    losses, accuracy = run.evals["train_loss"], run.evals["test_accuracy"]
    assert losses[-1] < losses[0]
    assert losses[0] == problem.evaluate(problem.init(3))[0]
    assert np.isnan(accuracy).all()


def test_a_sequential_run_is_the_recursion():
    run = train(quadratic([2.0], start=3.0), "sequential", updates=10, batch_size=1)
    assert run.params["final"][0] == pytest.approx(3 * 0.8**10, rel=1e-12)
    problem = bounded(2, noise=0.1, samples=8)
    run = train(problem, "lock-based", updates=40, batch_size=3)
    np.testing.assert_array_equal(naive.recompute(problem, run), run.params["final"])


TEXTS = [
    "quadratic([1.0, 10.0], noise=0.1)",
    "quadratic([2.0])",
    "log_cosh",
    "log_cosh(dimension=3, start=[1.0, 2.0, 3.0])",
    "sine_pl(noise=0.5, start=3.0, samples=10, seed=3)",
    "bounded(dimension=2, start='normal(0.5)')",
    "rosenbrock(dimension=4, noise=0.25)",
    "rosenbrock(start=0.0)",
    "least_squares(samples=20, dimension=5, rank=2, seed=1)",
    "least_squares([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], [1.0, 2.0, 3.0], noise=0.1, start=1.0)",
    "logistic(ridge=0.5, samples=20, dimension=5)",
    "logistic([[1.0], [2.0]], [-1.0, 1.0])",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_makes_the_problem_again(text):
    problem = parse_problem(text, "no data set")
    assert problem.config == {"problem": text}
    for other in (parse_problem(problem.config["problem"]), parse_problem(text.replace("'", ""))):
        for name in ("inputs", "labels", "plan"):
            np.testing.assert_array_equal(getattr(problem, name), getattr(other, name))
        np.testing.assert_array_equal(problem.init(1), other.init(1))
        assert problem.name == other.name


def test_starts():
    assert quadratic([1, 2]).init().tolist() == [1.0, 1.0]
    assert least_squares(A, B).init().tolist() == logistic(A, Y).init().tolist() == [0.0] * 3
    assert rosenbrock(4).init().tolist() == [-1.2, 1.0, -1.2, 1.0]
    assert quadratic([1, 2], start=(3, 4)).init().tolist() == [3.0, 4.0]
    drawn = quadratic(np.ones(1000), start="normal(2)")
    assert drawn.init(1).std() == pytest.approx(2, rel=0.1)
    assert drawn.init(1)[0] == drawn.init(1)[0] != drawn.init(2)[0]


def test_numbers_of_numpy_are_written_as_numbers():
    problem = quadratic(np.array([1, 2]), np.float32(0.5), start=np.int64(3), samples=np.int64(4), seed=np.int64(2))
    assert problem.config == {"problem": "quadratic([1.0, 2.0], noise=0.5, start=3.0, samples=4, seed=2)"}
    problem = least_squares(samples=np.int64(4), dimension=np.int64(2))
    assert problem.config == {"problem": "least_squares(samples=4, dimension=2)"}


def test_labels_may_be_zero_and_one():
    np.testing.assert_array_equal(logistic(A, Y > 0).inputs, logistic(A, Y).inputs)


def test_a_run_file_makes_the_run_again(tmp_path):
    path = tmp_path / "run.h5"
    config = {
        "problem": "least_squares(samples=20,dimension=3,noise=0.01)",
        "data": "no data set",
        "scheme": "sequential",
        "updates": 30,
        "batch_size": 2,
    }
    run = run_config(config, out=path)
    assert "data" not in run.config
    assert run.config["problem"] == "least_squares(noise=0.01, samples=20, dimension=3)"
    again = run_config(load_config(path))
    assert again.config == run.config
    np.testing.assert_array_equal(again.params["final"], run.params["final"])


def test_what_is_long_is_given_in_python():
    problem = quadratic(np.ones(65))
    assert problem.config == {"problem": "custom(quadratic)"}
    with pytest.raises(UsageError, match=r"custom\(quadratic\), which .* build it in Python"):
        prepare(problem.config)
    assert "custom" not in quadratic(np.ones(64)).config["problem"]
    assert "custom" in quadratic(np.ones(33), start=np.arange(33)).config["problem"]


def test_on_the_command_line(tmp_path):
    file = tmp_path / "run.h5"
    text = "quadratic([1, 10], noise=0.1)"
    arguments = ["train", "--problem", text, "-m", "4", "--updates", "200", "--batch", "1", "--step-size", "0.01"]
    first = printed(*arguments, "-o", file)
    assert re.search(r"problem +quadratic, 2 parameters, 1,048,576 samples", first)
    assert "accuracy  " in first
    assert "test accuracy" not in first
    assert "20 updates" in printed("train", file, "--updates", 20)
    assert "quadratic([1.0, 10.0], noise=0.1)" in printed("show", file)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: quadratic([]), r"eigenvalues is .*: must be a list of numbers, not empty"),
        (lambda: quadratic([1, np.nan]), r"eigenvalues\[1\] is nan"),
        (lambda: quadratic([[1], [2]]), "eigenvalues is "),
        (lambda: quadratic(["a"]), "must be a list of numbers"),
        (lambda: quadratic([1, -1]), r"eigenvalues\[1\] is -1.0: must be a finite number of at least 0"),
        (lambda: quadratic(0), "one must be above 0"),
        (lambda: log_cosh(0), "dimension is 0: must be an integer from 1 to"),
        (lambda: log_cosh(1.5), "dimension is 1.5"),
        (lambda: rosenbrock(3), "dimension is 3: .* must be even"),
        (lambda: rosenbrock(1), "dimension is 1: must be an integer from 2 to"),
        (lambda: bounded(noise=-1), "noise is -1: must be a finite number of at least 0"),
        (lambda: bounded(noise="much"), "noise is 'much': must be a finite number"),
        (lambda: bounded(noise=[1]), r"noise is \[1\]: must be a finite number"),
        (lambda: bounded(noise=np.inf), "noise is inf"),
        (lambda: bounded(noise=None), "noise is None"),
        (lambda: bounded(samples=3), "samples is 3: must be even"),
        (lambda: bounded(samples=0), "samples is 0: must be an integer from 2 to"),
        (lambda: bounded(seed=-1), "seed is -1"),
        (lambda: bounded(3, start=[1, 2]), "start has 2 numbers for 3 parameters"),
        (lambda: bounded(start="he"), r"start is 'he': give a number, a list of numbers, or 'normal\(s\)'"),
        (lambda: bounded(start="normal(-1)"), r"start is 'normal\(-1\)'"),
        (lambda: bounded(start="normal(1e)"), r"start is 'normal\(1e\)'"),
        (lambda: bounded(start=np.nan), r"start\[0\] is nan"),
        (lambda: least_squares(), "takes a matrix and targets, or samples="),
        (lambda: least_squares(A), "takes a matrix and targets"),
        (lambda: least_squares(A, B, samples=3), "give one of these, and all of it"),
        (lambda: least_squares(samples=3), "takes a matrix and targets"),
        (lambda: least_squares(A, B[:-1]), "matrix has 9 rows and there are 8 targets"),
        (lambda: least_squares([[1, 2], [3]], [1, 2]), "must be rows of numbers, all of one length"),
        (lambda: least_squares([1, 2], [1, 2]), "matrix is "),
        (lambda: least_squares([[0.0]], [1.0]), "matrix is 0 everywhere"),
        (lambda: least_squares(samples=5, dimension=3, rank=4), "rank is 4: must be an integer from 1 to 3"),
        (lambda: least_squares(samples=5, dimension=3, seed="a"), "seed is 'a'"),
        (lambda: logistic(A, B), r"labels are .*: they must be -1 and 1, or 0 and 1"),
        (lambda: logistic(A, Y, ridge=-1), "ridge is -1: must be a finite number"),
        (lambda: parse_problem("quadratics([1])"), "unknown problem 'quadratics'.*Did you mean 'quadratic'"),
        (lambda: parse_problem("quadratic"), "missing a required argument: 'eigenvalues'"),
        (lambda: parse_problem("quadratic([1], nois=1)"), "unknown parameter of quadratic 'nois'"),
        (lambda: parse_problem("lenet", "no data set"), "no data set"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ab.AsapnbError, match=says):
        call()
