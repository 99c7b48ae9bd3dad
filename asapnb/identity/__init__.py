"""Identifies code of users, so that runs with different code are never taken for the same.

A `Piece` is a rule, a problem, a scheme or a law that is not part of asapnb, with the digest of its code.
"""

from .by_value import ByValue
from .piece import Piece, difference, identified, pieces_from
from .recorded import Recorded, check_file, check_piece, check_same, plain_text, read_as_recorded

__all__ = [
    "ByValue",
    "Piece",
    "Recorded",
    "check_file",
    "check_piece",
    "check_same",
    "difference",
    "identified",
    "pieces_from",
    "plain_text",
    "read_as_recorded",
]
