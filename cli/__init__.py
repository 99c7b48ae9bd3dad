"""The command line: `asapnb`. Each command has a module, which is imported when the command is called."""

import io
import sys
from importlib import import_module

import click

from asapnb import __version__
from asapnb.errors import AsapnbError, unknown

COMMANDS = {
    "train": "Train on real threads and record every update.",
    "simulate": "Run any number of workers in virtual time, with true gradients.",
    "replay": "Carry out a recorded run again, under another rule.",
    "calibrate": "Measure how long gradients, reads and updates take on this machine.",
    "sweep": "Carry out a grid of runs from one file, in parallel.",
    "resume": "Go on with a run, from its end or its last checkpoint.",
    "show": "Show what a run file holds.",
    "compare": "Compare runs: times to a loss, and speed-ups with their intervals.",
    "plot": "Draw runs: loss, staleness, scales, times to a loss, and more.",
    "report": "Write one HTML page about runs, with tables and interactive charts.",
    "rules": "List the step-size rules, show one, or check it.",
    "data": "List the data sets, or get one.",
    "info": "Show versions, machine, kernels and data found.",
}
FAILED, USAGE, DIVERGED, INTERRUPTED = 1, 2, 3, 130  # exit codes; 0 is done


class _Commands(click.Group):
    """The commands; `--help` imports none of them. An `AsapnbError` ends with exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, COMMANDS)
        command: click.Command = import_module(f".{cmd_name}", __package__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except AsapnbError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(USAGE)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 diverged, 130 interrupted.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Asynchronous parallel SGD on CPUs, with exact staleness and staleness-adaptive step sizes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may have no more than ASCII
