"""What the system, the shell and the container set: quotas, streams, widths, encodings, folders that are gone."""

import os
import re
import shlex
import sys
import threading

import numba
import pytest
from asapnb.cli import main
from asapnb.cli.text import console
from click.testing import CliRunner
from processes import SHELL, python

import asapnb as ab
from asapnb import compiled
from asapnb.analysis.tables import Table
from asapnb.config import load_config
from asapnb.quota import cpu_quota
from asapnb.record import checked_target, machine
from asapnb.training import cores, options

TRAIN = shlex.split("train --problem 'quadratic(eigenvalues=[1, 2])' -m 2 --updates 40 --batch 1")


def cli(*arguments, **environment):
    return CliRunner().invoke(main, list(map(str, arguments)), env=environment, prog_name="asapnb")


def tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


V1 = "3:cpuset:/\n2:cpu,cpuacct:/pod/box\n1:memory:/\n0::/"


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {}, None),
        ("0::/pod/box", {"pod/box/cpu.max": "max 100000", "pod/cpu.max": "50000 100000"}, 0.5),
        ("0::/pod/box", {"pod/box/cpu.max": "400000 100000", "cpu.max": "200000 100000"}, 2.0),
        ("0::/../elsewhere", {"cpu.max": "300000 100000"}, 3.0),
        ("0::/", {"cpu.max": "nonsense"}, None),
        (V1, {"cpu/pod/box/cpu.cfs_quota_us": 25000, "cpu/pod/box/cpu.cfs_period_us": 100000}, 0.25),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": 250000, "cpu,cpuacct/cpu.cfs_period_us": 100000}, 2.5),
        (V1, {"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100000}, None),
        (V1, {"unified/cpu.max": "100000 100000"}, 1.0),
    ],
)
def test_the_quota_of_a_container_is_the_least_of_its_groups(groups, files, quota, tmp_path):
    placed = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert cpu_quota(tree(tmp_path, {"proc/self/cgroup": groups, **placed})) == quota


def test_a_system_without_groups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "workers"), [(None, 8), (2.5, 3), (0.25, 1), (64.0, 8)])
def test_workers_are_by_default_no_more_than_a_quota_allows(quota, workers, monkeypatch):
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    monkeypatch.setattr(cores, "cores", lambda: list(range(8)))
    assert options.default_workers(ab.Hogwild(), threaded=True) == workers
    assert options.default_workers(ab.Hogwild(), threaded=False) == 16
    assert bool(cores.quota_note()) == (quota is not None and quota < 8)


def test_header_and_run_file_say_what_the_quota_is(monkeypatch, tmp_path):
    monkeypatch.setattr(cores, "cpu_quota", lambda: 0.5)
    monkeypatch.setattr("asapnb.record.provenance.cpu_quota", lambda: 0.5)
    assert machine()["quota"] == 0.5
    out = tmp_path / "run.h5"
    assert "note     a CPU quota of 0.5 for" in cli(*TRAIN, "-o", out).output
    assert ab.load_run(out).attributes["machine"]["quota"] == 0.5
    assert "CPUs with a quota of 0.5" in cli("show", out).output


@pytest.mark.parametrize(("columns", "width"), [("0", 80), ("1", 40), ("-7", 80), ("1" * 9, 10_000), ("x", 80)])
def test_any_width_can_be_drawn_in(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert console().width in {width, 40}
    shown = cli("rules", "show", "tail", COLUMNS=columns)
    assert shown.exit_code == 0, shown.exception
    assert "mean scale" in shown.output
    assert max(map(len, shown.output.splitlines())) <= max(width, 100)


def test_output_on_a_full_device_ends_no_run_but_the_command_says_so(tmp_path):
    with open("/dev/full", "w") as full:
        done = python(*SHELL, *TRAIN, "-o", tmp_path / "run.h5", check=False, stdout=full)
    assert done.returncode == 1
    assert done.stderr.endswith("Error: cannot write the output: No space left on device\n")
    assert "Traceback" not in done.stderr
    run = ab.load_run(tmp_path / "run.h5")
    assert (run.status, len(run.updates["tau"])) == ("finished", 40)


CLOSED = """
import os, subprocess, sys
reader, writer = os.pipe()
os.close(reader)
closed = (lambda: [os.close(number) for number in (0, 1, 2)]) if sys.argv[1] == "all" else None
done = subprocess.run([sys.executable, *sys.argv[2:]], stdout=writer, stderr=subprocess.PIPE, preexec_fn=closed)
print(done.returncode, done.stderr.decode())
"""


@pytest.mark.parametrize("what", ["all", "the reader"])
def test_closed_streams_and_a_reader_that_is_gone_end_nothing(what, tmp_path):
    done = python("-c", CLOSED, what, *SHELL, *TRAIN, "-o", tmp_path / "run.h5")
    code, *said = done.stdout.splitlines()
    assert code.split()[0] == "0", done.stdout
    assert not re.search("Traceback|Exception ignored|Error", "\n".join(said))
    assert len(ab.load_run(tmp_path / "run.h5").updates["tau"]) == 40


def test_everything_works_without_docstrings_and_assertions():
    done = python("-OO", *SHELL, "rules", "show", "tail", environment={"PYTHONWARNINGS": "error"})
    assert done.stdout.startswith("tail(amplitude=1.0)\n")


def test_a_working_directory_that_is_gone_is_said(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for command in (["info"], TRAIN, ["show", "run.h5"], ["rules", "list"], ["compare", "run.h5"]):
        done = cli(*command)
        assert (done.exit_code, done.output[:40]) == (2, "Error: the working directory is gone (No")
    with pytest.raises(ab.RecordError, match="the working directory is gone, so run leads nowhere"):
        checked_target("run", False)
    with pytest.raises(ab.RecordError, match="there is no run file"):
        ab.load_run("run.h5")


def test_compilation_that_is_switched_off_is_said(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(ab.UsageError, match="NUMBA_DISABLE_JIT is set"):
        compiled._check_compiling()


@pytest.mark.parametrize(
    ("raised", "said"),
    [(MemoryError("Unable to allocate 9 TiB"), "not enough memory (Unable"), (RuntimeWarning("odd"), "odd")],
)
def test_what_a_system_refuses_is_said_in_a_line(raised, said, monkeypatch):
    def refuse(*arguments):
        raise raised

    monkeypatch.setattr("asapnb.cli.show.load_run", refuse)
    done = cli("show", "run.h5")
    assert done.exit_code == 1
    assert said in done.output


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfupdates = 3\n", b"updates = 3\r\n", b"\xef\xbb\xbfupdates = 3\r\n"]
)
def test_texts_of_other_systems_are_read(content, tmp_path):
    (tmp_path / "run.toml").write_bytes(content)
    assert load_config(tmp_path / "run.toml", "train") == {"updates": 3}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("rule = 'é'".encode("latin-1"), "0xe9 in position 8.*save it as UTF-8"),
        ("updates = 3".encode("utf-16"), "0xff in position 0.*save it as UTF-8"),
        (b"updates = 3\n\0", "is no TOML"),
    ],
)
def test_texts_in_other_encodings_are_refused_with_the_place(content, said, tmp_path):
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(ab.UsageError, match=said):
        load_config(tmp_path / "run.toml", "train")


@pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="names of files are in another encoding")
@pytest.mark.parametrize("name", [b"a\xff.h5", b"-b.h5", b"$c_d^ %e{f}.h5", b"\n'\".h5", "é😀.h5".encode()])
def test_a_file_of_any_name_is_written_shown_and_compared(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = os.fsdecode(name)
    assert cli(*TRAIN, "--quiet", "-o", f"./{file}").exit_code == 0
    assert os.listdir(os.fsencode(tmp_path)) >= [name]
    for command in (["show", "--", file], ["show", "--json", "--", file], ["compare", "--", file]):
        done = cli(*command)
        assert done.exit_code == 0, (command, done.exception)
    for form in ("latex", "markdown", "csv"):
        assert cli("compare", "--format", form, "-o", f"table.{form}", "--", file).exit_code == 0
    assert cli("plot", "--kind", "loss", "-o", "figure.svg", "--", file).exit_code == 0
    assert cli("report", "-o", "page.html", "--quiet", "--", file).exit_code == 0


def test_the_command_that_a_run_file_keeps_may_name_files_in_another_encoding(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["asapnb", "train", os.fsdecode(b"\xff.toml")])
    assert cli(*TRAIN, "--quiet", "-o", tmp_path / "run.h5").exit_code == 0
    assert r"\xff.toml" in ab.load_run(tmp_path / "run.h5").attributes["command"]


@pytest.mark.parametrize(("command", "names"), [("train", "asapnb-worker-2"), ("simulate", "asapnb-replay-1")])
def test_threads_that_the_system_does_not_allow_are_counted(command, names, tmp_path, monkeypatch):
    start = threading.Thread.start

    def limited(thread):
        if thread.name == names:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    monkeypatch.setattr("asapnb.simulator.threads._INLINE_SECONDS", 0)
    number = names[-1]
    arguments = {"train": TRAIN, "simulate": ["simulate", *TRAIN[1:], "--threads", "3"]}[command]
    done = cli(*arguments, "-m", "4", "-o", tmp_path / "run.h5")
    assert done.exit_code == 2, done.exception
    assert f"only {number} of " in done.output
    assert "the system allows no more threads" in done.output
    assert ab.load_run(tmp_path / "run.h5").status == "failed"


def test_an_evaluation_thread_that_is_not_allowed_is_said(monkeypatch):
    def refuse(*arguments, **more):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("asapnb.cli.show.load_run", refuse)
    done = cli("show", "run.h5")
    assert (done.exit_code, "allows no more threads" in done.output) == (1, True)


def test_tables_show_texts_as_they_are():
    table = Table("a\nb", ("rule",), ((r"x_1 $|\*_y<b>",),), ("n\nm",))
    assert r"x_1 $\|\\\*\_y\<b>" in table.markdown()
    assert table.latex().splitlines()[0] == "% a b"
    assert r"x\_1 \$\textbar{}\textbackslash{}*\_y\textless{}b\textgreater{}" in table.latex()
