"""Give many inputs that nobody would write to the readers of files and texts, in processes that may die.

Faults are exceptions that are no `AsapnbError`, crashes, more than SECONDS and more than MEMORY. The input of each
fault is kept in build/fuzz. `make fuzz` calls this; `tests/test_fuzzing.py` tries a few inputs.

    python tests/fuzz.py --inputs 200000 --targets rule,timing --seed 0
    python tests/fuzz.py --targets rule --again build/fuzz/rule-0-4711        the traceback of one input
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fuzzing import fault_of, targets, valid
from processes import LIMIT

SECONDS, MEMORY = 5, 1 << 30  # for one input; the memory in bytes, beyond that of a process without inputs
KEPT = Path(__file__).parents[1] / "build" / "fuzz"


class TooSlow(BaseException):
    """An input took longer than SECONDS."""


def work(name: str, seed: int, first: int, last: int, folder: Path) -> None:
    """In a process: try inputs. The folder tells the parent about them: `number`, `input`, and `faults`."""
    target = targets()[name]
    valid(target)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # on which libraries report what they refuse

    def too_slow(number: int, frame: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, too_slow)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    inside = folder / "inside"
    inside.mkdir(exist_ok=True)
    os.chdir(inside)
    now = os.open(folder / "number", os.O_WRONLY)
    for number in range(first, last):
        content = target.input(f"{name}-{seed}-{number}")
        (folder / "input").write_bytes(content)
        os.pwrite(now, f"{number:20}".encode(), 0)  # over the one before: the file is never empty again
        try:
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            fault = fault_of(target, content, inside)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TooSlow:
            fault = f"slow: longer than {SECONDS} s"
        if fault:
            shutil.copy(folder / "input", KEPT / f"{name}-{seed}-{number}")
            with (folder / "faults").open("a") as file:
                file.write(f"{number}\t{fault!a}\n")


def campaign(name: str, seed: int, inputs: int, limit: float) -> tuple[int, dict[int, str]]:
    """How many inputs of a target were tried, and its faults by number. Another process follows one that died.

    A process that still compiles at the limit tries one input.
    """
    died: dict[int, str] = {}
    first, deadline = 0, time.monotonic() + limit
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as made:
        folder = Path(made)
        number = folder / "number"
        while first < inputs:
            number.write_text("")
            begun = time.monotonic()
            here = [sys.executable, __file__, "--work", name, str(seed), str(first), str(inputs), made]
            process = subprocess.Popen(here, stdout=subprocess.DEVNULL)
            code = watched(process, number, deadline)
            at = number.read_text()
            if not at:
                late = f", as it was not ready within {LIMIT} s" if time.monotonic() - begun > LIMIT else ""
                sys.exit(f"{name}: its process ends with code {code} before the first input{late}")
            first = int(at) + 1
            if code == 0 or time.monotonic() > deadline:
                break
            died[int(at)] = "hang" if code == -signal.SIGKILL else f"crash: exit code {code}"
            shutil.copy(folder / "input", KEPT / f"{name}-{seed}-{at}")
        told = (folder / "faults").read_text().splitlines() if (folder / "faults").exists() else []
    return first, died | {int(line.partition("\t")[0]): line.partition("\t")[2] for line in told}


def watched(process: subprocess.Popen, number: Path, deadline: float) -> int:
    """The exit code of a process. It is killed when the number of its input stands still, and at the deadline.

    Until its first input it compiles, at worst, which a busy machine may take minutes for.
    """
    before, since = "", time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        if (at := number.read_text()) != before:
            before, since = at, time.monotonic()
        now = time.monotonic()
        if now - since > (4 * SECONDS if before else LIMIT) or (before and now > deadline):
            process.kill()
    return process.wait(LIMIT)


def main() -> int:
    """Carry out the campaigns and print their faults; returns 1 if there are any."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--targets", default=",".join(targets()), help="names, with commas between")
    options.add_argument("--inputs", type=int, default=20_000, help="of each target")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--seconds", type=float, default=3600, help="for each target, at most")
    options.add_argument("--again", type=Path, help="the file of one input, which may raise")
    options.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.work:
        name, *numbers, folder = given.work
        work(name, *map(int, numbers), Path(folder))
        return 0
    if given.again:
        with tempfile.TemporaryDirectory() as folder:
            targets()[given.targets].give(given.again.read_bytes(), Path(folder))
        return 0
    found = 0
    for name in given.targets.split(","):
        begun = time.monotonic()
        count, faults = campaign(name, given.seed, given.inputs, given.seconds)
        found += len(faults)
        print(f"{name}: {count:,} inputs in {time.monotonic() - begun:.0f} s, {len(faults)} faults", flush=True)
        kinds = Counter(fault.partition(": ")[0] for fault in faults.values())
        for kind, times in kinds.most_common(20):
            number = next(number for number, fault in faults.items() if fault.startswith(kind))
            print(f"  {times:6} {faults[number]}   (input {number})", flush=True)
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
