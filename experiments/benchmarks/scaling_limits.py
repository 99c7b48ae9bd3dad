"""What limits each case of `scaling.py`, as far as its figures tell, and how they tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from scaling_plan import BARE

GOOD = 0.9  # of what the same number of single workers would do: nothing is lost that needs a reason
LOW = 0.85  # of the cores: threads with less were suspended for others
FEW = 0.05  # a share that can be left aside
HALF = 0.5  # of the lost time: a reason that explains more is the limit

# How each limit is found, for the page
REASONS = {
    "nothing": f"At least {GOOD:.0%} of the workers' number times the throughput of one.",
    "quota": "The control group counted periods in which all its threads were suspended (nr_throttled of cpu.stat).",
    "other programs": f"The threads had less than {LOW:.0%} of their cores (CPU time / time × threads), "
    f"which is {HALF:.0%} or more of what is lost, and /proc/stat shows other programs, or a hypervisor (steal), on "
    "these CPUs. The figures of threads that share nothing cannot be trusted then, either.",
    "recording": f"More than {FEW:.0%} of the updates waited for room in the ring of rows: the thread that records "
    "them is the slowest. It has a core to itself only where one is left.",
    "more workers than cores": "There are more workers than threads that can run at once. The share that is kept is "
    "of the throughput of as many workers as cores.",
    "hardware threads": "Threads that share nothing lose the time, too, and there are more workers than physical "
    "cores.",
    "clock": "Threads that share nothing lose the time, too, and so does arithmetic in registers: the clock of the "
    "cores falls when all are busy, or cores are not what they seem.",
    "memory": "Threads that share nothing lose the time, too. Arithmetic in registers does not, but a triad on large "
    "arrays with as many threads does: bandwidth, or a cache that the cores share.",
    "lock": f"Lock-based: most of the lost time lies in reads and updates, where workers wait for the lock, which is "
    f"busy at least {HALF:.0%} of the time: the throughput times the update of a single worker. If that is less, the "
    "figures do not say whether workers wait for the lock or for parameters from other caches.",
    "publication": "Leashed: most of the lost time lies in the update, and attempts fail there, each of which writes "
    "a whole vector in vain.",
    "barrier": "Synchronous: most of the lost time lies outside the gradient, where workers wait for the slowest of "
    "the round, and average all gradients.",
    "parameters between caches": "The lost time lies where a worker reads or writes parameters that another has just "
    "written (gradient beyond what threads that share nothing lose, or update): their cache lines travel. Hogwild "
    "in place shows it most; from a snapshot the reads are short. It is true sharing: padding cannot help.",
    "counters between caches": "The lost time lies between updates, where only shared counters are touched (tickets, "
    "version). They are padded to a cache line each; the probes say what sharing a line would cost.",
    "cannot tell": "No rule above holds, or rounds differ by more than what is lost.",
}
WAITS = {"lock-based": "lock", "synchronous": "barrier"}  # what workers wait for outside the gradient


class Lost(NamedTuple):
    """The time of a worker per update beyond that of one worker alone, in microseconds."""

    total: float
    between: float
    machine: float  # of the gradient: as much as threads that share nothing lose
    shared: float  # of the gradient: the rest
    update: float


Found = tuple[str, str]  # a limit of `REASONS`, and its figures
Index = Mapping[tuple[str, str, int, bool], Mapping[str, Any]]


def limits(cases: Sequence[Mapping[str, Any]], probes: Sequence[Mapping[str, Any]], cores: Mapping[str, Any]) -> None:
    """Add to each case of the engine its "efficiency", "limit" and "why".

    Args:
        cases: as in the JSON, each with model, scheme, workers, pinned, rate, rates, steps and shares.
        probes: one for each number of workers.
        cores: "at_once" and "physical" (None if unknown).
    """
    index = {(case["model"], case["scheme"], case["workers"], case["pinned"]): case for case in cases}
    probed = {probe["workers"]: probe for probe in probes}
    for case in cases:
        if case["scheme"] == BARE or case.get("rate") is None:
            continue
        one = _one(index, case)
        if one is None or case["workers"] == 1:
            continue
        case["efficiency"] = case["rate"] / (one["rate"] * min(case["workers"], cores["at_once"]))  # type: ignore[index]
        case["limit"], case["why"] = limit(case, index, probed, cores)  # type: ignore[index]


def _one(index: Index, case: Mapping[str, Any], workers: int = 1, scheme: str = "") -> Mapping[str, Any] | None:
    """The same case with another number of workers, or scheme; None if it was not measured."""
    found = index.get((case["model"], scheme or case["scheme"], workers, case["pinned"]))
    return found if found is not None and found.get("rate") else None


def limit(case: Mapping[str, Any], index: Index, probed: Mapping[int, Any], cores: Mapping[str, Any]) -> Found:
    """The first rule that holds."""
    if found := _not_running(case) or _oversubscribed(case, index, cores):
        return found
    if case["efficiency"] >= GOOD:
        return "nothing", f"{case['efficiency']:.0%} of {case['workers']} single workers"
    one = _one(index, case)
    assert one is not None
    spread = (max(case["rates"]) - min(case["rates"])) / case["rate"]
    if spread > 2 * (1 - case["efficiency"]) and len(case["rates"]) > 1:
        return "cannot tell", f"rounds differ by {spread:.0%}, and {1 - case['efficiency']:.0%} are lost"
    lost = lost_time(case, one, _one(index, case, scheme=BARE), _one(index, case, case["workers"], BARE))
    if lost is None:
        return "cannot tell", "no times of steps"
    return _of_parts(case, one, lost, probed, cores)


def _not_running(case: Mapping[str, Any]) -> Found | None:
    """Threads that do not run because of something outside the scheme."""
    if case.get("throttled", 0) > 0:
        return "quota", f"all threads suspended {case['throttled']:.0f} times in a run"
    if case["had cores"] >= LOW or 1 - case["had cores"] < HALF * (1 - case["efficiency"]):
        return None
    if case["waited for room"] > FEW:
        return "recording", f"{case['waited for room']:.0%} of the updates waited for room for their row"
    had = f"the threads had {case['had cores']:.0%} of their cores"
    others = case.get("others", 0) + case.get("hypervisor", 0)
    if others > FEW:
        return "other programs", f"{had}, others {others:.0%} of all"
    return "cannot tell", f"{had}, and nothing tells why"


def _oversubscribed(case: Mapping[str, Any], index: Index, cores: Mapping[str, Any]) -> Found | None:
    """More workers than can run at once."""
    if case["workers"] <= cores["at_once"]:
        return None
    few = _one(index, case, cores["at_once"])
    kept = "" if few is None else f", keeps {case['rate'] / few['rate']:.0%} of the throughput of {few['workers']}"
    return "more workers than cores", f"{case['workers']} workers on {cores['at_once']}{kept}"


def lost_time(
    case: Mapping[str, Any],
    one: Mapping[str, Any],
    bare_one: Mapping[str, Any] | None,
    bare: Mapping[str, Any] | None,
) -> Lost | None:
    """Where a worker of the case needs longer than a single worker; None without the times of their steps."""
    if not case.get("steps") or not one.get("steps"):
        return None
    grown = {name: max(0.0, value - one["steps"][name]) for name, value in case["steps"].items()}
    kept = bare["rate"] / (bare_one["rate"] * case["workers"]) if bare and bare_one else 1.0
    machine = min(grown["gradient"], one["steps"]["gradient"] * max(0.0, 1 / kept - 1))
    total = sum(grown.values())
    return Lost(total, grown["between"], machine, grown["gradient"] - machine, grown["update"])


def _of_parts(
    case: Mapping[str, Any],
    one: Mapping[str, Any],
    lost: Lost,
    probed: Mapping[int, Any],
    cores: Mapping[str, Any],
) -> Found:
    """The reason for the largest part of the lost time."""
    if lost.total <= 0:
        return "cannot tell", "no step takes longer than that of a single worker"
    waits = WAITS.get(case["scheme"])
    parts = {"machine": lost.machine, "shared": lost.shared, "between": lost.between, "update": lost.update}
    if waits:
        parts["waiting"] = parts.pop("between") + parts.pop("update")
    name = max(parts, key=lambda part: parts[part])
    share = f"{parts[name] / lost.total:.0%} of the lost {lost.total:.3g} µs per update"
    if parts[name] < HALF * lost.total:
        return "cannot tell", f"several: the largest part is {name}, {share}"
    if name == "machine":
        return _of_machine(case["workers"], share, probed, cores)
    if name == "waiting" and waits == "lock":
        busy = min(1.0, case["rate"] * one["steps"]["update"] * 1e-6)
        held = f"{share} is outside the gradient; the lock is busy for updates at least {busy:.0%} of the time"
        return ("lock", held) if busy >= HALF else ("cannot tell", f"{held}: waiting, or parameters between caches")
    if name == "waiting":
        return "barrier", f"{share} is outside the gradient"
    if name == "between":
        return "counters between caches", f"{share} is between updates"
    if name == "update" and case["scheme"] == "leashed" and case["failed"] > 2 * FEW:
        return "publication", f"{share} is in the update, with {case['failed']:.2f} failed attempts for each"
    where = "the gradient, beyond what threads that share nothing lose" if name == "shared" else "the update"
    return "parameters between caches", f"{share} is in {where}"


def _of_machine(workers: int, share: str, probed: Mapping[int, Any], cores: Mapping[str, Any]) -> Found:
    """Why threads that share nothing lose time."""
    text = f"{share} is lost by threads that share nothing, too"
    if cores["physical"] and workers > cores["physical"]:
        return "hardware threads", f"{text}; {workers} workers on {cores['physical']} physical cores"
    one, many = probed.get(1), probed.get(workers)
    if one and many:
        arithmetic = many["arithmetic"] / one["arithmetic"] / workers
        if arithmetic < GOOD:
            return "clock", f"{text}; arithmetic alone keeps {arithmetic:.0%}"
        if many["memory"] and one["memory"] and (memory := many["memory"] / one["memory"] / workers) < GOOD:
            return "memory", f"{text}; arithmetic keeps {arithmetic:.0%}, a triad {memory:.0%}"
    return "cannot tell", text


def of_machine(probes: Sequence[Mapping[str, Any]], cores: Mapping[str, Any]) -> list[str]:
    """Sentences about the probes with all cores at work, beside one thread."""
    by_workers = {probe["workers"]: probe for probe in probes}
    one, all_ = by_workers.get(1), by_workers.get(cores["at_once"])
    if not one or not all_ or one is all_:
        return []
    n = cores["at_once"]
    told: list[tuple[str, Callable[[], float | None]]] = [
        (
            "Arithmetic in registers: {n} threads make {value:.1f} times as much as one.",
            lambda: all_["arithmetic"] / one["arithmetic"],
        ),
        (
            "Memory: {n} threads read and write {value:.1f} times as much as one.",
            lambda: all_["memory"] / one["memory"] if all_["memory"] and one["memory"] else None,
        ),
        (
            "One counter for all: an addition takes each thread {value:.1f} times as long as alone.",
            lambda: one["one counter"] / all_["one counter"],
        ),
        (
            "False sharing: counters of their own in one line cost {value:.1f} times as much as 128 bytes apart.",
            lambda: all_["128 bytes"] / all_["one line"],
        ),
        (
            "Counters 64 bytes apart, as asapnb places them, cost {value:.2f} times as much as 128 bytes apart; from "
            "1.2 on, neighbouring lines disturb each other.",
            lambda: all_["128 bytes"] / all_["64 bytes"],
        ),
    ]
    values = [(text, make()) for text, make in told]
    return [text.format(n=n, value=value) for text, value in values if value is not None]
