"""Attributes of a run file: TOML for the configuration, JSON for other nested values."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import RecordError
from ..text import plain, to_json, to_toml


def to_attribute(name: str, value: Any) -> Any:
    """An attribute as HDF5 can hold it: numbers and text as they are, a config as TOML, other nesting as JSON."""
    value = plain(value)
    if name == "config" and isinstance(value, dict):
        return _in_utf8(to_toml(value))
    if isinstance(value, dict | list):
        return to_json(value)
    if isinstance(value, str):
        return _in_utf8(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise RecordError(f"attribute {name} = {value} does not fit in 64 bits")
    return value


def _in_utf8(text: str) -> str:
    """The text as HDF5 takes it: the bytes of file names that are not in UTF-8, and NUL, as in "\\xff"."""
    text = text.replace("\0", r"\x00")
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # half of a pair, which stands for no byte
        return text.encode(errors="backslashreplace").decode()


def set_attributes(item: Any, attributes: Mapping[str, Any]) -> None:
    """Set attributes of a file or a group; None is left out."""
    for name, value in attributes.items():
        if value is not None:
            item.attrs[name] = to_attribute(name, value)


def from_attribute(value: Any) -> Any:
    """The inverse of `to_attribute`, except that the configuration stays text."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
