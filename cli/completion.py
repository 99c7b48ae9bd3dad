"""What the Tab key completes: names of a table, keys with their values, files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, get_completion_class

from asapnb.errors import UsageError, shown

VARIABLE = "_ASAPNB_COMPLETE"  # by which a shell asks
SHELLS = ("bash", "zsh", "fish")
_IN_FILES = ("data", "prior", "rule", "schedule", "start", "timing")  # keys whose values may begin with a file
Completed: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def check_request(environment: Mapping[str, str]) -> None:
    """UsageError if the variables by which a shell asks are not such as its script sets them."""
    shell, _, wanted = environment[VARIABLE].partition("_")
    if get_completion_class(shell) is None or wanted not in ("source", "complete"):
        allowed = ", ".join(f"{one}_source" for one in SHELLS)
        raise UsageError(f"{VARIABLE} is {shown(environment[VARIABLE])}: must be one of {allowed}")
    if wanted == "source":
        return
    for name in ("COMP_WORDS", "COMP_CWORD"):
        if name not in environment:
            raise UsageError(
                f"{name} is missing: evaluate the script that {VARIABLE}={shell}_source prints, which sets it"
            )
    place = environment["COMP_CWORD"]
    if shell == "fish":  # the word itself
        if place and not place.strip():
            raise UsageError(f"COMP_CWORD is {shown(place)}: must be the word to complete, or empty")
    elif not (place.isascii() and place.isdigit() and len(place) < 10):
        raise UsageError(f"COMP_CWORD is {shown(place)}: must be the place of the word to complete, from 0")


@add_completion_class
class _Bash(BashComplete):
    """In bash `key=value` is three words, of which the last is replaced."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, begun = super().get_completion_args()
        words: list[str] = []
        for before, word in zip(["", *args], [*args, begun], strict=True):
            if words and "=" in (before, word):
                words[-1] += word
            else:
                words.append(word)
        self._kept = words[-1].removesuffix(begun if begun != "=" else "") if len(words) <= len(args) else ""
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{str(item.value).removeprefix(self._kept)}"


def names(known: Callable[[], Iterable[str]], *, files: bool = False) -> Completed:
    """One of some names, which are made when they are needed; with `files` also the files of the shell."""

    def complete(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in known() if name.startswith(begun)]
        return found or [CompletionItem(begun, type="file")] * files

    return complete


def settings(known: Callable[[click.Context], Mapping[str, Iterable[str]]]) -> Completed:
    """KEY=VALUE: a key, then one of the names that its value may begin with."""

    def complete(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        table = known(ctx)
        key, equals, value = begun.partition("=")
        if not equals:
            return [CompletionItem(f"{name}=") for name in table if name.startswith(begun)]
        return [CompletionItem(f"{key}={name}") for name in table.get(key, ()) if name.startswith(value)]

    return complete


def asked() -> bool:
    """Whether a shell asks how a line may go on."""
    return bool(os.environ.get(VARIABLE))


def values(name: str, choices: Sequence[str] = ()) -> Iterable[str]:
    """The names that the value of a key of a run may begin with."""
    from asapnb.data.catalogue import SOURCES
    from asapnb.problems.text import PROBLEMS
    from asapnb.rules import available
    from asapnb.schedules import SCHEDULES
    from asapnb.schemes import SCHEMES
    from asapnb.staleness import MODELS
    from asapnb.timing.times import LAWS

    tables: dict[str, Iterable[str]] = {
        "scheme": SCHEMES,
        "rule": available(),
        "schedule": SCHEDULES,
        "problem": PROBLEMS,
        "data": SOURCES,
        "timing": LAWS,
        "prior": (*MODELS, *LAWS),
    }
    return tables.get(name, choices)


def of_key(name: str, choices: Sequence[str] = ()) -> Completed:
    """The names that the value of this key may begin with; some keys take files, too."""
    return names(lambda: values(name, choices), files=name in _IN_FILES)


def of_runs() -> dict[str, Iterable[str]]:
    """The keys that runs of any kind have, each with the names that its value may begin with."""
    from asapnb.config import RUNS, keys

    known = {name: key for kind in RUNS for name, key in keys(kind).items()}
    found = {name: values(name, key.choices) for name, key in known.items()}
    return {**found, "kind": [*RUNS, "replay"]}


def of_command(ctx: click.Context) -> dict[str, Iterable[str]]:
    """The keys of the command that is completed."""
    from asapnb.config import keys

    return {name: values(name, key.choices) for name, key in keys(str(ctx.info_name)).items()}
