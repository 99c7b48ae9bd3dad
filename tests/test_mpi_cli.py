"""Commands with --mpi: all ranks carry them out, and the server alone reads the configuration, writes and speaks."""

import json
import os
import platform
import signal
from unittest.mock import patch

import pytest
from asapnb.cli.running import to_go_on
from commands import call
from mpi_runs import ByRank, mpiexec
from processes import LIMIT, python

import asapnb as ab
from asapnb.engine import ranks as meeting
from asapnb.record.attributes import ATTRIBUTES
from asapnb.record.provenance import spans
from asapnb.training.cores import cores

pytest.importorskip("mpi4py")

CONFIG = """
problem = "quadratic([1, 10], noise=0.1)"
scheme = "parameter-server"
updates = 30
"""


def command(comm, *words):
    """What a command with --mpi does on this rank: exit code, what it prints, and its errors."""
    done = call(*(word for word in words if word is not None))
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
    assert to_go_on(run, "run.h5") == "To continue: mpiexec -n 4 asapnb resume --mpi run.h5"
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
        (["--pin-workers"], "the launcher pins the ranks"),
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
import asapnb.mpi
found = asapnb.mpi.optional
asapnb.mpi.optional = lambda *words: print("now", flush=True) or found(*words)
main(["train", "--mpi"])
"""


def test_a_signal_ends_ranks_that_wait_for_one_that_does_not_come():
    with mpiexec(2, "-c", STARTING) as job:
        assert job.process.stdout.readline() == "now\n"
        os.kill(job.pids()[0], signal.SIGTERM)
        assert job.process.wait(LIMIT) != 0
        assert not job.left()


REFUSED = """
import os
if os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK")) == "1":
    os.environ["ASAPNB_KERNELS"] = "bogus"
from asapnb.cli import main
main(["train", "--mpi"])
"""


def test_a_rank_whose_kernels_are_refused_ends_the_others():
    with mpiexec(2, "-c", REFUSED) as job:
        errors = job.process.communicate(timeout=LIMIT)[1]
        assert job.process.returncode != 0
        assert "unknown kernel path in $ASAPNB_KERNELS 'bogus'" in errors
        assert not job.left()


INTERRUPTED = """
import os, signal
import asapnb.cli.ranks as ranks
from asapnb.cli import main
found = ranks.imported
ranks.imported = lambda name: os.kill(os.getpid(), signal.%s) or found(name)
main(["train", "--mpi"])
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_before_ranks_have_met_gives_its_exit_code(name, code):
    with mpiexec(2, "-c", INTERRUPTED % name) as job:
        job.process.communicate(timeout=LIMIT)
        assert job.process.returncode == code


def interrupted(comm):
    """A command that Ctrl-C ends on the server before the run; and what this rank would tell others at its end."""
    with patch("asapnb.cli.train.configuration", side_effect=KeyboardInterrupt):
        code, _, said = command(comm, "train", "--mpi")
    return code, said, list(meeting._ends)


def test_after_an_interrupt_no_message_is_left_that_would_cost_the_exit_code(four):
    server, *workers = four.call(interrupted)
    assert server == (130, "Interrupted.\n", [])
    assert workers == [(0, "", [])] * 3


def test_without_a_scheme_it_is_the_parameter_server(four, config, tmp_path):
    config.write_text(CONFIG.replace('scheme = "parameter-server"', ""))
    all_ranks = four.call(command, "train", "--mpi", config, "--quiet", "-o", tmp_path / "run.h5")
    assert all_ranks == [(0, "", "")] * 4
    assert ab.load_run(tmp_path / "run.h5").config["scheme"].startswith("ParameterServer")


def test_a_run_goes_on_and_the_server_alone_knows_its_file(four, config, tmp_path):
    out = tmp_path / "run.h5"
    four.call(command, "train", "--mpi", config, "--quiet", "-o", out)
    server, *workers = four.call(command, "resume", "--mpi", ByRank({0: out, None: "elsewhere.h5"}), "--updates", 50)
    assert server[0] == 0
    assert "50 updates" in server[1]
    assert workers == [(0, "", "")] * 3
    server, *workers = four.call(command, "resume", "--mpi", out, "--updates", ByRank({1: 90, None: 80}))
    assert server[0] == 2
    assert "rank 1 (worker 0, host" in server[2]
    assert workers == [(0, "", "")] * 3
    assert len(ab.load_run(out).updates["tau"]) == 50
    alone = call("resume", out, "--updates", 60)
    assert alone.exit_code == 2
    assert "resume --mpi" in alone.stderr


def test_other_commands_say_that_they_have_no_mpi(four):
    server, *workers = four.call(command, "sweep", "--mpi")
    assert server[0] == 2
    assert "asapnb sweep has no --mpi" in server[2]
    assert workers == [(2, "", "")] * 3


def test_a_wrong_mpiexec_and_a_missing_library_are_said():
    for environment, said in ((), "there is one rank only"), ({"MPI4PY_LIBMPI": "/none.so"}.items(), "finds none"):
        environment = {"PMI_RANK": "", "PMI_SIZE": "", **dict(environment)}
        alone = python("-m", "asapnb", "train", "--mpi", check=False, environment=environment)
        assert alone.returncode == 2
        assert said in alone.stderr
