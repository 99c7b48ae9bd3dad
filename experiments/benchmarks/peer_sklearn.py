"""scikit-learn's MLPClassifier, and the linear SGDClassifier, trained piece by piece with `partial_fit`.

What was found to make them faster here is in: float32, and one thread of BLAS (two were slower up to batches of 256).
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import asapnb as ab


class Estimator:
    """What both have in common. `estimator` is made anew in `begin`."""

    def __init__(self, problem: ab.Problem, batch: int, step_size: float):
        started = time.perf_counter()
        train, test = problem.data.train, problem.data.test
        self._problem, self._batch, self._step_size = problem, batch, step_size
        self._inputs, self._labels = train.inputs.reshape(len(train.inputs), -1), problem.labels
        self._test = test.inputs.reshape(len(test.inputs), -1), test.labels
        self.begin(problem.init(0))
        self.learn(np.arange(batch))
        self.start_seconds = time.perf_counter() - started

    def learn(self, samples: np.ndarray) -> float:
        """One pass over these samples; returns its seconds."""
        inputs, labels = self._inputs[samples], self._labels[samples]
        with threadpool_limits(1):
            start = time.perf_counter()
            self.estimator.partial_fit(inputs, labels)
            return time.perf_counter() - start

    def accuracy(self) -> float:
        """On the test samples."""
        return float(self.estimator.score(*self._test))

    def close(self) -> None:
        """Nothing goes on."""


class Network(Estimator):
    """The network as an MLPClassifier with plain SGD."""

    def begin(self, params: np.ndarray) -> None:
        """Start from asapnb's parameters, which both keep as (inputs, outputs)."""
        tensors = [params[at : at + int(np.prod(shape))].reshape(shape) for _, shape, at in self._problem.layout]
        plain = {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False, "alpha": 0.0, "random_state": 0}
        hidden = [len(bias) for bias in tensors[1:-1:2]]
        self.estimator = MLPClassifier(hidden, batch_size=self._batch, learning_rate_init=self._step_size, **plain)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a batch larger than these few samples
            self.estimator.partial_fit(self._inputs[:1], self._labels[:1], classes=np.arange(10))
        for own, value in zip(
            [*self.estimator.coefs_, *self.estimator.intercepts_], [*tensors[::2], *tensors[1::2]], strict=True
        ):
            own[...] = value


class Linear(Estimator):
    """Logistic regression by SGD, one sample at a time: another, simpler model."""

    def begin(self, params: np.ndarray) -> None:
        """Start from zero."""
        constant = {"loss": "log_loss", "penalty": None, "learning_rate": "constant", "average": True}
        self.estimator = SGDClassifier(eta0=self._step_size, random_state=0, **constant)
        self.estimator.partial_fit(self._inputs[:10], self._labels[:10], classes=np.arange(10))
