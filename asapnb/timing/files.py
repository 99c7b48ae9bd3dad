"""Timings in TOML files: one for all, or a section for each number of workers that was measured."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError, unknown
from .timing import PURPOSES, Timing, as_timing

_FIELDS = (*PURPOSES, "pauses")


def load_timing(path: str | Path, workers: int | None = None) -> Timing:
    """The timing in a file, for so many workers.

    Of the sections [workers.1], [workers.2] … the one of the largest number that is not above `workers`, else the
    smallest; in a file without sections the table [timing], or the fields at the top. A table [about] is free.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the timing file {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the timing file {path} is no TOML: {error}") from None
    for key in content:
        if key not in (*_FIELDS, "about", "timing", "workers"):
            raise unknown(f"key in {path}", key, (*_FIELDS, "about", "timing", "workers"))
    given: list[str] = [key for key in ("workers", "timing") if key in content]
    if any(key in _FIELDS for key in content):
        given.append("fields")
    if len(given) != 1:
        raise UsageError(f"the timing file {path} has {' and '.join(given) or 'no times'}: write sections "
                         "[workers.N], or a table [timing], or fields such as compute = 1.0")  # fmt: skip
    if given == ["timing"]:
        return _timing(content["timing"], f"[timing] of {path}")
    if given == ["fields"]:
        return _timing({key: content[key] for key in content if key != "about"}, str(path))
    sections = content["workers"]
    numbers = sorted(_section(key, path) for key in sections) if isinstance(sections, dict) else []
    if not numbers:
        raise UsageError(f"workers in {path} is {sections!r:.80}: write sections [workers.N] with fields of a timing")
    if workers is None and len(numbers) > 1:
        raise UsageError(f"the timing file {path} has sections for {numbers} workers: say for how many, as in "
                         f"load_timing(path, {numbers[-1]})")  # fmt: skip
    chosen = max((n for n in numbers if n <= (workers or 0)), default=numbers[0])
    return _timing(sections[str(chosen)], f"[workers.{chosen}] of {path}")


def save_timing(path: str | Path, sections: Mapping[int, Timing], about: Mapping[str, Any] | None = None) -> None:
    """Write a file that `load_timing` reads: a timing for each number of workers, and what is known of its origin.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "machine.toml")
    >>> save_timing(path, {1: Timing(), 8: Timing(compute="exponential(2)")}, {"machine": "a laptop"})
    >>> print(Path(path).read_text(), end="")
    [about]
    machine = "a laptop"
    <BLANKLINE>
    [workers.1]
    compute = "1.0"
    read = "0.0"
    update = "0.0"
    <BLANKLINE>
    [workers.8]
    compute = "exponential(mean=2.0)"
    read = "0.0"
    update = "0.0"
    >>> load_timing(path, workers=16)
    Timing(compute=exponential(mean=2.0))
    """
    tables = {"about": dict(about)} if about else {}
    for workers, timing in sorted(sections.items()):
        _section(str(workers), path)
        always = {"compute": "1.0", "read": "0.0", "update": "0.0"}
        tables[f"workers.{workers}"] = always | timing.changed()
    text = [
        f"[{name}]\n" + "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    ]
    Path(path).write_text("\n".join(text), encoding="utf-8")


def _section(key: str, path: str | Path) -> int:
    if not re.fullmatch(r"[1-9]\d*", key):
        raise UsageError(f"a section of {path} is named [workers.{key}]: must be a number of workers, at least 1")
    return int(key)


def _timing(table: Any, where: str) -> Timing:
    if not isinstance(table, dict):
        raise UsageError(f"{where} is {table!r:.80}: must be a table with fields of a timing")
    try:
        return as_timing(table)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    """As TOML: a JSON string is a TOML string, but for one character."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
