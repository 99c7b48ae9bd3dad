"""Dropout: its gradients against the slow twin and finite differences; evaluations without it; replays to the bit."""

import naive
import numpy as np
import pytest
from scipy.optimize import check_grad

import asapnb as ab
from asapnb.data import Dataset
from asapnb.errors import UsageError
from asapnb.problems import Conv, Dense, Dropout, MaxPool, ReLU, Tanh, network

LAYERS = [Conv(4, 3), Tanh(), Dropout(0.25), Conv(3, 2), ReLU(), MaxPool(2), Dropout(0.4), Dense(8), Tanh(),
          Dropout(), Dense(10)]  # fmt: skip
DROPOUTS = {2: (0.25, 1, 4 * 6 * 7), 6: (0.4, 3, 3 * 2 * 3), 9: (0.5, 5, 8)}  # place: p, number, units


def make(dtype=np.float64, layers=LAYERS):
    """A network with dropout on random images, and its parameters."""
    rng = np.random.default_rng(1)
    raw, labels = rng.integers(0, 256, (70, 1, 8, 9)).astype(np.uint8), rng.integers(0, 10, 70)
    problem = network(
        Dataset.from_arrays(raw, labels, raw[:5], labels[:5], classes="0123456789"), layers, dtype=dtype
    )
    return problem, problem.init(3)


def tensors(problem, params):
    return [params[one.offset :][: np.prod(one.shape)].reshape(one.shape) for one in problem.layout]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_is_that_of_the_twin(dtype):
    problem, params = make(dtype)
    for size, ticket, seed in ((1, 0, 0), (40, 3, 7), (70, 2**40, 2**62)):
        indices, layers = np.random.default_rng(size).permutation(70)[:size], list(LAYERS)
        for place, (p, number, units) in DROPOUTS.items():
            layers[place] = naive.masked(p, ticket, seed, indices, number, units)
        inputs, labels = problem.data.train.inputs[indices], problem.labels[indices]
        exact, gradients = naive.network_gradient(layers, tensors(problem, params), inputs, labels)
        loss, gradient = problem.loss_and_gradient(params, indices, ticket, seed)
        assert loss == pytest.approx(exact, rel=1e-6 if dtype == np.float32 else 1e-13)
        expected = np.concatenate([one.ravel() for one in gradients])
        assert np.linalg.norm(gradient - expected) < (1e-6 if dtype == np.float32 else 1e-13) * np.linalg.norm(
            expected
        )


def test_gradient_is_that_of_finite_differences():
    problem, params = make()
    error = check_grad(
        lambda x: problem.loss_and_gradient(x, np.arange(5), 4)[0],
        lambda x: problem.loss_and_gradient(x, np.arange(5), 4)[1],
        params,
    )
    assert error < 1e-6


def test_what_is_dropped_follows_from_the_ticket_and_the_seed():
    problem, params = make()
    losses = {problem.loss_and_gradient(params, [0, 1, 2], *which)[0] for which in ((0, 0), (1, 0), (0, 1), (0, 0))}
    assert len(losses) == 3
    mask = naive.masked(0.3, 5, 6, range(200), 2, 100).mask
    assert np.mean(mask == 0) == pytest.approx(0.3, abs=0.01)
    assert mask.mean() == pytest.approx(1, abs=0.02)


def test_nothing_is_dropped_in_evaluations_and_predictions():
    problem, params = make()
    without, _ = make(layers=[layer for layer in LAYERS if not isinstance(layer, Dropout)])
    assert problem.evaluate(params) == without.evaluate(params)
    assert np.array_equal(
        problem.scores(params, problem.data.test.raw), without.scores(params, problem.data.test.raw)
    )


def test_a_replay_drops_the_same():
    problem, _ = make(np.float32)
    run = ab.train(problem, "lock-based", workers=2, updates=40, batch_size=9)
    for threads in (1, 2):
        assert np.array_equal(ab.replay(run, problem=problem, threads=threads).params["final"], run.params["final"])
    seen = ab.replay(run, problem=problem, microscope=1).microscope
    fresh = seen["tau"] == 0
    assert fresh.any()
    assert (seen["error"][fresh] == 0).all(), "at the same view the same mask"


@pytest.mark.parametrize("p", [1.0, -0.1, "half", np.nan])
def test_a_share_that_is_none(p):
    with pytest.raises(UsageError, match="p is "):
        make(layers=[Dropout(p), Dense(10)])
