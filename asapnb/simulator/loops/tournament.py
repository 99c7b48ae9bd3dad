"""The next event: a tournament of the workers' next events, in groups of eight.

Every worker has one key, the time of its next event. The least key of each group goes up a level, with its worker,
until one is left. When a key changes, its groups are played again on the way up. No comparison decides which memory
is read next, so no branch is mispredicted, and only the lowest groups are ever out of the cache.

A time is >= 0, so its bits as an integer have the same order, and integers compare in one cycle. Of equal times the
event that was scheduled first is first: it has the lower sequence number.

Twin: the heap of `Simulation.run` in tests/naive_simulator.py; tests/test_events.py also compares with a sorted list.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ...compiled import part
from ...kernels.atomics import element
from ...kernels.types import Rows
from ..words import GROUP, IDLE
from .types import Tournament

_I64 = ir.IntType(64)


@intrinsic
def peek(typing_context, array, index):  # type: ignore[no-untyped-def]
    """`peek(array, index)`: the element; the index must not be negative."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load(element(context, builder, signature, args))

    return array.dtype(array, index), generate


@intrinsic
def poke(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    """`poke(array, index, value)` sets the element; the index must not be negative."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        value = context.cast(builder, args[2], signature.args[2], signature.args[0].dtype)
        builder.store(value, element(context, builder, signature, args))
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def key_of(typing_context, time):  # type: ignore[no-untyped-def]
    """The key of a time >= 0."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], _I64)

    return types.int64(types.float64), generate


@intrinsic
def time_of(typing_context, key):  # type: ignore[no-untyped-def]
    """The time of a key."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def _least_of_group(typing_context, keys, start):  # type: ignore[no-untyped-def]
    """The place of the least of the eight keys from `start`, 0 to 7; 8 or more if two compared keys are equal."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        base = element(context, builder, signature, args)
        players = [(builder.load(builder.gep(base, [_I64(i)])), _I64(i)) for i in range(GROUP)]
        tie = ir.Constant(ir.IntType(1), 0)
        while len(players) > 1:
            winners = []
            for (left, i), (right, j) in zip(players[::2], players[1::2], strict=True):
                less = builder.icmp_signed("<", left, right)
                tie = builder.or_(tie, builder.icmp_signed("==", left, right))
                winners.append((builder.select(less, left, right), builder.select(less, i, j)))
            players = winners
        return builder.or_(players[0][1], builder.shl(builder.zext(tie, _I64), _I64(3)))

    return types.int64(keys, start), generate


@part(forceinline=True)
def _earlier(tree: Tournament, workers: Rows, a: int, b: int) -> bool:
    """Whether the event at place a comes before that at place b."""
    left, right = peek(tree.keys, a), peek(tree.keys, b)
    if left != right or left > IDLE:
        return left < right
    return workers[np.uint32(peek(tree.ids, a))].sequence < workers[np.uint32(peek(tree.ids, b))].sequence


@part()
def _settle(tree: Tournament, workers: Rows, start: int) -> int:
    """The place of the first event of a group in which some keys are equal."""
    first = start
    for place in range(start + 1, start + GROUP):
        if _earlier(tree, workers, place, first):
            first = place
    return first


@part(forceinline=True)
def put(tree: Tournament, workers: Rows, worker: int, key: int) -> None:
    """Give a worker this key. If it is the time of an event, the worker's `sequence` must have been set before.

    1. Write the key on the lowest level, where a place is a worker.
    2. On each level find the least key of the group. Look at sequence numbers only if there is a tie.
    3. Copy that key, and its worker, to the place of the group on the level above.
    """
    # 1. Write
    poke(tree.keys, worker, key)
    place = worker
    for level in range(tree.levels.size - 1):
        place >>= 3
        _play(tree, workers, level, place)


@part(forceinline=True)
def _play(tree: Tournament, workers: Rows, level: int, group: int) -> None:
    """Play a group: steps 2 and 3 of `put`."""
    start = peek(tree.levels, level) + (group << 3)
    first = _least_of_group(tree.keys, start)
    first = start + first if first < GROUP else _settle(tree, workers, start)
    above = peek(tree.levels, level + 1) + group
    poke(tree.keys, above, peek(tree.keys, first))
    poke(tree.ids, above, first if level == 0 else peek(tree.ids, first))


@part()
def build(tree: Tournament, workers: Rows) -> None:
    """Play all groups, once all keys of the lowest level, and the sequence of each worker, have been set."""
    count = workers.size
    for level in range(tree.levels.size - 1):
        count = (count + GROUP - 1) // GROUP
        for group in range(count):
            _play(tree, workers, level, group)


@part(forceinline=True)
def idle(tree: Tournament, workers: Rows, worker: int) -> None:
    """Remove the event of a worker."""
    put(tree, workers, worker, IDLE + 1 + (worker & (GROUP - 1)))


@part(forceinline=True)
def next_key(tree: Tournament) -> int:
    """The key of the next event; above IDLE when there is none."""
    return peek(tree.keys, peek(tree.levels, tree.levels.size - 1))


@part(forceinline=True)
def next_worker(tree: Tournament) -> int:
    """The worker of the next event."""
    return peek(tree.ids, peek(tree.levels, tree.levels.size - 1))
