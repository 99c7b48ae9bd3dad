"""The schedules that are known by name, and `register`, which is all that makes a schedule one of them."""

from collections.abc import Callable
from typing import TypeVar

from ..loading import Entry, Registry

Builder = TypeVar("Builder", bound=Callable[..., object])
# Every schedule by name, also those of your own that are registered.
SCHEDULES: Registry[Entry] = Registry("schedule", "the formula of the factor")


def register(example: str) -> Callable[[Builder], Builder]:
    """Make a function that returns a schedule known by its name: a decorator, all that a new schedule needs.

    The first line of the function's docstring is the formula of the factor of version t: it is what `available` and
    the documentation show. See docs/how-to/extending/schedule.md.

    Args:
        example: the text of a schedule of that name, such as "warmup(500)".

    UsageError where any of these is missing, or a schedule of asapnb has the name. A function that is defined again,
    as when its file is loaded twice, replaces the first.

    >>> @register("cosine()")
    ... def cosine(): "Half a wave."
    Traceback (most recent call last):
    asapnb.errors.UsageError: there is a schedule 'cosine' already, in asapnb.schedules.builtin: choose another name
    """

    def enter(builder: Builder) -> Builder:
        SCHEDULES.enter(Entry(builder, example))
        return builder

    return enter


def available() -> dict[str, str]:
    """Every registered schedule by name, with the first line of its description.

    >>> available()["constant"]
    'value: every update has the same factor, 1 by default; value >= 0.'
    """
    return dict(sorted(SCHEDULES.lines().items()))
