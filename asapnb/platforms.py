"""What depends on the processor or on the system, in one place: `HERE` is what holds on this machine.

The tiles of `problems.tiles` are made for x86-64 alone. Every other processor runs the portable kernels.
"""

import platform
import sys
from typing import NamedTuple

_X86 = ("x86_64", "amd64")
_ARM = ("aarch64", "arm64")  # the same processors, as Linux and as macOS call them


class Platform(NamedTuple):
    """Facts about a processor and its system.

    Attributes:
        kernel_paths: those that it can run, the best first. `compiled` looks at the CPU's features as well.
        pause: the LLVM intrinsic that says "this is a spin loop", and its operands; None without such a hint.
        line_bytes: the size of a cache line.
        clock: the number of the clock that Python's `time.monotonic` reads.
        futex: the number of the system call futex; None outside Linux.
    """

    kernel_paths: tuple[str, ...]
    pause: tuple[str, tuple[int, ...]] | None
    line_bytes: int
    clock: int
    futex: int | None


def describe(machine: str, system: str) -> Platform:
    """The facts for a processor and a system, named as by `platform.machine()` and `sys.platform`.

    >>> describe("aarch64", "linux").kernel_paths
    ('portable',)
    >>> describe("arm64", "darwin").line_bytes
    128
    """
    machine, apple = machine.lower(), system == "darwin"
    x86, arm = machine in _X86, machine in _ARM
    return Platform(
        kernel_paths=("avx512", "avx2", "portable") if x86 else ("portable",),
        pause=("llvm.x86.sse2.pause", ()) if x86 else ("llvm.aarch64.hint", (1,)) if arm else None,  # 1 is YIELD
        line_bytes=128 if apple and arm else 64,
        clock=8 if apple else 1,  # CLOCK_UPTIME_RAW, CLOCK_MONOTONIC
        futex=(202 if x86 else 98 if arm else None) if system.startswith("linux") else None,
    )


HERE = describe(platform.machine(), sys.platform)
