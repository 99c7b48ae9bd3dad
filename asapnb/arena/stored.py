"""The results of the contestants that come with asapnb: computed once, kept in the package."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..compiled import KERNEL_PATH
from ..errors import RecordError
from ..record import machine, versions
from .cells import VERSION
from .results import Result, from_document, rounded

_FILE = Path(__file__).with_name("builtin.json")


def read_results(path: str | os.PathLike[str]) -> tuple[list[Result], dict[str, Any]]:
    """The results in a file of `results_as_json`, and where they were computed. RecordError for any other file."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        results = [from_document(one) for one in document.pop("contestants")]
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"{path} holds no results of the arena: {type(error).__name__}: {error}") from None
    return results, document


def results_as_json(results: Iterable[Result]) -> str:
    """Results as JSON, with a line for each contestant, the version of the suite and where they were computed."""
    lines = [json.dumps(one.document(), ensure_ascii=False, separators=(",", ":")) for one in results]
    head = json.dumps(here(), ensure_ascii=False)[:-1]
    return head + ', "contestants": [\n' + ",\n".join(lines) + "\n]}\n"


def here() -> dict[str, Any]:
    """The version of the suite, and the machine and kernels that compute in this process."""
    cpu = machine().get("cpu")
    return {"suite": VERSION, "kernels": KERNEL_PATH, "cpu": cpu, "versions": versions()}


@cache
def load_builtin() -> tuple[Result, ...]:
    """The results of the contestants that come with asapnb.

    >>> load_builtin()[0].name
    'constant'
    """
    return tuple(read_results(_FILE)[0])


def same_times(results: Iterable[Result]) -> tuple[int, int]:
    """How many runs took as many updates as in the table of the package, and how many runs both have."""
    known = {one.name: one for one in load_builtin()}
    pairs = [
        (ours, theirs)
        for one in results
        if one.name in known
        for name, score in one.cells.items()
        for which in ("best", "equal")
        for ours, theirs in zip(
            getattr(score, which).times, getattr(known[one.name].cells[name], which).times, strict=False
        )
    ]
    return sum(rounded(ours) == rounded(theirs) for ours, theirs in pairs), len(pairs)


@cache
def computed_on() -> Mapping[str, Any]:
    """Where the results of `load_builtin` were computed: the suite, kernels, CPU, and versions."""
    return read_results(_FILE)[1]
