"""Virtual time: schedules for any number of workers, and runs that replay them."""

from .replaying import replay
from .run import simulate
from .schedules import Schedule, Tally
from .scheduling import schedule, staleness_only
from .traces import schedule_from

__all__ = ["Schedule", "Tally", "replay", "schedule", "schedule_from", "simulate", "staleness_only"]
