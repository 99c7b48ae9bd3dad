"""The page about runs: its charts show what was recorded, it needs no network, it hides nothing that failed."""

import importlib.util
import itertools
import json
import os
import tomllib
import webbrowser
from functools import partial

import h5py
import numpy as np
import pytest
from commands import call
from reports import SWEEP, Page, make_runs, values

import asapnb as ab
from asapnb.analysis import Target, crossing, grouped, matching, records, varying
from asapnb.errors import MissingExtraError, RecordError, UsageError
from asapnb.plots.distributions import causes
from asapnb.report import report
from asapnb.report.charts import array, panels
from asapnb.report.curves import loss_chart
from asapnb.report.points import runs_chart
from asapnb.report.sources import sweeps
from asapnb.report.staleness import staleness_chart
from asapnb.report.targets import target_chart
from asapnb.sweep import load_manifest, parse_sweep
from asapnb.sweep.manifest import begin, note
from asapnb.sweep.points import failed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def sweep(folder):
    """The records of sixteen runs: four rules, two numbers of workers, two seeds."""
    return records(folder / "sweep")


@pytest.fixture(scope="module")
def page(folder):
    """A page on everything, taken apart."""
    return Page(
        report([folder / "sweep", folder / "failing", folder / "odd"], folder / "all.html", title="A <b> & c")
    )


def lines(figure):
    """The traces that are no bands, by name."""
    return {trace["name"]: trace for trace in figure["data"] if trace.get("hoverinfo") != "skip"}


def test_a_line_is_the_median_of_its_runs(sweep):
    chart = loss_chart(sweep, "chart")
    (fours, eights), clocks = chart.choices["Runs"], list(chart.choices["Against"])
    assert (fours, eights) == ("2 workers", "8 workers")
    assert clocks[:2] == ["virtual time, s", "updates"]
    for m, workers in enumerate((2, 8)):
        found = lines(chart.figures[f"0,{clocks.index('updates')},{m}"])
        assert list(found) == ["constant", "fleet", "inverse", "tail"]
        for name, trace in found.items():
            runs = matching(sweep, {"rule": name, "workers": workers})
            losses = [record.run.evals["train_loss"] for record in runs]
            assert values(trace["x"]).tolist() == runs[0].run.evals["step"].tolist()
            np.testing.assert_allclose(values(trace["y"]), np.median(losses, axis=0), rtol=1e-6)


def test_a_band_goes_from_the_least_of_few_runs_to_the_greatest(sweep):
    chart = loss_chart(sweep, "chart")
    figure = chart.figures["0,1,0"]
    shade = next(trace for trace in figure["data"] if trace["name"] == "tail" and trace.get("hoverinfo") == "skip")
    losses = [record.run.evals["train_loss"] for record in matching(sweep, {"rule": "tail", "workers": 2})]
    y = values(shade["y"])
    np.testing.assert_allclose(y[: len(y) // 2], np.min(losses, axis=0), rtol=1e-6)
    np.testing.assert_allclose(y[len(y) // 2 :], np.max(losses, axis=0)[::-1], rtol=1e-6)
    assert "least to greatest" in chart.caption


def test_a_line_of_an_accuracy_ends_at_the_accuracy(folder):
    (record,) = records(folder / "odd/network.h5")
    chart = loss_chart([record], "chart")
    k = chart.choices["Show"].index("test accuracy")
    (trace,) = chart.figures[f"{k},0"]["data"]
    np.testing.assert_allclose(values(trace["y"]), record.run.evals["test_accuracy"], rtol=1e-6)


def test_every_run_is_in_a_line_and_no_run_in_two(sweep):
    for keys in (None, ["rule"], ["workers", "rule"], ["seed"], []):
        parts, said = panels(sweep, keys)
        assert not said
        shown = [id(record) for part in parts for line in part.lines for record in line.records]
        assert sorted(shown) == sorted(map(id, sweep))
        looks = {(line.label, line.look) for part in parts for line in part.lines}
        assert len({label for label, _ in looks}) == len(looks)  # a rule looks the same in all panels


def test_of_too_many_lines_the_best_are_shown_and_that_is_said():
    problem = ab.problems.quadratic([1.0])
    sizes = [0.001 * 1.3**i for i in range(17)]
    found = records([ab.simulate(problem, step_size=s, workers=2, updates=20, batch_size=1) for s in sizes])
    chart = loss_chart(found, "chart")
    last = {f"step size {r.value('step_size')}": r.curve().loss[-1] for r in found}
    assert set(lines(chart.figures["0,0"])) == set(sorted(last, key=last.get)[:14])
    assert "Of 17 lines, the 14 with the lowest last losses are shown." in chart.caption


def test_times_to_a_target_are_those_of_the_analysis(sweep):
    targets = [Target(fraction=0.5), Target(fraction=0.001)]
    chart = target_chart(sweep, targets, "chart")
    axis = list(chart.choices["In"]).index("updates")
    for i, target in enumerate(targets):
        found = {id(record): crossing(record, target) for record in sweep}
        for k, runs in enumerate(grouped(sweep, ["workers"]).values()):
            figure = chart.figures[f"{i},{axis},{k}"]
            shown = np.concatenate([values(trace["x"]) for trace in figure["data"]])
            times = [found[id(record)].updates for record in runs if found[id(record)].reached]
            np.testing.assert_allclose(sorted(shown), sorted(times), rtol=1e-6)
            labels = " ".join(figure["layout"]["yaxis"]["ticktext"])
            lost = sum(
                int(word.split(" of 2 not reached")[0]) for word in labels.split("<br>") if "not reached" in word
            )
            assert lost == len(runs) - len(times)


def test_staleness_of_threads_is_split_by_all_that_it_depends_on():
    problem = ab.problems.quadratic([1.0])
    found = records([ab.train(problem, workers=1, updates=20, batch_size=size) for size in (1, 2)])
    assert causes(found) == ["batch_size"]
    assert list(lines(staleness_chart(found, "chart").figures["0"])) == ["batch size 1", "batch size 2"]


def test_shares_of_staleness_are_those_of_the_updates(sweep):
    chart = staleness_chart(sweep, "chart")
    for name, trace in lines(chart.figures["0"]).items():
        runs = matching(sweep, {"workers": int(name.split()[0])})
        tau = np.concatenate([record.run.updates["tau"] for record in runs])
        shares = [np.mean(tau == value) for value in values(trace["x"])]
        np.testing.assert_allclose(values(trace["y"]), shares, rtol=1e-6)
        assert 0.99 < sum(shares) <= 1


def test_every_run_is_a_point_or_a_cross(folder):
    found = records([folder / "sweep", folder / "odd/diverged.h5"])
    chart = runs_chart(found, "chart")
    for figure in chart.figures.values():
        half = len(figure["data"]) // 2
        drawn = [np.isfinite(values(trace["y"])).sum() for trace in figure["data"]]
        assert sum(drawn) == len(found)
        texts = [text for of in chart.texts[:half] for text in of]
        assert sum(any(record.path.name in text for text in texts) for record in found) == len(found)
    assert set(chart.choices["Against"]) == {key.replace("_", " ") for key in varying(found) if key != "seed"}


def test_what_is_not_finite_becomes_a_gap():
    assert np.isnan(values(array([np.inf, np.nan, 1e300]))).all()


def test_plotly_knows_every_word_of_the_figures(page):
    import plotly.graph_objects as go

    for chart in page.charts().values():
        for figure in chart["figures"].values():
            go.Figure(figure["data"], figure["layout"])  # ValueError for a property that there is not


def test_a_chart_has_a_figure_for_each_choice_and_says_whose_time_it_shows(page):
    charts = page.charts()
    assert len(charts) >= 8  # the run on threads may reach no target, and then has no chart of it
    for figure in page.all("figure", **{"class": "chart"}):
        assert "Clock: " in figure["text"] or "order of updates" in figure["text"]
        assert "virtual time" in figure["text"] or "wall time on" in figure["text"]
    for chart in charts.values():
        keys = np.array([[int(word) for word in key.split(",")] for key in chart["figures"]])
        assert len(keys) == np.prod(keys.max(axis=0) + 1)


def test_the_page_needs_no_network_and_all_its_links_lead_somewhere(page):
    ids = [tag["id"] for tag in page.tags if "id" in tag]
    assert len(set(ids)) == len(ids)
    for tag in page.tags:
        for name in ("src", "href"):
            if name in tag:
                assert tag[name].startswith(("data:", "#")), tag[name]
                assert tag[name][:1] != "#" or tag[name][1:] in ids
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_the_page_can_be_read_without_seeing_it(page):
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("title")[0]["text"] == page.all("h1")[0]["text"] == "A <b> & c"
    assert all(image["alt"] for image in page.all("img"))
    assert all(plot["aria-label"] for plot in page.all("div", **{"class": "plot"}))
    assert all(head["scope"] == "col" for head in page.all("th"))
    levels = [int(tag["tag"][1]) for tag in page.tags if tag["tag"] in ("h1", "h2", "h3", "h4")]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_runs_of_each_kind_and_problem_have_a_section(page):
    titles = [head["text"] for head in page.all("h2")]
    assert titles == [
        "Contents",
        "Sweeps",
        "Simulation in virtual time: mlp(hidden=[4]) on fashion-mnist-mini",
        "Simulation in virtual time: quadratic([1.0, 10.0])",
        "Training on threads: mlp(hidden=[4]) on fashion-mnist-mini",
    ]


def test_what_failed_diverged_or_was_killed_is_listed(page):
    (failures,) = page.all("div", **{"class": "warning"})
    assert "2 points without a whole run" in failures["text"]
    assert "RuleError: the rule <broke>" in failures["text"]
    assert "not carried out yet" in failures["text"]
    odd = [table["text"] for table in page.all("table", **{"aria-label": "Runs that did not finish"})]
    assert len(odd) == 1
    assert "diverged.h5" in odd[0]
    assert "killed, or running elsewhere" in odd[0]
    assert "1 killed, or running elsewhere" in page.all("header")[0]["text"]


def test_the_page_says_where_and_with_what_it_was_run(page, folder):
    run = ab.load_run(folder / "odd/threads.h5")
    for said in (
        run.attributes["data_sha256"],
        run.attributes["machine"]["cpu"],
        f"numba {run.attributes['versions']['numba']}",
    ):
        assert said in page.text
    assert "step_size = 0.1" in page.text


def test_tables_are_those_of_compare(sweep, folder):
    made = Page(
        report(folder / "sweep", folder / "tables.html", targets=[Target(fraction=0.5)], baseline={"rule": "tail"})
    )
    titles = [head["text"] for head in made.all("h4")]
    assert titles == [
        table.title for table in ab.compare(folder / "sweep", target_fraction=0.5, baseline="rule=tail")
    ]


def test_long_tables_are_shown_a_page_at_a_time(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("asapnb.report.page._ROWS", 5)
    made = Page(report(folder / "sweep", tmp_path / "x.html"))
    (listing,) = made.all("table", **{"aria-label": "Every run"})
    assert len(listing["text"].split(".h5")) - 1 == 5
    rows = [json.loads(script["text"]) for script in made.all("script", **{"class": "rows"})][-1]
    assert [row[0] for row in rows] == sorted(path.name for path in (folder / "sweep").glob("*.h5"))
    assert "rows 1 to 5 of 16" in [found["text"] for found in made.all("output")]


def test_text_of_others_stays_text(folder, tmp_path):
    made = tmp_path / "x.h5"
    ab.load_run(folder / "odd/network.h5").save(made)
    with h5py.File(made, "r+") as file:
        file.attrs["command"] = "</script><script>alert(1)</script>"
        file.attrs["config"] = file.attrs["config"].replace('"constant()"', '"</script><b>own"')
    page = Page(report([made, folder / "odd/network.h5"], tmp_path / "x.html"))
    assert not page.all("b")
    assert "alert(1)" in page.all("dl")[0]["text"]


def test_five_hundred_runs_fit_in_eight_megabytes(sweep, folder, tmp_path):
    runs = []
    for i in range(40):  # copies, each with a step size of its own: nothing can be shared
        runs.append(tmp_path / f"a-rather-long-name-of-a-point-of-a-sweep-{i:03}.h5")
        sweep[0].run.save(runs[-1])
        with h5py.File(runs[-1], "r+") as file:
            file.attrs["config"] = file.attrs["config"].replace("step_size = 0.02", f"step_size = {1e-4 * (i + 1)}")
    one, all_of_them = (report(some, tmp_path / f"{len(some)}.html").stat().st_size for some in (runs[:8], runs))
    assert one + (500 - 8) * (all_of_them - one) / 32 < 8e6


@pytest.mark.parametrize(
    ("given", "says"),
    [("empty", "holds no run file"), ("nothing.h5", "there is no run file"), ("text.h5", "not a run file"),
     ("schema.h5", "has schema 99")],
)  # fmt: skip
def test_what_is_no_run_is_refused(folder, tmp_path, given, says):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.h5").write_text("hello")
    with h5py.File(tmp_path / "schema.h5", "w") as file:
        file.attrs["schema"] = 99
    with pytest.raises(RecordError, match=says):
        report(tmp_path / given, tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_nothing_is_overwritten_unless_forced(folder, tmp_path):
    page = tmp_path / "x.html"
    page.write_text("mine")
    with pytest.raises(RecordError, match="already exists"):
        report(folder / "odd/network.h5", page)
    assert page.read_text() == "mine"
    assert report(folder / "odd/network.h5", page, force=True).stat().st_size > 10**6
    with pytest.raises(UsageError, match=r"end in \.html"):
        report(folder / "odd/network.h5", folder / "odd/network.h5", force=True)


@pytest.mark.parametrize("module", ["plotly", "matplotlib", "jinja2"])
def test_without_its_libraries_a_report_says_what_to_install(folder, tmp_path, monkeypatch, module):
    known = importlib.util.find_spec
    monkeypatch.setattr("asapnb.report.page.find_spec", lambda name: None if name == module else known(name))
    with pytest.raises(MissingExtraError, match=r'pip install "asapnb\[plot\]"'):
        report(folder / "sweep", tmp_path / "x.html")


def test_a_target_of_no_run_is_an_error_and_that_of_some_a_note(folder, tmp_path):
    network, quadratic = folder / "odd/network.h5", folder / "odd/diverged.h5"
    loss = records(network)[0].initial_loss
    assert loss < records(quadratic)[0].initial_loss
    with pytest.raises(UsageError, match="not below the initial loss"):
        report(network, tmp_path / "x.html", targets=[Target(loss=loss)])
    page = Page(report([network, quadratic], tmp_path / "x.html", targets=[Target(loss=loss)]))
    (note,) = page.all("p", **{"class": "warning"})[1:]  # the first one is for browsers without scripts
    assert "not compared" in note["text"]


def test_runs_without_an_evaluation_are_listed(folder, tmp_path):
    made = tmp_path / "x.h5"
    ab.load_run(folder / "odd/killed.h5").save(made)
    with h5py.File(made, "r+") as file:
        for name, column in list(file["evals"].items()):
            del file["evals"][name]
            file["evals"][name] = column[:0]
    page = Page(report(made, tmp_path / "x.html"))
    assert "have no evaluation" in page.text
    assert "x.h5" in page.all("table", **{"aria-label": "Every run"})[0]["text"]
    assert not page.charts()


def test_the_command(folder, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    monkeypatch.chdir(tmp_path)
    run = partial(call, "report")
    found = run(folder / "odd/network.h5", "--title", "Mine", "--target-fraction", 0.9, "--open")
    assert (found.exit_code, found.output[:11]) == (0, "report.html")
    assert shown == [(tmp_path / "report.html").as_uri()]
    assert Page(tmp_path / "report.html").all("h1")[0]["text"] == "Mine"
    again = run(folder / "odd/network.h5")
    assert again.exit_code == 2
    assert "already exists" in again.output
    assert run(folder / "odd/network.h5", "--force", "--quiet").output == ""
    assert run().exit_code == 2
    assert "above 0 and below 1" in run(folder / "odd/network.h5", "--target-fraction", 2, "--force").output
    assert run(folder / "odd", "--where", "workers=99", "--force").output.startswith("Error: no run has workers=99")
    assert os.listdir(tmp_path) == ["report.html"]


def simulated(step_sizes=(0.02,), rules=("constant",)):
    """The records of short runs, one for each step size and rule."""
    problem = ab.problems.quadratic([1.0])
    return records([
        ab.simulate(problem, step_size=size, rule=rule, workers=2, updates=20, batch_size=1)
        for size in step_sizes for rule in rules
    ])  # fmt: skip


def test_rules_that_differ_in_their_arguments_have_places_of_their_own():
    found = simulated(rules=("constant", "tail", "tail(amplitude=0.5)"))
    figure = runs_chart(found, "chart").figures["0,0"]
    places = [trace["x"] for trace in figure["data"] if "yaxis" not in trace]
    assert places == [["constant"], ["tail(amplitude=0.5)"], ["tail(amplitude=1.0)"]]


def test_schemes_that_differ_in_their_arguments_have_places_of_their_own():
    problem, schemes = ab.problems.quadratic([1.0]), ("ParameterServer(bound=4)", "ParameterServer(discard_after=9)")
    found = records([ab.simulate(problem, scheme=of, workers=2, updates=20, batch_size=1) for of in schemes])
    places = runs_chart(found, "chart").figures["0,0"]["data"][0]["x"]
    assert len(set(places)) == 2
    assert max(len(line) for place in places for line in place.split("<br>")) <= 28


@pytest.mark.parametrize("sizes", [np.linspace(0.01, 0.07, 13), np.geomspace(0.01, 0.1, 14), [0.01, 0.02], [5, 500]])
def test_runs_stand_at_their_number_no_nearer_to_another(sizes):
    rules = ("constant", "tail", "inverse", "fleet")
    chart = runs_chart(simulated(map(float, sizes), rules), "chart")
    j = chart.choices["Against"].index("step size")
    drawn = chart.figures[f"0,{j}"]["data"][: len(rules)]
    gap = np.diff(sizes).min()
    for trace in drawn:
        assert np.abs(np.sort(trace["x"]) - sizes).max() < 0.05 * np.diff(sizes).max()
        assert np.abs(trace["x"][0] - sizes[0]) < 0.05 * gap
    assert len({trace["x"][0] for trace in drawn}) == len(rules)


def test_where_no_loss_is_finite_there_is_no_chart_of_losses(tmp_path):
    problem = ab.problems.quadratic([1e200, 1e308], start=[1e100, 1e100])
    runs = [ab.simulate(problem, workers=2, updates=20, batch_size=1, seed=seed) for seed in (0, 1)]
    assert loss_chart(records(runs), "chart") is None
    made = Page(report(runs, tmp_path / "x.html"))
    assert "2 diverged" in made.all("header")[0]["text"]
    assert all(chart["figures"] for chart in made.charts().values())


def test_without_a_finite_figure_of_any_run_there_is_no_chart_of_runs(monkeypatch):
    monkeypatch.setattr("asapnb.report.points._FIGURES", {"last test loss": lambda record: np.inf})
    assert runs_chart(simulated((0.01, 0.02)), "chart") is None


def failed_sweep(folder, *errors, **changes):
    """A sweep of which every point failed with one of these errors, in turn."""
    sweep = parse_sweep({**SWEEP, **changes})
    manifest = begin(sweep, folder, resume=False, force=False, extend=False)
    for point, error in zip(manifest.points, itertools.cycle(errors)):
        note(folder, failed(point, error))
    return folder


def test_a_sweep_all_of_whose_points_failed_has_a_page(tmp_path):
    (tmp_path / "sweep").mkdir()
    folder = failed_sweep(tmp_path / "sweep", "RuleError: it broke")
    made = Page(report(folder, tmp_path / "x.html"))
    assert [head["text"] for head in made.all("h2")] == ["Contents", "Sweep"]
    assert "16 points without a whole run" in made.all("div", **{"class": "warning"})[0]["text"]
    assert "0 runs" in made.all("header")[0]["text"]
    run = simulated()[0].run
    both = Page(report([folder, run], tmp_path / "both.html"))
    assert [head["text"] for head in both.all("h2")][1:] == ["Sweep", "Simulation in virtual time: quadratic([1.0])"]
    with pytest.raises(RecordError, match="holds no run file"):
        report(folder, tmp_path / "where.html", where={"workers": 2})
    with pytest.raises(UsageError, match="there are no runs"):
        report([], tmp_path / "nothing.html")


def test_of_many_failures_the_first_are_named_and_all_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("asapnb.report.sources._NAMED", 4)
    folder = failed_sweep(tmp_path, "RuleError: it broke", "RuleError: it broke", "KeyError: 5")
    (found,) = Page(report(folder, tmp_path / "x.html")).all("div", **{"class": "warning"})
    assert "16 points without a whole run" in found["text"]
    assert "11 failed: RuleError: it broke" in found["text"]
    assert "5 failed: KeyError: 5" in found["text"]
    assert found["text"].count(": failed\n") == 4


def test_a_sweep_as_toml_is_the_same_sweep(tmp_path):
    grid = {"eval_samples": ["none", 100], "rule": "tail"}
    (source,) = sweeps([failed_sweep(tmp_path, "it broke", base={**SWEEP["base"], "threads": None}, grid=grid)])
    table = tomllib.loads(source.toml)
    assert (table["grid"][0]["eval_samples"], table["base"]["threads"]) == (["none", 100], "none")
    assert parse_sweep(table) == load_manifest(tmp_path).sweep


@pytest.mark.parametrize("head", [{}, {"kind": "later"}, {"base": {"warkers": 2}}])
def test_a_manifest_of_no_sweep_is_refused(tmp_path, monkeypatch, head):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"schema": 1, "created_utc": "", "sweep": head}) + "\n")
    found = call("report", ".")
    assert (found.exit_code, os.listdir()) == (2, ["manifest.jsonl"])
    assert "is not one that this asapnb knows" in " ".join(found.output.split())


def test_what_is_given_twice_is_reported_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    failed_sweep(tmp_path / "a", "it broke")
    (tmp_path / "b").symlink_to("a")
    page = Page(report(["a", "a/", tmp_path / "a", "b"], "x.html"))
    assert [head["text"] for head in page.all("h3")] == ["a"]
    assert page.all("h1")[0]["text"] == "Report on a"


def test_of_an_error_the_line_that_says_most_is_shown(tmp_path):
    trace, full = "Traceback (most recent):\n  at\nKeyError: 5", "[Errno 28] No space,\nfilename = 'x',\nflags = 2"
    folder = failed_sweep(tmp_path, trace, full, "RuleError: it broke", "")
    page = Page(report(folder, tmp_path / "x.html"))
    shown = [found["text"] for found in page.all("span", **{"class": "error"})]
    assert shown[:3] == ["KeyError: 5", "[Errno 28] No space,", "RuleError: it broke"]
    assert [found["text"] for found in page.all("pre")][:3] == [trace, full, trace]
