"""docs/how-to/extending/optimizer.md: its optimizer trains, resumes and replays as its twin says."""

from copies import Copy

PAGE = "docs/how-to/extending/optimizer.md"
CHECK = """
import pathlib
import test_optimizers as t
given = t.STEPS["rmsprop"]
t.test_an_optimizer_prints_what_is_read_again("rmsprop")
t.test_threads_make_the_parameters_of_the_rows_and_a_replay_too(given, "lock-based")
t.test_a_simulated_run_is_recomputed_from_its_rows(given, "lock-based")
t.test_a_run_goes_on_with_what_its_steps_carry_on("rmsprop", "lock-based", pathlib.Path("."))
print("done")
"""


def test_the_optimizer_of_the_page_is_that_of_its_twin(tmp_path):
    assert Copy(PAGE, tmp_path).run(CHECK) == ("done\n", "")


def test_one_whose_step_is_not_in_the_table_is_an_error_that_says_so(tmp_path):
    copy = Copy(PAGE, tmp_path)
    copy.edit("asapnb/kernels/steps.py", '    "rmsprop": _rmsprop,\n', "")
    printed, error = copy.run(CHECK)
    assert printed == ""
    assert "it has no compiled step in the table OPTIMIZERS of asapnb.kernels.steps" in error.splitlines()[-1]
