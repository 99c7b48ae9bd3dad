"""The data of a run file: what the file keeps of it, and how it is found again."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ..errors import AsapnbError, DataError, RecordError
from ..memory import check_memory
from .dataset import Dataset, Split
from .options import exists, is_file, parsed
from .preparation import Preparation
from .sources import SOURCES


class RecordedData(str):
    """The text of the data in the configuration of a run file, with what the file keeps of the data.

    It is a text like any other, wherever a configuration goes. `load_dataset` finds the data again, and takes it only
    if it is what the run had.

    Attributes:
        facts: what `facts_of` returned for the data; empty for a file from before asapnb recorded it.
        sha256: of the data; None to take what is there.
        where: the run, for messages.
        folder: of the run file; None for a run in memory.
    """

    facts: Mapping[str, Any]
    sha256: str | None
    where: str
    folder: str | None

    def __new__(
        cls, text: str, facts: Mapping[str, Any], sha256: str | None, where: str, folder: str | None
    ) -> "RecordedData":
        """A text with what its run recorded."""
        self = super().__new__(cls, text)
        self.facts, self.sha256, self.where, self.folder = facts, sha256, where, folder
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordedData, (str(self), dict(self.facts), self.sha256, self.where, self.folder)

    def unchecked(self) -> "RecordedData":
        """The same, for data that may be other by now."""
        return RecordedData(str(self), self.facts, None, self.where, self.folder)


def trusted(data: str, force: bool) -> str:
    """The text of data; with `force` one that is taken whatever a run recorded."""
    return data.unchecked() if force and isinstance(data, RecordedData) else data


def facts_of(data: Dataset) -> dict[str, Any]:
    """What a run file keeps of its data, besides the digest: enough to prepare inputs and to name predictions.

    >>> data = Dataset.from_arrays(np.zeros((2, 3)), [0, 1], np.zeros((1, 3)), [0])
    >>> facts_of(data)
    {'path': None, 'shape': [3, 1, 1], 'inputs': 'float32', 'labels': 'int64', 'outputs': 0, 'classes': 2}
    """
    labels = data.train.labels
    numbered = data.classes == tuple(map(str, range(len(data.classes))))
    facts = {
        "path": data.path,
        "shape": list(data.shape),
        "inputs": str(data.train.raw.dtype),
        "labels": str(labels.dtype),
        "outputs": labels.shape[1] if labels.ndim == 2 else 0,
        "classes": len(data.classes) if numbered else list(data.classes),
    }
    if data.preparation is not None:
        facts["preparation"] = {name: value for name, value in asdict(data.preparation).items() if value}
    return facts


def stand_in(name: str, facts: Mapping[str, Any], where: str) -> Dataset:
    """One sample of zeros in the form of a run's data, for a problem that is only asked to predict.

    Args:
        name: of the data.
        facts: what the run file keeps of it; RecordError if that cannot be.
        where: the run, for messages.
    """
    try:
        shape, outputs, classes = tuple(map(int, facts["shape"])), int(facts["outputs"]), facts["classes"]
        names = tuple(map(str, range(classes) if isinstance(classes, int) else classes))
        if len(shape) != 3 or min(shape) < 1 or outputs < 0 or len(names) > 2**20:
            raise ValueError(shape, outputs, len(names))
        size = shape[0] * shape[1] * shape[2] + outputs
        check_memory(f"a sample of {where}", 8 * size, "it is damaged")
        raw = np.zeros((1, *shape), {"uint8": np.uint8, "float32": np.float32}[facts["inputs"]])
        kind = {"int64": np.int64, "float32": np.float32, "float64": np.float64, "uint8": np.uint8}[facts["labels"]]
        split = Split(raw, np.zeros((1, outputs) if outputs else 1, kind))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise _damaged(where, error) from None
    return Dataset(name, split, split, names, preparation_in(facts, where))


def preparation_in(facts: Mapping[str, Any], where: str) -> Preparation | None:
    """The preparation in what a run file keeps; None if there was none. RecordError if it cannot be."""
    kept = facts.get("preparation")
    if kept is None:
        return None
    try:
        tables = {name: {str(key): float(value) for key, value in kept.get(name, {}).items()} for name in _NUMBERS}
        found = Preparation(
            columns=tuple(map(str, kept.get("columns", ()))),
            targets=tuple(map(str, kept.get("targets", ()))),
            categories={str(key): tuple(map(str, some)) for key, some in kept.get("categories", {}).items()},
            missing=str(kept.get("missing", "error")),
            shape=tuple(map(int, kept.get("shape", ()))),
            pixels=bool(kept.get("pixels", False)),
            size=None if kept.get("size") is None else (int(kept["size"][0]), int(kept["size"][1])),
            **tables,
        )
        numbers = [*found.fill.values(), *found.mean.values(), *found.deviation.values()]
        if not np.isfinite(numbers).all() or found.mean.keys() != found.deviation.keys():
            raise ValueError("means and deviations")
        if min(found.deviation.values(), default=1) <= 0 or not 0 < max(found.size or (1,)) <= 10_000:
            raise ValueError("a deviation or a size")
    except (AttributeError, KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise _damaged(where, error) from None
    return found


_NUMBERS = ("fill", "mean", "deviation")


def _damaged(where: str, error: Exception) -> RecordError:
    return RecordError(f"the attribute data of {where} is damaged ({type(error).__name__}: {error!s:.80})")


def find(text: RecordedData, load: Any) -> Dataset:
    """The data of a run, where it was or where it has moved to; DataError that says where it was looked for.

    Args:
        text: of the run.
        load: loads a known data set by its name.
    """
    if text in SOURCES:
        return _same(text, load(str(text)), str(text))
    if not text.facts.get("path") if text.facts else not is_file(text):  # files from before do not say
        raise DataError(
            f"the data of {text.where}, {str(text)!r}, was made of arrays in Python: make it and the problem again "
            "and pass that, as in asapnb.resume(run, problem=problem); or name a file, as --data 'FILE.csv(…)'"
        )
    path, options = parsed(str(text))
    failures: list[AsapnbError] = []
    places = list(_places(text, path))
    for place in places:
        if exists(place):
            try:
                return replace(_same(text, Dataset.from_file(place, **vars(options)), place), name=str(text))
            except AsapnbError as error:
                failures.append(error)
    if failures:
        raise failures[0]
    suffix = str(text)[len(path) :]
    raise DataError(
        f"the data of {text.where} is not here: looked for {', '.join(places)}. Put it there; or name its place to "
        f'train or simulate, --data "NEW/PLACE/{os.path.basename(path)}{suffix}", or in Python pass the problem'
    )


def _places(text: RecordedData, path: str) -> Iterator[str]:
    """Where the data may be: where the text says, where it was, and beside the run file."""
    name = os.path.basename(path.rstrip(os.sep))
    folders = [os.path.join(folder, name) for folder in (text.folder, os.curdir) if folder]
    seen = set()
    for place in (path, str(text.facts.get("path") or path), *folders):
        if (real := os.path.abspath(os.path.expanduser(place))) not in seen:
            seen.add(real)
            yield place


def _same(text: RecordedData, data: Dataset, place: str) -> Dataset:
    """The data, if it is what the run had."""
    if text.sha256 is not None and data.sha256() != text.sha256:
        raise DataError(
            f"{place} is not the data that {text.where} was made with: its SHA-256 is {data.sha256()[:16]}…, and "
            f"that of the run {text.sha256[:16]}…. Put the data back, or name its place to "
            "train or simulate with --data, or take it as it is with force=True (--force)"
        )
    return data
