"""The delayed gradient descent of f(x) = lambda x^2 / 2 along schedules, compiled.

Twin: `along_rows` in tests/naive_theory.py.
"""

from ..compiled import kernel
from ..kernels.types import Reals, Rows, Words


@kernel()
def advance(
    rows: Rows, counts: Words, past: Reals, made: Words, velocity: Reals, scales: Reals, step: float,
    momentum: float, direct: float,
) -> None:  # fmt: skip
    """Apply rows[n, :counts[n]] to execution n: v <- momentum v - step s(tau) x[t - tau], x[t+1] = x[t] + v.

    With a direct share d the move is (1 - d)(1 - momentum) v - d step s(tau) x[t - tau].

    Args:
        rows: of the schedules, two axes.
        counts: how many rows each execution has.
        past: a ring of x by version, for each execution; its length is a power of two. What is staler reads the
            oldest there is.
        made: the version of each execution.
        velocity: for each execution that of each worker, or one.
        scales: by staleness; the last serves every staler update.
        step: a = eta_0 lambda.
        momentum: 0 for none.
        direct: the direct share; 0 for none.
    """
    weight = (1.0 - direct) * (1.0 - momentum)
    last, oldest, one = scales.size - 1, past.shape[1] - 1, velocity.shape[1] == 1
    for n in range(counts.size):
        version = made[n]
        for i in range(counts[n]):
            row = rows[n, i]
            if row.dropped != 0:
                continue
            worker = 0 if one else int(row.worker)
            tau = int(row.tau)
            view = past[n, (version - min(tau, oldest)) & oldest]
            pull = step * scales[min(tau, last)] * view
            v = momentum * velocity[n, worker] - pull
            velocity[n, worker] = v
            move = v if direct == 0 else weight * v - direct * pull
            past[n, (version + 1) & oldest] = past[n, version & oldest] + move
            version += 1
        made[n] = version


@kernel()
def sizes(past: Reals, made: Words, window: int, out: Reals) -> None:
    """The mean of x^2 over the last versions of each execution."""
    oldest = past.shape[1] - 1
    for n in range(made.size):
        total = 0.0
        for k in range(window):
            x = past[n, (made[n] - k) & oldest]
            total += x * x
        out[n] = total / window
