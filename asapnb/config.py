"""A run as plain data, as configuration files, the flags of the command line and run files hold it.

A configuration is a flat mapping. `data` and `problem` are texts, such as "fashion-mnist-mini" and
"mlp(hidden=[64, 64])". Every other key is an argument of `train` or `simulate`. Schemes, rules and timings are texts,
too; a timing may also be a table.
"""

import ast
import os
import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import cache
from types import NoneType
from typing import Any

import numpy as np

from .data.options import beside
from .data.recorded import trusted
from .engine.ranks import joining, of_rank
from .engine.run import train
from .errors import UsageError, shown, unknown
from .identity import Recorded, check_piece
from .problems import Problem
from .problems.text import code_of, parse_problem
from .record import Run, load_run
from .simulator.replaying import RECORDED
from .simulator.run import simulate
from .simulator.schedules import Schedule
from .simulator.traces import is_trace, schedule_from
from .text import parse_toml, read_toml, regular_file
from .training.arguments import ARGUMENTS, Argument, Command, arguments_of, of_replay
from .training.code import checked
from .training.evaluation import Evaluation
from .training.warm_start import start_text
from .training.watching import ProgressHook
from .workforce import as_workforce

RUNS: dict[Command, Callable[..., Run]] = {"train": train, "simulate": simulate}
KINDS: tuple[Command, ...] = (*RUNS, "replay")
_KINDS = {
    bool: "true or false", int: "an integer", float: "a number", str: "a text", dict: "a table", NoneType: '"none"',
}  # fmt: skip
_HDF5 = b"\x89HDF"


def _text(name: str, default: str, meaning: str) -> Argument:
    return Argument(name, default, (str,), meaning, lambda name, value, context: value)


_PROBLEM = {
    "data": _text("data", "fashion-mnist-mini", "the data set, if the problem needs one."),
    "problem": _text("problem", "lenet", "what the run minimises."),
}
OF_A_TRACE = ("scheme", "workers", "batch_size", "seed", "local_steps", "shards")  # what a run file says itself
_REPLAYED = {
    "source": _text("source", "", "the run file or trace to replay."),
    **_PROBLEM,
    **{name: ARGUMENTS[name] for name in OF_A_TRACE},
    **{name: replace(ARGUMENTS[name], default=RECORDED) for name in ("rule", "schedule")},
}


@cache
def keys(kind: Command = "train") -> dict[str, Argument]:
    """Every key of a configuration, by name.

    They are `data`, `problem` and the arguments of the command that are plain data. A replay has the key `source`,
    and the arguments that a replay may change.

    Args:
        kind: the command, such as "train", "simulate" or "replay".

    >>> keys()["step_size"].default, keys()["step_size"].kinds
    (0.01, (<class 'float'>,))
    """
    own, names = (_PROBLEM, arguments_of(kind)) if kind != "replay" else (_REPLAYED, of_replay("changed", "watched"))
    return own | {name: ARGUMENTS[name] for name in names if ARGUMENTS[name].kinds}


def check_keys(config: Mapping[str, Any], kind: Command = "train") -> dict[str, Any]:
    """A configuration, checked: each key must be known, and each value must have the right type.

    The text "none" stands for None, which TOML does not have.

    Raises:
        UsageError: for a wrong key or value, which it names.

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
    if name == "workers" and isinstance(value, list | tuple):
        value, given = str(as_workforce(value)), str  # pairs, as one text, which run files have
    if isinstance(value, int) and value.bit_length() > 1024:
        raise UsageError(f"{name} = {shown(value)}: no number of a run is that large")
    if given not in key.kinds and not (given is int and float in key.kinds):
        raise UsageError(f"{name} = {shown(value)}: must be {' or '.join(_KINDS[kind] for kind in key.kinds)}")
    if key.choices and value not in key.choices:
        raise unknown(f"value of {name}", value, key.choices)
    return value


def load_config(path: str | os.PathLike[str], kind: Command = "train") -> dict[str, Any]:
    """The checked configuration in a TOML file or a run file.

    If the run file is of another kind, keys that `kind` does not have are left out.

    Args:
        path: of the file.
        kind: "train", "simulate" or another command.

    Raises:
        UsageError: for a file without a configuration, and for a wrong key or value.
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
    """The value of a text in TOML or Python syntax. Any other text is its own value.

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
        force: accept your own code although it differs from what the run file of the configuration recorded. Without
            it that is a RecordError, which shows the difference.
        problem: the problem of the configuration, if it has been made already.
    """
    arguments = {"data": keys()["data"].default, "problem": keys()["problem"].default, **check_keys(config, kind)}
    text, data = arguments.pop("problem"), arguments.pop("data")
    problem = parse_problem(text, trusted(data, force)) if problem is None else problem
    if isinstance(text, Recorded) and not force:
        check_piece(text, "problem", code_of(problem))
    return problem, checked(arguments, force)


def prepare_replay(
    config: Mapping[str, Any], force: bool = False, once: Callable[[Hashable, Callable[[], Any]], Any] | None = None
) -> tuple[Run | Schedule, Problem | None, dict[str, Any]]:
    """The source of a replay, its problem (None for that of a run), and the arguments of `replay`.

    Args:
        config: the configuration, by key.
        force: accept your own code although it has changed.
        once: makes a value under a key, and keeps it for others that need it.
    """
    once = once or (lambda key, make: make())
    arguments = check_keys(config, "replay")
    source = arguments.pop("source")
    own = {name: arguments.pop(name) for name in (*_PROBLEM, "scheme", "workers") if name in arguments}
    if is_trace(source):
        shared = own.pop("scheme", None), own.pop("workers", None)
        made = once(("trace", source, *shared), lambda: schedule_from(source, shared[0], workers=shared[1]))
        return made, once(("problem", *own.items()), lambda: prepare(own, force=force)[0]), arguments
    for name, value in (own | arguments).items():
        if name in (*_PROBLEM, *OF_A_TRACE):
            raise UsageError(
                f"{name} is {value}: only a trace, such as delays.csv, needs it; of a run the "
                f"{name.replace('_', ' ')} stays what it was"
            )
    return load_run(source), None, arguments


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
    """Train or simulate as a configuration says.

    Args:
        config: the configuration, by key; see `keys`.
        kind: "train" or "simulate".
        out: the run file to write (HDF5). Without it the run stays in memory.
        force: overwrite `out` if it exists, and accept your own code although it differs from what the run file of
            the configuration recorded.
        on_eval: called with each `Evaluation` as it is made.
        progress: called with a `Progress` a few times a second. None, True and False mean the same as in `train`.
        comm: as in `train`, to train on MPI.

    Returns:
        The `Run`; None on a worker of MPI.

    Raises:
        UsageError, RuleError, RecordError: for what cannot be used. Nothing has been written then.

    >>> run = run_config({"problem": "mlp(hidden=[8])", "workers": 2, "updates": 50})
    >>> run.status, run_config(run.config).config == run.config
    ('finished', True)
    """
    if comm is not None and kind != "train":
        raise UsageError(f"comm is {shown(comm)}, but kind is {kind}: only train runs on MPI; leave comm out")
    with joining(comm) as ranks:
        problem, arguments = prepare(of_rank(ranks, config), kind, force)
        more = {} if ranks is None else {"comm": ranks}
        return RUNS[kind](problem, **arguments, out=out, force=force, on_eval=on_eval, progress=progress, **more)
