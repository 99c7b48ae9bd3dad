"""`forecast`: what a run would show, as far as that is known without training."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import UsageError
from ..markup import block, table
from ..markup import pairs as listed
from ..optimizers import SGD, Optimizer
from ..problems.base import Problem
from ..record import Run, load_run
from ..rules import Rule, as_rule, constant
from ..schedules import StepSchedule
from ..schedules import constant as unscheduled
from ..schemes import LockBased, Scheme
from ..simulator.run import schedule_of
from ..theory import StableStep
from ..timing import Timing, as_timing, exponential
from ..training.apart import abandonable
from ..training.arguments import documented
from ..training.options import MomentumKind, Options
from ..training.prior import PriorLike
from ..training.warm_start import StartLike
from ..workforce import WorkersLike
from . import parts
from .estimates import SAMPLES
from .figures import Figures, measured
from .known import Known, known


@dataclass(frozen=True, repr=False)
class Forecast:
    """What a run would show; made by `forecast`. None stands for what is not known.

    Attributes:
        options: the arguments, checked.
        rule: the step-size rule.
        timing: how long gradients, reads, updates and messages take.
        objective: what is minimised: its text, `n_params` and `n_samples`.
        simulated: the figures of a schedule, which are those of a simulated run with these arguments.
        known: what formulas say about the long run.
        measured: the figures of the run `beside`.
        beside: the name of that run; "" if there is none.
        stable: the largest stable λη₀, for the curvature λ.
        L: the largest curvature.
        noise: the variance of a minibatch's gradient, summed over the coordinates.
        vectors: how many vectors, each as long as the parameters, a run on threads holds in memory. On MPI it is
            those of the server.
        memory: the bytes of these vectors, without the data.
        vectors_simulated: how many such vectors a simulated run holds at most.
        notes: further remarks, a sentence each.
    """

    options: Options
    rule: Rule
    timing: Timing
    objective: parts.Objective
    simulated: Figures
    known: Known
    measured: Figures | None
    beside: str
    stable: StableStep | None
    L: parts.Constant | None
    noise: parts.Constant | None
    vectors: int | None
    memory: int | None
    vectors_simulated: int
    notes: tuple[str, ...]

    @property
    def largest_step(self) -> float | None:
        """The largest stable step size η₀ on a quadratic of curvature L."""
        return None if self.stable is None or self.L is None else self.stable.step / self.L.value

    @property
    def largest_step_error(self) -> float | None:
        """The standard error of `largest_step`, from those of the limit and of L."""
        if self.stable is None or self.L is None or self.largest_step in (None, math.inf):
            return None
        relative = math.hypot(self.stable.error / self.stable.step, self.L.error / self.L.value)
        return self.stable.step / self.L.value * relative

    @property
    def largest_curvature(self) -> float | None:
        """The largest curvature for which the step size is stable, in loss / x²."""
        return None if self.stable is None else self.stable.step / self.options.step_size

    @property
    def noise_loss(self) -> float | None:
        """The loss that noise leaves near a minimum, to first order in the step: η₀ σ² E[s²] / (4 E[s] (1 − μ)).

        When a run has settled, its mean loss stays this far above the smallest loss. Here s is the scale, σ² the
        noise and μ the momentum; the factor 1 − μ is left out if momentum has a direct share. The formula holds for
        step sizes far below the largest stable one. None for an optimizer such as Adam, whose steps depend on more.
        """
        mean, variance = self.simulated.mean_scale, self.simulated.scale_variance
        if self.noise is None or not mean or variance is None or self.options.optimizer.moments:
            return None
        least = self.options.step_size * self.noise.value * (mean + variance / mean) / 4
        return least if self.options.direct_share else least / (1 - self.options.momentum)

    @cached_property
    def lines(self) -> list[tuple[str, str, str, str]]:
        """The figures as texts: for each its name, the forecast, the value by a formula, and the measured value."""
        from .shown import lines_of

        return lines_of(self)

    @cached_property
    def facts(self) -> list[tuple[str, str]]:
        """Further facts about steps, noise and memory, as names and texts."""
        from .shown import facts_of

        return facts_of(self)

    def __repr__(self) -> str:
        step = "" if self.largest_step is None else f", largest stable step {self.largest_step:.4g}"
        return (
            f"<Forecast of {self.options.scheme}, {self.options.workforce.said}, rule {self.rule}: mean staleness "
            f"{self.simulated.mean_staleness:.4g}{step}>"
        )

    def _repr_html_(self) -> str:
        rows = table(("", "forecast", "formula", "measured"), self.lines, (False, True, True, True))
        return block(rows, listed(self.facts), title=repr(self)[1:-1])


@documented("forecast")
def forecast(
    problem: Problem | None = None,
    scheme: Scheme | str = LockBased(),  # noqa: B008 (frozen)
    rule: Rule | str | Callable[..., Any] = constant(),  # noqa: B008 (frozen)
    workers: WorkersLike | None = None,
    step_size: float = 0.01,
    batch_size: int = 16,
    *,
    schedule: StepSchedule | str | Callable[..., Any] = unscheduled(),  # noqa: B008 (frozen)
    timing: Timing | str | dict = Timing(exponential(1)),  # noqa: B008 (frozen)
    epochs: int | None = None,
    updates: int | None = None,
    seed: int = 0,
    timing_seed: int | None = None,
    start: StartLike | None = None,
    optimizer: Optimizer | str = SGD(),  # noqa: B008 (frozen)
    momentum: float = 0.0,
    momentum_kind: MomentumKind = "per_worker",
    direct_share: float = 0.0,
    local_steps: int = 1,
    worker_tables: bool = False,
    prior: PriorLike | None = None,
    L: float | None = None,
    noise: float | None = None,
    n_params: int | None = None,
    n_samples: int | None = None,
    estimate: bool = False,
    samples: int = SAMPLES,
    beside: Run | str | os.PathLike[str] | None = None,
) -> Forecast:
    """Forecast what a run would show: staleness, scales, the largest stable step, pace and memory.

    The forecast makes the schedule that `simulate` would make with the same arguments. So staleness, scales and
    virtual times are exactly those that it would record. Without `epochs` and `updates` the schedule has 100,000
    gradients, or 4 for each worker if that is more. The largest stable step is that of `asapnb.theory.stable_step`,
    divided by L.

    Args:
        problem: what the run would minimise. Or None; then give L, noise, n_params and n_samples, as far as you know
            them.
        {arguments}
        L: the largest curvature, in loss / x²; by default that of the problem, if it is known.
        noise: σ², the variance of a minibatch's gradient, summed over the coordinates, in (loss / x)²; by default
            that of the problem, if it is known.
        n_params: the number of parameters, if there is no problem.
        n_samples: the number of training samples, if there is no problem.
        estimate: estimate L and noise at the initial parameters, unless they are given. See
            `asapnb.forecasting.smoothness` and `asapnb.forecasting.gradient_variance`.
        samples: estimate L from at most this many training samples.
        beside: a run, or its file, whose figures are shown beside the forecast.

    Returns:
        The `Forecast`.

    Raises:
        UsageError, RuleError, RecordError: for arguments that cannot be used.

    >>> found = forecast(workers=8, timing="exponential(1)", rule="tail", step_size=0.05, updates=5000, L=10.0)
    >>> found.simulated.mean_staleness.__round__(2), found.known.mean, found.largest_step.__round__(4)
    (6.99, 7.0, 0.0661)
    """
    given = locals()
    options = parts.checked(problem, given)
    chosen, law = as_rule(rule), as_timing(timing, options.workers)
    run = load_run(beside) if isinstance(beside, str | os.PathLike) else beside
    if run is not None and not isinstance(run, Run):
        raise UsageError(f"beside is {run!r:.80}: must be a Run, or the path of a run file")
    beside_it = None if run is None else measured(run)
    of, (smooth, noisy) = parts.objective(problem, given, options), parts.constants(problem, given, options)
    made = abandonable(lambda: schedule_of(law, options))
    ruled, unruled = parts.steps_of(made, chosen, options, of.n_samples)
    steady, local = options.workforce.is_steady, options.local_steps
    formulas = known(law, options.scheme, options.workers, local) if steady else Known()
    stable, unlimited = parts.limit(chosen, law, options, formulas)
    notes = (*law.notes(), unruled, unlimited, parts.differences(run, chosen, options))
    return Forecast(
        options,
        chosen,
        law,
        of,
        parts.figures(made, ruled, options, of.n_samples),
        formulas,
        beside_it,
        "" if run is None else run.name,
        stable,
        smooth,
        noisy,
        *parts.memory(of, options),
        tuple(filter(None, notes)),
    )
