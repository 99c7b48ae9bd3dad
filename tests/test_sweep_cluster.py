"""A sweep on a Dask cluster of separate processes, one of which is killed; and clusters that cannot be used."""

import json
import logging
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import until
from sweeps import by_itself, small, with_rules

import asapnb as ab
from asapnb.record import own
from asapnb.sweep import cluster, load_manifest, parse_sweep, run_sweep
from asapnb.sweep.manifest import NAME

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def two():
    """A cluster of two processes; what dies of it comes again."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with distributed.LocalCluster(processes=True, **options) as found:
        yield found.scheduler_address


@pytest.fixture
def inside():
    """A cluster in this process."""
    options = {"n_workers": 1, "dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with distributed.LocalCluster(processes=False, threads_per_worker=1, **options) as found:
        yield found


def test_the_runs_are_those_of_this_machine(two, tmp_path):
    manifest = run_sweep(small(), tmp_path, address=two)
    for point in manifest.points:
        run = ab.load_run(tmp_path / point.file)
        assert run.evals["train_loss"][-1] == by_itself()[point.config["rule"], point.config["step_size"]]
        assert manifest.outcomes[point.name].status == run.status == "finished"
    assert {path.name for path in tmp_path.iterdir()} == {NAME, *(point.file for point in manifest.points)}
    assert load_manifest(tmp_path).outcomes == manifest.outcomes
    assert run_sweep(small(), tmp_path, address=two, resume=True) == manifest


def test_a_killed_worker_loses_nothing_and_doubles_nothing(two, tmp_path):
    sweep = parse_sweep({**with_rules(tmp_path, "constant", "own:dies_once", "own:exits"), "repetitions": 4})
    manifest = run_sweep(sweep, tmp_path / "sweep", address=two)
    assert (tmp_path / "died").exists()
    _, *rest = map(json.loads, (tmp_path / "sweep" / NAME).read_text().splitlines())
    assert sorted(line["point"] for line in rest) == sorted(point.name for point in sweep.points)
    for point in sweep.points:
        outcome, path = manifest.outcomes[point.name], tmp_path / "sweep" / point.file
        if point.config["rule"].endswith("exits"):
            assert (outcome.status, "SystemExit: 3" in outcome.error) == ("failed", True)
        else:
            assert (outcome.status, ab.load_run(path).status) == ("finished", "finished")


def test_a_file_that_is_being_written_is_left_alone(inside, tmp_path):
    first = small().points[0]
    with own(tmp_path / first.file):
        manifest = run_sweep(small(), tmp_path, address=inside.scheduler_address)
    assert f"{first.file} is being written by process" in manifest.outcomes[first.name].error
    assert not (tmp_path / first.file).exists()
    assert sum(outcome.done for outcome in manifest.outcomes.values()) == len(manifest.points) - 1


def test_no_more_is_given_out_than_the_workers_soon_take(inside, monkeypatch, tmp_path):
    given = []
    submit = distributed.Client.submit

    def counting(client, *arguments, **options):
        given.append(len([path for path in tmp_path.iterdir() if path.suffix == ".h5"]))
        return submit(client, *arguments, **options)

    monkeypatch.setattr(distributed.Client, "submit", counting)
    run_sweep(small(repetitions=2), tmp_path, address=inside.scheduler_address)
    assert all(number - there < 2 for number, there in enumerate(given))  # one thread: two at a time


def test_a_scheduler_that_goes_away_is_no_failure_of_points(inside, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)  # also what it takes to notice
    with pytest.raises(ab.RecordError, match=r"the Dask scheduler is gone: what is done is in .* go on"):
        run_sweep(small(repetitions=5), tmp_path, address=inside.scheduler_address,
                  progress=lambda now: now.outcome and inside.close())  # fmt: skip
    assert {outcome.status for outcome in load_manifest(tmp_path).outcomes.values()} == {"finished"}


def test_workers_must_have_the_same_version_and_files(inside, tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text("here")
    files = {str(tmp_path / "own.py"): "of another"}
    with (
        pytest.raises(ab.UsageError, match=r"the Dask worker .* cannot take part: it has no .*own.py, or another"),
        cluster.connected(inside.scheduler_address, files),
    ):
        pass
    point = small().points[0]
    outcome, content = cluster._computed(point, version="0.0.1", files={})
    assert (outcome.status, content) == ("failed", None)
    said = f"it has asapnb {ab.__version__}, the sweep is of 0.0.1; install the same on all machines"
    assert outcome.error == said == cluster._lacks("0.0.1", {})


def test_a_version_of_another_worker(two, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "__version__", "0.0.1")
    with pytest.raises(ab.UsageError, match=r"cannot take part: it has asapnb .*, the sweep is of 0\.0\.1"):
        run_sweep(small(), tmp_path / "sweep", address=two)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("address", ["tcp://localhost:1", "nowhere", "tcp://localhost:x"])
def test_where_there_is_no_scheduler(tmp_path, monkeypatch, address):
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    with pytest.raises(ab.UsageError, match=f"no Dask scheduler answers at '{address}': give its address"):
        run_sweep(small(), tmp_path / "sweep", address=address)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    "address", ["nonsense://", "nonsense://localhost:1", "", "tcp://", "http://localhost:1", "://"]
)
def test_what_is_no_address_is_refused_before_anything_is_tried(tmp_path, monkeypatch, address):
    monkeypatch.setattr(distributed.Client, "__init__", None)  # so that nothing can
    with pytest.raises(
        ab.UsageError, match=f"'{address}' is no address of a Dask scheduler: give one such as tcp://"
    ):
        run_sweep(small(), tmp_path / "sweep", address=address)
    assert not (tmp_path / "sweep").exists()


def test_where_another_program_answers(tmp_path, monkeypatch):
    def answer():
        with server.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)

    with socket.create_server(("localhost", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(answer)
        with pytest.raises(ab.UsageError, match="no Dask scheduler answers at"):
            run_sweep(small(), tmp_path / "sweep", address=f"tcp://localhost:{server.getsockname()[1]}")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("lost", ["a run", "its result"])
def test_a_cluster_that_lost_all_workers_is_waited_for_with_a_word(inside, tmp_path, monkeypatch, lost):
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    said, gone = [], []

    def progress(now):
        if now.outcome and not gone:
            if lost == "its result":
                until(lambda: all(task.state == "memory" for task in inside.scheduler.tasks.values()))
            gone.append(inside.scale(0))
            until(lambda: not inside.scheduler.workers)
        if now.waiting:
            said.append(now.waiting)
            inside.scale(1)

    manifest = run_sweep(small(repetitions=2), tmp_path, address=inside.scheduler_address, progress=progress)
    assert all("all workers of the Dask cluster are gone: waiting for new ones" in text for text in said)
    assert len(said) >= 1
    assert {outcome.status for outcome in manifest.outcomes.values()} == {"finished"}


def test_where_there_is_no_worker(inside, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 5.0)
    inside.scale(0)
    with pytest.raises(ab.UsageError, match=r"has no workers: start some, as dask worker .* --nthreads 1"):
        run_sweep(small(), tmp_path / "sweep", address=inside.scheduler_address)


def test_without_distributed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ab.MissingExtraError, match=r'pip install "asapnb\[dask\]"'):
        run_sweep(small(), tmp_path / "sweep", address="tcp://localhost:8786")
    assert not (tmp_path / "sweep").exists()
