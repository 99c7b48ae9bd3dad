"""What the engine's own threads get through, for each case of a file, as a line of JSON: one worker, and two.

python experiments/cluster/threads.py CASES.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cases import problem_of

import asapnb as ab


def rate(case: dict[str, Any], scheme: Any, workers: int) -> float:
    """Updates per second."""
    run = ab.train(
        problem_of(case["problem"]), scheme, workers=workers, batch_size=case["batch"], step_size=1e-4, updates=10**8,
        max_seconds=case["seconds"], eval_every=0, eval_samples=10,
    )  # fmt: skip
    return float(run.summary()["updates"] / run.summary()["seconds"])


if __name__ == "__main__":
    for case in json.loads(Path(sys.argv[1]).read_text()):
        for scheme, workers in ((ab.Sequential(), 1), (ab.LockBased(), 2)):
            row = {"scheme": scheme.name, "workers": workers, "rate": rate(case, scheme, workers)}
            print(json.dumps({**case, **row}), flush=True)
