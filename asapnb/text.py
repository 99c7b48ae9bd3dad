"""Values as text: calls such as `tail(amplitude=0.5)` or `constant` to read, JSON and TOML to write.

Of calls, only literals, bare words and known names are evaluated.
"""

import ast
import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import UsageError, unknown

Names = Mapping[str, Callable[..., Any]]


def parse_call(text: str, known: Names, kind: str, helpers: Names | None = None) -> Any:
    """The value of `name`, or `name(arguments)`, with a name among `known`; arguments may call `helpers`.

    >>> parse_call("point(1, y=2)", {"point": lambda x, y: (x, y)}, "shape")
    (1, 2)
    """
    example = f"{min(known)}(…)"
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise UsageError(f"cannot read the {kind} {text!r:.80}: write a name, or {example}") from None
    if isinstance(tree, ast.Name):
        tree = ast.Call(tree, [], [])
    if not isinstance(tree, ast.Call):
        raise UsageError(f"{text!r:.80} is no {kind}: write a name, or {example}")
    return _call(tree, known, kind, dict(helpers or {}))


def _call(call: ast.Call, known: Names, kind: str, helpers: Names) -> Any:
    name = ast.unparse(call.func)
    if name not in known:
        raise unknown(kind, name, known)
    builder = known[name]
    positional = [_value(argument, kind, helpers) for argument in call.args]
    named = {keyword.arg or "**": _value(keyword.value, kind, helpers) for keyword in call.keywords}
    parameters = inspect.signature(builder).parameters
    for key in named:
        if key not in parameters:
            raise unknown(f"parameter of {name}", key, parameters)
    try:
        inspect.signature(builder).bind(*positional, **named)
    except TypeError as error:
        raise UsageError(f"{ast.unparse(call)}: {error}; {name} takes ({', '.join(parameters)})") from None
    return builder(*positional, **named)


def _value(node: ast.expr, kind: str, helpers: Names) -> Any:
    """A literal, a bare word (as text), a call of a helper, or a list or tuple of these."""
    if isinstance(node, ast.Call):
        return _call(node, helpers, f"name in a {kind}", helpers)
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.List | ast.Tuple):
        items = [_value(item, kind, helpers) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        allowed = ["a number", "a word", *(f"{name}(…)" for name in helpers)]
        raise UsageError(f"cannot read {ast.unparse(node)!r:.80} in a {kind}: give {', '.join(allowed)}") from None


def plain(value: Any) -> Any:
    """`value` made of dict, list, str, int, float, bool and None only; NumPy and other types are converted."""
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
