"""Memory for shared arrays, and the Numba types of arrays."""

import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numba import from_dtype, types

from ..platforms import HERE

LINE_BYTES = HERE.line_bytes  # of a cache line
LINE = LINE_BYTES // 8  # int64 words in it
_HUGE_BYTES = 2**21
_HUGE_FROM = 2**18  # bytes: smaller arrays do not need the huge page that they would occupy


def aligned(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that begin at a cache line. Pages that are never touched cost no memory.

    Large arrays use huge pages where the system has them. With pages of 4 KiB a training step takes 3 to 8 % longer:
    addresses must be looked up, and scattered pages collide in the second-level cache.

    >>> aligned((3, 4), "float32").ctypes.data % LINE_BYTES
    0
    """
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    if size >= _HUGE_FROM and hasattr(mmap, "MADV_HUGEPAGE"):
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # shared memory, the default, has small pages only
        pages = mmap.mmap(-1, size + _HUGE_BYTES, flags=private)
        with suppress(OSError):  # a kernel without them
            pages.madvise(mmap.MADV_HUGEPAGE)
        memory, alignment = np.frombuffer(pages, np.uint8), _HUGE_BYTES
    else:
        memory, alignment = np.zeros(size + LINE_BYTES, np.uint8), LINE_BYTES
    start = -memory.ctypes.data % alignment
    return memory[start : start + size].view(dtype).reshape(shape)


def whole_lines(length: int, dtype: np.dtype[Any]) -> int:
    """The number of elements in the whole cache lines that `length` elements need.

    >>> whole_lines(5, np.dtype(np.float32)) == LINE_BYTES // 4
    True
    """
    per_line = LINE_BYTES // dtype.itemsize
    return -(-length // per_line) * per_line


def array_type(dtype: Any, ndim: int = 1) -> types.Array:
    """The Numba type of a contiguous array of this dtype."""
    return types.Array(from_dtype(np.dtype(dtype)), ndim, "C")


def tuple_type(fields: Any, arrays: dict[str, types.Type], default: types.Type) -> types.Type:
    """The Numba type of a named tuple of arrays.

    Args:
        fields: the named tuple.
        arrays: the types of some fields, by name.
        default: the type of all other fields.

    Raises:
        ValueError: for a name that is no field.
    """
    if unknown := arrays.keys() - set(fields._fields):
        raise ValueError(f"{fields.__name__} has no fields {sorted(unknown)}")
    return types.NamedTuple(tuple(arrays.get(name, default) for name in fields._fields), fields)
