"""Schedules against what queueing and renewal theory say of them, within bounds that the number of samples sets."""

import itertools
import math

import numpy as np
import pytest
from naive_simulator import simulate
from scipy import stats

from asapnb import timing as times
from asapnb.schemes import Hogwild, Leashed, LockBased, ParameterServer, Synchronous
from asapnb.simulator import schedule
from asapnb.theory import interval_staleness, interval_time, leashed_fluid, machine_repairman
from asapnb.timing import Timing

RISK = 1e-5  # of a test that fails although all is well, had the seed not been fixed
BOUND = stats.norm.isf(RISK / 2)


def fits(observed, probabilities):
    """Pearson's χ² has no objection; cells with fewer than 10 expected are one with their neighbours."""
    observed, expected = np.asarray(observed, float), np.asarray(probabilities) * np.sum(observed)
    cells = np.minimum(np.cumsum(expected) // 10, np.sum(expected) // 10 - 1).astype(int)
    cells = np.unique(cells, return_inverse=True)[1]
    observed, expected = np.bincount(cells, observed), np.bincount(cells, expected)
    return stats.chisquare(observed, expected).pvalue > RISK


def by_batches(values, batches=50):
    """Mean of a stationary series and a bound for its error, from the means of long batches."""
    means = np.array([part.mean(axis=0) for part in np.array_split(values, batches)])
    return means.mean(axis=0), stats.t.isf(RISK / 2, batches - 1) * means.std(axis=0, ddof=1) / math.sqrt(batches)


def agrees(values, expected, within):
    """Whether a mean is as expected, and known so well that a relative error of `within` would be seen."""
    mean, bound = by_batches(values)
    assert (bound < within * expected).all(), f"known to {bound / expected:.2%} only"
    return np.abs(mean - expected).max() < bound


def tally(values, size):
    """How often each value from 0 to size - 1 occurs; the last stands for all above, too."""
    return np.bincount(np.minimum(values, size - 1), minlength=size)


def closed(law):
    """A law whose last value stands for all above."""
    return np.append(law[:-1], 1 - law[:-1].sum())


# --- no time but that of gradients ---------------------------------------------------------------------------------


def test_equal_exponential_workers_come_in_any_order_and_staleness_is_the_gap():
    m, n = 8, 400_000
    made = schedule("exponential(1)", workers=m, updates=n, seed=1)
    assert fits(np.bincount(made.worker), np.full(m, 1 / m))
    for first in (0, 1):
        pairs = made.worker[first : n - first].reshape(-1, 2)
        assert fits(np.bincount(m * pairs[:, 0] + pairs[:, 1], minlength=m * m), np.full(m * m, 1 / m**2))
    last = np.zeros(m, int)
    for t in range(3000):
        assert made.tau[t] == t - last[made.worker[t]]
        last[made.worker[t]] = t + 1


def test_exponential_workers_in_intervals():
    m, size, n = 6, 20, 200_000
    made = schedule("exponential(1)", LockBased(interval=size), m, n, seed=4)
    by_interval = made.tau.reshape(-1, size)
    assert (by_interval.sum(axis=1) == (m - 1) * (size - m / 2)).all(), "whatever the times"
    law = np.append(interval_staleness(m, size).pmf, np.zeros(size))[:size]
    for place in (3, 9, size - 2):  # one of each interval, so that they are independent
        possible = np.flatnonzero(naive_interval(m, size, place))
        seen = tally(by_interval[:, place], size)
        assert seen[possible].sum() == seen.sum()
        assert fits(seen[possible], naive_interval(m, size, place)[possible])
    np.testing.assert_allclose(np.mean([naive_interval(m, size, place) for place in range(size)], axis=0), law)
    took = np.diff(made.t_apply[size - 1 :: size], prepend=0.0)
    assert agrees(took, interval_time(m, size), within=0.02)


def naive_interval(m, size, place):
    """The law of the staleness of the update at this place of an interval, from who has begun when."""
    begun = {0: m}  # expected gradients in flight, by the update after which they began
    for update in range(place + 1):
        flight = sum(begun.values())
        law = {since: count / flight for since, count in begun.items()}
        begun = {since: count - law[since] for since, count in begun.items()}
        if m + update < size:
            begun[update + 1] = begun.get(update + 1, 0) + 1
    return np.array([law.get(place - k, 0.0) for k in range(size)])


@pytest.mark.parametrize("timing", ["1.5", "[exponential(1), 3, gamma(2, 0.5), 0.25]", "pareto(1, 1.1)"])
@pytest.mark.parametrize("size", [1, 3, 4, 5, 11])
def test_the_staleness_of_an_interval_adds_up_to_the_same_whatever_the_times(timing, size):
    m = 4
    n = min(m, size)
    for scheme in (LockBased(interval=size), Hogwild(interval=size), Leashed(interval=size)):
        tau = schedule(timing, scheme, m, 20 * size, seed=3).tau.reshape(-1, size)
        assert (2 * tau.sum(axis=1) == (n - 1) * (2 * size - n)).all()
        if size <= m:
            assert (np.sort(tau, axis=1) == np.arange(size)).all()


def test_staleness_of_the_first_updates_and_in_the_long_run():
    m, late = 4, 7
    firsts = np.array([schedule("exponential(1)", workers=m, updates=late + 1, seed=s).tau for s in range(3000)])
    assert (firsts[:, 0] == 0).all()
    for t in (1, 3, late):
        law = closed((1 / m) * (1 - 1 / m) ** np.arange(t + 1))
        assert fits(np.bincount(firsts[:, t], minlength=t + 1), law)
    thinned = schedule("exponential(1)", workers=m, updates=1_000_000, seed=2).tau[20 * m :: 20 * m]
    assert fits(tally(thinned, 40), closed((1 / m) * (1 - 1 / m) ** np.arange(40)))
    kurtosis = 9 + 1 / (m * (m - 1))
    error = m * (m - 1) * math.sqrt((kurtosis - 1) / len(thinned))
    assert abs(thinned.var() - m * (m - 1)) < BOUND * error < 0.12 * m * (m - 1)


@pytest.mark.parametrize("scheme", [LockBased(), Hogwild(), Leashed(), ParameterServer()], ids=str)
def test_staleness_of_exponential_workers_that_differ(scheme):
    means = np.array([0.3, 1.0, 1.0, 2.0, 5.0])
    p = (1 / means) / (1 / means).sum()
    made = schedule(Timing([times.exponential(x) for x in means]), scheme, len(means), 1_000_000, seed=3)
    assert fits(np.bincount(made.worker), p)
    for i, share in enumerate(p):
        tau = made.tau[made.worker == i][1:]
        error = math.sqrt((1 - share) / share**2 / len(tau))
        assert abs(tau.mean() - (1 - share) / share) < BOUND * error < 0.05 * tau.mean()
    k, thinned = np.arange(60), made.tau[1000::200]
    assert fits(tally(thinned, 60), closed(p**2 @ (1 - p[:, None]) ** k))
    assert not fits(tally(thinned, 60), closed((1 / 5) * (4 / 5) ** k))


@pytest.mark.parametrize("m", [1, 2, 7, 16, 100])
def test_workers_of_equal_constant_times_take_turns(m):
    made = schedule("compute=0.7", workers=m, updates=5 * m, seed=1)
    np.testing.assert_array_equal(made.tau, np.minimum(np.arange(5 * m), m - 1))
    np.testing.assert_array_equal(made.worker, np.arange(5 * m) % m)


def test_fixed_times_give_shares_and_staleness_by_their_ratios():
    fixed = np.array([1.0, math.sqrt(2), math.pi, 7.0 / math.e, 9.9])
    made = schedule(Timing(fixed.tolist()), workers=5, updates=500_000, seed=1)
    np.testing.assert_allclose(np.bincount(made.worker) / 500_000, (1 / fixed) / (1 / fixed).sum(), rtol=1e-4)
    for i, own in enumerate(fixed):
        expected = sum(own / other for j, other in enumerate(fixed) if j != i)
        assert made.tau[made.worker == i].mean() == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize("time", [times.gamma(2.0, 0.5), times.lognormal(2.0, 0.8)], ids=str)
def test_staleness_grows_with_the_gradient_s_own_time(time):
    m = 8
    made = schedule(Timing(time), workers=m, updates=400_000, seed=4)
    took, tau = (made.t_ready - made.t_read)[200 * m :], made.tau[200 * m :]
    slopes = [np.polyfit(*part, 1) for part in zip(np.array_split(took, 50), np.array_split(tau, 50), strict=True)]
    (slope, foot), error = np.mean(slopes, 0), np.std(slopes, 0, ddof=1) / math.sqrt(50)
    bound = stats.t.isf(RISK / 2, 49) * error
    assert abs(slope - (m - 1) / time.mean) < bound[0] < 0.03 * slope
    assert abs(foot) < bound[1] < 0.03 * (m - 1)
    assert agrees(took, time.mean, 0.01)
    assert agrees((took - time.mean) ** 2, time.variance, 0.05)


# --- a lock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "ratio"), [(16, 0.1), (4, 0.1), (8, 0.5), (30, 0.02), (2, 1.0)])
@pytest.mark.parametrize(
    "scheme", [LockBased(fused=True), LockBased("random", fused=True), ParameterServer()], ids=str
)
def test_an_exponential_lock_is_a_machine_repairman(m, ratio, scheme):
    made = schedule(Timing("exponential(1)", update=times.exponential(ratio)), scheme, m, 400_000, seed=5)
    known = machine_repairman(m, 1.0, ratio)
    between, waits = np.diff(made.t_apply)[1000:], (made.t_apply - made.t_ready)[1000:]
    assert agrees(between, 1 / known.throughput, 0.02)
    assert agrees(waits, known.time, 0.05)


@pytest.mark.parametrize(("m", "service"), [(16, 0.1), (5, 0.1), (8, 0.3)])
def test_a_constant_lock_is_a_repairman_of_constant_service(m, service):
    known = machine_repairman(m, 1.0, service, "constant")
    made = schedule(Timing("exponential(1)", update=service), LockBased(fused=True), m, 1_000_000, seed=6)
    assert agrees(np.diff(made.t_apply)[1000:], 1 / known.throughput, 0.005)
    assert agrees((made.t_apply - made.t_ready)[1000:], known.time, 0.05)


# --- Leashed -------------------------------------------------------------------------------------------------------


def in_the_loop(made):
    """The mean number of workers that try to publish: Little's law, for all that leave the loop."""
    return (made.t_apply - made.t_ready).sum() / made.seconds


@pytest.mark.parametrize(("m", "compute", "update"), [(16, 1.0, 0.1), (64, 1.0, 0.05), (8, 1.0, 0.3), (16, 1.0, 2.0)])
@pytest.mark.parametrize("law", [times.exponential, times.constant])
def test_leashed_of_one_attempt_has_the_fluid_limit(m, compute, update, law):
    made = schedule(Timing("exponential(1)", update=law(update)), Leashed(persistence=0), m, 200_000, seed=7)
    assert in_the_loop(made) == pytest.approx(leashed_fluid(m, compute, update), rel=0.01)
    assert (made.tries == made.dropped).all()
    applied = np.flatnonzero(made.dropped == 0)
    ends = made.t_apply[applied]
    during = np.searchsorted(ends, ends, "left") - np.searchsorted(ends, made.t_ready[applied], "right")
    assert (during == 0).all()  # nothing is published during the attempt that succeeds
    assert made.dropped.sum() > 1000


@pytest.mark.parametrize(
    ("m", "update", "exponential", "constant"),
    [(16, 0.1, 3.22, 6.70), (64, 0.05, 11.9, 44.2), (8, 0.3, 3.45, 4.97), (16, 0.01, 0.183, 0.185)],
)
def test_leashed_without_bound_has_known_numbers_in_the_loop(m, update, exponential, constant):
    for law, expected in ((times.exponential, exponential), (times.constant, constant)):
        made = schedule(Timing("exponential(1)", update=law(update)), Leashed(), m, 400_000, seed=8)
        assert in_the_loop(made) == pytest.approx(expected, rel=0.02)
        assert made.dropped.sum() == 0


def test_leashed_with_early_checks_and_exponential_times_never_waits():
    """Each of n attempts ends at a rate of 1/u, and when the first does all others begin anew, as if they went on."""
    m, u = 16, 0.1
    timing = Timing("exponential(1)", update=times.exponential(u))
    made = schedule(timing, Leashed(check_early=True), m, 400_000, seed=9)
    assert agrees(np.diff(made.t_apply)[1000:], (1 + u) / m, 0.02)
    assert in_the_loop(made) == pytest.approx(m * u / (1 + u), rel=0.01)


def two_who_publish(update, retry):
    """Leashed without bound, 2 workers, all times exponential, those of gradients of mean 1: an exact Markov chain.

    Returns the shares of updates with τ = 0, τ = 1 and more, the mean time between two, and failures for each.
    """
    rates = {"computes": 1.0, "first": 1 / update, "further": 1 / retry}
    phases = [("computes", False), *((name, late) for name in ("first", "further") for late in (False, True))]
    ones = [(*phase, missed) for phase in phases for missed in range(3)]  # late: another has published meanwhile
    states = list(itertools.product(ones, ones))
    place = {state: i for i, state in enumerate(states)}
    moves, publishes, fails = np.zeros((len(states),) * 2), np.zeros((3, len(states))), np.zeros(len(states))
    for i, state in enumerate(states):
        for mine in range(2):
            (phase, late, missed), (other, _, others) = state[mine], state[1 - mine]
            after, rival = ("first", False, missed), state[1 - mine]
            if phase != "computes" and late:
                after = ("further", False, missed)
                fails[i] += rates[phase]
            elif phase != "computes":
                after, rival = ("computes", False, 0), (other, other != "computes", min(others + 1, 2))
                publishes[missed, i] += rates[phase]
            moves[i, place[(after, rival) if mine == 0 else (rival, after)]] += rates[phase]
    balance = np.vstack([(moves - np.diag(moves.sum(1))).T, np.ones(len(states))])
    stationary = np.linalg.lstsq(balance, np.append(np.zeros(len(states)), 1.0))[0]
    per_second = publishes @ stationary
    return per_second / per_second.sum(), 1 / per_second.sum(), fails @ stationary / per_second.sum()


@pytest.mark.parametrize(("update", "retry"), [(2.0, 0.3), (0.5, 2.0), (1.0, None)])
def test_leashed_of_two_workers_is_an_exact_chain(update, retry):
    timing = Timing("exponential(1)", update=times.exponential(update), retry=retry and times.exponential(retry))
    made = schedule(timing, Leashed(), 2, 400_000, seed=14)
    staleness, gap, failures = two_who_publish(update, retry or update)
    for tau in range(3):
        assert agrees(np.minimum(made.tau, 2) == tau, staleness[tau], 0.05)
    assert agrees(np.diff(made.t_apply), gap, 0.02)
    assert agrees(made.tries.astype(float), failures, 0.03)


# --- rounds and servers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "mean", "variance"),
    [
        (Synchronous(), sum(1 / j for j in range(1, 9)), sum(1 / j**2 for j in range(1, 9))),
        (Synchronous(3), sum(1 / j for j in range(6, 9)), sum(1 / j**2 for j in range(6, 9))),
        (Synchronous(1), 1 / 8, 1 / 64),
        (Synchronous(3, batches=True), 3 / 8, 3 / 64),
        (Synchronous(20, batches=True), 20 / 8, 20 / 64),
    ],
    ids=str,
)
def test_a_round_takes_the_time_of_its_last_gradient(scheme, mean, variance):
    made = schedule("exponential(0.5)", scheme, 8, 50_000, seed=10)
    ends = made.t_apply[:: scheme.gradients(8)]
    rounds = np.diff(ends, prepend=0.0) / 0.5
    error = math.sqrt(variance / len(rounds))
    assert abs(rounds.mean() - mean) < BOUND * error < 0.025 * mean
    np.testing.assert_array_equal(made.t_ready.reshape(len(ends), -1).max(1), ends)
    assert (made.tau == 0).all()


@pytest.mark.parametrize("bound", [0, 1, 4])
def test_nobody_is_further_ahead_of_the_slowest_than_the_bound(bound):
    timing = Timing(["exponential(1)"] * 4 + ["exponential(3)"], read=0.01, update=0.02, network="exponential(0.1)")
    made = schedule(timing, ParameterServer(bound=bound), 5, 4000, seed=11)
    counts, reads = np.zeros(5, int), np.sort(made.rows, order="t_read")
    applies, position, furthest = made.rows, 0, 0
    for row in reads[reads["t_read"] <= made.seconds]:
        while position < len(applies) and applies["t_apply"][position] <= row["t_read"]:
            counts[applies["worker"][position]] += 1
            position += 1
        furthest = max(furthest, counts[row["worker"]] - counts.min())
    assert furthest == bound
    free = schedule(timing, ParameterServer(), 5, 4000, seed=11)
    assert np.ptp(np.bincount(free.worker)) > 100 > np.ptp(np.bincount(made.worker))


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 6])
def test_what_is_too_stale_is_discarded_and_with_restart_not_computed_on(limit, restart):
    timing = Timing(["exponential(1)"] * 5 + ["exponential(20)"], update=0.02, network="exponential(0.05)")
    made = schedule(timing, ParameterServer(discard_after=limit, restart=restart), 6, 20_000, seed=12)
    kept = made.dropped == 0
    assert (made.tau[kept] < limit).all()
    assert (made.tau[~kept] >= limit).all()
    applies = made.t_apply[kept]
    told = ~kept & (made.t_ready == made.t_apply)
    missed = np.searchsorted(applies, made.t_ready, "right") - made.read_version  # when the gradient is ready
    if restart:
        assert (made.tau[told] == limit).all()
        assert (missed[~told] < limit).all()
        assert told.sum() > 1000
    else:
        assert told.sum() == 0
        assert (missed[made.worker == 5] > 5 * limit).any()


def test_the_laws_hold_for_the_twin_too():
    made = simulate(Timing("exponential(1)", update="exponential(0.1)"), LockBased(fused=True), 16, 6000, 13)[0]
    assert agrees(np.diff(made["t_apply"])[500:], 1 / machine_repairman(16, 1.0, 0.1).throughput, 0.12)
