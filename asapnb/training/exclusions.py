"""Arguments of a run that exclude each other: each pair once, with the reason."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import UsageError
from .arguments import ARGUMENTS


class Use(NamedTuple):
    """An argument in use: with this value, as its check returns it; None means any value but the default."""

    name: str
    value: Any = None

    def is_made(self, values: Mapping[str, Any]) -> bool:
        """Whether the arguments use it so."""
        usual = ARGUMENTS[self.name].default
        given = values.get(self.name, usual)
        return bool(given != usual if self.value is None else given == self.value)


class Exclusion(NamedTuple):
    """Two uses of arguments that exclude each other, and why."""

    one: Use
    other: Use
    why: str


_OWN = "an optimizer has moments of its own"
EXCLUSIONS = (
    Exclusion(Use("optimizer"), Use("momentum"), _OWN),
    Exclusion(Use("optimizer"), Use("direct_share"), _OWN),
    Exclusion(Use("optimizer"), Use("momentum_kind"), _OWN),
    Exclusion(
        Use("momentum_kind", "ordered"),
        Use("direct_share"),
        "ordered momentum applies each gradient together with all that it would have done meanwhile",
    ),
    Exclusion(Use("epochs"), Use("updates"), "both say how far the run goes"),
)


def check_together(values: Mapping[str, Any]) -> None:
    """UsageError for arguments that exclude each other; it names both.

    >>> check_together({"epochs": 2, "updates": 100})
    Traceback (most recent call last):
    asapnb.errors.UsageError: epochs is 2 and updates is 100: both say how far the run goes; give one of them
    """
    for one, other, why in EXCLUSIONS:
        if one.is_made(values) and other.is_made(values):
            given = " and ".join(f"{use.name} is {values[use.name]!r}" for use in (one, other))
            raise UsageError(f"{given}: {why}; give one of them")
