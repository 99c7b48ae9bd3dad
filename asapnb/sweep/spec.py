"""Sweep files: the points of their grids, with seeds and names."""

import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import KINDS, check_keys, keys, merge
from ..data.options import beside
from ..errors import UsageError, shown, unknown
from ..numbers import choice, integer
from ..text import plain, read_toml
from .replays import SOURCE, spread

_SEED_AXES = ("data", "problem")
_MOST = 1_000_000  # points
_LENGTH = 72  # characters of the readable part of a name
_UNSAFE = re.compile(r"[^A-Za-z0-9.=_+-]+")


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        name: its name, also that of its run file.
        kind: "train", "simulate" or "replay".
        config: its configuration.
        axes: its values on the axes, and the keys that its grid fixes.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    axes: Mapping[str, Any]

    @property
    def file(self) -> str:
        """The name of its run file."""
        return f"{self.name}.h5"

    @property
    def identity(self) -> str:
        """Its kind and configuration as text. The name ends with a digest of this."""
        return _canonical({"kind": self.kind, "config": dict(self.config)})


@dataclass(frozen=True)
class Grid:
    """Axes whose every combination is a point, and keys with one value.

    Attributes:
        axes: a list of values for each key that varies.
        fixed: keys with one value. They override the base of the sweep.
        repetitions: the number of seeds of each combination; None for that of the sweep.
    """

    axes: Mapping[str, Sequence[Any]]
    fixed: Mapping[str, Any]
    repetitions: int | None = None


@dataclass(frozen=True)
class Sweep:
    """The runs that a sweep file asks for.

    Attributes:
        kind: "train", "simulate" or "replay".
        base: keys that all points have in common.
        grids: the grids. The points of all of them are run.
        seed: determines the seeds of all points.
        repetitions: the number of seeds of each combination, unless its grid has another.
        seed_axes: the keys that a seed depends on, besides the number of the repetition. Points that agree in them
            have the same seed, so the same initial parameters, order of the data and times. They can be paired.
    """

    kind: str
    base: Mapping[str, Any]
    grids: tuple[Grid, ...]
    seed: int = 0
    repetitions: int = 1
    seed_axes: tuple[str, ...] = _SEED_AXES

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """Every point, by repetition, so a sweep that is cut short has all cells. UsageError if two are equal."""
        count = sum(math.prod(map(len, grid.axes.values())) * self._repetitions(grid) for grid in self.grids)
        if count > _MOST:
            raise UsageError(f"the sweep has {count:,} points: at most {_MOST:,}; take values or repetitions out")
        points = [point for grid in self.grids for point in self._of_grid(grid)]
        points.sort(key=lambda point: int(point.axes.get("repetition", 0)))
        several = {
            name for point in points for name, value in point.axes.items() if value != points[0].axes.get(name)
        }
        found: dict[str, Point] = {}
        for point in points:
            named = _named(point, several)
            if found.setdefault(named.name, named) is not named:
                raise UsageError(
                    f"two points of the sweep are equal: {describe(point.axes)}; take one of the grids' values out"
                )
        return tuple(found.values())

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The names of all axes, and of what a grid fixes, in the order of the points."""
        return tuple(dict.fromkeys(name for point in self.points for name in point.axes))

    def _of_grid(self, grid: Grid) -> Iterator[Point]:
        count = self._repetitions(grid)
        for values in itertools.product(*grid.axes.values()):
            chosen = {**grid.fixed, **dict(zip(grid.axes, values, strict=True))}
            config = merge(self.base, chosen)
            if "seed" in config or self.kind == "replay":
                if count > 1:
                    raise UsageError(
                        f"repetitions is {count}, but the seeds are {self._seeded}: take repetitions out"
                    )
                yield Point("", self.kind, config, chosen)
                continue
            for repetition in range(count):
                seeded = {**config, "seed": self.seed_of(config, repetition)}
                yield Point("", self.kind, seeded, {**chosen, "repetition": repetition})

    @property
    def _seeded(self) -> str:
        return "those of the runs that are replayed" if self.kind == "replay" else "given, by the key seed"

    def _repetitions(self, grid: Grid) -> int:
        return self.repetitions if grid.repetitions is None else grid.repetitions

    def seed_of(self, config: Mapping[str, Any], repetition: int) -> int:
        """The seed of a repetition of this configuration: 32 bits of a hash of all that it depends on."""
        of = {name: config[name] for name in self.seed_axes if name in config}
        return int(_digest(_canonical({"seed": self.seed, "repetition": repetition, **of})), 16)

    def plain(self) -> dict[str, Any]:
        """The sweep as a table. `parse_sweep` makes the same sweep from it."""
        grids = [
            {**grid.axes, **grid.fixed, **({} if grid.repetitions is None else {"repetitions": grid.repetitions})}
            for grid in self.grids
        ]
        own = {name: getattr(self, name) for name in ("kind", "seed", "repetitions")}
        return {**own, "seed_axes": list(self.seed_axes), "base": dict(self.base), "grid": grids}


def load_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Read the sweep in a TOML file. UsageError names the file and what is wrong in it."""
    table = read_toml(path, "the sweep")
    grids = table.get("grid")
    for part in (table.get("base"), *(grids if isinstance(grids, list) else [grids])):
        if isinstance(part, dict) and "data" in part:
            part["data"] = _beside(part["data"], os.path.dirname(path))
    try:
        return parse_sweep(table)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _beside(data: Any, folder: str) -> Any:
    """The data of a sweep, whose files may be given as seen from its file."""
    if isinstance(data, list):
        return [_beside(one, folder) for one in data]
    return beside(data, folder) if isinstance(data, str) else data


def parse_sweep(table: Mapping[str, Any]) -> Sweep:
    """Read the sweep in a table, such as that of a TOML file. UsageError for wrong keys, values or points.

    >>> sweep = parse_sweep({
    ...     "repetitions": 2,
    ...     "base": {"problem": "mlp(hidden=[8])", "updates": 50},
    ...     "grid": {"rule": ["constant", "tail"], "workers": 4},
    ... })
    >>> [(point.config["rule"], point.axes["repetition"]) for point in sweep.points]
    [('constant', 0), ('tail', 0), ('constant', 1), ('tail', 1)]
    >>> len({point.config["seed"] for point in sweep.points})  # the same seeds for both rules
    2
    """
    known = ("kind", "seed", "repetitions", "seed_axes", "base", "grid")
    for name in table:
        if name not in known:
            raise unknown("key of a sweep", name, known)
    kind = table.get("kind", "train")
    if not isinstance(kind, str) or kind not in KINDS:
        raise unknown("kind of run", kind, KINDS)
    given = _table("base", table.get("base", {}))
    grids = table.get("grid", {})
    tables = [_table("grid", grid) for grid in (grids if isinstance(grids, list) else [grids])]
    if kind == "replay":
        given, tables = spread(given, tables)
        _check_seedless(table)
    base = check_keys(given, kind)
    sweep = Sweep(
        kind,
        base,
        tuple(_grid(grid, kind) for grid in tables),
        integer("seed", table.get("seed", 0), 0, 2**63 - 1),
        integer("repetitions", table.get("repetitions", 1), 1, 2**63 - 1),
        _seed_axes(table.get("seed_axes", list(_SEED_AXES)), kind) if kind != "replay" else (),
    )
    if len(sweep.points) < 2 and not any(grid.axes for grid in sweep.grids):
        raise UsageError('nothing varies in the sweep: give [grid] an axis, such as rule = ["constant", "tail"]')
    return sweep


def _check_seedless(table: Mapping[str, Any]) -> None:
    """UsageError if something of the seeds is given to a sweep of replays, which has none."""
    for name, nothing in (("seed", 0), ("seed_axes", [])):
        if table.get(name, nothing) != nothing:
            raise UsageError(f"{name} = {shown(table[name])}: a replay has the seed of its run; take {name} out")


def describe(axes: Mapping[str, Any]) -> str:
    """The values of a point on the axes, as one text.

    >>> describe({"rule": "tail", "workers": 16, "repetition": 3})
    'rule=tail, workers=16, repetition=3'
    """
    return ", ".join(f"{name}={value_text(value)}" for name, value in axes.items())


def _grid(table: Mapping[str, Any], kind: str) -> Grid:
    axes: dict[str, list[Any]] = {}
    fixed: dict[str, Any] = {}
    for name, values in table.items():
        if name == "repetitions":
            continue
        if not isinstance(values, list):
            fixed |= check_keys({name: values}, kind)
        elif not values:
            choice("key of [grid]", name, keys(kind))
            raise UsageError(f"the axis {name} of [grid] is empty: give it values, or take it out")
        else:
            axes[name] = [check_keys({name: value}, kind)[name] for value in values]
    if {"epochs", "updates"} <= {*axes, *fixed}:
        raise UsageError("[grid] has epochs and updates: give one of them, the other in a grid of its own")
    given = table.get("repetitions")
    return Grid(axes, fixed, None if given is None else integer("repetitions", given, 1, 2**63 - 1))


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} = {shown(value)}: must be a table, written [{name}]")
    return value


def _seed_axes(names: Any, kind: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"seed_axes = {shown(names)}: must be a list of keys, such as {list(_SEED_AXES)}")
    for name in names:
        if name not in keys(kind) or name == "seed":
            raise unknown("key in seed_axes", name, set(keys(kind)) - {"seed"})
    return tuple(names)


def _named(point: Point, several: set[str]) -> Point:
    shown = {name: value for name, value in point.axes.items() if name in several and name != SOURCE}
    stem = [Path(point.axes[SOURCE]).stem] if SOURCE in point.axes else []
    said = _UNSAFE.sub("-", "-".join(filter(None, [*stem, describe(shown)])))
    return replace(point, name="-".join(filter(None, [said[:_LENGTH].strip("-"), _digest(point.identity)])))


def value_text(value: Any) -> str:
    """A value of an axis as text.

    >>> value_text("tail"), value_text([1, None])
    ('tail', '[1, null]')
    """
    return value if isinstance(value, str) else json.dumps(value)


def _digest(text: str) -> str:
    """32 bits of a hash, as eight hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _canonical(value: Any) -> str:
    return json.dumps(plain(value), sort_keys=True)
