"""Arrays of NumPy in files: .npz, .npy, and folders of .npy. No pickle is read."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError, unknown, why
from ..memory import check_memory
from ..text import regular_file
from .options import Options, found, listed
from .table import Arrays

Loader = Callable[[], NDArray[Any]]
_INPUTS = ("x", "data", "images", "inputs", "features", "samples")
_TARGETS = ("y", "target", "targets", "labels", "label")
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_PARTS = {"train": ("train", "training"), "test": ("test", "testing")}


def read_npz(path: Path, options: Options) -> tuple[Arrays, Arrays | None]:
    """The training and the test part in an .npz file, which has customary names, or the ones in the options."""
    with _archive(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        members = {name: (lambda name=name: _member(path, archive, name)) for name in names}
        return _parts(str(path), members, options)


def read_npy(path: Path, options: Options) -> tuple[Arrays, Arrays | None]:
    """The inputs in an .npy file, with the targets in the file that the options name."""
    target = listed(options.target)
    targets = None
    if target:
        targets = _array(found(str(target[0]), str(path)))
    return Arrays(str(path), shaped(_array(path)), targets), None


def read_folder(path: Path, files: list[Path], options: Options) -> tuple[Arrays, Arrays | None]:
    """The training and the test part in the .npy files of a folder, which have the names of arrays in an .npz."""
    members = {file.stem: (lambda file=file: _array(file)) for file in files}
    return _parts(str(path), members, options)


def inputs_of(path: Path, options: Options) -> Arrays:
    """The inputs in an .npz or .npy, to predict: of its test part if it has one."""
    if path.suffix.lower() == ".npy":
        return Arrays(str(path), shaped(_array(path)), None)
    with _archive(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if not names:
            raise DataError(f"{path} holds no arrays")
        inputs = listed(options.inputs)
        name = str(inputs[0]) if inputs else names[0]
        if not inputs and len(names) > 1:
            pairs = _pairs(names, Options())
            name = pairs.get("test", pairs.get("", pairs.get("train", ("", ""))))[0] or _only_inputs(path, names)
        if name not in names:
            raise unknown(f"array in {path}", name, names)
        return Arrays(str(path), shaped(_member(path, archive, name)), None)


def _only_inputs(path: Path, names: list[str]) -> str:
    named = [name for name in names if name.lower() in _INPUTS]
    if len(named) != 1:
        raise DataError(f"{path} holds {', '.join(names)}: name the inputs, as in {path}(inputs='{names[0]}')")
    return named[0]


def _parts(where: str, members: Mapping[str, Loader], options: Options) -> tuple[Arrays, Arrays | None]:
    pairs = _pairs(list(members), options)
    if not pairs or ("test" in pairs and "train" not in pairs):
        raise DataError(
            f"{where} holds {', '.join(members) or 'nothing'}: name inputs and target, as in "
            f"{where}(inputs='X', target='y'), or call the arrays X and y, or x_train, y_train, x_test and y_test"
        )

    def arrays(pair: tuple[str, str]) -> Arrays:
        inputs, targets = (members[name]() for name in pair)
        return Arrays(f"{pair[0]} of {where}", shaped(inputs), targets)

    if "train" in pairs:
        return arrays(pairs["train"]), arrays(pairs["test"]) if "test" in pairs else None
    return arrays(pairs[""]), None


def _pairs(names: list[str], options: Options) -> dict[str, tuple[str, str]]:
    """The names of the inputs and targets of each part: "train" and "test", or "" for all."""
    small = {name.lower(): name for name in names}
    inputs, targets = (
        [str(given[0])] if given else list(usual)
        for given, usual in ((listed(options.inputs), _INPUTS), (listed(options.target), _TARGETS))
    )
    for chosen, given in ((inputs, options.inputs), (targets, options.target)):
        if given is not None and chosen[0] not in names and not any(chosen[0].lower() in name for name in small):
            raise unknown("array", chosen[0], names)
    found: dict[str, tuple[str, str]] = {}
    for part, words in {"": (), **_PARTS}.items():
        pair = [
            next((small[one] for name in chosen for one in _named(name.lower(), words) if one in small), None)
            for chosen in (inputs, targets)
        ]
        if pair[0] is not None and pair[1] is not None:
            found[part] = pair[0], pair[1]
    return found


def _named(name: str, words: tuple[str, ...]) -> Iterator[str]:
    """What an array of this part may be called: x_train, train_x, xtrain."""
    for word in words:
        yield from (f"{name}_{word}", f"{word}_{name}", f"{name}{word}", f"{name}-{word}")
    if not words:
        yield name


def shaped(array: NDArray[Any]) -> NDArray[Any]:
    """Inputs with channels before height and width, where they are behind; one number per sample is one feature."""
    if array.ndim == 4 and array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4):
        array = np.moveaxis(array, 3, 1)
    return array[:, None] if array.ndim == 1 else array


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with regular_file(path, "data from") as file, zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, zlib.error, EOFError) as error:
        raise DataError(f"{path}: found {type(error).__name__} ({error!s:.200}), expected arrays") from None


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name) as file:
        return _read(f"{name} of {path}", file)


def _array(path: Path) -> NDArray[Any]:
    try:
        with regular_file(path, "data from") as file:
            return _read(str(path), file)
    except OSError as error:
        raise DataError(f"cannot read {path}: {why(error)}") from None


def _read(where: str, file: IO[bytes]) -> NDArray[Any]:
    """The array in a file of NumPy's format, if there is memory for it; never one of objects."""
    try:
        header = _HEADERS[np.lib.format.read_magic(file)]
        shape, by_columns, dtype = header(file)
        if dtype.kind not in "biufUS":
            raise DataError(f"{where} is of {dtype}, not of numbers or texts: save it as one of these")
        if min(shape, default=0) < 0:
            raise ValueError(f"the shape {shape}")
        size = dtype.itemsize * int(np.prod(shape, dtype=object)) if shape else dtype.itemsize
        check_memory(where, 2 * size, "give a smaller file")
        content = bytearray()
        while len(content) < size and (piece := file.read(min(2**24, size - len(content)))):
            content += piece
        if len(content) < size:
            raise DataError(f"{where} ends after {len(content):,} of {size:,} bytes: it is cut off")
        array = np.frombuffer(content, dtype) if size else np.empty(0, dtype)
        array = array.reshape(shape, order="F" if by_columns else "C")
    except (KeyError, ValueError, EOFError, SyntaxError, TypeError, OverflowError) as error:
        if isinstance(error, UsageError):
            raise
        raise DataError(f"{where} is no array of NumPy: {type(error).__name__} ({error!s:.200})") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)
