"""asapnb: asynchronous parallel SGD on CPUs with exact staleness and staleness-adaptive step sizes."""

__version__ = "0.1.0"
