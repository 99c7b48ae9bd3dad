"""The kinds of figures by name, the arguments of each, and the kind that suits a set of runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..analysis import Record, varying
from ..errors import UsageError, unknown
from .curves import accuracy, loss
from .distributions import staleness
from .executions import timeline
from .incidence import survival
from .looks import microscope
from .paths import has_path, path
from .regions import stability
from .scales import magnitude, scale
from .times import speed_up, time_to_target


@dataclass(frozen=True)
class Kind:
    """A kind of figure: the function that draws it, and the arguments that a user can choose."""

    draw: Callable[..., Any]
    takes: tuple[str, ...] = ()


FLAGS = {"curve": "loss", "rules": "rule"}  # arguments whose flag has another name
KINDS = {
    "loss": Kind(loss, ("by", "x", "curve", "target")),
    "accuracy": Kind(accuracy, ("by", "x")),
    "staleness": Kind(staleness, ("by",)),
    "scale": Kind(scale, ("rules",)),
    "magnitude": Kind(magnitude, ("by", "rules")),
    "time-to-target": Kind(time_to_target, ("by", "x", "curve", "target")),
    "stability": Kind(stability, ("by", "target")),
    "timeline": Kind(timeline, ("first", "rows")),
    "path": Kind(path, ("update",)),
    "microscope": Kind(microscope, ("by",)),
    "speed-up": Kind(speed_up, ("by", "x", "curve", "target", "baseline")),
    "survival": Kind(survival, ("by", "x", "curve", "target")),
}


def draw(found: Sequence[Record], kind: str, **chosen: Any) -> Any:
    """A figure of this kind; UsageError for an unknown kind, and for arguments that the kind does not take.

    >>> import asapnb as ab
    >>> from asapnb.analysis import records
    >>> run = ab.simulate(ab.problems.quadratic([1.0]), workers=2, updates=20, batch_size=1)
    >>> draw(records(run), "scale", rules=["tail"]).axes[0].get_ylabel()
    'scale η(τ)/η₀'
    """
    if kind not in KINDS:
        raise unknown("kind of figure", kind, KINDS)
    for name, value in chosen.items():
        if name not in KINDS[kind].takes:
            others = [other for other, one in KINDS.items() if name in one.takes]
            raise UsageError(
                f"{name} (--{FLAGS.get(name, name)}) is {value!s:.60}, but a figure of kind {kind} has none; "
                f"kinds that do: {', '.join(others)}"
            )
    return KINDS[kind].draw(found, **chosen)


def kind_for(found: Sequence[Record]) -> str:
    """A kind that suits these runs.

    For one run: its path if there are two parameters, else what a microscope saw, else its loss if that was evaluated
    on the way, else its staleness. For several runs: a stability region if step sizes and workers vary, times to a
    target if workers vary, else the loss.
    """
    if len(found) == 1:
        run = found[0].run
        if has_path(found[0]):
            return "path"
        return "microscope" if run.microscope else "loss" if len(run.evals["step"]) > 2 else "staleness"
    keys = set(varying(found))
    if {"step_size", "workers"} <= keys:
        return "stability"
    return "time-to-target" if "workers" in keys else "loss"
