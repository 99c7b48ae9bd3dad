"""`make mutants`: plant bugs, one at a time, and see whether the tests of the module notice. Not a part of the tests.

A mutant is one small change by Cosmic Ray to a module of `PACKAGES`: a place is drawn, then what is put there.
Changes of annotations do not count. Each mutant is tested in a copy of the repository, with the portable kernels and
a cache of its own, by the doctests of its module and the test files that match it, the likeliest first. A failure
kills it, and so does a test that takes longer than the limit. Survivors are printed: write the test that is missing,
or see that the change makes no difference.
"""

import argparse
import ast
import difflib
import random
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from queue import SimpleQueue

from processes import LIMIT, started

ROOT = Path(__file__).parents[1]
QUICKLY = ("--hypothesis-profile", "mutants")  # no shrinking: that it fails is enough
PACKAGES = {  # and their test files
    "rules": "rules*|check|scales",
    "staleness": "staleness*",
    "analysis": "analysis*|export",
    "theory": "theory*|delayed*",
    "timing": "timing*|event*",
    "record": "record*|tables",
    "kernels": "engine*|atomics|replay|event*",
    "training": "engine*|arguments|columns|scales|resume|simulated_resume",
    "engine": "engine*|arguments|atomics|calibrate|resume|replay*",
    "simulator": "arguments|columns|event*|scales|simulat*|microscope|replay*",
}


def mutations(text):
    """All (place, operator, occurrence): what Cosmic Ray can change in the text of a module."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = list(ast_nodes(get_ast(text)))
    for name in sorted(operator_names()):
        if not get_operator(name).arguments():
            operator = get_operator(name)()
            places = chain.from_iterable(map(operator.mutation_positions, nodes))
            yield from ((place, name, occurrence) for occurrence, place in enumerate(places))


def mutated(text, name, occurrence):
    """The text with one mutation."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    return mutate_code(text, get_operator(name)(), occurrence)


def meaning(text):
    """A module without its annotations, to compare; None if it is no Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if hasattr(node, name):
                setattr(node, name, None)
    return ast.dump(tree)


def drawn(count, seed, packages):
    """So many mutants, (path, text), each at a place of its own; every place is as likely as any other."""
    choose, places = random.Random(seed), {}
    for path in sorted(path for package in packages for path in (ROOT / "asapnb" / package).rglob("*.py")):
        for place, name, occurrence in mutations(path.read_text()):
            places.setdefault((path, place), []).append((name, occurrence))
    order = choose.sample(sorted(places), len(places))
    found = []
    for path, place in order:
        text = path.read_text()
        new = mutated(text, *choose.choice(places[path, place]))
        if new is not None and meaning(new) not in (None, meaning(text)):
            found.append((path.relative_to(ROOT), new))
        if len(found) == count:
            break
    return found


def matching(path):
    """The test files that match a module: those first whose name begins, or goes on, as the module's."""
    stem = path.stem[:5]  # "resum", "scale"
    found = {file for name in PACKAGES[path.parts[1]].split("|") for file in ROOT.glob(f"tests/test_{name}.py")}
    return [path, *(file.relative_to(ROOT) for file in sorted(found, key=lambda file: (stem not in file.stem, file)))]


def copied(folder):
    """A copy of the repository that tests run in, at a path that stays: Numba's cache goes by it."""
    unused = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "runs", "images")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT, folder, ignore=unused)
    (folder / "asapnb" / "cli").symlink_to(folder / "cli")  # where a package that is installed has it
    return folder


def outcome(copies, limit, path, text=None):
    """What the matching tests say with this text in the place of a module: "passed", "failed …", "took too long"."""
    copy = copies.get_nowait()
    environment = {"ASAPNB_KERNELS": "portable", "ASAPNB_CACHE": f"{copy}-cache", "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = f"{copy}:{copy / 'tests'}"
    command = ("-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", *QUICKLY, *matching(path))
    try:
        if text is not None:
            (copy / path).write_text(text)
        with started(*command, environment=environment, cwd=copy, stderr=subprocess.STDOUT) as process:
            said, _ = process.communicate(timeout=limit)
        return "passed" if process.returncode == 0 else "failed" + said.rpartition("short test summary info")[2]
    except subprocess.TimeoutExpired:
        return "took too long"
    finally:
        shutil.copy2(ROOT / path, copy / path)
        copies.put(copy)


def main():
    """Plant, test, report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for each mutant")
    parser.add_argument("--folder", help="for copies and their compiled kernels, kept; default: a temporary one")
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    asked = parser.parse_args()
    mutants = drawn(asked.count, asked.seed, asked.packages)
    texts = {path: (ROOT / path).read_text() for path, _ in mutants}
    survivors, late, copies = [], 0, SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.jobs) as pool:
        for job in range(asked.jobs):
            copies.put(copied(Path(asked.folder or folder).resolve() / str(job)))
        one_of_each = {path.parts[1]: path for path in texts}.values()
        unchanged = pool.map(lambda path: outcome(copies, LIMIT, path), one_of_each)
        for path, found in zip(one_of_each, unchanged, strict=True):  # which also compiles what all need
            print(f"the tests of {path.parts[1]} as it is: {found}", flush=True)
            if found != "passed":
                raise SystemExit("so a mutant that they fail for would tell nothing")
        outcomes = pool.map(lambda mutant: outcome(copies, asked.limit, *mutant), mutants)
        for number, ((path, text), found) in enumerate(zip(mutants, outcomes, strict=True), 1):
            lines = difflib.unified_diff(texts[path].splitlines(), text.splitlines(), n=0, lineterm="")
            shown = "\n".join([str(path), *list(lines)[2:]])
            survivors += [shown] * (found == "passed")
            late += found == "took too long"
            print(f"{number} of {len(mutants)} {found}\n{shown}", flush=True)
    killed = f"killed {len(mutants) - len(survivors)} of {len(mutants)}"
    print(f"\n{killed} ({late} took too long: see above whether they hang), survivors:", *survivors, sep="\n\n")


if __name__ == "__main__":
    main()
