"""The primitives in float32 on register tiles. `primitives` says what each does; their twins are in `portable`."""

# ruff: noqa: D103  (primitives documents them)
# mypy: disable-error-code="no-untyped-def"
from ..compiled import part
from .elementwise import add_lanes
from .tiles import LANES, pair_tile, pooled_tile, product_tile, sums_tile, transpose_tile, unpool_tile, weights_tile

# Rows of A and of B per pass: they stay in the first-level cache together, also where rows of B lie 512 bytes apart.
_ROWS, _DEPTH = 48, 64

_pair, _ragged_pair, _ragged_one = product_tile(2, False), product_tile(2, True), product_tile(1, True)
_two, _pooled = pair_tile(), pooled_tile()
_weights5, _weights3 = weights_tile(5), weights_tile(3)
_unpool, _transpose, _sums = unpool_tile(), transpose_tile(), sums_tile()


@part()
def _panel(c, c0, c_row, a, a0, a_row, a_column, b, b0, b_row, m, n, k, accumulate):
    i = 0
    if n >= 2 * LANES:
        while i < m:
            c1, a1 = c0 + i * c_row, a0 + i * a_row
            i += _pair(m - i, c, c1, c_row, a, a1, a_row, a_column, b, b0, b_row, 0, k, accumulate)
    elif n > LANES:
        while i < m:
            c1, a1 = c0 + i * c_row, a0 + i * a_row
            i += _ragged_pair(m - i, c, c1, c_row, a, a1, a_row, a_column, b, b0, b_row, n - LANES, k, accumulate)
    else:
        while i < m:
            c1, a1 = c0 + i * c_row, a0 + i * a_row
            i += _ragged_one(m - i, c, c1, c_row, a, a1, a_row, a_column, b, b0, b_row, n, k, accumulate)


def product(c, c0, c_row, a, a0, a_row, a_column, b, b0, b_row, m, n, k, accumulate):
    for i in range(0, m, _ROWS):
        for depth in range(0, k, _DEPTH):
            a1, b1, c1 = a0 + i * a_row + depth * a_column, b0 + depth * b_row, c0 + i * c_row
            rows, terms, add = min(m - i, _ROWS), min(k - depth, _DEPTH), accumulate or depth > 0
            for j in range(0, n, 2 * LANES):
                _panel(c, c1 + j, c_row, a, a1, a_row, a_column, b, b1 + j, b_row, rows, n - j, terms, add)


def convolve_pool_row(
    out, out0, out_channel, out_pixel, codes, codes0, codes_channel, weights, w0, bias, bias0, x, x0, x_row,
    offsets, t0, channels, columns, taps, clips,
):  # fmt: skip
    c = 0
    while c < channels:
        done, w, o, q = 0, w0 + c * taps, out0 + c * out_channel, codes0 + c * codes_channel
        for column in range(columns):
            done = _pooled(
                channels - c, out, o + column * out_pixel, out_channel, codes, q + column * LANES, codes_channel,
                weights, w, taps, bias, bias0 + c, x, x0 + 2 * column * LANES, x_row, offsets, t0, taps, clips,
            )  # fmt: skip
        c += done


def convolve_row(
    out, out0, out_channel, out_pixel, weights, w0, w_channel, w_row, bias, bias0, x, x0, x_row, offsets, t0,
    channels, columns, rows, taps,
):  # fmt: skip
    c = 0
    while c < channels:
        done, w, o = 0, w0 + c * w_channel, out0 + c * out_channel
        for column in range(0, columns, 2):
            right = min(columns - column - 1, 1)  # an odd column at the end is computed twice
            done = _two(
                channels - c, out, o + column * out_pixel, out_channel, right * out_pixel,
                weights, w, w_channel, w_row, bias, bias0 + c, x, x0 + column * LANES, right * LANES,
                x_row, offsets, t0, rows, taps,
            )  # fmt: skip
        c += done


def correlate(s, s0, s_channel, d, d0, d_channel, d_row, x, x0, x_row, channels, columns, rows, pixels):
    j = 0
    while j < columns:
        left, c, x1 = columns - j, 0, x0 + j * LANES
        while c < channels:
            m, s1, d1 = channels - c, s0 + c * s_channel + j * LANES, d0 + c * d_channel
            if left > 3:
                c += _weights5(m, s, s1, s_channel, d, d1, d_channel, d_row, x, x1, x_row, left, rows, pixels)
            else:
                c += _weights3(m, s, s1, s_channel, d, d1, d_channel, d_row, x, x1, x_row, left, rows, pixels)
        j += 5 if left > 3 else 3


def unpool_row(d, d0, d_row, bias, bias0, g, g0, g_pixel, codes, codes0, pixels):
    _unpool(pixels, d, d0, d_row, bias, bias0, g, g0, g_pixel, codes, codes0)


def lane_sums(out, out0, sums, sums0, n):
    if LANES == 16:
        for i in range(0, n, LANES):
            _sums(n - i, out, out0 + i, sums, sums0 + i * LANES)
    else:  # shorter vectors LLVM turns around as well
        add_lanes(out, out0, sums, sums0, n, LANES)


def transpose(out, out0, out_row, rows, rows0, row, m, n):
    for i in range(0, m, LANES):
        for j in range(0, n, LANES):
            _transpose(m - i, out, out0 + j * out_row + i, out_row, rows, rows0 + i * row + j, row)
