"""`asapnb data`."""

import sys

import click

from asapnb.data import available, download
from asapnb.data.contents import columns_of
from asapnb.formatting import number
from asapnb.record import to_json

from .completion import of_key
from .options import JSON
from .streams import echo
from .text import Columns, console, data_sets

_FIGURES = ("least", "mean", "largest")  # of a column
_ROOT = click.option(
    "--root", type=click.Path(), metavar="DIR", help="Look for files, or put them, in this folder only."
)


@click.group("data")
def command() -> None:
    """List the data sets, get one, or show what a file of data holds."""


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
    """Download the data set NAME, unless it is here already.

    The checksum of each file is compared.
    """
    path = download(name, root, progressbar=sys.stderr.isatty())
    echo(f"{name} is in {path}")


@command.command()
@click.argument("data", shell_complete=of_key("data"))
@JSON
def show(data: str, as_json: bool) -> None:
    """Show the columns or arrays that DATA holds.

    DATA is a file or folder, such as wine.csv or x.npz, or the name of a data set.
    """
    found = columns_of(data)
    if as_json:
        echo(to_json([vars(one) for one in found]))
        return
    rows = [
        {
            "": "" if one.place is None else f"{one.place}",
            "part": one.part,
            "name": one.name,
            "kind": one.kind,
            "values": one.values,
            "missing": f"{one.missing:,}" if one.missing else "",
            "different": f"{one.different:,}",
            **{name: "" if (value := getattr(one, name)) is None else number(value) for name in _FIGURES},
            "most frequent": one.frequent,
        }
        for one in found
    ]
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    table = Columns(*names, left=("part", "name", "kind", "most frequent"))
    for row in rows:
        table.add_row(*(row[name] for name in names))
    console().print(table)
