"""`asapnb simulate`."""

from functools import partial
from typing import Any

import click

from asapnb.errors import UsageError

from .flags import configuration, flags
from .options import CONFIGURED
from .running import carry_out, configured
from .tally import tally

_OF_A_SCHEDULE = ("timing", "scheme", "workers", "updates", "seed")


@click.command("simulate")
@CONFIGURED
@click.option("--staleness-only", is_flag=True, help="Compute no gradients: only count the staleness of each update.")
def command(
    config: str | None, settings: tuple[str, ...], out: str | None, force: bool, quiet: bool, as_json: bool,
    staleness_only: bool, **given: Any,
) -> None:  # fmt: skip
    """Run any number of workers in virtual time, with true gradients, and record every update.

    CONFIG is a TOML file or a run file. A TOML file has the keys that --set takes: the flags below, with _ for -.
    Its timing may be a table. Of a run file the configuration is taken, also of a run on threads. Flags override
    CONFIG, and --set overrides flags.

    --staleness-only needs no problem. It makes the schedule alone, from --timing, --scheme, --workers, --updates and
    --seed, and counts its staleness.
    """
    merged = configuration("simulate", config, given, settings)
    if staleness_only:
        _check_schedule_only({**configuration("simulate", None, given, settings), "out": out})
        tally({name: merged[name] for name in _OF_A_SCHEDULE if name in merged}, quiet=quiet, as_json=as_json)
        return
    carry_out(partial(configured, "simulate", merged, out, force), out, quiet=quiet, as_json=as_json)


def _check_schedule_only(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if name not in _OF_A_SCHEDULE and value is not None:
            raise UsageError(
                f"{name} is {value!r}, but --staleness-only makes no gradients and no run file: it takes "
                f"{', '.join(_OF_A_SCHEDULE)}; go without {name}, or without --staleness-only"
            )


command.params[:0] = flags("simulate")
