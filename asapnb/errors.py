"""The errors that asapnb raises on purpose, and the sentence for an unknown name.

Every message says what is wrong, the value given, what is allowed and the next step. The command line shows
them without a traceback and exits with code 2.
"""

import difflib
from collections.abc import Iterable


class AsapnbError(Exception):
    """Any error that asapnb raises on purpose."""


class UsageError(AsapnbError, ValueError):
    """An argument cannot be used: it is out of range, of the wrong kind, or an unknown name."""


class DataError(AsapnbError):
    """A data set is missing, truncated, or not in its format."""


class RuleError(AsapnbError, ValueError):
    """The scales of a step-size rule cannot be used: they are not finite, negative, or of the wrong length."""


class RecordError(AsapnbError):
    """A run file cannot be read or written, or must not be overwritten."""


class RankError(AsapnbError, RuntimeError):
    """A process of a run on MPI has failed, or no longer answers."""


class StopTraining(Exception):
    """Raise this in `on_eval` or `progress` to end the run in good order, with status "stopped".

    Its text, if it has one, is kept in `run.attributes["stopped_by"]`. Returning False ends the run, too.
    """


class SkippedWarning(UserWarning):
    """Run files were left out, because they cannot be used."""


class MissingExtraError(AsapnbError, ImportError):
    """A feature needs an optional dependency that is not installed."""


def why(error: Exception) -> str:
    """What an error of the system says, without its number, its file and the like.

    >>> why(OSError(28, "No space left on device")), why(ValueError("no file of HDF5")), why(EOFError())
    ('No space left on device', 'no file of HDF5', 'EOFError')
    """
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def shown(value: object, most: int = 80) -> str:
    """`value` as Python writes it, cut to `most` characters: for messages, so it never fails.

    >>> shown("tail"), shown(10**5000), len(shown("x" * 1000))
    ("'tail'", 'an integer of 16,610 bits', 80)
    """
    if isinstance(value, int) and value.bit_length() > 1024:  # Python refuses to write out the longest of them
        return f"an integer of {value.bit_length():,} bits"
    try:
        return f"{value!r:.{most}}"
    except Exception:  # of an integer within a list, for example
        return f"a {type(value).__name__} that cannot be written out"


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
    text = f"unknown {kind} {shown(name)}; available: {', '.join(names)}."
    small = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name[:80].lower(), small, n=1) if isinstance(name, str) else ()
    return UsageError(text + (f" Did you mean {small[near[0]]!r}?" if near else ""))
