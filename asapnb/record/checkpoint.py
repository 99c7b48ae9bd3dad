"""A checkpoint beside a run file, `RUN.h5.checkpoint`: the state from which a killed run goes on.

It is written under another name and then moved into place, so it is always complete. A run that ended needs no
checkpoint, because its own file holds the final state.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RecordError
from .files import created, opened, put_in_place
from .owner import beside
from .text import from_attribute, set_attributes


@dataclass(frozen=True)
class Checkpoint:
    """Named arrays and attributes, as they were saved."""

    arrays: dict[str, np.ndarray]
    attributes: dict[str, Any]


def checkpoint_path(run_path: str | os.PathLike[str]) -> Path:
    """The path of the checkpoint of a run file.

    >>> checkpoint_path("/tmp/run.h5").name
    'run.h5.checkpoint'
    """
    return beside(Path(os.path.realpath(run_path)), ".checkpoint", prefix="")


def save_checkpoint(
    run_path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any]
) -> None:
    """Save a checkpoint beside a run file, in place of an earlier one.

    All rows up to the checkpoint must be in the run file: save it after a `flush` that wrote everything.

    Args:
        run_path: the run file.
        arrays: named arrays of any shape and dtype.
        attributes: numbers, text, or nested values, as those of a run file.

    Raises:
        RecordError: if it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.h5", {"params": np.ones(2)}, {"version": 7})
    ...     found = load_checkpoint(f"{folder}/run.h5")
    >>> found.arrays["params"], found.attributes["version"]
    (array([1., 1.]), 7)
    """

    def write(part: Path) -> None:
        with created(part) as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
            set_attributes(file, attributes)

    put_in_place(checkpoint_path(run_path), write)


def load_checkpoint(run_path: str | os.PathLike[str]) -> Checkpoint | None:
    """The checkpoint beside a run file, None if there is none; RecordError if it cannot be read."""
    path = checkpoint_path(run_path)
    if not path.exists():
        return None
    try:
        with opened(path) as file:
            return Checkpoint(
                {name: file[name][...] for name in file},
                {name: from_attribute(value) for name, value in file.attrs.items()},
            )
    except OSError as error:
        raise RecordError(
            f"the checkpoint {path} cannot be read: {error}; remove it to start the run again from its beginning"
        ) from error


def remove_checkpoint(run_path: str | os.PathLike[str]) -> None:
    """Remove the checkpoint beside a run file, if there is one."""
    with contextlib.suppress(OSError):
        checkpoint_path(run_path).unlink()
