"""How workers share the parameters: the synchronization schemes, by name and option.

One frozen dataclass per scheme, for the engine and the simulator alike. `parse_scheme` reads the text form that
the command line and configuration files use, which is also how a scheme prints: `Leashed(persistence=1)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import UsageError, unknown
from .text import parse_call


@dataclass(frozen=True)
class Sequential:
    """One worker: ordinary minibatch SGD. The same bits every time."""


@dataclass(frozen=True)
class Synchronous:
    """In every round each worker computes one gradient at the same parameters, and their average is one update.

    The staleness is 0 and a version is a round. The same bits every time.
    """


@dataclass(frozen=True)
class LockBased:
    """A lock around the copy of the parameters and another visit to it around the update.

    Views are consistent and the staleness is the exact number of updates missing from the view.
    """


@dataclass(frozen=True)
class Hogwild:
    """No synchronization of the parameters: reads and writes race, component by component.

    Args:
        view: "in_place" computes the gradient on the shared parameters themselves; "snapshot" copies them first
            (the copy tears while others write).

    The staleness counts the updates claimed between the start of the view and the update; as the view mixes
    versions, it does not bound what is missing from it.

    Source: Niu, Recht, Ré, Wright, "Hogwild!", NIPS 2011.
    """

    view: Literal["in_place", "snapshot"] = "in_place"

    def __post_init__(self) -> None:
        if self.view not in ("in_place", "snapshot"):
            raise unknown("view of Hogwild", self.view, ("in_place", "snapshot"))


@dataclass(frozen=True)
class Leashed:
    """Lock-free and consistent: a new parameter vector is published by compare-and-swap on one word.

    Args:
        persistence: the persistence bound T_p: a gradient is dropped after T_p + 1 failed attempts to publish
            its update. None means never.
        check_early: leave an attempt as soon as another worker has published, before the vector is finished.

    Source: Bäckström, Walulya, Papatriantafilou, Tsigas, "Consistent lock-free parallel stochastic gradient
    descent for fast and stable convergence", IPDPS 2021, arXiv 2102.09032.
    """

    persistence: int | None = None
    check_early: bool = False

    def __post_init__(self) -> None:
        bound = self.persistence
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int) or not 0 <= bound < 2**31):
            raise UsageError(
                f"Leashed(persistence={bound!r}): the persistence bound is None or an integer from 0 to 2**31 - 1"
            )
        if not isinstance(self.check_early, bool):
            raise UsageError(f"Leashed(check_early={self.check_early!r}): True or False")


Scheme = Sequential | Synchronous | LockBased | Hogwild | Leashed

SCHEMES: dict[str, type[Scheme]] = {
    "sequential": Sequential,
    "synchronous": Synchronous,
    "lock-based": LockBased,
    "hogwild": Hogwild,
    "leashed": Leashed,
}


def parse_scheme(text: str) -> Scheme:
    """The scheme that a text names: "lock-based", "hogwild(view=snapshot)", or as a scheme prints itself.

    >>> parse_scheme("leashed(persistence=1)"), parse_scheme("LockBased()")
    (Leashed(persistence=1, check_early=False), LockBased())
    """
    name, bracket, arguments = text.strip().partition("(")
    plain = {key.replace("-", ""): scheme for key, scheme in SCHEMES.items()}
    key = name.strip().lower().replace("-", "").replace("_", "")
    if key not in plain:
        raise unknown("scheme", name.strip(), SCHEMES)
    scheme: Scheme = parse_call(key + bracket + arguments, plain, "scheme")
    return scheme
