"""Loops over one run of elements of each array: vectorised by LLVM, for every dtype and kernel path."""

# mypy: disable-error-code="no-untyped-def"
import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from ..compiled import part
from ..data.pixels import PIXEL_SCALE
from .activations import activated, passed_back
from .emit import at, prefetch
from .records import real_of

FAST = {"contract", "nsz", "reassoc"}  # all of fastmath that keeps NaN and infinity
_LINE_BYTES, _PAGE_BYTES = 64, 4096


def scaled(value):
    """A byte as a number in [0, 1], rounded to float32 as `Split.inputs` does; a number as it is."""


@overload(scaled)
def _scaled(value):
    if isinstance(value, types.Integer):
        return lambda value: np.float32(value) * PIXEL_SCALE
    return lambda value: value


@intrinsic
def _line_of(typing, values, i):
    """Ask for the cache line of values[i], which may be missing."""

    def generate(context, b, signature, arguments):
        array = context.make_array(signature.args[0])(context, b, arguments[0])
        prefetch(b, at(b, array.data, arguments[1]))
        return context.get_dummy_value()

    return types.void(values, types.int64), generate


@part()
def fetch(values, first, n):
    """Ask for n values ahead of time. Of many, for those of a page: the processor goes on in order by itself."""
    last = first + min(n, _PAGE_BYTES // values.itemsize) - 1
    for i in range(first, last, _LINE_BYTES // values.itemsize):
        _line_of(values, i)
    _line_of(values, last)


@part(fastmath=FAST)
def copy_scaled(out, out0, values, values0, n):
    """out = values, bytes scaled to [0, 1]."""
    out, values = out[out0 : out0 + n], values[values0 : values0 + n]
    for i in range(n):
        out[i] = scaled(values[i])


@part(fastmath=FAST)
def add(out, out0, values, values0, n):
    """out += values."""
    out, values = out[out0 : out0 + n], values[values0 : values0 + n]
    for i in range(n):
        out[i] += values[i]


@part(fastmath=FAST)
def add_rows(out, out0, values, values0, row, count, n):
    """out += each of `count` rows of values."""
    out = out[out0 : out0 + n]
    for r in range(count):
        here = values[values0 + r * row : values0 + r * row + n]
        for i in range(n):
            out[i] += here[i]


@part(fastmath=FAST)
def add_scaled(out, out0, scale, values, values0, n):
    """out += scale · values."""
    out, values = out[out0 : out0 + n], values[values0 : values0 + n]
    for i in range(n):
        out[i] += scale * values[i]


@part(fastmath=FAST)
def add_product(out, out0, left, left0, right, right0, n):
    """out += left · right."""
    out, left, right = out[out0 : out0 + n], left[left0 : left0 + n], right[right0 : right0 + n]
    for i in range(n):
        out[i] += left[i] * right[i]


@part()
def clear(out, out0, n):
    """out = 0."""
    out[out0 : out0 + n] = 0


@part(fastmath=FAST)
def add_bias(y, y0, row, count, bias, bias0, n, activation, value):
    """y += bias in each of `count` rows, then the activation, with the bits of its `value`."""
    bias, value = bias[bias0 : bias0 + n], y.dtype.type(real_of(value))
    for r in range(count):
        here = y[y0 + r * row : y0 + r * row + n]
        for i in range(n):  # LLVM makes a loop for each activation of it
            here[i] = activated(activation, here[i] + bias[i], value)


@part()
def activate(y, y0, n, activation, value):
    """y = the activation of y, with the bits of its `value`."""
    y, value = y[y0 : y0 + n], y.dtype.type(real_of(value))
    for i in range(n):
        y[i] = activated(activation, y[i], value)


@part()
def rows_through_activation(y, y0, row, count, g, g0, n, activation, value):
    """y = the gradient before the activation, from its output y and the gradient g of that, in `count` rows each."""
    value = y.dtype.type(real_of(value))
    for r in range(count):
        here, back = y[y0 + r * row : y0 + r * row + n], g[g0 + r * row : g0 + r * row + n]
        for i in range(n):
            here[i] = passed_back(activation, here[i], back[i], value)


@part()
def through_activation(d, d0, y, y0, g, g0, n, activation, value):
    """d = the gradient before the activation, from its output y and the gradient g of that; d may be y or g."""
    d, y, g, value = d[d0 : d0 + n], y[y0 : y0 + n], g[g0 : g0 + n], y.dtype.type(real_of(value))
    for i in range(n):  # d[:] = g would compile NumPy's broadcasting errors, for seconds
        d[i] = passed_back(activation, y[i], g[i], value)


@part()
def swap_axes(out, out0, values, values0, m, n, plan, order):
    """out[order[j], i] = values[i, j] for i < m, j < n, both without gaps."""
    out, values = out[out0 : out0 + m * n], values[values0 : values0 + m * n]
    for j in range(n):
        row = plan[order + j] * m
        for i in range(m):
            out[row + i] = values[i * n + j]


@part(fastmath=FAST)
def add_lanes(out, out0, sums, sums0, n, lanes):
    """out[i] = Σ over `lanes` of sums[i, lane]."""
    out, sums = out[out0 : out0 + n], sums[sums0 : sums0 + n * lanes]
    for i in range(n):
        total = sums[i * lanes]
        for lane in range(1, lanes):
            total += sums[i * lanes + lane]
        out[i] = total
