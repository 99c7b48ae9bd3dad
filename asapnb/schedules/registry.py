"""The schedules that are known by name, and `register`, which adds one."""

from collections.abc import Callable
from typing import TypeVar

from ..loading import Entry, Registry

Builder = TypeVar("Builder", bound=Callable[..., object])
# Every schedule by name, also those of your own that are registered.
SCHEDULES: Registry[Entry] = Registry("schedule", "the formula of the factor")


def register(example: str) -> Callable[[Builder], Builder]:
    """Register a function that returns a schedule, so that texts can name it. Use this as a decorator.

    A new schedule needs nothing else. The first line of the function's docstring is the formula of the factor of
    version t, which `available` and the documentation show. If a function is defined again, as when its file is
    loaded twice, it replaces the first one. See docs/how-to/extending/schedule.md.

    Args:
        example: a text that calls the function, such as "warmup(500)".

    Raises:
        UsageError: if the example or the docstring is missing, or if a schedule of asapnb has this name.

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
    """All registered schedules: the name of each, and the first line of its docstring.

    >>> available()["constant"]
    'value: every update has the same factor, 1 by default; value >= 0.'
    """
    return dict(sorted(SCHEDULES.lines().items()))
