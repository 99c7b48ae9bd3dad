"""Options that commands share, and decorators that give a command several of them."""

from collections.abc import Callable
from typing import Any

import click

from asapnb.analysis.choosing import parsed
from asapnb.record import checked_target

from .completion import of_command, of_runs, settings
from .ranks import is_worker

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_KEYS = settings(lambda ctx: of_runs())

QUIET = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")


def together(*options: Decorator) -> Decorator:
    """Decorate a command with several options, in the order in which its help lists them."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def output(metavar: str, what: str = "file", also: str = "", **more: Any) -> Decorator:
    """Decorate a command with `out`, a file that can be made (checked at once), and `force`, to overwrite it.

    Args:
        metavar: what the help calls the file.
        what: it is, for the help.
        also: what else `force` does, for the help.
        more: of the option `out`.
    """

    def check(ctx: click.Context, option: click.Parameter, out: str | None) -> str | None:
        if out is not None and not is_worker(ctx):
            checked_target(out, ctx.params["force"])
        return out

    about = {"help": f"The {what} to write.", **more}
    return together(
        click.option("-o", "--out", type=click.Path(), metavar=metavar, callback=check, **about),
        click.option("--force", is_flag=True, is_eager=True, help=f"Overwrite the {what} if it exists{also}."),
    )


_CODE = ", and run your own code although it differs from what a given run file recorded"
RUN_FILE = together(output("RUN.h5", "run file", _CODE), QUIET, JSON)
CONFIGURED = together(
    click.argument("config", required=False, type=click.Path()),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        shell_complete=settings(of_command),
        help="Set any key; may be repeated. It overrides flags.",
    ),
    RUN_FILE,
)


RUNS = together(
    click.argument("runs", nargs=-1, type=click.Path(), metavar="RUN.h5|FOLDER…"),
    click.option("--skip-bad", is_flag=True,
                 help="Leave out files that cannot be used, with a warning that names them."),
    click.option("--where", multiple=True, metavar="KEY=VALUE",
                 help="Take only runs with this value; may be repeated.",
                 shell_complete=_KEYS, callback=lambda ctx, option, texts: parsed(*texts)),
)  # fmt: skip


def selection(*, several: bool, fraction: str) -> Decorator:
    """Decorate a command with the runs it reads, one target or several, and a baseline.

    The command gets `where` and `baseline` as keys with values, a baseline that was not given as None. `fraction`
    tells in the help which fraction of the initial loss is the default target.
    """
    a, each = ("A", "each run's own") if several else ("The", "the")
    return together(
        RUNS,
        click.option("--target-loss", type=float, multiple=several, metavar="F", help=f"{a} training loss to reach."),
        click.option(
            "--target-fraction", type=float, multiple=several, metavar="F",
            help=f"{a} fraction of {each} initial loss to reach, in (0, 1).  [default: {fraction}]",
        ),
        click.option(
            "--baseline", multiple=True, metavar="KEY=VALUE", shell_complete=_KEYS,
            callback=lambda ctx, option, texts: parsed(*texts) or None,
            help="The runs to compare the others with.  [default: rule=constant, if rules vary]",
        ),
    )  # fmt: skip
