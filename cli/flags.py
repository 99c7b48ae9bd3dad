"""What the commands share that make a run from a configuration: a flag for each of its keys, and the header shown."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from asapnb.config import RUNS, check_keys, keys, load_config, merge, parse_setting, parse_value
from asapnb.data.catalogue import SOURCES
from asapnb.engine.ranks import Ranks
from asapnb.problems import Problem
from asapnb.problems.text import PROBLEMS
from asapnb.record.figures import run_rows
from asapnb.rules import available
from asapnb.schedules import SCHEDULES
from asapnb.schemes import SCHEMES, Scheme, as_scheme
from asapnb.training.arguments import Command, most_workers
from asapnb.training.cores import quota_note
from asapnb.training.options import default_workers
from asapnb.workforce import Workforce, as_workforce

from .completion import of_key
from .text import pairs

_NAMES = {"workers": ("-m", "--workers"), "batch_size": ("--batch", "--batch-size")}
_METAVARS = {int: "N", float: "F", str: "TEXT"}


def flags(kind: Command) -> list[click.Parameter]:
    """A flag for each key of a run of this kind; those of other kinds are known, so that an error can say whose."""
    others = {name: other for other in RUNS for name in keys(other) if name not in keys(kind)}
    hidden = [flag(name, other) for name, other in others.items()]
    for option in hidden:
        option.hidden = True
    return [*(flag(name, kind) for name in keys(kind)), *hidden]


def flag(name: str, kind: Command, default: str | None = None) -> click.Option:
    """The flag of a key; its text is read later, like that of --set. `default` says what holds without it."""
    key = keys(kind)[name]
    dashed = name.replace("_", "-")
    default = default or ("" if key.default is None else str(key.default))
    text = _help(name, kind) + (f"  [default: {default}]" if default else "")
    if key.kinds == (bool,):
        return click.Option([f"--{dashed}/--no-{dashed}", name], default=None, help=text)
    names = _NAMES.get(name, (f"--{dashed}",))
    metavar = "|".join(key.choices) or _METAVARS[key.kinds[0]]
    return click.Option([*names, name], metavar=metavar, help=text, shell_complete=of_key(name, key.choices))


def _help(name: str, kind: Command) -> str:
    """What a key does; where its value is one of several texts, these."""
    loops = ("worker_loop", "server_loop") if kind == "train" else ("event_loop",)
    schemes = [name for name, scheme in SCHEMES.items() if any(getattr(scheme, loop) for loop in loops)]
    texts = {
        "data": f"The data set, if the problem needs one: {', '.join(SOURCES)}; or 'FILE.csv(target=NAME)', or a "
        "folder.",
        "problem": f"What the run minimises: {', '.join(PROBLEMS)}; with arguments as in 'mlp(hidden=[64, 64])'.",
        "scheme": f"How the workers share the parameters: {', '.join(schemes)}; as in 'leashed(persistence=1)'.",
        "schedule": f"The factor of the step over time: {', '.join(SCHEDULES)}, or a product of these, as in "
        "'warmup(500) * cosine()'; or FILE.py:FUNCTION, a function of the versions t.",
        "rule": f"The step-size rule: {', '.join(available())}, as in 'tail(amplitude=0.5)'; or FILE.py:FUNCTION.",
    }
    text = (kind in (*RUNS, "forecast") and texts.get(name)) or keys(kind)[name].says(kind).replace("`", "")
    return text[0].upper() + text[1:] if text[0].isascii() else text


def said(given: Mapping[str, Any], kind: Command) -> dict[str, Any]:
    """The keys that flags set, checked."""
    found = {name: _read(name, value, kind) for name, value in given.items() if value is not None}
    return check_keys(found, kind)


def _read(name: str, value: Any, kind: Command) -> Any:
    """What a flag holds, as a value of its key."""
    known = keys(kind)
    plain_text = name not in known or known[name].kinds[0] is str
    return parse_value(value) if isinstance(value, str) and not plain_text else value


def configuration(
    kind: Command, path: str | None, given: Mapping[str, Any], settings: tuple[str, ...]
) -> dict[str, Any]:
    """The keys of a file, of flags and of settings. Later ones take precedence."""
    return merge(
        load_config(path, kind) if path else {},
        said(given, kind),
        check_keys(dict(map(parse_setting, settings)), kind),
    )


def scheme_and_workers(arguments: Mapping[str, Any], kind: Command) -> tuple[Scheme, Workforce]:
    """What a run takes for these where nothing was said."""
    scheme = as_scheme(arguments.get("scheme", keys(kind)["scheme"].default))
    workers = arguments.get("workers")
    given = default_workers(scheme, kind == "train") if workers is None else workers
    return scheme, as_workforce(given, most_workers(kind))


def with_defaults(arguments: Mapping[str, Any], kind: Command) -> dict[str, Any]:
    """All keys of a run, or of another command, with what is taken where nothing was said."""
    return {name: key.default for name, key in keys(kind).items()} | dict(arguments)


def header(problem: Problem, arguments: Mapping[str, Any], kind: Command, ranks: Ranks | None = None) -> Text:
    """What is going to run; on MPI with these ranks."""
    values = with_defaults(arguments, kind)
    scheme, workers = scheme_and_workers(arguments, kind)
    named: dict[str, Any] = {"problem": problem.name, "data": problem.data and problem.data.name, "scheme": scheme}
    named["workers"] = values["workers"] if ranks is not None else workers
    length = f"{values['updates']:,} updates" if values["updates"] else f"{values['epochs'] or 1:,} epochs"
    facts = {"n_params": problem.n_params, "n_samples": problem.n_samples, "workers": workers.most, **at_work(ranks)}
    note = quota_note() if kind == "train" and ranks is None else ""
    return pairs([*run_rows(values | named, facts, length), ("note", note)])


def at_work(ranks: Ranks | None) -> dict[str, Any]:
    """What the header of a run on MPI says of its ranks; else nothing."""
    return {} if ranks is None else {"workers": ranks.workers, "ranks": [{"host": host} for host in ranks.hosts]}
