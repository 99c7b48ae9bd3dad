"""`asapnb simulate --staleness-only`: a schedule of any length, of which only counts of staleness are kept."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from asapnb.record import to_json
from asapnb.simulator import Tally, staleness_only
from asapnb.simulator.schedules import SHARES
from asapnb.staleness import fits
from asapnb.timing import as_timing

from .compiling import announced
from .flags import scheme_and_workers, with_defaults
from .streams import echo
from .text import console, drawing, pairs

_UPDATES = 1_000_000
_FITTED = 2**17  # the largest staleness for which models are fitted


def tally(arguments: Mapping[str, Any], *, quiet: bool, as_json: bool) -> None:
    """Count the staleness of a schedule, and print the result.

    Args:
        arguments: of the schedule: timing, scheme, workers, updates and seed, where they are given.
        quiet: print nothing but errors.
        as_json: print a JSON document instead.
    """
    scheme, workers = scheme_and_workers(arguments, "simulate")
    timing = as_timing(with_defaults(arguments, "simulate")["timing"], workers.most)
    updates, seed = arguments.get("updates", _UPDATES), arguments.get("seed", 0)
    screen = console(quiet=quiet or as_json)
    with ExitStack() as showing:
        compiling = showing.enter_context(ExitStack())
        watch = compiling.enter_context(announced(console(stderr=True, quiet=quiet)))
        bar = showing.enter_context(_bar(screen, updates))

        def progress(done: int) -> None:
            compiling.close()
            bar(done)

        begun = time.perf_counter()
        found = staleness_only(timing, scheme, workers, updates, seed, progress)
        wall_seconds = time.perf_counter() - begun - watch.seconds
    facts = _facts(found, wall_seconds)
    if as_json:
        echo(to_json(facts))
        return
    more = [("models", "; ".join(map(_fitted, facts["fits"]))), ("real time", f"{wall_seconds:.2f} s")]
    screen.print(
        pairs([*found.figures(), *more]),
        "",
        drawing(found.counts, min(screen.width, 100)),
        sep="\n",
    )  # fmt: skip


@contextmanager
def _bar(screen: Console, updates: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; yields the function that moves it."""
    done = TextColumn("{task.completed:,.0f} of {task.total:,.0f} updates")
    columns = (TaskProgressColumn(), BarColumn(), done, TimeRemainingColumn())
    shown = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    task = shown.add_task("", total=updates, start=False)

    def progress(done: int) -> None:
        if not shown.tasks[0].started:
            shown.start_task(task)
            shown.start()
        shown.update(task, completed=done)

    try:
        yield progress
    finally:
        shown.stop()


def _fitted(found: dict[str, Any]) -> str:
    """A fitted model as text, with its Kolmogorov distance."""
    parameters = ", ".join(f"{name}={value:.4g}" for name, value in found["parameters"].items())
    return f"{found['model']}({parameters}) off by {found['ks']:.4f}"


def _facts(found: Tally, wall_seconds: float) -> dict[str, Any]:
    """A tally as one JSON document."""
    tau = found.staleness
    return {
        "kind": "staleness-only",
        "scheme": str(found.scheme),
        "timing": str(found.timing),
        "notes": found.timing.notes(),
        "workers": found.workers if found.workforce is None else found.workforce.plain,
        "updates": found.updates,
        "seed": found.seed,
        "virtual_seconds": found.seconds,
        "updates_per_virtual_second": found.updates_per_second,
        "wall_seconds": wall_seconds,
        "staleness": {
            "mean": tau.mean(),
            "variance": tau.variance(),
            "percentiles": {f"{share:.1%}".replace(".0%", "%"): int(tau.quantile(share)) for share in SHARES},
            "max": tau.support,
        },
        "staleness_counts": found.counts,
        "fits": [
            {name: getattr(one, name) for name in ("model", "parameters", "aic", "ks")}
            for one in (fits(found.counts) if 0 < tau.support < _FITTED else ())
        ],
        "by_worker": {"least": found.by_worker.min(), "most": found.by_worker.max()},
        "dropped": found.dropped,
        "dropped_share": found.dropped_share,
        "failed_cas": found.failed,
        "gradient_seconds": found.gradient_seconds,
    }
