"""The event loops against a twin made of processes, against each other, and against what holds for any schedule."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from intervals import assert_none_crosses
from naive_simulator import COMPUTE, Simulation, simulate

from asapnb import timing as times
from asapnb.compiled import kernel
from asapnb.errors import UsageError
from asapnb.schemes import SCHEMES, Hogwild, Leashed, LockBased, ParameterServer, Sequential, Synchronous
from asapnb.simulator import schedule, scheduling, staleness_only
from asapnb.simulator.loops.common import open_world
from asapnb.simulator.loops.tournament import idle, key_of, next_key, next_worker, put, time_of
from asapnb.simulator.tournament import tournament
from asapnb.simulator.words import QUOTA, VERSION
from asapnb.simulator.world import ROW, WORKER, make_world
from asapnb.timing import Timing
from asapnb.training.compiling import load
from asapnb.workforce import as_workforce

LENGTHS = st.integers(1, 12) | st.builds(
    lambda first, start, then: ((0, first), (start, then)), st.integers(1, 9), st.integers(1, 50), st.integers(1, 90)
)
FAMILIES = {
    "sequential": lambda m: st.just(Sequential()),
    "synchronous": lambda m: st.just(Synchronous()),
    "k-sync": lambda m: st.builds(Synchronous, st.integers(1, m)),
    "k-batch-sync": lambda m: st.builds(Synchronous, st.integers(1, 12), st.just(True)),
    "lock-based": lambda m: st.builds(LockBased, st.sampled_from(["fifo", "random"]), st.booleans()),
    "buffered": lambda m: st.builds(
        LockBased,
        st.sampled_from(["fifo", "random"]),
        st.booleans(),
        st.sampled_from([None, None, 4]),
        buffer=st.integers(2, 6),
        discard_after=st.sampled_from([None, 1, 2]),
    ),
    "hogwild": lambda m: st.builds(Hogwild, st.sampled_from(["in_place", "snapshot"])),
    "leashed": lambda m: st.builds(Leashed, st.sampled_from([None, 0, 1, 3]), st.booleans()),
    "lock-based in intervals": lambda m: st.builds(
        LockBased, st.sampled_from(["fifo", "random"]), st.booleans(), LENGTHS
    ),
    "hogwild in intervals": lambda m: st.builds(Hogwild, st.just("snapshot"), interval=LENGTHS),
    "server in intervals": lambda m: st.builds(
        ParameterServer, st.sampled_from([None, 0, 2]), st.integers(1, 6), st.booleans(), LENGTHS
    ),
    "leashed in intervals": lambda m: st.builds(Leashed, st.sampled_from([None, 0, 1]), st.booleans(), LENGTHS),
    "parameter-server": lambda m: st.builds(ParameterServer, st.sampled_from([None, 0, 1, 3])),
    "ringmaster": lambda m: st.builds(
        ParameterServer, st.sampled_from([None, 0, 2]), st.integers(1, 6), st.booleans()
    ),
    "table": lambda m: st.builds(LockBased, st.sampled_from(["fifo", "random"]), st.booleans(), table=st.just(True)),
    "server with a table": lambda m: st.builds(ParameterServer, st.sampled_from([None, 0, 2]), table=st.just(True)),
    "buffered server": lambda m: st.builds(
        ParameterServer, st.sampled_from([None, 0, 2]), st.integers(1, 3), st.booleans(), buffer=st.integers(2, 6)
    ),
}
ONE_OF_EACH = {
    "sequential": Sequential(),
    "synchronous": Synchronous(),
    "k-sync": Synchronous(2),
    "k-batch-sync": Synchronous(5, batches=True),
    "lock-based": LockBased(),
    "buffered": LockBased(buffer=3, discard_after=2),
    "hogwild": Hogwild("snapshot"),
    "leashed": Leashed(persistence=1),
    "lock-based in intervals": LockBased(interval=3),
    "hogwild in intervals": Hogwild(interval=((0, 7), (20, 2))),
    "server in intervals": ParameterServer(discard_after=4, interval=3),
    "leashed in intervals": Leashed(persistence=0, interval=4),
    "parameter-server": ParameterServer(bound=2),
    "ringmaster": ParameterServer(discard_after=2, restart=True),
    "table": LockBased(table=True),
    "server with a table": ParameterServer(bound=2, table=True),
    "buffered server": ParameterServer(bound=2, buffer=3),
}
TIED_OR_ZERO = "mixture(0, 0.5, 1, weights=[1, 1, 1])"
GRID = (0.25, 0.5, 1.0, 1.5, 2.0)  # sums of these are exact, so events tie
CONTINUOUS = st.sampled_from([times.exponential(1.0), times.exponential(0.1), times.gamma(1.0, 0.5)])
TIED = st.builds(times.constant, st.sampled_from(GRID)) | st.just(
    times.mixture(times.constant(0.0), times.constant(1.0), weights=[1, 1])
)
MIXED = st.just(times.mixture(times.constant(0.0), times.exponential(1.0), times.constant(0.5), weights=[1, 1, 1]))
ANY = TIED | CONTINUOUS | MIXED
PER_UPDATE = st.just(times.constant(0.0)) | ANY


@st.composite
def cases(draw, family, compute=ANY, other=PER_UPDATE, paused=True, most=200):
    """Timing, scheme, workers, updates and seed."""
    workers = 1 if family == "sequential" else draw(st.sampled_from([*range(1, 9)] * 2 + [70]))

    def each(time):
        return draw(time | st.lists(time, min_size=workers, max_size=workers))

    given = {"compute": each(compute), "read": each(other), "update": each(other)}
    if isinstance(ONE_OF_EACH[family], ParameterServer):
        given["network"] = each(other)
    if family == "leashed" and draw(st.booleans()):
        given["retry"] = each(other)
    if draw(st.booleans()):
        given["join"] = each(other)
    if paused and draw(st.booleans()):
        pause = st.tuples(st.integers(0, workers - 1), st.sampled_from(GRID), st.sampled_from(GRID))
        given["pauses"] = draw(st.lists(pause, max_size=4))
    scheme = draw(FAMILIES[family](workers))
    return Timing(**given), scheme, workers, draw(st.integers(1, most)), draw(st.integers(0, 2**63 - 1))


def fill(timing, scheme, workers, updates, seed, loop=None, updates_at_once=None):
    """The rows of a loop as it makes them, into buffers that have room for so many updates at least."""
    world = make_world(timing, scheme, as_workforce(workers), updates)
    open_world(world, seed, loop is not None)
    run = load(f"asapnb.simulator.loops.{loop}:run" if loop else scheme.event_loop)
    each = scheme.gradients(workers)
    buffer = np.zeros(each * (updates_at_once or updates) + 2 * workers, ROW)
    parts = []
    while world.words[VERSION] < world.words[QUOTA]:
        count = run(world, buffer, np.empty(len(buffer)))
        assert count > 0
        parts.append(buffer[:count].copy())
    assert world.words[VERSION] == updates
    return np.concatenate(parts)


def assert_same(rows, expected):
    assert len(rows) == len(expected)
    for name in ROW.names:
        np.testing.assert_array_equal(rows[name], expected[name], name)


def assert_that_of_the_twin(*case):
    made = schedule(*case)
    rows, views = simulate(*case)
    assert_same(made.rows, rows)
    if views is not None:
        np.testing.assert_array_equal(made.t_view, views)


# --- the twin, and one loop beside another -----------------------------------------------------------------------


def test_every_scheme_in_virtual_time_has_a_twin():
    simulated = {n for n, one in SCHEMES.items() if one.event_loop and one.__module__.startswith("asapnb.")}
    assert not simulated - FAMILIES.keys(), "give them a twin in tests/naive_simulator.py, and a family here"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_schedule_is_that_of_the_twin(family):
    @settings(max_examples=40 if "intervals" in family else 100)
    @given(cases(family))
    def compare(case):
        assert_that_of_the_twin(*case)

    compare()


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "sequential"])
@pytest.mark.parametrize("laws", [(TIED_OR_ZERO, "0.5"), ("exponential(1)", TIED_OR_ZERO), ("1.5", "0.25")])
def test_a_schedule_of_many_workers_is_that_of_the_twin(family, laws):
    compute, other = laws
    network = TIED_OR_ZERO if isinstance(ONE_OF_EACH[family], ParameterServer) else 0
    case = Timing(compute, other, other, network, join=TIED_OR_ZERO), ONE_OF_EACH[family], 70, 200, 6
    assert_same(schedule(*case).rows, simulate(*case)[0])


@settings(max_examples=40)
@given(cases("hogwild", other=st.just(times.constant(0.0))), st.booleans(), st.booleans(), st.integers(0, 3))
def test_where_reads_and_updates_take_no_time_the_schemes_are_the_same(case, fused, early, persistence):
    timing, _, *rest = case
    rows = fill(timing, LockBased(), *rest, loop="instant")
    schemes = (LockBased(fused=fused), LockBased("random"), Hogwild(), Hogwild("snapshot"))
    for scheme in (*schemes, Leashed(check_early=early), Leashed(persistence, early)):
        assert_same(fill(timing, scheme, *rest), rows)
        assert_same(schedule(timing, scheme, *rest).rows, rows)


@settings(max_examples=30)
@given(st.one_of(cases("lock-based"), cases("hogwild"), cases("leashed")))
def test_an_interval_that_never_ends_is_none_and_one_of_1_is_sequential(case):
    timing, scheme, *rest = case
    without = fill(timing, scheme, *rest)
    assert_same(fill(timing, replace(scheme, interval=2**31 - 1), *rest), without)
    alone = schedule(timing, replace(scheme, interval=1), *rest)
    assert not alone.tau.any()
    assert (alone.t_read[1:] >= alone.t_apply[:-1]).all()


@settings(max_examples=40)
@given(cases("lock-based"), st.booleans())
def test_a_server_without_messages_is_a_fused_lock(case, zero):
    timing, _, *rest = case
    if zero:
        timing = Timing(timing.compute, join=timing.join, pauses=timing.pauses)
    server, lock = (schedule(timing, scheme, *rest).rows for scheme in (ParameterServer(), LockBased(fused=True)))
    if not zero:  # minibatches are chosen when the lock is asked for, but when the server answers
        server["batch"] = lock["batch"]
    assert_same(server, lock)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_schedule_is_the_beginning_of_a_longer_one_however_it_is_filled(family):
    @settings(max_examples=25)
    @given(cases(family), st.integers(1, 100), st.integers(1, 3))
    def compare(case, more, updates_at_once):
        timing, scheme, workers, updates, seed = case
        rows = fill(*case)
        longer = fill(timing, scheme, workers, updates + more, seed, updates_at_once=updates_at_once)
        assert_same(longer[: len(rows)], rows)
        assert longer["version"][len(rows) :].max() == updates + more
        made = schedule(*case).rows  # those of Leashed are in another order
        assert_same(made[np.argsort(made["batch"])], rows[np.argsort(rows["batch"])])

    compare()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_rows_and_another_one_others(family):
    timing = Timing("exponential(1)", read=0.01, update="exponential(0.2)")
    rest = (ONE_OF_EACH[family], 1 if family == "sequential" else 3, 50)
    first, again, other = (schedule(timing, *rest, seed).rows for seed in (1, 1, 2))
    assert_same(first, again)
    assert (first["t_ready"][:3] != other["t_ready"][:3]).all()


def test_gradient_k_of_a_worker_takes_the_same_time_whatever_the_scheme():
    timing = Timing(["exponential(1)", "gamma(2, 0.5)", "lognormal(1, 2)"], update="exponential(0.3)", join=[0, 1, 9])
    twin = Simulation(timing, 3, 0, seed=5)
    drawn = [[twin.draw(COMPUTE, worker) for _ in range(400)] for worker in range(3)]
    complete = ("synchronous", "lock-based", "hogwild", "leashed", "parameter-server")  # each gradient leaves a row
    for scheme in (*(ONE_OF_EACH[family] for family in complete), ParameterServer(discard_after=2)):
        rows = schedule(timing, scheme, 3, 120, seed=5).rows
        for worker in range(3):
            own = np.sort(rows[rows["worker"] == worker], order="t_read")
            assert len(own) > 5
            np.testing.assert_allclose(own["t_ready"] - own["t_read"], drawn[worker][: len(own)], 1e-9, 1e-9)


@settings(max_examples=50)
@given(st.sampled_from([*range(1, 20), 63, 64, 65, 70, 600]), st.data())
def test_the_next_event_is_the_first_of_a_sorted_list(workers, data):
    moments = st.sampled_from([0.0, 1.0, 2.0, np.nextafter(1.0, 2.0), 1e300]) | st.floats(0, 1e308) | st.just(np.inf)
    steps = data.draw(st.lists(st.tuples(st.integers(0, workers - 1), st.just(-1.0) | moments), max_size=80))
    listed, expected = {}, []
    for sequence, (worker, time) in enumerate(steps):
        listed.pop(worker, None)
        if time >= 0:
            listed[worker] = (abs(time), sequence)
        first = min(listed, key=listed.get, default=None)
        expected.append((-1, -1.0) if first is None else (first, listed[first][0]))
    found = np.zeros((len(steps), 2))
    _play(tournament(workers), np.zeros(workers, WORKER), np.array(steps).reshape(-1, 2), found)
    assert [tuple(pair) for pair in found] == expected


@kernel()
def _play(tree, workers, steps, found):
    """Give workers events, or none at a time of -1, and note who is next, and when, after each step."""
    for i in range(len(steps)):
        worker, time = int(steps[i, 0]), abs(steps[i, 1])
        workers[worker].sequence = i
        if steps[i, 1] < 0:
            idle(tree, workers, worker)
        else:
            put(tree, workers, worker, key_of(time))
        nobody = np.isnan(time_of(next_key(tree)))
        found[i, 0] = -1 if nobody else next_worker(tree)
        found[i, 1] = -1 if nobody else time_of(next_key(tree))


@pytest.mark.parametrize("family", FAMILIES)
def test_only_leashed_makes_further_attempts(family):
    scheme, workers = ONE_OF_EACH[family], 1 if family == "sequential" else 6
    plain, given = (
        schedule(Timing("exponential(1)", update="exponential(0.5)", retry=retry), scheme, workers, 300, 3).rows
        for retry in (None, "exponential(0.1)")
    )
    assert np.array_equal(plain, given) == (family != "leashed")


@settings(max_examples=40)
@given(cases("leashed"))
def test_without_a_retry_a_further_attempt_takes_an_update(case):
    timing, *rest = case
    without, same = (
        Timing(timing.compute, timing.read, timing.update, join=timing.join, retry=retry)
        for retry in (None, timing.update)
    )
    assert_same(schedule(without, *rest).rows, schedule(same, *rest).rows)


# --- what holds for any schedule -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_sound(family):
    @settings(max_examples=60)
    @given(cases(family, most=400))
    def check(case):
        made = schedule(*case)
        rows, workers, scheme = made.rows, made.workers, made.scheme
        applied = rows["dropped"] == 0
        each, tabled = scheme.gradients(workers), scheme.table_of(workers) > 0
        if not tabled:
            np.testing.assert_array_equal(rows["version"][applied], np.repeat(np.arange(1, made.updates + 1), each))
        assert np.unique(rows["version"][applied]).tolist() == list(range(1, made.updates + 1))
        assert (rows["tau"][applied] == (rows["version"] - 1 - rows["read_version"])[applied]).all()
        assert (rows["tau"] >= 0).all()
        assert (rows["version"][~applied] == -1).all()
        assert (rows["read_version"] >= 0).all()
        assert (rows["t_read"] <= rows["t_ready"]).all()
        assert (rows["t_ready"] <= rows["t_apply"]).all()
        if made.t_view is not None:
            assert (rows["t_read"] <= made.t_view).all()
            assert (made.t_view <= rows["t_ready"]).all()
        claims = rows["t_ready" if isinstance(scheme, Hogwild) else "t_apply"]
        assert (np.diff(claims[applied]) >= 0).all()
        assert len(np.unique(rows["batch"])) == len(rows)
        seen = np.where(applied, rows["version"], rows["read_version"] + rows["tau"])
        assert (np.diff(seen) >= 0).all(), "a dropped gradient follows the last version that its worker saw"
        for worker in range(workers):
            own = rows[applied & (rows["worker"] == worker)]
            new = np.flatnonzero(np.diff(own["version"])) if each > 1 else slice(None)
            open_still = (
                0 if scheme.fresh or (each == 1 and not tabled) else 1
            )  # its own may wait for others to make a version
            assert (own["read_version"][1:][new] >= own["version"][:-1][new] - open_still).all()
        if isinstance(scheme, Leashed) and scheme.persistence is not None:
            assert (rows["tries"][applied] <= scheme.persistence).all()
            assert (rows["tries"][~applied] == scheme.persistence + 1).all()
        elif not isinstance(scheme, Leashed):
            assert (rows["tries"] == 0).all()
        if isinstance(scheme, Sequential | Synchronous):
            assert (rows["tau"] == 0).all()
        if getattr(scheme, "discard_after", None):
            assert ((rows["tau"] < scheme.discard_after) == applied).all()
        else:
            assert applied.all() or isinstance(scheme, Leashed)
        if scheme.intervals:
            assert_none_crosses(rows, scheme.intervals, each)

    check()


def claimed(rows, scheme):
    """When each update was ordered among the others."""
    return rows["t_ready"] if isinstance(scheme, Hogwild) else rows["t_apply"]


@pytest.mark.parametrize("family", ["lock-based", "hogwild", "leashed", "parameter-server", "ringmaster"])
def test_nothing_is_lost_of_what_others_apply(family):
    """Each worker, at each version, either computes, or is between an update and a read, or makes this version.

    What it missed is counted from the times of reads and updates; `tau` is what the loop says.
    """
    what_takes_time = st.sampled_from(["all", "gradients", "updates"])

    @settings(max_examples=60)
    @given(cases(family, compute=CONTINUOUS, other=CONTINUOUS, paused=False, most=300), what_takes_time)
    def check(case, timed):
        timing, scheme, workers, updates, seed = case
        if timed == "gradients":
            timing = Timing(timing.compute, network=timing.network)
        elif timed == "updates":
            timing = Timing(timing.compute, update=timing.update, retry=timing.retry)
        at_once = timed == "gradients" or (
            timed == "updates" and (isinstance(scheme, Leashed) or (isinstance(scheme, LockBased) and scheme.fused))
        )  # everybody reads at 0, and as soon as it has applied
        made, more = schedule(timing, scheme, workers, updates, seed), 20 * workers
        ends = claimed(made.rows, scheme)[made.rows["version"] == updates][0]
        while True:  # until everybody has a row after the end
            longer = schedule(timing, scheme, workers, updates + more, seed).rows
            later = longer[claimed(longer, scheme) > ends]
            if len(np.unique(later["worker"])) == workers:
                break
            more *= 2
            assume(more < 30_000)  # who takes long to publish may never succeed in Leashed
        applies = np.sort(claimed(longer, scheme)[longer["dropped"] == 0])
        assert applies[updates - 1] == ends

        def version_at(time):
            return min(int(np.searchsorted(applies, time, "right")), updates)

        taus, gaps, in_flight, between = int(made.tau.sum()), 0, 0, 0
        for worker in range(workers):
            last = 0  # the version after its update, or the one it saw last of all when its gradient was dropped
            for row in np.sort(longer[longer["worker"] == worker], order="t_read"):
                if row["t_read"] > ends:
                    between += updates - last
                    break
                gaps += version_at(row["t_read"]) - last
                dropped = row["dropped"] == 1
                if claimed(row, scheme) > ends or (claimed(row, scheme) == ends and dropped):
                    in_flight += updates - version_at(row["t_read"])  # or dropped because of the last update
                    break
                last = row["read_version"] + row["tau"] if dropped else version_at(claimed(row, scheme))
                assert row["read_version"] == version_at(row["t_read"])
        assert taus + gaps + in_flight + between == (workers - 1) * updates
        if at_once and not isinstance(scheme, ParameterServer) and made.dropped.sum() == 0:
            assert gaps == between == 0

    check()


# --- a tally, and what cannot be used ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "workers"),
    [(Leashed(0, True), 40), (Synchronous(3), 5), (LockBased(), 2000), (Hogwild(), 9), (ParameterServer(0, 2), 7)],
    ids=str,
)
def test_a_tally_counts_the_rows(scheme, workers):
    case, told = (Timing("exponential(1)", update=0.01 if workers < 100 else 0), scheme, workers, 30_000, 4), []
    tally, made = staleness_only(*case, progress=told.append), schedule(*case)
    rows = made.rows[made.dropped == 0]
    np.testing.assert_array_equal(tally.counts, np.bincount(rows["tau"]))
    assert tally.staleness.mean() == made.staleness.mean()
    np.testing.assert_array_equal(tally.by_worker, np.bincount(rows["worker"], minlength=workers))
    assert tally.seconds == made.seconds
    assert tally.dropped == made.dropped.sum()
    assert tally.failed == made.tries.sum()
    assert tally.gradient_seconds == pytest.approx((rows["t_ready"] - rows["t_read"]).mean())
    assert len(told) > 1
    assert (np.diff(told) > 0).all()
    assert told[-1] == 30_000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"workers": 2.5}, "workers is 2.5"),
        ({"workers": 2**24 + 1}, f"workers is {2**24 + 1}"),
        ({"updates": 0}, "updates is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"scheme": "hogwash"}, "hogwash"),
        ({"scheme": 7}, "scheme is 7"),
        ({"scheme": Synchronous(5), "workers": 4}, "Synchronous.wait_for=5.* with 4 workers"),
        ({"scheme": Sequential(), "workers": 3}, "workers is 3"),
        ({"timing": "compute=1, network=0.5"}, "network is constant.0.5"),
        ({"timing": Timing(network=[0, 0, 0, 1]), "scheme": Leashed(), "workers": 4}, "network is"),
        ({"timing": Timing(compute=[1, 2]), "workers": 3}, "compute has 2 times for 3 workers"),
        ({"timing": Timing(pauses=[(8, 1, 1)]), "workers": 8}, "worker 8 of 8"),
        ({"timing": "compute=0"}, "compute is 0"),
    ],
    ids=str,
)
@pytest.mark.parametrize("function", [schedule, staleness_only])
def test_what_cannot_be_used_is_named(function, arguments, named):
    with pytest.raises(UsageError, match=named):
        function(**{"timing": "exponential(1)", "updates": 10, **arguments})


@pytest.mark.parametrize("family", FAMILIES)
def test_time_that_overflows_is_an_error(family, monkeypatch):
    def make_vast(*arguments):
        world = make_world(*arguments)
        world.times.numbers[:] *= 2.0**1021
        return world

    monkeypatch.setattr(scheduling, "make_world", make_vast)
    workers = 1 if family == "sequential" else 3
    with pytest.raises(UsageError, match=r"overflows after \d+ updates.*compute=2\.0, update=0\.5"):
        schedule(Timing(2.0, update=0.5), ONE_OF_EACH[family], workers, 100)


@pytest.mark.parametrize("timing", ["exponential(1)", "compute=exponential(1), update=0.1"])
def test_a_column_of_a_schedule_cannot_be_changed_behind_its_rows(timing):
    made = schedule(timing, workers=3, updates=20)
    with pytest.raises(ValueError, match="read-only"):
        made.tau[:] = 0
    made.rows["worker"] = 2
    assert (made.worker == 2).all()
