"""What holds of the rows of any run or schedule in intervals."""

import numpy as np

from asapnb.schemes import boundary_after


def boundaries(lengths, count):
    """All boundaries up to so many gradients, from 0 on."""
    found = [0]
    while found[-1] <= count:
        found.append(boundary_after(lengths, found[-1]))
    return found


def assert_none_crosses(rows, lengths, together=1):
    """Each gradient reads all updates of earlier intervals, and is finished before a later one reads.

    Gradients are numbered by their minibatch, as in a run that has not been interrupted. Those that are in flight at
    the end, and so of the last interval, have no row. So many gradients `together` make a version.
    """
    batch, applied = np.asarray(rows["batch"]), np.asarray(rows["dropped"]) != 1
    passed = np.array(boundaries(lengths, int(batch.max())))
    made = np.array([applied[batch < boundary].sum() for boundary in passed])  # versions made before each boundary
    place = np.searchsorted(passed, batch, side="right")  # of the boundary after each gradient
    assert (rows["read_version"] >= made[place - 1] // together).all()
    assert (rows["version"] <= -(-made[place] // together))[applied].all()
    assert (rows["tau"] < passed[place] - passed[place - 1]).all()
    complete = batch < passed[place.max() - 1]
    np.testing.assert_array_equal(np.sort(batch[complete]), np.arange(passed[place.max() - 1]))
