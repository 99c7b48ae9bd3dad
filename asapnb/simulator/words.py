"""Where things stand in the arrays of the event loops (`World`) and of a replay (`ReplayState`)."""

from __future__ import annotations

from ..kernels.arrays import LINE

# Words of a world
VERSION = 0  # updates applied
TICKET = 1  # minibatches handed out
SEQUENCE = 2  # events scheduled
QUOTA = 3  # updates to apply
BUSY = 4  # 1 while the lock or the server serves somebody
HEAD, WAITING = 5, 6  # the queue: where it begins, and how many wait
CHOICE = 7  # the state of the stream that chooses who of the queue is next
GRADIENTS = 8  # that a version takes
MEMBERS = 9  # workers in the publish loop, or that a bound holds back
SLOWEST = 10  # gradients made by the slowest worker that has joined
OLDEST, YOUNGEST = 11, 12  # the workers that read first and last, of those that compute; NOBODY: none
SETTINGS = 13  # the scheme's options, in the order of its fields; 8 of them at most
WORDS = SETTINGS + 8

NOBODY = -1

# The tournament of next events
GROUP = 8  # keys of 8 bytes: a cache line
IDLE = 2**63 - 1 - GROUP  # keys above it belong to no event; those of a group differ, so that they are no ties

# Words of a replay, those that change a cache line apart
DONE = 0 * LINE  # operations carried out
TURN = 1 * LINE  # 1 while a thread carries them out
CLAIM = 2 * LINE  # no row before it can be claimed
FIRST = 3 * LINE  # rows before it are done with
STOP = 4 * LINE  # not 0: leave as soon as possible
UNTIL = 5 * LINE  # operations after which to leave
CONSTANTS = 6 * LINE
N_PARAMS, N_SAMPLES, BATCH_SIZE, SEED, RESHUFFLE, ONE_VELOCITY, BLOCKS, AVERAGED = range(CONSTANTS, CONSTANTS + 8)
WINDOW = CONSTANTS + 8  # places in the ring
REPLAY_WORDS = CONSTANTS + 2 * LINE

# What may be done with the row in a place of the ring: row << 2 | one of these
FREE, CLAIMED, READY = range(3)

# What an operation of a replay does
APPLY = 0  # write the version that follows
SKIP = 1  # nothing: the gradient was dropped
ADD = 2  # add a gradient to those of its round
CLOSE = 3  # add the last of its round, and apply their average
READ = 4  # copy a block (or all blocks) of the parameters into the row's view
WRITE = 5  # apply a block (or all) of the row's gradient where the parameters stand

ALL = -1  # blocks
