"""Importing modules that bring Numba."""

import os
from importlib import import_module
from typing import Any

from asapnb.errors import UsageError


def imported(name: str) -> Any:
    """A module by its name; UsageError where a variable of the environment keeps Numba from starting."""
    try:
        return import_module(name)
    except ValueError as error:  # of Numba
        if isinstance(error, UsageError) or not (
            named := ", ".join(name for name in os.environ if name.startswith("NUMBA_"))
        ):
            raise
        raise UsageError(f"Numba does not start: {error} Change or unset these variables: {named}") from error
