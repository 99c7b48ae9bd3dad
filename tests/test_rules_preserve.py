import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import counts

from asapnb.errors import RuleError, UsageError
from asapnb.rules import (
    adadelay,
    as_rule,
    constant,
    every,
    examples,
    exponential,
    inverse,
    once,
    parse_rule,
    preserve,
    released_code,
    ringmaster,
    tail,
)
from asapnb.staleness import StalenessDistribution

from_counts = StalenessDistribution.from_counts
RULES = [  # those that drop all updates of some staleness have no mean to preserve there
    rule for rule in examples().values() if rule.schedule is None and rule(from_counts([*[0] * 149, 1]), 4)[-1] > 0
]


def rising(staleness, workers):
    return np.arange(1, len(staleness) + 1)


@given(counts(max_size=150), st.sampled_from([*RULES, rising]))
def test_the_mean_step_is_kept_and_so_are_the_proportions(values, rule):
    seen = from_counts(values)
    preserved = preserve(rule)
    scales, before = preserved(seen, 4), as_rule(rule)(seen, 4)
    assert preserved.mean_scale(seen, 4) == pytest.approx(1, rel=2e-15)
    np.testing.assert_allclose(scales * (before @ seen.pmf), before, rtol=1e-13)
    np.testing.assert_array_equal(np.sign(np.diff(scales)), np.sign(np.diff(before)))  # C2 is kept, both ways


def test_preserved_twice_is_preserved_once():
    once_only = preserve(inverse())
    assert preserve(once_only) == once_only == parse_rule("preserve(preserve(inverse))")
    assert preserve(once_only, refresh=every(7)) == preserve(inverse(), refresh=every(7))
    np.testing.assert_allclose(preserve(tail(0.5))(from_counts([1, 3, 1]), 2), tail(0.5)(from_counts([1, 3, 1]), 2))


def test_when_its_table_is_made():
    assert preserve(constant()).refresh == tail().refresh
    assert preserve(tail(refresh=once(3, 9))) == preserve(tail(), refresh=once(3, 9))
    assert repr(preserve(tail(refresh=once(3, 9)))) == "preserve(rule=tail(amplitude=1.0), refresh=once(3, 9))"
    assert preserve(tail(refresh=once(3, 9)), refresh=every(50)).refresh == every(50)
    released = preserve(tail(0.5, "exclusive", released_code()))
    assert parse_rule(repr(released)) == released
    assert released.mean_scale(from_counts([3, 2, 1]), 4) == pytest.approx(1)


def test_what_cannot_be_preserved():
    with pytest.raises(UsageError, match=r"rule is adadelay\(c=0.1\): its steps depend on more than staleness"):
        preserve(adadelay(0.1))
    with pytest.raises(RuleError, match=r"rule preserve\(rule=ringmaster\(R=2\)\): all updates seen are dropped"):
        preserve(ringmaster(2))(from_counts([0, 0, 1]), 4)
    with pytest.raises(RuleError, match=r"scale .* at tau = 0: must be finite and >= 0 \(for StalenessDistribution"):
        preserve(exponential(1))(from_counts([*[0] * 100, 1]), 4)
