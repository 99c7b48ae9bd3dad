"""What the commands share that make a run from a configuration: a flag for each of its keys, and the header shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click
from rich.text import Text

from asapnb.config import RUNS, check_keys, keys, load_config, merge, parse_setting, parse_value
from asapnb.data.catalogue import SOURCES
from asapnb.problems import Problem
from asapnb.problems.text import PROBLEMS
from asapnb.rules import as_rule, available
from asapnb.schemes import SCHEMES, Scheme, as_scheme
from asapnb.training.arguments import Command
from asapnb.training.options import default_workers

from .text import pairs, shortened

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
    return click.Option([*names, name], metavar="|".join(key.choices) or _METAVARS[key.kinds[0]], help=text)


def _help(name: str, kind: Command) -> str:
    """What a key does; where its value is one of several texts, these."""
    schemes = [
        name for name, scheme in SCHEMES.items() if (scheme.worker_loop if kind == "train" else scheme.event_loop)
    ]
    texts = {
        "data": f"The data set, for problems on one: {', '.join(SOURCES)}.",
        "problem": f"What is minimised: {', '.join(PROBLEMS)}; with arguments as in 'mlp(hidden=[64, 64])'.",
        "scheme": f"How the workers share the parameters: {', '.join(schemes)}; as in 'leashed(persistence=1)'.",
        "rule": f"The step-size rule: {', '.join(available())}; as in 'tail(amplitude=0.5)'; or FILE.py:FUNCTION.",
    }
    text = texts.get(name) or keys(kind)[name].says(kind).replace("`", "")
    return text[0].upper() + text[1:] if text[0].isascii() else text


def output(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with where a run goes, and what is printed."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."),
        click.option("--quiet", is_flag=True, help="Print nothing but errors."),
        click.option("--force", is_flag=True, help="Overwrite the run file if it exists."),
        click.option("-o", "--out", type=click.Path(), metavar="RUN.h5", help="The run file to write."),
    ):
        command = option(command)
    return command


def configured(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with a configuration file, settings, and `output`."""
    settings = click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set any key; overrides flags."
    )
    return click.argument("config", required=False, type=click.Path())(settings(output(command)))


def said(given: Mapping[str, Any], kind: Command) -> dict[str, Any]:
    """The keys that flags set, checked."""
    found = {name: _read(name, value, kind) for name, value in given.items() if value is not None}
    return check_keys(found, kind)


def _read(name: str, value: Any, kind: Command) -> Any:
    """What a flag holds, as a value of its key."""
    known = keys(kind)
    return parse_value(value) if isinstance(value, str) and name in known and str not in known[name].kinds else value


def configuration(
    kind: Command, path: str | None, given: Mapping[str, Any], settings: tuple[str, ...]
) -> dict[str, Any]:
    """The keys of a file, of flags and of settings. Later ones take precedence."""
    return merge(
        load_config(path, kind) if path else {},
        said(given, kind),
        check_keys(dict(map(parse_setting, settings)), kind),
    )


def scheme_and_workers(arguments: Mapping[str, Any], kind: Command) -> tuple[Scheme, int]:
    """What a run takes for these where nothing was said."""
    scheme = as_scheme(arguments.get("scheme", keys(kind)["scheme"].default))
    workers = arguments.get("workers")
    return scheme, default_workers(scheme, kind == "train") if workers is None else workers


def header(problem: Problem, arguments: Mapping[str, Any], kind: Command) -> Text:
    """What is going to run, with what is taken where nothing was said."""
    values = {name: key.default for name, key in keys(kind).items()} | dict(arguments)
    scheme, workers = scheme_and_workers(arguments, kind)
    length = f"{values['updates']:,} updates" if values["updates"] else f"{values['epochs'] or 1:,} epochs"
    data = f" on {problem.data.name}" if problem.data else ""
    return pairs([
        ("problem", f"{problem.name}{data}, {problem.n_params:,} parameters, {problem.n_samples:,} samples"),
        ("scheme", f"{scheme}, {workers:,} worker{'s' * (workers != 1)}"),
        ("rule", f"{as_rule(values['rule'])}"),
        ("steps", f"size {values['step_size']:g}, batches of {values['batch_size']:,}, {length}"),
        *timing_rows(values.get("timing")),
    ])  # fmt: skip


def timing_rows(timing: Any) -> list[tuple[str, str]]:
    """A timing and what a reader should know of it, as rows of a header; none for None."""
    if timing is None:
        return []
    return [("timing", f"{shortened(timing)}, in virtual seconds"), *(("note", note) for note in timing.notes())]
