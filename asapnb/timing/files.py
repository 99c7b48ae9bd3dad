"""Timings in TOML files: one timing for all, or a section for each measured number of workers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError, shown
from ..numbers import choice, integer
from ..text import read_toml, to_toml
from .timing import FIELDS, Timing, timing_of

_KEYS = (*FIELDS, "about", "timing", "workers")


def load_timing(path: str | Path, workers: int | None = None) -> Timing:
    """Read a timing from a TOML file.

    The file has sections [workers.1], [workers.2] …, or a table [timing], or the fields of a timing at the top. Of
    several sections, the one of the largest number that is not above `workers` is taken; if all are above, the
    smallest. A table [about], or [workers.1.about] within a section, may hold anything.

    Args:
        path: the path of the file.
        workers: for how many workers. This may be None if the file has at most one section.

    Raises:
        UsageError: if the file cannot be read, holds no timing, or has several sections and `workers` is None.

    >>> import os, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "machine.toml"
    >>> _ = path.write_text("[workers.1]\\ncompute = 1.0\\n[workers.8]\\ncompute = 'exponential(2)'")
    >>> load_timing(path, workers=6)
    Timing()
    """
    workers = None if workers is None else integer("workers", workers, 1)
    content = read_toml(path, "the timing file")
    content.pop("about", None)
    forms = {choice(f"key in {path}", key, _KEYS): "fields" if key in FIELDS else key for key in content}
    given = sorted(set(forms.values()), reverse=True)
    if len(given) != 1:
        raise UsageError(f"the timing file {path} has {' and '.join(given) or 'no times'}: write sections "
                         "[workers.N], or a table [timing], or fields such as compute = 1.0")  # fmt: skip
    if given == ["timing"]:
        return _timing(content["timing"], f"[timing] of {path}")
    if given == ["fields"]:
        return _timing(content, str(path))
    sections = content["workers"]
    numbers = sorted(_section(key, path) for key in sections) if isinstance(sections, dict) else []
    if not numbers:
        raise UsageError(
            f"workers in {path} is {shown(sections)}: write sections [workers.N] with fields of a timing"
        )
    if workers is None and len(numbers) > 1:
        raise UsageError(f"the timing file {path} has sections for {numbers} workers: say for how many, as in "
                         f"load_timing(path, {numbers[-1]})")  # fmt: skip
    chosen = max((n for n in numbers if n <= (workers or 0)), default=numbers[0])
    section = sections[str(chosen)]
    if isinstance(section, dict):
        section = {key: value for key, value in section.items() if key != "about"}
    return _timing(section, f"[workers.{chosen}] of {path}")


def save_timing(
    path: str | Path,
    sections: Mapping[int, Timing],
    about: Mapping[str, Any] | None = None,
    of_sections: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Write a TOML file that `load_timing` reads.

    Args:
        path: the path of the file. A file that exists is replaced.
        sections: a timing for each number of workers.
        about: anything about the origin of the times, by name. A value that TOML cannot hold is written as text; None
            is left out.
        of_sections: the same for single sections, by their number of workers.

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
    tables: dict[str, Any] = {"about": about} if about else {}
    for workers, timing in sorted(sections.items()):
        _section(str(workers), path)
        always = {"compute": "1.0", "read": "0.0", "update": "0.0"}
        more = {"about": of_sections[workers]} if of_sections and workers in of_sections else {}
        tables.setdefault("workers", {})[str(workers)] = always | timing.changed() | more
    Path(path).write_text(to_toml(tables), encoding="utf-8")


def _section(key: str, path: str | Path) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,9}", key):
        raise UsageError(f"a section of {path} is named [workers.{key:.40}]: must be a number of workers, at least 1")
    return int(key)


def _timing(table: Any, where: str) -> Timing:
    if not isinstance(table, dict):
        raise UsageError(f"{where} is {shown(table)}: must be a table with fields of a timing")
    try:
        return timing_of(table)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
