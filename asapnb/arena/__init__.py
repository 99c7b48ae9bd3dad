"""The arena: step-size rules in a fixed suite of scenarios and problems, each at its best step size."""

from .cells import SUITE
from .contest import compete
from .contestants import Contestant, builtin, contestant
from .results import Result, Runs, Score
from .standings import Place, Speed, Standings, standings
from .suite import Cell, Scenario, Suite, Task

__all__ = [
    "SUITE",
    "Cell",
    "Contestant",
    "Place",
    "Result",
    "Runs",
    "Scenario",
    "Score",
    "Speed",
    "Standings",
    "Suite",
    "Task",
    "builtin",
    "compete",
    "contestant",
    "standings",
]
