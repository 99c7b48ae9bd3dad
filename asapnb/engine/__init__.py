"""Runs on real threads that share one parameter array, and on MPI: `train`."""

from ..training import Evaluation, Progress
from .run import train

__all__ = ["Evaluation", "Progress", "train"]
