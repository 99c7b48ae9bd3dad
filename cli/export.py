"""`asapnb export`."""

import io
import sys
from typing import Any

import click

from asapnb.analysis import export
from asapnb.analysis.export import FORMATS
from asapnb.analysis.stacking import A_ROW
from asapnb.errors import UsageError

from .completion import names, of_runs
from .options import QUIET, RUNS
from .streams import echo

_TABLES = ", ".join(f"{name} ({a_row.partition(':')[0]})" for name, a_row in A_ROW.items())


@click.command("export")
@RUNS
@click.option("-o", "--out", required=True, metavar="FILE|FOLDER|-", type=click.Path(),
              help="A .csv, .csv.gz or .parquet file for one table, a folder for several; - is stdout.")  # fmt: skip
@click.option("--table", "tables", multiple=True, type=click.Choice(tuple(A_ROW)),
              help="The table to write; may be repeated. Brackets say what a row is: " + f"{_TABLES}.  "
              "[default: updates; for a folder, all tables]", metavar="NAME")  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="The format.  [default: by the name of the file, else csv]"
)
@click.option("--by", multiple=True, metavar="KEY", shell_complete=names(of_runs),
              help="Make this setting a column; may be repeated.  [default: all that vary]")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@QUIET
def command(
    runs: tuple[str, ...], out: str, tables: tuple[str, ...], by: tuple[str, ...], quiet: bool, **options: Any
) -> None:
    """Write tables of runs as CSV or Parquet, for pandas, polars, R or a spreadsheet.

    Several runs make one table, with their files and settings as columns. Floats are written in full.
    """
    screen = out == "-" and sys.stdout.isatty()
    if screen and options["form"] not in (None, "csv"):
        raise UsageError(f"{options['form']} cannot be shown on a terminal: give -o FILE")
    held = io.BytesIO()
    target: Any = out if out != "-" else held if screen else sys.stdout.buffer
    written = export(runs, target, tables, by=by or None, **options)
    if screen:
        echo(held.getvalue().decode(errors="replace").rstrip("\n"))
    elif out != "-" and not quiet:
        for path, rows in written.items():
            echo(f"{path} written, {rows:,} rows.", err=True)
