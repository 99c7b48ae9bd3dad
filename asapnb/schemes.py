"""How workers share the parameters: the synchronization schemes, by name and option.

One frozen dataclass per scheme, for the engine and the simulator alike; an option that only the simulator has shows
where it is set. `parse_scheme` reads the text form that the command line and configuration files use, which is also
how a scheme prints: `Leashed(persistence=1)`.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal

from .errors import UsageError, unknown
from .text import parse_call


def _simulated(default: Any) -> Any:
    """An option of the simulator only."""
    return field(default=default, metadata={"simulated": True})


class _Scheme:
    """What all schemes have: a text that `parse_scheme` reads."""

    def __repr__(self) -> str:
        shown = [f for f in _fields(self) if not f.metadata or getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"


def _fields(scheme: Any) -> tuple[Field[Any], ...]:
    return fields(scheme)


def simulated_only(scheme: Scheme) -> str | None:
    """What of a scheme only the simulator has, as text; None where real threads have it all.

    >>> simulated_only(LockBased(order="random")), simulated_only(LockBased())
    ("order='random'", None)
    """
    if isinstance(scheme, ParameterServer):
        return "ParameterServer"
    options = [f for f in _fields(scheme) if f.metadata and getattr(scheme, f.name) != f.default]
    return ", ".join(f"{f.name}={getattr(scheme, f.name)!r}" for f in options) or None


def _bound(text: str, value: Any, least: int, what: str, most: int = 2**31 - 1) -> None:
    """UsageError unless the value is None or an integer from `least` to `most`."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
        raise UsageError(f"{text}: {what} is None or an integer from {least} to {most:,}")


def _switch(text: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"{text}: True or False")


@dataclass(frozen=True, repr=False)
class Sequential(_Scheme):
    """One worker: ordinary minibatch SGD. The same bits every time."""


@dataclass(frozen=True, repr=False)
class Synchronous(_Scheme):
    """In every round each worker computes one gradient at the same parameters, and their average is one update.

    Args:
        wait_for: K-sync: a round ends with the first K gradients, and the others are given up (simulator only).
            None waits for all.
        batches: K-batch-sync: a worker that is ready goes on with the next minibatch at the same parameters, until
            there are K gradients (simulator only).

    The staleness is 0 and a version is a round. The same bits every time.

    Source of K-sync and K-batch-sync: Dutta, Joshi, Ghosh, Dube, Nagpurkar, "Slow and stale gradients can win the
    race", AISTATS 2018, arXiv 1803.01113.
    """

    wait_for: int | None = _simulated(None)
    batches: bool = _simulated(False)

    def __post_init__(self) -> None:
        _bound(f"Synchronous(wait_for={self.wait_for!r})", self.wait_for, 1, "the number of gradients in a round")
        _switch(f"Synchronous(batches={self.batches!r})", self.batches)
        if self.batches and self.wait_for is None:
            raise UsageError("Synchronous(batches=True): say how many gradients a round takes, as wait_for=8")

    def gradients(self, workers: int) -> int:
        """The gradients that a round averages.

        >>> Synchronous().gradients(8), Synchronous(wait_for=3).gradients(8)
        (8, 3)
        """
        return workers if self.wait_for is None else self.wait_for


@dataclass(frozen=True, repr=False)
class LockBased(_Scheme):
    """A lock around the copy of the parameters and another visit to it around the update.

    Args:
        order: who gets the lock next, "fifo" (who has waited longest) or "random" (simulator only; between real
            threads it is up to the machine).
        fused: read anew in the visit that updates, with no other update between (simulator only).

    Views are consistent and the staleness is the exact number of updates missing from the view.
    """

    order: Literal["fifo", "random"] = _simulated("fifo")
    fused: bool = _simulated(False)

    def __post_init__(self) -> None:
        if self.order not in ("fifo", "random"):
            raise unknown("order of LockBased", self.order, ("fifo", "random"))
        _switch(f"LockBased(fused={self.fused!r})", self.fused)


@dataclass(frozen=True, repr=False)
class Hogwild(_Scheme):
    """No synchronization of the parameters: reads and writes race, component by component.

    Args:
        view: "in_place" computes the gradient on the shared parameters themselves; "snapshot" copies them first
            (the copy tears while others write).
        blocks: the pieces, one after the other, in which the simulator has parameters read and written: pieces
            that are read or written at different times make a view inconsistent (simulator only).

    The staleness counts the updates claimed between the start of the view and the update; as the view mixes
    versions, it does not bound what is missing from it.

    Source: Niu, Recht, Ré, Wright, "Hogwild!", NIPS 2011.
    """

    view: Literal["in_place", "snapshot"] = "in_place"
    blocks: int = _simulated(16)

    def __post_init__(self) -> None:
        if self.view not in ("in_place", "snapshot"):
            raise unknown("view of Hogwild", self.view, ("in_place", "snapshot"))
        if isinstance(self.blocks, bool) or not isinstance(self.blocks, int) or not 1 <= self.blocks <= 1024:
            raise UsageError(f"Hogwild(blocks={self.blocks!r}): an integer from 1 to 1024")


@dataclass(frozen=True, repr=False)
class Leashed(_Scheme):
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
        _bound(f"Leashed(persistence={self.persistence!r})", self.persistence, 0, "the persistence bound")
        _switch(f"Leashed(check_early={self.check_early!r})", self.check_early)


@dataclass(frozen=True, repr=False)
class ParameterServer(_Scheme):
    """Workers on other machines: gradients travel to a server, which applies one at a time and sends parameters back.

    Simulator only. Every message takes a `network` time of the timing; the server serves in the order of arrival,
    and each gradient costs it an `update` and the answer a `read`.

    Args:
        bound: stale synchronous parallel: a worker that is more than so many gradients ahead of the slowest waits.
            None never waits.
        discard_after: R: a gradient that R or more updates have overtaken is not applied, and makes no version
            (Ringmaster's numbering).
        restart: with discard_after: a worker whose gradient is certain to be discarded is told so, and starts anew.

    Sources: Ho et al., "More effective distributed ML via a stale synchronous parallel parameter server", NIPS 2013;
    Maranjyan, Tyurin, Richtárik, "Ringmaster ASGD", ICML 2025, arXiv 2501.16168.
    """

    bound: int | None = None
    discard_after: int | None = None
    restart: bool = False

    def __post_init__(self) -> None:
        _bound(f"ParameterServer(bound={self.bound!r})", self.bound, 0, "the bound", 10**6)
        _bound(f"ParameterServer(discard_after={self.discard_after!r})", self.discard_after, 1, "the limit")
        _switch(f"ParameterServer(restart={self.restart!r})", self.restart)
        if self.restart and self.discard_after is None:
            raise UsageError(
                "ParameterServer(restart=True): needs discard_after=R, after which a gradient is useless"
            )


Scheme = Sequential | Synchronous | LockBased | Hogwild | Leashed | ParameterServer

SCHEMES: dict[str, type[Scheme]] = {
    "sequential": Sequential,
    "synchronous": Synchronous,
    "lock-based": LockBased,
    "hogwild": Hogwild,
    "leashed": Leashed,
    "parameter-server": ParameterServer,
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
