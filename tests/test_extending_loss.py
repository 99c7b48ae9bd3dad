"""docs/how-to/extending/loss.md: its loss trains, agrees with its twin, and misses no part unnoticed."""

import pytest
from copies import Copy

PAGE = "docs/how-to/extending/loss.md"
DECLARATIONS = "asapnb/problems/losses.py"
CHECK = """
import test_problems_losses as l, test_problems_networks as t
from asapnb.problems.losses import LOSSES
l.test_a_loss_is_what_its_formula_says(LOSSES[-1])
t.check("one output", loss="log_cosh")
"""


def test_the_loss_of_the_page_agrees_with_its_twin_and_trains(tmp_path):
    copy = Copy(PAGE, tmp_path)
    assert copy.run("\n".join([CHECK, copy.script, "print('done')"])) == ("done\n", "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    slope=lambda y, t: math.tanh(y - t),\n", "", "missing 1 required positional argument: 'slope'"),
        ("slope=lambda y, t: math.tanh(y - t)", "slope=None", "has only one of value and slope"),
        ("slope=lambda y, t: math.tanh(y - t)", "slope=lambda t: 1.0", "must take ['y', 't']"),
        ('"log_cosh"', '"huber"', "there are two losses 'huber'"),
    ],
)
def test_what_is_missing_is_an_error_at_import(old, new, says, tmp_path):
    error = Copy(PAGE, tmp_path).import_error(DECLARATIONS, old, new)
    assert says in error
    assert "Error: " in error
