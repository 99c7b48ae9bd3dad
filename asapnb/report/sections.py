"""Sections of a report: runs of one kind on one problem, with their own tables and charts."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..analysis import Record, Table, Target, comparison, grouped, varying
from ..analysis.comparison import reached_fractions
from ..analysis.names import code_listing, plainly
from ..analysis.overview import seconds_name
from ..errors import AsapnbError
from ..formatting import count, measured
from ..record.figures import ranks_in
from ..record.owner import owner_of
from ..record.schema import EARLY, METRICS, RUNNING
from .charts import Chart
from .curves import loss_chart
from .figures import Picture, pictures
from .points import runs_chart
from .staleness import staleness_chart
from .targets import target_chart

_APART = ("kind", "data", "problem")
_KINDS = {"train": "Training on threads", "simulate": "Simulation in virtual time", "replay": "Replays"}
_GOOD = ("finished", *EARLY)
_ROWS = 10_000  # the most rows of a table
_DRAWN = 8  # the most sections that have figures, each of which takes about a second
_VALUES, _SEEDS = 200, 40  # the most values of a fact, and seeds
Facts = list[tuple[str, list[str]]]  # a name, and its values


@dataclass(frozen=True)
class Section:
    """Runs of one kind, data set and problem.

    Attributes:
        name, title: its id in the page, and its heading.
        statuses: how many runs ended how.
        facts: what was run, where and with what.
        notes: remarks, such as why runs could not be compared.
        tables: those of `asapnb compare`.
        unfinished: the runs that did not finish; None if all did.
        runs: every run.
        code: each piece of code of one's own: what it is, and its source text.
        error: why the runs could not be compared; None if they could.
    """

    name: str
    title: str
    statuses: Mapping[str, int]
    facts: Facts
    notes: Sequence[str]
    charts: Sequence[Chart]
    tables: Sequence[Table]
    pictures: Sequence[Picture]
    unfinished: Table | None
    runs: Table
    code: Sequence[tuple[str, str]] = ()
    error: AsapnbError | None = None

    @property
    def size(self) -> int:
        """How many runs there are."""
        return sum(self.statuses.values())

    @property
    def odd(self) -> int:
        """How many of them did not finish."""
        return sum(n for status, n in self.statuses.items() if status not in _GOOD)


def sections(
    records: Sequence[Record], targets: Sequence[Target], baseline: Mapping[str, Any] | None, clock: str
) -> list[Section]:
    """A section for each kind, data set and problem.

    Args:
        records: the runs.
        targets, baseline, clock: as in `asapnb.analysis.comparison`.

    Raises:
        AsapnbError: if the runs of no section can be compared: the error of the first.
    """
    keys = [key for key in _APART if any(record.value(key) is not None for record in records)]
    parts = grouped(records, keys).values()
    found = [_section(n, len(parts), some, targets, baseline, clock) for n, some in enumerate(parts, 1)]
    errors = [section.error for section in found if section.error is not None]
    if errors and len(errors) == len(found):
        raise errors[0]
    return found


def _section(
    number: int,
    of: int,
    records: list[Record],
    targets: Sequence[Target],
    baseline: Mapping[str, Any] | None,
    clock: str,
) -> Section:
    name, (kind, data, problem) = f"section-{number}", (records[0].value(key) for key in _APART)
    known = [record for record in records if len(record.curve())]
    notes = []
    if len(known) < len(records):
        notes.append(
            f"{len(records) - len(known)} of these runs have no evaluation yet: they are listed, and in no chart."
        )
    tables, charts, error = [], [], None
    if known:
        try:
            targets = list(targets) or reached_fractions(known)
            made = comparison(known, targets, baseline=baseline, clock=clock)
            tables = [cut(table, "asapnb compare --format csv") for table in made]
        except AsapnbError as problem_found:
            error, targets = problem_found, []
            notes.append(f"These runs are not compared: {error}")
        drawn = (
            loss_chart(known, f"{name}-loss", of),
            target_chart(known, targets, f"{name}-target"),
            runs_chart(known, f"{name}-runs"),
            staleness_chart(known, f"{name}-staleness"),
        )
        charts = [chart for chart in drawn if chart is not None]
    if known and number > _DRAWN:
        notes.append(f"Figures are drawn for the first {_DRAWN} sections. To see those of these runs: asapnb plot")
    odd = [record for record in records if record.status not in _GOOD]
    (problem,) = plainly([problem])
    title = f"{_KINDS.get(kind, kind)}: {problem}" + (f" on {data}" if data else "")
    return Section(
        name, title, Counter(map(state, records)), _facts(records), notes, charts, tables,
        pictures(known, targets, baseline) if known and number <= _DRAWN else [],
        _listing(odd, "Runs that did not finish") if odd else None, _listing(records, "Every run"),
        code_listing(record.run for record in records), error,
    )  # fmt: skip


def state(record: Record) -> str:
    """How a run ended; for a run that is recorded as running although nobody writes its file, that it was killed."""
    if record.status != RUNNING or (record.path is not None and owner_of(record.path.resolve()) is not None):
        return record.status
    return "killed, or running elsewhere"


def _listing(records: Sequence[Record], title: str) -> Table:
    """A row for each run."""
    keys = [key for key in varying(records) if key not in (*_APART, "seed")]
    columns, rows = [plainly(record.value(key) for record in records) for key in keys], []
    for i, record in enumerate(records):
        facts = record.summary()
        last = facts["last"] or {}
        rows.append((
            record.path.name if record.path else "in memory", state(record), *(column[i] for column in columns),
            str(record.value("seed")), facts["updates"], facts["seconds"], last.get("train_loss"),
            facts["staleness"]["mean"], *(measured(last.get(metric.column)) for metric in METRICS),
        ))  # fmt: skip
    head = ("file", "status", *keys, "seed", "updates", seconds_name(records), "training loss", "mean τ",
            *(metric.title.removeprefix("test ") for metric in METRICS))  # fmt: skip
    figures, metrics = len(head) - len(METRICS), range(len(head) - len(METRICS), len(head))
    kept = [*range(figures), *(i for i in metrics if any(row[i] is not None for row in rows))]
    made = Table(title, tuple(head[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in rows))
    return cut(made, "asapnb export --table runs")


def _facts(records: Sequence[Record]) -> Facts:
    """What was run, with what, when and where; if values differ, each of them with its number of runs."""
    vary = varying(records)
    facts: Facts = [
        (key.replace("_", " "), _counted(plainly(record.value(key) for record in records)))
        for key in vary
        if key != "seed"
    ]
    seeds = sorted({str(record.value("seed")) for record in records}, key=lambda seed: (len(seed), seed))
    facts.append(("seeds", [f"{len(seeds):,}: {', '.join(_first(seeds, _SEEDS))}" if len(seeds) > 1 else seeds[0]]))
    same = {key: value for key, value in records[0].config.items() if key not in (*vary, "seed", *_APART)}
    facts.append(("in common", [f"{key} = {value}" for key, value in same.items()]))
    attributes = [record.run.attributes for record in records]
    made = sorted(of["created_utc"] for of in attributes)
    facts += [
        ("size", _counted(f"{of['n_params']:,} parameters, {of['n_samples']:,} samples" for of in attributes)),
        ("data, SHA-256", _counted(of.get("data_sha256") for of in attributes)),
        ("clock", _counted(of.get("clock") for of in attributes)),
        ("machine", _counted(_machine(of.get("machine", {})) for of in attributes)),
        ("host", _counted(of.get("host") for of in attributes)),
        ("ranks", _counted(ranks_in(of) or None for of in attributes)),
        ("versions", _counted(", ".join(f"{k} {v}" for k, v in of.get("versions", {}).items()) for of in attributes)),
        ("made", [made[0] if made[0] == made[-1] else f"{made[0]} to {made[-1]}"]),
        ("command", _counted(of.get("command") for of in attributes)),
    ]
    return [(name, values) for name, values in facts if values]


def _counted(values: Iterable[Any]) -> list[str]:
    """The different values; if there are several, each with its number of runs."""
    counts = Counter(values)
    counts.pop(None, None)
    return _first([f"{value}" + (f" ({count(n, 'run')})" if len(counts) > 1 else "") for value, n in sorted(
        counts.items(), key=lambda item: (isinstance(item[0], str), item[0]))])  # fmt: skip


def _first(values: list[str], most: int = _VALUES) -> list[str]:
    """The first of many values, with the number of the others."""
    return values if len(values) <= most else [*values[:most], f"and {len(values) - most:,} more"]


def cut(table: Table, whole: str) -> Table:
    """A table without its last rows if there are too many for a page; a note says what shows all of them."""
    if len(table.rows) <= _ROWS:
        return table
    note = f"The first {_ROWS:,} of {len(table.rows):,} rows; all: {whole}"
    return replace(table, rows=table.rows[:_ROWS], notes=(note, *table.notes))


def _machine(of: Mapping[str, Any]) -> str:
    memory = f", {of['memory'] / 2**30:.0f} GiB" if of.get("memory") else ""
    threads = "".join(f", {name}={value}" for name, value in (of.get("threads") or {}).items())
    cpus = f"{of.get('cpu', 'unknown')}, {of.get('allowed')} of {of.get('cpus')} CPUs"
    return f"{cpus}{memory}, {of.get('kernels')} kernels, {of.get('platform')}{threads}"


def title_of(paths: Sequence[Any]) -> str:
    """A title that names the files and folders given."""
    names = [os.path.basename(os.path.normpath(path)) for path in paths if isinstance(path, str | os.PathLike)]
    return f"Report on {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}" if names else "Report on runs"
