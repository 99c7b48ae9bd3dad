"""What a run changed when it went on: its step size, its rule. Each entry of `resumed` names it in `changed`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import RecordError

if TYPE_CHECKING:
    from .run import Run


def changes_of(run: Run) -> list[tuple[int, str, Any, Any]]:
    """Every change: the version it was made at, the name of the argument, its value before and after."""
    found = []
    for entry in run.attributes.get("resumed", []):
        changed = entry.get("changed", {})
        if not isinstance(changed, Mapping) or any(not isinstance(v, list) or len(v) != 2 for v in changed.values()):
            raise RecordError(
                f"attribute resumed of {run.path or 'the run'} has changed = {changed!r:.60}: the file is damaged"
            )
        found += [(int(entry["version"]), str(name), *values) for name, values in changed.items()]
    return found


def value_at(run: Run, name: str, version: int) -> Any:
    """The value of an argument by which the update that made a version was made."""
    value = run.config.get(name)
    for at, changed, before, _ in reversed(changes_of(run)):
        if changed == name and at >= version:
            value = before
    return value


def step_sizes(run: Run) -> dict[int, float]:
    """The step sizes of a run, by the version from which on each was used: 0, and those at which it changed."""
    sizes = [(at, before, after) for at, name, before, after in changes_of(run) if name == "step_size"]
    found = {0: run.attributes.get("step_size", run.config.get("step_size", math.nan)) if not sizes else sizes[0][1]}
    found |= {at: after for at, _, after in sizes}
    if not all(isinstance(size, int | float) for size in found.values()):
        raise RecordError(f"attribute resumed of {run.path or 'the run'} has a step_size that is no number")
    return {at: float(size) for at, size in found.items()}


def step_size_of(run: Run, versions: ArrayLike) -> NDArray[np.float64]:
    """The step size of the update that made each of these versions, without scale and factor."""
    sizes = step_sizes(run)
    place = np.searchsorted(list(sizes), np.asarray(versions), side="left") - 1
    return np.array(list(sizes.values()))[np.maximum(place, 0)]


def in_words(run: Run) -> str:
    """The changes of step size and rule, in words; "" if there are none.

    Values that only end a run do not change its updates, so they are not among these.
    """
    made = [change for change in changes_of(run) if change[1] in ("step_size", "rule")]
    return ", ".join(f"{name} {before} → {after} from update {at:,}" for at, name, before, after in made)
