import json
import os
import re
import signal
import tomllib

import pytest
from asapnb.cli import COMMANDS, main, running
from click.testing import CliRunner
from commands import call
from processes import LIMIT, SHELL, python, started

from asapnb import load_run
from asapnb.config import keys, load_config, run_config

SMALL = {"problem": "mlp(hidden=[8])", "workers": 2, "batch_size": 50, "step_size": 0.1}
FLAGS = ["--problem", "mlp(hidden=[8])", "-m", "2", "--batch", "50", "--step-size", "0.1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    return run_config({**SMALL, "epochs": 2, "rule": "tail"}, out=path)


@pytest.fixture
def merged(monkeypatch):
    """Stop before anything is built, and give the configuration that would have been used."""
    found = {}

    def prepare(config, kind, *more):
        found.update(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "prepare", prepare)
    return found


def test_help_names_every_command_and_flag():
    text = call("--help").output
    assert all(name in text and what in text for name, what in COMMANDS.items())
    assert "130 interrupted" in text
    text = call("train", "--help").output
    assert all(f"--{name.replace('_', '-')}" in text for name in keys())
    assert "[default: 0.01]" in text
    for name in COMMANDS:
        assert "Usage" in call(name, "-h").output


def test_every_flag_reaches_the_run(tmp_path, run):
    values = {
        "scheme": "Leashed(persistence=1, check_early=False)", "rule": "tail(amplitude=0.5)", "updates": 30,
        "seed": 7, "momentum": 0.5, "momentum_kind": "shared", "weight_decay": 0.001, "reshuffle": False,
        "local_steps": 2, "shards": "label",
        "target_loss": 0.001, "target_accuracy": 0.99, "patience": 9, "monitor": "test_loss", "max_seconds": 60.0,
        "keep_params": "evals", "clip": 2.0, "start": f"{run.path}@200", "divergence_factor": 20.0, "eval_every": 10,
        "eval_samples": 200, "schedule": "warmup(n=500)",
        "compensation": 0.04, "prior": "geometric(m=4)", "worker_tables": True, "pin_workers": False,
        "record": "updates", "direct_share": 0.25, "optimizer": "sgd",
        "data": "fashion-mnist-mini", **SMALL,
    }  # fmt: skip
    assert set(values) == set(keys()) - {"epochs", "target_r2"}  # no problem has both an accuracy and R²
    arguments = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        arguments += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", value]
    result = call("train", *arguments, "-o", tmp_path / "run.h5")
    assert result.exit_code == 0
    config = load_run(tmp_path / "run.h5").config
    assert {name: config[name] for name in values if name != "problem"} | {"problem": "mlp(hidden=[8])"} == values


def test_precedence(tmp_path, merged):
    file = tmp_path / "run.toml"
    file.write_text("seed = 1\nworkers = 1\nmomentum = 0.1\nepochs = 9\n")
    result = call("train", file, "--seed", 2, "-m", 2, "--updates", 5, "--set", "seed=3", "--set", "rule=tail")
    assert (result.exit_code, result.stderr, result.stdout) == (130, "Interrupted.\n", "")
    assert merged == {"seed": 3, "workers": 2, "momentum": 0.1, "updates": 5, "rule": "tail"}


def test_what_is_shown_of_a_run(tmp_path):
    path = tmp_path / "run.h5"
    result = call("train", *FLAGS, "--rule", "tail", "--epochs", 2, "-o", path)
    text = result.stdout
    lines = text.splitlines()
    assert result.exit_code == 0
    assert "\x1b" not in text
    assert "mlp on fashion-mnist-mini, 6,370 parameters, 5,000 samples" in lines[0]
    head = next(i for i, line in enumerate(lines) if "train loss" in line)
    run = load_run(path)
    for line, loss in zip(lines[head + 1 :], run.evals["train_loss"], strict=False):
        assert line.split()[3] == f"{loss:.4f}"
    assert [line.split()[1] for line in lines[head + 1 : head + 4]] == ["0.00", "1.00", "2.00"]
    assert not lines[head + 4]
    assert "finished  200 updates in" in text
    assert f"asapnb show {path}" in text
    assert max(map(len, lines[:-1])) <= 80


def test_quiet_and_json(tmp_path):
    result = call("train", *FLAGS, "--updates", 20, "--quiet", "-o", tmp_path / "run.h5")
    assert (result.exit_code, result.output) == (0, "")
    for arguments in (("train", *FLAGS, "--updates", 20, "--json"), ("show", tmp_path / "run.h5", "--json")):
        result = call(*arguments)
        found = json.loads(result.stdout)
        assert (found["status"], found["updates"], found["config"]["workers"]) == ("finished", 20, 2)
        assert sum(found["staleness_counts"]) == 20
        assert [entry["step"] for entry in found["evaluations"]] == [0, 20]


def test_divergence_is_exit_code_3(tmp_path):
    result = call("train", *FLAGS, "--step-size", "1e6", "-o", tmp_path / "run.h5")
    assert result.exit_code == 3
    assert "Error: diverged at update" in result.stderr
    assert "try a smaller --step-size than 1e+06" in result.stderr
    assert "diverged  " in result.stdout
    assert load_run(tmp_path / "run.h5").status == "diverged"


def test_other_ends_are_exit_code_0(tmp_path):
    for flag, value, status in (("--target-loss", 100, "converged"), ("--max-seconds", 1e-6, "timed-out")):
        result = call("train", *FLAGS, "--epochs", 1000, flag, value)
        assert result.exit_code == 0
        assert f"{status}  " in result.stdout
        assert ("target         reached at update 0, 0.00 s" in result.stdout) == (status == "converged")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", 0], "workers is 0: must be an integer from 1 to 1024"),
        (["-m", -1], "workers is -1"),
        (["-m", "many"], "workers is 'many': must be an integer"),
        (["--batch", 0], "batch_size is 0: must be an integer from 1 to 5000"),
        (["--batch", 5001], r"batch_size is 5001: must be an integer from 1 to 5000 \(the training samples\)"),
        (["--step-size", -0.1], "step_size is -0.1: must be a finite number above 0"),
        (["--step-size", "nan"], "step_size is nan: must be a finite number above 0"),
        (["--epochs", 1.5], "epochs = 1.5: must be an integer"),
        (["--epochs", 1, "--updates", 1], "give one of them"),
        (["--seed", -1], "seed is -1"),
        (["--momentum", 1], r"momentum is 1: must be a finite number of at least 0 and below 1"),
        (["--max-seconds", 0], "max_seconds is 0: must be a finite number above 0"),
        (["--target-loss", "low"], "target_loss = 'low': must be a number"),
        (["--scheme", "leashd"], "unknown scheme 'leashd'; available: .*Did you mean 'leashed'"),
        (["--scheme", "leashed(persistence=-1)"], r"persistence of Leashed is -1: must be an integer from 0"),
        (["--rule", "tial"], "unknown rule 'tial'.*Did you mean 'tail'"),
        (["--rule", "tail(amplitude=2)"], r"amplitude is 2: must be a finite number of at least 0 and of at most 1"),
        (["--rule", "none.py:f"], "there is no file none.py"),
        (["--data", "fashon-mnist"], "unknown data set 'fashon-mnist'.*Did you mean 'fashion-mnist'"),
        (["--problem", "lenett"], "unknown problem 'lenett'.*Did you mean 'lenet'"),
        (["--set", "workers"], "write key=value, for example"),
        (["--set", "wokers=8"], "unknown key 'wokers'.*Did you mean 'workers'"),
        (["--workes", 8], "No such option.*--workers"),
        (["none.toml"], "cannot read the configuration none.toml: No such file"),
        (["-o", "none/run.h5"], "directory .* for none/run.h5 does not exist: make it first"),
        (["-o", "."], r"\. is a directory: give the name of a file"),
    ],
)
def test_usage_errors(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    result = call("train", *FLAGS, "--updates", 5, *([] if "-o" in arguments else ["-o", "run.h5"]), *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []

    assert re.search(says, result.stderr, re.DOTALL), result.stderr


def test_a_run_file_is_kept_unless_forced(tmp_path):
    path = tmp_path / "run.h5"
    path.write_bytes(b"mine")
    result = call("train", *FLAGS, "--updates", 5, "-o", path)
    assert result.exit_code == 2
    assert "already exists: give another name, or overwrite it" in result.stderr
    assert path.read_bytes() == b"mine"
    assert call("train", *FLAGS, "--updates", 5, "-o", path, "--force").exit_code == 0
    assert load_run(path).status == "finished"


def test_a_run_can_be_repeated_from_its_file(run, tmp_path):
    assert call("train", run.path, "--updates", 5, "--quiet", "-o", tmp_path / "again.h5").exit_code == 0
    again = load_run(tmp_path / "again.h5")
    assert again.config == {**run.config, "updates": 5}
    assert load_config(tmp_path / "again.h5")["problem"].startswith("mlp(hidden=[8]")


def test_show(run):
    text = call("show", run.path).output
    for said in (
        "finished  200 updates",
        "Evaluations",
        "Staleness",
        "tail(amplitude=1.0)",
        str(run.path),
    ):
        assert said in text
    assert f"{run.evals['test_loss'][-1]:.4f}" in text


def test_show_of_what_is_no_run(tmp_path):
    for path, says in ((tmp_path / "none.h5", "there is no run file"), (tmp_path, "it is a directory")):
        result = call("show", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert says in result.stderr


def test_data(tmp_path):
    assert "embedded" in call("data", "list").output
    here = {
        entry["name"]: entry["path"]
        for entry in json.loads(call("data", "list", "--root", tmp_path, "--json").output)
    }
    assert here.pop("fashion-mnist-mini").endswith(".xz")
    assert set(here.values()) == {None}
    assert "fashion-mnist-mini is in" in call("data", "get", "fashion-mnist-mini").output
    result = call("data", "get", "mnst")
    assert result.exit_code == 2
    assert "Did you mean 'mnist'" in result.stderr


def test_info():
    text = call("info").output
    for said in ("numba", "kernels", "CPUs", "fashion-mnist-mini"):
        assert said in text
    found = json.loads(call("info", "--json").output)
    assert found["machine"]["kernels"] in ("avx512", "avx2", "portable")


def test_a_terminal_that_knows_only_ascii():
    done = python(*SHELL, "data", "list", environment={"PYTHONIOENCODING": "ascii"}, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1?28?28" in done.stdout


def test_an_unknown_command():
    result = call("trian")
    assert result.exit_code == 2
    names = ", ".join(sorted(COMMANDS))
    assert f"command 'trian'; available: {names}. Did you mean 'train'?" in result.stderr


def test_an_error_that_nobody_expects_is_exit_code_1(monkeypatch):
    def broken(config, kind, *more):
        raise ZeroDivisionError

    monkeypatch.setattr(running, "prepare", broken)
    result = CliRunner().invoke(main, ["train"])
    assert (result.exit_code, type(result.exception)) == (1, ZeroDivisionError)


def test_ctrl_c_leaves_a_valid_file(tmp_path):
    path = tmp_path / "run.h5"
    with started(*SHELL, "train", *FLAGS, "--epochs", 1_000_000, "--eval-every", 1000, "-o", path) as process:
        for line in process.stdout:
            if line.split()[:2] == ["0.00", "0.00"]:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, err
    assert f"{path} holds what was done. To continue: asapnb resume {path}" in err
    assert "Traceback" not in err
    assert "interrupted  " in out
    run = load_run(path)
    assert run.status == "interrupted"
    assert len(run.updates["tau"]) == run.summary()["updates"]
    assert tomllib.loads(run.attributes["config"])["eval_every"] == 1000


@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["train"]])
def test_a_reader_that_goes_away(run, command, tmp_path):
    arguments = [str(run.path)] if command[0] == "show" else [*FLAGS, "--updates", "20", "-o", str(tmp_path / "a.h5")]
    reader, writer = os.pipe()
    os.close(reader)
    done = python(*SHELL, *command, *arguments, stdout=writer, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr
    if command == ["train"]:
        assert load_run(tmp_path / "a.h5").status == "finished"
