import json

import pytest
from commands import printed

from asapnb.config import run_config
from asapnb.rules import available, examples
from asapnb.staleness import geometric, parse_staleness


def call(*arguments, code=0, width=80):
    return printed("rules", *arguments, code=code, COLUMNS=str(width))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    problem = {"problem": "mlp(hidden=[8])", "workers": 3, "batch_size": 50, "updates": 60}
    return run_config(problem, out=path)


def test_list_has_every_rule_and_what_holds():
    lines = call("list", "--search", 20).splitlines()
    assert lines[0].split() == ["rule", "C1", "C2", "C3", "C4", "source", "scale"]
    rows = {line.split()[0]: line.split()[1:5] for line in lines[1:-1]}
    assert set(rows) == set(available())
    assert rows["tail"] == ["yes"] * 4
    assert rows["inverse"] == ["no", "yes", "yes", "no"]
    partly = [name for name, rule in examples().items() if rule.schedule or rule.shuffled or rule.sees]
    assert (
        lines[-1] == f"For {', '.join(partly)} only the scale table is checked, not the scale that each update gets."
    )
    found = json.loads(call("list", "--search", 20, "--json"))
    assert all(entry["source"] for entry in found)
    assert {entry["name"]: entry["holds"] for entry in found} == {
        name: "no" not in row[:3] for name, row in rows.items()
    }


def test_show_prints_statistics_and_a_plot_of_80_columns():
    lines = call("show", "inverse").splitlines()
    assert lines[0] == "inverse()"
    assert lines[1].split(maxsplit=1) == ["source", "Zhang et al. 2016, arXiv 1511.05950"]
    assert lines[2].split(maxsplit=1) == ["staleness", "geometric(m=16): mean 15.00, 99th percentile 71, largest 536"]
    assert lines[3].split() == ["workers", "16"]
    assert lines[4].split() == ["mean", "scale", "0.1848"]  # ln 16 / 15
    assert max(map(len, lines)) <= 80
    rows = [line for line in lines if "●" in line][:-1]
    assert rows[1].split()[:3] == ["1", "5.9%", "0.5000"]
    points = [row.index("●") for row in rows]
    assert points == sorted(points, reverse=True), "it falls with staleness"
    assert rows[-1].split()[1] == "…"
    bars = [row.count("░") for row in rows]
    shares = [float(row.split("%")[0].split()[-1]) for row in rows]
    assert shares.index(max(shares)) == bars.index(max(bars))


@pytest.mark.parametrize("staleness", ["constant(0)", "constant(900)", "uniform(0, 5)", "empirical([0, 70000])"])
@pytest.mark.parametrize("rule", ["constant", "tail", "preserve(inverse())", "ringmaster(1)", "adadelay(1)"])
def test_show_fits_any_width_and_distribution(rule, staleness):
    for width in (60, 80, 200):
        lines = call("show", rule, "--staleness", staleness, "-m", 5, width=width).splitlines()
        drawn = [line for line in lines if "●" in line or "░" in line]
        assert max(map(len, drawn)) <= min(width, 100)
        assert all("●" in line for line in drawn)


def test_show_as_json():
    found = json.loads(call("show", "tail(0.5)", "--staleness", "uniform(0, 1)", "-m", 4, "--json"))
    assert (found["rule"], found["workers"], found["mean_scale"]) == ("tail(amplitude=0.5)", 4, 1)
    assert (found["effective_delay"], found["scale_variance"]) == (0.375, 0.0625)
    assert found["scales"][:3] == [1.25, 0.75, 0.5]
    assert len(found["scales"]) == len(found["pmf"]) == 1024


def test_check_exits_by_the_verdict(tmp_path, monkeypatch):
    assert "C1  holds" in call("check", "tail", "--search", 20)
    output = call("check", "inverse", "--search", 20, code=1)
    assert "C1  fails  E[scale] = 0.5, under constant(1), workers=2" in output
    call("check", "inverse", "--staleness", "constant(0)")
    call("check", "tail", "--staleness", "nonsense(3)", code=2)
    call("check", "tial", code=2)
    call("check", "tail", "-m", 0, code=2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def good(staleness, workers):\n    return np.ones(len(staleness))\n"
        "def bad(staleness, workers):\n    return np.full(len(staleness), 1.01)\n"
        "def broken(staleness, workers):\n    return 1 / 0\n"
    )
    call("check", "mine.py:good", "--search", 0)
    call("check", "mine.py:bad", "--search", 0, code=1)
    output = call("check", "mine.py:broken", code=2)
    assert "Error: rule mine.py:broken raised ZeroDivisionError" in output
    assert "under constant(0), workers=1" in output


def test_check_as_json_is_reproducible():
    found = json.loads(call("check", "fleet", "--search", 30, "--seed", 5, "--json", code=1))
    assert found == json.loads(call("check", "fleet", "--search", 30, "--seed", 5, "--json", code=1))
    first = found["conditions"][0]
    assert (first["condition"], first["holds"], first["witness"]) == ("C1", False, "constant(1)")
    assert first["violation"] == pytest.approx(1 - first["value"])
    assert found["holds"] is False


def test_the_staleness_of_a_run(run):
    found = json.loads(call("show", "tail", "--staleness", run.path, "--json"))
    assert (found["workers"], found["mean_staleness"]) == (3, run.staleness.mean())
    assert found["mean_scale"] == pytest.approx(1, abs=1e-12)
    assert "workers=3" in call("check", "tail", "--staleness", run.path)
    assert "workers=9" in call("check", "tail", "--staleness", run.path, "-m", 9)
    call("show", "tail", "--staleness", "missing.h5", code=2)


def test_a_schedule_is_named():
    assert "multiplies each scale" in call("show", "adadelay(0.1)", "--staleness", "geometric(m=4)")
    assert "Only the table was checked" in call("check", "adadelay(0.1)", "--search", 0)


def test_of_shuffled_scales_c2_and_c4_do_not_hold_for_updates():
    found = call("check", "shuffled(tail)", "--search", 0)
    assert "C2 and C4 are about the table. They do not hold for updates" in found
    assert "shuffled, wu_adaptive only the scale table is checked" in call("list", "--search", 0)


def test_what_a_rule_is_told_is_shown(tmp_path):
    (tmp_path / "own.py").write_text(
        "def fading(staleness, workers, progress): return [1 - progress] * len(staleness)"
    )
    file = f"{tmp_path}/own.py:fading"
    assert "progress = 0.0" in call("show", file)
    assert "The rule was told progress = 0.0, as when a run begins" in call("check", file, "--search", 0)
    half = call("show", f"{file}(progress=0.5)")
    assert "mean scale       0.5000" in half
    assert "\ntold" not in half


def test_the_default_staleness_is_a_model_of_sixteen_workers():
    assert parse_staleness("geometric(m=16)").mean() == pytest.approx(geometric(m=16).mean()) == pytest.approx(15)
