"""The lines of a manifest, checked: fields of the right types, and names that do not lead out of the folder."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import RecordError, shown
from .points import Outcome

SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9=_+-][A-Za-z0-9.=_+-]*")  # of a point
_COLUMNS = {column.name for column in fields(Outcome)}


def read_head(line: bytes, path: Path) -> dict[str, Any]:
    """The first line, about the sweep; ValueError if it cannot be that, RecordError if a later asapnb wrote it.

    Args:
        line: the line.
        path: of the manifest.
    """
    schema = _read(line, {"schema": int}, {})["schema"]
    if schema > SCHEMA:
        raise RecordError(f"{path} has schema {shown(schema)}; this asapnb reads up to {SCHEMA}: install a newer one")
    others = {"names": dict, "sources": dict, "texts": dict, "versions": dict}
    head = _read(line, {"schema": int, "created_utc": str, "sweep": dict}, others)
    for what in ("names", "sources", "texts"):
        for name, value in (head.get(what) or {}).items():
            if not isinstance(value, str):
                raise ValueError(f"{what} has {shown(value)} for {shown(name)}: must be a text")
    for name in (head.get("names") or {}).values():
        if not _NAME.fullmatch(name):
            raise ValueError(f"the name {shown(name)} could not be that of a run file in this folder")
    return head


def read_outcome(line: bytes) -> Outcome:
    """A further line, the outcome of a point; ValueError if it cannot be that."""
    needed = {"point": str, "status": str, "seconds": float, "finished_utc": str, "host": str}
    found = _read(line, needed, {"error": str, "asapnb": str, "synopsis": str, "file": list})
    return Outcome(**{name: value for name, value in found.items() if name in _COLUMNS})


def _read(line: bytes, needed: Mapping[str, type], others: Mapping[str, type]) -> dict[str, Any]:
    """The fields of a line, checked. What is not `needed` may be missing, or null."""
    try:
        found = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f"it is {shown(found)}: must be a table")
    for name, kind in {**needed, **others}.items():
        value = found.get(name)
        if name in others and value is None:
            continue
        if kind is float and (type(value) is int or value in ("nan", "inf")):  # as texts, which JSON lacks
            found[name] = float(value)
        elif type(value) is not kind:
            raise ValueError(f"{name} is {shown(value)}: must be of type {kind.__name__}")
    return found
