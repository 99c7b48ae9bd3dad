"""The estimators."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.dataset import PLAIN
from ..errors import UsageError
from ..problems import Problem
from .training import AsyncSGD, described


@described
class AsyncSGDClassifier(ClassifierMixin, AsyncSGD):
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
        """Train on inputs, (n, features), and their classes, (n,). ValueError for what cannot be used."""
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
        """Continue the training for one epoch of these samples.

        Args:
            X: inputs, (n, features).
            y: their classes, (n,).
            classes: all classes, (n_classes,); needed at the first call only.
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

    def problem(self, X: Any, y: Any) -> Problem:
        """The problem that `fit` minimises on these samples, for `asapnb.replay(model.run_, problem=…)`."""
        check_is_fitted(self)
        return self._problem(*validate_data(self, X, y, dtype=np.float32, reset=False))

    def _go_on(self, X: Any, y: Any, going_on: bool, **changed: Any) -> "AsyncSGDClassifier":
        start = self._parameters() if going_on else None
        self._train(self._problem(X, y), start=start, **changed)
        return self

    def _problem(self, X: Any, y: Any) -> Problem:
        labels = np.searchsorted(self.classes_, y).astype(np.int64)
        return self._minimised(X, labels, tuple(map(str, self.classes_)))

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The logits, (n, n_classes). For two classes: the second logit minus the first, (n,)."""
        found = self._outputs(X)
        return found[:, 1] - found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most likely class of each sample, (n,)."""
        found = self._outputs(X)
        return self.classes_[found.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each class, (n, n_classes)."""
        return softmax(self._outputs(X), axis=1)

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The logarithm of the probability of each class, (n, n_classes)."""
        return log_softmax(self._outputs(X), axis=1)


@described
class AsyncSGDRegressor(RegressorMixin, AsyncSGD):
    """Linear regression or a multi-layer perceptron with ReLU, trained by asynchronous SGD on the squared error.

    The loss is ½ ‖y − t‖², its mean over the samples. Targets should be of order 1, like inputs:
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
        """Train on inputs, (n, features), and targets, (n,) or (n, targets). ValueError for what cannot be used."""
        return self._go_on(X, y, self._goes_on())

    def partial_fit(self, X: Any, y: Any) -> "AsyncSGDRegressor":
        """Continue the training for one epoch of samples, (n, features), and targets, (n,) or (n, targets)."""
        return self._go_on(X, y, hasattr(self, "coefs_"), reset=not hasattr(self, "coefs_"), epochs=1)

    def problem(self, X: Any, y: Any) -> Problem:
        """The problem that `fit` minimises on these samples, for `asapnb.replay(model.run_, problem=…)`."""
        check_is_fitted(self)
        return self._minimised(*self._checked(X, y, reset=False))

    def _go_on(self, X: Any, y: Any, going_on: bool, reset: bool = True, **changed: Any) -> "AsyncSGDRegressor":
        X, y = self._checked(X, y, reset)
        start = self._parameters() if going_on else None
        self._train(self._minimised(X, y), start=start, **changed)
        self._is_flat = y.ndim == 1
        return self

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(self, X, y, dtype=np.float32, multi_output=True, y_numeric=True, reset=reset)
        with np.errstate(over="ignore"):
            targets = np.require(y, np.float32, PLAIN)
        if not np.isfinite(targets).all():
            raise UsageError(f"y goes from {y.min():g} to {y.max():g}, beyond what float32 holds: scale it")
        return X, targets

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The predicted targets of each sample, in the shape of the targets trained on."""
        found = self._outputs(X)
        return found[:, 0] if self._is_flat else found
