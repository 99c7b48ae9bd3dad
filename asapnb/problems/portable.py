"""The primitives as plain loops, for float64 and for CPUs without the tiles; they are the twins of those in `simd`.

Inner loops run over contiguous slices, which LLVM vectorises for whatever CPU this is.
"""

# ruff: noqa: D103  (primitives documents them)
# mypy: disable-error-code="no-untyped-def"
import numpy as np
from numba.extending import register_jitable

from ..compiled import part
from .elementwise import add_lanes, add_product, add_scaled, clear
from .tiles import CLIPPED, LANES


@register_jitable
def product(c, c0, c_row, a, a0, a_row, a_column, b, b0, b_row, m, n, k, accumulate):
    for i in range(m):
        row = c0 + i * c_row
        if not accumulate:
            clear(c, row, n)
        for t in range(k):
            add_scaled(c, row, a[a0 + i * a_row + t * a_column], b, b0 + t * b_row, n)


@part()
def _convolve(sums, s0, n, weights, w0, w_row, x, x0, x_row, offsets, t0, rows, taps):
    """sums[pixel · LANES + lane] += one channel's filter over `n` neighbouring numbers of x."""
    for r in range(rows):
        for t in range(taps):
            add_scaled(sums, s0, weights[w0 + r * w_row + t], x, x0 + r * x_row + offsets[t0 + t], n)


@register_jitable
def convolve_row(
    out, out0, out_channel, out_pixel, weights, w0, w_channel, w_row, bias, bias0, x, x0, x_row, offsets, t0,
    channels, columns, rows, taps,
):  # fmt: skip
    sums = np.empty(columns * LANES, out.dtype)
    for c in range(channels):
        sums[:] = bias[bias0 + c]
        _convolve(sums, 0, sums.size, weights, w0 + c * w_channel, w_row, x, x0, x_row, offsets, t0, rows, taps)
        for p in range(columns):
            o = out0 + c * out_channel + p * out_pixel
            out[o : o + LANES] = sums[p * LANES : (p + 1) * LANES]


@register_jitable
def convolve_pool_row(
    out, out0, out_channel, out_pixel, codes, codes0, codes_channel, weights, w0, bias, bias0, x, x0, x_row,
    offsets, t0, channels, columns, taps, clips,
):  # fmt: skip
    wide = 2 * columns * LANES
    sums = np.empty(2 * wide, out.dtype)
    for c in range(channels):
        sums[:] = bias[bias0 + c]
        for row in range(2):
            here = x0 + row * x_row
            _convolve(sums, row * wide, wide, weights, w0 + c * taps, 0, x, here, 0, offsets, t0, 1, taps)
        for p in range(columns):
            o, q = out0 + c * out_channel + p * out_pixel, codes0 + c * codes_channel + p * LANES
            for lane in range(LANES):
                first = 2 * p * LANES + lane
                best, code = sums[first], 0
                for j, place in enumerate((first + LANES, first + wide, first + wide + LANES)):
                    value = sums[place]
                    if value > best or value != value:
                        best, code = value, j + 1
                if clips != 0 and best <= 0:
                    best, code = out.dtype.type(0), CLIPPED
                out[o + lane] = best
                codes[q + lane] = code


@register_jitable
def correlate(s, s0, s_channel, d, d0, d_channel, d_row, x, x0, x_row, channels, columns, rows, pixels):
    for c in range(channels):
        for j in range(columns):
            sums = s0 + c * s_channel + j * LANES
            for r in range(rows):
                for p in range(pixels):
                    left = d0 + c * d_channel + r * d_row + p * LANES
                    add_product(s, sums, d, left, x, x0 + r * x_row + (p + j) * LANES, LANES)


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
def lane_sums(out, out0, sums, sums0, n):
    add_lanes(out, out0, sums, sums0, n, LANES)


@register_jitable
def transpose(out, out0, out_row, rows, rows0, row, m, n):
    for i in range((m + LANES - 1) // LANES * LANES):
        start = rows0 + min(i, m - 1) * row
        for j in range(n):
            out[out0 + j * out_row + i] = rows[start + j]
