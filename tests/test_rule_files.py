"""Rule files: what `python file.py` runs, runs; and what cannot be run is said with its file and line."""

import os
import pickle
import sys

import numpy as np
import pytest
from processes import SHELL, python

from asapnb.errors import UsageError
from asapnb.rules import parse_rule
from asapnb.staleness import StalenessDistribution

SEEN = StalenessDistribution.from_counts([1, 1])


def rule_of(path, content, name="mine"):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return parse_rule(f"{path}:{name}")


FILES = {
    "a dataclass with annotations as text": """
        from __future__ import annotations
        import numpy as np
        from dataclasses import dataclass, field, fields

        @dataclass(frozen=True)
        class Scales:
            height: float = 0.5
            names: list[str] = field(default_factory=list)

            def __call__(self, staleness: object, workers: int) -> np.ndarray:
                return np.full(len(staleness), self.height)

        mine = Scales()
        """,
    "a neighbour": """
        from neighbour import half
        def mine(staleness, workers): return half(staleness)
        """,
    "a neighbour that is imported late": """
        def mine(staleness, workers):
            from neighbour import half
            return half(staleness)
        """,
    "a neighbour by name": """
        import importlib
        def mine(staleness, workers): return importlib.import_module("neighbour").half(staleness)
        """,
    "a package": """
        import package.inner as inner
        def mine(staleness, workers): return inner.half(staleness)
        """,
    "a file beside it": """
        import json, pathlib
        HEIGHT = json.loads(pathlib.Path(__file__).with_name("height.json").read_text())
        def mine(staleness, workers): return [HEIGHT] * len(staleness)
        """,
    "no main": """
        if __name__ == "__main__": raise SystemExit("this is for the command line")
        def mine(staleness, workers): return [0.5] * len(staleness)
        """,
    "itself": """
        import rules
        def mine(staleness, workers): return [rules.HEIGHT] * len(staleness)
        HEIGHT = 0.5
        """,
}


@pytest.mark.parametrize("name", FILES)
def test_what_python_runs_runs(name, tmp_path):
    (tmp_path / "neighbour.py").write_text("def half(staleness): return [0.5] * len(staleness)")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").write_text("")
    (tmp_path / "package/inner.py").write_text("from neighbour import half")
    (tmp_path / "height.json").write_text("0.5")
    before = dict(sys.modules), list(sys.path), list(sys.meta_path)
    lines = FILES[name].splitlines()
    rule = rule_of(tmp_path / "rules.py", "\n".join(line[8:] for line in lines))
    for same in (rule, pickle.loads(pickle.dumps(rule))):
        np.testing.assert_array_equal(same(SEEN, 2), [0.5, 0.5])
        assert same.code == rule.code
    names = {"rules", "neighbour", "package", "package.inner"}
    assert names.isdisjoint(sys.modules)
    assert (before[1], before[2]) == (sys.path, sys.meta_path)
    assert {key: sys.modules[key] for key in before[0]} == before[0]
    assert not (tmp_path / "__pycache__").exists()


@pytest.mark.parametrize(
    "content",
    [
        "# -*- coding: latin-1 -*-\nNAME = 'é'\ndef mine(s, workers): return [len(NAME)] * len(s)".encode("latin-1"),
        b"\xef\xbb\xbfdef mine(s, workers): return [1.0] * len(s)\r\n",
    ],
    ids=["encoding", "mark"],
)
def test_encodings(content, tmp_path):
    np.testing.assert_array_equal(rule_of(tmp_path / "rules.py", content)(SEEN, 2), [1.0, 1.0])


def test_files_of_one_name_in_several_folders_do_not_meet(tmp_path):
    content = "import helper\ndef mine(s, workers):\n    import late\n    return [helper.H + late.L] * len(s)"
    rules = []
    for folder, height in (("a", 1.0), ("b", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper.py").write_text(f"H = {height}")
        (tmp_path / folder / "late.py").write_text(f"L = {height}")
        rules.append(rule_of(tmp_path / folder / "rules.py", content))
    for rule, height in zip([*rules, *rules], [2.0, 4.0] * 2, strict=True):
        np.testing.assert_array_equal(rule(SEEN, 2), [height, height])
    assert rules[0].code.digest != rules[1].code.digest
    names = [{os.path.basename(name) for name in rule.code.files} for rule in rules]
    assert names == [{"rules.py", "helper.py", "late.py"}] * 2


def test_a_file_is_read_anew_however_soon_it_changed(tmp_path):
    """As long, in the same second: a compiled copy beside it would be of the first."""
    for height in (1.0, 2.0, 3.0):
        (tmp_path / "helper.py").write_text(f"H = {height}")
        rule = rule_of(tmp_path / "rules.py", "import helper\ndef mine(s, workers): return [helper.H] * len(s)")
        np.testing.assert_array_equal(rule(SEEN, 2), [height, height])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("def mine(:\n  pass", r"rules\.py, line 1: invalid syntax"),
        ("\n\nraise ValueError('no')", r"rules\.py, line 3: ValueError: no"),
        ("import sys\nsys.exit(3)", r"rules\.py, line 2: it calls sys\.exit\(3\)"),
        ("import bad", r"bad\.py, line 1: ZeroDivisionError"),
        ("import nothing_of_that_name", r"line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def f(): f()\nf()", r"line 1: RecursionError"),
        (b"NAME = '\xe9'", r"rules\.py, line 1: .*utf-8"),
        (b"# coding: none-such\n", r"rules\.py, line \d: .*(none-such|encoding)"),
        (b"a = 1\x00", r"rules\.py cannot be run: SyntaxError: .*null bytes"),
        ("from asapnb.rules import as_rule\nas_rule(__file__ + ':mine')", r"loads itself while it is run"),
    ],
)
def test_what_cannot_be_run_is_said_with_its_place(content, says, tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0")
    before = set(sys.modules)
    with pytest.raises(UsageError, match=says):
        rule_of(tmp_path / "rules.py", content)
    assert not {"rules", "bad"} & (set(sys.modules) - before)


def test_the_file_of_a_library_s_name_leaves_the_library_alone(tmp_path):
    rule = rule_of(tmp_path / "json.py", "import math\ndef mine(s, workers): return [math.pi] * len(s)")
    assert rule(SEEN, 1)[0] == np.pi
    import json

    assert json.loads("1") == 1


def test_from_the_command_line_in_another_process(tmp_path):
    (tmp_path / "helper.py").write_text("H = 0.5")
    (tmp_path / "rules.py").write_text("import helper\ndef mine(s, workers): return [helper.H] * len(s)")
    said = python(*SHELL, "rules", "check", "rules.py:mine", "--search", "0", cwd=tmp_path, check=False)
    assert "rules.py:mine" in said.stdout
    assert said.stderr == ""
