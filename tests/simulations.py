"""What the tests of the simulator share: runs of every scheme on tiny problems, and what a run file holds."""

import h5py
import numpy as np
from problems import quadratic

import asapnb as ab
from asapnb.record.files import created, opened
from asapnb.record.held import Held

SLOW = "compute=exponential(1), read=exponential(0.2), update=exponential(0.3)"
SENT = f"{SLOW}, network=exponential(0.2)"
CONSISTENT = [
    "sequential",
    "lock-based",
    "lock-based(order=random)",
    "lock-based(fused=True)",
    "leashed",
    "leashed(persistence=0)",
    "leashed(persistence=1, check_early=True)",
    "parameter-server",
    "parameter-server(bound=1)",
    "parameter-server(discard_after=3)",
    "parameter-server(discard_after=3, restart=True)",
    "lock-based(buffer=3, discard_after=2)",
    "parameter-server(buffer=4)",
    "parameter-server(table=True)",
]
ROUNDS = ["synchronous", "synchronous(wait_for=3)", "synchronous(wait_for=7, batches=True)"]
HOGWILD = ["hogwild", "hogwild(view=snapshot)", "hogwild(view=snapshot, blocks=1)", "hogwild(blocks=7)"]
MOMENTA = [(0.0, "per_worker"), (0.9, "per_worker"), (0.9, "shared")]
OF_THE_PROCESS = {"created_utc", "command", "pid", "host", "machine", "replay", "run_id", "token", "sessions"}


def timing_of(scheme):
    """Reads and updates that take time; messages, too, where there are any."""
    return SENT if scheme.startswith("parameter-server") else SLOW


def simulate(problem=None, scheme="lock-based", **arguments):
    """`asapnb.simulate` with what most tests take."""
    defaults = {
        "workers": 1 if scheme == "sequential" else 5,
        "timing": timing_of(scheme),
        "step_size": 0.03,
        "batch_size": 7,
        "seed": 3,
        "updates": 60,
        "eval_every": 8,
        "threads": 1,
    }
    return ab.simulate(problem or quadratic(), scheme=scheme, **{**defaults, **arguments})


def grow(path):
    """Write the file of a run that has ended as one that it grew in: its columns can be resized, as after a kill."""
    with opened(path) as file:
        held = Held.read(file)
    with created(path) as file:
        held.write(file)


def contents(path):
    """All that a run file holds, by name, but for what is of the process that wrote it."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and name != "synopsis":  # which has these attributes, too
            found[name] = item[...]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        found |= {f"attribute {name}": file.attrs[name] for name in file.attrs if name not in OF_THE_PROCESS}
    return found


def assert_same_contents(path, other):
    ours, theirs = contents(path), contents(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def assert_same_runs(run, other, *, but=()):
    """All that is recorded is the same, but for these columns."""
    for group in ("updates", "evals", "microscope"):
        ours, theirs = getattr(run, group), getattr(other, group)
        assert list(ours) == list(theirs)
        for name in set(ours) - set(but):
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{group}/{name}")
    for name in ("steps", "scales"):
        np.testing.assert_array_equal(getattr(run.rule_tables, name), getattr(other.rule_tables, name))
    np.testing.assert_array_equal(run.params["final"], other.params["final"])
    assert run.status == other.status
