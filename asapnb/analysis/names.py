"""Names of rules, problems, data and the like: those of one name that differ are told apart by a mark.

The mark is # and the beginning of the digest of the code, or data. It belongs to the value, so that runs with
different code are never one group; it is shown only where values that are shown together differ in nothing else.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..data.sources import SOURCES
from ..formatting import count
from ..identity import Piece
from ..record import Run

_DIGITS = 12
_MARKED = re.compile(r"(?P<text>.*) (?P<mark>#\??[0-9a-f]+)", re.DOTALL)
_KEYS = {"rule": "rule", "schedule": "schedule", "problem": "problem", "scheme": "scheme", "law": "timing"}  # by kind


def marked(run: Run) -> dict[str, str]:
    """The values of a run's keys that name code or data: as the configuration has them, with a mark for one's own.

    A mark that begins with ? is of code that is not known to equal any other.
    """
    found = {key: str(run.config[key]) for key in _KEYS.values() if key in run.config}
    for key, text in found.items():
        if _MARKED.fullmatch(text):
            found[key] = f"{text} (as written)"  # no mark, but looks like one
    for piece in run.code or ():
        key = _KEYS.get(piece.kind, "")
        if key in found:
            found[key] = f"{found[key]}{_given(piece)} {_mark(run, piece)}"
    data, digest = str(run.config.get("data", "")), run.attributes.get("data_sha256")
    if digest and data and data not in SOURCES:
        found["data"] = f"{data} #{digest[:_DIGITS]}"
    return found


def _given(piece: Piece) -> str:
    """The parameters, where the name has none."""
    if "(" in piece.name or not piece.parameters or piece.kind not in ("rule", "schedule"):
        return ""
    return f"({', '.join(f'{name}={value}' for name, value in piece.parameters.items())})"


def _mark(run: Run, piece: Piece) -> str:
    """The beginning of the digest: of the code, and of what it was before if it changed while the run was made."""
    if piece.unknown:
        return f"#?{piece.digest[-_DIGITS:]}"
    digest = piece.digest
    for entry in run.attributes.get("resumed", []):
        changed = entry.get("code")
        if entry["version"] and changed and piece.digest in str(changed):
            digest = hashlib.sha256(f"{changed} {entry['version']} {digest}".encode()).hexdigest()
    return f"#{digest[:_DIGITS]}"


def code_listing(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Each piece of code of one's own that runs were made with: what it is, with its mark, and its source text."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for run in runs:
        for piece in run.code or ():
            known = found.setdefault((piece.kind, f"{piece.name}{_given(piece)}", piece.digest), [piece, 0])
            known[1] += 1
    return [
        (f"{kind} {name} #{digest[:_DIGITS]}, {count(n, 'run')}", piece.listing or "(there is no source text of it)")
        for (kind, name, digest), (piece, n) in sorted(found.items(), key=lambda item: item[0])
    ]


def plainly(values: Iterable[Any]) -> list[Any]:
    """Values as they are shown together: without a mark where no other value differs in the mark alone.

    >>> plainly(["half #0123456789ab", "tail()"]), plainly(["half #0123456789ab", "half #ba9876543210"])
    (['half', 'tail()'], ['half #0123456789ab', 'half #ba9876543210'])
    """
    given = list(values)
    texts: dict[Any, set[Any]] = {}
    for value in given:
        texts.setdefault(unmarked(value), set()).add(value)
    return [text if len(texts[text := unmarked(value)]) == 1 else value for value in given]


def unmarked(value: Any) -> Any:
    """A value without its mark.

    >>> unmarked("half(c=2) #0123456789ab"), unmarked(3)
    ('half(c=2)', 3)
    """
    found = _MARKED.fullmatch(value) if isinstance(value, str) else None
    return value if found is None else found["text"]


def aliases(run: Run, key: str, value: Any) -> set[Any]:
    """What a value may be called: with its mark, without it, and as the configuration has it."""
    return {value, unmarked(value), run.config.get(key, value)}


def notes(shown: Iterable[Any]) -> list[str]:
    """What marks mean, if some of the values shown have one."""
    marks = [found["mark"] for value in shown if isinstance(value, str) and (found := _MARKED.fullmatch(value))]
    said = []
    if marks:
        said.append(
            "# and digits: the beginning of a digest. It tells apart code or data of one name; see asapnb show."
        )
    if any(mark.startswith("#?") for mark in marks):
        said.append("#? marks code whose state cannot be seen, so it may differ from any other code.")
    return said


def unrecorded(runs: Sequence[Run], known: Iterable[str]) -> list[str]:
    """A note about runs whose files are from before code was recorded, and whose rules are not of asapnb.

    Args:
        runs: the runs.
        known: the names of the rules of asapnb.
    """
    names = set(known)
    old = {text for run in runs if run.code is None and not _is_known(text := str(run.config.get("rule")), names)}
    if not old:
        return []
    return [
        f"The code of the rule {', '.join(sorted(old))} is not recorded, because an earlier asapnb made its runs: "
        "rules of one name may have had different code."
    ]


def _is_known(text: str, names: set[str]) -> bool:
    return text.partition("(")[0].strip() in names and ".py:" not in text
