"""Rules, schemes and the like as text: `tail(amplitude=0.5)`, `leashed(persistence=1)`, `constant`.

Only literals, bare words and calls of known names are evaluated.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

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
