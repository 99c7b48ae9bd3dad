"""The folder in which asapnb keeps what it can make again: compiled kernels, and data sets that were fetched."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path | None:
    """The folder $ASAPNB_CACHE, by default one in the user's cache folder; None for a user without a home.

    >>> cache_folder() == (Path(os.environ["ASAPNB_CACHE"]) if "ASAPNB_CACHE" in os.environ else cache_folder())
    True
    """
    try:
        chosen = os.environ.get("ASAPNB_CACHE") or platformdirs.user_cache_dir("asapnb")
        return Path(os.path.abspath(os.path.expanduser(chosen)))  # abspath fails where the working directory is gone
    except (RuntimeError, OSError):
        return None
