"""Run files changed by structure, one change for each seed: what a damaged or a hostile file may hold.

`mutated(path, seed)` changes the file in place and says what it did. The changes are listed in `CHANGES`; a seed
picks one, and where it is made.
"""

import random

import h5py
import numpy as np

HUGE = 2**62
ODD_VALUES = (
    -1, 0, 2**31 - 1, HUGE, 2**63 - 1, -(2**63), 1e308, float("nan"), float("inf"), "", "text", "\x1b[31m", "[", "[]",
    "{}", "[" * 50_000, "1" * 6_000, '{"version": -1}', np.bool_(True), np.float16(1), np.longdouble(1), np.zeros(3),
    np.array(["a"], "S1"), np.void(b"ab"), h5py.Empty("f8"),
)  # fmt: skip
ODD_ENTRIES = (np.nan, np.inf, -np.inf, -1, -2, 0, 1, 255, 2**31 - 1, -(2**31), HUGE, 2**63 - 1, 1e300)


def mutated(path, seed):
    """Change a run file in place; returns what was done, as text."""
    rng = random.Random(seed)
    change = rng.choice(CHANGES)
    with h5py.File(path, "r+") as file:
        place = change(file, rng)
    return f"{change.__name__} {place}"


def datasets(file):
    """The paths of all datasets."""
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return sorted(found)


def an_entry(file, rng):
    """An entry of a column, or all of them, becomes what cannot be."""
    name = rng.choice([name for name in datasets(file) if file[name].size])
    column, value = file[name], rng.choice(ODD_ENTRIES)
    if np.issubdtype(column.dtype, np.integer):
        limits = np.iinfo(column.dtype)
        value = limits.max if not np.isfinite(value) or value > limits.max else max(int(value), limits.min)
    with np.errstate(over="ignore"):
        if rng.random() < 0.3:
            column[...] = np.array(value).astype(column.dtype)
        else:
            column[tuple(rng.randrange(size) for size in column.shape)] = np.array(value).astype(column.dtype)
    return f"{name} {value}"


def a_column_shuffled(file, rng):
    """The entries of a column in another order."""
    name = rng.choice([name for name in datasets(file) if file[name].size])
    values = file[name][...]
    file[name][...] = np.random.default_rng(rng.randrange(2**32)).permutation(values)
    return name


def _replaced(file, name, **given):
    del file[name]
    return file.create_dataset(name, **given)


def a_dataset(file, rng):
    """A dataset of another shape or type, or another thing in its place."""
    name, kind = rng.choice(datasets(file)), rng.randrange(11)
    values, shape = file[name][...], file[name].shape
    if kind == 0:
        _replaced(file, name, data=1.5)
    elif kind == 1:
        _replaced(file, name, shape=(0,) * len(shape), dtype=values.dtype)
    elif kind == 2:
        _replaced(file, name, data=np.zeros((*shape, 2), values.dtype))
    elif kind == 3:
        _replaced(file, name, data=values.astype("S"))
    elif kind == 4:
        other = rng.choice(["f2", "f4", "f8", "i1", "i8", "u8", "c16", "?", ">i4", ">f8", [("a", "i4")]])
        data = np.zeros(shape, other) if isinstance(other, list) else values.astype(other)
        _replaced(file, name, data=data)
    elif kind == 5:
        del file[name]
        file.create_group(name)
    elif kind == 6:
        del file[name]
    elif kind == 7:
        _replaced(file, name, data=h5py.Empty(values.dtype))
    elif kind == 8:
        _replaced(file, name, data=values, dtype=h5py.string_dtype()) if values.dtype.kind == "O" else _replaced(
            file, name, shape=shape, dtype=h5py.vlen_dtype(np.int32)
        )
    elif kind == 9:
        _replaced(file, name, shape=shape, dtype=h5py.ref_dtype)
    else:
        file["a_type"] = values.dtype
        _replaced(file, name, shape=shape, dtype=file["a_type"])
    return f"{name} {kind}"


def a_length(file, rng):
    """A column that is longer or shorter than the others, or claims to be endless."""
    name, kind = rng.choice(datasets(file)), rng.randrange(5)
    values = file[name][...]
    rows = (0, max(0, len(values) - 1), len(values) + 1, 2**34, HUGE // values.dtype.itemsize)[kind]
    shape = (rows, *values.shape[1:])
    limits, chunks = (None,) * values.ndim, (64,) * values.ndim
    made = _replaced(file, name, shape=shape, dtype=values.dtype, maxshape=limits, chunks=chunks, compression="gzip")
    if rows <= 2**20:
        made[: len(values)] = values[:rows]
    return f"{name} {rows}"


def an_attribute(file, rng):
    """An attribute missing, or of another type or value."""
    owner = file["params"] if rng.random() < 0.1 else file
    name = rng.choice(sorted(owner.attrs))
    del owner.attrs[name]
    if rng.random() < 0.8:
        value = rng.choice(ODD_VALUES)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            value = str(value)
        owner.attrs[name] = value if not isinstance(value, str) or len(value) < 60_000 else value[:60_000]
        return f"{name} {value!r:.40}"
    return name


def a_key(file, rng):
    """A key of the configuration missing, or of another type or value."""
    lines = file.attrs["config"].splitlines()
    at = rng.randrange(len(lines))
    key = lines[at].partition(" = ")[0]
    values = [
        "-1",
        "0",
        str(HUGE),
        "nan",
        "inf",
        "1e400",
        '""',
        '"\\u001b[2J"',
        "[]",
        "{}",
        "true",
        "1" * 5000,
        "[" * 9_000,
    ]
    lines[at : at + 1] = [] if rng.random() < 0.3 else [f"{key} = {rng.choice(values)}"]
    file.attrs["config"] = "\n".join(lines)
    return key


def a_link(file, rng):
    """A group or dataset that is a link: soft, external, hard, or in a circle."""
    names = [*datasets(file), "updates", "evals", "rule", "params"]
    name, kind = rng.choice(names), rng.randrange(5)
    if kind == 0:
        del file[name]
        file[name] = h5py.SoftLink(f"/{name}")
    elif kind == 1:
        del file[name]
        file[name] = h5py.ExternalLink("/etc/passwd", "/x")
    elif kind == 2:
        del file[name]
        file[name] = file["/"]
    elif kind == 3:
        file["twice"] = file[name]
    else:
        file["updates/circle"] = file["updates"]
    return f"{name} {kind}"


def stored_elsewhere(file, rng):
    """A dataset whose bytes are in another file, or in another dataset."""
    name = rng.choice(datasets(file))
    values = file[name][...]
    del file[name]
    if rng.random() < 0.5:
        file.create_dataset(name, shape=values.shape, dtype=values.dtype, external=[("/etc/passwd", 0, HUGE)])
    else:
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[...] = h5py.VirtualSource("/etc/passwd", "x", values.shape)
        file.create_virtual_dataset(name, layout)
    return name


def a_group(file, rng):
    """A group missing, empty, or a dataset."""
    name, kind = rng.choice(sorted(file)), rng.randrange(3)
    del file[name]
    if kind == 1:
        file.create_group(name)
    elif kind == 2:
        file[name] = np.arange(5)
    return f"{name} {kind}"


def a_filter(file, rng):
    """A dataset compressed in another way, or in one huge chunk."""
    name = rng.choice(datasets(file))
    values = file[name][...]
    shape = tuple(max(1, size) for size in values.shape)
    kind = rng.randrange(3)
    if kind == 0:
        _replaced(
            file, name, data=values.reshape(values.shape), chunks=shape, compression="lzf"
        ) if values.size else None
    elif kind == 1 and values.dtype.kind == "i" and values.size:
        _replaced(file, name, data=values, chunks=shape, scaleoffset=0)
    else:
        chunks = (2**28, *(1,) * (values.ndim - 1))
        _replaced(file, name, shape=values.shape, dtype=values.dtype, maxshape=(None,) * values.ndim, chunks=chunks)
    return f"{name} {kind}"


CHANGES = (
    an_entry, an_entry, an_entry, a_column_shuffled, a_dataset, a_dataset, a_length, an_attribute, an_attribute,
    a_key, a_key, a_link, stored_elsewhere, a_group, a_filter,
)  # fmt: skip
