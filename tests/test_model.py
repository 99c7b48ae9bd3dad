"""Leashed as a model: Spin finds no fault in all interleavings, and finds the faults of models broken on purpose."""

import re
import shutil

import models
import pytest

missing = [tool for tool in models.TOOLS if not shutil.which(tool)]
needs_spin = pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(missing)} (Debian: spin, gcc)")


@needs_spin
@pytest.mark.parametrize("name", models.CHECKS)
def test_spin_finds_what_is_there(name, tmp_path):
    check = models.CHECKS[name]
    outcome = models.run(check, tmp_path)
    if check.fault:
        assert re.search(check.fault, outcome.error), outcome.output
    else:
        assert outcome.error == "", outcome.output
        assert outcome.states > 1000, "the model does nothing"


def test_the_models_are_those_of_this_code():
    assert models.changed() == []


@pytest.mark.parametrize("broken", [False, True])
def test_a_digest_sees_changes_of_code_alone(broken):
    text = "def f(a):\n    'A docstring.'\n    return a  # a comment\n"
    other = "def f(a):\n    return a + 1\n" if broken else "def f(a):\n\n    return (a)\n"
    one, two = (models.digest(models.ast.parse(source).body[0]) for source in (text, other))
    assert (one != two) == broken
