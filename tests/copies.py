"""A copy of asapnb that pages of docs/how-to/extending have been applied to, and what runs in it.

A block of Python is applied where it names a file: `# FILE`, `# FILE, at the end` or `# FILE, above "TEXT"`, which is
the start of a line. The other blocks are what a user runs then.
"""

import os
import re
import shutil

from pages import BLOCK, ROOT
from processes import python

TESTS = ("test_optimizers.py", "test_problems_losses.py", "test_problems_networks.py")
_TARGET = re.compile(r'^# ([\w/]+\.py)(?:, (at the end)|, above "(.*)")?\n', re.MULTILINE)


class Copy:
    """The package and the tests of networks, in a folder. Compiled code of what no page changes is shared.

    Several pages in one copy are compiled once. The script of each is what a user runs then.
    """

    def __init__(self, folder, *pages):
        self.folder, self.scripts = folder, {}
        shutil.copytree(ROOT / "asapnb", folder / "asapnb", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "tests").mkdir()
        for name in ("naive.py", "problems.py", "processes.py", *TESTS):
            shutil.copy(ROOT / "tests" / name, folder / "tests")
        for page in pages:
            self.scripts[page] = ""
            for language, code in BLOCK.findall((ROOT / page).read_text()):
                assert language == "python"
                before, *parts = _TARGET.split(code)
                self.scripts[page] += before
                for i in range(0, len(parts), 4):
                    self.apply(*parts[i : i + 4])

    def apply(self, name, at_end, above, code):
        """Change a file of the copy."""
        file = self.folder / name
        text = file.read_text() if at_end or above else ""
        where = re.search(rf"^{re.escape(above)}", text, re.MULTILINE).start() if above else len(text)
        file.write_text(text[:where] + code + "\n\n" + text[where:])

    def edit(self, name, old, new):
        """Replace a text that stands once in a file of the copy."""
        text = (self.folder / name).read_text()
        assert text.count(old) == 1
        (self.folder / name).write_text(text.replace(old, new))

    def run(self, code, **options):
        """What Python code prints, and what it prints as errors."""
        environment = {"PYTHONPATH": f"{self.folder}{os.pathsep}{self.folder / 'tests'}"}
        code = f"import numpy as np\n{code}"
        done = python("-W", "error", "-c", code, environment=environment, cwd=self.folder, check=False, **options)
        return done.stdout, done.stderr
