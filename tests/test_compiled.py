"""The compile policy: warm starts load from the cache, an unwritable cache is survived, paths are chosen by name."""

import os
import subprocess
import sys

import pytest

TRAIN = """
import sys; sys.path.insert(0, {tests!r})
import warnings; warnings.simplefilter("always")
import asapnb as ab
from problems import quadratic
run = ab.train(quadratic(), scheme="lock-based", workers=2, updates=50)
from asapnb.engine.loops import lock_based
stats = lock_based.work.stats
print(run.status, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def run(program, **environment):
    program = program.format(tests=os.path.dirname(__file__))
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_second_process_compiles_no_loop(tmp_path):
    first, second = (run(TRAIN, ASAPNB_CACHE=str(tmp_path)) for _ in range(2))
    assert first.stdout.split()[0] == "finished", first.stderr
    assert second.stdout.split() == ["finished", "1", "0"], second.stderr
    assert "cannot write" not in first.stderr


BESIDE = """
from asapnb.engine import ahead
ahead.cores = lambda: [0, 1]  # on any machine
ahead._PROGRAM = "{0}" or ahead._PROGRAM
"""


@pytest.mark.parametrize(("program", "compiled"), [("", ["1", "0"]), ("import nothing_of_this_name", ["0", "1"])])
def test_a_process_beside_compiles_the_loop_and_may_fail(program, compiled, tmp_path):
    done = run(BESIDE.replace("{0}", program) + TRAIN, ASAPNB_CACHE=str(tmp_path))
    assert done.stdout.split() == ["finished", *compiled], done.stderr


def test_a_cache_that_cannot_be_written_is_survived_with_a_hint(tmp_path):
    (tmp_path / "file").touch()
    done = run(TRAIN, ASAPNB_CACHE=str(tmp_path / "file" / "below"))
    assert done.stdout.startswith("finished"), done.stderr
    assert "set ASAPNB_CACHE to a folder that can be written" in done.stderr


@pytest.mark.parametrize("path", ["avx512", "avx2", "portable"])
def test_the_kernel_path_can_be_chosen(path):
    done = run("from asapnb.compiled import CACHE, KERNEL_PATH; print(KERNEL_PATH, CACHE.name)", ASAPNB_KERNELS=path)
    chosen, folder = done.stdout.split()
    assert chosen == path
    assert folder.startswith(path)


def test_an_unknown_kernel_path_is_refused():
    done = run("import asapnb.compiled", ASAPNB_KERNELS="avx")
    assert "unknown kernel path in $ASAPNB_KERNELS 'avx'; available: auto, avx2, avx512, portable" in done.stderr
