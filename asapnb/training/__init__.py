"""The parts that training on real threads and training in virtual time share.

`arguments` declares the arguments of a run, `options` checks them. `attributes` are the facts of a run before it
begins; `reporting` keeps its totals and tells its status. `evaluation` evaluates parameters, `factors` computes
factors of steps, `resuming` checks that a run can go on. `compiling` helps to start it; `apart` gives it a thread
of its own, while the calling thread waits.
"""

from .evaluation import Evaluation, Progress

__all__ = ["Evaluation", "Progress"]
