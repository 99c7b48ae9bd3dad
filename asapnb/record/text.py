"""Values as text in a run file: TOML for the configuration, JSON for other nested values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import RecordError


def plain(value: Any) -> Any:
    """`value` made of dict, list, str, int, float, bool and None only; NumPy and other types are converted."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return value if value is None or isinstance(value, str | int | float) else str(value)


def to_json(value: Any) -> str:
    """`value` as valid JSON; numbers that JSON lacks become the texts "nan", "inf" and "-inf".

    >>> to_json({"loss": float("nan"), "workers": 8})
    '{"loss": "nan", "workers": 8}'
    """

    def finite(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: finite(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [finite(inner) for inner in item]
        return str(item) if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(finite(plain(value)), allow_nan=False)


def to_toml(config: Mapping[str, Any]) -> str:
    """A nested dict as TOML text; None, which TOML lacks, is left out.

    >>> print(to_toml({"epochs": 5, "target_loss": None, "problem": {"name": "lenet", "bias": True}}), end="")
    epochs = 5
    <BLANKLINE>
    [problem]
    name = "lenet"
    bias = true
    """
    import tomli_w

    def known(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: known(inner) for key, inner in item.items() if inner is not None}
        return [known(inner) for inner in item if inner is not None] if isinstance(item, list) else item

    return tomli_w.dumps(known(plain(config)))


def to_attribute(name: str, value: Any) -> Any:
    """An attribute as HDF5 can hold it: numbers and text as they are, a config as TOML, other nesting as JSON."""
    value = plain(value)
    if name == "config" and isinstance(value, dict):
        return to_toml(value)
    if isinstance(value, dict | list):
        return to_json(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise RecordError(f"attribute {name} = {value} does not fit in 64 bits")
    return value


def from_attribute(value: Any) -> Any:
    """The inverse of `to_attribute`, except that the configuration stays text."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
