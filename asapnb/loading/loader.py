"""Runs a user's file as `python file.py` does, with the files beside it. It leaves no trace in this process."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import decode_source, module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ..errors import AsapnbError, UsageError
from ..identity import check_file
from ..identity.digest import IMPORT
from ..identity.library import is_library

_LOCK = threading.RLock()
_LOADING: list[str] = []


class _Loader(SourceFileLoader):
    """Runs a file from its source, never from a compiled copy, which may be out of date."""

    def __init__(self, home: Home, name: str, path: str) -> None:
        super().__init__(name, path)
        self._home = home

    def get_code(self, fullname: str) -> CodeType:
        return self._home.compiled(self.path)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)[IMPORT] = self._home.neighbour
        super().exec_module(module)


class Home:
    """A user's file, with the files beside it that it imports.

    The modules are kept here. They are in `sys.modules` only while the file, or a function of it, runs. So files of
    the same name in several folders do not get mixed up.

    Attributes:
        path: the path of the file, as it was given.
        module: the module, once the file has been run.
        files: the SHA-256 of each file that was run, by path; paths are relative to the same folder as `path`.
        sources: the text of each of these files.
        late: whether a function of a file imports something when it is called.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.files: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.late = False
        self._folder = os.path.dirname(os.path.abspath(path))
        self._modules: dict[str, ModuleType] = {}
        self._names: set[str] = set()
        self.module = self._run()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """Find a module beside the file. This makes the object a finder for `sys.meta_path`."""
        for entry in [self._folder] if path is None else path:
            if entry == self._folder or entry.startswith(self._folder + os.sep):
                made: Any = partial(_Loader, self)
                finder = FileFinder(entry, (made, SOURCE_SUFFIXES))
                if (spec := finder.find_spec(name)) is not None:
                    self._names.add(name)
                    return spec
        return None

    def compiled(self, path: str) -> CodeType:
        """The code of a file. RecordError if the text is from a run file, and the run had another file."""
        content = Path(path).read_bytes()
        name = os.path.normpath(os.path.join(os.path.dirname(self.path), os.path.relpath(path, self._folder)))
        check_file(name, content)
        code = compile(content, path, "exec", dont_inherit=True)
        self.files[name], self.sources[name] = hashlib.sha256(content).hexdigest(), decode_source(content)
        self.late = self.late or any(_imports(inner) for inner in code.co_consts if isinstance(inner, CodeType))
        return code

    def neighbour(self, name: str) -> ModuleType | None:
        """The module of this name beside the file; None if there is none."""
        with self.in_place():
            return importlib.import_module(name) if self.find_spec(name.partition(".")[0]) else None

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """While this lasts, imports find the files beside this one first, except for modules of a library."""
        with _LOCK:
            tops = {entry.name.partition(".")[0] for entry in os.scandir(self._folder)} | {*self._modules}
            own = {name for name in tops & sys.modules.keys() - {"__main__"} if not _is_library(name)}
            displaced = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] in own}
            sys.modules.update(self._modules)
            sys.meta_path.insert(sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0, self)
            try:
                yield
            finally:
                sys.meta_path.remove(self)
                found = {name: sys.modules.pop(name) for name in self._names if name in sys.modules}
                self._modules.update(found)
                sys.modules.update(displaced)

    def _run(self) -> ModuleType:
        path = os.path.abspath(self.path)
        with _LOCK:
            if path in _LOADING:
                raise UsageError(f"{self.path} loads itself while it is run: take that out of the file")
            _LOADING.append(path)
            try:
                return self._executed(path)
            except AsapnbError:
                raise
            except (Exception, SystemExit) as error:
                raise UsageError(f"{self.path} cannot be run: {_said(error, self._folder)}") from error
            finally:
                _LOADING.pop()

    def _executed(self, path: str) -> ModuleType:
        name = Path(path).stem
        if name in sys.modules and _is_library(name):
            name = f"{name}_file"  # the library stays what it is
        spec = spec_from_file_location(name, path, loader=_Loader(self, name, path))
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        self._names.add(name)
        with self.in_place():
            sys.modules[name] = module  # where a dataclass looks for the meaning of its annotations
            spec.loader.exec_module(module)
        return module


def _is_library(name: str) -> bool:
    module = sys.modules[name]
    return not isinstance(module, ModuleType) or is_library(module)


def _imports(code: CodeType) -> bool:
    """Whether a function, or one within it, may import something when it is called."""
    import dis

    if any(step.opname == "IMPORT_NAME" for step in dis.get_instructions(code)):
        return True
    if {"import_module", "__import__"} & {*code.co_names}:
        return True
    return any(_imports(inner) for inner in code.co_consts if isinstance(inner, CodeType))


def _said(error: BaseException, folder: str) -> str:
    """What went wrong in a file, and in which line."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    steps = traceback.extract_tb(error.__traceback__)
    own = [step for step in steps if step.filename.startswith(folder + os.sep)]
    place = f"{own[-1].filename}, line {own[-1].lineno}: " if own else ""
    what = (
        f"it calls sys.exit({error.code!r})" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    )
    return place + what
