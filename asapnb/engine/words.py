"""Positions in the arrays that the workers and the controller share. A *word* is one int64 of such an array.

Shared counters have a cache line each (`LINE` words apart), so that a busy one does not slow its neighbours.
"""

from ..kernels.arrays import LINE

# Shared counters: positions in `Shared.control`
STOP = 0 * LINE  # 0 while the run goes on, else why it stops (`training.words`)
READY = 1 * LINE  # workers that have their buffers
GO = 2 * LINE  # 1 once the clock has started
ORIGIN = 3 * LINE  # the monotonic clock, in ns, at training time 0
VERSION = 4 * LINE  # updates applied (Hogwild: claimed)
TICKET = 5 * LINE  # minibatches handed out
LOCK = 6 * LINE  # 1 while held
POINTER = 7 * LINE  # of published vectors: version << SLOT_BITS | slot of the current one
DRAINED = 8 * LINE  # rows that the controller has taken
DROPPED = 9 * LINE  # rows of dropped gradients that were claimed
DROPPED_DRAINED = 10 * LINE  # rows of dropped gradients that the controller has taken
WAITED = 11 * LINE  # rows that had to wait because the ring was full
ARRIVED = 12 * LINE  # Synchronous: workers at the barrier
PHASE = 13 * LINE  # Synchronous: barriers passed
GOING = 14 * LINE  # Synchronous: 1 if there is another round
BROKEN = 15 * LINE  # 1 if a worker has failed, so that nobody may wait for it
PAUSED = 16 * LINE  # the monotonic clock, in ns, while it stands still for an evaluation, else 0
APPLIED = 17 * LINE  # the sum of scale · factor of all updates, in units of 1 / UNIT; a published vector has its own
FINISHED = 18 * LINE  # with intervals: gradients that were written to the end or given up
CLOSES = 19 * LINE  # with intervals: only gradients below this number may begin; else NEVER
LENGTH, SINCE = CLOSES + 1, CLOSES + 2  # of the interval under way; the first boundary from which it was this length
# Where several gradients are added up, one at a time, to make a version (under the lock, or at the server):
ADDED = 20 * LINE  # gradients that were added: the number of the next row
CLOSED = 21 * LINE  # those of them that have made versions
PENDING = 22 * LINE  # what they add to APPLIED once they make a version
SPOILT = 23 * LINE  # 1 if one of them shows divergence

# Words that do not change while workers run
CONSTANTS = 24 * LINE
WORKERS, QUOTA, N_PARAMS, EVAL_EVERY = range(CONSTANTS, CONSTANTS + 4)
SHARES_MOMENTS = CONSTANTS + 4  # 1 if what steps carry on stands after the parameters, in every vector of them
FACTOR, FIRST = CONSTANTS + 5, CONSTANTS + 6  # the kind of the rule's own factor; where its numbers begin
CROWDED = CONSTANTS + 7  # 1 if there are more workers than threads that can run at once
LOST = CONSTANTS + 8  # minibatches handed out before the run went on that left no row
ELASTIC = CONSTANTS + 9  # 1 if the number of workers in force may change: see `Shared.workforce`
GRADIENTS = CONSTANTS + 10  # that make a version
WEIGHTED = CONSTANTS + 11  # 1 if each of them has a scale and a factor of its own
SETTINGS = CONSTANTS + 2 * LINE  # the scheme's options, in the order of its fields; LINE of them at most
INTERVALS = SETTINGS + LINE  # pairs: after so many finished gradients, the length of intervals; at last NEVER

# Mailboxes, LINE words each: what is to be evaluated
MAILBOXES = INTERVALS + 8 * LINE
BOXES = 64  # evaluations that may wait; a worker that asks for one more waits itself
BOX_VERSION = 0  # to be evaluated; EMPTY when there is none, CLAIMED while a worker fills the box
BOX_TIME = 1  # when that version was made, in ns of training time
BOX_VECTOR = 2  # the vector of `Shared.state` that it stands in
BOX_PINNED = 3  # 1 if the vector is pinned in the pool until it has been evaluated
EMPTY, CLAIMED = 0, -1

READING = MAILBOXES + BOXES * LINE  # per worker, LINE apart: its view is this version or a newer one; NEVER: no view

# Rows on their way to the controller
RING = 1 << 16  # places in each ring: one of applied updates, one of dropped gradients

# Words of each row of `Shared.tables`: the scale tables of one worker, or of all
TABLES = 16  # scale tables kept; a reader that was overtaken by so many reads again
NEWEST = 0  # the number of its newest table, which stands in place NEWEST % TABLES
LENGTHS = LINE  # of the tables kept
RECORDED = LINE + TABLES  # the row of /rule of each table

# `Shared.workforce`: how many changes there are, then a version and the workers in force from it on for each
CHANGES = 0
FIRST_CHANGE = LINE

# Vectors of `Shared.state`, unless it is a pool
PARAMS, EXTRA = 0, 1  # from EXTRA on: copies to evaluate, or the gradients of a round
SUMS = EXTRA + BOXES  # from here on: sums of gradients

# The pool that vectors are published from
SLOT_BITS = 16
FREE, OWNED, CURRENT, STALE = range(4)  # the status of a slot
HEADER = 2 * LINE  # words of a slot's header: readers, then state and sum
STATE = LINE  # where in a header version << 2 | status stands
SUM = LINE + 1  # where in a header the sum of applied scales stands
