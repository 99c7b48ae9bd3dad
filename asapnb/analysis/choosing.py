"""Runs chosen by their values, as `--where` has them, of keys whose values may be written in several ways."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..errors import UsageError
from ..rules import as_rule
from ..schedules import as_schedule
from ..schemes import parse_scheme
from ..timing import parse_timing
from .names import aliases
from .records import Record, check_keys, rank

_FILE = re.compile(r"\.py:|\.toml\s*$")  # in a text that names a file, which is not to be opened
# Keys whose values may be written in several ways
_TEXTS: dict[str, Callable[[str], object]] = {
    "rule": as_rule, "schedule": as_schedule, "scheme": parse_scheme, "timing": parse_timing,
}  # fmt: skip


def matching(records: Sequence[Record], where: Mapping[str, object]) -> list[Record]:
    """The runs that have these values.

    Rules, schedules, schemes and timings may be given by any of their texts: "tail" equals "tail(amplitude=1.0)".
    Your own may be given with or without the mark of its code.

    Args:
        records: the runs.
        where: a value for each of some keys, such as `{"rule": "tail", "workers": 4}`.

    Raises:
        UsageError: if no run has these values. It lists the values that the runs have.

    >>> import asapnb as ab
    >>> from asapnb.analysis import records
    >>> problem = ab.problems.quadratic([1.0])
    >>> runs = [ab.simulate(problem, workers=m, updates=10, batch_size=1) for m in (2, 4)]
    >>> [record.value("workers") for record in matching(records(runs), {"workers": 4})]
    [4]
    """
    check_keys(records, where)
    found = list(records)
    for key, wanted in where.items():
        texts = {_plain(wanted), _plain(_text(key, wanted))}
        kept = [record for record in found if not texts.isdisjoint(_called(record, key))]
        if found and not kept:
            there = sorted({record.value(key) for record in found}, key=rank)
            raise UsageError(f"no run has {key}={wanted}: {key} is {', '.join(map(str, there))}")
        found = kept
    return found


def _called(record: Record, key: str) -> set[str]:
    """The texts of a value of a run, as one would type them."""
    return {_plain(_number(name)) for name in aliases(record.run, key, record.value(key))}


def parsed(*texts: str) -> dict[str, str]:
    """The keys and values of texts "key=value"; UsageError for one that is none.

    >>> parsed("rule=tail", "step_size=0.01")
    {'rule': 'tail', 'step_size': '0.01'}
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals and value):
            raise UsageError(f"{text!r} is no key and value: write KEY=VALUE, for example rule=constant")
        if found.setdefault(key, value) != value:
            raise UsageError(f"{key} is given twice, as {found[key]} and {value}: give one value of each key")
    return found


def _plain(value: object) -> str:
    """A text as one would type it: without quotes, in small letters."""
    return str(value).lower().translate({ord("'"): None, ord('"'): None})


def _text(key: str, value: object) -> str:
    """A value as a configuration has it."""
    if key in _TEXTS and isinstance(value, str) and not _FILE.search(value):
        with suppress(UsageError):  # such as a user's own rule, which has this text only
            return str(_TEXTS[key](value))
    return _number(value)


def _number(value: Any) -> str:
    """A value as text, numbers alike however they are written."""
    with suppress(ValueError, TypeError):
        return repr(float(value)) if not isinstance(value, bool) else str(value)
    return str(value)
