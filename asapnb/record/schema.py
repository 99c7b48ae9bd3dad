"""The rows of a run file, schema 1. docs/run-file.md says how to read one without asapnb."""

from __future__ import annotations

import numpy as np

SCHEMA = 1
CLOCK = "seconds since training start, monotonic, compilation excluded"
VIRTUAL = "virtual seconds"
RUNNING, INTERRUPTED, FAILED = "running", "interrupted", "failed"
UNENDED = (RUNNING, INTERRUPTED, FAILED)  # statuses of runs that did not come to an end of their own

APPLIED, ABANDONED, ZEROED = 0, 1, 2

# One update. The engine's ring buffers hold these very rows; the file holds one dataset for each column.
UPDATES = np.dtype(
    [
        ("worker", np.int32),
        ("batch", np.int64),  # ticket, counted from 0 over all epochs
        ("version", np.int64),  # made by this update, from 1; -1 if abandoned
        ("read_version", np.int64),
        ("tau", np.int32),  # version - 1 - read_version
        ("row", np.int32),  # of /rule: the table that gave the scale
        ("scale", np.float32),
        ("factor", np.float32),  # of a schedule; 1 unless a rule has one
        ("loss", np.float32),  # of the minibatch, at the view
        ("t_read", np.float64),  # read begun, gradient finished, update applied
        ("t_ready", np.float64),
        ("t_apply", np.float64),
        ("tries", np.int16),  # failed compare-and-swaps
        ("dropped", np.uint8),  # APPLIED; ABANDONED at the persistence bound; ZEROED: scale 0, but a version
    ],
    align=True,
)

# When the view of an update had been read to its end: a simulated Hogwild run has one for each row of UPDATES.
VIEWS = np.dtype([("t_view", np.float64)])

# What the microscope saw of one update, on its minibatch B; x are the parameters it was applied to
MICROSCOPE = np.dtype(
    [
        ("version", np.int64),  # made by the update
        ("tau", np.int32),
        ("distance", np.float64),  # |x - view|
        ("gradient", np.float64),  # |g(view)|, g the gradient of B
        ("error", np.float64),  # |g(view) - g(x)|: what asynchrony adds
        ("cosine", np.float64),  # of g(view) and g(x)
        ("fresh", np.float64),  # |G(x)|, G the gradient of all samples
        ("noise", np.float64),  # |g(x) - G(x)|: what the minibatch adds
        ("along", np.float64),  # <g(view), G(x)> / |G(x)|^2: the part of it that descends
    ],
    align=True,
)

EVALS = np.dtype(
    [
        ("step", np.int64),  # the version evaluated
        ("t", np.float64),  # when it was made
        ("train_loss", np.float64),
        ("test_loss", np.float64),
        ("test_accuracy", np.float64),
    ]
)

GROUPS = {"updates": UPDATES, "evals": EVALS, "views": VIEWS, "microscope": MICROSCOPE}
