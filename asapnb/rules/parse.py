"""Rules as text: `tail(amplitude=0.5, refresh=every(200, half_life=2000))`, or `my_rules.py:half_life`.

Only literals and the known names are evaluated; a rule file is run as the Python that it is.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import AsapnbError, RuleError, UsageError, unknown
from .framework import RULES, Rule, _own_rule
from .refresh import every, once

_ARGUMENTS: dict[str, Callable[..., Any]] = {"once": once, "every": every}


def parse_rule(text: str) -> Rule:
    """The rule that a text names: the inverse of `repr`.

    >>> parse_rule("tail"), parse_rule("tail(0.5, refresh=every(1000))")
    (tail(amplitude=1.0), tail(amplitude=0.5, refresh=every(1000)))
    """
    text = text.strip()
    if ".py:" in text:
        return _load(text)
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise UsageError(f"cannot read the rule {text!r:.80}: write it like tail(amplitude=1.0)") from None
    if isinstance(tree, ast.Name):
        tree = ast.Call(tree, [], [])
    if not isinstance(tree, ast.Call):
        raise UsageError(f"{text!r:.80} is no rule: write it like tail(amplitude=1.0)")
    return _call(tree, RULES, "rule")


def _call(call: ast.Call, known: dict[str, Callable[..., Any]], kind: str) -> Any:
    """The value of name(arguments) with a name among `known`."""
    name = ast.unparse(call.func)
    if name not in known:
        raise unknown(kind, name, known)
    builder = known[name]
    positional = [_value(argument) for argument in call.args]
    named = {keyword.arg or "**": _value(keyword.value) for keyword in call.keywords}
    parameters = inspect.signature(builder).parameters
    for key in named:
        if key not in parameters:
            raise unknown(f"parameter of {name}", key, parameters)
    try:
        inspect.signature(builder).bind(*positional, **named)
    except TypeError as error:
        raise UsageError(f"{ast.unparse(call)}: {error}; {name} takes ({', '.join(parameters)})") from None
    return builder(*positional, **named)


def _value(node: ast.expr) -> Any:
    """A literal, or a call of a rule or of once, every."""
    if isinstance(node, ast.Call):
        return _call(node, RULES | _ARGUMENTS, "name in a rule")
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        raise UsageError(
            f"cannot read {ast.unparse(node)!r:.80} in a rule: give a number, a quoted text, once(…) or every(…)"
        ) from None


def _load(text: str) -> Rule:
    """The rule of a function in a file: path/file.py:function."""
    path, _, name = text.rpartition(":")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise UsageError(f"there is no file {path} to load the rule {name!r} from")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except AsapnbError:
        raise
    except Exception as error:
        raise RuleError(f"loading {path} raised {type(error).__name__}: {error}") from error
    functions = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    if name not in functions:
        raise unknown(f"function in {path}", name, functions)
    found = functions[name]
    return found if isinstance(found, Rule) else _own_rule(found, text)
