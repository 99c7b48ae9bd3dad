"""`asapnb show`."""

from typing import Any

import click
from rich.text import Text

from asapnb.formatting import shortened
from asapnb.record import Run, load_run, to_json

from .options import JSON
from .streams import echo
from .text import console, document, evaluations, histogram, microscope_table, pairs, size, summary


@click.command("show")
@click.argument("run", type=click.Path(), metavar="RUN.h5")
@JSON
def command(run: str, as_json: bool) -> None:
    """Show what a run file holds: how the run ended, its evaluations, staleness and configuration."""
    loaded = load_run(run)
    if as_json:
        echo(to_json(document(loaded)))
        return
    screen = console()
    for title, text in (
        ("", summary(loaded)),
        ("Evaluations", evaluations(loaded)),
        ("Staleness", histogram(loaded, min(screen.width, 100))),
        *([("Microscope", microscope_table(loaded))] if loaded.microscope else []),
        ("Configuration", pairs((name, shortened(value)) for name, value in loaded.config.items())),
        *([("Code", _code(loaded))] if loaded.code else []),
        ("Origin", _origin(loaded)),
    ):
        if title:
            screen.print(f"\n{title}", style="bold")
        screen.print(text)


def _origin(run: Run) -> Text:
    """When, where and with what the run was made."""
    facts, place = run.attributes, run.attributes["machine"]
    versions = facts["versions"]
    return pairs([
        ("file", f"{run.path}, {size(run.path)}, schema {facts['schema']}"),
        ("made", f"{facts['created_utc']} by asapnb {versions['asapnb']}, numba {versions['numba']}"),
        ("machine", f"{place['cpu']}, {place['allowed']} of {place['cpus']} CPUs{_quota(place)}, "
                    f"{place['kernels']} kernels"),
        ("command", facts.get("command", "")),
        ("clock", facts["clock"]),
        ("replayed", _replayed(facts.get("replayed"), facts.get("exact"))),
        ("resumed", ", ".join(f"from update {entry['version']:,}" for entry in facts.get("resumed", []))),
    ])  # fmt: skip


def _code(run: Run) -> Text:
    """The code that is not of asapnb: its digest and parameters, and its source text, which is only shown."""
    said = []
    for piece in run.code or ():
        given = "".join(f", {name} = {value}" for name, value in piece.parameters.items())
        why = f", which equals no other, as {piece.unknown}" if piece.unknown else ""
        said += [f"{piece.kind} {piece.name}{given}: digest {piece.digest}{why}", piece.listing]
    return Text("\n".join(filter(None, said)))


def _quota(place: dict[str, Any]) -> str:
    """The quota of the container it ran in; earlier files do not say."""
    return f" with a quota of {place['quota']:g}" if place.get("quota") else ""


def _replayed(source: dict[str, Any] | None, exact: bool | None) -> str:
    """The run that was replayed; empty if this is no replay."""
    if source is None:
        return ""
    same = "the same" if exact else "other"
    where = source["path"] or "a run in memory"
    return f"{where}, kind {source['kind']}, made {source['created_utc']}, by {same} kernels and versions"
