"""`asapnb show`."""

from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.text import Text

from asapnb.data.recorded import preparation_in
from asapnb.formatting import number, shortened
from asapnb.record import Run, load_run, to_json
from asapnb.record.changes import in_words
from asapnb.record.figures import ranks_in

from .options import JSON
from .streams import echo
from .text import console, document, evaluations, histogram, microscope_table, mpi_text, pairs, size, summary


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
        *([("Data", _data(loaded))] if loaded.attributes.get("data") else []),
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
        ("ranks", ranks_in(facts)),
        ("hosts", shortened("; ".join(_hosts(facts.get("hosts", {}))))),
        ("MPI", mpi_text(facts.get("mpi", {}))),
        ("command", facts.get("command", "")),
        ("clock", facts["clock"]),
        ("replayed", _replayed(facts.get("replayed"), facts.get("exact"))),
        ("changed", in_words(run)),
        ("resumed", ", ".join(f"from update {entry['version']:,}" for entry in facts.get("resumed", []))),
    ])  # fmt: skip


def _hosts(machines: Mapping[str, Any]) -> Iterator[str]:
    """What each host of a run on MPI is, where there are several; those that are alike together."""
    alike: dict[str, list[str]] = {}
    for host, of in machines.items():
        alike.setdefault(f"{of['cpu']}, {of['allowed']} of {of['cpus']} CPUs", []).append(host)
    for what, hosts in alike.items() if len(machines) > 1 else ():
        yield f"{', '.join(hosts)}: {what}"


def _data(run: Run) -> Text:
    """What the data was, where it was, and how it was prepared."""
    facts = run.attributes["data"]
    made = preparation_in(facts, str(run.path))
    rows = [
        ("data", run.config.get("data", "")),
        ("path", facts.get("path") or ""),
        ("SHA-256", run.attributes.get("data_sha256") or ""),
        ("sample", f"{'×'.join(map(str, facts['shape']))} {facts.get('inputs', '')}"),
        ("classes", _listed(facts.get("classes", 0))),
    ]
    if made is not None:
        rows += [
            ("target", ", ".join(made.targets)),
            ("columns", shortened(", ".join(made.columns))),
            *((f"{name} is", shortened(", ".join(values))) for name, values in made.categories.items()),
            ("filled in", shortened(", ".join(f"{name} {number(value)}" for name, value in made.fill.items()))),
            ("scaled", shortened("; ".join(f"{name}: mean {number(mean)}, deviation {number(made.deviation[name])}"
                                           for name, mean in made.mean.items()))),
        ]  # fmt: skip
    return pairs(rows)


def _listed(classes: Any) -> str:
    """The names of classes, or how many numbers there are."""
    if isinstance(classes, list):
        return shortened(", ".join(map(str, classes)))
    return f"{classes}" if classes else ""


def _code(run: Run) -> Text:
    """The code that is not of asapnb: its digest and parameters, and its source text, which is only shown."""
    said = []
    for piece in run.code or ():
        given = "".join(f", {name} = {value}" for name, value in piece.parameters.items())
        why = f", which equals no other, because {piece.unknown}" if piece.unknown else ""
        said += [f"{piece.kind} {piece.name}{given}: digest {piece.digest}{why}", piece.listing]
    return Text("\n".join(filter(None, said)))


def _quota(place: dict[str, Any]) -> str:
    """The quota of the container it ran in; earlier files do not say."""
    return f" with a quota of {place['quota']:g}" if place.get("quota") else ""


def _replayed(source: dict[str, Any] | None, exact: bool | None) -> str:
    """The run that was replayed; empty if this is no replay."""
    if source is None:
        return ""
    same = (
        "by the same kernels and versions"
        if exact
        else "by other kernels or versions, or the run ended in the middle of updates"
    )
    where = source["path"] or "a run in memory"
    return f"{where}, kind {source['kind']}, made {source['created_utc']}, {same}"
