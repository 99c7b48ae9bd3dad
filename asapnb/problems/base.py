"""`Problem`: what is minimised. Networks, objectives and problems of your own all have this form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..compiled import check_fit
from ..data import Dataset
from ..data.dataset import PLAIN
from ..errors import UsageError
from ..identity import ByValue
from ..markup import block, table
from ..memory import check_memory
from ..numbers import choice, integer
from .constants import Constants
from .losses import Loss
from .minibatch import draw_batch
from .outcomes import OUTCOMES, Metrics
from .places import Parameter as Parameter
from .signature import Dtypes, Forward, Gradient, Integers, Labels, Reals
from .signature import gradient_signature as gradient_signature

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_CHUNK = 1000  # samples per call of `gradient` where a whole split goes through it
_PASS = 1024  # of `forward`: a multiple of what goes through a network together
Keep = Callable[[Reals], NDArray[Any]]  # (outputs of some samples) -> what is kept of them
Initial = Callable[[int, np.random.Generator], ArrayLike]  # (n_params, generator) -> parameters
Evaluation = Callable[[Reals, str], tuple[float, float] | Mapping[str, float]]
"""(params, "train" or "test") -> loss and accuracy, or fields of `Metrics` by name."""


def drawn(deviation: ArrayLike, n_params: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Initial parameters: independent normal numbers of this standard deviation, or of one for each parameter."""
    return np.asarray(deviation) * generator.standard_normal(n_params)


def check_parameters(name: str, n_params: int) -> None:
    """UsageError if there is not enough memory to draw so many parameters, which takes three vectors of float64."""
    check_memory(f"{name} with {n_params:,} parameters", 24 * n_params, "make it smaller")


def floating(dtype: DTypeLike) -> np.dtype[Any]:
    """`dtype` if it is float32 or float64; UsageError for any other."""
    if np.dtype(dtype) not in FLOATS:
        raise UsageError(f"dtype is {dtype}: must be float32 or float64")
    return np.dtype(dtype)


def zeros(n_params: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Initial parameters: all of them zero."""
    return np.zeros(n_params)


@dataclass(frozen=True, eq=False, repr=False)
class Problem(ByValue):
    """A function to minimise: the mean over `n_samples` samples of a loss of `n_params` parameters.

    Do not make one directly. The builders of `asapnb.problems` make it, such as `mlp`, `lenet`, `quadratic` and
    `custom`.

    Attributes:
        name: a name for readers.
        gradient: the compiled gradient, with the signature `gradient_signature(*dtypes)`.
        n_params: the number of parameters.
        inputs: all training inputs, flat.
        labels: the labels of the training samples, (n,) or (n, outputs): int64, or the real targets of a regression.
        layout: the tensors inside the flat parameters.
        dtype: the dtype of parameters and gradients, float32 or float64.
        plan: int64 numbers that only `gradient` reads.
        workspace: how many elements of `dtype` a worker needs as scratch: a number, or a function of the batch size.
        initial: a function that draws initial parameters.
        forward: a function from the dtypes of parameters and inputs to the compiled forward pass; None if the problem
            does not predict.
        evaluation: a function that gives the metrics of a split; None to compute them with `forward` or `gradient`.
        loss: compares the outputs of `forward` with labels or targets; None without `forward`.
        outputs: how many outputs a sample has.
        has_tickets: whether the workspace of `gradient` must begin with the ticket of the minibatch and the seed of
            the run, as int64.
        data: the data set; None if there is none.
        targets: what `shards` divides the samples by. None for the labels; empty if samples differ in noise alone.
        constants: the known constants of the objective; None if none is known.
        config: what a run file stores, so that the problem can be built again.

    >>> from asapnb.problems import quadratic
    >>> problem = quadratic([1.0, 10.0])
    >>> problem.n_params, problem.dtype.name, problem.loss_and_gradient([1.0, 1.0], indices=[0])[0]
    (2, 'float64', 5.5)
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
    forward: Callable[[np.dtype[Any], np.dtype[Any]], Forward] | None = None
    evaluation: Evaluation | None = None
    loss: Loss | None = None
    outputs: int = 0
    has_tickets: bool = False
    data: Dataset | None = None
    targets: Labels | None = None
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
        """The dtypes of parameters, inputs and labels as the gradient gets them. Compiled code depends on them."""
        return self.dtype, self.inputs.dtype, self.flat_labels.dtype

    @cached_property
    def flat_labels(self) -> NDArray[Any]:
        """The labels as the gradient gets them, flat.

        A network gets the bits of real targets, as float64. So all networks and their loops share the same code.
        """
        return self.labels.reshape(-1) if self.loss is None else _bits(self.labels)

    @property
    def n_samples(self) -> int:
        """The number of training samples."""
        return len(self.labels)

    def workspace_size(self, batch_size: int) -> int:
        """How many elements of `dtype` a worker needs as scratch for minibatches of `batch_size`."""
        size = integer("batch_size", batch_size, 1)
        return int(self.workspace(size)) if callable(self.workspace) else self.workspace

    @property
    def is_compiled(self) -> bool:
        """Whether this process has compiled or loaded the gradient."""
        return gradient_signature(*self.dtypes).args in self.gradient.overloads

    def compile(self) -> None:
        """Compile the problem now, or load it from the disk cache. Otherwise this happens when it is first needed."""
        if not self.is_compiled:
            self.gradient.compile(gradient_signature(*self.dtypes))
            self.gradient.disable_compile()
            check_fit(self.gradient, "gradient")
        if self.forward is not None:
            self.forward(self.dtype, self.inputs.dtype)

    def init(self, seed: int = 0) -> Reals:
        """Draw initial parameters, shape (n_params,), of the problem's dtype. The same seed gives the same ones."""
        seed = integer("seed", seed, 0, 2**63 - 1)
        check_parameters(self.name, self.n_params)
        return self._params(self.initial(self.n_params, np.random.default_rng(seed)))

    def loss_and_gradient(
        self, params: ArrayLike, indices: ArrayLike, ticket: int = 0, seed: int = 0
    ) -> tuple[float, Reals]:
        """The mean loss over some training samples, and its gradient.

        Args:
            params: the parameters, shape (n_params,).
            indices: which training samples, integers, at least one.
            ticket: the number of the minibatch in a run. With `seed`, it decides what `Dropout` drops.
            seed: the seed of the run.

        Returns:
            The loss, and the gradient of the dtype of the problem, shape (n_params,).
        """
        self.compile()
        params, indices = self._params(params), self._indices(indices)
        gradient = np.empty_like(params)
        workspace = np.empty(self.workspace_size(len(indices)), self.dtype)
        if self.has_tickets:
            words = workspace[: 16 // workspace.itemsize].view(np.int64)
            words[:] = integer("ticket", ticket, 0, 2**63 - 1), integer("seed", seed, 0, 2**63 - 1)
        loss = self.gradient(params, gradient, indices, self.plan, workspace, self.inputs, self.flat_labels)
        return float(loss), gradient

    def evaluate(self, params: ArrayLike, split: str = "train", limit: int | None = None) -> tuple[float, float]:
        """The mean loss and the accuracy on a split: the first two of its `metrics`.

        Args:
            params: the parameters, shape (n_params,).
            split: "train" or "test".
            limit: at most how many samples to use, evenly spaced; None for all.

        Returns:
            Loss and accuracy. The accuracy is NaN if the problem has none; both are NaN if it has no such split.
        """
        return self.metrics(params, split, limit)[:2]

    def metrics(self, params: ArrayLike, split: str = "train", limit: int | None = None) -> Metrics:
        """The mean loss on a split, and how good the predictions are.

        Args:
            params: the parameters, shape (n_params,).
            split: "train" or "test".
            limit: at most how many samples to use, evenly spaced; None for all.

        Returns:
            Loss, accuracy, r2 and rmse by name. A metric is NaN if the problem does not have it.

        >>> from asapnb.problems import mlp
        >>> x, y = np.eye(3), np.array([1.0, 2.0, 3.0])
        >>> line = mlp(Dataset.from_arrays(x, y, x, y + 1), hidden=())
        >>> line.metrics([1, 2, 3, 0], "test")  # weights and a bias
        Metrics(loss=0.5, accuracy=nan, r2=-0.5, rmse=1.0)
        """
        params = self._params(params)
        choice("split", split, ("train", "test"))
        if self.evaluation is not None:
            return Metrics.of(self.evaluation(params, split))
        if split == "train":
            inputs, labels = self.inputs, self.labels
        elif self.data is not None and len(self.data.test):
            inputs, labels = self.data.test.raw.reshape(-1), self.data.test.labels
        else:
            return Metrics(float("nan"))
        n = len(labels)
        count = n if limit is None else min(n, integer("limit", limit, 1, 2**63 - 1))
        indices = np.arange(count) * n // count
        if self.loss is not None:
            loss, predicted = self._forward(params, indices, inputs, labels, self._decide)
            return Metrics(loss, **OUTCOMES[self.loss.of].measure(predicted, labels[indices]))
        chunks = [indices[i : i + _CHUNK] for i in range(0, count, _CHUNK)]
        return Metrics(sum(self.loss_and_gradient(params, chunk)[0] * len(chunk) for chunk in chunks) / count)

    def predict(self, params: ArrayLike, inputs: ArrayLike) -> NDArray[Any]:
        """What a network predicts for inputs.

        Args:
            params: the parameters, shape (n_params,).
            inputs: shape (n, C, H, W), or any shape (n, …) with as many features. Either bytes, or numbers; numbers
                of pixels are from 0 to 1.

        Returns:
            The predictions, of shape (n,), or (n, k) if a sample has k labels or targets. They are the most likely
            classes, int64; with a logistic loss 0 and 1, int64; for real targets the outputs, of the problem's dtype.

        Raises:
            UsageError: if the problem does not predict, or if shapes do not fit.
        """
        return self._of_inputs(params, inputs, self._decide)

    def scores(self, params: ArrayLike, inputs: ArrayLike) -> Reals:
        """The outputs of a network for inputs, shape (n, outputs). For classes they are logits, before softmax.

        Args:
            params: the parameters, shape (n_params,).
            inputs: as for `predict`.
        """
        return self._of_inputs(params, inputs, lambda outputs: outputs)

    def batches(self, seed: int, epoch: int, batch_size: int, reshuffle: bool = True) -> list[Integers]:
        """The minibatches of an epoch, in the order of their tickets. Each sample occurs exactly once.

        Args:
            seed: the seed of the run.
            epoch: the number of the epoch, from 0.
            batch_size: samples per minibatch. The last one is shorter if this does not divide `n_samples`.
            reshuffle: False to give every epoch the order of epoch 0.

        Returns:
            For each minibatch the indices of its samples, int64.
        """
        seed = integer("seed", seed, 0, 2**63 - 1)
        epoch = integer("epoch", epoch, 0, 2**63 - 1)
        per_epoch = self.batches_per_epoch(batch_size)
        batches = np.empty((per_epoch, batch_size), np.int64)
        for i, indices in enumerate(batches):
            draw_batch(indices, epoch * per_epoch + i, self.n_samples, batch_size, seed, reshuffle)
        return np.split(batches.ravel()[: self.n_samples], range(batch_size, self.n_samples, batch_size))

    def batches_per_epoch(self, batch_size: int) -> int:
        """The number of minibatches in an epoch. The last one may be shorter than `batch_size`."""
        return -(-self.n_samples // integer("batch_size", batch_size, 1, self.n_samples))

    def _params(self, params: ArrayLike) -> Reals:
        array = np.require(np.atleast_1d(params), self.dtype, PLAIN)
        if array.shape != (self.n_params,):
            raise UsageError(f"params have the shape {array.shape}: {self.name} takes ({self.n_params},)")
        return array

    def _indices(self, indices: ArrayLike) -> Integers:
        array = _integers("indices", indices)
        if array.min() < 0 or array.max() >= self.n_samples:
            raise UsageError(
                f"indices go from {array.min()} to {array.max()}: must be from 0 to {self.n_samples - 1}, one of the "
                f"{self.n_samples} training samples"
            )
        return array

    def _of_inputs(self, params: ArrayLike, inputs: ArrayLike, keep: Keep) -> NDArray[Any]:
        if self.loss is None or self.data is None:
            raise UsageError(f"{self.name} does not predict: take a network, such as lenet(data)")
        inputs = np.asarray(inputs)
        if inputs.dtype != np.uint8:
            inputs = inputs.astype(self.dtype)
        if inputs.ndim < 2 or prod(inputs.shape[1:]) != prod(self.data.shape):
            raise UsageError(f"inputs have the shape {inputs.shape}; {self.name} takes (n, *{self.data.shape})")
        flat, count = np.require(inputs, requirements=PLAIN).reshape(-1), len(inputs)
        unknown = np.zeros((count, *self.labels.shape[1:]), self.labels.dtype)
        return self._forward(self._params(params), np.arange(count), flat, unknown, keep)[1]

    def _decide(self, outputs: Reals) -> NDArray[Any]:
        """The predictions that follow from outputs, (n, outputs)."""
        assert self.loss is not None
        return OUTCOMES[self.loss.of].decide(outputs, self.labels.ndim == 1)

    def _forward(
        self, params: Reals, indices: Integers, inputs: NDArray[Any], labels: Labels, keep: Keep
    ) -> tuple[float, NDArray[Any]]:
        """The mean loss, and what is kept of the outputs of all samples."""
        assert self.forward is not None
        forward = self.forward(self.dtype, inputs.dtype)
        workspace = np.empty(self.workspace_size(_PASS), self.dtype)
        total, kept, flat = 0.0, [keep(np.empty((0, self.outputs), self.dtype))], _bits(labels)
        for i in range(0, len(indices), _PASS):
            chunk = indices[i : i + _PASS]
            outputs = np.empty(len(chunk) * self.outputs, self.dtype)
            total = forward(params, chunk, self.plan, workspace, inputs, flat, outputs, total)
            kept.append(keep(outputs.reshape(-1, self.outputs)))
        mean = total / len(indices) if len(indices) else float("nan")
        return float(self.dtype.type(mean)), np.concatenate(kept)


Builder = Callable[..., Problem]


def check_is_problem(problem: Any) -> None:
    """UsageError if this is no problem."""
    if not isinstance(problem, Problem):
        raise UsageError(f"problem is {problem!r:.80}: must be a Problem, for example asapnb.lenet(data)")


def _bits(labels: Labels) -> Integers:
    """Flat labels; of real targets the bits, as float64."""
    flat = labels.reshape(-1)
    return flat.astype(np.float64).view(np.int64) if flat.dtype.kind == "f" else flat


def _integers(name: str, values: ArrayLike) -> Integers:
    array = np.require(values, requirements=PLAIN)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(f"{name} are {array.dtype} of shape {array.shape}: must be a non-empty list of integers")
    return array.astype(np.int64, copy=False)
