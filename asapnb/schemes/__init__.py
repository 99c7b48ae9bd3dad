"""How workers share the parameters: the synchronization schemes, by name and option.

A scheme is a frozen dataclass, for the engine and the simulator alike. `parse_scheme` reads the text of a scheme, as
the command line and configuration files have it, and as a scheme prints itself: `Leashed(persistence=1)`.
"""

from .about import About, about
from .builtin import Hogwild, Leashed, LockBased, ParameterServer, Sequential, Synchronous
from .scheme import (
    SCHEMES,
    Scheme,
    as_scheme,
    boundary_after,
    length_at,
    measured_only,
    option,
    parse_scheme,
    register,
    settings,
    simulated_only,
)

__all__ = [
    "SCHEMES",
    "About",
    "Hogwild",
    "Leashed",
    "LockBased",
    "ParameterServer",
    "Scheme",
    "Sequential",
    "Synchronous",
    "about",
    "as_scheme",
    "boundary_after",
    "length_at",
    "measured_only",
    "option",
    "parse_scheme",
    "register",
    "settings",
    "simulated_only",
]
