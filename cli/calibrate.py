"""`asapnb calibrate`."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from asapnb.compiled import KERNEL_PATH
from asapnb.config import keys, prepare
from asapnb.engine.calibrate import measure
from asapnb.engine.calibrate_ranks import MeasuredRanks
from asapnb.engine.clocks import TRIPS
from asapnb.engine.measured import Measured, measured_for
from asapnb.errors import UsageError
from asapnb.formatting import count, fixed
from asapnb.problems import Problem
from asapnb.record import checked_target, machine, to_json, versions
from asapnb.record.figures import ranks_on
from asapnb.record.files import put_in_place
from asapnb.schemes import ParameterServer
from asapnb.simulator.held import held_against
from asapnb.timing import Timing, save_timing
from asapnb.training.cores import places
from asapnb.training.following import row

from .compiling import announced
from .flags import flag, said, with_defaults
from .options import JSON, QUIET, output
from .ranks import MPI, is_worker, of_ranks, shared
from .streams import echo
from .text import console, pairs

_WIDTHS = (7, 10, 13, 8, 13, 14)
_HELD_WIDTHS = (7, 14, 14, 32)
_ENOUGH = 0.9  # share of the cores; with less, other processes disturb the times


@click.command("calibrate")
@MPI
@click.option(
    "-m",
    "--workers",
    type=int,
    metavar="N",
    help="Measure 1, 2 … up to this many workers at once.  [default: the cores, or ranks]",
)
@click.option("--seconds", type=float, default=2.0, metavar="F", help="How long to measure each number of workers.")
@click.option(
    "--per-worker",
    is_flag=True,
    help="Write a compute time for each worker. The timing is then for exactly as many workers.",
)
@output("TIMING.toml", "timing file")
@QUIET
@JSON
def command(
    workers: int | None, seconds: float, per_worker: bool, out: str | None, force: bool, quiet: bool, as_json: bool,
    mpi: bool, **given: str | None,
) -> None:  # fmt: skip
    """Measure how long gradients, reads and updates take on this machine, with one to all cores at work.

    asapnb simulate --timing TIMING.toml reads the timing file. It can then simulate any number of workers, each as
    fast as a core of this machine.

    --mpi measures a parameter server, with 1, 2 ... all other ranks at work: gradients, the reads and updates of the
    server, and messages. An example: mpiexec -n 9 asapnb calibrate --mpi -o TIMING.toml.
    """
    if out is not None and not out.endswith(".toml"):
        raise UsageError(f"-o {out}: a timing file must end in .toml, because --timing recognises a file by that")
    ctx = click.get_current_context()
    chosen = ({"scheme": ParameterServer.name} if mpi else {}) | shared(lambda: said(given, "calibrate"))
    config = with_defaults(chosen, "calibrate")
    screen = console(quiet=quiet or as_json)
    with announced(console(stderr=True, quiet=quiet or is_worker(ctx))):
        problem, arguments = prepare(chosen, "calibrate")
        rounds = measure(problem, **arguments, workers=workers, seconds=seconds, **of_ranks(ctx))
    if is_worker(ctx):
        list(rounds)
        return
    ranks = ranks_on(ctx.obj.hosts) if mpi else None
    screen.print(_header(config, problem, ranks), "")
    screen.print(row(("workers", "step", "mean", "cv", "p99", "gradients/s"), _WIDTHS), style="dim")
    found: list[Any] = []
    with closing(rounds):
        for one in rounds:
            found.append(one)
            _show(one, screen)
    timings = {one.workers: one.timing_of_each if per_worker else one.timing for one in found}
    smt, preset = found[0].fit(found)
    about = {**_about(config, problem, seconds, found), "ranks": ranks, "smt": smt, "preset": _text(preset)}
    more = {one.workers: {"spread": _spread(one)} for one in found}
    if mpi:
        for one in found:
            more[one.workers] |= _messages(one, timings[one.workers])
        screen.print("", _fit_of_ranks(found, preset), "", *_held(found, more), sep="\n")
    else:
        screen.print("", _fit(found, smt, preset), sep="\n")
    if out is not None:
        put_in_place(checked_target(out, force), lambda part: save_timing(part, timings, about, more))
    if as_json:
        sections = {one.workers: _figures(one, timings) | more[one.workers] for one in found}
        echo(to_json({"path": out, "about": about, "workers": sections}))
    share = min(one.share for one in found)
    if share < _ENOUGH:
        who = "ranks" if mpi else "threads"
        text = f"\nThe {who} had {share:.0%} of their cores: other processes ran, too, so these times are too long."
        screen.print(text, style="yellow")
    if out is not None:
        name, most = click.format_filename(out), found[-1].workers if per_worker else 64
        scheme = "--scheme parameter-server " if mpi else ""
        screen.print(f"\n{name} written. Next: asapnb simulate {scheme}--timing {name} -m {most}", style="dim")


def _header(config: Mapping[str, Any], problem: Problem, ranks: str | None) -> Text:
    """What is going to be measured, on threads or on these ranks."""
    data = f" on {problem.data.name}" if problem.data else ""
    places = f"ranks of MPI, {ranks}" if ranks else "each thread on a core of its own"
    return pairs([
        ("problem", f"{problem.name}{data}, {problem.n_params:,} parameters, batches of {config['batch_size']:,}"),
        ("scheme", f"{config['scheme']}, {places}"),
    ])  # fmt: skip


def _show(one: Measured, screen: Console) -> None:
    """Print the lines of the table for one number of workers."""
    for name, times in one.steps.items():
        first, moments = name == one.kinds[0], _moments(times)
        cells = (f"{one.workers}" if first else "", name, _duration(moments["mean"]),
                 fixed(moments["cv"], ".2f"), _duration(moments["p99"]),
                 fixed(one.gradients_per_second) if first else "")  # fmt: skip
        screen.print(row(cells, _WIDTHS).rstrip())


def _fit(found: list[Measured], smt: float | None, preset: Timing) -> Text:
    """How much the times of computing differ, and the timing of this machine's shape."""
    one, cores = measured_for(found, preset.compute.cores), count(preset.compute.cores, "core")
    spread, at_work = one.spread, f"{count(one.workers, 'worker')} at work"
    if smt is not None:
        threads = f"workers that share a core take {smt:g} times as long"
    elif len(places()) > preset.compute.cores:
        threads = "no two workers shared a core, so it is not known how slow they would be: smt is 1"
    else:
        threads = "with one hardware thread each, so smt is 1"
    return pairs([
        ("spread", f"cv of computing {spread.within:.3f} within a worker, {spread.between:.3f} between; {at_work}"),
        ("that is", "half the distance from the 16th to the 84th percentile over the median: no rare long times"),
        ("plainly", f"cv {spread.plain:.3f}, mean {_duration(spread.mean)}; median {_duration(spread.typical)}"),
        ("machine", f"{cores}, {threads}"),
        ("preset", f"--timing '{_text(preset)}'"),
    ])  # fmt: skip


def _fit_of_ranks(found: Sequence[MeasuredRanks], preset: Timing) -> Text:
    """How much the times of computing differ, how exact the clocks are, and the typical times."""
    one = found[-1]
    spread, clock = one.spread, max(one.clock for one in found)
    return pairs([
        ("spread", f"cv of computing {spread.within:.3f} within a worker, {spread.between:.3f} between; "
                   f"{count(one.workers, 'worker')} at work"),
        ("clocks", f"exact to {_duration(clock)}, half of the quickest of {TRIPS} round trips; pull + push is exact"),
        ("preset", f"--timing '{_text(preset)}'"),
    ])  # fmt: skip


def _messages(one: MeasuredRanks, timing: Timing) -> dict[str, Any]:
    """What there is to say of messages, and of a simulation with this timing; times in seconds."""
    held = held_against(one, timing)
    return {
        "pull": float(f"{one.pull.mean():.6g}"),
        "push": float(f"{one.push.mean():.6g}") if len(one.push) else None,
        "clock": float(f"{one.clock:.3g}"),
        "gradients_per_second": round(one.gradients_per_second, 1),
        "simulated": round(held.gradients_per_second, 1),
        "total_variation": round(held.total_variation, 4),
    }


def _held(found: Sequence[MeasuredRanks], more: Mapping[int, Mapping[str, Any]]) -> Iterator[Text]:
    """The lines of the table that compares with a simulation."""
    names = ("workers", "gradients/s", "simulated", "total variation of staleness")
    yield Text(row(names, _HELD_WIDTHS), style="dim")
    for one in found:
        figures = more[one.workers]
        cells = (f"{one.workers}", *(fixed(figures[name]) for name in ("gradients_per_second", "simulated")),
                 f"{figures['total_variation']:.3f}")  # fmt: skip
        yield Text(row(cells, _HELD_WIDTHS))


def _text(timing: Timing) -> str:
    """A timing as --timing takes it."""
    return ", ".join(f"{name}={value}" for name, value in timing.changed().items())


def _duration(seconds: float) -> str:
    """A short time.

    >>> _duration(5.6e-8), _duration(1.0416e-4), _duration(0.0123), _duration(2.5)
    ('0.056 µs', '104 µs', '12.3 ms', '2.5 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _figures(one: Measured, timings: Mapping[int, Timing]) -> dict[str, Any]:
    """The entries of the JSON document for one number of workers; times in seconds."""
    return {
        **{name: _moments(times) for name, times in one.steps.items()},
        "gradients_per_second": one.gradients_per_second,
        "share_of_cores": one.share,
        "spread": _spread(one),
        "timing": str(timings[one.workers]),
    }


def _spread(one: Measured) -> dict[str, float]:
    """How much the times of computing differ; times in seconds."""
    return {name: float(f"{value:.6g}") for name, value in asdict(one.spread).items()}


def _moments(seconds: NDArray[np.float64]) -> dict[str, float]:
    mean = float(seconds.mean())
    return {
        "mean": mean,
        "cv": float(seconds.std()) / mean if mean else 0.0,
        "p99": float(np.quantile(seconds, 0.99)),
        "count": len(seconds),
    }


def _about(config: dict[str, Any], problem: Problem, seconds: float, found: list[Measured]) -> dict[str, Any]:
    """The table [about] of the timing file: where the times come from."""
    place = machine(KERNEL_PATH)
    return {
        **{name: value for name, value in config.items() if name not in ("data", "seed")},
        **({"data": config["data"]} if problem.data else {}),
        "n_params": problem.n_params,
        "seconds": seconds,
        "gradients_per_second": [round(one.gradients_per_second, 1) for one in found],
        "share_of_cores": [round(one.share, 3) for one in found],
        "cpu": place["cpu"],
        "cores": place["allowed"],
        "kernels": place["kernels"],
        "created_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }


command.params[:0] = [flag(name, "calibrate") for name in keys("calibrate")]
