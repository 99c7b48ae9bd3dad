"""Predictions of the parameters of a run for further inputs, which are prepared as those of its training were."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data import Dataset, Split
from ..data.catalogue import load_dataset
from ..data.files import formed, read_inputs
from ..data.frames import is_frame, table_in
from ..data.options import is_file, parsed
from ..data.preparation import Preparation
from ..data.recorded import preparation_in, stand_in
from ..data.table import Arrays, are_pixels, unmasked
from ..errors import DataError, RecordError, UsageError
from ..identity import check_piece

if TYPE_CHECKING:
    from ..problems import Problem
    from .run import Run


_FITTED = ("categories", "mean", "deviation")  # of a preparation: what the data of the training decided


def predict(
    run: Run, inputs: Any, problem: Problem | None, version: int | None, scores: bool, force: bool
) -> NDArray[Any]:
    """Predict as `Run.predict` says."""
    from ..problems.base import check_is_problem

    params = run.params["final"] if version is None else run.params_at(version)
    if not np.isfinite(params).all():
        raise RecordError(f"these parameters of {run.name} are not finite ({run.status}): there is no prediction")
    facts: Mapping[str, Any] = run.attributes.get("data") or {}
    problem = _problem_of(run, facts, force) if problem is None else problem
    check_is_problem(problem)
    if len(params) != problem.n_params:
        raise UsageError(f"{run.name} has {len(params):,} parameters, and the problem {problem.n_params:,}")
    prepared = _prepared(run, inputs, facts, problem)
    if prepared.dtype == np.uint8 and problem.inputs.dtype != np.uint8:  # numbers, not pixels
        prepared = prepared.astype(np.float32)
    if prepared.dtype != problem.inputs.dtype == np.uint8 and prepared.max() > 1 and are_pixels(prepared):
        raise DataError("the inputs look like pixels, from 0 to 255: give bytes (uint8), or numbers from 0 to 1")
    if scores:
        return problem.scores(params, prepared)
    found = problem.predict(params, prepared)
    kept = facts.get("preparation")
    if kept is None or found.ndim != 1 or found.dtype.kind == "f" or problem.data is None:
        return found
    classes = problem.data.classes
    if [name.lower() for name in classes] == ["false", "true"]:
        return found.astype(bool)
    integers = all(_is_integer(name) for name in classes)
    return np.array(classes, np.int64 if integers else object)[found]


def _is_integer(name: str) -> bool:
    """Whether this is how Python writes an integer of 64 bits: 7, not 07."""
    return name.removeprefix("-").isdecimal() and len(name) < 19 and str(int(name)) == name


def _problem_of(run: Run, facts: Mapping[str, Any], force: bool) -> Problem:
    """The problem of a run, built as its file says; its data need not be there, unless its code is one's own."""
    from ..problems.text import code_of, is_custom, parse_problem

    text = run.config["problem"]
    if is_custom(text):
        raise UsageError(
            f"the problem of {run.name} is your own, {text}: build it in Python and pass it, as in "
            "run.predict(inputs, problem=problem)"
        )
    known = facts and not any(piece.kind == "problem" for piece in run.code or ())
    data = stand_in(run.config.get("data", ""), facts, run.name) if known else run.config.get("data", "")
    problem = parse_problem(text, data)
    if not force:
        check_piece(text, "problem", code_of(problem))
    return problem


def _prepared(run: Run, inputs: Any, facts: Mapping[str, Any], problem: Problem) -> NDArray[Any]:
    """Inputs as those of the training were prepared."""
    found = preparation_in(facts, run.name) or Preparation()
    shape = problem.data.shape if problem.data is not None else (1, 1, 1)
    if isinstance(inputs, Dataset):
        own = inputs.preparation
        if (
            own is not None
            and "preparation" in facts
            and any(getattr(own, one) != getattr(found, one) for one in _FITTED)
        ):
            raise UsageError(
                f"{inputs.name} was not prepared as the data of {run.name} was: give its file or frame instead, "
                "which is then prepared so"
            )
        return inputs.test.raw
    if isinstance(inputs, Split):
        return inputs.raw
    if isinstance(inputs, str | os.PathLike):
        text = os.fspath(inputs)
        if not is_file(text):
            return load_dataset(text).test.raw
        path, options = parsed(text)
        if options.header is None and facts.get("path"):
            options = replace(options, header=parsed(run.config["data"])[1].header)
        return read_inputs(path, options, found, shape)
    if is_frame(inputs):
        return found.inputs(table_in(inputs, "the inputs"))
    try:
        array = unmasked(inputs)
    except ValueError:
        raise UsageError(
            "the inputs are rows of several lengths: give an array with one row for each sample"
        ) from None
    return found.inputs(Arrays("the inputs", formed(array, shape), None))
