"""What the manifest of a sweep notes of run files, so that runs can be told without opening them."""

import base64
import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .run import Run, load_run
from .synopsis import sealed, unpacked

MANIFEST = "manifest.jsonl"
LARGEST = 2**30  # bytes of a manifest
_LONGEST = 8192  # bytes of a packed synopsis: that of a longer one is only in the file


def noted(path: Path) -> dict[str, Any]:
    """What a manifest notes of a run file: its `file` mark, and the bytes of its `synopsis` in base64.

    Both are None without a file, and the synopsis of one that has none, that has changed, or whose synopsis is long.
    """
    try:
        with path.open("rb") as file:
            mark, packed = mark_of(os.fstat(file.fileno())), sealed(file)
    except OSError:
        return {"file": None, "synopsis": None}
    short = packed is not None and len(packed) <= _LONGEST
    return {"file": mark, "synopsis": base64.b64encode(packed).decode() if short and packed else None}


def mark_of(about: os.stat_result) -> list[int]:
    """What changes with a file: its size, when its content and its entry were changed (ns), and its inode."""
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]


def loading() -> Callable[[str | os.PathLike[str]], Run]:
    """A function like `load_run` that opens no file which is as the manifest beside it says.

    It keeps the manifests that it has read, less what it has given out.
    """
    folders: dict[str, tuple[Path, dict[str, tuple[Any, Any]]]] = {}

    def load(path: str | os.PathLike[str]) -> Run:
        parent, name = os.path.split(path)
        if parent not in folders:
            folders[parent] = Path(parent).resolve(), dict(_noted(Path(parent, MANIFEST)))
        folder, known = folders[parent]
        mark, text = known.pop(name, (None, None))
        if isinstance(text, str):
            with contextlib.suppress(OSError, ValueError):
                about = os.stat(path, follow_symlinks=False)
                if stat.S_ISREG(about.st_mode) and mark_of(about) == mark:
                    found = unpacked(base64.b64decode(text, validate=True), str(path))
                    if found is not None:
                        return Run(folder / name, str(path), synopsis=found)
        return load_run(path)

    return load


def _noted(manifest: Path) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The name of each run file of a manifest, with its mark and its synopsis. What cannot be read is left out."""
    try:
        if manifest.stat().st_size > LARGEST:
            return
        with manifest.open("rb") as lines:
            for line in lines:
                about = _read(line)
                # The last line of a point is the valid one, also if it lacks a synopsis.
                yield f"{about.get('point')}.h5", (about.get("file"), about.get("synopsis"))
    except OSError:
        return


def _read(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
