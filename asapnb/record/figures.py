"""The figures of a run, as pairs of a name and a text, which the command line prints and notebooks show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formatting import count, fixed, loss, measured, number, seconds, shortened
from ..markup import block, pairs
from ..staleness.bins import bars_of
from ..timing import Timing, as_timing
from ..workforce import Workforce, as_workforce
from .burn_in import RULE
from .schema import METRICS

if TYPE_CHECKING:
    from .run import Run


def clock(run: Run) -> str:
    """Whose seconds the times of a run are: "virtual", "recorded" for a replay of threads, "" for real seconds."""
    return "virtual" if run.is_virtual else "recorded" if run.kind == "replay" else ""


def run_rows(config: Mapping[str, Any], facts: Mapping[str, Any], rest: str) -> list[tuple[str, str]]:
    """What a run is, as rows of a header.

    Args:
        config: its configuration; schemes, rules and timings also as such.
        facts: the numbers "n_params", "n_samples" and "workers"; on MPI also "ranks", as in a run file.
        rest: what the line of the step size adds, such as the seed.
    """
    force, data = _force(config, facts), f" on {config['data']}" if config.get("data") else ""
    return [
        ("problem", f"{config['problem']}{data}, {facts['n_params']:,} parameters, {facts['n_samples']:,} samples"),
        ("scheme", f"{config['scheme']}, {force.said}"),
        ("ranks", ranks_in(facts)),
        ("rule", f"{config['rule']}"),
        ("schedule", _scheduled(str(config.get("schedule") or ""))),
        ("start", f"{config['start']}" if config.get("start") is not None else ""),
        ("optimizer", "" if (optimizer := f"{config.get('optimizer', 'sgd')}") == "sgd" else optimizer),
        ("steps", f"size {config['step_size']:g}, batches of {config['batch_size']:,}, {rest}"),
        *(timing_rows(as_timing(config["timing"], force.most)) if "timing" in config else ()),
        ("trace", f"{config.get('trace') or ''}"),
    ]


def ranks_in(facts: Mapping[str, Any]) -> str:
    """Where the ranks of a run on MPI are, of its attributes; empty for another run."""
    return ranks_on([one["host"] for one in facts.get("ranks", ())])


def ranks_on(hosts: Sequence[str]) -> str:
    """Where ranks are, by the host of each, the first of which is the server; empty for none.

    >>> ranks_on(["a", "a", "a", "b"])
    'server on a, workers on a (2), b (1)'
    """
    workers = ", ".join(f"{host} ({n:,})" for host, n in Counter(hosts[1:]).items())
    return shortened(f"server on {hosts[0]}, workers on {workers}") if hosts else ""


def _scheduled(text: str) -> str:
    """A schedule as text; empty for that of most runs."""
    return "" if text == "constant()" else text


def timing_rows(timing: Timing) -> list[tuple[str, str]]:
    """A timing and what a reader should know of it, as rows of a header."""
    return [("timing", f"{shortened(timing)}, in virtual seconds"), *(("note", note) for note in timing.notes())]


def work_done(run: Run, facts: Mapping[str, Any]) -> str:
    """How much a run has done, in what time. `facts` is its `summary`."""
    whose = clock(run)
    unit, second = f"{whose} s".strip(), f"{whose} second".strip()
    rate = (number if whose else fixed)(facts["updates_per_second"])
    took = f"{facts['updates']:,} updates in {seconds(facts['seconds'])} {unit}"
    return f"{took}, {rate} per {second}, {_force(run.config, facts).said}"


def workforce(run: Run) -> Workforce:
    """The workers of a run."""
    return _force(run.config, run.attributes)


def _force(config: Mapping[str, Any], facts: Mapping[str, Any]) -> Workforce:
    """The workers of a run, from its configuration or, where it does not say, its attributes."""
    return as_workforce(config.get("workers") or facts["workers"])


def figures(run: Run, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a run; what was not measured is empty. `facts` is its `summary`."""
    tau, unit = facts["staleness"], f"{clock(run)} s".strip()
    found = [
        ("stopped by", run.attributes.get("stopped_by", "")),
        ("training loss", _change(facts, "train_loss", loss)),
        ("test loss", _change(facts, "test_loss", loss)),
        *((one.title, _change(facts, one.column, partial(fixed, pattern=one.pattern))) for one in METRICS),
    ]
    if tau["mean"] is not None:
        found += [
            ("staleness", f"mean {tau['mean']:.2f}, 99th percentile {tau['p99']:,}, largest {tau['max']:,}"),
            ("scale", f"mean {facts['mean_scale']:.4f}{_factor(facts)}, sum of steps {_steps(facts)}"),
        ]
        found.append(("burn-in", _burn_in(run, facts)))
        found.append(("note", _without_effect(run, facts)))
    if (step := run.attributes.get("target_step")) is not None:
        at = seconds(run.attributes["target_seconds"])
        found.append(("target", f"reached at update {step:,}, {at} {unit}"))
    if force := run.attributes.get("in_force"):
        found.append(("in force", shortened(force)))
    if lengths := run.attributes.get("intervals"):
        sizes = [one["length"] for one in lengths]
        found.append(("intervals", f"length {sizes[0]:,} → {sizes[-1]:,}, tried {min(sizes):,} to {max(sizes):,}"))
    found.append(("by worker", by_worker(run)))
    lost = {"dropped": "dropped", "zeroed": "scaled to zero", "failed_cas": "failed compare-and-swaps"}
    found.append(("gradients", ", ".join(f"{facts[name]:,} {what}" for name, what in lost.items() if facts[name])))
    if (most := run.config.get("clip")) is not None:
        sums = run.sums.numbers
        share = sums["clipped"] / max(1, sums["applied"] + sums["dropped"])
        found.append(("clipped", f"{share:.1%} of the gradients, to the norm {most:g}"))
    if (work := run.attributes.get("replay")) is not None:
        found.append(("real time", f"{work['wall_seconds']:.2f} s on {count(work['threads'], 'thread')}"))
    return found


def by_worker(run: Run) -> str:
    """Whose gradients counted for how much; empty if all did alike, or if that is not known."""
    found = run.by_worker()
    scale = found.get("mean_scale", np.zeros(0))
    if len(scale) < 2 or np.isnan(scale).all():
        return ""
    least, most = int(np.nanargmin(scale)), int(np.nanargmax(scale))
    lost = found["dropped"] / np.maximum(found["gradients"], 1)
    texts = []
    if scale[most] - scale[least] > 5e-4:
        share, of = found["share_of_steps"][least], found["share_of_gradients"][least]
        texts.append(
            f"mean scale {scale[least]:.3f} (worker {least}, {of:.1%} of the gradients, {share:.1%} of the steps) to "
            f"{scale[most]:.3f} (worker {most})"
        )
    if lost.any():
        texts.append(f"most given up by worker {int(lost.argmax())}, {lost.max():.1%}")
    return "; ".join(texts)


def _factor(facts: Mapping[str, Any]) -> str:
    """The mean of the factors alone, where there are any."""
    mean = facts["mean_factor"]
    return "" if mean is None or mean == 1 else f" (factors: mean {mean:.4f})"


def _burn_in(run: Run, facts: Mapping[str, Any]) -> str:
    """What the scales were while the rule knew no staleness yet; empty if it needs none."""
    begun = facts["burn_in"]
    if not begun["updates"]:
        return ""
    how = f"scales of prior {shortened(run.config.get('prior'))}" if begun["made_from"] == "prior" else "scale 1"
    after, updates = begun["mean_scale_after"], f"{begun['updates']:,} updates"
    if after is None:
        return f"{how} for all {updates}, too few to know the staleness"
    return f"{how} until staleness is known: {updates}; then mean {after:.4f}"


def _without_effect(run: Run, facts: Mapping[str, Any]) -> str:
    """Which of `prior` and `worker_tables` had no effect, because no scale depends on the staleness seen."""
    given = [name for name in ("prior", "worker_tables") if run.config.get(name)]
    if not given or facts["burn_in"]["made_from"] != RULE:
        return ""
    scales = run.rule_tables.scales
    if (scales != scales[:1]).any():  # the rule sees the worker, or something else
        return ""
    return f"{' and '.join(given)} had no effect: no scale of this run follows from staleness seen"


def _steps(facts: Mapping[str, Any]) -> str:
    """The sum of all steps, and the smallest and largest part of a worker."""
    shares = facts["sum_of_steps_by_worker"] or [0.0]
    total = number(facts["sum_of_steps"])
    return total if len(shares) == 1 else f"{total}, {number(min(shares))} to {number(max(shares))} by worker"


def _change(facts: Mapping[str, Any], name: str, show: Callable[[float], str]) -> str:
    """A figure at the first and at the last evaluation; empty if it was not measured."""
    first, last = facts["initial"], facts["last"]
    if first is None or measured(first[name]) is None:
        return ""
    return show(first[name]) if first == last else f"{show(first[name])} → {show(last[name])}"


def shown_run(run: Run) -> str:
    """A run as HTML: what it is, its figures and its staleness."""
    facts = run.summary()
    rows = run_rows(run.config, run.attributes, f"seed {run.config.get('seed', 0)}")
    where = [("file", "" if run.path is None else str(run.path))]
    title = f"{facts['kind']}, {facts['status']}: {work_done(run, facts)}"
    return block(pairs([*rows, *figures(run, facts), *where]), bars_of(run.staleness), title=title)
