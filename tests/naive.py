"""Slow, obvious twins of what asapnb computes: loops, fractions, the definition and nothing else.

docs/explanation/how-it-works.md walks through those of a run: `versions_of`, `synchronous`, `hogwild`.
"""

from collections import Counter, namedtuple
from fractions import Fraction
from functools import lru_cache, reduce
from operator import add

import numpy as np

from asapnb import replay, shards
from asapnb.optimizers import parse_optimizer
from asapnb.problems.activations import Activation
from asapnb.problems.losses import CROSS_ENTROPY
from asapnb.problems.minibatch import draw_batch
from asapnb.record.schema import blank_rows
from asapnb.rules import ScaleTables, scale_table
from asapnb.schemes import parse_scheme
from asapnb.staleness import StalenessDistribution

# --- staleness and rules: loops over fractions -----------------------------------------------------------------


def cdf(pmf, kind):
    """F(k) as exact fractions of the floats in pmf, divided by their exact sum."""
    exact = [Fraction(float(p)) for p in pmf]
    total = sum(exact)
    below, result = Fraction(0), []
    for p in exact:
        result.append({"exclusive": below, "midpoint": below + p / 2, "inclusive": below + p}[kind] / total)
        below += p
    return result


def tail(pmf, amplitude, kind="midpoint"):
    """TAIL-tau as fractions: 1 + A (1 - 2F)."""
    return [1 + Fraction(amplitude) * (1 - 2 * f) for f in cdf(pmf, kind)]


def profile(pmf, g, integral):
    """The means of a profile g over the cells of ranks, as fractions: differences of its antiderivative."""
    upper = cdf(pmf, "inclusive")
    lower = [Fraction(0), *upper[:-1]]
    return [(integral(b) - integral(a)) / (b - a) if b > a else g(b) for a, b in zip(lower, upper, strict=True)]


def mean_of(values, pmf):
    """E[values] under pmf, exact for the floats given."""
    return sum(Fraction(float(v)) * Fraction(float(p)) for v, p in zip(values, pmf, strict=True))


def forgetting_pmf(staleness, half_life, length):
    """The staleness distribution in which an update loses half its weight with every half_life further updates."""
    weights = [0.0] * length
    for age, tau in enumerate(reversed(staleness)):
        weights[tau] += 1.0 if half_life is None else 2.0 ** (-age / half_life)
    return [w / sum(weights) for w in weights]


def refresh_numbers(refresh, workers, updates):
    """The update numbers up to `updates` at which a table is made."""
    if hasattr(refresh, "end"):
        return [t for t in range(1, updates + 1) if t == refresh.end]
    return [t for t in range(1, updates + 1) if t >= 10 * workers and (t - 10 * workers) % refresh.n == 0]


# --- data: the file formats, written byte by byte --------------------------------------------------------------


def idx_bytes(array):
    """IDX: magic number, dimensions as big-endian 32-bit numbers, the bytes in C order."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + bytes(int(value) for value in array.ravel())


def cifar_bytes(images, labels):
    """CIFAR-10 batches: per record a label, then each channel's rows from top to bottom."""
    records = []
    for image, label in zip(images, labels, strict=True):
        records.append(int(label))
        records += [int(pixel) for channel in image for row in channel for pixel in row]
    return bytes(records)


def first_of_each_class(labels, count):
    """The rows of the first `count` samples of each class, in order."""
    seen, rows = {}, []
    for row, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= count:
            rows.append(row)
    return rows


# --- engine: a run, recomputed one update at a time from its rows ---------------------------------------------------


def recompute(problem, run):
    """The final parameters of a recorded run with consistent views, from its rows alone, to the bit."""
    return versions_of(problem, run)[-1]


def assert_recomputed(run, problem, threads=None):
    """All versions that a run kept, its evaluations and a replay follow from the rows, to the bit."""
    versions = versions_of(problem, run)
    np.testing.assert_array_equal(versions[-1], run.params["final"])
    for version, loss in zip(run.evals["step"], run.evals["train_loss"], strict=True):
        np.testing.assert_array_equal(run.params_at(int(version)), versions[version])
        assert problem.evaluate(versions[version], "train", 10_000)[0] == loss
    again = replay(run, problem, threads=threads)
    np.testing.assert_array_equal(again.params["final"], run.params["final"])
    np.testing.assert_array_equal(again.evals["train_loss"], run.evals["train_loss"])


def versions_of(problem, run):
    """Every version of a recorded run with consistent views, from its rows alone, to the bit.

    A row is an update: the gradient of its minibatch at the version that was read, applied to the newest version. If
    several make a version, each is added with its own scale and factor, and the last applies their mean. With a
    gradient table it is the mean of the means of all workers.
    """
    config, rows, real = run.config, run.updates, problem.dtype.type
    strength = real(config["compensation"])
    versions, carried, added = [run.params["initial"]], {}, []
    scheme = parse_scheme(config["scheme"])
    together = scheme.gradients(config["workers"])
    table = Table(config["workers"]) if scheme.table_of(config["workers"]) else None
    if scheme.fresh:
        config = {**config, "momentum_kind": "shared"}  # whatever it says, there is one velocity
    for i in np.flatnonzero(rows["dropped"] != 1):
        params, view = versions[-1], versions[rows["read_version"][i]]
        gradient = corrected(local_gradient(problem, run, i, view), view, params, 0, strength)
        size, weight = real(size_of(run, rows["version"][i])), rows["scale"][i] * rows["factor"][i]
        step = size * rows["scale"][i] * rows["factor"][i]
        if table:
            entries = table.add(int(rows["worker"][i]), weight * gradient if weight else 0 * view)
            if entries is None:
                continue
            shares = [reduce(add, own) * (real(1) / real(len(own) * len(entries))) for own in entries]
            gradient, step = reduce(add, shares), size
        elif together > 1:
            added.append(gradient if scheme.fresh else weight * gradient if weight else 0 * view)
            if len(added) < together:
                continue
            gradient, added = reduce(add, added) * (real(1) / real(together)), []
            step = step if scheme.fresh else size
        owner = int(rows["worker"][i]) if carries_each(config) and together == 1 and not table else 0
        moments = carried.setdefault(owner, np.zeros((3, len(view)), real))
        made, read = int(rows["version"][i]), int(rows["read_version"][i])
        versions.append(stepped(params, moments, gradient, step, config, made, read))
    return versions


class Table:
    """A gradient table: the gradients of each worker, here and in the next, and who has yet to make a version."""

    def __init__(self, workers):
        self.here, self.next, self.left = [[] for _ in range(workers)], [[] for _ in range(workers)], set()

    def add(self, worker, gradient=None):
        """Add a gradient of a worker; if it makes a version, returns the gradients of each worker, else None."""
        if not self.left:  # the table was not complete
            self.here[worker].append(gradient)
            if not all(self.here):
                return None
            self.left = {*range(len(self.here))}
        elif worker not in self.left:
            self.next[worker].append(gradient)
            return None
        else:
            self.here[worker].append(gradient)
        self.left.remove(worker)
        entries = self.here
        if not self.left:
            self.here, self.next = self.next, [[] for _ in entries]
        return entries


def size_of(run, version):
    """The step size of the update that made a version, which may have changed whenever the run went on."""
    size = run.config["step_size"]
    for entry in reversed(getattr(run, "attributes", {}).get("resumed", [])):
        if version <= entry["version"]:
            size = entry.get("changed", {}).get("step_size", [size])[0]
    return size


def local_gradient(problem, run, i, view):
    """The gradient of row i: the sum of those on the worker's own path from its view, one for each local step.

    Each is clipped, and has the weight decay of its own point. The row has their mean loss and their largest norm.
    """
    config, rows, real = run.config, run.updates, problem.dtype.type
    steps, size = config.get("local_steps", 1), real(size_of(run, rows["read_version"][i] + 1))
    total, losses, norms = 0, [], []
    for step in range(steps):
        point = view - size * total if step else view
        batch = minibatch(problem, config, steps * rows["batch"][i] + step, rows["worker"][i])
        loss, gradient = problem.loss_and_gradient(point, batch)
        gradient, norm = clipped(gradient, config.get("clip"))
        total = total + corrected(gradient, point, point, real(config["weight_decay"]), 0)
        losses.append(loss)
        norms.append(norm)
    assert np.float32(sum(losses) / steps) == rows["loss"][i]
    assert np.float32(max(norms)) == rows["norm"][i]
    return total


def clipped(gradient, most):
    """The gradient, no longer than `most`, if that is given; and the norm from before, else 0."""
    norm = np.sqrt((gradient.astype(np.float64) ** 2).sum()) if most else 0.0
    share = gradient.dtype.type(gradient.dtype.type(most) / norm) if most and norm > most else None
    return (gradient if share is None else gradient * share), norm


def corrected(gradient, view, params, decay, strength):
    """The gradient g with weight decay, g + λ·view, then with compensation, g + κ·g·g·(params − view)."""
    if decay:
        gradient = gradient + decay * view
    if strength:
        gradient = gradient + strength * gradient * gradient * (params - view)
    return gradient


def carries_each(config):
    """Whether each worker has a velocity of its own."""
    return config["momentum_kind"] == "per_worker" and config.get("optimizer", "sgd") == "sgd"


def stepped(params, moments, gradient, step, config, version, read_version):
    """The parameters of this version, from those before; `moments`, what steps carry on, change in place."""
    optimizer = parse_optimizer(config.get("optimizer", "sgd"))
    if optimizer.name != "sgd":
        return optimized(params, moments, gradient, step, optimizer, version)
    if config["momentum"] and config["momentum_kind"] == "ordered":
        return ordered(params, moments[0], gradient, step, config, version, read_version)
    params, moments[0] = updated(params, moments[0], gradient, step, config)
    return params


def optimized(params, moments, gradient, step, optimizer, version):
    """The parameters after a step of an optimizer; a gradient with a step of 0 has been given up."""
    numbers = {name: params.dtype.type(value) for name, value in vars(optimizer).items()}
    return params if step == 0 else OPTIMIZED[optimizer.name](params, moments, gradient, step, version, **numbers)


def adam(x, moments, g, step, version, beta1, beta2, epsilon):
    """The means of gradients and squares, without their bias."""
    real, m, v = x.dtype.type, *means(moments, g, beta1, beta2)
    rate = real(float(step) / (1 - power(float(beta1), version)))
    share = real(1 / np.sqrt(1 - power(float(beta2), version)))
    return x - rate * m / (share * np.sqrt(v) + epsilon)


def amsgrad(x, moments, g, step, version, beta1, beta2, epsilon):
    """The mean of gradients, over the largest mean of squares."""
    m, v = means(moments, g, beta1, beta2)
    moments[2] = np.maximum(v, moments[2])
    return x - step * m / (np.sqrt(moments[2]) + epsilon)


def adagrad(x, moments, g, step, version, epsilon):
    """Over the sum of squares."""
    moments[0] += g * g
    return x - step * g / (np.sqrt(moments[0]) + epsilon)


def means(moments, g, beta1, beta2):
    """The means of gradients and of squares, moved on by a gradient."""
    moments[0] = beta1 * moments[0] + (1 - beta1) * g
    moments[1] = beta2 * moments[1] + (1 - beta2) * g * g
    return moments[0], moments[1]


OPTIMIZED = {"adam": adam, "amsgrad": amsgrad, "adagrad": adagrad}  # the twin of each optimizer


def power(base, exponent):
    """base ** exponent, of multiplications alone: of base, its square, the square of that, …"""
    result = 1.0
    for digit in reversed(f"{exponent:b}"):
        result *= base if digit == "1" else 1.0
        base *= base
    return result


def ordered(params, velocity, gradient, step, config, version, read_version):
    """The gradient counts as in the group of its view: 0, then as many versions as there are workers in each."""
    real, workers, momentum = params.dtype.type, config["workers"], params.dtype.type(config["momentum"])
    group, before, late = (-(-one // workers) for one in (version - 1, max(version - 2, 0), read_version))
    kept, moved = (momentum, momentum * velocity) if group > before else (real(1), real(0) * velocity)
    mu, late = float(momentum), group - late
    once, whole = real(power(mu, late)), real((1 - power(mu, late + 1)) / (1 - mu))
    velocity[:] = kept * velocity - once * step * gradient
    return params + (moved - whole * step * gradient)


def updated(params, velocity, gradient, step, config):
    """x − step·g; with momentum v ← μ·v − step·g, x + v; with a direct share s x + ((1 − s)(1 − μ)·v − s·step·g)."""
    momentum, direct = (params.dtype.type(config.get(name, 0)) for name in ("momentum", "direct_share"))
    if not momentum:
        return params - step * gradient, velocity
    velocity = momentum * velocity - step * gradient
    if direct:
        return params + ((1 - direct) * (1 - momentum) * velocity - direct * step * gradient), velocity
    return params + velocity, velocity


def minibatch(problem, config, ticket, worker=0):
    """The samples of a ticket: tickets number the minibatches of all epochs; with shards, those of a worker."""
    own, seed, size = None, config["seed"], config["batch_size"]
    if config.get("shards"):
        own = shards(problem, config["shards"], config["workers"], seed)[worker]
        seed = (splitmix64((splitmix64(seed) + int(worker)) % 2**64) + 2**63) % 2**64 - 2**63
    samples = problem.n_samples if own is None else len(own)
    epoch, position = divmod(int(ticket), -(-samples // size))
    batch = _order(samples, seed, epoch if config["reshuffle"] else 0)[position * size : (position + 1) * size]
    return batch if own is None else own[batch]


def weights_of_samples(problem, run):
    """For each sample the sum of scale · factor over the minibatches that had it, each divided by its size."""
    found, steps = np.zeros(problem.n_samples), run.config.get("local_steps", 1)
    for i in np.flatnonzero(run.updates["dropped"] != 1):
        for ticket in range(steps * run.updates["batch"][i], steps * (run.updates["batch"][i] + 1)):
            batch = minibatch(problem, run.config, ticket, run.updates["worker"][i])
            found[batch] += float(run.updates["scale"][i]) * float(run.updates["factor"][i]) / len(batch)
    return found


@lru_cache(maxsize=64)
def _order(samples, seed, epoch):
    """The order of the samples in an epoch."""
    order = np.empty(samples, np.int64)
    draw_batch(order, epoch, samples, samples, seed, True)
    return order


def synchronous(problem, run):
    """The final parameters of a synchronous run: a round adds the workers' gradients in worker order."""
    config, real, workers = run.config, problem.dtype.type, run.config["workers"]
    step = real(config["step_size"])
    params = run.params["initial"]
    moments = np.zeros((3, len(params)), real)
    for version in range(config["updates"]):
        total = 0
        for row in range(version * workers, (version + 1) * workers):
            total = total + local_gradient(problem, run, row, params)
        average = total * (real(1) / real(workers))
        fresh = {**config, "momentum_kind": "shared"}  # whatever it says, there is one velocity
        params = stepped(params, moments, average, step, fresh, version + 1, version)
    return params


def assert_rows_are_sound(run):
    """Check what holds for the rows of every run, and for the first rows of a killed run, whatever the timing."""
    rows, workers = run.updates, run.attributes["workers"]
    applied = rows["dropped"] != 1
    version, read = rows["version"][applied], rows["read_version"][applied]
    scheme = parse_scheme(run.config["scheme"])
    makes = (np.arange(len(version)) + 1) % scheme.gradients(workers) == 0
    if tabled := scheme.table_of(workers) > 0:
        table = Table(workers)
        makes = np.array([table.add(worker) is not None for worker in rows["worker"]])
    np.testing.assert_array_equal(version, np.cumsum(makes) - makes + 1)
    np.testing.assert_array_equal(rows["tau"][applied], version - 1 - read)
    assert (rows["version"][~applied] == -1).all()
    assert (rows["tau"] >= 0).all()
    assert (
        (rows["factor"] == 1).all()
        or "rule_factor" in run.attributes
        or run.config.get("schedule", "constant()") != "constant()"
    )
    assert run.is_virtual or (rows["t_read"] > 0).all()
    assert (rows["t_read"] <= rows["t_ready"]).all()
    assert (rows["t_ready"] <= rows["t_apply"]).all()
    assert np.isfinite([rows["t_apply"], rows["loss"], rows["scale"]]).all()
    seen = np.where(applied, rows["version"], rows["read_version"] + rows["tau"])
    assert (np.diff(seen) >= 0).all(), "a dropped gradient follows the last version that its worker saw"
    tickets = rows["batch"] * workers + rows["worker"] if "shards" in run.config else rows["batch"]
    assert len(np.unique(tickets)) == len(tickets)
    assert scheme.drops or scheme.worker_loop is None or applied.all(), "of threads, only those that may"
    if scheme.published and scheme.drops:
        assert (rows["tries"][~applied] == scheme.persistence + 1).all(), "dropped by the first attempt beyond it"
        assert (rows["tries"][applied] <= scheme.persistence).all()
    assert scheme.published or not rows["tries"].any()
    for name, blank in zip(blank_rows(1).dtype.names, blank_rows(1)[0], strict=True):
        assert name in ("tries", "norm") or (rows[name] != blank).all(), f"nobody filled in {name}"
    for worker in range(workers):
        own = rows["worker"][applied] == worker
        made = version[own][:-1] - (scheme.gradients(workers) > 1 or tabled)  # its own may still wait for others
        assert (read[own][1:] >= made).all(), "a worker reads no older than its own last update"


# --- problems: a network in float64, kernel position by kernel position ----------------------------------------


def network_gradient(layers, tensors, inputs, labels, loss=CROSS_ENTROPY):
    """Mean loss of a list of layers, and its gradient with respect to each tensor (weight, bias, ...).

    1. The scores, and on the way what each layer had in hand.
    2. The loss, and the gradient of the scores.
    3. Back through the layers: each turns the gradient of its output into those of its tensors and of its input.
    """
    scores, tape = network_scores(layers, tensors, inputs)  # 1.
    mean, g = compared(loss, scores, labels)  # 2.
    gradients = []
    for layer, x, y, own in reversed(tape):  # 3.
        if isinstance(layer, Activation):
            g = each(layer.backward, values_of(layer), y, g)
        else:
            *found, g = LAYERS[type(layer).__name__][1](layer, x, g, *own)
            gradients = found + gradients
    return mean, gradients


def compared(loss, scores, labels):
    """The mean loss, and its gradient with respect to the scores; of the cross-entropy softmax minus one-hot."""
    if loss is CROSS_ENTROPY:
        shifted = scores - scores.max(1, keepdims=True)
        softmax = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        rows = np.arange(len(labels))
        mean = -np.log(softmax[rows, labels]).mean()
        softmax[rows, labels] -= 1
        return mean, softmax / len(labels)
    targets = np.asarray(labels, np.float64).reshape(len(labels), -1)
    value, slope = (
        np.vectorize(f, otypes=[float])(scores, targets, *loss.constants) for f in (loss.value, loss.slope)
    )
    return value.sum(1).mean(), slope / len(labels)


def network_scores(layers, tensors, inputs):
    """The scores of each class, and (layer, its input, its output, its tensors) for each layer."""
    x, left, tape = np.asarray(inputs, np.float64), [np.asarray(t, np.float64) for t in tensors], []
    for layer in layers:
        before, own = x, []
        if isinstance(layer, Activation):
            x = each(layer.forward, values_of(layer), x)
        else:
            forward, _ = LAYERS[type(layer).__name__]
            own = [left.pop(0) for _ in range(forward.__code__.co_argcount - 2)]
            x = forward(layer, x, *own)
        tape.append((layer, before, x, own))
    return x, tape


def values_of(activation):
    """What an activation takes besides its input: its parameter, if it has one."""
    return [activation.value] if activation.parameter else []


def each(function, values, *arrays):
    """The function of each element, in float64."""
    return np.vectorize(lambda *numbers: function(*map(np.float64, (*numbers, *values))), otypes=[float])(*arrays)


def dense(layer, x, weight, bias):
    """The outputs of all samples."""
    return x.reshape(len(x), -1) @ weight + bias


def dense_backward(layer, x, g, weight, bias):
    """The gradients of weight, bias and input."""
    return x.reshape(len(x), -1).T @ g, g.sum(0), (g @ weight.T).reshape(x.shape)


def convolution(layer, x, weight, bias):
    """The outputs of all samples, as a sum over the positions in the kernel."""
    x = np.pad(x, ((0, 0), (0, 0), *2 * [(layer.padding, layer.padding)]))
    return bias[:, None, None] + sum(
        np.einsum("ncyx,fc->nfyx", x[corner], weight[:, :, i, j])
        for i, j, corner in corners(x, layer.kernel, layer.stride)
    )


def corners(x, size, stride):
    """(i, j, the index of pixel (i, j) of every window of an image), for each pixel of a window."""
    rows, columns = ((side - size) // stride * stride + 1 for side in x.shape[2:])
    for i in range(size):
        for j in range(size):
            yield i, j, (..., slice(i, i + rows, stride), slice(j, j + columns, stride))


def lane_sums(sums):
    """The sum of each row of float32; of 16 in groups, but in order in the last len(sums) % 8 rows."""
    plain = [reduce(add, row) for row in sums]
    starts = ((2, 4), (4, 7), (7, 11), (11, 16)) if sums.shape[1] == 16 else ()
    grouped = [reduce(add, [reduce(add, row[i:j]) for i, j in ((0, 2), *starts)]) for row in sums]
    whole = len(sums) // 8 * 8 if starts else 0
    return np.array(grouped[:whole] + plain[whole:])


def convolution_backward(layer, x, g, weight, bias):
    """The gradients of weight, bias and input."""
    p, (height, width) = layer.padding, x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    weight_gradient, down = np.zeros_like(weight), np.zeros_like(x)
    for i, j, corner in corners(x, layer.kernel, layer.stride):
        weight_gradient[:, :, i, j] = np.einsum("nfyx,ncyx->fc", g, x[corner])
        down[corner] += np.einsum("nfyx,fc->ncyx", g, weight[:, :, i, j])
    return weight_gradient, g.sum((0, 2, 3)), down[:, :, p : p + height, p : p + width]


def max_pool(layer, x):
    """The largest pixel of each window."""
    return np.max([x[corner] for _, _, corner in corners(x, layer.size, layer.stride or layer.size)], 0)


def max_pool_backward(layer, x, g):
    """Each window's gradient to its first maximum."""
    down, places = np.zeros_like(x), list(corners(x, layer.size, layer.stride or layer.size))
    winner = np.argmax([x[corner] for _, _, corner in places], 0)
    for number, (_, _, corner) in enumerate(places):
        down[corner] += np.where(winner == number, g, 0)
    return [down]


def average_pool(layer, x):
    """The mean of each window."""
    return np.mean([x[corner] for _, _, corner in corners(x, layer.size, layer.stride or layer.size)], 0)


def average_pool_backward(layer, x, g):
    """Each window's gradient, spread evenly."""
    down = np.zeros_like(x)
    for _, _, corner in corners(x, layer.size, layer.stride or layer.size):
        down[corner] += g / layer.size**2
    return [down]


def splitmix64(state):
    """The output function of SplitMix64, of Python's integers."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


Masked = namedtuple("Dropout", "p mask")  # a Dropout of one minibatch


def masked(p, ticket, seed, indices, number, units):
    """The Dropout `number` of a network (the layers before it counted) in the minibatch of a ticket."""
    run = splitmix64(splitmix64(seed ^ int.from_bytes(b"dropout", "big")) + ticket)
    keys = [splitmix64(splitmix64(run + int(sample)) + number) for sample in indices]
    bits = np.array([[splitmix64(key + unit) >> 32 for unit in range(units)] for key in keys])
    return Masked(p, np.where(bits < round(p * 2**32), 0, 1 / (1 - p)))


def dropout(layer, x):
    """What is kept, of all samples."""
    return x * layer.mask.reshape(x.shape)


def dropout_backward(layer, x, g):
    """The gradient of what was kept."""
    return [(g.reshape(x.shape)) * layer.mask.reshape(x.shape)]


LAYERS = {  # twins, by name
    "Dropout": (dropout, dropout_backward),
    "Dense": (dense, dense_backward),
    "Conv": (convolution, convolution_backward),
    "MaxPool": (max_pool, max_pool_backward),
    "AveragePool": (average_pool, average_pool_backward),
}


# --- problems: objectives with known constants, and their noise --------------------------------------------------

OBJECTIVES = {  # f and its gradient
    "log_cosh": (lambda x: np.log(np.cosh(x)).sum(), np.tanh),
    "sine_pl": (lambda x: (x**2 + 3 * np.sin(x) ** 2).sum(), lambda x: 2 * x + 6 * np.sin(x) * np.cos(x)),
    "bounded": (lambda x: (x**2 / (1 + x**2)).sum(), lambda x: 2 * x / (1 + x**2) ** 2),
    "rosenbrock": (
        lambda x: sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in x.reshape(-1, 2)),
        lambda x: np.array([(400 * a * (a * a - b) + 2 * (a - 1), 200 * (b - a * a)) for a, b in x.reshape(-1, 2)]),
    ),
}


def quadratic(eigenvalues, x):
    """½ xᵀDx and Dx."""
    matrix = np.diag(eigenvalues)
    return x @ matrix @ x / 2, matrix @ x


def least_squares(matrix, targets, x):
    """The mean of ½ (⟨a, x⟩ − b)² over rows, and its gradient."""
    residual = matrix @ x - targets
    return (residual**2).mean() / 2, matrix.T @ residual / len(targets)


def logistic(matrix, labels, ridge, x):
    """The mean of log(1 + exp(−y ⟨a, x⟩)) over rows, with a ridge, and its gradient."""
    margin = labels * (matrix @ x)
    other = 1 / (1 + np.exp(margin))
    loss = np.logaddexp(0, -margin).mean() + ridge / 2 * x @ x
    return loss, -matrix.T @ (labels * other) / len(labels) + ridge * x


def _splitmix64(state):
    """The number that SplitMix64 makes from the state before it."""
    mask = 2**64 - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def noise(sample, samples, variance, n, seed):
    """The linear term of a sample: n normal numbers of this variance in all, mirrored at the middle sample."""
    mirror, key = samples - 1 - sample, _splitmix64(seed ^ int.from_bytes(b"noise", "big"))
    pairs, normals = -(-n // 2), []
    for pair in range(min(sample, mirror) * pairs, (min(sample, mirror) + 1) * pairs):
        u, v = ((_splitmix64(key + k * 0x9E3779B97F4A7C15) >> 11) / 2**53 for k in (2 * pair, 2 * pair + 1))
        normals += [np.sqrt(-2 * np.log(1 - u)) * part(2 * np.pi * v) for part in (np.cos, np.sin)]
    return np.sign(mirror - sample) * np.sqrt(variance / n) * np.array(normals[:n])


# --- simulator -----------------------------------------------------------------------------------------------------


def rounds(problem, run):
    """The final parameters of a simulated run of rounds: a round adds the gradients of its rows in their order."""
    config, rows, real = run.config, run.updates, problem.dtype.type
    params = run.params["initial"]
    moments = np.zeros((3, len(params)), real)
    for version in range(1, int(rows["version"].max()) + 1):
        total, members = 0, np.flatnonzero(rows["version"] == version)
        for i in members:
            total = total + local_gradient(problem, run, i, params)
        step = real(config["step_size"]) * rows["scale"][i] * rows["factor"][i]
        average = total * (real(1) / real(len(members)))
        fresh = {**config, "momentum_kind": "shared"}  # whatever it says, there is one velocity
        params = stepped(params, moments, average, step, fresh, version, version - 1)
    return params


def hogwild_events(rows, blocks):
    """All reads and writes of blocks in the order of time: (time, claim, whether it writes, row, block).

    A view is read block by block, an update written block by block; if that takes no time, it is one event, with the
    block None. At equal times a read sees the updates that had been claimed when it began.
    """
    events = []
    for row in range(len(rows["tau"])):
        for writes, begin, end, claimed in (
            (False, rows["t_read"][row], rows["t_view"][row], 2 * rows["read_version"][row] + 1),
            (True, rows["t_ready"][row], rows["t_apply"][row], 2 * rows["version"][row]),
        ):
            if begin == end:
                events.append((begin, claimed, writes, row, None))
                continue
            for block in range(blocks):
                time = end if block == blocks - 1 else begin + (end - begin) * ((block + 1) / blocks)
                events.append((time, claimed, writes, row, block))
    return sorted(events, key=lambda event: event[:2])


def hogwild(problem, run, blocks):
    """A simulated Hogwild run, event by event: one vector of parameters, and for each row a view that mixes versions.

    Returns the parameters when each version and all before it had been written; those at the end; and for each row
    its view and the parameters just before it wrote its first block.
    """
    config, rows, n, real = run.config, run.updates, problem.n_params, problem.dtype.type
    strength = real(config["compensation"])
    params = run.params["initial"].copy()
    views, gradients, velocities, befores = {}, {}, {}, {}
    events = hogwild_events(rows, blocks)
    last = {row: k for k, (*_, row, _) in enumerate(events)}
    written, versions = set(), [params.copy()]
    for k, (_, _, writes, row, block) in enumerate(events):
        part = slice(None) if block is None else slice(block * n // blocks, (block + 1) * n // blocks)
        if not writes:
            views.setdefault(row, np.zeros_like(params))[part] = params[part]
            continue
        view = views[row]
        if row not in gradients:
            befores[row] = params.copy()
            gradients[row] = local_gradient(problem, run, row, view)
        gradient = corrected(gradients[row][part], view[part], params[part], 0, strength)
        step = real(config["step_size"]) * rows["scale"][row] * rows["factor"][row]
        owner = 0 if config["momentum_kind"] == "shared" else int(rows["worker"][row])
        velocity = velocities.setdefault(owner, np.zeros_like(params))
        params[part], velocity[part] = updated(params[part], velocity[part], gradient, step, config)
        if last[row] == k:
            written.add(row)
        while len(versions) - 1 in written:
            versions.append(params.copy())
    return versions, params, {row: (views[row], befores[row]) for row in befores}


def factors(schedule, total, count):
    """The factors of the first versions of a run of `total` updates, one at a time."""
    return [np.float32(schedule(np.array([t]), total)[0]) for t in range(count)]


def scales(rows, rule, workers, per_worker=False, always_fresh=False, schedule=None, total=1):
    """Table, scale, factor and fate of each row, one by one; and the tables in order, as (update, owner, scales)."""
    owners = workers if per_worker else 1
    tables = [ScaleTables(rule, workers) for _ in range(owners)]
    current = [table.current for table in tables]
    if always_fresh:
        fresh = StalenessDistribution.from_counts([1]).padded(len(current[0]))
        current = [scale_table(rule, fresh, workers)] * owners
    made, place = [(0, owner, table) for owner, table in enumerate(current)], list(range(owners))
    sums, found = {0: 0}, []
    together = Counter(rows["version"].tolist())
    for row in rows:
        owner = int(row["worker"]) if per_worker else 0
        tau, t = int(row["tau"]), int(row["read_version"] + row["tau"])
        scale = np.float32(current[owner][min(tau, len(current[owner]) - 1)])
        factor = np.float32(1) if schedule is None else np.float32(schedule(np.array([t]), total)[0])
        if rule.schedule is not None:
            own = rule.schedule.factor(t, tau, (sums[t] - sums[int(row["read_version"])]) / 2**32)
            factor = np.float32(float(factor) * own)
        fate = 1 if row["dropped"] == 1 else 2 if scale * factor == 0 else 0
        found.append((place[owner], scale, factor, fate))
        if fate == 1:
            continue
        version = int(row["version"])
        step = round(float(scale) * float(factor) * 2**32) // together[version]
        sums[version] = (sums[version] if version in sums else sums[version - 1]) + step
        table = None if always_fresh else tables[owner].observe([tau])
        if table is not None:
            current[owner], place[owner] = table, len(made)
            made.append((int(row["version"]), owner, table))
    return found, made
