"""The arguments of `train`, checked and resolved."""

from __future__ import annotations

import math
import operator
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import UsageError, unknown
from ..problems.base import Problem
from ..schemes import Hogwild, Scheme, Sequential, Synchronous, simulated_only
from .shared import NEVER

MAX_WORKERS = 1024
MAX_SIMULATED, SIMULATED_WORKERS = 2**24, 16  # workers in virtual time: at most, and by default
MomentumKind = Literal["per_worker", "shared"]


@dataclass(frozen=True)
class Options:
    """What a run does, apart from its problem and its rule."""

    scheme: Scheme
    workers: int
    step_size: float
    batch_size: int
    updates: int
    seed: int
    momentum: float
    momentum_kind: MomentumKind
    weight_decay: float
    compensation: float
    reshuffle: bool
    target_loss: float | None
    max_seconds: float | None
    divergence_factor: float
    eval_every: int
    eval_samples: int | None
    worker_tables: bool
    pin_workers: bool

    @property
    def always_fresh(self) -> bool:
        """Whether no update is ever stale, because of the scheme."""
        return isinstance(self.scheme, Sequential | Synchronous)

    @property
    def rows_per_version(self) -> int:
        """Rows of applied updates that make one version."""
        return self.scheme.gradients(self.workers) if isinstance(self.scheme, Synchronous) else 1

    @property
    def shares_momentum(self) -> bool:
        """Whether the velocity is shared by the workers (without staleness there is one in any case)."""
        return self.momentum != 0 and self.momentum_kind == "shared" and not self.always_fresh


def cores() -> list[int]:
    """The cores this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def whole(name: str, value: object, least: int, most: int | None = None, why: str = "") -> int:
    """`value` as an integer in [least, most]."""
    bounds = f"at least {least}" if most is None else f"from {least} to {most}"
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"{name} is {value!r}: must be an integer, {bounds}{why}") from None
    if number < least or (most is not None and number > most):
        raise UsageError(f"{name} is {number}: must be {bounds}{why}")
    return number


def real(
    name: str,
    value: object,
    least: float,
    *,
    below: float = math.inf,
    open_at_least: bool = False,
    dtype: np.dtype[Any] = np.dtype(np.float64),  # noqa: B008 (immutable)
) -> float:
    """`value` as a finite float in [least, below), or (least, below), also when it is rounded to `dtype`."""
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {value!r}: must be a number") from None
    with np.errstate(over="ignore"):
        rounded = float(dtype.type(number))
    low_enough = rounded > least if open_at_least else rounded >= least
    if not (low_enough and rounded < below):
        bounds = f"{'>' if open_at_least else '>='} {least:g}" + (f" and < {below:g}" if below < math.inf else "")
        raise UsageError(f"{name} is {number}: must be finite, {bounds}, in {dtype}")
    return number


def resolve(
    problem: Problem,
    *,
    scheme: Scheme,
    workers: int | None,
    step_size: float,
    batch_size: int,
    epochs: int | None,
    updates: int | None,
    seed: int,
    momentum: float,
    momentum_kind: MomentumKind,
    weight_decay: float,
    compensation: float,
    reshuffle: bool,
    target_loss: float | None,
    max_seconds: float | None,
    divergence_factor: float,
    eval_every: int | None,
    eval_samples: int | None,
    worker_tables: bool,
    pin_workers: bool = False,
    simulated: bool = False,
) -> Options:
    """Check every argument and fill in what was left open; UsageError names the first that cannot be used.

    With `simulated`, for a run in virtual time.
    """
    if not isinstance(problem, Problem):
        raise UsageError(f"problem is {problem!r:.80}: must be a Problem, for example asapnb.lenet(data)")
    if not isinstance(scheme, Scheme):
        raise UsageError(f"scheme is {scheme!r:.80}: must be a scheme, for example asapnb.Leashed(persistence=1)")
    if not simulated and (only := simulated_only(scheme)):
        raise UsageError(f"scheme is {scheme}: real threads have no {only}; run it in virtual time with simulate")
    if workers is None:
        workers = 1 if isinstance(scheme, Sequential) else SIMULATED_WORKERS if simulated else len(cores())
    workers = whole("workers", workers, 1, MAX_SIMULATED if simulated else MAX_WORKERS)
    check_workers(scheme, workers)
    size = whole("batch_size", batch_size, 1, problem.n_samples, " (the training samples)")
    per_epoch = updates_per_epoch(problem, scheme, workers, size)
    if momentum_kind not in ("per_worker", "shared"):
        raise unknown("momentum_kind", momentum_kind, ("per_worker", "shared"))
    if eval_every is None:
        eval_every = per_epoch
    return Options(
        scheme=scheme,
        workers=workers,
        step_size=real("step_size", step_size, 0, dtype=problem.dtype, open_at_least=True),
        batch_size=size,
        updates=_quota(epochs, updates, per_epoch),
        seed=whole("seed", seed, 0, 2**63 - 1),
        momentum=real("momentum", momentum, 0, below=1, dtype=problem.dtype),
        momentum_kind=momentum_kind,
        weight_decay=real("weight_decay", weight_decay, 0, dtype=problem.dtype),
        compensation=_compensation(compensation, scheme, problem.dtype, simulated),
        reshuffle=_switch("reshuffle", reshuffle),
        target_loss=None if target_loss is None else real("target_loss", target_loss, -math.inf, open_at_least=True),
        max_seconds=None if max_seconds is None else real("max_seconds", max_seconds, 0, open_at_least=True),
        divergence_factor=real("divergence_factor", divergence_factor, 1, open_at_least=True),
        eval_every=whole("eval_every", eval_every, 0, 2**46, why=" (0: only at the start and at the end)") or NEVER,
        eval_samples=None if eval_samples is None else whole("eval_samples", eval_samples, 1),
        worker_tables=_switch("worker_tables", worker_tables),
        pin_workers=_switch("pin_workers", pin_workers),
    )


def check_workers(scheme: Scheme, workers: int) -> None:
    """UsageError unless so many workers can do this."""
    if isinstance(scheme, Sequential) and workers != 1:
        raise UsageError(f"workers is {workers}: the scheme Sequential has one; for more choose another scheme")
    if isinstance(scheme, Synchronous) and not scheme.batches and scheme.gradients(workers) > workers:
        raise UsageError(f"{scheme} with {workers} workers: a round cannot wait for more gradients than workers")


def _compensation(value: float, scheme: Scheme, dtype: np.dtype[Any], simulated: bool) -> float:
    strength = real("compensation", value, 0, dtype=dtype)
    if strength and scheme == Hogwild("in_place") and not simulated:
        raise UsageError(
            f"compensation is {strength}: it needs the view that the gradient was taken at, and Hogwild in place "
            "keeps none; choose hogwild(view=snapshot), lock-based or leashed"
        )
    return strength


def updates_per_epoch(problem: Problem, scheme: Scheme, workers: int, batch_size: int) -> int:
    """Updates in a pass over the data; a synchronous update takes as many minibatches as gradients."""
    batches = problem.batches_per_epoch(batch_size)
    return -(-batches // scheme.gradients(workers)) if isinstance(scheme, Synchronous) else batches


def _quota(epochs: int | None, updates: int | None, per_epoch: int) -> int:
    if epochs is not None and updates is not None:
        raise UsageError(f"epochs is {epochs} and updates is {updates}: give one of them")
    if updates is not None:
        return whole("updates", updates, 1, 2**46)
    return whole("epochs", 1 if epochs is None else epochs, 1, 2**46 // per_epoch) * per_epoch


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}: must be True or False")
    return value
