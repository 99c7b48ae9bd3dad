"""Part A: schedules alone, in virtual time.

    nice python experiments/stragglers/schedules.py

Writes schedules.csv (a row for each kind of worker of each case), prints its tables and draws who-is-stale.png.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from common import HERE, write

import asapnb as ab
from asapnb.analysis import Table
from asapnb.plots import save
from asapnb.plots.style import GREY, look, new_figure, note, styled
from asapnb.staleness import StalenessDistribution
from asapnb.theory import staleness_by_worker, update_shares
from asapnb.timing import Timing, groups, lognormal, slowed

UPDATES, PAUSED = 200_000, 1650.0  # the pauses, and what is looked at of them, end then
UNIT = lognormal(1, 0.3)
FACTORS = (1, 2, 10, 100)
Case = tuple[str, str, str, Timing, int, int]  # part, setting, scheme, timing, workers, how many come first
Row = dict[str, Any]
Found = dict[tuple[str, str, str, str], Row]  # by part, setting, scheme, kind of workers


def cases() -> Iterator[Case]:
    """All cases; the workers that are told apart from the others are the first ones."""
    for factor in FACTORS:
        slow = Timing(slowed(UNIT, factor, [0]))
        for scheme in ("lock-based", "synchronous", *(f"synchronous(wait_for={k})" for k in (15, 12, 8)),
                       "synchronous(wait_for=16, batches=True)"):  # fmt: skip
            yield "one slow", f"factor {factor}", scheme, slow, 16, 1
    far, near = lognormal(1.5, 0.3), UNIT
    nodes = {
        "compute 1.5, 1": Timing(groups(far, near, sizes=[8, 8]), update=0.01),
        "read 0.05, 0.01": Timing(UNIT, read=groups(0.05, 0.01, sizes=[8, 8]), update=0.01),
        "both": Timing(groups(far, near, sizes=[8, 8]), groups(0.05, 0.01, sizes=[8, 8]), 0.01),
    }
    for name, timing in nodes.items():
        for scheme in ("lock-based", "hogwild(view=snapshot)", "synchronous"):
            yield "two nodes", name, scheme, timing, 16, 8
    costs = {"read": 1e-4, "update": 1e-4}
    for network in (0.0, 0.1, 1.0):
        yield "server", f"network {network:g}", "parameter-server", Timing(UNIT, network=network, **costs), 1000, 50
    slow = Timing(groups(lognormal(10, 0.3), UNIT, sizes=[50, 950]), network=0.1, **costs)
    options = ["", *(f"(bound={s})" for s in (1, 4, 16))]
    options += [f"(discard_after={r}{more})" for r in (1000, 2000, 4000) for more in ("", ", restart=True")]
    for option in options:
        yield "server", "50 slow by 10", f"parameter-server{option}", slow, 1000, 50
    pauses = Timing(UNIT, pauses=[(i, 50.0 + 100.0 * i, 20.0) for i in range(16)])
    for name, timing in (("none", Timing(UNIT)), ("each once for 20", pauses)):
        for scheme in ("lock-based", "synchronous", "synchronous(wait_for=15)", "parameter-server(bound=4)"):
            yield "pauses", name, scheme, timing, 16, 16


def measured(case: Case) -> list[Row]:
    """The figures of a case: of the first workers, and of the others."""
    part, setting, scheme, timing, workers, first = case
    parsed = ab.schemes.parse_scheme(scheme)
    per_round = parsed.gradients(workers) if isinstance(parsed, ab.Synchronous) else 1
    made = ab.schedule(timing, parsed, workers, max(1, UPDATES // per_round))
    done = made.rows[made.t_apply <= (PAUSED if part == "pauses" else np.inf)]
    seconds, applied, versions = done["t_apply"].max(), done["dropped"] == 0, done["version"].max()
    rows = []
    for kind, of in (("first", done["worker"] < first), ("others", done["worker"] >= first)):
        count = int((of & applied).sum())
        if not of.any():
            continue
        tau = staleness(done["tau"][of & applied])
        rows.append({
            "part": part, "setting": setting, "scheme": scheme, "workers": kind,
            "gradients_per_time": applied.sum() / seconds, "versions_per_time": versions / seconds,
            "share": count / applied.sum(), "dropped": 1 - count / of.sum(),
            "mean_tau": tau.mean() if count else None, "p99": p99(done["tau"][of & applied]) if count else None,
            "largest": tau.support if count else None,
            "all_mean_tau": staleness(done["tau"][applied]).mean(), "all_p99": p99(done["tau"][applied]),
        })  # fmt: skip
    return rows


def staleness(tau: Any) -> StalenessDistribution:
    """The distribution of these values."""
    return StalenessDistribution.from_counts(np.bincount(tau, minlength=1))


def p99(tau: Any) -> int:
    """Their 99th percentile."""
    return int(staleness(tau).quantile(0.99))


def tables(rows: list[Row]) -> list[Table]:
    """The tables of part A."""
    found = {(row["part"], row["setting"], row["scheme"], row["workers"]): row for row in rows}
    return [rates(found), slow_worker(found), nodes(found), server(found), pauses(found)]


def rates(found: Found) -> Table:
    """One slow worker: throughput of the schemes."""
    schemes = dict.fromkeys(scheme for part, _, scheme, _ in found if part == "one slow")
    cells = [
        (s, *(found["one slow", f"factor {f}", s, "others"]["gradients_per_time"] for f in FACTORS)) for s in schemes
    ]
    return Table("One slow worker of 16: gradients applied per T_c", ("scheme", *map(str, FACTORS)), tuple(cells))


def slow_worker(found: Found) -> Table:
    """One slow worker: who is stale, in lock-based, and theory."""
    cells = []
    for factor in FACTORS:
        slow, others = (found["one slow", f"factor {factor}", "lock-based", kind] for kind in ("first", "others"))
        times = [float(factor), *[1.0] * 15]
        stale = staleness_by_worker(times)
        cells.append((
            factor, f"{slow['share']:.2%} ({update_shares(times)[0]:.2%})",
            f"{slow['mean_tau']:.1f} ({stale[0]:.1f})",
            slow["p99"], f"{others['mean_tau']:.2f} ({stale[1]:.2f})", others["p99"], slow["all_p99"],
        ))  # fmt: skip
    columns = ("factor", "its share (theory)", "its mean τ (theory)", "its p99", "mean τ of the others (theory)",
               "their p99", "p99 of all")  # fmt: skip
    return Table("One slow worker of 16, lock-based", columns, tuple(cells))


def nodes(found: Found) -> Table:
    """Two nodes."""
    cells = []
    for (part, setting, scheme, kind), far in found.items():
        if part == "two nodes" and kind == "first":
            near = found[part, setting, scheme, "others"]
            cells.append((setting, scheme, far["gradients_per_time"], f"{far['share']:.1%}", far["mean_tau"],
                          near["mean_tau"]))  # fmt: skip
    columns = ("slow node, other node", "scheme", "gradients per T_c", "share of the slow node", "its mean τ",
               "mean τ of the other")  # fmt: skip
    return Table("Two nodes of 8", columns, tuple(cells))


def server(found: Found) -> Table:
    """A server with 1,000 workers."""
    cells = []
    for (part, setting, scheme, kind), slow in found.items():
        if part == "server" and kind == "first":
            others = found[part, setting, scheme, "others"]
            dropped = (f"{row['dropped']:.1%}" if row["dropped"] else None for row in (slow, others))
            cells.append((setting, scheme, slow["gradients_per_time"], slow["all_mean_tau"], slow["all_p99"],
                          f"{slow['share']:.2%}", slow["mean_tau"], others["mean_tau"], *dropped))  # fmt: skip
    columns = ("setting", "scheme", "gradients per T_c", "mean τ", "p99", "share of the 50", "their mean τ",
               "mean τ of the 950", "dropped of the 50", "of the 950")  # fmt: skip
    return Table("1,000 workers and a server", columns, tuple(cells))


def pauses(found: Found) -> Table:
    """Each worker stands still once."""
    cells = []
    for (part, setting, scheme, _), row in found.items():
        if part == "pauses" and setting != "none":
            without = found[part, "none", scheme, "first"]["gradients_per_time"]
            rate = row["gradients_per_time"]
            cells.append((scheme, without, rate, f"{1 - rate / without:.1%}", row["mean_tau"], row["p99"],
                          row["largest"]))  # fmt: skip
    columns = ("scheme", "gradients per T_c without", "with pauses", "lost", "mean τ", "p99", "largest τ")
    return Table("Pauses: each of 16 workers stands still for 20, one after the other", columns, tuple(cells))


@styled
def who_is_stale(rows: list[Row]) -> Any:
    """One slow worker: throughput and staleness against its factor."""
    figure = new_figure(7.6, 3.2)
    left, right = figure.subplots(1, 2)
    chosen = {
        "lock-based": "asynchronous", "synchronous(wait_for=15)": "K-sync, K = 15",
        "synchronous(wait_for=16, batches=True)": "K-batch-sync, K = 16", "synchronous": "synchronous",
    }  # fmt: skip
    one = [row for row in rows if row["part"] == "one slow"]
    for i, (scheme, label) in enumerate(chosen.items()):
        rate = [row["gradients_per_time"] for row in one if row["scheme"] == scheme and row["workers"] == "others"]
        left.plot(FACTORS, rate, color=look(i).color, linestyle=look(i).dash, marker=look(i).marker)
        x, y, va = (FACTORS[-1], rate[-1], "center") if i else (FACTORS[0], rate[0], "bottom")
        left.annotate(label, (x, y), xytext=(5, 0) if i else (2, 5), textcoords="offset points", va=va,
                      color=look(i).color, fontsize=8)  # fmt: skip
    left.set(
        xscale="log", xlabel="the slow worker's factor", ylabel="gradients applied per gradient time", ylim=(0, 18)
    )
    for i, (kind, label) in enumerate((("first", "slow worker"), ("others", "the 15 others"))):
        of = [row for row in one if row["scheme"] == "lock-based" and row["workers"] == kind]
        stale = [row["mean_tau"] for row in of]
        right.plot(FACTORS, stale, look(i).marker, color=look(i).color)
        exact = [staleness_by_worker([float(f), *[1.0] * 15])[i] for f in FACTORS]
        right.plot(FACTORS, exact, color=GREY, linewidth=0.9, zorder=0.9)
        right.annotate(label, (FACTORS[-1], stale[-1]), xytext=(6, 0), textcoords="offset points", va="center",
                       color=look(i).color, fontsize=8)  # fmt: skip
    right.set(xscale="log", yscale="log", xlabel="the slow worker's factor", ylabel="mean τ of its updates")
    note(figure, "virtual time; 16 workers, gradients lognormal(1, cv 0.3); grey: theory")
    return figure


if __name__ == "__main__":
    results = [row for case in cases() for row in measured(case)]
    write("schedules.csv", results)
    print("\n\n".join(table.markdown() for table in tables(results)))
    save(who_is_stale(results), HERE / "who-is-stale.png", force=True, dpi=110)
