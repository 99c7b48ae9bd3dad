"""Sweeps of replays: which recorded runs or traces they replay, what is checked beforehand, and how one is made."""

import glob
import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..config import prepare_replay
from ..errors import RecordError, UsageError, shown
from ..problems.text import parse_problem
from ..record import Run, own
from ..rules import ScaleTables, as_rule
from ..schedules import as_schedule, tabulate
from ..simulator.recorded import total
from ..simulator.replaying import RECORDED, check_replayable, options_for, options_of, replay
from ..simulator.run import observation
from ..text import to_json

SOURCE = "source"  # the key, and the axis
_MISSING = "source is missing: the runs to replay, such as source = 'runs/few', a folder, or a list of run files"


def spread(
    base: Mapping[str, Any], grids: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """The tables of a sweep of replays with the run files as an axis of every grid, the first."""
    rest = {name: value for name, value in base.items() if name != SOURCE}
    return rest, [{SOURCE: files(grid.get(SOURCE, base.get(SOURCE))), **_without_source(grid)} for grid in grids]


def _without_source(grid: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in grid.items() if name != SOURCE}


def files(sources: Any) -> list[str]:
    """The run files that a text or a list of texts stands for: files, folders of them, and patterns with * or ?.

    UsageError if there is none, RecordError for a folder or a pattern without any. A file is not looked at.
    """
    given = [sources] if isinstance(sources, str) else sources
    if not given:
        raise UsageError(_MISSING)
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise UsageError(f"source = {shown(sources)}: must be a text or a list of texts")
    found: dict[str, str] = {}
    for file in (file for one in given for file in _of(one)):
        found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def _of(text: str) -> list[str]:
    if os.path.isdir(text):
        found = sorted(map(str, Path(text).glob("*.h5")))
    elif glob.has_magic(text) and not os.path.exists(text):
        found = sorted(glob.glob(text, recursive=True))
    else:
        return [text]
    if not found:
        raise RecordError(f"{shown(text)} holds no run file (*.h5): give another source")
    return found


def check_apart(sources: Iterable[str], folder: Path) -> None:
    """UsageError if a run to be replayed lies in the folder that the replays are written to."""
    for file in sources:
        if Path(file).resolve().parent == folder.resolve():
            raise UsageError(f"{file} is to be replayed, so replays cannot go to its folder: give another one")


def check_point(config: Mapping[str, Any], once: Callable[[Hashable, Callable[[], Any]], Any]) -> str:
    """Check that a replay can be made; returns all that it depends on, as text.

    Args:
        config: the configuration of the point.
        once: makes a value that points share, under a key.
    """
    origin: Any
    source, problem, arguments = prepare_replay(config, once=once)
    given = {name: value for name, value in arguments.items() if name != "rule" and value is not None}
    if given.get("schedule") == RECORDED:
        del given["schedule"]
    if isinstance(source, Run):
        check_replayable(source)
        made = [source.config.get(name, "") for name in ("problem", "data")]
        problem = once(to_json(["problem", *made]), lambda: parse_problem(*made))
        options, updates, origin = (
            options_of(source, problem, {"target_loss": None, **given}),
            total(source),
            source.path,
        )
    else:
        assert problem is not None
        if "schedule" in given:
            given["schedule"] = as_schedule(given["schedule"])
        options = options_for(source, problem, {"target_loss": None, **given})
        updates, origin = source.updates, (source.origin, problem.config)
    if "schedule" in given:  # an error, if its factors cannot be used
        once(("factors", repr(options.schedule), updates), lambda: len(tabulate(options.schedule, updates)))
    if (text := config.get("rule", RECORDED)) != RECORDED:
        rule = once(("rule", text), lambda: as_rule(text))
        if not options.always_fresh:
            for number in {number for _, number in options.workforce.changes}:
                once(("tables", repr(rule), number), partial(ScaleTables, rule, number))
        text = repr(rule)
    recorded = "schedule" not in given  # factors made anew may be others, as those of a run that went on
    return str((str(origin), options, text, recorded, observation({**given, "progress": False})))


def carry_out(config: Mapping[str, Any], out: Path) -> Run:
    """Replay a run or a trace as a point of a sweep says, into a file, which is replaced if it exists."""
    source, problem, arguments = prepare_replay(config)
    if out.exists():
        with own(out.resolve()):
            out.unlink()
    return replay(source, problem, **arguments, out=out)
