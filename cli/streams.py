"""The streams of a command as others set them: closed, full, without a reader, or with few characters."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from asapnb.formatting import visible


class _Tolerant(io.RawIOBase):
    """A file that takes everything: what cannot be written is dropped, and the first error kept."""

    def __init__(self, file: io.FileIO) -> None:
        self._file, self.error = file, None

    error: OSError | None

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._file.isatty()

    def fileno(self) -> int:
        """The descriptor."""
        return self._file.fileno()

    def write(self, content: Any) -> int:
        """Write all of it, or note why not."""
        left = memoryview(content).cast("B")
        size = len(left)
        while len(left) and self.error is None:
            try:
                left = left[self._file.write(left) or 0 :]
            except OSError as error:
                self.error = error
        return size


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """Standard streams that never fail while a command runs, so that output ends no run.

    Characters that a stream lacks are replaced. Closed streams are opened on /dev/null, or else a run file could get
    their number. Where output was lost, SystemExit with code 1 follows, and a word on stderr; a reader that goes away
    (`| head`) has what it wanted, and is no error.
    """
    _open_closed()
    before, taken = (sys.stdout, sys.stderr), []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (until the end of the command)
            continue
        buffer = getattr(stream, "buffer", None)
        raw = getattr(buffer, "raw", buffer)  # under PYTHONUNBUFFERED the file itself
        if not isinstance(raw, io.FileIO):  # of a test, or of a notebook
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
            continue
        with suppress(OSError):
            stream.flush()
        file = _Tolerant(raw)
        taken.append(file)
        lines = stream.line_buffering or name == "stderr"
        setattr(
            sys, name, io.TextIOWrapper(io.BufferedWriter(file), stream.encoding, "replace", line_buffering=lines)
        )
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before
    lost = next((file.error for file in taken if file.error and file.error.errno != errno.EPIPE), None)
    if lost is not None:
        with suppress(OSError, AttributeError):
            sys.stderr.write(f"Error: cannot write the output: {lost.strerror}\n")
            sys.stderr.flush()
        sys.exit(1)


def _open_closed() -> None:
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def echo(text: str, *, err: bool = False) -> None:
    """Print plain text, made visible: it may come from a file of anybody."""
    click.echo(visible(text), err=err)
