"""Tables of what the runs are and how they ended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from ..formatting import count
from ..record.schema import EARLY, METRICS
from ..rules.registry import RULES
from .names import plainly, unmarked, unrecorded
from .records import Record, grouped, seeds, varying
from .speed import magnitude
from .statistics import wilson
from .tables import Cell, Table, shown, table

_LONGEST = 24  # characters of a list of seeds
TOLERANCE = 0.05  # by which mean scales may differ before runs are said to be of unequal magnitude
_STATUSES = (*EARLY, "diverged", "timed-out", "interrupted", "failed", "running")
_SAME = ("problem", "data", "scheme", "rule", "workers", "step_size", "batch_size")  # said once if they do not vary


def overview(records: Sequence[Record], by: Sequence[str]) -> Table:
    """A row for each group of runs: how they ended, and medians of their figures."""
    rows, burnt = [], any(record.summary()["burn_in"]["updates"] for record in records)
    clock, mixed, vary = seconds_name(records), mixed_clocks(records), varying(records)
    for values, group in grouped(records, by).items():
        facts = [record.summary() for record in group]
        begun = [one["burn_in"] for one in facts] if burnt else []
        last = [one["last"] or {} for one in facts]
        statuses = Counter(record.status for record in group)
        status = ", ".join(f"{n} {name}" if len(statuses) > 1 else name for name, n in statuses.most_common())
        figures: dict[str, Cell] = {
            "runs": len(group),
            "seeds": _listed(seeds(group)),
            "status": status,
            "updates": _median(one["updates"] for one in facts),
            clock: None if mixed else _median(one["seconds"] for one in facts),
            "training loss": _median(one.get("train_loss") for one in last),
            "test loss": _median(_known(one.get("test_loss"), one) for one in last),
            **{
                metric.title.removeprefix("test "): _median(_known(one.get(metric.column), one) for one in last)
                for metric in METRICS
            },
            "mean τ": _median(one["staleness"]["mean"] for one in facts),
            "mean scale": _median(one["mean_scale"] for one in facts),
            "burn-in": _median(one["updates"] for one in begun),
            "scale after": _median(one["mean_scale_after"] for one in begun),
            "Ση": _median(one["sum_of_steps"] for one in facts),
        }
        rows.append((values, figures))
    kept = {name for _, figures in rows for name, figure in figures.items() if figure is not None}
    rows = [(values, {name: figures[name] for name in figures if name in kept}) for values, figures in rows]
    same = [f"{key}={unmarked(records[0].value(key))}" for key in _SAME if key not in vary and records]
    notes = [f"All runs: {', '.join(same)}"] if same else []
    if len(records) > len(rows):
        notes.append("Figures are medians over the runs of a row.")
    notes += [*clock_notes(records), *burn_in_notes(records, by), *magnitude_notes(records, by)]
    notes += unrecorded([record.run for record in records], RULES)
    return table(count(len(records), "run"), by, rows, notes)


def outcomes(records: Sequence[Record], by: Sequence[str], confidence: float) -> Table:
    """A row for each group of runs: the share of each way to end that occurs, with Wilson's interval."""
    there = [status for status in _STATUSES if any(record.status == status for record in records)]
    rows = []
    for values, group in grouped(records, by).items():
        figures: dict[str, Cell] = {"runs": len(group)}
        for status in there:
            count = sum(record.status == status for record in group)
            low, high = wilson(count, len(group), confidence)
            share = count / len(group)
            figures |= {status: count, f"{status} share": share, f"{status} from": low, f"{status} to": high}
        rows.append((values, figures))
    note = f"from, to: Wilson's {100 * confidence:g} % intervals of the shares"
    return table("How the runs ended", by, rows, [note])


def clock_notes(records: Sequence[Record]) -> list[str]:
    """Notes on seconds: that they cannot be compared, or come from machines of different sizes."""
    clocks = sorted({record.clock for record in records})
    if mixed_clocks(records):
        return [f"Seconds are left out: these runs are on different clocks ({', '.join(clocks)})."]
    cores = sorted({record.cores for record in records if record.cores and not record.is_virtual})
    return [f"Seconds are those of machines with {' and '.join(map(str, cores))} cores."] * (len(cores) > 1)


def burn_in_notes(records: Sequence[Record], by: Sequence[str]) -> list[str]:
    """What the burn-in is, and a warning where some groups had one with scale 1 and others none."""
    begun = {values: [one.summary()["burn_in"] for one in group] for values, group in grouped(records, by).items()}
    if not any(one["updates"] for group in begun.values() for one in group):
        return []
    notes = ["burn-in: updates before the rule's first table; scale after: the mean scale of the later updates."]
    waited = {
        values: max(one["updates"] for one in group if one["made_from"] == "nothing")
        for values, group in begun.items()
        if any(one["made_from"] == "nothing" and one["updates"] for one in group)
    }
    acting = [values for values, group in begun.items() if _acts(group)]
    if not waited or not acting:
        return notes
    called = dict(zip(begun, plainly_grouped(by, list(begun)), strict=True))
    longest, most = max(waited.items(), key=itemgetter(1))
    return [
        *notes,
        f"Uneven burn-in: all scales were 1 for up to {count(most, 'update')} ({called[longest]}), while others "
        f"acted at once ({called[acting[0]]}); with a prior, such as --prior 'geometric(m=…)', all act at once.",
    ]


def _acts(begun: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the rule of some run had scales other than 1 from the start."""
    return any(
        one["made_from"] == "prior" or (one["made_from"] == "rule" and one["mean_scale_after"] != 1) for one in begun
    )


def plainly_grouped(by: Sequence[str], groups: Sequence[Sequence[Any]]) -> list[str]:
    """The values of groups as they are shown together in a note: with marks of code where they are needed."""
    columns = [plainly(column) for column in zip(*groups, strict=True)]
    return (
        [said(dict(zip(by, values, strict=True))) for values in zip(*columns, strict=True)]
        if by
        else [""] * len(groups)
    )


def magnitude_notes(records: Sequence[Record], by: Sequence[str]) -> list[str]:
    """A warning where the realised mean scales of groups differ, so that their steps are of unequal size."""
    scales = [(magnitude(group), values) for values, group in grouped(records, by).items()]
    found = sorted(((scale, values) for scale, values in scales if not np.isnan(scale)), key=itemgetter(0))
    if len(found) < 2 or found[-1][0] <= (1 + TOLERANCE) * found[0][0]:
        return []
    shown_groups = plainly_grouped(by, [values for _, values in found])
    (low, *_, high), (fewest, *_, greatest) = [scale for scale, _ in found], shown_groups
    least, most = f"{shown(low)} ({fewest})", f"{shown(high)} ({greatest})"
    return [
        f"Unequal magnitude: mean scales from {least} to {most}. Such runs also differ in the size of their steps. "
        "preserve(rule) keeps the mean step, and Ση is a clock that counts it."
    ]


def seconds_name(records: Sequence[Record]) -> str:
    """A heading for seconds, with the name of their clock."""
    clocks = {record.clock for record in records}
    return f"{clocks.pop()} s" if len(clocks) == 1 else "seconds"


def said(values: Mapping[str, object]) -> str:
    """Keys and values as text.

    >>> said({"rule": "tail", "workers": 4})
    'rule=tail, workers=4'
    """
    return ", ".join(f"{key}={value}" for key, value in values.items())


def mixed_clocks(records: Sequence[Record]) -> bool:
    """Whether some of the runs are in virtual and some in real time, so that seconds cannot be compared."""
    return len({record.is_virtual for record in records}) > 1


def _known(value: float | None, evaluation: dict[str, Any]) -> float | None:
    """None for a NaN that means "not evaluated", as in a run whose training loss is finite."""
    return None if value is None or (np.isnan(value) and np.isfinite(evaluation["train_loss"])) else value


def _median(values: Iterable[float | None]) -> float | None:
    """The median of the values that are not None; a loss that is not a number counts as infinite."""
    known = [np.inf if np.isnan(value) else value for value in values if value is not None]
    if not known:
        return None
    low, high = np.sort(known)[[(len(known) - 1) // 2, len(known) // 2]].tolist()
    return float(low if low == high else 0.5 * (low + high))


def _listed(numbers: Sequence[int]) -> str:
    """Ascending integers, runs of them shortened; of many only how many there are.

    >>> _listed([0, 1, 2, 3, 7, 9, 10]), _listed([359933501, 2626067016, 3048249863])
    ('0–3, 7, 9, 10', '3 seeds')
    """
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    text = ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
    return text if len(text) <= _LONGEST else f"{len(numbers)} seeds"
