"""MindTheStep: the momentum it aims at, and what clipping, dropping and the mean step come to."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts

from asapnb.errors import RuleError, UsageError
from asapnb.rules import mindthestep, parse_rule
from asapnb.staleness import StalenessDistribution, cmp, fit, geometric, poisson

from_counts = StalenessDistribution.from_counts
UNBOUNDED = {"clip": None, "drop_after": None}


@given(st.floats(2, 12), st.floats(0.05, 0.95))
def test_the_mean_dynamics_of_the_geometric_model_are_heavy_ball(m, momentum):
    """x - step · sum of p_k scale(k) x[t-k] on f = x²/2 is x - a x + momentum (x - x[t-1])."""
    seen = geometric(m=m, rest=1e-30)
    weights = 0.1 * mindthestep("geometric", momentum=momentum, p=1 / m, **UNBOUNDED)(seen, 4) * seen.pmf
    delayed, ball, velocity = [1.0], [1.0], 0.0
    for t in range(min(150, len(weights))):
        delayed.append(delayed[-1] - sum(w * delayed[t - k] for k, w in enumerate(weights[: t + 1])))
        velocity = momentum * velocity - weights[0] * ball[-1]
        ball.append(ball[-1] + velocity)
    np.testing.assert_allclose(delayed, ball, rtol=1e-9, atol=1e-11)


def test_constant_steps_have_the_momentum_of_the_staleness():
    scales = mindthestep("geometric", momentum=1 - 1 / 16)(geometric(m=16), 16)
    np.testing.assert_allclose(scales[:151], scales[0], rtol=1e-12)


def test_what_is_not_given_is_fitted():
    seen = from_counts([5, 9, 4, 3, 1])
    for model in ("geometric", "poisson", "cmp"):
        momentum = {"momentum": 0.5} if model == "geometric" else {}
        given_too = mindthestep(model, **momentum, **fit(seen.pmf, model).parameters)
        np.testing.assert_allclose(mindthestep(model, **momentum)(seen, 4), given_too(seen, 4), rtol=1e-9)
    assert mindthestep("geometric", momentum=0.9).effective_delay(geometric(m=16), 16) == pytest.approx(9, rel=1e-4)


@pytest.mark.parametrize(
    ("rule", "formula"),
    [
        (mindthestep("poisson", mean=3, **UNBOUNDED), lambda k: Fraction(math.factorial(k), 3**k)),
        (mindthestep("cmp", rate=9, dispersion=2, **UNBOUNDED), lambda k: Fraction(math.factorial(k) ** 2, 9**k)),
        (mindthestep("geometric", 0.25, p=0.5, **UNBOUNDED), lambda k: Fraction(1, 2**k)),
    ],
)
def test_without_bounds_scales_are_the_formula_divided_by_its_mean(rule, formula):
    seen = from_counts([1, 4, 5, 3, 2, 1])
    raw = [formula(k) for k in range(len(seen))]
    mean = sum(Fraction(p) * r for p, r in zip(seen.pmf.tolist(), raw, strict=True))
    np.testing.assert_allclose(rule(seen, 4), [float(r / mean) for r in raw], rtol=1e-12)


MODELS = st.one_of(
    st.just(mindthestep("poisson")),
    st.floats(0.1, 500).map(lambda mean: mindthestep("poisson", mean=mean)),
    st.tuples(st.floats(0.1, 500), st.floats(0, 5)).map(lambda r: mindthestep("cmp", rate=r[0], dispersion=r[1])),
    st.floats(0.01, 1).map(lambda momentum: mindthestep("geometric", momentum=momentum)),
    st.tuples(st.floats(0.01, 1), st.floats(0.001, 1)).map(lambda r: mindthestep("geometric", r[0], p=r[1])),
)


@given(counts(), MODELS)
def test_clipped_dropped_and_of_mean_one(values, rule):
    seen = from_counts(values)
    share = seen.pmf[:151].sum()
    if not share:
        with pytest.raises(RuleError, match="all updates seen are dropped"):
            rule(seen, 4)
        return
    scales = rule(seen, 4)
    assert rule.mean_scale(seen, 4) == pytest.approx(1, rel=1e-13)
    assert (scales[151:] == 0).all()
    assert (scales >= 0).all()
    assert scales.max() <= max(5, 1 / share) * (1 + 1e-9)


@pytest.mark.parametrize("seen", [geometric(m=16), poisson(15), cmp(225, 2)])
@pytest.mark.parametrize("model", ["poisson", "cmp"])
def test_every_staleness_contributes_alike_but_for_the_clip(seen, model):
    scales = mindthestep(model)(seen, 16)
    assert scales.max() <= 5 * (1 + 1e-12)
    if model == "cmp":  # which is each of them, so that p_k scale(k) is one number wherever it is not clipped
        shares = (scales * seen.pmf)[scales < 4.999]
        shares = shares[shares > 0]
        np.testing.assert_allclose(shares, shares[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mindthestep(model='gamma')", "unknown model of staleness 'gamma'; available: cmp, geometric, poisson"),
        ("mindthestep(geometric)", r"momentum is None: must be a finite number above 0 and of at most 1"),
        ("mindthestep(poisson, momentum=0.9)", "momentum is 0.9: only model='geometric'"),
        ("mindthestep(poisson, p=0.5)", "parameters p=0.5: model='poisson' has mean, given or"),
        ("mindthestep(cmp, rate=4)", "parameters rate=4: model='cmp' has rate and dispersion"),
        ("mindthestep(poisson, mean=0)", "mean is 0: must be a finite number above 0"),
        ("mindthestep(geometric, 0.5, p=1.5)", r"p is 1.5: must be a finite number above 0 and of at most 1"),
        ("mindthestep(clip=0.5)", "clip is 0.5: must be a finite number of at least 1"),
        ("mindthestep(drop_after=1.5)", "drop_after is 1.5: must be an integer"),
    ],
)
def test_bad_parameters(text, message):
    with pytest.raises(UsageError, match=message):
        parse_rule(text)
