"""`asapnb simulate`."""

import json
import re
import signal

import numpy as np
import pytest
from commands import call
from processes import LIMIT, SHELL, started

import asapnb as ab
from asapnb import load_run
from asapnb.config import keys, load_config, run_config
from asapnb.simulator import staleness_only
from asapnb.staleness import fits

SMALL = {"problem": "mlp(hidden=[8])", "workers": 8, "batch_size": 50, "step_size": 0.1}
FLAGS = ["--problem", "mlp(hidden=[8])", "-m", "8", "--batch", "50", "--step-size", "0.1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of threads, train.h5, and one in virtual time, simulate.h5."""
    path = tmp_path_factory.mktemp("runs")
    run_config({**SMALL, "workers": 2, "updates": 20, "scheme": "leashed"}, out=path / "train.h5")
    timing = "compute=lognormal(mean=1, cv=0.3), update=0.05"
    run_config({**SMALL, "updates": 60, "timing": timing, "microscope": 5}, "simulate", out=path / "simulate.h5")
    return path


def test_every_flag_reaches_the_run(tmp_path, folder):
    values = {
        "scheme": "LockBased(order='random', fused=True)", "rule": "tail(amplitude=0.5)", "updates": 30, "seed": 7,
        "timing": "Timing(compute=gamma(mean=1.0, cv=0.5), update=0.05)", "momentum": 0.5, "momentum_kind": "shared",
        "weight_decay": 0.001, "reshuffle": False,
        "local_steps": 2, "shards": "label", "target_loss": 0.001, "max_seconds": 60.0,
        "divergence_factor": 20.0, "eval_every": 10, "eval_samples": 200, "compensation": 0.04, "direct_share": 0.2,
        "prior": "geometric(m=4)", "worker_tables": True, "schedule": "warmup(n=500)", "clip": 2.0,
        "target_accuracy": 0.99, "patience": 9, "monitor": "test_loss", "keep_params": "evals",
        "start": f"{folder}/train.h5@20", "record": "updates", "optimizer": "sgd",
        "microscope": 3, "threads": 2, "timing_seed": 5, "data": "fashion-mnist-mini", **SMALL,
    }  # fmt: skip
    assert set(values) == set(keys("simulate")) - {"epochs", "target_r2"}  # no problem has both an accuracy and R²
    arguments = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        arguments += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", value]
    assert call("simulate", *arguments, "-o", tmp_path / "run.h5").exit_code == 0
    run = load_run(tmp_path / "run.h5")
    del values["threads"]  # which the result does not depend on
    assert {name: run.config[name] for name in values} == values
    assert (run.kind, run.attributes["replay"]["threads"], len(run.microscope["tau"])) == ("simulate", 2, 10)


def test_help_names_every_flag():
    text = call("simulate", "--help").output
    assert all(f"--{name.replace('_', '-')}" in text for name in keys("simulate"))
    assert "--pin-workers" not in text
    assert "parameter-server" in text


def test_what_is_shown_of_a_run(tmp_path):
    path = tmp_path / "run.h5"
    text = call("simulate", *FLAGS, "--timing", "exponential(2)", "--updates", 200, "-o", path).stdout
    lines, run = text.splitlines(), load_run(path)
    assert lines[1].startswith("scheme   LockBased(), 8 workers")
    assert lines[4] == "timing   Timing(compute=exponential(mean=2.0)), in virtual seconds"
    head = next(i for i, line in enumerate(lines) if "train loss" in line)
    assert lines[head].startswith("virt. s  epoch  upd/vs")
    assert lines[head + 2].split()[0] == f"{run.evals['t'][1]:.2f}"
    seconds = run.attributes["seconds"]
    assert f"finished  200 updates in {seconds:.2f} virtual s, {200 / seconds:.4g} per virtual second, 8 w" in text
    assert "per second" not in text
    assert re.search(r"^real time      \d+\.\d\d s on \d+ threads?$", text, re.MULTILINE)
    assert max(map(len, lines[head:-1])) <= 80


def test_the_same_bits_on_any_number_of_threads(tmp_path):
    found = []
    for threads in (1, 3):
        call("simulate", *FLAGS, "--updates", 50, "--threads", threads, "-o", tmp_path / f"{threads}.h5", "--quiet")
        found.append(load_run(tmp_path / f"{threads}.h5").params["final"])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    "text",
    [
        'timing = "compute=gamma(1, 0.5), update=0.1"\n',
        '[timing]\ncompute = "gamma(1, 0.5)"\nupdate = 0.1\n',
    ],
)
def test_a_timing_in_a_configuration(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(f"workers = 4\nupdates = 30\n{text}")
    found = json.loads(call("simulate", file, "--problem", "mlp(hidden=[8])", "--json").stdout)
    assert found["config"]["timing"] == "Timing(compute=gamma(mean=1.0, cv=0.5), update=0.1)"
    other = json.loads(call("simulate", file, "--timing", "3", "--problem", "mlp(hidden=[8])", "--json").stdout)
    assert other["config"]["timing"] == "Timing(compute=3.0)"


def test_a_timing_file_with_sections(tmp_path):
    file = tmp_path / "machine.toml"
    file.write_text(
        '[workers.1]\ncompute = 1.0\n[workers.6]\ncompute = "exponential(1)"\n[workers.9]\ncompute = 9.0\n'
    )
    for arguments in (FLAGS, ["--staleness-only", "-m", "8"]):
        found = json.loads(call("simulate", *arguments, "--timing", file, "--updates", 20, "--json").stdout)
        timing = found["config"]["timing"] if "config" in found else found["timing"]
        assert timing == "Timing(compute=exponential(mean=1.0))"


def test_run_files_as_configurations(folder, tmp_path):
    again, simulated, trained = (tmp_path / f"{i}.h5" for i in range(3))
    assert call("simulate", folder / "simulate.h5", "-o", again, "--quiet").exit_code == 0
    first, second = load_run(folder / "simulate.h5"), load_run(again)
    assert first.config == second.config
    np.testing.assert_array_equal(first.params["final"], second.params["final"])
    assert (
        call("simulate", folder / "train.h5", "--timing", "exponential(1)", "-o", simulated, "--quiet").exit_code == 0
    )
    found = load_run(simulated)
    assert (found.kind, found.config["scheme"]) == ("simulate", load_run(folder / "train.h5").config["scheme"])
    assert call("train", folder / "simulate.h5", "-m", 2, "-o", trained, "--quiet").exit_code == 0
    assert "timing" not in load_run(trained).config
    assert load_config(trained)["updates"] == 60


def test_json_and_show_hold_the_microscope_and_notes(folder):
    found = json.loads(call("show", folder / "simulate.h5", "--json").stdout)
    run = load_run(folder / "simulate.h5")
    assert sum(bin["updates"] for bin in found["microscope"]) == 12
    mean = sum(bin["updates"] * bin["distance"] for bin in found["microscope"]) / 12
    assert mean == pytest.approx(run.microscope["distance"].mean())
    assert (found["notes"], found["attributes"]["clock"]) == ([], "virtual seconds")
    text = call("show", folder / "simulate.h5").stdout
    for said in (
        "Microscope\n",
        "distance",
        "clock    virtual seconds",
        "timing             Timing(compute=lognormal",
    ):
        assert said in text
    assert re.search(r"^virtual s +updates", text, re.MULTILINE)


NOTE = "compute: pareto(minimum=1.0, alpha=1.0) has an infinite mean, so averages depend on the length of the run."


def test_an_infinite_mean_is_noted():
    arguments = [*FLAGS, "--timing", "pareto(1, 1)", "--updates", 20]
    assert f"note     {NOTE}" in call("simulate", *arguments).stdout
    assert json.loads(call("simulate", *arguments, "--json").stdout)["notes"] == [NOTE]
    result = call("simulate", "--staleness-only", *arguments[-4:])
    assert (result.exit_code, f"note         {NOTE}" in result.stdout) == (0, True)


def test_staleness_only():
    arguments = ["--scheme", "leashed(persistence=1)", "-m", 32, "--updates", 40_000, "--seed", 3]
    timing = "compute=exponential(1), update=0.05"
    tally = staleness_only(timing, "leashed(persistence=1)", 32, 40_000, 3)
    result = call("simulate", "--staleness-only", "--timing", timing, *arguments, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["staleness_counts"] == tally.counts.tolist()
    assert found["staleness"]["mean"] == pytest.approx(tally.staleness.mean())
    assert found["staleness"]["percentiles"]["99%"] == tally.staleness.quantile(0.99)
    assert (found["dropped"], found["failed_cas"]) == (tally.dropped, tally.failed)
    assert found["dropped_share"] == pytest.approx(tally.dropped / (tally.dropped + 40_000))
    assert found["updates_per_virtual_second"] == pytest.approx(40_000 / tally.seconds)
    assert [one["model"] for one in found["fits"]] == [one.model for one in fits(tally.counts)]
    text = call("simulate", "--staleness-only", "--timing", timing, *arguments).stdout
    assert re.search(r"^models +\w+\(.*\) off by 0\.\d{4}; ", text, re.MULTILINE)
    assert f"mean {tally.staleness.mean():.4f}, variance" in text
    assert f"gradients    {tally.dropped:,} dropped" in text
    rows = re.findall(r"^ *[\d,–]+ +([\d,]+) +[\d.]+%", text, re.MULTILINE)
    assert sum(int(count.replace(",", "")) for count in rows) == 40_000
    assert call("simulate", "--staleness-only", "--updates", 10, "--quiet").output == ""
    alone = json.loads(
        call("simulate", "--staleness-only", "--scheme", "sequential", "--updates", 9, "--json").stdout
    )
    assert (alone["workers"], alone["staleness"]["max"]) == (1, 0)


def test_a_configuration_of_a_run_is_one_of_its_schedule(folder):
    found = json.loads(call("simulate", folder / "simulate.h5", "--staleness-only", "--json").stdout)
    assert found["updates"] == 60
    assert found["staleness"]["mean"] == pytest.approx(load_run(folder / "simulate.h5").staleness.mean())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", 0], "workers is 0: must be an integer from 1 to 16777216"),
        (["--timing", "compute=exponential(-1)"], r"mean is -1: must be .* at least 0 and of at most 1e\+12 seconds"),
        (["--timing", "compute=1, update=-2"], r"update is -2: must be .* at least 0 and of at most 1e\+12 seconds"),
        (["--timing", "compute=1e400"], r"compute is inf: must be .* at least 0 and of at most 1e\+12 seconds"),
        (["--timing", "0"], "compute is 0.0: its mean must be above 0 for every worker"),
        (["--timing", "expnential(1)"], "unknown name in a timing 'expnential'.*Did you mean 'exponential'"),
        (["--timing", "compte=1"], "unknown parameter of Timing 'compte'.*Did you mean 'compute'"),
        (["--timing", "none.toml"], "cannot read the timing file none.toml"),
        (["--timing", "[1, 2, 3]"], "compute has 3 times for 8 workers: give one for each worker"),
        (["--timing", "compute=1, network=1"], r"LockBased\(\) sends no messages; .*choose parameter-server"),
        (["--set", "timing=[1, 2]"], r"timing = \[1, 2\]: must be a text or a table"),
        (["--set", "timing={compte=1}"], "unknown field of a timing 'compte'.*Did you mean 'compute'"),
        (["--scheme", "parametr-server"], "unknown scheme 'parametr-server'.*Did you mean 'parameter-server'"),
        (["--pin-workers"], "pin_workers = True: simulate has no pin_workers; only asapnb train has it"),
        (["--microscope", -1], "microscope is -1: must be an integer of at least 0"),
        (["--microscope", "x"], "microscope = 'x': must be an integer"),
        (["--threads", 0], "threads is 0: must be an integer from 1 to 1024"),
        (["--rule", "shuffled(shuffled(tail))"], "shuffled takes a rule whose scales depend on the staleness only"),
        (["none.toml"], "cannot read the configuration none.toml: No such file"),
        (["--staleness-only"], r"problem is 'mlp\(hidden=\[8\]\)', but --staleness-only makes no gradients"),
    ],
)
def test_usage_errors(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    result = call("simulate", *FLAGS, "--updates", 5, "-o", "run.h5", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert re.search(says, result.stderr, re.DOTALL), result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", 0], "workers is 0: must be an integer from 1 to 16777216"),
        (["--updates", 0], "updates is 0: must be an integer from 1"),
        (["--scheme", "sequential", "-m", 2], "the scheme Sequential has at most 1"),
        (["-o", "run.h5"], "out is 'run.h5', but --staleness-only makes no gradients and no run file"),
        (["--set", "momentum=0.5"], "momentum is 0.5, but --staleness-only"),
    ],
)
def test_usage_errors_of_staleness_only(arguments, says):
    result = call("simulate", "--staleness-only", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--timing", "exponential(1)"], "timing = 'exponential(1)': train has no timing; only asapnb"),
        (["--set", "timing=1"], "timing = 1: train has no timing; only asapnb simulate has it"),
        (["--microscope", 3], "microscope = '3': train has no microscope; only asapnb simulate has it"),
        (["--scheme", "parameter-server"], "its workers are other processes. Start them on MPI, as in mpiexec"),
        (
            ["--scheme", "lock-based(fused=True)"],
            "fused=True is simulator-only; run it in virtual time with simulate",
        ),
        (
            ["--scheme", "parameter-server(discard_after=9, restart=True)"],
            "restart=True is simulator-only; run it in virtual time with simulate",
        ),
    ],
)
def test_what_only_simulate_has_is_named_by_train(arguments, says):
    result = call("train", *FLAGS, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


def test_other_ends(tmp_path):
    result = call("simulate", *FLAGS, "--step-size", "1e6", "--epochs", 2)
    assert (result.exit_code, "Error: diverged at update" in result.stderr) == (3, True)
    assert "converged  " in call("simulate", *FLAGS, "--target-loss", 100).stdout
    path = tmp_path / "run.h5"
    text = call("simulate", *FLAGS, "--max-seconds", 5, "-o", path).stdout
    assert "timed-out  " in text
    assert f"To continue: asapnb resume {path} --max-seconds TOTAL" in text
    text = call("resume", path, "--max-seconds", 9).stdout
    assert "timing   Timing(compute=exponential(mean=1.0)), in virtual seconds" in text
    assert "virt. s" in text
    whole = ab.load_run(path)
    assert 5 < whole.attributes["seconds"] <= 9


def test_ctrl_c_and_going_on_give_the_same_bits(tmp_path):
    path, arguments = tmp_path / "run.h5", [*FLAGS, "--epochs", "60", "--eval-every", "50"]
    with started(*SHELL, "simulate", *arguments, "-o", path) as process:
        for line in process.stdout:
            if line.split()[1:2] == ["0.50"]:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, err
    assert f"{path} holds what was done. To continue: asapnb resume {path}" in err
    assert load_run(path).status == "interrupted"
    assert call("resume", path, "--quiet").exit_code == 0
    call("simulate", *arguments, "--quiet", "-o", tmp_path / "whole.h5")
    run, whole = load_run(path), load_run(tmp_path / "whole.h5")
    assert (run.status, len(run.updates["tau"])) == ("finished", 6000)
    np.testing.assert_array_equal(run.params["final"], whole.params["final"])
