"""The Tab key in bash, zsh and fish, and `python -m asapnb`."""

import shutil
import sys

import pytest
from asapnb.cli import main
from click.testing import CliRunner
from processes import command, python

import asapnb as ab


def cli(**environment):
    return CliRunner().invoke(main, [], env=environment, prog_name="asapnb")


def completed(line, shell="bash"):
    words = line.split(" ")
    given = {"COMP_WORDS": line, "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1)}
    done = cli(_ASAPNB_COMPLETE=f"{shell}_complete", **given)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    return lines[1::3] if shell == "zsh" else [line.replace("\t", ",").split(",")[1] for line in lines if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("asapnb tr", {"train"}),
        ("asapnb re", {"replay", "resume", "report"}),
        ("asapnb nothing", set()),
        ("asapnb nothing more --of", set()),
        ("asapnb train --mom", {"--momentum", "--momentum-kind"}),
        ("asapnb train --no-such-flag", set()),
        ("asapnb train --scheme lea", {"leashed"}),
        ("asapnb train --rule ta", {"tail"}),
        ("asapnb train --momentum-kind sh", {"shared"}),
        ("asapnb train --problem len", {"lenet"}),
        ("asapnb train -o /nowhere/run.h5 --data mn", {"mnist"}),
        ("asapnb rules sh", {"show"}),
        ("asapnb rules show ta", {"tail"}),
        ("asapnb schemes show lea", {"leashed"}),
        ("asapnb train --set mom", {"momentum=", "momentum_kind="}),
        ("asapnb simulate --timing logn", {"lognormal"}),
        ("asapnb simulate --set timing=logn", {"timing=lognormal"}),
        ("asapnb train --rule ./my", {"./my"}),
        ("asapnb compare --where rule=tai", {"rule=tail"}),
        ("asapnb report --baseline kin", {"kind="}),
        ("asapnb compare --by batch", {"batch_size"}),
        ("asapnb plot --kind surv", {"survival"}),
        ("asapnb plot --rule tai", {"tail"}),
        ("asapnb data get mn", {"mnist"}),
        ("asapnb train --schedule warm", {"warmup"}),
        ("asapnb train --prior geom", {"geometric"}),
        ("asapnb train --start my", {"my"}),
        ("asapnb export --by batch", {"batch_size"}),
        ("asapnb replay --rule tai", {"tail"}),
    ],
)
def test_tab_completes_what_there_is(line, found, shell):
    assert set(completed(line, shell)) == found


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["compare", "--where", "rule", "=", "tai"], ["tail"]),
        (["train", "--set", "seed", "=", "3", "--momentum-kind", "="], ["per_worker", "shared", "ordered"]),
    ],
)
def test_the_script_for_bash_completes_words_as_bash_splits_them(words, found, tmp_path):
    """`key=value` is three words there."""
    program = tmp_path / "asapnb"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -m asapnb\n")
    program.chmod(0o755)
    script = cli(_ASAPNB_COMPLETE="bash_source").output
    line = f"COMP_WORDS=({' '.join(['asapnb', *words])}); COMP_CWORD={len(words)}"
    asked = f"{script}\n{line}; _asapnb_completion {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = command("bash", "--norc", "-c", asked, check=False)
    assert (done.stdout.split(), done.stderr) == (found, "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"_ASAPNB_COMPLETE": "bash_complete", "COMP_WORDS": "asapnb", "COMP_CWORD": "x"}, "COMP_CWORD is 'x': must"),
        (
            {"_ASAPNB_COMPLETE": "zsh_complete", "COMP_WORDS": "asapnb", "COMP_CWORD": "-1"},
            "COMP_CWORD is '-1': must",
        ),
        ({"_ASAPNB_COMPLETE": "zsh_complete", "COMP_WORDS": "asapnb", "COMP_CWORD": ""}, "COMP_CWORD is '': must"),
        (
            {"_ASAPNB_COMPLETE": "fish_complete", "COMP_WORDS": "asapnb", "COMP_CWORD": "  "},
            "COMP_CWORD is '  ': must",
        ),
        ({"_ASAPNB_COMPLETE": "bash_complete", "COMP_WORDS": "asapnb"}, "COMP_CWORD is missing"),
        ({"_ASAPNB_COMPLETE": "bash_complete"}, "COMP_WORDS is missing"),
        ({"_ASAPNB_COMPLETE": "tcsh_source"}, "_ASAPNB_COMPLETE is 'tcsh_source': must be one of bash_source"),
        ({"_ASAPNB_COMPLETE": "bash_other"}, "_ASAPNB_COMPLETE is 'bash_other': must be one of bash_source"),
        ({"_ASAPNB_COMPLETE": "1"}, "_ASAPNB_COMPLETE is '1': must be one of bash_source"),
    ],
)
def test_what_no_shell_asks_is_refused_in_a_line(given, said):
    done = cli(**given)
    assert done.exit_code == 2
    assert done.output.startswith(f"Error: {said}")
    assert done.output.count("\n") == 1


def test_python_m_asapnb_is_the_command_line(tmp_path):
    shown = python("-m", "asapnb", "--help").stdout
    assert shown.startswith("Usage: asapnb [OPTIONS] COMMAND")
    out = tmp_path / "run.h5"
    python(
        "-m", "asapnb", "simulate", "--problem", "quadratic([1, 2])", "-m", 2, "--updates", 5, "--quiet", "-o", out
    )
    assert ab.load_run(out).attributes["command"].startswith("asapnb simulate --problem")
