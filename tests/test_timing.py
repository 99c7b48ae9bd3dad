"""Times of work: the laws that are drawn, by moments and distribution functions; texts, tables, files and errors."""

import itertools
import math
import pickle
import tomllib

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from timing_strategies import times, timings

from asapnb import timing
from asapnb.errors import UsageError
from asapnb.timing import Timing, as_timing, load_timing, parse_times, parse_timing, save_timing, slowed, ziggurat
from asapnb.timing import sampling as compiled
from asapnb.timing.laws import KEPT
from asapnb.timing.workers import for_workers, text

DRAWS = 200_000
RISK = 1e-5  # of a test that fails although all is well, had the seed not been fixed


def lognormal(mean, cv):
    return stats.lognorm(s=math.sqrt(math.log1p(cv**2)), scale=mean / math.sqrt(1 + cv**2))


# One law in the package and the same in SciPy
LAWS = [
    (timing.exponential(2.0), stats.expon(scale=2)),
    (timing.shifted_exponential(0.5, 2.0), stats.expon(0.5, 2)),
    (timing.gamma(2.0, 0.3), stats.gamma(1 / 0.09, scale=2 * 0.09)),
    (timing.gamma(2.0, 1.0), stats.gamma(1, scale=2)),
    (timing.gamma(2.0, 1.5), stats.gamma(1 / 2.25, scale=2 * 2.25)),
    (timing.gamma(2.0, 4.0), stats.gamma(1 / 16, scale=2 * 16)),
    (timing.gamma(2.0, 0.001), stats.gamma(1e6, scale=2e-6)),
    (timing.lognormal(2.0, 0.5), lognormal(2, 0.5)),
    (timing.lognormal(2.0, 1.3), lognormal(2, 1.3)),
    (timing.weibull(2.0, 0.6), stats.weibull_min(0.6, scale=2 / math.gamma(1 + 1 / 0.6))),
    (timing.weibull(2.0, 5.0), stats.weibull_min(5, scale=2 / math.gamma(1.2))),
    (timing.pareto(2.0, 5.0), stats.pareto(5, scale=2)),
    (timing.uniform(1.0, 4.0), stats.uniform(1, 3)),
]
HEAVY = [(timing.pareto(2.0, 0.8), stats.pareto(0.8, scale=2)), (timing.pareto(2.0, 1.5), stats.pareto(1.5, scale=2))]


@pytest.fixture(scope="module")
def sample():
    """Draws of a time, made once."""
    known = {}
    return lambda time: known[time] if time in known else known.setdefault(time, time.sample(7, DRAWS))


def agrees(draws, law):
    """Kolmogorov and Smirnov have no objection."""
    return stats.kstest(draws, law.cdf).pvalue > RISK


@pytest.mark.parametrize(("time", "law"), LAWS + HEAVY, ids=[str(time) for time, _ in LAWS + HEAVY])
def test_draws_follow_the_law(time, law, sample):
    draws = sample(time)
    assert agrees(draws, law)
    assert not agrees(draws**1.05, law)
    assert draws.min() >= time.support[0]
    assert draws.max() <= time.support[1]


@pytest.mark.parametrize(("time", "law"), LAWS, ids=[str(time) for time, _ in LAWS])
def test_draws_have_the_mean_and_the_variance(time, law, sample):
    mean, variance, kurtosis = (float(value) for value in law.stats("mvk"))
    draws, bound = sample(time), stats.norm.isf(RISK / 2)
    assert abs(draws.mean() - mean) < bound * math.sqrt(variance / DRAWS)
    if time.name != "pareto" and time.name != "lognormal":  # whose fourth moments are too heavy for a normal bound
        error = variance * math.sqrt((kurtosis + 2) / DRAWS)
        assert abs(draws.var() - variance) < bound * error


@pytest.mark.parametrize(("time", "law"), LAWS + HEAVY, ids=[str(time) for time, _ in LAWS + HEAVY])
def test_mean_variance_and_support_are_exact(time, law):
    mean, variance = (float(value) for value in law.stats("mv"))
    assert time.mean == pytest.approx(mean, rel=1e-12)
    assert time.variance == pytest.approx(variance, rel=1e-9)
    assert time.support == law.support()
    assert time.finite_mean == math.isfinite(mean)


@given(st.floats(0.05, 1000))
def test_the_variance_of_weibull_is_exact_for_any_shape(shape):
    ours, theirs = timing.weibull(1.0, shape), stats.weibull_min(shape, scale=1 / math.gamma(1 + 1 / shape))
    assert ours.variance == pytest.approx(theirs.var(), rel=1e-6)


def test_an_empirical_time_draws_its_values_equally_often():
    draws = timing.empirical([3.0, 1.0, 1.0, 0.25]).sample(3, DRAWS)
    values, counts = np.unique(draws, return_counts=True)
    assert values.tolist() == [0.25, 1.0, 3.0]
    assert stats.chisquare(counts, np.array([1, 2, 1]) * DRAWS / 4).pvalue > RISK
    assert timing.empirical([3, 1, 1, 0.25]).variance == pytest.approx(np.var([3, 1, 1, 0.25]))


def test_many_values_are_kept_as_order_statistics_of_the_same_mean():
    values = np.random.default_rng(1).lognormal(size=50_000)
    time = timing.empirical(values)
    kept = np.array(dict(time.parameters)["values"])
    assert kept.size == KEPT
    assert time.mean == pytest.approx(values.mean(), rel=1e-12)
    assert stats.ks_2samp(kept, values).statistic < 0.01
    assert timing.empirical(kept) == time
    rare = np.zeros(5000)
    rare[17] = 3.0
    assert timing.empirical(rare).mean == pytest.approx(rare.mean())
    assert timing.empirical(np.zeros(5000)).support == (0, 0)


def test_a_mixture_draws_each_part_as_often_as_its_weight_says():
    inner = timing.mixture(timing.uniform(0, 1), 2.0, weights=[1, 3])
    time = timing.mixture(inner, timing.exponential(5), timing.empirical([7, 8]), weights=[4, 1, 5])
    parts = [(0.1, timing.uniform(0, 1)), (0.3, timing.constant(2)), (0.1, timing.exponential(5))]
    parts.append((0.5, timing.empirical([7, 8])))
    assert time.mean == pytest.approx(sum(share * part.mean for share, part in parts))
    squares = sum(share * (part.variance + part.mean**2) for share, part in parts)
    assert time.variance == pytest.approx(squares - time.mean**2)
    assert time.support == (0, math.inf)
    draws = time.sample(1, DRAWS)
    expected = {2.0: 0.3, 7.0: 0.25, 8.0: 0.25}
    for value, share in expected.items():
        assert stats.binomtest(int((draws == value).sum()), DRAWS, share).pvalue > RISK
    rest = draws[~np.isin(draws, list(expected))]
    assert stats.kstest(rest, lambda x: (np.clip(x, 0, 1) + stats.expon.cdf(x, scale=5)) / 2).pvalue > RISK
    assert timing.mixture(timing.pareto(1, 0.5), 1.0).variance == math.inf


# --- streams ----------------------------------------------------------------------------------------------------


@numba.njit
def deviates(out, law, seed, purpose, worker):
    state = compiled.stream(seed, purpose, worker)
    for i in range(out.size):
        if law == 0:
            out[i], state = ziggurat.exponential(state)
        elif law == 1:
            out[i], state = ziggurat.normal(state)
        elif law == 2:
            out[i], state = ziggurat.uniform(state)
        else:  # the naive twin of the exponential
            u, state = ziggurat.uniform(state)
            out[i] = -math.log(1.0 - u)


@numba.njit
def normal_tail(out, count):
    """The absolute values beyond the lowest layer, of so many draws."""
    state, found = compiled.stream(1, 0, 0), 0
    for _ in range(count):
        z, state = ziggurat.normal(state)
        if abs(z) > 3.6541528853610088:
            out[found] = abs(z)
            found += 1
    return out[:found]


def drawn(law, seed=1, purpose=0, worker=0, size=DRAWS):
    out = np.empty(size)
    deviates(out, law, seed, purpose, worker)
    return out


def test_the_ziggurats_follow_their_laws_into_the_tails():
    size = 4_000_000
    normal, exponential = drawn(1, size=size), drawn(0, size=size)
    assert agrees(normal, stats.norm)
    assert agrees(exponential, stats.expon)
    assert stats.ks_2samp(exponential, drawn(3, seed=2)).pvalue > RISK
    for draws, law in ((normal, stats.norm), (-normal, stats.norm), (exponential, stats.expon)):
        for edge in (3.0, 3.6541528853610088, 7.69711747013104972):
            tail = int((draws > edge).sum())
            assert stats.binomtest(tail, size, law.sf(edge)).pvalue > RISK
    beyond = exponential[exponential > 7.69711747013104972] - 7.69711747013104972
    assert agrees(beyond, stats.expon)
    beyond = normal_tail(np.empty(100_000), 100_000_000)
    assert stats.kstest(beyond, lambda x: 1 - stats.norm.sf(x) / stats.norm.sf(3.6541528853610088)).pvalue > RISK


@pytest.mark.parametrize("tables", ["E", "N"])
def test_the_layers_of_a_ziggurat_are_equal_and_fill_it(tables):
    widths, limits, feet = (getattr(ziggurat, f"_{tables}_{name}") for name in ("WIDTHS", "LIMITS", "FEET"))
    areas = widths[1:] * 2.0**53 * np.diff(feet[1:])
    assert areas == pytest.approx(areas[0], rel=1e-9)
    assert areas[0] == pytest.approx(widths[0] * 2.0**53 * feet[1], rel=1e-9)
    assert feet[-1] == 1.0
    assert (limits[:-1] < 2**53).all()
    assert limits[-1] == 0


def test_streams_are_reproducible_and_have_nothing_to_do_with_each_other():
    keys = list(itertools.product([1, 2], [0, 1, 4], [0, 1, 1023]))
    draws = np.array([drawn(2, *key, size=20_000) for key in keys])
    assert (draws[3] == drawn(2, *keys[3], size=20_000)).all()
    correlations = np.corrcoef(draws)[np.triu_indices(len(keys), 1)]
    assert np.abs(correlations).max() < stats.norm.isf(RISK / 2 / correlations.size) / math.sqrt(20_000)
    assert np.unique(draws).size == draws.size  # no stream is a later piece of another
    starts = np.concatenate([drawn(2, 5, purpose, worker, size=1) for purpose in range(5) for worker in range(1024)])
    assert agrees(starts, stats.uniform)


@numba.njit
def integers(out, n, seed):
    state = compiled.stream(seed, 9, 0)
    for i in range(out.size):
        out[i], state = compiled.uniform_integer(state, n)


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_integers_are_equally_likely(n):
    out = np.empty(DRAWS, np.int64)
    integers(out, n, 3)
    counts = np.bincount(out, minlength=n)
    assert counts.size == n
    assert n == 1 or stats.chisquare(counts).pvalue > RISK


def test_integers_of_a_range_that_does_not_divide_are_equally_likely():
    n = 3 * 2**30  # without rejection, every third of them would be twice as likely
    out = np.empty(DRAWS, np.int64)
    integers(out, n, 3)
    assert out.max() < n
    assert stats.chisquare(np.bincount(out % 3, minlength=3)).pvalue > RISK


@numba.njit
def look(times, purpose, worker, state):
    c = compiled.component(times, purpose, worker)
    return c, *compiled.draw(times, c, state)


def test_components_are_found_and_constants_leave_the_state():
    made = Timing(compute=[1.0, 2.0, 2.0], read=0.5, update=timing.exponential(0)).compiled(3)
    state = np.uint64(5)
    found = [look(made, purpose, worker, state) for purpose in range(6) for worker in range(3)]
    assert [time for _, time, _ in found] == [1, 2, 2, 0.5, 0.5, 0.5, *[0] * 12]
    assert {after for *_, after in found} == {5}
    assert made.first.shape == (6, 3)
    assert len(made.kinds) == 4  # equal times are one component
    assert Timing().compiled(64).first.shape == (6, 1)
    assert look(Timing(timing.exponential(1)).compiled(2), 0, 1, state)[2] != state


def test_a_retry_takes_the_time_of_an_update_unless_it_has_its_own():
    for update in (0.5, timing.exponential(2), [1, 2], slowed(3, 2)):
        given = Timing(update=update)
        assert given.retry is None
        assert "retry" not in str(given)
        assert given.times("retry", 2) == given.times("update", 2)
        first = given.compiled(2).first
        assert (first[compiled.RETRY] == first[compiled.UPDATE]).all()
    own = Timing(update=[1, 2], retry="[exponential(0.1), 0]")
    assert own.times("retry", 2) == (timing.exponential(0.1), timing.constant(0))
    assert str(own) == "Timing(update=[1.0, 2.0], retry=[exponential(mean=0.1), 0.0])"
    assert [look(own.compiled(2), compiled.RETRY, worker, np.uint64(5))[1] == 0 for worker in range(2)] == [
        False,
        True,
    ]
    assert str(Timing(retry=0)) == "Timing(retry=0.0)"  # at once, and not as an update
    assert parse_timing("retry=None") == as_timing({"retry": None}) == Timing()
    assert as_timing({"retry": ["exponential(0.1)", 0], "update": [1, 2]}) == own


def test_the_numba_type_is_that_of_what_is_compiled():
    made = Timing(timing.exponential(1), pauses=[(0, 1, 2)]).compiled(2)
    assert numba.typeof(made) == compiled.times_type()
    assert numba.typeof(Timing().compiled(1)) == compiled.times_type()


@settings(max_examples=60)
@given(times())
def test_any_time_draws_within_its_support(time):
    draws = time.sample(1, 200)
    low, high = time.support
    assert (draws >= low * (1 - 1e-12)).all()
    assert (draws <= high * (1 + 1e-12)).all()
    assert not np.isnan(draws).any()


# --- pauses -----------------------------------------------------------------------------------------------------


@numba.njit
def finish(times, worker, start, duration):
    return compiled.finish(times, worker, start, duration)


def naive_finish(pauses, worker, start, duration):
    """In whole steps: work is done in each that no pause covers."""
    paused = {t for w, begin, length in pauses if w == worker for t in range(begin, begin + length)}
    while duration > 0:
        duration -= start not in paused
        start += 1
    return start


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30), st.integers(0, 9)), max_size=12),
    st.integers(0, 1),
    st.integers(0, 40),
    st.integers(1, 60),
)
@example([(0, 1, 9), (0, 2, 3)], 0, 0, 2)
def test_a_computation_is_prolonged_by_the_pauses_it_meets(pauses, worker, start, duration):
    made = Timing(pauses=[(w, begin / 4, length / 4) for w, begin, length in pauses]).compiled(2)
    assert finish(made, worker, start / 4, duration / 4) == naive_finish(pauses, worker, start, duration) / 4


def test_a_computation_ends_where_a_pause_begins():
    made = Timing(pauses=[(1, 2.0, 5.0), (1, 7.0, 1.0)]).compiled(2)
    assert made.pauses.tolist() == [[2, 8]]  # they touch
    assert finish(made, 1, 1.0, 1.0) == 2
    assert finish(made, 1, 1.0, 1.5) == 8.5
    assert finish(made, 1, 3.0, 1.0) == 9
    assert finish(made, 1, 8.0, 1.0) == 9
    assert finish(made, 0, 1.0, 9.0) == 10


# --- for each worker --------------------------------------------------------------------------------------------


def test_times_of_groups_and_of_slow_workers():
    exponential = timing.exponential
    nodes = timing.groups(exponential(1), 2, sizes=[2, 1])
    assert for_workers(nodes, 3, "read") == (exponential(1), exponential(1), timing.constant(2))
    assert for_workers(slowed(nodes, 3, [0, 2]), 3, "read") == (exponential(3), exponential(1), timing.constant(6))
    assert for_workers(slowed(slowed(1.0, 2), 5, 0), 2, "read") == (timing.constant(10), timing.constant(1))
    assert str(Timing(slowed(nodes, 4))) == (
        "Timing(compute=slowed(groups(exponential(mean=1.0), 2.0, sizes=[2, 1]), factor=4.0, workers=[0]))"
    )


@given(times(), st.floats(1e-3, 1e3))
def test_scaling_scales_mean_and_support(time, factor):
    scaled = time.scaled(factor)
    assert scaled.name == time.name
    assert scaled.mean == pytest.approx(factor * time.mean, rel=1e-9, abs=1e-300)
    assert scaled.variance == pytest.approx(factor**2 * time.variance, rel=1e-6, abs=1e-24 * scaled.mean**2)
    assert scaled.support == pytest.approx(tuple(factor * end for end in time.support), rel=1e-12, abs=1e-300)


# --- texts, tables, files -----------------------------------------------------------------------------------------


@given(times())
def test_a_time_is_read_as_it_is_printed(time):
    again = parse_times(str(time))
    assert again == time
    assert hash(again) == hash(time)
    assert pickle.loads(pickle.dumps(time)) == time


@settings(max_examples=40)
@given(st.integers(1, 5).flatmap(lambda workers: st.tuples(st.just(workers), timings(workers))))
def test_a_timing_is_read_as_it_is_printed_and_compiles(given_):
    workers, made = given_
    assert parse_timing(str(made)) == made
    assert eval(str(made), {**vars(timing)}) == made
    assert pickle.loads(pickle.dumps(made)) == made
    arrays = made.compiled(workers)
    assert arrays.first.max() < len(arrays.kinds) == len(arrays.numbers)
    assert all(parse_times(text(getattr(made, name))) == getattr(made, name) for name in ("compute", "read", "join"))


@settings(max_examples=30)
@given(st.dictionaries(st.integers(1, 9), timings(3), min_size=1, max_size=3), st.integers(1, 10))
def test_a_file_holds_what_was_saved(tmp_path_factory, sections, workers):
    path = tmp_path_factory.mktemp("timing") / "machine.toml"
    save_timing(path, sections, {"machine": 'a "laptop"\n\x7f', "seconds": 1e-05, "batch sizes": [1, 2], "ok": True})
    below = [n for n in sections if n <= workers]
    assert load_timing(path, workers) == sections[max(below) if below else min(sections)]
    assert parse_timing(str(path), workers) == as_timing(path, workers) == load_timing(path, workers)


def test_what_a_file_says_about_itself_may_come_from_numpy(tmp_path):
    about = {"share": np.float32(0.5), "n": np.int64(3), "ok": np.bool_(True), "each": [np.float64(1.5)], "x": "y"}
    save_timing(tmp_path / "timing.toml", {1: Timing()}, about)
    written = tomllib.loads((tmp_path / "timing.toml").read_text())["about"]
    assert written == {"share": 0.5, "n": 3, "ok": True, "each": [1.5], "x": "y"}
    assert [type(written[key]) for key in ("share", "n", "ok")] == [float, int, bool]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('compute = "exponential(1)"\nupdate = 0.05\n[about]\nx = 1', "compute=exponential(1), update=0.05"),
        (
            '[timing]\ncompute = ["exponential(1)", 2]\npauses = [[0, 1.0, 2]]',
            "[exponential(1), 2], pauses=[(0, 1, 2)]",
        ),
        ("[workers.4]\ncompute = 2.0", "2.0"),
        ('update = 1\nretry = "exponential(0.1)"', "update=1, retry=exponential(0.1)"),
    ],
)
def test_files_of_other_forms(content, expected, tmp_path):
    (tmp_path / "timing.toml").write_text(content)
    assert load_timing(tmp_path / "timing.toml") == parse_timing(expected)


def test_forms_of_a_timing():
    made = Timing(compute=timing.lognormal(mean=1, cv=0.3))
    assert as_timing(made) is made
    for value in ("lognormal(mean=1, cv=0.3)", "compute=lognormal(1, 0.3)", "Timing(lognormal(1, 0.3))"):
        assert as_timing(value) == made
    assert as_timing({"compute": "lognormal(mean=1, cv=0.3)"}) == as_timing(made.compute) == made
    assert as_timing([1, "exponential(2)"]) == Timing([1.0, timing.exponential(2)])
    assert as_timing(1) == parse_timing("") == Timing()
    assert str(Timing()) == "Timing()"
    assert hash(Timing()) == hash(as_timing(1.0))


def test_notes_say_what_averages_suffer_from():
    made = Timing([timing.pareto(1, 0.9), timing.pareto(1, 1.5), 1.0], join=timing.pareto(0, 0.5))
    first, second = made.notes()
    assert first.startswith("compute: pareto(minimum=1.0, alpha=0.9) has an infinite mean")
    assert second.startswith("compute: pareto(minimum=1.0, alpha=1.5) has an infinite variance")
    assert Timing().notes() == []
    assert Timing(retry=timing.pareto(1, 0.9)).notes()[0].startswith("retry: pareto")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: timing.constant(-1),
            "value is -1: must be a finite number of at least 0 and of at most 1e+12 seconds",
        ),
        (lambda: timing.constant(True), "value is True"),
        (lambda: timing.exponential(math.nan), "mean is nan"),
        (lambda: timing.exponential(math.inf), "mean is inf"),
        (lambda: timing.exponential("1"), "mean is '1'"),
        (lambda: timing.shifted_exponential(-1, 1), "shift is -1"),
        (lambda: timing.gamma(1, -0.5), "cv is -0.5"),
        (lambda: timing.lognormal(1, 1e-7), "cv is 1e-07: must be 0, or from 1e-06 to 1000"),
        (lambda: timing.weibull(1, 0), "shape is 0: must be a finite number of at least 0.05 and of at most 1000"),
        (lambda: timing.pareto(1, 0), "alpha is 0: must be a finite number of at least 0.1 and of at most 1e+06"),
        (lambda: timing.uniform(2, 1), "low must not be above high"),
        (lambda: timing.empirical([]), "values is []: must be a list of numbers, not empty"),
        (lambda: timing.empirical([1, math.nan]), "values[1] is nan"),
        (lambda: timing.empirical([1, -2]), "values[1] is -2"),
        (lambda: timing.empirical("slow"), "values is 'slow'"),
        (lambda: timing.mixture(), "weights are None for 0 times"),
        (lambda: timing.mixture(1, 2, weights=[1]), "weights are [1] for 2 times"),
        (lambda: timing.mixture(1, 2, weights=3), "weights is 3: must be a list of numbers"),
        (lambda: timing.mixture(1, 2, weights=[1, 0]), "weights[1] is 0.0"),
        (lambda: timing.mixture(1, [2]), "times[1] of mixture is [2]"),
        (lambda: timing.exponential(1).scaled(-1), "factor is -1"),
        (lambda: timing.groups(1, 2, sizes=[1]), "sizes are [1] for 2 times"),
        (lambda: timing.groups(1, sizes=[0]), "sizes[0] is 0: must be an integer of at least 1"),
        (lambda: timing.groups(1, sizes=[]), "sizes are empty"),
        (lambda: timing.slowed(1, 0), "factor is 0"),
        (lambda: timing.slowed(1, 2, [0.5]), "workers[0] is 0.5: must be an integer of at least 0"),
        (lambda: timing.slowed(1, 2, "first"), "workers[0] is 'first'"),
        (lambda: Timing(None), "of at most 1e+12 seconds, or a time such as exponential(1)"),
        (lambda: Timing([]), "compute is an empty list"),
        (lambda: Timing(read=[1, [2]]), "read[1] is [2]"),
        (lambda: Timing(retry=-1), "retry is -1"),
        (lambda: Timing(retry=[1, 2]).compiled(3), "retry has 2 times for 3 workers"),
        (lambda: Timing(0), "compute is 0.0: its mean must be above 0"),
        (lambda: Timing([1, 0]), "compute is [1.0, 0.0]: its mean must be above 0"),
        (lambda: Timing(slowed(0, 4)), "its mean must be above 0"),
        (lambda: Timing(pauses=3), "pauses are 3: give (worker, start, length)"),
        (lambda: Timing(pauses=[(0, 1)]), "pauses[0] is (0, 1): give (worker, start, length)"),
        (lambda: Timing(pauses=[(0.5, 1, 1)]), "the worker of pauses[0] is 0.5"),
        (lambda: Timing(pauses=[(0, -1, 1)]), "the start of pauses[0] is -1"),
        (lambda: Timing(pauses=[(0, 1, math.inf)]), "the length of pauses[0] is inf"),
        (lambda: Timing([1, 2, 3]).compiled(16), "compute has 3 times for 16 workers"),
        (lambda: Timing(timing.groups(1, sizes=[3])).compiled(2), "compute has 3 times for 2 workers"),
        (lambda: Timing(slowed(1, 2, [4])).compiled(4), "compute slows worker 4 of 4"),
        (lambda: Timing(pauses=[(4, 1, 1)]).compiled(4), "pauses name worker 4 of 4"),
        (lambda: Timing().compiled(0), "workers is 0: must be an integer of at least 1"),
        (lambda: parse_times("exponental(1)"), "Did you mean 'exponential'?"),
        (lambda: parse_times("exponential"), "missing a required argument: 'mean'"),
        (lambda: parse_times("1, 2"), "too many positional arguments"),
        (lambda: parse_times("1) + (2"), "is no time"),
        (lambda: parse_timing("compute=exponential(1"), "cannot read the timing"),
        (lambda: parse_timing("speed=1"), "unknown parameter of Timing 'speed'"),
        (lambda: parse_timing("Timer(1)"), "unknown name in a timing 'Timer'"),
        (lambda: as_timing({"computes": 1}), "Did you mean 'compute'?"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("compute = ", "is no TOML"),
        ("", "has no times"),
        ("computer = 1", "Did you mean 'compute'?"),
        ("compute = 1\n[workers.1]\nread = 1", "has workers and fields: write"),
        ("timing = 3", "[timing] of timing.toml is 3: must be a table"),
        ("workers = 3", "workers in timing.toml is 3: write sections"),
        ("[workers.few]\ncompute = 1", "is named [workers.few]: must be a number of workers"),
        ("[workers.1]\ncompute = -1", "[workers.1] of timing.toml: compute is -1"),
        ("[workers.1]\n[workers.2]", "has sections for [1, 2] workers: say for how many"),
        ("pauses = 1", "timing.toml: pauses are 1"),
    ],
)
def test_errors_of_files(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "timing.toml").write_text(content)
    with pytest.raises(UsageError) as caught:
        load_timing("timing.toml")
    assert message in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(UsageError, match=r"cannot read the timing file nowhere\.toml"):
        parse_timing("nowhere.toml")
