"""Time to accuracy of parameter servers on this machine: a server and two workers of asapnb, of PyTorch and of Ray.

    python experiments/cluster/race.py [--quick] [mlp | lenet]

All have the same network, data, start, minibatches and plain SGD. Everybody trains on a piece of a fifth of an epoch,
then its clock stops, and the test images are classified; so no evaluation counts, and no start. Writes race-mlp.csv
and race-lenet.csv. PyTorch and Ray take part where they are installed. With --quick, each trains for a moment on the
embedded images, and nothing is written.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
from cases import on_ranks, write
from racing import WORKERS, reached

NETWORKS = {"mlp": "MLP 784-128-10", "lenet": "LeNet"}
CONTENDERS = {  # name: script, the module that it needs, ranks of MPI
    "asapnb, a server and 2 ranks": ("race_asapnb.py", "mpi4py", WORKERS + 1),
    "asapnb, LockBased, 2 threads": ("race_threads.py", "asapnb", 0),
    "PyTorch RPC, a server and 2 trainers": ("peer_rpc.py", "torch", 0),
    "Ray, a server, a driver and 2 actors": ("peer_ray.py", "ray", 0),
}
TASK = {"batch": 64, "step_size": 0.1, "goal": 0.85, "most": 10.0, "dataset": "fashion-mnist"}
QUICK = {"batch": 64, "step_size": 0.1, "goal": 0.85, "most": 0.2, "dataset": "fashion-mnist-mini"}
ROUNDS = 3


def raced(who: str, task: dict[str, Any]) -> dict[str, Any] | None:
    """What one race of a contender shows; None where its library is not installed."""
    script, needs, ranks = CONTENDERS[who]
    if not find_spec(needs):
        return None
    (found,) = on_ranks(script, task, ranks)
    curve = np.array(found["curve"])
    epochs, seconds = reached(curve, task["goal"])
    return {
        "network": task["network"], "who": who, "seed": task["seed"], "seconds": seconds, "epochs": epochs,
        "epochs_per_second": curve[-1, 0] / curve[-1, 1], "start": found["start"],
    }  # fmt: skip


def main() -> None:
    """Race."""
    quick = "--quick" in sys.argv[1:]
    for network in [name for name in NETWORKS if name in sys.argv[1:]] or NETWORKS:
        rows = []
        for seed in range(1, 2 if quick else ROUNDS + 1):
            task = {**(QUICK if quick else TASK), "network": network, "seed": seed}
            rows += [row for who in CONTENDERS if (row := raced(who, task))]
        if quick:
            print(*rows, sep="\n")
        else:
            write(f"race-{network}.csv", rows)


if __name__ == "__main__":
    main()
