"""`asapnb arena`."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from asapnb.analysis import Table
from asapnb.analysis.tables import shown
from asapnb.arena import SUITE, Contestant, Result, Suite, builtin, compete, contestant, standings
from asapnb.arena.contestants import SETTINGS
from asapnb.arena.stored import computed_on, here, load_builtin, read_results, results_as_json, same_times
from asapnb.arena.tables import cell_table, kernel_note, problem_table, scenario_table, standing_table
from asapnb.errors import UsageError
from asapnb.plots import save
from asapnb.plots.style import FORMATS
from asapnb.record import checked_target, to_json
from asapnb.record.files import put_in_place
from asapnb.training.cores import at_once

from .compiling import announced
from .completion import names, of_key
from .flags import flag, said
from .options import JSON, QUIET
from .streams import echo
from .text import Columns, console

_PAGES, _RESULTS = (".html", ".htm"), ".json"
_KEYS = (  # the columns of the standings, in JSON
    "rank", "contestant", "speed_up", "equal_step", "arrived", "arrived_at_equal_step", "best_step", "mean_scale",
    "stable_step",
)  # fmt: skip


def _files(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """The files to write, each of a kind that there is and at a place where it can be made."""
    for out in given:
        ending = Path(out).suffix.lower()
        if ending not in (*_PAGES, _RESULTS) and ending[1:] not in FORMATS:
            kinds = ".html (a page), .json (results), " + ", ".join(f".{kind}" for kind in FORMATS)
            raise UsageError(f"-o {out}: the ending of the name must be one of {kinds} (a figure)")
        checked_target(out, ctx.params["force"])
    return given


@click.command("arena")
@click.argument("contestants", nargs=-1, metavar="[RULE|RESULTS.json]…", shell_complete=of_key("rule"))
@click.option("--list", "listed", is_flag=True, help="Show the scenarios, the problems and the built-in contestants.")
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME",
              help="Take only this scenario; may be repeated.",
              shell_complete=names(lambda: [one.name for one in SUITE.scenarios]))  # fmt: skip
@click.option("--problem", "problems", multiple=True, metavar="NAME", help="Take only this problem; may be repeated.",
              shell_complete=names(lambda: [one.name for one in SUITE.tasks]))  # fmt: skip
@click.option("--quick", is_flag=True, help="Take fewer cells and half of the seeds. This takes about 10 seconds.")
@click.option("--builtin", "again", is_flag=True, help="Run all built-in contestants again.")
@click.option("--learn-staleness", "learning", is_flag=True,
              help="Do not tell the rule the staleness of a scenario beforehand. Its scales are then 1 at first."
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="How many processes run at a time.  [default: one per core]"
)
@click.option("-o", "--out", "outs", multiple=True, type=click.Path(), metavar="FILE", callback=_files,
              help="Write a page (.html), results (.json) or a figure (.png, .pdf, .svg); may be repeated."
)  # fmt: skip
@click.option("--force", is_flag=True, is_eager=True, help="Overwrite these files if they exist.")
@QUIET
@JSON
def command(
    contestants: tuple[str, ...], listed: bool, scenarios: tuple[str, ...], problems: tuple[str, ...], quick: bool,
    again: bool, learning: bool, jobs: int | None, outs: tuple[str, ...], force: bool, quiet: bool, as_json: bool,
    **given: Any,
) -> None:  # fmt: skip
    """Let a step-size rule compete with the built-in ones, in a fixed suite of scenarios and problems.

    RULE is the text of a rule, FILE.py:FUNCTION, or the name of a built-in contestant. Only the given rules run, each
    at its own best step size and at that of constant. The results of the built-in contestants come with asapnb.
    Without RULE the command shows them. A file of results takes part without running again.
    """
    suite = (SUITE.quickly() if quick else SUITE).only(scenarios, problems)
    screen = console(quiet=quiet or as_json)
    if listed:
        _list(suite, screen, as_json)
        return
    settings = said(given, "simulate")
    entered, known = _entered(contestants, settings, again, learning)
    with ExitStack() as showing:
        showing.enter_context(announced(console(stderr=True, quiet=quiet)))
        ran = list(_run(entered, suite, jobs or at_once(), console(stderr=True, quiet=quiet)))
    mine = {one.name: one for one in (*known, *ran)}
    found = standings(list({one.name: one for one in (*load_builtin(), *mine.values())}.values()), suite)
    for out in outs:
        _write(out, found, mine, force)
    if as_json:
        standing = [dict(zip(_KEYS, row, strict=True)) for row in standing_table(found).rows]
        echo(to_json({**here(), "standings": standing, "results": [one.document() for one in mine.values()]}))
        return
    screen.print(_shown(standing_table(found, mine), mine))
    for name in mine if len(mine) <= 2 else ():
        screen.print("", _shown(cell_table(found[name], suite)), sep="\n")
    _close(ran, screen)
    for out in outs:
        screen.print(f"{click.format_filename(out)} written", style="dim")


for _name in SETTINGS:
    command.params.append(flag(_name, "simulate"))


def _entered(
    texts: Iterable[str], settings: Mapping[str, Any], again: bool, learning: bool
) -> tuple[list[Contestant], list[Result]]:
    """Those that have to run, and the results of files."""
    files = [text for text in texts if text.endswith(_RESULTS)]
    rules = [text for text in texts if not text.endswith(_RESULTS)]
    if (settings or learning) and not rules:
        raise UsageError(
            f"{', '.join(settings) or '--learn-staleness'} is given, but no rule to run with it: give one, such as "
            "constant"
        )
    known = [one for file in files for one in read_results(file)[0]]
    ours = {one.name: one for one in builtin() if not (settings or learning)}
    entered = [ours.get(rule) or contestant(rule, knows_staleness=not learning, **settings) for rule in rules]
    entered[:0] = builtin() if again else []
    named = [one.name for one in known] + [one.name for one in entered]
    if twice := [name for name in dict.fromkeys(named) if named.count(name) > 1]:
        raise UsageError(f"{', '.join(twice)}: given twice. Leave one out, or change its name in the file of results")
    return entered, known


def _run(entered: Iterable[Contestant], suite: Suite, jobs: int, screen: Console) -> Iterable[Result]:
    for one in entered:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
            task = bar.add_task(one.name, total=len(suite.cells) + len(suite.scenarios))

            def progress(
                name: str, done: int, total: int, bar: Progress = bar, task: Any = task, one: Any = one
            ) -> None:
                bar.update(task, completed=done, total=total, description=f"{one.name}: {name}")

            yield compete(one, suite=suite, jobs=jobs, progress=progress)


def _list(suite: Suite, screen: Console, as_json: bool) -> None:
    tables = [scenario_table(suite), problem_table(suite)]
    computed = {one.name for one in load_builtin()}
    contestants = tuple(
        (one.name, str(one.rule), ", ".join(f"{key}={value}" for key, value in one.settings.items()) or None,
         "in the table" if one.name in computed else "not computed")
        for one in builtin()
    )  # fmt: skip
    tables.append(Table("Built-in contestants", ("contestant", "rule", "settings", "results"), contestants))
    if as_json:
        parts = {name: [dict(zip(one.columns, row, strict=True)) for row in one.rows]
                 for name, one in zip(("scenarios", "problems", "contestants"), tables, strict=True)}  # fmt: skip
        echo(to_json({"suite": suite.version, **parts}))
        return
    for one in tables:
        screen.print(_shown(one), "", sep="\n")
    screen.print(f"{len(suite.cells)} cells: not every problem meets every scenario.", style="dim")


def _shown(table: Table, mine: Iterable[str] = ()) -> Any:
    """A table for a terminal, with the rows of some contestants emphasised."""
    from rich.console import Group

    text = [name for name, numeric in zip(table.columns, table.numeric, strict=True) if not numeric]
    lines = Columns(*table.columns, left=[name for name in text if name in _LEFT])
    for row in table.rows:
        lines.add_row(*map(shown, row), style="bold" if set(row) & set(mine) else "")
    return Group(Text(table.title, "bold"), lines, *(Text(note, "dim") for note in table.notes))


_LEFT = (
    "contestant", "rule", "settings", "results", "scenario", "problem", "problems", "stands for", "timing",
    "what it is",
)  # fmt: skip


def _write(out: str, found: Any, mine: Mapping[str, Result], force: bool) -> None:
    ending = Path(out).suffix.lower()
    if ending == _RESULTS:
        text = results_as_json(mine.values() or load_builtin())
        put_in_place(checked_target(out, force), lambda part: part.write_text(text, encoding="utf-8"))
    elif ending in _PAGES:
        from asapnb.report.arena import arena_page

        arena_page(found, out, mine, force)
    else:
        from asapnb.plots import arena

        save(arena(found, mine), out, force=force)


def _close(ran: Iterable[Result], screen: Console) -> None:
    """What there is to say of the computing."""
    if not (ran := list(ran)):
        return
    seconds = sum(one.seconds for one in ran)
    screen.print(f"\n{seconds:.0f} s of CPU for {len(ran)} contestant{'s' * (len(ran) > 1)}", style="dim")
    same, total = same_times(ran)
    if total:
        share = f"All {total:,}" if same == total else f"{same:,} of {total:,}"
        screen.print(f"{share} runs took the same number of updates as in the table that comes with asapnb.")
    if note := kernel_note(computed_on()):
        screen.print(note, style="yellow")
