"""Rules as text: `tail(amplitude=0.5, refresh=every(200, half_life=2000))`, or `my_rules.py:half_life`.

Only literals and the known names are evaluated; a rule file is run as the Python that it is.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..errors import AsapnbError, RuleError, UsageError, unknown
from ..text import parse_call
from .framework import RULES, Rule, _own_rule
from .refresh import every, once


def parse_rule(text: str) -> Rule:
    """The rule that a text names: the inverse of `repr`.

    >>> parse_rule("tail"), parse_rule("tail(0.5, refresh=every(1000))")
    (tail(amplitude=1.0), tail(amplitude=0.5, refresh=every(1000)))
    """
    if ".py:" in text:
        return _load(text.strip())
    rule: Rule = parse_call(text, RULES, "rule", {"once": once, "every": every, **RULES})
    return rule


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
