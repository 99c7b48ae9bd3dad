"""One HTML page about runs: what was run, tables, interactive charts and figures. It needs no network."""

from .page import report

__all__ = ["report"]
