"""Arguments of runs that exclude each other: the error names both, whatever command takes them."""

import pytest
from problems import quadratic

import asapnb as ab
from asapnb.training.arguments import ARGUMENTS
from asapnb.training.exclusions import EXCLUSIONS

EXAMPLES = {
    "optimizer": ab.Adam(),
    "momentum": 0.5,
    "momentum_kind": "shared",
    "direct_share": 0.25,
    "epochs": 2,
    "updates": 10,
}  # a value of each argument that is not its default


@pytest.mark.parametrize("pair", EXCLUSIONS, ids=lambda pair: f"{pair.one.name}-{pair.other.name}")
@pytest.mark.parametrize("command", ["train", "simulate"])
def test_arguments_that_exclude_each_other_name_each_other(pair, command):
    uses = (pair.one, pair.other)
    given = {use.name: EXAMPLES[use.name] if use.value is None else use.value for use in uses}
    if any(command not in ARGUMENTS[name].commands for name in given):
        pytest.skip("the command does not take both")
    with pytest.raises(ab.UsageError) as error:
        getattr(ab, command)(quadratic(), **{"updates": 5, **given} if "epochs" not in given else given)
    for name, value in given.items():
        assert f"{name} is {value!r}" in str(error.value)
    assert pair.why in str(error.value)
    assert "give one of them" in str(error.value)


def test_the_table_has_each_pair_once():
    pairs = [frozenset((pair.one, pair.other)) for pair in EXCLUSIONS]
    assert len({*pairs}) == len(pairs)
    assert all(len(pair) == 2 for pair in pairs)
