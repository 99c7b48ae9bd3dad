"""`asapnb info`."""

from typing import Any

import click

from asapnb import compiled
from asapnb.data import available
from asapnb.mpi import installed
from asapnb.record import machine, to_json, versions
from asapnb.training.cores import quota_note

from .options import JSON
from .streams import echo
from .text import console, data_sets, mpi_text, pairs


@click.command("info")
@JSON
def command(as_json: bool) -> None:
    """Show versions, machine, kernels and data found."""
    facts: dict[str, Any] = {
        "versions": versions(),
        "machine": machine(compiled.KERNEL_PATH),
        "mpi": installed(),
        "cache": compiled.CACHE,
        "data": [vars(entry) for entry in available()],
    }
    if as_json:
        echo(to_json(facts))
        return
    place = facts["machine"]
    nodes = place["numa_nodes"] or ["unknown"]
    screen = console()
    screen.print(pairs([
        ("versions", ", ".join(f"{name} {version}" for name, version in facts["versions"].items())),
        ("machine", f"{place['cpu']}, {place['platform']}"),
        ("CPUs", f"{place['cpus']} logical, {place['allowed']} usable; {place['cores'] or 'unknown'} cores "
                 f"in {place['sockets'] or 'unknown'} sockets"),
        ("note", quota_note()),
        ("NUMA nodes", "; ".join(f"{i}: CPUs {cpus}" for i, cpus in enumerate(nodes))),
        ("memory", f"{place['memory'] / 2**30:.1f} GiB" if place["memory"] else "unknown"),
        ("threads", ", ".join(f"{name}={value}" for name, value in place["threads"].items())),
        ("MPI", mpi_text(facts["mpi"])),
        ("kernels", f"{place['kernels']}, cached in {facts['cache'] or 'nowhere: no folder could be written'}"),
    ]))  # fmt: skip
    screen.print("", data_sets(), sep="\n")
