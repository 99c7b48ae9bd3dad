"""The models of tests/model, checked with Spin: which checks there are, how one runs, and which code they model.

`make model` runs all of them, the larger ones too: `python tests/models.py`. docs/explanation/model.md explains.
"""

import ast
import hashlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from processes import LIMIT

ROOT = Path(__file__).parents[1]
MEGABYTES = 4000  # that a check may take
FAIR = 3  # a size in `pan`: for up to 22 processes
TOOLS = ("spin", "cc")


class Check(NamedTuple):
    """One search of all states. `fault`: what the error says that Spin must find; "" if there must be none."""

    model: str
    options: str
    fault: str = ""
    cycles: str = ""  # look for cycles without an update: in any execution ("-l"), or only in fair ones ("-l -f")


CHECKS = {
    "two workers": Check("leashed", ""),
    "two workers, early checks and a persistence bound": Check("leashed", "-DPERSISTENCE=0 -DCHECK_EARLY -DQUOTA=2"),
    "two workers that keep their views": Check("leashed", "-DKEPT -DQUOTA=2"),
    "two workers, evaluations, a stop": Check("leashed", "-DEVAL_EVERY=1 -DSTOPS -DQUOTA=2 -DBLOCKS=1 -DMERGED"),
    "two workers, 2m vectors": Check("leashed", "-DSLOTS=4"),
    "three workers": Check("leashed", "-DWORKERS=3 -DQUOTA=1"),
    "somebody always publishes": Check("leashed", "-DPERSISTENCE=0 -DQUOTA=2", cycles="-l"),
    "broken: no version in what is compared": Check("leashed", "-DNO_TAG", "version_of|made"),
    "broken: the pointer is not read again": Check("leashed", "-DNO_RECHECK", "slots"),
    "broken: a vector is freed that has readers": Check("leashed", "-DNO_COUNT", "slots"),
    "broken: marked as current after the swap": Check("leashed", "-DMARK_LATE", "POINTER|owned|STALE"),
    "broken: 2m - 1 vectors": Check("leashed", "-DSLOTS=3", "idle>0"),
    "the lock": Check("lock", "-DWORKERS=3 -DQUOTA=2"),
    "the lock, if nobody stands still": Check("lock", "", cycles="-l -f"),
    "broken: the lock without a swap": Check("lock", "-DNO_SWAP", "inside"),
    "rows": Check("rows", ""),
    "broken: a row does not wait for room": Check("rows", "-DNO_ROOM", "newest|rows"),
    "broken: the mark before the row": Check("rows", "-DMARK_FIRST", "rows"),
    "broken: the view forgotten before the row has its number": Check("rows", "-DFORGET_FIRST", "held"),
    "broken: the view announced after the last look": Check("rows", "-DANNOUNCE_LATE", "held"),
    "the gate": Check("gate", ""),
    "broken: finished before the update": Check("gate", "-DFINISH_FIRST", "written"),
    "broken: who waits looks at a word that lags": Check("gate", "-DVERSION_ONLY", "invalid end state"),
}
LARGER = {
    "two workers, four versions, early checks": Check("leashed", "-DPERSISTENCE=1 -DCHECK_EARLY -DQUOTA=4"),
    "two workers, three versions, evaluations": Check("leashed", "-DEVAL_EVERY=1"),
    "two workers, five versions": Check("leashed", "-DQUOTA=5"),
    "three workers, two versions": Check("leashed", "-DWORKERS=3 -DQUOTA=2"),
    "three workers, a gradient each, 2m vectors": Check(
        "leashed", "-DWORKERS=3 -DQUOTA=3 -DBLOCKS=1 -DMERGED -DROUNDS=1 -DSLOTS=6"
    ),
    "three workers, somebody always publishes": Check("leashed", "-DWORKERS=3 -DQUOTA=1", cycles="-l"),
    "no version in what the swap compares, which is right": Check("leashed", "-DNO_TAG_IN_SWAP -DQUOTA=4"),
    "the lock, three workers, four versions": Check("lock", "-DWORKERS=3 -DQUOTA=4"),
    "rows, three gradients of each worker": Check("rows", "-DROUNDS=3 -DQUOTA=4"),
    "rows, two places": Check("rows", "-DRING=2 -DROUNDS=3"),
    "rows, three workers": Check("rows", "-DWORKERS=3 -DROUNDS=1"),
    "the gate, intervals of three": Check("gate", "-DQUOTA=7 -DINTERVAL=3 -DDROPS=2"),
    "the gate, intervals of one": Check("gate", "-DQUOTA=6 -DINTERVAL=1"),
    "the gate, four workers": Check("gate", "-DWORKERS=4 -DQUOTA=4"),
    "broken: no version in the state of a slot": Check(
        "leashed", "-DNO_STATE_TAG -DSTART=0 -DEVAL_EVERY=2 -DQUOTA=4 -DBLOCKS=1 -DMERGED -DROUNDS=9*me+1", "slots"
    ),
}


class Outcome(NamedTuple):
    """What a search found: its first error, or "" after all states; the number of states; the last output."""

    error: str
    states: int
    output: str


def run(check, folder, optimise="-O0"):
    """Check a model in this folder: `spin -a`, the compiler, then `pan` through all states.

    Most searches are short, so the tests do not let the compiler optimise, which takes longer.
    """

    def call(*command, codes=(0,)):
        done = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=LIMIT)
        assert done.returncode in codes, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout

    call("spin", "-a", *check.options.split(), str(ROOT / f"tests/model/{check.model}.pml"))
    kinds = ["-DNP", f"-DNFAIR={FAIR}"] if check.cycles else ["-DSAFETY"]
    call("cc", optimise, "-w", *kinds, "-DCOLLAPSE", f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c")
    output = call("./pan", "-m1000000", *check.cycles.split())
    assert "depth too small" not in output, output
    error = re.search(r"^pan:1: (.*?)(?: \(at depth .*)?$", output, re.MULTILINE)
    assert error or ("Search not completed" not in output and "errors: 0" in output), output
    assert bool(error) == Path(folder, f"{check.model}.pml.trail").exists()
    return Outcome(error[1] if error else "", int(re.search(r"(\d+) states, stored", output)[1]), output)


MODELLED = {  # the functions that each model stands for, with the digests of their code
    ("leashed", "engine/loops/pool.py"): {
        "set_state": "7c66cdc1a727",
        "claim": "afbec6910eb4",
        "pin": "40f8eebfe873",
        "release": "8112dad8cc8e",
        "acquire": "7354ea74153c",
        "sum_of": "c133354c2893",
        "publish": "b7be58817dd2",
    },
    ("leashed", "engine/loops/leashed.py"): {
        "prepare": "cceb4fea1ec0",
        "land": "7089c082f8da",
        "hand_over_slot": "083e4d442031",
        "work": "f53181da49f1",
    },
    ("leashed", "engine/loops/common.py"): {
        "goes_on": "b81fef0be144",
        "free_box": "7e2099edfbb6",
        "post": "4753f4158235",
    },
    ("leashed", "engine/controller.py"): {
        "_collect_mail": "79bc5b84ce5d",
        "_submit": "f9cd0212b8fd",
        "_empty": "380b92c9a85a",
    },
    ("leashed", "engine/memory.py"): {
        "_vectors": "b456c1450389",
    },
    ("lock", "kernels/waiting.py"): {
        "lock": "fdfcf7fc2114",
        "unlock": "bf84c8f62679",
    },
    ("lock", "engine/loops/lock_based.py"): {
        "work": "2850c870ffa7",
    },
    ("gate", "engine/loops/gate.py"): {
        "admitted": "04b1a39e2400",
        "is_over": "c58b2ae4e372",
        "finish": "6dab0b2e8d91",
        "length_from": "2d983aa5e27d",
    },
    ("rows", "engine/loops/hogwild.py"): {
        "work": "29d52270db04",
    },
    ("rows", "engine/loops/common.py"): {
        "hand_in": "ba5a8e372df2",
        "hand_in_dropped": "def24d88c722",
        "_hand_in": "dd789b5871bb",
        "announce_view": "6d89291c7205",
        "forget_view": "dbcdd38e2438",
    },
    ("rows", "engine/collect.py"): {
        "_copy": "04bcb3fa37fe",
        "_oldest_view": "d142df7b1d5d",
    },
    ("rows", "engine/rows.py"): {
        "_in_order": "edcdf27735a9",
        "take": "8be925843249",
        "acknowledge": "e8d5edc3b3e1",
        "_finished": "6a70db92f840",
    },
}


def functions(module):
    """The functions and methods of a module of the package, by name."""
    tree = ast.parse((ROOT / "asapnb" / module).read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def digest(function):
    """A digest of what a function does: neither layout nor comments nor the docstring count."""
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    return hashlib.sha256(ast.dump(function).encode()).hexdigest()[:12]


def changed():
    """The modelled functions whose code is not what the models were last compared with, as texts."""
    found = []
    for (model, module), names in MODELLED.items():
        now = functions(module)
        for name, known in names.items():
            if name not in now or digest(now[name]) != known:
                new = digest(now[name]) if name in now else "gone"
                found.append(
                    f"asapnb/{module}: {name} is now {new}: look at tests/model/{model}.pml, then renew the digest"
                )
    return found


def seconds():
    """The CPU time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    """Run the checks whose names hold one of the arguments, or all; print what each finds, and the seconds of CPU."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise SystemExit(f"The models need {' and '.join(missing)}. On Debian: apt-get install spin gcc")
    wanted = sys.argv[1:] or [""]
    for name, check in (CHECKS | LARGER).items():
        if not any(text in name for text in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            before = seconds()
            outcome = run(check, folder, "-O2")
            spent = seconds() - before
        right = bool(re.search(check.fault, outcome.error)) if check.fault else not outcome.error
        found = f"refuted: {outcome.error}" if outcome.error else "no error"
        print(f"{name:55} {outcome.states:>11,} states {spent:6.1f} s  {found}", flush=True)
        if not right:
            raise SystemExit(outcome.output)


if __name__ == "__main__":
    main()
