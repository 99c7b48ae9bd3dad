"""Losses: their formulas, what fits which labels, what is predicted, and how good that is."""

import copy
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asapnb as ab
from asapnb.data import Dataset
from asapnb.problems.losses import LOSSES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype(np.float32)
WEIGHTS = np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0], [0.0, -1.0]])
T = X @ WEIGHTS + [0.5, -1.0]
LABELS = {
    "classes": X[:, :3].argmax(1),
    "yes or no": T[:, 0] > 0,
    "several labels": T > 0,
    "target": T[:, 0],
    "column": T[:, :1],
    "targets": T,
}
FITTING = {
    "classes": ("cross_entropy", "squared", "huber"),
    "yes or no": ("cross_entropy", "squared", "logistic", "huber"),
    "several labels": ("logistic", "squared", "huber"),
    **dict.fromkeys(("target", "column", "targets"), ("squared", "huber")),
}


def linear(kind, loss=None, rows=slice(None)):
    labels = LABELS[kind][rows]
    return ab.mlp(Dataset.from_arrays(X[rows], labels, X[:100], LABELS[kind][:100]), hidden=(), loss=loss)


@pytest.mark.parametrize("loss", LOSSES[1:], ids=str)
def test_a_loss_is_what_its_formula_says(loss):
    names = {name: getattr(math, name) for name in dir(math)} | {loss.parameter: loss.constant}
    formula = eval(f"lambda y, t: {loss.formula}", names)
    for y in np.linspace(-3.03, 3.07, 31):
        for t in (0.0, 1.0):
            assert loss.value(y, t, *loss.constants) == pytest.approx(formula(y, t), rel=1e-12)
            slope = (formula(y + 1e-6, t) - formula(y - 1e-6, t)) / 2e-6
            assert loss.slope(y, t, *loss.constants) == pytest.approx(slope, abs=1e-8)
    assert np.isnan([loss.value(np.nan, t, *loss.constants) for t in (0.0, 1.0)]).all()


def test_losses_survive_pickling():
    assert pickle.loads(pickle.dumps(linear("classes").loss)) is LOSSES[0]
    problem = copy.deepcopy(linear("target", "huber(delta=0.5)"))
    assert str(problem.loss) == "huber(delta=0.5)"
    assert problem.metrics(problem.init()) == linear("target", "huber(delta=0.5)").metrics(problem.init())


def test_every_loss_is_in_the_docs():
    page = (Path(__file__).parents[1] / "docs/reference/problems.md").read_text()
    missing = [row for row in (f'| `"{loss}"` | `{loss.formula}` |' for loss in LOSSES) if row not in page]
    assert not missing, "the table of losses in docs/reference/problems.md needs rows that begin so"


@pytest.mark.parametrize("kind", LABELS)
def test_which_losses_fit_which_labels(kind):
    assert str(linear(kind).loss) == FITTING[kind][0]
    for loss in LOSSES:
        if loss.name in FITTING[kind]:
            assert linear(kind, loss.name).loss is loss
        else:
            with pytest.raises(ab.UsageError, match=f"loss is '{loss.name}', which needs labels that are .* take "):
                linear(kind, loss.name)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        ("hinge", "unknown loss 'hinge'"),
        (3, "loss is 3: give the name of one, such as 'cross_entropy', 'squared'"),
        ("huber(delta=0)", "delta is 0"),
        ("huber(delta='a')", "delta is 'a'"),
        ("huber(gamma=1)", "unknown parameter of huber 'gamma'"),
        ("squared(1)", "squared takes"),
    ],
)
def test_losses_that_there_are_not(loss, says):
    with pytest.raises(ab.UsageError, match=says):
        linear("target", loss)


def test_the_text_of_a_problem_has_its_loss(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{x[0]},{x[1]},{x[2]},{x[3]},{t}" for x, t in zip(X, T[:, 0], strict=True)]
    (tmp_path / "line.csv").write_text("\n".join(["a,b,c,d,t", *rows]))
    for text in ("mlp(hidden=[])", "mlp(hidden=[], loss='huber(delta=0.5)')", "network(layers=['Dense(units=1)'])"):
        problem = ab.problems.text.parse_problem(text, "line.csv(target='t')")
        assert problem.config["problem"] == text
    assert linear("targets", "squared").config["problem"] == "mlp(hidden=[])", "what follows from the labels"


def test_the_number_of_a_class_is_no_target():
    data = Dataset.from_arrays(X, LABELS["classes"] + 0, X, LABELS["classes"], classes=["3", "4", "5"])
    with pytest.raises(
        ab.UsageError, match=r"rather than classes .* with 3 classes \('3', '4', '5'\): take cross_ent"
    ):
        ab.mlp(data, loss="squared")


@pytest.mark.parametrize("kind", LABELS)
def test_a_linear_model_learns_them_all(kind):
    problem = linear(kind)
    run = ab.train(problem, "sequential", step_size=0.3, batch_size=10, epochs=20, momentum=0.5, seed=1)
    params, labels = run.params["final"], LABELS[kind]
    scores, predicted = problem.scores(params, X), problem.predict(params, X)
    by_hand = X @ params[: -problem.outputs].reshape(4, -1) + params[-problem.outputs :]
    np.testing.assert_allclose(scores, by_hand, rtol=1e-4, atol=1e-5)
    assert predicted.shape == labels.shape
    found = problem.metrics(params)
    if labels.dtype.kind == "f":
        np.testing.assert_array_equal(predicted, scores.reshape(labels.shape))
        assert found.r2 > 0.999
        assert math.isnan(found.accuracy)
        np.testing.assert_allclose(
            params, [*WEIGHTS[:, : problem.outputs].ravel(), *[0.5, -1][: problem.outputs]], atol=0.01
        )
    else:
        assert predicted.dtype == np.int64
        assert found.accuracy == np.mean(predicted == labels) > 0.9
        assert math.isnan(found.r2)
        assert math.isnan(found.rmse)
    assert problem.evaluate(params) == found[:2]


@given(st.integers(2, 50), st.integers(1, 3), st.integers(0, 2**32))
def test_r2_and_rmse_are_what_scikit_learn_says(n, k, seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    y, t = rng.normal(size=(2, n, k))
    found = ab.problems.outcomes.OUTCOMES["real"].measure(y, t)
    assert found["r2"] == pytest.approx(metrics.r2_score(t, y), rel=1e-9)
    assert found["rmse"] == pytest.approx(metrics.mean_squared_error(t, y) ** 0.5)
    t[:, 0] = 1.0
    assert math.isnan(ab.problems.outcomes.OUTCOMES["real"].measure(y, t)["r2"]), "no spread, no share of it"


def test_a_pass_of_many_samples_is_one_sum():
    rows = np.arange(2500) % 300
    problem = linear("targets", rows=rows)
    params = np.arange(problem.n_params, dtype=np.float32)
    loss, r2 = problem.metrics(params).loss, problem.metrics(params).r2
    outputs = X[rows].astype(float) @ params[:8].reshape(4, 2) + params[8:]
    assert loss == pytest.approx(np.sum((outputs - T[rows].astype(np.float32)) ** 2) / 2 / 2500, rel=1e-6)
    assert problem.predict(params, X[rows]).shape == (2500, 2)
    assert problem.predict(params, X[:0]).shape == (0, 2)
    assert r2 < 0


def test_metrics_of_ones_own():
    results = {"test": {"loss": 1.0, "r2": 0.5}, "train": (2.0, 0.25)}
    problem = replace(linear("target"), evaluation=lambda params, split: results[split])
    assert problem.metrics(problem.init())[:2] == problem.evaluate(problem.init()) == (2.0, 0.25)
    assert problem.metrics(problem.init(), "test")[::2] == (1.0, 0.5)
    for wrong in ({"r2": 0.5}, {"loss": 1.0, "auc": 0.5}, (1.0,), 1.0, None):
        results["test"] = wrong
        with pytest.raises(ab.UsageError, match=r"evaluate returned .*: must be \(loss, accuracy\), or a mapping"):
            problem.metrics(problem.init(), "test")
