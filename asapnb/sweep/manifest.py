"""The manifest of a sweep: a line of JSON about the sweep, then a line for each outcome of a point.

The last line of a point is the valid one. A run file counts if a line names it. If the process died before it wrote
the line, the file counts if it is complete and not older than the sweep.
"""

import contextlib
import difflib
import errno
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..analysis import Table
from ..errors import RecordError, UsageError
from ..formatting import count
from ..identity import difference
from ..record import Run, load_run, machine, own, to_json, versions
from ..record.checkpoint import remove_checkpoint, run_id_in
from ..record.files import put_in_place
from ..record.noted import LARGEST, MANIFEST, mark_of, noted
from ..record.schema import UNENDED
from ..text import read_bytes
from .lines import SCHEMA, read_head, read_outcome
from .points import Outcome, now, outcome_of, sources, texts_of
from .replays import SOURCE
from .spec import Point, Sweep, parse_sweep, value_text

NAME = MANIFEST
_BEGUN = ("created_utc", "command", "versions", "machine")  # fields of the head that an extension keeps


@dataclass(frozen=True, repr=False)
class Manifest:
    """The content of a manifest. Printed, it is a table of the points and their outcomes.

    Attributes:
        head: schema, time, command, machine and versions of the sweep, and the sweep itself as a table.
        outcomes: the `Outcome` of each point that was carried out, by the name of the point.
    """

    head: Mapping[str, Any]
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

    @cached_property
    def sweep(self) -> Sweep:
        """The sweep of this manifest."""
        return parse_sweep(self.head["sweep"])

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The points of the sweep. Points from before an extension keep their names, and so their files."""
        names = self.head.get("names") or {}
        return tuple(replace(point, name=names.get(point.name, point.name)) for point in self.sweep.points)

    @cached_property
    def statuses(self) -> dict[str, int]:
        """How many points ended with each status."""
        return dict(sorted(Counter(outcome.status for outcome in self.outcomes.values()).items()))

    @cached_property
    def table(self) -> Table:
        """A table with a row for each point: its values on the axes, and its outcome."""
        said = ", ".join(f"{many:,} {status}" for status, many in self.statuses.items()) or "none carried out"
        names = self.sweep.axes
        columns = {"status": "status", "seconds": "seconds", "error": "gist"}
        rows = tuple(
            (
                *(value_text(point.axes[name]) if name in point.axes else None for name in names),
                *(getattr(self.outcomes.get(point.name), of, None) or None for of in columns.values()),
            )
            for point in self.points
        )
        return Table(f"{count(len(rows), 'run')} of {self.sweep.kind}: {said}", (*names, *columns), rows)

    def __repr__(self) -> str:
        return f"<Manifest: {self.table.title}>"

    def __str__(self) -> str:
        return self.table.text()

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def load_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Read the manifest in a folder, also while it is being written.

    Raises:
        RecordError: if there is no manifest, or if it cannot be read; it names the line.
    """
    path = Path(folder, NAME)
    try:
        lines = read_bytes(path, "the manifest", LARGEST).split(b"\n")[:-1]  # a line without its end was cut off
    except UsageError as error:
        raise RecordError(str(error)) from None
    number = 1
    try:
        head = read_head(lines[0] if lines else b"", path)
        outcomes = {}
        for number, line in enumerate(lines[1:], 2):  # noqa: B007 (for the error)
            outcome = read_outcome(line)
            outcomes[outcome.point] = outcome
    except ValueError as error:
        raise RecordError(
            f"{path} is no manifest of a sweep: line {number}: {error!s:.200}; give another folder, or remove it"
        ) from None
    return Manifest(head, outcomes)


def readable_manifest(folder: Path) -> Manifest:
    """`load_manifest`, with a sweep that this version can read; RecordError if it cannot."""
    manifest = load_manifest(folder)
    try:
        len(manifest.points)  # makes the points
    except (UsageError, KeyError, TypeError, AttributeError) as error:
        why = f": {error}" if isinstance(error, UsageError) else ""
        raise RecordError(
            f"the sweep in {folder / NAME} is not one that this asapnb knows{why}; give another folder"
        ) from None
    return manifest


def begin(sweep: Sweep, folder: Path, *, resume: bool, force: bool, extend: bool) -> Manifest:
    """The manifest that a sweep starts from, written to its folder, which no other process may be using.

    Args:
        sweep: the sweep.
        folder: its folder.
        resume: go on with the sweep that the folder holds.
        force: start anew; run files of the sweep that the folder holds are removed.
        extend: with `resume`, allow that the sweep has got more points.

    Raises:
        RecordError: if the folder holds a manifest or run files and neither `resume` nor `force` is set, if it holds
            another sweep, or if a file of the sweep is a link.
    """
    manifest = Manifest({
        "schema": SCHEMA,
        "created_utc": now(),
        "command": shlex.join(sys.argv),
        "points": len(sweep.points),
        "versions": versions(),
        "machine": machine(),
        "sources": (used := sources(sweep.points)),
        "texts": texts_of(used),
        "sweep": sweep.plain(),
    })  # fmt: skip
    since = ""
    check_regular(folder, {NAME, *(point.file for point in manifest.points)})
    if (folder / NAME).exists():
        old = readable_manifest(folder)
        check_regular(folder, {point.file for point in old.points})
        if force:  # the run files of that sweep go, but no other files
            files = [folder.resolve() / point.file for point in old.points]
            for file in files:  # none goes if one is being written
                own(file).release()
            for file in files:
                with own(file):
                    remove_checkpoint(file, run_id_in(file))
                    file.unlink(missing_ok=True)
        elif not resume:
            raise RecordError(
                f"{folder} holds a sweep already: go on with it with resume=True (--resume), start it anew with "
                "force=True (--force), or give another folder"
            )
        else:
            since = old.head["created_utc"]
            manifest = _continued(old, manifest, folder, extend)
    elif not (resume or force):
        _check_unwritten(manifest, folder)
    outcomes = {} if force else _still_there(manifest, folder, since)
    for part in folder.glob(".*.part"):  # left by killed processes
        if any(part.name.startswith(f".{name}.") for name in (NAME, *(point.file for point in manifest.points))):
            part.unlink(missing_ok=True)
    lines = [manifest.head, *map(asdict, outcomes.values())]
    put_in_place(folder / NAME, lambda part: _write(part, lines))
    return Manifest(manifest.head, outcomes)


def check_regular(folder: Path, names: Set[str]) -> None:
    """RecordError if something in the folder has one of these names and is no regular file: a link or a pipe."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in names and not entry.is_file(follow_symlinks=False):
                raise RecordError(
                    f"{entry.path} is no regular file, and a sweep writes within its folder only: remove it, or give "
                    "another folder"
                )


def _check_unwritten(manifest: Manifest, folder: Path) -> None:
    for point in manifest.points:
        if (path := folder / point.file).exists():
            raise RecordError(
                f"{path} already exists, without a manifest: take over runs that are whole with resume=True "
                "(--resume), overwrite them with force=True (--force), or give another folder"
            )


def _continued(old: Manifest, new: Manifest, folder: Path, extend: bool) -> Manifest:
    """The old manifest, or the new one if the sweep was extended."""
    for file, digest in (old.head.get("sources") or {}).items():
        if new.head["sources"].get(file, digest) != digest:
            texts = [{file: one.head.get("texts", {}).get(file, "")} for one in (old, new)]
            raise RecordError(
                f"{file} has changed since the sweep in {folder} began, whose runs would not be comparable: put it "
                "back, give another folder, or start anew with force=True (--force)\n" + difference(*texts)
            )
    names = {point.identity: point.name for point in old.points}
    there = {point.identity for point in new.points}
    if names.keys() == there:
        return old
    kept = names.keys() <= there
    if kept and extend:
        same = {point.name: names[point.identity] for point in new.points if point.identity in names}
        begun = {name: old.head[name] for name in _BEGUN if name in old.head}
        names = {name: before for name, before in same.items() if name != before}
        return Manifest({**new.head, **begun, "extended_utc": now(), "names": names}, old.outcomes)
    changes = "\n".join(difflib.unified_diff(_listed(old), _listed(new), f"{folder / NAME}", "now", lineterm="", n=1))
    how = "give another folder, or start anew with force=True (--force)"
    if kept:
        how = "points were only added: go on with extend=True (--extend), or give another folder"
    raise RecordError(f"the sweep in {folder} was another one; {how}:\n{changes}")


def _listed(manifest: Manifest) -> list[str]:
    """A sweep, one key a line."""
    plain = manifest.sweep.plain()
    base, grids = plain.pop("base"), plain.pop("grid")
    tables = [("", plain), ("[base]", base), *(("[[grid]]", grid) for grid in grids)]
    return [line for title, table in tables for line in (title, *(f"{k} = {to_json(v)}" for k, v in table.items()))]


def _still_there(manifest: Manifest, folder: Path, since: str) -> dict[str, Outcome]:
    """The outcomes of all points that have a run file or failed, also of complete files that no line names."""
    found = {}
    for point in manifest.points:
        outcome, run = manifest.outcomes.get(point.name), None
        with contextlib.suppress(OSError):
            if outcome is not None and outcome.done and mark_of(os.stat(folder / point.file)) == outcome.file:
                found[point.name] = outcome
                continue
        with contextlib.suppress(RecordError):
            run = load_run(folder / point.file)
        whole = run if run is not None and run.status not in UNENDED else None
        if outcome is not None and outcome.done:
            outcome = outcome if whole else None  # a crash of the machine may lose what was written
        elif whole is not None and _is_of(whole, point, since):
            outcome = outcome_of(point, whole)
        if outcome is not None:
            found[point.name] = replace(outcome, **noted(folder / point.file))
    return found


def _is_of(run: Run, point: Point, since: str) -> bool:
    """Whether a run is that of a point, made since the sweep began."""
    if point.kind == "replay":
        source = os.path.realpath(point.config[SOURCE])
        known = str(run.attributes.get("replayed", {}).get("path")) == source
        traced = str(run.config.get("trace", "")).startswith(f"{os.path.basename(source)} (")
        ours = run.kind == "replay" and (known or traced)
    else:
        ours = run.kind == point.kind and run.config.get("seed") == point.config.get("seed", 0)
    return ours and run.attributes["created_utc"] >= since


def note(folder: Path, outcome: Outcome) -> Outcome:
    """Append the outcome of a point. Its file reaches the disk first, then the line, so that no crash can lose it.

    Returns the outcome as it was noted, with the state of the file.
    """
    path, made = folder / NAME, folder / f"{outcome.point}.h5"
    with contextlib.suppress(OSError), made.open("rb") as run:
        os.fsync(run.fileno())
    outcome = replace(outcome, **noted(made))
    line = _line(asdict(outcome))
    try:
        with path.open("ab", buffering=0) as file:
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        raise RecordError(
            f"cannot write {path}: {error.strerror}; continue with --resume when that is mended"
        ) from None
    return outcome


def _write(part: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    with part.open("wb") as file:
        file.writelines(map(_line, lines))
        file.flush()
        os.fsync(file.fileno())


def _line(content: Mapping[str, Any]) -> bytes:
    return f"{to_json(content)}\n".encode()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder if needed, and lock it for this process; RecordError if another process works in it."""
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot write to the folder {folder}: {error.strerror}; give another one") from None
    try:
        with own(folder.resolve() / "sweep", f"the sweep of {folder}"):
            yield
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # if nothing was written
