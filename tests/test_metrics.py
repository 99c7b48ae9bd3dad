"""Metrics of a run: what its problem has is recorded, shown and watched, and nothing else is shown."""

import io
from functools import partial

import h5py
import numpy as np
import pytest
from asapnb.cli.live import Display
from commands import printed
from rich.console import Console
from rich.text import Text

import asapnb as ab
from asapnb.analysis import compare
from asapnb.record.schema import METRICS
from asapnb.report import report

X = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
T = X @ [1.0, -2.0, 0.5] + 1
OPTIONS = {"workers": 2, "step_size": 0.1, "batch_size": 10, "updates": 60, "eval_every": 20}


def line():
    return ab.mlp(ab.Dataset.from_arrays(X[:100], T[:100], X[100:], T[100:]), hidden=())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A regression, and a classification."""
    folder = tmp_path_factory.mktemp("runs")
    ab.simulate(line(), **OPTIONS, out=folder / "line.h5")
    classes = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=())
    ab.simulate(classes, **OPTIONS, out=folder / "classes.h5")
    return folder


shown = partial(printed, COLUMNS="200")


def test_a_regression_records_r2_and_rmse(files):
    run, problem = ab.load_run(files / "line.h5"), line()
    final = problem.metrics(run.params["final"], "test")
    last = {name: column[-1] for name, column in run.evals.items()}
    assert (last["test_loss"], last["test_r2"], last["test_rmse"]) == (final.loss, final.r2, final.rmse)
    assert final.rmse == pytest.approx(np.sqrt(2 * final.loss), rel=1e-5)
    assert np.isnan(run.evals["test_accuracy"]).all()
    assert np.isnan([ab.load_run(files / "classes.h5").evals[name] for name in ("test_r2", "test_rmse")]).all()


def test_only_what_there_is_is_shown(files):
    regression, classification = (shown("show", files / f"{name}.h5") for name in ("line", "classes"))
    for metric in METRICS:
        assert (metric.title in classification) == (metric.column == "test_accuracy")
        assert (metric.title in regression) == (metric.column != "test_accuracy")
    names = {"line": ["R²", "RMSE"], "classes": ["accuracy"]}
    for name, there in names.items():
        tables = compare([files / f"{name}.h5"]).tables
        assert [one for one in tables[0].columns if one in ("accuracy", "R²", "RMSE")] == there
    live = shown("replay", files / "classes.h5")
    assert "accuracy" in live
    assert "R²" not in live


def test_what_a_run_shows_while_it_goes_on(files):
    console = Console(record=True, width=100, file=io.StringIO())
    display = Display(console, lambda: Text("header"))
    ab.simulate(line(), **OPTIONS, on_eval=display.on_eval, progress=display.progress)
    text = console.export_text()
    assert "R²" in text
    assert "accuracy" not in text


def test_a_report_has_a_column_and_a_chart_for_each(files, tmp_path):
    pages = {}
    for name in ("line", "classes"):
        report([files / f"{name}.h5"], tmp_path / f"{name}.html")
        pages[name] = (tmp_path / f"{name}.html").read_text()
    assert "test R²" in pages["line"]
    assert "test R²" not in pages["classes"]
    assert "test accuracy" not in pages["line"]


@pytest.mark.parametrize("monitor", ["test_r2", "test_rmse"])
def test_patience_watches_them(monitor):
    worse = line()
    run = ab.simulate(worse, **OPTIONS | {"updates": 2000}, patience=3, monitor=monitor)
    assert run.status == "stopped"
    best = np.argmax(run.evals[monitor] * (1 if monitor == "test_r2" else -1))
    assert len(run.evals["step"]) == best + 4
    with pytest.raises(ab.UsageError, match=f"monitor is {monitor}, but this problem has no {monitor}"):
        ab.simulate(ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=()), **OPTIONS, patience=1, monitor=monitor)


def test_a_target_of_r2_converges(files):
    run = ab.simulate(line(), **OPTIONS | {"eval_every": 5}, target_r2=0.5)
    reached = np.flatnonzero(run.evals["test_r2"] >= 0.5)
    assert (run.status, len(run.evals["step"]), len(reached)) == ("converged", reached[0] + 1, 1)
    assert run.config["target_r2"] == 0.5
    with pytest.raises(
        ab.UsageError, match=r"target_r2 is 0\.5, but this problem has no test_r2; it has train_loss, "
    ):
        ab.simulate(ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=()), **OPTIONS, target_r2=0.5)
    with pytest.raises(ab.UsageError, match=r"target_accuracy is 0\.5, but this problem has no test_accuracy"):
        ab.simulate(line(), **OPTIONS, target_accuracy=0.5)
    with pytest.raises(ab.UsageError, match="target_r2 is 2"):
        ab.simulate(line(), **OPTIONS, target_r2=2)


def test_a_file_of_before_has_none_of_them_and_goes_on(tmp_path):
    path = tmp_path / "old.h5"
    ab.train(line(), "lock-based", **OPTIONS, out=path)
    with h5py.File(path, "r+") as file:
        del file["evals/test_r2"], file["evals/test_rmse"]
    old = ab.load_run(path)
    assert np.isnan(old.evals["test_r2"]).tolist() == [True] * 4
    old.check()
    assert "R²" not in shown("show", path)
    longer = ab.resume(path, updates=80, problem=line())
    assert np.isnan(longer.evals["test_r2"]).tolist() == [True] * 4 + [False]
    assert ab.load_run(path).evals["test_rmse"][-1] > 0
