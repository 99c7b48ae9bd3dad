"""What a file holds is shown as it is: it neither works the terminal nor becomes markup."""

import h5py
import pytest
from commands import call, printed
from problems import quadratic

import asapnb as ab
from asapnb.formatting import visible

EVIL = "\x1b]0;title\x07\x1b[2J\u202e<b>bold</b><a href='x'>y</a>\r"


@pytest.fixture
def folder(tmp_path):
    """Two runs, of which one has such texts wherever a file can have any."""
    for name in ("a", "b"):
        ab.simulate(quadratic(), workers=2, updates=30, eval_every=10, out=tmp_path / f"{name}.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        for name in ("command", "clock", "host", "created_utc"):
            file.attrs[name] = EVIL
        written = EVIL.encode("unicode_escape").decode().replace("\\x", "\\u00")
        config = file.attrs["config"].replace('rule = "', f'rule = "{written}')
        file.attrs["config"] = config.replace('problem = "', f'problem = "{written}')
    return tmp_path


@pytest.mark.parametrize("command", [["show"], ["compare"], ["replay"], ["resume"], ["show", "--json"]])
def test_no_command_prints_control_characters(folder, command):
    shown = call(*command, folder / "a.h5")
    assert not {"\x1b", "\x07", "\u202e", "\r"} & {*shown.output}
    assert "x1b" in shown.output or "u001b" in shown.output


def test_a_report_shows_markup_as_text(folder):
    page = folder / "page.html"
    printed("report", folder, "-o", page)
    text = page.read_text(encoding="utf-8")
    assert "bold" in text
    assert not any(evil in text for evil in ("<b>bold", "<a href='x'", "\x1b", "\u202e"))


def test_what_is_made_visible():
    assert visible("plain, αβ, 日本, two\nlines\tand 😀") == "plain, αβ, 日本, two\nlines\tand 😀"
    assert visible("\x1b[0m\r\x9b\u2066\ud800\x00") == r"\x1b[0m\r\x9b\u2066\ud800\x00"
