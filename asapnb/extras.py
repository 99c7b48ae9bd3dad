"""Optional packages. They are imported when they are needed; an error names the extra that installs them."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .errors import MissingExtraError


def optional(module: str, extra: str, what: str) -> Any:
    """Import an optional module. MissingExtraError if its package is not installed.

    Args:
        module: the dotted name of the module.
        extra: the extra of asapnb that installs the package.
        what: what needs the module, for the error.

    >>> optional("no_such_package", "data", "Parquet")
    Traceback (most recent call last):
    asapnb.errors.MissingExtraError: Parquet needs no_such_package, which is not installed: pip install "asapnb[data]"
    """
    package = module.partition(".")[0]
    if find_spec(package) is None:
        raise MissingExtraError(f'{what} needs {package}, which is not installed: pip install "asapnb[{extra}]"')
    return import_module(module)
