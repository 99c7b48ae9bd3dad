"""The base of all schemes: options, traits that other modules ask for, and the table of schemes by name."""

import sys
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform, get_args, get_type_hints

from ..errors import UsageError, unknown
from ..numbers import choice, integer, steps, switch
from ..text import parse_call

MOST_OPTIONS = 8  # of a scheme: words that its loops have for them
MOST_STEPS = 31  # of an option that changes during a run
Steps = tuple[tuple[int, int], ...]  # (from when on, value), the first from 0
LARGEST = 2**31 - 1


def option(
    *,
    default: Any,
    least: int = 0,
    most: int = LARGEST,
    simulated: bool = False,
    measured: bool = False,
    quiet: bool = False,
) -> Any:
    """Declare an option of a scheme.

    Args:
        default: the default value.
        least: the smallest integer allowed, for an option of type int, int | None or int | Steps | None.
        most: the largest integer allowed.
        simulated: whether only the simulator has the option.
        measured: whether only real workers have the option.
        quiet: whether a scheme that prints itself leaves the option out where it has its default.
    """
    given = {"least": least, "most": most, "simulated": simulated, "measured": measured}
    return field(default=default, metadata={**given, "quiet": quiet or simulated or measured})


_STEPPED = int | Steps | None


class Option(NamedTuple):
    """An option of a scheme, as the scheme declares it; see `option` for the fields."""

    name: str
    default: Any
    hint: Any  # bool, int, int | None, int | Steps | None, or a Literal of texts
    least: int = 0
    most: int = LARGEST
    simulated: bool = False
    measured: bool = False
    quiet: bool = False

    def checked(self, scheme: str, value: Any) -> Any:
        """The value, checked; UsageError if the option cannot have it."""
        name = f"{self.name} of {scheme}"
        if self.hint is bool:
            return switch(name, value)
        if self.hint in (int, int | None):
            optional = self.hint is not int
            note = ", or None" if optional else ""
            return None if optional and value is None else integer(name, value, self.least, self.most, note=note)
        if self.hint == _STEPPED:
            return None if value is None else steps(name, value, self.least, self.most, MOST_STEPS)
        return choice(name, value, get_args(self.hint))

    def word(self, value: Any) -> int:
        """The value as the integer that compiled loops read.

        None is -1, a choice is its place among the choices, and steps are the first of their values.
        """
        if isinstance(value, tuple):
            return int(value[0][1])
        return get_args(self.hint).index(value) if isinstance(value, str) else -1 if value is None else int(value)


class Scheme:
    """The base class of schemes: how workers share the parameters.

    A scheme has options, the fields of a frozen dataclass, and traits. Other modules look at the traits only, and
    never ask which scheme it is. Options are checked as they are declared.

    A loop is named by a text "module:function". It is imported when it is needed, because importing it may compile.
    Loops read the options from their words, in the order of the fields; see `settings`. The defaults of the traits
    suit any scheme that keeps one parameter vector in place. Some of these defaults cost memory that a scheme can
    save by setting the trait.

    Attributes:
        name: the name of the scheme on the command line and in configuration files.
        worker_loop: the compiled loop of a real thread; None if the scheme does not run on threads. Options may
            choose another loop: see `chosen_loop`.
        timed_loop: the worker loop that also reads the clock between its steps, for `calibrate`; may be None.
        server_loop: the compiled step of a server on MPI that takes the gradient of a worker; None if the scheme does
            not run on MPI.
        event_loop: the compiled loop of the simulator; None if the scheme is not simulated.
        fresh: no update is ever stale, so there is one table and one velocity.
        published: threads publish vectors of a pool by compare-and-swap, instead of changing one vector in place.
        consistent: a view is one version of the parameters, not a mixture of several.
        races: updates are written at the same time, component by component. So a vector that they carry on, such as
            moments, would be a mixture.
        messages: gradients and parameters are sent as messages, between processes on MPI or in virtual time. There
            they take the `network` times of a timing.
        most_workers: the largest number of workers; None for any number.
        elastic: the number of workers may change during a run. Then the loops let workers wait that are not in force.
        options: the options; `register` fills them in.
    """

    name: ClassVar[str]
    options: ClassVar[tuple[Option, ...]] = ()
    worker_loop: ClassVar[str | None] = None
    timed_loop: ClassVar[str | None] = None
    server_loop: ClassVar[str | None] = None
    event_loop: ClassVar[str | None] = None
    fresh: ClassVar[bool] = False
    published: ClassVar[bool] = False
    consistent: ClassVar[bool] = True
    races: ClassVar[bool] = False
    messages: ClassVar[bool] = False
    most_workers: ClassVar[int | None] = None
    elastic: ClassVar[bool] = False

    @property
    def chosen_loop(self) -> str | None:
        """The loop of a real thread with these options: `worker_loop`, unless they need another; None if none."""
        return self.worker_loop

    @property
    def loops(self) -> tuple[str | None, ...]:
        """The loops that carry out the scheme, for threads, MPI and the simulator; None where there is none."""
        return self.chosen_loop, self.server_loop, self.event_loop

    @property
    def averages(self) -> bool:
        """Whether an update is the average of gradients in shared memory, of which each worker makes a slice."""
        return False

    @property
    def copied_for_evaluation(self) -> bool:
        """Whether threads copy the parameters for an evaluation and continue; otherwise the clock stops for it."""
        return True

    @property
    def mass_drops(self) -> bool:
        """Whether one event of the simulator may drop the gradients of all workers."""
        return True

    @property
    def instant(self) -> bool:
        """Whether the simulator may use its loop `instant`, which has the same rows, if only gradients take time."""
        return False

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
    def useless_from(self) -> int | None:
        """The staleness from which gradients are given up when they arrive; None if none are given up for it."""
        return None

    @property
    def most_ahead(self) -> int | None:
        """How many gradients a worker may be ahead of the slowest; None for any number."""
        return None

    @property
    def intervals(self) -> Steps:
        """The lengths of intervals, as (after so many finished gradients, length); () where there are none."""
        return ()

    @property
    def adapts(self) -> bool:
        """Whether threads adapt the length of intervals to the progress that they measure."""
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
        """The number of gradients that make one version. Each has a row."""
        return 1

    def sums(self, workers: int) -> int:
        """The number of vectors in which gradients are added up before their mean makes a version."""
        return 0

    def table_of(self, workers: int) -> int:
        """The number of workers in a gradient table, which gives all the same weight; 0 without such a table.

        With a table, `gradients` is 1, the fewest that make a version. How many do depends on the order of workers.
        """
        return 0

    def check_workers(self, workers: int) -> None:
        """UsageError if the scheme cannot have so many workers."""
        if self.most_workers is not None and workers > self.most_workers:
            raise UsageError(
                f"workers is {workers}: the scheme {type(self).__name__} has at most {self.most_workers}; "
                "for more choose another scheme"
            )

    def __post_init__(self) -> None:
        for one in self.options:
            object.__setattr__(self, one.name, one.checked(type(self).__name__, getattr(self, one.name)))

    def __repr__(self) -> str:
        values = {one.name: getattr(self, one.name) for one in self.options}
        hidden = {one.name for one in self.options if one.quiet and values[one.name] == one.default}
        shown = [f"{name}={value!r}" for name, value in values.items() if name not in hidden]
        return f"{type(self).__name__}({', '.join(shown)})"


# Every scheme by its name in a text, such as "lock-based".
SCHEMES: dict[str, type[Scheme]] = {}
S = TypeVar("S", bound=type[Scheme])


@dataclass_transform(frozen_default=True, field_specifiers=(option,))
def register(scheme: S) -> S:
    """Register a class as a scheme: a decorator, which also makes the class a frozen dataclass.

    Texts can then name the scheme. A class that is defined again, as when its module is loaded twice, replaces the
    first one. See docs/how-to/extending/scheme.md.

    Raises:
        TypeError: for a class that lacks something; the message says what.
    """
    name = vars(scheme).get("name")
    if not isinstance(name, str) or _key(name) != scheme.__name__.lower():
        raise TypeError(f"{scheme.__name__} needs a name like its own, such as my-scheme of MyScheme")
    before = next((one for key, one in SCHEMES.items() if _key(key) == _key(name)), scheme)
    if before.__module__ != scheme.__module__:
        raise TypeError(f"there is a scheme {before.name!r} already, in {before.__module__}: choose another name")
    loops = (scheme.worker_loop, scheme.event_loop, scheme.server_loop)
    if not any(loops) or not all(loop is None or ":" in loop for loop in loops):
        raise TypeError(f"{scheme.__name__} needs a worker_loop, server_loop or event_loop, as 'module:function'")
    if scheme.worker_loop and scheme.messages:
        raise TypeError(f"{scheme.__name__} has messages = True: give it a server_loop instead of a worker_loop")
    if scheme.server_loop and not scheme.messages:
        raise TypeError(f"{scheme.__name__} has a server_loop, which serves workers on MPI: set messages = True")
    if not scheme.__doc__ and sys.flags.optimize < 2:  # python -OO leaves no docstrings
        raise TypeError(f"{scheme.__name__} needs a docstring that says how workers share the parameters")
    dataclass(frozen=True, repr=False)(scheme)
    scheme.options = _declared(scheme)
    SCHEMES.pop(before.name, None)
    SCHEMES[name] = scheme
    return scheme


def _declared(scheme: Any) -> tuple[Option, ...]:
    """The options of a class; TypeError for one that loops could not read."""
    hints = get_type_hints(scheme)
    options = tuple(Option(f.name, f.default, hints[f.name], **f.metadata) for f in fields(scheme))
    for one in options:
        texts = get_args(one.hint)
        plain = one.hint in (bool, int, int | None, _STEPPED)
        if not plain and not (texts and all(isinstance(text, str) for text in texts)):
            allowed = "an int, int | None, int | Steps | None, bool or Literal of texts"
            raise TypeError(f"option {one.name} of {scheme.__name__} is {one.hint}: must be {allowed}")
    if len(options) > MOST_OPTIONS:
        raise TypeError(f"{scheme.__name__} has more than {MOST_OPTIONS} options")
    return options


def _key(name: str) -> str:
    return name.strip().lower().replace("-", "").replace("_", "")


def settings(scheme: Scheme) -> list[int]:
    """The options as the integers that compiled loops read, in the order of the fields.

    None is -1, a switch is 0 or 1, a choice is its place among the choices, and an integer is itself.

    >>> from asapnb.schemes import Hogwild, Synchronous
    >>> settings(Synchronous()), settings(Synchronous(wait_for=3, batches=True)), settings(Hogwild("snapshot"))[0]
    ([-1, 0], [3, 1], 1)
    """
    return [one.word(getattr(scheme, one.name)) for one in scheme.options]


def length_at(lengths: Steps, finished: int) -> int:
    """The length of the interval that begins after `finished` gradients.

    Args:
        lengths: as `Scheme.intervals`.
        finished: the number of finished gradients.

    >>> length_at(((0, 64), (5000, 16)), 4992), length_at(((0, 64), (5000, 16)), 5056)
    (64, 16)
    """
    return next(length for start, length in reversed(lengths) if start <= finished)


def boundary_after(lengths: Steps, finished: int) -> int:
    """The first boundary between intervals after `finished` gradients.

    Args:
        lengths: as `Scheme.intervals`.
        finished: the number of finished gradients.

    >>> boundary_after(((0, 8),), 7), boundary_after(((0, 8),), 8), boundary_after(((0, 64), (5000, 16)), 5056)
    (8, 16, 5072)
    """
    boundary, last = 0, lengths[-1]
    while boundary <= finished and boundary < last[0]:
        boundary += length_at(lengths, boundary)
    return boundary if boundary > finished else finished + last[1] - (finished - boundary) % last[1]


def simulated_only(scheme: Scheme) -> str | None:
    """What only the simulator has of a scheme, as text: some of its options, or all of it. None if nothing.

    >>> from asapnb.schemes import LockBased
    >>> simulated_only(LockBased(order="random")), simulated_only(LockBased())
    ("order='random'", None)
    """
    if scheme.worker_loop is None and scheme.server_loop is None:
        return type(scheme).__name__
    return _given(scheme, [one for one in scheme.options if one.simulated])


def measured_only(scheme: Scheme) -> str | None:
    """The options of a scheme that only real workers have, as text; None if there are none.

    >>> from asapnb.schemes import LockBased
    >>> measured_only(LockBased(interval=8, adaptive=True)), measured_only(LockBased(interval=8))
    ('adaptive=True', None)
    """
    return _given(scheme, [one for one in scheme.options if one.measured])


def _given(scheme: Scheme, options: list[Option]) -> str | None:
    """Those of the options that do not have their default, as text; None without any."""
    values = [(one.name, getattr(scheme, one.name), one.default) for one in options]
    return ", ".join(f"{name}={value!r}" for name, value, default in values if value != default) or None


def as_scheme(value: Any) -> Scheme:
    """The scheme that a value stands for: a scheme itself, or its text; UsageError for anything else.

    >>> as_scheme("hogwild(view=snapshot)").view
    'snapshot'
    """
    if isinstance(value, str):
        return parse_scheme(value)
    if not isinstance(value, Scheme):
        raise UsageError(f"scheme is {value!r:.80}: must be a scheme, for example asapnb.Leashed(persistence=1)")
    return value


def parse_scheme(text: str) -> Scheme:
    """The scheme that a text names: "lock-based", "hogwild(view=snapshot)", or as a scheme prints itself.

    Raises:
        UsageError: for an unknown scheme, and for options that it cannot have.

    >>> parse_scheme("leashed(persistence=1)"), parse_scheme("LockBased()")
    (Leashed(persistence=1, check_early=False), LockBased())
    """
    name, bracket, arguments = text.strip().partition("(")
    plain = {_key(key): scheme for key, scheme in SCHEMES.items()}
    if _key(name) not in plain:
        error = unknown("scheme", name.strip(), SCHEMES)
        if "Did you mean" in str(error):
            raise error
        raise UsageError(f"{error} One of your own is known once Python has imported its module")
    scheme: Scheme = parse_call(_key(name) + bracket + arguments, plain, "scheme")
    return scheme
