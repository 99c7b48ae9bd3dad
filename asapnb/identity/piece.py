"""A piece of user code, such as a rule: name, parameters, digest and source text, as run files hold it."""

import difflib
import inspect
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from ..errors import RecordError
from .digest import Unseen, digest_of

_MOST_SOURCE = 200_000  # characters of source text of a piece
_MOST_LINES = 60  # that are shown of a difference or a source text
_LONGEST = 40  # characters of a parameter
_UNKNOWN: dict[int, tuple[Any, str]] = {}  # what cannot be known, which is kept, with the name it has in this process


@dataclass(frozen=True)
class Piece:
    """A piece of code that is not part of asapnb. Two pieces are the same code if their digests are equal.

    Attributes:
        kind: "rule", "problem", "scheme" or "law".
        name: its text in the configuration.
        digest: the digest of the code and of all that it holds and refers to. If it cannot be made, it begins with
            "unknown".
        parameters: what the piece was made with, if that is short: arguments of a partial, values of a closure, or
            fields.
        sources: the source text by file and name, if it is known. It is only shown, never compared or run.
        files: the files that were run to load the piece, with their SHA-256.
        unknown: why there is no digest; empty if there is one.
    """

    kind: str
    name: str
    digest: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    unknown: str = ""

    @property
    def listing(self) -> str:
        """Its source text for a reader, of bounded length and without control characters."""
        lines: list[str] = []
        for name, text in self.sources.items():
            lines += [f"{name}:", *(f"    {line}" for line in text.splitlines())]
        if len(lines) > _MOST_LINES:
            lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES:,} lines more, in show --json"]
        return "\n".join(_printable(line[:200]) for line in lines)

    @property
    def plain(self) -> dict[str, Any]:
        """The piece as a dict of texts, without what is empty."""
        return {name: value for name, value in asdict(self).items() if value}


def identified(kind: str, name: str, value: Any, homes: Sequence[Any] = ()) -> Piece:
    """The piece that a value is.

    Args:
        kind: what it is: "rule", "problem", "scheme" or "law".
        name: its text in the configuration.
        value: a function, an object that can be called, a class, or a tuple of all that matters.
        homes: objects with `sources` and `files`, for the files that parts of the value come from.

    >>> from functools import partial
    >>> one, two = (identified("rule", "f", partial(pow, exp=n)) for n in (1, 2))
    >>> one.digest == two.digest, two.parameters
    (False, {'exp': '2'})
    """
    found: list[Any] = []
    unknown = ""
    try:
        digest = digest_of(value, found.append)
    except Unseen as why:
        unknown = str(why)
        held = _UNKNOWN.setdefault(id(of := _first(value)), (of, uuid.uuid4().hex))
        digest = f"unknown-{held[1]}"
    texts = {path: text for home in homes for path, text in home.sources.items()}  # only now, as a digest may import
    files = {path: sha256 for home in homes for path, sha256 in home.files.items()}
    known = {os.path.realpath(path) for path in texts}
    texts |= _sources(one for one in found if _file(one) not in known)
    return Piece(kind, name, digest, _parameters(value), _bounded(texts), files, unknown)


def _first(value: Any) -> Any:
    """The function of a rule, or the value itself. So a function and the rule made of it are the same code."""
    while callable(identity := getattr(type(value), "_identity_", None)):
        value = identity(value)
    return value[0] if isinstance(value, tuple) else value


def _file(one: Any) -> str | None:
    """The file of a function or class."""
    try:
        return os.path.realpath(inspect.getfile(one))
    except (TypeError, OSError):
        return None


def _sources(found: Iterable[Any]) -> dict[str, str]:
    """The source text of functions and classes, each once."""
    texts: dict[str, str] = {}
    for one in found:
        try:
            text = inspect.getsource(one)
        except Exception:  # there is none, or the file has changed so that it cannot be read
            continue
        if not any(text in other for other in texts.values()):
            file = os.path.basename(_file(one) or "")
            texts[f"{file}:{one.__qualname__}"] = text
    return texts


def _bounded(texts: Mapping[str, str]) -> dict[str, str]:
    room, kept = _MOST_SOURCE, {}
    for name, text in texts.items():
        if len(text) > room:
            kept[name] = f"{text[:room]}\n… {len(text) - room:,} characters more"
            break
        kept[name], room = text, room - len(text)
    return kept


def _parameters(value: Any) -> dict[str, str]:
    """What a rule was made with, if it is short."""
    held = {name: one for name, one in _held(inspect.unwrap(value)).items() if not name.startswith("__")}
    return {name: text for name, one in held.items() if len(text := _short(one)) <= _LONGEST and text}


def _held(value: Any) -> dict[str, Any]:
    if isinstance(value, partial):
        given = {f"argument {i}": one for i, one in enumerate(value.args, 1)}
        return {**_held(value.func), **given, **value.keywords}
    if inspect.ismethod(value):
        return {**_held(value.__func__), **_held(value.__self__)}
    if inspect.isfunction(value):
        names = value.__code__.co_varnames[: value.__code__.co_argcount]
        given = dict(zip(names[len(names) - len(value.__defaults__ or ()) :], value.__defaults__ or (), strict=True))
        closed = inspect.getclosurevars(value).nonlocals
        return {**given, **(value.__kwdefaults__ or {}), **closed}
    if callable(identity := getattr(type(value), "_identity_", None)):
        held = identity(value)
        return {**_held(held[0]), **held[1]} if isinstance(held, tuple) else _held(held)
    return {} if isinstance(value, type) else dict(getattr(value, "__dict__", {}))


def _short(value: Any) -> str:
    """A value in a label; empty for what has no short text."""
    if isinstance(value, str | bool | int | float | None) and type(value).__module__ == "builtins":
        return repr(value)
    if getattr(value, "dtype", None) is not None and getattr(value, "shape", None) == ():
        return repr(value.item())
    return ""


def pieces_from(value: Any, where: str) -> tuple[Piece, ...] | None:
    """The pieces in the attribute `code` of a file; None without one. RecordError if it is damaged."""
    if value is None:
        return None
    try:
        found = tuple(_piece(one) for one in value)
    except (TypeError, AttributeError, KeyError, ValueError):
        raise RecordError(
            f"the attribute code of {where} is damaged, so it does not say which code the run had"
        ) from None
    return found


def _piece(one: Mapping[str, Any]) -> Piece:
    found: dict[str, Any] = {name: one[name] for name in ("kind", "name", "digest")}
    found |= {name: one[name] for name in ("parameters", "sources", "files", "unknown") if name in one}
    tables = [found.get(name, {}) for name in ("parameters", "sources", "files")]
    texts = [value for value in found.values() if value not in tables]
    if not all(isinstance(text, str) for text in (*texts, *(value for table in tables for value in table.values()))):
        raise TypeError
    return Piece(**found)


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The unified difference of two sets of source texts, bounded, without control characters; empty if equal.

    >>> print(difference({"f.py": "a = 1\\n"}, {"f.py": "a = 2\\n"}))
    --- f.py, as recorded
    +++ f.py, now
    @@ -1 +1 @@
    -a = 1
    +a = 2
    """
    lines: list[str] = []
    for name in dict.fromkeys((*before, *now)):
        old, new = (table.get(name, "").splitlines() for table in (before, now))
        lines += difflib.unified_diff(old, new, f"{name}, as recorded", f"{name}, now", lineterm="", n=2)
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES:,} lines more"]
    return "\n".join(_printable(line[:200]) for line in lines)


def _printable(text: str) -> str:
    """A line without control characters, which a terminal might obey."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)
