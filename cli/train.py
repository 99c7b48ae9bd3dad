"""`asapnb train`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from asapnb.config import prepare
from asapnb.engine import train
from asapnb.record import checked_target

from .flags import configuration, configured, flags, header
from .running import Job, carry_out


@click.command("train")
@configured
@click.pass_context
def command(
    ctx: click.Context, config: str | None, settings: tuple[str, ...], out: str | None, force: bool, quiet: bool,
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Train on real threads and record every update.

    CONFIG is a TOML file of the keys that --set takes (the flags below, with _ for -), or a run file: that run again.
    Flags override it, and --set overrides flags.
    """
    merged = configuration("train", config, given, settings)
    if out is not None:
        checked_target(out, force)

    def make() -> Job:
        problem, arguments = prepare(merged)
        return Job(
            header=lambda: header(problem, arguments, "train"),
            run=partial(train, problem, **arguments, out=out, force=force),
            max_seconds=arguments.get("max_seconds"),
        )

    ctx.exit(carry_out(make, out, quiet=quiet, as_json=as_json))


command.params[:0] = flags("train")
