"""Small sweeps for tests, and rules of one's own that wait, die or fail in the process they are computed in."""

import functools
from pathlib import Path

from asapnb.sweep import parse_sweep
from asapnb.sweep.points import carry_out

TABLE = {
    "kind": "simulate",
    "base": {"problem": "quadratic([1, 10])", "workers": 2, "updates": 20},
    "grid": {"rule": ["constant", "tail"], "step_size": [0.01, 0.02]},
}
OWN = '''
import multiprocessing, os, signal, sys, time
from pathlib import Path

HERE = Path(__file__).parent


def at_work():
    return multiprocessing.parent_process() is not None


def once(name):
    """Whether this is the first call in any process that makes runs."""
    try:
        return at_work() and (HERE / name).open("x") is not None
    except FileExistsError:
        return False


def ones(staleness, workers):
    return [1.0] * len(staleness)


def waits(staleness, workers):
    if at_work():
        (HERE / "pid.part").write_text(str(os.getpid()))
        (HERE / "pid.part").rename(HERE / "pid")
        time.sleep(1000)
    return ones(staleness, workers)


def dies(staleness, workers):
    if at_work():
        os.kill(os.getpid(), signal.SIGKILL)
    return ones(staleness, workers)


def dies_once(staleness, workers):
    return dies(staleness, workers) if once("died") else ones(staleness, workers)


def fails_once(staleness, workers):
    return [-1.0] if once("failed") else ones(staleness, workers)


def exits(staleness, workers):
    print("to stdout")
    if at_work():
        sys.exit(3)
    return ones(staleness, workers)


for function in (waits, dies, dies_once, fails_once, exits):
    function.refresh = None
'''


def table(**changes):
    """The table of a small sweep; keys of `base` and `grid` are added, or taken out where they are None."""
    new = {**TABLE, **{name: value for name, value in changes.items() if name not in ("base", "grid")}}
    for part in ("base", "grid"):
        merged = {**TABLE[part], **changes.get(part, {})}
        new[part] = {name: value for name, value in merged.items() if value is not None}
    return new


def small(**changes):
    """A small sweep."""
    return parse_sweep(table(**changes))


def with_rules(folder, *names):
    """A sweep of these rules, "own:NAME" being one of OWN, which is written to the folder."""
    Path(folder, "own.py").write_text(OWN)
    rules = [f"{folder}/own.py:{name[4:]}" if name.startswith("own:") else name for name in names]
    return table(grid={"rule": rules, "step_size": None})


def at_once(points, folder, jobs, files):
    """In place of `in_processes`: the same, in this process."""
    yield from (carry_out(point, folder / point.file, jobs) for point in points)


@functools.cache
def by_itself():
    """Such runs, made without any sweep: the last losses, by rule and step size."""
    from asapnb.config import run_config

    return {
        (point.config["rule"], point.config["step_size"]): run_config(point.config, "simulate").evals["train_loss"][
            -1
        ]
        for point in small().points
    }
