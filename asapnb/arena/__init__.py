"""The arena: step-size rules in a fixed suite of scenarios and problems, each at its best step size."""

from .cells import SUITE
from .contest import compete
from .contestants import Contestant, builtin, contestant
from .results import Result, Runs, Score
from .suite import Cell, Scenario, Suite, Task

__all__ = [
    "SUITE",
    "Cell",
    "Contestant",
    "Result",
    "Runs",
    "Scenario",
    "Score",
    "Suite",
    "Task",
    "builtin",
    "compete",
    "contestant",
]
