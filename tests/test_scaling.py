"""The benchmark of scaling: what it plans, how it tells what limits, and that nothing measured is lost."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments/benchmarks"))

import scaling
from scaling_cases import PROBES, _shares
from scaling_limits import REASONS, limits, of_machine
from scaling_plan import ENOUGH, SCHEMES, Case, cost, planned, worker_counts

PINNINGS = [(True, False), (False,)]


@pytest.mark.parametrize("pinnings", PINNINGS)
@pytest.mark.parametrize("at_once", [1, 2, 5, 16, 192, 1024])
def test_every_plan_fits_into_eight_minutes_and_has_all_schemes(at_once, pinnings):
    cases = planned(at_once, pinnings, 430, 2.0)
    assert sum(cost(case, 2.0) for case in cases) <= 430 / (1 if at_once > 192 else ENOUGH)
    assert {case.workers for case in cases} >= {1, at_once, 2 * at_once}
    assert {case.scheme for case in cases} >= set(SCHEMES)
    assert {case.pinned for case in cases} <= set(pinnings)
    assert len(set(cases)) == len(cases)


def test_workers_are_at_most_twice_as_many_as_run_at_once():
    assert worker_counts(192)[-3:] == [128, 192, 384]
    assert worker_counts(192)[:7] == [1, 2, 3, 4, 6, 8, 12]


def case(scheme="hogwild, in place", workers=4, rate=200.0, **changed):
    """A case of which a single worker makes 100 gradients a second, 9 ms for the gradient and 1 ms for the rest."""
    steps = {"between": 100.0, "gradient": 9000.0, "update": 900.0}
    return {
        "model": "MLP", "scheme": scheme, "workers": workers, "pinned": True, "rate": rate, "rates": [rate, rate],
        "had cores": 1.0, "waited for room": 0.0, "failed": 0.0, "steps": steps, **changed,
    }  # fmt: skip


def found(many, bare=400.0, cores=(4, 4), probes=((1, 10.0, 10.0), (4, 40.0, 40.0))):
    """What limits one case, beside a single worker and threads that share nothing."""
    cases = [case(many["scheme"], 1, 100.0), many, case("bare", 1, 100.0), case("bare", many["workers"], bare)]
    probed = [{"workers": n, "arithmetic": a, "memory": m} for n, a, m in probes]
    limits(cases, probed, {"at_once": cores[0], "physical": cores[1]})
    assert many["limit"] in REASONS
    assert "limit" not in cases[0]
    return many["limit"]


def slower(part, **changed):
    """A case whose workers take 10 ms longer, in one part of the update."""
    return case(steps=case()["steps"] | {part: case()["steps"][part] + 10_000.0}, **changed)


@pytest.mark.parametrize(
    ("many", "options", "expected"),
    [
        (case(rate=380.0), {}, "nothing"),
        (case(throttled=2.0), {}, "quota"),
        (case(**{"had cores": 0.5, "others": 0.4}), {}, "other programs"),
        (case(**{"had cores": 0.5, "waited for room": 0.3}), {}, "recording"),
        (case(**{"had cores": 0.5}), {}, "cannot tell"),
        (slower("update", rate=100.0, **{"had cores": 0.8, "others": 0.2}), {}, "parameters between caches"),
        (case(workers=8), {}, "more workers than cores"),
        (slower("between", scheme="lock-based", workers=8, rate=600.0), {"cores": (8, 8)}, "lock"),
        (slower("update", scheme="lock-based", workers=8, rate=600.0), {"cores": (8, 8)}, "lock"),
        (slower("update", scheme="lock-based"), {}, "cannot tell"),  # the lock is busy for 18 % of the time
        (slower("update", scheme="synchronous"), {}, "barrier"),
        (slower("update", scheme="leashed", failed=0.8), {}, "publication"),
        (slower("update", scheme="leashed", failed=0.0), {}, "parameters between caches"),
        (slower("update"), {}, "parameters between caches"),
        (slower("gradient"), {}, "parameters between caches"),
        (slower("between"), {}, "counters between caches"),
        (slower("gradient"), {"bare": 180.0, "cores": (4, 2)}, "hardware threads"),
        (slower("gradient"), {"bare": 180.0, "cores": (4, None), "probes": ((1, 10, 10), (4, 22, 40))}, "clock"),
        (slower("gradient"), {"bare": 180.0, "probes": ((1, 10, 10), (4, 40, 12))}, "memory"),
        (slower("gradient"), {"bare": 180.0, "probes": ((1, 10, 10), (4, 40, None))}, "cannot tell"),
        (slower("gradient"), {"bare": 180.0}, "cannot tell"),
        (slower("gradient", rates=[50.0, 400.0]), {}, "cannot tell"),
        (case(steps=None), {}, "cannot tell"),
        (case(), {}, "cannot tell"),
    ],
)
def test_the_limit_is_the_first_reason_that_holds(many, options, expected):
    assert found(many, **options) == expected


def test_what_is_measured_alone_has_no_limit():
    cases = [case(workers=4)]
    limits(cases, [], {"at_once": 4, "physical": None})
    assert "limit" not in cases[0]
    assert of_machine([], {"at_once": 4}) == []


def test_after_ctrl_c_what_was_measured_is_written(tmp_path, monkeypatch, capsys):
    measured = []

    def measure(one, seconds, number):
        if len(measured) == 6:
            raise scaling.Stopped
        measured.append(one)
        return {"rate": 100.0 * one.workers}

    monkeypatch.setattr(scaling, "prepared", lambda models, quick: 0.1)
    monkeypatch.setattr(scaling, "measured", measure)
    monkeypatch.setattr(scaling, "probes", lambda n, pinned, quick: {"workers": n, **dict.fromkeys(PROBES, 1.0)})
    monkeypatch.setattr(scaling, "planned", lambda *_: [Case("MLP", "bare", n, False) for n in range(1, 10)])
    monkeypatch.setattr(sys, "argv", ["scaling.py", "--json", str(tmp_path / "found.json")])
    with pytest.raises(SystemExit) as ended:
        scaling.main()
    assert ended.value.code == 130
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["status"] == "interrupted"
    assert sorted(one["workers"] for one in written["cases"]) == sorted(one.workers for one in measured)
    page = (tmp_path / "found.html").read_text()
    assert "Not complete: interrupted" in page
    assert "<img" in page

    with pytest.raises(SystemExit) as ended:
        scaling.main()  # a second call does not replace what was measured
    assert ended.value.code == 2
    assert "--force" in capsys.readouterr().err


def test_what_cannot_be_written_is_said_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "prepared", None)  # so that it cannot begin
    (tmp_path / "read.only").mkdir(mode=0o500)
    monkeypatch.setattr("common.os.access", lambda *_: False)  # what root may do, too
    for file, reason in (("nowhere/x.json", "there is no folder"), ("read.only/x.json", "nothing can be written")):
        monkeypatch.setattr(sys, "argv", ["scaling.py", "--json", str(tmp_path / file)])
        with pytest.raises(SystemExit) as ended:
            scaling.main()
        assert ended.value.code == 2
        assert reason in capsys.readouterr().err


def test_figures_that_cannot_be_written_in_the_end_are_printed(tmp_path, capsys):
    scaling.write({"cases": [1.5]}, tmp_path / "nowhere" / "x.json")
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"cases": [1.5]}
    assert "above is what it would hold" in printed.err


@pytest.mark.parametrize("text", [None, "no JSON", "{}", "[]"])
def test_a_page_of_what_is_no_result_is_refused(tmp_path, monkeypatch, capsys, text):
    source = tmp_path / "found.json"
    if text is not None:
        source.write_text(text)
    monkeypatch.setattr(sys, "argv", ["scaling.py", "--from", str(source)])
    with pytest.raises(SystemExit) as ended:
        scaling.main()
    assert ended.value.code == 2
    assert "no page of it" in capsys.readouterr().err


def test_the_page_of_the_figures_in_the_repository_does_not_replace_its_template():
    here = Path(scaling.__file__).parent
    assert not (here / "scaling.json").with_suffix(".html").exists()


@pytest.mark.parametrize(("cpu", "expected"), [(1.5, 1.0), (0.75, 0.5), (0.0, 0.0)])
def test_threads_beside_other_programs_have_what_their_cpu_time_says(cpu, expected):
    used = {"wall": 1.5, "cpu": cpu, "gave way": 0.0, "suspended": 0.0}  # of which the run is a third
    assert _shares(used, 0.5, 1)["had cores"] == pytest.approx(expected)
