"""Intervals on real threads: no gradient crosses a boundary, and nobody waits in vain."""

import itertools

import numpy as np
import pytest
from commands import printed
from hypothesis import given, settings
from hypothesis import strategies as st
from intervals import assert_none_crosses, boundaries
from problems import SCRIPT, failing, pull_slowly, quadratic, train, with_neighbours

import asapnb as ab
from asapnb.compiled import part
from asapnb.engine import adapting, words
from asapnb.engine.adapting import progress, trials
from asapnb.engine.loops import gate
from asapnb.errors import UsageError
from asapnb.schemes import boundary_after, length_at, parse_scheme
from asapnb.training.words import INTERRUPTED, NEVER

SLOW = quadratic(gradient=pull_slowly)
SCHEMES = ["lock-based", "hogwild", "hogwild(view=snapshot)", "leashed", "leashed(persistence=0)"]


def in_intervals(scheme, interval):
    """A scheme, as text, with this option."""
    return f"{scheme[:-1]}, interval={interval})" if scheme.endswith(")") else f"{scheme}(interval={interval})"


# --- whole runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [1, 3, 64, "[(0, 5), (23, 2), (60, 9)]"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_gradient_crosses_a_boundary_and_a_run_replays(scheme, interval):
    for workers in (2, 8):
        run = train(SLOW, in_intervals(scheme, interval), workers=workers, updates=150, step_size=0.01, eval_every=50)
        assert run.status == "finished"
        assert list(run.evals["step"]) == [0, 50, 100, 150]
        assert_none_crosses(run.updates, parse_scheme(run.config["scheme"]).intervals)
        if not scheme.startswith("hogwild"):
            assert (ab.replay(run, SLOW).params["final"] == run.params["final"]).all()


def test_intervals_of_one_gradient_are_sequential():
    alone = train(quadratic(), "sequential", updates=40).params["final"]
    for scheme in SCHEMES:
        run = train(quadratic(), in_intervals(scheme, 1), updates=40)
        assert not run.updates["tau"].any()
        np.testing.assert_array_equal(run.params["final"], alone)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_run_goes_on_in_the_middle_of_an_interval(scheme, tmp_path):
    """The boundaries stay where they were, whatever was in flight at the seam."""
    scheme, path = in_intervals(scheme, 7), tmp_path / "run.h5"
    train(SLOW, scheme, updates=17, workers=8, step_size=0.01, out=path, eval_every=0)
    rows = ab.resume(path, problem=SLOW, updates=60).updates
    assert rows["version"].max() == 60
    number = np.arange(len(rows["version"]))
    for boundary in range(7, len(number), 7):
        applied = rows["dropped"] != 1
        made = applied[:boundary].sum()  # by rows up to the boundary, which are in the order of gradients finished
        if applied.all():
            assert not ((rows["read_version"] < made) & (rows["version"] > made)).any()
    assert rows["tau"].max() < 7


def test_a_failure_frees_those_who_wait():
    with pytest.raises(ValueError, match="this gradient fails"):
        train(failing(), "lock-based(interval=2)", workers=6, updates=10**6, step_size=1.0)


# --- the gate alone -----------------------------------------------------------------------------------------------


@part()
def count_spins(spins):
    return spins + 1


@part()
def load_while_others_work(control, place):
    """`load`. At a look at the gate another worker finishes a gradient, as often as the script says; then a stop."""
    if control[SCRIPT] > 0 and place == words.CLOSES:
        control[SCRIPT] -= 1
        gate.finish(control)
    elif control[SCRIPT] == 0 and place == words.STOP:
        control[words.STOP] = INTERRUPTED
    return control[place]


def words_of_gate(lengths, finished=0, lost=0):
    control = np.zeros(words.READING, np.int64)
    control[words.QUOTA], control[words.LOST], control[words.FINISHED] = 10**6, lost, finished
    control[words.CLOSES] = boundary_after(lengths, finished)
    pairs = np.array([*lengths, (NEVER, 0)]).ravel()
    control[words.INTERVALS : words.INTERVALS + len(pairs)] = pairs
    return control


IS_OVER = with_neighbours(gate.is_over, load=load_while_others_work)
ADMITTED = with_neighbours(gate.admitted, load=load_while_others_work, relax=count_spins, is_over=IS_OVER)
FINISH = with_neighbours(gate.finish)


@pytest.mark.parametrize("lost", [0, 3])
@pytest.mark.parametrize("number", [5, 6, 11, 12, 17, 18])
def test_a_gradient_waits_for_those_of_earlier_intervals_and_no_longer(number, lost):
    control = words_of_gate(((0, 6),), finished=2, lost=lost)
    needed = number // 6 * 6 - 2
    control[SCRIPT] = max(needed, 0)
    assert ADMITTED(control, number + lost)
    assert control[words.FINISHED] == max(needed, 0) + 2
    if needed > 0:
        control = words_of_gate(((0, 6),), finished=2, lost=lost)
        control[SCRIPT] = needed - 1
        assert not ADMITTED(control, number + lost), "until the run is stopped"


@pytest.mark.parametrize(("place", "value"), [(words.VERSION, 10**6), (words.POINTER, 10**6 << words.SLOT_BITS)])
def test_a_gradient_does_not_wait_once_the_quota_is_reached(place, value):
    control = words_of_gate(((0, 6),))
    control[SCRIPT], control[place] = -1, value
    assert not ADMITTED(control, 6)


steps = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 40)), max_size=30).map(
    lambda more: tuple((sum(gap for gap, _ in more[:i]), length) for i, (_, length) in enumerate(more)) or ((0, 3),)
)


@settings(max_examples=50)
@given(steps.map(lambda table: ((0, table[0][1]), *table[1:])), st.integers(0, 400))
def test_the_worker_that_finishes_an_interval_opens_one_of_the_length_in_force(lengths, count):
    control = words_of_gate(lengths)
    for finished in range(1, count + 1):
        FINISH(control)
        assert control[words.CLOSES] == boundary_after(lengths, finished)
    passed = boundaries(lengths, count)
    assert all(b - a == length_at(lengths, a) for a, b in itertools.pairwise(passed))


def test_without_intervals_nothing_is_counted():
    control = words_of_gate(((0, 6),))
    control[words.CLOSES] = NEVER
    FINISH(control)
    assert ADMITTED(control, 10**9)
    assert control[words.FINISHED] == 0


# --- adapted to the progress --------------------------------------------------------------------------------------


def test_the_length_under_which_the_loss_falls_faster_is_kept():
    best, lengths = 32, []
    windows = trials(4, most=256)
    length = next(windows)
    for number in range(200):  # progress that slows down steadily, as it does
        lengths.append(length)
        length = windows.send(1000.0 - number - 10 * abs(np.log2(length / best)))
    kept = lengths[3::4]  # the last window of a trial is that of the length that is in force
    assert kept[:5] == [4, 8, 16, 32, 32]
    assert set(kept[3:]) == {best}
    assert set(lengths[12:]) == {best // 2, best, 2 * best}


@pytest.mark.parametrize(("start", "most"), [(1, 4), (4, 4), (3, 5), (9, 4)])
def test_no_length_is_tried_beyond_the_limits(start, most):
    for better in (-1, 1):
        windows = trials(start, most)
        length, lengths = next(windows), []
        for _ in range(60):
            lengths.append(length)
            length = windows.send(float(better * length))
        assert min(lengths) >= 1
        assert max(lengths) <= max(most, start)
        assert lengths[-1] in ((1, 2) if better < 0 else (max(lengths), max(lengths) // 2))


def test_progress_is_the_fall_of_a_line():
    seconds = np.linspace(3, 5, 101)
    wave = np.cos(2 * np.pi * (seconds - 4))  # symmetric about the middle: no slope
    assert progress(seconds, np.float32(7 - 0.25 * seconds + wave)) == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize("scheme", ["lock-based", "hogwild", "leashed(persistence=0)"])
def test_adapted_lengths_are_recorded_and_go_on(scheme, tmp_path, monkeypatch, stops_when):
    monkeypatch.setattr(adapting, "_WINDOW", 20)
    path, given, changes = tmp_path / "run.h5", {"workers": 3, "step_size": 0.01, "eval_every": 0}, [3]
    stops_when(lambda controller: len(controller._adapting.history) > changes[-1])
    run = train(SLOW, in_intervals(scheme, "3, adaptive=True"), updates=10**6, out=path, **given)
    lengths = tuple((one["after"], one["length"]) for one in run.attributes["intervals"])
    assert lengths[0] == (0, 3)
    assert len(lengths) > 3
    changes.append(len(lengths) + 1)
    assert all(b == boundary_after(lengths, b - 1) for b, _ in lengths[1:])
    assert_none_crosses(run.updates, lengths)
    longer = ab.resume(path, problem=SLOW)
    more = tuple((one["after"], one["length"]) for one in longer.attributes["intervals"])
    assert more[: len(lengths)] == lengths
    assert len(more) > len(lengths) + 1
    assert longer.status == "interrupted"
    assert all(b == boundary_after(more, b - 1) for b, _ in more[1:])
    shown = printed("show", path)
    assert f"length 3 → {more[-1][1]}" in shown, shown
    if scheme != "hogwild":
        assert (ab.replay(longer, SLOW).params["final"] == longer.params["final"]).all()


def test_what_is_measured_cannot_be_simulated():
    for wrong, says in (({}, "needs interval=K"), ({"interval": [(0, 3), (9, 4)]}, "needs interval=K")):
        with pytest.raises(UsageError, match=says):
            ab.LockBased(adaptive=True, **wrong)
    with pytest.raises(UsageError, match="adaptive=True is for real workers only; run it with train"):
        ab.simulate(quadratic(), "leashed(interval=4, adaptive=True)", updates=10)


# --- what can be given --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "says"),
    [
        (0, "interval of Leashed is 0: must be an integer from 1"),
        (True, "interval of Leashed is True: must be an integer"),
        ([], "must be 1 to 31 steps such as"),
        ([(0, 4), (5,)], "must be 1 to 31 steps such as"),
        ([(3, 4)], "the first step must begin at 0"),
        ([(0, 4), (9, 3), (9, 2)], "each next one later than the one before"),
        ([(0, 4), (9, 0)], "step 1 of interval of Leashed is 0"),
        ("0:4, x:3", "the start of step 1 of interval of Leashed is 'x'"),
        ([(i, 1) for i in range(32)], "must be 1 to 31 steps such as"),
    ],
)
def test_what_is_no_length_is_refused(interval, says):
    with pytest.raises(UsageError, match=says):
        ab.Leashed(interval=interval)


def test_lengths_are_read_as_they_are_printed():
    for scheme in (ab.LockBased(interval=8), ab.Hogwild(interval="0:64, 5000:16"), ab.Leashed(interval=[(0, 4)])):
        assert parse_scheme(str(scheme)) == scheme
    assert parse_scheme("hogwild(interval='0:64, 5000:16')").intervals == ((0, 64), (5000, 16))
    assert "interval" not in str(ab.LockBased())
    said = printed("train", "--problem", "quadratic([1])", "--scheme", "lock-based(interval=0)", code=2)
    assert "interval of LockBased is 0" in said
