"""Which update is faster than plain SGD under delay? The candidates and the loop; see updates.md.

    from updates import Update, arrival
    arrival(problem, made, Update.direct(16), step_size=0.02, …)

One compiled loop carries out a schedule of the simulator with true gradients at the views that it says, in float32 or
float64, and applies one of the candidates. It is a prototype: it knows consistent views and one shared state only.
"""

from dataclasses import dataclass, replace

import numba
import numpy as np

import asapnb as ab
from asapnb.problems.minibatch import draw_batch

BATCH, SAMPLES = 16, 1000  # of a gradient, and of an evaluation
NONE, SQUARE, NORMED, FISHER, ROOT, SECANT = range(6)  # what h is in g + h (x − view)


@dataclass(frozen=True)
class Update:
    """One candidate: x ← x − η (direct g + (1 − direct) v) of the compensated g, at views x + ahead · movement.

    Attributes:
        name: shown in tables.
        memory: of v, in updates: μ = 1 − 1/memory.
        direct: the share of the gradient that is applied at once.
        kind: of the compensation.
        strength: κ.
        curvature_memory: of the running curvature.
        ahead: updates that the view is ahead by, of the running movement.
        movement_memory: of the running movement.
    """

    name: str
    memory: float = 1.0
    direct: float = 1.0
    kind: int = NONE
    strength: float = 0.0
    curvature_memory: float = 200.0
    ahead: float = 0.0
    movement_memory: float = 1.0
    own: bool = False  # a velocity of each worker's own, whose memory is in updates of that worker


def plain(delay):
    """No candidate but the baseline."""
    return Update("plain")


def compensated(name, kind, strength, memory=200.0):
    """g + κ h (x − view), h of the given kind and memory."""
    return lambda delay: Update(f"{name}({strength:g})", kind=kind, strength=strength, curvature_memory=memory)


def heavy(momentum):
    """One shared velocity, a running mean of all gradients."""
    return lambda delay: Update(f"heavy({momentum:g})", memory=1 / (1 - momentum), direct=0.0)


def lowered(momentum):
    """The total momentum, explicit and implicit, is kept: memories add up, of which the delay is one."""
    return lambda delay: Update(f"lowered({momentum:g})", memory=max(1.0, 1 / (1 - momentum) - delay), direct=0.0)


def look(share):
    """Plain, at views moved on by this share of the movement in one delay."""
    return lambda delay: Update(f"look({share:g})", ahead=share * delay, movement_memory=max(delay, 1.0))


def heavy_look(momentum):
    """The movement of one update is −ηv, so its running mean needs no memory of its own."""
    made = heavy(momentum)
    return lambda delay: replace(made(delay), name=f"heavy-look({momentum:g})", ahead=delay)


def direct(times, share):
    """The velocity has a memory of so many delays; this share of the gradient is applied at once."""
    return lambda delay: Update(f"direct({times:g}, {share:g})", memory=max(times * delay, 1.0), direct=share)


def matched(times):
    """`direct` with the share that is best on quadratics: 2/(times + 1), which is 1, plain SGD, for one delay."""
    return lambda delay: replace(direct(times, 2 / (times + 1))(delay), name=f"direct({times:g})")


def own(times):
    """`matched` with a velocity of each worker's own: its memory is `times` of its own gradients."""
    return lambda delay: Update(f"own({times:g})", memory=times, direct=2 / (times + 1), own=True)


def own_secant(times, strength):
    """`own` of gradients that are compensated by a running secant diagonal."""
    return lambda delay: replace(
        own(times)(delay), name=f"own({times:g}) + secant({strength:g})", kind=SECANT, strength=strength
    )


@numba.njit(nogil=True)
def advance(gradient, data, samples, rows, span, x, views, velocities, state, work, batch_size, seed, update, step):
    """Carry out the updates of a span, low ≤ t < high. Returns the last of them, or −1 where x is not finite.

    Args:
        gradient: of the problem.
        data: its plan, inputs and labels.
        samples: its training samples.
        rows: read_version, batch, tau and owner of the velocity of every update.
        x: the parameters.
        views: (most staleness + 1, n): what a worker reads that reads version t, at t modulo its length.
        velocities: (owners, n).
        state: (5, n): curvature, its denominator, last gradient, last view, movement.
        work: workspace, gradient and indices.
        update: memory, direct, kind, strength, curvature_memory, ahead, movement_memory, and the
            largest secant.
        step: η.
    """
    workspace, g, indices = work
    curve, spread, last_gradient, last_view, movement = state
    one = x.dtype.type(1)
    rate, share, strength = one / x.dtype.type(update[0]), x.dtype.type(update[1]), x.dtype.type(update[3])
    slow, ahead, quick = one / x.dtype.type(update[4]), x.dtype.type(update[5]), one / x.dtype.type(update[6])
    kind, eta, tiny = int(update[2]), x.dtype.type(step), x.dtype.type(1e-12)
    most = x.dtype.type(update[7])
    n, (plan, inputs, labels) = x.size, data
    low, high = span
    for t in range(low, high):
        view = views[rows[t, 0] % len(views)]
        count = draw_batch(indices, rows[t, 1], samples, batch_size, seed, True)
        gradient(view, g, indices[:count], plan, workspace, inputs, labels)
        if kind == SQUARE:
            for i in range(n):
                g[i] += strength * g[i] * g[i] * (x[i] - view[i])
        elif kind in (NORMED, FISHER, ROOT):
            fix = one / (one - (one - slow) ** (t + 1))  # of a running mean that began at 0
            for i in range(n):
                curve[i] += slow * (g[i] * g[i] - curve[i])
                mean = curve[i] * fix
                if kind == NORMED:
                    h = g[i] * g[i] / np.sqrt(mean + tiny)
                elif kind == FISHER:
                    h = mean
                else:
                    h = np.sqrt(mean)
                g[i] += strength * h * (x[i] - view[i])
        elif kind == SECANT:
            for i in range(n):
                if t > 0:
                    dv = view[i] - last_view[i]
                    curve[i] += slow * ((g[i] - last_gradient[i]) * dv - curve[i])
                    spread[i] += slow * (dv * dv - spread[i])
                last_gradient[i], last_view[i] = g[i], view[i]
                h = min(max(curve[i] / (spread[i] + tiny * tiny), x.dtype.type(0)), most)
                g[i] += strength * h * (x[i] - view[i])
        velocity = velocities[rows[t, 3] % len(velocities)]
        target = views[(t + 1) % len(views)]
        for i in range(n):
            velocity[i] += rate * (g[i] - velocity[i])
            move = eta * (share * g[i] + (one - share) * velocity[i])
            x[i] -= move
            movement[i] += quick * (-move - movement[i])
            target[i] = x[i] + ahead * movement[i]
        if not np.isfinite(x[0] + x[n // 2] + x[n - 1]):
            return -1
    return high


def arrival(problem, rows, update, step_size, targets, *, seed, every=50, most=8000):
    """The number of updates until an evaluated training loss is at most each of the targets; NaN where it never is.

    The run ends at the last target, at `most` updates, or where it diverges: a loss above ten times the first.
    """
    problem.compile()
    n, dtype = problem.n_params, problem.dtype
    x = problem.init(seed)
    views = np.tile(x, (int(rows[:, 2].max()) + 1, 1))
    state = tuple(np.zeros((5, n), dtype))
    velocities = np.zeros((int(rows[:, 3].max()) + 1 if update.own else 1, n), dtype)
    work = np.empty(problem.workspace_size(BATCH), dtype), np.empty(n, dtype), np.empty(BATCH, np.int64)
    largest = 100.0 if problem.constants is None else problem.constants.L
    shown = update.memory, update.direct, update.kind, update.strength, update.curvature_memory
    numbers = np.array([*shown, update.ahead, update.movement_memory, largest])
    data = problem.plan, problem.inputs, problem.flat_labels
    first = problem.evaluate(x, limit=SAMPLES)[0]
    found, done = [np.nan] * len(targets), 0
    while done < most:
        done = advance(
            problem.gradient, data, problem.n_samples, rows, (done, min(done + every, most)), x, views, velocities,
            state, work, BATCH, seed, numbers, step_size,
        )  # fmt: skip
        loss = problem.evaluate(x, limit=SAMPLES)[0] if done > 0 else np.inf
        if not loss <= 10 * max(first, 1e-12):
            return found, "diverged"
        for i, target in enumerate(targets):
            if np.isnan(found[i]) and loss <= target:
                found[i] = float(done)
        if not np.isnan(found[-1]):
            return found, "converged"
    return found, "finished"


def rows_of(timing, workers, updates, seed):
    """A schedule's read_version, batch, tau and worker, one row per update."""
    made = ab.schedule(timing, workers=workers, updates=updates, seed=seed)
    return np.stack([made.rows[name].astype(np.int64) for name in ("read_version", "batch", "tau", "worker")], axis=1)
