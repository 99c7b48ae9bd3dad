"""Records of runs that never were: a configuration, and when the loss falls to half of the initial one."""

from types import SimpleNamespace

import numpy as np

from asapnb.analysis import Curve, Record, Target

HALF = Target(loss=0.5)
BASE = {"problem": "quadratic", "rule": "constant()", "scheme": "LockBased()", "workers": 4, "step_size": 0.1}


def record(reached, status="finished", end=100.0, scale=1.0, kind="simulate", virtual=True, seed=0, **config):
    """The loss falls from 1 at update 0 to 0.5 at `reached`, or to 0.9 (None); a second makes two updates."""
    updates, loss = ([0.0, end], [1.0, 0.9]) if reached is None else ([0.0, reached, end + 1e-9], [1.0, 0.5, 0.4])
    at = np.array(updates)
    config = {**BASE, "timing": "exponential(1)", **config, "seed": seed}
    run = SimpleNamespace(
        config=config, kind=kind, status=status, is_virtual=virtual, path=None, code=(),
        attributes={"created_utc": f"{config}", "machine": {"allowed": 2}},
    )  # fmt: skip
    last = {"train_loss": loss[-1], "test_loss": np.nan, "test_accuracy": np.nan}
    summary = {
        "updates": end, "seconds": end / 2, "sum_of_steps": config["step_size"] * scale * end,
        "mean_scale": scale,
        "mean_factor": 1.0, "initial": {"train_loss": 1.0}, "last": last, "staleness": {"mean": 3.0},
        "burn_in": {"made_from": "rule", "updates": 0, "mean_scale_after": scale},
    }  # fmt: skip
    made = Record(run)
    made.__dict__["_facts"] = (summary, Curve(at, at / 2, 0.1 * scale * at, np.array(loss)), 10.0)
    return made


def runs(times, **config):
    """A run of each seed, from 0 on."""
    return [record(time, seed=seed, **config) for seed, time in enumerate(times)]
