"""The end of a recorded run: in its file or, if that cannot be written, in another."""

import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

from ..errors import RecordError
from .files import copy, put_in_place
from .held import Held
from .owner import Owner
from .run import Run, load_run
from .store import End, Store
from .synopsis import Synopsis, synopsis_of
from .waiting import Waiting


def end_run(
    store: Store, waiting: Waiting, end: End, patience: float, hurried: Callable[[], bool]
) -> tuple[Run, Exception | None]:
    """Write all that waits, and the end of a run.

    Args:
        store: its file.
        waiting: the rows and tables that are not in it yet.
        end: what its file gets at its end.
        patience: for how many seconds to try again if the file cannot be written.
        hurried: as soon as this is true, nothing is tried again, and a file that has all is left with its holes.

    Returns:
        The run, and why it is not in its file, None if it is.
    """

    def write(target: Path | BytesIO, summed_up: Synopsis | None = None) -> None:
        store.copy(target, waiting, end, summed_up)

    run, why = _patiently(
        lambda: _in_place(store, waiting, end, write, hurried), lambda: store.place, patience, hurried
    )
    return run or _elsewhere(store.owner, write, first=1 if store.place else 0), why


def end_at_once(
    held: Held, owner: Owner, patience: float, hurried: Callable[[], bool]
) -> tuple[Run, Exception | None]:
    """`end_run` of a run that has no file yet.

    Args:
        held: the run.
        owner: of its file.
        patience: for how many seconds to try again if the file cannot be written.
        hurried: as soon as this is true, nothing is tried again.
    """
    run, why = _patiently(lambda: write_at_once(held, owner.path, owner), lambda: owner.path, patience, hurried)
    return run or _elsewhere(owner, partial(copy, held), first=1 if os.path.exists(owner.path) else 0), why


def write_at_once(held: Held, place: Path, owner: Owner) -> Run:
    """Write a whole run in the place of what is there."""
    put_in_place(place, partial(copy, held), owner if place == owner.path else None)
    return Run(place, found=held.structure(str(place)), synopsis=held.synopsis)


def _patiently(
    attempt: Callable[[], Run], place: Callable[[], Path | None], patience: float, hurried: Callable[[], bool]
) -> tuple[Run | None, Exception | None]:
    """What an attempt returns, which is made again for a while; or None, and why it failed."""
    deadline, pause = time.monotonic() + patience, 0.01
    while True:
        try:
            return attempt(), None
        except Exception as error:  # also what HDF5 says of a file that somebody has damaged
            why = error
        if place() is None or hurried() or time.monotonic() >= deadline:
            return None, why
        time.sleep(pause)
        pause = min(2 * pause, 1.0)


def _in_place(
    store: Store, waiting: Waiting, end: End, write: Callable[..., None], hurried: Callable[[], bool]
) -> Run:
    """End a run in its file: first as an append, then by a copy without holes that replaces it.

    Each is enough. If somebody reads the file, there is no append; on a full disk there may be no copy. The copy has
    the synopsis, too, which is made from the file.
    """
    appended, why = False, Exception("it has been removed")
    try:
        with store.alone():
            store.take(waiting)
            store.finish(end)
        appended = True
    except Exception as error:
        why = error
    place = store.place
    if place is None:
        raise why
    if appended and hurried():
        return Run(place)
    made = partial(write, summed_up=_synopsis(place) if appended else None)
    try:
        put_in_place(place, made, store.owner if place == store.owner.path else None)
    except Exception:
        if not appended:
            raise why from None
    return load_run(place)


def _synopsis(place: Path) -> Synopsis | None:
    """The synopsis of the run in a file; None, if that cannot be made."""
    with contextlib.suppress(Exception):
        return synopsis_of(Run(place))
    return None


def _elsewhere(owner: Owner, write: Callable[[Path | BytesIO], None], first: int) -> Run:
    """Write a run beside its file, else to the working directory, else to the temporary one, else into memory.

    Args:
        owner: of the file that cannot be written.
        write: writes the run to the place that it is given.
        first: the number in its name; with 0 it is called as its file. The next one is taken if there is such a file.

    Raises:
        RecordError: if what the file held cannot be read any more.
    """
    path = owner.path
    for folder in (lambda: path.parent, Path.cwd, lambda: Path(tempfile.gettempdir())):
        with contextlib.suppress(Exception), _free(folder, path, first) as target:
            put_in_place(target, write, owner if target == path else None)
            return Run(target)
    buffer = BytesIO()
    try:
        write(buffer)
    except Exception as error:
        raise RecordError(f"{path} was damaged while the run went on, and its rows are lost: {error}") from error
    return Run(buffer)


@contextlib.contextmanager
def _free(folder: Callable[[], Path], path: Path, first: int) -> Iterator[Path]:
    """A name in a folder that no other file has; after an error in the block there is no file of this name."""
    for number in itertools.count(first):
        target = folder() / (f"{path.stem}.{number}{path.suffix}" if number else path.name)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            break
    try:
        yield target
    except BaseException:
        target.unlink(missing_ok=True)
        raise
