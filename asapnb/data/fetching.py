"""Fetch a data set: from one mirror after the other, checked against known SHA-256 sums, whole or not at all."""

from __future__ import annotations

import shutil
import tarfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..errors import DataError, why
from .catalogue import Source, find_source, locate, places, read, read_file

if TYPE_CHECKING:
    from rich.progress import Progress

TIMEOUT = 30  # seconds until a silent mirror is given up


def download(name: str, root: str | Path | None = None, progressbar: bool = False) -> Path:
    """Download a data set, unless it is on this machine already.

    A file that exists and has the right content stays untouched. A file with other content is replaced. Each file
    arrives whole and with the right checksum, or not at all.

    Args:
        name: fashion-mnist, mnist or cifar10.
        root: the folder in which the data set gets a folder of its own. The default is $ASAPNB_DATA or, if that is
            not set, the cache of asapnb.
        progressbar: whether to draw a bar for each file on stderr.

    Returns:
        The path where `load_dataset` finds the data set.

    Raises:
        UsageError: for an unknown name.
        DataError: if nothing can be written there, or if every mirror fails.

    >>> download("fashion-mnist-mini").name  # embedded: nothing to fetch
    'fashion-mnist-mini.xz'
    """
    source = find_source(name)
    with suppress(DataError):
        path = locate(source, root)
        read(source, path)
        return path
    folder = places(root)[0] / source.folders[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".download-") as scratch, _progress(progressbar) as progress:
            wanted = [file for file in source.all_files if not _readable(source, folder, file)]
            for remote in source.downloads:
                if files := [file for file in wanted if remote in (f"{file}.gz", source.archive)]:
                    path = Path(scratch, remote)
                    _fetch(source, remote, path, _Bar(progress, remote))
                    _install(path, files, folder)
    except OSError as error:
        raise DataError(
            f"cannot write {source.name} to {folder}: {why(error)}; "
            "choose another folder with root= or in $ASAPNB_DATA"
        ) from error
    read(source, folder)
    return folder


def _readable(source: Source, folder: Path, file: str) -> bool:
    with suppress(DataError):
        read_file(source, folder, file)
        return True
    return False


def _fetch(source: Source, remote: str, path: Path, bar: _Bar) -> None:
    """Fetch one file from the first mirror that serves it with the right checksum."""
    import pooch

    fetch = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT)
    failures = []
    for mirror in source.mirrors:
        try:
            fetch(mirror + remote, str(path), None)
        except OSError as error:  # what requests raises is one
            failures.append(f"{mirror + remote}: {error}")
            continue
        found = pooch.file_hash(str(path))
        if found == source.downloads[remote]:
            return
        failures.append(f"{mirror + remote}: SHA-256 {found}, expected {source.downloads[remote]}")
    tried = "\n  ".join(failures)
    raise DataError(
        f"no mirror gave {remote} of {source.name}:\n  {tried}\nTry again when the network allows, or put the files "
        f"into a folder {source.folders[0]}/ and name its parent in $ASAPNB_DATA"
    )


def _install(path: Path, files: list[str], folder: Path) -> None:
    """Move what was fetched into the folder, in one step per file."""
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            for member in archive:
                file = Path(member.name).name
                if file in files and (content := archive.extractfile(member)):
                    with content, open(path.parent / file, "wb") as out:
                        shutil.copyfileobj(content, out)
                    (path.parent / file).replace(folder / file)
    else:
        path.replace(folder / path.name)
        for file in files:
            with suppress(IsADirectoryError):
                (folder / file).unlink(missing_ok=True)  # a broken plain one


def _progress(shown: bool) -> Progress:
    """Rich's display for downloads, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not shown)


class _Bar:
    """The bar of one file, with the methods that pooch calls."""

    def __init__(self, progress: Progress, label: str) -> None:
        self.total = 0
        self._progress, self._task = progress, progress.add_task(label, total=None)

    def update(self, count: int) -> None:
        self._progress.update(self._task, total=self.total or None, advance=count)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        pass
