import io
import itertools

import numpy as np
import pytest
from asapnb.cli import live, tally, text
from asapnb.cli.compiling import announced
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from asapnb.compiled import kernel
from asapnb.config import run_config
from asapnb.engine import Evaluation, Progress
from asapnb.record import UPDATES, RunWriter
from asapnb.record.schema import MICROSCOPE
from asapnb.staleness.bins import bins
from asapnb.training import following


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_bins_hold_each_staleness_once(seen):
    p50, p99 = (int(np.quantile(seen, q, method="inverted_cdf")) for q in (0.5, 0.99))
    found = bins(max(seen), p50, p99)
    assert len(found) <= 16
    assert (found[0][0], found[-1][1]) == (0, max(seen))
    assert all(first <= last for first, last in found)
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(found))


def printed(what, width=80):
    """The lines that a pipe gets."""
    screen = Console(file=io.StringIO(), soft_wrap=True, width=width)
    screen.print(what)
    return screen.file.getvalue().splitlines()


@given(st.floats(0, 1), st.integers(4, 60))
def test_bars_are_as_long_as_their_share(share, width):
    (found,) = printed(text._Bar(1.0, 0.0, share, width=width))
    eighths = sum(" ▏▎▍▌▋▊▉█".index(block) for block in found)
    assert eighths == pytest.approx(share * width * 8, abs=1) or (share > 0 and eighths == 1)
    assert len(found) == width


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_is_printed_whole_whatever_the_width(width):
    table = text.Columns("name", "value", "where", left=("name", "where"))
    table.add_row("long", "1,234", "x" * 150)
    table.add_row("b", "1", Text("", "green"))
    assert printed(table, width) == ["name  value  where", f"long  1,234  {'x' * 150}", "b         1"]


def stale_run(tau, scale):
    rows = np.zeros(len(tau), UPDATES)
    rows["tau"], rows["scale"], rows["version"] = tau, scale, np.arange(1, len(tau) + 1)
    rows["factor"] = 1
    rows["read_version"] = rows["version"] - 1 - rows["tau"]
    writer = RunWriter(None, kind="train", attributes={}, initial=np.zeros(1), layout=[], workers=1)
    writer.append_updates(rows)
    return writer.finish("finished", None, [[0]], {})


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("tau", [[0], [0] * 5 + [5, 5] + [0] * 10 + [17], [0] * 30_000 + [100, 30_000], range(64)])
def test_a_histogram_counts_every_update(tau, width):
    for scale in (1.0, 0.5):
        lines = printed(text.histogram(stale_run(tau, scale), width), width)
        assert sum(int(line.split()[1].replace(",", "")) for line in lines[1:]) == len(tau)
        assert max(map(len, lines)) <= width
        assert any("█" in line for line in lines)
        assert ("mean scale" in lines[0]) == (scale != 1)
    assert text.histogram(stale_run([], 1), width).plain == "no updates"


def test_a_run_that_was_killed_is_shown():
    writer = RunWriter(None, kind="train", attributes={}, initial=np.zeros(1), layout=[], workers=1)
    run = writer.finish("running", None, [[0]], {})
    assert text.summary(run).plain.splitlines() == ["running  0 updates in 0.00 s, – per second, 1 worker"]


def test_many_evaluations_are_thinned():
    writer = RunWriter(None, kind="train", attributes={}, initial=np.zeros(1), layout=[], workers=1)
    rows = np.zeros(999, UPDATES)
    rows["version"] = np.arange(1, 1000)
    writer.append_updates(rows)
    for step in range(1000):
        writer.append_eval(step, 0.0, 1.0, float("nan"), float("nan"))
    lines = printed(text.evaluations(writer.finish("finished", None, [[0]], {})))
    assert (len(lines), lines[-1]) == (23, "21 of 1,000 evaluations; --json shows all")
    assert (lines[1].split()[1], lines[-2].split()[1]) == ("0", "999")


def show_live(clock="", **options):
    """A display fed with five evaluations, a report after every second one."""
    screen = Console(file=io.StringIO(), soft_wrap=True, width=80, **options)
    display = live.Display(screen, lambda: Text("head"), max_seconds=100.0, clock=clock)
    for i in range(5):
        evaluation = Evaluation(i * 1000, i * 1.0, 10.0 ** (4 - i), 1.0, i / 10)
        display.on_eval(evaluation)
        if i % 2 == 0:
            status = "finished" if i == 4 else "running"
            display.progress(
                Progress(status, i + 0.5, i * 1000, 4000, i / 2, 2.0, 0.5, evaluation, 7.0, 200.0, (0.0, 12.5), 0)
            )
    display.close()
    return screen.file.getvalue()


def test_lines_for_a_pipe():
    lines = show_live(force_terminal=False).splitlines()
    assert lines[:2] == ["head", ""]
    assert {len(line) for line in lines[2:]} == {80}
    assert [line.split() for line in lines[3:]] == [
        ["0.00", "0.00", "–", "1e+04", "–", "0.0%", "–", "–", "–"],
        ["1.00", "0.50", "1,000", "1e+03", "0.5000", "10.0%", "7.00", "200", "0.00–12.5"],
        ["2.00", "1.00", "1,000", "100.0000", "0.5000", "20.0%", "7.00", "200", "0.00–12.5"],
        ["3.00", "1.50", "1,000", "10.0000", "0.5000", "30.0%", "7.00", "200", "0.00–12.5"],
        ["4.00", "2.00", "1,000", "1.0000", "0.5000", "40.0%", "7.00", "200", "0.00–12.5"],
    ]


def test_a_terminal_has_the_same_lines_and_one_that_moves():
    plain = show_live(force_terminal=False).splitlines()
    moving = show_live(force_terminal=True, color_system=None, no_color=True)
    for line in plain:
        assert line in moving
    assert "epoch 1.0 of 2, 0:02 left" in moving
    assert "\x1b[2K" in moving, "the moving line is wiped"
    assert "\x1b[3" not in moving, "no colours"
    assert "\x1b[3" in show_live(force_terminal=True, color_system="standard")


@pytest.mark.parametrize(
    ("clock", "heads"),
    [("virtual", ["virt.", "s", "epoch", "upd/vs"]), ("recorded", ["rec.", "s", "epoch", "upd/rs"])],
)
def test_other_clocks_are_named_and_say_nothing_of_what_is_left(clock, heads, monkeypatch):
    times = itertools.count(10.0, 30.0)  # of real seconds
    monkeypatch.setattr(following.time, "perf_counter", lambda: next(times))
    plain = show_live(clock, force_terminal=False)
    assert plain.splitlines()[2].split()[:4] == heads
    assert plain.splitlines()[3:] == show_live(force_terminal=False).splitlines()[3:]
    moving = show_live(clock, force_terminal=True, color_system=None, no_color=True)
    assert "epoch 1.0 of 2, 0:30 left" in moving, "half is done, in 30 real seconds"


@given(st.floats(1e-9, 1e12) | st.floats(1e-9, 1e-2))
def test_times_fit_into_their_column(seconds):
    shown = following._time(seconds)
    assert len(shown) <= 7
    assert float(shown) == pytest.approx(seconds, rel=0.05, abs=1e-300 if seconds < 0.005 else 0.00501)


def test_the_bar_of_a_tally():
    for terminal in (False, True):
        screen = Console(file=io.StringIO(), force_terminal=terminal, no_color=True, width=100, legacy_windows=False)
        with tally._bar(screen, 4000) as progress:
            progress(1000)
            progress(3000)
        assert ("3,000 of 4,000 updates" in screen.file.getvalue()) == terminal


def test_a_microscope_is_averaged_over_all_it_saw():
    rows = np.zeros(100, MICROSCOPE)
    rows["tau"], rows["error"], rows["cosine"] = np.arange(100) % 40, np.arange(100), 0.5
    rows["cosine"][rows["tau"] < 3] = np.nan
    writer = RunWriter(
        None,
        kind="simulate",
        attributes={},
        initial=np.zeros(1),
        layout=[],
        workers=1,
        groups={"microscope": MICROSCOPE},
    )
    made = np.zeros(100, UPDATES)
    made["version"] = np.arange(1, 101)
    writer.append_updates(made)
    writer.append("microscope", rows)
    run = writer.finish("finished", None, [[0]], {})
    found = text.microscope(run)
    assert sum(entry["updates"] for entry in found) == 100
    assert sum(entry["updates"] * entry["error"] for entry in found) == pytest.approx(rows["error"].sum())
    assert {entry["cosine"] for entry in found if entry["staleness"][0] >= 3} == {0.5}
    lines = printed(text.microscope_table(run))
    assert len(lines) == len(found) + 1
    assert "–" in lines[1].split()
    assert text.microscope(stale_run([0], 1)) == []


def triple(x):
    return 3 * x


def test_compiling_is_announced_with_its_time():
    for terminal in (False, True):
        screen = Console(file=io.StringIO(), force_terminal=terminal, no_color=True, highlight=False)
        with announced(screen):
            pass
        with announced(screen):
            assert screen.file.getvalue() == ""
            kernel("int64(int64)")(triple).recompile()
        assert "compiling kernels (first run only, not counted)" in screen.file.getvalue()
        assert screen.file.getvalue().count("compiled kernels in ") == 1


def test_a_display_that_is_quiet_writes_nothing():
    assert show_live(force_terminal=True, quiet=True) == ""


def test_a_document_holds_the_run():
    run = run_config({"problem": "mlp(hidden=[8])", "workers": 2, "batch_size": 50, "updates": 20})
    found = text.document(run)
    assert found["evaluations"][-1]["train_loss"] == run.evals["train_loss"][-1]
    assert found["staleness_counts"].sum() == 20
    assert found["path"] is None
