"""`asapnb replay` of many runs: a sweep of replays, then one table of what was recorded and what was replayed."""

import os
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.text import Text

from asapnb.analysis import Record, records
from asapnb.errors import RecordError, UsageError
from asapnb.record import to_json
from asapnb.simulator.replaying import check_replayable
from asapnb.sweep import parse_sweep
from asapnb.sweep.replays import files

from .streams import echo
from .sweep import carried_out, close, document
from .text import Columns, console

Compared = Callable[[Path, Path], tuple[dict[str, Any], Sequence[str]]]


def is_for_many(runs: Sequence[str], out: str | None) -> bool:
    """Whether these arguments stand for several runs, or their replays go to a folder."""
    return len(runs) > 1 or not os.path.isfile(runs[0]) or (out is not None and os.path.isdir(out))


def replay_many(
    runs: Sequence[str],
    chosen: Mapping[str, Any],
    out: str | None,
    columns: Sequence[str],
    compared: Compared,
    *,
    skip_bad: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Replay runs into a folder; ends the command.

    Args:
        runs: run files, and folders of them.
        chosen: what the replays change, by key.
        out: the folder; None keeps no replay.
        columns: of the table, besides the run.
        compared: called with the paths of a run and of its replay; returns the entries of the JSON document, and the
            cells of the table.
        skip_bad: go on without runs that cannot be replayed.
        quiet: print nothing but errors.
        as_json: print a JSON document instead.
        options: further ones of `run_sweep`.
    """
    sources = _usable(runs, skip_bad)
    if out is not None and out.endswith(".h5") and not os.path.isdir(out):
        raise UsageError(f"-o {out}: the replays of several runs go to a folder; give the name of a folder")
    sweep = parse_sweep({"kind": "replay", "base": dict(chosen), "grid": {"source": sources}})
    screen = console(quiet=quiet or as_json)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()) if out is None else out)
        again = f"the same command with --resume, -o {shlex.quote(str(folder))}"
        manifest = carried_out(sweep, folder, screen, again, **options)
        table, documents = Columns("run", "status", *columns, left=["run", "status"]), []
        for point in manifest.points:
            outcome = manifest.outcomes[point.name]
            facts = {"source": point.config["source"], "file": point.file, "status": outcome.status}
            found, cells = compared(Path(point.config["source"]), folder / point.file) if outcome.done else ({}, [])
            documents.append({**facts, "error": outcome.error, **found})
            table.add_row(Path(facts["source"]).stem, outcome.status, *cells)
        if as_json:
            echo(to_json({**document(manifest, folder), "replays": documents}))
        screen.print("", table, Text("recorded → replayed", "dim"), sep="\n")
        close(manifest, folder, screen, again, kept=out is not None)


def _usable(runs: Sequence[str], skip_bad: bool) -> list[str]:
    """The run files that can be replayed; an error, or with `skip_bad` a warning, names the others."""
    given = files(list(runs))
    good = {record.path for record in records(given, skip_bad=skip_bad, check=_check)}
    return [file for file in given if Path(file).resolve() in good]


def _check(record: Record) -> None:
    record.check()
    try:
        check_replayable(record.run)
    except UsageError as error:
        raise RecordError(str(error)) from None
