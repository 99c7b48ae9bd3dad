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
@click.option("--staleness-only", is_flag=True, help="Make no gradients: only count who would be how stale.")
def command(
    config: str | None, settings: tuple[str, ...], out: str | None, force: bool, quiet: bool, as_json: bool,
    staleness_only: bool, **given: Any,
) -> None:  # fmt: skip
    """Run any number of workers in virtual time, with true gradients, and record every update.

    CONFIG is a TOML file of the keys that --set takes (the flags below, with _ for -; timing may be a table), or a
    run file: that run again, or a run of real threads in virtual time. Flags override it, and --set overrides flags.

    With --staleness-only there is no problem: the schedule alone is made, for --timing, --scheme, --workers,
    --updates and --seed, and its staleness counted.
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
