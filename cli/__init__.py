"""The command line: `asapnb`. Each command has a module, which is imported when the command is carried out."""

import os
import sys
import warnings
from typing import Any

import click
from click.shell_completion import CompletionItem

from asapnb import __version__
from asapnb.errors import AsapnbError, RankError, UsageError, unknown
from asapnb.signals import leaving

from . import outlines
from .completion import VARIABLE, asked, check_request
from .importing import imported
from .ranks import together
from .streams import echo, tolerant_streams

GROUPS = {
    "Run": {
        "demo": "Start here: record a run, and replay it under other rules.",
        "train": "Train on real threads and record every update.",
        "simulate": "Run any number of workers in virtual time, with true gradients.",
        "replay": "Carry out a recorded run again, under another rule.",
        "resume": "Continue a run from its end or its last checkpoint.",
        "sweep": "Make all runs of a grid, described by one file, in parallel.",
    },
    "Look at runs": {
        "show": "Show what a run file holds.",
        "compare": "Compare runs: times to a loss, and speed-ups with intervals.",
        "plot": "Draw runs: loss, staleness, scales, times to a loss, and more.",
        "report": "Write an HTML page about runs, with tables and charts.",
        "export": "Write tables of runs as CSV or Parquet, for other software.",
        "predict": "Predict with the parameters of a run.",
    },
    "Plan": {
        "calibrate": "Measure how long gradients, reads and updates take here.",
        "forecast": "Say what a run would show: staleness, stable steps, pace, memory.",
        "arena": "Let a step-size rule compete with the built-in ones.",
    },
    "What there is": {
        "rules": "List the step-size rules, show one, or check it.",
        "schemes": "List the schemes, or show one with its options.",
        "data": "List the data sets, get one, or show what a file of data holds.",
        "info": "Show versions, machine, kernels and data found.",
    },
}
COMMANDS = {name: about for group in GROUPS.values() for name, about in group.items()}
_FIRST = """\
asapnb trains with asynchronous SGD on CPU threads, and records the exact
staleness of every update. Step-size rules make use of the staleness.

First steps:
  asapnb demo             record a run, and replay it under other rules
  asapnb train -o run.h5  train LeNet on images, and record every update
  asapnb show run.h5      see what the run did

All commands: asapnb --help       Options of one: asapnb train --help
Documentation: docs/index.md in the repository"""
_LINE = "asapnb.line"  # a command and its arguments
FAILED, USAGE, DIVERGED, INTERRUPTED = 1, 2, 3, 130
EXITS = {  # every exit code: its name, and when it occurs
    0: (
        "done",
        "The command did what it was asked. Its run, if any, ended as finished, converged, stopped or timed-out.",
    ),
    FAILED: ("failed", "A run, a point of a sweep, a check or an output failed, or the system refused a request."),
    USAGE: ("usage", "An argument, a configuration or a file cannot be used. Nothing was written."),
    DIVERGED: ("diverged", "A loss was not finite, or above `divergence_factor` times the initial one."),
    INTERRUPTED: ("interrupted", "Ctrl-C. The run file holds what was done."),
    129: ("hung up", "SIGHUP, as when a terminal closes. The run file holds what was done."),
    143: ("terminated", "SIGTERM. The run file holds what was done."),
}


class _Commands(click.Group):
    """The commands; `--help` imports none of them. An `AsapnbError` ends with exit code 2."""

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """Run the command line, whatever its streams are."""
        code: Any = None
        with tolerant_streams():
            try:
                if asked():
                    check_request(os.environ)
                return super().main(*arguments, **{"complete_var": VARIABLE, **extra})
            except SystemExit as end:
                code = end.code
            except Exception as error:
                if not asked():
                    raise
                echo(f"Error: {error}", err=True)  # a shell in the middle of a line wants no traceback
                code = USAGE if isinstance(error, UsageError) else FAILED
        sys.exit(code)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            echo(_FIRST)
            ctx.exit()
        ctx.meta[_LINE] = [*args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:  # a shell asks how the line may go on
                return None
            raise unknown("command", cmd_name, COMMANDS)
        try:
            return _imported(cmd_name)
        except AsapnbError:
            if ctx.resilient_parsing:
                return None
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called; where its outline is known, that, which imports the command if need be."""
        name, *rest = args
        if name in COMMANDS and (known := outlines.kept(name, lambda: _imported(name))):
            return name, known, rest
        found = super().resolve_command(ctx, args)
        if found[1] is not None:
            outlines.keep(found[1])
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, without importing them, or the options of `asapnb` itself."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=about) for name, about in COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", about) for name, about in commands.items()])

    def invoke(self, ctx: click.Context) -> None:
        try:
            with leaving(), warnings.catch_warnings():
                warnings.showwarning = lambda message, *place: echo(f"Warning: {message}", err=True)
                with together(ctx, ctx.meta[_LINE]):
                    _check_place()
                    super().invoke(ctx)
        except AsapnbError as error:
            echo(f"Error: {error}", err=True)
            ctx.exit(FAILED if isinstance(error, RankError) else USAGE)
        except KeyboardInterrupt:
            echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except RuntimeError as error:
            if "new thread" not in str(error):
                raise
            echo("Error: the system allows no more threads: take fewer workers, or raise the limit (ulimit -u, "
                       "or in a container the limit of pids)", err=True)  # fmt: skip
            ctx.exit(FAILED)
        except Warning as warning:  # python -W error
            echo(f"Error: a warning was raised, and Python treats warnings as errors here: {warning}", err=True)
            ctx.exit(FAILED)
        except MemoryError as error:
            echo(f"Error: there is not enough memory{f' ({error})' * bool(str(error))}: take a smaller run, or "
                       "fewer workers", err=True)  # fmt: skip
            ctx.exit(FAILED)


def _imported(name: str) -> click.Command:
    command: click.Command = imported(f"{__package__}.{name}").command
    return command


def _check_place() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise UsageError(f"the working directory is gone ({error.strerror}): cd to one that exists") from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog=f"Exit codes: {', '.join(f'{code} {name}' for code, (name, _) in EXITS.items())}.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Asynchronous parallel SGD on CPUs, with exact staleness and staleness-adaptive step sizes."""
