"""Positions of numbers, and reasons to stop, that the compiled code of the engine and of a replay share."""

from ..kernels.kinds import HOW

NEVER = 1 << 62  # a version that no run reaches

# Real numbers of a run, in the dtype of the problem
STEP_SIZE, WEIGHT_DECAY, LOSS_LIMIT, COMPENSATION, CLIP, STEP = range(6)
NUMBERS = STEP + HOW  # from STEP on: the kind of the step, and its numbers (see `kernels.kinds`)

# How minibatches are drawn: positions in `drawing`, see `training.drawing`
N_SAMPLES, BATCH_SIZE, SEED, RESHUFFLE = range(4)
HAS_TICKETS = 4  # 1 if gradients ask for their ticket and the seed
LOCAL_STEPS = 5  # minibatches of a row
PARTS = 6  # how many parts the data have; 0 if all workers draw from all
BOUNDS = 7  # from here on: where in `drawing` each part begins, where the last ends, then the samples of all parts

# Why workers stop; 0 while they go on
DIVERGED, CONVERGED, TIMED_OUT, INTERRUPTED, FAILED, STOPPED = 1, 2, 3, 4, 5, 6
