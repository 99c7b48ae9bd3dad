"""The public names: the lazy table agrees with what type checkers see, and each says what its parameters are."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest
from processes import python

import asapnb

MODULES = (
    "analysis", "arena", "config", "data", "engine", "engine.calibrate", "errors", "extras", "forecasting",
    "formatting", "numbers", "plots", "problems", "record", "report", "rules", "schedules", "schemes", "simulator",
    "sklearn", "staleness", "sweep", "testing", "theory", "timing",
)  # fmt: skip
DESCRIBED = re.compile(r"^(?:Args|Attributes):\n((?: {4}.*(?:\n|$)|\n)+)", re.MULTILINE)


def test_every_name_is_there_and_listed_for_type_checkers_too():
    source = ast.parse(Path(asapnb.__file__).read_text())
    block = next(node for node in source.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    modules = set(asapnb.__all__) - set(asapnb._HOME)
    assert seen == {**asapnb._HOME, **dict.fromkeys(modules)}
    for name in asapnb.__all__:
        assert getattr(asapnb, name) is not None
    assert set(asapnb.__all__) <= set(dir(asapnb))


def test_help_does_not_import_numba():
    program = (
        "import sys; sys.argv = ['asapnb', '--help']; from asapnb.cli import main\n"
        "try: main()\nfinally: assert 'numba' not in sys.modules and 'h5py' not in sys.modules"
    )
    done = python("-c", program, check=False)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout


def public(module):
    """The functions, classes and methods that a module offers, by name."""
    module = importlib.import_module(f"asapnb.{module}")
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
    for name in getattr(module, "__all__", [name for name in own if not name.startswith("_")]):
        thing = getattr(module, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield name, thing
            for key, value in vars(thing).items() if inspect.isclass(thing) else ():
                method = getattr(value, "__func__", value)  # of a class method
                if inspect.isfunction(method) and not key.startswith("_"):
                    yield f"{name}.{key}", method


def undescribed(thing):
    """The parameters of a function or a class that no section Args or Attributes names, if it has three or more."""
    try:
        names = [
            name for name in inspect.signature(thing).parameters if name not in ("self", "cls") and name[0] != "_"
        ]
    except ValueError:
        return []
    section = DESCRIBED.search(inspect.getdoc(thing) or "")
    described = re.findall(r"^ {4}(\w[\w, ]*):", section[1] if section else "", re.MULTILINE)
    return [name for name in names if name not in ", ".join(described).split(", ")] if len(names) > 2 else []


@pytest.mark.parametrize("module", MODULES)
def test_every_parameter_is_described_where_there_are_three_or_more(module):
    missing = {name: undescribed(thing) for name, thing in public(module)}
    assert {name: names for name, names in missing.items() if names} == {}
