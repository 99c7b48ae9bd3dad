"""Runs that end before their total: at a target, for want of improvement, or because a callback says so."""

import math

import numpy as np
import pytest
from naive import assert_rows_are_sound
from problems import quadratic, train
from simulations import contents, simulate

import asapnb as ab
from asapnb.training.evaluation import Evaluation
from asapnb.training.options import resolve
from asapnb.training.stopping import Stopping

PLATEAU = {"updates": 400, "eval_every": 10, "step_size": 0.3, "patience": 3}  # its loss soon only fluctuates


def first_end(values, patience):
    """The place of the evaluation at which patience ends; the slow twin of `Stopping.is_enough`."""
    for place in range(len(values)):
        best = max(range(place + 1), key=lambda i: (-math.inf if math.isnan(values[i]) else values[i], -i))
        if place - best >= patience:
            return place
    return None


@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize(("monitor", "sign"), [("train_loss", -1), ("test_accuracy", 1)])
def test_patience_ends_at_the_first_evaluation_after_so_many_without_improvement(patience, monitor, sign):
    values = np.random.default_rng(patience).integers(0, 6, 60) * sign * 1.0
    values[[3, 9]] = np.nan
    options = resolve(
        "train", quadratic(), {"updates": 600, "eval_every": 10, "patience": patience, "monitor": monitor}
    )
    stopping, ends = Stopping(options), []
    for place, value in enumerate(values):
        figures = dict.fromkeys(("train_loss", "test_loss", "test_accuracy"), 0.0) | {monitor: sign * value}
        stopping.is_enough(Evaluation(10 * place + 5, 0.0, **figures))  # it is not due, so it does not count
        if stopping.is_enough(Evaluation(10 * place, 0.0, **figures)):
            ends.append(place)
    assert ends[0] == first_end(values, patience)


@pytest.mark.parametrize("scheme", ["lock-based", "synchronous", "hogwild(blocks=7)"])
def test_patience_in_virtual_time_is_exact_and_the_run_goes_on_to_its_next_end(scheme, tmp_path):
    whole = simulate(scheme=scheme, **PLATEAU | {"patience": None})
    run = simulate(scheme=scheme, threads=2, **PLATEAU, out=tmp_path / "run.h5")
    place = first_end(-whole.evals["train_loss"], 3)
    version = int(whole.evals["step"][place])
    assert (run.status, run.updates["version"].max(), run.evals["step"][-1]) == ("stopped", version, version)
    assert run.attributes["stopped_by"].startswith("patience: train_loss has not improved since version")
    assert (run.updates["loss"] == whole.updates["loss"][: len(run.updates["loss"])]).all()
    again = simulate(scheme=scheme, **PLATEAU, out=tmp_path / "again.h5")
    assert (again.params["final"] == run.params["final"]).all()
    replayed = ab.replay(whole, quadratic(), patience=3)
    assert (replayed.status, replayed.updates["version"].max()) == ("stopped", version)
    assert (replayed.params["final"] == run.params["final"]).all() or not run.updates["t_apply"].size

    further = ab.resume(run.path, problem=quadratic())
    assert further.updates["version"].max() > version
    assert (further.evals["train_loss"] == whole.evals["train_loss"][: further.rows["evals"]]).all()
    if further.status == "finished":
        assert "stopped_by" not in further.attributes
        assert (further.params["final"] == whole.params["final"]).all()


def test_patience_on_threads_and_a_run_that_goes_on(tmp_path):
    run = train(quadratic(), "sequential", **PLATEAU, out=tmp_path / "run.h5")
    assert run.status == "stopped"
    assert_rows_are_sound(run)
    end = int(run.evals["step"][first_end(-run.evals["train_loss"], 3)])
    assert run.updates["version"].max() >= end
    further = ab.resume(run.path, problem=quadratic())
    assert further.updates["version"].max() > run.updates["version"].max()
    assert_rows_are_sound(further)


def test_a_target_accuracy_converges():
    problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    given = {"workers": 2, "step_size": 0.1, "updates": 200, "eval_every": 10, "eval_samples": 100}
    run = ab.simulate(problem, target_accuracy=0.3, **given)
    reached = np.flatnonzero(run.evals["test_accuracy"] >= 0.3)
    assert (run.status, len(run.evals["step"]), len(reached)) == ("converged", reached[0] + 1, 1)
    assert run.attributes["target_step"] == run.evals["step"][-1]


def test_any_text_is_a_reason(tmp_path):
    def on_eval(evaluation):
        raise ab.StopTraining("NUL \0, half a pair \ud800")

    run = simulate(updates=20, on_eval=on_eval, out=tmp_path / "run.h5")
    assert run.attributes["stopped_by"] == r"on_eval: NUL \x00, half a pair \ud800"


@pytest.mark.parametrize("answer", [False, np.False_, ab.StopTraining, ab.StopTraining("seen enough")])
@pytest.mark.parametrize("step", [0, 16, 60])
def test_on_eval_ends_a_simulated_run_at_that_very_version(answer, step, tmp_path):
    def look(evaluation):
        if evaluation.step < step:
            return None
        if isinstance(answer, bool | np.bool_):
            return answer
        raise answer

    whole = simulate(out=tmp_path / "whole.h5")
    run = simulate(on_eval=look, threads=2, out=tmp_path / "run.h5")
    assert (run.status, run.updates["version"].max(initial=0)) == ("finished" if step == 60 else "stopped", step)
    assert run.evals["step"].tolist() == whole.evals["step"][whole.evals["step"] <= step].tolist()
    if step < 60:
        assert run.attributes["stopped_by"] == "on_eval" + (": seen enough" if str(answer) == "seen enough" else "")
        told = []
        ab.resume(run.path, problem=quadratic(), on_eval=lambda evaluation: told.append(evaluation.step))
        assert told[0] > step
    found, wanted = contents(tmp_path / "run.h5"), contents(tmp_path / "whole.h5")
    assert [name for name in wanted if "/" in name and found[name].tobytes() != wanted[name].tobytes()] == []
    replayed = ab.replay(whole, quadratic(), on_eval=look)
    assert replayed.updates["version"].max(initial=0) == step


@pytest.mark.parametrize("scheme", ["sequential", "synchronous", "leashed", "hogwild"])
def test_a_callback_ends_a_run_on_threads_in_good_order(scheme, tmp_path):
    told = []

    def look(evaluation):
        told.append(evaluation.step)
        return evaluation.step < 40

    run = train(
        quadratic(), scheme, updates=10**8, eval_every=20, step_size=1e-6, on_eval=look, out=tmp_path / "run.h5"
    )
    assert (run.status, run.attributes["stopped_by"]) == ("stopped", "on_eval")
    assert_rows_are_sound(run)
    version = int(run.updates["version"].max())
    assert told == run.evals["step"].tolist()
    further = ab.resume(run.path, problem=quadratic(), updates=version + 5)
    assert (further.status, further.updates["version"].max()) == ("finished", version + 5)
    assert "stopped_by" not in further.attributes


@pytest.mark.parametrize(
    ("run", "many"), [(simulate, 10**6), (lambda **given: train(quadratic(), "leashed", **given), 10**8)]
)
def test_progress_ends_a_run_and_what_else_callbacks_return_does_not(run, many, tmp_path):
    found = run(updates=many, eval_every=many, progress=lambda now: now.updates < 10, out=tmp_path / "run.h5")
    assert (found.status, found.attributes["stopped_by"]) == ("stopped", "progress")
    further = ab.resume(found.path, problem=quadratic(), updates=int(found.updates["version"].max()) + 5)
    assert further.status == "finished"
    answers = iter([None, True, 0, "", *[()] * 100])
    assert run(updates=30, eval_every=10, on_eval=lambda evaluation: next(answers)).status == "finished"


def test_a_target_at_the_last_update_is_reached_and_patience_there_is_of_no_use():
    last = {**PLATEAU, "updates": 30, "step_size": 1e-12}
    assert simulate(**last).status == "finished"
    assert train(quadratic(), "sequential", **last).status == "finished"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"patience": 0}, "patience is 0"),
        ({"patience": 2, "eval_every": 0}, "eval_every is 0, so there are no evaluations"),
        ({"monitor": "test_loss"}, "monitor is 'test_loss': it is what patience watches"),
        ({"monitor": "loss", "patience": 2}, "monitor.*train_loss"),
        ({"patience": 2, "monitor": "test_accuracy"}, "no test_accuracy; it has train_loss"),
        ({"target_accuracy": 0.5}, "no test_accuracy"),
        ({"target_accuracy": 1.5}, "target_accuracy is 1.5"),
    ],
)
@pytest.mark.parametrize("run", [ab.train, ab.simulate])
def test_what_cannot_be_waited_for_is_refused_before_anything_is_written(run, given, message, tmp_path):
    with pytest.raises(ab.UsageError, match=message):
        run(quadratic(), workers=2, **{"updates": 20, "out": tmp_path / "run.h5", **given})
    assert not list(tmp_path.iterdir())
