"""What would need more memory than there is is refused before it is asked for, with the figures."""

import resource

import numpy as np
import pytest
from commands import printed

import asapnb as ab
from asapnb import memory
from asapnb.config import run_config
from asapnb.data import Dataset
from asapnb.engine.memory import check_fits
from asapnb.problems.text import parse_problem
from asapnb.staleness import geometric
from asapnb.sweep import parse_sweep, run_sweep
from asapnb.timing import exponential
from asapnb.training.options import resolve

GB = 10**9
FIGURES = r"needs [\d,]+ [GM]B of memory, and there are 8,000 MB: "


@pytest.fixture(autouse=True)
def small_machine(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 8 * GB)


@pytest.fixture
def problem():
    return parse_problem("quadratic([1, 10])", "")


MUCH = {
    "a network": lambda: run_config({"problem": "mlp(hidden=[1000000, 100000])", "updates": 5}),
    "a simulated one": lambda: run_config({"problem": "mlp(hidden=[1000000, 100000])", "updates": 5}, "simulate"),
    "an objective": lambda: parse_problem("log_cosh(dimension=1000000000000)"),
    "generated rows": lambda: parse_problem("least_squares(samples=1000000, dimension=1000000)"),
    "updates": lambda: run_config({"problem": "quadratic([1])", "updates": 10**12}, "simulate"),
    "rounds": lambda: ab.schedule("exponential(1)", "synchronous", 1024, 10**9),
    "a schedule": lambda: ab.schedule("exponential(1)", updates=10**12),
    "a sample": lambda: exponential(1).sample(0, 10**12),
    "a distribution": lambda: geometric(m=4).padded(10**13),
    "a text that needs too much": lambda: parse_problem("sine_pl(1000000000000)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUCH)
def test_what_does_not_fit_is_refused_with_figures(name):
    with pytest.raises(ab.UsageError, match=FIGURES):
        MUCH[name]()


def test_workers_with_vectors_of_their_own_are_counted(monkeypatch):
    problem = parse_problem("mlp(hidden=[5000, 1000])")  # 9 million parameters, 36 MB a vector
    for workers, scheme, fits in (
        (64, "lock-based", True),
        (100, "lock-based", True),
        (128, "lock-based", False),
        (64, "synchronous", True),
        (256, "synchronous", False),
        (50, "leashed", True),
        (128, "leashed", False),
    ):
        options = resolve("train", problem, {"workers": workers, "scheme": scheme, "updates": 5, "batch_size": 1})
        if fits:
            check_fits(problem, options)
        else:
            with pytest.raises(ab.UsageError, match=f"a run of {workers} workers.*{FIGURES}"):
                check_fits(problem, options)
    for make in (ab.train, ab.simulate):
        monkeypatch.setattr(memory, "available", lambda: GB // 3)
        with pytest.raises(ab.UsageError, match=r"needs .* [GM]B of memory"):
            make(problem, workers=64, updates=100)


def test_views_in_flight_are_counted_once_the_schedule_is_known(monkeypatch):
    problem = parse_problem("mlp(hidden=[1000])")
    monkeypatch.setattr(memory, "available", lambda: 150 * 10**6)
    with pytest.raises(ab.UsageError, match=r"vectors of 795,010 parameters at a time needs .* MB of memory"):
        ab.simulate(problem, workers=500, updates=1000)


def test_a_refused_run_leaves_no_file(tmp_path, problem):
    with pytest.raises(ab.UsageError, match=FIGURES):
        ab.simulate(problem, updates=10**12, out=tmp_path / "run.h5")
    flags = ["--problem", "quadratic([1])", "--updates", 10**12, "-o", tmp_path / "run.h5"]
    assert "350,000 GB" in printed("simulate", *flags, code=2)
    assert list(tmp_path.iterdir()) == []


def test_small_things_do_not_ask_how_much_there_is(monkeypatch, problem):
    def asked():
        raise AssertionError

    monkeypatch.setattr(memory, "available", asked)
    ab.simulate(problem, updates=50)


def test_limits_of_the_machine_the_group_and_the_process_count(monkeypatch, tmp_path):
    monkeypatch.undo()
    free = memory.available()
    assert 2**27 < free < 2**50
    group = tmp_path / "a/b"
    group.mkdir(parents=True)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    for folder, most, used, files in ((tmp_path / "a", "1000000", "300000", "100000"), (group, "max", "5", "0")):
        (folder / "memory.max").write_text(most)
        (folder / "memory.current").write_text(used)
        (folder / "memory.stat").write_text(f"anon 7\ninactive_file {files}\nactive_file 0\n")
    monkeypatch.setattr(memory, "_group", lambda: group)
    assert memory.available() == 800_000
    (group / "memory.max").write_text("500005")
    assert memory.available() == 500_000
    (group / "memory.max").write_text("3")  # used: more than that
    assert memory.available() == 0
    monkeypatch.undo()
    monkeypatch.setattr(resource, "getrlimit", lambda which: (2**40, 2**40))
    monkeypatch.setattr(memory, "_of_group", lambda: 2**63)
    assert memory.available() <= 2**40


def test_a_label_of_ten_to_the_eighth_is_no_number_of_classes():
    x = np.zeros((4, 2))
    with pytest.raises(ab.UsageError, match=r"the largest label is 100,000,000, .*100,000,001 classes: at most"):
        Dataset.from_arrays(x, [0, 1, 2, 10**8], x, [0, 0, 0, 0])


@pytest.mark.parametrize("digits", [309, 1000])
@pytest.mark.parametrize("command", ["train", "simulate", "sweep", "calibrate"])
def test_numbers_of_hundreds_of_digits_are_refused_under_every_flag(tmp_path, monkeypatch, command, digits):
    from importlib import import_module

    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text("[base]\nupdates = 5\n[grid]\nworkers = [1, 2]")
    given = ["few.toml"] if command == "sweep" else ["--problem", "quadratic([1])"]
    tried = 0
    for option in import_module(f"asapnb.cli.{command}").command.params:
        if option.metavar in ("N", "F") and not option.hidden:
            for number in ("1" + "0" * digits, "-1" + "0" * digits):
                found = printed(command, *given, f"{option.opts[-1]}={number}", code=2)
                assert len(found) < 1500, option.name
            tried += 1
    assert tried > 0


def test_jobs_of_a_sweep_are_bounded(tmp_path):
    sweep = parse_sweep({"base": {"problem": "quadratic([1])", "updates": 5}, "grid": {"workers": [1, 2]}})
    with pytest.raises(ab.UsageError, match="jobs is 1000000000: must be an integer from 1 to 1024"):
        run_sweep(sweep, tmp_path / "sweep", jobs=10**9)
    assert not (tmp_path / "sweep").exists()
