"""docs/how-to/extending/layer.md: its layer agrees with its twin, trains by its text; a part forgotten is noticed."""

import pytest
from copies import Copy

PAGE = "docs/how-to/extending/layer.md"
CHECK = """
import test_problems_networks as t
t.test_every_layer_has_a_twin()
t.check("square")
t.check("odd sizes")  # without it
"""
TRAIN = """
import asapnb as ab
text = "network(layers=['Dense(16)', 'Square', 'Dense(10)'])"
problem = ab.problems.text.parse_problem(text)
assert problem.config["problem"] == "network(layers=['Dense(units=16)', 'Square()', 'Dense(units=10)'])"
losses = ab.train(problem, workers=2, epochs=1).evals["train_loss"]
assert losses[-1] < losses[0] / 2, losses
print("done")
"""


def test_the_layer_of_the_page_agrees_with_its_twin_and_trains(tmp_path):
    assert Copy(PAGE, tmp_path).run(CHECK + TRAIN) == ("done\n", "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "backward, input_gradient)",
            "backward)",
            "required positional argument: 'input_gradient'",
        ),
        (
            "(plan, i, params, workspace, count):\n    io = ",
            "(plan, i, workspace, count):\n    io = ",
            "must take ['plan'",
        ),
    ],
)
def test_what_is_missing_is_an_error_at_import(old, new, says, tmp_path):
    error = Copy(PAGE, tmp_path).import_error("asapnb/problems/square.py", old, new)
    assert says in error
    assert "TypeError: " in error
