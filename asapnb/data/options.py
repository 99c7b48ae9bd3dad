"""Data of one's own as text: `wine.csv(target='quality', test=0.2, seed=0, standardize=True)`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import UsageError, shown
from ..numbers import choice, integer, real, switch
from ..text import parse_call

MISSING = ("error", "drop", "mean")
KINDS = {  # of files, by the ends of their names; `files.READERS` reads each
    "delimited": (".csv", ".tsv", ".data", ".csv.gz", ".tsv.gz", ".data.gz"),
    "columnar": (".parquet", ".feather", ".arrow"),
    "npz": (".npz",),
    "npy": (".npy",),
}
SUFFIXES = tuple(suffix for suffixes in KINDS.values() for suffix in suffixes)

Column = str | int


@dataclass(frozen=True)
class Options:
    """How a file becomes a data set.

    Attributes:
        target: the column to predict, by name or by place from 0 (-1 is the last), or several. For an .npz it is the
            name of an array, and for an .npy the file of the targets.
        test: the fraction of rows to test on, drawn by `seed`; or a second file. Not for a file that has a test part.
        seed: determines which rows are drawn to test on.
        standardize: subtract the mean of each input column (for images, of each channel) and divide by the standard
            deviation, both of the training part.
        one_hot: turn a column of texts into a column of 0 and 1 for each of its values.
        missing: what to do about missing values: "error"; "drop", which leaves out their rows; or "mean", which fills
            in the mean of the column in the training part.
        inputs: the columns to predict from; for an .npz, the name of an array. By default all but the target.
        drop: columns to leave out.
        regression: whether the targets are numbers rather than classes. By default they are if they have decimals.
        header: whether the first row of a CSV holds names. By default it does if none of its cells is a number, or if
            it has a text above a number.
        size: scale images to this size: the pixels of an edge, or (height, width).
        shape: the shape of the image that each row holds: (height, width) or (channels, height, width). Integers from
            0 to 255 are then pixels.
    """

    target: Column | Sequence[Column] | None = None
    test: float | str = 0.2
    seed: int = 0
    standardize: bool = False
    one_hot: bool = False
    missing: str = "error"
    inputs: Column | Sequence[Column] | None = None
    drop: Column | Sequence[Column] = ()
    regression: bool | None = None
    header: bool | None = None
    size: int | Sequence[int] | None = None
    shape: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.test, os.PathLike):
            object.__setattr__(self, "test", os.fspath(self.test))
        if not isinstance(self.test, str):
            real("test", self.test, 0, 1, above=True, below=True, note="; or a second file")
        integer("seed", self.seed, 0, 2**63 - 1)
        choice("missing", self.missing, MISSING)
        for name in ("standardize", "one_hot"):
            switch(name, getattr(self, name))
        for name in ("regression", "header"):
            if getattr(self, name) is not None:
                switch(name, getattr(self, name))
        for name in ("target", "inputs", "drop"):
            for column in listed(getattr(self, name)):
                if isinstance(column, bool) or not isinstance(column, str | int):
                    raise UsageError(f"{name} is {shown(column)}: must be the name of a column, or its place from 0")
        self.pixels, self.form  # noqa: B018  (an error, if there is one)

    @property
    def pixels(self) -> tuple[int, int] | None:
        """(height, width) of images; None as they are."""
        if self.size is None:
            return None
        both = listed(self.size) * (1 if isinstance(self.size, Sequence) else 2)
        if len(both) != 2:
            raise UsageError(f"size is {shown(self.size)}: must be the pixels of an edge, or (height, width)")
        height, width = (integer("size", one, 1, 10_000) for one in both)
        return height, width

    @property
    def form(self) -> tuple[int, ...]:
        """(channels, height, width) of the image that a row is; empty if it is none."""
        if self.shape is None:
            return ()
        if not isinstance(self.shape, Sequence) or isinstance(self.shape, str) or len(self.shape) not in (2, 3):
            raise UsageError(f"shape is {shown(self.shape)}: must be (height, width) or (channels, height, width)")
        return (1,) * (3 - len(self.shape)) + tuple(integer("shape", one, 1, 10_000) for one in self.shape)

    def text(self, path: str) -> str:
        """The text of a file with these options, as `parsed` reads it.

        >>> Options(target="quality", seed=1).text("wine.csv")
        "wine.csv(target='quality', seed=1)"
        """
        given = {one.name: (getattr(self, one.name), one.default) for one in fields(self)}
        said = [f"{name}={_plain(value)!r}" for name, (value, default) in given.items() if value != default]
        return f"{path}({', '.join(said)})" if said else path


def listed(value: Any) -> list[Any]:
    """One or several, as a list; None as an empty one."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def divided(text: str) -> tuple[str, str]:
    """The path in a text, and its options with their brackets, or "".

    >>> divided("a (1)/wine.csv(target='quality')"), divided("wine.csv")
    (('a (1)/wine.csv', "(target='quality')"), ('wine.csv', ''))
    """
    text = text.strip()
    if text.endswith(")") and not exists(text):
        for at, letter in enumerate(text):
            path = text[:at].rstrip()
            if letter == "(" and (kind_of(path) or exists(path)):
                return path, text[at:]
    return text, ""


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The kind of a file, by the end of its name.

    >>> kind_of("a/wine.CSV.gz"), kind_of("a/wine.xlsx")
    ('delimited', None)
    """
    name = os.fspath(path).lower()
    return next((kind for kind, ends in KINDS.items() if name.endswith(ends)), None)


def is_file(text: str) -> bool:
    """Whether a text names a file or folder, there or not, rather than a known data set.

    >>> is_file("wine.csv"), is_file("~/photos"), is_file("mnist")
    (True, True, False)
    """
    path, _ = divided(text)
    return kind_of(path) is not None or os.sep in path or path.startswith("~") or exists(path)


def exists(path: str) -> bool:
    """Whether there is a file or folder of this name."""
    try:
        return bool(path) and os.path.exists(os.path.expanduser(path))
    except ValueError:  # a NUL in the name
        return False


def parsed(text: str) -> tuple[str, Options]:
    """The path and the options of a text; UsageError if they cannot be read.

    >>> parsed("wine.csv(target=quality, test=0.5)")[1].target
    'quality'
    """
    path, arguments = divided(text)
    if "://" in path:
        raise UsageError(f"{shown(path)} is an address: download it, and give the file")
    options: Options = parse_call(f"data{arguments}", {"data": Options}, "data file") if arguments else Options()
    return path, options


def beside(text: str, folder: str | os.PathLike[str]) -> str:
    """The text of data in a file of this folder: a path that leads nowhere from here is one from there.

    >>> beside("mnist", "/anywhere")
    'mnist'
    """
    path, options = divided(text)
    there = os.path.join(folder, path)
    return f"{there}{options}" if not exists(path) and is_file(text) and exists(there) else text


def files_of(text: str) -> list[str]:
    """The files that a text of data names, apart from folders and from those that are not there.

    >>> files_of("mnist")
    []
    """
    if not is_file(text):
        return []
    path, options = parsed(text)
    targets = listed(options.target) if kind_of(path) == "npy" else []
    others = [one for one in (options.test, *targets) if isinstance(one, str)]
    places = [found(path), *(found(one, path) for one in others)]
    return [str(place) for place in places if place.is_file()]


def found(path: str, beside: str | None = None) -> Path:
    """The path of a file, ~ being the home folder; if it is not there, that in the folder of the file `beside`."""
    if "\0" in path:
        raise UsageError(f"{shown(path)} cannot be the name of a file: it holds a NUL")
    place = Path(os.path.expanduser(path))
    if beside is not None and not exists(path) and exists(other := os.path.join(os.path.dirname(beside), path)):
        return Path(os.path.expanduser(other))
    return place
