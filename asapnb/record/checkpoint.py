"""A checkpoint beside a run file, `RUN.h5.checkpoint`: the state from which a killed run goes on.

It is written under another name and then moved into place, so it is always complete. A run that ended needs no
checkpoint, because its own file holds the final state.

A checkpoint names the run (`run_id`) and the writer (`token`) whose rows it comes after. A run file names all its
writers, each with the version that it began at (`sessions`). So a checkpoint fits a file exactly if the rows before
it are those of the file, whatever the two are called: a copy that went on by itself has had another writer since.
"""

import contextlib
import itertools
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RecordError
from .files import created, opened, part_of, put_in_place
from .owner import Owner, beside
from .run import Run, file_of
from .schema import RUNNING
from .text import from_attribute, set_attributes

_SUFFIX = ".checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from.

    Attributes:
        arrays: as they were saved, by name.
        attributes: as they were saved, by name.
        path: the file that they are in; None if there is none.
    """

    arrays: dict[str, np.ndarray]
    attributes: dict[str, Any]
    path: Path | None = None

    @property
    def version(self) -> int:
        """The version that it was saved after."""
        return int(self.attributes["version"])


def checkpoint_path(run_path: str | os.PathLike[str]) -> Path:
    """The path of the checkpoint of a run file.

    >>> checkpoint_path("/tmp/run.h5").name
    'run.h5.checkpoint'
    """
    return beside(Path(os.path.realpath(run_path)), _SUFFIX, prefix="")


def save_checkpoint(
    run_path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
    owner: Owner | None = None,
) -> None:
    """Save a checkpoint beside a run file, in place of an earlier one.

    All rows up to the checkpoint must be in the run file: save it after a `flush` that wrote everything.

    Args:
        run_path: the run file.
        arrays: named arrays of any shape and dtype.
        attributes: numbers, text, or nested values, as those of a run file; `version`, and `run_id` and `token` of
            the run file.
        owner: who owns the run file, and so its checkpoint, too; None: whoever calls this, until it is done.

    Raises:
        RecordError: if it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.h5", {"params": np.ones(2)}, {"version": 7})
    ...     found = load_checkpoint(f"{folder}/run.h5")
    >>> found.arrays["params"], found.version
    (array([1., 1.]), 7)
    """

    def write(part: Path) -> None:
        with created(part) as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
            set_attributes(file, attributes)

    put_in_place(checkpoint_path(run_path), write, owner)


def load_checkpoint(run_path: str | os.PathLike[str]) -> Checkpoint | None:
    """The checkpoint beside a run file, None if there is none; RecordError if it cannot be read."""
    path = checkpoint_path(run_path)
    return _load(path) if os.path.exists(path) else None


def find_checkpoint(run: Run) -> Checkpoint | None:
    """The checkpoint that fits a run: that beside its file or, if the file was renamed, another one in its folder.

    Args:
        run: the run, which has a file.

    Returns:
        The checkpoint; its `version` says where the run would go on. None if there is none.

    Raises:
        RecordError: if the one beside the file cannot be read or does not fit, and there is no other.
    """
    own = checkpoint_path(file_of(run))
    if os.path.exists(own) and (why := _misfit(run, _attributes(own))) is None:
        return _load(own)
    fitting = []
    for path in own.parent.iterdir():
        if path.suffix == _SUFFIX and path != own and path.is_file():
            with contextlib.suppress(RecordError):
                facts = _attributes(path)
                if "run_id" in facts and _misfit(run, facts) is None:
                    fitting.append((facts["version"], path))
    if fitting:
        return _load(max(fitting)[1])
    if os.path.exists(own):
        raise RecordError(
            f"the checkpoint {own} {why}: give it the name of its own run file, or remove it to start this run again "
            "from its beginning"
        )
    return None


def sessions_from(run: Run, version: int, token: str) -> list[dict[str, Any]]:
    """The attribute `sessions` of a run that goes on from a version, with a new writer."""
    kept = [session for session in _sessions(run) if session["version"] <= version]
    return [*kept, {"token": token, "version": version}]


def take_over(checkpoint: Checkpoint | None, run: Run) -> None:
    """Give a run that goes on its checkpoint under its own name; that of another run makes room.

    Args:
        checkpoint: from `find_checkpoint`; None if the run begins anew.
        run: the run, whose file the caller owns.
    """
    own = checkpoint_path(file_of(run))
    if checkpoint is not None and checkpoint.path == own:
        return
    make_room(file_of(run), run.attributes.get("run_id"))
    if checkpoint is None or checkpoint.path is None:
        return
    try:
        if checkpoint.path.with_suffix("").exists():  # a file of the name is there still: this one is a copy of it
            put_in_place(own, lambda part: shutil.copyfile(checkpoint.path or own, part))
        else:
            os.replace(checkpoint.path, own)
    except OSError as error:
        raise RecordError(f"cannot move the checkpoint {checkpoint.path} to {own}: {error.strerror}") from error


def run_id_in(run_path: str | os.PathLike[str]) -> str | None:
    """The id of the run in a file; None if an old asapnb wrote it, "" if there is no run file."""
    try:
        with opened(Path(run_path)) as file:
            return file.attrs.get("run_id")
    except Exception:  # of a damaged file, h5py raises whatever it stumbles upon
        return ""


def remove_checkpoint(run_path: str | os.PathLike[str], *run_ids: str | None) -> None:
    """Remove the checkpoint beside a run file, if it is of a run with one of these ids; None: of an old asapnb."""
    path = checkpoint_path(run_path)
    with contextlib.suppress(OSError, RecordError):
        part_of(path).unlink(missing_ok=True)  # left by a killed process
        if _attributes(path).get("run_id") in run_ids:
            path.unlink()


def make_room(run_path: str | os.PathLike[str], run_id: str | None) -> None:
    """Remove the checkpoint beside a run file; if it is not that of the run with this id, give it another name."""
    remove_checkpoint(run_path, run_id)
    path = checkpoint_path(run_path)
    if os.path.exists(path):
        others = (beside(path.with_suffix(""), f".{n}{_SUFFIX}", prefix="") for n in itertools.count(1))
        with contextlib.suppress(OSError):
            path.rename(next(other for other in others if not other.exists()))


def _sessions(run: Run) -> list[dict[str, Any]]:
    """The writers of a run, each with its token, and the version that it began at; no token for an old asapnb."""
    return run.attributes.get("sessions") or [{"token": run.attributes.get("token"), "version": 0}]


def _misfit(run: Run, facts: Mapping[str, Any]) -> str | None:
    """What keeps a checkpoint with these attributes from fitting a run; None if it fits."""
    of = facts.get("run_id")
    if of is not None and of != run.attributes.get("run_id"):
        return f"is of another run ({of}, not {run.attributes.get('run_id')})"
    sessions = _sessions(run)
    last = math.inf if run.is_summary and run.status == RUNNING else run.made  # which was killed, and has no rows
    ends = [session["version"] for session in sessions[1:]] + [last]
    for session, end in zip(sessions, ends, strict=True):
        if session["token"] == facts.get("token") and facts["version"] <= end:
            return None
    return f"comes after {facts['version']:,} updates that this file does not hold"


def _attributes(path: Path) -> dict[str, Any]:
    return _read(path, arrays=False).attributes


def _load(path: Path) -> Checkpoint:
    return _read(path, arrays=True)


def _read(path: Path, *, arrays: bool) -> Checkpoint:
    """A checkpoint, with its arrays or without; RecordError if it is damaged. No link in it is followed."""
    try:
        with opened(path) as file:
            facts = {name: from_attribute(value) for name, value in file.attrs.items()}
            if type(facts["version"]) is not int or facts["version"] < 0:
                raise ValueError(f"its version is {facts['version']!r:.40}")
            found = {name: _array(file, name, path.stat().st_size) for name in file} if arrays else {}
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise RecordError(
            f"the checkpoint {path} cannot be read: {error}; remove it to start the run again from its beginning"
        ) from error
    return Checkpoint(found, facts, path)


def _array(file: Any, name: str, most: int) -> np.ndarray:
    """An array of at most so many bytes: one that is larger than its file is damaged."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise ValueError(f"its {name!r:.40} is no array")
    dataset = file[name]
    if dataset.dtype.hasobject or dataset.is_virtual or dataset.external or dataset.nbytes > most:
        raise ValueError(f"its {name!r:.40} is no array of numbers")
    return np.asarray(dataset[...])
