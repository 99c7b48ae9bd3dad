"""How the schemes scale with workers on this machine, what limits them, and what staleness they show.

    python experiments/benchmarks/scaling.py [--minutes 8] [--json scaling.json] [--page scaling.html]

Measures 1 to all cores and twice as many, each scheme, four models; needs no network. Ctrl-C ends it early: what has
been measured is written. `--from FILE` only writes the page of such a JSON file (which needs the extra `plot`).
docs/performance.md says what is measured, and where to send the JSON of a machine with many cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from common import Table, at_least_one, document, median, unwritable
from scaling_cases import LOSS, STEP_SIZE, Stopped, batch_size, measured, model, probes, run_of, time_to_loss
from scaling_limits import limits, of_machine
from scaling_page import page, tables
from scaling_plan import BARE, LEAST, MODELS, SCHEMES, TIMED, Case, planned, slot, worker_counts

from asapnb.errors import AsapnbError
from asapnb.quota import cpu_quota
from asapnb.record import core_of_each
from asapnb.record.files import put_in_place
from asapnb.training.cores import at_once, cores

ROUNDS = 3
RESERVE = 20.0  # seconds for the page, and for the last measurement to end
AVERAGED = ("had cores", "others", "hypervisor", "throttled", "waited for room", "failed",
            "gave way per second", "suspended per second")  # fmt: skip


@dataclass
class Found:
    """What has been measured so far."""

    rounds: dict[Case, list[dict[str, Any]]] = field(default_factory=dict)
    probes: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    impossible: dict[Case, str] = field(default_factory=dict)  # why a case cannot be measured here
    overheads: list[float] = field(default_factory=lambda: [0.1])  # seconds of a case beyond its measurement
    complete: int = 0  # rounds


def prepared(models: list[str], quick: bool) -> float:
    """Compile all that will run; returns the seconds that a run to the loss may take."""
    for name in models:
        for scheme in SCHEMES:
            run_of(Case(name, scheme, 1, False), 0.01)
        measured(Case(name, BARE, 1, False), 0.01, 0)
    probes(1, False, quick=True)
    if TIMED not in models:
        return 0.1
    alone = time_to_loss(Case(TIMED, "sequential", 1, False, "constant"), 4.0, 0)["seconds"]
    return min(2.0, max(0.5, 4 * (alone or 2.0)))


def measure(
    found: Found, cases: list[Case], pinned: bool, timed: float, rounds: int, ends: float, quick: bool
) -> str:
    """Measure round after round until all are complete or the time is over; returns how it ended."""
    counts = sorted({case.workers for case in cases})
    for number in range(rounds):
        order: list[Case | int] = [*cases, *counts]  # a number of workers stands for the probes
        random.Random(number).shuffle(order)
        for place, job in enumerate(order):
            left = (rounds - number) * len(order) - place
            _say(f"round {number + 1} of {rounds}, {place + 1} of {len(order)}, {ends - time.monotonic():.0f} s left")
            begun = time.monotonic()
            if begun + max(found.overheads[-5:]) + LEAST > ends:
                return "out of time"
            if isinstance(job, int):
                found.probes.setdefault(job, []).append(probes(job, pinned, quick))
                continue
            seconds = timed if job.rule else slot(ends - begun, left, median(np.array(found.overheads)))
            _measure_case(found, job, LEAST if quick else seconds, number)
            found.overheads.append(max(0.0, time.monotonic() - begun - seconds))
        found.complete = number + 1
    return "complete"


def _measure_case(found: Found, case: Case, seconds: float, number: int) -> None:
    if case in found.impossible:
        return
    try:
        found.rounds.setdefault(case, []).append(measured(case, seconds, number))
    except (AsapnbError, MemoryError) as error:  # too little memory, or too few threads allowed
        found.impossible[case] = str(error)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:60}", end="", file=sys.stderr)


def _place(case: Case) -> tuple[int, int, str, bool, int]:
    """Where a case stands among all."""
    schemes = (BARE, *SCHEMES)
    return MODELS.index(case.model), schemes.index(case.scheme), case.rule, not case.pinned, case.workers


def summarised(found: Found) -> Iterator[dict[str, Any]]:
    """Each throughput case with the medians of its rounds, and the staleness of all of them together."""
    for case, rounds in sorted(found.rounds.items(), key=lambda item: _place(item[0])):
        usable = [one for one in rounds if one.get("rate")]
        if case.rule or not usable:
            continue
        summary: dict[str, Any] = {name: getattr(case, name) for name in ("model", "scheme", "workers", "pinned")}
        summary["rates"] = [round(one["rate"], 1) for one in usable]
        summary["rate"] = round(median(np.array(summary["rates"])), 1)
        for name in AVERAGED:
            if name in usable[0]:
                summary[name] = round(float(np.mean([one[name] for one in usable])), 4)
        if steps := [one["steps"] for one in usable if one.get("steps")]:
            summary["steps"] = {name: round(median(np.array([s[name] for s in steps])), 2) for name in steps[0]}
        if case.scheme != BARE:
            summary["staleness"] = staleness([one["counts"] for one in usable])
        yield summary


def staleness(rounds: list[np.ndarray]) -> dict[str, Any]:
    """Moments, quantiles and a histogram, whose bins begin at 0, 1, …, 8 and then grow by about the square root of 2.

    >>> staleness([np.array([1, 2]), np.array([0, 0, 1])])["histogram"]
    [[0, 0.25], [1, 0.5], [2, 0.25]]
    """
    counts = np.zeros(max(map(len, rounds)), np.int64)
    for one in rounds:
        counts[: len(one)] += one
    values, share = np.arange(len(counts)), counts / counts.sum()
    mean = float(values @ share)
    edges = [*range(9), *(round(2 ** (k / 2)) for k in range(7, 60))]
    edges = [edge for edge in edges if edge < len(counts)]
    quantiles = np.searchsorted(share.cumsum(), (0.5, 0.9, 0.99))
    return {
        "mean": round(mean, 3),
        "deviation": round(float(np.sqrt((values - mean) ** 2 @ share)), 3),
        "skewness": round(float((values - mean) ** 3 @ share / max(1e-9, (values - mean) ** 2 @ share) ** 1.5), 3),
        **dict(zip(("p50", "p90", "p99"), map(int, quantiles), strict=True)),
        "largest": len(counts) - 1,
        "histogram": [[low, round(float(s), 6)] for low, s in zip(edges, np.add.reduceat(share, edges), strict=True)],
    }


def times(found: Found) -> Iterator[dict[str, Any]]:
    """The time to the loss of each scheme, rule and number of workers: the median of the rounds that reached it."""
    for case, rounds in sorted(found.rounds.items(), key=lambda item: _place(item[0])):
        if not case.rule or not rounds:
            continue
        reached = [one for one in rounds if one["outcome"] == "reached"]
        most = 2 * len(reached) > len(rounds)
        named = {name: getattr(case, name) for name in ("model", "scheme", "rule", "workers", "pinned")}
        medians = {name: median(np.array([one[name] for one in reached])) if most else None
                   for name in ("seconds", "updates")}  # fmt: skip
        outcomes = sorted({one["outcome"] for one in rounds})
        yield named | medians | {"runs": len(rounds), "reached": len(reached), "outcomes": outcomes}


def probed(found: Found) -> list[dict[str, Any]]:
    """The best of the rounds of each probe: whatever else runs can only make it worse."""
    return [
        {name: None if rounds[0][name] is None else round(max(one[name] for one in rounds), 3) for name in rounds[0]}
        for _, rounds in sorted(found.probes.items())
    ]


def result(found: Found, load: float, status: str, given: dict[str, Any]) -> dict[str, Any]:
    """All figures as the JSON has them."""
    known = core_of_each()
    counted = {"at_once": at_once(), "allowed": len(cores()), "quota": cpu_quota()}
    counted["physical"] = len({known[cpu] for cpu in cores() if cpu in known}) or None
    cases = list(summarised(found))
    machine = probed(found)
    limits(cases, machine, counted)
    names = [name for name in MODELS if any(case["model"] == name for case in cases)]
    shown = {
        name: {"problem": str(model(name).config["problem"]), "parameters": model(name).n_params,
               "bytes": model(name).n_params * model(name).dtype.itemsize, "batch": batch_size(name)}
        for name in names
    }  # fmt: skip
    whole = document("scaling", load, []) | {"format": 1, "status": status, "rounds": found.complete, **given}
    whole |= {"cores": counted, "models": shown, "target": {"model": TIMED, "loss": LOSS, "step_size": STEP_SIZE}}
    whole |= {"probes": machine, "told": of_machine(machine, counted), "cases": cases, "times": list(times(found))}
    whole["impossible"] = [{**case._asdict(), "why": why} for case, why in found.impossible.items()]
    return whole | {"results": [asdict(table) for table in tables(whole)]}


def write(whole: dict[str, Any], file: Path) -> None:
    """Write the JSON in one go: a line for each case. If that fails, print it: it took minutes."""
    lines = (f" {json.dumps(name)}: {_lines(value)}" for name, value in whole.items())
    text = "{\n" + ",\n".join(lines) + "\n}"
    try:
        put_in_place(file, lambda part: part.write_text(text + "\n", encoding="utf-8"))
    except AsapnbError as error:
        print(text)
        print(f"{error}; above is what it would hold", file=sys.stderr)


def _lines(value: Any) -> str:
    """JSON with a line for each element of a list."""
    if not isinstance(value, list) or not value:
        return json.dumps(value, ensure_ascii=False)
    return "[\n  " + ",\n  ".join(json.dumps(one, ensure_ascii=False) for one in value) + "\n ]"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--json", metavar="FILE", type=Path, default=Path("scaling.json"), help="(default %(default)s)"
    )
    parser.add_argument("--page", metavar="FILE", type=Path, help="(default: beside the JSON; needs asapnb[plot])")
    parser.add_argument("--minutes", type=float, default=8.0, help="all that it may take (default %(default)g)")
    parser.add_argument(
        "--rounds", type=at_least_one, default=ROUNDS, help="of each case, at most (default %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="seconds only: shows that it works, measures nothing")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_argument("--from", dest="source", metavar="FILE", type=Path, help="only write the page of this JSON")
    given = parser.parse_args()
    given.page = given.page or (given.source or given.json).with_suffix(".html")
    for file in [given.page] if given.source else [given.json, given.page]:
        if file.exists() and not given.force:
            parser.error(f"{file} exists: name another file, or replace it with --force")
        if problem := unwritable(file):
            parser.error(problem)
    if not 0 < given.minutes < 1e4:
        parser.error("--minutes must be above 0 and below 10,000")
    return given


def write_again(source: Path, file: Path) -> None:
    """Write the page of a JSON file; exit code 2 if that is none."""
    try:
        print(page(json.loads(source.read_text(encoding="utf-8")), file))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"{source}: no page of it: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)


def main() -> None:
    """Measure, and write JSON and page whatever happens; exit code 130 after Ctrl-C."""
    given = arguments()
    if given.source:
        write_again(given.source, given.page)
        return
    load, begun = os.getloadavg()[0], time.monotonic()
    ends = begun + 60 * given.minutes - min(RESERVE, 6 * given.minutes)
    pinnings = [True, False] if hasattr(os, "sched_setaffinity") else [False]
    found, status = Found(), "interrupted"
    try:
        timed = prepared(list(MODELS[:1] if given.quick else MODELS), given.quick)
        if given.quick:
            cases = [Case(MODELS[0], scheme, n, pinnings[0]) for scheme in (BARE, "leashed") for n in (1, 2)]
        else:
            cases = planned(at_once(), pinnings, ends - time.monotonic(), timed)
        print(f"{len(cases)} cases, workers {', '.join(map(str, worker_counts(at_once())))}", file=sys.stderr)
        status = measure(found, cases, pinnings[0], timed, 1 if given.quick else given.rounds, ends, given.quick)
    except (Stopped, KeyboardInterrupt):
        print("\ninterrupted", file=sys.stderr)
    finally:
        took = {"minutes": given.minutes, "seconds": round(time.monotonic() - begun, 1)}
        whole = result(found, load, status, took)
        write(whole, given.json)
        print("\n".join(str(Table(**table)) for table in whole["results"]))
        print("\n".join([*whole["told"], f"{given.json}: {status}, {found.complete} rounds"]))
        with suppress(KeyboardInterrupt):
            print(page(whole, given.page))
    sys.exit(130 if status == "interrupted" else 0)


if __name__ == "__main__":
    main()
