"""The primitives one by one, what the compiler makes of the tiles, and the cache."""

import re

import naive
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from processes import python

from asapnb.compiled import KERNEL_PATH, kernel
from asapnb.platforms import HERE
from asapnb.problems import primitives
from asapnb.problems.tiles import LANES


@kernel()
def multiply(c, c_row, a, a_row, a_column, b, b_row, m, n, k, accumulate):
    primitives.product(c, 1, c_row, a, 1, a_row, a_column, b, 1, b_row, m, n, k, accumulate)


@kernel()
def transpose(out, out_row, rows, row, m, n):
    primitives.transpose(out, 0, out_row, rows, 0, row, m, n)


@kernel()
def lane_sums(out, sums, n):
    primitives.lane_sums(out, 1, sums, 0, n)


@given(st.integers(1, 20), st.integers(1, 50), st.integers(1, 140), st.booleans(), st.booleans(), st.integers(0, 99))
@example(6, 2 * LANES, 64, False, True, 0)
@example(1, 1, 1, True, False, 0)
@settings(max_examples=60)
def test_product(m, n, k, accumulate, transposed, seed):
    rng = np.random.default_rng(seed)
    for dtype in (np.float32, np.float64):
        a, b, c = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))  # sums are exact
        gap = int(rng.integers(0, 3))
        wide = np.full((m, n + gap), 99, dtype)
        wide[:, :n] = c
        flat = np.concatenate([[7], wide.ravel(), [7]]).astype(dtype)
        left = np.concatenate([[9], (a.T if transposed else a).ravel()]).astype(dtype)
        strides = (1, m) if transposed else (k, 1)
        multiply(
            flat, n + gap, left, *strides, np.concatenate([[9], b.ravel()]).astype(dtype), n, m, n, k, accumulate
        )
        wide[:, :n] = a @ b + (c if accumulate else 0)
        assert np.array_equal(flat[1:-1], wide.ravel())
        assert flat[0] == flat[-1] == 7, "nothing outside is written"


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30)
def test_transpose(m, n):
    rows, columns = (-(-size // LANES) * LANES for size in (m, n))
    for dtype in (np.float32, np.float64):
        source = np.arange(rows * columns, dtype=dtype).reshape(rows, columns)
        out = np.zeros((columns, rows), dtype)
        transpose(out.ravel(), rows, source.ravel(), columns, m, n)
        expected = source[np.minimum(np.arange(rows), m - 1), :n].T
        assert np.array_equal(out[:n], expected)


@given(st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=30)
def test_lane_sums(n, seed):
    sums = np.random.default_rng(seed).normal(size=(n, LANES)).astype(np.float32)
    out = np.full(n + 2, 7, np.float32)
    lane_sums(out, sums.ravel(), n)
    np.testing.assert_allclose(out[1:-1], naive.lane_sums(sums), rtol=0, atol=1e-5)
    if KERNEL_PATH == "avx512":  # in this order since the first version
        assert out[1:-1].tobytes() == naive.lane_sums(sums).tobytes()
    assert out[0] == out[-1] == 7, "nothing outside is written"


SPILLS = r"""
import re, numba
from numba import int64 as i, types
from asapnb.problems import simd
f, q, p = numba.float32[::1], numba.int8[::1], numba.int64[::1]
signatures = {
    simd._panel.py_func: (f, i, i, f, i, i, i, f, i, i, i, i, i, numba.boolean),
    simd.convolve_pool_row: (f, i, i, i, q, i, i, f, i, f, i, f, i, i, p, i, i, i, i, i),
    simd.convolve_row: (f, i, i, i, f, i, i, i, f, i, f, i, i, p, i, i, i, i, i),
    simd.correlate: (f, i, i, f, i, i, i, f, i, i, i, i, i, i),
}
for function, signature in signatures.items():
    compiled = numba.njit(function)
    compiled.compile(signature)
    for block in re.split(r"\n\.LBB", compiled.inspect_asm(signature)):
        if "vfmadd" in block and re.search(r"[yz]mm.*\(%rsp|\(%rsp.*[yz]mm", block):
            raise SystemExit(f"{function.__name__} spills in\n{block}")
"""
AVX512 = "+avx,+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx512cd,+sse4.2,+sse4.1,+ssse3,+sse3,+popcnt"
TARGETS = {"avx2": ("znver3", "+avx,+avx2,+fma,+sse4.2,+sse4.1,+ssse3,+sse3,+popcnt"), "avx512": ("znver4", AVX512)}


@pytest.mark.skipif("avx2" not in HERE.kernel_paths, reason="compiles for x86-64")
@pytest.mark.parametrize("path", TARGETS)
def test_tiles_stay_in_registers(path, tmp_path):
    cpu, features = TARGETS[path]
    environment = {"ASAPNB_CACHE": str(tmp_path), "ASAPNB_KERNELS": path}
    environment |= {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    python("-c", SPILLS, environment=environment)


def test_a_new_process_compiles_nothing():
    code = """
import asapnb as ab
problem = ab.lenet(ab.load_dataset("fashion-mnist-mini"))
problem.compile()
for kernel in problem.gradient, problem.forward(*problem.dtypes[:2]):
    print(kernel.stats.cache_hits.total(), kernel.stats.cache_misses.total())
"""
    for _ in range(2):
        result = python("-c", code)
    assert re.findall(r"\d+ \d+", result.stdout) == ["1 0", "1 0"]
