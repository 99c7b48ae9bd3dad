"""Asynchronous SGD as estimators of scikit-learn: `AsyncSGDClassifier` and `AsyncSGDRegressor`.

They train linear models and multi-layer perceptrons with `asapnb.train` or `asapnb.simulate`, and go wherever an
estimator goes: into pipelines, cross-validation and grid searches.
"""

from ..extras import optional

optional("sklearn", "sklearn", "asapnb.sklearn")
from .estimators import AsyncSGDClassifier, AsyncSGDRegressor  # noqa: E402

__all__ = ["AsyncSGDClassifier", "AsyncSGDRegressor"]
