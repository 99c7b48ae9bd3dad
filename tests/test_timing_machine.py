"""The timing of a machine: who shares a core, and the staleness that a real machine of 36 cores showed."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asapnb.errors import UsageError
from asapnb.timing import Timing, lognormal, machine, parse_timing, slowed
from asapnb.timing.workers import for_workers

SCRIPT = Path(__file__).parents[1] / "experiments/paper-machine/machine.py"


@given(st.integers(1, 200), st.integers(1, 400), st.floats(1, 9))
def test_workers_share_cores_only_when_there_are_more_of_them(cores, workers, smt):
    made = machine(cores, smt)
    if workers > 2 * cores:
        with pytest.raises(UsageError, match=f"{cores} cores for {workers} workers.*at most {2 * cores}"):
            for_workers(made, workers, "compute")
        return
    times = for_workers(made, workers, "compute")
    sharing = sum(time != lognormal(1, 0.03) for time in times) if smt > 1 else 2 * max(0, workers - cores)
    assert len(times) == workers
    assert workers - sharing + sharing / 2 == min(workers, cores)  # cores that are busy
    assert times[workers - sharing :] == (lognormal(smt, 0.03),) * sharing


def test_a_machine_is_text_a_field_and_slowed():
    timing = Timing(compute=machine(cores=2, cv=0.0, mean=3))
    assert str(timing) == "Timing(compute=machine(cores=2, smt=1.66, cv=0.0, mean=3.0))"
    assert parse_timing(str(timing)) == parse_timing("machine(cores=2, cv=0, mean=3)") == timing
    assert [time.mean for time in Timing(slowed(machine(2), 2, [0])).times("compute", 2)] == [2.0, 1.0]
    assert set(timing.compiled(2).kinds.tolist()) == {0}  # cv = 0 is constant


@pytest.mark.parametrize(
    "wrong", ["cores=0", "cores=1.5", "smt=0.9", "cv=-1", "cv=1e-9", "mean=-1", "mean=0", "core=3"]
)
def test_parameters_are_checked(wrong):
    with pytest.raises(UsageError, match=wrong.split("=")[0] if wrong != "mean=0" else "compute"):
        parse_timing(f"machine({wrong})")


def test_every_line_of_the_real_machine_is_met_within_what_the_page_says():
    spec = importlib.util.spec_from_file_location("machine_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    bound = {"mean": 0.03, "sd": 0.35, "sum of p²": 0.3, "fast share": 0.04}
    found = script.distances(cv=0.03, updates=100_000)
    assert len(found) == sum(value is not None for line in script.SEEN.values() for value in line)
    for workers, name, seen, simulated in found:
        assert abs(simulated / seen - 1) < bound[name], (workers, name, seen, simulated)
