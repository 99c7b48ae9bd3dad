"""Several hosts on one machine: network namespaces, whose packets arrive after a delay. Needs Linux and root.

    python experiments/cluster/hosts.py [--delay SECONDS] [--hosts N] COMMAND …

Runs the command with $MPIEXEC set to an mpiexec that starts ranks on all hosts in turn. `measure.py hosts` uses the
same. Each host has a name, an address, and a TUN device. A process of this script passes packets from device to
device, each after the delay (`tc netem` would do, too, but not every kernel has it). So hosts share no memory, and
MPI takes TCP. They do share the cores of the machine.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cases import mpiexec_command

SPACE = f"asapnb-{os.getpid()}"  # begins the names of the namespaces
DEVICE = "asapnb"
MTU = 65_520  # bytes of a packet: few packets, as each costs this script some microseconds
LAUNCHER = """#!/bin/sh
# Called by mpiexec, as ssh would be: an address, and a command
while [ "${1#-}" != "$1" ]; do shift; done
host=${1##*.}; shift
exec ip netns exec %(space)s-$host unshare --uts sh -c "hostname host-$host; exec $*"
"""
MPIEXEC = """#!/bin/sh
export FI_PROVIDER=tcp FI_TCP_IFACE=%(device)s MPIR_CVAR_CH4_NETMOD=ofi
set -- %(mpiexec)s -launcher ssh -launcher-exec %(launcher)s -hosts %(hosts)s "$@"
exec ip netns exec %(space)s-1 unshare --uts sh -c 'hostname host-1; exec "$@"' sh "$@"
"""


def ip(*arguments: str) -> None:
    """A command of iproute2."""
    subprocess.run(["ip", *arguments], check=True)


def address(host: int) -> str:
    """Of a host in the network of this script."""
    return f"10.89.0.{host + 1}"


def opened(name: str) -> int:
    """The TUN device of a host, from outside: what is sent there is read here."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        for target in (there, here):
            if libc.setns(target, 0x40000000) != 0:  # CLONE_NEWNET
                raise OSError(ctypes.get_errno(), f"setns to {name} failed")
            if target == there:
                device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(device, 0x400454CA, struct.pack("16sH", DEVICE.encode(), 0x1001))  # TUNSETIFF: no header
    finally:
        os.close(here)
        os.close(there)
    return device


@contextmanager
def network(hosts: int, delay: float) -> Iterator[str]:
    """Hosts whose packets take `delay` seconds to each other; yields an mpiexec that starts ranks on them."""
    names, relay = [f"{SPACE}-{host + 1}" for host in range(hosts)], 0
    try:
        devices = []
        for host, name in enumerate(names):
            ip("netns", "add", name)
            devices.append(opened(name))
            for settings in (("addr", "add", f"{address(host)}/24", "dev", DEVICE),
                             ("link", "set", DEVICE, "up", "mtu", str(MTU), "txqueuelen", "10000"),
                             ("link", "set", "lo", "up")):  # fmt: skip
                ip("-n", name, *settings)
        relay = os.fork()
        if relay == 0:
            try:
                pass_on(devices, delay)
            finally:
                os._exit(1)
        for device in devices:
            os.close(device)
        with scripts(hosts, mpiexec_command()) as made:
            yield made
    finally:
        if relay:
            os.kill(relay, signal.SIGKILL)
            os.waitpid(relay, 0)
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL, check=False)


def pass_on(devices: Sequence[int], delay: float) -> None:
    """Pass packets on for ever, each after the delay."""
    by_address = {bytes(map(int, address(host).split("."))): device for host, device in enumerate(devices)}
    waiting: collections.deque[tuple[float, int, bytes]] = collections.deque()
    while True:
        wait = max(waiting[0][0] - time.monotonic(), 0.0) if waiting else None
        for device in select.select(devices, (), (), wait)[0]:
            try:
                packet = os.read(device, MTU)
            except BlockingIOError:
                continue
            if packet[0] >> 4 == 4 and (target := by_address.get(packet[16:20])) is not None:
                waiting.append((time.monotonic() + delay, target, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, target, packet = waiting.popleft()
            with suppress(OSError):  # no room, or a host is down: the network loses it, and TCP sends it again
                os.write(target, packet)


@contextmanager
def scripts(hosts: int, mpiexec: str) -> Iterator[str]:
    """An mpiexec for the hosts, and the launcher that it uses in the place of ssh."""
    with tempfile.TemporaryDirectory() as folder:
        launcher, made = Path(folder) / "launcher", Path(folder) / "mpiexec"
        names = {"space": SPACE, "device": DEVICE, "hosts": ",".join(map(address, range(hosts)))}
        launcher.write_text(LAUNCHER % names)
        made.write_text(MPIEXEC % {**names, "mpiexec": mpiexec, "launcher": launcher})
        for script in (launcher, made):
            script.chmod(0o755)
        yield str(made)


def main() -> int:
    """Make the network, run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--delay", type=float, default=0.001, help="seconds of each packet (default 0.001)")
    parser.add_argument("--hosts", type=int, default=3, help="how many (default 3)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        parser.error("hosts.py needs root, and /dev/net/tun")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays
    with network(given.hosts, given.delay) as mpiexec:
        return subprocess.run(given.command, env={**os.environ, "MPIEXEC": mpiexec}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
