"""A run in memory: all that its file would hold, as arrays. HDF5 comes in when it is saved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import columns, packing
from .attributes import Facts
from .columns import Tables
from .schema import GROUPS
from .structure import Structure
from .synopsis import Synopsis, write_dataset
from .text import from_attribute, set_attributes, to_attribute


@dataclass(frozen=True, eq=False)
class Held:
    """A run in memory, which is read as an open h5py.File is.

    Attributes:
        given: the attributes of its root, as they were given; None is left out.
        rows: of its groups, structured arrays.
        tables: of the rule: how many updates had been seen, and the scales.
        arrays: the other datasets, by their paths, such as "params/final".
        layout: the name, shape and offset of each tensor, as JSON has them.
        synopsis: what the run comes to, if it is to be written.
    """

    given: Mapping[str, Any]
    rows: Mapping[str, NDArray[Any]]
    tables: Tables
    arrays: Mapping[str, NDArray[Any]]
    layout: Sequence[Any] = field(default_factory=list)
    synopsis: Synopsis | None = None

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """The attributes, as a file gives them back."""
        return {
            name: from_attribute(to_attribute(name, value)) for name, value in self.given.items() if value is not None
        }

    @cached_property
    def groups(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Every dataset, by group and name."""
        found = {group: {name: rows[name] for name in rows.dtype.names or ()} for group, rows in self.rows.items()}
        found["rule"] = columns.as_arrays(self.tables)
        for path, array in self.arrays.items():
            group, _, name = path.partition("/")
            found.setdefault(group, {})[name] = array
        return found

    def __getitem__(self, group: str) -> dict[str, NDArray[Any]]:
        return self.groups[group]

    def __contains__(self, group: object) -> bool:
        return group in self.groups

    def structure(self, name: str) -> Structure:
        """What it is made of, as `structure.checked` tells of a file."""
        names = {group: {*(rows.dtype.names or ())} for group, rows in self.rows.items()}
        counts = {group: len(rows) for group, rows in self.rows.items()} | {"rule": len(self.tables)}
        inner = [path.partition("/") for path in self.arrays]
        if sums := {one for group, _, one in inner if group == "summary"}:
            names["summary"], counts["summary"] = sums, len(self.arrays["summary/tau"])
        params = frozenset(one for group, _, one in inner if group == "params")
        return Structure(
            Facts(self.attrs, name), names | {"rule": {"step", "scale"}}, counts, params, list(self.layout)
        )

    @property
    def nbytes(self) -> int:
        """The bytes of all its datasets."""
        return sum(array.nbytes for arrays in self.groups.values() for array in arrays.values())

    def packed(self) -> bytes:
        """Its run file, in few bytes."""
        return packing.packed(self.given, self.groups, list(self.layout), self.synopsis)

    def write(self, file: Any) -> None:
        """Write it into a new, open h5py.File, with columns that can grow."""
        set_attributes(file, self.given)
        columns.create(file, {group: rows.dtype for group, rows in self.rows.items()})
        columns.extend(file, dict.fromkeys([*self.rows, "rule"], 0), self.rows, self.tables)
        for path, array in self.arrays.items():
            columns.write_array(file, path, array)
        file["params"].attrs["layout"] = to_attribute("layout", list(self.layout))
        if self.synopsis is not None:
            write_dataset(file, self.synopsis)

    @classmethod
    def read(cls, file: Any) -> Held:
        """The run in an open h5py.File, without rows in a tail, and without what is no array of numbers."""
        rows: dict[str, NDArray[Any]] = {}
        arrays: dict[str, NDArray[Any]] = {}
        for group in packing.GROUPS & set(file):
            datasets = file[group]
            found = {name: dataset[:] for name, dataset in datasets.items() if packing.is_plain(dataset)}
            if group in (*GROUPS, "kept"):
                dtype = np.dtype([(name, column.dtype, column.shape[1:]) for name, column in found.items()])
                rows[group] = np.empty(min(map(len, found.values())), dtype)
                for name, column in found.items():
                    rows[group][name] = column
            elif group != "rule":
                arrays |= {f"{group}/{name}": array for name, array in found.items()}
        tables = list(zip(file["rule"]["step"][:].tolist(), file["rule"]["scale"][:], strict=True))
        return cls(dict(file.attrs), rows, tables, arrays, json.loads(file["params"].attrs["layout"]))
