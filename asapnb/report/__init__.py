"""One HTML page about runs that needs no network: what was run, tables, interactive charts and figures."""

from .page import report

__all__ = ["report"]
