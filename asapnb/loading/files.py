"""What `path/file.py:name` names: a function, a rule, a schedule. The file is run as the Python that it is."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import BoundArguments, Parameter, Signature, signature
from typing import Any

from ..errors import UsageError
from ..numbers import choice
from ..text import Call, Names, bound, called, read_call
from .loader import Home

_TEXT = re.compile(r"\s*(?P<path>.*?\.py):(?P<name>\w*)\s*(?P<arguments>\(.*\))?\s*", re.DOTALL)
_IN_QUOTES = re.compile(r"\s*\w+\s*\([^'\"]*['\"]")  # begins like a call with a text: the file is within that


@dataclass(frozen=True)
class Use:
    """What the functions of a file are for.

    Attributes:
        lead: the names of the arguments that such a function is called with first.
        given: the names of further arguments that are given to a function that names them.
        also: what a text may say besides the parameters of the function; it becomes an attribute of the function.
        helpers: returns what parameters may call, by name, such as `every`. A function of a file that is one of these
            stands for what it returns, as it does by its name alone.
    """

    lead: tuple[str, ...]
    given: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    helpers: Callable[[], Names] = dict


@dataclass(frozen=True, repr=False)
class FileFunction:
    """What can be called, from a file: equal to another when its text and that of the file are equal.

    No module that could be imported holds it, so it is pickled as the text that loads it.
    """

    text: str
    use: Use
    source: str
    function: Callable[..., Any] = field(compare=False)
    home: Home = field(compare=False)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function returns."""
        if not self.home.late:
            return self.function(*arguments, **named)
        with self.home.in_place():
            return self.function(*arguments, **named)

    @property
    def files(self) -> Mapping[str, str]:
        """The SHA-256 of each file that was run to have it, by path."""
        return self.home.files

    @property
    def sources(self) -> Mapping[str, str]:
        """The text of each of these files."""
        return self.home.sources

    def _identity_(self) -> Any:
        return self.function

    def __repr__(self) -> str:
        return repr(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return load_function, (self.text, self.use)


def within(function: Any) -> Any:
    """The function of a user's file that is loaded, or any other function itself."""
    return function.function if isinstance(function, FileFunction) else function


def name_of(function: Any) -> str:
    """The name of something that can be called.

    >>> name_of(partial(os.stat)), name_of(Parameter)
    ('stat', 'Parameter')
    """
    if isinstance(function, partial):
        return name_of(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def is_of_file(text: str) -> bool:
    """Whether a text names something in a file.

    >>> is_of_file("rules.py:mine"), is_of_file("rules.py:mine(0.5)"), is_of_file("profile(g='rules.py:mine(2)')")
    (True, True, False)
    """
    named = _TEXT.fullmatch(text)
    return named is not None and _IN_QUOTES.match(named["path"]) is None


def load_function(text: str, use: Use) -> FileFunction:
    """What `path/file.py:name` or `path/file.py:name(parameters)` names: something to call with `use.lead`.

    That is a function f(lead, parameters), with its parameters bound; or what a function f(parameters) returns, or a
    class. UsageError where there is no such file or name, for parameters that it does not take, and where the file
    cannot be run; RecordError if a run file names it that recorded other code.
    """
    named = _TEXT.fullmatch(text)
    if named is None or not is_of_file(text):
        raise UsageError(f"{text!r} names nothing in a file: write path/file.py:name")
    path, name, kind = named["path"], named["name"], f"function in {named['path']}"
    if not os.path.isfile(path):
        hint = ": within another rule, a file stands in quotes, as in shuffled('rules.py:mine(p=1)')" * ("(" in path)
        raise UsageError(f"there is no file {path} to load {name!r} from{hint}")
    home = Home(path)
    functions = {key: one for key, one in vars(home.module).items() if callable(one) and not key.startswith("_")}
    found, said = functions[choice(kind, name, functions)], name
    with home.in_place():
        if named["arguments"] or _makes(found, use):
            found, call = _found(found, read_call(name + (named["arguments"] or "()"), kind, use.helpers()), use)
            said = str(call) if named["arguments"] else name
    return FileFunction(f"{path}:{said}", use, "\n".join(home.sources.values()), found, home)


def _makes(found: Any, use: Use) -> bool:
    """Whether a name without parameters stands for what it returns: a class, a rule of asapnb, or f()."""
    return _only_makes(found, use) or (not _takes(found, use.lead) and _takes(found, ()))


def _only_makes(found: Any, use: Use) -> bool:
    return isinstance(found, type) or any(found is helper for helper in use.helpers().values())


def _takes(found: Any, positional: Sequence[Any], named: Mapping[str, Any] | None = None) -> bool:
    try:
        signature(found).bind(*positional, **(named or {}))
    except TypeError:
        return False
    except ValueError:  # some built-in functions have no signature to look at
        return True
    return True


def _found(found: Any, call: Call, use: Use) -> tuple[Any, Call]:
    """What a call of something in a file stands for, and that call with every parameter by name.

    A function whose first arguments have the names in `lead` stands for itself, with the others bound. One that takes
    just the parameters is called. Another that takes them after those of `lead` stands for itself, too.
    """
    itself = tuple(signature(found).parameters)[: len(use.lead)] == use.lead
    if not itself and not _only_makes(found, use) and not _takes(found, call.positional, call.named):
        itself = _takes(found, [*use.lead, *call.positional], call.named)
    if itself:
        return _with_parameters(found, call, use)
    return called(found, call), _by_name(call, bound(signature(found), call))


def _with_parameters(function: Any, call: Call, use: Use) -> tuple[Any, Call]:
    """A function with those parameters bound that are not their defaults, and the call with all that are given."""
    if hasattr(function, "_identity_") and (call.positional or call.named):
        raise UsageError(f"{call.name} is a rule, and takes no parameters: write {call.name} alone")
    own, free = dict(signature(function).parameters), []
    for one in [*own.values()][len(use.lead) :]:
        if one.name in use.given:  # it need not be said
            free.append(one.replace(kind=Parameter.KEYWORD_ONLY, default=None))
        elif one.kind is not Parameter.VAR_POSITIONAL:
            free.append(one)
    also = [name for name in use.also if name not in own]
    free += [Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in also]
    said = _by_name(call, bound(Signature(sorted(free, key=lambda one: one.kind)), call))
    fixed = {
        name: value
        for name, value in said.named.items()
        if name not in also and (name not in own or not _same(value, own[name].default))
    }
    attributes = {name: said.named[name] for name in also if name in said.named}
    if not fixed and not attributes:
        return function, said
    made = partial(function, **fixed)
    vars(made).update(attributes)
    return made, said


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and repr(value) == repr(default)


def _by_name(call: Call, arguments: BoundArguments) -> Call:
    """A call with every parameter by name, where each has one."""
    named: dict[str, Any] = {}
    for name, value in arguments.arguments.items():
        kind = arguments.signature.parameters[name].kind
        if kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL):
            return call
        named |= value if kind is Parameter.VAR_KEYWORD else {name: value}
    return Call(call.name, [], named)
