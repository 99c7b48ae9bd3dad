"""Part B: what rules make of stragglers, from the runs of both sweeps.

    python experiments/stragglers/rules.py runs/stragglers-sixteen runs/stragglers-server

Writes rules.csv, prints the tables and draws rules.png. Of a sweep that was cut short only whole repetitions count.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from common import HERE, write

from asapnb.analysis import Interval, Record, Table, Target, bootstrap, crossing, grouped, records, speed_up
from asapnb.errors import UsageError
from asapnb.plots import save
from asapnb.plots.labels import short
from asapnb.plots.style import GREY, look, new_figure, note, styled

SWEEPS = {"sixteen": Target(fraction=0.3), "server": Target(fraction=0.5)}
RULES = ("constant", "tail", "shuffled(tail)", "preserve(inverse)", "quantile_cut", "ringmaster")
POOLED = (0.01, 0.02)  # the step sizes of both settings of sixteen.toml
SETTINGS = {"slowed": "one slow by 10", "groups": "50 slow by 10", "lognormal": "none slow"}
Row = dict[str, Any]


def whole(found: list[Record]) -> list[Record]:
    """The runs of the seeds that every cell has."""
    found = [record for record in found if record.status in ("finished", "diverged")]
    cells = grouped(found, ("timing", "scheme", "rule", "step_size"))
    common = set.intersection(*({record.value("seed") for record in cell} for cell in cells.values()))
    return [record for record in found if record.value("seed") in common]


def compared(name: str, found: list[Record]) -> list[Row]:
    """Each rule and scheme beside `constant` of the same setting and step size."""
    target = SWEEPS[name]
    rows = []
    for runs in grouped(found, ("timing", "step_size")).values():
        kinds = {(variant(cell[0]), brief(cell[0])): cell for cell in grouped(runs, ("scheme", "rule")).values()}
        rows += [row(name, target, kinds["", "constant"], cell) for cell in kinds.values()]
    return rows


def setting(record: Record) -> str:
    """Who is slow, in words."""
    return next(text for word, text in SETTINGS.items() if word in str(record.value("timing")))


def brief(record: Record) -> str:
    """The rule without its arguments."""
    return short([str(record.value("rule"))])[0]


def variant(record: Record) -> str:
    """The options of the scheme that are set."""
    options = str(record.value("scheme")).partition("(")[2].rstrip(")").split(", ")
    return ", ".join(option for option in options if option and not option.endswith(("=None", "=False")))


def row(name: str, target: Target, base: Sequence[Record], cell: Sequence[Record]) -> Row:
    """The figures of one cell."""
    first = cell[0]
    found: Row = {
        "sweep": name, "setting": setting(first), "step_size": first.value("step_size"), "runs": len(cell),
        "rule": brief(first), "scheme": variant(first),
        "diverged": sum(record.status == "diverged" for record in cell),
    }  # fmt: skip
    for clock in ("updates", "seconds") if found["scheme"] else ("updates",):
        found |= ratio(base, cell, target, clock)
    found["not_reached"] = sum(not crossing(record, target).reached for record in cell)
    scales = [record.summary()["mean_scale"] for record in cell]
    ends = {record.value("seed"): record.curve().loss[-1] for record in cell}
    start = {record.value("seed"): record.curve().loss[-1] for record in base}
    differences = np.array([ends[seed] - start[seed] for seed in sorted(ends)])
    spread = interval(differences)
    found |= {"mean_scale": float(np.mean(scales)), "final_loss": float(np.median(list(ends.values())))}
    return found | {"difference": float(differences.mean()), "difference_low": spread.low,
                    "difference_high": spread.high}  # fmt: skip


def ratio(base: Sequence[Record], cell: Sequence[Record], target: Target, clock: str) -> Row:
    """How many times as fast as the baseline, with the interval; None where nobody reaches the target."""
    try:
        found = speed_up(base, cell, target, by=clock, paired=True)
    except UsageError:
        return dict.fromkeys((f"ratio_{clock}", f"low_{clock}", f"high_{clock}"))
    low, high = found.interval or (float("nan"), float("nan"))
    return {f"ratio_{clock}": found.ratio, f"low_{clock}": low, f"high_{clock}": high}


def pooled(found: list[Record]) -> Table:
    """Speed-ups in updates over the step sizes that both settings of sixteen.toml have."""
    target, cells, places = SWEEPS["sixteen"], [], ("one slow by 10", "none slow")
    kept = [record for record in found if record.value("step_size") in POOLED]
    by = {(setting(runs[0]), brief(runs[0])): runs for runs in grouped(kept, ("timing", "rule")).values()}
    for rule in RULES[1:]:
        gains = (ratio(by[place, "constant"], by[place, rule], target, "updates") for place in places)
        cells.append((rule, *(spread(gain, "updates") for gain in gains)))
    title = f"sixteen: updates to {target}, step sizes {' and '.join(map(str, POOLED))} together"
    return Table(title, ("rule", *(f"{place} (95 %)" for place in places)), tuple(cells))


def interval(values: Any) -> Interval:
    """Of the mean, by bootstrap."""
    found = bootstrap(lambda weights: weights @ values / len(values), [len(values)])
    return found or Interval(float("nan"), float("nan"))


def tables(rows: list[Row]) -> list[Table]:
    """One for each sweep, of rules; and one of schemes."""
    made = []
    for name, target in SWEEPS.items():
        of = [found for found in rows if found["sweep"] == name and not found["scheme"]]
        count = ", ".join(sorted({str(found["runs"]) for found in of}))
        cells = [
            (f["setting"], f["step_size"], f["rule"], spread(f, "updates"), f"{f['not_reached']} of {f['runs']}",
             f["diverged"] or None, f["mean_scale"], f["final_loss"], difference(f))
            for f in of
        ]  # fmt: skip
        columns = ("setting", "step size", "rule", "speed-up (95 %)", "not reached", "diverged", "mean scale",
                   "final loss, median", "difference to constant (95 %)")  # fmt: skip
        made.append(Table(f"{name}: updates to {target}, {count} seeds", columns, tuple(cells)))
    cells = [
        (f["step_size"], f["scheme"], spread(f, "updates"), spread(f, "seconds"),
         f"{f['not_reached']} of {f['runs']}", f["final_loss"], difference(f))
        for f in rows if f["scheme"]
    ]  # fmt: skip
    columns = ("step size", "scheme", "speed-up in updates (95 %)", "in virtual seconds (95 %)", "not reached",
               "final loss, median", "difference to plain (95 %)")  # fmt: skip
    return [*made, Table("server: schemes with constant, against the plain server", columns, tuple(cells))]


def spread(found: Row, clock: str) -> str:
    """A ratio and its interval."""
    ratio = found[f"ratio_{clock}"]
    return "–" if ratio is None else f"{ratio:.2f} ({found[f'low_{clock}']:.2f}–{found[f'high_{clock}']:.2f})"


def difference(found: Row) -> str:
    """A difference of losses and its interval."""
    low, high = found["difference_low"], found["difference_high"]
    return (
        f"{found['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
        if found["scheme"] or found["rule"] != "constant"
        else "–"
    )


@styled
def figure(rows: list[Row]) -> Any:
    """Speed-ups of the rules with intervals, by setting and step size."""
    of = [f for f in rows if not f["scheme"] and f["rule"] != "constant" and f["ratio_updates"] is not None]
    panels = list(dict.fromkeys((f["sweep"], f["setting"]) for f in of))
    names = RULES[1:]
    drawn = new_figure(9.2, 3.7)
    axes = drawn.subplots(1, len(panels), sharey=True)
    for ax, (sweep, place) in zip(axes, panels, strict=True):
        here = [f for f in of if (f["sweep"], f["setting"]) == (sweep, place)]
        steps = sorted({f["step_size"] for f in of if f["sweep"] == sweep})
        for i, step in enumerate(steps):
            each = [f for f in here if f["step_size"] == step]
            y = [names.index(f["rule"]) + 0.22 * (i - (len(steps) - 1) / 2) for f in each]
            x = np.array([[f["low_updates"], f["ratio_updates"], f["high_updates"]] for f in each]).reshape(-1, 3)
            ax.hlines(y, x[:, 0], x[:, 2], color=look(i).color, linewidth=1.2)
            if each:
                ax.plot(x[:, 1], y, look(i).marker, color=look(i).color, label=f"step {step:g}")
        ax.axvline(1.0, color=GREY, linewidth=0.7, zorder=0.9)
        ax.set(title=f"{'16 workers' if sweep == 'sixteen' else '1,000 workers'}, {place}", xlabel="speed-up")
        ax.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(steps), handletextpad=0.2, columnspacing=1
        )
    axes[0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    note(drawn, "against constant on the same schedules, in updates (virtual time is in proportion); 95 % intervals")
    return drawn


def main(folders: Sequence[str]) -> None:
    """All of it."""
    rows: list[Row] = []
    for name, folder in zip(SWEEPS, folders, strict=True):
        runs = whole(records(folder))
        rows += compared(name, runs)
        if name == "sixteen":
            together = pooled(runs)
    rows.sort(key=lambda f: (f["sweep"] != "sixteen", f["setting"] == "none slow", f["step_size"], f["scheme"],
                             RULES.index(f["rule"])))  # fmt: skip
    write("rules.csv", rows)
    print("\n\n".join(table.markdown() for table in [together, *tables(rows)]))
    save(figure(rows), HERE / "rules.png", force=True, dpi=95)


if __name__ == "__main__":
    main(sys.argv[1:])
