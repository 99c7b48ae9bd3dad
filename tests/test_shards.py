"""Data that differ between workers: the parts, and runs whose workers draw from them."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from commands import printed
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import recompute, splitmix64, synchronous
from problems import pull_slowly, quadratic, train
from simulations import simulate

import asapnb as ab
from asapnb.problems.shards import SHARDS, as_shards, split
from asapnb.training.drawing import drawing_from, minibatches, own_numbers

DATA = ab.load_dataset("fashion-mnist-mini")
NETWORK = ab.mlp(DATA, hidden=(4,))
SLOW = quadratic(gradient=pull_slowly)
KINDS = [entry.example for entry in SHARDS.values()]


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    data=st.data(),
    kind=st.sampled_from([*KINDS, "dirichlet(1e-6)", "dirichlet(1e9)"]),
    seed=st.integers(0, 2**63 - 1),
)
def test_each_sample_is_in_one_part_and_each_part_has_one_at_least(labels, data, kind, seed):
    workers = data.draw(st.integers(1, len(labels)))
    parts = split(np.array(labels), as_shards(kind), workers, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    sizes = [len(part) for part in parts]
    assert len(parts) == workers
    assert min(sizes) >= 1
    if kind in ("iid()", "label()"):
        assert max(sizes) - min(sizes) <= 1
    if kind == "label()":
        ends = [(min(own), max(own)) for own in ([labels[i] for i in part] for part in parts)]
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(ends))


def test_each_division_has_a_row_in_the_table_of_the_page():
    text = (Path(__file__).parents[1] / "docs/how-to/data-per-worker.md").read_text()
    rows = {*re.findall(r"^\| `(\w+)", text, re.MULTILINE)}
    assert rows == {*SHARDS}, "docs/how-to/data-per-worker.md must have a row for each division"


def test_the_order_is_that_of_the_twin_whatever_machine_it_is_on():
    first = splitmix64(7)
    order = sorted(range(50), key=lambda i: splitmix64((first + i) % 2**64))
    assert [sorted(order[:25]), sorted(order[25:])] == [
        part.tolist() for part in split(np.zeros(50), as_shards("iid"), 2, 7)
    ]


def test_shares_of_classes_are_the_more_unequal_the_smaller_alpha_is():
    labels = np.repeat(np.arange(10), 1000)

    def largest_share(alpha):
        parts = split(labels, as_shards(f"dirichlet({alpha})"), 10, 1)
        counts = np.array([np.bincount(labels[part], minlength=10) for part in parts])
        return (counts.max(0) / counts.sum(0)).mean()

    shares = [largest_share(alpha) for alpha in (1e-3, 0.1, 1, 10, 1e6)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.95
    assert shares[-1] < 0.11


def test_parts_for_users():
    for source in (DATA, NETWORK):
        assert [sorted({*DATA.train.labels[part]}) for part in ab.shards(source, "label", 5)] == [
            [0, 1], [2, 3], [4, 5], [6, 7], [8, 9],
        ]  # fmt: skip
    line = ab.problems.least_squares(np.ones((6, 1)), [5, 1, 3, 2, 6, 4])
    assert [part.tolist() for part in ab.shards(line, "label", 3)] == [[1, 3], [2, 5], [0, 4]]
    two = ab.problems.logistic(samples=40, dimension=2)
    assert len(ab.shards(two, "dirichlet(0.1)", 4)) == 4


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"shards": "labels"}, "Did you mean 'label'|label"),
        ({"shards": "dirichlet"}, "alpha"),
        ({"shards": "dirichlet(0)"}, "alpha of dirichlet is 0"),
        ({"shards": 3}, 'shards is 3: must be "iid", "label" or'),
        ({"shards": "iid", "workers": 61}, "shards is iid and workers is 61: there are 60 training samples"),
    ],
)
def test_what_cannot_be_used_is_said(arguments, match):
    with pytest.raises(ab.UsageError, match=match):
        ab.train(quadratic(), updates=5, **arguments)


def test_problems_without_samples_or_classes():
    with pytest.raises(ab.UsageError, match="differ only in their noise; take a problem with data"):
        ab.simulate(ab.problems.quadratic([1.0], noise=1.0), shards="iid", updates=5)
    line = ab.problems.least_squares(samples=20, dimension=2)
    with pytest.raises(ab.UsageError, match="real targets, and no classes to divide; take label, or iid"):
        ab.simulate(line, shards="dirichlet(1)", updates=5)
    with pytest.raises(ab.UsageError, match="has 2 labels or targets; take iid"):
        ab.shards(
            ab.mlp(ab.Dataset.from_arrays(np.eye(4), np.eye(4)[:, :2], np.eye(4), np.eye(4)[:, :2])), "label", 2
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["sequential", "synchronous", "lock-based", "leashed(persistence=0)"])
def test_a_worker_draws_its_own_samples_in_its_own_order(scheme, kind):
    run = train(NETWORK, scheme, shards=kind, updates=60, batch_size=40, workers=1 if scheme == "sequential" else 3)
    parts = ab.shards(NETWORK, kind, run.attributes["workers"], 3)
    drawing, rows = drawing_from(NETWORK, run.config), run.updates
    for worker, part in enumerate(parts):
        own = np.sort(rows["batch"][rows["worker"] == worker])
        assert (np.diff(own) >= 1).all()
        assert len(own) == 0 or own[-1] < len(own) + 1, "but for one that it had begun at the end"
        if len(own):
            epoch = [minibatches(drawing, worker, k)[0].indices for k in range(-(-len(part) // 40))]
            np.testing.assert_array_equal(np.sort(np.concatenate(epoch)), part)
    assert run.attributes["shards"]["most"] == max(map(len, parts))
    twin = synchronous if scheme == "synchronous" else recompute
    np.testing.assert_array_equal(twin(NETWORK, run), run.params["final"])
    np.testing.assert_array_equal(ab.replay(run).params["final"], run.params["final"])


def test_a_part_smaller_than_a_minibatch_is_one_minibatch():
    run = train(quadratic(), "lock-based", shards="iid", workers=20, batch_size=7, updates=30)
    drawing = drawing_from(quadratic(), run.config)
    assert {len(minibatches(drawing, worker, 5)[0].indices) for worker in range(20)} == {3}


@pytest.mark.parametrize("scheme", ["lock-based", "leashed(persistence=0)", "parameter-server(discard_after=3)"])
def test_a_simulated_run_numbers_the_minibatches_of_each_worker(scheme):
    run = simulate(NETWORK, scheme, shards="label")
    for worker in range(5):
        own = run.updates["batch"][run.updates["worker"] == worker]
        np.testing.assert_array_equal(np.sort(own), np.arange(len(own)))
    np.testing.assert_array_equal(recompute(NETWORK, run), run.params["final"])
    np.testing.assert_array_equal(ab.replay(run).params["final"], run.params["final"])
    plain = simulate(NETWORK, scheme)
    for name in {*plain.updates} - {"batch", "loss"}:
        np.testing.assert_array_equal(plain.updates[name], run.updates[name], err_msg="the schedule is the same")


@given(tickets=st.permutations(range(12)), workers=st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_numbers_among_the_rows_of_a_worker(tickets, workers):
    found = own_numbers(np.array(workers), np.array(tickets))
    for i, (worker, ticket) in enumerate(zip(workers, tickets, strict=True)):
        before = [w == worker and t < ticket for w, t in zip(workers, tickets, strict=True)]
        assert found[i] == sum(before)


def test_of_a_schedule_with_parts():
    made = ab.schedule("exponential(1)", workers=3, updates=40, seed=3)
    given = {"step_size": 0.02, "batch_size": 7, "shards": "label"}
    run, other = ab.replay(made, NETWORK, **given), ab.simulate(NETWORK, workers=3, updates=40, seed=3, **given)
    np.testing.assert_array_equal(run.params["final"], other.params["final"])
    with pytest.raises(ab.UsageError, match="shards is iid: a replay keeps the minibatches"):
        ab.replay(run, shards="iid")


@pytest.mark.parametrize("scheme", ["lock-based", "synchronous"])
def test_a_run_goes_on_with_the_parts_that_it_had(scheme, tmp_path):
    given = {"shards": "dirichlet(0.5)", "local_steps": 2, "batch_size": 40, "step_size": 0.02}
    train(NETWORK, scheme, updates=20, workers=3, out=tmp_path / "run.h5", **given)
    run = ab.resume(tmp_path / "run.h5", updates=50)
    rows = run.updates
    for worker in range(3):
        own = rows["batch"][rows["worker"] == worker]
        assert len(np.unique(own)) == len(own)
    twin = synchronous if scheme == "synchronous" else recompute
    np.testing.assert_array_equal(twin(NETWORK, run), run.params["final"])
    whole = train(NETWORK, scheme, updates=50, workers=3, **given)
    if scheme == "synchronous":
        np.testing.assert_array_equal(whole.params["final"], run.params["final"])


def test_other_parts_than_the_run_had_are_an_error(monkeypatch):
    run = train(NETWORK, "lock-based", shards="iid", updates=10, workers=2)
    monkeypatch.setattr("asapnb.problems.shards._mixed", lambda state: state)
    with pytest.raises(ab.UsageError, match="now give other parts of the data than the run had"):
        ab.replay(run)


def test_on_the_command_line(tmp_path):
    out = tmp_path / "run.h5"
    arguments = ["--data", "fashion-mnist-mini", "--problem", "mlp(hidden=[4])", "--updates", "20", "--workers", "3"]
    printed("simulate", *arguments, "--shards", "dirichlet(0.5)", "--local-steps", 2, "-o", out)
    run = ab.load_run(out)
    assert (run.config["shards"], run.local_steps) == ("dirichlet(0.5)", 2)
    assert run.attributes["shards"].keys() == {"sha256", "least", "most"}
    assert "alpha" in printed("simulate", *arguments, "--shards", "dirichlet", "-o", tmp_path / "x.h5", code=2)
