"""Positions of numbers, and reasons to stop, that the compiled code of the engine and of a replay share."""

from ..kernels.kinds import HOW

NEVER = 1 << 62  # a version that no run reaches

# Real numbers of a run, in the dtype of the problem
STEP_SIZE, WEIGHT_DECAY, LOSS_LIMIT, COMPENSATION, CLIP, STEP = range(6)
NUMBERS = STEP + HOW  # from STEP on: the kind of the step, and its numbers (see `kernels.kinds`)

# Why workers stop; 0 while they go on
DIVERGED, CONVERGED, TIMED_OUT, INTERRUPTED, FAILED, STOPPED = 1, 2, 3, 4, 5, 6
