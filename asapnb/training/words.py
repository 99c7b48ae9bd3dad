"""Positions of numbers, and reasons to stop, that the compiled code of the engine and of a replay share."""

NEVER = 1 << 62  # a version that no run reaches

# Real numbers of a run, in the dtype of the problem
STEP_SIZE, MOMENTUM, WEIGHT_DECAY, LOSS_LIMIT, COMPENSATION, CLIP, DIRECT = range(7)
NUMBERS = 7

# Why workers stop; 0 while they go on
DIVERGED, CONVERGED, TIMED_OUT, INTERRUPTED, FAILED, STOPPED = 1, 2, 3, 4, 5, 6
