"""What every network is computed with: seven operations, each on register tiles or as plain loops.

Arrays are one-dimensional, each followed by its start; `x_row` is the stride between rows of x; everything counts in
elements. Images lie in blocks of LANES samples, [channel][row][column][sample], so that one vector holds one pixel of
LANES samples. float32 goes to `simd` where the CPU has the tiles; float64 and other CPUs go to `portable`.
tests/test_kernels.py compares `product` and `transpose` with NumPy. All of them are compared as parts of networks, in
tests/test_problems_networks.py, with `network_gradient` in tests/naive.py.
"""

# mypy: disable-error-code="no-untyped-def"
from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import overload

from ..compiled import KERNEL_PATH, PART
from . import portable, simd


def _chosen(stub: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled code that calls the stub gets the function of that name from `simd` or `portable`."""
    name = stub.__name__

    def choose(first, *others):
        tiled = KERNEL_PATH != "portable" and first.dtype == types.float32
        return getattr(simd if tiled else portable, name)

    overload(stub, {**PART, "_nrt": True}, strict=False)(choose)  # as `portable` makes arrays
    return stub


@_chosen
def product(c, c0, c_row, a, a0, a_row, a_column, b, b0, b_row, m, n, k, accumulate):
    """C[i, j] (+)= Σₜ A[i, t] B[t, j] for i < m, j < n, t < k; A has a stride for its rows and for its columns."""


@_chosen
def convolve_row(
    out, out0, out_channel, out_pixel, weights, w0, w_channel, w_row, bias, bias0, x, x0, x_row, offsets, t0,
    channels, columns, rows, taps,
):  # fmt: skip
    """One row of a convolution: `columns` neighbouring pixels of all channels.

    out[c, p] = bias[c] + Σ over r < rows, t < taps of weights[c, r, t] · x[p + offsets[t] + r rows further].
    """


@_chosen
def convolve_pool_row(
    out, out0, out_channel, out_pixel, codes, codes0, codes_channel, weights, w0, bias, bias0, x, x0, x_row,
    offsets, t0, channels, columns, taps, clips,
):  # fmt: skip
    """One row of convolution and 2 × 2 max-pooling, and of max(0, x) if it `clips`: pooled pixels of all channels.

    `codes` (int8) gets the place of the maximum in its window, 0 to 3, or CLIPPED where it was not positive.
    """


@_chosen
def correlate(s, s0, s_channel, d, d0, d_channel, d_row, x, x0, x_row, channels, columns, rows, pixels):
    """S[c, j] += Σ over rows and pixels of d[c, r, p] · x[r, p + j], sample by sample: a kernel row's gradient."""


@_chosen
def unpool_row(d, d0, d_row, bias, bias0, g, g0, g_pixel, codes, codes0, pixels):
    """Two rows of d from one row of g, the gradient of the pooled pixels; bias += Σ of what was not clipped."""


@_chosen
def lane_sums(out, out0, sums, sums0, n):
    """out[i] = Σ over the LANES of sums[i, lane] for i < n."""


@_chosen
def transpose(out, out0, out_row, rows, rows0, row, m, n):
    """out[j, i] = rows[i, j] for i < m, j < n, and the last row repeated until i fills a multiple of LANES.

    Both arrays have room for m and n rounded up to multiples of LANES.
    """
