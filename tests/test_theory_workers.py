"""Staleness and queues of workers: formulas against chains, sums and draws."""

import math

import naive_theory as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from asapnb import theory
from asapnb.errors import UsageError
from asapnb.staleness import geometric, ks

TIMES = st.lists(st.floats(0.01, 100), min_size=1, max_size=8)


@given(st.integers(1, 60))
def test_equal_exponential_workers_are_geometric(m):
    law = theory.exponential_workers(m)
    assert ks(law, geometric(m=m)) < 1e-12
    assert law.mean() == pytest.approx(m - 1, abs=1e-9)
    assert law.variance() == pytest.approx(m * (m - 1), rel=1e-9, abs=1e-9)
    assert law.s2() == pytest.approx(1 / (2 * m - 1), rel=1e-12)


@given(TIMES)
def test_the_mean_staleness_is_one_less_than_the_workers_however_they_differ(times):
    staleness, shares = theory.staleness_by_worker(times), theory.update_shares(times)
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares * times, shares[0] * times[0], rtol=1e-12)
    assert staleness @ shares == pytest.approx(len(times) - 1, abs=1e-9)
    for i, own in enumerate(times):
        expected = sum(own / other for j, other in enumerate(times) if j != i)
        assert staleness[i] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    rates = 1 / np.array(times)
    assert theory.exponential_workers(rates).mean() == pytest.approx(len(times) - 1, abs=1e-6)


@pytest.mark.parametrize("rates", [[1.0, 1.0, 1.0], [1.0, 2.0, 5.0]])
def test_the_law_of_one_update_is_the_mean_over_all_orders(rates):
    m, p = len(rates), np.array(rates) / sum(rates)
    for t in range(6):
        pmf = np.zeros(t + 1)
        for order in naive.every_order(m, t + 1):
            pmf[naive.staleness_of_order(order)[t]] += p[order].prod()
        np.testing.assert_allclose(theory.exponential_workers(rates, update=t).pmf, pmf, rtol=1e-12)
    np.testing.assert_allclose(theory.exponential_workers(rates, update=900).pmf[:50],
                               theory.exponential_workers(rates).pmf[:50], rtol=1e-9)  # fmt: skip


@given(st.integers(1, 40), st.integers(1, 300))
def test_in_intervals_the_law_has_the_mean_that_all_compute_times_have(m, interval):
    law, n = theory.interval_staleness(m, interval), min(m, interval)
    assert law.mean() == pytest.approx((n - 1) * (1 - n / (2 * interval)), rel=1e-9, abs=1e-12)
    assert law.support < interval
    if interval <= m:
        np.testing.assert_allclose(law.pmf[:interval], 1 / interval, rtol=1e-12)
    rounds = theory.interval_time(m, interval)
    assert rounds >= interval / m * (1 - 1e-12)
    if interval == m:
        assert rounds == theory.round_time(m)


def test_long_intervals_are_none():
    assert ks(theory.interval_staleness(8, 10**6), geometric(m=8)) < 1e-4
    assert 10**6 / theory.interval_time(8, 10**6) == pytest.approx(8, rel=1e-4)


def test_staleness_follows_the_time_that_a_gradient_took():
    times = np.array([0.5, 1.0, 3.0])
    given_time = theory.staleness_given_time(times, times.mean(), 5)
    assert theory.staleness_given_time(2.0, 1.0, 9) == [16.0]
    assert given_time.mean() == pytest.approx(4)
    np.testing.assert_allclose(given_time / times, given_time[0] / times[0])


@pytest.mark.parametrize(("m", "first"), [(1, 1), (5, 5), (5, 2), (40, 39)])
def test_a_round_lasts_as_long_as_the_order_statistic(m, first):
    # E[the K-th of m] as the integral of P(fewer than K have come)
    expected = integrate.quad(lambda t: stats.binom.cdf(first - 1, m, -math.expm1(-t)), 0, 60, limit=200)[0]
    assert theory.round_time(m, wait_for=first) == pytest.approx(expected, rel=1e-6)
    assert theory.round_time(m, 2.0, 0.5, first) == pytest.approx(0.5 + 2 * theory.round_time(m, wait_for=first))
    assert theory.round_time(m) == pytest.approx(sum(1 / k for k in range(1, m + 1)))


@given(st.integers(1, 40), st.floats(0.01, 10), st.floats(0.01, 10))
def test_repairmen_are_their_chains(m, compute, service):
    for law, throughput in (
        ("exponential", naive.repairman(m, service / compute)[0]),
        ("constant", naive.repairman_of_constant_service(m, service / compute)),
    ):
        found = theory.machine_repairman(m, compute, service, law)
        assert found.throughput * compute == pytest.approx(throughput, rel=1e-9)
        assert found.queue == pytest.approx(found.throughput * found.time)  # Little
        assert m == pytest.approx(found.throughput * (compute + found.time))
        assert found.utilisation == pytest.approx(found.throughput * service)
        assert found.throughput < (1 + 1e-12) * min(1 / service, m / (compute + service))
    assert naive.repairman(m, service / compute)[1] == pytest.approx(
        theory.machine_repairman(m, compute, service).queue, rel=1e-6, abs=1e-9
    )


@given(st.integers(2, 30), st.floats(0.05, 2))
def test_constant_service_is_faster(m, ratio):
    exponential, constant = (theory.machine_repairman(m, 1.0, ratio, law) for law in ("exponential", "constant"))
    assert constant.throughput > exponential.throughput * (1 - 1e-12)


def test_known_figures_of_queues():
    found = theory.machine_repairman(16, 1.0, 0.1)
    assert (found.throughput, found.queue) == (pytest.approx(9.777, abs=5e-4), pytest.approx(6.223, abs=5e-4))
    assert theory.machine_repairman(16, 1.0, 0.1, "constant").throughput == pytest.approx(9.9582, abs=5e-5)
    assert theory.machine_repairman(1000, 1.0, 0.5).throughput == pytest.approx(2)
    assert theory.machine_repairman(1, 3.0, 1.0, "constant").throughput == pytest.approx(1 / 4)
    for m, update, known in ((16, 0.1, 1.455), (64, 0.05, 3.05), (8, 0.3, 1.85), (16, 0.01, 0.158)):
        assert theory.leashed_fluid(m, 1.0, update) == pytest.approx(known, abs=5e-3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: theory.exponential_workers(0),
        lambda: theory.exponential_workers([1.0, 0.0]),
        lambda: theory.exponential_workers(3, update=-1),
        lambda: theory.update_shares([]),
        lambda: theory.staleness_by_worker([1.0, math.inf]),
        lambda: theory.staleness_by_worker("fast"),
        lambda: theory.staleness_given_time([1.0], 0.0, 3),
        lambda: theory.round_time(4, wait_for=5),
        lambda: theory.round_time(2.5),
        lambda: theory.machine_repairman(4, 1.0, 0.0),
        lambda: theory.machine_repairman(4, 1.0, 1.0, "normal"),
        lambda: theory.leashed_fluid(4, -1.0, 1.0),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(UsageError):
        call()
