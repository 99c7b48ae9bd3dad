"""The HTML forms that notebooks show: well-formed, escaped, without colours, and of the facts of the text forms."""

import dataclasses
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from problems import quadratic

import asapnb as ab
from asapnb.formatting import visible
from asapnb.markup import bars, block, line, pairs, table
from asapnb.record.figures import figures, work_done
from asapnb.rules import Report
from asapnb.simulator import staleness_only
from asapnb.staleness.bins import bars_of, bins_of
from asapnb.sweep import Manifest, Outcome, parse_sweep

EVIL = "<script>alert('&')</script>\x1b[2J\u202e"
SWEEP = {"kind": "simulate", "base": {"problem": "quadratic([1, 10])", "updates": 5}, "grid": {"workers": [2, 4]}}
TAGS = {"a", "br", "div", "rect", "svg", "table", "tbody", "td", "text", "th", "thead", "title", "tr"}


class Tags(HTMLParser):
    """Fails on a tag that is not closed, and keeps the text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.seen = [], [], set()
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(page):
    found = Tags(page)
    assert found.seen <= TAGS
    assert not re.search(r"#[0-9a-f]{3}|rgb|[^-]color:(?!inherit)|http|src=|on\w+=", page), (
        "it is dark and light, alone"
    )
    assert len(page) < 30_000
    return "\n".join(found.text)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "a<b>&c.h5"
    return ab.simulate(quadratic(), "leashed", "tail", workers=4, updates=60, timing="lognormal(1, 0.5)", out=out)


def test_a_run_shows_the_figures_that_the_command_line_prints(run):
    page = text_of(run._repr_html_())
    facts = run.summary()
    said = [work_done(run, facts), str(run.path), *(text for _, text in figures(run, facts))]
    assert [text for text in said if text not in page] == []
    for first, last in bins_of(run.staleness):
        assert f"{float(run.staleness.pmf[first : last + 1].sum()):.2%}" in page


def test_comparisons_have_all_cells_and_notes(run):
    found = ab.compare([run, ab.simulate(quadratic(), "leashed", workers=4, updates=60)])
    page = text_of(found._repr_html_())
    for one in found:
        assert [name for name in (one.title, *one.columns, *one.notes) if name not in page] == []
        assert [row[0] for row in one.rows if str(row[0]) not in page] == []


@pytest.mark.parametrize("rule", ["tail", "inverse"])
def test_a_check_has_its_findings(rule):
    found = ab.check(rule, tries=5)
    page = text_of(found._repr_html_())
    assert [word for row in found.rows() for word in row if word not in page] == []
    assert found.title == str(found).splitlines()[0]
    assert found.title in page


def test_schedules_and_tallies_have_their_timing_and_staleness():
    timing = ab.Timing("lognormal(mean=1, cv=0.3)")
    made, counted = ab.schedule(timing, workers=4, updates=50), staleness_only(timing, "lock-based", 4, 50)
    for one in (made, counted):
        assert str(timing) in text_of(one._repr_html_())
        assert "mean staleness" in repr(one)
    assert [text for _, text in counted.figures() if text not in text_of(counted._repr_html_())] == []


def test_problems_and_data_sets():
    data = ab.load_dataset("fashion-mnist-mini")
    assert "Ankle boot" in text_of(data._repr_html_())
    page = text_of(ab.mlp(data, hidden=(4,))._repr_html_())
    assert "784×4" in page
    assert "3,190 parameters" in page


def test_the_manifest_of_a_sweep_is_a_table_with_what_failed():
    sweep = parse_sweep(SWEEP)
    ended = {
        sweep.points[0].name: Outcome(sweep.points[0].name, "failed", 0.5, "", "", EVIL),
        sweep.points[1].name: Outcome(sweep.points[1].name, "finished", 0.5, "", ""),
    }
    manifest = Manifest({"sweep": sweep.plain()}, ended)
    page = text_of(manifest._repr_html_())
    assert repr(manifest) == "<Manifest: 2 runs of simulate: 1 failed, 1 finished>"
    assert "script" in page
    assert "2 runs of simulate: 1 failed, 1 finished" in str(manifest)
    assert "none carried out" in text_of(Manifest({"sweep": sweep.plain()})._repr_html_())


def test_a_page_is_a_link_that_any_name_leaves_whole(tmp_path, monkeypatch):
    from asapnb.report.page import Page

    monkeypatch.chdir(tmp_path)
    name = "a 'b' <c>#.html"
    Path(name).write_text("page")
    assert name in text_of(Page(tmp_path / name)._repr_html_())
    assert "href='a%20%27b%27%20%3Cc%3E%23.html'" in Page(tmp_path / name)._repr_html_()
    monkeypatch.chdir("/")
    assert "href='tmp" in Page(tmp_path / name)._repr_html_() or "file:" in Page(tmp_path / name)._repr_html_()


@pytest.mark.parametrize(
    "page",
    [
        block(line(EVIL), title=EVIL),
        pairs([(EVIL, EVIL)]),
        table([EVIL], [[EVIL]]),
        bars([EVIL], [1.0], EVIL),
        dataclasses.replace(ab.compare([ab.simulate(quadratic(), updates=5)]).tables[0], title=EVIL)._repr_html_(),
        Report(ab.Rule(EVIL, max), ab.check("tail", tries=0).findings, 1)._repr_html_(),
    ],
)
def test_texts_of_others_are_escaped_and_made_visible(page):
    found = Tags(page)
    assert "script" not in found.seen
    assert visible(EVIL) in unescape(" ".join(found.text))
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_long_tables_are_cut_in_the_middle():
    page = text_of(table(["row"], [[f"row {i}"] for i in range(1000)]))
    assert "… 940 rows …" in page
    assert ("row 29" in page, "row 30\n" in page, "row 969" in page, "row 970" in page) == (True, False, False, True)


def test_nothing_seen_is_drawn_as_nothing():
    assert bars_of(ab.StalenessDistribution.from_counts([0])) == ""
    assert bars([], [], "nothing").count("<rect") == 0
