"""Checkpoints of a run of `train`: now and then, evaluated parameters are saved beside the run file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..training.resuming import CHECKPOINT_SECONDS

if TYPE_CHECKING:
    from ..record import RunWriter


class Checkpoints:
    """One checkpoint at a time: parameters are copied when evaluated, and saved once all rows before are on disk.

    A run in memory has no checkpoints, nor has one without evaluations, or a summary: nothing says afterwards what
    staleness its rule had seen by then.
    """

    def __init__(self, writer: RunWriter, keeps_rows: bool = True) -> None:
        self._writer, self._none = writer, not keeps_rows or writer.path is None
        self._copied: tuple[int, float, dict[str, np.ndarray]] | None = None
        self._saved = time.monotonic()

    def offer(self, version: int, t: float, params: np.ndarray, **carried: np.ndarray) -> None:
        """Copy the parameters of this version, made at `t` seconds of training time, if a checkpoint is due.

        `carried` is what steps carry on, if it is known: that of each worker, in the middle of an update, is not.
        """
        due = self._copied is None and time.monotonic() - self._saved >= CHECKPOINT_SECONDS
        if due and not self._none:
            self._copied = version, t, {name: one.copy() for name, one in {"params": params, **carried}.items()}

    def save(self, complete: int, **attributes: Any) -> None:
        """Save the copy once evaluations and rows are `complete` up to its version, if it can be saved."""
        if self._copied is None or self._copied[0] > complete or not self._writer.flush():
            return
        version, t, arrays = self._copied
        self._writer.save_checkpoint(arrays, {"version": version, "t": t, **attributes})
        self._copied, self._saved = None, time.monotonic()
