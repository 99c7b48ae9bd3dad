"""The order of rows, with rings filled by hand: dropped gradients go where they belong, however late they come."""

from types import SimpleNamespace

import numpy as np
import pytest

from asapnb.engine import words
from asapnb.engine.collect import compile_access
from asapnb.engine.rows import RowCollector
from asapnb.engine.words import READING, RING
from asapnb.kernels.arrays import LINE
from asapnb.record import UPDATES
from asapnb.training.words import NEVER

WORKERS = 3


class Rings:
    """What workers would have written."""

    def __init__(self):
        control = np.zeros(READING + WORKERS * LINE, np.int64)
        control[READING:] = NEVER
        control[words.WORKERS] = WORKERS
        self.shared = SimpleNamespace(
            control=control, rows=np.zeros(2 * RING, UPDATES), written=np.zeros(2 * RING, np.int64)
        )
        self.collector = RowCollector(self.shared, compile_access(UPDATES), drops=True)

    def applied(self, *versions):
        for version in versions:
            self._put(0, version - 1, version=version, read_version=version - 1)

    def claim(self):
        self.shared.control[words.DROPPED] += 1
        return self.shared.control[words.DROPPED] - 1

    def dropped(self, seen, number=None):
        number = self.claim() if number is None else number
        self._put(1, number, version=-1, read_version=seen, dropped=1)

    def reads(self, worker, version):
        self.shared.control[READING + worker * LINE] = version

    def _put(self, ring, number, **values):
        place = ring * RING + number % RING
        for name, value in values.items():
            self.shared.rows[place][name] = value
        self.shared.written[place] = number + 1

    def take(self, **arguments):
        rows = self.collector.take(**arguments)
        self.collector.acknowledge()
        return [int(row["version"]) if row["dropped"] != 1 else -int(row["read_version"]) for row in rows]


@pytest.fixture
def rings():
    return Rings()


def test_rows_come_in_order_and_only_when_they_are_finished(rings):
    rings.applied(1, 2, 4)
    assert rings.take() == [1, 2]
    rings.applied(3)
    assert rings.take() == [3, 4]


def test_a_dropped_row_follows_the_version_that_its_worker_saw(rings):
    rings.applied(1, 2, 3)
    rings.dropped(2)
    rings.dropped(1)
    assert rings.take() == [1, -1, 2, -2, 3]


def test_rows_wait_for_a_view_that_may_yet_be_dropped(rings):
    rings.reads(0, 2)
    rings.applied(1, 2, 3)
    assert rings.take() == [1, 2]
    rings.dropped(2)
    rings.reads(0, NEVER)
    assert rings.take() == [-2, 3]


def test_a_dropped_row_waits_for_the_version_that_it_saw(rings):
    rings.applied(1)
    assert rings.take() == [1]
    rings.dropped(3)
    assert rings.take() == []
    rings.applied(2, 3)
    assert rings.take() == [2, 3, -3]


def test_a_claimed_row_is_waited_for(rings):
    """Row 0 of the side ring is claimed but not written; row 1, with an older view, is behind it."""
    rings.applied(1, 2, 3)
    number = rings.claim()
    rings.dropped(1)
    access, looks = rings.collector._access, []

    def take(*arguments):
        looks.append(arguments)
        if len(looks) == 5:  # the fourth look at the side ring
            rings.dropped(2, number)
        return access.copy(*arguments)

    rings.collector._access = access._replace(copy=take)
    assert rings.take() == [1, -1, 2, -2, 3]
    assert len(looks) == 5


def test_at_the_end_everything_comes(rings):
    rings.reads(1, 0)
    rings.applied(1, 2)
    rings.dropped(1)
    assert rings.take() == []
    assert rings.take(ended=True) == [1, -1, 2]


def test_the_ring_goes_round(rings):
    for start in range(1, 2 * RING, RING // 2):
        rings.applied(*range(start, start + RING // 2))
        assert rings.take() == list(range(start, start + RING // 2))
