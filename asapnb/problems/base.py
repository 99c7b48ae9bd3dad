"""What is minimised, behind one contract: `Problem`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..compiled import check_fit
from ..data import Dataset
from ..errors import UsageError
from ..markup import block, table
from ..memory import check_memory
from ..numbers import choice, integer
from .constants import Constants
from .minibatch import draw_batch
from .places import Parameter as Parameter
from .signature import Dtypes, Forward, Gradient, Integers, Labels, Reals
from .signature import gradient_signature as gradient_signature

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_CHUNK = 1000  # samples per call where a whole split goes through a compiled function
Initial = Callable[[int, np.random.Generator], ArrayLike]  # (n_params, generator) -> parameters
Evaluation = Callable[[Reals, str], tuple[float, float]]  # (params, "train" or "test") -> loss and accuracy


def drawn(deviation: ArrayLike, n_params: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Initial parameters: independent normal variates of this standard deviation, or of one for each."""
    return np.asarray(deviation) * generator.standard_normal(n_params)


def check_parameters(name: str, n_params: int) -> None:
    """UsageError if there is no memory to draw so many parameters: two vectors of float64, and their product."""
    check_memory(f"{name} with {n_params:,} parameters", 24 * n_params, "make it smaller")


def floating(dtype: DTypeLike) -> np.dtype[Any]:
    """`dtype` if it is float32 or float64; UsageError for any other."""
    if np.dtype(dtype) not in FLOATS:
        raise UsageError(f"dtype is {dtype}; a problem has float32 or float64 parameters")
    return np.dtype(dtype)


def zeros(n_params: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Initial parameters: all of them zero."""
    return np.zeros(n_params)


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """A function to minimise: the mean over `n_samples` samples of a loss of `n_params` parameters.

    Made by `mlp`, `lenet`, `cnn`, `network` and `custom`, and by `quadratic` and the other builders of
    `asapnb.problems`.

    Attributes:
        name: shown to readers.
        gradient: a dispatcher of exactly one signature, `gradient_signature(*dtypes)`.
        n_params: number of parameters.
        inputs: all training inputs, flat.
        labels: of the training samples, (n,) or (n, outputs): int64, or the real targets of a regression.
        layout: the tensors inside the flat parameters.
        dtype: of parameters and gradients, float32 or float64.
        plan: int64, read by `gradient` alone.
        workspace: elements of `dtype` that a worker needs as scratch; a number, or a function of the batch size.
        initial: draws initial parameters.
        forward: for the dtypes of parameters, inputs and labels, the compiled forward pass; None if nothing is
            predicted.
        evaluation: loss and accuracy on a split; None to compute them with `forward` or `gradient`.
        data: the data set; None if there is none.
        constants: what theory knows of the objective; None if nothing.
        config: what a run file stores to build the problem again.
    """

    name: str
    gradient: Gradient
    n_params: int
    inputs: NDArray[Any]
    labels: Labels
    layout: tuple[Parameter, ...]
    dtype: np.dtype[Any] = FLOATS[0]
    plan: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    workspace: int | Callable[[int], int] = 0
    initial: Initial = zeros
    forward: Callable[[np.dtype[Any], np.dtype[Any], np.dtype[Any]], Forward] | None = None
    evaluation: Evaluation | None = None
    data: Dataset | None = None
    constants: Constants | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fit(self.gradient, "gradient")

    def __repr__(self) -> str:
        source = f"{self.data.name}, " if self.data is not None else ""
        return f"<{self.name}: {self.n_params:,} parameters, {source}{self.n_samples:,} samples, {self.dtype}>"

    def _repr_html_(self) -> str:
        rows = [(p.name, "×".join(map(str, p.shape)), f"{prod(p.shape):,}") for p in self.layout]
        return block(table(("tensor", "shape", "parameters"), rows, (False, False, True)), title=repr(self))

    @property
    def dtypes(self) -> Dtypes:
        """Those of parameters, inputs and labels: what compiled code depends on."""
        return self.dtype, self.inputs.dtype, self.labels.dtype

    @property
    def n_samples(self) -> int:
        """Number of training samples."""
        return len(self.labels)

    def workspace_size(self, batch_size: int) -> int:
        """Elements of `dtype` that one worker needs as scratch for minibatches of `batch_size`."""
        size = integer("batch_size", batch_size, 1)
        return int(self.workspace(size)) if callable(self.workspace) else self.workspace

    def compile(self) -> None:
        """Compile what the problem consists of, or load it from the disk cache; done when first needed otherwise."""
        signature = gradient_signature(*self.dtypes)
        if signature.args not in self.gradient.overloads:
            self.gradient.compile(signature)
            self.gradient.disable_compile()
            check_fit(self.gradient, "gradient")
        if self.forward is not None:
            self.forward(*self.dtypes)

    def init(self, seed: int = 0) -> Reals:
        """Initial parameters, shape (n_params,): the same for the same seed."""
        seed = integer("seed", seed, 0, 2**63 - 1)
        check_parameters(self.name, self.n_params)
        return self._params(self.initial(self.n_params, np.random.default_rng(seed)))

    def loss_and_gradient(self, params: ArrayLike, indices: ArrayLike) -> tuple[float, Reals]:
        """Mean loss over the training samples `indices`, and its gradient, shape (n_params,)."""
        self.compile()
        params, indices = self._params(params), self._indices(indices)
        gradient = np.empty_like(params)
        workspace = np.empty(self.workspace_size(len(indices)), self.dtype)
        labels = self.labels.reshape(-1)
        loss = self.gradient(params, gradient, indices, self.plan, workspace, self.inputs, labels)
        return float(loss), gradient

    def evaluate(self, params: ArrayLike, split: str = "train", limit: int | None = None) -> tuple[float, float]:
        """Mean loss and accuracy on a split.

        Args:
            params: shape (n_params,).
            split: "train" or "test".
            limit: at most so many samples, evenly spaced; None for all.

        Returns:
            The accuracy is NaN if the problem has none. Both are NaN if it has no such split.
        """
        params = self._params(params)
        choice("split", split, ("train", "test"))
        if self.evaluation is not None:
            loss, accuracy = self.evaluation(params, split)
            return float(loss), float(accuracy)
        if split == "train":
            inputs, labels = self.inputs, self.labels
        elif self.data is not None:
            inputs, labels = self.data.test.raw.reshape(-1), self.data.test.labels
        else:
            return float("nan"), float("nan")
        n = len(labels)
        count = n if limit is None else min(n, integer("limit", limit, 1, 2**63 - 1))
        indices = np.arange(count) * n // count
        if self.forward is not None:
            loss, predicted = self._run_forward(params, indices, inputs, labels)
            return loss, float(np.mean(predicted == labels[indices]))
        chunks = [indices[i : i + _CHUNK] for i in range(0, count, _CHUNK)]
        return sum(self.loss_and_gradient(params, chunk)[0] * len(chunk) for chunk in chunks) / count, float("nan")

    def predict(self, params: ArrayLike, inputs: ArrayLike) -> Integers:
        """The most likely class of each input, int64 (n,). `inputs`: (n, C, H, W), uint8 or scaled to [0, 1]."""
        if self.forward is None or self.data is None:
            raise UsageError(f"{self.name} does not classify; predict needs a network such as lenet(data)")
        inputs = np.asarray(inputs)
        if inputs.dtype != np.uint8:
            inputs = inputs.astype(self.dtype)
        if inputs.ndim < 2 or prod(inputs.shape[1:]) != prod(self.data.shape):
            raise UsageError(f"inputs have the shape {inputs.shape}; {self.name} takes (n, *{self.data.shape})")
        flat, labels = np.ascontiguousarray(inputs).reshape(-1), np.zeros(len(inputs), np.int64)
        return self._run_forward(self._params(params), np.arange(len(inputs)), flat, labels)[1]

    def batches(self, seed: int, epoch: int, batch_size: int, reshuffle: bool = True) -> list[Integers]:
        """The minibatches of an epoch, in the order of their tickets: int64 indices, each sample exactly once.

        Args:
            seed: of the run.
            epoch: from 0.
            batch_size: samples per minibatch; the last one is shorter if this does not divide `n_samples`.
            reshuffle: False to give every epoch the order of epoch 0.
        """
        seed = integer("seed", seed, 0, 2**63 - 1)
        epoch = integer("epoch", epoch, 0, 2**63 - 1)
        per_epoch = self.batches_per_epoch(batch_size)
        batches = np.empty((per_epoch, batch_size), np.int64)
        for i, indices in enumerate(batches):
            draw_batch(indices, epoch * per_epoch + i, self.n_samples, batch_size, seed, reshuffle)
        return np.split(batches.ravel()[: self.n_samples], range(batch_size, self.n_samples, batch_size))

    def batches_per_epoch(self, batch_size: int) -> int:
        """Number of minibatches in an epoch, the ragged one included."""
        return -(-self.n_samples // integer("batch_size", batch_size, 1, self.n_samples))

    def _params(self, params: ArrayLike) -> Reals:
        array = np.ascontiguousarray(params, self.dtype)
        if array.shape != (self.n_params,):
            raise UsageError(f"params have the shape {array.shape}; {self.name} takes ({self.n_params},)")
        return array

    def _indices(self, indices: ArrayLike) -> Integers:
        array = _integers("indices", indices)
        if array.min() < 0 or array.max() >= self.n_samples:
            raise UsageError(
                f"indices go from {array.min()} to {array.max()}; allowed are 0 to {self.n_samples - 1}, the "
                f"{self.n_samples} training samples"
            )
        return array

    def _run_forward(
        self, params: Reals, indices: Integers, inputs: NDArray[Any], labels: Labels
    ) -> tuple[float, Integers]:
        assert self.forward is not None
        predicted = np.empty(len(indices), np.int64)
        if not len(indices):
            return float("nan"), predicted
        workspace = np.empty(self.workspace_size(len(indices)), self.dtype)
        forward = self.forward(self.dtype, inputs.dtype, labels.dtype)
        return float(forward(params, indices, self.plan, workspace, inputs, labels, predicted)), predicted


Builder = Callable[..., Problem]


def _integers(name: str, values: ArrayLike) -> Integers:
    array = np.ascontiguousarray(values)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(f"{name} are {array.dtype} of shape {array.shape}: must be a non-empty list of integers")
    return array.astype(np.int64, copy=False)
