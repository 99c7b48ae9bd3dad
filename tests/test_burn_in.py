"""The beginning of a run, before its rule has seen any staleness: what it is, a prior, a warm-up."""

import h5py
import numpy as np
import pytest
from problems import quadratic, train
from simulations import assert_same_runs, simulate

import asapnb as ab
from asapnb.analysis import compare
from asapnb.errors import RecordError, UsageError
from asapnb.record.figures import figures
from asapnb.rules import ScaleTables, every, tail
from asapnb.rules.tables import table_length
from asapnb.schemes import LockBased
from asapnb.staleness import StalenessDistribution, geometric
from asapnb.timing import Timing
from asapnb.training.prior import as_prior

TAIL = "tail(refresh=every(7))"


def begun(run):
    return run.summary()["burn_in"]


def test_of_real_and_of_virtual_time():
    run = simulate(rule=TAIL, updates=120)
    after = run.updates["scale"][50:].astype(float)
    assert begun(run) == {"made_from": "nothing", "updates": 50, "mean_scale_after": after.mean()}
    run = train(quadratic(), "lock-based", rule="tail", workers=2, updates=300)
    assert begun(run)["made_from"] == "nothing"
    assert begun(run)["updates"] >= 20 or not run.staleness.support
    assert begun(simulate(rule=TAIL, updates=30)) == {
        "made_from": "nothing", "updates": 30, "mean_scale_after": None,
    }  # fmt: skip


@pytest.mark.parametrize("rule", ["constant", "inverse", TAIL])
@pytest.mark.parametrize("scheme", ["lock-based", "sequential", "synchronous"])
def test_what_needs_no_staleness_has_none(rule, scheme):
    run = simulate(rule=rule, scheme=scheme, updates=60)
    waits = rule == TAIL and scheme == "lock-based"
    assert begun(run)["updates"] == (50 if waits else 0)
    assert begun(run)["made_from"] == ("nothing" if waits else "rule")


def test_a_note_says_which_options_had_no_effect():
    def note(**options):
        run = simulate(updates=40, **options)
        return dict(figures(run, run.summary()))["note"]

    said = "prior and worker_tables had no effect: no scale of this run follows from staleness seen"
    for rule in ("constant", "inverse"):
        assert note(rule=rule, prior="geometric(m=4)", worker_tables=True) == said
        assert note(rule=rule) == ""
    assert note(rule=TAIL, prior="geometric(m=4)", worker_tables=True) == ""
    assert note(rule=TAIL, scheme="synchronous", prior="geometric(m=4)").startswith("prior had no effect")


def test_with_a_table_for_each_worker():
    run = simulate(rule=TAIL, worker_tables=True, updates=200)
    own = [np.flatnonzero(run.updates["worker"] == worker) for worker in range(5)]
    assert begun(run)["updates"] == sum(min(len(rows), 50) for rows in own)


def test_scales_that_stay_1_are_no_longer_burn_in_once_staleness_was_seen():
    run = simulate(rule="tail(amplitude=0, refresh=every(7))", updates=120)
    assert len(run.rule_tables.steps) == 1
    assert begun(run) == {"made_from": "nothing", "updates": 50, "mean_scale_after": 1.0}


def test_on_threads_it_lasts_until_a_table_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr(ScaleTables, "observe", lambda self, tau, at=None: None)  # the main thread comes too late
    run = train(quadratic(), "lock-based", rule=TAIL, workers=2, updates=100, out=tmp_path / "run.h5")
    assert begun(run) == {"made_from": "nothing", "updates": 100, "mean_scale_after": None}
    monkeypatch.undo()
    assert begun(ab.replay(run, quadratic())) == begun(run)
    run = ab.resume(run, updates=150, problem=quadratic())  # its first table is made at once
    assert begun(run)["updates"] >= 100


@pytest.mark.parametrize("rule", ["inverse", TAIL, "tail(amplitude=0, refresh=every(7))"])
def test_a_file_that_does_not_say_is_known_by_its_rows_and_its_rule(rule, tmp_path):
    run = simulate(rule=rule, updates=120, out=tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file.attrs["first_table"]
    assert begun(ab.load_run(tmp_path / "run.h5")) == begun(run)


@pytest.mark.parametrize(
    ("prior", "text", "expected"),
    [
        ("geometric(m=5)", "geometric(m=5)", geometric(m=5)),
        ([4, 2, 1, 0], "counts([4, 2, 1])", StalenessDistribution.from_counts([4, 2, 1])),
        (np.array([1, 1.5]), "counts([1, 1.5])", StalenessDistribution.from_counts([1, 1.5])),
        (StalenessDistribution.from_counts([1, 1]), "counts([0.5, 0.5])", StalenessDistribution.from_counts([1, 1])),
        ("compute=exponential(1)", "compute=exponential(1)", None),
        (Timing(compute=2.0), "Timing(compute=2.0)", None),
    ],
)
def test_a_prior_is_what_the_first_table_is_made_from(prior, text, expected):
    run = simulate(rule=TAIL, updates=70, prior=prior)
    assert run.config["prior"] == text
    made = as_prior(text).staleness(LockBased(), 5)
    if expected is not None:
        np.testing.assert_array_equal(made.pmf, expected.pmf)
    first = tail()(made.padded(table_length(5, made.support)), 5)
    np.testing.assert_array_equal(run.rule_tables.scales[0], first)
    assert (begun(run)["made_from"], begun(run)["updates"]) == ("prior", 50)
    without = simulate(rule=TAIL, updates=70)
    np.testing.assert_array_equal(run.rule_tables.scales[1:], without.rule_tables.scales[1:])
    assert_same_runs(run, ab.replay(run, quadratic(), threads=1))
    assert_same_runs(run, ab.replay(without, quadratic(), TAIL, prior=prior, threads=1))


def test_a_prior_of_a_run_and_on_threads(tmp_path):
    run = simulate(rule=TAIL, updates=70, out=tmp_path / "run.h5")
    counts = np.bincount(run.updates["tau"]).tolist()
    assert str(as_prior(run)) == str(as_prior(f"{tmp_path}/run.h5")) == f"counts({counts})"
    made = train(quadratic(), "lock-based", rule="tail", workers=2, updates=15, prior=[1, 1, 0])
    np.testing.assert_array_equal(
        made.updates["scale"], np.take([1.5, 0.5, 0, 0], np.minimum(made.updates["tau"], 3))
    )
    longer = ab.resume(simulate(rule=TAIL, updates=20, prior=[1, 1], out=tmp_path / "less.h5"), updates=70,
                       problem=quadratic())  # fmt: skip
    assert_same_runs(longer, simulate(rule=TAIL, updates=70, prior=[1, 1]), but=())


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("geo", "cannot read the prior 'geo': give a model of staleness"),
        (" ", "the prior is empty: give a model of staleness"),
        ("geometric()", "geometric takes either p"),
        ("counts([0])", "holds no staleness"),
        ([], r"prior is .*: must be"),
        ([-1, 2], "prior is .*: must be a StalenessDistribution, counts by staleness"),
        (3.5, "prior is 3.5: must be"),
    ],
)
def test_bad_priors(prior, message):
    with pytest.raises(UsageError, match=message):
        simulate(rule=TAIL, prior=prior)


def test_a_run_file_opens_no_other_file(tmp_path):
    run = simulate(rule=TAIL, updates=20, prior=[1, 1], out=tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        file.attrs["config"] = str(file.attrs["config"]).replace("counts([1, 1])", "other.h5")
    with pytest.raises(RecordError, match=r"names the file other\.h5 as its prior, which is not opened"):
        ab.replay(ab.load_run(tmp_path / "run.h5"), quadratic(), TAIL)
    assert run.config["prior"] == "counts([1, 1])"


def test_a_warm_up():
    assert repr(every(7, half_life=70, warmup=2)) == "every(7, half_life=70, warmup=2)"
    assert repr(every(7, warmup=10)) == "every(7)"
    for warmup, due in ((0, 7), (1, 3), (10, 30)):
        tables = ScaleTables(tail(refresh=every(7, warmup=warmup)), workers=3)
        assert tables.next_refresh == due
        assert tables.observe([0] * (due - 1) + [1]) is not None
        assert tables.next_refresh == due + 7
    with pytest.raises(UsageError, match="warmup is -1"):
        every(7, warmup=-1)
    assert begun(simulate(rule="tail(refresh=every(7, warmup=1))", updates=60))["updates"] == 5


def test_compare_says_how_long_and_for_whom(tmp_path):
    runs = {"inverse": {}, TAIL: {}, "constant": {}}
    for rule, more in runs.items():
        simulate(rule=rule, updates=120, out=tmp_path / f"{rule.partition('(')[0]}.h5", **more)
    table = next(iter(compare(tmp_path)))
    found = {row[table.columns.index("rule")]: row[table.columns.index("burn-in")] for row in table.rows}
    assert [found[name] for name in ("constant()", "inverse()")] == [0, 0]
    assert max(found.values()) == 50
    assert "scale after" in table.columns
    assert any("Uneven burn-in: all scales were 1 for up to 50 updates (rule=tail(" in note for note in table.notes)
    even = next(iter(compare([simulate(rule=rule, updates=120) for rule in ("constant", TAIL)])))
    assert not any("Uneven" in note for note in even.notes)
    plain = next(iter(compare([simulate(rule=rule, updates=120) for rule in ("constant", "inverse")])))
    assert "burn-in" not in plain.columns
