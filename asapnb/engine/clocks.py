"""How far the clock of another rank is ahead of this one's, from the round trips of many small messages.

In the quickest of many round trips the message and its answer are under way for nearly as long as each other. The
error is at most half of that round trip.

Source: Mills, "Internet time synchronization: the network time protocol", IEEE Transactions on Communications 39(10),
1991.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from ..errors import RankError
from .messages import ECHO, PING, awaited, over
from .ranks import Ranks

TRIPS = 200  # round trips of which the quickest counts
_SECONDS = 30.0  # that one may take


class Offset(NamedTuple):
    """What was found of another rank's clock.

    Attributes:
        at: when, by this rank's clock, in seconds.
        ahead: seconds that the other clock was ahead.
        error: seconds by which that may be wrong: half of the quickest round trip.
    """

    at: float
    ahead: float
    error: float


def ask(ranks: Ranks, rank: int) -> Offset:
    """Find the offset of another rank, which calls `answer` meanwhile."""
    sent, got = np.zeros(1), np.zeros(2)
    best = Offset(0.0, 0.0, np.inf)
    for _ in range(TRIPS):
        begun = monotonic()
        ranks.comm.Send(sent, rank, PING)
        _receive(ranks, got, rank, ECHO)
        ended = monotonic()
        came, went = got.tolist()
        error = (ended - begun - (went - came)) / 2
        if error < best.error:
            best = Offset(begun, (came - begun + went - ended) / 2, error)
    return best


def answer(ranks: Ranks) -> None:
    """Tell the server this rank's time, as often as it asks."""
    got, sent = np.zeros(1), np.zeros(2)
    for _ in range(TRIPS):
        _receive(ranks, got, 0, PING)
        sent[:] = monotonic()
        ranks.comm.Send(sent, 0, ECHO)


def _receive(ranks: Ranks, out: Any, rank: int, tag: int) -> None:
    request = ranks.comm.Irecv(out, rank, tag)
    if awaited(lambda: request.Test() or None, over(_SECONDS)) is None:
        ranks.abandon()
        raise RankError(f"{ranks.name(rank)} has not answered for {_SECONDS:.0f} s: it has ended or hangs")
