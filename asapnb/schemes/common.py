"""What options mean that several schemes have: the traits that follow from them, once."""

from ..errors import UsageError
from .scheme import Scheme, Steps

MOST_BUFFERED = 10**6  # gradients of a version


class InIntervals(Scheme):
    """What the option `interval` means."""

    interval: int | Steps | None

    @property
    def intervals(self) -> Steps:
        """As the option says."""
        if self.interval is None:
            return ()
        return self.interval if isinstance(self.interval, tuple) else ((0, self.interval),)


class AtOnePlace(InIntervals):
    """What `buffer`, `discard_after` and `table` mean where gradients come to one place: a lock, or a server."""

    table: bool
    buffer: int
    discard_after: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, used, why in (
            ("interval", self.interval is not None, "a boundary may come before all workers have a gradient there"),
            ("buffer", self.buffer > 1, "the table says which gradients make a version"),
            ("discard_after", self.discard_after is not None, "the table needs a gradient of every worker"),
        ):
            if self.table and used:
                raise UsageError(
                    f"{type(self).__name__}(table=True, {name}={getattr(self, name)!r}): {why}; give one of them"
                )

    @property
    def drops(self) -> bool:
        """If gradients may be given up."""
        return self.discard_after is not None

    @property
    def useless_from(self) -> int | None:
        """As the option says."""
        return self.discard_after

    def gradients(self, workers: int) -> int:
        """The buffer."""
        return self.buffer

    def sums(self, workers: int) -> int:
        """One, if gradients wait in the buffer."""
        return int(self.buffer > 1)

    def table_of(self, workers: int) -> int:
        """All, if there is a table; one alone needs none."""
        return workers if self.table and workers > 1 else 0


class OnThreads(InIntervals):
    """What the options `interval` and `adaptive` mean where workers are threads."""

    adaptive: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adaptive and (self.interval is None or isinstance(self.interval, tuple)):
            raise UsageError(
                f"{type(self).__name__}(adaptive=True): needs interval=K, the length of intervals to begin with"
            )

    @property
    def adapts(self) -> bool:
        """As the option says."""
        return self.adaptive

    @property
    def instant(self) -> bool:
        """Without intervals."""
        return not self.intervals
