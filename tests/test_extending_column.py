"""docs/how-to/extending/column.md: every kind of run has its column; a loop that forgets it is named."""

import re

import pytest
from copies import Copy


def test_the_column_of_the_page_is_filled_in_by_every_kind_of_run_and_after_a_resume(tmp_path):
    copy = Copy("docs/how-to/extending/column.md", tmp_path)
    assert copy.run(copy.script) == ("", "")


@pytest.mark.parametrize("loop", ["asapnb/engine/loops/common.py", "asapnb/simulator/loops/replay.py"])
def test_a_loop_that_forgets_the_column_is_told_so(loop, tmp_path):
    copy = Copy("docs/how-to/extending/column.md", tmp_path)
    text = (tmp_path / loop).read_text()
    (tmp_path / loop).write_text(re.sub(r"^.*gradient_norm = .*\n", "", text, flags=re.MULTILINE))
    kind, scheme = ("train", "synchronous") if "engine" in loop else ("simulate", "lock-based")
    program = f"""
import asapnb as ab
run = ab.{kind}(ab.problems.quadratic([1.0]), "{scheme}", workers=2, updates=20, batch_size=1)
print(len(run.updates["gradient_norm"]))
"""
    printed, error = copy.run(program)
    assert printed == ""
    assert "/updates/gradient_norm" in error.splitlines()[-1]
