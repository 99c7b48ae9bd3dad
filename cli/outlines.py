"""What a command takes, kept from when it was last imported: help, wrong options and the Tab key need no more.

Importing a command takes half a second, as it brings NumPy and Numba. Its outline is JSON in the cache folder, which
counts as long as all modules of asapnb are the files that they were. To be carried out, a command is imported.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from asapnb import errors
from asapnb.places import cache_folder

Real = Callable[[], click.Command]  # imports the command
FOLDERS = (os.path.dirname(errors.__file__), os.path.dirname(__file__))  # of all modules


def keep(command: click.Command) -> None:
    """Store the outline of a command, if there is a place for it."""
    file = _file(str(command.name))
    if file is None:
        return
    part = file.with_name(f".{file.name}-{os.getpid()}.part")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"modules": modules(), "command": outline(command)}), encoding="utf-8")
        os.replace(part, file)


def kept(name: str, real: Real) -> click.Command | None:
    """A command that is made of its outline; None if none is stored, or if a module has changed since."""
    file = _file(name)
    try:
        stored = json.loads(file.read_text(encoding="utf-8")) if file is not None else {}
        return drawn(stored["command"], real) if stored["modules"] == modules() else None
    except (OSError, ValueError, LookupError, TypeError):  # damaged: it is made again
        return None


def _file(name: str) -> Path | None:
    root = cache_folder()
    return None if root is None else root / "commands" / f"{name}.json"


@cache
def modules() -> str:
    """A digest of the names, sizes and times of all modules of asapnb."""
    return hashlib.sha256(repr([sorted(_files(folder)) for folder in FOLDERS]).encode()).hexdigest()


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            about = entry.stat()
            yield entry.path, about.st_size, about.st_mtime_ns
        elif entry.is_dir() and entry.name != "__pycache__":
            yield from _files(entry.path)


def outline(command: click.Command) -> dict[str, Any]:
    """All that help, the parser of options and the Tab key need of a command, as plain data."""
    ctx = click.Context(command, show_default=True)
    found = {"name": command.name, "help": command.help, "params": [_param(one, ctx) for one in command.params]}
    if isinstance(command, click.Group):
        found["commands"] = [outline(one) for one in command.commands.values()]
    return found


def _param(param: click.Parameter, ctx: click.Context) -> dict[str, Any]:
    found = {"name": param.name, "nargs": param.nargs, "metavar": param.make_metavar(ctx)}
    if not isinstance(param, click.Option):
        return {**found, "required": param.required}
    names = {"opts": param.opts, "secondary_opts": param.secondary_opts, "record": param.get_help_record(ctx)}
    return {**found, **names, **{name: getattr(param, name) for name in ("is_flag", "multiple", "hidden", "help")}}


def drawn(outline: dict[str, Any], real: Real) -> click.Command:
    """The command of an outline."""
    params = [_Option(one, real) if "opts" in one else _Argument(one, real) for one in outline["params"]]
    about = {"name": outline["name"], "help": outline["help"], "params": params}
    if "commands" not in outline:
        return _Command(real, **about)
    inside = [drawn(one, partial(_subcommand, real, one["name"])) for one in outline["commands"]]
    return _Group(real, commands=inside, **about)


def _subcommand(real: Real, name: str) -> click.Command:
    group = real()
    assert isinstance(group, click.Group)
    return group.commands[name]


class _Drawn(click.Command):
    """A command that answers by itself what it can, and leaves the rest to the real one."""

    def __init__(self, real: Real, **about: Any) -> None:
        super().__init__(**about)
        self._real = real

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if extra.get("resilient_parsing"):  # for the Tab key
            return super().make_context(info_name, args, parent, **extra)
        self.answer(info_name, args, parent)
        return self._real().make_context(info_name, args, parent, **extra)

    def answer(self, info_name: str | None, args: list[str], parent: click.Context | None) -> None:
        """Show help, or say which option is wrong, and end; else return. Values are not looked at."""
        try:
            ctx = super().make_context(info_name, list(args), parent)
        except (click.NoSuchOption, click.BadOptionUsage):
            raise
        except click.UsageError:
            return
        inside = self.commands.get(args[0]) if isinstance(self, click.Group) and args else None
        if isinstance(inside, _Drawn):
            inside.answer(args[0], args[1:], ctx)


class _Command(_Drawn):
    pass


class _Group(_Drawn, click.Group):
    pass


class _Completed(click.Parameter):
    """Values are completed by the parameter of the real command."""

    _real: Real

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return next(one for one in self._real().params if one.name == self.name).shell_complete(ctx, incomplete)


class _Option(_Completed, click.Option):
    def __init__(self, about: dict[str, Any], real: Real) -> None:
        same = {name: about[name] for name in ("nargs", "metavar", "multiple", "hidden", "help")}
        kind = {"is_flag": True} if about["is_flag"] else {"type": click.UNPROCESSED}
        super().__init__([*about["opts"], about["name"]], **kind, **same)
        self._real, self._record, self.secondary_opts = real, about["record"], about["secondary_opts"]

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return self._record and tuple(self._record)


class _Argument(_Completed, click.Argument):
    def __init__(self, about: dict[str, Any], real: Real) -> None:
        same = {name: about[name] for name in ("nargs", "metavar", "required")}
        super().__init__([about["name"]], type=click.UNPROCESSED, **same)
        self._real = real
