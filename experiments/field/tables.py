"""The tables and the figure, of the runs of field.py or of what is kept of them.

python experiments/field/tables.py runs/field.jsonl     # writes results.json, too
python experiments/field/tables.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contestants import BASE, CONTESTANTS, DATA, SCHEDULES
from field import FULL, Found, Key, load

from asapnb.analysis import Table, bootstrap
from asapnb.plots import save
from asapnb.plots.style import GREY, look, new_figure, note, styled

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"  # in README.md
Cell = tuple[str, str]  # schedule, data
Results = dict[str, dict[Cell, dict[str, Any]]]  # by contestant


def results_of(runs: Mapping[Key, Found]) -> list[dict[str, Any]]:
    """What is kept: of each contestant and cell the step size, and times and last losses of the reported seeds."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for (name, schedule, data, k, seed), outcome in sorted(runs.items(), key=lambda run: run[0][4]):
        if seed in FULL.reported:
            one = {"contestant": name, "schedule": schedule, "data": data, "step_size": 2.0 ** (k / 2)}
            row = found.setdefault((name, schedule, data), {**one, "seconds": [], "loss": []})
            for key in ("seconds", "loss"):
                row[key].append(outcome[key] and round(outcome[key], 4))
    return [row for row in found.values() if len(row["seconds"]) == len(FULL.reported)]


def by_contestant(rows: Sequence[Mapping[str, Any]]) -> Results:
    """The results by contestant, in the order of the declaration, and cell."""
    found: Results = {one.name: {} for one in CONTESTANTS}
    for row in rows:
        if row["contestant"] in found:
            found[row["contestant"]][row["schedule"], row["data"]] = dict(row)
    return found


def times(row: Mapping[str, Any]) -> np.ndarray:
    """Seconds to the target; a run that was given up counts as all of its time."""
    return np.array([FULL.seconds if one is None else one for one in row["seconds"]], float)


def gain(base: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[float, float, float]:
    """The ratio of restricted mean times, above 1 is faster, and its 95 % interval over pairs of seeds."""
    ours, theirs = times(row), times(base)
    found = bootstrap(lambda weights: (weights @ theirs) / (weights @ ours), [len(ours)])
    return float(theirs.sum() / ours.sum()), *(found or (float("nan"), float("nan")))


def table(found: Results, data: str) -> Table:
    """A row for each contestant, a column for each schedule."""
    rows = []
    for name, cells in found.items():
        texts = [_text(found[BASE].get((schedule, data)), cells.get((schedule, data))) for schedule in SCHEDULES]
        if any(texts):
            rows.append((name, *texts))
    title = f"Times as fast as {BASE} to a loss of {FULL.target}, {data}: (95 %), step size, mean seconds"
    return Table(title, ("contestant", *SCHEDULES), tuple(rows))


def _text(base: Mapping[str, Any] | None, row: Mapping[str, Any] | None) -> str | None:
    if base is None or row is None:
        return None
    ratio, low, high = gain(base, row)
    arrived = sum(one is not None for one in row["seconds"])
    few = "" if arrived == len(row["seconds"]) else f", {arrived} of {len(row['seconds'])} arrive"
    spread = "" if row is base else f"{ratio:.2f} ({low:.2f} – {high:.2f}), "
    return f"{spread}{row['step_size']:.3g}, {times(row).mean():.0f}{few}"


@styled
def figure(found: Results) -> Any:
    """A panel for each schedule; in each, a point and an interval for each contestant and way to split the data."""
    names = [name for name, cells in found.items() if cells and name != BASE]
    drawn = new_figure(9.2, 0.9 + 0.27 * len(names))
    axes = drawn.subplots(1, len(SCHEDULES), sharey=True, sharex=True)
    for ax, schedule in zip(axes, SCHEDULES, strict=True):
        for i, data in enumerate(DATA):
            base = found[BASE].get((schedule, data))
            points = [(y, gain(base, found[name][schedule, data])) for y, name in enumerate(names)
                      if base is not None and (schedule, data) in found[name]]  # fmt: skip
            y = [at + 0.24 * (i - (len(DATA) - 1) / 2) for at, _ in points]
            x = np.array([of for _, of in points]).reshape(-1, 3)
            ax.hlines(y, x[:, 1], x[:, 2], color=look(i).color, linewidth=1.1)
            ax.plot(x[:, 0], y, look(i).marker, color=look(i).color, label=data)
        ax.axvline(1.0, color=GREY, linewidth=0.7, zorder=0.9)
        ax.set(title=schedule, xscale="log", xlabel="times as fast")
        ax.set_xticks([0.25, 0.5, 1, 2], ["¼", "½", "1", "2"])
        ax.minorticks_off()
    axes[0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    axes[0].legend(loc="lower left")
    note(drawn, f"against {BASE} with a constant step, each at its own best step size; 95 % intervals over 10 seeds")
    return drawn


def main(arguments: Sequence[str]) -> None:
    """All of it."""
    kept = HERE / "results.json"
    if arguments:
        rows = results_of(load(Path(arguments[0])))
        kept.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    found = by_contestant(json.loads(kept.read_text()))
    page, text = HERE / "README.md", "\n\n".join(table(found, data).markdown() for data in DATA)
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")
    print(text)
    save(figure(found), HERE / "field.png", force=True, dpi=95)


if __name__ == "__main__":
    main(sys.argv[1:])
