"""How workers share the parameters: the synchronization schemes and their options.

A scheme is a frozen dataclass. The engine and the simulator use the same one. `parse_scheme` reads a scheme from its
text: as the command line and configuration files write it, and as a scheme prints itself, `Leashed(persistence=1)`.
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
