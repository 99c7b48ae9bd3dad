"""Manifests and folders of sweeps from elsewhere: nothing outside of the folder is touched, and damage is named."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from sweeps import at_once, small

import asapnb as ab
from asapnb.problems.text import parse_problem
from asapnb.report import report
from asapnb.sweep import load_manifest, run_sweep
from asapnb.sweep import run as running
from asapnb.sweep.manifest import NAME

GROWN = {"grid": {"workers": [2, 4]}}


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(running, "in_processes", at_once)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a sweep that is done."""
    folder = tmp_path_factory.mktemp("made") / "sweep"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "in_processes", at_once)
        run_sweep(small(), folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy of it that a test may change, beside a file that no test may."""
    (tmp_path / "victim.h5").write_bytes(b"precious")
    (tmp_path / "victim.h5.checkpoint").write_bytes(b"precious")
    return Path(shutil.copytree(made, tmp_path / "sweep"))


def content(place):
    """All that is in a folder and beside it, the lock aside."""
    return {
        path: (os.readlink(path) if path.is_symlink() else path.read_bytes())
        for path in sorted(place.parent.rglob("*"))
        if (path.is_symlink() or path.is_file()) and path.name != ".lock"
    }


def refuses(folder, says, ways=("resume", "force", "extend")):
    """No way to go on or to start anew takes this folder, and none changes it."""
    before = content(folder)
    for how in ways:
        with pytest.raises(ab.RecordError, match=says):
            run_sweep(small(**GROWN) if how == "extend" else small(), folder, **{how: True})
        assert content(folder) == before


@pytest.mark.parametrize(
    "name", ["../victim", "/tmp/victim", "a/../../victim", ".", "..", "", "\0", ".victim", "a\nb", 7]
)
def test_a_name_that_leads_elsewhere_is_refused(folder, name):
    lines = (folder / NAME).read_text().splitlines()
    head = json.loads(lines[0])
    head["names"] = {point.name: name for point in small().points}
    (folder / NAME).write_text("\n".join([json.dumps(head), *lines[1:], ""]))
    refuses(folder, "line 1: .* could not be that of a run file|line 1: names has 7")


def test_links_and_pipes_in_the_place_of_run_files_are_refused(folder):
    file = folder / small().points[0].file
    for put in (lambda: file.symlink_to("../victim.h5"), lambda: file.symlink_to(file), file.mkdir):
        file.unlink()
        put()
        refuses(folder, f"{file.name} is no regular file")
        shutil.rmtree(file) if not file.is_symlink() else None
        file.unlink(missing_ok=True)
        file.touch()
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ab.RecordError, match="is no regular file"):
        run_sweep(small(), folder, resume=True)


def test_a_run_that_is_new_to_the_sweep_follows_no_link(folder):
    new = next(point for point in small(**GROWN).points if not (folder / point.file).exists())
    (folder / new.file).symlink_to("../victim.h5")
    before = content(folder)
    with pytest.raises(ab.RecordError, match="is no regular file"):
        run_sweep(small(**GROWN), folder, extend=True)
    assert content(folder) == before


def test_a_manifest_that_is_no_file_is_refused_and_one_that_is_a_link_stays(folder):
    elsewhere = folder.parent / "elsewhere"
    (folder / NAME).rename(elsewhere)
    (folder / NAME).symlink_to(elsewhere)
    refuses(folder, "is no regular file")
    (folder / NAME).unlink()
    os.mkfifo(folder / NAME)
    with pytest.raises(ab.RecordError, match="is no regular file"):
        load_manifest(folder)


def changed(number, **fields):
    """A damage: these fields of a line changed, or taken out where they are `...`."""

    def damage(lines):
        line = {**json.loads(lines[number]), **fields}
        lines[number] = json.dumps({name: value for name, value in line.items() if value is not ...}).encode()

    return damage


def put(number, line):
    return lambda lines: lines.__setitem__(number, line)


DAMAGES = {
    "a line cut": (lambda lines: lines.__setitem__(2, lines[2][:40]), "line 3: it is no JSON"),
    "two lines in one": (lambda lines: lines.__setitem__(2, lines[2] + lines[3]), "line 3: it is no JSON"),
    "binary": (put(1, b"\x89HDF\r\x1a\0\xff"), "line 2: it is no JSON"),
    "nested": (put(1, b"[" * 10**5), "line 2: it is nested too deep"),
    "nested tables": (put(0, b'{"a":' * 10**5), "line 1: it is nested too deep"),
    "a long integer": (put(1, b'{"seconds": ' + b"9" * 5000 + b"}"), "line 2: it is no JSON"),
    "a list": (put(1, b"[1]"), r"line 2: it is \[1\]: must be a table"),
    "an empty line": (put(3, b""), "line 4: it is no JSON"),
    "no schema": (changed(0, schema=...), "line 1: schema is None"),
    "a text as schema": (changed(0, schema="1"), "line 1: schema is '1'"),
    "another schema": (changed(0, schema=10**400), "has schema an integer of .* bits; this asapnb reads up to 1"),
    "a switch as schema": (changed(0, schema=True), "line 1: schema is True"),
    "no time": (changed(0, created_utc=None), "line 1: created_utc is None"),
    "names": (changed(0, names=["a"]), r"line 1: names is \['a'\]"),
    "sources": (changed(0, sources={"a.py": 1}), "line 1: sources has 1 for 'a.py'"),
    "versions": (changed(0, versions=3), "line 1: versions is 3"),
    "no sweep": (changed(0, sweep=7), "line 1: sweep is 7"),
    "a sweep of wrong types": (changed(0, sweep={"base": [1]}), "is not one that this asapnb knows"),
    "a huge sweep": (changed(0, sweep={"grid": {"seed": [1, 2], "workers": [1] * 1000, "updates": [1] * 1000}}),
                     "points: at most"),
    "a point that is a number": (changed(1, point=3), "line 2: point is 3"),
    "a status that is a list": (changed(1, status=["a"]), "line 2: status is"),
    "no status": (changed(2, status=...), "line 3: status is None"),
    "seconds as text": (changed(1, seconds="5"), "line 2: seconds is '5'"),
    "a table as error": (changed(1, error={}), "line 2: error is {}"),
    "no host": (changed(1, host=None), "line 2: host is None"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_and_the_folder_is_left(folder, name):
    damage, says = DAMAGES[name]
    lines = (folder / NAME).read_bytes().split(b"\n")
    damage(lines)
    (folder / NAME).write_bytes(b"\n".join(lines))
    refuses(folder, says, ["force"])
    with pytest.raises(ab.RecordError, match=f"{re.escape(str(folder))}.*{says}"):
        report(folder, folder.parent / "page.html")


def test_a_point_that_two_lines_name_has_the_outcome_of_the_last(folder):
    lines = (folder / NAME).read_bytes().split(b"\n")
    again = {**json.loads(lines[1]), "seconds": 12345}
    (folder / NAME).write_bytes(b"\n".join([*lines[:-1], json.dumps(again).encode(), b""]))
    assert load_manifest(folder).outcomes[again["point"]].seconds == 12345


def test_what_is_not_in_the_sweep_is_never_removed(folder):
    for name in ("mine.h5", "rule=tail-00000000.h5", "notes.txt", ".mine.part"):
        (folder / name).write_bytes(b"precious")
    run_sweep(small(), folder, force=True)
    assert (folder / "mine.h5").read_bytes() == (folder.parent / "victim.h5").read_bytes() == b"precious"
    assert (folder / ".mine.part").exists()
    assert (folder / "notes.txt").exists()


def test_a_run_replaces_no_link_that_leads_back_to_itself(tmp_path):
    (tmp_path / "run.h5").symlink_to("run.h5")
    for force in (False, True):
        with pytest.raises(ab.RecordError, match="a link that leads back to itself"):
            ab.train(parse_problem("quadratic([1])"), updates=5, out=tmp_path / "run.h5", force=force)
    assert (tmp_path / "run.h5").is_symlink()
