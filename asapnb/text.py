"""Values as text: reads calls such as `tail(amplitude=0.5)` or `constant`, and writes JSON and TOML.

In a call, only literals, bare words and known names are evaluated. All that is read has limits of size and depth.
"""

import ast
import contextlib
import functools
import inspect
import itertools
import json
import math
import os
import re
import stat
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from .errors import AsapnbError, UsageError, shown, unknown

Names = Mapping[str, Callable[..., Any]]

LONGEST_CALL = 1_000_000  # characters
LARGEST_FILE = 2**23  # bytes of a text file
DEEPEST = 50  # levels
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_NAME = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{DEEPEST}}}")


class Call(NamedTuple):
    """A call that was read from a text; nothing has been called yet."""

    name: str
    positional: list[Any]
    named: dict[str, Any]

    def __str__(self) -> str:
        given = [repr(value) for value in self.positional] + [f"{key}={one!r}" for key, one in self.named.items()]
        return f"{self.name}({', '.join(given)})"


def parse_call(text: str, known: Names, kind: str, helpers: Names | None = None) -> Any:
    """The value of the text `name` or `name(arguments)`. The name is one of `known`; arguments may call `helpers`.

    >>> parse_call("point(1, y=2)", {"point": lambda x, y: (x, y)}, "shape")
    (1, 2)
    """
    return _call(_tree(text, f"{min(known)}(…)", kind), known, kind, dict(helpers or {}))


def read_call(text: str, kind: str, helpers: Names) -> Call:
    """Read the text `name` or `name(arguments)`. Arguments may call `helpers`; nothing else is called.

    >>> read_call("point(1, y=2)", "shape", {})
    Call(name='point', positional=[1], named={'y': 2})
    """
    tree = _tree(text, "name(…)", kind)
    return _read(tree, tree.func.id if isinstance(tree.func, ast.Name) else _said(tree.func), kind, helpers)


def _tree(text: str, example: str, kind: str) -> ast.Call:
    """A text as a syntax tree of a call. UsageError if it is too long or nested too deeply."""
    if len(text) > LONGEST_CALL:
        raise UsageError(f"the {kind} {shown(text, 40)} has {len(text):,} characters: at most {LONGEST_CALL:,}")
    try:
        with warnings.catch_warnings(action="ignore"):  # of the parser, about '\z' or 1if x
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise UsageError(f"cannot read the {kind} {shown(text)}: write a name, or {example}") from None
    check_depth(tree, ast.iter_child_nodes, f"the {kind} {shown(text)}")
    if isinstance(tree, ast.Name):
        tree = ast.Call(tree, [], [])
    if not isinstance(tree, ast.Call):
        raise UsageError(f"{shown(text)} is no {kind}: write a name, or {example}")
    return tree


def _call(call: ast.Call, known: Names, kind: str, helpers: Names) -> Any:
    name = call.func.id if isinstance(call.func, ast.Name) else _said(call.func)
    if name not in known:
        raise unknown(kind, name, known)
    return called(known[name], _read(call, name, kind, helpers))


def _read(call: ast.Call, name: str, kind: str, helpers: Names) -> Call:
    positional, named = [_value(argument, kind, helpers) for argument in call.args], dict[str, Any]()
    for keyword in call.keywords:
        key = keyword.arg
        if key is None:
            raise UsageError(f"cannot read '{_said(call)}' in a {kind}: write each parameter as name=value")
        if key in named:
            raise UsageError(f"{_said(call)} gives {key} twice: take one of them out")
        named[key] = _value(keyword.value, kind, helpers)
    return Call(name, positional, named)


def bound(signature: inspect.Signature, call: Call) -> inspect.BoundArguments:
    """The arguments of a call by the names of its parameters. UsageError if they do not fit."""
    parameters = signature.parameters
    free = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for key in call.named:
        if key not in parameters and not free:
            raise unknown(f"parameter of {call.name}", key, parameters)
    try:
        return signature.bind(*call.positional, **call.named)
    except TypeError as error:
        takes = ", ".join(parameters)
        raise UsageError(f"{call!s:.80}: {error}; {call.name} takes ({takes})") from None


_signature = functools.cache(inspect.signature)  # of what has a name, so there are few


def called(builder: Callable[..., Any], call: Call) -> Any:
    """What a call returns. UsageError if the arguments do not fit, or if the call raises an exception."""
    bound(_signature(builder), call)
    try:
        return builder(*call.positional, **call.named)
    except AsapnbError:
        raise
    except MemoryError:
        raise UsageError(f"{call!s:.80} needs more memory than there is: make it smaller") from None
    except Exception as error:  # of a function that takes its arguments as they come
        raise UsageError(f"{call!s:.80} raised {type(error).__name__}: {error!s:.200}") from error


def _value(node: ast.expr, kind: str, helpers: Names) -> Any:
    """A literal, a bare word (as text), a call of a helper, or a list or tuple of these."""
    if isinstance(node, ast.Call) and helpers:
        return _call(node, helpers, f"name in a {kind}", helpers)
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.List | ast.Tuple):
        items = [_value(item, kind, helpers) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    try:
        value = ast.literal_eval(node)
        if value is None or isinstance(value, bool | float | str) or _fits(value):
            return value
    except (ValueError, TypeError, OverflowError):
        pass
    allowed = ["a number", "a word", *(f"{name}(…)" for name in helpers)]
    raise UsageError(f"cannot read '{_said(node)}' in a {kind}: give {', '.join(allowed)}")


def _fits(value: Any) -> bool:
    """Whether this is an integer that a float can hold."""
    return isinstance(value, int) and value.bit_length() <= 1024


def _said(node: ast.AST) -> str:
    """A part of a text, for an error; if it is too long, its beginning."""
    if len(list(itertools.islice(ast.walk(node), 200))) == 200:
        return f"{_said(node.func)}(…)" if isinstance(node, ast.Call) else "so long a part"
    try:
        return repr(ast.unparse(node))[1:-1][:80]
    except ValueError:  # an integer of thousands of digits
        return f"a {type(node).__name__.lower()} with a number of thousands of digits"


def check_depth(root: Any, children: Callable[[Any], Iterable[Any]], what: str) -> None:
    """UsageError if something is nested deeper than 50 levels. This comes before any recursive function sees it.

    >>> check_depth([[1]], lambda one: one if isinstance(one, list) else (), "the list")
    """
    level, depth = [root], 0
    while level := [inner for one in level for inner in children(one)]:
        depth += 1
        if depth > DEEPEST:
            raise UsageError(f"{what} is nested more than {DEEPEST} levels deep: write it flatter")


@contextlib.contextmanager
def regular_file(path: str | os.PathLike[str], what: str) -> Iterator[IO[bytes]]:
    """A regular file, open for reading; UsageError if it cannot be read, or is something else.

    Args:
        path: the path of the file. A pipe or a device is refused: to open or read it could last for ever.
        what: what the file is, for errors, such as "the sweep".
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"cannot read {what} {path}: it is no regular file; give a regular one")
            yield file
    except OSError as error:
        if error.errno is None:  # of who reads, not of the system
            raise
        raise UsageError(f"cannot read {what} {path}: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, AsapnbError):
            raise
        raise UsageError(f"cannot read {what} {shown(os.fspath(path))}: {error}") from None  # a NUL in the name


def read_bytes(path: str | os.PathLike[str], what: str, most: int = LARGEST_FILE) -> bytes:
    """All bytes of a regular file. UsageError as for `regular_file`, or if there are more than `most`."""
    with regular_file(path, what) as file:
        content = bytearray()
        while piece := file.read(2**20):  # asked for at once, the memory for `most` would be taken
            content += piece
            if len(content) > most:
                raise UsageError(f"cannot read {what} {path}: it has more than {most:,} bytes; give another file")
    return bytes(content)


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """The text of a regular file in UTF-8. UsageError as for `read_bytes`, or for another encoding."""
    try:
        return read_bytes(path, what).decode("utf-8-sig")  # some editors begin a text with a mark
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {what} {path}: it is not in UTF-8 ({error}); save it as UTF-8") from None


def read_toml(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """The tables of a TOML file. UsageError if it cannot be read, or is no TOML that asapnb can use."""
    text = read_text(path, what)
    try:
        return parse_toml(text)
    except ValueError as error:
        raise UsageError(f"{path} is no TOML: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text. ValueError, with the reason, if it is no TOML.

    >>> parse_toml("grid.workers = [1, 2]")
    {'grid': {'workers': [1, 2]}}
    """
    if _LONG_NAME.search(text):  # its memory grows with the square of the number of parts
        raise ValueError(f"a name of more than {DEEPEST} parts, joined by dots")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ValueError("brackets within brackets, hundreds of levels deep") from None
    check_depth(tables, _inner, "it")
    return tables


def _inner(value: Any) -> Iterable[Any]:
    """The values in a table or list of TOML. ValueError for an integer of more than 64 bits."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{shown(value)} is no integer of 64 bits")
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


_PLAIN = (str, int, float, bool)


def plain(value: Any) -> Any:
    """`value` as dict, list, str, int, float, bool and None only. NumPy and other types are converted."""
    if value is None or type(value) in _PLAIN:  # most are, and the checks below are slow
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return value if value is None or isinstance(value, str | int | float) else str(value)


def to_json(value: Any) -> str:
    """`value` as valid JSON; numbers that JSON lacks become the texts "nan", "inf" and "-inf".

    >>> to_json({"loss": float("nan"), "workers": 8})
    '{"loss": "nan", "workers": 8}'
    """

    def finite(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: finite(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [finite(inner) for inner in item]
        return str(item) if isinstance(item, float) and not math.isfinite(item) else item

    return json.dumps(finite(plain(value)), allow_nan=False)


def to_toml(config: Mapping[str, Any]) -> str:
    """A nested dict as TOML text; None, which TOML lacks, is left out.

    >>> print(to_toml({"epochs": 5, "target_loss": None, "problem": {"name": "lenet", "bias": True}}), end="")
    epochs = 5
    <BLANKLINE>
    [problem]
    name = "lenet"
    bias = true
    """
    import tomli_w

    def known(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: known(inner) for key, inner in item.items() if inner is not None}
        return [known(inner) for inner in item if inner is not None] if isinstance(item, list) else item

    return tomli_w.dumps(known(plain(config)))


def filled(docstring: str | None, place: str, text: str) -> str:
    """A docstring with `text` in place of "{place}". Further lines are indented as the line of the place.

    Python before 3.13 keeps the indentation of a docstring; later ones take it off.

    >>> filled("Args:\\n    {arguments}", "arguments", "a: one.\\nb: two.")
    'Args:\\n    a: one.\\n    b: two.'
    """
    found = re.search(rf"^( *).*\{{{place}\}}", docstring or "", re.MULTILINE)
    return (docstring or "").replace(f"{{{place}}}", text.replace("\n", f"\n{found[1]}" if found else "\n"))
