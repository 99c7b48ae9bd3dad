"""`asapnb arena`, its page and its figure; and the table of results that comes with the package."""

import json
from dataclasses import replace
from functools import partial

import pytest
from commands import call, printed

import asapnb as ab
from asapnb import plots
from asapnb.arena import SUITE, builtin, compete, standings
from asapnb.arena.stored import computed_on, here, load_builtin, read_results, results_as_json, same_times
from asapnb.arena.tables import cell_table, kernel_note, standing_table
from asapnb.report.arena import arena_page

CELL = ("--scenario", "geometric", "--problem", "quadratic")
PART = SUITE.only(["geometric"], ["quadratic"])
RULES = """import numpy as np
def half_life(staleness, workers):
    return 0.5 ** (np.arange(len(staleness)) / workers)
def broken(staleness, workers):
    return np.log(np.arange(len(staleness)) - 20.0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with rules, and with what a user's rule left on one cell."""
    made = tmp_path_factory.mktemp("arena")
    (made / "my_rules.py").write_text(RULES)
    files = [option for name in ("page.html", "mine.json", "figure.png") for option in ("-o", str(made / name))]
    (made / "said.txt").write_text(
        printed("arena", f"{made}/my_rules.py:half_life", *CELL, "--quick", "--jobs", 1, *files)
    )
    return made


arena = partial(call, "arena")


def test_a_users_rule_gets_its_rank_among_the_built_in_ones(folder):
    said = (folder / "said.txt").read_text()
    assert said.startswith("Suite 1: 1 cell, 5 seeds")
    (mine,), where = read_results(folder / "mine.json")
    assert where["suite"] == "1"
    place = standings([*load_builtin(), mine], PART.quickly())[mine.name]
    assert mine.name == "my_rules.py:half_life"
    assert f"half_life: rank {place.rank}" in said
    assert f" of {len(load_builtin()) + 1}, {place.best} times as fast as constant" in said
    assert "in each cell" in said


def test_results_in_a_file_take_part_without_running(folder):
    done = arena(folder / "mine.json", *CELL, "--quick", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["suite"] == "1"
    assert {"rank", "contestant", "speed_up", "stable_step"} < set(found["standings"][0])
    (mine,) = found["results"]
    assert mine == read_results(folder / "mine.json")[0][0].document()
    lacking = arena(folder / "mine.json")
    assert lacking.exit_code == 2
    assert "did not run in near-constant/quadratic" in lacking.output


def test_the_page_needs_no_network_and_names_the_suite(folder):
    page = (folder / "page.html").read_text()
    assert "Suite 1, 1 cell, 5 seeds" in page
    assert "half_life in each cell" in page
    assert "http" not in page.replace("http-equiv", "").partition("<img")[0]
    assert "data:image/" in page
    assert 'class="mine"' in page


def test_the_figure_shows_every_contestant(folder):
    found = standings([*load_builtin(), *read_results(folder / "mine.json")[0]], PART.quickly())
    overall, where = plots.arena(found).axes
    assert [label.get_text() for label in overall.get_yticklabels()][: len(load_builtin())]
    assert len(overall.get_yticklabels()) == len(load_builtin()) + 1
    assert [label.get_text() for label in where.get_xticklabels()] == ["geometric"]
    assert (folder / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{folder}/my_rules.py:broken", *CELL, "--jobs", "1"], "broken failed in geometric/quadratic, step size"),
        (["tail", "--scenario", "geometrik"], "unknown scenario 'geometrik'"),
        (["tail", "--scenario", "geometric", "--problem", "lenet"], "the suite has no such cell"),
        (["tail", "-o", "results.xlsx"], "the ending of the name must be one of"),
        (["--momentum", "0.5"], "momentum is given, but no rule to run with it"),
        (["tail", "--momentum", "1.5"], "momentum is 1.5"),
        (["no_such.json"], "cannot read no_such.json"),
        (["{folder}/my_rules.py"], "my_rules.py"),
        (["{folder}/bad.json"], "holds no results of the arena"),
    ],
)
def test_what_cannot_run_is_an_error(folder, arguments, says):
    (folder / "bad.json").write_text('{"contestants": [1]}')
    done = arena(*(text.format(folder=folder) for text in arguments))
    assert done.exit_code == 2, done.output
    assert says in done.output.replace("\n", " ")


@pytest.mark.parametrize("name", ["tail, as released", "dc-asgd"])
def test_a_built_in_contestant_runs_by_its_name(name):
    done = arena(name, *CELL, "--quick", "--jobs", "1", "--json")
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["results"]
    known = next(one for one in load_builtin() if one.name == name).document()
    assert [found[key] for key in ("rule", "settings", "knows_staleness")] == [
        known[key] for key in ("rule", "settings", "knows_staleness")
    ]


def test_of_two_results_of_one_name_none_is_lost_silently(folder):
    for given in ([folder / "mine.json"] * 2, [folder / "mine.json", f"{folder}/my_rules.py:half_life"]):
        done = arena(*given, *CELL, "--quick", "--jobs", "1")
        assert done.exit_code == 2
        assert "my_rules.py:half_life: given twice" in done.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("path", "value"), [("best/times", ["soon"] * 5), ("best/mean_scale", "1"), ("step", "x"), ("equal/times", 3)]
)
def test_results_that_were_edited_badly_are_an_error(folder, tmp_path, path, value):
    document = json.loads((folder / "mine.json").read_text())
    place = document["contestants"][0]["cells"]["geometric/quadratic"]
    *parts, last = path.split("/")
    for part in parts:
        place = place[part]
    place[last] = value
    (tmp_path / "odd.json").write_text(json.dumps(document))
    done = arena(tmp_path / "odd.json", *CELL, "--quick")
    assert done.exit_code == 2, done.output
    assert "holds no results of the arena" in done.output.replace("\n", " ")


def test_a_contestant_that_never_moves_has_no_mean_scale(folder):
    (mine,) = read_results(folder / "mine.json")[0]
    score = mine.cells["geometric/quadratic"]
    still = replace(
        mine, cells={"geometric/quadratic": replace(score, best=replace(score.best, mean_scale=float("nan")))}
    )
    text = results_as_json([still])
    assert "NaN" not in text
    (folder / "still.json").write_text(text)
    (again,) = read_results(folder / "still.json")[0]
    found = standings([*load_builtin(), again], PART.quickly())
    assert cell_table(found[mine.name], PART.quickly()).rows[0][-1] == "–"


def test_a_file_that_exists_is_left_alone(folder):
    before = (folder / "page.html").read_bytes()
    done = arena(folder / "mine.json", *CELL, "--quick", "-o", folder / "page.html")
    assert done.exit_code == 2
    assert (folder / "page.html").read_bytes() == before


def test_the_list_shows_the_suite():
    said = arena("--list").output
    for name in (*(one.name for one in SUITE.scenarios), *(one.name for one in SUITE.tasks), "tail, as released"):
        assert name in said
    assert set(json.loads(arena("--list", "--json").output)) == {"suite", "scenarios", "problems", "contestants"}


def test_the_table_of_the_package_is_reproduced():
    """A cell of it, whose arithmetic is the same on every path of kernels."""
    found = compete("constant", suite=PART.quickly())
    table = next(one for one in load_builtin() if one.name == "constant").cells["geometric/quadratic"]
    assert found.cells["geometric/quadratic"].step == table.step == PART.cells[0].reference
    assert found.cells["geometric/quadratic"].best.times == pytest.approx(table.best.times[:5], rel=1e-3)
    same, total = same_times([found])
    assert total == 10
    assert same == 10 or here() != computed_on()  # another CPU may round otherwise


def test_the_table_is_of_the_built_in_contestants():
    known = {one.name: one for one in builtin()}
    for one in load_builtin():
        made = known[one.name]
        assert (one.rule, one.settings, one.version) == (str(made.rule), made.settings, SUITE.version)
        assert set(one.cells) == {cell.name for cell in SUITE.cells}
        assert {len(score.best.times) for score in one.cells.values()} == {len(SUITE.seeds)}


def test_the_equal_step_of_the_suite_is_the_best_one_of_constant():
    constant = next(one for one in load_builtin() if one.name == "constant")
    assert {name: score.step for name, score in constant.cells.items()} == {
        cell.name: cell.reference for cell in SUITE.cells
    }


def test_other_kernels_and_edges_are_said(folder):
    assert kernel_note({**computed_on(), "kernels": "none"}).startswith("The built-in results were computed by")
    assert kernel_note({**computed_on(), "kernels": ab.compiled.KERNEL_PATH}) == ""
    (mine,), _ = read_results(folder / "mine.json")
    cells = {name: replace(score, edge=True) for name, score in mine.cells.items()}
    found = standings([*load_builtin(), replace(mine, cells=cells)], PART.quickly())
    assert "At the edge of the grid" in standing_table(found).notes[-1]
    assert "(edge)" in cell_table(found[mine.name], PART.quickly()).text()


def test_results_are_read_as_they_were_written(tmp_path):
    (tmp_path / "all.json").write_text(results_as_json(load_builtin()))
    assert tuple(read_results(tmp_path / "all.json")[0]) == load_builtin()


def test_a_page_about_the_built_in_contestants_alone(tmp_path):
    found = standings(load_builtin(), SUITE.quickly())
    page = arena_page(found, tmp_path / "all.html")
    assert "the built-in rules" in page.read_text()
    with pytest.raises(ab.RecordError):
        arena_page(found, tmp_path / "all.html")
