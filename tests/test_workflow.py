"""The workflow of public continuous integration runs .ci/run, on the Pythons that pyproject.toml names."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
JOB = WORKFLOW["jobs"]["run"]
MATRIX = JOB["strategy"]["matrix"]
NAMED = "Programming Language :: Python :: 3."


def test_the_pythons_are_those_of_the_package():
    classified = sorted("3." + one.removeprefix(NAMED) for one in PROJECT["classifiers"] if one.startswith(NAMED))
    assert MATRIX["python"] == classified
    assert PROJECT["requires-python"] == f">={classified[0]}"
    assert f"Python {classified[0]} or newer" in (ROOT / "README.md").read_text()
    others = {one["os"]: [] for one in MATRIX["include"]}
    for one in MATRIX["include"]:
        others[one["os"]].append(one["python"])
    assert set(map(tuple, others.values())) == {(classified[0], classified[-1])}


def test_the_workflow_runs_what_is_run_here():
    assert JOB["steps"][-1] == {"run": ".ci/run"}
    assert (ROOT / ".ci/run").stat().st_mode & 0o100
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert JOB["timeout-minutes"] <= 60
    assert all(re.search(r"@v\d+\.\d+\.\d+$", step["uses"]) for step in JOB["steps"] if "uses" in step)
