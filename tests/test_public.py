"""The public names: the lazy table agrees with what type checkers see, and `--help` does not wait for Numba."""

import ast
from pathlib import Path

from processes import python

import asapnb


def test_every_name_is_there_and_listed_for_type_checkers_too():
    source = ast.parse(Path(asapnb.__file__).read_text())
    block = next(node for node in source.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    modules = ("analysis", "plots", "problems", "rules", "staleness", "sweep", "theory", "timing")
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
