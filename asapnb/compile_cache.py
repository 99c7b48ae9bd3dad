"""Where compiled kernels are kept: a file for each function and signature, with a checksum.

Numba's own cache has an index for each function, and a number for each signature in it: two processes that compile at
once can give two signatures the same number, and then one's machine code is run for the other's. It also loads what
was damaged, and stops the program on what it cannot read or write. Here a file has the name of all that it depends
on. What is missing or damaged is compiled and stored again, and what cannot be stored is compiled in memory.
"""

import glob
import hashlib
import os
import pickle
import shutil
import stat
import sys
import time
import uuid
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime import _nrt_python
from numba.core.serialize import dumps

from .errors import why

_FORMAT = 3  # of the files
_DIGEST = hashlib.sha256().digest_size
_DAYS_KEPT = 30  # a folder that no process has used for so long belongs to an older version
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class KernelCache(NullCache):
    """The compiled signatures of one function, in a folder for its module, below one for this CPU."""

    def __init__(self, function: Any, folder: Path) -> None:
        self._folder, code = folder, function.__code__
        cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
        self._name = f"{function.__qualname__}-{code.co_firstlineno}".replace("<locals>", "locals")[-100:]
        digests = tuple(hashlib.sha256(part).hexdigest() for part in (code.co_code, dumps(cells) if cells else b""))
        self._code = (_FORMAT, numba.__version__, sys.implementation.cache_tag, *digests)

    @property
    def cache_path(self) -> str:
        """The folder, as Numba asks for it."""
        return str(self._folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled signature; None where it has to be compiled."""
        _name_runtime()
        key = self._key(sig, target_context.codegen())
        file = self._file(key)
        try:
            stored, called, payload = pickle.loads(_content(file))
            if stored != key:
                return None
            if not all(map(llvm.address_of_symbol, called)):
                target_context.refresh()  # loads all that Numba can compile, and SciPy: a third of a start
            return CompileResult._rebuild(target_context, *payload)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # of pickle, of what it calls, or of Numba: nothing is worth more than a warning
            _warn_once(f"{file} is damaged, so it is compiled and written again: {why(error)}")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a compiled signature, if that is possible."""
        if data.library.has_dynamic_globals or any(not one.can_cache for one in data.lifted):
            return  # it holds addresses of this process
        if data.fndesc.modname not in sys.modules:  # no other process could import its globals
            return
        key = self._key(sig, data.codegen)
        content = dumps((key, _called(data.library), data._reduce()))
        try:
            _put(self._file(key), content)
        except OSError as error:
            _warn_once(
                f"asapnb cannot write its cache of compiled kernels to {self._folder.parent} ({why(error)}), so it "
                "compiles at every start; set ASAPNB_CACHE to a folder that can be written"
            )

    def flush(self) -> None:
        """Forget all signatures of the function."""
        for file in self._folder.glob(f"{glob.escape(self._name)}-*.nbc"):
            with suppress(OSError):
                file.unlink()

    def _key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
        return signature, codegen.magic_tuple(), self._code

    def _file(self, key: tuple[Any, ...]) -> Path:
        return self._folder / f"{self._name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"


@cache
def _name_runtime() -> None:
    """Tell LLVM where the functions of Numba's runtime are, as Numba does before it compiles anything."""
    for name, address in _nrt_python.c_helpers.items():
        llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


def _called(library: Any) -> list[str]:
    """The names that machine code has from elsewhere: functions of C, of Python, of Numba's runtime."""
    module = library._final_module
    declared = [one.name for one in (*module.functions, *module.global_variables) if one.is_declaration]
    return [name for name in declared if not name.startswith("llvm.")]  # instructions


def _content(file: Path) -> memoryview:
    """The content that `_put` wrote; OSError for any other file, ValueError for a damaged one.

    A file that other users could have written is never unpickled, because that would run their code.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # so that a pipe is not waited for
    with open(descriptor, "rb") as opened:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no file")
        if about.st_uid not in (os.geteuid(), 0) or about.st_mode & _OTHERS_WRITE:
            raise ValueError("another user owns it or may write it")
        whole = memoryview(opened.read())
    if hashlib.sha256(whole[_DIGEST:]).digest() != whole[:_DIGEST]:
        raise ValueError("its checksum is wrong")
    return whole[_DIGEST:]


def _put(file: Path, content: bytes) -> None:
    """Write a file in one step, in the place of whatever is there."""
    root = file.parent.parent
    part = file.with_name(f".{uuid.uuid4().hex}.part")
    if not file.parent.is_dir():
        if os.path.lexists(file.parent):  # no folder: it was damaged
            file.parent.unlink()
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "wb") as opened:
            opened.write(hashlib.sha256(content).digest())
            opened.write(content)
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        os.replace(part, file)
    finally:
        with suppress(OSError):
            part.unlink()
    _forget_old(root)


@cache
def _forget_old(root: Path) -> None:
    """Remove the folders of other CPUs and versions, and of modules, that have not been used for long; once."""
    limit = time.time() - _DAYS_KEPT * 86400
    for parent in (root.parent, root):
        with suppress(OSError):
            for folder in parent.iterdir():
                with suppress(OSError):
                    if folder.is_dir() and folder.stat().st_mtime < limit:
                        shutil.rmtree(folder, ignore_errors=True)


@cache
def in_use(folder: Path) -> None:
    """Note, where that is possible, that a folder is in use; once."""
    with suppress(OSError):
        os.utime(folder)


_warned = False


def _warn_once(text: str) -> None:
    """Warn once, however many files are affected."""
    global _warned
    if not _warned:
        _warned = True
        say(text)


def say(text: str) -> None:
    """Warn without quoting a line of asapnb, which would tell the user nothing."""
    warnings.warn_explicit(text, RuntimeWarning, "asapnb", 0, module="asapnb")
