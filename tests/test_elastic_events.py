"""A number of workers that changes: schedules against their twin, and what holds for any of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_simulator import simulate
from test_events import assert_same, cases

from asapnb.schemes import ParameterServer
from asapnb.simulator import schedule
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
    @settings(max_examples=60)
    @given(changing(family))
    def compare(case):
        made = schedule(*case)
        rows, views = simulate(*case)
        assert_same(made.rows, rows)
        if views is not None:
            np.testing.assert_array_equal(made.t_view, views)

    compare()


@pytest.mark.parametrize("family", ELASTIC)
def test_only_workers_in_force_read_and_all_that_began_is_applied(family):
    @settings(max_examples=40)
    @given(changing(family))
    def hold(case):
        rows, force = schedule(*case).rows, case[2]
        for row in rows:
            assert row["worker"] < force.at(row["read_version"])
        applied = rows[rows["dropped"] == 0]
        assert (applied["version"] == 1 + np.arange(len(applied))).all()
        assert (applied["tau"] == applied["version"] - 1 - applied["read_version"]).all()

    hold()
