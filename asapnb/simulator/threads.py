"""Threads started for each segment of a replay."""

import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types

from ..compiled import specialise
from ..kernels.arrays import array_type
from ..problems.base import Dtypes, Problem, gradient_signature
from ..training.compiling import load
from ..training.options import Options
from ..training.starting import start_all
from ..training.words import FAILED
from .replay_state import Own, ReplayState, own_buffers, replay_types
from .words import ALONE, DONE, STOP, UNTIL

LOOP = "asapnb.simulator.loops.replay:work"
_ROWS_DONE = "asapnb.simulator.loops.replay:rows_done"
_POLL_SECONDS = 0.005
_INLINE_SECONDS = 0.01  # a segment that is expected to take less is not worth a thread
_PROBE = 4  # operations, at first, to see how long they take
_QUICK = 2e-6  # seconds: a quicker operation takes longer if threads hand it over to each other


def compile_loop(loop: str, dtypes: Dtypes) -> Callable[..., None]:
    """The loop of the threads, "module:function", for problems of these dtypes."""
    _compiled_count()
    return _compiled(load(loop), dtypes)


@cache
def _compiled(loop: Any, dtypes: Dtypes) -> Callable[..., None]:
    return specialise(loop, types.FunctionType(gradient_signature(*dtypes)), *replay_types(*dtypes))


@cache
def _compiled_count() -> Callable[..., int]:
    return specialise(load(_ROWS_DONE), array_type(np.int64))


class ReplayThreads:
    """The threads of a replay, which exist only while they carry out a segment."""

    def __init__(
        self, problem: Problem, options: Options, replay: ReplayState, loop: Callable[..., None], threads: int
    ) -> None:
        self._gradient, self._replay, self._loop = problem.gradient, replay, loop
        self._owns = [own_buffers(problem, options) for _ in range(threads)]
        self._count = _compiled_count()
        self._pace = float("inf")  # seconds per operation in the last segment
        self.errors: list[BaseException] = []  # what was raised in threads

    def stop(self, reason: int) -> None:
        """Ask the threads to leave; the first reason given stands."""
        if self._replay.control[STOP] == 0:
            self._replay.control[STOP] = reason

    def pause(self) -> None:
        """Ask the threads to leave for now, so that `carry_out` returns early."""
        self._replay.control[UNTIL] = 0

    def carry_out(self, until: int, meanwhile: Callable[[], None]) -> None:
        """Carry out the operations up to number `until`, unless the run is stopped or paused before.

        `meanwhile` is called every few milliseconds.
        """
        control, size = self._replay.control, _PROBE
        control[UNTIL] = until
        while control[DONE] < control[UNTIL] and control[STOP] == 0:
            if self._is_worth_threads(until - self._done, size):
                self._together(until, meanwhile)
                return
            self._inline(min(until, self._done + min(size, max(1, int(_INLINE_SECONDS / self._pace)))))
            control[UNTIL] = until
            if self._done < until:
                meanwhile()
            size *= 16

    def _is_worth_threads(self, left: int, probe: int) -> bool:
        """Whether so many operations get quicker by threads; a probe of so many is long enough to tell."""
        several, slow = len(self._owns) > 1, _QUICK <= self._pace < float("inf")
        return several and slow and min(left, probe) * self._pace >= _INLINE_SECONDS

    @property
    def rows_done(self) -> int:
        """How many rows are done; whoever asks then sees all that they have left, while threads go on."""
        return self._count(self._replay.control)

    @property
    def _done(self) -> int:
        return int(self._replay.control[DONE])

    def _inline(self, until: int) -> None:
        self._replay.control[UNTIL], self._replay.control[ALONE] = until, 1
        begun, before = time.thread_time(), self._done
        self._work(self._owns[0])
        self._pace = (time.thread_time() - begun + 1e-9) / max(1, self._done - before)

    def _together(self, until: int, meanwhile: Callable[[], None]) -> None:
        self._replay.control[ALONE] = 0
        begun, before = time.perf_counter(), self._done
        threads = [
            threading.Thread(target=self._work, args=(own,), name=f"asapnb-replay-{me}", daemon=True)
            for me, own in enumerate(self._owns)
        ]
        try:
            start_all(threads, "threads")
            for thread in threads:
                while thread.is_alive():
                    thread.join(_POLL_SECONDS)
                    meanwhile()
        except BaseException:
            self.stop(FAILED)
            for thread in threads:
                if thread.ident is not None:  # it was started
                    thread.join()
            raise
        self._pace = (time.perf_counter() - begun) / max(1, self._done - before)

    def _work(self, own: Own) -> None:
        try:
            self._loop(self._gradient, self._replay, own)
        except BaseException as error:
            self.errors.append(error)
            self.stop(FAILED)
