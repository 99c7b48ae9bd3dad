"""The estimators of scikit-learn: its own checks, searches and pipelines, and what they keep of their runs."""

import pickle
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
from processes import python
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import asapnb as ab
from asapnb.sklearn import AsyncSGDClassifier, AsyncSGDRegressor

IRIS, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(IRIS)
ESTIMATORS = (AsyncSGDClassifier, AsyncSGDRegressor)
VIRTUAL = {"engine": "simulate", "workers": 3}


@parametrize_with_checks([one(**options) for one in ESTIMATORS for options in ({}, VIRTUAL)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:.*SCIPY_ARRAY_API")
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("hidden", [(), (8,), (8, 5)])
def test_a_classifier_predicts_as_its_problem_does(hidden):
    model = AsyncSGDClassifier(hidden, **VIRTUAL, epochs=3, random_state=0).fit(X, Y)
    problem = ab.mlp(ab.Dataset.from_arrays(X, Y, X, Y), hidden=hidden)
    np.testing.assert_array_equal(model.predict(X), problem.predict(model.run_.params["final"], X))
    assert model.score(X, Y) == problem.evaluate(model.run_.params["final"])[1]
    assert model.decision_function(X).shape == (150, 3)
    shares = model.predict_proba(X)
    loss = -np.log(shares[np.arange(150), Y]).mean()
    assert model.loss_ == model.loss_curve_[-1] == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), shares)
    assert [one.shape for one in model.coefs_] == list(zip((4, *hidden), (*hidden, 3), strict=True))


@pytest.mark.parametrize("hidden", [(), (8,)])
@pytest.mark.parametrize("targets", [1, 2])
def test_a_regressor_predicts_as_its_problem_does(hidden, targets):
    t = (X @ np.arange(8.0).reshape(4, 2) / 8 + 1)[:, 0 if targets == 1 else slice(None)]
    model = AsyncSGDRegressor(hidden, **VIRTUAL, epochs=40, random_state=0).fit(X, t)
    problem = ab.mlp(ab.Dataset.from_arrays(X, t, X, t), hidden=hidden)
    expected = problem.predict(model.run_.params["final"], X)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-3, atol=1e-5)
    assert model.predict(X).shape == t.shape
    assert model.score(X, t) == pytest.approx(problem.metrics(model.run_.params["final"]).r2, abs=1e-5)
    assert model.score(X, t) > 0.9
    assert model.loss_ == pytest.approx(0.5 * ((model.predict(X) - t) ** 2).sum() / 150, rel=1e-3)


def test_a_linear_regression_finds_the_least_squares():
    t = X @ [1.0, -2.0, 0.5, 0.0] + 3
    model = AsyncSGDRegressor((), step_size=0.1, epochs=1000, random_state=0).fit(X, t)
    np.testing.assert_allclose(model.coefs_[0][:, 0], [1.0, -2.0, 0.5, 0.0], atol=1e-2)
    np.testing.assert_allclose(model.intercepts_[0], [3.0], atol=1e-3)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_warm_starts_and_partial_fits_go_on(estimator):
    model = estimator((4,), **VIRTUAL, epochs=2, warm_start=True, random_state=0)
    for _ in range(3):
        end = None if not hasattr(model, "coefs_") else model.run_.params["final"]
        model.fit(X, Y)
        assert end is None or np.array_equal(model.run_.params["initial"], end)
    end = model.run_.params["final"]
    model.set_params(warm_start=False).partial_fit(X[:50], Y[:50])
    assert np.array_equal(model.run_.params["initial"], end)
    assert model.n_iter_ == 1
    model.fit(X, Y)
    assert not np.array_equal(model.run_.params["initial"], end)


def test_partial_fits_know_all_classes_at_first():
    model = AsyncSGDClassifier((), step_size=0.3, random_state=0)
    with pytest.raises(ab.UsageError, match="give all at the first call of partial_fit"):
        model.partial_fit(X, Y)
    for _ in range(5):
        for part in range(3):
            model.partial_fit(X[part::3], Y[part::3], classes=[0, 1, 2])
    assert model.score(X, Y) > 0.8
    with pytest.raises(ab.UsageError, match="y has 7, which is none of the classes"):
        model.partial_fit(X, np.full(150, 7))
    with pytest.raises(ab.UsageError, match="then the same or none"):
        model.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ab.UsageError, match="with warm_start they must be as before"):
        model.set_params(warm_start=True).fit(X, Y % 2)


def test_the_run_is_that_of_the_arguments():
    options = {
        "scheme": "leashed", "rule": "tail", "step_size": 0.1, "batch_size": 8, "momentum": 0.5,
        "momentum_kind": "ordered", "clip": 9.0, "worker_tables": True,
    }  # fmt: skip
    model = AsyncSGDClassifier((4,), **options, **VIRTUAL, epochs=4, timing="lognormal(1, cv=0.5)", random_state=5)
    run = model.fit(X, Y).run_
    assert (run.kind, run.status, run.attributes["workers"], len(run.updates["tau"])) == (
        "simulate",
        "finished",
        3,
        76,
    )
    assert run.config["rule"] == "tail(amplitude=1.0)"
    assert "lognormal" in run.config["timing"]
    assert {name: run.config[name] for name in options if name not in ("scheme", "rule")} == {
        name: options[name] for name in options if name not in ("scheme", "rule")
    }
    assert model.staleness_ == run.staleness
    assert model.staleness_.mean() > 0
    assert model.n_iter_ == 4
    assert model.loss_curve_ == run.evals["train_loss"].tolist()
    again = clone(model).fit(X, Y)
    np.testing.assert_array_equal(again.coefs_[0], model.coefs_[0])
    assert (clone(model).set_params(random_state=6).fit(X, Y).coefs_[0] != model.coefs_[0]).any()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_run_is_replayed_on_its_problem(estimator):
    model = estimator((4,), **VIRTUAL, scheme="leashed", epochs=3, random_state=5).fit(X, Y)
    again = ab.replay(model.run_, problem=model.problem(X, Y))
    np.testing.assert_array_equal(again.params["final"], model.run_.params["final"])
    assert ab.replay(model.run_, rule="tail", problem=model.problem(X, Y)).status == "finished"
    with pytest.raises(ab.UsageError, match="other data"):
        ab.replay(model.run_, problem=model.problem(X[::-1], Y))


def test_small_data_has_one_worker_unless_more_are_asked_for():
    small = AsyncSGDClassifier((), epochs=1).fit(X, Y)
    assert (small.run_.kind, small.run_.attributes["workers"]) == ("train", 1)
    assert AsyncSGDClassifier((), epochs=1, workers=2).fit(X, Y).run_.attributes["workers"] == 2
    assert AsyncSGDClassifier((), epochs=1, batch_size=2, engine="simulate").fit(X, Y).run_.attributes["workers"] == 9
    assert AsyncSGDClassifier((), epochs=1, batch_size=1000).fit(X, Y).run_.config["batch_size"] == 150
    assert AsyncSGDClassifier((), epochs=1, batch_size=1, scheme="sequential").fit(X, Y).n_iter_ == 1


@pytest.mark.parametrize(("jobs", "backend"), [(1, "loky"), (2, "loky"), (2, "threading")])
def test_searches_and_cross_validation(jobs, backend):
    model = make_pipeline(StandardScaler(), AsyncSGDClassifier((), epochs=30, step_size=0.1, random_state=0))
    grid = {"asyncsgdclassifier__step_size": [1e-4, 0.1]}
    with joblib.parallel_config(backend):
        found = GridSearchCV(model, grid, cv=2, n_jobs=jobs).fit(IRIS, Y)
    assert found.best_params_ == {"asyncsgdclassifier__step_size": 0.1}
    assert found.best_score_ > 0.85
    assert jobs > 1 or cross_val_score(found.best_estimator_, IRIS, Y, cv=3).mean() > 0.85
    if backend == "loky":
        joblib.externals.loky.get_reusable_executor().shutdown()


def test_labels_and_columns_have_their_names(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = AsyncSGDClassifier((), step_size=0.1, random_state=0).fit(frame, np.array(["x", "y", "z"])[Y])
    assert model.feature_names_in_.tolist() == list("abcd")
    assert set(model.predict(frame)) == set(model.classes_) == {"x", "y", "z"}
    assert model.score(frame, np.array(["x", "y", "z"])[Y]) > 0.9
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(frame), model.predict_proba(frame))
    assert copy.run_.updates["loss"].tolist() == model.run_.updates["loss"].tolist()
    model.run_.save(tmp_path / "run.h5")
    assert str(ab.load_run(tmp_path / "run.h5").summary()) == str(model.run_.summary())


def test_a_run_ends_early_and_its_schedule_counts():
    model = AsyncSGDClassifier((), **VIRTUAL, step_size=0.05, epochs=200, random_state=0)
    assert model.set_params(target_loss=0.5).fit(X, Y).n_iter_ < 30
    assert model.loss_ <= 0.5 < model.loss_curve_[-2]
    assert model.set_params(target_loss=None, patience=2, step_size=1e-9).fit(X, Y).run_.status == "stopped"
    model.set_params(patience=None, epochs=2, schedule="warmup(10)").fit(X, Y)
    np.testing.assert_allclose(model.run_.updates["factor"], [0.1 * min(i + 1, 10) for i in range(10)], rtol=1e-6)


def test_an_interrupt_ends_a_search_too(monkeypatch):
    monkeypatch.setattr(
        "asapnb.sklearn.training.train", lambda problem, **arguments: SimpleNamespace(status="interrupted")
    )
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(AsyncSGDClassifier(), X, Y)


def test_a_run_that_diverges_is_a_warning():
    with pytest.warns(
        ConvergenceWarning, match=r"diverged after [\d,]+ updates: scale the inputs, as StandardScaler"
    ):
        AsyncSGDClassifier(random_state=0).fit(1000 * X, Y)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"engine": "gpu"}, "unknown engine 'gpu'; available: simulate, threads"),
        ({"scheme": "hogwil"}, "Did you mean 'hogwild'"),
        ({"rule": "tial"}, "Did you mean 'tail'"),
        ({"step_size": -1.0}, "step_size is -1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"hidden": 5}, "hidden is 5"),
        ({"hidden": (0,)}, "hidden"),
        ({"engine": "simulate", "timing": "exponentail(1)"}, "exponential"),
    ],
)
def test_what_cannot_be_is_an_error_of_fit(options, says):
    with pytest.raises(ab.UsageError, match=says):
        AsyncSGDClassifier(**options).fit(X, Y)
    with pytest.raises(ValueError, match="y has one class only"):
        AsyncSGDClassifier().fit(X, np.zeros(150))
    with pytest.raises(ValueError, match=r"y goes from 0 to 2e\+40, beyond what float32 holds"):
        AsyncSGDRegressor().fit(X, Y * 1e40)


def test_importing_asapnb_does_not_import_scikit_learn_and_the_extra_is_named():
    code = "import sys, asapnb.cli; assert 'sklearn' not in sys.modules\n"
    code += "sys.modules['sklearn'] = None\ntry: import asapnb.sklearn\nexcept ImportError as error: print(error)"
    assert 'pip install "asapnb[sklearn]"' in python("-c", code).stdout


def test_an_optimizer_reaches_the_run():
    made = AsyncSGDClassifier(optimizer="adam", engine="simulate", epochs=1, random_state=0)
    inputs = np.random.default_rng(0).normal(size=(40, 3))
    assert made.fit(inputs, inputs[:, 0] > 0).run_.config["optimizer"] == str(ab.Adam())
