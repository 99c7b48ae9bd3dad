"""Hypothesis strategies for times and timings."""

from hypothesis import strategies as st

from asapnb import timing
from asapnb.timing import Time
from asapnb.timing.times import LAWS

seconds = st.floats(0, 1e6) | st.floats(0.01, 10)
cvs = st.just(0.0) | st.floats(1e-6, 1000) | st.floats(0.1, 3)


def single_times():
    """A Time of any law but a mixture; of each law at least its examples, scaled."""
    examples = [law.build(example) for name, law in LAWS.items() if name != "mixture" for example in law.examples]
    return st.one_of(
        st.builds(Time.scaled, st.sampled_from(examples), st.floats(0.01, 100)),
        st.builds(timing.constant, seconds),
        st.builds(timing.exponential, seconds),
        st.builds(timing.shifted_exponential, seconds, seconds),
        st.builds(timing.gamma, seconds, cvs),
        st.builds(timing.lognormal, seconds, cvs),
        st.builds(timing.weibull, seconds, st.floats(0.05, 1000)),
        st.builds(timing.pareto, seconds, st.floats(0.1, 1e6)),
        st.tuples(seconds, seconds).map(lambda ends: timing.uniform(min(ends), max(ends))),
        st.builds(timing.empirical, st.lists(seconds, min_size=1, max_size=8)),
    )


def times():
    """A Time of any kind, mixtures of mixtures included."""

    @st.composite
    def mixtures(draw, parts):
        chosen = draw(st.lists(parts, min_size=1, max_size=3))
        weights = draw(st.lists(st.floats(0.01, 10), min_size=len(chosen), max_size=len(chosen)))
        return timing.mixture(*chosen, weights=weights)

    return st.recursive(single_times(), mixtures, max_leaves=5)


@st.composite
def per_worker(draw, workers, parts):
    """Times for so many workers, in each of the ways to give them."""
    split = draw(st.integers(1, workers))
    sizes = [split, workers - split] if split < workers else [workers]
    value = draw(
        st.one_of(
            parts,
            st.lists(parts, min_size=workers, max_size=workers),
            st.lists(parts, min_size=len(sizes), max_size=len(sizes)).map(
                lambda chosen: timing.groups(*chosen, sizes=sizes)
            ),
        )
    )
    if draw(st.booleans()):
        slow = draw(st.lists(st.integers(0, workers - 1), min_size=1, max_size=workers))
        return timing.slowed(value, draw(st.floats(0.5, 100)), slow)
    return value


@st.composite
def timings(draw, workers):
    """A Timing for so many workers."""
    computes = times().filter(lambda time: time.mean > 0)
    others = {
        name: draw(per_worker(workers, times()))
        for name in ("read", "update", "network", "join", "retry")
        if draw(st.booleans())
    }
    pauses = st.tuples(st.integers(0, workers - 1), st.floats(0, 100), st.floats(0, 10))
    return timing.Timing(draw(per_worker(workers, computes)), **others, pauses=draw(st.lists(pauses, max_size=6)))
