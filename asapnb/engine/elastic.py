"""The number of workers in force while a run goes on: as its table says, or following the measured progress."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..training.options import Options
from ..workforce import MOST_CHANGES, Workforce
from . import words
from .adapting import Window, trials
from .collect import Access
from .shared import Shared

_AHEAD = 4  # times the workers: how many versions before it holds a change is announced


def fill(shared: Shared, workforce: Workforce) -> None:
    """Write the table for the workers, before they start."""
    shared.control[words.ELASTIC] = not workforce.is_steady
    table = np.array(workforce.changes).ravel()
    shared.workforce[words.CHANGES] = len(workforce.changes)
    shared.workforce[words.FIRST_CHANGE : words.FIRST_CHANGE + len(table)] = table


class Elastic:
    """Knows how many workers are in force at each version so far, in `workforce`, and changes their number.

    A number that adapts is changed by the trials of `engine.adapting`: windows of m, m′, m′ and m workers; m′ is
    2m or m/2. If the loss fell faster in those of m′, that is the next m. A window is at least 500 updates, and 4 by
    each worker. Others have adapted the number of threads before (see Garby and Tsigas, Euro-Par 2025, and what they
    cite); what is done here is as said here.
    """

    def __init__(self, shared: Shared, access: Access, options: Options, version: int) -> None:
        self._shared, self._access, self._workers = shared, access, options.workers
        self.workforce = options.workforce
        self._since = version  # the window holds the updates after this version
        self._window = Window()
        most = options.workforce.adapts_to
        self._trials = None if most is None else trials(options.workforce.at(version), most)
        if self._trials is not None:
            next(self._trials)

    def observe(self, applied: NDArray[Any]) -> None:
        """Take the next rows of applied updates. Once a window is complete, another begins."""
        if self._trials is None or len(self.workforce.changes) == MOST_CHANGES:
            return
        found = self._window.progress(applied[applied["version"] > self._since], 4 * self._workers)
        if found is None:
            return
        number = self._trials.send(found)
        self._since = int(applied["version"].max(initial=self._since))
        if number != self.workforce.changes[-1][1]:
            self._since = self._change(number)
            self.workforce = self.workforce.then(self._since, number)
        self._window = Window()

    def _change(self, number: int) -> int:
        """Put another number in force, from a version on that is returned.

        It is announced before that version is made, so that whoever reads it has seen the change. If updates have
        been faster, workers that are to wait may have read it: then it holds from the next one on.
        """
        table, count = self._shared.workforce, len(self.workforce.changes)
        version = self._newest() + _AHEAD * self._workers
        place = words.FIRST_CHANGE + 2 * count
        table[place], table[place + 1] = version, number
        self._access.swap(table, words.CHANGES, count, count + 1)  # not `put`, which the next load may overtake
        if (now := self._newest()) >= version and number < self.workforce.changes[-1][1]:
            version = now + 1
            self._access.put(table, place, version)
        return version

    def _newest(self) -> int:
        """The newest version; of published vectors the counter may lag behind."""
        get, control = self._access.get, self._shared.control
        return max(int(get(control, words.VERSION)), int(get(control, words.POINTER)) >> words.SLOT_BITS)


def number_at(shared: Shared, version: int) -> int:
    """How many workers are in force at a version. Twin of `in_force` in engine/loops/workforce.py."""
    count = int(shared.workforce[words.CHANGES])
    changes = shared.workforce[words.FIRST_CHANGE :][: 2 * count]
    return int(changes[1::2][np.searchsorted(changes[::2], version, "right") - 1])
