"""The threads that carry a plan out, segment by segment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from ..compiled import specialise
from ..engine.shared import FAILED
from ..problems.base import Problem, gradient_signature
from .loops.replay import work
from .stage import DONE, STOP, UNTIL, Own, Stage, own_buffers, stage_types

_POLL_SECONDS = 0.005
_INLINE_SECONDS = 0.01  # a segment that is expected to take less is not worth a thread


def compile_work(dtype: np.dtype[Any], inputs: np.dtype[Any]) -> Callable[..., None]:
    """The loop of the threads for problems of these dtypes."""
    return specialise(work, types.FunctionType(gradient_signature(dtype, inputs)), *stage_types(dtype, inputs))


def compile_ahead(dtype: str, inputs: str) -> None:
    """Fill the cache on disk."""
    compile_work(np.dtype(dtype), np.dtype(inputs))


class Crew:
    """So many threads, which are there only while there is something to do."""

    def __init__(
        self, problem: Problem, batch_size: int, stage: Stage, loop: Callable[..., None], threads: int
    ) -> None:
        self._gradient, self._stage, self._loop = problem.gradient, stage, loop
        self._owns = [own_buffers(problem, batch_size) for _ in range(threads)]
        self._pace = float("inf")  # seconds per operation, last seen
        self.errors: list[BaseException] = []  # what was raised in threads

    def stop(self, reason: int) -> None:
        """Ask the threads to leave; the first reason given stands."""
        if self._stage.control[STOP] == 0:
            self._stage.control[STOP] = reason

    def pause(self) -> None:
        """Have the threads leave for now: `carry_out` returns before it is done."""
        self._stage.control[UNTIL] = 0

    def carry_out(self, until: int, meanwhile: Callable[[], None]) -> None:
        """Have the operations carried out up to number `until`, unless the run is stopped or paused before.

        `meanwhile` is called every few milliseconds.
        """
        control = self._stage.control
        control[UNTIL] = until
        begun, before = time.perf_counter(), int(control[DONE])
        if (until - before) * self._pace < _INLINE_SECONDS:
            self._work(self._owns[0])
        else:
            threads = [threading.Thread(target=self._work, args=(own,), daemon=True) for own in self._owns]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    while thread.is_alive():
                        thread.join(_POLL_SECONDS)
                        meanwhile()
            except BaseException:
                self.stop(FAILED)
                for thread in threads:
                    thread.join()
                raise
        self._pace = (time.perf_counter() - begun) / max(1, int(control[DONE]) - before)

    def _work(self, own: Own) -> None:
        try:
            self._loop(self._gradient, self._stage, own)
        except BaseException as error:
            self.errors.append(error)
            self.stop(FAILED)
