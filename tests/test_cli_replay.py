"""`asapnb replay`."""

import json
import re
import shutil

import h5py
import numpy as np
import pytest
from commands import call
from problems import quadratic, train

from asapnb import load_run
from asapnb.config import run_config

SMALL = {"problem": "mlp(hidden=[8])", "batch_size": 50, "step_size": 0.1, "rule": "tail"}
TIMING = {"timing": "compute=exponential(1), update=0.05"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of threads (leashed.h5, hogwild.h5), and in virtual time (simulate.h5, of Hogwild)."""
    path = tmp_path_factory.mktemp("runs")
    for scheme in ("leashed", "hogwild"):
        run_config({**SMALL, "workers": 2, "epochs": 1, "scheme": scheme}, out=path / f"{scheme}.h5")
    config = {**SMALL, **TIMING, "workers": 8, "updates": 120, "scheme": "hogwild(view=snapshot, blocks=4)"}
    run_config(config, "simulate", out=path / "simulate.h5")
    return path


@pytest.fixture
def altered(folder, tmp_path):
    """A copy of leashed.h5, to be altered."""
    shutil.copy(folder / "leashed.h5", tmp_path / "run.h5")
    return tmp_path / "run.h5"


@pytest.mark.parametrize(
    ("name", "head"), [("leashed", " rec. s  epoch  upd/rs"), ("simulate", "virt. s  epoch  upd/vs")]
)
def test_the_same_to_the_bit(folder, tmp_path, name, head):
    path, other = folder / f"{name}.h5", tmp_path / "again.h5"
    text = call("replay", path, "-o", other).stdout
    run, again = load_run(path), load_run(other)
    np.testing.assert_array_equal(run.params["final"], again.params["final"])
    assert f"replay   {path}, kind {run.kind}, finished" in text
    assert "rule     the recorded scales, of tail(amplitude=1.0)" in text
    assert head in text
    assert re.search(
        r"^scales      the recorded ones\nparameters  equal to the recorded ones, to the bit$", text, re.M
    )
    whose = "virtual" if name == "simulate" else "recorded"
    assert f" {whose} s, " in text
    assert f" per {whose} second, " in text
    shown = call("show", other).stdout
    assert f"replayed  {path}, kind {run.kind}, made {run.attributes['created_utc']}, by the same kernels" in shown
    found = json.loads(call("show", other, "--json").stdout)
    assert (found["kind"], found["attributes"]["exact"]) == ("replay", True)
    assert found["attributes"]["replayed"]["path"] == str(path)


def test_every_flag_reaches_the_replay(folder, tmp_path):
    values = {
        "rule": "inverse(variant='shifted')", "step_size": 0.05, "momentum": 0.5, "momentum_kind": "shared",
        "direct_share": 0.2, "weight_decay": 0.001, "compensation": 0.04, "prior": "geometric(m=4)",
        "worker_tables": True, "divergence_factor": 20.0,
        "eval_every": 10, "eval_samples": 200, "target_loss": 0.001, "microscope": 20,
    }  # fmt: skip
    arguments = []
    for name, value in values.items():
        arguments += [f"--{name.replace('_', '-')}"] + ([] if value is True else [value])
    path = tmp_path / "run.h5"
    assert call("replay", folder / "simulate.h5", *arguments, "--threads", 1, "-o", path).exit_code == 0
    run = load_run(path)
    values["rule"] = run.config["rule"]
    assert run.config["rule"].startswith("inverse(")
    assert {name: run.config[name] for name in values} == values
    assert (run.attributes["replay"]["threads"], len(run.microscope["tau"])) == (1, 6)
    text = call("replay", "--help").output
    assert all(f"--{name.replace('_', '-')}" in text for name in values)
    assert "[default: as recorded]" in text


def test_another_rule_is_compared(folder, tmp_path):
    source, path = folder / "simulate.h5", tmp_path / "run.h5"
    text = call("replay", source, "--rule", "inverse", "--step-size", 0.05, "-o", path).stdout
    assert "scales   made by inverse()" in text
    assert "changed  rule inverse(), step_size 0.05" in text
    assert "to the bit" not in text
    for run, column in ((load_run(source), 0), (load_run(path), 1)):
        facts = run.summary()
        for name, value in (
            ("train loss", f"{facts['last']['train_loss']:.4f}"), ("test loss", f"{facts['last']['test_loss']:.4f}"),
            ("test accuracy", f"{facts['last']['test_accuracy']:.1%}"), ("mean scale", f"{facts['mean_scale']:.4f}"),
            ("sum of steps", f"{facts['sum_of_steps']:,.4g}"),
        ):  # fmt: skip
            cells = re.search(rf"^{name} {{2,}}(\S+) +(\S+)$", text, re.MULTILINE).groups()
            assert cells[column] == value
    found = json.loads(call("replay", source, "--rule", "inverse", "--json").stdout)
    assert (found["scales_recorded"], found["changed"], found["equal"]) == (False, ["rule"], None)
    assert found["comparison"]["replayed"]["train_loss"] == found["evaluations"][-1]["train_loss"]
    assert found["comparison"]["recorded"]["mean_scale"] == load_run(source).attributes["mean_scale"]
    assert json.loads(call("replay", source, "--json").stdout)["equal"] is True
    found = json.loads(call("replay", source, "--step-size", 0.05, "--json").stdout)
    assert (found["scales_recorded"], found["changed"]) == (True, ["step_size"])


def test_watching_otherwise_changes_nothing(folder):
    found = json.loads(call("replay", folder / "leashed.h5", "--eval-every", 20, "--microscope", 50, "--json").stdout)
    assert (found["equal"], len(found["evaluations"])) == (True, 6)
    assert sum(bin["updates"] for bin in found["microscope"]) == 2
    result = call("replay", folder / "leashed.h5", "--target-loss", 100)
    assert "nothing to compare with: 0 of 100 updates were replayed" in result.stdout
    assert call("replay", folder / "leashed.h5", "--quiet").output == ""


def test_what_differs_is_told(altered):
    with h5py.File(altered, "a") as file:
        file["params/final"][0] += 0.5
        versions = json.loads(file.attrs["versions"])
        file.attrs["versions"] = json.dumps({**versions, "numba": "0.1"})
    text = call("replay", altered).stdout
    assert "differ from the recorded ones by at most 0.5, because the run was recorded with other kernels or" in text
    assert json.loads(call("replay", altered, "--json").stdout)["equal"] is False


def test_a_run_that_ended_amidst_updates_is_not_said_to_be_of_other_kernels(tmp_path):
    path, again = tmp_path / "run.h5", tmp_path / "again.h5"
    config = {**SMALL, "scheme": "hogwild", "timing": "compute=exponential(1), update=0.5", "workers": 4,
              "updates": 90, "eval_every": 10}  # fmt: skip
    whole = run_config(config, "simulate")
    run_config({**config, "target_loss": float(whole.evals["train_loss"][4])}, "simulate", out=path)
    with h5py.File(path, "a") as file:
        file["params/final"][0] += 0.5
    text = call("replay", path, "-o", again).stdout
    assert "the recorded run (converged) ended in the middle of updates, and holds parts of them" in text
    assert "kernels" not in text
    assert "or the run ended in the middle of updates" in " ".join(call("show", again).stdout.split())


def test_a_killed_run_has_nothing_to_compare_with(altered):
    with h5py.File(altered, "a") as file:
        file.attrs["status"] = "running"
        del file["params/final"]
    result = call("replay", altered)
    assert result.exit_code == 0
    assert f"replay   {altered}, kind train, killed" in result.stdout
    assert "nothing to compare with: the recorded run was killed" in result.stdout


def test_a_replay_does_not_go_on(folder, tmp_path):
    call("replay", folder / "simulate.h5", "--quiet", "-o", tmp_path / "run.h5")
    result = call("resume", tmp_path / "run.h5", "--updates", 500)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is of kind replay: only runs of train and simulate can go on" in result.stderr


def without_batch(file):
    del file["updates/batch"]


def of_other_data(file):
    file.attrs["data_sha256"] = "0" * 64


def of_another_problem(file):
    file.attrs["config"] = file.attrs["config"].replace("hidden=[8]", "hidden=[9]")


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (without_batch, "/updates/batch of .*: a run without this column cannot be replayed"),
        (of_other_data, "is not the data that .* was made with: its SHA-256 is .* 0000"),
        (of_another_problem, "was made with other parameters: 6370, and this is 7165"),
    ],
)
def test_files_that_cannot_be_replayed(altered, tmp_path, alter, says):
    with h5py.File(altered, "a") as file:
        alter(file)
    result = call("replay", altered, "-o", tmp_path / "again.h5")
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.search(says, result.stderr, re.DOTALL), result.stderr
    assert list(tmp_path.iterdir()) == [altered]


def test_runs_that_cannot_be_replayed(folder, tmp_path):
    train(quadratic(), "lock-based", updates=9, out=tmp_path / "own.h5")
    for path, says in (
        (folder / "hogwild.h5", "on real threads, which does not record which parts of which updates its views held"),
        (
            tmp_path / "own.h5",
            "your own, custom(pull): build it in Python and pass it, as in asapnb.replay(run, problem)",
        ),
        (tmp_path / "none.h5", "there is no run file"),
    ):
        result = call("replay", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert says in result.stderr
        assert says in call("replay", path, "-o", tmp_path / "made.h5").stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rule", "tial"], "unknown rule 'tial'.*Did you mean 'tail'"),
        (["--momentum", 1], r"momentum is 1: must be a finite number of at least 0 and below 1"),
        (["--step-size", "x"], "step_size = 'x': must be a number"),
        (["--microscope", -1], "microscope is -1"),
        (["--threads", 0], "threads is 0"),
        (["--seed", 1], "only a trace"),
        (["-o", "run.h5"], "run.h5 already exists"),
        (["-o", "run.h5", "--force"], "out is run.h5: that is the run to be replayed; give another name"),
        (["-o", "none/run.h5"], "directory .* for none/run.h5 does not exist"),
    ],
)
def test_usage_errors(altered, monkeypatch, arguments, says):
    monkeypatch.chdir(altered.parent)
    held = altered.read_bytes()
    result = call("replay", altered, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.search(says, result.stderr, re.DOTALL), result.stderr
    assert altered.read_bytes() == held
    assert list(altered.parent.iterdir()) == [altered]
