"""The errors asapnb raises on purpose, and the sentence for an unknown name.

Every message says what is wrong, the value given, what is allowed and the next step. The command line shows
them without a traceback and exits with code 2.
"""

import difflib
from collections.abc import Iterable


class AsapnbError(Exception):
    """Any error that asapnb raises on purpose."""


class UsageError(AsapnbError, ValueError):
    """An argument that cannot be used: out of range, of the wrong kind, or an unknown name."""


class DataError(AsapnbError):
    """A data set that is missing, truncated or not in its format."""


class RuleError(AsapnbError, ValueError):
    """A step-size rule whose scales cannot be used: not finite, negative or of the wrong length."""


class RecordError(AsapnbError):
    """A run file that cannot be read, written, or must not be overwritten."""


class MissingExtraError(AsapnbError, ImportError):
    """A feature that needs an optional dependency which is not installed."""


def unknown(kind: str, name: object, available: Iterable[str]) -> UsageError:
    """The error for a name that does not exist: it lists those that do, and the nearest one.

    Args:
        kind: what the name is of, such as "rule".
        name: what was given.
        available: the names that exist.

    >>> str(unknown("rule", "tial", ["constant", "inverse", "tail"]))
    "unknown rule 'tial'; available: constant, inverse, tail. Did you mean 'tail'?"
    """
    names = sorted(available)
    text = f"unknown {kind} {name!r}; available: {', '.join(names)}."
    near = difflib.get_close_matches(str(name).lower(), names, n=1)
    return UsageError(text + (f" Did you mean {near[0]!r}?" if near else ""))
