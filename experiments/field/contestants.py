"""Who competes, where, and until when: the tables that field.py carries out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WORKERS = 16
SCHEDULES = {  # how long gradients take; reads and updates take no time
    "equal": "gamma(mean=1, cv=0.2)",
    "SMT": "machine(cores=12, smt=1.66, cv=0.2)",  # 8 workers alone on a core, 8 in pairs, 1.66 times as slow
    "straggler": "slowed(gamma(mean=1, cv=0.2), factor=10, workers=[0])",
}
DATA = {"iid": {}, "label": {"shards": "label"}}  # workers draw from all samples, or have few labels each
REPORTED, TUNING = tuple(range(10)), (100, 101, 102, 103)  # seeds
BASE = "lock-based"  # the contestant with which all are compared


@dataclass(frozen=True)
class Contestant:
    """A scheme with its options, or another update.

    Attributes:
        name: in tables.
        scheme: as text.
        start: the search for the best step size begins at 2^(start/2).
        more: further arguments of `simulate`.
    """

    name: str
    scheme: str = "lock-based"
    start: int = -11
    more: dict[str, Any] = field(default_factory=dict)


CONTESTANTS = (
    Contestant(BASE),
    Contestant("synchronous", "synchronous", -5),
    Contestant("K-sync, 12", "synchronous(wait_for=12)", -5),
    Contestant("K-batch-sync, 16", "synchronous(wait_for=16, batches=True)", -5),
    Contestant("interval 32", "lock-based(interval=32)"),
    Contestant("interval 128", "lock-based(interval=128)"),
    Contestant("bound 4", "parameter-server(bound=4)"),
    Contestant("discard after 16", "parameter-server(discard_after=16)"),
    Contestant("discard after 32", "parameter-server(discard_after=32)"),
    Contestant("buffer 4", "lock-based(buffer=4)", -7),
    Contestant("buffer 16", "lock-based(buffer=16)", -5),
    Contestant("asynchronous mini-batch 8", "lock-based(buffer=8, discard_after=1)", -5),
    Contestant("gradient table", "lock-based(table=True)", -7),
    Contestant("workers 8, then 16", more={"workers": "0:8, 640:16"}),
    Contestant("local steps 4", more={"local_steps": 4}),
    Contestant("tail", more={"rule": "tail"}),
    Contestant("inverse", start=-6, more={"rule": "inverse"}),
    Contestant("delay-adaptive", more={"rule": "delay_adaptive"}),
    Contestant("rescaled", more={"rule": "rescaled(refresh=every(10, warmup=0))", "worker_tables": True}),
    Contestant("momentum 0.9", start=-19, more={"momentum": 0.9}),
    Contestant("momentum 0.9, shared", start=-19, more={"momentum": 0.9, "momentum_kind": "shared"}),
    Contestant("momentum 0.9, ordered", start=-19, more={"momentum": 0.9, "momentum_kind": "ordered"}),
    Contestant("adam", start=-19, more={"optimizer": "adam"}),
    Contestant("adagrad", start=-11, more={"optimizer": "adagrad"}),
)
