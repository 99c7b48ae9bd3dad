"""What training on real threads and training in virtual time share.

`arguments` declares what a run can be told, `options` holds it checked, `evaluation` evaluates and reports progress,
`outcome` says how a run ends, `attributes` what is known of it before, `resuming` what must hold for it to go on.
"""

from .evaluation import Evaluation, Progress

__all__ = ["Evaluation", "Progress"]
