"""Starting threads, where the system may allow no more."""

import threading
from collections.abc import Sequence

from ..errors import UsageError


def start_all(threads: Sequence[threading.Thread], what: str) -> None:
    """Start threads, in their order; UsageError if the system allows fewer.

    Args:
        threads: the threads.
        what: what the threads are, for the error, such as "workers".
    """
    for number, thread in enumerate(threads):
        try:
            thread.start()
        except RuntimeError as error:  # can't start new thread
            raise UsageError(
                f"only {number:,} of {len(threads):,} {what} could be started, as the system allows no more threads: "
                f"take fewer {what}, or raise its limit (ulimit -u, or in a container the limit of pids)"
            ) from error
