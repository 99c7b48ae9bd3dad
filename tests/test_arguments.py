"""The arguments of runs are declared in one table: signatures, docstrings, configurations and flags follow it."""

import inspect
from dataclasses import fields
from fractions import Fraction
from typing import get_args, get_type_hints

import click
import numpy as np
import pytest
from asapnb.cli import main
from problems import quadratic

import asapnb as ab
from asapnb.config import keys
from asapnb.engine import calibrate as calibration
from asapnb.training.arguments import ARGUMENTS, arguments_of, documented, of_replay, of_resume
from asapnb.training.options import Options, resolve

FUNCTIONS = {"train": ab.train, "simulate": ab.simulate, "replay": ab.replay, "calibrate": calibration.calibrate,
             "forecast": ab.forecast}  # fmt: skip
OWN = {  # what a function has besides, with its own words
    "train": {"problem"},
    "simulate": {"problem"},
    "replay": {"source", "problem"},
    "calibrate": {"problem", "workers", "seconds", "comm"},
    "forecast": {"problem", "L", "noise", "n_params", "n_samples", "estimate", "samples", "beside"},
}


@pytest.mark.parametrize("command", FUNCTIONS)
def test_a_signature_has_the_declared_arguments_defaults_and_types(command):
    function, declared = FUNCTIONS[command], arguments_of(command)
    parameters = inspect.signature(function).parameters
    assert {*parameters} - OWN[command] == {*declared}
    hints = get_type_hints(function)
    for name, argument in declared.items():
        found = parameters[name].default
        recorded = command == "replay" and (name == "rule" or argument.in_replay in ("changed", "kept"))
        assert found == argument.default or (found is None and command == "replay"), name
        assert found is None or not recorded, f"{name}: None stands for what was recorded"
        for kind in argument.kinds:
            named = {*get_args(hints[name]), hints[name]}
            assert kind in named or argument.choices or any(kind in get_args(one) for one in named), (name, kind)


@pytest.mark.parametrize("command", FUNCTIONS)
def test_a_docstring_has_each_argument_in_the_words_of_the_table(command):
    text = " ".join(inspect.getdoc(FUNCTIONS[command]).split())
    assert "{arguments}" not in text
    for name, argument in arguments_of(command).items():
        assert f"{name}: {argument.says(command)}" in text


def test_options_are_declared_arguments():
    assert {field.name for field in fields(Options)} <= {*ARGUMENTS, "workforce"}  # which is what workers says
    assert {*of_replay("changed", "kept", "watched")} <= {*arguments_of("replay"), "workers", "reshuffle"}


@pytest.mark.parametrize("command", ["train", "simulate"])
def test_keys_and_flags_are_those_of_the_table(command):
    declared = {name for name, argument in arguments_of(command).items() if argument.kinds}
    assert {*keys(command)} == declared | {"data", "problem"}
    shown = {flag.name: flag for flag in main.get_command(None, command).params if not getattr(flag, "hidden", False)}
    for name in declared:
        flag = shown[name]
        assert isinstance(flag, click.Option)
        if name not in ("scheme", "rule", "schedule"):
            said = ARGUMENTS[name].says(command).replace("`", "")
            assert flag.help.lower().startswith(said.lower())


@pytest.mark.parametrize("name", [name for name, argument in ARGUMENTS.items() if argument.kinds])
def test_every_argument_is_checked_wherever_it_is_given(name):
    """A value of no type that it takes is a UsageError."""
    bad = {"scheme": 3, "rule": 3, "timing": 3j}.get(name, "no such value")
    command = (arguments_of("train").get(name) and "train") or "simulate"
    named = {"rule": "rule", "timing": r"compute|tim"}.get(name, name)
    with pytest.raises((ab.UsageError, ab.RuleError), match=named):
        FUNCTIONS[command](quadratic(), **{"updates": 5, name: bad})


@pytest.mark.parametrize("name", [field.name for field in fields(Options) if field.name in ARGUMENTS])
@pytest.mark.parametrize("as_other", [np.int64, np.float64, Fraction], ids=lambda kind: kind.__name__)
def test_numbers_of_any_kind_are_taken_alike_and_a_bool_is_none(name, as_other):
    argument = ARGUMENTS[name]
    numeric = {*argument.kinds} & {int, float}
    if not numeric:
        return
    value = {"momentum": 0, "compensation": 0, "direct_share": 1, "target_accuracy": 1, "target_r2": 1}.get(name, 2)
    given = {"updates": 5, "workers": 2, **({"momentum": 0.5} if name == "direct_share" else {}), name: value}
    usual = resolve(argument.commands[0], quadratic(), given)
    if float in numeric or as_other is np.int64:
        assert resolve(argument.commands[0], quadratic(), {**given, name: as_other(value)}) == usual
    with pytest.raises(ab.UsageError, match=name):
        resolve(argument.commands[0], quadratic(), {**given, name: True})


def test_resume_takes_what_is_declared_for_it():
    parameters = inspect.signature(ab.resume).parameters
    assert {*of_resume()} < {*parameters}
    assert {name: parameters[name].default for name in of_resume()} == dict.fromkeys(of_resume())
    flags = {flag.name for flag in main.get_command(None, "resume").params}
    assert {*of_resume(), "rule"} < flags


def test_a_docstring_without_a_place_for_the_arguments_is_an_error():
    with pytest.raises(TypeError, match=r"\{arguments\}"):
        documented("train")(lambda step_size: None)
