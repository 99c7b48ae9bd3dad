"""Optional packages: imported where they are needed, and named with their extra where they are missing."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .errors import MissingExtraError


def optional(module: str, extra: str, what: str) -> Any:
    """An optional module; MissingExtraError if its package is not installed.

    Args:
        module: its dotted name.
        extra: the extra of asapnb that installs it.
        what: what needs it, for the error.

    >>> optional("no_such_package", "data", "Parquet")
    Traceback (most recent call last):
    asapnb.errors.MissingExtraError: Parquet needs no_such_package, which is not installed: pip install "asapnb[data]"
    """
    package = module.partition(".")[0]
    if find_spec(package) is None:
        raise MissingExtraError(f'{what} needs {package}, which is not installed: pip install "asapnb[{extra}]"')
    return import_module(module)
