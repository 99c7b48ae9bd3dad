"""The beginning of a run file: a new one, or one that is cut to where its run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..text import to_json
from . import columns, packing, synopsis, tail
from .files import copied, created, opened
from .held import Held
from .provenance import new_id
from .schema import CARRIED
from .text import set_attributes

Groups = Mapping[str, np.dtype[Any]]  # the dtype of the rows of each
_AT_THE_END = ("staleness", "summary", "params/final", *(f"params/{name}" for name in CARRIED), synopsis.NAME)


def create(
    part: Path, groups: Groups, attributes: Mapping[str, Any], initial: NDArray[np.floating], layout: list[Any]
) -> None:
    """Write a file with what is known at the beginning of a run."""
    with created(part) as file:
        set_attributes(file, attributes)
        columns.create(file, groups)
        file.create_dataset("params/initial", data=initial)
        file["params"].attrs["layout"] = to_json(layout)
        tail.create(file, groups)


def cut(
    path: Path, part: Path, groups: Groups, kept: Mapping[str, int], attributes: Mapping[str, Any]
) -> tuple[str, list[int]]:
    """Write the file of a run up to where it goes on, without what its end has added.

    Args:
        path: the file as it is.
        part: the file to write.
        groups: its groups from now on.
        kept: how many rows of each group stay.
        attributes: those that become others; None for one that is removed.

    Returns:
        The id of the run, and the versions that have been evaluated.
    """
    with opened(path) as old, created(part) as file:
        if packing.is_packed(old):
            Held.read(old).write(file)
            packing.copy_others(old, file)
        else:
            copied(old, file, without=tail.NAME)
            tail.merge(old, file, groups)
        columns.complete(file, groups)
        tail.create(file, groups)
        for group, count in kept.items():
            for column in file[group].values():
                column.resize(count, axis=0)
        for name in _AT_THE_END:
            if name in file:
                del file[name]
        for name in attributes.keys() & file.attrs.keys():
            del file.attrs[name]
        set_attributes(file, attributes)
        if "run_id" not in file.attrs:  # of an earlier version of asapnb
            file.attrs["run_id"] = new_id()
        return str(file.attrs["run_id"]), file["evals"]["step"][:].tolist()
