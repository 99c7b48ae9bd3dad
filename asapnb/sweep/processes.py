"""Running the points of a sweep in processes of this machine."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ..errors import RecordError, UsageError
from ..signals import caught
from ..training.cores import at_once
from .points import Outcome, Problems, carry_out, differing, failed, needs
from .spec import Point

_PATIENCE = 10.0  # seconds that processes have to end in good order


def in_processes(points: Sequence[Point], folder: Path, jobs: int, files: Mapping[str, str]) -> Generator[Outcome]:
    """The outcome of each point as it comes; points start in the order given.

    If a process dies, for want of memory for example, the others go on; its point is tried once more at the end, with
    no other beside it. All processes end with the iterator, however it ends.

    Args:
        points: the points to run.
        folder: where their run files go.
        jobs: processes at a time.
        files: paths that points need, with their SHA-256. A point that starts after one of its own has changed fails.
    """
    jobs = max(1, min(jobs, len(points)))
    first, again = deque(points), deque[Point]()
    team = _Team(folder, max(1, at_once() // jobs), files)
    try:
        while first or again or team.busy:
            if again and not (first or team.busy):
                team.give(again.popleft(), last=True)
            answers = team.answers() if team.busy else []
            while first and len(team.busy) < jobs:  # before what came is written: nobody waits for that
                team.give(first.popleft(), last=False)
            for task, outcome in answers:
                if outcome is not None:
                    yield outcome
                elif task.last:
                    yield failed(task.point, f"its process {task.end}, twice: if memory ran out, try fewer --jobs")
                else:
                    again.append(task.point)
    finally:
        team.end()


@dataclass
class _Task:
    """What a process works on. `last`: the point is not tried again; `begun`: the process has said that it is up."""

    process: BaseProcess
    point: Point
    last: bool
    begun: bool

    @property
    def end(self) -> str:
        """How its process ended."""
        code = self.process.exitcode or 0
        return f"ended with code {code}" if code >= 0 else f"was killed by signal {-code}"


class _Team:
    """Processes that run one point at a time, each connected by a pipe."""

    def __init__(self, folder: Path, threads: int, files: Mapping[str, str]) -> None:
        self._context = multiprocessing.get_context("spawn")  # a process forked beside running threads may hang
        self._arguments, self._needs = (folder, threads), needs(files)
        self._all: list[BaseProcess] = []
        self._idle: list[tuple[BaseProcess, Connection]] = []
        self.busy: dict[Connection, _Task] = {}

    def give(self, point: Point, *, last: bool) -> None:
        """Give this point to an idle process, or to a new one."""
        begun = bool(self._idle)
        process, line = self._idle.pop() if begun else self._start()
        self.busy[line] = _Task(process, point, last, begun)
        with contextlib.suppress(OSError):  # it has died, which `answers` will find out
            line.send((point, self._needs(point)))

    def answers(self) -> list[tuple[_Task, Outcome | None]]:
        """Wait for messages; returns the tasks that ended, with their outcome, or with None if the process died."""
        found: list[tuple[_Task, Outcome | None]] = []
        for line in wait(list(self.busy)):
            assert isinstance(line, Connection)
            task = self.busy[line]
            try:
                outcome: Outcome | None = line.recv()
            except (EOFError, OSError):
                outcome = None
                self._bury(line)
            else:
                if outcome is None:
                    task.begun = True
                    continue
                self._idle.append((task.process, line))
                del self.busy[line]
            found.append((task, outcome))
        return found

    def end(self) -> None:
        """End all processes, and wait for them: runs end in good order, a little faster after a signal."""

        def terminate(number: int = 0) -> None:
            for process in self._all:
                process.terminate()

        deadline = time.monotonic() + _PATIENCE
        with caught(terminate):
            terminate()
            for process in self._all:
                process.join(max(0.0, deadline - time.monotonic()))
                if process.is_alive():
                    process.kill()
                    process.join()
                process.close()
        for line in [*self.busy, *(line for _, line in self._idle)]:
            line.close()

    def _start(self) -> tuple[BaseProcess, Connection]:
        try:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
            with _deaf():
                process.start()
                self._all.append(process)
        except OSError as error:
            raise RecordError(f"cannot start a process for the sweep: {error.strerror}; try fewer --jobs") from None
        theirs.close()
        return process, ours

    def _bury(self, line: Connection) -> None:
        task = self.busy.pop(line)
        line.close()
        task.process.join()
        if not task.begun and (task.process.exitcode or 0) > 0:
            raise UsageError(
                f"the processes of the sweep do not start: the first {task.end}; in a script, call run_sweep under "
                'if __name__ == "__main__":'
            )


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """A process started in this block ignores Ctrl-C; the process that waits for it does not."""
    resource_tracker.ensure_running()  # otherwise it starts with the process, and unblocks Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(line: Any, folder: Path, threads: int) -> None:
    """In a process: send None when it is up, then run each point received, until the pipe is closed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # what a user's rule prints must not mix with the output of the sweep
    problems = Problems()
    with contextlib.suppress(EOFError, OSError):
        line.send(None)
        while True:
            point, files = line.recv()
            if (file := differing(files)) is None:
                line.send(carry_out(point, folder / point.file, threads, problems))
            else:
                why = f"{file} has changed since the sweep began: put it back and go on, or start anew with --force"
                line.send(failed(point, why))


def _end_with_parent() -> None:
    """Once the parent is gone, end the run that goes on, and the process."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE)
        os._exit(1)
