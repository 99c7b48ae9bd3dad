"""Tables that follow from declarations: the commands with their options, the keys of a configuration, the exit codes.

A block such as ```` ```{commands} ```` on a page is replaced by the table.
"""

import re
from types import NoneType

import click
from asapnb.cli import COMMANDS, EXITS, main

from asapnb.config import KINDS, keys

BLOCK = re.compile(r"^```\{(commands|keys|exit-codes)\}\n```$", re.MULTILINE)
TYPES = {bool: "true or false", int: "integer", float: "number", str: "text", dict: "table", NoneType: '"none"'}


def plain(text):
    """Text in which Markdown finds nothing but `code`."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    parts[::2] = (re.sub(r"[\\*_<>\[\]|$~^#]", r"\\\g<0>", part) for part in parts[::2])
    return "".join(parts)


def paragraphs(text):
    """A help text; what is set out in columns, after click's mark, stays so."""
    for part in (text or "").split("\n\n"):
        yield f"```text\n{part.strip(chr(8)).strip(chr(10))}\n```" if part.startswith("\b") else plain(part)


def options(context):
    """The options of a command, as a list of definitions."""
    for parameter in context.command.get_params(context):
        if (shown := parameter.get_help_record(context)) and "--help" not in parameter.opts:
            flag, meaning = shown
            meaning, _, default = meaning.partition("  [")
            behind = f" [{plain(default.removesuffix(']'))}]" if default else ""
            yield f"`{flag}`\n: {plain(meaning)}{behind}"


def described(context, level):
    """A command and the commands within it."""
    yield f"{'#' * level} {context.command_path}"
    yield from paragraphs(context.command.help)
    yield f"```text\n{' '.join([context.command_path, *context.command.collect_usage_pieces(context)])}\n```"
    yield from options(context)
    for name, command in getattr(context.command, "commands", {}).items():
        yield from described(click.Context(command, context, name), level + 1)


def commands():
    """All commands, in the order of `asapnb --help`."""
    top = click.Context(main, info_name="asapnb", show_default=True)
    for name in COMMANDS:
        yield from described(click.Context(main.get_command(top, name), top, name), 2)


def config_keys():
    """The keys of a configuration, as a list of definitions: type, default, commands, meaning."""
    found = {kind: keys(kind) for kind in KINDS}
    for name in dict.fromkeys(name for kind in KINDS for name in found[kind]):
        kinds = [kind for kind in KINDS if name in found[kind]]
        key, meanings = found[kinds[0]][name], {}
        for kind in kinds:
            meanings.setdefault(plain(found[kind][name].says(kind)), []).append(kind)
        types = " or ".join(TYPES[one] for one in key.kinds)
        default = f", default `{toml(key.default)}`" if key.default != "" else ""
        yield f"`{name}`\n: *{types}{default}; of {', '.join(kinds)}*"
        for text, those in meanings.items():
            sentence = re.sub("^[a-z]", lambda first: first[0].upper(), text)
            yield f"  {lead(those) if len(meanings) > 1 else ''}{sentence}"


def lead(kinds):
    """What begins a meaning that holds for some commands only."""
    return f"**{', '.join(kinds)}:** "


def toml(value):
    """A default as a configuration has it."""
    if value is None or isinstance(value, bool):
        return {None: '"none"', True: "true", False: "false"}[value]
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def exit_codes():
    """What the exit codes of `asapnb` mean."""
    yield "| code | name | when |\n|---|---|---|"
    for code, (name, when) in EXITS.items():
        yield f"| {code} | {name} | {plain(when)} |"


TABLES = {"commands": commands, "keys": config_keys, "exit-codes": exit_codes}


def expand(app, docname, source):
    """Fill the blocks of a page."""
    source[0] = BLOCK.sub(
        lambda block: ("\n" if block[1] == "exit-codes" else "\n\n").join(TABLES[block[1]]()), source[0]
    )


def setup(app):
    """Connect to Sphinx."""
    app.connect("source-read", expand)
    return {"parallel_read_safe": True}
