"""Columns of a run file are declared once: what follows from the declarations, and what happens to other files."""

import dataclasses
from typing import get_args

import h5py
import numpy as np
import pytest
from pages import ROOT
from problems import quadratic

import asapnb as ab
from asapnb.config import keys
from asapnb.kernels.arrays import aligned
from asapnb.record import schema
from asapnb.record.attributes import ATTRIBUTES, CONFIG
from asapnb.simulator.replay_state import RESULT
from asapnb.simulator.scales import RULED
from asapnb.simulator.world import ROW


def test_every_column_of_updates_is_made_by_the_schedule_the_rule_or_the_gradient():
    assert {*ROW.names, *RULED.names, *RESULT.names} == {*schema.UPDATES.names}
    for made in (ROW, RULED, RESULT):
        assert all(made[name] == schema.UPDATES[name] for name in made.names)
    assert ROW.itemsize == 64, "a row of a schedule is a cache line"


@pytest.mark.parametrize("timing", ["compute=exponential(1)", "compute=exponential(1), update=0.1"])
@pytest.mark.parametrize("scheme", ["lock-based", "leashed(persistence=0)", "synchronous"])
def test_an_event_loop_fills_every_column_of_a_schedule(scheme, timing, monkeypatch):
    """Those without times of reads and updates have a loop of their own."""

    def unfilled(count, dtype):
        rows = aligned(count, dtype)
        rows.view(np.uint8)[:] = 0x80
        return rows

    monkeypatch.setattr("asapnb.simulator.scheduling.aligned", unfilled)
    run = ab.simulate(quadratic(), scheme, timing=timing, workers=3, updates=40, batch_size=4)
    nothing = unfilled(1, ROW)[0]
    assert not [name for name in ROW.names if (run.updates[name] == nothing[name]).any()], "no loop fills them"


@pytest.mark.parametrize("group", schema.COLUMNS)
def test_the_page_of_run_files_has_a_row_for_each_column(group):
    page = (ROOT / "docs/reference/run-file.md").read_text()
    for column in schema.COLUMNS[group].values():
        name = f"`{column.name}`" if group == "updates" else f"`/{group}/{column.name}`"
        unit = f" ({column.unit})" if column.unit == "s" else ""
        shapes = {"`/rule/scale`": ", (rows, K)", "`/kept/params`": " or float64, (rows, n_params)"}
        row = f"| {name} | {np.dtype(column.dtype)}{shapes.get(name, '')} | {column.meaning}{unit} |"
        assert row in page.splitlines(), f"docs/reference/run-file.md lacks this row:\n{row}"


def test_the_page_of_run_files_has_a_row_for_each_attribute():
    page = (ROOT / "docs/reference/run-file.md").read_text().splitlines()
    lacking = [
        one.name for one in ATTRIBUTES.values() if f"| `{one.name}` | {one.kind} | {one.meaning} |" not in page
    ]
    assert not lacking


def test_every_attribute_and_key_that_a_run_writes_is_declared(tmp_path):
    simulated = ab.simulate(quadratic(), workers=2, updates=20, target_loss=0.0, out=tmp_path / "run.h5")
    for run in (
        ab.train(quadratic(), workers=2, updates=20, pin_workers=True),
        simulated,
        ab.replay(simulated, quadratic()),
    ):
        assert run.attributes.keys() <= ATTRIBUTES.keys()
        assert run.config.keys() <= CONFIG.keys()


def test_the_keys_of_a_configuration_have_the_types_that_arguments_declare():
    declared = {name: {*key.kinds} - {type(None)} for name, key in (keys("train") | keys("simulate")).items()}
    declared["eval_samples"].add(str)  # "none", which stands for all of them
    declared["trace"] = {str}  # of what is replayed on a trace
    assert {name: {*(get_args(key.shape) or (key.shape,))} for name, key in CONFIG.items()} == declared


def test_a_column_cannot_be_declared_by_halves():
    with pytest.raises(TypeError, match="sources"):
        schema.row_type([dataclasses.replace(schema.UPDATE_COLUMNS[0], sources=("nobody",))])


# --- files with other columns --------------------------------------------------------------------------------------


@pytest.fixture(params=["train", "simulate"])
def recorded(request, tmp_path):
    run = getattr(ab, request.param)(quadratic(), workers=2, updates=40, eval_every=10, out=tmp_path / "run.h5")
    return run.path


def changed(path, name):
    """The file without this column, or with another that is new; returns its bytes."""
    with h5py.File(path, "r+") as file:
        if name in file["updates"]:
            del file["updates"][name]
        else:
            zeros = np.zeros(len(file["updates/tau"]))
            file["updates"].create_dataset(name, data=zeros, maxshape=(None,), chunks=(8,))
    return path.read_bytes()


@pytest.mark.parametrize("name", ["loss", "factor", "t_apply", "norm_of_another_version"])
def test_a_run_with_other_columns_cannot_go_on_and_its_file_stays_as_it_was(recorded, name):
    before = changed(recorded, name)
    word = "lacks" if name in schema.UPDATES.names else "also has"
    with pytest.raises(ab.RecordError, match=rf"run\.h5 {word} the columns? {name}.*another version of asapnb"):
        ab.resume(recorded, updates=80, problem=quadratic())
    assert recorded.read_bytes() == before
    assert ab.load_run(recorded).status == "finished"


def test_a_run_without_a_column_still_loads_and_says_so_when_the_column_is_asked_for(recorded):
    changed(recorded, "loss")
    run = ab.load_run(recorded)
    assert len(run.updates["tau"]) == 40
    with pytest.raises(ab.RecordError, match=r"cannot read /updates/loss .*no such column"):
        run.updates["loss"]
