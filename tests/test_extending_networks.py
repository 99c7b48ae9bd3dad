"""docs/how-to/extending, activation.md, layer.md and loss.md: what they add agrees with twins, trains, lacks no part.

All three are applied to one copy, so that the networks are compiled once.
"""

import re

import pytest
from copies import Copy

ACTIVATION, LAYER, LOSS = (f"docs/how-to/extending/{name}.md" for name in ("activation", "layer", "loss"))
CHECKS = {
    ACTIVATION: """
import test_problems_networks as t
from asapnb.problems.activations import ELU
t.test_an_activation_is_what_its_formula_says(ELU)
t.check("elu")
t.check("odd sizes")  # with ReLU
""",
    LAYER: """
import test_problems_networks as t, asapnb as ab
t.test_every_layer_has_a_twin()
t.check("square")
t.check("odd sizes")  # without it
text = "network(layers=['Dense(16)', 'Square', 'Dense(10)'])"
problem = ab.problems.text.parse_problem(text)
assert problem.config["problem"] == "network(layers=['Dense(units=16)', 'Square()', 'Dense(units=10)'])"
losses = ab.train(problem, workers=2, epochs=1).evals["train_loss"]
assert losses[-1] < losses[0] / 2, losses
""",
    LOSS: """
import test_problems_losses as l, test_problems_networks as t
from asapnb.problems.losses import LOSSES
l.test_a_loss_is_what_its_formula_says(LOSSES[-1])
t.check("one output", loss="log_cosh")
""",
}
LACKS = [  # file, old, new, and the error at the import of the problems
    ("activations", "    backward=lambda y, g: g if y > 0 else g + g * y,\n", "",
     "TypeError: .*missing 1 required positional argument: 'backward'"),
    ("activations", "lambda y, g: g if y > 0 else g + g * y", "lambda y: 1 + y", r"Error: .*must take \['y', 'g'\]"),
    ("activations", '"ELU"', '"ReLU"', "Error: there are two activations 'ReLU'"),
    ("square", "backward, input_gradient)", "backward)", "TypeError: .*required .*argument: 'input_gradient'"),
    ("square", "(plan, i, params, workspace, count):\n    io = ", "(plan, i, workspace, count):\n    io = ",
     r"TypeError: .*must take \['plan'"),
    ("square", "(Square, {}", '(Square, {"power": (1, 3)}', r"TypeError: layers \['Square'\] need limits for each"),
    ("losses", "    slope=lambda y, t: math.tanh(y - t),\n", "",
     "TypeError: .*missing 1 required positional argument: 'slope'"),
    ("losses", "slope=lambda y, t: math.tanh(y - t)", "slope=None", "Error: .*has only one of value and slope"),
    ("losses", "slope=lambda y, t: math.tanh(y - t)", "slope=lambda t: 1.0", r"Error: .*must take \['y', 't'\]"),
    ("losses", '"log_cosh"', '"huber"', "Error: there are two losses 'huber'"),
]  # fmt: skip
IMPORT_EACH = """
import pathlib, sys, traceback
for line in sys.stdin:
    name, old, new = eval(line)
    path = pathlib.Path(f"asapnb/problems/{name}.py")
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    try:
        import asapnb.problems
    except Exception as error:
        print("".join(traceback.format_exception_only(error)).replace("\\n", " "))
    else:
        print("no error")
    path.write_text(text)
    for module in [module for module in sys.modules if module.startswith("asapnb")]:
        del sys.modules[module]
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("copy"), *CHECKS)


@pytest.mark.parametrize("page", CHECKS)
def test_what_the_page_adds_agrees_with_its_twin_and_trains(page, copy):
    assert copy.run("\n".join([CHECKS[page], copy.scripts[page], "print('done')"])) == ("done\n", "")


def test_what_is_missing_is_an_error_at_import(copy):
    said, error = copy.run(IMPORT_EACH, input="".join(f"{tuple(lack[:3])!r}\n" for lack in LACKS))
    assert error == ""
    for (*lack, says), line in zip(LACKS, said.splitlines(), strict=True):
        assert re.search(says, line), (lack, line)
