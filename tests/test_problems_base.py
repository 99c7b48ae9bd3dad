"""The contract of a problem: validation, minibatch order, problems of one's own."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from asapnb.data import load_dataset
from asapnb.errors import UsageError
from asapnb.problems import custom, gradient_signature, mlp
from asapnb.problems.minibatch import draw_batch


@numba.njit
def pull(params, gradient, indices, plan, workspace, inputs, labels):
    """Mean of (params - x)^2 / 2 per sample, one input each."""
    loss = 0.0
    gradient[:] = 0
    for i in indices:
        difference = params[0] - inputs[i]
        gradient[0] += difference / indices.size
        loss += 0.5 * difference * difference / indices.size
    return loss


@numba.njit
def misfit(params, gradient):
    return 0.0


def make_problem(n=10, dtype=np.float32, **options):
    return custom(pull, np.arange(n, dtype=np.float32), np.zeros(n, int), 1, dtype=dtype, **options)


def epoch_order(n, epoch, seed, batch_size=None, reshuffle=True):
    batch_size = batch_size or n
    per_epoch = -(-n // batch_size)
    indices, parts = np.empty(batch_size, np.int64), []
    for ticket in range(epoch * per_epoch, (epoch + 1) * per_epoch):
        count = draw_batch(indices, ticket, n, batch_size, seed, reshuffle)
        parts.append(indices[:count].copy())
    return np.concatenate(parts)


@given(st.integers(1, 3000), st.integers(0, 2**40), st.integers(0, 2**63 - 1), st.data())
def test_an_epoch_visits_each_sample_once(n, epoch, seed, data):
    batch_size = data.draw(st.integers(1, n))
    order = epoch_order(n, epoch, seed, batch_size)
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, epoch_order(n, epoch, seed)), "the batch size does not change the order"
    assert np.array_equal(epoch_order(n, epoch, seed, reshuffle=False), epoch_order(n, 0, seed))


@pytest.mark.parametrize("n", [2, 3, 5, 13, 37])
def test_positions_are_uniform_and_pairwise_independent(n):
    orders = np.stack([epoch_order(n, epoch, seed=1) for epoch in range(20_000)])
    for position in range(min(n, 5)):
        assert chisquare(np.bincount(orders[:, position], minlength=n)).pvalue > 1e-3
    if n > 2:
        for i, j in ((0, 1), (1, n - 1)):
            pairs = np.bincount(orders[:, i] * n + orders[:, j], minlength=n * n).reshape(n, n)
            assert chisquare(pairs[~np.eye(n, dtype=bool)]).pvalue > 1e-3


def test_epochs_and_seeds_differ():
    orders = {tuple(epoch_order(100, epoch, seed)) for epoch in range(20) for seed in range(20)}
    assert len(orders) == 400


def test_batches_of_a_problem():
    problem = make_problem(10)
    batches = problem.batches(seed=3, epoch=2, batch_size=4)
    assert [len(batch) for batch in batches] == [4, 4, 2] == [4, 4, 10 - 2 * 4]
    assert problem.batches_per_epoch(4) == 3
    assert np.array_equal(np.concatenate(batches), epoch_order(10, 2, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_custom_problem(dtype):
    problem = make_problem(4, dtype)
    assert problem.gradient.signatures == [gradient_signature(dtype, np.float32).args]
    loss, gradient = problem.loss_and_gradient([1.0], [0, 3])
    assert (loss, gradient.tolist(), gradient.dtype) == (1.25, [-0.5], dtype)
    assert problem.evaluate([0.0])[0] == pytest.approx(np.mean(np.arange(4) ** 2) / 2)
    assert np.isnan(problem.evaluate([0.0], "test")).all()
    assert problem.init(1).tolist() == [0.0]
    problem = make_problem(4, evaluate=lambda params, split: (params[0], 0.5), init=lambda n, g: g.normal(size=n))
    assert problem.evaluate([2.0], "test") == (2.0, 0.5)
    assert problem.init(1) == problem.init(1) != problem.init(2)


def test_what_is_read_only_is_as_good():
    def locked(values):
        array = np.array(values)
        array.setflags(write=False)
        return array

    problem, image = mlp(load_dataset("fashion-mnist-mini"), hidden=(2,)), np.ones((1, 28, 28), np.uint8)
    params = problem.init()
    for call in (
        lambda kind: problem.metrics(kind(params), limit=5),
        lambda kind: problem.loss_and_gradient(kind(params), kind([0, 1]))[0],
        lambda kind: problem.scores(kind(params), kind(image)).tolist(),
    ):
        assert str(call(locked)) == str(call(np.array))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda p: p.init(-1), "seed is -1"),
        (lambda p: p.init(1.5), "seed is 1.5"),
        (lambda p: p.loss_and_gradient([0.0, 1.0], [0]), r"shape \(2,\)"),
        (lambda p: p.loss_and_gradient([0.0], []), "non-empty"),
        (lambda p: p.loss_and_gradient([0.0], [0.5]), "float64"),
        (lambda p: p.loss_and_gradient([0.0], [0, 10]), "0 to 10: must be from 0 to 9"),
        (lambda p: p.evaluate([0.0], "tset"), "Did you mean 'test'"),
        (lambda p: p.evaluate([0.0], "train", limit=0), "limit is 0"),
        (lambda p: p.batches(0, 0, 0), "batch_size is 0: must be an integer from 1 to 10"),
        (lambda p: p.batches(0, 0, 11), "batch_size is 11"),
        (lambda p: p.batches(0, -1, 2), "epoch is -1"),
        (lambda p: p.predict([0.0], [[1.0]]), "does not predict"),
        (lambda p: custom(pull, [1.0], [0], 0), "n_params is 0"),
        (lambda p: custom(pull, [1.0], [0], 1, dtype="int32"), "dtype is int32"),
        (lambda p: custom(pull, [1], [0], 1), "inputs are int64"),
        (lambda p: custom(pull.py_func, [1.0], [0], 1), "numba.njit"),
        (lambda p: custom(misfit, [1.0], [0], 1), "does not compile for the signature"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UsageError, match=says):
        call(make_problem())
