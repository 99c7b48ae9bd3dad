"""Virtual time: schedules for any number of workers, and runs that replay them."""

from .events import schedule, staleness_only
from .schedule import Schedule, Tally

__all__ = ["Schedule", "Tally", "schedule", "staleness_only"]
