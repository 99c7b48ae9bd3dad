"""The base of all schemes: options, traits that other modules ask for, and the table of schemes by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import Any, ClassVar, TypeVar, get_args, get_type_hints

from ..errors import UsageError, unknown
from ..text import parse_call

MOST_OPTIONS = 8  # of a scheme: words that its loops have for them


def simulated(default: Any) -> Any:
    """Declare an option that only the simulator has."""
    return field(default=default, metadata={"simulated": True})


class Scheme:
    """How workers share the parameters: a frozen dataclass of options, and these traits, which other modules ask for.

    A loop is named as "module:function" and imported when it is needed, because importing it may compile. Loops find
    the options in their words, in the order of the fields: see `settings`. The defaults of the traits suit any scheme
    that keeps one parameter vector in place; some cost memory that a scheme which knows better need not spend.

    Attributes:
        name: as the command line and configuration files spell it.
        worker_loop: the compiled loop of a real thread; None where there is none.
        timed_loop: the worker loop with a look at the clock between its steps, for `calibrate`; may be None.
        event_loop: the compiled loop of the simulator; None where there is none.
        fresh: no update is ever stale, so there is one table, one velocity, and the clock stops for evaluations.
        averages: an update is the average of gradients in shared memory; each worker makes a slice of it.
        published: threads publish vectors of a pool by compare-and-swap, instead of changing one in place.
        copied_for_evaluation: threads copy the parameters that are to be evaluated, and go on.
        consistent: a view is one version of the parameters, not a mixture.
        messages: gradients and parameters travel, and take the `network` times of a timing.
        instant: where reads and updates take no time, the simulator's loop `instant` gives the same rows.
        most_workers: how many workers there can be; None for any number.
    """

    name: ClassVar[str]
    worker_loop: ClassVar[str | None] = None
    timed_loop: ClassVar[str | None] = None
    event_loop: ClassVar[str | None] = None
    fresh: ClassVar[bool] = False
    averages: ClassVar[bool] = False
    published: ClassVar[bool] = False
    copied_for_evaluation: ClassVar[bool] = True
    consistent: ClassVar[bool] = True
    messages: ClassVar[bool] = False
    instant: ClassVar[bool] = False
    most_workers: ClassVar[int | None] = None

    @property
    def mass_drops(self) -> bool:
        """Whether one event of the simulator may drop the gradients of all workers."""
        return True

    @property
    def copies_view(self) -> bool:
        """Whether a thread has a vector of its own, for a copy of the parameters as its view."""
        return True

    @property
    def keeps_view(self) -> bool:
        """Whether a thread still has the view of its gradient when it applies it."""
        return True

    @property
    def drops(self) -> bool:
        """Whether threads may drop gradients, whose rows then use a ring of their own."""
        return False

    @property
    def pieces(self) -> int:
        """The pieces in which the simulator reads and writes the parameters, where views are inconsistent."""
        return 1

    @property
    def paces(self) -> int:
        """The length of the simulator's ring that counts workers by the gradients that they have made."""
        return 1

    def gradients(self, workers: int) -> int:
        """The gradients that make one version, each of which has a row."""
        return 1

    def check_workers(self, workers: int) -> None:
        """UsageError if the scheme cannot have so many workers."""
        if self.most_workers is not None and workers > self.most_workers:
            raise UsageError(
                f"workers is {workers}: the scheme {type(self).__name__} has at most {self.most_workers}; "
                "for more choose another scheme"
            )

    def __repr__(self) -> str:
        shown = [f for f in _fields(self) if not f.metadata or getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"


SCHEMES: dict[str, type[Scheme]] = {}
S = TypeVar("S", bound=type[Scheme])


def register(scheme: S) -> S:
    """Make a scheme known by its name, as a decorator above `dataclass`; TypeError says what the class lacks."""
    if not issubclass(scheme, Scheme) or not vars(scheme).get("__dataclass_params__", None):
        raise TypeError(f"{scheme.__name__} must be a Scheme and a frozen dataclass, with @register above @dataclass")
    name = vars(scheme).get("name")
    if not isinstance(name, str) or _key(name) != scheme.__name__.lower() or name in SCHEMES:
        raise TypeError(f"{scheme.__name__} needs a name that is new and like its own, such as my-scheme of MyScheme")
    loops = (scheme.worker_loop, scheme.event_loop)
    if not any(loops) or not all(loop is None or ":" in loop for loop in loops):
        raise TypeError(f"{scheme.__name__} needs a worker_loop or an event_loop, each as 'module:function'")
    if not scheme.__doc__ or scheme.__doc__.startswith(f"{scheme.__name__}("):
        raise TypeError(f"{scheme.__name__} needs a docstring that says how workers share the parameters")
    if len(_codes(scheme)) > MOST_OPTIONS:
        raise TypeError(f"{scheme.__name__} has more than {MOST_OPTIONS} options")
    SCHEMES[name] = scheme
    return scheme


def _key(name: str) -> str:
    return name.strip().lower().replace("-", "").replace("_", "")


def settings(scheme: Scheme) -> list[int]:
    """The options as the words that compiled loops read, in the order of the fields.

    None is -1, a switch 0 or 1, a choice its place among the choices, an integer itself.

    >>> from asapnb.schemes import Leashed, LockBased
    >>> settings(Leashed(persistence=None, check_early=True)), settings(LockBased(order="random"))
    ([-1, 1], [1, 0])
    """
    return [code(getattr(scheme, name)) for name, code in _codes(type(scheme)).items()]


def _codes(scheme: type[Scheme]) -> dict[str, Callable[[Any], int]]:
    """How each option becomes a word; TypeError for an option that cannot."""
    hints = get_type_hints(scheme)
    return {f.name: _code(scheme, f.name, hints[f.name]) for f in _fields(scheme)}


def _code(scheme: type[Scheme], name: str, hint: Any) -> Callable[[Any], int]:
    choices = get_args(hint)
    if choices and all(isinstance(one, str) for one in choices):
        return choices.index
    if hint in (bool, int, int | None):
        return lambda value: -1 if value is None else int(value)
    raise TypeError(
        f"option {name} of {scheme.__name__} is {hint}: must be an int, int | None, bool or Literal of texts"
    )


def _fields(scheme: Any) -> tuple[Field[Any], ...]:
    return fields(scheme)


def simulated_only(scheme: Scheme) -> str | None:
    """The part of a scheme that only the simulator has, as text; None if real threads have all of it.

    >>> from asapnb.schemes import LockBased
    >>> simulated_only(LockBased(order="random")), simulated_only(LockBased())
    ("order='random'", None)
    """
    if scheme.worker_loop is None:
        return type(scheme).__name__
    options = [f for f in _fields(scheme) if f.metadata and getattr(scheme, f.name) != f.default]
    return ", ".join(f"{f.name}={getattr(scheme, f.name)!r}" for f in options) or None


def as_scheme(value: Any) -> Scheme:
    """A scheme, or the one that a text names; UsageError for anything else."""
    if isinstance(value, str):
        return parse_scheme(value)
    if not isinstance(value, Scheme):
        raise UsageError(f"scheme is {value!r:.80}: must be a scheme, for example asapnb.Leashed(persistence=1)")
    return value


def parse_scheme(text: str) -> Scheme:
    """The scheme that a text names: "lock-based", "hogwild(view=snapshot)", or as a scheme prints itself.

    >>> parse_scheme("leashed(persistence=1)"), parse_scheme("LockBased()")
    (Leashed(persistence=1, check_early=False), LockBased())
    """
    name, bracket, arguments = text.strip().partition("(")
    plain = {_key(key): scheme for key, scheme in SCHEMES.items()}
    if _key(name) not in plain:
        raise unknown("scheme", name.strip(), SCHEMES)
    scheme: Scheme = parse_call(_key(name) + bracket + arguments, plain, "scheme")
    return scheme
