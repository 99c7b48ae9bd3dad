"""The attributes of a run file: every one, declared once, and the checks of what a file holds.

A value is text, a number, or JSON. The shape of JSON is written as its types: `{"path": str}` is a table with at
least this key, `[{"version": int}]` a list of such tables, and `{str: int}` a table of numbers by any names.
"""

import contextlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import RecordError, UsageError
from ..workforce import as_workforce
from .schema import MOST_WORKERS, RECORDS, SCHEMA, STATUSES
from .sums import COUNTED

_LARGEST = 2**63 - 1
Shape = Any  # a type, a union of types, or a list or dict of shapes


@dataclass(frozen=True)
class Attribute:
    """An attribute of the root of a run file, or a key of its configuration.

    Attributes:
        name: of the attribute.
        shape: its type: str, int, float or bool; or the shape of its JSON.
        meaning: what it says, for docs/reference/run-file.md.
        required: whether every file has it.
        least: the smallest number; None: any, also NaN.
        most: the largest number.
        choices: all allowed texts; empty for any.
    """

    name: str
    shape: Shape
    meaning: str = ""
    required: bool = False
    least: float | None = 0
    most: float = _LARGEST
    choices: tuple[str, ...] = ()

    @property
    def is_json(self) -> bool:
        """Whether it is stored as JSON."""
        return isinstance(self.shape, dict | list)

    @property
    def kind(self) -> str:
        """Its type, for the page of run files."""
        return "JSON" if self.is_json else _WORDS[self.shape].split()[-1]

    def wrong(self, value: Any) -> str | None:
        """What the value must be, if it is something else."""
        if not _has_shape(value, self.shape):
            return _described(self.shape)
        if self.choices and value not in self.choices:
            return f"one of {', '.join(self.choices)}"
        if isinstance(value, int | float) and not isinstance(value, bool) and self.least is not None:
            if not math.isfinite(value):
                return "a finite number"
            most = math.inf if self.shape is float and self.most == _LARGEST else self.most
            if not self.least <= value <= most:
                return f"{_WORDS[self.shape]} of at least {self.least:g}" + (
                    f" and at most {self.most:g}" if self.most < _LARGEST else ""
                )
        return None


_WORDS = {str: "a text", int: "an integer", float: "a number", bool: "a switch"}
_MACHINE = {"cpu": str | None, "cpus": int | None, "allowed": int | None, "kernels": str | None}
_SOURCE = {"path": str | None, "kind": str, "created_utc": str}

_TABLE = (
    Attribute("schema", int, "1", required=True, least=1, most=SCHEMA),
    Attribute("kind", str, '"train", "simulate" or "replay"', required=True, choices=("train", "simulate", "replay")),
    Attribute("status", str, "running, finished, converged, stopped, diverged, timed-out, interrupted or failed",
              required=True, choices=STATUSES),
    Attribute("record", str, '"summary" for a run without a row for each update', choices=RECORDS),
    Attribute("created_utc", str, "when the run began", required=True),
    Attribute("command", str, "the command line that made the run"),
    Attribute("run_id", str,
              "32 hexadecimal digits that identify the run. They are made with the file and never change; a copy "
              "has the same"),
    Attribute("token", str,
              "32 hexadecimal digits that identify the process that writes the file; new each time that the run "
              "goes on"),
    Attribute("pid", int, "the process that writes the file, or wrote it last", least=1, most=2**31 - 1),
    Attribute("host", str, "the machine of that process"),
    Attribute("seed", int, "determines the initial parameters and the order of the data"),
    Attribute("start", {"path": str | None, "run_id": str | None, "version": int | None, "sha256": str},
              "where the initial parameters come from, unless from the seed: `path`, `run_id` and `version` of a "
              "run, and the `sha256` of the parameters"),
    Attribute("workers", int,
              "the number of workers; if it changes during the run, the largest", required=True, least=1,
              most=MOST_WORKERS),
    Attribute("n_params", int, "the number of parameters", least=1),
    Attribute("n_samples", int, "the number of training samples", least=1),
    Attribute("batches_per_epoch", int, "the number of minibatches in a pass over the data", least=1),
    Attribute("config", str,
              "the full configuration, as TOML. The replay of a trace has the key `trace`, its name and digest, "
              "instead of a timing"),
    Attribute("code", [{"kind": str, "name": str, "digest": str}],
              "your own code in the run: rule, schedule, problem, scheme and laws of time that do not come with "
              "asapnb. Each has its name, digest and source text; see below"),
    Attribute("first_table", {"made_from": str, "due": int | None},
              'what the first tables of the rule were `made_from`: "rule" if it needs no staleness seen, "prior", '
              'or "nothing" (all scales 1). Then the update at which the next tables are `due`, or on threads '
              'were made in the end; null if never'),
    Attribute("rule_factor", str, "the factor of its own that the rule has, if any; see rules.md"),
    Attribute("versions", {"asapnb": str, "numba": str}, "versions of asapnb, Python and libraries", required=True),
    Attribute("machine", _MACHINE,
              "CPU, cores, the CPU quota of the container, sockets, NUMA nodes, memory, thread settings, kernel "
              "path",
              required=True),
    Attribute("resumed", [{"version": int}],
              "one entry for each time that the run went on: the `version` that it went on from, whether the "
              "`velocity` was kept or began at zero, and the arguments that `changed`, each with its value before "
              "and after"),
    Attribute("sessions", [{"token": str | None, "version": int}],
              "for a run that went on: the `token` of each process that wrote it, and the `version` that the "
              "process began at"),
    Attribute("shards", {"sha256": str, "least": int, "most": int},
              "for a run whose workers have parts of the data: the sizes of the smallest and the largest part, "
              "and the `sha256` of the division"),
    Attribute("data", {"shape": [int], "path": str | None},
              "the data: full `path` if they come from a file, `shape` of a sample, dtypes, classes, and how rows "
              "were prepared: columns, means, deviations"),
    Attribute("data_sha256", str, "the digest of the data: pixels and labels, training and test"),
    Attribute("clock", str, 'what the times are: "virtual seconds", or real seconds and since when', required=True),
    Attribute("compile_seconds", float, "seconds spent compiling or loading kernels"),
    Attribute("replayed", _SOURCE, "for a replay: `path`, `kind` and `created_utc` of its source"),
    Attribute("exact", bool,
              "for a replay: whether the bits must be those of its source. They must if kernels and versions are "
              "the same, and the source did not end amidst updates of Hogwild"),
    Attribute("seconds", float, "the time of the last update"),
    Attribute("mean_scale", float, "the mean of scale · factor over the applied updates", least=None),
    Attribute("sum_of_steps", float, "the sum of all step sizes", least=None),
    Attribute("summary", COUNTED,
              "for a summary: the number of updates, the numbers of rows applied, dropped, zeroed and clipped, "
              "the number of failed compare-and-swaps, and the sum, least and most of the scales; see below"),
    Attribute("beyond_table", int, "the number of updates that were staler than their table is long"),
    Attribute("intervals", [{"after": int, "length": int}],
              "for adaptive intervals: each `length` that they had, and `after` how many finished gradients the "
              "first interval of this length began"),
    Attribute("in_force", str,
              "for an adaptive number of workers: how many were in force from which version on, as a table that "
              "`workers` takes"),
    Attribute("waited_for_room", int, "how often a worker had to wait for its row to be taken"),
    Attribute("target_step", int, "the update at which a target was reached"),
    Attribute("stopped_by", str, "for a run that was stopped: patience, on_eval or progress, with the reason"),
    Attribute("target_seconds", float, "the time of the update `target_step`"),
    Attribute("pinned", {}, "the core of each pinned worker"),
    Attribute("ranks", [{"rank": int, "host": str}],
              "for a run on MPI, or for its last part: each rank with its `host`, process, and the `cores` that "
              "it may use. Rank 0 is the server, and rank i + 1 is worker i"),
    Attribute("hosts", {str: _MACHINE}, "for a run on MPI: the attribute `machine` of each host"),
    Attribute("mpi", {"library": str, "mpi4py": str},
              "for a run on MPI: the library of rank 0, and the version of mpi4py"),
    Attribute("replay", {"threads": int, "wall_seconds": float},
              "for the kinds simulate and replay: the number of real `threads` that computed the gradients, and "
              "the real `wall_seconds`"),
)  # fmt: skip
ATTRIBUTES = {attribute.name: attribute for attribute in _TABLE}

# What a configuration lacks where it does not apply
OPTIONAL = {
    "data", "schedule", "epochs", "threads", "max_seconds", "target_loss", "target_accuracy", "target_r2", "patience",
    "monitor", "start", "prior", "optimizer", "direct_share", "clip", "keep_params", "record", "pin_workers",
    "timing", "timing_seed", "trace", "microscope", "local_steps", "shards",
}  # fmt: skip

# The keys of a configuration that are read from a run file. `training.arguments` declares their ranges, which are
# checked where a run is made from them.
_KEYS: Mapping[type, tuple[str, ...]] = {
    str: (
        "data", "problem", "scheme", "rule", "schedule", "prior", "optimizer", "momentum_kind", "monitor", "start",
        "keep_params", "record", "trace", "shards",
    ),
    int: ("epochs", "updates", "seed", "timing_seed", "threads"),
    float: ("momentum", "direct_share", "weight_decay", "compensation", "clip", "max_seconds", "divergence_factor"),
    bool: ("reshuffle", "worker_tables", "pin_workers"),
}  # fmt: skip
CONFIG = {name: Attribute(name, shape) for shape, names in _KEYS.items() for name in names} | {
    "workers": Attribute("workers", int | str, least=1, most=MOST_WORKERS),
    "step_size": Attribute("step_size", float),
    "batch_size": Attribute("batch_size", int, least=1),
    "local_steps": Attribute("local_steps", int, least=1),
    "target_loss": Attribute("target_loss", float, least=-math.inf),
    "target_accuracy": Attribute("target_accuracy", float, most=1),
    "target_r2": Attribute("target_r2", float, least=-math.inf, most=1),
    "patience": Attribute("patience", int, least=1),
    "eval_every": Attribute("eval_every", int),
    "eval_samples": Attribute("eval_samples", int | str, least=1),
    "timing": Attribute("timing", str | dict),
    "microscope": Attribute("microscope", int),
}


NEEDED = tuple(name for name in CONFIG if name not in OPTIONAL)  # for a run to go on as it was


class Facts(dict[str, Any]):
    """Attributes or a configuration, by name. A name that is missing is a RecordError, not a KeyError."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        super().__init__(values)
        self._where = where

    def __missing__(self, name: str) -> Any:
        raise RecordError(f"{self._where} has no {name!r}, which is needed here: it is no complete run")

    def __reduce__(self) -> tuple[Any, ...]:
        return Facts, (dict(self), self._where)


def checked_attributes(values: Mapping[str, Any], name: str) -> Facts:
    """The attributes of a run file if they are as declared; others are as they are.

    Args:
        values: the attributes, JSON already read.
        name: of the file, for a RecordError.

    >>> checked_attributes({"schema": 1}, "run.h5")
    Traceback (most recent call last):
    asapnb.errors.RecordError: run.h5 has no attribute kind: it is no complete run file
    """
    for attribute in _TABLE:
        if attribute.name not in values:
            if attribute.required:
                raise RecordError(f"{name} has no attribute {attribute.name}: it is no complete run file")
        elif wanted := attribute.wrong(values[attribute.name]):
            raise _mismatch(f"attribute {attribute.name} of {name}", values[attribute.name], wanted)
    return Facts(values, name)


def checked_config(text: str, attributes: Mapping[str, Any], name: str) -> Facts:
    """The configuration of a run file, from its TOML.

    Args:
        text: the TOML.
        attributes: those of the file, which must agree with it.
        name: of the file, for a RecordError.

    >>> checked_config("workers = 4", {"workers": 4}, "run.h5")
    {'workers': 4}
    """
    try:
        config = _from_toml(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"the configuration of {name} is no TOML: {error}") from None
    for key, value in config.items():
        if key in CONFIG and (wanted := CONFIG[key].wrong(value)):
            raise _mismatch(f"{key} in the configuration of {name}", value, wanted)
        if key == "workers":
            value = _most(value, name)
        if key in ("workers", "seed") and value != attributes.get(key, value):
            raise _mismatch(f"{key} in the configuration of {name}", value, f"{attributes[key]}, as its attribute")
    return Facts(config, f"the configuration of {name}")


def _most(workers: int | str, name: str) -> int:
    """The largest number of workers of a configuration."""
    try:
        return as_workforce(workers).most
    except UsageError as error:
        raise RecordError(f"the configuration of {name}: {error}") from None


def _from_toml(text: str) -> dict[str, Any]:
    """The content of a TOML text. Most have a plain value a line. Runs share many of these, so each is read once."""
    lines = text.rstrip("\n").split("\n")
    with contextlib.suppress(ValueError):
        config = dict(map(_line, lines))
        if len(config) == len(lines):  # else a key is there twice, or has dots
            return config
    return tomllib.loads(text)


@lru_cache(4096)
def _line(text: str) -> tuple[str, Any]:
    """The key and the plain value of a line; ValueError for anything else."""
    ((key, value),) = tomllib.loads(text).items()
    if isinstance(value, list | dict):
        raise ValueError("not plain")
    return key, value


def _mismatch(what: str, value: Any, wanted: str) -> RecordError:
    return RecordError(f"{what} is {value!r:.80}: must be {wanted}; the file is damaged, or no run file of asapnb")


def _has_shape(value: Any, shape: Shape) -> bool:
    if isinstance(shape, dict) and str in shape:
        return isinstance(value, dict) and all(_has_shape(one, shape[str]) for one in value.values())
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(key in value and _has_shape(value[key], shape[key]) for key in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(_has_shape(item, shape[0]) for item in value)
    if isinstance(value, bool):
        return shape is bool
    return isinstance(value, int | float if shape is float else shape)


def _described(shape: Shape) -> str:
    if isinstance(shape, dict) and str in shape:
        return f"JSON, tables of {_described(shape[str]).removeprefix('JSON, ')}"
    if isinstance(shape, dict):
        return f"JSON, a table with {', '.join(shape)}" if shape else "JSON, a table"
    if isinstance(shape, list):
        return f"JSON, a list of {_described(shape[0]).removeprefix('JSON, ')}"
    return _WORDS.get(shape, str(shape).replace("|", "or"))
