"""Every scheme with each of its options, and with each argument of a run: on threads and in virtual time, replayed.

What is tried follows from the declarations, so that an option or argument that somebody adds is tried, too, or is an
error here until it has a line in one of the tables.
"""

from types import NoneType
from typing import get_args

import pytest
from problems import quadratic, train
from simulations import simulate

import asapnb as ab
from asapnb.schemes import SCHEMES
from asapnb.training.arguments import of_replay

NEEDS = {  # what an option means nothing without
    ("synchronous", "batches"): "wait_for=7",
    ("parameter-server", "restart"): "discard_after=3",
    **{(name, "adaptive"): "interval=3" for name in ("lock-based", "hogwild", "leashed")},
}
RULE = {"rule": "tail(refresh=every(10))"}
ARGUMENTS = {  # of each argument that changes what is computed, a value, with what it means nothing without
    "momentum": {"momentum": 0.5},
    "momentum_kind": {"momentum": 0.5, "momentum_kind": "shared"},
    "momentum_kind, ordered": {"momentum": 0.5, "momentum_kind": "ordered"},
    "optimizer": {"optimizer": "adam"},
    "optimizer, adagrad": {"optimizer": "adagrad"},
    "direct_share": {"momentum": 0.5, "direct_share": 0.2},
    "weight_decay": {"weight_decay": 0.01},
    "compensation": {"compensation": 0.1},
    "clip": {"clip": 0.5},
    "reshuffle": {"reshuffle": False},
    "local_steps": {"local_steps": 3},
    "workers": {"workers": "0:2, 8:4, 16:3"},
    "shards": {"shards": "dirichlet(0.5)"},
    "worker_tables": {"worker_tables": True, **RULE},
    "prior": {"prior": "geometric(m=4)", **RULE},
}
BOTH = True, True  # simulated, measured
OF_EVERY_RUN = {"step_size", "batch_size", "seed"}
OF_ASAPNB = {name: scheme for name, scheme in SCHEMES.items() if scheme.__module__.startswith("asapnb.")}


def other(option):
    """A value of an option that is not its default."""
    if option.hint is bool:
        return not option.default
    parts = get_args(option.hint)
    if parts and all(isinstance(part, str) for part in parts):
        return next(part for part in parts if part != option.default)
    assert option.hint is int or NoneType in parts, f"tests/test_every_option.py knows no value of {option}"
    return next(value for value in (3, 1, 2) if value != option.default)


def variants():
    """The text of each scheme, also with each of its options, and who has it."""
    for name, scheme in OF_ASAPNB.items():
        yield pytest.param(name, BOTH, id=name)
        for option in scheme.options:
            needed = NEEDS.get((name, option.name))
            text = f"{name}({needed + ', ' if needed else ''}{option.name}={other(option)})"
            yield pytest.param(text, (not option.measured, not option.simulated), id=text)


def carried_out(scheme, has, **arguments):
    """The runs of a scheme, where it `has` them, replayed to the same bits, if what its views held is known."""
    kind = OF_ASAPNB[scheme.partition("(")[0]]
    if kind.event_loop and has[0]:
        yield simulate(scheme=scheme, updates=24, **arguments), True
    if kind.worker_loop and has[1]:
        yield train(quadratic(), scheme, updates=24, step_size=0.02, **arguments), kind.consistent


def check(made):
    runs = list(made)
    assert runs
    for run, known in runs:
        assert (run.status, run.updates["version"].max()) == ("finished", 24)
        if known:
            again = ab.replay(run, quadratic())
            assert again.params["final"].tobytes() == run.params["final"].tobytes()


@pytest.mark.parametrize(("scheme", "has"), list(variants()))
def test_a_scheme_with_an_option(scheme, has):
    check(carried_out(scheme, has, momentum=0.5, **RULE))


@pytest.mark.parametrize("argument", ARGUMENTS)
@pytest.mark.parametrize("scheme", OF_ASAPNB)
def test_a_scheme_with_an_argument(scheme, argument):
    """Or an error that names the argument."""
    try:
        made = list(carried_out(scheme, BOTH, **ARGUMENTS[argument]))
    except ab.UsageError as error:
        assert argument.partition(",")[0] in str(error)  # noqa: PT017 (most do not raise)
    else:
        check(made)


def test_every_argument_that_changes_what_is_computed_is_tried():
    tried = {name.partition(",")[0] for name in ARGUMENTS}
    assert {*of_replay("changed", "kept")} - OF_EVERY_RUN == tried, "give it a line in ARGUMENTS"
