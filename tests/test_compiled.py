"""The compile policy: warm starts load from the cache, an unwritable cache is survived, paths are chosen by name."""

import ast
import re
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from processes import python

from asapnb import UsageError, compiled
from asapnb.kernels.arrays import array_type
from asapnb.platforms import HERE

TRAIN = """
import warnings; warnings.simplefilter("always")
import asapnb as ab
from problems import quadratic
run = ab.train(quadratic(), scheme="synchronous", workers=2, updates=50)
from asapnb.engine.loops import synchronous
stats = synchronous.work.stats
print(run.status, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
import sys; print("numba.np.arraymath" in sys.modules, "scipy.linalg" in sys.modules)
"""


INSTANCES = """
import sys
for name, module in sorted(sys.modules.items()):
    for function, value in vars(module).items() if name.startswith("asapnb") else ():
        if len(getattr(value, "overloads", ())) > 1 and value.py_func.__module__ == name:
            print(name, function, *value.overloads, file=sys.stderr)
"""


NAMES = """
import os
import numba
from asapnb.compiled import part

def made(n):
    return part()(lambda x: x + n)

child = os.fork() if hasattr(os, "fork") else None
function = made(1)
function.compile((numba.float64,))
print(function.overloads[numba.float64,].fndesc.mangled_name, flush=True)
if child:
    os.waitpid(child, 0)
elif child == 0:
    os._exit(0)
"""


def run(program, **environment):
    return python("-c", program, check=False, environment=environment)


def test_a_second_process_compiles_no_loop(tmp_path):
    first, second = (run(TRAIN + INSTANCES, ASAPNB_CACHE=str(tmp_path)) for _ in range(2))
    assert first.stdout.split()[:3] == ["finished", "0", "1"], first.stderr
    assert second.stdout.split() == ["finished", "1", "0", "False", "False"], second.stderr  # and loads no compiler
    assert first.stderr == ""  # no warning, and no function has two signatures, in the process that compiled the loop


BESIDE = """
from asapnb.training import compiling
compiling.at_once = lambda: 2  # on any machine
compiling._PROGRAM = "{0}" or compiling._PROGRAM
"""


@pytest.mark.parametrize(("program", "compiled"), [("", ["1", "0"]), ("import nothing_of_this_name", ["0", "1"])])
def test_a_process_beside_compiles_the_loop_and_may_fail(program, compiled, tmp_path):
    train = TRAIN.replace("quadratic()", "ab.problems.quadratic(4)").replace("updates", "batch_size=1, updates")
    done = run(BESIDE.replace("{0}", program) + train, ASAPNB_CACHE=str(tmp_path))
    assert done.stdout.split()[:3] == ["finished", *compiled], done.stderr


@compiled.part()
def _made(values):
    return values[1:]


@compiled.kernel()
def _makes_an_array(values):
    return _made(values)[0]


@compiled.kernel(_nrt=True)
def _may_make_arrays(values):
    return np.cumsum(values)[-1]


def test_a_loop_that_makes_an_array_is_refused_unless_it_says_so():
    with pytest.raises(UsageError, match=r"'_makes_an_array' makes an array, .* kernel\(_nrt=True\)"):
        compiled.specialise(_makes_an_array, array_type(float))
    assert compiled.specialise(_may_make_arrays, array_type(float))(np.ones(3)) == 3


def test_a_cache_that_cannot_be_written_is_survived_with_a_hint(tmp_path):
    (tmp_path / "file").touch()
    done = run(TRAIN, ASAPNB_CACHE=str(tmp_path / "file" / "below"))
    assert done.stdout.startswith("finished"), done.stderr
    assert "set ASAPNB_CACHE to a folder that can be written" in done.stderr


@pytest.mark.parametrize("path", HERE.kernel_paths)
def test_the_kernel_path_can_be_chosen(path):
    done = run("from asapnb.compiled import CACHE, KERNEL_PATH; print(KERNEL_PATH, CACHE.name)", ASAPNB_KERNELS=path)
    chosen, folder = done.stdout.split()
    assert chosen == path
    assert folder.startswith(path)


def test_an_unknown_kernel_path_is_refused():
    done = run("import asapnb.compiled", ASAPNB_KERNELS="avx")
    assert "unknown kernel path in $ASAPNB_KERNELS 'avx'; available: auto, avx2, avx512, portable" in done.stderr


PACKAGE = Path(compiled.__file__).parent
COMPILED = sorted(
    file
    for file in PACKAGE.rglob("*.py")
    if {"kernel", "part", "intrinsic"}
    & {
        name.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    and file.name != "compiled.py"
)


def imports(file):
    """The files that a module imports of asapnb at its top level, by Python's own parser."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            modules = (
                [base / f"{alias.name}.py" for alias in node.names] if base.is_dir() else [base.with_suffix(".py")]
            )
            yield from (
                modules if all(map(Path.is_file, modules)) else {base / "__init__.py", *filter(Path.is_file, modules)}
            )


@pytest.mark.parametrize("file", COMPILED, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_key_of_a_kernel_covers_what_it_imports_and_what_that_imports(file):
    found, waiting = {file}, [file]
    while waiting:
        new = set(imports(waiting.pop())) - found
        found |= new
        waiting += new
    assert compiled.sources(file) == found


def keys(package):
    compiled._imported.cache_clear()
    return {
        file.relative_to(PACKAGE): compiled._source_hash.__wrapped__(package / file.relative_to(PACKAGE))
        for file in COMPILED
    }


EVERYWHERE = ("engine", "kernels", "problems", "simulator", "timing", "training")
ELSEWHERE = ("kernels", "problems", "simulator", "timing", "training")


@pytest.mark.parametrize(
    ("edited", "changed", "unchanged"),
    [
        ("engine/loops/common.py", ("engine/loops/leashed.py", "engine/loops/timed.py"), ELSEWHERE),
        ("kernels/arithmetic.py", ("engine/loops/leashed.py", "simulator/loops/replay.py"), ("problems", "timing")),
        *(
            (f"{name}.py", (), EVERYWHERE)
            for name in (
                "training/options",
                "training/arguments",
                "engine/run",
                "engine/controller",
                "engine/memory",
                "simulator/run",
                "simulator/world",
                "simulator/replay_state",
                "schemes/builtin",
                "schemes/common",
                "record/schema",
                "rules/schedules",
                "timing/timing",
            )
        ),
        ("random.py", ("timing/sampling.py", "engine/loops/leashed.py", "simulator/loops/server.py"), ()),
        ("timing/sampling.py", ("simulator/loops/server.py",), ("engine", "problems")),
        ("problems/tiles.py", ("problems/interpreter.py",), ("engine", "timing", "simulator")),
        *((f"problems/{name}.py", (), ("",)) for name in ("base", "networks", "plan", "places", "analytic", "text")),
        *((f"data/{name}.py", (), ("",)) for name in ("dataset", "catalogue")),
        ("errors.py", (), ("",)),
    ],
)
def test_an_edit_compiles_anew_what_is_made_of_it_and_nothing_else(edited, changed, unchanged, tmp_path):
    package = shutil.copytree(PACKAGE, tmp_path / "asapnb", ignore=shutil.ignore_patterns("__pycache__", "embedded"))
    before = keys(package)
    (package / edited).write_text((package / edited).read_text() + "\n# edited\n")
    others = {file for file, key in keys(package).items() if key != before[file]}
    assert others >= set(map(Path, changed))
    assert not {str(file) for file in others if str(file).startswith(tuple(unchanged))}


# What is not compiled, but what kernels may be made of: constants, declarations, Numba types, LLVM's language.
PLAIN = [
    PACKAGE / f"{name}.py"
    for name in (
        "compiled", "parts", "platforms", "data/pixels", "engine/loops/types", "engine/words",
        "simulator/loops/types", "kernels/arrays", "kernels/kinds", "kernels/types", "rules/kinds",
        "simulator/words", "training/words", "problems/activations", "problems/emit", "problems/kinds",
        "problems/layers", "problems/losses", "problems/primitives", "problems/signature",
    )
]  # fmt: skip


@pytest.mark.parametrize("file", COMPILED, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_kernels_are_made_of_kernels_and_constants_only(file):
    assert compiled.sources(file) <= {*COMPILED, *PLAIN}


@pytest.mark.parametrize("file", COMPILED, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_twins_that_docstrings_name_exist(file):
    named = re.findall(r"Twin: (?:the largest of )?`?(\w+)`? in tests/(\w+)\.py", file.read_text())
    assert [pair for pair in named if not hasattr(import_module(pair[1]), pair[0])] == []


def test_no_two_processes_give_compiled_functions_one_name():
    """Else a third that loads both from the cache links one of them in the place of the other."""
    names = [name for _ in range(2) for name in run(NAMES).stdout.split()]
    assert len({*names}) == len(names) >= 2
