"""Networks: their gradients against slow twins and finite differences, their sizes, their errors."""

import math
from math import log, prod
from pathlib import Path
from typing import get_args

import naive
import numpy as np
import pytest
from processes import python
from scipy.optimize import check_grad

from asapnb import problems
from asapnb.compiled import KERNEL_PATH
from asapnb.data import Dataset, load_dataset
from asapnb.errors import UsageError
from asapnb.problems import (
    AveragePool,
    Conv,
    Dense,
    LeakyReLU,
    MaxPool,
    ReLU,
    Sigmoid,
    Tanh,
    cnn,
    lenet,
    mlp,
    network,
)
from asapnb.problems.activations import ACTIVATIONS, Activation
from asapnb.problems.layers import BLOCK_LAYERS, ROW_LAYERS
from asapnb.problems.losses import LOSSES
from asapnb.problems.plan import LAYERS, Layer
from asapnb.problems.text import parse_problem

POOLED = [Conv(6, 5), ReLU(), MaxPool(2)]
NETS = {  # name: (input shape, layers)
    "mlp": ((1, 28, 28), [Dense(128), ReLU(), Dense(128), ReLU(), Dense(128), ReLU(), Dense(10)]),
    "lenet": ((1, 28, 28), [*POOLED, Conv(16, 5), ReLU(), MaxPool(2), Dense(120), ReLU(), Dense(10)]),
    "lenet on colour": ((3, 32, 32), [*POOLED, Conv(16, 5), ReLU(), MaxPool(2), Dense(120), ReLU(), Dense(10)]),
    "cnn": (
        (1, 28, 28),
        [Conv(4, 3), ReLU(), MaxPool(2), Conv(8, 3), ReLU(), MaxPool(2), Dense(128), ReLU(), Dense(10)],
    ),
    "softmax regression": ((5, 1, 1), [Dense(10)]),
    "one output": ((1, 3, 4), [Dense(17), ReLU(), Dense(1)]),
    "linear layers": ((1, 4, 9), [Dense(17), Dense(33), ReLU(), Dense(10)]),
    "one pixel": ((1, 1, 1), [Conv(1, 1), Dense(10)]),
    "odd sizes": (
        (2, 13, 11),
        [Conv(5, 4), ReLU(), MaxPool(2), Conv(7, 2), ReLU(), Conv(3, 1), Dense(9), ReLU(), Dense(10)],
    ),
    "no pooling": ((1, 9, 10), [Conv(2, 2), Conv(10, 7), ReLU(), Dense(10)]),
    "deep": (
        (1, 16, 14),
        [Conv(8, 3), ReLU(), Conv(1, 2), ReLU(), MaxPool(2), Conv(9, 2), ReLU(), MaxPool(2), Dense(10)],
    ),
    "tanh": ((1, 8, 9), [Conv(3, 3), Tanh(), MaxPool(2), Conv(3, 2), Tanh(), Dense(8), Tanh(), Dense(10)]),
    "sigmoid": ((1, 8, 9), [Conv(3, 3), Sigmoid(), MaxPool(2), Dense(8), Sigmoid(), Dense(10)]),
    "leaky": ((1, 8, 9), [Conv(3, 3), LeakyReLU(0.3), MaxPool(2), Conv(3, 2), LeakyReLU(), Dense(10)]),
    "stride and padding": (
        (2, 12, 11),
        [
            Conv(3, 3, 2, 1),
            Tanh(),
            Conv(5, 5, 3, 4),
            ReLU(),
            MaxPool(2),
            Conv(2, 1, 2),
            Conv(4, 2, padding=2),
            Dense(10),
        ],
    ),
    "stride 2": ((1, 13, 12), [Conv(4, 3), ReLU(), Conv(3, 4, stride=2), ReLU(), MaxPool(2), Dense(10)]),
    "padding": ((1, 7, 6), [Conv(4, 3, padding=1), ReLU(), MaxPool(2), Conv(3, 3, padding=1), Tanh(), Dense(10)]),
    "pooling": (
        (2, 21, 18),
        [AveragePool(2), Conv(5, 2), MaxPool(3, 1), Tanh(), AveragePool(3, 2), MaxPool(), LeakyReLU(), Dense(10)],
    ),
    "LeNet-5": (
        (1, 16, 16),
        [Conv(6, 5, padding=2), Sigmoid(), AveragePool(2), Conv(7, 5), Sigmoid(), AveragePool(2), Dense(10)],
    ),
}
LARGE = ("cnn", "lenet", "lenet on colour")  # whose twins take long
BATCHES = (1, 7, 24, 65, 130)
EACH = [*(loss.name for loss in LOSSES[1:]), "huber(delta=0.3)"]  # losses that take each output by itself


def make(name, dtype=np.float32, floats=False, loss="cross_entropy", reals=True):
    """A network on random data, its parameters, and the function that gives its twin's loss and gradient."""
    shape, layers = NETS[name]
    rng = np.random.default_rng(1)
    raw, labels = rng.integers(0, 256, (140, *shape)).astype(np.uint8), rng.integers(0, 10, 140)
    if floats:
        raw = rng.normal(size=raw.shape).astype(np.float32)
    classes = [str(i) for i in range(10)]
    if loss != "cross_entropy":
        labels = rng.normal(size=(140, layers[-1].units))
        labels = (
            labels.astype(np.float32) if reals and not loss.startswith("logistic") else (labels > 0.7).astype(int)
        )
        labels, classes = labels[:, 0] if layers[-1].units == 1 else labels, None
    data = Dataset.from_arrays(raw, labels, raw[:20], labels[:20], classes=classes)
    problem = network(data, layers, loss=loss, dtype=dtype)
    params = problem.init(3)
    for _, size, offset in problem.layout[1::2]:
        params[offset : offset + prod(size)] = 0.1 * rng.standard_normal(size)  # biases

    def twin(indices):
        tensors = [params[offset : offset + prod(size)].reshape(size) for _, size, offset in problem.layout]
        loss, gradient = naive.network_gradient(
            layers, tensors, data.train.inputs[indices], labels[indices], problem.loss
        )
        return loss, np.concatenate([tensor.ravel() for tensor in gradient])

    return problem, params, twin


def errors(problem, gradient, exact):
    """Relative error of each tensor, in norm."""
    slices = [slice(p.offset, p.offset + prod(p.shape)) for p in problem.layout]
    return [np.linalg.norm(gradient[s] - exact[s]) / np.linalg.norm(exact[s]) for s in slices]


def check(name, dtype=np.float32, floats=False, loss="cross_entropy", reals=True):
    problem, params, twin = make(name, dtype, floats, loss, reals)
    for size in (7, 65) if name in LARGE else BATCHES:
        indices = np.random.default_rng(size).permutation(140)[:size]
        exact_loss, exact = twin(indices)
        gradient = np.full(problem.n_params, np.nan, dtype)
        workspace = np.full(problem.workspace_size(size), np.nan, dtype)  # what it held before must not matter
        loss = problem.gradient(
            params, gradient, indices, problem.plan, workspace, problem.inputs, problem.flat_labels
        )
        limit = 1e-6 if dtype == np.float32 else 1e-13
        assert loss == pytest.approx(exact_loss, rel=limit)
        assert max(errors(problem, gradient, exact)) <= limit, (name, size)
        again = problem.loss_and_gradient(params, indices)
        assert loss == again[0]
        assert np.array_equal(gradient, again[1]), "the same bits every time"


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_an_activation_is_what_its_formula_says(activation):
    points = np.linspace(-3.05, 3.05, 62)  # none at 0
    known = {name: getattr(math, name) for name in dir(math)} | {activation.parameter: activation.value}
    formula, own = eval(f"lambda x: {activation.formula}", known), naive.values_of(activation)
    forward, g = lambda x: activation.forward(x, *own), 7.0
    y = np.array([forward(x) for x in points])
    assert y == pytest.approx([formula(x) for x in points], rel=1e-15)
    slopes = [(forward(x + 1e-6) - forward(x - 1e-6)) / 2e-6 for x in points]
    assert [activation.backward(value, g, *own) for value in y] == pytest.approx(g * np.array(slopes), abs=1e-7)
    assert (np.diff(y) >= 0).all(), "what pooling relies on"
    assert np.isnan(forward(np.nan))
    assert activation.clips == all(forward(x) == max(0, x) for x in points)


def test_an_activation_with_a_parameter():
    steep = LeakyReLU(0.2)
    assert LeakyReLU() is LeakyReLU
    assert LeakyReLU(slope=0.2) == steep != LeakyReLU
    assert repr(steep) == "LeakyReLU(slope=0.2)"
    for values, says in (((-1,), "slope is -1: must be a finite number of at least 0"), ((np.nan,), "slope is nan")):
        with pytest.raises(UsageError, match=says):
            LeakyReLU(*values)
    with pytest.raises(TypeError, match="too many positional"):
        ReLU(1)


def test_every_layer_has_a_twin():
    assert naive.LAYERS.keys() == {kind.layer.__name__ for kind in (*BLOCK_LAYERS, *ROW_LAYERS)}


def test_every_layer_and_every_activation_is_compared_with_its_twin():
    compared = {type(layer).__name__ for _, layers in NETS.values() for layer in layers} | {"Dropout"}
    compared |= {layer.name for _, layers in NETS.values() for layer in layers if isinstance(layer, Activation)}
    assert not LAYERS.keys() - compared, "give them a network in NETS"


def test_every_layer_and_every_activation_is_exported():
    missing = [name for name in LAYERS if getattr(problems, name, None) is not LAYERS[name]]
    assert not missing, "import them in asapnb/problems/__init__.py"
    assert not LAYERS.keys() - {*problems.__all__}, "name them in __all__ of asapnb/problems/__init__.py"
    layers = {kind.layer for kind in (*BLOCK_LAYERS, *ROW_LAYERS)}
    assert {Activation, *layers} == {*get_args(Layer)}, "name it in `Layer` of asapnb/problems/plan.py"


def test_every_layer_and_every_activation_is_in_the_docs():
    page = (Path(__file__).parents[1] / "docs/reference/problems.md").read_text()
    missing = [name for name in LAYERS if f"\n| `{name}(" not in page]
    assert not missing, "give them a row in the tables of docs/reference/problems.md"
    for activation in ACTIVATIONS[1:]:
        assert f"| `{activation}` | {activation.formula} |" in page


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(NETS.keys() - {"one output"}))
def test_gradient_is_that_of_the_twin(name, dtype):
    check(name, dtype)


@pytest.mark.parametrize("name", ["mlp", "odd sizes"])
def test_gradient_on_float_inputs(name):
    check(name, floats=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", EACH)
def test_gradient_of_a_loss_is_that_of_the_twin(loss, dtype):
    check("linear layers", dtype, loss=loss)
    check("one output", dtype, loss=loss)
    check("one output", dtype, loss=loss, reals=False)


@pytest.mark.skipif(KERNEL_PATH == "portable", reason="the path of this machine takes them")
@pytest.mark.parametrize("path", sorted({"avx512", "avx2"} - {KERNEL_PATH}))
def test_other_kernel_paths(path):
    """Besides the portable one, on which `make test-portable` repeats this file."""
    names = ["lenet", "odd sizes", "deep", "linear layers", "tanh", "leaky", "stride and padding", "pooling"]
    code = f"""
import test_problems_networks as t
[t.check(name) for name in {names}]
[t.check("linear layers", loss=loss) for loss in {EACH}]
"""
    python("-c", code, environment={"ASAPNB_KERNELS": path})


@pytest.mark.parametrize(
    "name", ["odd sizes", "linear layers", "tanh", "sigmoid", "leaky", "stride and padding", "pooling"]
)
def test_gradient_is_that_of_finite_differences(name):
    problem, params, _ = make(name, np.float64)
    some = np.random.default_rng(0).permutation(problem.n_params)[:60]
    indices = np.arange(5)

    def at(values):
        moved = params.copy()
        moved[some] = values
        return moved

    error = check_grad(
        lambda values: problem.loss_and_gradient(at(values), indices)[0],
        lambda values: problem.loss_and_gradient(at(values), indices)[1][some],
        params[some],
    )
    assert error < 1e-6


@pytest.mark.parametrize("name", ["mlp", "odd sizes", "one pixel"])
def test_evaluate_and_predict(name):
    problem, params, twin = make(name)
    tensors = [params[offset : offset + prod(size)].reshape(size) for _, size, offset in problem.layout]
    scores, _ = naive.network_scores(NETS[name][1], tensors, problem.data.test.inputs)
    assert np.array_equal(problem.predict(params, problem.data.test.raw), scores.argmax(1))
    assert np.array_equal(problem.predict(params, problem.data.test.inputs), scores.argmax(1))
    assert problem.evaluate(params)[0] == pytest.approx(twin(np.arange(140))[0], rel=1e-6)
    loss, accuracy = problem.evaluate(params, "test")
    assert loss == pytest.approx(twin(np.arange(20))[0], rel=1e-6)
    assert accuracy == pytest.approx(np.mean(scores.argmax(1) == problem.data.test.labels))
    few = np.arange(6) * 140 // 6
    assert problem.evaluate(params, limit=6)[0] == pytest.approx(twin(few)[0], rel=1e-6)
    assert len(problem.predict(params, problem.data.test.raw[:0])) == 0


@pytest.mark.parametrize("name", ["mlp", "lenet"])
def test_a_nan_parameter_reaches_the_loss(name):
    problem, params, _ = make(name)
    for tensor in problem.layout:
        broken = params.copy()
        broken[tensor.offset] = np.nan
        assert np.isnan(problem.loss_and_gradient(broken, [0, 1, 2])[0]), tensor.name


@pytest.mark.skipif(KERNEL_PATH == "portable", reason="the path of this machine takes it")
def test_a_gradient_that_was_called_before_any_run_serves_a_run(tmp_path):
    """Its loss has the declared dtype by itself. Else a run would not take it, from memory or from the cache."""
    code = """
import numpy as np, asapnb as ab
problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
params, workspace = problem.init(0), np.empty(problem.workspace_size(16), np.float32)
rest = problem.plan, workspace, problem.inputs, problem.labels
problem.gradient(params, np.empty_like(params), np.arange(16), *rest)
print(*[found.return_type for found in problem.gradient.nopython_signatures])
print(ab.train(problem, "synchronous", workers=2, updates=10).status)
"""
    done = python("-c", code, environment={"ASAPNB_CACHE": str(tmp_path)}, check=False)
    assert done.stdout.split() == ["float32", "finished"], done.stderr


def test_the_networks_of_the_paper():
    small = load_dataset("fashion-mnist-mini")
    colour = make("lenet on colour")[0].data
    assert [make_(small).n_params for make_ in (mlp, lenet, cnn)] == [134_794, 34_622, 27_354]
    assert lenet(colour).n_params == 52_202
    assert {make_(small).gradient for make_ in (mlp, lenet, cnn)} == {lenet(small).gradient}, "one compiled function"
    problem = lenet(small)
    params = problem.init(5)
    last = problem.layout[-2]
    params[last.offset :] = 0
    assert problem.loss_and_gradient(params, np.arange(100))[0] == pytest.approx(log(10), rel=1e-6)
    assert problem.workspace_size(1) == problem.workspace_size(4096)
    assert np.shares_memory(problem.inputs, small.train.raw)


def test_initial_parameters():
    data = load_dataset("fashion-mnist-mini")
    problem = lenet(data)
    params = problem.init(1)
    assert np.array_equal(params, problem.init(1))
    assert not np.array_equal(params, problem.init(2))
    for name, shape, offset in problem.layout:
        values = params[offset : offset + prod(shape)]
        fan_in = {"conv1": 25, "conv2": 150, "dense1": 256, "dense2": 120}[name.split(".")[0]]
        deviation = np.sqrt(2 / fan_in) if name.endswith("weight") else 0
        assert values.std() == pytest.approx(deviation, rel=0.2)
    assert lenet(data, init="normal(0.01)").init(1).std() == pytest.approx(0.01, rel=0.05)


TEXT = "network(layers=['Conv(channels=2, kernel=3)', 'Tanh()', 'MaxPool(size=2)', 'Dense(units=10)'])"


@pytest.mark.parametrize(
    "layers",
    [
        "Conv(2, 3), Tanh, MaxPool(2), Dense(10)",
        "[Conv(2, kernel=3), Tanh(), MaxPool, Dense(10)]",
        ["Conv(2, 3)", "Tanh", MaxPool(2), Dense(10)],
        [Conv(2, 3), Tanh, "MaxPool(2), Dense(10)"],
    ],
)
def test_layers_as_text(layers):
    data = load_dataset("fashion-mnist-mini")
    assert network(data, layers).config["problem"] == TEXT
    for text in (TEXT, f"network({layers!r})", "network([Conv(2, 3), Tanh, MaxPool(2), Dense(10)])"):
        assert parse_problem(text.replace("Tanh()", "Tanh")).config == {"data": data.name, "problem": TEXT}


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([], "the last layer is missing; it must be Dense\\(10\\)"),
        ([Dense(9)], "the last layer is Dense\\(units=9\\)"),
        ([Dense(10), ReLU()], "the last layer is ReLU"),
        ([ReLU(), Dense(10)], "layer 0 is ReLU"),
        ([Dense(3), Conv(2, 2), Dense(10)], "layer 1 is Conv"),
        ([Dense(3), MaxPool(2), Dense(10)], "layer 1 is MaxPool"),
        (
            [Conv(2, 2), ReLU(), MaxPool(8), Dense(10)],
            "MaxPool\\(size=8\\) needs at least 8×8 pixels, but there are 7×7",
        ),
        (["Dense", Dense(10)], "missing a required argument: 'units'; Dense takes \\(units\\)"),
        ("Dense(3), relu, Dense(10)", "unknown layer 'relu'; .*Did you mean 'ReLU'"),
        ("Dense(3) Dense(10)", "cannot read the layer 'Dense\\(3\\) Dense\\(10\\)'"),
        ("", "cannot read the layer ''"),
        (None, "layers is None: must be a list of layers, or a text"),
        ([Dense(0), Dense(10)], "units is 0"),
        ([Conv(2.5, 2), Dense(10)], "channels is 2.5"),
        ([Conv(2, 0), Dense(10)], "kernel is 0"),
        ([Conv(2, 3, 0), Dense(10)], "stride is 0: must be an integer from 1"),
        ([Conv(2, 3, 1, -1), Dense(10)], "padding is -1: must be an integer from 0"),
        ([AveragePool(0), Dense(10)], "size is 0"),
        ([MaxPool(2, 1.5), Dense(10)], "stride is 1.5"),
        ([Conv(2, 11, padding=1), Dense(10)], "Conv\\(channels=2, kernel=11, padding=1\\) needs at least 9×9 pixels"),
        ([Conv(2, 9), ReLU(), Dense(10)], "needs at least 9×9 pixels, but there are 8×8 left of inputs 1×8×8"),
        ([Conv(2, 8), ReLU(), MaxPool(2), Dense(10)], "MaxPool\\(2\\) need at least 9×9 pixels"),
    ],
)
def test_layers_that_do_not_fit(layers, says):
    data = Dataset.from_arrays(np.zeros((10, 8, 8)), np.arange(10), np.zeros((1, 8, 8)), [0], classes="0123456789")
    with pytest.raises(UsageError, match=says):
        network(data, layers)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda data: mlp("mnist"), "data is str"),
        (lambda data: mlp(data, dtype="int8"), "dtype is int8"),
        (lambda data: mlp(data, init="xavier"), "init is 'xavier'"),
        (lambda data: mlp(data, init="normal(-1)"), "init is 'normal\\(-1\\)'"),
        (lambda data: mlp(data, hidden=[-3]), r"hidden\[0\] is -3"),
        (lambda data: mlp(data, hidden=128), "hidden is 128"),
        (lambda data: mlp(data).predict(mlp(data).init(), np.zeros((2, 27, 28))), "inputs have the shape"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UsageError, match=says):
        call(load_dataset("fashion-mnist-mini"))
