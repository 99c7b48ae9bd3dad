"""Where the parameters of a run begin if its seed does not say: the argument `start`.

A run is named by a text, `RUN.h5` for its final parameters or `RUN.h5@VERSION`. A configuration keeps the version,
and the attribute `start` also which run that was. From a run file, `RUN.h5@0` is taken: where that run itself began.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import RecordError, UsageError, shown
from ..problems.base import Problem
from ..record import Checkpoint, Run, find_checkpoint, load_run, owner_of
from ..record.schema import RUNNING
from ..text import plain


@dataclass(frozen=True, eq=False, repr=False)
class Start:
    """The parameters that a run begins with.

    Attributes:
        text: what a configuration says.
        params: shape (n_params,).
        layout: the tensors within them, as a run file lists them; None if that is not known.
        path: the run file that they are from; None if there is none.
        run_id: of that run.
        version: of that run; None for an array.
    """

    text: str
    params: NDArray[Any]
    layout: Any = None
    path: str | None = None
    run_id: str | None = None
    version: int | None = None

    def __repr__(self) -> str:
        return self.text

    @property
    def source(self) -> dict[str, Any]:
        """The attribute `start` of a run."""
        digest = hashlib.sha256(np.ascontiguousarray(self.params).tobytes()).hexdigest()
        return {"path": self.path, "run_id": self.run_id, "version": self.version, "sha256": digest}


StartLike = Start | Run | ArrayLike | os.PathLike[str] | str


def as_start(value: StartLike | None) -> Start | None:
    """The parameters that a value of the argument `start` stands for; None for None.

    >>> as_start([0.5, 2.0]).params
    array([0.5, 2. ])
    """
    if value is None or isinstance(value, Start):
        return value
    if isinstance(value, Run):
        return _of_run(value, None)
    if isinstance(value, str | os.PathLike):
        return _of_text(os.fspath(value))
    return _of_array(value)


def start_text(run: Run) -> str | None:
    """What the configuration of that run again says of its start; None if it began where its seed says."""
    return None if run.attributes.get("start") is None else f"{run.path}@0"


def start_of(run: Run) -> Start:
    """Where a run began, for the run that goes on."""
    return Start(run.config["start"], run.params["initial"])


def fitting(start: Start | None, problem: Problem) -> Start | None:
    """The start with parameters of the dtype of a problem; UsageError if they are not of such a problem."""
    if start is None:
        return None
    if len(start.params) != problem.n_params:
        raise UsageError(
            f"start is {start}, with {len(start.params):,} parameters: {problem!r} has {problem.n_params:,}; give as "
            "many"
        )
    ours = plain(list(problem.layout))
    if start.layout is not None and (differ := _first_difference(start.layout, ours)):
        raise UsageError(f"start is {start}, whose tensors are not those of {problem!r}: {differ}")
    with np.errstate(over="ignore"):
        params = np.ascontiguousarray(start.params, problem.dtype)
    if not np.isfinite(params).all():
        raise UsageError(f"start is {start}: not all of its parameters are finite numbers in {problem.dtype}")
    return Start(start.text, params, start.layout, start.path, start.run_id, start.version)


def _of_text(text: str) -> Start:
    path, at, version = text.rpartition("@")
    if text.startswith("array("):
        raise UsageError(
            f"start is {text}: that was an array in Python, which this text does not hold; give it again, or take "
            "the run file that began with it, as in start=RUN.h5@0"
        )
    named = bool(at) and version.isdecimal() and not os.path.exists(text)
    try:
        return _of_run(load_run(path if named else text), int(version) if named else None)
    except RecordError as error:
        raise UsageError(f"start is {text}: {error}") from error


def _of_run(run: Run, version: int | None) -> Start:
    name = run.path or "the run"
    saved = _checkpoint(run) if version is None else None
    if saved is not None:
        text = f"{run.path}@{saved.version}"
        params = saved.arrays["params"]
        return Start(text, params, run.params["layout"], str(run.path), run.attributes.get("run_id"), saved.version)
    if version is None:
        if run.status == RUNNING:
            raise RecordError(
                f"{name} still goes on, or was killed, so it has no final parameters: {_first(run)}start at one of "
                f"its versions {_listed(run)}, as in {name}@0"
            )
        version = run.made
    params, path = run.params_at(version), None if run.path is None else str(run.path)
    text = f"run({run.attributes.get('run_id')})@{version}" if path is None else f"{path}@{version}"
    return Start(text, params, run.params["layout"], path, run.attributes.get("run_id"), version)


def _checkpoint(run: Run) -> Checkpoint | None:
    """The checkpoint of a summary of threads that was killed, which cannot go on itself; None for any other run."""
    if run.status != RUNNING or run.kind != "train" or not run.is_summary or run.path is None:
        return None
    if owner_of(run.path) is not None:  # it goes on
        return None
    found = find_checkpoint(run)
    return found if found is not None and "params" in found.arrays else None


def _first(run: Run) -> str:
    """What else can be done with a run without final parameters."""
    return "" if run.is_summary and run.kind == "train" else "asapnb resume it first, or "


def _listed(run: Run) -> str:
    return ", ".join(f"{version:,}" for version in run.kept_versions.tolist())


def _of_array(value: ArrayLike) -> Start:
    try:
        params = np.array(value)
    except (ValueError, TypeError):
        params = np.array(None)
    if params.ndim != 1 or params.dtype.kind not in "fiu":
        raise UsageError(
            f"start is {shown(value)}: must be the parameters, an array of shape (n_params,), or a Run, or the path "
            "of a run file"
        )
    digest = hashlib.sha256(np.ascontiguousarray(params).tobytes()).hexdigest()[:12]
    return Start(f"array(sha256={digest})", params)


def _first_difference(theirs: list[Any], ours: list[Any]) -> str | None:
    """The first tensor that is not the same, in words."""
    for before, now in zip(map(_tensor, theirs), map(_tensor, ours), strict=False):
        if before != now:
            return f"{before[0]} of shape {before[1]} stands where {now[0]} of shape {now[1]} should be"
    return None


def _tensor(one: Any) -> tuple[str, tuple[int, ...]]:
    name, shape = (one["name"], one["shape"]) if isinstance(one, Mapping) else one[:2]
    return str(name), tuple(shape)
