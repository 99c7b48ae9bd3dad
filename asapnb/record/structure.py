"""What a run file is made of, checked when it is opened: groups, datasets, sizes and links, but no entry of a column.

Files come from anywhere. Before a dataset is read, its size is compared with that of the file, so that no file of a
few kilobytes asks for gigabytes. Nothing outside the file is followed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..errors import RecordError
from ..optimizers import OPTIMIZERS
from . import tail
from .attributes import Facts, checked_attributes
from .schema import CARRIED, COLUMNS, GROUPS, RUNNING, SCHEMA, SUMMARY, SUMMARY_COLUMNS
from .sums import WORKER_COUNTS, WORKER_ROWS
from .text import from_attribute

_NEEDED = ("evals", "rule", "params")
_MOST_OBJECTS = 10_000
_MOST_ATTRIBUTES = 1000
_LARGEST_CHUNK = 2**26  # bytes
_DEFLATED = 1032  # bytes that one byte of a deflated chunk can become


@dataclass(frozen=True)
class Structure:
    """A checked run file.

    Attributes:
        attributes: those of its root.
        columns: the names of the datasets of each group.
        rows: how many rows of each group are complete.
        params: the names of the arrays of parameters.
        layout: the name, shape and offset of each tensor.
    """

    attributes: Facts
    columns: dict[str, set[str]]
    rows: dict[str, int]
    params: frozenset[str]
    layout: list[dict[str, Any]]


def checked(file: Any, size: int, name: str) -> Structure:
    """The structure of an open run file.

    Args:
        file: the h5py.File.
        size: of the file, in bytes.
        name: of the file, for errors.

    Raises:
        RecordError: for what is no run file, or a damaged one; it names the place.
    """
    root = file.attrs
    schema = from_attribute(root["schema"]) if "schema" in root else None
    if not isinstance(schema, int):
        raise RecordError(f"{name} is HDF5 but no run file of asapnb: it has no attribute 'schema'")
    if schema > SCHEMA:
        raise RecordError(f"{name} has schema {schema}; this asapnb reads up to {SCHEMA}: install a newer one")
    found = dict(_objects(file, name))
    rows_too = () if root.get("record") == SUMMARY else ("updates",)
    for group in (*rows_too, *_NEEDED):
        if group not in found:
            raise RecordError(f"{name} has no group /{group}: it is no complete run file")
    attributes = checked_attributes(attributes_of(file.id, name), name)
    columns: dict[str, set[str]] = {}
    for group in COLUMNS:
        if group in found:
            _check_group(found[group], group, name)
            columns[group] = {path.partition("/")[2] for path in found if path.startswith(f"{group}/")}
    lengths = {
        group: {
            one: _column(found[f"{group}/{one}"], group, one, size, name, in_chunks=tail.NAME in found)
            for one in COLUMNS[group]
            if one in names
        }
        for group, names in columns.items()
    }
    rows = {group: _complete(of, group, attributes["status"], name) for group, of in lengths.items()}
    for group in _tails(found, size, name) & rows.keys():
        rows[group] += len(tail.rows(file, group, rows[group]))
    if "views" in rows:
        both = {f"{group}": rows[group] for group in ("updates", "views")}
        rows["updates"] = rows["views"] = _complete(both, "", attributes["status"], name)
    params, layout = _params(found, attributes, size, name)
    _counts(found, size, name)
    if "summary" in rows:
        _sums(found, attributes, rows["evals"], size, name)
    return Structure(attributes, columns, rows, params, layout)


def attributes_of(item: Any, name: str) -> dict[str, Any]:
    """The attributes of an object, JSON already read; RecordError for one that is no number or text."""
    from h5py import h5a, h5t

    found: dict[str, Any] = {}
    if (count := h5a.get_num_attrs(item)) > _MOST_ATTRIBUTES:
        raise RecordError(f"{name} has {count:,} attributes: it is no run file, which has few")
    for index in range(count):
        one = h5a.open(item, index=index)
        key, kind = one.name.decode(errors="backslashreplace"), one.get_type().get_class()
        known = one.shape == () and kind in (h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM)
        dtype = one.dtype if known else np.dtype(object)
        if not known or (kind != h5t.STRING and dtype.itemsize > 8):
            raise RecordError(f"attribute {key} of {name} is no single number or text: the file is damaged")
        value = np.empty((), dtype)
        one.read(value, mtype=h5t.py_create(dtype))
        text = value.item()
        if kind == h5t.STRING:
            try:
                text = text.decode() if isinstance(text, bytes) else text.encode().decode()
            except UnicodeError:
                raise RecordError(f"attribute {key} of {name} is no text in UTF-8: the file is damaged") from None
        found[key] = from_attribute(text)
    return found


def _objects(file: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Each group and dataset of a file, by its path; RecordError for any link but one to an object of its own."""
    from h5py import h5l, h5o

    if file.userblock_size:
        raise RecordError(f"{name} has a user block, which no run file has")
    todo, count = [("", file.id)], 0
    while todo:
        path, group = todo.pop()
        for link in group:
            inner = f"{path}{link.decode(errors='backslashreplace')}"
            if group.links.get_info(link).type != h5l.TYPE_HARD:
                raise RecordError(f"/{inner} of {name} is a link to elsewhere: links are not followed")
            about = h5o.get_info(group, link)
            if about.rc != 1:
                raise RecordError(f"/{inner} of {name} is linked {about.rc} times: a run file has each object once")
            if about.type not in (h5o.TYPE_GROUP, h5o.TYPE_DATASET):
                raise RecordError(f"/{inner} of {name} is neither a group nor a dataset")
            one = h5o.open(group, link)
            if about.type == h5o.TYPE_GROUP:
                todo.append((f"{inner}/", one))
            count += 1
            if count > _MOST_OBJECTS:
                raise RecordError(f"{name} has more than {_MOST_OBJECTS:,} objects: it is no run file")
            yield inner, one


def _check_group(item: Any, path: str, name: str) -> None:
    from h5py import h5g

    if not isinstance(item, h5g.GroupID):
        raise RecordError(f"/{path} of {name} is no group: the file is damaged")


def _column(item: Any, group: str, one: str, size: int, name: str, *, in_chunks: bool) -> int:
    """The rows of a column; RecordError if it is not as declared."""
    from h5py import h5d

    table, vectors = (group, one) == ("rule", "scale"), (group, one) == ("kept", "params")
    dtypes = (np.float32, np.float64) if vectors else (COLUMNS[group][one].dtype,)
    shape = array_shape(item, f"/{group}/{one} of {name}", 2 if table or vectors else 1, size, dtypes)
    if table and shape[0] and not shape[1]:
        raise RecordError(f"/rule/scale of {name} has tables without any scale: the file is damaged")
    if in_chunks and item.get_create_plist().get_layout() != h5d.CHUNKED:  # its tail could not be added to it
        raise RecordError(f"/{group}/{one} of {name} is not stored in chunks: the file is damaged")
    return shape[0]


def _complete(lengths: dict[str, int], group: str, status: str, name: str) -> int:
    """The rows of a group. A kill may leave columns of unequal length: then the shortest one tells."""
    if not lengths:
        raise RecordError(f"/{group} of {name} has no columns: it is no complete run file")
    if status != RUNNING and len(set(lengths.values())) > 1:
        short, long = (pick(lengths, key=lambda one: lengths[one]) for pick in (min, max))
        raise RecordError(
            f"/{group}/{short}".replace("//", "/") + f" of {name} has {lengths[short]:,} rows, and {long} has "
            f"{lengths[long]:,}: the file is damaged, as its run is {status}"
        )
    return min(lengths.values())


def array_shape(item: Any, place: str, axes: int, size: int, dtypes: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of a dataset that can be read; RecordError if it is not what it should be.

    Args:
        item: the object with its low-level interface of h5py.
        place: where it is, for errors.
        axes: how many axes it must have.
        size: of the file, in bytes.
        dtypes: which it may have.
    """
    from h5py import h5d, h5s, h5z

    if not isinstance(item, h5d.DatasetID):
        raise RecordError(f"{place} is no dataset: the file is damaged")
    space = item.get_space()
    if space.get_simple_extent_type() != h5s.SIMPLE or space.get_simple_extent_ndims() != axes:
        raise RecordError(f"{place} must have {axes} {'axis' if axes == 1 else 'axes'}: the file is damaged")
    dtype = item.dtype.newbyteorder("=")
    if dtype not in dtypes or item.get_type().committed():
        wanted = " or ".join(str(np.dtype(one)) for one in dtypes)
        raise RecordError(f"{place} holds {dtype}: must be {wanted}; the file is damaged")
    shape: tuple[int, ...] = space.get_simple_extent_dims()
    made = item.get_create_plist()
    claimed, layout, most = prod(shape) * dtype.itemsize, made.get_layout(), size
    if layout == h5d.CHUNKED:
        filters = {made.get_filter(i)[0] for i in range(made.get_nfilters())}
        if filters - {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}:
            raise RecordError(f"{place} is compressed in a way that no run file is")
        if prod(made.get_chunk()) * dtype.itemsize > _LARGEST_CHUNK:
            raise RecordError(f"{place} has chunks of more than {_LARGEST_CHUNK >> 20} MiB: the file is damaged")
        most = _DEFLATED * size if h5z.FILTER_DEFLATE in filters else size
    elif layout not in (h5d.CONTIGUOUS, h5d.COMPACT) or made.get_external_count():
        raise RecordError(f"{place} is stored elsewhere: links are not followed")
    elif layout == h5d.CONTIGUOUS and claimed and (item.get_offset() is None or item.get_offset() + claimed > size):
        raise RecordError(f"{place} is not all in the file, which is cut or damaged")
    if claimed > most:
        raise RecordError(f"{place} claims {claimed:,} bytes, in a file of {size:,}: the file is damaged")
    return shape


def _tails(found: dict[str, Any], size: int, name: str) -> set[str]:
    """The groups that have a tail; RecordError for one that is not as declared."""
    if tail.NAME in found:
        _check_group(found[tail.NAME], tail.NAME, name)
    groups = {group for group in GROUPS if f"{tail.NAME}/{group}" in found}
    for group in groups:
        item, place = found[f"{tail.NAME}/{group}"], f"/{tail.NAME}/{group} of {name}"
        names = getattr(getattr(item, "dtype", None), "names", None) or ()
        if array_shape(item, place, 1, size, (tail.dtype_of(group, names),)) == (0,):
            raise RecordError(f"{place} has no rows: the file is damaged")
    return groups


def _params(found: dict[str, Any], attributes: Facts, size: int, name: str) -> tuple[frozenset[str], list[Any]]:
    """The names of the arrays of parameters, and the layout."""
    _check_group(found["params"], "params", name)
    names = [one for one in ("initial", "final", *CARRIED) if f"params/{one}" in found]
    if "initial" not in names:
        raise RecordError(f"{name} has no /params/initial: it is no complete run file")
    initial = found["params/initial"]
    n_params = array_shape(initial, f"/params/initial of {name}", 1, size, (np.float32, np.float64))[0]
    if n_params != attributes.get("n_params", n_params):
        raise RecordError(
            f"/params/initial of {name} has {n_params:,} parameters, and n_params is {attributes['n_params']:,}: "
            "the file is damaged"
        )
    for one in names[1:]:
        place = f"/params/{one} of {name}"
        shape = array_shape(found[f"params/{one}"], place, 1 + (one in CARRIED), size, (initial.dtype,))
        vectors = {"velocity": (1, attributes["workers"]), "moments": {one.moments for one in OPTIMIZERS.values()}}
        if shape[-1] != n_params or (one in CARRIED and shape[0] not in vectors[one]):
            raise RecordError(f"{place} has the shape {shape}, with {n_params:,} parameters: the file is damaged")
    if "kept/params" in found:
        kept = found["kept/params"]
        if (kept.shape[1], kept.dtype) != (n_params, initial.dtype):
            raise RecordError(
                f"/kept/params of {name} is {kept.dtype} of shape {kept.shape}: must be {initial.dtype} of "
                f"{n_params:,} parameters; the file is damaged"
            )
    layout: Any = attributes_of(found["params"], f"/params of {name}").get("layout")
    if not _is_layout(layout, n_params):
        raise RecordError(f"attribute layout of /params of {name} is {layout!r:.80}: must list tensors within params")
    return frozenset(names), layout


def _is_layout(layout: Any, n_params: int) -> bool:
    """Whether it lists the name, the shape and the offset of tensors within the parameters."""
    if not isinstance(layout, list):
        return False
    for tensor in layout:
        if isinstance(tensor, dict):
            tensor = [tensor.get(key) for key in ("name", "shape", "offset")]
        if not (isinstance(tensor, list) and len(tensor) == 3 and isinstance(tensor[1], list)):
            return False
        numbers = [*tensor[1], tensor[2]]
        if not all(type(number) is int and 0 <= number <= n_params for number in numbers):
            return False
        if tensor[2] + prod(tensor[1]) > n_params:
            return False
    return True


def _sums(found: dict[str, Any], attributes: Facts, evaluations: int, size: int, name: str) -> None:
    """RecordError if the sums of a summary are not as declared, or not all there."""
    if attributes.get("summary") is None:
        raise RecordError(f"{name} has no attribute summary, but a group of this name: the file is damaged")
    for column in SUMMARY_COLUMNS:
        if f"summary/{column.name}" not in found:
            raise RecordError(f"{name} has no /summary/{column.name}: the file is damaged")
    for one, length in (("worker_steps", attributes["workers"]), ("eval_steps", evaluations)):
        place = f"/summary/{one} of {name}"
        if array_shape(found.get(f"summary/{one}"), place, 1, size, (np.float64,)) != (length,):
            raise RecordError(f"{place} must have {length:,} entries: the file is damaged")
    if WORKER_COUNTS in found:
        place, wanted = f"/{WORKER_COUNTS} of {name}", (len(WORKER_ROWS), attributes["workers"])
        if array_shape(found[WORKER_COUNTS], place, 2, size, (np.int64,)) != wanted:
            raise RecordError(f"{place} must have the shape {wanted}: the file is damaged")


def _counts(found: dict[str, Any], size: int, name: str) -> None:
    """RecordError if the counts of staleness, which are derived from the rows, are not as declared."""
    if "staleness" in found:
        _check_group(found["staleness"], "staleness", name)
    if "staleness/counts" in found:
        place = f"/staleness/counts of {name}"
        array_shape(found["staleness/counts"], place, 2, size, (np.int64,))
