"""Virtual time: schedules for any number of workers, and runs that replay them."""

from .events import schedule, staleness_only
from .replaying import replay
from .run import simulate
from .schedules import Schedule, Tally

__all__ = ["Schedule", "Tally", "replay", "schedule", "simulate", "staleness_only"]
