"""A number of workers that changes: schedules against their twin, and what holds for any of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_simulator import simulate
from test_events import assert_same, assert_that_of_the_twin, cases

from asapnb.schemes import LockBased, ParameterServer
from asapnb.simulator import schedule, staleness_only
from asapnb.workforce import as_workforce

ELASTIC = ("lock-based", "hogwild", "leashed", "parameter-server", "ringmaster")


@st.composite
def changing(draw, family):
    """A case of `schedule` in which the number of workers changes up to four times."""
    timing, scheme, workers, updates, seed = draw(cases(family))
    if scheme.most_ahead is not None:
        scheme = ParameterServer(discard_after=scheme.discard_after, restart=scheme.restart)
    if scheme.intervals:
        scheme = replace(scheme, interval=None)
    versions = draw(st.lists(st.integers(1, max(2, updates)), max_size=4, unique=True).map(sorted))
    numbers = draw(st.lists(st.integers(1, workers), min_size=len(versions), max_size=len(versions)))
    places = [0, *versions]
    numbers = draw(st.permutations([workers, *numbers]))
    return timing, scheme, as_workforce(list(zip(places, numbers, strict=True))), updates, seed


@pytest.mark.parametrize("family", ELASTIC)
def test_a_schedule_with_another_number_of_workers_is_that_of_the_twin(family):
    @settings(max_examples=40)
    @given(changing(family))
    def compare(case):
        assert_that_of_the_twin(*case)

    compare()


@pytest.mark.parametrize("family", ELASTIC)
def test_only_workers_in_force_read_and_all_that_began_is_applied(family):
    @settings(max_examples=15)
    @given(changing(family))
    def hold(case):
        rows, force = schedule(*case).rows, case[2]
        for row in rows:
            assert row["worker"] < force.at(row["read_version"])
        applied = rows[rows["dropped"] == 0]
        assert (applied["version"] == 1 + np.arange(len(applied))).all()
        assert (applied["tau"] == applied["version"] - 1 - applied["read_version"]).all()

    hold()


def test_the_staleness_of_a_stretch_is_geometric_after_its_transition():
    changes = [(0, 4), (100_000, 12), (200_000, 2)]
    made = schedule("exponential(1)", workers=changes, updates=300_000, seed=3)
    for (start, m), end in zip(changes, (100_000, 200_000, 300_000), strict=True):
        settled = made.tau[start + 500 : end]
        law = (1 - 1 / m) ** np.arange(200) / m
        seen = np.bincount(settled, minlength=200)[:200] / len(settled)
        assert abs(settled.mean() - (m - 1)) < 5 * np.sqrt(m * (m - 1) / (len(settled) / (2 * m))), m
        assert 0.5 * np.abs(seen - law).sum() < 0.02, m


def test_counts_are_those_of_the_rows():
    given = "compute=exponential(1), update=0.1", LockBased(), "0:4, 900:9, 2000:3", 3000, 2
    made, counted = schedule(*given), staleness_only(*given)
    np.testing.assert_array_equal(np.bincount(made.tau), counted.counts)
    np.testing.assert_array_equal(np.bincount(made.worker, minlength=9), counted.by_worker)
    assert counted.workforce == made.workforce
    assert "3 to 9 workers" in repr(counted)


@pytest.mark.parametrize("join", ["0", "[0, 3, 50, 100]"])
def test_a_worker_that_joins_later_begins_once_it_is_in_force(join):
    made = schedule(f"compute=exponential(1), join={join}", workers="0:1, 40:4, 80:1, 90:3", updates=200, seed=1)
    rows, _ = simulate(made.timing, LockBased(), "0:1, 40:4, 80:1, 90:3", 200, 1)
    assert_same(made.rows, rows)
    assert {*made.worker[:40].tolist()} == {0}
