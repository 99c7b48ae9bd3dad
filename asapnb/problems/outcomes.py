"""What the outputs of a network say: how many there are, what is predicted from them, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from math import nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset
from ..errors import UsageError, shown
from ..numbers import real
from ..text import parse_call
from .losses import LOSSES, Loss
from .signature import Labels

_ANY = Parameter.POSITIONAL_OR_KEYWORD


class Metrics(NamedTuple):
    """The mean loss on a split, and how good the predictions are; NaN for what a problem does not have.

    Attributes:
        loss: the mean loss over the samples.
        accuracy: the share of labels that are predicted right, from 0 to 1.
        r2: the coefficient of determination R²: 1 minus the squared error divided by that of the mean target. It is
            the mean over the targets of a sample; NaN if a target is the same for all samples.
        rmse: the root of the mean squared error over samples and targets.
    """

    loss: float
    accuracy: float = nan
    r2: float = nan
    rmse: float = nan

    @classmethod
    def of(cls, found: Any) -> Metrics:
        """Those that a function of one's own returned: loss and accuracy, or a mapping of some to numbers."""
        names = cls._fields if isinstance(found, Mapping) else cls._fields[:2]
        try:
            named = dict(found if isinstance(found, Mapping) else zip(names, found, strict=True))
            if not {"loss"} <= named.keys() <= {*names}:
                raise ValueError
            return cls(**{name: float(value) for name, value in named.items()})
        except (TypeError, ValueError):
            raise UsageError(
                f"evaluate returned {shown(found)}: must be (loss, accuracy), or a mapping of loss and perhaps "
                f"{', '.join(cls._fields[1:])} to numbers"
            ) from None


class Outcome(NamedTuple):
    """What outputs say.

    Attributes:
        outputs: (labels, names of classes) -> how many a sample has; 0 if they cannot have such labels.
        needs: which labels there must be, for errors.
        decide: (outputs (n, k), whether a sample has one label) -> predictions, of the shape of labels.
        measure: (predictions, labels) -> metrics besides the loss.
    """

    outputs: Callable[[Labels, Sequence[str]], int]
    needs: str
    decide: Callable[[NDArray[Any], bool], NDArray[Any]]
    measure: Callable[[NDArray[Any], Labels], Mapping[str, float]]


def _accuracy(predicted: NDArray[Any], labels: Labels) -> dict[str, float]:
    return {"accuracy": float(np.mean(predicted == labels))}


def _deviations(predicted: NDArray[Any], targets: Labels) -> dict[str, float]:
    """R², the mean over the targets, NaN if one is the same everywhere; and RMSE."""
    y, t = (one.reshape(len(targets), -1).astype(np.float64) for one in (predicted, targets))
    with np.errstate(all="ignore"):  # of a run that diverges
        squares, spread = np.sum((y - t) ** 2, axis=0), np.sum((t - t.mean(0)) ** 2, axis=0)
        return {"r2": float(np.mean(1 - squares / np.where(spread > 0, spread, nan))),
                "rmse": float(np.sqrt(np.mean(squares) / len(t)))}  # fmt: skip


def _is_whole(labels: Labels) -> bool:
    return labels.dtype.kind in "iu"


def _are_numbers(classes: Sequence[str]) -> bool:
    """Whether classes are called by their numbers, so that a label is the number it seems to be."""
    return tuple(classes) == tuple(map(str, range(len(classes))))


OUTCOMES = {
    "classes": Outcome(
        outputs=lambda labels, classes: len(classes) if _is_whole(labels) and labels.ndim == 1 else 0,
        needs="one integer for each sample, its class",
        decide=lambda outputs, one: outputs.argmax(1),
        measure=_accuracy,
    ),
    "binary": Outcome(
        outputs=lambda labels, classes: (
            0 if not _is_whole(labels) else labels.shape[1] if labels.ndim == 2 else int(len(classes) == 2)
        ),
        needs="integers 0 and 1, of shape (n,) or (n, k)",
        decide=lambda outputs, one: (outputs[:, 0] if one else outputs).__gt__(0).astype(np.int64),
        measure=_accuracy,
    ),
    "real": Outcome(
        outputs=lambda labels, classes: labels.shape[1] if labels.ndim == 2 else int(_are_numbers(classes)),
        needs="numbers, of shape (n,) or (n, k), rather than classes (regression=True takes a column of a file so)",
        decide=lambda outputs, one: outputs[:, 0] if one else outputs,
        measure=_deviations,
    ),
}


def as_loss(value: Any, data: Dataset) -> Loss:
    """The loss of a network on this data: the given one, or for None the first that fits the labels.

    >>> x = np.eye(2)
    >>> real = Dataset.from_arrays(x, [0.5, 1.5], x, [0.5, 1.5])
    >>> str(as_loss(None, real)), str(as_loss("huber(delta=2)", real))
    ('squared', 'huber(delta=2.0)')
    """
    labels = data.train.labels
    if value is None:
        value = "squared" if data.is_real else "cross_entropy" if labels.ndim == 1 else "logistic"
    if not isinstance(value, str):
        raise UsageError(f"loss is {shown(value)}: give the name of one, such as {', '.join(map(repr, _BUILDERS))}")
    loss: Loss = parse_call(value, _BUILDERS, "loss")
    if not OUTCOMES[loss.of].outputs(labels, data.classes):
        found = f"{labels.dtype} of shape {labels.shape}"
        fitting = [one.name for one in LOSSES if OUTCOMES[one.of].outputs(labels, data.classes)]
        classes = f", with {len(data.classes)} classes {shown(data.classes, 40)}" if data.classes else ""
        raise UsageError(
            f"loss is {value!r}, which needs labels that are {OUTCOMES[loss.of].needs}; the labels of {data.name} "
            f"are {found}{classes}: take {' or '.join(fitting)}, or give other labels"
        )
    return loss


def _builder(loss: Loss) -> Callable[..., Loss]:
    """What makes a loss of the arguments in its text."""
    signature = Signature([Parameter(one, _ANY, default=loss.constant) for one in (loss.parameter,) if one])

    def build(*arguments: Any, **named: Any) -> Loss:
        given = signature.bind(*arguments, **named).arguments
        return loss.having(real(loss.parameter, given[loss.parameter], 0, above=True)) if given else loss

    build.__signature__ = signature  # type: ignore[attr-defined]
    return build


_BUILDERS = {loss.name: _builder(loss) for loss in LOSSES}
