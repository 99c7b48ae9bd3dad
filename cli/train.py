"""`asapnb train`."""

from functools import partial
from typing import Any

import click

from .flags import configuration, flags
from .options import CONFIGURED
from .running import carry_out, configured


@click.command("train")
@CONFIGURED
def command(
    config: str | None, settings: tuple[str, ...], out: str | None, force: bool, quiet: bool, as_json: bool,
    **given: Any,
) -> None:  # fmt: skip
    """Train on real threads and record every update.

    CONFIG is a TOML file of the keys that --set takes (the flags below, with _ for -), or a run file: that run again.
    Flags override it, and --set overrides flags.
    """
    merged = configuration("train", config, given, settings)
    carry_out(partial(configured, "train", merged, out, force), out, quiet=quiet, as_json=as_json)


command.params[:0] = flags("train")
