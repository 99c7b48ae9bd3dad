"""A run that has ended as an HDF5 file of few bytes, made in memory and written at once.

A growing column needs an index of 2.6 KB, an old group a heap, a new header room for attributes that never come. So a
run of a few megabytes is written again, in the short forms that HDF5 has known since 1.10 (2016). Paths, types and
attributes are the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import synopsis, tail
from .columns import CHUNK
from .schema import COLUMNS
from .synopsis import Synopsis
from .text import to_attribute

GROUPS = {*COLUMNS, "params", "staleness"}  # that a run may have
LARGEST = 4 * 2**20  # bytes of arrays; more are written piece by piece, in columns that could grow
_FEW = 88  # bytes that take less room as they are than with the header of a filter
_CHUNK_BYTES = 2**20
_IN_HEADER = 64  # attributes: by default, HDF5 moves the ninth to a heap and an index of 1.5 KB
_RANDOM = ("params", "kept")  # groups of numbers that would hardly become smaller
_numbers = itertools.count()


def packed(
    attributes: Mapping[str, Any],
    groups: Mapping[str, Mapping[str, NDArray[Any]]],
    layout: Any,
    summed_up: Synopsis | None,
) -> bytes:
    """The bytes of a run file.

    Args:
        attributes: those of its root; None is left out.
        groups: the datasets of each group.
        layout: the attribute of this name of /params.
        summed_up: its synopsis, if there is one.
    """
    from h5py import File, h5o

    content = BytesIO()
    made, copied = _in_memory(BytesIO()), _in_memory(content)
    try:
        # A new header has room for attributes, 256 bytes at least. A copy of it has no more than it needs.
        for group, arrays in groups.items():
            _add_group(made, group, arrays)
            h5o.copy(made, group.encode(), copied, group.encode())
        _set_attributes(copied, attributes)
        _set_attributes(h5o.open(copied, b"params"), {"layout": layout})
        if summed_up is not None:
            synopsis.write_dataset(File(copied), summed_up)
    finally:
        made.close()
        copied.close()
    return synopsis.sealed_bytes(content.getvalue())


def is_packed(file: Any) -> bool:
    """Whether columns of an open h5py.File cannot grow, as it was written when its run had ended."""
    columns = (column for group in ("evals", "rule") for column in file[group].values())
    return tail.NAME not in file and any(column.maxshape[0] is not None for column in columns)


def is_ours(file: Any) -> bool:
    """Whether an open h5py.File has only what a run writes: another program may have added something."""
    return all(
        name in GROUPS
        and all(is_plain(one) and not one.attrs for one in group.values())
        and {*group.attrs} <= {"layout"}
        for name, group in file.items()
        if name not in (tail.NAME, synopsis.NAME)
    )


def is_plain(item: Any) -> bool:
    """Whether what a group has is an array of numbers, as all that a run writes."""
    return hasattr(item, "chunks") and bool(item.shape) and item.dtype.kind in "iuf"


def copy_others(old: Any, new: Any) -> None:
    """Copy what another program has added to an open h5py.File, beside what a run has, into a new one."""
    new.attrs.update(old.attrs)
    for name in {*old} - {tail.NAME, synopsis.NAME}:
        if name not in new:
            old.copy(name, new)
            continue
        new[name].attrs.update(old[name].attrs)
        for one, item in old[name].items():
            if one in new[name]:
                new[name][one].attrs.update(item.attrs)
            else:
                old.copy(item, new[name], one)


def _in_memory(content: BytesIO) -> Any:
    """A new file, with no byte between its parts. HDF5 before 2.0 gives images of open files a wrong checksum."""
    from h5py import h5f, h5fd, h5p

    create, access = h5p.create(h5p.FILE_CREATE), h5p.create(h5p.FILE_ACCESS)
    create.set_attr_phase_change(_IN_HEADER, 0)
    create.set_obj_track_times(False)
    create.set_file_space_strategy(h5f.FSPACE_STRATEGY_NONE, False, 1)
    access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_fileobj_driver(h5fd.fileobj_driver, content)
    access.set_meta_block_size(0)
    return h5f.create(f"asapnb-{next(_numbers)}".encode(), h5f.ACC_TRUNC, create, access)


def _add_group(file: Any, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    from h5py import h5d, h5g, h5p, h5s, h5t

    kind = h5p.create(h5p.GROUP_CREATE)
    kind.set_obj_track_times(False)
    group = h5g.create(file, name.encode(), gcpl=kind)
    for one, array in arrays.items():
        array = np.ascontiguousarray(array)
        dtype = h5t.py_create(array.dtype, logical=True)
        dataset = h5d.create(group, one.encode(), dtype, h5s.create_simple(array.shape), _stored(name, array))
        if array.size:
            dataset.write(h5s.ALL, h5s.ALL, array)


def _stored(group: str, array: NDArray[Any]) -> Any:
    """How an array is stored: in its header, in chunks with a checksum, compressed."""
    from h5py import h5d, h5p

    found = h5p.create(h5p.DATASET_CREATE)
    found.set_obj_track_times(False)
    found.set_fill_time(h5d.FILL_TIME_NEVER)
    if array.nbytes <= _FEW:
        found.set_layout(h5d.COMPACT)
    elif group != "params":
        per_row = array.nbytes // len(array)
        found.set_chunk((min(len(array), CHUNK, max(1, _CHUNK_BYTES // per_row)), *array.shape[1:]))
        if group not in _RANDOM:
            found.set_shuffle()
            found.set_deflate(1)
        found.set_fletcher32()
    return found


def _set_attributes(item: Any, attributes: Mapping[str, Any]) -> None:
    """As `text.set_attributes`, of an object with its low-level interface."""
    import h5py
    from h5py import h5a, h5s, h5t

    text, space = h5t.py_create(h5py.string_dtype(), logical=True), h5s.create(h5s.SCALAR)
    for name, value in attributes.items():
        if value is not None:
            stored = to_attribute(name, value)
            array = np.asarray(stored, object if isinstance(stored, str) else None)
            dtype = text if isinstance(stored, str) else h5t.py_create(array.dtype, logical=True)
            h5a.create(item, name.encode(), dtype, space).write(array)
