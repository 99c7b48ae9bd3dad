"""Your own code that a run is made with: its rule, schedule, problem, scheme and laws of time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import UsageError
from ..identity import Piece, Recorded, check_piece, check_same, identified, plain_text
from ..identity.library import is_own, library_name
from ..problems.base import Problem
from ..problems.text import code_of
from ..record import Run
from ..rules import Rule, RuleLike, as_rule
from ..schedules import ScheduleLike, StepSchedule, as_schedule
from ..schemes import Scheme, as_scheme
from ..timing import Timing, as_timing
from ..timing.times import LAWS, Law, Time
from ..timing.workers import entries
from .arguments import ARGUMENTS
from .compiling import load


def pieces(
    problem: Problem, rule: Rule, schedule: StepSchedule, scheme: Scheme, timing: Timing | None = None
) -> list[Piece]:
    """The pieces of code of one's own, in this order: rule, schedule, problem, scheme, laws.

    Args:
        problem: what is minimised.
        rule: the step-size rule.
        schedule: of the step size.
        scheme: how the workers share the parameters.
        timing: how long all takes, of a simulated run.
    """
    found = [rule.code, schedule.code, code_of(problem), scheme_code(scheme), *laws(timing)]
    return [piece for piece in found if piece is not None]


def scheme_code(scheme: Scheme) -> Piece | None:
    """What a scheme is besides its text, with the loops that run it; None for one of asapnb."""
    if library_name(type(scheme)) is not None:
        return None
    loops = [load(loop) for loop in scheme.loops if loop]
    return identified("scheme", str(scheme), (type(scheme), str(scheme), *loops))


def laws(timing: Timing | None) -> list[Piece]:
    """The laws of time of one's own that a timing uses."""
    names = dict.fromkeys(time.name for time in _times(timing) if is_own(LAWS[time.name].builder))
    return [identified("law", name, _declared(LAWS[name])) for name in names]


def _declared(law: Law) -> tuple[Any, ...]:
    """All of a law that a run depends on."""
    return law.builder, law.mean, law.variance, law.support, law.sampler, law.seconds, law.text


def _times(value: Any) -> Iterable[Time]:
    """All times in a timing, those within others too."""
    if isinstance(value, Time):
        yield value
        for _, parameter in value.parameters:
            for one in parameter if isinstance(parameter, tuple) else ():
                yield from _times(one)
    elif isinstance(value, Timing):
        for given in vars(value).values():
            if not isinstance(given, tuple) or (given and isinstance(given[0], Time)):
                for one in entries(given) if given is not None else ():
                    yield from _times(one)


def checked(arguments: Mapping[str, Any], force: bool) -> dict[str, Any]:
    """The arguments of a run, after a check that your own code, where a run file names it, is what that run had.

    The rule and the schedule are loaded for the check. If code differs, a RecordError says how, unless `force`.
    """
    if force:
        return {name: plain_text(value) for name, value in arguments.items()}
    found = dict(arguments)
    if isinstance(rule := found.get("rule"), Recorded):
        found["rule"] = as_rule(rule)
    if isinstance(schedule := found.get("schedule"), Recorded):
        found["schedule"] = as_schedule(schedule)
    if isinstance(scheme := found.get("scheme"), Recorded):
        check_piece(scheme, "scheme", scheme_code(as_scheme(scheme)))
    if isinstance(timing := found.get("timing"), Recorded):
        _check_laws(timing, laws(as_timing(timing)))
    return found


def _check_laws(timing: Recorded, now: Sequence[Piece]) -> None:
    before = {piece.name: piece for piece in timing.pieces or () if piece.kind == "law"}
    if timing.pieces is not None:
        for name in dict.fromkeys((*before, *(piece.name for piece in now))):
            there = next((piece for piece in now if piece.name == name), None)
            check_same(timing.where, f"law {name}", before.get(name), there)


def same_rule(run: Run, rule: RuleLike | None, force: bool) -> Rule:
    """The rule that a run goes on with: that of its file, or the given one, which must be the same.

    Args:
        run: the run.
        rule: the one given; None for that of the file.
        force: take it although its code is not what it was.
    """
    return _same(run, "rule", run.config["rule"], rule, as_rule, force)


def next_rule(run: Run, rule: RuleLike | None, force: bool) -> Rule:
    """The rule that a run goes on with: that of its file or, on threads, another one that is given.

    Args:
        run: the run.
        rule: the one given; None for that of the file.
        force: take that of the file although its code is not what it was.

    Raises:
        UsageError: for another rule where there can be none.
    """
    if rule is None or repr(found := as_rule(rule)) == run.config["rule"]:
        return same_rule(run, rule, force)
    if run.kind == "simulate":
        raise no_change(run, "rule", found)
    if found.schedule is not None or "rule_factor" in run.attributes:
        raise UsageError(
            f"rule is {found}, and {run.path} has {run.config['rule']}: one of them has a factor of its own, which "
            f"cannot begin or end within a run; begin another run with start={run.path} (--start)"
        )
    if found.shuffled:
        raise UsageError(f"rule is {found}: it needs all scales in advance; use it in simulate or replay")
    return found


def no_change(run: Run, name: str, value: Any) -> UsageError:
    """The error for another step size or rule of a simulated run."""
    return UsageError(
        f"{name} is {value}, and {run.path} has {run.config[name]}: the scales of a simulated run are made in "
        f"advance, so its {name} cannot change. Begin another run where this one ended, with start={run.path} "
        "(--start)"
    )


def same_schedule(run: Run, schedule: ScheduleLike | None, force: bool) -> StepSchedule:
    """The schedule that a run goes on with: that of its file, or the given one, which must be the same.

    Args:
        run: the run.
        schedule: the one given; None for that of the file.
        force: take it although its code is not what it was.
    """
    return _same(run, "schedule", schedule_of(run), schedule, as_schedule, force)


def schedule_of(run: Run) -> Any:
    """The text of a run's schedule; files from before there were any have none."""
    return run.config.get("schedule", str(ARGUMENTS["schedule"].default))


def _same(run: Run, kind: str, text: Any, given: Any, read: Callable[[Any], Any], force: bool) -> Any:
    if given is None:
        try:
            return read(plain_text(text) if force else text)
        except UsageError as error:
            raise UsageError(
                f"the {kind} of {run.path} cannot be made from its text: pass it, as in "
                f"asapnb.resume(path, {kind}={kind}); {error}"
            ) from None
    found = read(given)
    if repr(found) != text:
        raise UsageError(
            f"{run.path} has the {kind} {text}, not {found!r}: a run goes on with the {kind} it began with"
        )
    if not force and isinstance(text, Recorded):
        check_piece(text, kind, found.code)
    return found


def changes(run: Run, now: Sequence[Piece]) -> list[dict[str, Any]]:
    """The pieces of code that are not what the run recorded, as its file keeps that: the digest before, and now."""
    if run.code is None:
        return []
    before = {(piece.kind, piece.name): piece.digest for piece in run.code}
    after = {(piece.kind, piece.name): piece.digest for piece in now}
    return [
        {"kind": key[0], "name": key[1], "before": before.get(key, "asapnb"), "now": after.get(key, "asapnb")}
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    ]
