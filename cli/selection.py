"""Options of the commands that read runs: which runs, targets, and the baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def selection(*, several: bool, fraction: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command with the runs it reads, one target or several, and a baseline.

    `fraction` tells in the help which fraction of the initial loss is the default target.
    """
    a, each = ("A", "each run's own") if several else ("The", "the")
    decorators = (
        click.argument("runs", nargs=-1, type=click.Path(), metavar="RUN.h5|FOLDER…"),
        click.option("--where", multiple=True, metavar="KEY=VALUE", help="Only runs with this value."),
        click.option(
            "--target-loss", type=float, multiple=several, metavar="F", help=f"{a} training loss to reach."
        ),
        click.option(
            "--target-fraction", type=float, multiple=several, metavar="F",
            help=f"{a} fraction of {each} initial loss to reach, in (0, 1).  [default: {fraction}]",
        ),
        click.option(
            "--baseline", multiple=True, metavar="KEY=VALUE",
            help="What to compare with.  [default: rule=constant, if rules vary]",
        ),
    )  # fmt: skip

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorated
