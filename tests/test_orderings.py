"""The litmus tests: herd7 finds the bad outcome of a protocol where it is broken, and nowhere else."""

import shutil

import orderings
import pytest


@pytest.mark.skipif(not shutil.which(orderings.TOOL), reason="needs herd7 (Debian 14: herdtools7)")
@pytest.mark.parametrize("name", orderings.CHECKS)
def test_herd_finds_what_c11_allows(name, tmp_path):
    check = orderings.CHECKS[name]
    bad, output = orderings.run(check, "C11", tmp_path)
    assert bad == ("C11" in check.possible), output


@pytest.mark.parametrize("name", orderings.CHECKS)
def test_each_litmus_test_can_be_translated(name):
    text = orderings.source(orderings.CHECKS[name])
    assert "memory_order" in orderings.in_c(text)
    for version in ("8.0", "8.1"):
        assert orderings.in_arm(text, version).count("\n") > 8
