"""How-it-works, one-update (docs/explanation) and docstrings of compiled functions name what there is."""

import ast
import re

import pytest
from pages import ROOT, run_page

PACKAGE = ROOT / "asapnb"
PLACES = ("engine/loops/*.py", "simulator/loops/*.py", "kernels/*.py", "training/factors.py")
COMPILED = ("kernel", "part", "intrinsic")
TWINS = "".join((ROOT / "tests" / f"{name}.py").read_text() for name in ("naive", "naive_simulator"))
FACTORS = (PACKAGE / "rules/schedules.py").read_text()  # whose definitions are the twins of compiled factors
PAGE = (ROOT / "docs/explanation/how-it-works.md").read_text()


def compiled(tree):
    """The functions of a module that are compiled, by name, with their docstrings."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names = {one.id for found in node.decorator_list for one in ast.walk(found) if isinstance(one, ast.Name)}
            if names & set(COMPILED):
                yield node.name, ast.get_docstring(node) or ""


MODULES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text())
    for place in PLACES
    for path in sorted(PACKAGE.glob(place))
}
MODULES = {name: tree for name, tree in MODULES.items() if dict(compiled(tree))}


@pytest.mark.parametrize("module", MODULES)
def test_compiled_code_says_what_it_is_checked_against(module):
    tree = MODULES[module]
    texts = [ast.get_docstring(tree), *dict(compiled(tree)).values()]
    assert all(texts), "every compiled function has a docstring"
    assert re.search(r"\bTwins?\b|Checked|compares", "\n".join(texts))
    for text in texts:
        for path in re.findall(r"tests/\w+\.py", text):
            assert (ROOT / path).is_file(), path
        for sentence in re.findall(r"\bTwins?\b(?:.|\n(?!\n))*", text):
            for name in re.findall(r"`([\w.]+)`", sentence):
                function = name.rpartition(".")[2]
                assert re.search(rf"(def|class) {function}\b", TWINS + FACTORS), name


@pytest.mark.parametrize(("name", "fewest"), [("how-it-works", 10), ("one-update", 30)])
def test_a_page_names_files_and_functions_that_there_are(name, fewest):
    page = (ROOT / f"docs/explanation/{name}.md").read_text()
    paths = re.findall(r"`((?:\w+/)+\w+\.py)", page)
    assert len(paths) > 15
    for path in paths:
        assert any((root / path).is_file() for root in (ROOT, PACKAGE, PACKAGE / "simulator")), path
    functions = re.findall(r"`((?:\w+/)+\w+\.py): (\w+)`", page)
    assert len(functions) >= fewest
    for path, function in functions:
        assert f"def {function}(" in (PACKAGE / path).read_text(), (path, function)


def test_the_page_is_short_and_quotes_every_kind_of_worker():
    assert len(PAGE.splitlines()) <= 280
    assert len(re.findall(r"^# tests/naive\w*\.py$", PAGE, re.MULTILINE)) >= 7


def test_a_quotation_that_is_not_verbatim_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("velocity - step", "velocity + step"))
    with pytest.raises(AssertionError, match=r"not in tests/naive\.py"):
        run_page(page)
