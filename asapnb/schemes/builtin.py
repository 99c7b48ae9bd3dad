"""The schemes of asapnb. Only the simulator has the options with `simulated=True`."""

from typing import Literal

from ..errors import UsageError
from .common import MOST_BUFFERED, AtOnePlace, OnThreads
from .scheme import Scheme, Steps, option, register


@register
class Sequential(Scheme):
    """One worker: ordinary minibatch SGD. The same seed gives the same bits."""

    name = "sequential"
    worker_loop = "asapnb.engine.loops.sequential:work"
    event_loop = "asapnb.simulator.loops.lock_based:run"
    fresh = True
    copied_for_evaluation = False
    copies_view = False
    mass_drops = False
    most_workers = 1

    @property
    def instant(self) -> bool:
        """Always."""
        return True


@register
class Synchronous(Scheme):
    """In every round each worker computes one gradient at the same parameters, and their average is one update.

    Args:
        wait_for: K of K-sync: a round ends with the first K gradients, and gives the others up. From 1 to the number
            of workers (any number with `batches`). None waits for all workers.
        batches: K-batch-sync: a worker that is ready takes the next minibatch at the same parameters, until there are
            K gradients. It needs `wait_for`.

    Every round makes one version, and the staleness is 0. The same seed gives the same bits, except with `wait_for`
    on threads, where the machine decides which gradients come first.

    With `wait_for` in virtual time, the unfinished gradients of a round are given up when it ends, and leave no row.
    On threads a gradient that has begun is always finished. Then it is given up, with a row, and its worker reads
    the new parameters.

    Source of K-sync and K-batch-sync: Dutta, Joshi, Ghosh, Dube, Nagpurkar, "Slow and stale gradients can win the
    race", AISTATS 2018, arXiv 1803.01113.
    """

    name = "synchronous"
    worker_loop = "asapnb.engine.loops.synchronous:work"
    event_loop = "asapnb.simulator.loops.rounds:run"
    fresh = True
    mass_drops = False

    wait_for: int | None = option(default=None, least=1, quiet=True)
    batches: bool = option(default=False, quiet=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batches and self.wait_for is None:
            raise UsageError("Synchronous(batches=True): say how many gradients a round takes, as wait_for=8")

    @property
    def chosen_loop(self) -> str | None:
        """With `wait_for` another one."""
        return self.worker_loop if self.wait_for is None else "asapnb.engine.loops.k_sync:work"

    @property
    def averages(self) -> bool:
        """If a round has a gradient of each worker."""
        return self.wait_for is None

    @property
    def copied_for_evaluation(self) -> bool:
        """If nobody waits for all workers."""
        return self.wait_for is not None

    @property
    def drops(self) -> bool:
        """If a round may end without some gradients."""
        return self.wait_for is not None

    def sums(self, workers: int) -> int:
        """One, for the first gradients of a round."""
        return int(self.wait_for is not None)

    def gradients(self, workers: int) -> int:
        """The gradients that a round averages.

        >>> Synchronous().gradients(8), Synchronous(wait_for=3).gradients(8)
        (8, 3)
        """
        return workers if self.wait_for is None else self.wait_for

    def check_workers(self, workers: int) -> None:
        """UsageError if a round waits for more gradients than there can be."""
        if not self.batches and self.gradients(workers) > workers:
            raise UsageError(f"{self} with {workers} workers: a round cannot wait for more gradients than workers")


@register
class LockBased(OnThreads, AtOnePlace):
    """One lock: a worker holds it while it copies the parameters, and again while it updates them.

    Args:
        order: who gets the lock next: "fifo", the worker that has waited longest, or "random", any waiting worker
            (simulator only; on real threads the machine decides).
        fused: a worker updates and then reads in one visit, with no other update between (simulator only).
        interval: K, the length of intervals. Gradients are divided into intervals of K, and no gradient crosses the
            boundary between two: a worker begins to read for an interval only when all gradients of earlier ones are
            finished. So the staleness is at most K - 1. 1 is sequential; None sets no boundaries. The length may
            change: [(0, 64), (5000, 16)] has intervals of 64, and of 16 from the first boundary at which 5000
            gradients or more are finished.
        adaptive: the length of intervals begins with interval=K and follows the measured progress: it is doubled or
            halved where the training loss then falls faster (threads only).
        buffer: K, the number of gradients of a version. Gradients are added up, each with its own scale and factor,
            and the K-th makes a version with their mean: x ← x − step_size · (1/K) Σ scale·factor·gradient. 1 is no
            buffer.
        discard_after: R >= 1: a gradient of staleness R or more is given up, and makes no version. None gives up
            nothing. With R = 1 and a buffer of K, a version is the mean of K gradients that were all computed at the
            version before it.
        table: give all workers the same weight in every version, however fast they are; see `ParameterServer`
            (simulator only).

    Views are consistent, and the staleness is the exact number of updates missing from the view. A worker whose
    gradient waits in the buffer continues meanwhile. With a buffer all workers share one velocity.

    Sources: of the intervals, Garby, Tsigas, "Interval-Asynchrony: Delimited Intervals of Localised Asynchrony for
    Fast Parallel SGD", Euro-Par 2025; of buffers, Nguyen et al., "Federated learning with buffered asynchronous
    aggregation", AISTATS 2022, arXiv 2106.06639; of buffers of fresh gradients, Attia, Gaash, Koren, "Faster
    stochastic optimization with arbitrary delays via asynchronous mini-batching", ICML 2025, arXiv 2408.07503.
    """

    name = "lock-based"
    worker_loop = "asapnb.engine.loops.lock_based:work"
    timed_loop = "asapnb.engine.loops.timed:lock_based"
    event_loop = "asapnb.simulator.loops.lock_based:run"
    mass_drops = False
    elastic = True

    order: Literal["fifo", "random"] = option(default="fifo", simulated=True)
    fused: bool = option(default=False, simulated=True)
    interval: int | Steps | None = option(default=None, least=1, quiet=True)
    adaptive: bool = option(default=False, measured=True)
    buffer: int = option(default=1, least=1, most=MOST_BUFFERED, quiet=True)
    discard_after: int | None = option(default=None, least=1, quiet=True)
    table: bool = option(default=False, simulated=True)

    @property
    def instant(self) -> bool:
        """Where each gradient makes a version, as soon as it can."""
        return not self.intervals and self.buffer == 1 and not self.drops and not self.table


@register
class Hogwild(OnThreads):
    """No synchronization of the parameters: reads and writes race, component by component.

    Args:
        view: "in_place" computes the gradient on the shared parameters themselves. "snapshot" copies them first; the
            copy is torn if others write meanwhile.
        blocks: the number of pieces, 1 to 1024, in which the simulator reads and writes the parameters, one after the
            other. Pieces are read and written at different times, so views are inconsistent (simulator only).
        interval: K, the length of intervals, whose boundaries no gradient crosses; see `LockBased`. At a boundary all
            updates have been written completely, so no view mixes two intervals.
        adaptive: the length of intervals follows the measured progress; see `LockBased` (threads only).

    The staleness is the number of updates claimed between the start of the view and the update. It does not bound
    what the view lacks, because the view mixes versions.

    Source: Niu, Recht, Ré, Wright, "Hogwild!", NIPS 2011.
    """

    name = "hogwild"
    worker_loop = "asapnb.engine.loops.hogwild:work"
    event_loop = "asapnb.simulator.loops.hogwild:run"
    consistent = False
    races = True
    mass_drops = False
    elastic = True

    view: Literal["in_place", "snapshot"] = "in_place"
    blocks: int = option(default=16, least=1, most=1024, simulated=True)
    interval: int | Steps | None = option(default=None, least=1, quiet=True)
    adaptive: bool = option(default=False, measured=True)

    @property
    def instant(self) -> bool:
        """Never: the simulator notes when views had been read."""
        return False

    @property
    def copies_view(self) -> bool:
        """In place, the view is the parameters themselves."""
        return self.view == "snapshot"

    @property
    def keeps_view(self) -> bool:
        """Not in place, where others write over it."""
        return self.view == "snapshot"

    @property
    def pieces(self) -> int:
        """As many as there are blocks."""
        return self.blocks


@register
class Leashed(OnThreads):
    """Lock-free and consistent: a new parameter vector is published by compare-and-swap on one word.

    Args:
        persistence: the persistence bound T_p: a gradient is dropped after T_p + 1 failed attempts to publish its
            update. None never drops one.
        check_early: end an attempt as soon as another worker has published, before the new vector is finished.
        interval: K, the length of intervals, whose boundaries no gradient crosses; see `LockBased`. A dropped
            gradient counts as finished.
        adaptive: the length of intervals follows the measured progress; see `LockBased` (threads only).

    Source: Bäckström, Walulya, Papatriantafilou, Tsigas, "Consistent lock-free parallel stochastic gradient
    descent for fast and stable convergence", IPDPS 2021, arXiv 2102.09032.
    """

    name = "leashed"
    worker_loop = "asapnb.engine.loops.leashed:work"
    timed_loop = "asapnb.engine.loops.timed:leashed"
    event_loop = "asapnb.simulator.loops.leashed:run"
    published = True
    copied_for_evaluation = False
    copies_view = False
    elastic = True

    persistence: int | None = None
    check_early: bool = False
    interval: int | Steps | None = option(default=None, least=1, quiet=True)
    adaptive: bool = option(default=False, measured=True)

    @property
    def drops(self) -> bool:
        """If there is a persistence bound."""
        return self.persistence is not None

    @property
    def mass_drops(self) -> bool:
        """With early checks, all others fail when one has published."""
        return self.check_early


@register
class ParameterServer(AtOnePlace):
    """Workers on other machines: gradients travel to a server, which applies one at a time and sends parameters back.

    In virtual time every message takes a `network` time of the timing. The server takes gradients in the order of
    arrival; each costs it an `update` time, and the answer a `read` time. In real time, server and workers are the
    ranks of MPI.

    Args:
        bound: a worker that is more than `bound` gradients ahead of the slowest waits (stale synchronous parallel). 0
            to 10⁶; with None nobody waits.
        discard_after: R >= 1: a gradient of staleness R or more is discarded when it arrives, and makes no version
            (Ringmaster ASGD). None discards nothing.
        restart: with `discard_after`, the server tells a worker that its gradient would be discarded, and the worker
            starts a new one (simulator only, because a real worker cannot leave a gradient that it has begun).
        interval: K, the length of intervals, whose boundaries no gradient crosses; see `LockBased`. The server sends
            parameters for the next interval only when all gradients of this one have arrived.
        buffer: K, the number of gradients of a version. The server adds gradients up, each with its own scale and
            factor, and the K-th makes a version with their mean (FedBuff), as in `LockBased`. 1 is no buffer.
        table: keep a gradient table (Ringleader ASGD; simulator only). For each worker i of n it has the sum Gᵢ of
            gradients, each times its own scale and factor, and their number bᵢ. Every version uses the whole table,
            x ← x − step_size · (1/n) Σ Gᵢ/bᵢ. So all workers have the same weight, however fast they are.

    With a table, a round makes n versions, one for each worker. At first gradients are added to the table until it
    has one of every worker; the gradient that completes it makes a version. Then the next gradient of each other
    worker is added and makes a version. Meanwhile, gradients of workers that have made their version are added to a
    second table, and the next round begins with that. A worker always continues at the newest parameters (in the
    paper's analysis all gradients of Gᵢ are computed at one view). The staleness of every gradient is at most 2n − 2.
    All workers share one velocity. A single worker needs no table, and has none.

    Sources: Ho et al., "More effective distributed ML via a stale synchronous parallel parameter server", NIPS 2013;
    Maranjyan, Tyurin, Richtárik, "Ringmaster ASGD", ICML 2025, arXiv 2501.16168;
    of the table, Maranjyan, Richtárik, "Ringleader ASGD", ICLR 2026, arXiv 2509.22860. Intervals, buffers: see
    `LockBased`.
    """

    name = "parameter-server"
    server_loop = "asapnb.engine.loops.server:serve"
    event_loop = "asapnb.simulator.loops.server:run"
    messages = True
    elastic = True

    bound: int | None = option(default=None, most=10**6)
    discard_after: int | None = option(default=None, least=1)
    restart: bool = option(default=False, simulated=True)
    interval: int | Steps | None = option(default=None, least=1, quiet=True)
    buffer: int = option(default=1, least=1, most=MOST_BUFFERED, quiet=True)
    table: bool = option(default=False, simulated=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restart and self.discard_after is None:
            raise UsageError(
                "ParameterServer(restart=True): needs discard_after=R, after which a gradient is useless"
            )

    @property
    def most_ahead(self) -> int | None:
        """The bound."""
        return self.bound

    @property
    def paces(self) -> int:
        """One place for each possible lead over the slowest worker: 0 to the bound, and one more."""
        return 1 if self.bound is None else self.bound + 2
