"""Hypothesis strategies shared by the tests."""

from hypothesis import strategies as st

from asapnb.testing import histograms as counts

# --- staleness ---------------------------------------------------------------------------------------------------


@st.composite
def staleness_models(draw):
    """A StalenessDistribution by one of the models, or a mixture of two."""
    from asapnb import staleness

    single = st.one_of(
        st.floats(1, 300).map(lambda m: staleness.geometric(m=m)),
        st.floats(0, 300).map(staleness.poisson),
        st.tuples(st.floats(0.01, 40), st.floats(0.2, 9)).map(lambda t: staleness.cmp(t[0] ** t[1], t[1])),
        st.integers(0, 300).map(staleness.constant),
        st.tuples(st.integers(0, 200), st.integers(0, 200)).map(lambda t: staleness.uniform(min(t), max(t))),
        st.lists(st.floats(0.05, 5), min_size=1, max_size=8).map(staleness.exponential_workers),
        counts(max_size=300).map(staleness.StalenessDistribution.from_counts),
    )
    parts = draw(st.lists(single, min_size=1, max_size=2))
    return parts[0] if len(parts) == 1 else staleness.mixture(parts, [draw(st.floats(0.001, 1)), 1.0])
