"""Asynchronous SGD as estimators of scikit-learn: `AsyncSGDClassifier` and `AsyncSGDRegressor`.

They train linear models and multi-layer perceptrons with `asapnb.train` or `asapnb.simulate`, and go wherever an
estimator goes: into pipelines, cross-validation and grid searches.
"""

import warnings
from collections.abc import Callable, Sequence
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
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.utils import check_random_state  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

__all__ = ["AsyncSGDClassifier", "AsyncSGDRegressor"]

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
        step_size: float = 0.01,
        batch_size: int = 32,
        epochs: int = 50,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        clip: float | None = None,
        target_loss: float | None = None,
        patience: int | None = None,
        max_seconds: float | None = None,
        engine: str = "threads",
        timing: Any = "exponential(1)",
        warm_start: bool = False,
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
        self.clip = clip
        self.target_loss = target_loss
        self.patience = patience
        self.max_seconds = max_seconds
        self.engine = engine
        self.timing = timing
        self.warm_start = warm_start
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.engine == "threads"  # which thread comes first is up to the machine
        return tags

    def _train(
        self, inputs: NDArray[np.float32], labels: NDArray[Any], classes: tuple[str, ...] = (), **changed: Any
    ) -> None:
        """Train on checked arrays, and keep what came of it.

        Args:
            inputs: (n, features).
            labels: as `Dataset` has them.
            classes: their names.
            changed: arguments of `train` besides those of the estimator.
        """
        threaded = choice("engine", self.engine, ENGINES) == "threads"
        raw = np.require(inputs, np.float32, PLAIN)[:, :, None, None]
        data = Dataset("data of an estimator", Split(raw, labels), Split(raw[:0], labels[:0]), classes)
        problem = mlp(data, self.hidden)  # nothing is held back to test on
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
        self.n_iter_ = -(-len(run.updates["tau"]) // per_epoch)
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
    for name in _AsyncSGD().get_params()
    if name not in ("hidden", "engine", "timing", "warm_start", "random_state")
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
    >>> model = make_pipeline(StandardScaler(), AsyncSGDClassifier((16,), step_size=0.1, random_state=0)).fit(x, y)
    >>> bool(model.score(x, y) > 0.9)
    True
    """

    classes_: Any

    def fit(self, X: Any, y: Any) -> "AsyncSGDClassifier":
        """Train on inputs (n, features) and their classes, (n,); ValueError for what cannot be used."""
        going_on = self._goes_on()
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        classes = np.unique(y)
        if len(classes) < 2:
            raise UsageError(f"y has one class only, {classes.tolist()[0]!r}: give samples of at least two classes")
        if going_on and not np.array_equal(classes, self.classes_):
            raise UsageError(f"y has the classes {classes}: with warm_start they must be as before, {self.classes_}")
        self.classes_ = classes
        return self._go_on(X, y, going_on)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> "AsyncSGDClassifier":
        """Go on for one epoch of these samples.

        Args:
            X: inputs, (n, features).
            y: their classes, (n,).
            classes: all classes that there are, (n_classes,); needed at the first call only.
        """
        first = not hasattr(self, "coefs_")
        X, y = validate_data(self, X, y, dtype=np.float32, reset=first)
        check_classification_targets(y)
        known = self.classes_ if not first else None if classes is None else np.unique(classes)
        if known is None or (classes is not None and not np.array_equal(np.unique(classes), known)):
            raise UsageError(
                f"classes is {classes!r}: give all at the first call of partial_fit, then the same or none"
            )
        if len(other := np.setdiff1d(y, known)):
            raise UsageError(f"y has {other.tolist()[0]!r}, which is none of the classes {known}")
        self.classes_ = known
        return self._go_on(X, y, not first, epochs=1)

    def _go_on(self, X: Any, y: Any, going_on: bool, **changed: Any) -> "AsyncSGDClassifier":
        start = self._parameters() if going_on else None
        labels = np.searchsorted(self.classes_, y).astype(np.int64)
        self._train(X, labels, tuple(map(str, self.classes_)), start=start, **changed)
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


class AsyncSGDRegressor(RegressorMixin, _AsyncSGD):
    """Linear regression or a multi-layer perceptron with ReLU, trained by asynchronous SGD on the squared error.

    The loss is ½ ‖y − t‖², its mean over the samples. Targets should be of order 1, as inputs should:
    `TransformedTargetRegressor` scales them.

    Args:
        {arguments}

    Attributes:
        {attributes}

    >>> from sklearn.datasets import make_regression
    >>> x, y = make_regression(500, 5, random_state=0)
    >>> bool(AsyncSGDRegressor(hidden=(), random_state=0).fit(x, y / y.std()).score(x, y / y.std()) > 0.99)
    True
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> "AsyncSGDRegressor":
        """Train on inputs (n, features) and targets, (n,) or (n, targets); ValueError for what cannot be used."""
        return self._go_on(X, y, self._goes_on())

    def partial_fit(self, X: Any, y: Any) -> "AsyncSGDRegressor":
        """Go on for one epoch of these samples, (n, features), and their targets, (n,) or (n, targets)."""
        return self._go_on(X, y, hasattr(self, "coefs_"), reset=not hasattr(self, "coefs_"), epochs=1)

    def _go_on(self, X: Any, y: Any, going_on: bool, reset: bool = True, **changed: Any) -> "AsyncSGDRegressor":
        X, y = validate_data(self, X, y, dtype=np.float32, multi_output=True, y_numeric=True, reset=reset)
        start = self._parameters() if going_on else None
        self._train(X, np.require(y, np.float32, PLAIN), start=start, **changed)
        self._is_flat = y.ndim == 1
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The targets of each sample, in the shape of those trained on."""
        found = self._outputs(X)
        return found[:, 0] if self._is_flat else found


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
        clip: gradients that are longer are scaled to this norm; None for never.
        target_loss: stop when the training loss of an epoch is at most this.
        patience: stop when the training loss has not improved in so many epochs; None for never.
        max_seconds: stop after so much time of training: virtual seconds where it is simulated.
        engine: "threads", real ones, whose results are not reproducible if there are several workers; or "simulate",
            in virtual time, which gives the same bits for the same `random_state`.
        timing: how long workers take, where it is simulated: see `asapnb.timing`.
        warm_start: whether `fit` goes on from where it ended the last time.
        random_state: initial parameters and the order of the data follow from it."""
_ATTRIBUTES = """run_: the `asapnb.Run`: every update with its staleness, scale and loss.
        staleness_: the exact distribution of the staleness, a `StalenessDistribution`.
        loss_curve_: the training loss at first and after each epoch.
        loss_: the last of these.
        n_iter_: epochs made.
        coefs_: the weights of each layer, (inputs, outputs).
        intercepts_: the biases of each layer.
        n_features_in_, feature_names_in_: as of every estimator."""
for _estimator in (AsyncSGDClassifier, AsyncSGDRegressor):
    _text = _estimator.__doc__ or ""  # none under python -OO
    _estimator.__doc__ = _text.replace("{arguments}", _ARGUMENTS).replace("{attributes}", _ATTRIBUTES)
