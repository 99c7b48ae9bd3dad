"""Rules that are a formula in tau: formulas, boundary values, and how their mean step vanishes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts

from asapnb.errors import UsageError
from asapnb.rules import (
    concurrency,
    constant,
    delay_adaptive,
    exponential,
    fleet,
    hinge,
    inverse,
    parse_rule,
    polynomial,
    ringmaster,
)
from asapnb.staleness import StalenessDistribution, geometric

from_counts = StalenessDistribution.from_counts

# For 5 workers, one tau at a time.
FORMULAS = [
    (constant(), lambda k: 1),
    (inverse(), lambda k: 1 / (k + 1)),
    (inverse("floored"), lambda k: 1 if k == 0 else 1 / k),
    (exponential(0), lambda k: 1),
    (exponential(0.3), lambda k: math.exp(-0.3 * k)),
    (fleet(None), lambda k: math.exp(-math.log(4) / 3 * k)),
    (polynomial(), lambda k: 1 / math.sqrt(k + 1)),
    (polynomial(2), lambda k: (k + 1) ** -2),
    (hinge(), lambda k: 1 if k <= 4 else 1 / (10 * (k - 4) + 1)),
    (hinge(a=0.5, b=2.5), lambda k: 1 if k <= 2 else 1 / (0.5 * (k - 2.5) + 1)),
    (delay_adaptive(), lambda k: 1 if k <= 5 else 5 / k),
    (delay_adaptive(7, "drop"), lambda k: 1 if k <= 7 else 0),
    (delay_adaptive(0), lambda k: 1 if k == 0 else 0),
    (concurrency(), lambda k: 5 / max(5, k + 1)),
    (ringmaster(3), lambda k: 1 if k < 3 else 0),
]


@pytest.mark.parametrize(("rule", "formula"), FORMULAS, ids=[str(rule) for rule, _ in FORMULAS])
def test_static_rules_are_their_formulas_with_or_without_staleness(rule, formula):
    assert rule.refresh is None
    for seen in (from_counts(np.zeros(40)), from_counts([0, 0, 1, 5, 0, 0]).padded(40)):
        np.testing.assert_allclose(rule(seen, 5), [formula(k) for k in range(40)], rtol=1e-14)


@given(counts(), st.sampled_from([*[rule for rule, _ in FORMULAS], fleet(), fleet(50)]), st.integers(1, 300))
def test_they_dampen_and_nothing_else(values, rule, workers):
    seen = from_counts(values)
    scales = rule(seen, workers)
    assert scales[0] == 1
    assert (np.diff(scales) <= 0).all()
    assert scales[-1] >= 0
    assert rule.mean_scale(seen, workers) <= 1 + 1e-15
    if rule.mean_scale(seen, workers) > 0:
        assert rule.effective_delay(seen, workers) <= seen.mean() * (1 + 1e-12)
    assert constant().effective_delay(seen, workers) == pytest.approx(seen.mean(), rel=1e-13)


@given(counts(), st.floats(0, 100))
def test_fleet_meets_inverse_at_half_its_percentile(values, percentile):
    seen = from_counts(values)
    threshold = seen.quantile(percentile / 100)
    scales = fleet(percentile)(seen.padded(2 * len(seen)), 4)
    if threshold == 0:
        np.testing.assert_allclose(scales, np.exp(-np.arange(len(scales))))
    else:
        root = scales[1] ** (threshold / 2)  # scale[k] = scale[1]^k
        assert root == pytest.approx(1 / (threshold / 2 + 1), rel=1e-12)
        np.testing.assert_allclose(scales, scales[1] ** np.arange(len(scales)), rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize(
    ("m", "of_inverse", "of_fleet", "rounded_down"),
    [(8, 0.297, 0.312, 0.322), (64, 0.066, 0.134, 0.135), (256, 0.0217, 0.0955, 0.096)],
)
def test_static_dampening_makes_the_mean_step_vanish_with_workers(m, of_inverse, of_fleet, rounded_down):
    seen = geometric(m=m)
    assert inverse().mean_scale(seen, m) == pytest.approx(math.log(m) / (m - 1), rel=1e-12)
    assert inverse().mean_scale(seen, m) == pytest.approx(of_inverse, abs=5e-4)
    assert fleet(None).mean_scale(seen, m) == pytest.approx(of_fleet, abs=5e-4)
    # code that rounds T/2 down within the logarithm
    beta = 2 / (m + 1) * math.log(1 + (m + 1) // 2)
    assert exponential(beta).mean_scale(seen, m) == pytest.approx(rounded_down, abs=5e-4)
    assert exponential(beta).mean_scale(seen, m) == pytest.approx(1 / (m - (m - 1) * math.exp(-beta)), rel=1e-12)


def test_statistics_without_staleness():
    nothing = from_counts(np.zeros(3))
    assert math.isnan(inverse().mean_scale(nothing, 2))
    assert math.isnan(inverse().effective_delay(nothing, 2))
    assert math.isnan(inverse().scale_variance(nothing, 2))
    assert math.isnan(ringmaster(1).effective_delay(from_counts([0, 1]), 2))  # everything is dropped


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inverse(variant='flored')", "unknown variant of inverse 'flored'.*Did you mean 'floored'"),
        ("exponential", "missing a required argument: 'beta'; exponential takes"),
        ("exponential(beta=-0.5)", "beta is -0.5: must be a finite number of at least 0"),
        ("fleet(percentile=101)", r"percentile is 101: must be a finite number of at least 0 and of at most 100"),
        ("fleet(None, refresh=every(5))", r"refresh is every\(5\): with percentile=None nothing depends"),
        ("polynomial(a=True)", "a is True"),
        ("hinge(b=-1)", "b is -1"),
        ("delay_adaptive(beyond=skip)", "unknown way beyond the threshold 'skip'; available: drop, scale"),
        ("delay_adaptive(threshold=-1)", "threshold is -1"),
        ("ringmaster(R=0)", "R is 0: must be an integer of at least 1"),
        ("ringmaster(R=2.5)", "R is 2.5: must be an integer"),
    ],
)
def test_bad_parameters(text, message):
    with pytest.raises(UsageError, match=message):
        parse_rule(text)
