"""docs/how-to/extending, column.md and optimizer.md: every run has what they add; what is forgotten is named.

Both are applied to one copy, so that the loops are compiled once.
"""

import re

import pytest
from copies import Copy

COLUMN, OPTIMIZER = (f"docs/how-to/extending/{name}.md" for name in ("column", "optimizer"))
AS_ITS_TWIN = """
import functools, pathlib, tempfile
import test_optimizers as t
t.quadratic = functools.partial(t.quadratic, dtype=np.float64)  # loops of the dtype that the other page has compiled
given = t.STEPS["rmsprop"]
t.test_an_optimizer_prints_what_is_read_again("rmsprop")
t.test_threads_make_the_parameters_of_the_rows_and_a_replay_too(given, "lock-based")
t.test_a_simulated_run_is_recomputed_from_its_rows(given, "lock-based")
t.test_a_run_goes_on_with_what_its_steps_carry_on("rmsprop", "lock-based", pathlib.Path(tempfile.mkdtemp()))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("copy"), COLUMN, OPTIMIZER)


def test_the_column_of_the_page_is_filled_in_by_every_kind_of_run_and_after_a_resume(copy):
    assert copy.run(copy.scripts[COLUMN]) == ("", "")


def test_the_optimizer_of_the_page_is_that_of_its_twin(copy):
    assert copy.run(AS_ITS_TWIN) == ("", "")


def test_a_loop_that_forgets_the_column_is_told_so(tmp_path):
    copy = Copy(tmp_path, COLUMN)
    for loop in ("asapnb/engine/loops/common.py", "asapnb/simulator/loops/replay.py"):
        text = (tmp_path / loop).read_text()
        (tmp_path / loop).write_text(re.sub(r"^.*gradient_norm = .*\n", "", text, flags=re.MULTILINE))
    said, error = copy.run("""
import asapnb as ab
bowl = ab.problems.quadratic([1.0])
for run, scheme in ((ab.train, "synchronous"), (ab.simulate, "lock-based")):
    try:
        run(bowl, scheme, workers=2, updates=20, batch_size=1).updates["gradient_norm"]
    except Exception as error:
        print(str(error).splitlines()[-1])
""")
    assert error == ""
    assert ["/updates/gradient_norm" in line for line in said.splitlines()] == [True, True]


def test_an_optimizer_whose_step_is_not_in_the_table_is_an_error_that_says_so(tmp_path):
    copy = Copy(tmp_path, OPTIMIZER)
    copy.edit("asapnb/kernels/steps.py", 'OPTIMIZERS["rmsprop"] = _rmsprop\n', "")
    printed, error = copy.run("""
import asapnb as ab
print(ab.train(ab.problems.quadratic([1.0]), "synchronous", optimizer="rmsprop", updates=3))
""")
    assert printed == ""
    assert "it has no compiled step in the table OPTIMIZERS of asapnb.kernels.steps" in error.splitlines()[-1]
