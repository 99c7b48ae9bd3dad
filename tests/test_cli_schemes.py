"""`asapnb schemes`, and what the declarations of schemes say for it."""

import json
import re

import pytest
from commands import call
from pages import ROOT

import asapnb as ab
from asapnb.problems.shards import SHARDS
from asapnb.schemes import SCHEMES, about
from asapnb.training.arguments import ARGUMENTS

OF_ASAPNB = {name: scheme for name, scheme in SCHEMES.items() if scheme.__module__.startswith("asapnb.")}


def test_list_has_every_scheme_with_its_options_and_what_can_be_combined():
    lines = call("schemes", "list").stdout.splitlines()
    assert lines[0].split() == ["scheme", "runs", "on", "options", "what", "it", "does"]
    rows = {line.split()[0]: line for line in lines[1 : lines.index("* not everywhere; see asapnb schemes show")]}
    assert rows.keys() == SCHEMES.keys()
    assert "threads, simulator  wait_for" in rows["synchronous"] or "threads, MPI" in rows["synchronous"]
    assert "MPI, simulator" in rows["parameter-server"]
    assert "restart*" in rows["parameter-server"]
    found = json.loads(call("schemes", "list", "--json").stdout)
    assert {one["name"] for one in found["schemes"]} == rows.keys()
    assert {one["name"] for one in found["optimizers"]} == {*ab.optimizers.OPTIMIZERS}
    assert all(one["source"] and one["line"] for one in found["optimizers"])
    assert {"rule", "momentum_kind"} <= found["beside"].keys() <= ARGUMENTS.keys()


@pytest.mark.parametrize("name", OF_ASAPNB)
def test_show_says_what_is_declared(name):
    scheme, found = SCHEMES[name], json.loads(call("schemes", "show", name, "--json").stdout)
    text = call("schemes", "show", name).stdout
    assert text.startswith(f"{name}: {found['line']}\n")
    assert found["line"].endswith(".")
    assert [one["name"] for one in found["options"]] == [one.name for one in scheme.options]
    for one, said in zip(scheme.options, found["options"], strict=True):
        assert said["meaning"], f"the docstring of {scheme.__name__} needs {one.name} in its section Args"
        assert said["meaning"][:60] in text
        assert said["default"] == one.default
        assert (said["where"] == ["simulator"]) == (one.simulated or found["where"] == ["simulator"])
        assert (said["where"] == ["threads"]) == (one.measured or found["where"] == ["threads"])
    assert "Source" not in text


def test_the_table_of_the_field_has_all_that_there_is():
    """docs/explanation/field.md: schemes, their options, rules, and what can be combined with them."""
    text = "\n".join(
        line for line in (ROOT / "docs/explanation/field.md").read_text().splitlines() if line.startswith("| ")
    )
    options = {option.name for scheme in OF_ASAPNB.values() for option in scheme.options}
    beside = json.loads(call("schemes", "list", "--json").stdout)["beside"].keys() - {"rule", "schedule"}
    plain = {"sequential", "sgd", "constant"}
    named = {*OF_ASAPNB, *options, *beside, *ab.rules.available(), *ab.optimizers.OPTIMIZERS, *SHARDS} - plain
    missing = named - set(re.findall(r"[\w-]+", text))
    assert not missing, "give them a row, or a word in one, of docs/explanation/field.md"


def test_ranges_and_sources():
    found = about(ab.ParameterServer)
    allowed = {one.name: one.allowed for one in found.options}
    assert allowed["bound"] == "none, or an integer from 0 to 1,000,000"
    assert allowed["restart"] == "true or false"
    assert about(ab.Hogwild).options[0].allowed == "in_place or snapshot"
    assert found.source.startswith("Ho et al., ")
    assert about(ab.Sequential).source == ""


def test_a_scheme_may_be_given_with_options_and_an_unknown_one_is_an_error():
    assert call("schemes", "show", "leashed(persistence=1)").stdout == call("schemes", "show", "leashed").stdout
    wrong = call("schemes", "show", "lashed")
    assert (wrong.exit_code, "Did you mean 'leashed'" in wrong.stderr) == (2, True)
