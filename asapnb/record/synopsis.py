"""What a run comes to, in about a kilobyte: written last into its file, and into the manifest of its sweep.

A run that has a synopsis is compared, listed and drawn from that, and its file stays closed. In the file it is the
dataset /synopsis, bytes that lie there as they are: a header, then JSON with arrays behind it, compressed. The header
has the CRC-32 of all the rest of the file, so the synopsis of a file that was changed or damaged is not believed.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .attributes import Facts, checked_attributes
from .schema import COLUMNS, RUNNING
from .sums import COUNTED, WORKER_ROWS, Sums
from .text import from_attribute, to_attribute

if TYPE_CHECKING:
    from .run import Run

NAME = "synopsis"
VERSION = 1
_MARK = b"asapnb synopsis\n"
_HEADER = struct.Struct("<16sIIII")  # the mark, the version, the length of what follows, its CRC, that of the rest
_MOST_ROWS = 2**22  # updates of a run that are summed up at its end: that takes memory for all of them
_LARGEST = 2**20  # bytes of a synopsis, compressed
_UNPACKED = 2**24
_SHARED = lru_cache(1024)(from_attribute)  # nested attributes, as most runs of a sweep have the same


@dataclass(frozen=True, eq=False)
class Synopsis:
    """What a run comes to. From this follow its configuration, figures, evaluations and staleness.

    Attributes:
        attributes: all of its file.
        rows: how many each group has.
        made_from: what the first tables of its rule were made from, as `BurnIn.made_from`.
        sums: what its updates come to.
        evals: the columns of its evaluations.
        eval_steps: the sum of the steps up to each.
        packed: all of this as bytes; empty of one that was read.
    """

    attributes: Facts
    rows: Mapping[str, int]
    made_from: str
    sums: Sums
    evals: Mapping[str, NDArray[Any]]
    eval_steps: NDArray[np.float64]
    packed: bytes


def synopsis_of(run: Run) -> Synopsis | None:
    """The synopsis of a run that has ended; None for one that would be too large."""
    from .burn_in import burn_in

    if run.status == RUNNING or run.rows.get("updates", 0) > _MOST_ROWS:
        return None
    sums, evals, made_from = run.sums, dict(run.evals), burn_in(run).made_from
    arrays = {
        **{f"evals/{name}": column for name, column in evals.items() if not _is_empty(column)},
        "eval_steps": run.eval_steps,
        **{f"by_tau/{name}": sums_of_it for name, sums_of_it in sums.by_tau.items()},
        "worker_steps": sums.worker_steps,
        "worker_scale": sums.worker_scale,
        **{f"worker_rows/{name}": counts for name, counts in (sums.worker_rows or {}).items()},
    }
    text = {
        "attributes": {name: to_attribute(name, value) for name, value in sorted(run.attributes.items())},
        "rows": run.rows,
        "made_from": made_from,
        "sums": sums.numbers,
        "arrays": [[name, array.dtype.str, len(array)] for name, array in arrays.items()],
    }
    content = [json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode(), b"\n"]
    packed = zlib.compress(b"".join([*content, *(array.tobytes() for array in arrays.values())]), 6)
    if len(packed) > _LARGEST:
        return None
    return Synopsis(run.attributes, run.rows, made_from, sums, evals, run.eval_steps, packed)


def unpacked(packed: bytes, name: str) -> Synopsis | None:
    """The synopsis that bytes hold; None if they do not hold one that this version can read.

    Args:
        packed: the bytes.
        name: of the run, for errors.
    """
    try:
        return _read(zlib.decompressobj().decompress(packed, _UNPACKED), name)
    except Exception:  # bytes from anywhere: whatever is wrong with them, the rows are read instead
        return None


def _read(content: bytes, name: str) -> Synopsis:
    text, _, raw = content.partition(b"\n")
    found, arrays, at = json.loads(text), {}, 0
    for path, dtype, length in found["arrays"]:
        arrays[path] = np.frombuffer(raw, dtype, length, at)
        at += arrays[path].nbytes
    attributes = {sys.intern(key): _attribute(value) for key, value in found["attributes"].items()}
    facts, made_from = checked_attributes(attributes, name), sys.intern(str(found["made_from"]))
    rows = {sys.intern(key): int(value) for key, value in found["rows"].items()}
    sums = Sums(0)
    sums.numbers = {key: kind(found["sums"][key]) for key, kind in COUNTED.items()}
    sums.by_tau = {key: _typed(arrays[f"by_tau/{key}"], column.dtype) for key, column in sums.by_tau.items()}
    sums.worker_steps = _typed(arrays["worker_steps"], np.float64, facts["workers"])
    sums.worker_scale = _typed(arrays.get("worker_scale", sums.worker_steps), np.float64, facts["workers"])
    known = all(f"worker_rows/{name}" in arrays for name in WORKER_ROWS)
    sums.worker_rows = {
        name: _typed(arrays[f"worker_rows/{name}"], np.int64, facts["workers"]) for name in WORKER_ROWS if known
    } or None
    steps = _typed(arrays["eval_steps"], np.float64, rows["evals"])
    evals = {
        key: _typed(arrays[f"evals/{key}"], column.dtype, len(steps)) if f"evals/{key}" in arrays
        else _nothing(len(steps))
        for key, column in COLUMNS["evals"].items()
    }  # fmt: skip
    counts = sums.by_tau["updates"]
    if facts["status"] == RUNNING or (counts < 0).any() or counts.sum() != sums.numbers["applied"]:
        raise ValueError("no synopsis of a run that has ended")
    return Synopsis(facts, rows, made_from, sums, evals, steps, b"")


def _attribute(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _SHARED(value) if value[:1] in ("{", "[") else value


def _typed(array: NDArray[Any], dtype: Any, length: int | None = None) -> NDArray[Any]:
    if array.dtype != dtype or length not in (None, len(array)):
        raise TypeError(f"{len(array)} of {array.dtype}: must be {length} of {dtype}")
    return array


@lru_cache(64)
def _nothing(length: int) -> NDArray[np.float64]:
    """A column that was not measured; runs share it."""
    column = np.full(length, np.nan)
    column.setflags(write=False)
    return column


def _is_empty(column: NDArray[Any]) -> bool:
    return column.dtype.kind == "f" and bool(np.isnan(column).all())


def write_dataset(file: Any, synopsis: Synopsis) -> None:
    """Write a synopsis into an open h5py.File; `seal` fills in the CRC of the rest of the file."""
    packed = synopsis.packed
    head = _HEADER.pack(_MARK, VERSION, len(packed), zlib.crc32(packed), 0)
    file.create_dataset(NAME, data=np.frombuffer(head + packed, np.uint8))


def seal(path: Path) -> None:
    """Fill the CRC in of the synopsis in a file, if it has one: the last of all writes to the file."""
    with path.open("r+b") as file:
        if (found := _found(file)) is not None:
            file.seek(found.at + _HEADER.size - 4)
            file.write(struct.pack("<I", found.crc))


def sealed_bytes(content: bytes) -> bytes:
    """The bytes of a file with the CRC filled in."""
    if (found := _found_in(content)) is None:
        return content
    at = found.at + _HEADER.size
    return b"".join([content[: at - 4], struct.pack("<I", found.crc), content[at:]])


def holds(path: Path) -> bool:
    """Whether a file has a synopsis and is as it was sealed."""
    with path.open("rb") as file:
        return sealed(file) is not None


def sealed(file: Any) -> bytes | None:
    """The bytes of the synopsis in an open file; None if there is none, or if the file has changed since."""
    found = _found(file)
    return found.packed if found is not None and found.said == found.crc else None


class _Place(NamedTuple):
    at: int
    packed: bytes
    said: int
    crc: int


def _found(file: Any) -> _Place | None:
    """Where the synopsis is in an open file, its content, the CRC in its header, and that of the rest."""
    if os.fstat(file.fileno()).st_size < _HEADER.size:
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _found_in(content)


def _found_in(content: mmap.mmap | bytes) -> _Place | None:
    at = content.rfind(_MARK)
    if at < 0 or at + _HEADER.size > len(content):
        return None
    _, version, length, crc, said = _HEADER.unpack_from(content, at)
    end = at + _HEADER.size + length
    packed = content[at + _HEADER.size : end]
    if version != VERSION or len(packed) != length or zlib.crc32(packed) != crc:
        return None
    with memoryview(content) as view, view[:at] as before, view[end:] as after:
        return _Place(at, packed, said, zlib.crc32(after, zlib.crc32(before)))
