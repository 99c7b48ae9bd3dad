"""Runs that were recorded by an earlier commit, one of each scheme: they load, show and replay to the same bits.

`data/runs-of-0.1.tar.xz` was written at commit 2d3cfc1, the others when there were such schemes or options. A file is
never made anew: it stands for the files of users.
"""

import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from commands import printed

import asapnb as ab
from asapnb.config import run_config
from asapnb.record import UPDATES
from asapnb.schemes import SCHEMES, parse_scheme

ARCHIVES = sorted((Path(__file__).parent / "data").glob("run*.tar.xz"))


def contents():
    for path in ARCHIVES:
        with tarfile.open(path) as archive:
            yield archive


NAMES = sorted(Path(member.name).stem for archive in contents() for member in archive if member.isfile())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("runs")
    for archive in contents():
        archive.extractall(made, filter="data")
    return made


def test_there_is_one_of_each_scheme_on_threads_and_in_virtual_time(folder):
    of = {name: parse_scheme(ab.load_run(folder / f"{name}.h5").config["scheme"]) for name in NAMES}
    threaded = {type(scheme) for name, scheme in of.items() if name.startswith("train")}
    simulated = {type(scheme) for name, scheme in of.items() if name.startswith("simulate")}
    built_in = [scheme for scheme in SCHEMES.values() if scheme.__module__.startswith("asapnb.")]
    real = {scheme for scheme in built_in if scheme.worker_loop or scheme.server_loop}
    assert threaded == real, "put a train-….h5 of it into an archive run*.tar.xz of tests/data"
    virtual = {scheme for scheme in built_in if scheme.event_loop}
    assert simulated == virtual, "put a simulate-….h5 of it into an archive run*.tar.xz of tests/data"


@pytest.mark.parametrize("name", NAMES)
def test_an_earlier_run_loads_shows_and_replays_to_the_bit(name, folder):
    run = ab.load_run(folder / f"{name}.h5")
    assert run.status == "finished"
    assert run.summary()["updates"] == run.evals["step"][-1]
    printed("show", run.path)
    assert run.config["rule"] in run._repr_html_()
    if name.startswith("train-hogwild"):
        with pytest.raises(ab.UsageError, match="does not record which parts of which updates its views held"):
            ab.replay(run)
        return
    again = ab.replay(run)
    exact, final = again.attributes["exact"], run.params["final"]
    for column in ("tau", "version", "dropped"):
        assert np.array_equal(again.updates[column], run.updates[column]), column
    for column in ("loss", "scale", "factor"):  # on other kernels, a network makes more of the last bits
        same = np.array_equal if exact else partial(np.allclose, rtol=0.01)
        assert same(again.updates[column], run.updates[column]), column
    if exact:
        assert again.params["final"].tobytes() == final.tobytes()
    assert np.linalg.norm(again.params["final"] - final) <= 0.01 * np.linalg.norm(final)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("simulate")])
def test_an_earlier_simulation_comes_out_the_same(name, folder):
    run = ab.load_run(folder / f"{name}.h5")
    again = run_config(run.config, "simulate")
    exact = again.attributes["versions"] == run.attributes["versions"]
    exact &= again.attributes["machine"]["kernels"] == run.attributes["machine"]["kernels"]
    for column in {*run.updates} - ({*UPDATES.names} - run.columns["updates"]):  # those that there were
        same = np.array_equal if exact else np.allclose
        assert same(again.updates[column], run.updates[column]), column
    assert np.allclose(again.rule_tables.scales, run.rule_tables.scales)
    if exact:
        assert again.params["final"].tobytes() == run.params["final"].tobytes()


def test_earlier_runs_are_read_to_the_last_column_compared_and_exported(folder, tmp_path):
    for name in NAMES:
        run = ab.load_run(folder / f"{name}.h5")
        run.check()
        assert not run.updates["norm"].any(), "which there was not"
    printed("compare", folder)
    printed("export", folder, "-o", tmp_path / "all")
    with open(tmp_path / "all/updates.csv") as table:
        assert sum(1 for _ in table) == 1 + sum(
            len(ab.load_run(folder / f"{name}.h5").updates["tau"]) for name in NAMES
        )
