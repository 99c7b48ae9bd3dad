"""A digest of what code does: its instructions, constants, closures, defaults and arguments, and what it refers to.

Code of a library counts by its name alone. Code of users is followed through the globals that it uses, also into
their helper modules. Addresses, paths and line numbers do not count, so every process finds the same digest. An
object whose state cannot be seen raises `Unseen`, because nobody can tell whether it is the same as another.
"""

import dis
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numba.types import Type

from .library import is_library, is_library_file, is_own_class, library_name
from .plain import codes_in, encoded, hashed, scalar, slots_of

IMPORT = "__asapnb_import__"  # in the globals of a rule file: what finds its neighbours, which nobody else sees
MOST_VALUES = 100_000  # that the digest of one thing may go through
_OF_ANY_CLASS = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__",
    "_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__parameters__", "__orig_bases__",
}  # fmt: skip
_DESCRIPTORS = (
    types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType,
)  # fmt: skip
_WRAPPERS = (staticmethod, classmethod)


class Unseen(Exception):
    """The state of something cannot be seen. The message says what it is."""


def digest_of(value: Any, visit: Callable[[Any], None] = lambda own: None) -> str:
    """The digest of a value: 32 hexadecimal digits. It is the same in every process with the same code and values.

    Args:
        value: a function, an object that can be called, a class, or data.
        visit: called with each function and class that is not of a library, in the order in which they are found.

    Raises:
        Unseen: if the state of something cannot be seen.

    >>> digest_of(lambda x: x + 1) == digest_of(lambda x: x + 1), digest_of(lambda x: x + 2) == digest_of(lambda x: x)
    (True, False)
    """
    try:
        return _Walk(visit).of(value).hex()
    except RecursionError:
        raise Unseen("it is nested too deep") from None


class _Walk:
    """The work of one digest. A value that contains itself is recorded as how many levels up it stands."""

    def __init__(self, visit: Callable[[Any], None]) -> None:
        self._visit = visit
        self._known: dict[Any, tuple[Any, bytes]] = {}  # by identity; the value is kept, so that the identity is
        self._open: dict[Any, int] = {}
        self._count = 0

    def of(self, value: Any) -> bytes:
        """The digest of a value."""
        if (found := scalar(value)) is not None:
            return found
        return self._once(id(value), value, lambda: self._made(value))

    def _once(self, key: Any, value: Any, make: Callable[[], bytes]) -> bytes:
        if key in self._known:
            return self._known[key][1]
        if key in self._open:
            return hashed("within", str(len(self._open) - self._open[key]).encode())
        self._count += 1
        if self._count > MOST_VALUES:
            raise Unseen(f"it refers to more than {MOST_VALUES:,} values")
        self._open[key] = len(self._open)
        try:
            made = make()
        finally:
            del self._open[key]
        self._known[key] = value, made
        return made

    def _all(self, values: Iterable[Any]) -> Iterator[bytes]:
        return map(self.of, values)

    def _mapping(self, tag: str, values: Mapping[Any, Any]) -> bytes:
        pairs = sorted(hashed("pair", self.of(key), self.of(value)) for key, value in values.items())
        return hashed(tag, *pairs)

    def _made(self, value: Any) -> bytes:
        for kinds, make in _MAKERS:
            if isinstance(value, kinds):
                return make(self, value)
        return self._compiled(value) or self._object(value)

    def _compiled(self, value: Any) -> bytes | None:
        """The digest of a function that Numba compiles; None for anything else, and for functions of a library."""
        if library_name(value) is not None:
            return None
        of = getattr(value, "_dispatcher", value)  # under numba.vectorize, or under numba.njit itself
        if hasattr(of, "py_func") and hasattr(of, "targetoptions"):
            return hashed(type(value).__name__, self.of(of.py_func), self.of(dict(of.targetoptions)))
        if "_defn" in getattr(value, "__dict__", ()):
            return hashed("intrinsic", self.of(value._defn))
        return None

    def _sequence(self, value: Any) -> bytes:
        if type(value) not in (tuple, list):
            return self._object(value)
        return hashed(type(value).__name__, *self._all(value))

    def _set(self, value: Any) -> bytes:
        if type(value) not in (set, frozenset):
            return self._object(value)
        return hashed("set", *sorted(self._all(value)))

    def _dict(self, value: Any) -> bytes:
        return self._mapping("dict", value) if type(value) in (dict, types.MappingProxyType) else self._object(value)

    def _array(self, value: np.ndarray) -> bytes:
        if value.dtype.hasobject:
            return hashed("objects", str(value.dtype).encode(), self.of(value.shape), self.of(value.tolist()))
        plain = np.ascontiguousarray(value).reshape(-1)
        content = hashlib.blake2b(plain.view(np.uint8).data if plain.size else b"", digest_size=16).digest()
        kind = library_name(type(value)) or type(value).__name__
        extra = self._mapping("extra", vars(value)) if hasattr(value, "__dict__") else b""
        return hashed(
            "array", kind.encode(), str(value.dtype.descr).encode(), repr(value.shape).encode(), content, extra
        )

    def _code(self, code: types.CodeType) -> bytes:
        numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
        handlers = getattr(code, "co_exceptiontable", b"")
        return hashed("code", code.co_code, handlers, repr((numbers, names)).encode(), *self._all(code.co_consts))

    def _function(self, function: types.FunctionType) -> bytes:
        if (name := library_name(function)) is not None:
            return hashed("library", name.encode())
        parts = [self.of(function.__code__), self.of(function.__defaults__), self.of(function.__kwdefaults__)]
        parts += [self._cell(cell) for cell in function.__closure__ or ()]
        parts.append(self._mapping("attributes", vars(function)))
        if not is_library_file(function.__code__.co_filename):
            self._visit(function)
            parts.append(self._globals(function))
        return hashed("function", *parts)

    def _cell(self, cell: types.CellType) -> bytes:
        try:
            content = cell.cell_contents
        except ValueError:
            return hashed("empty cell")
        return hashed("cell", self.of(content))

    def _globals(self, function: types.FunctionType) -> bytes:
        """What a function, and functions within it, use of the globals and of the modules that they import."""
        there, used, attributes, imports = function.__globals__, set[str](), set[str](), set[str]()
        for code in codes_in(function.__code__):
            attributes |= {*code.co_names, *(text for text in code.co_consts if isinstance(text, str))}
            for step in dis.get_instructions(code):
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                    used.add(step.argval)
                elif step.opname == "IMPORT_NAME":
                    imports.add(step.argval)
        parts = []
        for name in sorted(used - {"__name__", "__file__", "__doc__", "__spec__", "__package__", "__loader__"}):
            if name in there:
                parts += [encoded(name), self._used(there[name], attributes)]
            elif name in ("eval", "exec", "globals", "__import__"):
                raise Unseen(f"{function.__qualname__} calls {name}, so what it uses cannot be seen")
        for name in sorted(imports):
            parts += [encoded(name), self._imported(name, there, attributes)]
        return hashed("globals", *parts)

    def _imported(self, name: str, there: Mapping[str, Any], attributes: set[str]) -> bytes:
        top, neighbour = name.partition(".")[0], there.get(IMPORT, lambda name: None)
        try:
            if (found := neighbour(name)) is None:
                spec = sys.modules[top].__spec__ if top in sys.modules else find_spec(top)
                if spec is not None and is_library_file(spec.origin or "<frozen>"):
                    return hashed("library", encoded(name))
                found = import_module(name)
        except Exception as error:
            raise Unseen(f"it imports {name}, which fails: {type(error).__name__}: {error}") from None
        return self._used(found, attributes)

    def _used(self, value: Any, attributes: set[str]) -> bytes:
        """A global. Of a user's module, only the attributes count whose names are used."""
        if not isinstance(value, types.ModuleType) or is_library(value):
            return self.of(value)
        names = sorted(name for name in attributes if name in vars(value) and not name.startswith("__"))

        def make() -> bytes:
            content = (part for name in names for part in (encoded(name), self._used(vars(value)[name], attributes)))
            return hashed("module", *content)

        return self._once((id(value), *names), value, make)

    def _module(self, module: types.ModuleType) -> bytes:
        if is_library(module):
            return hashed("library", encoded(module.__name__))
        return self._used(module, set(vars(module)))

    def _class(self, kind: type) -> bytes:
        if (name := library_name(kind)) is not None:
            return hashed("library", name.encode())
        if not is_own_class(kind):
            return hashed("library", encoded(f"{kind.__module__}:{kind.__qualname__}"))
        self._visit(kind)
        is_data, members = "__dataclass_params__" in vars(kind), {}
        for name, value in vars(kind).items():
            if name in _OF_ANY_CLASS or (issubclass(kind, enum.Enum) and type(value) is not types.FunctionType):
                continue
            if is_data and isinstance(value, types.FunctionType) and value.__code__.co_filename == "<string>":
                continue  # made by the decorator, from the fields
            if not isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):  # of slots
                members[name] = value
        if issubclass(kind, enum.Enum):
            members |= {name: one._value_ for name, one in kind.__members__.items()}
        parts = [encoded(kind.__name__), *self._all(kind.__bases__), self._mapping("members", members)]
        if is_own_class(type(kind)):
            parts.append(self.of(type(kind)))
        if is_data:
            parts.append(hashed("data", repr(vars(kind)["__dataclass_params__"]).encode()))
            for field in vars(kind)["__dataclass_fields__"].values():
                parts += [encoded(field.name), self.of(field.default), self.of(field.default_factory)]
                parts.append(repr((field.init, field.compare, field.kw_only)).encode())
        return hashed("class", *parts)

    def _enum(self, value: enum.Enum) -> bytes:
        return hashed("enum", self.of(type(value)), encoded(value.name), self.of(value._value_))

    def _partial(self, value: functools.partial[Any]) -> bytes:
        return hashed("partial", *self._all((type(value), value.func, value.args, value.keywords, vars(value))))

    def _method(self, value: Any) -> bytes:
        return hashed("method", self.of(value.__func__), self.of(value.__self__))

    def _wrapper(self, value: Any) -> bytes:
        return hashed(type(value).__name__, self.of(value.__func__))

    def _property(self, value: property) -> bytes:
        return hashed("property", *self._all((value.fget, value.fset, value.fdel)))

    def _descriptor(self, value: Any) -> bytes:
        return hashed("descriptor", self.of(value.__objclass__), encoded(value.__name__))

    def _built_in(self, value: types.BuiltinFunctionType) -> bytes:
        if (name := library_name(value)) is not None:
            return hashed("library", name.encode())
        if value.__self__ is None or isinstance(value.__self__, types.ModuleType):
            raise Unseen(f"{value.__qualname__} is a C function")
        return hashed("method", encoded(value.__name__), self.of(value.__self__))

    def _object(self, value: Any) -> bytes:
        """An object: its class, and its state."""
        kind = type(value)
        if (name := library_name(value)) is not None:
            return hashed("library", name.encode())
        if isinstance(value, Type):  # Numba numbers them in the order in which a process makes them
            return hashed("type", self.of(kind), self.of(value.key))
        if callable(identity := getattr(kind, "_identity_", None)):
            return hashed("identity", self.of(identity(value)))
        if isinstance(value, np.ufunc):
            if getattr(np, (name := str(value.__name__)), None) is value:
                return hashed("ufunc", name.encode())
            raise Unseen(f"{value} is a C function")
        plain = all(one is object or is_own_class(one) for one in kind.__mro__)
        if plain:
            names = [name for one in kind.__mro__ for name in slots_of(one) if hasattr(value, name)]
            slots = {name: getattr(value, name) for name in names}
            return hashed(
                "object", self.of(kind), self._mapping("state", {**getattr(value, "__dict__", {}), **slots})
            )
        try:
            reduced = value.__reduce_ex__(2)
        except Exception:
            raise Unseen(
                f"an object of {kind.__module__}.{kind.__qualname__} has state that cannot be seen"
            ) from None
        if isinstance(reduced, str):
            return hashed("named", self.of(kind), encoded(reduced))
        made, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        content = (made, arguments, state, items and list(items), pairs and dict(pairs))
        return hashed("object", self.of(kind), *self._all(content))


_MAKERS: tuple[tuple[Any, Callable[[_Walk, Any], bytes]], ...] = (
    (np.ndarray, _Walk._array),
    ((tuple, list), _Walk._sequence),
    ((set, frozenset), _Walk._set),
    ((dict, types.MappingProxyType), _Walk._dict),
    (types.FunctionType, _Walk._function),
    (types.CodeType, _Walk._code),
    (type, _Walk._class),
    (enum.Enum, _Walk._enum),
    (functools.partial, _Walk._partial),
    (types.MethodType, _Walk._method),
    (types.BuiltinFunctionType, _Walk._built_in),
    (types.ModuleType, _Walk._module),
    (_WRAPPERS, _Walk._wrapper),
    (property, _Walk._property),
    (_DESCRIPTORS, _Walk._descriptor),
    (functools._lru_cache_wrapper, lambda walk, value: hashed("cached", walk.of(value.__wrapped__))),
    (functools.cached_property, lambda walk, value: hashed("cached", walk.of(value.func))),
)
