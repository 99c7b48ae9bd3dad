"""One bad file among many: all of them are named, each with its reason, and one can go on without them."""

import shutil
import warnings
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from commands import call
from problems import quadratic

import asapnb as ab
from asapnb.analysis import records
from asapnb.errors import RecordError, SkippedWarning
from asapnb.record.dataset import check_chunks

ROWS = 5_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for seed in (0, 1):
        ab.simulate(
            quadratic(),
            workers=2,
            updates=ROWS,
            eval_every=1000,
            step_size=1e-3,
            seed=seed,
            out=folder / f"{seed}.h5",
        )
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """Two good runs, one without an attribute, a text, and one with a damaged chunk in the middle of a column."""
    shutil.copytree(made, tmp_path / "runs")
    folder = tmp_path / "runs"
    (folder / "text.h5").write_text("no run")
    shutil.copy(folder / "0.h5", folder / "less.h5")
    with h5py.File(folder / "less.h5", "r+") as file:
        del file.attrs["workers"]
    damage(shutil.copy(folder / "0.h5", folder / "torn.h5"), "t_read", 1)
    return folder


def damage(path, name, number):
    """Change bytes in the middle of a chunk."""
    with h5py.File(path) as file:
        at = file[f"updates/{name}"].id.get_chunk_info(number)
    with open(path, "r+b") as file:
        file.seek(at.byte_offset + at.size // 2)
        file.write(b"\x55\xaa" * 8)


def test_a_damaged_chunk_is_named_with_its_rows(folder):
    run = ab.load_run(folder / "torn.h5")
    with pytest.raises(RecordError, match=r"/updates/t_read of .*torn\.h5 is damaged in rows 2,048 to 4,095: "):
        run.updates["t_read"]
    assert len(run.updates["tau"]) == ROWS


def test_all_bad_files_are_named(folder):
    with pytest.raises(RecordError, match=r"3 of 5 files cannot be used.*skip_bad=True \(--skip-bad\)") as caught:
        records(folder)
    says = str(caught.value).splitlines()[1:]
    for line, name, why in zip(
        says, ("less", "text", "torn"), ("no attribute workers", "not an HDF5 file", "rows 2,048"), strict=True
    ):
        assert f"{name}.h5" in line
        assert why in line


def test_a_long_list_is_cut(folder):
    for number in range(20):
        shutil.copy(folder / "text.h5", folder / f"text{number}.h5")
    with pytest.raises(RecordError, match=r"23 of 25 files(.*\n){11}  and 13 more$"):
        records(folder)


def test_one_goes_on_without_them(folder):
    with pytest.warns(SkippedWarning, match=r"3 of 5 files are left out:\n.*less\.h5"):
        found = records(folder, skip_bad=True)
    assert [record.path.name for record in found] == ["0.h5", "1.h5"]
    for name in ("0.h5", "1.h5"):
        (folder / name).unlink()
    with pytest.raises(RecordError, match="3 of 3 files"):
        records(folder, skip_bad=True)


@pytest.mark.parametrize("command", [["compare"], ["plot", "-o", "x.png"], ["report", "-o", "x.html"]])
def test_the_commands(command, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = call(*command, folder)
    assert refused.exit_code == 2
    assert all(f"{name}.h5" in refused.stderr for name in ("less", "text", "torn"))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        shown = call(*command, folder, "--skip-bad")
    assert shown.exit_code == 0, shown.output
    assert "Warning: 3 of 5 files are left out" in shown.stderr


def a_text_of_other_bytes(file):
    file.attrs.create("token", b"\xff\xfe", dtype=h5py.string_dtype("utf-8"))


def a_column_that_cannot_grow(file):
    values = file["updates/tau"][:]
    del file["updates/tau"]
    file["updates/tau"] = values
    file.create_group("tail")


def many_attributes(file):
    for number in range(1001):
        file.attrs.create(f"a{number}", number)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (a_text_of_other_bytes, "attribute token of .* is no text in UTF-8"),
        (a_column_that_cannot_grow, "/updates/tau of .* is not stored in chunks"),
        (many_attributes, r"has 1,\d{3} attributes"),
    ],
)
def test_what_could_not_be_written_again_is_refused(change, says, made, tmp_path):
    path = shutil.copy(made / "0.h5", tmp_path / "run.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(RecordError, match=says):
        ab.load_run(path)


@pytest.mark.parametrize(
    "command",
    [
        ["show", "{}.h5"],
        ["compare", "{}"],
        ["resume", "{}.h5"],
        ["rules", "check", "{}.py:f"],
        ["rules", "show", "tail", "--staleness", "{}"],
        ["simulate", "--problem", "quadratic(10)", "-o", "{}/run.h5"],
    ],
)
def test_a_name_that_no_file_can_have_is_refused(command):
    shown = call(*(part.format("x" * 300) for part in command))
    assert (shown.exit_code, shown.output[:7]) == (2, "Error: ")


@pytest.mark.parametrize("size", [0, 1, 4, 10**6])
def test_a_chunk_of_a_size_that_none_has_is_refused_before_hdf5_reads_it(size):
    chunk = SimpleNamespace(size=size)
    held = SimpleNamespace(chunk_iter=lambda see: see(chunk))
    dataset = SimpleNamespace(id=held, chunks=(2048,), dtype=np.dtype(np.int32), shape=(40,))
    with pytest.raises(RecordError, match="tau lacks some of its 40 rows: the file is damaged"):
        check_chunks(dataset, 40, "tau")


@pytest.mark.parametrize("when", [1e300, 1e-300])
def test_a_view_that_was_read_at_no_possible_time_is_refused(when, tmp_path):
    """A replay would wait for ever for what its own gradient must bring."""
    path = tmp_path / "run.h5"
    bowl = ab.problems.quadratic([1.0])
    ab.simulate(bowl, "hogwild", workers=2, updates=8, batch_size=1, out=path)
    with h5py.File(path, "r+") as file:
        file["views/t_view"][2] = when
    with pytest.raises(RecordError, match="t_view"):
        ab.replay(ab.load_run(path), bowl)
