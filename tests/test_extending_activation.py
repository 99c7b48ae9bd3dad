"""docs/how-to/extending/activation.md: its activation trains, agrees with its twin, and misses no part unnoticed."""

import pytest
from copies import Copy

PAGE = "docs/how-to/extending/activation.md"
DECLARATIONS = "asapnb/problems/activations.py"
CHECK = """
import test_problems_networks as t
from asapnb.problems.activations import ELU
t.test_an_activation_is_what_its_formula_says(ELU)
t.check("elu")
t.check("odd sizes")  # with ReLU
"""


def test_the_activation_of_the_page_agrees_with_its_twin_and_trains(tmp_path):
    copy = Copy(PAGE, tmp_path)
    assert copy.run("\n".join([CHECK, copy.script, "print('done')"])) == ("done\n", "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "    backward=lambda y, g: g if y > 0 else g + g * y,\n",
            "",
            "missing 1 required positional argument: 'backward'",
        ),
        ("lambda y, g: g if y > 0 else g + g * y", "lambda y: 1 + y", "must take ['y', 'g']"),
        ('"ELU"', '"ReLU"', "there are two activations 'ReLU'"),
    ],
)
def test_what_is_missing_is_an_error_at_import(old, new, says, tmp_path):
    error = Copy(PAGE, tmp_path).import_error(DECLARATIONS, old, new)
    assert says in error
    assert "Error: " in error
