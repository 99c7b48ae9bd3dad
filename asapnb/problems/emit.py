"""Small helpers that emit LLVM IR on float32 vectors: the vocabulary that the tiles are written in."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

I8, I32, I64, F32 = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()


def i64(value: int) -> Any:
    """A 64-bit constant."""
    return ir.Constant(I64, value)


def constant(element: Any, values: Sequence[Any]) -> Any:
    """A vector constant."""
    return ir.Constant(ir.VectorType(element, len(values)), list(values))


def at(builder: Any, base: Any, *offsets: Any) -> Any:
    """The address `offsets` elements (their sum) after `base`."""
    for offset in offsets:
        base = builder.gep(base, [i64(offset) if isinstance(offset, int) else offset])
    return base


def load(builder: Any, address: Any, lanes: int, mask: Any = None) -> Any:
    """`lanes` consecutive elements; what is not under the mask is not read, and zero."""
    kind = ir.VectorType(address.type.pointee, lanes)
    address = builder.bitcast(address, kind.as_pointer())
    if mask is None:
        value = builder.load(address)
        value.align = 1
        return value
    return _call(builder, f"masked.load.v{lanes}f32.p0", kind, address, I32(4), mask, ir.Constant(kind, None))


def store(builder: Any, value: Any, address: Any, mask: Any = None) -> None:
    """Write a vector to consecutive elements; what is not under the mask is left alone."""
    address = builder.bitcast(address, value.type.as_pointer())
    if mask is None:
        builder.store(value, address).align = 1
    else:
        _call(builder, f"masked.store.v{value.type.count}f32.p0", ir.VoidType(), value, address, I32(4), mask)


def prefetch(builder: Any, address: Any) -> None:
    """Ask for the cache line of an address that will be read soon; one that does not exist does no harm."""
    address = builder.bitcast(address, I8.as_pointer())
    read, near, data = I32(0), I32(3), I32(1)
    _call(builder, "prefetch.p0", ir.VoidType(), address, read, near, data)


def first_lanes(builder: Any, count: Any, lanes: int) -> Any:
    """The mask of the first `count` lanes."""
    count = builder.trunc(count, I32)  # as wide as what is masked, so that AVX2 needs one register and no conversion
    return builder.icmp_signed("<", constant(I32, range(lanes)), splat(builder, count, lanes))


def splat(builder: Any, scalar: Any, lanes: int) -> Any:
    """A vector of `lanes` copies."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    one = builder.insert_element(undefined, scalar, I32(0))
    return builder.shuffle_vector(one, undefined, constant(I32, [0] * lanes))


def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once."""
    return _call(builder, f"fma.v{c.type.count}f32", c.type, a, b, c)


def _call(builder: Any, name: str, result: Any, *operands: Any) -> Any:
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), operands)


def clamped(builder: Any, index: int, count: Any) -> Any:
    """min(index, count - 1): a tile's rows beyond the last repeat the last, compute the same and store the same."""
    last = builder.sub(count, i64(1))
    return builder.select(builder.icmp_signed("<", i64(index), last), i64(index), last) if index else i64(0)


def loop(
    builder: Any, count: Any, values: Sequence[Any], body: Callable[[Any, list[Any]], Sequence[Any]]
) -> list[Any]:
    """Emit ``for k in range(count): values = body(k, values)``; returns the values after the loop."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.phi(I64)
    k.add_incoming(i64(0), before)
    current = [builder.phi(value.type) for value in values]
    for phi, value in zip(current, values, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", k, count), inside, after)
    builder.position_at_end(inside)
    following = body(k, current)
    k.add_incoming(builder.add(k, i64(1)), builder.block)
    for phi, value in zip(current, following, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head).set_metadata("llvm.loop", _not_unrolled(builder.module))
    builder.position_at_end(after)
    return current


def _not_unrolled(module: Any) -> Any:
    """Loop metadata: a tile is unrolled already, and copies of it would spill its addresses."""
    node = module.add_metadata([f"loop {len(module.metadata)}"])  # a name of its own, or LLVM merges the loops
    node.operands = (node, module.add_metadata(["llvm.loop.unroll.disable"]))
    return node


def transposed(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Transpose a square of vectors in registers: log2(lanes) stages that swap ever larger blocks."""
    lanes, rows = len(rows), list(rows)
    size = 1
    while size < lanes:
        low = constant(I32, [c if not c & size else lanes + (c ^ size) for c in range(lanes)])
        high = constant(I32, [c | size if not c & size else lanes + c for c in range(lanes)])
        for a in range(lanes):
            if not a & size:
                b = a | size
                rows[a], rows[b] = (builder.shuffle_vector(rows[a], rows[b], order) for order in (low, high))
        size *= 2
    return rows
