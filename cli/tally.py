"""`asapnb simulate --staleness-only`: a schedule of any length, of which only counts of staleness are kept."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from asapnb.formatting import count, number, seconds
from asapnb.record import to_json
from asapnb.record.figures import timing_rows
from asapnb.simulator import Tally, staleness_only
from asapnb.staleness import fits
from asapnb.timing import as_timing

from .compiling import announced
from .flags import scheme_and_workers, with_defaults
from .streams import echo
from .text import console, drawing, pairs

_UPDATES = 1_000_000
_FITTED = 2**17  # the largest staleness for which models are fitted
_SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)


def tally(arguments: Mapping[str, Any], *, quiet: bool, as_json: bool) -> None:
    """Count the staleness of a schedule, and print the result.

    Args:
        arguments: of the schedule: timing, scheme, workers, updates and seed, where they are given.
        quiet: print nothing but errors.
        as_json: print a JSON document instead.
    """
    scheme, workers = scheme_and_workers(arguments, "simulate")
    timing = as_timing(with_defaults(arguments, "simulate")["timing"], workers)
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
    staleness = facts["staleness"]
    tau, shares = found.staleness, ", ".join(f"{name} {value:,}" for name, value in staleness["percentiles"].items())
    lost = [(facts["dropped"], f"dropped ({facts['dropped_share']:.2%})"), (facts["failed_cas"], "failed attempts")]
    screen.print(
        pairs([
            ("scheme", f"{scheme}, {count(workers, 'worker')}"),
            *timing_rows(timing),
            ("updates", f"{updates:,} in {seconds(found.seconds)} virtual s, "
                        f"{number(facts['updates_per_virtual_second'])} per virtual second; seed {seed}"),
            ("staleness", f"mean {tau.mean():.4f}, variance {tau.variance():.4g}, largest {tau.support:,}"),
            ("percentiles", shares),
            ("models", "; ".join(map(_fitted, facts["fits"]))),
            ("gradients", ", ".join(f"{some:,} {what}" for some, what in lost if some)),
            ("by worker", f"{facts['by_worker']['least']:,} to {facts['by_worker']['most']:,} gradients"),
            ("real time", f"{wall_seconds:.2f} s"),
        ]),
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
    tau, applied = found.staleness, int(found.by_worker.sum())
    return {
        "kind": "staleness-only",
        "scheme": str(found.scheme),
        "timing": str(found.timing),
        "notes": found.timing.notes(),
        "workers": found.workers,
        "updates": found.updates,
        "seed": found.seed,
        "virtual_seconds": found.seconds,
        "updates_per_virtual_second": found.updates / found.seconds if found.seconds else None,
        "wall_seconds": wall_seconds,
        "staleness": {
            "mean": tau.mean(),
            "variance": tau.variance(),
            "percentiles": {f"{share:.1%}".replace(".0%", "%"): int(tau.quantile(share)) for share in _SHARES},
            "max": tau.support,
        },
        "staleness_counts": found.counts,
        "fits": [
            {name: getattr(one, name) for name in ("model", "parameters", "aic", "ks")}
            for one in (fits(found.counts) if 0 < tau.support < _FITTED else ())
        ],
        "by_worker": {"least": found.by_worker.min(), "most": found.by_worker.max()},
        "dropped": found.dropped,
        "dropped_share": found.dropped / (found.dropped + applied),
        "failed_cas": found.failed,
        "gradient_seconds": found.gradient_seconds,
    }
