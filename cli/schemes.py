"""`asapnb schemes`."""

from typing import Any

import click
from rich.text import Text

from asapnb.errors import unknown
from asapnb.optimizers import OPTIMIZERS
from asapnb.record import to_json
from asapnb.schemes import SCHEMES, About, about
from asapnb.training.arguments import ARGUMENTS

from .completion import of_key
from .options import JSON
from .streams import echo
from .text import Columns, console, pairs

_BESIDE = (  # arguments of any run that say what an update is made of; `list` names those that there are
    "rule", "schedule", "optimizer", "momentum_kind", "direct_share", "compensation", "clip", "local_steps", "shards",
    "workers", "worker_tables",
)  # fmt: skip


@click.group("schemes")
def command() -> None:
    """List the schemes (how workers share the parameters), or show one."""


@command.command("list")
@JSON
def list_(as_json: bool) -> None:
    """List the schemes: where they run and what they do.

    It also lists the arguments that any scheme can be combined with, and the optimizers.
    """
    found = [about(scheme) for scheme in SCHEMES.values()]
    beside = [name for name in _BESIDE if name in ARGUMENTS]
    if as_json:
        echo(to_json({"schemes": [_document(one) for one in found],
                      "optimizers": _optimizers(),
                      "beside": {name: ARGUMENTS[name].says("train") for name in beside}}))  # fmt: skip
        return
    screen = console()
    table = Columns(
        "scheme", "runs on", "options", "what it does", left=("scheme", "runs on", "options", "what it does")
    )
    for one in found:
        table.add_row(one.name, ", ".join(one.where), _options(one), one.line)
    screen.print(table)
    screen.print(Text("* not everywhere; see asapnb schemes show", "dim"))
    screen.print(Text("\nBesides the scheme, any run takes:", "bold"))
    screen.print(pairs([(f"--{name.replace('_', '-')}", ARGUMENTS[name].says("train")) for name in beside]))
    screen.print(Text("\nOptimizers:", "bold"))
    screen.print(pairs([(one["name"], f"{one['line']} {one['source']}") for one in _optimizers()]))


@command.command()
@click.argument("scheme", shell_complete=of_key("scheme"))
@JSON
def show(scheme: str, as_json: bool) -> None:
    """Show what SCHEME does, its options and its source."""
    name = scheme.partition("(")[0].strip()
    if name not in SCHEMES:
        raise unknown("scheme", name, SCHEMES)
    found = about(SCHEMES[name])
    if as_json:
        echo(to_json(_document(found)))
        return
    screen = console()
    screen.print(Text.assemble((found.name, "bold"), f": {found.line}"))
    screen.print(pairs([("runs on", ", ".join(found.where)), ("source", found.source)]))
    if found.options:
        left = ("option", "default", "may be", "where", "what it does")
        table = Columns(*left, left=left)
        for one in found.options:
            where = "" if one.where == found.where else f"{', '.join(one.where)} only"
            table.add_row(one.name, _value(one.default), one.allowed, where, one.meaning)
        screen.print("", table, sep="\n")
    for text in found.more:
        screen.print("", Text(text), sep="\n")


def _optimizers() -> list[dict[str, str]]:
    """What the declarations of optimizers say."""
    return [{"name": name, "line": (one.__doc__ or "").partition("\n")[0], "source": one.source}
            for name, one in OPTIMIZERS.items()]  # fmt: skip


def _options(found: About) -> str:
    """The names of options, with a star after those that are not everywhere."""
    return ", ".join(f"{one.name}{'' if one.where == found.where else '*'}" for one in found.options)


def _value(value: Any) -> str:
    text = str(value)
    return text.lower() if text in ("None", "True", "False") else text


def _document(found: About) -> dict[str, Any]:
    return {**found._asdict(), "options": [one._asdict() for one in found.options]}
