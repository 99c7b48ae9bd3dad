"""Hypothesis strategies shared by the tests."""

import numpy as np
from hypothesis import strategies as st

# --- staleness ---------------------------------------------------------------------------------------------------


@st.composite
def counts(draw, max_size=2000):
    """Counts of staleness: lengths to 2000, zeros inside the support, mass over 12 decades, or all at one tau."""
    size = draw(st.integers(1, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = np.floor(10 ** rng.uniform(0, draw(st.sampled_from([0.3, 3, 12])), size)).astype(np.int64)
    values[rng.random(size) < draw(st.sampled_from([0, 0.5, 0.95]))] = 0
    values[draw(st.integers(0, size - 1))] = draw(st.sampled_from([1, 10**6, 10**12]))
    if draw(st.booleans()):
        values = np.sort(values)[:: draw(st.sampled_from([1, -1]))]
    return values
