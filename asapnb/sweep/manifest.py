"""The manifest of a sweep: one line of JSON that says what is run and where, then one for each point that is done."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ..errors import RecordError
from ..record import load_run, machine, to_json, to_toml, versions
from ..record.files import put_in_place
from .points import Outcome
from .spec import Sweep, parse_sweep

SCHEMA = 1
NAME = "manifest.jsonl"


@dataclass(frozen=True)
class Manifest:
    """What a manifest holds: its head (schema, when, with what command, machine and versions, and the sweep as a
    table), and the outcome of every point that was carried out, by the point's name."""

    head: Mapping[str, Any]
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

    @property
    def sweep(self) -> Sweep:
        """The sweep that is carried out."""
        return parse_sweep(self.head["sweep"])


def load_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """The manifest in a folder, also while it is being written; RecordError if there is none."""
    path = Path(folder, NAME)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # a line without its end was cut off
    except OSError as error:
        raise RecordError(f"cannot read the manifest {path}: {error.strerror}") from None
    try:
        head, *rest = (json.loads(line) for line in lines)
        schema = head["schema"]
        if schema <= SCHEMA:
            return Manifest(head, {line["point"]: Outcome(**line) for line in rest})
    except (ValueError, TypeError, KeyError):
        raise RecordError(f"{path} is no manifest of a sweep: give another folder, or remove it") from None
    raise RecordError(f"{path} has schema {schema}; this asapnb reads up to {SCHEMA}: install a newer one")


def begin(sweep: Sweep, folder: Path, *, resume: bool, force: bool, extend: bool) -> Manifest:
    """The manifest that a sweep goes on from, written to its folder; with outcomes only of points that are done.

    RecordError where there is one already that is not to be touched, or that is of another sweep.
    """
    head = {
        "schema": SCHEMA,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "points": len(sweep.points),
        "versions": versions(),
        "machine": machine(),
        "sweep": sweep.plain(),
    }
    manifest = Manifest(head)
    if (folder / NAME).exists() and not force:
        if not resume:
            raise RecordError(
                f"{folder} holds a sweep already: go on with it with resume=True (--resume), start it anew with "
                "force=True (--force), or give another folder"
            )
        manifest = _continued(load_manifest(folder), sweep, folder, head, extend)
    found = {point.name: point for point in sweep.points}
    outcomes = {name: outcome for name, outcome in manifest.outcomes.items() if outcome.done and name in found}
    if resume and not force:
        outcomes |= {name: adopted for name in found if name not in outcomes and (adopted := _adopted(folder, name))}
    manifest = Manifest(manifest.head, outcomes)
    lines = [to_json(manifest.head), *(to_json(asdict(outcome)) for outcome in outcomes.values())]
    put_in_place(
        folder / NAME, lambda part: part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    )
    return manifest


def _continued(old: Manifest, sweep: Sweep, folder: Path, head: dict[str, Any], extend: bool) -> Manifest:
    """The old manifest, with a new head where the sweep was extended."""
    if old.sweep.plain() == sweep.plain():
        return old
    kept = {point.name for point in old.sweep.points} <= {point.name for point in sweep.points}
    if extend and kept:
        return Manifest(head, old.outcomes)
    before, now = (to_toml(each.plain()).splitlines() for each in (old.sweep, sweep))
    changes = "\n".join(difflib.unified_diff(before, now, f"{folder / NAME}", "now", lineterm="", n=1))
    how = (
        "points were only added: go on with extend=True (--extend), or give another folder"
        if kept
        else "give another folder, or start anew with force=True (--force)"
    )
    raise RecordError(f"the sweep in {folder} was another one; {how}:\n{changes}")


def _adopted(folder: Path, name: str) -> Outcome | None:
    """The outcome of a run whose file is whole although no line of the manifest says so."""
    path = folder / f"{name}.h5"
    if not path.exists():
        return None
    try:
        status = load_run(path).status
    except RecordError:
        return None
    outcome = Outcome(name, status, 0.0, datetime.now(UTC).isoformat(timespec="seconds"), "unknown")
    return outcome if outcome.done else None


@contextlib.contextmanager
def written(folder: Path) -> Iterator[IO[str]]:
    """The manifest, to be appended to, as long as no other process does; RecordError if one does."""
    with (folder / NAME).open("a", encoding="utf-8") as file:
        yield file


def note(file: IO[str], outcome: Outcome) -> None:
    """Append what came of a point, so that no crash of the machine can lose it."""
    file.write(to_json(asdict(outcome)) + "\n")
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While no other process carries out the sweep of this folder; RecordError if one does."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RecordError(
                f"another process is carrying out the sweep of {folder}: wait for it, or end it"
            ) from None
        yield
