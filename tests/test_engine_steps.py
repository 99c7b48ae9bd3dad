"""Steps of a worker, each alone on the memory of a run; what other threads would do between its lines is scripted."""

import numpy as np
import pytest
from problems import SCRIPT, quadratic, train, with_neighbours

from asapnb.compiled import part
from asapnb.engine import run as run_module
from asapnb.engine import words
from asapnb.engine.controller import Controller
from asapnb.engine.loops import common
from asapnb.engine.loops.leashed import _APPLIED, _DROPPED, _ENDED, land, prepare
from asapnb.engine.loops.pool import publish, release, slot_of
from asapnb.engine.memory import allocate, own_buffers
from asapnb.engine.words import CURRENT, HEADER, OWNED, RING, TABLES
from asapnb.kernels.arrays import LINE
from asapnb.training.words import DIVERGED, LOSS_LIMIT, STEP_SIZE


@pytest.fixture
def memory(monkeypatch):
    """What a run of one worker allocates, as it is before the worker begins."""

    def memory(scheme="lock-based", **arguments):
        found = []

        def stop(*arguments):
            found.extend(arguments)
            raise LookupError("far enough")

        monkeypatch.setattr(run_module, "allocate", stop)
        with pytest.raises(LookupError, match="far enough"):
            train(quadratic(), scheme, workers=1, **arguments)
        problem, options, _, start, _ = found
        shared = allocate(*found)
        return shared, own_buffers(problem, options, shared, start, 0)

    return memory


# --- handing in a row ----------------------------------------------------------------------------------------------


@part()
def load_and_take(array, position):
    """`load`; whenever it has looked, the controller takes a row."""
    array[position] += 1
    return array[position] - 1


@part()
def no_nap(microseconds):
    pass


HAND_IN = with_neighbours(common._hand_in, load=load_and_take, nap=no_nap)


@pytest.mark.parametrize("ring", [0, 1])
@pytest.mark.parametrize(("number", "looks"), [(0, 1), (RING - 1, 1), (RING, 2), (RING + 1, 3), (RING + 7, 9)])
def test_a_row_waits_until_its_place_in_the_ring_is_free(memory, number, looks, ring):
    shared, own = memory()
    drained = (words.DRAINED, words.DROPPED_DRAINED)[ring]
    own.row["batch"], own.row["loss"] = 77, shared.numbers[LOSS_LIMIT]
    HAND_IN(shared, own, ring, drained, number)
    place = ring * RING + number % RING
    assert shared.control[drained] == looks
    assert shared.control[words.WAITED] == (looks > 1)
    assert (shared.rows["batch"][place], shared.written[place]) == (77, number + 1)
    assert np.count_nonzero(shared.written) == 1
    assert shared.control[words.STOP] == 0


@pytest.mark.parametrize("loss", [np.nan, np.inf, 2.0])
def test_a_row_whose_loss_is_above_the_limit_stops_the_run(memory, loss):
    shared, own = memory()
    own.row["loss"], shared.numbers[LOSS_LIMIT] = loss, 1.99
    with_neighbours(common.hand_in)(shared, own, 0)
    assert shared.control[words.STOP] == DIVERGED
    assert shared.written[0] == 1


# --- looking up the scale ------------------------------------------------------------------------------------------


@part()
def load_and_publish(tables, position):
    """`load`; once it has looked, the controller publishes as many tables as the script says."""
    now = tables[position]
    tables[position] += tables[SCRIPT]
    tables[SCRIPT] = 0
    return now


CHOOSE_STEP = with_neighbours(common.choose_step, load=load_and_publish)


def tables_of(shared):
    """Tables 0 to TABLES − 1: all entries of table k are k + 1; it is row 100 + k of the record."""
    shared.scales[:TABLES, :4] = np.arange(1, TABLES + 1)[:, None]
    shared.tables[0, words.LENGTHS : words.LENGTHS + TABLES] = 4
    shared.tables[0, words.RECORDED : words.RECORDED + TABLES] = 100 + np.arange(TABLES)
    return shared.tables[0]


@pytest.mark.parametrize("published", range(TABLES + 2))
def test_a_table_that_may_be_torn_is_read_again(memory, published):
    """While the newest is number k + TABLES − 1, the next is being written over number k."""
    shared, own = memory()
    tables_of(shared)[SCRIPT] = published
    step = CHOOSE_STEP(shared, own, 5, 3, 0)
    used = 0 if published < TABLES - 1 else published % TABLES
    assert (own.row["row"][0], own.row["scale"][0]) == (100 + used, used + 1)
    assert step == np.float32(shared.numbers[STEP_SIZE]) * np.float32(used + 1)
    assert (own.row["version"][0], own.row["read_version"][0], own.row["tau"][0]) == (6, 3, 2)


@pytest.mark.parametrize(("tau", "entry"), [(0, 0), (2, 2), (3, 3), (4, 3), (1000, 3)])
def test_what_is_staler_than_the_table_has_its_last_scale(memory, tau, entry):
    shared, own = memory()
    tables_of(shared)
    shared.scales[0, :5] = 0.0, 0.25, 0.5, 0.75, 99.0
    CHOOSE_STEP(shared, own, 2000 + tau, 2000, 0)
    assert own.row["scale"][0] == entry / 4
    assert own.row["dropped"][0] == (2 if entry == 0 else 0)


# --- publishing ----------------------------------------------------------------------------------------------------


@part()
def publish_late(control, slots, pointer, mine):
    """`publish`, for which others are too fast as many times as the script says."""
    if control[SCRIPT] > 0:
        control[SCRIPT] -= 1
        release(slots, slot_of(pointer))
        return False
    return publish(control, slots, pointer, mine)


@part()
def prepare_in_vain(shared, own, gradient, pointer, mine, step):
    """`prepare`, left early as many times as the script says."""
    if shared.control[SCRIPT] > 0:
        shared.control[SCRIPT] -= 1
        return False
    return prepare(shared, own, gradient, pointer, mine, step)


LAND = {
    "publish": with_neighbours(land, publish=publish_late),
    "prepare": with_neighbours(land, prepare=prepare_in_vain),
}


def landing(memory, how, failures, scheme, **arguments):
    """Shared memory, the worker's own and the outcome, after `failures` attempts in vain."""
    shared, own = memory(scheme, **arguments)
    tables_of(shared)
    shared.slots[HEADER + LINE] = OWNED  # slot 1
    shared.control[SCRIPT] = failures
    own.gradient[:] = 1.0
    return shared, own, LAND[how](shared, own, 1, shared.state[0], 0, 0)


@pytest.mark.parametrize("how", LAND)
@pytest.mark.parametrize("persistence", [0, 1, 3])
@pytest.mark.parametrize("failures", range(6))
def test_a_gradient_is_dropped_after_persistence_plus_one_attempts(memory, how, persistence, failures):
    shared, own, outcome = landing(memory, how, failures, f"leashed(persistence={persistence})")
    dropped = failures > persistence
    assert outcome == (_DROPPED if dropped else _APPLIED)
    assert own.row["tries"][0] == min(failures, persistence + 1)
    headers = shared.slots.reshape(-1, 2, LINE)[:, :, 0]
    assert not headers[:, 0].any(), "a reader was leaked"
    assert headers[1, 1] & 3 == (OWNED if dropped else CURRENT)
    assert shared.control[words.POINTER] == (0 if dropped else 1 << words.SLOT_BITS | 1)
    assert shared.control[words.VERSION] == (0 if dropped else 1)
    assert (shared.state[1] != 0).any() == (how == "publish" or not dropped)


@pytest.mark.parametrize("how", LAND)
def test_without_a_bound_every_gradient_lands_and_its_attempts_are_counted(memory, how):
    _, own, outcome = landing(memory, how, 40_000, "leashed")
    assert (outcome, own.row["tries"][0]) == (_APPLIED, 32_767)  # what the column can hold


@pytest.mark.parametrize("failures", [0, 3])
@pytest.mark.parametrize("how", LAND)
def test_a_vector_to_be_evaluated_has_one_reader_however_many_attempts(memory, how, failures):
    shared, _, outcome = landing(memory, how, failures, "leashed", eval_every=1)
    assert outcome == _APPLIED
    np.testing.assert_array_equal(shared.slots[::HEADER][:3], [0, 1, 0])
    (box,) = np.flatnonzero(shared.control[words.MAILBOXES : words.READING : LINE] == 1)
    assert shared.control[words.MAILBOXES + box * LINE + words.BOX_VECTOR] == 1, "its slot"


def test_nothing_lands_beyond_the_quota(memory):
    shared, own = memory("leashed", updates=7)
    shared.control[words.POINTER] = 7 << words.SLOT_BITS
    assert LAND["publish"](shared, own, 1, shared.state[0], 0, 0) == _ENDED
    assert not shared.slots[::HEADER].any(), "a reader was leaked"
    assert shared.control[words.POINTER] == 7 << words.SLOT_BITS


def test_a_fence_stands_before_a_table_is_written(monkeypatch):
    """On ARM the new entries might be seen before the table that was put in force last."""
    publish, found = Controller._publish, []

    def looked_at(self, *table):
        access, before = self.access, self.shared.scales.copy()
        self.access = access._replace(fence=lambda: found.append(np.array_equal(self.shared.scales, before)))
        publish(self, *table)
        self.access = access

    monkeypatch.setattr(Controller, "_publish", looked_at)
    run = train(quadratic(), "lock-based", rule="tail(refresh=every(50))", workers=2, updates=300)
    assert found == [True] * len(run.rule_tables.steps) != []
