"""Asynchronous SGD as an estimator of scikit-learn, `AsyncSGDClassifier`.

It trains linear models and multi-layer perceptrons with `asapnb.train` or `asapnb.simulate`, and goes wherever an
estimator goes: into pipelines, cross-validation and grid searches.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from .data import Dataset
from .data.dataset import PLAIN, Split
from .engine import train
from .errors import UsageError
from .extras import optional
from .numbers import choice, integer
from .problems import Problem, mlp
from .record import Run
from .rules import Rule
from .schedules import StepSchedule
from .schemes import Scheme, as_scheme
from .simulator import simulate
from .training.options import default_workers

optional("sklearn", "sklearn", "asapnb.sklearn")
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.utils import check_random_state  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

__all__ = ["AsyncSGDClassifier"]

ENGINES = ("threads", "simulate")
_MINIBATCHES = 8  # of each worker in an epoch, at least, where nobody says how many workers there are


class _AsyncSGD(BaseEstimator):
    """What estimators share: parameters, training, and the forward pass."""

    def __init__(
        self,
        hidden: Sequence[int] = (100,),
        *,
        scheme: Scheme | str = "lock-based",
        rule: Rule | str | Callable[..., Any] = "constant",
        schedule: StepSchedule | str | Callable[..., Any] = "constant",
        workers: int | None = None,
        step_size: float = 0.05,
        batch_size: int = 32,
        epochs: int = 50,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        target_loss: float | None = None,
        patience: int | None = None,
        max_seconds: float | None = None,
        engine: str = "threads",
        timing: Any = "exponential(1)",
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.scheme = scheme
        self.rule = rule
        self.schedule = schedule
        self.workers = workers
        self.step_size = step_size
        self.batch_size = batch_size
        self.epochs = epochs
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.target_loss = target_loss
        self.patience = patience
        self.max_seconds = max_seconds
        self.engine = engine
        self.timing = timing
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.engine == "threads"  # which thread comes first is up to the machine
        return tags

    def _train(self, inputs: NDArray[np.float32], labels: NDArray[Any], classes: tuple[str, ...]) -> None:
        """Train on checked arrays, and keep what came of it."""
        threaded = choice("engine", self.engine, ENGINES) == "threads"
        raw = np.require(inputs, np.float32, PLAIN)[:, :, None, None]
        data = Dataset("data of an estimator", Split(raw, labels), Split(raw[:0], labels[:0]), classes)
        problem = replace(mlp(data, self.hidden), data=None)  # nothing is held back to test on
        arguments = {name: getattr(self, name) for name in _PASSED_ON}
        arguments["batch_size"] = batch_size = min(integer("batch_size", self.batch_size, 1), problem.n_samples)
        if self.workers is None:
            several = problem.batches_per_epoch(batch_size) // _MINIBATCHES
            arguments["workers"] = max(1, min(several, default_workers(as_scheme(self.scheme), threaded)))
        arguments["seed"] = check_random_state(self.random_state).randint(2**31 - 1)
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
        self.n_iter_ = -(-len(run.updates["tau"]) // per_epoch)
        if run.status == "diverged":
            warnings.warn(
                f"the run diverged after {run.made:,} updates: scale the inputs, as StandardScaler does, or take a "
                f"step_size below {self.step_size:g}",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _outputs(self, X: ArrayLike) -> NDArray[np.float64]:
        """The outputs for each sample, (n, outputs): classes, or targets."""
        check_is_fitted(self)
        found = validate_data(self, X, dtype=np.float32, reset=False).astype(np.float64)
        for i, (coefs, intercepts) in enumerate(zip(self.coefs_, self.intercepts_, strict=True)):
            found = (np.maximum(found, 0) if i else found) @ coefs + intercepts
        return found


_PASSED_ON = tuple(
    name for name in _AsyncSGD().get_params() if name not in ("hidden", "engine", "timing", "random_state")
)


class AsyncSGDClassifier(ClassifierMixin, _AsyncSGD):
    """A linear classifier or a multi-layer perceptron with ReLU, trained by asynchronous SGD on cross-entropy.

    Args:
        {arguments}

    Attributes:
        classes_: the labels, (n_classes,).
        {attributes}

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), AsyncSGDClassifier(hidden=(16,), random_state=0)).fit(x, y)
    >>> bool(model.score(x, y) > 0.9)
    True
    """

    def fit(self, X: Any, y: Any) -> "AsyncSGDClassifier":
        """Train on inputs (n, features) and their classes, (n,); ValueError for what cannot be used."""
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(f"y has one class only, {self.classes_[0]!r}: give samples of at least two classes")
        self._train(X, labels.astype(np.int64), tuple(map(str, self.classes_)))
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The logits, (n, n_classes); of two classes the difference, second minus first, (n,)."""
        found = self._outputs(X)
        return found[:, 1] - found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The likeliest class of each sample, (n,)."""
        found = self._outputs(X)
        return self.classes_[found.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each class, (n, n_classes)."""
        return softmax(self._outputs(X), axis=1)


_ARGUMENTS = """hidden: the units of each hidden layer; () for a linear model.
        scheme: how the workers share the parameters: "lock-based", "hogwild", "leashed", …; see `asapnb.schemes`.
        rule: of step sizes by staleness: "constant", "tail", …, or one's own; see `asapnb.rules`.
        schedule: of step sizes over time, such as "warmup(500)"; see `asapnb.schedules`.
        workers: how many; None for one per core, but no more than an eighth of the minibatches of an epoch. So small
            data sets have one worker.
        step_size: of the rule.
        batch_size: samples of a minibatch; no more than there are.
        epochs: passes over the data.
        momentum: μ; see `asapnb.train`.
        weight_decay: λ; λ · parameters is added to every gradient.
        target_loss: stop when the training loss of an epoch is at most this.
        patience: stop when the training loss has not improved in so many epochs; None for never.
        max_seconds: stop after so much time of training: virtual seconds where it is simulated.
        engine: "threads", real ones, whose results are not reproducible if there are several workers; or "simulate",
            in virtual time, which gives the same bits for the same `random_state`.
        timing: how long workers take, where it is simulated: see `asapnb.timing`.
        random_state: initial parameters and the order of the data follow from it."""
_ATTRIBUTES = """run_: the `asapnb.Run`: every update with its staleness, scale and loss.
        staleness_: the exact distribution of the staleness, a `StalenessDistribution`.
        loss_curve_: the training loss at first and after each epoch.
        loss_: the last of these.
        n_iter_: epochs made.
        coefs_: the weights of each layer, (inputs, outputs).
        intercepts_: the biases of each layer.
        n_features_in_, feature_names_in_: as of every estimator."""
for _estimator in (AsyncSGDClassifier,):
    _text = _estimator.__doc__ or ""  # none under python -OO
    _estimator.__doc__ = _text.replace("{arguments}", _ARGUMENTS).replace("{attributes}", _ATTRIBUTES)
