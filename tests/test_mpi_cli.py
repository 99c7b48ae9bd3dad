"""Commands with --mpi: all ranks carry them out, and the server alone reads the configuration, writes and speaks."""

import json
import os
import platform
import signal

import pytest
from asapnb.cli import main
from asapnb.cli.running import to_go_on
from click.testing import CliRunner
from mpi_runs import ByRank, mpiexec
from processes import LIMIT

import asapnb as ab
from asapnb.record.attributes import ATTRIBUTES
from asapnb.record.provenance import spans
from asapnb.training.options import cores

pytest.importorskip("mpi4py")

CONFIG = """
problem = "quadratic([1, 10], noise=0.1)"
scheme = "parameter-server"
updates = 30
"""


def command(comm, *words):
    """What a command with --mpi does on this rank: exit code, what it prints, and its errors."""
    done = CliRunner().invoke(main, [str(word) for word in words if word is not None])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(CONFIG)
    return path


def test_the_server_reads_writes_and_speaks(four, config, tmp_path):
    out = tmp_path / "run.h5"
    server, *workers = four.call(command, "train", "--mpi", config, "--set", "seed=3", "-o", out, "--json")
    assert server[0] == 0
    assert not server[2]
    assert workers == [(0, "", "")] * 3
    said, run = json.loads(server[1]), ab.load_run(out)
    assert said["updates"] == 30
    assert said["config"] == run.config
    assert run.status == "finished"
    assert run.config["seed"] == 3
    assert run.config["workers"] == 3
    assert run.attributes.keys() <= ATTRIBUTES.keys()
    assert all(one["cores"] == spans(cores()) for one in run.attributes["ranks"])
    assert list(run.attributes["hosts"]) == [platform.node()]
    assert to_go_on(run, "run.h5") == "To go on: mpiexec -n 4 asapnb resume --mpi run.h5"
    shown = command(None, "show", out)[1]
    assert f"server on {platform.node()}, workers on {platform.node()} (3)" in shown
    assert run.attributes["mpi"]["library"] in shown
    assert run.attributes["mpi"]["library"] in command(None, "info")[1]
    server, *workers = four.call(command, "train", "--mpi", out)  # that run again
    assert "server on" in server[1]
    assert "30 updates" in server[1]
    assert workers == [(0, "", "")] * 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bogus"], "No such option '--bogus'"),
        (["-o", "no/such/folder.h5"], "no/such"),
        (["--updates", "0"], "updates is 0"),
        (["--scheme", "hogwild"], "its workers are threads of one process"),
        (["-m", "5"], "mpiexec -n 6"),
        (["--scheme", "parameter-server(discard_after=2, restart=True)"], "restart"),
        ([ByRank({2: "--bogus"})], "rank 2 (worker 1, host {host}): No such option '--bogus'"),
        ([ByRank({1: "--seed=3"})], "rank 1 (worker 0, host {host}): its call is"),
        (["--problem", "mlp(hidden=[8])", "--data", "nowhere"], "unknown data"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_used_is_said_once(four, config, words, said):
    server, *workers = four.call(command, "train", "--mpi", config, *words)
    assert server[:2] == (2, "")
    assert said.format(host=platform.node()) in server[2]
    assert server[2].count("Error") == 1
    assert workers == [(0, "", "")] * 3


STARTING = """
import os, time
if os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK")) == "1":
    time.sleep(10**6)
from asapnb.cli import main
import asapnb.engine.mpi
found = asapnb.engine.mpi.optional
asapnb.engine.mpi.optional = lambda *words: print("now", flush=True) or found(*words)
main(["train", "--mpi"])
"""


def test_a_signal_ends_ranks_that_wait_for_one_that_does_not_come():
    with mpiexec(2, "-c", STARTING) as job:
        assert job.process.stdout.readline() == "now\n"
        os.kill(job.pids()[0], signal.SIGTERM)
        assert job.process.wait(LIMIT) != 0
        assert not job.left()
