"""Runs that begin where another one is, or at parameters of one's own."""

import os

import numpy as np
import pytest
from commands import printed
from naive import recompute
from problems import quadratic, train
from simulations import simulate

import asapnb as ab
from asapnb.config import load_config, run_config
from asapnb.text import to_toml

NETWORK = {"problem": "mlp(hidden=[8])", "workers": 2, "batch_size": 50, "step_size": 0.1, "eval_samples": 100}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    path = tmp_path_factory.mktemp("first") / "first.h5"
    return train(quadratic(), "sequential", updates=30, out=path)


@pytest.mark.parametrize("kind", ["train", "simulate", "hogwild"])
@pytest.mark.parametrize("given", ["run", "path", "text", "array"])
def test_a_run_begins_at_the_parameters_of_another(first, kind, given, tmp_path):
    final = first.params["final"]
    start = {"run": first, "path": first.path, "text": f"{first.path}@30", "array": final.astype(np.float64)}[given]
    arguments = {"start": start, "updates": 20, "eval_every": 10, "out": tmp_path / "run.h5"}
    if kind == "train":
        run = train(quadratic(), "leashed", workers=2, **arguments)
    else:
        run = simulate(scheme="hogwild(blocks=7)" if kind == "hogwild" else "lock-based", **arguments)
    run = ab.load_run(run.path)
    assert run.params["initial"].tobytes() == final.tobytes() == run.params_at(0).tobytes()
    source = run.attributes["start"]
    if given == "array":
        assert (source["path"], source["version"]) == (None, None)
        assert run.config["start"].startswith("array(sha256=")
    else:
        assert (source["path"], source["version"]) == (str(first.path), 30)
        assert source["run_id"] == first.attributes["run_id"]
        assert run.config["start"] == f"{first.path}@30"
    assert run.evals["train_loss"][0] == first.evals["train_loss"][-1]
    replayed = ab.replay(run, quadratic())
    assert replayed.params["final"].tobytes() == run.params["final"].tobytes()
    assert replayed.attributes["start"] == source
    os.rename(first.path, moved := first.path.with_name("moved.h5"))
    try:
        further = ab.resume(run.path, problem=quadratic(), updates=40)
    finally:
        os.rename(moved, first.path)
    assert further.params["initial"].tobytes() == final.tobytes()
    assert (further.config["start"], further.attributes["start"]) == (run.config["start"], source)
    if kind == "train":
        np.testing.assert_allclose(recompute(quadratic(), further), further.params["final"], rtol=1e-5, atol=1e-6)


def test_a_sequential_run_in_two_parts_is_the_whole_one_but_for_its_minibatches(first):
    """The same seed has the same minibatches again: so the second part is that of a run from these parameters."""
    second = train(quadratic(), "sequential", updates=30, start=first)
    by_hand = train(quadratic(), "sequential", updates=30, start=first.params["final"])
    assert second.params["final"].tobytes() == by_hand.params["final"].tobytes()


def test_that_run_again_begins_where_it_began_whatever_has_become_of_its_source(first, tmp_path):
    begun = run_config({**NETWORK, "updates": 20}, out=tmp_path / "a.h5")
    later = run_config({**NETWORK, "updates": 20, "start": str(tmp_path / "a.h5")}, "simulate", out=tmp_path / "b.h5")
    assert later.params["initial"].tobytes() == begun.params["final"].tobytes()
    (tmp_path / "a.h5").unlink()
    assert load_config(tmp_path / "b.h5")["start"] == f"{tmp_path / 'b.h5'}@0"
    again = run_config(load_config(tmp_path / "b.h5", "simulate"), "simulate")
    assert again.params["final"].tobytes() == later.params["final"].tobytes()
    assert "a.h5@20" in printed("show", tmp_path / "b.h5")
    with pytest.raises(ab.UsageError, match=r"start is .*no run file .*a\.h5"):
        run_config(later.config, "simulate")


def test_the_flag_and_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun = run_config({**NETWORK, "updates": 10}, out="a.h5")
    flags = ["--problem", "mlp(hidden=[8])", "-m", "2", "--updates", "5", "--start", "a.h5"]
    printed("train", *flags, "-o", "c.h5")
    assert ab.load_run("c.h5").params["initial"].tobytes() == begun.params["final"].tobytes()
    assert "no run file no.h5" in printed("train", *flags, "--start", "no.h5", code=2)
    base = {name: str(value) if name == "problem" else value for name, value in NETWORK.items()}
    (tmp_path / "sweep.toml").write_text(
        f"[base]\n{to_toml(base)}updates = 5\n[grid]\nstart = ['a.h5', 'c.h5', 'a.h5@0']\n"
    )
    printed("sweep", "sweep.toml", "-o", "s")
    runs = [ab.load_run(path) for path in sorted((tmp_path / "s").glob("*.h5"))]
    assert len({run.params["initial"].tobytes() for run in runs}) == len(runs) == 3
    table = ab.compare(runs, by=["start"])
    assert "c.h5@5" in str(table)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (np.zeros(49), "with 49 parameters.*50"),
        (np.full(50, np.nan), "not all of its parameters are finite"),
        (np.full(50, 1e300), "finite numbers in float32"),
        (np.zeros((5, 10)), "an array of shape"),
        (np.zeros(50, complex), "an array of shape"),
        (3, "an array of shape"),
        ({"a": 1}, "an array of shape"),
        ("array(sha256=12)", "was an array in Python"),
    ],
)
@pytest.mark.parametrize("run", [ab.train, ab.simulate])
def test_what_is_no_start_is_refused(run, start, message, tmp_path):
    with pytest.raises(ab.UsageError, match=message):
        run(quadratic(), start=start, updates=5, out=tmp_path / "run.h5")
    assert not list(tmp_path.iterdir())


def test_a_version_that_is_not_held_and_tensors_of_another_shape_are_refused(first):
    with pytest.raises(ab.UsageError, match="does not hold the parameters of version 7: it holds those of 0, 30"):
        train(quadratic(), "leashed", start=f"{first.path}@7")
    data = ab.load_dataset("fashion-mnist-mini")
    other = ab.train(ab.mlp(data, hidden=(9, 7)), workers=1, updates=1, eval_samples=10)
    alike = ab.mlp(data, hidden=(9, 7))
    assert ab.train(alike, workers=1, updates=1, eval_samples=10, start=other).status == "finished"
    with pytest.raises(ab.UsageError, match=r"start is .*@1, with [\d,]+ parameters"):
        ab.train(ab.mlp(data, hidden=(7, 9)), start=other)
