"""A slow, obvious twin of the event loops: one process for each worker, on a heap of events.

A process is a generator. It yields when it wants to go on: `Until` a time, or at an `Event`, or, with None, when
another process wakes it. If `Until` is now, it goes on before any event of this moment; an `Event` always waits its
turn. The workers of real threads do the same steps, so docs/explanation/how-it-works.md explains both by this twin.

Times are those that compiled code draws.
"""

import heapq
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from naive import Table

from asapnb.compiled import kernel
from asapnb.schemes import Hogwild, Leashed, LockBased, ParameterServer, Sequential, Synchronous
from asapnb.simulator.world import ROW
from asapnb.timing import sampling
from asapnb.workforce import as_workforce

COMPUTE, READ, UPDATE, NETWORK, JOIN, RETRY = range(6)
CHOICE = 100


@kernel()
def _draw_many(out, times, purpose, worker, seed):
    state = sampling.stream(seed, purpose, worker)
    for i in range(out.size):
        out[i], state = sampling.draw(times, sampling.component(times, purpose, worker), state)


@kernel()
def _finish(times, worker, start, seconds):
    return sampling.finish(times, worker, start, seconds)


@kernel()
def _opening(seed, purpose, worker):
    return sampling.stream(seed, purpose, worker)


@kernel()
def _integer(state, n):
    return sampling.uniform_integer(state, n)


@dataclass
class Until:
    """Go on at this time; if it is now, at once."""

    time: float


@dataclass
class Event:
    """Go on at this time; if it is now, after the events of this moment that were scheduled before."""

    time: float


@dataclass(eq=False)
class Process:
    """A generator that waits."""

    steps: Generator
    turn: int = 0  # goes up whenever it goes on; an event scheduled for an earlier turn is void


class Done(Exception):
    """The last update has been applied."""


class Simulation:
    """The clock and the heap of events, the times to draw, the version so far and the rows."""

    def __init__(self, timing, workers, updates, seed, local_steps=1, gradients=1, table=0):
        self.gradients, self.added, self.table = gradients, 0, Table(table) if table else None
        self.workforce = as_workforce(workers)
        self.workers, self.updates, self.seed, self.local_steps = self.workforce.most, updates, seed, local_steps
        self.standing_by = []  # workers that are not in force, with what lets each go on
        self.times = timing.compiled(self.workers)
        self.drawn = {}
        self.now, self.sequence, self.version, self.tickets = 0.0, 0, 0, 0
        self.heap, self.soon, self.later, self.rows = [], deque(), deque(), []

    def draw(self, purpose, worker):
        """The next time of a worker for a purpose."""
        left = self.drawn.setdefault((purpose, worker), [0, deque()])
        if not left[1]:
            out = np.empty(2 * left[0] + 16)
            _draw_many(out, self.times, purpose, worker, self.seed)
            left[1].extend(out[left[0] :].tolist())
            left[0] = len(out)
        return left[1].popleft()

    def ready(self, worker, start):
        """When the gradients of all local steps are finished, of which the first begins at `start`."""
        for _ in range(self.local_steps):
            start = float(_finish(self.times, worker, start, self.draw(COMPUTE, worker)))
        return start

    def ticket(self):
        """The number of the next minibatch."""
        self.tickets += 1
        return self.tickets - 1

    def start(self, steps):
        """Start a process: it runs until it waits for the first time."""
        process = Process(steps)
        self.resume(process)
        return process

    def resume(self, process, why=None):
        """Let a process go on until it waits again."""
        process.turn += 1
        stop = process.steps.send(why)
        if isinstance(stop, Event) or (isinstance(stop, Until) and stop.time > self.now):
            heapq.heappush(self.heap, (stop.time, self.sequence, process.turn, process))
            self.sequence += 1
        elif stop is not None:
            self.wake(process)

    def wake(self, process):
        """Let a process go on in this moment, before any event."""
        self.soon.append((process.turn, process))

    def wake_after(self, process):
        """Let a process go on in this moment, after all that others do at once, before any event."""
        self.later.append((process.turn, process))

    def run(self):
        """Handle one event after the other. At equal times the one that was scheduled first is first."""
        try:
            while True:
                if self.soon or self.later:
                    turn, process = (self.soon or self.later).popleft()
                else:
                    time, _, turn, process = heapq.heappop(self.heap)
                    if turn == process.turn:
                        self.now = time
                if turn == process.turn:
                    self.resume(process)
        except Done:
            pass

    def apply(self, **row):
        """Apply a gradient: as many as make a version do so together. The last version ends the simulation."""
        row = {"t_apply": self.now, **row}
        self.rows.append(
            row | {"tau": self.version - row["read_version"], "version": self.version + 1, "seen": self.version + 1}
        )
        if self.table:
            self.version += self.table.add(row["worker"]) is not None
        else:
            self.added += 1
            if self.added == self.gradients:
                self.added, self.version = 0, self.version + 1
        if self.version == self.updates:
            raise Done
        self.let_in()

    def in_force(self, worker):
        """Whether a worker may begin a gradient."""
        return worker.number < self.workforce.at(self.version)

    def enter(self, worker):
        """Stand by until the worker is in force."""
        while not self.in_force(worker):
            self.stand_by(worker, lambda: self.wake(worker.process))
            yield None

    def stand_by(self, worker, go_on):
        """Call `go_on` at the version that brings the worker into force."""
        self.standing_by.append((worker, go_on))

    def let_in(self):
        """Let those go on that are in force by now, in the order of workers."""
        waiting = sorted(self.standing_by, key=lambda one: one[0].number)
        self.standing_by = [one for one in waiting if not self.in_force(one[0])]
        for worker, go_on in waiting:
            if self.in_force(worker):
                go_on()

    def drop(self, seen, **row):
        """Drop a gradient after the worker has seen version `seen`: its row makes no version."""
        self.rows.append(
            row | {"t_apply": self.now, "tau": seen - row["read_version"], "version": -1, "seen": seen, "dropped": 1}
        )


class Lock:
    """Held by one worker at a time; the others wait in a queue."""

    def __init__(self, sim, order):
        self.sim, self.order, self.queue, self.owner = sim, order, [], None
        self.state = _opening(sim.seed, CHOICE, 0)

    def acquire(self, worker, reads):
        """Take the lock, or wait for it; to read, while the worker is in force."""
        if self.owner is None:
            self.owner = worker
        else:
            self.queue.append((worker, reads))
            yield None

    def release(self):
        """Pass the lock on to the next in the queue, or to one drawn at random, unless it is out of force to read."""
        self.owner = None
        while self.queue and self.owner is None:
            if self.order == "random" and len(self.queue) > 1:
                k, self.state = _integer(np.uint64(self.state), len(self.queue))
                self.queue[0], self.queue[k] = self.queue[k], self.queue[0]
            worker, reads = self.queue.pop(0)
            if reads and not self.sim.in_force(worker):
                self.sim.stand_by(worker, lambda worker=worker: self.sim.wake(worker.process))
            else:
                self.owner = worker
                self.sim.wake(worker.process)


class Gate:
    """Between intervals: a gradient begins to read only when all gradients of earlier intervals are finished."""

    def __init__(self, sim, lengths):
        self.sim, self.lengths, self.finished, self.held = sim, lengths, 0, deque()
        self.closes = lengths[0][1] if lengths else np.inf

    def enter(self, worker):
        """Take a ticket, and wait until its interval has begun; returns the ticket."""
        ticket = self.sim.ticket()
        if ticket >= self.closes:
            self.held.append((ticket, worker))
            yield None
        return ticket

    def finish(self):
        """A gradient has been written or dropped. The last of an interval lets those of the next begin."""
        self.finished += 1
        if self.finished == self.closes:
            self.closes += [length for start, length in self.lengths if start <= self.finished][-1]
            while self.held and self.held[0][0] < self.closes:
                self.sim.wake_after(self.held.popleft()[1].process)
            return True


@dataclass(eq=False)
class Worker:
    """A worker, its process, and the row of the gradient that it computes."""

    number: int
    process: Process = None
    row: dict = field(default_factory=dict)
    made: int | None = None  # gradients so far; None before it has joined


def read(sim, worker, batch):
    """Read the parameters: the view is the newest version of this moment."""
    worker.row = {"worker": worker.number, "batch": batch, "read_version": sim.version, "t_read": sim.now}


def lock_based(sim, worker, gate, lock, fused, most):
    """Read under the lock, compute without it, update under it. If fused, one visit updates and reads anew.

    A gradient of staleness `most` or more is given up.
    """
    yield Event(sim.draw(JOIN, worker.number))
    batch = yield from enter_to_read(sim, worker, gate, lock)
    while True:
        read(sim, worker, batch)
        yield from until(sim, sim.now + sim.draw(READ, worker.number))
        lock.release()
        yield Event(sim.ready(worker.number, sim.now))
        worker.row["t_ready"] = sim.now
        yield from lock.acquire(worker, reads=False)
        if most is not None and sim.version - worker.row["read_version"] >= most:
            yield Until(sim.now)
            sim.drop(sim.version, **worker.row)
        else:
            yield Until(sim.now + sim.draw(UPDATE, worker.number))
            sim.apply(**worker.row)
        gate.finish()
        if fused and sim.tickets < gate.closes and sim.in_force(worker):
            batch = sim.ticket()
            continue
        lock.release()
        batch = yield from enter_to_read(sim, worker, gate, lock)


def until(sim, time):
    """Wait until this time; if it is now, go on before those that an update has just brought into force."""
    if time > sim.now:
        yield Until(time)


def enter_to_read(sim, worker, gate, lock):
    """Take a minibatch, then the lock, in force all the while; returns the number of the minibatch."""
    while True:
        yield from sim.enter(worker)
        batch = yield from gate.enter(worker)
        yield from lock.acquire(worker, reads=True)
        if lock.owner is worker:  # else it has stood by
            return batch


def hogwild(sim, worker, gate, view):
    """Read, compute, claim the next version, write. Others do the same meanwhile."""
    yield Event(sim.draw(JOIN, worker.number))
    while True:
        yield from sim.enter(worker)
        read(sim, worker, (yield from gate.enter(worker)))
        copied = sim.now + sim.draw(READ, worker.number)
        yield Event(sim.ready(worker.number, copied))
        written = sim.now + sim.draw(UPDATE, worker.number)
        end_of_view = copied if view == "snapshot" else sim.now
        sim.apply(**worker.row, t_ready=sim.now, t_view=end_of_view, t_apply=written)  # claims its version now
        yield from until(sim, written)
        gate.finish()


def leashed(sim, worker, gate, publishing, persistence, early):
    """Read, compute, then attempt to publish until nobody else has published since the attempt began.

    After more failures than `persistence` the gradient is dropped. With `early`, an attempt fails as soon as another
    worker publishes; `publishing` are the workers that attempt.
    """
    yield Event(sim.draw(JOIN, worker.number))
    while True:
        yield from sim.enter(worker)
        read(sim, worker, (yield from gate.enter(worker)))
        yield Event(sim.ready(worker.number, sim.now + sim.draw(READ, worker.number)))
        row = worker.row | {"t_ready": sim.now, "tries": 0}
        publishing.append(worker)
        while True:
            seen = sim.version
            overtaken = yield Until(sim.now + sim.draw(RETRY if row["tries"] else UPDATE, worker.number))
            if not overtaken and sim.version == seen:
                publishing.remove(worker)
                sim.apply(**row)
                gate.finish()
                if early:
                    for other in list(publishing):
                        sim.resume(other.process, True)
                break
            row["tries"] += 1
            if persistence is not None and row["tries"] > persistence:
                publishing.remove(worker)
                sim.drop(seen, **row)
                gate.finish()
                break


class Server:
    """Serves one worker at a time, in the order of calls: it takes a gradient, if there is one, and answers."""

    def __init__(self, sim, scheme, workers, gate):
        self.sim, self.scheme, self.workers, self.gate = sim, scheme, workers, gate
        self.queue, self.held, self.waiting, self.idle = deque(), [], [], False
        self.process = sim.start(self.steps())

    def call(self, worker, gradient):
        """A message of a worker arrives, with a gradient or without."""
        self.queue.append((worker, gradient))
        if self.idle:
            self.idle = False
            self.sim.wake(self.process)

    def slowest(self):
        """The gradients of the worker that has made the fewest."""
        return min((worker.made for worker in self.workers if worker.made is not None), default=0)

    def steps(self):
        """Serve, and wait where the queue is empty."""
        sim, scheme = self.sim, self.scheme
        while True:
            if not self.queue:
                self.idle = True
                yield None
            worker, gradient = self.queue.popleft()
            if gradient:
                if scheme.discard_after and sim.version - worker.row["read_version"] >= scheme.discard_after:
                    sim.drop(sim.version, **worker.row)
                    self.finish()
                else:
                    yield Until(sim.now + sim.draw(UPDATE, worker.number))
                    sim.apply(**worker.row)
                    self.finish()
                    if scheme.restart:
                        self.restart()
                worker.made += 1
                if scheme.bound is not None:
                    self.held.append(worker)
                    ahead = [w for w in self.held if w.made - self.slowest() > scheme.bound]
                    goes_on = [w for w in self.held if w not in ahead and w is not worker]
                    self.held = ahead
                    for other in goes_on:
                        self.call(other, False)
                    if worker in ahead:
                        continue
            if not sim.in_force(worker):
                sim.stand_by(worker, lambda worker=worker: self.call(worker, False))
                continue
            if sim.tickets >= self.gate.closes:
                self.waiting.append(worker)
                continue
            read(sim, worker, sim.ticket())
            yield Until(sim.now + sim.draw(READ, worker.number))
            sim.resume(worker.process, "answered")

    def finish(self):
        """A gradient has been applied or dropped. If the next interval begins, who waited for it asks again."""
        if self.gate.finish():
            waiting, self.waiting = self.waiting, []
            for worker in waiting:
                self.call(worker, False)

    def restart(self):
        """Drop the gradients that would be too stale on arrival; their workers ask for new parameters."""
        sim = self.sim
        for worker in sorted(self.workers, key=lambda w: w.row.get("batch", -1)):
            computes = worker.row.get("t_ready", 0.0) > sim.now
            if computes and sim.version - worker.row["read_version"] >= self.scheme.discard_after:
                sim.drop(sim.version, **worker.row | {"t_ready": sim.now})
                self.finish()
                sim.resume(worker.process, "restart")
                worker.row = {}
                self.call(worker, False)


def remote(sim, worker, server):
    """A worker of a parameter server: ask for parameters, compute, send the gradient."""
    number = worker.number
    yield Event(sim.draw(JOIN, number))
    worker.made = server.slowest()
    yield Until(sim.now + sim.draw(NETWORK, number))
    server.call(worker, False)
    while True:
        yield None
        worker.row["t_ready"] = sim.ready(number, sim.now + sim.draw(NETWORK, number))
        if (yield Event(worker.row["t_ready"] + sim.draw(NETWORK, number))) != "restart":
            server.call(worker, True)


class Round:
    """Begins each round, waits for as many gradients as it needs, and applies their average."""

    def __init__(self, sim, scheme, workers):
        self.sim, self.workers = sim, workers
        self.needed, self.batches = scheme.gradients(len(workers)), scheme.batches
        self.joined, self.open, self.rows, self.process = [], False, [], None

    def steps(self):
        """One round after the other."""
        sim = self.sim
        yield Event(0.0)
        while True:
            self.open, self.rows = True, []
            for worker in sorted(self.joined, key=lambda w: w.number):
                sim.resume(worker.process, "begin")
            yield None
            yield Until(sim.now + sim.draw(UPDATE, 0))
            if not self.batches:
                self.rows.sort(key=lambda row: row["worker"])
            sim.rows += [row | {"t_apply": sim.now, "tau": 0, "version": sim.version + 1} for row in self.rows]
            sim.version += 1
            if sim.version == sim.updates:
                raise Done

    def hand_in(self, row):
        """Take a gradient; the last that is needed ends the round."""
        self.rows.append(row)
        if len(self.rows) == self.needed:
            self.open = False
            self.sim.wake(self.process)


def in_rounds(sim, worker, rounds):
    """Compute a gradient in each round, or, with `batches`, one after the other until the round ends."""
    yield Event(sim.draw(JOIN, worker.number))
    rounds.joined.append(worker)
    if not rounds.open:
        yield None
    while True:
        read(sim, worker, sim.ticket())
        start = sim.now + sim.draw(READ, worker.number)
        while True:
            if (yield Event(sim.ready(worker.number, start))) == "begin":
                break
            if rounds.open:
                rounds.hand_in(worker.row | {"t_ready": sim.now})
            if not rounds.open or not rounds.batches:
                yield None
                break
            start = sim.now
            worker.row = worker.row | {"batch": sim.ticket(), "t_read": start}


def simulate(timing, scheme, workers, updates, seed, local_steps=1):
    """The rows of a schedule (dtype ROW), and t_view (None but for Hogwild)."""
    together = 1 if isinstance(scheme, Synchronous) else scheme.gradients(as_workforce(workers).most)
    table = scheme.table_of(as_workforce(workers).most)
    sim = Simulation(timing, workers, updates, seed, local_steps, together, table)
    team = [Worker(number) for number in range(sim.workers)]
    gate = Gate(sim, scheme.intervals)
    if isinstance(scheme, Sequential):
        scheme = LockBased()
    if isinstance(scheme, LockBased):
        kind, shared = lock_based, (gate, Lock(sim, scheme.order), scheme.fused, scheme.discard_after)
    elif isinstance(scheme, Hogwild):
        kind, shared = hogwild, (gate, scheme.view)
    elif isinstance(scheme, Leashed):
        kind, shared = leashed, (gate, [], scheme.persistence, scheme.check_early)
    elif isinstance(scheme, ParameterServer):
        kind, shared = remote, (Server(sim, scheme, team, gate),)
    elif isinstance(scheme, Synchronous):
        kind, shared = in_rounds, (Round(sim, scheme, team),)
    for worker in team:
        worker.process = sim.start(kind(sim, worker, *shared))
    if isinstance(scheme, Synchronous):  # who is there from 0 on has joined when the first round begins
        shared[0].process = sim.start(shared[0].steps())
    sim.run()
    if not isinstance(scheme, Synchronous):
        sim.rows.sort(key=lambda row: (row["seen"], row["version"] < 0))
    rows = np.zeros(len(sim.rows), ROW)
    for i, row in enumerate(sim.rows):
        for name in ROW.names:
            rows[name][i] = row.get(name, 0)
    views = np.array([row["t_view"] for row in sim.rows]) if isinstance(scheme, Hogwild) else None
    return rows, views


def fewest_workers(delays):
    """The gradients that are in flight at once, at most: the update number k is so from the read to its own."""
    spans = [range(at - delay, at + 1) for at, delay in enumerate(delays)]
    return max(sum(now in span for span in spans) for now in range(len(delays)))
