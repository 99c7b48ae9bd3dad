"""A compile cache that is damaged, full, away, or another user's: kernels are compiled, with one warning in all."""

import hashlib
import os
import pickle
import resource
import shutil
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from numba.core.cpu import CPUContext
from processes import LIMIT, started

from asapnb import compile_cache, compiled

MODULE = """
from asapnb.compiled import kernel

@kernel()
def doubled(x):
    return x + x

@kernel()
def squared(x):
    return x * x
"""


class Kernels:
    """Two kernels in a module and a cache of their own; each `use` is like that of another process."""

    def __init__(self, folder, monkeypatch):
        self.file, self.cache, self.monkeypatch = folder / "tiny.py", folder / "cache" / "cpu", monkeypatch
        self.file.write_text(MODULE)
        monkeypatch.setattr(compiled, "CACHE", self.cache)

    def use(self):
        """How many signatures came from the cache, and what was warned of."""
        self.monkeypatch.setattr(compile_cache, "_warned", False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = ModuleType("tiny")
            self.monkeypatch.setitem(sys.modules, "tiny", made)
            exec(compile(MODULE, self.file, "exec"), made.__dict__)
            both = made.doubled, made.squared
            assert [kernel(x) for kernel in both for x in (3, 1.5)] == [6, 3.0, 9, 2.25]
        hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in both)
        return hits, [str(warning.message) for warning in caught]

    def stored(self):
        return sorted(self.cache.glob("*/*.nbc"))


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    made = Kernels(tmp_path, monkeypatch)
    assert made.use() == (0, [])
    assert made.use() == (4, [])
    return made


def cut(file):
    os.truncate(file, file.stat().st_size // 2)


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    file.write_bytes(content)


def replace_by(make):
    def replace(file):
        file.unlink()
        make(file)

    return replace


def folder_with_a_file(file):
    file.mkdir()
    (file / "inside").touch()


DAMAGES = {
    "empty": lambda file: os.truncate(file, 0),
    "one byte": lambda file: os.truncate(file, 1),
    "cut": cut,
    "a bit flipped": flip,
    "random": lambda file: file.write_bytes(b"\x80\x05random"),
    "no pickle, checksum right": lambda file: file.write_bytes(hashlib.sha256(b"\x80\x05x").digest() + b"\x80\x05x"),
    "a folder": replace_by(Path.mkdir),
    "a folder with a file": replace_by(folder_with_a_file),
    "a link to itself": replace_by(lambda file: file.symlink_to(file.name)),
    "a pipe": replace_by(os.mkfifo),
    "a device": replace_by(lambda file: file.symlink_to("/dev/zero")),
    "writable by all": lambda file: file.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_compiled_again_and_replaced_with_one_warning(damage, kernels):
    for file in kernels.stored():
        damage(file)
    hits, said = kernels.use()
    assert hits == 0
    assert len(said) == 1
    assert "is damaged, so it is compiled and written again" in said[0]
    assert "\n" not in said[0]
    assert kernels.use() == (4, [])


def test_numba_loads_all_that_it_can_compile_only_if_machine_code_calls_what_is_not_known(kernels, monkeypatch):
    loaded = []
    monkeypatch.setattr(CPUContext, "refresh", lambda context: loaded.append(context))
    assert kernels.use() == (4, [])
    assert not loaded
    monkeypatch.setattr(compile_cache.llvm, "address_of_symbol", lambda name: None)
    assert kernels.use() == (4, [])
    assert len(loaded) == 4


def test_one_damaged_file_costs_one_compilation(kernels):
    cut(kernels.stored()[2])
    assert kernels.use()[0] == 3
    assert kernels.use() == (4, [])


def test_code_of_one_signature_is_never_run_for_another(kernels):
    files = kernels.stored()
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(content)
    assert kernels.use() == (0, [])
    assert [file.read_bytes()[:200] for file in kernels.stored()] != [content[:200] for content in contents]


class Harmful:
    def __reduce__(self):
        return pytest.fail, ("what another user may have written was run",)


@pytest.mark.parametrize("foreign", [lambda file: file.chmod(0o620), lambda file: os.chown(file, 12345, 12345)])
def test_what_another_user_may_have_written_is_not_even_unpickled(foreign, kernels):
    content = pickle.dumps(Harmful())
    for file in kernels.stored():
        file.write_bytes(hashlib.sha256(content).digest() + content)
        try:
            foreign(file)
        except PermissionError:
            pytest.skip("only root can give a file away")
    hits, said = kernels.use()
    assert (hits, len(said)) == (0, 1)
    assert "another user owns it or may write it" in said[0]


def test_a_file_in_the_place_of_a_folder_is_replaced(kernels):
    (folder,) = kernels.cache.iterdir()
    shutil.rmtree(folder)
    folder.touch()
    assert kernels.use()[0] == 0
    assert kernels.use() == (4, [])


def test_a_cache_that_vanishes_is_made_anew(kernels):
    shutil.rmtree(kernels.cache.parent)
    assert kernels.use() == (0, [])
    assert kernels.use() == (4, [])


def unwritable(kernels, stack):
    shutil.rmtree(kernels.cache.parent)
    kernels.cache.parent.write_text("a file")


def full(kernels, stack):
    for file in kernels.stored():
        file.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # a write fails after 100 bytes, as on a full disk
    stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("how", [unwritable, full])
def test_what_cannot_be_stored_is_compiled_in_memory_with_one_warning(how, kernels):
    with ExitStack() as stack:
        how(kernels, stack)
        hits, said = kernels.use()
    assert hits == 0
    assert len(said) == 1
    assert "set ASAPNB_CACHE to a folder that can be written" in said[0]
    assert not list(kernels.file.parent.rglob("*.part"))


def test_others_may_read_the_cache_but_not_write_it(tmp_path, monkeypatch):
    before = os.umask(0)
    try:
        made = Kernels(tmp_path, monkeypatch)
        made.use()
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in made.stored()} == {0o644}
    assert made.use() == (4, [])


def test_a_cache_that_can_only_be_read_serves(kernels, monkeypatch):
    def refuse(file, content):
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(compile_cache, "_put", refuse)
    assert kernels.use() == (4, [])


AT_ONCE = """
import sys
sys.path.insert(0, sys.argv[1])
import tiny
print("ready", flush=True)
sys.stdin.readline()
values = [3, 1.5, True, 2j]
for i in range(4):
    x = values[(i + int(sys.argv[2])) % 4]
    assert tiny.doubled(x) == x + x and tiny.squared(x) == x * x
"""


def test_four_processes_compile_at_once_from_cold(tmp_path):
    (tmp_path / "tiny.py").write_text(MODULE)
    environment = {"ASAPNB_CACHE": str(tmp_path / "cache")}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(started("-c", AT_ONCE, tmp_path, i, environment=environment)) for i in range(4)
        ]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        said = [process.communicate("go\n", timeout=LIMIT)[1] for process in processes]
    assert said == [""] * 4
    assert len(list(tmp_path.rglob("*.nbc"))) == 8
    assert not list(tmp_path.rglob("*.part"))


def test_a_user_without_a_home_has_no_cache_and_hears_why(monkeypatch):
    monkeypatch.delenv("ASAPNB_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.warns(RuntimeWarning, match="no home folder .* set ASAPNB_CACHE"):
        assert compiled._choose_cache() is None


def test_what_has_not_been_used_for_long_is_removed(kernels):
    old = kernels.cache.parent / "older"
    old.mkdir()
    os.utime(old, (0, 0))
    kernels.stored()[0].unlink()
    compile_cache._forget_old.cache_clear()
    kernels.use()
    assert not old.exists()
    assert len(kernels.stored()) == 4
