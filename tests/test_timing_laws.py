"""What holds of every law of time, run over all laws that are declared, and over one that is declared here."""

import inspect
import math
import pickle

import numba
import numpy as np
import pytest
from pages import ROOT
from scipy import stats

import asapnb as ab
from asapnb import timing
from asapnb.errors import UsageError
from asapnb.numbers import real
from asapnb.simulator import schedule
from asapnb.timing import Component, Time, Timing, load_timing, parse_times, parse_timing, sampling, save_timing
from asapnb.timing.arrays import without_branch
from asapnb.timing.times import LAWS, TIMES

DRAWS = 100_000
RISK = 1e-5  # of a test that fails although all is well, had the seed not been fixed
EXAMPLES = [law.build(example) for law in LAWS.values() for example in law.examples]

# What a component of each kind draws, by NumPy
TWINS = {
    sampling.CONSTANT: lambda rng, n, value: np.full(n, value),
    sampling.EXPONENTIAL: lambda rng, n, shift, mean: shift + rng.exponential(mean, n),
    sampling.UNIFORM: lambda rng, n, low, width: low + width * rng.random(n),
    sampling.LOGNORMAL: lambda rng, n, median, sigma: median * np.exp(sigma * rng.standard_normal(n)),
    sampling.WEIBULL: lambda rng, n, scale, inverse: scale * rng.weibull(1 / inverse, n),
    sampling.PARETO: lambda rng, n, minimum, inverse: minimum * (1 + rng.pareto(1 / inverse, n)),
    sampling.GAMMA_LAW: lambda rng, n, scale, d, c, inverse: rng.gamma(
        1 / inverse if inverse else d + 1 / 3, scale, n
    ),
    sampling.EMPIRICAL: lambda rng, n, *values: rng.choice(values, n),
}


def twin(time, rng, n):
    """`n` draws of a time by NumPy, from what its law says of how it is drawn."""
    low, high = time.support
    if low == high:
        return np.full(n, low)
    made = time.sampler
    if isinstance(made, Component):
        return TWINS[made.kind](rng, n, *made.numbers, *made.values)
    weights = np.array([weight for _, weight in made])
    counts = rng.multinomial(n, weights / weights.sum())
    return np.concatenate([twin(part, rng, count) for (part, _), count in zip(made, counts, strict=True)])


def draws_have_the_moments(time, tmp_path):
    draws, bound = time.sample(7, DRAWS), stats.norm.isf(RISK / 2)
    if math.isfinite(time.variance):
        assert abs(draws.mean() - time.mean) <= bound * math.sqrt(time.variance / DRAWS) + 1e-6 * time.mean
        fourth = ((draws - time.mean) ** 4).mean()
        error = math.sqrt(max(0.0, fourth - time.variance**2) / DRAWS)
        assert abs(draws.var() - time.variance) <= bound * error + 1e-5 * time.variance
    else:
        assert draws.max() > 100 * np.median(draws)
    assert time.finite_mean == math.isfinite(time.mean)


def draws_are_those_of_the_twin(time, tmp_path):
    draws, slow = time.sample(7, DRAWS), twin(time, np.random.default_rng(1), DRAWS)
    assert stats.ks_2samp(draws, slow).pvalue > RISK
    assert draws.min() == draws.max() == 0 or stats.ks_2samp(1.05 * draws, slow).pvalue < RISK


def draws_lie_within_the_support_and_reach_its_ends(time, tmp_path):
    draws, (low, high) = time.sample(7, DRAWS), time.support
    assert low * (1 - 1e-12) <= draws.min() <= low + (time.mean - low if time.finite_mean else 0.01)
    assert draws.max() <= high * (1 + 1e-12)
    assert math.isinf(high) or draws.max() >= high - 0.02 * (high - low)


def scaling_scales_all_of_it(time, tmp_path):
    scaled = time.scaled(2.5)
    assert scaled.name == time.name
    assert scaled.mean == pytest.approx(2.5 * time.mean, rel=1e-12)
    assert scaled.variance == pytest.approx(2.5**2 * time.variance, rel=1e-12)
    assert scaled.support == pytest.approx([2.5 * end for end in time.support], rel=1e-12)
    np.testing.assert_allclose(scaled.sample(3, 1000), 2.5 * time.sample(3, 1000), rtol=1e-9)
    assert time.scaled(1) == time


def it_is_read_as_it_is_printed_and_pickles(time, tmp_path):
    assert parse_times(str(time)) == time == pickle.loads(pickle.dumps(time))
    assert hash(parse_times(str(time))) == hash(time)
    part = timing.mixture(time, 1.0, weights=[3, 1])
    assert parse_times(str(part)) == part
    made = Timing(join=[time, 0.0], update=timing.slowed(time, 3))
    assert parse_timing(str(made)) == made
    save_timing(tmp_path / "timing.toml", {2: made})
    assert load_timing(tmp_path / "timing.toml") == made


def it_compiles_alone_and_in_a_mixture(time, tmp_path):
    arrays = Timing(join=time, read=time, update=timing.mixture(time, 3.0)).compiled(2)
    assert set(arrays.kinds.tolist()) <= set(sampling.KINDS)
    assert arrays.first[sampling.JOIN, 0] == arrays.first[sampling.READ, 0]
    half = timing.mixture(time, 1e9).sample(5, DRAWS)
    assert stats.ks_2samp(half[half < 1e9], time.sample(7, DRAWS)).pvalue > RISK


def a_schedule_draws_it(time, tmp_path):
    if time.mean == 0:
        return
    made = schedule(Timing(time), workers=3, updates=30, seed=9)
    own = made.worker == 0
    np.testing.assert_allclose(made.t_ready[own] - made.t_read[own], time.sample(9, int(own.sum())), rtol=1e-9)


CHECKS = [
    draws_have_the_moments,
    draws_are_those_of_the_twin,
    draws_lie_within_the_support_and_reach_its_ends,
    scaling_scales_all_of_it,
    it_is_read_as_it_is_printed_and_pickles,
    it_compiles_alone_and_in_a_mixture,
    a_schedule_draws_it,
]


@pytest.mark.parametrize("time", EXAMPLES, ids=str)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_of_every_law(check, time, tmp_path):
    check(time, tmp_path)


def test_every_law_has_examples_and_every_kind_a_twin():
    assert {time.name for time in EXAMPLES} == LAWS.keys() == TIMES.keys()
    assert TWINS.keys() | {sampling.MIXTURE} == set(sampling.KINDS)
    assert set(TIMES) <= set(timing.__all__)


def test_every_law_is_in_the_docs():
    page = (ROOT / "docs/reference/timing.md").read_text()
    missing = [name for name in LAWS if f"\n| `{name}(" not in page]
    assert not missing, "give them a row in the table of docs/reference/timing.md"


# --- a law of one's own ---------------------------------------------------------------------------------------------


def mine(low, mode, high):
    """The density rises from `low` to `mode` and falls to `high`, in seconds."""
    low, mode, high = (real(name, value, 0) for name, value in (("low", low), ("mode", mode), ("high", high)))
    return Time.of("mine", low=low, mode=mode, high=high)


def quantile(low, mode, high):
    share = (mode - low) / (high - low)
    return lambda u: np.where(
        u < share,
        low + np.sqrt(u * (high - low) * (mode - low)),
        high - np.sqrt((1 - u) * (high - low) * (high - mode)),
    )


DECLARED = {
    "mean": lambda low, mode, high: (low + mode + high) / 3,
    "variance": lambda low, mode, high: (low**2 + mode**2 + high**2 - low * mode - low * high - mode * high) / 18,
    "support": lambda low, mode, high: (low, high),
    "sampler": lambda **given: timing.quantile_parts(quantile(**given)),
    "seconds": ["low", "mode", "high"],
    "examples": [{"low": 1, "mode": 2, "high": 6}, {"low": 0, "mode": 0, "high": 1}],
}


@pytest.fixture
def declared():
    """`mine` as a law, for the time of a test."""
    yield timing.register_law(**DECLARED)(mine)
    del LAWS["mine"], TIMES["mine"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_law_from_outside_does_all_that_others_do(check, declared, tmp_path):
    for example in LAWS["mine"].examples:
        check(declared(**example), tmp_path)


def test_a_law_from_outside_is_scaled_whole_and_simulated(declared):
    time = mine(1, 2, 6)
    assert str(time.scaled(2)) == "mine(low=2.0, mode=4.0, high=12.0)"
    assert stats.kstest(time.sample(1, DRAWS), stats.triang(0.2, loc=1, scale=5).cdf).pvalue > RISK
    problem = ab.problems.quadratic([1.0])
    run = ab.simulate(problem, workers=3, updates=40, batch_size=1, timing="compute=mine(1, 2, 6), update=0.1")
    took = run.updates["t_ready"] - run.updates["t_read"]
    assert 1 <= took.min() < 2 < 3 < took.max() <= 6
    assert as_given(run) == Timing(compute=time, update=0.1)
    again = timing.register_law(**DECLARED)(mine)  # as a cell of a notebook is run again
    assert parse_times("mine(1, 2, 6)") == again(1, 2, 6)


def as_given(run):
    return parse_timing(str(run.config["timing"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"examples": []}, "the law 'mine' has no examples"),
        ({"seconds": ["low", "high"]}, "scaled by 2 is mine(low=2.0, mode=2.0, high=12.0), of mean"),
        ({"seconds": ["low", "mode", "hihg"]}, "name every parameter that is seconds in `seconds`"),
        ({"sampler": lambda **given: Component(99, (1.0,))}, "drawn by the kind 99: must be one of"),
        ({"sampler": lambda **given: Component(sampling.MIXTURE, (0.0, 1.0, 0.0))}, "drawn by the kind 8"),
        ({"mean": lambda low, mode, high: high + mode}, "the mean must lie within the support"),
        ({"variance": lambda low, mode, high: -1.0 - 0 * low}, "nothing may be negative"),
        ({"support": lambda low, mode, high: (-high, high)}, "nothing may be negative"),
    ],
)
def test_a_law_that_contradicts_itself_is_refused_at_once(change, message):
    with pytest.raises(UsageError) as caught:
        timing.register_law(**{**DECLARED, **change})(mine)
    assert message in str(caught.value)
    assert "mine" not in LAWS.keys() | TIMES.keys()


def test_builders_must_make_their_own_law():
    def another(low, mode, high):
        return mine(low, mode, high)

    with pytest.raises(UsageError, match=r"must return Time\.of\('another', …\) with the parameters low, mode, high"):
        timing.register_law(**DECLARED)(another)

    def gamma(low, mode, high):
        return mine(low, mode, high)

    with pytest.raises(UsageError, match=r"the law 'gamma' exists, in asapnb\.timing\.laws"):
        timing.register_law(**DECLARED)(gamma)
    assert TIMES["gamma"] is timing.gamma


def test_a_time_whose_law_is_not_declared_is_an_error():
    time = Time.of("mine", low=1.0, mode=2.0, high=6.0)
    with pytest.raises(UsageError, match="unknown law of time 'mine'"):
        time.sample(1, 2)
    with pytest.raises(UsageError, match="unknown name in a time 'mine'"):
        parse_times("mine(1, 2, 6)")


# --- kinds without a branch -----------------------------------------------------------------------------------------


def test_a_kind_that_the_sampler_forgets_is_found_at_import():
    source = inspect.getsource(sampling._draw.py_func)
    body = source[source.index("def ") :]
    assert "if kind == PARETO:" in body
    forgetful = {**vars(sampling)}
    exec(body.replace("if kind == PARETO:", "if kind == WEIBULL:"), forgetful)
    draw = sampling.draw.py_func
    assert without_branch(draw, forgetful["_draw"]) == {sampling.PARETO}
    assert without_branch(draw, sampling._draw.py_func) == set()


@numba.njit
def drawn(times, component, state):
    return sampling.draw(times, component, state)


@pytest.mark.parametrize("kind", [-1, max(sampling.KINDS) + 1, 99])
def test_an_unknown_kind_draws_no_time(kind):
    made = Timing(timing.pareto(1, 2)).compiled(1)
    component = int(made.first[0, 0])
    assert drawn(made, component, np.uint64(1))[0] >= 1
    made.kinds[component] = kind
    assert math.isnan(drawn(made, component, np.uint64(1))[0])
