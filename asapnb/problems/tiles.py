"""The register tiles: unrolled blocks of vector FMAs, as Numba intrinsics, and their shapes per kernel path.

A tile keeps all its accumulators in registers while it walks the summed dimension. The shapes fill the register
file without spilling: 16 registers of 8 floats on AVX2, 32 of 16 on AVX-512. Tiles come in two heights, so that
(almost) no row is wasted; rows beyond the last repeat it. Compiled code calls a tile with the number of rows left,
arrays, each followed by its start, and int64 strides and sizes, all counted in elements. Nothing here checks bounds:
`plan` makes the sizes.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compiled import KERNEL_PATH
from .emit import F32, I8, I32, at, clamped, constant, first_lanes, fma, i64, load, loop, splat, store, transposed


class Shapes(NamedTuple):
    """Vector length and tile heights (tall, short) of one kernel path."""

    lanes: int
    product: tuple[int, int]  # rows, by 2 vectors
    window: tuple[int, int]  # channels, by the 4 pixels of a pooling window
    pair: tuple[int, int]  # channels, by 2 pixels
    weights5: tuple[int, int]  # channels, by 5 kernel columns
    weights3: tuple[int, int]  # channels, by 3 kernel columns


_AVX2 = Shapes(lanes=8, product=(6, 4), window=(3, 2), pair=(6, 4), weights5=(2, 2), weights3=(3, 2))
_AVX512 = Shapes(lanes=16, product=(8, 4), window=(6, 4), pair=(6, 4), weights5=(4, 3), weights3=(4, 3))
SHAPES = _AVX512 if KERNEL_PATH == "avx512" else _AVX2
LANES = SHAPES.lanes
_VECTOR = ir.VectorType(F32, LANES)
_ZERO = ir.Constant(_VECTOR, None)
CLIPPED = 4  # the pooling code of a window whose maximum is not positive: no pixel of it gets a gradient


def _tile(heights: tuple[int, int], emit: Callable[..., None]) -> Any:
    """An intrinsic ``tile(m, array, start, ..., size, ...)`` of one of two heights; returns that height.

    It is tall where that wastes no row or where two short ones would not do, for the `m` rows that are left. `emit`
    gets the builder, the height, m, the address behind each (array, start) pair and the sizes.
    """

    @intrinsic
    def tile(typing, *kinds):  # type: ignore[no-untyped-def]
        kinds = types.Tuple([kind if isinstance(kind, types.Array) else types.int64 for kind in kinds])

        def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
            operands, pairs = [], iter(zip(kinds, cgutils.unpack_tuple(b, arguments[0]), strict=True))
            for kind, value in pairs:
                if isinstance(kind, types.Array):
                    value = at(b, context.make_array(kind)(context, b, value).data, next(pairs)[1])
                operands.append(value)
            (tall, short), m = heights, operands[0]
            if tall == short:
                emit(b, tall, *operands)
                return i64(tall)
            whole = b.icmp_signed("==", b.srem(m, i64(tall)), i64(0))
            choice = b.or_(whole, b.icmp_signed(">", m, i64(2 * short)))
            with b.if_else(choice) as branches:
                for branch, height in zip(branches, heights, strict=True):
                    with branch:
                        emit(b, height, *operands)
            return b.select(choice, i64(tall), i64(short))

        return types.int64(kinds), generate

    return tile


def _code(value: int) -> Any:
    return constant(I32, [value] * LANES)


def _outer_product(b: Any, rows: Sequence[Any], columns: Sequence[Any], sums: Sequence[Any]) -> list[Any]:
    """sums[i, j] += rows[i]() · columns[j](): the fewer of them stay in registers, the others come one at a time."""
    turned, sums = len(rows) <= len(columns), list(sums)
    kept = [value() for value in (rows if turned else columns)]
    for i, value in enumerate(columns if turned else rows):
        factor = value()
        for j, other in enumerate(kept):
            place = j * len(columns) + i if turned else i * len(columns) + j
            sums[place] = fma(b, factor, other, sums[place])
    return sums


def product_tile(vectors: int, ragged: bool) -> Any:
    """C[i, j] (+)= Σₖ A[i, k] B[k, j] for a tile's rows i and `vectors` vectors of columns j.

    A has strides for its rows and columns, B and C for their rows. Of the last vector of a `ragged` tile only the
    first `last` lanes exist: the others are neither read nor written.
    """

    def emit(b, height, m, c, c_row, a, a_row, a_column, right, right_row, last, terms, accumulate):  # type: ignore
        mask = first_lanes(b, last, LANES) if ragged else None
        columns = [(j * LANES, mask if j == vectors - 1 else None) for j in range(vectors)]
        exists = [clamped(b, i, m) for i in range(height)]
        a_rows = [at(b, a, b.mul(a_row, i)) for i in exists]
        c_rows = [at(b, c, b.mul(c_row, i)) for i in exists]

        c_places = [(at(b, row, j), lanes) for row in c_rows for j, lanes in columns]

        def step(k: Any, sums: list[Any]) -> list[Any]:
            row, column = at(b, right, b.mul(k, right_row)), b.mul(k, a_column)
            factors = [lambda a=a: splat(b, b.load(at(b, a, column)), LANES) for a in a_rows]
            values = [lambda j=j, lanes=lanes: load(b, at(b, row, j), LANES, lanes) for j, lanes in columns]
            return _outer_product(b, factors, values, sums)

        sums = loop(b, terms, [_ZERO] * (height * vectors), step)
        summed = b.block
        with b.if_then(
            b.icmp_signed("!=", accumulate, i64(0))
        ):  # at the end: a loop that starts from C would wait for it
            present = [load(b, place, LANES, lanes) for place, lanes in c_places]
            added = [b.fadd(value, total) for value, total in zip(present, sums, strict=True)]
            adding = b.block
        results = [b.phi(_VECTOR) for _ in sums]
        for (place, lanes), result, total, more in zip(c_places, results, sums, added, strict=True):
            result.add_incoming(total, summed)
            result.add_incoming(more, adding)
            store(b, result, place, lanes)

    return _tile(SHAPES.product, emit)


def _windows(b, height, m, shifts, weights, channel, w_row, bias, x, x_row, offsets, rows, taps):  # type: ignore
    """Σ weights · inputs for `height` channels × the pixels at each of `shifts`, of LANES samples each.

    The sum runs over `rows` × `taps`: tap t reads the input at offsets[t], a row of taps further on at `x_row`.
    """
    exists = [clamped(b, i, m) for i in range(height)]
    filters = [at(b, weights, b.mul(channel, i)) for i in exists]
    pixels = [at(b, x, *shift) for shift in shifts]

    def row(r: Any, sums: list[Any]) -> list[Any]:
        w_here, x_here = b.mul(r, w_row), b.mul(r, x_row)

        def tap(t: Any, sums: list[Any]) -> list[Any]:
            column, place = b.add(w_here, t), b.add(x_here, b.load(at(b, offsets, t)))
            factors = [lambda f=f: splat(b, b.load(at(b, f, column)), LANES) for f in filters]
            values = [lambda p=p: load(b, at(b, p, place), LANES) for p in pixels]
            return _outer_product(b, values, factors, sums)

        return loop(b, taps, sums, tap)

    start = [splat(b, b.load(at(b, bias, i)), LANES) for i in exists]
    sums = loop(b, rows, start * len(pixels), row)
    return zip(exists, *(sums[i : i + height] for i in range(0, len(sums), height)), strict=True)


def pair_tile() -> Any:
    """Two pixels of a tile's channels of a convolution, `right` apart, stored `out_right` apart."""

    def emit(b, height, m, out, out_channel, out_right, weights, channel, w_row, bias, x, right, *taps):  # type: ignore
        pixels = _windows(b, height, m, ([], [right]), weights, channel, w_row, bias, x, *taps)
        for channel, first, second in pixels:
            base = at(b, out, b.mul(out_channel, channel))
            store(b, first, base)
            store(b, second, at(b, base, out_right))

    return _tile(SHAPES.pair, emit)


def pooled_tile() -> Any:
    """The maximum over one 2 × 2 pooling window, or 0 if it `clips` and that is larger, and the code of its place.

    A NaN anywhere in the window wins, so that a divergence is seen.
    """

    def emit(b, height, m, out, out_channel, codes, codes_channel, weights, channel, bias, x, row, offsets, *sizes):  # type: ignore
        taps, clips = sizes
        window: Any = ([], [LANES], [row], [row, LANES])
        zero, once = i64(0), i64(1)
        pixels = _windows(b, height, m, window, weights, channel, zero, bias, x, zero, offsets, once, taps)
        clipping = splat(b, b.icmp_signed("!=", clips, zero), LANES)
        for channel, best, *others in pixels:
            code = _code(0)
            for j, value in enumerate(others, 1):
                wins = b.or_(b.fcmp_ordered(">", value, best), b.fcmp_unordered("uno", value, value))
                best = b.select(wins, value, best)
                code = b.select(wins, _code(j), code)
            clipped = b.and_(b.fcmp_ordered("<=", best, _ZERO), clipping)
            code = b.select(clipped, _code(CLIPPED), code)
            store(b, b.select(clipped, _ZERO, best), at(b, out, b.mul(out_channel, channel)))
            store(b, b.trunc(code, ir.VectorType(I8, LANES)), at(b, codes, b.mul(codes_channel, channel)))

    return _tile(SHAPES.window, emit)


def weights_tile(columns: int) -> Any:
    """S[i, j] += Σ over rows and pixels of D[i] · X[j further], for a tile's channels i and `columns` columns j.

    S has LANES partial sums per weight, one per sample of the block, and neighbouring columns LANES apart; `n` of
    the columns exist.
    """

    def emit(b, height, m, s, s_channel, d, d_channel, d_row, x, x_row, n, rows, pixels):  # type: ignore
        exists = [clamped(b, i, m) for i in range(height)]
        shifts = [b.mul(clamped(b, j, n), i64(LANES)) for j in range(columns)]
        places = [at(b, s, b.mul(s_channel, i), shift) for shift in shifts for i in exists]
        deltas = [at(b, d, b.mul(d_channel, i)) for i in exists]
        inputs = [at(b, x, shift) for shift in shifts]

        def row(r: Any, sums: list[Any]) -> list[Any]:
            d_here, x_here = b.mul(r, d_row), b.mul(r, x_row)

            def pixel(p: Any, sums: list[Any]) -> list[Any]:
                here = b.mul(p, i64(LANES))
                left = [lambda d=d: load(b, at(b, d, b.add(d_here, here)), LANES) for d in deltas]
                values = [lambda x=x: load(b, at(b, x, b.add(x_here, here)), LANES) for x in inputs]
                return _outer_product(b, values, left, sums)

            return loop(b, pixels, sums, pixel)

        sums = loop(b, rows, [_ZERO] * len(places), row)
        present = [load(b, place, LANES) for place in places]  # before a store: the last may come twice
        for place, value, total in zip(places, present, sums, strict=True):
            store(b, b.fadd(value, total), place)

    return _tile({5: SHAPES.weights5, 3: SHAPES.weights3}[columns], emit)


def unpool_tile() -> Any:
    """Send the gradients of a row of pooled pixels back to the winners in two rows of D; B += their sum."""

    def emit(b, height, pixels, d, d_row, bias, g, g_pixel, codes):  # type: ignore
        def pixel(p: Any, sums: list[Any]) -> list[Any]:
            value = load(b, at(b, g, b.mul(p, g_pixel)), LANES)
            code = b.zext(load(b, at(b, codes, b.mul(p, i64(LANES))), LANES), _code(0).type)
            here = at(b, d, b.mul(p, i64(2 * LANES)))
            for j, place in enumerate((here, at(b, here, LANES), at(b, here, d_row), at(b, here, d_row, LANES))):
                store(b, b.select(b.icmp_signed("==", code, _code(j)), value, _ZERO), place)
            clipped = b.icmp_signed("==", code, _code(CLIPPED))
            return [b.fadd(sums[0], b.select(clipped, _ZERO, value))]

        store(b, loop(b, pixels, [load(b, bias, LANES)], pixel)[0], bias)

    return _tile((1, 1), emit)


def sums_tile() -> Any:
    """out[r] = the sum of 16 numbers s[r, lane], for the first 16 of m rows.

    Lanes 0 and 1, 2 and 3, 4 to 6, 7 to 10 and 11 to 15 make sums of their own; of the last m % 8 rows, one lane
    follows the other. This is what LLVM made of a loop in earlier versions, whose runs replay to the same bits.
    """

    def emit(b, height, m, out, s):  # type: ignore
        rows = [load(b, at(b, s, b.mul(clamped(b, r, m), i64(LANES))), LANES) for r in range(LANES)]
        lanes = transposed(b, rows)  # so that rows lie side by side, and no addition waits for another of its row
        start = b.fadd(b.fadd(*lanes[:2]), b.fadd(*lanes[2:4]))
        groups = [reduce(b.fadd, lanes[i:j]) for i, j in ((4, 7), (7, 11), (11, 16))]
        grouped, plain = reduce(b.fadd, [start, *groups]), reduce(b.fadd, lanes)
        in_groups = first_lanes(b, b.and_(m, i64(-8)), LANES)
        store(b, b.select(in_groups, grouped, plain), out, first_lanes(b, m, LANES))

    return _tile((LANES, LANES), emit)


def transpose_tile() -> Any:
    """out[c, r] = rows[r, c] for a square of LANES × LANES, of which m rows exist."""

    def emit(b, height, m, out, out_row, rows, row):  # type: ignore
        vectors = [load(b, at(b, rows, b.mul(row, clamped(b, r, m))), LANES) for r in range(LANES)]
        for c, vector in enumerate(transposed(b, vectors)):
            store(b, vector, at(b, out, b.mul(out_row, i64(c))))

    return _tile((LANES, LANES), emit)
