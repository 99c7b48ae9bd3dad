"""`asapnb train`."""

from functools import partial
from typing import Any

import click

from asapnb.schemes import ParameterServer

from .flags import configuration, flags
from .options import CONFIGURED
from .ranks import MPI, shared
from .running import carry_out, configured


@click.command("train")
@MPI
@CONFIGURED
def command(
    config: str | None, settings: tuple[str, ...], out: str | None, force: bool, quiet: bool, as_json: bool,
    mpi: bool, **given: Any,
) -> None:  # fmt: skip
    """Train on real threads and record every update.

    CONFIG is a TOML file of the keys that --set takes (the flags below, with _ for -), or a run file: that run again.
    Flags override it, and --set overrides flags.

    With --mpi the scheme is parameter-server, and the workers are other processes, here or on other machines: mpiexec
    -n 9 asapnb train --mpi ... is a server with 8 workers. Rank 0 alone reads CONFIG, writes the file and shows it.
    """
    scheme = {"scheme": ParameterServer.name} if mpi else {}
    merged = scheme | shared(lambda: configuration("train", config, given, settings))
    carry_out(partial(configured, "train", merged, out, force), out, quiet=quiet, as_json=as_json)


command.params[:0] = flags("train")
