"""`asapnb train`."""

from __future__ import annotations

import inspect
import re
from functools import partial
from typing import Any

import click
from rich.text import Text

from asapnb.config import check_keys, keys, load_config, merge, parse_setting, parse_value, prepare
from asapnb.data.catalogue import SOURCES
from asapnb.engine import train
from asapnb.engine.options import cores
from asapnb.problems import Problem
from asapnb.problems.text import PROBLEMS
from asapnb.record import checked_target
from asapnb.rules import as_rule, available
from asapnb.schemes import SCHEMES, Sequential, parse_scheme

from .running import Job, carry_out
from .text import pairs

_NAMES = {"workers": ("-m", "--workers"), "batch_size": ("--batch", "--batch-size")}
_METAVARS = {int: "N", float: "F", str: "TEXT"}
_HELP = {
    "data": f"The data set, for problems on one: {', '.join(SOURCES)}.",
    "problem": f"What is minimised: {', '.join(PROBLEMS)}; with arguments as in 'mlp(hidden=[64, 64])'.",
    "scheme": f"How the workers share the parameters: {', '.join(SCHEMES)}; as in 'leashed(persistence=1)'.",
    "rule": f"The step-size rule: {', '.join(available())}; as in 'tail(amplitude=0.5)'; or FILE.py:FUNCTION.",
}


def _flag(name: str, described: dict[str, str]) -> click.Option:
    """The flag of a configuration key; its text is read later, like that of --set."""
    key = keys()[name]
    dashed = name.replace("_", "-")
    default = "" if key.default is None else f"  [default: {key.default}]"
    help = _HELP.get(name, described.get(name, "")) + default
    if key.kinds == (bool,):
        return click.Option([f"--{dashed}/--no-{dashed}", name], default=None, help=help)
    names = _NAMES.get(name, (f"--{dashed}",))
    return click.Option([*names, name], metavar="|".join(key.choices) or _METAVARS[key.kinds[0]], help=help)


def _described() -> dict[str, str]:
    """The arguments of `train` with what its docstring says of each."""
    found = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", inspect.getdoc(train) or "", re.MULTILINE)
    texts = {name: " ".join(text.replace("`", "").split()) for name, text in found}
    return {name: text[0].upper() + text[1:] if text[0].isascii() else text for name, text in texts.items()}


def _read(name: str, value: Any) -> Any:
    """What a flag holds, as a value of its key."""
    return parse_value(value) if isinstance(value, str) and keys()[name].kinds != (str,) else value


@click.command("train")
@click.argument("config", required=False, type=click.Path())
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set any key; overrides flags.")
@click.option("-o", "--out", type=click.Path(), metavar="RUN.h5", help="The run file to write.")
@click.option("--force", is_flag=True, help="Overwrite the run file if it exists.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.pass_context
def command(
    ctx: click.Context,
    config: str | None,
    settings: tuple[str, ...],
    out: str | None,
    force: bool,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train on real threads and record every update.

    CONFIG is a TOML file of the keys that --set takes (the flags below, with _ for -), or a run file: that run again.
    Flags override it, and --set overrides flags.
    """
    given = {name: _read(name, value) for name, value in flags.items() if value is not None}
    merged = merge(
        load_config(config) if config else {}, check_keys(given), check_keys(dict(map(parse_setting, settings)))
    )
    if out is not None:
        checked_target(out, force)

    def make() -> Job:
        problem, arguments = prepare(merged)
        return Job(
            header=lambda: _header(problem, arguments),
            run=partial(train, problem, **arguments, out=out, force=force),
            max_seconds=arguments.get("max_seconds"),
        )

    ctx.exit(carry_out(make, out, quiet=quiet, as_json=as_json))


def _header(problem: Problem, arguments: dict[str, Any]) -> Text:
    """What is going to run, with what `train` takes where nothing was said."""
    said = {name: keys()[name].default for name in keys()} | arguments
    scheme = said["scheme"] if not isinstance(said["scheme"], str) else parse_scheme(said["scheme"])
    workers = said["workers"] or (1 if isinstance(scheme, Sequential) else len(cores()))
    length = f"{said['updates']:,} updates" if said["updates"] else f"{said['epochs'] or 1:,} epochs"
    data = f" on {problem.data.name}" if problem.data else ""
    return pairs([
        ("problem", f"{problem.name}{data}, {problem.n_params:,} parameters, {problem.n_samples:,} samples"),
        ("scheme", f"{scheme}, {workers} worker{'s' * (workers != 1)}"),
        ("rule", f"{as_rule(said['rule'])}"),
        ("steps", f"size {said['step_size']:g}, batches of {said['batch_size']:,}, {length}"),
    ])  # fmt: skip


command.params[:0] = [_flag(name, _described()) for name in keys()]
