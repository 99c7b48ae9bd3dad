"""Texts from a run file. The code that they name runs only if it is the code that the run recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from ..errors import RecordError
from .piece import Piece, difference

HOW = "with force=True (--force)"
_EXPECTED: ContextVar[Recorded | None] = ContextVar("expected", default=None)


class Recorded(str):
    """A text of the configuration of a run file, with the code that the run had.

    It can be used like any other text. When it is read as a rule, its code is checked first.

    Attributes:
        pieces: the user code that the run recorded; None for a file of a version of asapnb that did not record it.
        where: the run, for messages.
    """

    pieces: Sequence[Piece] | None
    where: str

    def __new__(cls, text: str, pieces: Sequence[Piece] | None, where: str) -> Recorded:
        """A text with what its run recorded."""
        self = super().__new__(cls, text)
        self.pieces, self.where = pieces, where
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Recorded, (str(self), self.pieces, self.where)

    def piece(self, kind: str) -> Piece | None:
        """The code that the run recorded for this kind and text; None if that was code of asapnb."""
        return next((piece for piece in self.pieces or () if piece.kind == kind and piece.name == self), None)


def plain_text(value: Any) -> Any:
    """A text of a run file as a plain text. Its code runs without a check of what the run recorded."""
    return str.__str__(value) if isinstance(value, Recorded) else value


def read_as_recorded(text: Recorded, kind: str, read: Callable[[str], Any]) -> Any:
    """Read a text of a run file. RecordError, before anything runs, if its code is not what the run recorded.

    Args:
        text: the text.
        kind: what the text is of, "rule" or "schedule".
        read: a function that reads a plain text of this kind.
    """
    token = _EXPECTED.set(text)
    try:
        found = read(plain_text(text))
    finally:
        _EXPECTED.reset(token)
    check_piece(text, kind, found.code)
    return found


def check_file(path: str, content: bytes) -> None:
    """RecordError if the text of a run file names this file, but the run had another one.

    Args:
        path: the path of the file, as the text of the run has it.
        content: the bytes of the file.
    """
    text = _EXPECTED.get()
    if text is None:
        return
    files = {name: digest for piece in text.pieces or () for name, digest in piece.files.items()}
    if text.pieces is None or path not in files:
        why = "does not say what was in it" if text.pieces is None else "did not have it"
        raise RecordError(
            f"{text.where} names code in {path}, and {why}, so it is not run: look at the file, then run it {HOW}, "
            "or give another rule"
        )
    if files[path] != hashlib.sha256(content).hexdigest():
        before = {name: one for piece in text.pieces for name, one in piece.sources.items() if name == path}
        now = {path: content.decode("utf-8", "replace")}
        raise changed(text.where, path, difference(before, now))


def check_piece(text: Recorded, kind: str, now: Piece | None) -> None:
    """RecordError if this code is not what the run recorded.

    Args:
        text: the text of the run file.
        kind: what the text is of, such as "rule".
        now: the code that the text names now; None if it is code of asapnb.
    """
    if text.pieces is None:  # from before there were digests: whoever calls this has run nothing that the file names
        return
    check_same(text.where, f"{kind} {text}", text.piece(kind), now)


def check_same(where: str, what: str, before: Piece | None, now: Piece | None) -> None:
    """RecordError unless two pieces of code are known to be the same.

    Args:
        where: the run.
        what: the piece, in words.
        before: the code that the run recorded; None for code of asapnb.
        now: the code that there is now.
    """
    if (before and before.digest) == (now and now.digest):
        return
    sources = [{} if piece is None else piece.sources for piece in (before, now)]
    shown = difference(sources[0], sources[1])
    unknown = next((piece.unknown for piece in (now, before) if piece is not None and piece.unknown), "")
    if not shown:
        shown = "(the source text is the same; what it holds or refers to differs, or the version of Python)"
    if unknown:
        shown = f"(it cannot be known whether it is the same: {unknown})"
    raise changed(where, f"its {what}", shown)


def changed(where: str, what: str, shown: str) -> RecordError:
    """The error for code that is not what a run recorded; `shown` is the difference."""
    return RecordError(
        f"{where} was made with other code: {what} has changed since.\n{shown}\n"
        f"Put it back, or take it as it is {HOW}"
    )
