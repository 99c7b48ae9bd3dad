"""The parts of a forecast: its arguments, schedule, scales, limit, constants and memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.memory import elements_of_run
from ..errors import AsapnbError, UsageError
from ..numbers import integer, real
from ..problems.base import FLOATS, Problem, check_is_problem
from ..record import Run
from ..record.schema import ABANDONED
from ..record.size import bytes_per_row
from ..record.sums import Sums
from ..rules import Pace, Rule
from ..schemes import simulated_only
from ..simulator.scales import factored, scales_of
from ..simulator.schedules import Schedule
from ..theory import StableStep, stable_step
from ..timing import Timing
from ..training.arguments import MAX_WORKERS
from ..training.options import Options, check_seen, expected_staleness, resolve_for
from ..training.steps import step_tables
from ..training.warm_start import fitting
from .estimates import Estimate, gradient_variance, smoothness
from .figures import Figures, figures_of
from .known import Known

UPDATES = 100_000  # of the schedule, unless said otherwise
_ROUNDS = 4  # updates for each worker, at least
_REPLICAS = 100  # executions from which a largest stable step is found
_MOST = 512  # workers for which a largest stable step is simulated
_UNKNOWN = 2**62  # samples, where their number is not known
_UNHEARD = ("compensation", "clip", "weight_decay")  # what changes a run, and no forecast


@dataclass(frozen=True)
class Objective:
    """What is known of what is minimised; None for what is not.

    Attributes:
        text: of the problem and its data; "" without a problem.
        n_params: number of parameters.
        n_samples: training samples.
        itemsize: bytes of a parameter.
        workspace: numbers that a worker needs as scratch.
    """

    text: str
    n_params: int | None
    n_samples: int | None
    itemsize: int
    workspace: int


@dataclass(frozen=True)
class Constant:
    """A constant of the objective.

    Attributes:
        value: of L in loss / x², of noise in (loss / x)².
        source: "given", "known" of the problem, or "estimated".
        estimate: how it was estimated, else None.
    """

    value: float
    source: str
    estimate: Estimate | None = None

    @property
    def error(self) -> float:
        """The standard error; 0 unless it was estimated."""
        return 0.0 if self.estimate is None else self.estimate.error

    def __str__(self) -> str:
        return f"{self.value:.4g}, {self.source}" if self.estimate is None else str(self.estimate)


def checked(problem: Problem | None, given: Mapping[str, Any]) -> Options:
    """The arguments, checked, with all defaults filled in.

    Args:
        problem: what is minimised, or None.
        given: the arguments of `forecast`.
    """
    dtype, count = FLOATS[0], _UNKNOWN
    if problem is not None:
        check_is_problem(problem)
        dtype, count = problem.dtype, problem.n_samples
        for name, own in (("n_params", problem.n_params), ("n_samples", count)):
            if given[name] is not None:
                raise UsageError(f"{name} is {given[name]!r:.80}: the problem has {own:,}; leave it out")
    elif given["n_samples"] is not None:
        count = integer("n_samples", given["n_samples"], 1, _UNKNOWN)
    without = [name for name in ("epochs", "start", "estimate") if given[name] not in (None, False)]
    if problem is None and (without := [one for one in without if one != "epochs" or given["n_samples"] is None]):
        needs = "n_samples, or a problem" if without == ["epochs"] else "a problem"
        raise UsageError(f"{without[-1]} is {given[without[-1]]!r:.80}: it takes {needs}; give that, or leave it out")
    integer("samples", given["samples"], 1)
    own_length = given["epochs"] is None and given["updates"] is None
    options = resolve_for("forecast", dtype, count, {**given, "updates": 1} if own_length else given)
    if own_length:
        rows = max(UPDATES, _ROUNDS * options.workers)
        options = replace(options, updates=-(-rows // options.rows_per_version))
    return options if problem is None else replace(options, start=fitting(options.start, problem))


def objective(problem: Problem | None, given: Mapping[str, Any], options: Options) -> Objective:
    """What is known of the objective."""
    if problem is None:
        n_params, n_samples = (
            None if given[name] is None else integer(name, given[name], 1, most)
            for name, most in (("n_params", 2**46), ("n_samples", _UNKNOWN))
        )
        return Objective("", n_params, n_samples, FLOATS[0].itemsize, 0)
    data = f" on {problem.data.name}" if problem.data is not None else ""
    workspace = problem.workspace_size(options.batch_size)
    return Objective(f"{problem.name}{data}", problem.n_params, problem.n_samples, problem.dtype.itemsize, workspace)


def steps_of(made: Schedule, rule: Rule, options: Options, n_samples: int | None) -> tuple[Any, str]:
    """The columns that the rule makes of each row of a schedule, or None and why there are none."""
    if "loss" in rule.sees or ("epoch" in rule.sees and n_samples is None):
        unseen = "loss, which no forecast knows" if "loss" in rule.sees else "epoch: give n_samples"
        return None, f"The rule {rule} sees the {unseen}, so its scales are not known."
    check_seen(rule, options)
    per_epoch = options.updates
    if n_samples is not None:
        per_epoch = options.per_epoch(n_samples)
    scales = scales_of(
        made.rows,
        rule,
        options.workforce,
        per_worker=options.worker_tables,
        always_fresh=options.always_fresh,
        prior=partial(expected_staleness, options),
        seed=options.seed,
        pace=Pace(options.updates, per_epoch),
    )
    return factored(scales, made.rows, step_tables(options.schedule, rule, options.updates)).columns, ""


def figures(made: Schedule, ruled: Any, options: Options, n_samples: int | None) -> Figures:
    """The figures of a schedule and the columns that the rule made of it; without these, none of scales."""
    columns: dict[str, NDArray[Any]] = {name: made.rows[name] for name in made.rows.dtype.names or ()}
    ones = np.ones(len(made.rows), np.float32)
    columns |= {name: ones if ruled is None else ruled[name] for name in ("row", "scale", "factor", "dropped")}
    columns["dropped"] = made.rows["dropped"] if ruled is None else ruled["dropped"]
    kept = columns["dropped"] != ABANDONED
    sums = Sums(options.workers)
    sums.add(columns, np.zeros(int(kept.sum()), bool))
    batches = None if n_samples is None else -(-n_samples // (options.batch_size * options.local_steps))
    losses = np.random.default_rng(0).random(len(made.rows))  # as hard to compress as any
    steps = columns["scale"][kept].astype(np.float64) * columns["factor"][kept]
    found = figures_of(sums, steps, made.seconds, batches, bytes_per_row({**columns, "loss": losses}))
    return found if ruled is not None else replace(found, mean_scale=None, scale_variance=None, effective_delay=None)


def limit(rule: Rule, timing: Timing, options: Options, formulas: Known) -> tuple[StableStep | None, str]:
    """The largest stable step on a quadratic, or None and why there is none."""
    if options.local_steps > 1:
        return None, "The largest stable step with local_steps is not known, only that of single gradients."
    if options.optimizer.moments:
        return None, f"The largest stable step of {options.optimizer} is not known, only that of sgd (and momentum)."
    if options.orders_momentum:
        return None, "The largest stable step of ordered momentum is not known."
    if not options.workforce.is_steady:
        return None, "There is no largest stable step, because the number of workers changes."
    if options.workers > _MOST and formulas.staleness is None:
        return None, (
            f"The largest stable step of {options.workers:,} workers would take minutes: asapnb.theory.stable_step "
            "computes it."
        )
    try:
        found = stable_step(
            rule,
            workers=options.workers,
            timing=timing,
            scheme=options.scheme,
            momentum=options.momentum,
            momentum_kind=options.momentum_kind,
            direct_share=options.direct_share,
            replicas=_REPLICAS,
            seed=options.seed,
        )
    except AsapnbError as error:
        return None, f"There is no largest stable step: {error}."
    scheduled = str(options.schedule) != "constant()"
    return found, "The largest stable step is that of the step size times its schedule." if scheduled else ""


def constants(
    problem: Problem | None, given: Mapping[str, Any], options: Options
) -> tuple[Constant | None, Constant | None]:
    """L and the noise: given, estimated or known."""
    found: dict[str, Constant] = {}
    if problem is not None and (known := problem.constants) is not None:
        if known.L is not None:
            found["L"] = Constant(known.L, "known")
        if known.noise is not None:
            found["noise"] = Constant(known.noise / options.batch_size, "known")
    if problem is not None and given["estimate"]:
        at, seed = options.initial(problem), options.seed
        if given["L"] is None:
            estimate = smoothness(problem, at, samples=given["samples"], seed=seed)
            found["L"] = Constant(estimate.value, "estimated", estimate)
        if given["noise"] is None:
            estimate = gradient_variance(problem, at, batch_size=options.batch_size, seed=seed)
            found["noise"] = Constant(estimate.value, "estimated", estimate)
    if given["L"] is not None:
        found["L"] = Constant(real("L", given["L"], 0, above=True), "given")
    if given["noise"] is not None:
        found["noise"] = Constant(real("noise", given["noise"], 0), "given")
    return found.get("L"), found.get("noise")


def memory(of: Objective, options: Options) -> tuple[int | None, int | None, int]:
    """Vectors and bytes of a real run, None if there is none, and the vectors of a simulated one, at most.

    Of a run on MPI they are those of the server.
    """
    moments = options.moments * options.sets_of_moments
    simulated = (2 if options.always_fresh else options.workers + 1) + moments + 2 * options.table
    if simulated_only(options.scheme) or options.workers > MAX_WORKERS:
        return None, None, simulated
    vectors = elements_of_run(1, 0, options)
    if of.n_params is None:
        return vectors, None, simulated
    return vectors, elements_of_run(of.n_params, of.workspace, options) * of.itemsize, simulated


def differences(run: Run | None, rule: Rule, options: Options) -> str:
    """In what a run differs from what is forecast; empty if in nothing that counts."""
    if run is None:
        return ""
    ours = {"scheme": options.scheme, "rule": rule, "workers": options.workforce, "step_size": options.step_size,
            "batch_size": options.batch_size, "optimizer": options.optimizer, "momentum": options.momentum,
            "direct_share": options.direct_share, "schedule": options.schedule,
            "local_steps": options.local_steps}  # fmt: skip
    theirs = {**run.config, "workers": run.config.get("workers", run.attributes["workers"])}
    found = [f"{name} {theirs[name]}" for name, value in ours.items() if str(theirs.get(name, value)) != str(value)]
    found += [f"{name} {theirs[name]}" for name in _UNHEARD if theirs.get(name)]
    return f"{run.name} differs from the forecast: it has {', '.join(found)}." if found else ""
