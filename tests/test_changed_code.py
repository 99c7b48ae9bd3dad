"""Runs of code of one's own: never taken for one another, nor gone on with after a change, nor run unasked."""

import functools
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import h5py
import numba
import numpy as np
import pytest
from commands import call
from problems import quadratic, train
from simulations import simulate

import asapnb as ab
from asapnb.analysis import compare, grouped, records
from asapnb.config import load_config, run_config
from asapnb.identity import Recorded
from asapnb.problems import custom
from asapnb.record import checkpoint_path
from asapnb.report import report
from asapnb.rules import Rule, as_rule, preserve
from asapnb.training import resuming

RULE = """import pathlib
from helper import HEIGHT
pathlib.Path('ran').touch()
def mine(s, workers): return [HEIGHT] * len(s)
"""
BAD = "import pathlib; pathlib.Path('bad').touch()\n"
ARGUMENTS = {"workers": 2, "updates": 30, "step_size": 0.01, "eval_every": 10}
BUILT_IN = "quadratic([1, 10], noise=0.1, samples=64)"


def full(staleness, workers, c=1.0):
    return np.full(len(staleness), c)


def closed_over(c):
    def closure(staleness, workers):
        return np.full(len(staleness), c)

    return closure


@dataclass
class Shape:
    c: float

    def __call__(self, staleness, workers):
        return np.full(len(staleness), self.c)


def defined_again(c):
    """A function as a notebook's cell defines it anew."""
    space = {"np": np, "__name__": "__main__"}
    exec(f"def cell(staleness, workers): return np.full(len(staleness), {c})", space)
    return space["cell"]


KINDS = {
    "partial": lambda c: functools.partial(full, c=c),
    "closure": closed_over,
    "lambda": lambda c: lambda staleness, workers: np.full(len(staleness), c),
    "object": Shape,
    "method": lambda c: Shape(c).__call__,
    "preserve": lambda c: preserve(closed_over(c)),
    "profile": lambda c: ab.rules.profile(functools.partial(np.interp, xp=[0, 1], fp=[1 + c, 1])),
    "notebook": defined_again,
}


def rows(table, name="runs"):
    return [row[table.columns.index(name)] for row in table.rows]


@pytest.mark.parametrize("kind", KINDS)
def test_different_rules_of_one_name_are_never_one_row(kind, tmp_path):
    for n, c in enumerate((0.25, 0.5, 0.75, 0.25)):
        simulate(rule=KINDS[kind](c), seed=n, out=tmp_path / f"{n}.h5", **{**ARGUMENTS, "workers": 1})
    table = next(iter(compare(tmp_path)))
    assert sorted(rows(table)) == [1, 1, 2]
    names = rows(table, "rule")
    assert len(set(names)) == 3
    found = records(tmp_path)
    assert {len(group) for group in grouped(found, ["rule"]).values()} == {1, 2}
    text = found[0].run.config["rule"]
    assert len(ab.analysis.matching(found, {"rule": text})) == 4
    assert len(ab.analysis.matching(found, {"rule": found[0].value("rule")})) == 2
    simulate(rule="tail", out=tmp_path / "tail.h5", **ARGUMENTS)
    with pytest.raises(ab.UsageError, match="is the name of several"):
        compare(tmp_path, baseline={"rule": text})


def test_parameters_tell_apart_where_there_are_some_and_a_mark_else(tmp_path):
    for n, rule in enumerate((KINDS["partial"](0.5), KINDS["partial"](0.25), *map(defined_again, (0.5, 0.25)))):
        simulate(rule=rule, out=tmp_path / f"{n}.h5", **ARGUMENTS)
    table = next(iter(compare(tmp_path)))
    names = rows(table, "rule")
    assert {"full(c=0.25)", "full(c=0.5)"} < set(names)
    assert sum(name.startswith("cell #") for name in names) == 2
    assert any(note.startswith("# and digits: the beginning of a digest") for note in table.notes)
    (alone,) = (t for t in [next(iter(compare([tmp_path / "2.h5", simulate(rule="tail", **ARGUMENTS)])))])
    assert set(rows(alone, "rule")) == {"cell", "tail(amplitude=1.0)"}


def test_a_rule_file_that_was_edited_and_other_gradients(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n, height in enumerate((0.5, 0.25, 0.5)):
        (tmp_path / "rules.py").write_text(f"def mine(s, workers): return [{height}] * len(s)  # {n}\n")
        simulate(rule="rules.py:mine", out=tmp_path / f"{n}.h5", **ARGUMENTS)
    assert sorted(rows(next(iter(compare(tmp_path))))) == [1, 2]
    for n, factor in enumerate((1.0, 2.0)):

        @numba.njit
        def gradient(params, gradient, indices, plan, workspace, inputs, labels):
            for j in range(2):
                gradient[j] = factor * params[j]  # noqa: B023
            return gradient[0] * params[0]

        points = np.zeros((8, 2), np.float32), np.zeros(8, int)
        problem = custom(gradient, *points, 2, init=lambda size, rng: np.ones(size))
        ab.simulate(problem, out=tmp_path / f"p{n}.h5", batch_size=4, **ARGUMENTS)
    assert rows(next(iter(compare([tmp_path / "p0.h5", tmp_path / "p1.h5"])))) == [1, 1]


def test_old_files_are_grouped_by_name_with_a_note(tmp_path):
    for n, c in enumerate((0.25, 0.5)):
        simulate(rule=closed_over(c), seed=n, out=tmp_path / f"{n}.h5", **ARGUMENTS)
        with h5py.File(tmp_path / f"{n}.h5", "r+") as file:
            del file.attrs["code"]
    table = next(iter(compare(tmp_path)))
    assert rows(table) == [2]
    assert any("is not recorded, because an earlier asapnb made its runs" in note for note in table.notes)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a rule file, the module that it imports, and a run of each kind made with them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text(RULE)
    (tmp_path / "helper.py").write_text("HEIGHT = 0.5\n")
    for kind in ("train", "simulate"):
        run_config({"problem": BUILT_IN, "rule": "rules.py:mine", **ARGUMENTS}, kind, out=f"{kind}.h5")
    (tmp_path / "ran").unlink()
    return tmp_path


USES = {
    "train": lambda force: run_config(load_config("train.h5"), force=force, out="out.h5"),
    "simulate": lambda force: run_config(load_config("simulate.h5", "simulate"), "simulate", force=force),
    "the other kind": lambda force: run_config(load_config("train.h5", "simulate"), "simulate", force=force),
    "resume train": lambda force: ab.resume("train.h5", updates=40, force=force),
    "resume simulate": lambda force: ab.resume("simulate.h5", updates=40, force=force),
    "replay": lambda force: ab.replay(ab.load_run("train.h5"), worker_tables=True, force=force),
}
NO_FLAG = {
    "as_rule": lambda: as_rule(ab.load_run("train.h5").config["rule"]),
    "nested": lambda: as_rule(Recorded("preserve(rule='rules.py:mine')", ab.load_run("train.h5").code, "run.h5")),
    "its rule": lambda: ab.simulate(quadratic(), rule=ab.load_run("train.h5").config["rule"], **ARGUMENTS),
}


def held(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.h5*")}


@pytest.mark.parametrize("use", USES)
def test_what_is_as_it_was_runs(use, here):
    assert USES[use](False).status == "finished"
    assert (here / "ran").exists()


@pytest.mark.parametrize("file", ["rules.py", "helper.py"])
@pytest.mark.parametrize("use", [*USES, *NO_FLAG])
def test_what_has_changed_is_shown_and_not_run(use, file, here):
    text = (here / file).read_text()
    changed = text.replace("HEIGHT = 0.5", "HEIGHT = 0.7").replace("[HEIGHT]", "[2 * HEIGHT]") + BAD
    (here / file).write_text(changed)
    before = held(here)
    with pytest.raises(ab.RecordError, match=rf"(?s)made with other code: {file} has changed.*\n\+import pathlib"):
        USES[use](False) if use in USES else NO_FLAG[use]()
    assert held(here) == before
    assert not (here / "bad").exists()
    if use in USES:
        run = USES[use](True)
        assert (run.status, (here / "bad").exists()) == ("finished", True)
        if "resume" in use:
            (entry,) = run.attributes["resumed"]
            (change,) = entry["code"]
            assert (change["kind"], change["name"]) == ("rule", "rules.py:mine")
            assert entry["version"] == (30 if run.kind == "train" else 0)
            assert change["now"] == run.code[0].digest != change["before"]


def test_runs_with_two_codes_are_no_group_with_either(here):
    shutil.copy("train.h5", "first.h5")
    (here / "helper.py").write_text("HEIGHT = 0.7\n")
    ab.resume("train.h5", updates=40, force=True)
    run_config(load_config("first.h5"), out="second.h5", force=True)
    assert len(grouped(records(["first.h5", "second.h5", "train.h5"]), ["rule"])) == 3


def test_a_file_that_says_nothing_of_its_code_needs_the_flag(here):
    for name in ("train.h5", "simulate.h5"):
        with h5py.File(name, "r+") as file:
            del file.attrs["code"]
    for use in USES:
        with pytest.raises(ab.RecordError, match="does not say what was in it, so it is not run: look at the file"):
            USES[use](False)
    assert not (here / "ran").exists()
    assert USES["train"](True).status == "finished"


def test_looking_at_a_run_runs_nothing(here):
    (here / "rules.py").write_text(BAD)
    run = ab.load_run("train.h5")
    assert ab.replay(run).status == "finished"
    assert ab.replay(run, rule="tail").status == "finished"
    for arguments in (
        ["show", "train.h5"],
        ["replay", "train.h5"],
        ["compare", ".", "--where", "rule=rules.py:mine"],
        ["plot", "train.h5", "--kind", "staleness", "-o", "a.png"],
        ["report", "train.h5", "-o", "a.html"],
    ):
        result = call(*arguments)
        assert result.exit_code == 0, (arguments, result.output)
        if arguments[0] == "show":
            assert f"rule rules.py:mine: digest {run.code[0].digest}\n" in result.stdout
            assert "helper.py:\n    HEIGHT = 0.5\n" in result.stdout
    assert not (here / "ran").exists()
    assert not (here / "bad").exists()


def test_from_the_command_line(here):
    (here / "helper.py").write_text("HEIGHT = 0.7\n")
    for arguments in (["train", "train.h5"], ["simulate", "simulate.h5"], ["resume", "train.h5", "--updates", 40]):
        result = call(*arguments)
        assert result.exit_code == 2
        assert "-HEIGHT = 0.5\n+HEIGHT = 0.7" in result.stderr
        assert "(--force)" in result.stderr
        assert call(*arguments, "--force").exit_code == 0
    assert call("train", "simulate.h5", "--rule", "tail").exit_code == 0


def test_a_timing_file_that_a_run_file_names_is_not_opened(here):
    with h5py.File("simulate.h5", "r+") as file:
        file.attrs["config"] = file.attrs["config"].replace('timing = "', 'timing = "/dev/zero.toml" #')
    with pytest.raises(ab.RecordError, match=r"names the timing file .*, which is not opened"):
        run_config(load_config("simulate.h5", "simulate"), "simulate")


@pytest.mark.parametrize("make", [train, simulate], ids=["train", "simulate"])
def test_another_rule_or_problem_given_from_python(make, tmp_path):
    out = tmp_path / "run.h5"
    scheme = ["lock-based"] if make is train else []
    make(quadratic(), *scheme, rule=closed_over(0.5), out=out, **ARGUMENTS) if make is train else make(
        rule=closed_over(0.5), out=out, **ARGUMENTS
    )
    before = out.read_bytes()
    other = custom(quadratic().gradient, np.ones((60, 50), np.float32), np.zeros(60, int), 50, name="pull")
    for problem, rule, what in (
        (quadratic(), closed_over(0.7), "rule closure"),
        (other, closed_over(0.5), "problem"),
    ):
        with pytest.raises(ab.RecordError, match=f"its {what}.* has changed since"):
            ab.resume(out, problem=problem, rule=rule, updates=40)
        assert out.read_bytes() == before
    with pytest.raises(ab.RecordError, match="its problem"):
        ab.replay(ab.load_run(out), other)
    run = ab.resume(out, problem=quadratic(), rule=closed_over(0.5), updates=40)
    assert "code" not in json.dumps(run.attributes.get("resumed", []))


def killed(path):
    """The file as a kill would leave it."""
    with h5py.File(path, "r+") as file:
        file.attrs["status"] = "running"
        for name in ("final", "velocity"):
            if name in file["params"]:
                del file["params"][name]
    return path


def test_updates_are_not_discarded_unasked(tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "FEW_UPDATES", 20)
    monkeypatch.setattr(resuming, "CHECKPOINT_SECONDS", 0.0)
    real = killed(train(quadratic(), "lock-based", updates=30, out=tmp_path / "real.h5").path)
    virtual = killed(simulate(out=tmp_path / "virtual.h5", **ARGUMENTS).path)
    for path, says in ((real, "its 30 updates would be lost"), (virtual, "computed again, to the same bits")):
        before = path.read_bytes()
        with pytest.raises(
            ab.UsageError, match=rf"checkpoint {checkpoint_path(path).name} is not in its folder.*{says}"
        ):
            ab.resume(path, problem=quadratic())
        assert path.read_bytes() == before
        assert call("resume", path).exit_code == 2
        assert ab.resume(path, problem=quadratic(), force=True).status == "finished"
    few = killed(train(quadratic(), "lock-based", updates=19, out=tmp_path / "few.h5").path)
    assert ab.resume(few, problem=quadratic()).status == "finished"


def test_a_report_shows_the_code_and_notes_have_marks_only_where_they_tell_apart(tmp_path):
    rules = [Rule("full", full, {"c": 0.25}), Rule("full", full, {"c": 0.5}), *map(defined_again, (0.5, 0.25))]
    for n, rule in enumerate(rules):
        simulate(rule=rule, out=tmp_path / f"{n}.h5", **ARGUMENTS)
    (table, *_) = compare(tmp_path)
    assert {"full(c=0.25)", "full(c=0.5)"} < set(rows(table, "rule"))
    (note,) = (note for note in table.notes if note.startswith("Unequal magnitude"))
    assert "(rule=full(c=0.25))" in note or "(rule=full(c=0.5))" in note or "cell #" in note
    assert "full(c=0.25) #" not in note
    page = Path(report(tmp_path, tmp_path / "page.html")).read_text()
    for text in ("def full(staleness, workers, c", "rule full(c=0.25) #", "rule cell #", ">Code</h3>"):
        assert text in page
