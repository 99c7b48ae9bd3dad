"""Workers that are not in force: they wait before they take a minibatch and read.

Nobody waits for ever: worker 0 is in force at every version, so versions are made, and who waits looks at the reason
to stop and at the quota. Checked in tests/test_elastic.py.
"""

from ...compiled import part
from ...kernels.atomics import load, nap
from .. import words as at
from .common import goes_on
from .pool import version_of
from .types import Shared


@part()
def in_force(shared: Shared, me: int, version: int) -> bool:
    """Whether a worker may read this version. Compared with `Workforce.at`."""
    if shared.control[at.ELASTIC] == 0:
        return True
    changes = shared.workforce
    low, high = 0, load(changes, at.CHANGES)  # the last change up to this version is in low … high − 1
    while high - low > 1:
        middle = (low + high) // 2
        if load(changes, at.FIRST_CHANGE + 2 * middle) <= version:  # the controller may move the last one
            low = middle
        else:
            high = middle
    return me < changes[at.FIRST_CHANGE + 2 * low + 1]


@part()
def may_begin(shared: Shared, me: int) -> bool:
    """Wait until a worker is in force; False if the run is over.

    The version may be a later one when the worker reads, so it must look again then (`in_force`), and come back.
    """
    control = shared.control
    while goes_on(control):
        newest = max(load(control, at.VERSION), version_of(load(control, at.POINTER)))  # of Leashed the first may lag
        if in_force(shared, me, newest):
            return True
        nap(100 + 20 * control[at.WORKERS])
    return False
