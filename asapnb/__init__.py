"""asapnb: asynchronous parallel SGD on CPUs, with exact staleness and staleness-adaptive step sizes.

>>> import asapnb as ab
>>> data = ab.load_dataset("fashion-mnist-mini")
>>> run = ab.train(ab.mlp(data), scheme=ab.Leashed(), rule=ab.tail(), workers=4, step_size=0.1, updates=200)
>>> run.status
'finished'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import analysis, arena, optimizers, plots, problems, rules, schedules, staleness, sweep, theory, timing
    from .analysis import compare
    from .data import Dataset, load_dataset
    from .engine import Evaluation, Progress, train
    from .engine.calibrate import calibrate
    from .engine.preset import machine_from
    from .errors import (
        AsapnbError,
        DataError,
        MissingExtraError,
        RankError,
        RecordError,
        RuleError,
        StopTraining,
        UsageError,
    )
    from .forecasting import Forecast, forecast
    from .optimizers import SGD, AdaGrad, Adam, AMSGrad
    from .problems import Problem, cnn, custom, lenet, mlp, network
    from .problems.shards import shards
    from .record import Run, load_run
    from .resuming import resume
    from .rules import Report, Rule, check, constant, every, inverse, once, preserve, tail
    from .schemes import Hogwild, Leashed, LockBased, ParameterServer, Sequential, Synchronous
    from .simulator import Schedule, replay, schedule, schedule_from, simulate
    from .staleness import StalenessDistribution
    from .timing import Timing

# The same names again: each module is imported when a name of it is first used, so that `asapnb --help` need not
# wait for Numba. A test holds the two lists together.
_MODULES = {
    "analysis": ("compare",),
    "data": ("Dataset", "load_dataset"),
    "engine": ("Evaluation", "Progress", "train"),
    "engine.calibrate": ("calibrate",),
    "engine.preset": ("machine_from",),
    "errors": (
        "AsapnbError",
        "DataError",
        "MissingExtraError",
        "RankError",
        "RecordError",
        "RuleError",
        "StopTraining",
        "UsageError",
    ),
    "forecasting": ("Forecast", "forecast"),
    "optimizers": ("SGD", "AMSGrad", "AdaGrad", "Adam"),
    "problems": ("Problem", "cnn", "custom", "lenet", "mlp", "network"),
    "problems.shards": ("shards",),
    "record": ("Run", "load_run"),
    "resuming": ("resume",),
    "rules": ("Report", "Rule", "check", "constant", "every", "inverse", "once", "preserve", "tail"),
    "schemes": ("Hogwild", "Leashed", "LockBased", "ParameterServer", "Sequential", "Synchronous"),
    "simulator": ("Schedule", "replay", "schedule", "schedule_from", "simulate"),
    "staleness": ("StalenessDistribution",),
    "timing": ("Timing",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    *sorted(_HOME),
    "analysis",
    "arena",
    "optimizers",
    "plots",
    "problems",
    "rules",
    "schedules",
    "staleness",
    "sweep",
    "theory",
    "timing",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    elif name in __all__:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
