"""The parts that training on real threads and training in virtual time share.

`arguments` declares the arguments of a run, `options` checks them. `attributes` are the facts of a run before it
begins; `reporting` keeps its totals and tells its status. `evaluation` evaluates parameters, `factors` computes
factors of steps, `resuming` checks that a run can go on. `compiling` and `interrupting` help to start and stop it.
"""

from .evaluation import Evaluation, Progress

__all__ = ["Evaluation", "Progress"]
