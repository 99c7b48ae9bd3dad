"""Virtual time: schedules for any number of workers, and runs that replay them."""

from .replaying import replay
from .run import simulate
from .schedules import Schedule, Tally
from .scheduling import schedule, staleness_only

__all__ = ["Schedule", "Tally", "replay", "schedule", "simulate", "staleness_only"]
