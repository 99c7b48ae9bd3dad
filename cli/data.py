"""`asapnb data`."""

import sys

import click

from asapnb.data import available, download
from asapnb.record import to_json

from .completion import of_key
from .options import JSON
from .streams import echo
from .text import console, data_sets

_ROOT = click.option("--root", type=click.Path(), metavar="DIR", help="Look, or put files, here and nowhere else.")


@click.group("data")
def command() -> None:
    """List the data sets, or get one."""


@command.command("list")
@_ROOT
@JSON
def list_(root: str | None, as_json: bool) -> None:
    """List the data sets and where each was found."""
    if as_json:
        echo(to_json([vars(entry) for entry in available(root)]))
    else:
        console().print(data_sets(root))


@command.command()
@click.argument("name", shell_complete=of_key("data"))
@_ROOT
def get(name: str, root: str | None) -> None:
    """Download the data set NAME unless it is here, and compare checksums."""
    path = download(name, root, progressbar=sys.stderr.isatty())
    echo(f"{name} is in {path}")
