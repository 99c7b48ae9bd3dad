"""Imports run one way, only the command line prints, and importing asapnb stays light."""

import ast
import graphlib
import re
import tomllib
from pathlib import Path

import pytest
from processes import python

ROOT = Path(__file__).parents[1]
_MAP = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are\n")[2].partition("\n## ")[0]
LAYERS = [set(re.findall(r"`(\w+)`", row)) for row in re.findall(r"^\| (`.*?`) \|", _MAP, re.MULTILINE)]  # top first
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
FILES = {
    path.relative_to(ROOT): path
    for path in [*sorted(ROOT.glob("asapnb/**/*.py")), *sorted(ROOT.glob("cli/**/*.py"))]
    if path != ROOT / "asapnb/__init__.py"
}
HEAVY = (
    "scipy.stats",
    "matplotlib",
    "plotly",
    "pooch",
    "rich",
    "click",
    "h5py",
    "requests",
    "pandas",
    "pyarrow",
    "polars",
    "sklearn",
)
MAY_IMPORT_RICH = Path("asapnb/data/fetching.py")  # the progress bar of a download


def module(name):
    """`asapnb/rules/static.py` as the names on the way to it; `cli` stands for `asapnb.cli`."""
    parts = name.with_suffix("").parts
    return ("asapnb", *parts) if parts[0] == "cli" else parts


def imported(name, tree):
    """The dotted names that a file imports, at its top or anywhere else, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module(name)[: -node.level] if node.level else ()
            dotted = ".".join((*base, node.module) if node.module else base)
            yield from (f"{dotted}.{alias.name}" for alias in node.names)


def test_the_map_of_modules_is_complete():
    assert RANK.keys() == {module(name)[1] for name in FILES}
    assert len(RANK) == sum(map(len, LAYERS))


@pytest.mark.parametrize("name", FILES, ids=str)
def test_imports_run_one_way_and_only_the_command_line_prints(name):
    tree = ast.parse(FILES[name].read_text())
    here = module(name)[1]
    for dotted in imported(name, tree):
        first, *rest = dotted.split(".")
        if first != "asapnb" or rest == ["__version__"]:
            continue
        assert rest[0] == here or RANK[rest[0]] < RANK[here], f"{name} imports {dotted}"
    if here == "cli":
        return
    calls = {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "print" not in calls
    tops = {dotted.partition(".")[0] for dotted in imported(name, tree)}
    assert tops.isdisjoint({"click"} | ({"rich"} if name != MAY_IMPORT_RICH else set()))


def for_types_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_no_module_imports_one_that_imports_it_in_turn():
    """Inside packages too, and inside functions; but for what only type checkers see."""
    graph = {".".join(module(name)): set() for name in FILES if name.name != "__init__.py"}
    for name in FILES:
        tree = ast.parse(FILES[name].read_text())
        for node in filter(for_types_only, ast.walk(tree)):
            node.body = [ast.Pass()]
        for dotted in imported(name, tree):
            for target in (dotted, dotted.rpartition(".")[0]):
                if target in graph and ".".join(module(name)) in graph:
                    graph[".".join(module(name))].add(target)
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which shows the circle


def test_importing_asapnb_is_light():
    code = f"import asapnb, sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert python("-c", code).stdout == "[]\n"


def test_the_wheel_has_every_package():
    """`packages` in pyproject.toml is a list, as `cli` stands elsewhere. Each folder with files must be in it."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {file.relative_to(ROOT).parent for file in ROOT.glob("asapnb/**/*.*") if file.suffix != ".pyc"}
    there = {".".join(folder.parts) for folder in folders if folder.name != "__pycache__"}
    assert sorted(listed) == sorted(there | {"asapnb.cli"})
