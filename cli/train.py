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

    CONFIG is a TOML file or a run file. A TOML file has the keys that --set takes: the flags below, with _ for -.
    Of a run file the configuration is taken, so that run is made again. Flags override CONFIG, and --set overrides
    flags.

    With --mpi the scheme is parameter-server. The workers are then other processes, here or on other machines:
    mpiexec -n 9 asapnb train --mpi ... starts a server with 8 workers. Only rank 0 reads CONFIG, writes the run file
    and shows the run.
    """
    scheme = {"scheme": ParameterServer.name} if mpi else {}
    merged = scheme | shared(lambda: configuration("train", config, given, settings))
    carry_out(partial(configured, "train", merged, out, force), out, quiet=quiet, as_json=as_json)


command.params[:0] = flags("train")
