"""The facts of a run before it begins: the attributes of its file, and the loss above which it diverges."""

import shlex
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..compiled import KERNEL_PATH
from ..data.recorded import facts_of
from ..identity import Piece
from ..problems.base import Problem
from ..record import machine
from ..record.burn_in import NOTHING, PRIOR, RULE
from ..rules import Rule
from .drawing import shards_facts
from .evaluation import Evaluation
from .options import Options, refreshes
from .words import NEVER


def loss_limit(options: Options, initial: Evaluation) -> float:
    """The loss above which a run diverges: a multiple of the initial loss, or, if that is not above 0, very large."""
    largest = float(np.finfo(np.float32).max)
    return min(options.divergence_factor * initial.train_loss, largest) if initial.train_loss > 0 else largest


def run_attributes(problem: Problem, options: Options, rule: Rule, code: Sequence[Piece]) -> dict[str, Any]:
    """The attributes of the file of a run, as far as they are known before it begins.

    Args:
        problem: what is minimised.
        options: the checked arguments.
        rule: the step-size rule.
        code: the pieces of code of one's own.
    """
    config = {**problem.config, "rule": rule, **vars(options)}
    config["workers"] = config.pop("workforce").plain
    if options.eval_every == NEVER:
        config["eval_every"] = 0
    if options.eval_samples is None:
        config["eval_samples"] = "none"  # which would otherwise come back as the default
    return {
        "command": shlex.join(sys.argv),
        "seed": options.seed,
        "start": options.start and options.start.source,
        "config": {key: _plain(value) for key, value in config.items() if value is not None},
        "code": [piece.plain for piece in code],
        "first_table": first_table(options, rule),
        "rule_factor": None if rule.schedule is None else str(rule.schedule),
        "machine": machine(KERNEL_PATH),
        "n_params": problem.n_params,
        "n_samples": problem.n_samples,
        "batches_per_epoch": problem.batches_per_epoch(options.batch_size),
        "shards": shards_facts(problem, options),
        "data": None if problem.data is None else facts_of(problem.data),
        "data_sha256": None if problem.data is None else problem.data.sha256(),
    }


def first_table(options: Options, rule: Rule) -> dict[str, Any]:
    """What the first tables of a rule are made from, and when the next are due."""
    refresh = rule.refresh if refreshes(rule, options) else None
    made_from = RULE if rule.refresh is None or options.always_fresh else NOTHING if options.prior is None else PRIOR
    return {"made_from": made_from, "due": None if refresh is None else refresh.due(0, options.workforce.at(0))}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else str(value)
