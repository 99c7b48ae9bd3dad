"""The arguments of a run, checked and resolved for its problem."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RuleError, UsageError
from ..numbers import integer
from ..optimizers import Optimizer
from ..problems.base import Problem, check_is_problem
from ..problems.shards import Shards, shards
from ..record.schema import ROWS, kept_type
from ..rules import Pace, Rule
from ..rules.tables import FRESH
from ..schedules import StepSchedule
from ..schemes import Scheme
from ..staleness import StalenessDistribution
from ..workforce import Workforce, as_workforce, workforce_of
from .arguments import MOST_UPDATES, SIMULATED_WORKERS, Command, check, most_workers
from .cores import at_once
from .exclusions import check_together
from .possible import (
    check_elastic,
    check_known,
    check_patience,
    check_place,
    check_possible,
    check_steps,
    check_views,
)
from .prior import Prior
from .warm_start import Start, fitting
from .words import NEVER

Monitor = Literal["train_loss", "test_loss", "test_accuracy", "test_r2", "test_rmse"]
KeptParams = Literal["evals"]
Record = Literal["updates", "summary"]
MomentumKind = Literal["per_worker", "shared", "ordered"]


@dataclass(frozen=True)
class Options:
    """The checked arguments of a run, apart from its problem and its rule, with all defaults filled in.

    `workers` is the largest number of workers that are ever in force; `workforce` says how many are, and when.
    """

    scheme: Scheme
    schedule: StepSchedule
    workers: int
    workforce: Workforce
    step_size: float
    batch_size: int
    updates: int
    seed: int
    timing_seed: int | None
    start: Start | None
    optimizer: Optimizer
    momentum: float
    momentum_kind: MomentumKind
    direct_share: float
    weight_decay: float
    compensation: float
    clip: float | None
    reshuffle: bool
    local_steps: int
    shards: Shards | None
    target_loss: float | None
    target_accuracy: float | None
    target_r2: float | None
    patience: int | None
    monitor: Monitor | None
    max_seconds: float | None
    divergence_factor: float
    eval_every: int
    eval_samples: int | None
    keep_params: KeptParams | None
    record: Record
    worker_tables: bool
    prior: Prior | None
    pin_workers: bool

    def initial(self, problem: Problem) -> NDArray[Any]:
        """The parameters that a run of this problem begins with."""
        return problem.init(self.seed) if self.start is None else self.start.params

    def groups(self, problem: Problem) -> dict[str, np.dtype[Any]]:
        """The group of the run file for parameters that are kept, with the dtype of its rows; empty if none are."""
        return {"kept": kept_type(problem.n_params, problem.dtype)} if self.keep_params else {}

    @property
    def keeps_rows(self) -> bool:
        """Whether a row is recorded for each update."""
        return self.record == ROWS

    @property
    def always_fresh(self) -> bool:
        """Whether no update is ever stale, because of the scheme."""
        return self.scheme.fresh

    @property
    def rows_per_version(self) -> int:
        """Rows that make one version: one, or the gradients of a round."""
        return self.scheme.gradients(self.workers)

    @property
    def table(self) -> int:
        """Workers with a gradient table, which says how many rows make a version; 0 without one."""
        return self.scheme.table_of(self.workers)

    @property
    def makes_means(self) -> bool:
        """Whether a version is a mean of several gradients."""
        return self.rows_per_version > 1 or self.table > 0

    def per_epoch(self, n_samples: int) -> int:
        """The updates in a pass over so many samples."""
        return updates_per_epoch(n_samples, self.scheme, self.workers, self.batch_size, self.local_steps)

    @property
    def weighs(self) -> bool:
        """Whether each gradient of a version has a scale and a factor of its own. Without staleness all are equal."""
        return self.makes_means and not self.always_fresh

    @property
    def moments(self) -> int:
        """How many vectors steps carry on, for each worker, or for all: with momentum one velocity."""
        return self.optimizer.moments or int(self.momentum != 0)

    @property
    def moments_name(self) -> str:
        """What these vectors are called in a run file."""
        return "moments" if self.optimizer.moments else "velocity"

    @property
    def shares_moments(self) -> bool:
        """Whether all workers share them. Without staleness they always do, and for a mean of gradients."""
        own = self.momentum_kind == "per_worker" and not self.optimizer.moments
        return self.moments > 0 and (not own or self.always_fresh or self.makes_means)

    @property
    def orders_momentum(self) -> bool:
        """Whether each gradient counts as at the version that it was computed at. Fresh ones do so anyway."""
        return self.momentum != 0 and self.momentum_kind == "ordered" and not self.always_fresh

    @property
    def sets_of_moments(self) -> int:
        """How many sets of these vectors there are: one for all workers, or one for each."""
        return 0 if self.moments == 0 else 1 if self.shares_moments else self.workers


def resolve(command: Command, problem: Problem, given: Mapping[str, Any]) -> Options:
    """Check the arguments of a run and fill in the defaults.

    Args:
        command: "train", also for a calibration, or "simulate", also for a replay.
        problem: what is minimised.
        given: the arguments that are given, by name; other names are ignored.

    Raises:
        UsageError: for an argument that cannot be used.
    """
    check_is_problem(problem)
    options = resolve_for(command, problem.dtype, problem.n_samples, given)
    if options.shards is not None:
        shards(problem, options.shards, options.workers, options.seed)  # or an error
    return replace(options, start=fitting(options.start, problem))


def resolve_for(command: Command, dtype: np.dtype[Any], n_samples: int, given: Mapping[str, Any]) -> Options:
    """As `resolve`, for any problem of this dtype with so many training samples; `start` is not checked."""
    values = check(command, given, dtype, n_samples)
    check_together(values)
    scheme: Scheme = values["scheme"]
    threaded = command == "train"
    if threaded:  # a schedule makes sure of the other; a replay needs neither
        check_possible(scheme, threaded=True)
        check_place(scheme, values)
        check_views(scheme, values)
    workforce = _workforce(command, scheme, values, n_samples)
    if not threaded:
        check_known(workforce)
    workers = workforce.most
    scheme.check_workers(workers)
    check_elastic(scheme, workforce)
    check_steps(scheme, values)
    per_epoch = updates_per_epoch(n_samples, scheme, workers, values["batch_size"], values["local_steps"])
    every = per_epoch if values["eval_every"] is None else values["eval_every"] or NEVER
    found = {**values, "workers": workers, "workforce": workforce, "eval_every": every}
    found["updates"] = _total(values, per_epoch)
    check_patience(values)
    return Options(**{field.name: found[field.name] for field in fields(Options)})


def _workforce(command: Command, scheme: Scheme, values: Mapping[str, Any], n_samples: int) -> Workforce:
    """The workers of a run, from what was given for them."""
    given, ranks = values["workers"], values["comm"]
    if given is None:
        return as_workforce(default_workers(scheme, command == "train") if ranks is None else ranks.workers)
    per_epoch = updates_per_epoch(n_samples, scheme, 1, values["batch_size"])  # as for any number that changes
    found = workforce_of(given, _total(values, per_epoch), most_workers(command))
    if ranks is not None and found.most != ranks.workers:
        raise UsageError(
            f"workers is {found}, and there are {ranks.workers + 1} ranks: one rank is the server, the others are "
            f"workers. Start one rank more than workers, as in mpiexec -n {found.most + 1}; a new run may leave "
            "workers out"
        )
    return found


def default_workers(scheme: Scheme, threaded: bool) -> int:
    """The default number of workers: `at_once`, or 16 in virtual time, but no more than the scheme allows."""
    several = at_once() if threaded else SIMULATED_WORKERS
    return several if scheme.most_workers is None else min(several, scheme.most_workers)


def updates_per_epoch(n_samples: int, scheme: Scheme, workers: int, batch_size: int, local_steps: int = 1) -> int:
    """Updates in a pass over the data. Each takes a minibatch for each local step, in rounds of each gradient.

    Args:
        n_samples: training samples.
        scheme: how the workers share the parameters.
        workers: how many there are.
        batch_size: samples per gradient.
        local_steps: gradients of a worker that are summed up.
    """
    batches = -(-n_samples // batch_size)
    return -(-batches // (scheme.gradients(workers) * local_steps))


def pace(problem: Problem, options: Options) -> Pace:
    """How far a run goes, for what its rule sees."""
    return Pace(options.updates, options.per_epoch(problem.n_samples))


def expected_staleness(options: Options, workers: int) -> StalenessDistribution | None:
    """What the first tables are made from, if that is known: of a scheme that makes nothing stale, or of a prior.

    Args:
        options: of the run.
        workers: how many are in force.
    """
    if options.always_fresh:
        return FRESH
    if options.prior is None:
        return None
    return options.prior.staleness(options.scheme, workers, options.local_steps)


def refreshes(rule: Rule, options: Options) -> bool:
    """Whether tables are made as the run goes on. Without staleness only what else the rule sees can change them."""
    return not options.always_fresh or bool(rule.sees)


def check_seen(rule: Rule, options: Options, threaded: bool = False) -> None:
    """RuleError if a rule names what it cannot see in this run; `threaded` says whether it is on real threads."""
    if (own := [name for name in ("worker", "own_share") if name in rule.sees]) and not options.worker_tables:
        raise RuleError(
            f"rule {rule} names {own[0]}, but all workers share one table: give worker_tables=True (--worker-tables)"
        )
    if "own_share" in rule.sees and options.rows_per_version > 1:
        raise RuleError(
            f"rule {rule} names own_share, the worker's share of the updates: under {options.scheme} several workers "
            "make an update together; choose lock-based, leashed, hogwild or parameter-server, without a buffer"
        )
    if threaded and rule.sees and options.rows_per_version > 1:
        raise RuleError(
            f"rule {rule} names {' and '.join(rule.sees)}: under {options.scheme} several gradients make a "
            "version, and a new table could come between two of them; simulate it instead"
        )


def _total(values: Mapping[str, Any], per_epoch: int) -> int:
    """The number of updates to make."""
    epochs, updates = values["epochs"], values["updates"]
    if updates is not None:
        return int(updates)
    return integer("epochs", 1 if epochs is None else epochs, 1, MOST_UPDATES // per_epoch) * per_epoch
