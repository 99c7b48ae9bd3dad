"""Ranks of MPI in tests: programs that `mpiexec` starts, and ranks that call functions of a test, one after another.

Everything that waits has a limit, and nothing is left when a block ends. The fixture `four` (conftest.py) has four
ranks, started once, which cost nothing while they wait: take it for whatever ends in good order. A test that kills
starts its own:

    run, *nothing = four.call(train, quadratic, {"updates": 100}, size=3)  # in a communicator of the first three

    with ranks(3) as three:
        three.begin(train, quadratic, {"updates": 10**9, "out": path})
        os.kill(three.job.pids()[2], signal.SIGKILL)
        server, *workers = three.outcomes()  # what each returned or raised, EOFError from one that has ended

    with mpiexec(3, "-m", "asapnb", "train", "--mpi") as job:
        out, err = job.process.communicate(timeout=LIMIT)
    assert not job.left()
"""

import os
import pickle
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from queue import SimpleQueue
from subprocess import Popen
from threading import Thread
from time import sleep
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import uuid4

from processes import LIMIT, started, until

MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
PATIENCE = 5  # seconds that a rank may take to end in good order
_MARK = "ASAPNB_TEST_JOB"  # in the environment of all processes of a job
_RANK = ("PMI_RANK", "OMPI_COMM_WORLD_RANK")  # in that of a rank, by MPICH or Open MPI
_OPEN_MPI = {  # which would refuse to start as root, or more ranks than cores
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


class Job(NamedTuple):
    """A program that mpiexec has started on several ranks: `process` is mpiexec."""

    process: Popen
    mark: str

    def pids(self) -> dict[int, int]:
        """The process of each rank that is there, by rank."""
        found = self._processes()
        ranks = {
            pid: next((int(words[name]) for name in _RANK if name in words), None) for pid, words in found.items()
        }
        return {rank: pid for pid, rank in sorted(ranks.items(), reverse=True) if rank is not None}  # no child of it

    def left(self) -> list[int]:
        """The processes that are there, mpiexec and its helpers included, once they have had a moment to end."""
        with suppress(AssertionError):
            until(lambda: not self._processes(), limit=10)
        return list(self._processes())

    def kill(self) -> None:
        """Kill all processes of the job."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _processes(self) -> dict[int, dict[str, str]]:
        """The environments of the processes that are there, by process."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                words = dict(
                    word.split("=", 1) for word in path.read_text(errors="replace").split("\0") if "=" in word
                )
                if words.get(_MARK) == self.mark:
                    found[int(path.parent.name)] = words
        return found


@contextmanager
def mpiexec(count: int, *arguments: Any, environment: Any = (), **options: Any) -> Iterator[Job]:
    """Python with these arguments on so many ranks; see `processes.started`."""
    mark = uuid4().hex
    environment = {**_OPEN_MPI, **dict(environment), _MARK: mark}
    words = ("-n", count, sys.executable, *arguments)
    with started(*words, program=MPIEXEC, environment=environment, **options) as process:
        job = Job(process, mark)
        try:
            yield job
        finally:
            job.kill()


class Ranks:
    """Ranks that call what they are told to, and say what came of it."""

    def __init__(self, job: Job, connections: list[Connection]) -> None:
        self.job, self._connections = job, connections
        self._busy: list[Connection] = []

    def call(self, function: Callable[..., Any], *arguments: Any, size: int | None = None, **named: Any) -> list[Any]:
        """What `function(comm, …)` returned on each rank; raises what one raised. See `begin`."""
        self.begin(function, *arguments, size=size, **named)
        outcomes = self.outcomes()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return outcomes

    def begin(self, function: Callable[..., Any], *arguments: Any, size: int | None = None, **named: Any) -> None:
        """Have the first `size` ranks call `function(comm, …)`, where `comm` has these ranks alone.

        The function stands in a module that can be imported. A `ByRank` among the arguments differs between ranks.
        """
        size = size or len(self._connections)
        self._busy = self._connections[:size]
        for rank, connection in enumerate(self._busy):
            own = [one.of(rank) for one in map(ByRank.made, arguments)]
            more = {name: ByRank.made(one).of(rank) for name, one in named.items()}
            connection.send_bytes(pickle.dumps((function, size, own, more)))

    def outcomes(self, count: int | None = None) -> list[Any]:
        """What each of the first ranks that have begun returned or raised; an EOFError from one that has ended."""
        busy, self._busy = self._busy[:count], []
        return [_heard(connection) for connection in busy]

    def outcome(self, rank: int) -> Any:
        """What one rank that has begun returned or raised, while others are at it."""
        return _heard(self._busy[rank])

    def idle(self) -> bool:
        """Whether all are there and do nothing."""
        return not self._busy and self.job.process.poll() is None and not any(one.poll() for one in self._connections)


class ByRank(dict):
    """A value for each rank; `None` is the key of that of the others."""

    def of(self, rank: int) -> Any:
        """The value of a rank."""
        return self.get(rank, self.get(None))

    @classmethod
    def made(cls, value: Any) -> "ByRank":
        """One that is `value`, or has it for all ranks."""
        return value if isinstance(value, cls) else cls({None: value})


@contextmanager
def ranks(count: int, *, environment: Any = (), **options: Any) -> Iterator[Ranks]:
    """So many ranks that call what they are told to; their output is that of this process."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        listener = stack.enter_context(Listener(f"{folder}/ranks"))
        options = {"stdin": None, "stdout": None, "stderr": None, **options}
        words = ("-c", "import sys, mpi_runs; mpi_runs.obey(sys.argv[1])", listener.address)
        job = stack.enter_context(mpiexec(count, *words, environment=environment, **options))
        found: dict[int, Connection] = {}

        def accept() -> None:
            while len(found) < count:
                connection = listener.accept()
                found[connection.recv()] = connection

        Thread(target=accept, daemon=True).start()
        until(lambda: len(found) == count or job.process.poll() is not None)
        assert len(found) == count, f"mpiexec ended with {job.process.returncode}"
        for connection in found.values():
            stack.enter_context(connection)
        yield Ranks(job, [found[rank] for rank in range(count)])


@contextmanager
def kept(count: int) -> Iterator[Callable[[], Ranks]]:
    """A function that returns so many idle ranks: the same ones as long as they are."""
    with ExitStack() as stack:
        known: list[Ranks] = []

        def get() -> Ranks:
            if not known or not known[-1].idle():
                stack.close()
                known.append(stack.enter_context(ranks(count)))
            return known[-1]

        yield get


def _heard(connection: Connection) -> Any:
    try:
        assert connection.poll(LIMIT), "this took too long"
        return pickle.loads(connection.recv_bytes())
    except (EOFError, ConnectionError) as error:
        return EOFError(f"the rank has ended: {error}")


def obey(address: str) -> None:
    """Be a rank: call what the test says, until it has nothing more to say. Warnings are errors."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    comms = {size: world.Split(world.rank < size) for size in range(1, world.size)}
    comms[world.size] = world
    calls: SimpleQueue[bytes] = SimpleQueue()
    with Client(address) as connection:
        connection.send(world.rank)
        Thread(target=_listen, args=(connection, calls), daemon=True).start()
        while call := calls.get(timeout=20 * LIMIT):  # longer than all tests take
            connection.send_bytes(_outcome(comms, call))


def _listen(connection: Connection, calls: "SimpleQueue[bytes]") -> None:
    """Take what the test says. Once it has ended so must this process, whatever it waits for."""
    with suppress(EOFError, ConnectionError):
        while True:
            calls.put(connection.recv_bytes())
    calls.put(b"")
    sleep(PATIENCE)
    os._exit(1)


def _outcome(comms: dict[int, Any], call: bytes) -> bytes:
    try:
        function, size, arguments, named = pickle.loads(call)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return pickle.dumps(function(comms[size], *arguments, **named))
    except BaseException as error:
        with suppress(Exception):
            return pickle.dumps(pickle.loads(pickle.dumps(error)) and error)
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))


def train(comm: Any, problem: Callable[..., Any], arguments: Any = (), *, patched: Any = (), **more: Any) -> Any:
    """`problems.train` with a parameter server, by default without options, on all ranks of a communicator.

    Args:
        comm: has the ranks of the run.
        problem: makes the problem, or a tuple of such a function and its arguments.
        arguments: of `problems.train`, as a dictionary.
        patched: other values, by "module.name".
        more: further arguments, which may be `ByRank`.
    """
    import problems

    import asapnb as ab

    make, *given = problem if isinstance(problem, tuple) else (problem,)
    arguments = {"scheme": ab.ParameterServer(), "workers": comm.size - 1, **dict(arguments), **more}
    with ExitStack() as stack:
        for name, value in dict(patched).items():
            stack.enter_context(patch(name, value))
        return problems.train(make(*given), arguments.pop("scheme"), comm=comm, **arguments)
