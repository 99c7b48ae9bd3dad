"""The random bits from which compiled code makes all its random numbers."""

from typing import Any

from numba import uint64

from .compiled import part


@part()
def splitmix64(state: Any) -> Any:
    """The output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): uint64 to well-mixed uint64."""
    z = uint64(state) + uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))
