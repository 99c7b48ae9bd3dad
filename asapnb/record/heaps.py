"""Texts of an HDF5 file lie in heaps. In a damaged one, a block of no length makes HDF5 go round for ever.

HDF5 cannot be interrupted there, so the blocks are walked through before it reads a text.
"""

import mmap
from pathlib import Path

from ..errors import RecordError

_BEGINS = b"GCOL\x01\x00\x00\x00"
_HEADER = 16  # bytes, of a heap and of each block: the last eight are its size
_LARGEST = 2**26


def check_heaps(path: Path, name: str) -> None:
    """RecordError for a file with a heap whose blocks do not end where it ends.

    Args:
        path: the file.
        name: of the file, for the error.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_BEGINS)
        while at >= 0:
            size = int.from_bytes(content[at + 8 : at + _HEADER], "little")
            if size <= _LARGEST and not _ends(content[at : at + size]):
                raise RecordError(f"a text of {name} cannot be read: the file is damaged")
            at = content.find(_BEGINS, at + len(_BEGINS))


def _ends(heap: bytes) -> bool:
    """Whether the blocks of a heap follow one another to its end.

    >>> _ends(bytes(16) + bytes(16)), _ends(bytes(16) + bytes(8) + (16).to_bytes(8, "little"))
    (False, True)
    """
    at = _HEADER
    while at + _HEADER <= len(heap):
        number = int.from_bytes(heap[at : at + 2], "little")
        size = int.from_bytes(heap[at + 8 : at + _HEADER], "little")
        at += _HEADER + -(-size // 8) * 8 if number else size
        if (not number and size == 0) or at > len(heap):
            return False
    return True
