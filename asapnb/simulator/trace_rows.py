"""The rows of a schedule, made from the columns of a trace: delays, ages of gradients, versions, or times."""

import heapq
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from ..kernels.arrays import aligned
from ..record.schema import ABANDONED
from ..schemes import Scheme, boundary_after
from ..schemes.scheme import LARGEST
from ..workforce import Workforce
from .world import ROW

Ints = NDArray[np.int64]
Refuse = Callable[[int, str], NoReturn]  # called with a row and what is wrong there; raises
GIVEN_UP = -1  # the version of a gradient that makes none


def of_delays(delay: Ints, worker: Ints | None, refuse: Refuse) -> dict[str, Any]:
    """The versions of updates, one after the other, of which each is so many versions late.

    Args:
        delay: of each update, in order.
        worker: who made it; None gives each to a worker who is free: see `assigned`.
        refuse: raises for a row.
    """
    made = np.arange(len(delay))
    _none(delay < 0, refuse, lambda at: f"the delay is {delay[at]}: must be at least 0")
    _none(delay > made, refuse, lambda at: f"the delay is {delay[at]}, and only {at} updates had been made before")
    read, version = made - delay, made + 1
    return {"worker": assigned(read, version) if worker is None else worker, "read_version": read, "version": version}


def of_ages(ages: Ints, refuse: Refuse) -> dict[str, Any]:
    """The versions of gradients whose age at each iteration is known, for each worker.

    At iteration k the newest gradient of worker w was computed at the parameters of iteration k − ages[k, w]. Where
    that is another iteration than before, a gradient has arrived. Gradients that arrive at one iteration make one
    version each, in the order of workers, as asapnb applies them one by one.

    Args:
        ages: (iterations, workers).
        refuse: raises for an iteration.
    """
    iterations = np.arange(len(ages))[:, None]
    _none(np.any(ages < 0, axis=1), refuse, lambda at: f"a delay is {ages[at].min()}: must be at least 0")
    _none(np.any(ages > iterations, axis=1), refuse, lambda at: (
        f"a delay is {ages[at].max()}, and only {at} iterations had been made before"))  # fmt: skip
    read = iterations - ages
    new = np.ones(ages.shape, bool)
    new[1:] = read[1:] != read[:-1]
    _none(np.any(read[1:] < read[:-1], axis=1), lambda at, text: refuse(at + 1, text), lambda at: (
        f"the delay of worker {int((read[at + 1] < read[at]).argmax())} grows by more than 1: its newest gradient "
        "would be older than the one before"))  # fmt: skip
    at, worker = np.nonzero(new)
    order = np.lexsort((at, worker))
    same = worker[order][1:] == worker[order][:-1]
    late = np.zeros(len(at), bool)
    late[order[1:]] = same & (read[at, worker][order][1:] <= at[order][:-1])
    _none(late, lambda row, text: refuse(int(at[row]), text), lambda row: (
        f"worker {worker[row]} read iteration {read[at, worker][row]} before its last gradient had arrived: a worker "
        "has one gradient at a time"))  # fmt: skip
    before = np.concatenate([[0], np.cumsum(new.sum(axis=1))])  # versions made before each iteration
    times = {"t_read": read[at, worker].astype(float), "t_ready": at + 1.0, "t_apply": at + 1.0}
    return {"worker": worker, "read_version": before[read[at, worker]], "version": np.arange(1, len(at) + 1), **times}


def of_times(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The versions of updates of which the times are known: a view holds what was applied up to `t_read`."""
    order = np.argsort(columns["t_apply"], kind="stable")
    found = {name: column[order] for name, column in columns.items()}
    applied = found.get("dropped", np.zeros(len(order), np.int64)) & ABANDONED == 0
    versions = np.cumsum(applied)
    found["version"] = np.where(applied, versions, GIVEN_UP)
    seen = np.searchsorted(found["t_apply"][applied], found["t_read"], "right")
    found["read_version"] = np.minimum(seen, versions - applied)  # its own is not among them, however fast it was
    found["tau"] = versions - applied - found["read_version"]
    return {"order": order, **found}


def assigned(read: Ints, version: Ints) -> Ints:
    """The worker of each update, of as few workers as can have made them: each has one gradient at a time.

    Gradients are given out in the order of their reads, each to the first worker that is free. A worker is free when
    its last update is part of what is read. Their number is the largest number of gradients in flight at once.

    Args:
        read: the version that each read.
        version: the one that it made.

    >>> assigned(np.array([0, 0, 1]), np.array([1, 2, 3])).tolist()
    [0, 1, 0]
    """
    workers = np.zeros(len(read), np.int64)
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    ends = version.tolist()
    for row in np.argsort(read, kind="stable").tolist():
        while busy and busy[0][0] <= read[row]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        workers[row] = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (ends[row], int(workers[row])))
    return workers


def made_rows(columns: Mapping[str, Any], scheme: Scheme, refuse: Refuse) -> NDArray[Any]:
    """Rows of a schedule with all columns: what is missing follows from versions.

    An update takes one second where no times are known, and minibatches are taken in the order of the reads.

    Args:
        columns: `worker`, `version` and `read_version`, and any others of `ROW`.
        scheme: how the workers shared the parameters.
        refuse: raises for a row.
    """
    rows = aligned(len(columns["version"]), ROW)
    for name in ("worker", "version", "read_version"):
        rows[name] = columns[name]
    dropped, each = rows["version"] == GIVEN_UP, scheme.gradients(int(rows["worker"].max()) + 1)
    rows["dropped"], rows["tries"] = dropped, columns.get("tries", 0)
    now = np.maximum.accumulate(np.where(dropped, 0, rows["version"]))  # the version when a row ends
    rows["tau"] = np.where(dropped, columns.get("tau", now - rows["read_version"]), now - rows["read_version"] - 1)
    _check_versions(rows, dropped, each, refuse)
    if "tau" in columns:
        _none(rows["tau"] != columns["tau"], refuse, lambda at: (
            f"tau is {columns['tau'][at]}: from version {rows['read_version'][at]} to {rows['version'][at]} it is "
            f"{rows['tau'][at]}"))  # fmt: skip
    seen = rows["read_version"] + rows["tau"]  # when it arrived
    rows["t_read"] = columns.get("t_read", rows["read_version"])
    rows["t_apply"] = columns.get("t_apply", np.where(dropped, seen, rows["version"]))
    rows["t_ready"] = columns.get("t_ready", rows["t_apply"])
    times = [name for name in ("t_read", "t_ready", "t_apply") if name != "t_ready" or name in columns]
    for first, then in pairwise(times):
        if (back := rows[first] > rows[then]).any():
            at = int(back.argmax())
            refuse(at, f"{then} is {rows[then][at]:g}, before {first}, {rows[first][at]:g}: time goes back")
    if each == 1:
        _check_workers(rows, seen, dropped, refuse)
    _check_promises(rows, scheme, each, refuse)
    rows["batch"] = columns.get("batch", 0)
    return ticketed(rows)


def ticketed(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows with a minibatch each: their own or, if some have the same (as with `shards`), in the order of reads."""
    if len(np.unique(rows["batch"])) < len(rows):
        rows["batch"][np.lexsort((rows["read_version"], rows["t_read"]))] = np.arange(len(rows))
    return rows


def _check_versions(rows: NDArray[Any], dropped: NDArray[np.bool_], each: int, refuse: Refuse) -> None:
    """Versions are 1, 2, … in order, each of so many rows, and what was read had been made."""
    applied = np.flatnonzero(~dropped)
    versions = rows["version"][applied]
    wanted = np.arange(len(applied)) // each + 1
    if (wrong := versions != wanted).any():
        at = int(wrong.argmax())
        refuse(int(applied[at]), f"the version is {versions[at]}: must be {wanted[at]}, as versions count 1, 2, 3, … "
               f"without gaps{'' if each == 1 else f', {each} rows for each'}")  # fmt: skip
    read = rows["read_version"]
    _none((read < 0) | (rows["tau"] < 0), refuse, lambda at: (
        f"the version that was read is {read[at]}: must be one of those made before, 0 for the start"))  # fmt: skip


def _check_workers(rows: NDArray[Any], seen: Ints, dropped: NDArray[np.bool_], refuse: Refuse) -> None:
    """A worker reads what its last update is part of."""
    order = np.argsort(rows["worker"], kind="stable")
    ends = np.where(dropped, seen, rows["version"])[order]
    same = np.diff(rows["worker"][order]) == 0
    twice = np.zeros(len(rows), bool)
    twice[order[1:]] = same & (rows["read_version"][order][1:] < ends[:-1])
    _none(twice, refuse, lambda at: (
        f"worker {rows['worker'][at]} read version {rows['read_version'][at]}, before its last gradient was applied: "
        "a worker has one gradient at a time"))  # fmt: skip


def _check_promises(rows: NDArray[Any], scheme: Scheme, each: int, refuse: Refuse) -> None:
    """No gradient crosses a boundary of intervals, and none counts that the scheme gives up."""
    applied = rows["dropped"] == 0
    useless = LARGEST if scheme.useless_from is None else scheme.useless_from
    _none(applied & (rows["tau"] >= useless), refuse, lambda at: (
        f"the staleness is {rows['tau'][at]}, and {scheme} gives up gradients of {useless} or more"))  # fmt: skip
    if not scheme.intervals or scheme.adapts:
        return
    bounds = [0]
    while (bound := boundary_after(scheme.intervals, bounds[-1])) < len(rows):
        bounds.append(bound)
    whole = np.concatenate([[0], np.cumsum(applied) // each])  # versions that were made by so many rows
    before = np.repeat(whole[bounds], np.diff([*bounds, len(rows)]))
    _none(rows["read_version"] < before, refuse, lambda at: (
        f"the version that was read is {rows['read_version'][at]}: under {scheme} an interval began at version "
        f"{before[at]}, and no gradient crosses its boundary"))  # fmt: skip


def check_reads(rows: NDArray[Any], scheme: Scheme, force: Workforce) -> None:
    """UsageError if a worker reads when it is not in force, or is further ahead of the slowest than the bound."""
    worker, read = rows["worker"], rows["read_version"]
    starts, numbers = np.array(force.changes).T
    late = worker >= numbers[np.searchsorted(starts, read, "right") - 1]
    if late.any() and force.adapts_to is None:
        at = int(late.argmax())
        raise UsageError(
            f"workers is {force}: worker {worker[at]} of the trace read version {read[at]}, when "
            f"{force.at(int(read[at]))} were in force; leave workers out, or give the numbers that were"
        )
    if scheme.most_ahead is None or rows["dropped"].any():  # what is given up may count or not
        return
    made, slowest = _paces(worker.tolist(), force.most)
    each = scheme.gradients(force.most)
    last = np.minimum((read + 1) * each - 1, len(rows) - 1)  # the row before which it read, at the latest
    ahead = made - slowest[last]
    if (ahead > scheme.most_ahead).any():
        at = int((ahead > scheme.most_ahead).argmax())
        raise UsageError(
            f"scheme is {scheme}: worker {worker[at]} of the trace read version {read[at]}, when it was {ahead[at]} "
            "gradients ahead of the slowest; leave the bound out"
        )


def _paces(workers: list[int], most: int) -> tuple[Ints, Ints]:
    """Before each row, how many the worker has made, and how many the slowest worker has made."""
    own, at = [0] * most, [most]  # gradients of each worker; workers that have made so many
    made, slowest, least = np.zeros(len(workers), np.int64), np.zeros(len(workers), np.int64), 0
    for row, worker in enumerate(workers):
        made[row], slowest[row] = own[worker], least
        at[own[worker]] -= 1
        own[worker] += 1
        at += [0] * (own[worker] == len(at))
        at[own[worker]] += 1
        least += at[least] == 0
    return made, slowest


def _none(wrong: NDArray[np.bool_], refuse: Refuse, why: Callable[[int], str]) -> None:
    """Refuse the first row that is wrong, if there is one."""
    if wrong.any():
        at = int(wrong.argmax())
        refuse(at, why(at))


def refuse_in(where: str, place: Callable[[int], str]) -> Refuse:
    """A function that raises a DataError for a row.

    Args:
        where: the trace.
        place: names a row.
    """

    def refuse(row: int, why: str) -> NoReturn:
        raise DataError(f"{where}, {place(row)}: {why}")

    return refuse
