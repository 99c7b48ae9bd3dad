"""What the estimators share: their parameters, training, and the forward pass."""

import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data import Dataset
from ..data.dataset import PLAIN, Split
from ..engine import train
from ..numbers import choice, integer
from ..optimizers import Optimizer
from ..problems import Problem, mlp
from ..record import Run
from ..rules import Rule
from ..schedules import StepSchedule
from ..schemes import Scheme, as_scheme
from ..simulator import simulate
from ..text import filled
from ..training.options import default_workers

ENGINES = ("threads", "simulate")
_MINIBATCHES = 8  # of each worker in an epoch, at least, where nobody says how many workers there are


@dataclass(eq=False, repr=False)
class AsyncSGD(BaseEstimator):
    """What estimators share: parameters, training, and the forward pass."""

    hidden: Sequence[int] = (100,)
    _: KW_ONLY
    scheme: Scheme | str = "lock-based"
    rule: Rule | str | Callable[..., Any] = "constant"
    schedule: StepSchedule | str | Callable[..., Any] = "constant"
    workers: int | None = None
    step_size: float = 0.01
    batch_size: int = 32
    epochs: int = 50
    optimizer: Optimizer | str = "sgd"
    momentum: float = 0.0
    momentum_kind: str = "per_worker"
    direct_share: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    local_steps: int = 1
    shards: str | None = None
    worker_tables: bool = False
    target_loss: float | None = None
    patience: int | None = None
    max_seconds: float | None = None
    record: str = "updates"
    engine: str = "threads"
    timing: Any = "exponential(1)"
    warm_start: bool = False
    random_state: Any = None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.engine == "threads"  # which thread comes first is up to the machine
        return tags

    def _minimised(self, inputs: NDArray[np.float32], labels: NDArray[Any], classes: tuple[str, ...] = ()) -> Problem:
        """The problem of checked arrays; nothing is held back to test on.

        Args:
            inputs: (n, features).
            labels: as `Dataset` has them.
            classes: their names.
        """
        raw = np.require(inputs, np.float32, PLAIN)[:, :, None, None]
        data = Dataset("data of an estimator", Split(raw, labels), Split(raw[:0], labels[:0]), classes)
        return mlp(data, self.hidden)

    def _train(self, problem: Problem, **changed: Any) -> None:
        """Train, with these arguments in the place of the estimator's, and keep what came of it."""
        threaded = choice("engine", self.engine, ENGINES) == "threads"
        arguments = {name: getattr(self, name) for name in _PASSED_ON} | changed
        arguments["batch_size"] = batch_size = min(integer("batch_size", self.batch_size, 1), problem.n_samples)
        if self.workers is None:
            several = problem.batches_per_epoch(batch_size) // _MINIBATCHES
            arguments["workers"] = max(1, min(several, default_workers(as_scheme(self.scheme), threaded)))
        arguments["seed"] = check_random_state(self.random_state).randint(2**31 - 1)
        arguments["progress"] = False  # of one fit of many, perhaps
        made = train(problem, **arguments) if threaded else simulate(problem, timing=self.timing, **arguments)
        if made.status == "interrupted":
            raise KeyboardInterrupt
        self._keep(made, problem)

    def _keep(self, run: Run, problem: Problem) -> None:
        params = run.params["final"]
        tensors = [params[at : at + prod(shape)].reshape(shape).copy() for _, shape, at in problem.layout]
        self.run_, self.staleness_ = run, run.staleness
        self.coefs_, self.intercepts_ = tensors[::2], tensors[1::2]
        self.loss_curve_ = run.evals["train_loss"].tolist()
        self.loss_ = self.loss_curve_[-1]
        per_epoch = run.attributes["batches_per_epoch"]
        self.n_iter_ = -(-run.sums.numbers["applied"] * run.local_steps // per_epoch)
        if run.status == "diverged":
            warnings.warn(
                f"the run diverged after {run.made:,} updates: scale the inputs, as StandardScaler does, or take a "
                f"step_size below {self.step_size:g}",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _parameters(self) -> NDArray[np.float32]:
        """Those that were learned, flat, to go on from."""
        return np.concatenate(
            [one.ravel() for pair in zip(self.coefs_, self.intercepts_, strict=True) for one in pair]
        )

    def _goes_on(self) -> bool:
        return bool(self.warm_start) and hasattr(self, "coefs_")

    def _outputs(self, X: ArrayLike) -> NDArray[np.float64]:
        """The outputs for each sample, (n, outputs): classes, or targets."""
        check_is_fitted(self)
        found = validate_data(self, X, dtype=np.float32, reset=False).astype(np.float64)
        for i, (coefs, intercepts) in enumerate(zip(self.coefs_, self.intercepts_, strict=True)):
            found = (np.maximum(found, 0) if i else found) @ coefs + intercepts
        return found


_PASSED_ON = tuple(
    name
    for name in AsyncSGD().get_params()
    if name not in ("hidden", "engine", "timing", "warm_start", "random_state")
)


_ARGUMENTS = """hidden: the units of each hidden layer; () for a linear model.
        scheme: how the workers share the parameters: "lock-based", "hogwild", "leashed", …; see `asapnb.schemes`.
        rule: the step-size rule: "constant", "tail", …, or your own; see `asapnb.rules`.
        schedule: the factor of the step over time, such as "warmup(500)"; see `asapnb.schedules`.
        workers: the number of workers. None is one per core, but at most an eighth of the minibatches of an epoch. So
            small data sets have one worker.
        step_size: η₀, the step size before scale and factor.
        batch_size: samples in a minibatch. If there are fewer samples, it is their number.
        epochs: passes over the data.
        optimizer: "sgd", "adam", …, with options as in "adam(beta1=0.8)"; see `asapnb.optimizers`.
        momentum: μ; see `asapnb.train`.
        momentum_kind: the kind of velocity: "per_worker", "shared" or "ordered"; see `asapnb.train`.
        direct_share: the share of a gradient that is applied at once, beside momentum; see `asapnb.train`.
        weight_decay: λ; λ · parameters is added to every gradient.
        clip: the largest norm of a gradient; longer ones are scaled down to it. None clips nothing.
        local_steps: steps that a worker makes on its own copy before it updates; see `asapnb.train`.
        shards: "iid", "label", …: each worker has its own part of the samples; see `asapnb.train`.
        worker_tables: give each worker its own scale table; see `asapnb.train`.
        target_loss: stop when the training loss of an epoch is at most this.
        patience: stop when the training loss has not improved in this many epochs; None never stops.
        max_seconds: stop after this many seconds of training, or virtual seconds if it is simulated.
        record: "updates" keeps a row for each update in `run_`, "summary" only counts and sums; see `asapnb.train`.
        engine: "threads" or "simulate". Real threads are not reproducible if there are several workers. A simulation
            in virtual time gives the same bits for the same `random_state`.
        timing: how long workers take in a simulation; see `asapnb.timing`.
        warm_start: whether `fit` continues from the parameters of the last `fit`.
        random_state: the initial parameters and the order of the data follow from it."""
_ATTRIBUTES = """run_: the `asapnb.Run`, with the staleness, scale and loss of every update.
        staleness_: the exact distribution of the staleness, a `StalenessDistribution`.
        loss_curve_: the training loss at the start and after each epoch.
        loss_: the last training loss.
        n_iter_: how many epochs were made.
        coefs_: the weights of each layer, (inputs, outputs).
        intercepts_: the biases of each layer.
        n_features_in_: as in every estimator of scikit-learn.
        feature_names_in_: likewise."""

E = TypeVar("E", bound=type)


def described(estimator: E) -> E:
    """Fill the lines {arguments} and {attributes} of a class's docstring."""
    for place, text in (("arguments", _ARGUMENTS), ("attributes", _ATTRIBUTES)):
        estimator.__doc__ = filled(estimator.__doc__, place, textwrap.dedent(" " * 8 + text))
    return estimator
