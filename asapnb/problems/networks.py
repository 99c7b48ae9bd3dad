"""Networks on a data set: any supported list of layers, and the three networks of the ASAP.SGD paper."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..data import Dataset
from ..errors import UsageError, shown
from ..numbers import integer
from ..text import parse_call
from .activations import ReLU
from .base import Parameter, Problem, check_parameters, drawn, floating
from .convolution import Conv
from .dense import Dense
from .dropout import Dropout
from .interpreter import forward_kernel, gradient_kernel
from .outcomes import OUTCOMES, as_loss
from .plan import LAYERS, Layer, checked, compile_plan, is_plain
from .pooling import MaxPool
from .text import normal_deviation, register

Layers = Sequence[Layer | str] | str


def _unnamed(
    data: Dataset, layers: Layers, loss: str | None = None, init: str = "he", dtype: str = "float32"
) -> Problem:
    """The network that a text describes."""
    return network(data, layers, loss=loss, init=init, dtype=dtype)


@register("network(layers=['Dense(16)', 'ReLU', 'Dense(10)'])", build=_unnamed)
def network(
    data: Dataset,
    layers: Layers,
    *,
    name: str = "network",
    loss: str | None = None,
    init: str = "he",
    dtype: DTypeLike = np.float32,
) -> Problem:
    """The mean loss of a network over the training split of `data`.

    Every network of a dtype runs the same compiled code.

    Args:
        data: a data set.
        layers: the layers in order: first those on images (`Conv`, `MaxPool`, `AveragePool`), then dense ones
            (`Dense`). An activation may follow each of these, and `Dropout` may stand among both. The last layer is
            `Dense` with one unit for each class, label or target. Give a list of layers and texts, or one text:
            "Conv(4, 5), ReLU, Dense(10)".
        name: a name for readers.
        loss: "cross_entropy" of softmax, for classes; "logistic", for labels 0 and 1; "squared", ½ ‖y − t‖², for real
            targets t; or "huber(delta=1.0)". None for the first of these that fits the labels. The last three are
            sums over the outputs of a sample.
        init: how initial parameters are drawn: "he" for normal weights of variance 2 / fan-in and zero biases (He et
            al., ICCV 2015), or "normal(0.01)" for normal numbers of this standard deviation.
        dtype: float32; or float64, for checking, which runs the slower portable kernels.

    Raises:
        UsageError: for layers that do not fit each other or the data.

    >>> from asapnb.data import load_dataset
    >>> network(load_dataset("fashion-mnist-mini"), [Dense(32), ReLU(), Dense(10)])
    <network: 25,450 parameters, fashion-mnist-mini, 5,000 samples, float32>
    >>> network(load_dataset("fashion-mnist-mini"), "Dense(32), ReLU, Dense(10)").config["problem"]
    "network(layers=['Dense(units=32)', 'ReLU()', 'Dense(units=10)'])"
    """
    _check(data)
    found = [checked(layer) for layer in _read(layers)]
    text = {"layers": [repr(layer) for layer in found]}
    return replace(_network(data, found, "network", text, loss, init, dtype), name=name)


@register("mlp(hidden=[8])")
def mlp(
    data: Dataset,
    hidden: Sequence[int] = (128, 128, 128),
    *,
    loss: str | None = None,
    init: str = "he",
    dtype: DTypeLike = np.float32,
) -> Problem:
    """A multi-layer perceptron: dense layers, with ReLU between them.

    Args:
        data: a data set.
        hidden: how many units each hidden layer has; () for a linear model.
        loss: as for `network`.
        init: as for `network`.
        dtype: as for `network`.

    >>> from asapnb.data import load_dataset
    >>> mlp(load_dataset("fashion-mnist-mini")).n_params
    134794
    """
    if not isinstance(hidden, Sequence | np.ndarray) or isinstance(hidden, str | bytes):
        raise UsageError(f"hidden is {shown(hidden)}: give the units of each hidden layer, such as (128, 128, 128)")
    hidden = [integer(f"hidden[{i}]", units, 1) for i, units in enumerate(hidden)]
    layers: list[Layer] = [layer for units in hidden for layer in (Dense(units), ReLU())]
    return _network(data, layers, "mlp", {"hidden": hidden}, loss, init, dtype, ends=True)


@register("lenet(init=normal(0.01))")
def lenet(data: Dataset, *, loss: str | None = None, init: str = "he", dtype: DTypeLike = np.float32) -> Problem:
    """LeNet as in the ASAP.SGD paper: 6 and 16 filters of 5 × 5, each pooled by 2, then 120 units.

    It has 34,622 parameters on images of 28 × 28 × 1, and 52,202 on 32 × 32 × 3.

    Args:
        data: a data set.
        loss: as for `network`.
        init: as for `network`.
        dtype: as for `network`.

    >>> from asapnb.data import load_dataset
    >>> lenet(load_dataset("fashion-mnist-mini"))
    <lenet: 34,622 parameters, fashion-mnist-mini, 5,000 samples, float32>
    """
    layers: list[Layer] = [Conv(6, 5), ReLU(), MaxPool(2), Conv(16, 5), ReLU(), MaxPool(2), Dense(120), ReLU()]
    return _network(data, layers, "lenet", {}, loss, init, dtype, ends=True)


@register("cnn")
def cnn(data: Dataset, *, loss: str | None = None, init: str = "he", dtype: DTypeLike = np.float32) -> Problem:
    """The smaller convolutional network of the paper: 4 and 8 filters of 3 × 3, each pooled by 2, then 128 units.

    It has 27,354 parameters on images of 28 × 28 × 1.

    Args:
        data: a data set.
        loss: as for `network`.
        init: as for `network`.
        dtype: as for `network`.

    >>> from asapnb.data import load_dataset
    >>> cnn(load_dataset("fashion-mnist-mini")).n_params
    27354
    """
    layers: list[Layer] = [Conv(4, 3), ReLU(), MaxPool(2), Conv(8, 3), ReLU(), MaxPool(2), Dense(128), ReLU()]
    return _network(data, layers, "cnn", {}, loss, init, dtype, ends=True)


def _read(layers: Any) -> list[Layer]:
    """The layers of a text, or of a list of texts and layers."""
    if isinstance(layers, str):
        text = layers.strip().removeprefix("[").removesuffix("]")
        return [parse_call(part, LAYERS, "layer") for part in re.split(r",(?![^(]*\))", text)]
    if not isinstance(layers, Iterable):
        raise UsageError(
            f"layers is {shown(layers)}: must be a list of layers, or a text such as 'Dense(32), ReLU, Dense(10)'"
        )
    return [one for layer in layers for one in (_read(layer) if isinstance(layer, str) else [layer])]


def _network(
    data: Dataset,
    layers: Sequence[Layer],
    builder: str,
    arguments: dict[str, Any],
    loss: str | None,
    init: str,
    dtype: DTypeLike,
    *,
    ends: bool = False,
) -> Problem:
    """The problem of these layers; its text is a call of the builder with these arguments.

    With `ends`, a layer is added that gives the outputs.
    """
    _check(data)
    dtype, raw, labels = floating(dtype), data.train.raw, data.train.labels
    chosen = as_loss(loss, data)
    outputs = OUTCOMES[chosen.of].outputs(labels, data.classes)
    layers = [*layers, Dense(outputs)] if ends else layers
    plan, places = compile_plan(data.shape, outputs, layers, chosen, data.is_real)
    plain = is_plain(layers)
    check_parameters(builder, places.n_params)
    arguments |= {} if chosen == as_loss(None, data) else {"loss": str(chosen)}
    arguments |= ({} if init == "he" else {"init": init}) | ({} if dtype == "f4" else {"dtype": str(dtype)})
    text = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return Problem(
        name=builder,
        gradient=gradient_kernel(dtype, raw.dtype, plain),
        n_params=places.n_params,
        inputs=raw.reshape(-1),
        labels=labels,
        layout=tuple(places.layout),
        dtype=dtype,
        plan=plan,
        workspace=places.workspace,
        initial=partial(drawn, np.concatenate([_deviations(init, tensor) for tensor in places.layout])),
        forward=partial(forward_kernel, plain),
        has_tickets=any(isinstance(layer, Dropout) for layer in layers),
        loss=chosen,
        outputs=outputs,
        data=data,
        config={"data": data.name, "problem": f"{builder}({text})" if text else builder},
    )


def _check(data: Any) -> None:
    if not isinstance(data, Dataset):
        raise UsageError(f"data is {type(data).__name__}: give what load_dataset or Dataset.from_arrays returns")


def _deviations(init: str, tensor: Parameter) -> NDArray[np.float64]:
    """The standard deviation of each initial parameter of a tensor."""
    if init != "he":
        deviation = normal_deviation("init", init, "'he'")
    elif len(tensor.shape) == 1:
        deviation = 0.0
    else:
        deviation = sqrt(2 / (tensor.shape[0] if len(tensor.shape) == 2 else prod(tensor.shape[1:])))
    return np.full(prod(tensor.shape), deviation)
