"""Help, wrong options and the Tab key from the outlines of commands: the same texts, and nothing is imported."""

import click
import pytest
from asapnb.cli import COMMANDS, main, outlines
from click.testing import CliRunner
from processes import python

HEAVY = ("numpy", "numba", "llvmlite", "h5py", "scipy", "rich", "pooch")
ANSWERED = ("--help", "--version", "train --help", "train --mom 1", "compare --by", "rules show -h", "data get --no")
CODE = f"""
import os, sys
from contextlib import suppress
from asapnb.cli import main
for line in {ANSWERED}:
    with suppress(SystemExit):
        main(line.split(), prog_name="asapnb")
os.environ |= {{"_ASAPNB_COMPLETE": "zsh_complete", "COMP_WORDS": "asapnb train --mom", "COMP_CWORD": "2"}}
with suppress(SystemExit):
    main([], prog_name="asapnb")
print([name for name in {HEAVY} if name in sys.modules])
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder of outlines, empty at first."""
    monkeypatch.setenv("ASAPNB_CACHE", str(tmp_path))
    return tmp_path / "commands"


def said(line):
    done = CliRunner().invoke(main, line.split(), prog_name="asapnb")
    return done.exit_code, done.output


def every(command, *names):
    yield names
    if isinstance(command, click.Group):
        for inside in command.commands.values():
            yield from every(inside, *names, inside.name)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_outline_says_what_its_command_says(name, cache, monkeypatch):
    real = main.get_command(None, name)
    lines = [" ".join(names) + end for names in every(real, name) for end in (" --help", " --no-such-option", " -o")]
    with monkeypatch.context() as patched:
        patched.setattr(outlines, "kept", lambda name, imported: None)
        wanted = {line: said(line) for line in lines}
    assert [file.stem for file in cache.iterdir()] == [name]
    monkeypatch.setattr(outlines, "keep", None)  # nothing is imported again
    assert {line: said(line) for line in lines} == wanted


def test_what_is_kept_answers_without_importing_anything(cache):
    for line in ANSWERED:
        said(line)
    done = python("-c", CODE)
    assert done.stdout.endswith("\n[]\n"), done.stdout
    assert "Did you mean" in done.stderr
    assert "--momentum-kind" in done.stdout.rpartition("plain")[0]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"modules": 1}', "null"])
def test_a_damaged_outline_is_made_again(content, cache):
    wanted = said("info --help")
    (cache / "info.json").write_text(content)
    assert said("info --help") == wanted
    assert outlines.kept("info", lambda: None) is not None


def test_an_outline_of_other_modules_does_not_count(cache, monkeypatch):
    said("info --help")
    assert outlines.kept("info", lambda: None) is not None
    monkeypatch.setattr(outlines, "modules", lambda: "others")
    assert outlines.kept("info", lambda: None) is None


def test_an_edit_changes_the_digest_of_the_modules(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    file = tmp_path / "inner" / "module.py"
    file.write_text("1")
    monkeypatch.setattr(outlines, "FOLDERS", [str(tmp_path)])
    before = outlines.modules.__wrapped__()
    assert outlines.modules.__wrapped__() == before
    file.write_text("12")
    assert outlines.modules.__wrapped__() != before


def test_without_a_place_for_it_help_is_made_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASAPNB_CACHE", str(tmp_path / "file" / "below"))
    assert said("info --help")[0] == 0
    monkeypatch.setattr("asapnb.cli.outlines.cache_folder", lambda: None)
    assert said("info --help")[0] == 0
