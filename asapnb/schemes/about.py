"""What the declaration of a scheme tells readers: what it does, its options, where it runs, and its sources."""

import inspect
import re
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from .scheme import LARGEST, Option, Scheme

PLACES = {"threads": "worker_loop", "MPI": "server_loop", "simulator": "event_loop"}  # where it runs: by which loop


class OptionAbout(NamedTuple):
    """An option of a scheme, in words.

    Attributes:
        name: its name.
        default: its default.
        allowed: which values it may have.
        where: the places of `PLACES` that have the option.
        meaning: what it does.
    """

    name: str
    default: Any
    allowed: str
    where: tuple[str, ...]
    meaning: str


class About(NamedTuple):
    """A scheme, in words.

    Attributes:
        name: its name on the command line.
        line: what it does, in one line.
        more: the other paragraphs of its docstring.
        where: the places of `PLACES` where it runs.
        options: its options.
        source: the papers that it comes from; empty if there are none.
    """

    name: str
    line: str
    more: tuple[str, ...]
    where: tuple[str, ...]
    options: tuple[OptionAbout, ...]
    source: str


def about(scheme: type[Scheme]) -> About:
    """Describe a scheme, from its declaration and its docstring.

    Args:
        scheme: the class of the scheme.

    >>> from asapnb.schemes import Leashed
    >>> found = about(Leashed)
    >>> found.where, found.options[0].allowed
    (('threads', 'simulator'), 'none, or an integer of at least 0')
    """
    line, *rest = _paragraphs(scheme)
    where = tuple(place for place, loop in PLACES.items() if getattr(scheme, loop))
    sources = [text for text in rest if _SOURCE.match(text)]
    arguments = next((text for text in rest if text.startswith("Args:")), "")
    meanings = dict(_ARGUMENT.findall(arguments))
    more = [" ".join(text.split()) for text in rest if text not in (*sources, arguments) and ">>>" not in text]
    options = tuple(_about(one, where, meanings) for one in scheme.options)
    source = " ".join(" ".join(_SOURCE.sub("", text).split()) for text in sources)
    return About(scheme.name, " ".join(line.split()), tuple(more), where, options, source)


_SOURCE = re.compile(r"^Sources?(?: of|:) ?")
_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def _paragraphs(scheme: type[Scheme]) -> list[str]:
    """The paragraphs of its docstring; one empty paragraph if there is no docstring, as with python -OO."""
    return re.split(r"\n\s*\n", inspect.cleandoc(scheme.__doc__ or ""))


def _about(option: Option, where: tuple[str, ...], meanings: dict[str, str]) -> OptionAbout:
    places = ("simulator",) if option.simulated else ("threads",) if option.measured else where
    return OptionAbout(option.name, option.default, _allowed(option), places,
                       " ".join(meanings.get(option.name, "").split()))  # fmt: skip


def _allowed(option: Option) -> str:
    """The values that an option may have, in words."""
    if option.hint is bool:
        return "true or false"
    parts = get_args(option.hint)
    if parts and all(isinstance(part, str) for part in parts):
        return " or ".join(parts)
    limits = f"of at least {option.least}" if option.most == LARGEST else f"from {option.least} to {option.most:,}"
    changing = ", or steps as 0:8, 5000:4" if any(get_origin(part) is tuple for part in parts) else ""
    return f"{'none, or ' if NoneType in parts else ''}an integer {limits}{changing}"
