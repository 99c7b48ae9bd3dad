"""Every argument of the functions and commands that make a run: its name, default, range and meaning, once.

This table is the source of the checks of `options.resolve`, the keys of a configuration, the flags of the command
line with their help, and the section Args of the docstrings (`documented`). The signatures of `train`, `simulate`,
`replay` and `calibrate` are written out for readers and editors; `tests/test_arguments.py` holds them equal to this
table.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np

from ..identity import plain_text
from ..numbers import choice, integer, real, switch
from ..optimizers import OPTIMIZERS, SGD, as_optimizer
from ..problems.shards import SHARDS, as_shards, available
from ..record.schema import RECORDS, ROWS
from ..rules import constant
from ..schedules import as_schedule
from ..schedules import constant as unscheduled
from ..schemes import LockBased, as_scheme
from ..text import filled
from ..timing import Timing, exponential
from ..workforce import Workforce, as_workforce
from .evaluation import Evaluation
from .prior import as_prior
from .warm_start import as_start

MAX_WORKERS = 1024
MAX_SIMULATED, SIMULATED_WORKERS = 2**24, 16  # workers in virtual time: at most, and by default
MOST_UPDATES = 2**46
Command: TypeAlias = str  # "train", "simulate", "replay", "calibrate" or "forecast"
_RUNS: tuple[Command, ...] = ("train", "simulate")
_VIRTUAL: tuple[Command, ...] = ("simulate", "replay")
_ALL: tuple[Command, ...] = ("train", "simulate", "replay")
_SCALED: tuple[Command, ...] = (*_ALL, "forecast")
_FORETOLD: tuple[Command, ...] = (*_RUNS, "forecast")
_AS = {"forecast": "simulate"}  # whose words a command takes where there are none for it
_WIDTH = 118


class Context(NamedTuple):
    """The facts that the range of an argument may depend on."""

    command: Command
    dtype: np.dtype[Any]
    n_samples: int


Check = Callable[[str, Any, Context], Any]


@dataclass(frozen=True)
class Argument:
    """One argument.

    Attributes:
        name: of the parameter, the key and, with dashes, the flag.
        default: its value if it is not given.
        kinds: the types of its value in a configuration; empty if it is not plain data.
        meaning: what it does, for docstrings and --help; a mapping by command where commands differ.
        check: returns the checked value, or raises UsageError.
        commands: the commands that take it.
        choices: all allowed values, if they are texts of a list.
        in_replay: what a replay does with it. "changed": the replay may change it. "kept": a replay of a run keeps
            it; a replay of a schedule may change it. "watched": it only says what the replay observes, and when it
            stops. None: it has no meaning in a replay.
        in_resume: whether `resume` may change it.
    """

    name: str
    default: Any
    kinds: tuple[type, ...]
    meaning: str | Mapping[Command, str]
    check: Check
    commands: tuple[Command, ...] = _ALL
    choices: tuple[str, ...] = ()
    in_replay: Literal["changed", "kept", "watched"] | None = None
    in_resume: bool = False

    def says(self, command: Command) -> str:
        """The meaning for a command, on one line."""
        words = self.meaning if isinstance(self.meaning, Mapping) else {"train": self.meaning}
        text = words.get(command) or words.get(_AS.get(command, "train")) or words["train"]
        return " ".join(text.split())


def _real(
    least: float, most: float = np.inf, *, above: bool = False, below: bool = False, rounded: bool = True
) -> Check:
    """A check of a real number. If `rounded`, its range must hold in the dtype of the problem."""
    return lambda name, value, context: real(
        name, value, least, most, above=above, below=below, dtype=context.dtype if rounded else np.dtype(np.float64)
    )


def _integer(least: int, most: int | None = None, note: str = "") -> Check:
    return lambda name, value, context: integer(name, value, least, most, note=note)


def _optional(check: Check) -> Check:
    return lambda name, value, context: None if value is None else check(name, value, context)


def most_workers(command: Command) -> int:
    """The largest number of workers of a run."""
    return MAX_WORKERS if command == "train" else MAX_SIMULATED


def _workers(name: str, value: Any, context: Context) -> Workforce | Callable[[int], int] | None:
    """A workforce; or the given function, which becomes one when the number of updates is known."""
    return value if value is None or callable(value) else as_workforce(value, most_workers(context.command), name)


def _as_it_is(name: str, value: Any, context: Context) -> Any:
    return value


def _switch(name: str, value: Any, context: Context) -> bool:
    return switch(name, value)


_INT, _FLOAT, _BOOL, _TEXT = (int,), (float,), (bool,), (str,)
_MAYBE_INT, _MAYBE_FLOAT = (int, NoneType), (float, NoneType)
_PARTS = "; ".join(f'"{SHARDS[name].example}" ({line.removesuffix(".")})' for name, line in available().items())
_OPTIMIZERS = ", ".join(f'"{name}"' for name in OPTIMIZERS)
_KINDS = ("per_worker", "shared", "ordered")
_KEPT = ("evals",)
_MONITORS = tuple(Evaluation.__dataclass_fields__)[2:]  # all but version and time

_TABLE = (
    Argument("scheme", LockBased(), _TEXT, {
        "train": """how the workers share the parameters: a scheme, Sequential, Synchronous, LockBased, Hogwild,
            Leashed or, on MPI, ParameterServer (see `comm`); or its text, such as "leashed(persistence=1)".""",
        "simulate": """how the workers share the parameters: a scheme, or its text, such as "leashed(persistence=1)".
            Simulator-only options are allowed.""",
        "calibrate": """which reads and updates are timed. LockBased: a read copies the parameters, and an update
            changes them in place. Leashed: a read pins a vector, an update makes a new one, and each further attempt
            to publish it is a `retry`.""",
    }, lambda name, value, context: as_scheme(value), (*_FORETOLD, "calibrate")),
    Argument("rule", constant(), _TEXT, {
        "train": """the staleness-adaptive step size: a rule, its text, or a function f(staleness, workers) that
            returns len(staleness) scales.""",
        "replay": """the step-size rule. By default, or with "recorded", the replay uses the recorded scales. A
            schedule has none: there the default is `constant`.""",
    }, _as_it_is, _SCALED),  # read by who makes its tables: a function in a file should be loaded once
    Argument("schedule", unscheduled(), _TEXT, {
        "train": """the factor of the step over time: a text such as "warmup(500) * cosine()", or a function. f(t)
            gets an array of versions, those that updates land on. f(t, total) also gets the number of updates of the
            run.""",
        "replay": """the factor of the step over time. By default, or with "recorded", the replay uses the recorded
            factors. A schedule of an execution has none: there the default is `constant`.""",
    }, lambda name, value, context: as_schedule(value), _SCALED),
    Argument("workers", None, (int, str, NoneType), {
        "train": """number of threads, 1 to 1024; it may exceed the number of cores. Default: one per core, or fewer
            under a CPU quota (Sequential: 1; MPI: the ranks less one). The number may change during the run. Then
            give version:number for each change, such as "0:8, 5000:16", pairs [(0, 8), (5000, 16)], or a function of
            the version. Or give "adaptive(16)", which begins with 16 and follows the measured progress.""",
        "simulate": """number of simulated workers, 1 to 16 million; default 16 (Sequential: 1). Each gradient in
            flight takes the memory of one parameter vector. The number may change during the run. Then give
            version:number for each change, such as "0:8, 5000:16", pairs [(0, 8), (5000, 16)], or a function of the
            version.""",
        "forecast": "number of workers, 1 to 16 million; default 16 (Sequential: 1).",
    }, _workers, _FORETOLD, in_replay="kept"),
    Argument("step_size", 0.01, _FLOAT, "η₀ > 0, the step size before scale and factor multiply it.",
             _real(0, above=True), _SCALED, in_replay="changed", in_resume=True),
    Argument("batch_size", 16, _INT, "number of training samples per gradient; at most all of them.",
             lambda name, value, context: integer(name, value, 1, context.n_samples, note=" (the training samples)"),
             (*_SCALED, "calibrate"), in_replay="kept"),
    Argument("timing", Timing(exponential(1)), (str, dict), """how long gradients, reads, updates and messages take,
        in virtual seconds: a `Timing`, its text, such as "compute=lognormal(mean=1, cv=0.3), update=0.01", or a file
        made by `asapnb calibrate`.""", _as_it_is, ("simulate", "forecast")),
    Argument("epochs", None, _MAYBE_INT, {
        "train": """stop after this many passes over the training data; default 1. A pass has one update per
            minibatch, or fewer where an update takes several minibatches (Synchronous, a buffer, `local_steps`).""",
        "forecast": "number of passes over the data that the run would make.",
    }, _optional(_integer(1)), _FORETOLD),
    Argument("updates", None, _MAYBE_INT, {
        "train": """stop after exactly this many applied updates; give it instead of `epochs`. Under Synchronous an
            update is a round.""",
        "forecast": """number of updates that the run would make; give it instead of `epochs`. By default as many as
            100,000 gradients make, or 4 gradients of each worker if that is more.""",
    }, _optional(_integer(1, MOST_UPDATES)), _FORETOLD),
    Argument("seed", 0, _INT, {
        "train": "determines the initial parameters and the order of the data.",
        "simulate": "determines the initial parameters, the order of the data and all times.",
    }, _integer(0, 2**63 - 1), (*_SCALED, "calibrate"), in_replay="kept"),
    Argument("timing_seed", None, _MAYBE_INT, """determines all times, instead of `seed`. So several runs can have the
        same initial parameters and order of the data, but different schedules.""",
             _optional(_integer(0, 2**63 - 1)), ("simulate", "forecast")),
    Argument("start", None, (str, NoneType), """initial parameters, instead of those that follow from the seed: an
        array of shape (n_params,); a `Run` or a run file, for its final parameters; or RUN.h5@VERSION, for those of a
        version that the file holds.""",
             lambda name, value, context: as_start(value), _FORETOLD),
    Argument("optimizer", SGD(), _TEXT, f"""how a gradient becomes a step: one of `asapnb.optimizers`, or its text:
        {_OPTIMIZERS}, with options as in "adam(beta1=0.8)". The scale and the factor of an update multiply its step,
        not the moments. All workers share the moments. Hogwild takes "sgd" only, because its updates race.""",
             lambda name, value, context: as_optimizer(value).fits(context.dtype), _SCALED, in_replay="changed"),
    Argument("momentum", 0.0, _FLOAT, "μ, from 0 to below 1, in v ← μ·v − step·g, x ← x + v.",
             _real(0, 1, below=True), _SCALED, in_replay="changed"),
    Argument("momentum_kind", _KINDS[0], _TEXT, """which velocity the momentum uses. "per_worker": each worker has its
        own. "shared": all workers have one. "ordered": all workers have one, and each gradient counts in it as if it
        had come in time, at the version that it was computed at (OrMo: Shi, Yang and Li, NeurIPS 2024); not for
        Hogwild.""",
             lambda name, value, context: choice(name, value, _KINDS), _SCALED, choices=_KINDS,
             in_replay="changed"),
    Argument("direct_share", 0.0, _FLOAT, """s, the share of a gradient that is applied at once. The rest acts through
        the velocity, which holds a running mean of gradients: x ← x − s·step·g + (1 − s)(1 − μ)·v (quasi-hyperbolic
        momentum, Ma and Yarats 2019). 0 means ordinary momentum.""", _real(0, 1), _SCALED, in_replay="changed"),
    Argument("weight_decay", 0.0, _FLOAT, "λ ≥ 0; λ·view is added to every gradient.", _real(0), in_replay="changed"),
    Argument("compensation", 0.0, _FLOAT, {
        "train": """κ ≥ 0 of DC-ASGD (Zheng et al., ICML 2017). κ·g·g·(x − view) is added, elementwise, to every
            gradient g when it is applied to x. This estimates the gradient at x to first order, with g·g for the
            Hessian. Not for Hogwild in place, which keeps no view.""",
        "simulate": """κ ≥ 0 of DC-ASGD (Zheng et al., ICML 2017). κ·g·g·(x − view) is added, elementwise, to every
            gradient g when it is applied to x.""",
    }, _real(0), in_replay="changed"),
    Argument("clip", None, _MAYBE_FLOAT, """the largest Euclidean norm of a gradient. A longer gradient is scaled down
        to it, before weight decay and compensation are added, as in PyTorch. None or 0 sets no limit.""",
             lambda *given: _optional(_real(0))(*given) or None, in_replay="changed"),
    Argument("reshuffle", True, _BOOL, "draw a fresh order of the data in every epoch, instead of the same one.",
             _switch, _RUNS, in_replay="kept"),
    Argument("local_steps", 1, _INT, """H, the number of steps that a worker makes on its own copy of the parameters
        for one update: y ← y − step_size · gradient(y), from y = view. Each step takes another minibatch. The update
        applies the sum of the H gradients. `clip` and `weight_decay` act on each of them. In virtual time an update
        takes H compute times (asynchronous local SGD: Liu et al. 2024, arXiv 2401.09135).""", _integer(1, 2**20),
             _SCALED, in_replay="kept"),
    Argument("shards", None, (str, NoneType), f"""give each worker its own part of the training samples, which it
        draws its minibatches from: {_PARTS}. See `asapnb.shards`. The parts follow from the seed. By default all
        workers draw from all samples.""",
             lambda name, value, context: as_shards(value), _ALL, in_replay="kept"),
    Argument("target_loss", None, _MAYBE_FLOAT, """stop with status "converged" when an evaluated training loss is at
        most this.""", _optional(_real(-np.inf, rounded=False)), in_replay="watched", in_resume=True),
    Argument("target_accuracy", None, _MAYBE_FLOAT, """stop with status "converged" when the test accuracy, 0 to 1, is
        at least this.""", _optional(_real(0, 1, rounded=False, above=True)), in_replay="watched", in_resume=True),
    Argument("target_r2", None, _MAYBE_FLOAT, """stop with status "converged" when the R² of the test samples is at
        least this. The largest R² is 1.""", _optional(_real(-np.inf, 1, rounded=False)), in_replay="watched",
             in_resume=True),
    Argument("patience", None, _MAYBE_INT, """stop with status "stopped" when `monitor` has not improved in this many
        evaluations (see `eval_every`). None never stops for this reason.""", _optional(_integer(1)),
             in_replay="watched", in_resume=True),
    Argument("monitor", None, (str, NoneType), """the figure that `patience` watches: "train_loss", "test_loss",
        "test_accuracy", "test_r2" or "test_rmse". By default the test loss or, without test samples, the training
        loss.""",
             _optional(lambda name, value, context: choice(name, value, _MONITORS)), choices=_MONITORS,
             in_replay="watched", in_resume=True),
    Argument("max_seconds", None, _MAYBE_FLOAT, {
        "train": 'stop with status "timed-out" after this many seconds of training time.',
        "simulate": 'stop with status "timed-out" after this many virtual seconds.',
    }, _optional(_real(0, rounded=False, above=True)), _RUNS),
    Argument("divergence_factor", 10.0, _FLOAT, """stop with status "diverged" when a loss is not finite, or is more
        than this many times the initial training loss (if that is positive).""", _real(1, rounded=False, above=True),
             in_replay="watched", in_resume=True),
    Argument("eval_every", None, _MAYBE_INT, """number of updates between evaluations. Default: one epoch. 0 evaluates
        at the start and at the end only.""",
             _optional(_integer(0, MOST_UPDATES, " (0: only at the start and at the end)")),
             in_replay="watched", in_resume=True),
    Argument("eval_samples", 10_000, _MAYBE_INT, """number of training samples, evenly spaced, that the evaluated
        training loss is computed from. None uses all.""", _optional(_integer(1)), in_replay="watched"),
    Argument("keep_params", None, (str, NoneType), """"evals" keeps the parameters of every evaluation in the run
        file, for `Run.params_at`. Each evaluation then takes n_params numbers more.""",
             _optional(lambda name, value, context: choice(name, value, _KEPT)), choices=_KEPT, in_replay="watched"),
    Argument("record", ROWS, _TEXT, """what the run file holds. "updates": a row for each update. "summary": no rows,
        but the exact counts of staleness, the sums of scales, evaluations, rule tables and parameters. Such a file is
        small, but whatever needs rows, such as a replay, refuses it.""",
             lambda name, value, context: choice(name, value, RECORDS), choices=RECORDS, in_replay="watched"),
    Argument("worker_tables", False, _BOOL, """give each worker a scale table of its own, made from the staleness of
        its own updates. The rule's `refresh` then counts those. This suits workers of unequal speed. It does nothing
        under rules whose scales depend on τ alone, such as `constant` and `inverse`.""",
             _switch, _SCALED, in_replay="changed"),
    Argument("prior", None, (str, NoneType), """the staleness that you expect. A rule that depends on the staleness
        seen then acts from the first update. Without a prior, its scales are 1 until it has made its first table.
        Give a `StalenessDistribution`, counts by staleness, a run or its file, or a text: "geometric(m=16)",
        "counts([4, 2, 1])", or a timing, which is simulated for the scheme and workers of the run. A prior does
        nothing under rules whose scales depend on τ alone, such as `constant` and `inverse`, nor where nothing is
        stale (Sequential, Synchronous).""",
             lambda name, value, context: as_prior(value), _SCALED, in_replay="changed"),
    Argument("pin_workers", False, _BOOL, """pin worker i to the i-th core, beginning again at the first when all have
        one. The second hardware threads of cores come last.""", _switch, ("train",)),
    Argument("microscope", 0, _INT, """look closely at every n-th update: how far its view is from the parameters, and
        how that changes its gradient (see `Run.microscope`). 0 looks at none.""", _integer(0), _VIRTUAL,
             in_replay="watched"),
    Argument("threads", None, _MAYBE_INT, """number of real threads that compute gradients; default one per core. The
        result does not depend on it.""", _optional(_integer(1, 1024)), _VIRTUAL, in_replay="watched"),
    Argument("out", None, (), "the run file to write (HDF5). Without it the run stays in memory.", _as_it_is),
    Argument("force", False, (), """overwrite `out` if it exists. Also accept code that differs from what a given run
        recorded.""", _as_it_is),
    Argument("on_eval", None, (), """called with each `Evaluation` as it is made. If it returns False or raises
        `StopTraining`, the run ends in good order with status "stopped".""", _as_it_is),
    Argument("progress", None, (), """called with a `Progress` a few times a second. It may stop the run as `on_eval`
        may. True shows the progress, in the notebook or on stderr; False does not. By default only a notebook shows
        it.""", _as_it_is),
    Argument("comm", None, (), """for `ParameterServer`: a communicator of mpi4py, such as `MPI.COMM_WORLD`. Every
        rank must call with the same arguments. Rank 0 is the server and returns the run. The others are workers and
        return None. Only rank 0 writes `out` and calls `on_eval` and `progress`.""", _as_it_is, ("train",)),
)  # fmt: skip
ARGUMENTS: dict[str, Argument] = {argument.name: argument for argument in _TABLE}


def arguments_of(command: Command) -> dict[str, Argument]:
    """The arguments that a command takes, by name, in the order in which help lists them.

    >>> list(arguments_of("train"))[:3]
    ['scheme', 'rule', 'schedule']
    """
    return {name: argument for name, argument in ARGUMENTS.items() if command in argument.commands}


def check(command: Command, given: Mapping[str, Any], dtype: np.dtype[Any], n_samples: int) -> dict[str, Any]:
    """Check the given arguments; return the values of all arguments, by name.

    Args:
        command: the command that takes them.
        given: the arguments that are given. The others, and those that the command does not take, have their default.
            With `force`, code that texts of a run file name is taken as it is now.
        dtype: the dtype of the problem.
        n_samples: its training samples.

    Raises:
        UsageError: for an argument that cannot be used; it names the argument.
    """
    context, own = Context(command, dtype, n_samples), arguments_of(command)
    if given.get("force"):
        given = {name: plain_text(value) for name, value in given.items()}
    return {
        name: argument.check(name, given.get(name, argument.default), context) if name in own else argument.default
        for name, argument in ARGUMENTS.items()
    }


def checked_argument(command: Command, name: str, value: Any) -> Any:
    """The checked value of one argument whose range does not depend on the problem.

    Args:
        command: the command that takes it.
        name: its name.
        value: the value that is given.
    """
    return ARGUMENTS[name].check(name, value, Context(command, np.dtype(np.float64), 0))


def of_replay(*roles: str) -> tuple[str, ...]:
    """The names of the arguments with one of these roles in a replay."""
    return tuple(name for name, argument in ARGUMENTS.items() if argument.in_replay in roles)


def of_resume() -> tuple[str, ...]:
    """The names of the arguments, besides the totals, that `resume` may change."""
    return tuple(name for name, argument in ARGUMENTS.items() if argument.in_resume)


F = TypeVar("F", bound=Callable[..., Any])


def documented(command: Command) -> Callable[[F], F]:
    """Replace the line {arguments} of a docstring by the arguments of the table."""

    def decorate(function: F) -> F:
        known = arguments_of(command)
        lines = []
        for name in inspect.signature(function).parameters:
            if name in known:
                text = f"{name}: {known[name].says(command)}"
                lines += textwrap.wrap(text, _WIDTH - 8, subsequent_indent=" " * 4)
        if "{arguments}" in (function.__doc__ or ""):
            function.__doc__ = filled(function.__doc__, "arguments", "\n".join(lines))
        elif sys.flags.optimize < 2:  # python -OO leaves no docstrings
            raise TypeError(f"the docstring of {function.__name__} needs a line {{arguments}} in its section Args")
        return function

    return decorate
