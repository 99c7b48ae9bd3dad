"""What `path/file.py:name` names: a function, a rule, a schedule. The file is run as a Python program."""

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
    """How the functions of a file are used, such as for rules.

    Attributes:
        lead: the names of the arguments that such a function is always called with; they come first.
        given: the names of further arguments. A function gets those that it has parameters for.
        also: names that a text may set besides the parameters of the function. They become attributes of it.
        helpers: returns the functions that parameters in a text may call, by name, such as `every`. If a function of
            a file is one of these, its name stands for what it returns.
    """

    lead: tuple[str, ...]
    given: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    helpers: Callable[[], Names] = dict


@dataclass(frozen=True, repr=False)
class FileFunction:
    """A function from a file. Two are equal if their texts, and the texts of their files, are equal.

    It is in no module that could be imported. So it is pickled as the text that loads it.
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
        """The SHA-256 of each file that was run to load the function, by path."""
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
    """The function that was loaded from a user's file; any other function is returned as it is."""
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
    """Load what `path/file.py:name` or `path/file.py:name(parameters)` names, to be called with `use.lead`.

    The name may be that of a function f(lead, parameters), whose parameters are then bound. Or it is that of a class,
    or of a function f(parameters), which returns what is to be called.

    Args:
        text: the text.
        use: how the function is used.

    Raises:
        UsageError: if there is no such file or name, if the parameters do not fit, or if the file cannot be run.
        RecordError: if the text is from a run file, and the code is not what the run recorded.
    """
    named = _TEXT.fullmatch(text)
    if named is None or not is_of_file(text):
        raise UsageError(f"{text!r} does not name anything in a file: write path/file.py:name")
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
    """Whether a name without parameters stands for what its call returns: a class, a rule of asapnb, or f()."""
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
    """What a call of something in a file stands for, and the same call with every parameter by name.

    A function whose first arguments have the names in `lead` stands for itself, with the other arguments bound. A
    function that takes just the given parameters is called. Any other function, if it can take them after those of
    `lead`, stands for itself too.
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
        raise UsageError(f"{call.name} is a rule, so it takes no parameters: write {call.name} alone")
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
