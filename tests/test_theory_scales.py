"""Mean scales, effective delays and momenta, for every distribution."""

import math

import naive_theory as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import staleness_models

import asapnb as ab
from asapnb import rules, theory
from asapnb.errors import UsageError
from asapnb.staleness import CDF_KINDS, StalenessDistribution, constant, geometric, uniform
from asapnb.testing import distributions

LAWS = st.one_of(distributions(300), staleness_models())
AMPLITUDES = st.floats(0, 1)


@given(LAWS, AMPLITUDES)
def test_the_moments_of_tail_are_closed_forms(law, amplitude):
    for cdf in CDF_KINDS:
        expected = ab.tail(amplitude, cdf).mean_scale(law, 4)
        assert theory.tail_mean(law, amplitude, cdf) == pytest.approx(expected, abs=1e-12)
    rule = ab.tail(amplitude)
    variance = theory.tail_variance(law, amplitude)
    assert variance == pytest.approx(rule.scale_variance(law, 4), abs=1e-12)
    assert variance <= amplitude**2 / 3 + 1e-15
    delay = theory.tail_effective_delay(law, amplitude)
    assert delay == pytest.approx(rule.effective_delay(law, 4), rel=1e-9, abs=1e-9)
    assert theory.effective_delay(rule, law, 4) == pytest.approx(delay, rel=1e-9, abs=1e-9)


@given(LAWS, st.lists(st.floats(0, 5), min_size=1, max_size=40))
def test_a_rule_that_never_favours_the_stale_does_not_raise_the_effective_delay(law, scales):
    falling = np.sort(scales)[::-1]
    delay = theory.effective_delay(falling, law)
    if math.isnan(delay):
        assert falling[0] * law.pmf[: law.support + 1].max() == 0 or not falling[np.flatnonzero(law.pmf)[0] :].any()
        return
    assert delay <= law.mean() * (1 + 1e-9) + 1e-9
    if falling[-1] > 1e-3:
        s = falling[np.minimum(np.arange(len(law)), len(falling) - 1)]
        k, mean = np.arange(len(law)), law.pmf @ s
        covariance = law.pmf @ ((s - mean) * (k - law.mean()))
        assert delay == pytest.approx(law.mean() + covariance / mean, rel=1e-9, abs=1e-9)


@given(st.integers(1, 300))
def test_static_rules_shrink_the_mean_step_as_the_formulas_say(m):
    law = geometric(m=m)
    assert theory.mean_inverse(m) == pytest.approx(ab.inverse().mean_scale(law, m), rel=1e-9)
    assert theory.mean_fleet(m) == pytest.approx(rules.fleet(percentile=None).mean_scale(law, m), rel=1e-9)
    assert theory.mean_exponential(0.3, m) == pytest.approx(rules.exponential(0.3).mean_scale(law, m), rel=1e-9)


def test_known_figures():
    assert [round(theory.mean_inverse(m), 4) for m in (8, 64, 256)] == [0.2971, 0.0660, 0.0217]
    assert theory.fleet_beta(0) == 1.0  # the limit
    for threshold in (1e-6, 3.0, 40.0):
        assert math.exp(-theory.fleet_beta(threshold) * threshold / 2) == pytest.approx(1 / (1 + threshold / 2))
    assert theory.tail_mean(constant(3), cdf="exclusive") == 2
    assert theory.tail_mean(constant(3), cdf="inclusive") == 0
    assert theory.tail_variance(constant(3)) == 0
    assert math.isnan(theory.effective_delay([0.0], uniform(0, 3)))


@given(st.integers(2, 40), st.floats(0.05, 0.999))
def test_the_mean_of_geometric_contributions_is_the_heavy_ball(m, target):
    law = geometric(m=m)
    rule = rules.mindthestep("geometric", momentum=target, p=1 / m, clip=None, drop_after=None)
    for scales, momentum in (
        (np.ones(len(law)), 1 - 1 / m),
        (ab.tail()(law, m), (1 - 1 / m) ** 2),
        (rule(law, m) if target <= 1 - 1 / m else np.ones(len(law)), min(target, 1 - 1 / m)),
    ):
        ball = theory.implicit_momentum(scales, law, m)
        assert ball.momentum == pytest.approx(momentum, rel=1e-6)
        assert ball.step == pytest.approx((1 - momentum) * (scales @ law.pmf), rel=1e-6)
        a = 0.3
        mean = naive.mean_of_independent_delays(a, law.pmf * scales, 60)
        first = -a * (law.pmf @ scales)  # what the updates before the first have left
        np.testing.assert_allclose(mean, naive.heavy_ball(a * ball.step, ball.momentum, first, 60), atol=1e-6)


@pytest.mark.parametrize(
    "law",
    [uniform(0, 4), constant(2), StalenessDistribution.from_counts([8, 4, 2, 1]), geometric(m=4).padded(8)],
    ids=["uniform", "constant", "ends", "cut"],
)
def test_what_is_no_series_has_no_momentum(law):
    with pytest.raises(UsageError, match="not a geometric series"):
        theory.implicit_momentum("constant", law)


def test_no_staleness_is_no_momentum():
    assert theory.implicit_momentum("constant", constant(0)) == theory.HeavyBall(1.0, 0.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: theory.mean_inverse(0),
        lambda: theory.mean_exponential(-1.0, 4),
        lambda: theory.fleet_beta(-1),
        lambda: theory.tail_mean(uniform(0, 3), 2.0),
        lambda: theory.tail_mean(uniform(0, 3), cdf="middle"),
        lambda: theory.tail_variance(StalenessDistribution.from_counts([0])),
        lambda: theory.effective_delay("tail", [0.5, 0.5]),
        lambda: theory.effective_delay([], uniform(0, 3)),
        lambda: theory.effective_delay([-1.0], uniform(0, 3)),
        lambda: theory.effective_delay("tial", uniform(0, 3)),
        lambda: theory.effective_delay("tail", uniform(0, 3), workers=0),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(UsageError):
        call()
