"""`asapnb rules`."""

import os
from typing import Any

import click
import numpy as np
from rich.text import Text

from asapnb.errors import UsageError
from asapnb.record import load_run, to_json
from asapnb.rules import CONDITIONS, RULES, Report, available, check, examples, parse_rule
from asapnb.rules.context import OUTSIDE
from asapnb.rules.tables import table_length
from asapnb.staleness import StalenessDistribution, parse_staleness
from asapnb.staleness.bins import bins_of, span
from asapnb.training.following import row

from . import FAILED
from .completion import of_key
from .options import JSON
from .streams import echo
from .text import Columns, console, pairs

_LISTED = 100  # distributions that `list` draws for each rule

_COUNT = click.IntRange(0)
_workers = click.option(
    "-m", "--workers", type=click.IntRange(1), metavar="N",
    help="The number of workers that the rule is told.  [default: that of the run, or mean staleness + 1]",
)  # fmt: skip
_seed = click.option("--seed", type=_COUNT, default=0, metavar="N", help="The seed of the search.")


@click.group("rules")
def command() -> None:
    """List the step-size rules, show one, or check it against the conditions C1 to C4.

    \b
    C1  E[scale] = 1: the mean step is kept
    C2  a stale update never counts for more than a fresher one
    C3  0 <= scale <= c: scales are bounded and not negative
    C4  fresh updates are scaled up, stale ones down
    """


@command.command("list")
@click.option("--search", type=_COUNT, default=_LISTED, metavar="N",
              help="How many distributions the search draws for each rule.")  # fmt: skip
@_seed
@JSON
def list_(search: int, seed: int, as_json: bool) -> None:
    """List the rules, with their sources and conditions.

    A condition (C1 to C4) has "yes" if it holds under every staleness distribution that a search draws.
    """
    lines = available()
    found = {name: check(rule, tries=search, seed=seed) for name, rule in examples().items()}
    if as_json:
        echo(
            to_json(
                [
                    {"name": name, "about": lines[name], "source": RULES[name].source, **_document(found[name])}
                    for name in found
                ]
            )
        )
        return
    screen = console()
    table = Columns("rule", *CONDITIONS, "source", "scale", left=("rule", "source", "scale"))
    for name, report in found.items():
        holds = [Text("yes", "green") if finding.holds else Text("no", "red") for finding in report.findings]
        table.add_row(name, *holds, RULES[name].source, lines[name])
    screen.print(table)
    partly = ", ".join(name for name, report in found.items() if report.notes)
    screen.print(f"For {partly} only the scale table is checked, not the scale that each update gets.", style="dim")


@command.command()
@click.argument("rule", shell_complete=of_key("rule"))
@click.option(
    "--staleness", default="geometric(m=16)", metavar="RUN.h5|TEXT", help="The staleness: that of a run, or a text."
)
@_workers
@JSON
def show(rule: str, staleness: str, workers: int | None, as_json: bool) -> None:
    """Show the scales of RULE under a staleness distribution.

    It also shows their mean, their variance and the effective delay.
    """
    chosen = parse_rule(rule)
    given, workers = _given(staleness, workers)
    seen = parse_staleness(given) if isinstance(given, str) else given
    workers = workers or 1 + round(seen.mean())
    padded = seen.padded(table_length(workers, seen.support))
    scales = chosen(padded, workers)
    facts: dict[str, Any] = {
        "rule": str(chosen),
        "staleness": staleness,
        "workers": workers,
        "mean_staleness": seen.mean(),
        "mean_scale": chosen.mean_scale(padded, workers),
        "effective_delay": chosen.effective_delay(padded, workers),
        "scale_variance": chosen.scale_variance(padded, workers),
        "schedule": None if chosen.schedule is None else str(chosen.schedule),
    }
    if as_json:
        echo(to_json({**facts, "pmf": padded.pmf, "scales": scales}))
        return
    screen = console()
    screen.print(Text(facts["rule"], "bold"))
    entry = RULES.get(chosen.name)
    spread = f"mean {seen.mean():.2f}, 99th percentile {seen.quantile(0.99):,.0f}, largest {seen.support:,}"
    screen.print(pairs([
        ("source", entry.source if entry else ""),
        ("staleness", f"{staleness}: {spread}"),
        ("workers", f"{workers:,}"),
        ("mean scale", f"{facts['mean_scale']:.4f}"),
        ("scale variance", f"{facts['scale_variance']:.4f}"),
        ("effective delay", f"{facts['effective_delay']:.2f} updates"),
        ("told", ", ".join(f"{name} = {getattr(OUTSIDE, name)}" for name in chosen.sees)),
        ("schedule", f"{chosen.schedule} multiplies each scale" if chosen.schedule else ""),
    ]))  # fmt: skip
    screen.print("", _plot(padded, scales, min(screen.width, 100)), sep="\n")


@command.command("check")
@click.argument("rule", shell_complete=of_key("rule"))
@click.option("--staleness", metavar="RUN.h5|TEXT", help="Check under this staleness only.  [default: search]")
@_workers
@click.option("--search", type=_COUNT, default=500, metavar="N", help="How many distributions a search draws.")
@_seed
@JSON
@click.pass_context
def check_(
    ctx: click.Context, rule: str, staleness: str | None, workers: int | None, search: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Check RULE against the conditions C1 to C4.

    RULE is the text of a rule, or FILE.py:NAME. The exit code is 0 if C1 to C3 hold, else 1.
    """
    given, workers = (None, workers) if staleness is None else _given(staleness, workers)
    report = check(parse_rule(rule), given, workers, seed=seed, tries=search)
    if as_json:
        echo(to_json(_document(report)))
    else:
        screen = console()
        screen.print(Text.assemble((str(report.rule), "bold"), f" under {report.scope}"))
        for name, verdict, text, under in report.rows():
            style = "green" if verdict == "holds" else "bold red"
            screen.print(Text.assemble(f"{name}  ", (verdict, style), f"  {text}", f", under {under}" * bool(under)))
        for note in report.notes:
            screen.print(note)
    ctx.exit(0 if report else FAILED)


def _given(text: str, workers: int | None) -> tuple[StalenessDistribution | str, int | None]:
    """The staleness and the workers of a run file, or else the text itself."""
    if not (text.endswith(".h5") or os.path.isfile(text)):
        return text, workers
    run = load_run(text)
    if run.staleness.is_empty:
        raise UsageError(f"{text} holds no updates, so no staleness was seen: give another run, or 'geometric(m=16)'")
    return run.staleness, workers or int(run.attributes["workers"])


def _document(report: Report) -> dict[str, Any]:
    fields = ("condition", "holds", "violation", "tau", "value", "text", "witness", "workers")
    return {
        "rule": str(report.rule),
        "holds": bool(report),
        "searched": report.searched,
        "bound": report.bound,
        "conditions": [{name: getattr(finding, name) for name in fields} for finding in report.findings],
        "notes": report.notes,
    }


def _plot(staleness: StalenessDistribution, scales: np.ndarray, width: int) -> Text:
    """For each bin of staleness a bar for its share, and a point for its mean scale."""
    ranges = bins_of(staleness)
    labels = [span(*ends) for ends in ranges]
    shares = [float(staleness.pmf[first : last + 1].sum()) for first, last in ranges]
    means = [
        float(np.average(scales[first : last + 1], weights=staleness.pmf[first : last + 1] if share else None))
        for (first, last), share in zip(ranges, shares, strict=True)
    ]
    if staleness.support + 1 < len(scales):  # beyond the distribution the rule's formula goes on
        labels.append(f"{staleness.support + 1:,} …")
        shares.append(0.0)
        means.append(float(scales[staleness.support + 1]))
    widths = (max(9, *map(len, labels)), 8, 9)
    room = width - sum(widths) - 3
    top = max(1.0, *means)
    axis = f"0{f'scale {top:.3g}':>{room - 1}}"
    lines = [Text(f"{row(('staleness', 'share', 'scale'), widths)}  {axis}", "dim")]
    for label, share, mean in zip(labels, shares, means, strict=True):
        line = Text(row((label, f"{share:.1%}", f"{mean:.4f}"), widths) + "  ")
        line.append_text(_drawn(share / max(shares), mean / top, 1.0 / top, room)).rstrip()
        lines.append(line)
    lines.append(Text("░ share of updates   │ scale 1   ● scale", "dim"))
    return Text("\n").join(lines)


def _drawn(share: float, scale: float, one: float, room: int) -> Text:
    """A bar, a line at scale 1 and a point at the scale; lengths are shares of `room`.

    >>> _drawn(0.5, 1.0, 0.7, 10).plain
    '░░░░░ │  ●'
    """
    filled = max(round(share * room), int(share > 0))
    cells = [("░", "cyan")] * filled + [(" ", "")] * (room - filled)
    cells[round(one * (room - 1))] = ("│", "dim")
    cells[round(scale * (room - 1))] = ("●", "bold green" if scale >= one else "bold yellow")
    return Text.assemble(*cells)
