"""`asapnb forecast`."""

from typing import Any

import click
from rich.text import Text

from asapnb.config import check_keys, keys, load_config, merge, parse_setting, prepare
from asapnb.forecasting import Forecast, forecast
from asapnb.forecasting.estimates import ITERATIONS, SAMPLES
from asapnb.forecasting.shown import COLUMNS, document_of
from asapnb.formatting import shortened
from asapnb.record import to_json

from .compiling import announced
from .completion import of_command
from .completion import settings as completed
from .flags import flag, said
from .options import JSON
from .streams import echo
from .text import Columns, console, pairs

_KIND = "forecast"


@click.command(_KIND)
@click.argument("config", required=False, type=click.Path())
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", shell_complete=completed(of_command),
              help="Set any key; may be repeated. It overrides flags.")  # fmt: skip
@click.option(
    "--L", "L", type=float, metavar="F", help="The largest curvature of the loss.  [default: the problem's, if known]"
)
@click.option("--noise", type=float, metavar="F",
              help="The variance of a minibatch's gradient.  [default: the problem's, if known]")  # fmt: skip
@click.option("--n-params", type=int, metavar="N", help="The number of parameters, if no problem is given.")
@click.option("--n-samples", type=int, metavar="N", help="The number of training samples, if no problem is given.")
@click.option("--estimate", is_flag=True, help="Estimate L and noise from gradients at the initial parameters.")
@click.option("--samples", type=int, default=SAMPLES, metavar="N", help="Estimate L from at most this many samples.")
@click.option(
    "--beside", type=click.Path(), metavar="RUN.h5", help="Show the figures of this run beside the forecast."
)
@click.option(
    "--force", is_flag=True, help="Run your own code although it differs from what a given run file recorded."
)
@JSON
def command(
    config: str | None, settings: tuple[str, ...], L: float | None, noise: float | None, n_params: int | None,
    n_samples: int | None, estimate: bool, samples: int, beside: str | None, force: bool, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Say what a run would show, before it is made: staleness, scales, the largest stable step, pace and memory.

    CONFIG is a TOML file for asapnb simulate, or a run file, whose configuration is taken. Flags override it, and
    --set overrides flags. Instead of a problem you may give its constants: --L, --noise, --n-params, --n-samples.

    The forecast counts the schedule that asapnb simulate would make with the same keys. To let a trained network
    predict labels, use asapnb predict.
    """
    loaded = load_config(config, "simulate") if config else {}
    chosen = merge(
        {name: value for name, value in loaded.items() if name in keys(_KIND)},
        said(given, _KIND),
        check_keys(dict(map(parse_setting, settings)), _KIND),
    )
    constants: dict[str, Any] = {"L": L, "noise": noise, "n_params": n_params, "n_samples": n_samples}
    with announced(console(stderr=True, quiet=as_json)):
        problem, arguments = None, chosen
        if {"problem", "data"} & chosen.keys() or all(value is None for value in constants.values()):
            problem, arguments = prepare(chosen, _KIND, force)
        if estimate and problem is not None and not as_json:
            most = 2 * min(samples, problem.n_samples) * ITERATIONS
            told = f"estimating L from at most {most:,} gradients of single samples …"
            console(stderr=True).print(told, style="dim")
        found = forecast(problem, **arguments, **constants, estimate=estimate, samples=samples, beside=beside)
    if as_json:
        echo(to_json(document_of(found)))
        return
    screen = console()
    screen.print(_header(found), "", _table(found), "", pairs(found.facts), sep="\n")


def _header(found: Forecast) -> Text:
    """What is forecast."""
    options, of = found.options, found.objective
    size = [] if of.n_params is None else [f"{of.n_params:,} parameters"]
    size += [] if of.n_samples is None else [f"{of.n_samples:,} samples"]
    momentum = f", momentum {options.momentum:g}" if options.momentum else ""
    momentum += f", {options.optimizer}" if options.optimizer.moments else ""
    return pairs([
        ("problem", ", ".join(filter(None, [of.text, *size]))),
        ("scheme", f"{options.scheme}, {options.workforce.said}"),
        ("rule", f"{found.rule}"),
        ("schedule", "" if str(options.schedule) == "constant()" else f"{options.schedule}"),
        ("steps", f"size {options.step_size:g}, batches of {options.batch_size:,}{momentum}"),
        ("timing", f"{shortened(found.timing)}, in virtual seconds"),
    ])  # fmt: skip


def _table(found: Forecast) -> Columns:
    """The figures; columns without an entry are left out."""
    used = [i for i, name in enumerate(COLUMNS) if any(line[i] for line in found.lines)]
    table = Columns(*(COLUMNS[i] for i in used), left=("",))
    for line in found.lines:
        table.add_row(*(line[i] for i in used))
    return table


command.params[:0] = [flag(name, _KIND) for name in keys(_KIND)]
