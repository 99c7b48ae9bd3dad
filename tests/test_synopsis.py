"""What a run comes to, in its file and in the manifest of its sweep: as its rows say, and never out of date."""

import builtins
import io
import json
import os
import shutil
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from simulations import simulate
from sweeps import TABLE

import asapnb as ab
from asapnb.analysis import export, records
from asapnb.errors import RecordError
from asapnb.record import UPDATES, Run, RunWriter, synopsis
from asapnb.record.files import copy
from asapnb.sweep import load_manifest, parse_sweep, run_sweep

RUNS = {
    "tail": {"rule": "tail(refresh=every(50))", "microscope": 20},
    "given up": {"scheme": "leashed(persistence=0)", "rule": "inverse", "keep_params": "evals"},
    "zeroed, and clipped": {"scheme": "hogwild", "rule": "ringmaster(R=2)", "clip": 0.5},
    "rounds": {"scheme": "synchronous", "schedule": "cosine()"},
    "a summary": {"rule": "tail(refresh=every(50))", "record": "summary"},
    "diverged": {"step_size": 1e3},
    "one update": {"updates": 1},
}


def says(run):
    """All that a comparison takes of a run, as text, as NaN is not equal to itself."""
    (record,) = records(run)
    named = [sorted(facts.items()) for facts in (run.attributes, run.config, run.rows)]
    found = (run.summary(), vars(record.curve()), record.updates_per_epoch, named, run.made)
    evals, staleness = dict(run.evals), (run.staleness.pmf, run.by_staleness)
    with np.printoptions(threshold=10**6, floatmode="unique"):
        return str((found, evals, staleness, list(run.updates), list(run.microscope)))


@pytest.mark.parametrize("given", RUNS.values(), ids=RUNS)
def test_it_says_what_the_rows_say(given, tmp_path):
    made = simulate(out=tmp_path / "run.h5", **given)
    again = ab.load_run(tmp_path / "run.h5")
    assert made.synopsis is not None
    assert len(made.synopsis.packed) < 4000
    assert again.synopsis is not None
    assert says(made) == says(again) == says(Run(tmp_path / "run.h5"))
    assert (again.params["final"] == made.params["final"]).all()
    again.save(tmp_path / "copy.h5")
    assert says(ab.load_run(tmp_path / "copy.h5")) == says(again)
    assert ab.load_run(tmp_path / "copy.h5").synopsis is not None


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept") / "runs"
    run_sweep(parse_sweep(TABLE), folder, jobs=1)
    return folder


@pytest.fixture
def folder(swept, tmp_path):
    """A sweep of four runs, whose manifest is current."""
    folder = shutil.copytree(swept, tmp_path / "runs")
    run_sweep(parse_sweep(TABLE), folder, resume=True)  # the copies are other files
    return folder


@pytest.fixture
def opened(monkeypatch):
    """The names of the run files that are opened, one for each time."""
    names = []

    def seen(way):
        def open_it(file, *arguments, **options):
            if str(file).endswith(".h5"):
                names.append(os.path.basename(file))
            return way(file, *arguments, **options)

        return open_it

    for module, name in ((builtins, "open"), (io, "open"), (h5py, "File")):
        monkeypatch.setattr(module, name, seen(getattr(module, name)))
    return names


def test_no_file_is_opened_where_the_manifest_is_current(folder, opened):
    tables = ab.compare(folder)
    export(folder, folder.parent, ["runs", "evals"])
    assert len(records(sorted(folder.glob("*.h5")))) == 4
    assert run_sweep(parse_sweep(TABLE), folder, resume=True).outcomes == load_manifest(folder).outcomes
    assert opened == []
    (folder / "manifest.jsonl").unlink()
    assert str(ab.compare(folder)) == str(tables)
    assert sorted(opened) == sorted(file.name for file in folder.glob("*.h5"))


def test_without_synopses_the_rows_say_the_same(folder):
    tables = str(ab.compare(folder))
    for file in folder.glob("*.h5"):
        with h5py.File(file, "r+") as content:
            del content[synopsis.NAME]
    assert all(record.run.synopsis is None for record in records(folder))
    assert str(ab.compare(folder)) == tables


def touched(file, other):
    """The same content, written at another time."""
    os.utime(file)


def moved(file, other):
    """The file of another run, of the same size perhaps, with the times that this file had."""
    about = file.stat()
    shutil.copy(other, file)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def damaged(file, other):
    """A byte of the rows changed, and the times put back."""
    about = file.stat()
    with h5py.File(file) as content:
        at = content["updates/t_apply"].id.get_chunk_info(0)
    with file.open("r+b") as content:
        content.seek(at.byte_offset + at.size // 2)
        content.write(b"\x55\xaa" * 8)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def edited(file, other):
    """An attribute changed by another program."""
    with h5py.File(file, "r+") as content:
        content.attrs["status"] = "diverged"


@pytest.mark.parametrize("change", [touched, moved, damaged, edited])
def test_a_changed_file_is_read_anew(change, folder, opened):
    file, other, *_ = sorted(folder.glob("*.h5"))
    change(file, other)
    opened.clear()
    if change is damaged:
        with pytest.raises(RecordError, match=r"1 of 4 files .*\n.*/updates/t_apply of .* damaged in rows"):
            records(folder)
        return
    found = {record.path.name: record for record in records(folder)}
    assert {*opened} == {file.name}
    if change is not edited:
        assert len(opened) == 1
    one = Run(file)
    assert found[file.name].status == one.status == ("diverged" if change is edited else "finished")
    assert found[file.name].value("rule") == one.config["rule"]


def test_a_renamed_file_is_read_and_a_removed_one_is_gone(folder, opened):
    first, second, *_ = sorted(folder.glob("*.h5"))
    first.rename(folder / "other.h5")
    second.unlink()
    assert "other.h5" in {record.path.name for record in records(folder)}
    assert len(records(folder)) == 3
    assert opened == ["other.h5"] * 2


def test_lines_of_an_earlier_version_and_damaged_ones_are_no_obstacle(folder, opened):
    head, *lines = (folder / "manifest.jsonl").read_text().splitlines()
    plain = [json.loads(line) for line in lines]
    for one in plain[:1]:
        del one["file"], one["synopsis"]
    plain[1] |= {"synopsis": "no base64 §"}
    plain[2] |= {"synopsis": "AAAA", "file": plain[2]["file"]}
    (folder / "manifest.jsonl").write_text("\n".join([head, *map(json.dumps, plain), "{", "[]", ""]))
    assert len(records(folder)) == 4
    assert sorted(opened) == sorted(f"{one['point']}.h5" for one in plain[:3])


def test_a_run_that_goes_on_has_none(tmp_path):
    simulate(out=tmp_path / "run.h5")
    before = ab.load_run(tmp_path / "run.h5")
    writer = RunWriter.reopen(tmp_path / "run.h5", kept={"updates": 30, "evals": 3, "rule": 1}, attributes={})
    assert ab.load_run(tmp_path / "run.h5").synopsis is None
    with h5py.File(tmp_path / "run.h5") as file:
        assert synopsis.NAME not in file
    with pytest.raises(RecordError, match="has gone on since it was loaded"):
        before.params["final"]
    initial = ab.load_run(tmp_path / "run.h5").params["initial"]
    writer.finish("interrupted", initial, [[30]], {})
    ended = ab.load_run(tmp_path / "run.h5")
    assert (ended.status, ended.rows["updates"], ended.summary()["updates"]) == ("interrupted", 30, 30)
    assert ended.synopsis is not None
    assert says(ended) == says(Run(tmp_path / "run.h5"))


def test_a_long_run_gets_it_from_its_file(tmp_path):
    source = simulate()
    writer = RunWriter(
        tmp_path / "run.h5", kind="simulate", attributes={**source.attributes, "config": dict(source.config)},
        initial=source.params["initial"], layout=[], workers=5,
    )  # fmt: skip
    rows = np.zeros(60, UPDATES)
    for name in rows.dtype.names:
        rows[name] = source.updates[name]
    for piece in np.split(rows, 3):
        writer.append_updates(piece)
        assert writer.flush()
    run = writer.finish("finished", source.params["final"], source.staleness_counts, {})
    assert run.synopsis is not None
    assert says(run) == says(Run(tmp_path / "run.h5"))


def test_what_has_changed_is_copied_without(tmp_path):
    run = simulate(out=tmp_path / "run.h5")
    edited(tmp_path / "run.h5", None)
    copy(tmp_path / "run.h5", tmp_path / "copy.h5")
    with h5py.File(tmp_path / "copy.h5") as file:
        assert synopsis.NAME not in file
    assert run.synopsis is not None
    assert ab.load_run(tmp_path / "copy.h5").status == "diverged"


@pytest.mark.parametrize(
    "packed", [b"", b"no zlib", zlib.compress(b"{}"), zlib.compress(b"[" * 99), zlib.compress(b'{"arrays": 1}\n')]
)
def test_nonsense_with_the_right_sums_is_not_believed(packed, tmp_path):
    path = Path(tmp_path / "run.h5")
    simulate(out=path)
    good = ab.load_run(path)
    with h5py.File(path, "r+") as file:
        del file[synopsis.NAME]
        synopsis.write_dataset(file, type("Packed", (), {"packed": packed}))
    synopsis.seal(path)
    again = ab.load_run(path)
    assert again.synopsis is None
    assert again.summary()["updates"] == good.summary()["updates"]
