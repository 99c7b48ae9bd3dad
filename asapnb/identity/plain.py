"""Digests of plain values, and the parts of code and classes that a digest looks at."""

import hashlib
import math
import struct
import types
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import numpy as np


def hashed(tag: str, *parts: bytes) -> bytes:
    """One digest of several parts, under a tag that says of what kind they are."""
    found = hashlib.blake2b(tag.encode(), digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


def encoded(value: str) -> bytes:
    """A text as bytes, whatever is in it."""
    return value.encode("utf-8", "surrogatepass")


def scalar(value: Any) -> bytes | None:
    """The digest of a number, a text and the like; None for anything else."""
    kind = type(value)
    if value is None or value is Ellipsis or value is NotImplemented or kind is bool:
        return hashed("constant", repr(value).encode())
    if kind is int:
        return hashed("int", hex(value).encode())
    if kind is float:
        return hashed("float", b"nan" if math.isnan(value) else struct.pack("<d", value))
    if kind is complex:
        return hashed("complex", struct.pack("<dd", value.real, value.imag))
    if kind is str:
        return hashed("str", encoded(value))
    if kind in (bytes, bytearray):
        return hashed(kind.__name__, bytes(value))
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        return hashed("number", str(value.dtype.descr).encode(), value.tobytes())
    if isinstance(value, np.dtype) and not value.hasobject:
        return hashed("dtype", str(value.descr).encode())
    if isinstance(value, PurePath):  # which keeps parts of itself as they are asked for
        return hashed("path", encoded(str(value)))
    return None


def codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and all within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_in(constant)


def slots_of(kind: type) -> list[str]:
    """The names of the slots that a class declares, as attributes have them."""
    slots = vars(kind).get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    private = f"_{kind.__name__.lstrip('_')}"
    return [private + name if name.startswith("__") and not name.endswith("__") else name
            for name in names if name not in ("__dict__", "__weakref__")]  # fmt: skip
