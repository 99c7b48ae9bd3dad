"""A run as plain data: what a configuration file, the command line's flags and a run file hold.

A configuration is a flat mapping. `data` and `problem` are texts, such as "fashion-mnist-mini" and
"mlp(hidden=[64, 64])". Every other key is an argument of `train` or of `simulate`; schemes, rules and timings are
texts, too, and a timing may be a table.
"""

import ast
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from .data.options import beside
from .data.recorded import trusted
from .engine.ranks import Ranks, joining, of_rank, of_workers
from .engine.resuming import resume_training, resume_work
from .engine.run import train
from .errors import UsageError, shown, unknown
from .identity import Recorded, check_piece
from .problems import Problem
from .problems.text import code_of, is_custom, parse_problem
from .record import Owner, Run, file_of, load_run, own
from .rules import Rule
from .schedules import StepSchedule
from .simulator.replaying import RECORDED
from .simulator.resuming import resume_simulation
from .simulator.run import simulate
from .text import parse_toml, read_toml, regular_file
from .training.arguments import ARGUMENTS, Argument, Command, arguments_of, of_replay, of_resume
from .training.code import checked, next_rule, no_change, same_schedule
from .training.evaluation import Evaluation
from .training.options import Monitor
from .training.reporting import Hooks
from .training.resuming import check_columns, check_problem
from .training.warm_start import start_of, start_text
from .training.watching import ProgressHook, watched

RUNS: dict[Command, Callable[..., Run]] = {"train": train, "simulate": simulate}
KINDS: tuple[Command, ...] = (*RUNS, "replay")
_KINDS = {
    bool: "true or false", int: "an integer", float: "a number", str: "a text", dict: "a table", NoneType: '"none"',
}  # fmt: skip
_HDF5 = b"\x89HDF"


def _text(name: str, default: str, meaning: str) -> Argument:
    return Argument(name, default, (str,), meaning, lambda name, value, context: value)


_PROBLEM = {
    "data": _text("data", "fashion-mnist-mini", "the data set, for problems on one."),
    "problem": _text("problem", "lenet", "what is minimised."),
}
_REPLAYED = {
    "source": _text("source", "", "the run file to replay."),
    **{name: replace(ARGUMENTS[name], default=RECORDED) for name in ("rule", "schedule")},
}


@cache
def keys(kind: Command = "train") -> dict[str, Argument]:
    """Every key, by name: `data`, `problem` and the arguments of `train`, or of another command, that are plain data.

    A replay has a `source` instead, and what it may change or watch.

    >>> keys()["step_size"].default, keys()["step_size"].kinds
    (0.01, (<class 'float'>,))
    """
    own, names = (_PROBLEM, arguments_of(kind)) if kind != "replay" else (_REPLAYED, of_replay("changed", "watched"))
    return own | {name: ARGUMENTS[name] for name in names if ARGUMENTS[name].kinds}


def check_keys(config: Mapping[str, Any], kind: Command = "train") -> dict[str, Any]:
    """Check that each key of a configuration is known and that its value has the right type; returns it.

    UsageError names a key or value that is wrong. The text "none" stands for None, which TOML does not have.

    >>> check_keys({"workers": 8, "eval_samples": "none"})
    {'workers': 8, 'eval_samples': None}
    """
    return {name: _checked(name, value, kind) for name, value in config.items()}


def _checked(name: str, value: Any, kind: Command) -> Any:
    known = keys(kind)
    if name not in known:
        others = [other for other in RUNS if name in keys(other)]
        if others:
            raise UsageError(f"{name} = {shown(value)}: {kind} has no {name}; only asapnb {others[0]} has it")
        raise unknown("key", name, known)
    key = known[name]
    value = value.item() if isinstance(value, np.generic) else value
    given = str if isinstance(value, str) else type(value)
    if NoneType in key.kinds and value in (None, "none"):
        return None
    if isinstance(value, int) and value.bit_length() > 1024:
        raise UsageError(f"{name} = {shown(value)}: no number of a run is that large")
    if given not in key.kinds and not (given is int and float in key.kinds):
        raise UsageError(f"{name} = {shown(value)}: must be {' or '.join(_KINDS[kind] for kind in key.kinds)}")
    if key.choices and value not in key.choices:
        raise unknown(f"value of {name}", value, key.choices)
    return value


def load_config(path: str | os.PathLike[str], kind: Command = "train") -> dict[str, Any]:
    """The checked configuration in a TOML file, or of the run in a run file; UsageError if there is none.

    From a run of another kind, keys that `kind` does not have are left out.
    """
    with regular_file(path, "the configuration") as file:
        is_run = file.read(len(_HDF5)) == _HDF5
    if is_run:
        run = load_run(path)
        config = {name: value for name, value in run.config.items() if name in keys(kind)}
        if run.attributes.get("start") is not None and "start" in keys(kind):
            config["start"] = start_text(run)
    else:
        config = read_toml(path, "the configuration")
        if isinstance(config.get("data"), str):
            config["data"] = beside(config["data"], os.path.dirname(path))
    try:
        return check_keys(config, kind)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def merge(*configs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge several configurations into one. Later ones take precedence, and `updates` also replaces `epochs`.

    >>> merge({"seed": 1, "epochs": 5}, {"seed": 2, "updates": 100})
    {'seed': 2, 'updates': 100}
    """
    merged: dict[str, Any] = {}
    for config in configs:
        if not {"epochs", "updates"}.isdisjoint(config):
            merged = {name: value for name, value in merged.items() if name not in ("epochs", "updates")}
        merged |= config
    return merged


def parse_value(text: str) -> Any:
    """The value of a text that is TOML or Python, else the text itself.

    >>> [parse_value(text) for text in ("8", ".5", "1e-3", "true", "True", "tail(amplitude=0.5)")]
    [8, 0.5, 0.001, True, True, 'tail(amplitude=0.5)']
    """
    for parse in (lambda: parse_toml(f"value = {text}"), lambda: {"value": ast.literal_eval(text)}):
        try:
            with warnings.catch_warnings(action="ignore"):  # of Python's parser
                found = parse()
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if list(found) == ["value"]:
            return found["value"]
    return text


def parse_setting(text: str) -> tuple[str, Any]:
    """The key and the value of "key=value".

    >>> parse_setting("momentum = 0.9")
    ('momentum', 0.9)
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{shown(text)} is no setting: write key=value, for example momentum=0.9")
    return name.strip(), parse_value(value.strip())


def prepare(
    config: Mapping[str, Any], kind: Command = "train", force: bool = False, problem: Problem | None = None
) -> tuple[Problem, dict[str, Any]]:
    """The problem of a configuration and the arguments for a run. Data is loaded, but nothing is run.

    Args:
        config: the configuration, by key.
        kind: "train", "simulate" or "calibrate".
        force: take code of one's own that is not what the run file had which the configuration is from. Without it
            that is a RecordError, with the difference.
        problem: the one that the configuration says, if it has been made already.
    """
    arguments = {"data": keys()["data"].default, "problem": keys()["problem"].default, **check_keys(config, kind)}
    text, data = arguments.pop("problem"), arguments.pop("data")
    problem = parse_problem(text, trusted(data, force)) if problem is None else problem
    if isinstance(text, Recorded) and not force:
        check_piece(text, "problem", code_of(problem))
    return problem, checked(arguments, force)


def run_config(
    config: Mapping[str, Any],
    kind: Command = "train",
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], object] | None = None,
    progress: ProgressHook = None,
    comm: Any = None,
) -> Run:
    """Train, or simulate, as a configuration says.

    Args:
        config: the configuration, by key; see `keys`.
        kind: "train" or "simulate".
        out: the run file to write (HDF5). Without it the run stays in memory.
        force: overwrite `out` if it exists, and run code of one's own that is not what the run file had which the
            configuration is from.
        on_eval: called with each `Evaluation` as it is made.
        progress: called with a `Progress` a few times a second; None, True and False as of `train`.
        comm: as of `train`, to train on MPI.

    Returns:
        The `Run`; None on a worker of MPI.

    Raises:
        UsageError, RuleError, RecordError: before anything is written, for what cannot be used.

    >>> run = run_config({"problem": "mlp(hidden=[8])", "workers": 2, "updates": 50})
    >>> run.status, run_config(run.config).config == run.config
    ('finished', True)
    """
    if comm is not None and kind != "train":
        raise UsageError(f"comm is {shown(comm)}, and kind is {kind}: only train runs on MPI; leave comm out")
    with joining(comm) as ranks:
        problem, arguments = prepare(of_rank(ranks, config), kind, force)
        more = {} if ranks is None else {"comm": ranks}
        return RUNS[kind](problem, **arguments, out=out, force=force, on_eval=on_eval, progress=progress, **more)


def resume(
    run: Run | str | os.PathLike[str],
    *,
    epochs: int | None = None,
    updates: int | None = None,
    max_seconds: float | None = None,
    problem: Problem | None = None,
    step_size: float | None = None,
    rule: Rule | str | Callable[..., Any] | None = None,
    schedule: StepSchedule | Callable[..., Any] | None = None,
    target_loss: float | None = None,
    target_accuracy: float | None = None,
    target_r2: float | None = None,
    patience: int | None = None,
    monitor: Monitor | None = None,
    divergence_factor: float | None = None,
    eval_every: int | None = None,
    force: bool = False,
    on_eval: Callable[[Evaluation], object] | None = None,
    progress: ProgressHook = None,
    comm: Any = None,
) -> Run:
    """Go on with a run in its file, from where it ended, as if it had never been interrupted.

    A run that ended, with any status but "diverged", goes on from its last update. A run that was killed goes on from
    the checkpoint beside its file, `RUN.h5.checkpoint`, and later rows are cut. Without its checkpoint it would start
    again from version 0: that needs `force`, unless there is little to lose.

    Args:
        run: a run file, or a run that has one.
        epochs: the total of passes over the data, those done included. By default the total stays what it was.
        updates: the total of updates; instead of `epochs`.
        max_seconds: the total of training time; by default that, too, stays what it was.
        problem: the run's problem, if it is one's own; else it is built as the file says.
        step_size: from here on, of a run on threads. So is any other argument that is given; the attribute `resumed`
            says what changed where, and a replay of the run follows it, to the bit.
        rule: the run's rule, if it is a function of one's own; else as the file says. A function in a file is run
            only if the file is what the run recorded. Or, on threads, another rule from here on: it sees the
            staleness of all updates.
        schedule: the run's schedule, likewise. One that depends on the total of updates, such as "cosine()", follows
            the new total from where the run goes on; "cosine(length=1000)" stays what it is.
        target_loss, target_accuracy, target_r2, patience, monitor, divergence_factor, eval_every: as of `train`; what
            is given holds from here on. A simulated run is then computed again from its beginning.
        force: go on although updates are lost as there is no checkpoint, and although code of one's own (the rule, a
            module that it imports, the problem) is not what the run recorded. The file then keeps what has changed.
        on_eval: called with each new `Evaluation` as it is made.
        progress: called with a `Progress` a few times a second; None, True and False as of `train`.
        comm: of a run on MPI, as of `train`. Only rank 0 reads and writes the file, and tells the other ranks what
            they must know; a problem of one's own is passed on each.

    Returns:
        The `Run`, as `train` does: the rows before, and those after. None on a worker of MPI.

    Raises:
        UsageError, RecordError, RuleError: for what cannot go on; the file is left as it was.

    The training clock, versions, minibatches, momentum and the staleness that the rule has seen go on, too. Under
    Sequential and Synchronous, and in every simulated run, the updates are those of an uninterrupted run, to the bit.
    A simulated run with another total is computed again from its beginning. Its schedule and scales are made in
    advance for the whole, so another step size or rule is refused: begin another run with `start=` instead.

    >>> import tempfile, asapnb as ab
    >>> problem = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(8,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = ab.train(problem, workers=2, updates=20, out=f"{folder}/run.h5")
    ...     run = ab.resume(run, updates=50)
    ...     run.status, run.updates["version"][[0, -1]], run.evals["step"]
    ('finished', array([ 1, 50]), array([ 0, 20, 50]))
    """
    arguments = locals()
    given = {name: arguments[name] for name in ("epochs", "updates", "max_seconds", *of_resume())}
    changed = {name: value for name, value in given.items() if value is not None}
    with joining(comm) as ranks:
        if ranks is not None and not ranks.serves:
            resume_work(*_prepared(problem, ranks.share(_call(changed), dict), "train", force), ranks)
            return None  # type: ignore[return-value]
        file = file_of(run) if isinstance(run, Run) else Path(run)
        found = load_run(file)
        hooks = watched(on_eval, progress, "virtual" if found.is_virtual else "", max_seconds)
        with own(file.resolve()) as owner:
            return _go_on(load_run(file), changed, problem, rule, schedule, hooks, owner, force, ranks)


def _call(changed: Mapping[str, Any]) -> str:
    """A call of `resume`, which must be the same on all ranks."""
    return f"resume({', '.join(f'{name}={shown(value)}' for name, value in changed.items())})"


def _go_on(
    run: Run,
    changed: Mapping[str, Any],
    problem: Problem | None,
    rule: Rule | str | Callable[..., Any] | None,
    schedule: StepSchedule | Callable[..., Any] | None,
    hooks: Hooks,
    owner: Owner,
    force: bool,
    ranks: Ranks | None,
) -> Run:
    """Go on with a run as it is now, which nobody else can change."""
    check_columns(run)
    run.check()
    kinds, where = (RUNS, "") if ranks is None else (["train"], "on MPI ")
    if run.kind not in kinds:
        raise UsageError(f"{run.path} is of kind {run.kind}: {where}only runs of {' and '.join(kinds)} can go on")
    config = {**merge(run.config, check_keys(changed, run.kind)), "problem": run.config["problem"]}
    arguments = check_keys(
        {name: value for name, value in config.items() if name not in ("rule", "schedule")}, run.kind
    )
    if ranks is not None:
        ranks.share(_call(changed), partial(of_workers, arguments))
    problem, arguments = _prepared(problem, arguments, run.kind, force, run)
    if "start" in arguments:
        arguments["start"] = start_of(run)
    if run.kind == "simulate" and "step_size" in changed and changed["step_size"] != run.config["step_size"]:
        raise no_change(run, "step_size", changed["step_size"])
    arguments |= {"rule": next_rule(run, rule, force), "schedule": same_schedule(run, schedule, force)}
    if run.kind == "simulate":
        return resume_simulation(run, problem, arguments, hooks, owner, force)
    return resume_training(run, problem, {**arguments, "comm": ranks}, hooks, owner, force)


def _prepared(
    problem: Problem | None, config: Mapping[str, Any], kind: Command, force: bool, run: Run | None = None
) -> tuple[Problem, dict[str, Any]]:
    """As `prepare`, for a run that goes on, with the problem that is given. A worker does not have the run."""
    text = config["problem"]
    if problem is None and is_custom(text):
        where = f"of {text.where} " if isinstance(text, Recorded) else ""
        raise UsageError(
            f"the problem {where}is one's own, {text}: build it in Python and pass it, as in "
            "asapnb.resume(path, problem=problem)"
        )
    if problem is None:
        return prepare(config, kind, force)
    if run is not None:
        check_problem(run, problem)
    if not force and isinstance(text, Recorded):
        check_piece(text, "problem", code_of(problem))
    return problem, checked({name: value for name, value in config.items() if name not in _PROBLEM}, force)
