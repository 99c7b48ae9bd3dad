"""When evaluations end a run: at a target, or when what is monitored has not improved for a while.

Only evaluations that are due, those of every `eval_every`-th version, count for `patience`. So a run that is
interrupted, evaluated there, and goes on stops where it would have stopped.
"""

import math
from collections.abc import Iterable

from ..errors import UsageError
from ..record.schema import METRICS
from .evaluation import Evaluation
from .options import Options

_BETTER_IF_HIGHER = [metric.column for metric in METRICS if metric.rises]


class Stopping:
    """Looks at the evaluations of a run in their order, and says which one ends it.

    Args:
        options: the checked arguments.
        reached: the evaluation in an earlier part of the run that was at a target: there is no stop there again.
        passed: no version up to this one is a reason to stop: the run has been there, and went on.
    """

    def __init__(self, options: Options, reached: Evaluation | None = None, passed: int = -1) -> None:
        self._options, self._passed = options, passed
        self.reached = reached
        self._monitor = options.monitor
        self._best: float | None = None  # the larger the better
        self._best_step = self._since = 0  # evaluations since the best one

    @property
    def reason(self) -> str:
        """Why `patience` ends the run, in words."""
        count = self._options.patience
        return (
            f"patience: {self._monitor} has not improved since version {self._best_step:,}, in {count:,} evaluations"
        )

    def take_up(self, known: Iterable[Evaluation]) -> None:
        """Go on after these evaluations, which the run has passed."""
        for evaluation in known:
            self.at_target(evaluation)
            self.is_enough(evaluation)

    def at_target(self, evaluation: Evaluation) -> bool:
        """Whether a target is reached for the first time."""
        loss = self._options.target_loss
        reached = (loss is not None and evaluation.train_loss <= loss) or any(
            getattr(evaluation, name) >= target for name, target in _targets(self._options).items()
        )
        if not reached or self.reached is not None:
            return False
        self.reached = evaluation
        return evaluation.step > self._passed

    def is_enough(self, evaluation: Evaluation) -> bool:
        """Whether patience is at its end. The count begins anew then, should the run go on."""
        patience = self._options.patience
        if patience is None or evaluation.step % self._options.eval_every:
            return False
        if self._monitor is None:
            self._monitor = "train_loss" if math.isnan(evaluation.test_loss) else "test_loss"
        value = getattr(evaluation, self._monitor) * (1 if self._monitor in _BETTER_IF_HIGHER else -1)
        self._since += 1
        if self._best is None or value > self._best:  # False for NaN
            self._best, self._best_step, self._since = value, evaluation.step, 0
        if self._since < patience:
            return False
        self._since = 0
        return evaluation.step > self._passed


def _targets(options: Options) -> dict[str, float]:
    """What is to be reached of the metrics of which more is better, by their names."""
    targets = {"test_accuracy": options.target_accuracy, "test_r2": options.target_r2}
    return {name: target for name, target in targets.items() if target is not None}


def check_measured(options: Options, initial: Evaluation) -> None:
    """UsageError if a run waits for a figure that its problem does not have.

    Args:
        options: the checked arguments.
        initial: the evaluation of the initial parameters.
    """
    figures = {name: value for name, value in vars(initial).items() if name not in ("step", "t")}
    waited = {name: name.replace("test", "target") for name in _targets(options)}
    if options.monitor is not None:
        waited[options.monitor] = "monitor"
    for name, argument in waited.items():
        if math.isnan(figures[name]):
            measured = ", ".join(name for name, value in figures.items() if not math.isnan(value))
            raise UsageError(
                f"{argument} is {getattr(options, argument)}, but this problem has no {name}; "
                f"it has {measured or 'none'}"
            )
