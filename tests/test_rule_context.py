"""What a rule sees besides staleness and workers: on threads, in virtual time and in replays alike."""

import functools

import numpy as np
import pytest
from problems import quadratic, train
from processes import ctrl_c_interrupts
from simulations import HOGWILD, ROUNDS, assert_same_contents, assert_same_runs, simulate
from test_simulated_resume import broken, press

import asapnb as ab
from asapnb.errors import RuleError, UsageError
from asapnb.record.schema import ABANDONED
from asapnb.rules import MEANINGS, Context, Pace, ScaleTables, as_rule, every, preserve, shuffled
from asapnb.staleness import StalenessDistribution

SEEN = StalenessDistribution.from_counts([1, 1])
SCHEMES = [(scheme, False) for scheme in ("lock-based", HOGWILD[1], ROUNDS[0], ROUNDS[2], "sequential")]
SCHEMES += [(scheme, True) for scheme in ("parameter-server(discard_after=3)", HOGWILD[0])]


def fading(staleness, workers, progress):
    return np.full(len(staleness), 1.0 - 0.5 * progress)


def of_loss(staleness, workers, loss, version, p=1.0):
    return (0.5 + version % 2) / (1 + np.arange(len(staleness))) ** p * min(1.0, loss)


def of_worker(staleness, workers, worker):
    return np.full(len(staleness), 1.0 + worker)


of_loss.refresh = fading.refresh = every(7)


def expected_scales(run, rule):
    """The scale of every row, one after the other, with what the function of the rule is told."""
    rule, workers, rows = as_rule(rule), run.config["workers"], run.updates
    fresh = run.config["scheme"].startswith("S")
    owners = workers if run.config["worker_tables"] else 1
    start = {"loss": float(run.evals["train_loss"][0])}
    once = rule(StalenessDistribution.from_counts([1]).padded(1024), workers, **start) if fresh else np.ones(1024)
    tables, seen, found = [once] * owners, [[] for _ in range(owners)], []
    due = [rule.refresh.due(0, workers)] * owners
    for row, tau in enumerate(rows["tau"]):
        owner = int(rows["worker"][row]) if owners > 1 else 0
        found.append(tables[owner][tau])
        if rows["dropped"][row] == ABANDONED:
            continue
        seen[owner].append(tau)
        if len(seen[owner]) == due[owner]:
            due[owner] = rule.refresh.due(due[owner], workers)
            version = int(rows["version"][row])
            loss = float(np.mean(rows["loss"][max(0, row - 99) : row + 1].astype(float)))
            told = {"version": version, "progress": version / run.config["updates"], "loss": loss, "worker": owner}
            counts = StalenessDistribution.from_counts(np.bincount(seen[owner])).padded(1024)
            tables[owner] = rule(counts, workers, **told)
    return np.array(found)


@pytest.mark.parametrize(("scheme", "per_worker"), SCHEMES)
def test_tables_are_those_made_one_row_after_the_other(scheme, per_worker):
    """Under Hogwild rows are claimed in order here, so all losses up to a row are there when it is due."""
    for rule in (fading, of_loss):
        run = simulate(scheme=scheme, rule=rule, worker_tables=per_worker, updates=220 if per_worker else 90)
        np.testing.assert_allclose(run.updates["scale"], expected_scales(run, rule), rtol=1e-6)
        assert len(run.rule_tables.steps) > 3
        used = run.rule_tables.scales[run.updates["row"], run.updates["tau"]].astype(np.float32)
        np.testing.assert_array_equal(run.updates["scale"], used)
        assert_same_runs(run, ab.replay(run, quadratic(), threads=1))
        assert_same_runs(run, ab.replay(run, quadratic(), rule=rule, threads=1))


@pytest.mark.parametrize("scheme", ["leashed(persistence=0)", "hogwild", ROUNDS[0]])
def test_the_same_bits_on_any_number_of_threads(scheme):
    one, three = (simulate(scheme=scheme, rule=preserve(of_loss), threads=threads) for threads in (1, 3))
    assert_same_runs(one, three)
    assert len(one.rule_tables.steps) > 1


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", ROUNDS[0]])
def test_an_interrupted_run_goes_on_to_the_same_bits(scheme, tmp_path, monkeypatch):
    arguments = {"scheme": scheme, "rule": of_loss, "updates": 90}
    simulate(out=tmp_path / "whole.h5", **arguments)
    for at in (0.3, 0.8):
        with ctrl_c_interrupts(), monkeypatch.context() as patch:
            broken(patch, at, press)
            run = simulate(out=tmp_path / "run.h5", force=True, **arguments)
        assert run.status == "interrupted"
        run = ab.resume(run, problem=quadratic(), rule=of_loss)
        assert_same_contents(tmp_path / "run.h5", tmp_path / "whole.h5")


def test_on_threads_a_rule_sees_how_far_the_run_is():
    told = []

    def noting(staleness, workers, version, epoch, progress, loss):
        told.append((version, epoch, progress, loss))
        return np.full(len(staleness), 1.0 - 0.5 * progress)

    noting.refresh = every(5)
    run = train(quadratic(), "sequential", rule=noting, updates=2000, batch_size=6)
    start = told[2]  # the first two are looks at the rule before anything runs
    assert start[:3] == (0, 0, 0)
    assert start[3] == run.evals["train_loss"][0]
    assert len(told) > 4
    for version, epoch, progress, loss in told[4:]:
        assert (epoch, progress) == (version / 10, version / 2000)
        there = run.updates["version"] <= version
        assert loss == pytest.approx(run.updates["loss"][there][-100:].astype(float).mean(), rel=1e-12)
    again = ab.replay(run, quadratic(), threads=1)
    np.testing.assert_array_equal(again.params["final"], run.params["final"])


def test_a_worker_has_a_table_of_its_own_from_the_start():
    static = ab.Rule("of worker", of_worker)
    run = simulate(rule=static, worker_tables=True, updates=20)
    np.testing.assert_array_equal(run.updates["scale"], 1 + run.updates["worker"])
    for start in (simulate, functools.partial(train, quadratic(), "lock-based")):
        with pytest.raises(RuleError, match=r"names worker, but all workers share one table: give worker_tables"):
            start(rule=static)


def test_what_cannot_be_seen_is_refused():
    with pytest.raises(RuleError, match=r"mine depends on progress, but its table never changes: .* refresh=every"):
        ab.Rule("mine", fading)
    with pytest.raises(RuleError, match="a new table could come between two of them"):
        train(quadratic(), "synchronous", rule=fading)
    with pytest.raises(UsageError, match="depend on the staleness only, not on the loss"):
        shuffled(of_loss)
    with pytest.raises(RuleError, match=r"does not take: .*'momentum'.*may be version, epoch, progress"):
        as_rule(lambda staleness, workers, momentum: 0)
    with pytest.raises(UsageError, match=r"unknown value that a rule may see 'lost'; .* Did you mean 'loss'"):
        as_rule(of_loss)(SEEN, 1, lost=1)


def test_outside_of_a_run():
    assert Pace(200, 50).context(100) == Context(version=100, epoch=2.0, progress=0.5)
    assert as_rule(fading).sees == ("progress",)
    assert as_rule(of_loss).sees == ("version", "loss")
    assert preserve(of_loss).sees == ("version", "loss")
    assert as_rule(lambda staleness, workers, **more: 0).sees == ()
    np.testing.assert_array_equal(as_rule(fading)(SEEN, 1), [1, 1])
    np.testing.assert_array_equal(as_rule(fading)(SEEN, 1, progress=0.5), [0.75, 0.75])
    np.testing.assert_array_equal(preserve(of_loss)(SEEN, 1, version=1), [4 / 3, 2 / 3])
    bound = as_rule(functools.partial(fading, progress=0.5))
    assert bound.sees == ()
    np.testing.assert_array_equal(bound(SEEN, 1), [0.75, 0.75])
    assert set(MEANINGS) == {"version", "epoch", "progress", "loss", "worker", "own_share"}


def test_a_diverging_loss_is_no_reason_to_ask_the_rule():
    tables = ScaleTables(as_rule(of_loss), workers=1)
    before = tables.current
    assert tables.observe([0] * 10, lambda seen: Context(loss=float("inf"))) is None
    assert tables.current is before
