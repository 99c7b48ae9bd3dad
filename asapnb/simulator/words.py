"""Positions in the arrays of the event loops (`World`) and of a replay (`ReplayState`). A *word* is one int64."""

from ..kernels.arrays import LINE

# Words of a world
VERSION = 0  # updates applied
TICKET = 1  # minibatches handed out
SEQUENCE = 2  # events scheduled
QUOTA = 3  # updates to apply
BUSY = 4  # 1 while the lock or the server serves somebody
HEAD, WAITING = 5, 6  # the queue: where it begins, and how many workers wait in it
CHOICE = 7  # the state of the stream that chooses from the queue
GRADIENTS = 8  # gradients that make a version; or BY_TURNS, where a gradient table says which one does
BY_TURNS = 0
MEMBERS = 9  # workers in the publish loop, or held back by a bound
SLOWEST = 10  # gradients made by the slowest worker that has joined
OLDEST, YOUNGEST = 11, 12  # of the workers that compute, those that read first and last; NOBODY: none
LOCAL_STEPS = 13  # compute times of a gradient
ADDED = 14  # gradients that wait for more, to make a version together
SETTINGS = 15  # the scheme's options, in the order of its fields; 8 of them at most
FINISHED = SETTINGS + 8  # with intervals: gradients that were written to the end or given up
CLOSES = SETTINGS + 9  # only gradients below this number may begin; NOBODY: if their workers are in force
FIRST_HELD, HELD = SETTINGS + 10, SETTINGS + 11  # who waits at the gate: where the ring begins, and how many
INTERVALS = SETTINGS + 12  # pairs: after so many finished gradients, the length of intervals; at last NEVER
IN_FORCE = INTERVALS + 64  # workers in force; the others do not begin
CHANGE_AT = IN_FORCE + 1  # the version that changes their number next; more than there are if none does
NEXT_CHANGE = IN_FORCE + 2  # the place of that change in `World.changes`
WORDS = IN_FORCE + 3

NOBODY = -1

# The tournament of next events
GROUP = 8  # keys of 8 bytes: a cache line
IDLE = 2**63 - 1 - GROUP  # keys above it belong to no event; those of a group differ, so that they are no ties

# Words of a replay; those that change have a cache line each
DONE = 0 * LINE  # operations carried out
TURN = 1 * LINE  # 1 while a thread carries out operations
CLAIM = 2 * LINE  # the first row that may not have been claimed
FIRST = 3 * LINE  # the first row that is not done
STOP = 4 * LINE  # not 0: threads leave as soon as possible, for this reason
UNTIL = 5 * LINE  # operations after which threads leave
CONSTANTS = 6 * LINE
N_PARAMS, ONE_SET, BLOCKS, TOGETHER = range(CONSTANTS, CONSTANTS + 4)
WINDOW = CONSTANTS + 4  # places in the ring
ALONE = CONSTANTS + 5  # 1 while one thread carries out all
WEIGHTED = CONSTANTS + 6  # 1 if each gradient of a version has a scale and a factor of its own
JUDGED = CONSTANTS + 7  # rows whose losses have been looked at; they end with the last of a version
REPLAY_WORDS = CONSTANTS + 2 * LINE

# The state of a place of the ring: row << 2 | one of these
FREE, CLAIMED, READY = range(3)

# The kinds of operations of a replay
APPLY = 0  # write the next version
SKIP = 1  # do nothing: the gradient was dropped
ADD = 2  # add a gradient to the sum of its version
CLOSE = 3  # add the last gradient of a version, and apply the mean
READ = 4  # copy a block of the parameters, or all, into the row's view
WRITE = 5  # update a block of the parameters, or all, in place by the row's gradient

ALL = -1  # blocks
