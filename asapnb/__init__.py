"""asapnb: asynchronous parallel SGD on CPUs, with exact staleness and staleness-adaptive step sizes.

>>> import asapnb as ab
>>> data = ab.load_dataset("fashion-mnist-mini")
>>> run = ab.train(ab.mlp(data), scheme=ab.Leashed(), rule=ab.tail(), workers=4, step_size=0.1, updates=200)
>>> run.status
'finished'
"""

__version__ = "0.1.0"

from . import problems, rules, staleness
from .data import Dataset, load_dataset
from .engine import Evaluation, Progress, train
from .errors import AsapnbError, DataError, MissingExtraError, RecordError, RuleError, UsageError
from .problems import Problem, cnn, custom, lenet, mlp, network
from .record import Run, load_run
from .rules import Rule, constant, every, inverse, once, tail
from .schemes import Hogwild, Leashed, LockBased, Sequential, Synchronous
from .staleness import StalenessDistribution

__all__ = [
    "AsapnbError",
    "DataError",
    "Dataset",
    "Evaluation",
    "Hogwild",
    "Leashed",
    "LockBased",
    "MissingExtraError",
    "Problem",
    "Progress",
    "RecordError",
    "Rule",
    "RuleError",
    "Run",
    "Sequential",
    "StalenessDistribution",
    "Synchronous",
    "UsageError",
    "cnn",
    "constant",
    "custom",
    "every",
    "inverse",
    "lenet",
    "load_dataset",
    "load_run",
    "mlp",
    "network",
    "once",
    "problems",
    "rules",
    "staleness",
    "tail",
    "train",
]
