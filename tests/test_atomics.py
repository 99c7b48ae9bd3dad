"""Atomic operations, the lock and the vector pool, hammered by threads: each result is exact or it is wrong."""

import re
import time

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from processes import in_threads

from asapnb.compiled import PART, kernel
from asapnb.engine.loops import pool as vectors
from asapnb.engine.words import CURRENT, HEADER, LOCK, OWNED, POINTER, READING, STALE
from asapnb.kernels import atomics
from asapnb.kernels.arrays import LINE, array_type
from asapnb.kernels.waiting import doze, lock, unlock
from asapnb.platforms import HERE

THREADS = 8


@kernel()
def add_many(words, times):
    for _ in range(times):
        atomics.fetch_add(words, 0, 1)


@kernel()
def swap_many(words, times):
    """Add by compare-and-swap."""
    for _ in range(times):
        while True:
            now = atomics.load(words, 0)
            if atomics.compare_and_swap(words, 0, now, now + 1):
                break


@kernel()
def add_under_lock(control, plain, times):
    """Two plain cells that only ever differ inside the lock; counts the times they were seen to."""
    for _ in range(times):
        lock(control, LOCK)
        if plain[0] != plain[1]:
            plain[2] += 1
        plain[0] += 1
        plain[1] = plain[0]
        unlock(control, LOCK)


@kernel()
def pass_on(words, me, threads, times):
    """Take turns: a plain value is handed on by a store and taken by a load."""
    for turn in range(times):
        while atomics.load(words, 0) != turn * threads + me:
            atomics.yield_core()
        words[LINE] += words[0]
        atomics.store(words, 0, turn * threads + me + 1)


@kernel()
def meet_many(words, threads, times):
    """Meet the other threads again and again; whoever comes last wakes them."""
    for phase in range(times):
        if atomics.fetch_add(words, LINE, 1) + 1 == threads:
            atomics.store(words, LINE, 0)
            words[2 * LINE] += 1
            atomics.store(words, 0, phase + 1)
            atomics.wake(words, 0, threads)
        spins = 0
        while atomics.load(words, 0) == phase:
            spins = doze(words, 0, phase, spins)


@kernel()
def sleep_briefly(words, value):
    """Nanoseconds that an hour's sleep takes, while the first word is `value`."""
    start = atomics.clock()
    atomics.sleep_while(words, 0, value, 3_600_000_000)
    return atomics.clock() - start


@kernel()
def read_clock():
    return atomics.clock()


@kernel()
def publish_many(control, slots, pool, me, times):
    """Publish vectors whose elements are all the version; returns how many views were not."""
    mine = vectors.claim(slots, me)
    bad = 0
    for _ in range(times):
        while True:
            word = vectors.acquire(control, slots)
            source, target = pool[vectors.slot_of(word)], pool[mine]
            for i in range(source.size):
                if source[i] != vectors.version_of(word):
                    bad += 1
                target[i] = source[i] + 1
            if vectors.publish(control, slots, word, mine):
                break
        mine = vectors.claim(slots, mine)
    return bad


@pytest.mark.parametrize("function", [add_many, swap_many])
def test_no_addition_is_lost(function):
    words = np.zeros(LINE, np.int64)
    function(words, 1)
    in_threads(lambda me: function(words, 100_000), THREADS)
    assert words[0] == 1 + THREADS * 100_000


def test_the_lock_excludes():
    control, plain = np.zeros(READING, np.int64), np.zeros(3, np.int64)
    in_threads(lambda me: add_under_lock(control, plain, 20_000), THREADS)
    assert list(plain) == [THREADS * 20_000, THREADS * 20_000, 0]


def test_a_store_shows_what_was_written_before_it():
    words = np.zeros(2 * LINE, np.int64)
    in_threads(lambda me: pass_on(words, me, THREADS, 500), THREADS)
    assert words[LINE] == sum(range(THREADS * 500))


@pytest.mark.parametrize("threads", [2, 16])
def test_those_that_sleep_are_woken(threads):
    words = np.zeros(3 * LINE, np.int64)
    in_threads(lambda me: meet_many(words, threads, 500), threads)
    assert list(words[::LINE]) == [500, 0, 500]


def test_nobody_sleeps_while_the_word_is_another():
    assert 0 <= sleep_briefly(np.zeros(LINE, np.int64), 7) < 3.6e12


def test_the_clock_is_that_of_python():
    before, now, after = time.monotonic_ns(), read_clock(), time.monotonic_ns()
    assert before <= now <= after


@pytest.mark.parametrize("threads", [1, 2, 8, 16, 64])
def test_the_pool_publishes_one_chain_without_a_leak(threads):
    count = 2 * threads  # the fewest that suffice
    control, slots = np.zeros(READING, np.int64), np.zeros(count * HEADER, np.int64)
    pool = np.zeros((count, 200), np.int64)
    slots[LINE] = CURRENT
    bad = in_threads(lambda me: publish_many(control, slots, pool, me, 400), threads)
    assert bad == [0] * threads
    assert control[POINTER] >> 16 == 400 * threads, "every publication has one parent"
    assert (pool[control[POINTER] & 0xFFFF] == 400 * threads).all()
    headers = slots.reshape(count, 2, LINE)[:, :, 0]
    assert not headers[:, 0].any(), "a reader was leaked"
    status = np.bincount(headers[:, 1] & 3, minlength=4)
    assert list(status[[OWNED, CURRENT, STALE]]) == [threads, 1, 0]


OPERATIONS = {  # and what they are on ARM, without and with the instructions of its version 8.1
    "load": (lambda words: atomics.load(words, 1), "ldar", "ldar"),
    "store": (lambda words: atomics.store(words, 1, 2), "stlr", "stlr"),
    "add": (lambda words: atomics.fetch_add(words, 1, 2), "ldaxr stlxr", "ldaddal"),
    "add, without a use of the result": (lambda words: vectors.pin(words, 1), "ldaxr stlxr", "ldaddal"),
    "swap": (lambda words: atomics.compare_and_swap(words, 1, 2, 3), "ldaxr stlxr", "casal"),
    "fence": (lambda words: atomics.fence(), "dmb", "dmb"),
    "release": (
        lambda words: vectors.release(words, 0),
        "ldaxr stlxr ldar ldar ldaxr stlxr",
        "ldaddal ldar ldar casal",
    ),
}


@pytest.fixture(scope="module")
def arm():
    """LLVM's ARM processors: of version 8.0, and of version 8.1 with weak acquiring loads besides."""
    if not hasattr(llvm, "initialize_all_targets"):
        pytest.skip("this llvmlite cannot initialise other targets")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple("aarch64-unknown-linux-gnu")
    except RuntimeError as error:
        pytest.skip(f"this llvmlite has no ARM target: {error}")
    return [target.create_target_machine(cpu="generic", features=features) for features in ("", "+lse,+rcpc")]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_arm_processor_orders_what_the_code_promises(name, arm):
    function, *wanted = OPERATIONS[name]
    compiled = numba.njit(**{key: value for key, value in PART.items() if key != "pipeline_class"})(function)
    compiled.compile((array_type(np.int64),))
    for machine, instructions in zip(arm, wanted, strict=True):
        module = llvm.parse_assembly(compiled.inspect_llvm(compiled.signatures[0]))
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        found = re.findall(r"^\s+((?:ld|st|cas|swp|dmb)\w*)\s+(.*)", machine.emit_assembly(module), re.MULTILINE)
        ordering = [
            (one, operands) for one, operands in found if one not in ("ldr", "ldp", "str", "strb", "stp", "stur")
        ]
        allowed = [instructions] if "avx2" in HERE.kernel_paths else wanted  # an ARM machine has chosen its own
        assert " ".join(one for one, _ in ordering) in allowed
        assert all(operands == "ish" for one, operands in ordering if one == "dmb")
        # an addition that loads into the register of zeros does not acquire
        assert not any(re.match(r"\w+, [wx]zr", operands) for one, operands in ordering if one == "ldaddal")
