"""Real threads on one shared parameter array: `train`."""

from ..training import Evaluation, Progress
from .run import train

__all__ = ["Evaluation", "Progress", "train"]
