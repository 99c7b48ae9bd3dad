"""Gradients of one's own come from the cache if, and only if, they and all that they call are the same code."""

import importlib
import sys

import numba
import numpy as np
import pytest
from processes import python

import asapnb as ab
from asapnb.problems import kept

SOURCE = """
import numba
from helping import difference

WEIGHT = 2.0

@numba.njit
def pull(params, gradient, indices, plan, workspace, inputs, labels):
    gradient[:] = WEIGHT * difference(params[0], inputs[indices[0]])
    return gradient[0]
"""
HELPING = """
import numba

@numba.njit
def difference(a, b):
    return a - b
"""


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A function that writes modules and builds their problem: returns what it computes, and whether it was kept."""
    monkeypatch.setattr(kept, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "site-packages").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site-packages")

    def build(source=SOURCE, helping=HELPING, where="."):
        for file, text in ((tmp_path / "mine.py", source), (tmp_path / where / "helping.py", helping)):
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
        for name in ("mine", "helping"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        mine = importlib.import_module("mine")
        problem = ab.custom(mine.pull, np.ones(3, np.float32), [0, 0, 0], 1)
        return problem.loss_and_gradient([4.0], [0])[0], problem.gradient.stats.cache_hits.total()

    yield build
    for name in ("mine", "helping"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("where", [".", "site-packages"])  # code of one's own, and that of a library
def test_what_changes_is_compiled_anew(built, where):
    assert built(where=where) == (6.0, 0)
    assert built(where=where) == (6.0, 1)
    assert built(SOURCE.replace("WEIGHT = 2.0", "WEIGHT = 3.0"), where=where) == (9.0, 0)
    assert built(helping=HELPING.replace("a - b", "a - 2 * b"), where=where) == (4.0, 0)
    assert built(where=where)[0] == 6.0
    assert built(SOURCE.replace("njit\n", "njit(fastmath=True)\n"), where=where) == (6.0, 0)


def test_closures_are_told_apart(built, monkeypatch):
    def weighted(weight):
        @numba.njit
        def gradient(params, gradient, indices, plan, workspace, inputs, labels):
            gradient[:] = weight
            return weight

        return ab.custom(gradient, np.ones(3, np.float32), [0, 0, 0], 1)

    for weight, hits in ((1.0, 0), (2.0, 0), (1.0, 1)):
        problem = weighted(weight)
        assert problem.loss_and_gradient([0.0], [0])[0] == weight
        assert problem.gradient.stats.cache_hits.total() == hits


def test_code_of_a_session_is_compiled_anew(built):
    names = {"__name__": "of_a_session"}
    exec(SOURCE.replace("from helping import difference", "difference = numba.njit(lambda a, b: a - b)"), names)
    for _ in range(2):
        problem = ab.custom(names["pull"], np.ones(3, np.float32), [0, 0, 0], 1)
        assert problem.loss_and_gradient([4.0], [0])[0] == 6.0
        assert problem.gradient.stats.cache_hits.total() == 0


@pytest.mark.parametrize("says", ["parallel=True", "calls Python, by objmode"])
def test_what_workers_must_not_run_is_refused_each_time(built, says):
    helping = HELPING
    if says == "parallel=True":
        helping = """
import numba

@numba.njit(parallel=True)
def difference(a, b):
    total = 0.0
    for i in numba.prange(10):
        total += a - b
    return total / 10
"""
    else:
        helping = helping.replace("return a - b", "with numba.objmode(c='float32'):\n        c = a - b\n    return c")
    for _ in range(2):
        with pytest.raises(
            ab.UsageError, match=f"the gradient 'pull' .*{says}, or calls what does: all workers run it"
        ):
            built(helping=helping)


def test_a_new_process_loads_it(tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "helping.py").write_text(HELPING)
    code = """
import numpy as np, asapnb as ab, mine
problem = ab.custom(mine.pull, np.ones(3, np.float32), [0, 0, 0], 1)
print(problem.gradient.stats.cache_hits.total(), problem.loss_and_gradient([4.0], [0])[0])
"""
    for expected in ("0 6.0\n", "1 6.0\n"):
        environment = {"ASAPNB_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
        assert python("-c", code, environment=environment).stdout == expected
