"""Compare a simulation with measured times to the run in which the times were measured."""

from typing import NamedTuple

from ..engine.calibrate_ranks import MeasuredRanks
from ..schemes import ParameterServer
from ..staleness.distances import total_variation
from ..timing import Timing
from .scheduling import staleness_only

UPDATES = 100_000


class Held(NamedTuple):
    """What a simulation says of a run.

    Attributes:
        gradients_per_second: of all workers together, in virtual time.
        total_variation: between the staleness that was measured and that in virtual time, 0 to 1.
    """

    gradients_per_second: float
    total_variation: float


def held_against(measured: MeasuredRanks, timing: Timing | None = None) -> Held:
    """Simulate a parameter server with as many workers as were measured, and their times or another timing."""
    made = staleness_only(timing or measured.timing, ParameterServer(), measured.workers, UPDATES)
    return Held(UPDATES / made.seconds, total_variation(measured.staleness, made.staleness))
