"""A timing from what a user gives: a text, a table, a file, or compute times."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..identity import Recorded
from ..text import parse_call
from .files import load_timing
from .timing import Timing, timing_of
from .workers import HELPERS


def parse_timing(text: str, workers: int | None = None) -> Timing:
    """Read a timing from a text: fields, compute times alone, `Timing(…)`, or the path of a .toml file.

    Args:
        text: the text.
        workers: which section of a file to take; see `load_timing`.

    Raises:
        UsageError: if the text cannot be read.

    >>> parse_timing("compute=exponential(1), update=0.05")
    Timing(compute=exponential(mean=1.0), update=0.05)
    >>> parse_timing("[exponential(1), 2.0]").times("compute", 2)
    (exponential(mean=1.0), constant(2.0))
    """
    if isinstance(text, Recorded) and text.strip().endswith(".toml"):
        raise RecordError(
            f"{text.where} names the timing file {text}, which is not opened, because a run file holds its "
            "times as text: give another timing"
        )
    text = text.strip()
    if text.endswith(".toml"):
        return load_timing(text, workers)
    wrapped = text if text.startswith("Timing") else f"Timing({text})"
    return parse_call(wrapped, {"Timing": Timing}, "timing", HELPERS)


def as_timing(value: Any, workers: int | None = None) -> Timing:
    """Make a timing from a `Timing`, a text, a path, a mapping of its fields, or compute times.

    Args:
        value: what to make it from.
        workers: which section of a file to take; see `load_timing`.

    Raises:
        UsageError: if no timing can be made of it.

    >>> as_timing({"compute": ["exponential(1)", 2.0], "update": 0.05})
    Timing(compute=[exponential(mean=1.0), 2.0], update=0.05)
    """
    if isinstance(value, Timing):
        return value
    if isinstance(value, str | Path):
        return parse_timing(value if isinstance(value, str) else str(value), workers)
    return timing_of(value) if isinstance(value, Mapping) else Timing(compute=value)
