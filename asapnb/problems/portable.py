"""The primitives as plain loops, for float64 and for CPUs without the tiles: right first, fast second.

Inner loops run over contiguous slices, which LLVM vectorises for whatever CPU this is.
"""

# ruff: noqa: D103  (primitives documents them)
# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from ..compiled import kernel
from ..data.dataset import PIXEL_SCALE
from .tiles import CLIPPED, LANES

FAST = {"contract", "nsz", "reassoc"}  # what keeps NaN and infinity as they are


@kernel(fastmath=FAST)
def _add_scaled(out, scale, values):
    for i in range(out.size):
        out[i] += scale * values[i]


@kernel(fastmath=FAST)
def _add_product(out, left, right):
    for i in range(LANES):
        out[i] += left[i] * right[i]


@register_jitable
def product(c, c0, c_row, a, a0, a_row, a_column, b, b0, b_row, m, n, k, accumulate):
    for i in range(m):
        row = c[c0 + i * c_row : c0 + i * c_row + n]
        if not accumulate:
            row[:] = 0
        for t in range(k):
            _add_scaled(row, a[a0 + i * a_row + t * a_column], b[b0 + t * b_row : b0 + t * b_row + n])


@kernel()
def _convolve(sums, weights, w0, w_row, x, x0, x_row, offsets, t0, rows, taps):
    """sums[pixel · LANES + lane] += one channel's filter over as many neighbouring pixels as `sums` has."""
    for r in range(rows):
        for t in range(taps):
            start = x0 + r * x_row + offsets[t0 + t]
            _add_scaled(sums, weights[w0 + r * w_row + t], x[start : start + sums.size])


@register_jitable
def convolve_row(
    out, out0, out_channel, out_pixel, weights, w0, w_channel, w_row, bias, bias0, x, x0, x_row, offsets, t0,
    channels, columns, rows, taps,
):  # fmt: skip
    sums = np.empty(columns * LANES, out.dtype)
    for c in range(channels):
        sums[:] = bias[bias0 + c]
        _convolve(sums, weights, w0 + c * w_channel, w_row, x, x0, x_row, offsets, t0, rows, taps)
        for p in range(columns):
            o = out0 + c * out_channel + p * out_pixel
            out[o : o + LANES] = sums[p * LANES : (p + 1) * LANES]


@register_jitable
def convolve_pool_row(
    out, out0, out_channel, out_pixel, codes, codes0, codes_channel, weights, w0, bias, bias0, x, x0, x_row,
    offsets, t0, channels, columns, taps,
):  # fmt: skip
    wide = 2 * columns * LANES
    sums = np.empty(2 * wide, out.dtype)
    for c in range(channels):
        sums[:] = bias[bias0 + c]
        for row in range(2):
            here = sums[row * wide : (row + 1) * wide]
            _convolve(here, weights, w0 + c * taps, 0, x, x0 + row * x_row, 0, offsets, t0, 1, taps)
        for p in range(columns):
            o, q = out0 + c * out_channel + p * out_pixel, codes0 + c * codes_channel + p * LANES
            for lane in range(LANES):
                first = 2 * p * LANES + lane
                best, code = sums[first], 0
                for j, place in enumerate((first + LANES, first + wide, first + wide + LANES)):
                    value = sums[place]
                    if value > best or value != value:
                        best, code = value, j + 1
                if best <= 0:
                    best, code = out.dtype.type(0), CLIPPED
                out[o + lane] = best
                codes[q + lane] = code


@register_jitable
def correlate(s, s0, s_channel, d, d0, d_channel, d_row, x, x0, x_row, channels, columns, rows, pixels):
    for c in range(channels):
        for j in range(columns):
            start = s0 + c * s_channel + j * LANES
            sums = s[start : start + LANES]
            for r in range(rows):
                for p in range(pixels):
                    left = d0 + c * d_channel + r * d_row + p * LANES
                    right = x0 + r * x_row + (p + j) * LANES
                    _add_product(sums, d[left : left + LANES], x[right : right + LANES])


@register_jitable
def unpool_row(d, d0, d_row, bias, bias0, g, g0, g_pixel, codes, codes0, pixels):
    for p in range(pixels):
        for lane in range(LANES):
            value, code = g[g0 + p * g_pixel + lane], codes[codes0 + p * LANES + lane]
            here = d0 + 2 * p * LANES + lane
            for j, place in enumerate((here, here + LANES, here + d_row, here + d_row + LANES)):
                d[place] = value if code == j else 0
            if code != CLIPPED:
                bias[bias0 + lane] += value


@register_jitable
def transpose(out, out0, out_row, rows, rows0, row, m, n):
    for i in range(m):
        for j in range(n):
            out[out0 + j * out_row + i] = rows[rows0 + i * row + j]


@register_jitable
def gather_lanes(out, out0, inputs, indices, first, m, features):
    for lane in range(LANES):
        start = indices[first + min(lane, m - 1)] * features
        for i in range(features):
            out[out0 + i * LANES + lane] = scaled(inputs[start + i])


def scaled(value):
    """A byte as a number in [0, 1], rounded to float32 as `Split.inputs` does; a number as it is."""
    raise NotImplementedError("compiled code only")


@overload(scaled, inline="always")
def _scaled(value):
    if isinstance(value, types.Integer):
        return lambda value: np.float32(value) * PIXEL_SCALE
    return lambda value: value
