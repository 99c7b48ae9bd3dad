"""Atomic operations, the monotonic clock and ways to wait, as Numba intrinsics.

Numba offers no atomics on CPUs; LLVM does. Each operation works on one element of a contiguous one-dimensional
int64 array, `f(array, index, ...)`.

`load` and every read-modify-write are sequentially consistent: on x86 a plain load and a locked instruction, on ARM
`ldar` and `ldaxr`/`stlxr`, or `casal` and `ldaddal`. `store` releases: `mov`, `stlr`. The vector pool, where a reader
announces itself and then checks again, needs no less. Compiled loops would read a shared word once and keep it, so
shared words are only touched by these functions. docs/explanation/memory-order.md argues for each word.

The clock and the yield are called by their libc symbols, which keeps compiled code cacheable.

Checked by threads in tests/test_atomics.py.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..platforms import HERE

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_FUTEX_WAIT, _FUTEX_WAKE = 128, 129  # both private to the process


def element(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The address of `array[index]`; a negative index does not count from the end."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    index = context.cast(builder, args[1], signature.args[1], types.intp)
    return builder.gep(array.data, [index])


def _word(context: Any, builder: Any, signature: Any, args: Any, position: int) -> Any:
    return context.cast(builder, args[position], signature.args[position], types.int64)


def _read_modify_write(operation: str) -> Callable[..., Any]:
    @intrinsic
    def function(typing_context, array, index, value):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            address = element(context, builder, signature, args)
            return builder.atomic_rmw(operation, address, _word(context, builder, signature, args, 2), "seq_cst")

        return types.int64(array, index, value), generate

    return function


fetch_add = _read_modify_write("add")  # (array, index, value) -> the value before


@intrinsic
def compare_and_swap(typing_context, array, index, expected, new):  # type: ignore[no-untyped-def]
    """`compare_and_swap(array, index, expected, new)` -> whether `expected` was there and `new` has replaced it."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        address = element(context, builder, signature, args)
        expected, new = (_word(context, builder, signature, args, position) for position in (2, 3))
        outcome = builder.cmpxchg(address, expected, new, "seq_cst", "seq_cst")
        return builder.extract_value(outcome, 1)

    return types.boolean(array, index, expected, new), generate


@intrinsic
def load(typing_context, array, index):  # type: ignore[no-untyped-def]
    """`load(array, index)` -> the element, sequentially consistent."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load_atomic(element(context, builder, signature, args), "seq_cst", 8)

    return types.int64(array, index), generate


@intrinsic
def store(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    """`store(array, index, value)` releases: a thread that loads `value` sees all that was written before it."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        address = element(context, builder, signature, args)
        builder.store_atomic(_word(context, builder, signature, args, 2), address, "release", 8)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def fence(typing_context):  # type: ignore[no-untyped-def]
    """Keep plain reads before it from moving behind it, and plain writes behind it from moving before it.

    It acquires and releases. On x86 it holds back the compiler alone, and no instruction is made of it.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        builder.fence("acq_rel")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def pause(typing_context):  # type: ignore[no-untyped-def]
    """Tell the processor that this is a spin loop; nothing on processors without such a hint."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        if HERE.pause is not None:
            name, operands = HERE.pause
            function_type = ir.FunctionType(ir.VoidType(), [_I32] * len(operands))
            function = cgutils.get_or_insert_function(builder.module, function_type, name)
            builder.call(function, [_I32(operand) for operand in operands])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def yield_core(typing_context):  # type: ignore[no-untyped-def]
    """Let another thread run on this core."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def nap(typing_context, microseconds):  # type: ignore[no-untyped-def]
    """Sleep for so many microseconds: for long waits, such as for an evaluation."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, [_I32]), "usleep")
        duration = context.cast(builder, args[0], signature.args[0], types.uint32)
        builder.call(function, [duration])
        return context.get_dummy_value()

    return types.void(microseconds), generate


@intrinsic
def sleep_while(typing_context, array, index, value, microseconds):  # type: ignore[no-untyped-def]
    """Sleep while `array[index]` is `value`, until `wake`, or for so many microseconds; it may end before that.

    Linux compares the lower 32 bits. Other systems sleep for a tenth of a millisecond, and `wake` does nothing there.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        if HERE.futex is None:
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, [_I32]), "usleep")
            builder.call(function, [_I32(100)])
            return context.get_dummy_value()
        duration = _word(context, builder, signature, args, 3)
        time = cgutils.alloca_once(builder, ir.LiteralStructType([_I64, _I64]))
        million, thousand = _I64(1_000_000), _I64(1000)
        builder.store(builder.sdiv(duration, million), cgutils.gep_inbounds(builder, time, 0, 0))
        rest = builder.mul(builder.srem(duration, million), thousand)
        builder.store(rest, cgutils.gep_inbounds(builder, time, 0, 1))
        expected = _word(context, builder, signature, args, 2)
        _futex(
            builder, element(context, builder, signature, args), _FUTEX_WAIT, expected, builder.ptrtoint(time, _I64)
        )
        return context.get_dummy_value()

    return types.void(array, index, value, microseconds), generate


@intrinsic
def wake(typing_context, array, index, count):  # type: ignore[no-untyped-def]
    """Wake up to `count` of those that sleep for `array[index]`."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        if HERE.futex is not None:
            count = _word(context, builder, signature, args, 2)
            _futex(builder, element(context, builder, signature, args), _FUTEX_WAKE, count, _I64(0))
        return context.get_dummy_value()

    return types.void(array, index, count), generate


def _futex(builder: Any, address: Any, operation: int, value: Any, time: Any) -> None:
    """The system call futex, through the libc function `syscall`."""
    function_type = ir.FunctionType(_I64, [_I64], var_arg=True)
    function = cgutils.get_or_insert_function(builder.module, function_type, "syscall")
    place = builder.ptrtoint(address, _I64)
    builder.call(function, [_I64(HERE.futex), place, _I64(operation), value, time, _I64(0), _I64(0)])


@intrinsic
def clock(typing_context):  # type: ignore[no-untyped-def]
    """Nanoseconds of the monotonic clock, int64; the same clock as `time.monotonic_ns`."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        time = cgutils.alloca_once(builder, ir.LiteralStructType([_I64, _I64]))
        function_type = ir.FunctionType(_I32, [_I32, time.type])
        function = cgutils.get_or_insert_function(builder.module, function_type, "clock_gettime")
        builder.call(function, [_I32(HERE.clock), time])
        seconds, nanoseconds = (builder.load(cgutils.gep_inbounds(builder, time, 0, part)) for part in (0, 1))
        return builder.add(builder.mul(seconds, _I64(1_000_000_000)), nanoseconds)

    return types.int64(), generate
