"""Count the rows of a schedule that are not kept. Checked against counts of the rows themselves."""

import numpy as np

from ...compiled import kernel
from ...kernels.types import Reals, Rows, Words


@kernel()
def count(rows: Rows, counts: Words, by_worker: Words, totals: Words, seconds: Reals) -> None:
    """Add rows to the counts of a tally.

    `counts` are updates by staleness, `by_worker` updates by worker. `totals` holds dropped gradients and failed
    attempts, `seconds` the time of the last update and the sum of all times from read to gradient.
    """
    for i in range(rows.size):
        row = rows[i]
        totals[1] += row.tries
        if row.dropped != 0:
            totals[0] += 1
            continue
        counts[np.uint32(row.tau)] += 1
        by_worker[np.uint32(row.worker)] += 1
        seconds[1] += row.t_ready - row.t_read
        seconds[0] = max(seconds[0], row.t_apply)
