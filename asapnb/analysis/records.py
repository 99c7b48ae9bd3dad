"""The runs of a comparison: read from files and folders, told apart by what varies in their configurations."""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ..errors import RecordError, SkippedWarning, UsageError, unknown
from ..numbers import integer
from ..record import Run
from ..record.attributes import OPTIONAL, Facts
from ..record.changes import in_words
from ..record.noted import loading
from .curves import Curve, evaluated, smoothed
from .names import marked

Runs = Iterable[Run | str | os.PathLike[str]] | Run | str | os.PathLike[str]
Loss = Literal["evaluated", "smoothed"]
LOSSES = get_args(Loss)
_NAMED = 10  # bad files, of a longer list
CLOCKS = ("updates", "seconds", "steps", "epochs")
_ALWAYS = {"schedule": "constant()"}  # of runs from before there was this key


@dataclass(frozen=True)
class Record:
    """A run in a comparison; made by `records`.

    It keeps the figures that it reads from the file of the run, but not the columns. So hundreds fit in memory.

    >>> import asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(4,))
    >>> (record,) = records([ab.simulate(problem, workers=2, updates=10)])
    >>> record.value("workers"), record.status, record.clock, record.curve().updates
    (2, 'finished', 'virtual', array([ 0, 10]))
    """

    run: Run
    _curves: dict[Any, Curve] = field(default_factory=dict, repr=False, compare=False)
    crossings: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)  # of `targets.crossing`

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration of the run, as comparisons see it.

        If the step size or rule changed when the run was resumed, the key "changed" says how. If the run has a
        `timing_seed`, that is its "seed" here, because repetitions differ in it. Its `seed` is then "data_seed".
        """
        config, changed = self.run.config, in_words(self.run)
        extra = {"changed": changed} if changed else {}
        if "timing_seed" in config:
            extra |= {"seed": config["timing_seed"], "data_seed": config["seed"]}
        return Facts({key: v for key, v in (config | extra).items() if key != "timing_seed"}, self.name)

    @property
    def status(self) -> str:
        """How the run ended."""
        return self.run.status

    @cached_property
    def kind(self) -> str:
        """What made the run: "train", "simulate" or "replay"."""
        return self.run.kind

    @cached_property
    def is_virtual(self) -> bool:
        """Whether the seconds of the run are virtual."""
        return self.run.is_virtual

    @property
    def path(self) -> Path | None:
        """The file of the run; None for a run in memory."""
        return self.run.path

    @cached_property
    def clock(self) -> str:
        """The clock of the seconds of the run: "virtual", "wall", or "recorded" for a replay of real threads."""
        return "virtual" if self.is_virtual else "recorded" if self.kind == "replay" else "wall"

    @property
    def cores(self) -> int | None:
        """How many cores the process could use; None if unknown."""
        machine = self.run.attributes.get("machine", {})
        return machine.get("allowed") or machine.get("cpus")

    @property
    def name(self) -> str:
        """The file's name, or a description of a run in memory, for messages."""
        return str(self.path) if self.path else f"the run in memory with seed {self.run.config['seed']}"

    def value(self, key: str) -> Any:
        """The value of a key of the configuration, or of "kind". None if the run has no such key.

        The name of a user's own rule, problem or the like ends with a mark of its code: # and the beginning of the
        digest. So runs with different code are never one group.
        """
        return self.values.get(key)

    def summary(self) -> dict[str, Any]:
        """The figures of `Run.summary`. They are read once and kept."""
        return self._facts[0]

    @property
    def updates_per_epoch(self) -> float:
        """How many updates make one pass over the data; fewer where an update takes several minibatches."""
        return self._facts[2]

    @cached_property
    def end(self) -> dict[str, float]:
        """Where the run ended, by clock: "updates", "seconds", "steps" (the sum of all step sizes) and "epochs"."""
        facts = self.summary()
        updates = float(facts["updates"])
        return {
            "updates": updates,
            "seconds": facts["seconds"],
            "steps": facts["sum_of_steps"] or 0.0,
            "epochs": updates / self.updates_per_epoch,
        }

    @property
    def initial_loss(self) -> float:
        """The first evaluated training loss. A run without an evaluation is a RecordError."""
        first = self.summary()["initial"]
        if first is None:
            raise RecordError(f"{self.name} has no evaluation, so it has no initial loss: leave the run out")
        return float(first["train_loss"])

    def curve(self, loss: Loss = "evaluated", window: int | None = None) -> Curve:
        """The training loss along the run.

        Args:
            loss: "evaluated": each evaluation is a point. "smoothed": each point is the mean of the losses of the
                last minibatches.
            window: how many updates a smoothed point is the mean of; None for a fifth of an epoch.

        Raises:
            UsageError: for another `loss`, and for a window without "smoothed".
        """
        if loss not in LOSSES:
            raise unknown("loss", loss, LOSSES)
        if loss == "evaluated":
            if window is not None:
                raise UsageError(f"window is {window!r}, but the loss is evaluated: a window is for loss='smoothed'")
            return self._facts[1]
        window = None if window is None else integer("window", window, 1, note=", in updates")
        if (loss, window) not in self._curves:
            self._curves[loss, window] = smoothed(self._fresh(), window)
        return self._curves[loss, window]

    def check(self) -> None:
        """Read all that the file of the run holds. RecordError names the first thing that is damaged or missing.

        A run with a synopsis is as it was written, so nothing is read.
        """
        if self.run.synopsis is None:
            run = self._fresh()
            run.check()
            self.__dict__["_facts"] = self._facts_of(run)

    @cached_property
    def _facts(self) -> tuple[dict[str, Any], Curve, float]:
        return self._facts_of(self._fresh() if self.run.synopsis is None else self.run)

    def _facts_of(self, run: Run) -> tuple[dict[str, Any], Curve, float]:
        curve, each = evaluated(run)
        return run.summary(), curve, float(run.attributes["batches_per_epoch"] / (each * run.local_steps))

    @cached_property
    def values(self) -> dict[str, Any]:
        """All keys with what `value` returns for them."""
        plain = {key: v if isinstance(v, str | int | float) else str(v) for key, v in self.config.items()}
        return {**_ALWAYS, **plain, **marked(self.run), "kind": self.kind}

    def _fresh(self) -> Run:
        """The run, less the columns that it has read: those that are read now are not kept."""
        return self.run.anew()


def records(paths: Runs, *, skip_bad: bool = False, check: Callable[[Record], object] = Record.check) -> list[Record]:
    """The runs in files and folders, for a comparison.

    A file that the manifest of its sweep describes is not opened. From a file with a synopsis only the synopsis is
    read. Any other file is read once as a whole.

    Args:
        paths: a `Run`, a run file, a folder of run files (`FOLDER/*.h5`), or several of these.
        skip_bad: leave out files that are damaged, or no run files, with a `SkippedWarning` that names them.
        check: a function that reads those parts of a file that will be used. It raises RecordError if one is damaged.

    Returns:
        A `Record` for each run. A file that is given twice is taken once.

    Raises:
        RecordError: for files that cannot be used, which it names with the reasons; for a folder without run files.
        UsageError: if there are no runs.

    >>> import asapnb as ab
    >>> run = ab.simulate(ab.problems.quadratic([1.0]), workers=2, updates=10, batch_size=1)
    >>> [record.status for record in records(run)]
    ['finished']
    """
    given = [paths] if isinstance(paths, Run | str | os.PathLike) else list(paths)
    load = loading()
    found: list[Record] = []
    bad: dict[str, RecordError] = {}
    for one in (run for some in given for run in _each(some)):
        try:
            record = Record(one if isinstance(one, Run) else load(one))
            if record.path is not None:
                check(record)
            found.append(record)
        except RecordError as error:
            bad[str(one)] = error
    if bad and (not skip_bad or not found):
        raise next(iter(bad.values())) if len(bad) + len(found) == 1 else RecordError(_listed(bad, len(found), False))
    if bad:
        warnings.warn(_listed(bad, len(found), True), SkippedWarning, stacklevel=2)
    if not found:
        raise UsageError("there are no runs: give run files, or folders of them")
    return list({record.path or id(record.run): record for record in found}.values())


def _each(one: Run | str | os.PathLike[str]) -> Sequence[Run | str | os.PathLike[str]]:
    """The runs that one argument stands for."""
    if isinstance(one, Run) or not os.path.isdir(one):
        return [one]
    files = sorted(Path(one).glob("*.h5"))
    if not files:
        raise RecordError(
            f"the folder {one} holds no run file (*.h5): give a folder of run files, such as that of a sweep"
        )
    return files


def _listed(bad: Mapping[str, RecordError], good: int, skipped: bool) -> str:
    """The files that cannot be used, each with its reason."""
    head = f"{len(bad):,} of {len(bad) + good:,} files "
    head += "are left out" if skipped else "cannot be used; to leave them out: skip_bad=True (--skip-bad)"
    lines = [str(error) if name in str(error) else f"{name}: {error}" for name, error in bad.items()]
    more = [f"and {len(bad) - _NAMED:,} more"] if len(bad) > _NAMED else []
    return "\n  ".join([f"{head}:", *lines[:_NAMED], *more])


def varying(records: Sequence[Record]) -> list[str]:
    """The keys whose values differ among the runs, in the order of their configurations. The seed is last.

    If the runs are of several kinds, "kind" is one of the keys. Keys that only one kind has do not count unless they
    differ within it. `record` never counts, because a summary is of the same run.

    >>> import asapnb as ab
    >>> problem = ab.problems.quadratic([1.0])
    >>> runs = [ab.simulate(problem, workers=m, updates=10, batch_size=1, seed=m) for m in (2, 4)]
    >>> varying(records(runs))
    ['workers', 'seed']
    """
    kinds: dict[str, list[Record]] = {}
    for record in records:
        kinds.setdefault(record.kind, []).append(record)
    of_kinds = [_values_of(kinds[kind]) for kind in sorted(kinds)]

    def differs(key: str) -> bool:
        found = [values.get(key, {None}) for values in of_kinds]
        return any(len(values) > 1 for values in found) or len(set().union(*found) - {None}) > 1

    found = [key for key in _keys(records) if key != "record" and differs(key)] + ["kind"] * (len(kinds) > 1)
    return sorted(found, key=lambda key: key == "seed")


def _values_of(records: Sequence[Record]) -> dict[str, set[Any]]:
    """All values that each key has; None, where a run has none."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for record in records:
        alike.setdefault(tuple(record.values), []).append(record.values)
    found: dict[str, set[Any]] = {}
    for keys, rows in alike.items():
        for key, column in zip(keys, zip(*map(dict.values, rows), strict=True), strict=True):
            found.setdefault(key, set()).update(column)
    for keys in alike:
        for key in found.keys() - {*keys}:
            found[key].add(None)
    return found


def _keys(records: Sequence[Record]) -> list[str]:
    """The keys of all configurations, in their order."""
    alike = dict.fromkeys(tuple(record.config) for record in records)
    return list(dict.fromkeys(key for keys in alike for key in keys))


def grouped(records: Sequence[Record], by: Sequence[str]) -> dict[tuple[Any, ...], list[Record]]:
    """The runs, grouped by their values of these keys.

    Args:
        records: the runs.
        by: the keys of configurations, or "kind".

    Returns:
        A dict from the values of the keys, a tuple, to the runs that have them, in the order of the values.

    Raises:
        UsageError: for a key that no run has.

    >>> import asapnb as ab
    >>> problem = ab.problems.quadratic([1.0])
    >>> runs = [ab.simulate(problem, workers=m, updates=10, batch_size=1) for m in (4, 2)]
    >>> list(grouped(records(runs), ["workers"]))
    [(2,), (4,)]
    """
    check_keys(records, by)
    return split(records, by)


def split(records: Sequence[Record], by: Sequence[str]) -> dict[tuple[Any, ...], list[Record]]:
    """`grouped`, but a key that none of the runs has is None."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(map(record.values.get, by)), []).append(record)
    return dict(sorted(groups.items(), key=lambda item: [rank(value) for value in item[0]]))


def rank(value: object) -> tuple[bool, str, float | str]:
    """The place of a value among others: numbers by size, then texts, then None."""
    if isinstance(value, int | float):
        return False, "", value
    return value is None, "text", str(value)


def check_keys(records: Sequence[Record], keys: Iterable[str]) -> None:
    """UsageError for a key that no configuration has or may have: it says which ones differ."""
    known = {"kind", *OPTIONAL, *_keys(records)}
    for key in keys:
        if records and key not in known:
            vary = ", ".join(varying(records)) or "nothing"
            raise UsageError(f"no run has a key {key!r}: what differs among these runs is {vary}")


def seeds(records: Sequence[Record]) -> list[int]:
    """The seeds of the runs, each once, in ascending order."""
    return np.unique([int(record.value("seed") or 0) for record in records]).tolist()
