"""`asapnb plot`: every kind of figure, the kind that is chosen, and what is said where none can be drawn."""

import numpy as np
import pytest
from asapnb.cli.plot import command
from commands import call

import asapnb as ab
from asapnb.analysis import records
from asapnb.plots.kinds import KINDS, kind_for

SINGLE = ("timeline", "path", "microscope")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of runs that differ in rule, workers, step size and seed, and one run beside it."""
    path = tmp_path_factory.mktemp("plots")
    (path / "runs").mkdir()
    bowl = ab.problems.quadratic([1.0, 6.0])
    given = {"updates": 40, "eval_every": 5, "batch_size": 1, "timing": "compute=exponential(1)", "threads": 1}
    for n, (rule, workers, size) in enumerate(
        (rule, workers, size) for rule in ("constant", "tail") for workers in (2, 6) for size in (0.05, 0.1)
    ):
        arguments = {"rule": rule, "workers": workers, "step_size": size, "seed": n % 2}
        ab.simulate(bowl, **arguments, **given, out=path / "runs" / f"{n}.h5")
    small = ab.mlp(ab.load_dataset("fashion-mnist-mini"), hidden=(2,))
    ab.simulate(small, workers=2, updates=4, eval_every=2, eval_samples=50, out=path / "accuracy.h5")
    ab.simulate(bowl, workers=4, step_size=0.05, microscope=1, **given, out=path / "one.h5")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(folder, tmp_path, kind):
    out = tmp_path / "figure.png"
    runs = [folder / {"accuracy": "accuracy.h5"}.get(kind, "one.h5" if kind in SINGLE else "runs")]
    more = ["--where", "workers=6", "--rule", "inverse"] if kind == "scale" else []
    done = call("plot", *runs, "--kind", kind, *more, "-o", out, "--dpi", 40)
    assert done.exit_code == 0, done.output
    assert f"figure.png written: {kind}, " in done.stdout
    assert out.read_bytes().startswith(b"\x89PNG")


def test_the_kind_that_suits(folder):
    runs = records(folder / "runs")
    assert kind_for(runs) == "stability"
    assert kind_for([run for run in runs if run.value("step_size") == 0.1]) == "time-to-target"
    assert kind_for([run for run in runs if run.value("workers") == 6]) == "loss"
    assert kind_for(records(folder / "one.h5")) == "path"
    bowl = ab.problems.quadratic([1.0, 2.0])
    for what in ({"momentum": 0.5}, {"scheme": "synchronous"}, {"scheme": "hogwild"}):
        run = ab.simulate(bowl, workers=2, updates=8, batch_size=1, eval_every=2, **what)
        assert kind_for(records(run)) == "loss", what
    log = ab.problems.log_cosh(3)
    assert kind_for(records(ab.simulate(log, workers=2, updates=4, microscope=1))) == "microscope"
    assert kind_for(records(ab.simulate(log, workers=2, updates=4, eval_every=1))) == "loss"
    assert kind_for(records(ab.simulate(log, workers=2, updates=4, eval_every=4))) == "staleness"


def test_a_figure_has_a_name_and_is_not_overwritten(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["plot", folder / "one.h5", "--kind", "timeline", "--rows", 5, "--dpi", 40]
    done = call(*arguments)
    assert done.stdout.splitlines() == [
        "timeline.png written: timeline, 1 run", "The run has 40 rows; --first and --rows show others.",
    ]  # fmt: skip
    before = (tmp_path / "timeline.png").read_bytes()
    done = call(*arguments)
    assert (done.exit_code, "--force" in done.stderr) == (2, True)
    assert (tmp_path / "timeline.png").read_bytes() == before
    assert call(*arguments, "--first", 10, "--force").exit_code == 0
    assert (tmp_path / "timeline.png").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.h5"], "there is no run file"),
        ([], "there are no runs"),
        (["{runs}", "--kind", "los"], "Did you mean 'loss'?"),
        (["{runs}", "--kind", "microscope"], "--microscope 10"),
        (["{runs}", "--kind", "timeline"], "shows one run, not 8"),
        (["{runs}", "--kind", "staleness", "--x", "updates"], "kinds that do: loss, "),
        (["{runs}", "--kind", "loss", "--x", "hours"], "seconds"),
        (["{runs}", "--kind", "loss", "--loss", "rough"], "smoothed"),
        (["{runs}", "--kind", "scale"], "--where workers=2"),
        (["{runs}", "--by", "wrkers"], "what differs among these runs is rule, "),
        (["{runs}", "--where", "workers=5"], "workers is 2, 6"),
        (["{runs}", "--where", "workers"], "KEY=VALUE"),
        (["{runs}", "--target-fraction", "1.5"], "above 0 and below 1"),
        (["{runs}", "--target-fraction", "0.5", "--target-loss", "1"], "both"),
        (["{runs}", "--kind", "speed-up", "--baseline", "rule=fleet"], "no run has rule=fleet"),
        (["{one}", "--kind", "stability"], "asapnb sweep"),
        (["{one}", "--kind", "timeline", "--first", "90"], "the run has 40 rows, numbered from 0"),
        (["{one}", "--kind", "path", "--update", "41"], "update is 41: must be an integer from 1 to 40"),
        (["{one}", "--dpi", "0"], "dpi is 0"),
        (["{one}", "-o", "figure.gif"], "pdf, png, svg"),
        (["{one}", "-o", "figure"], "has no ending"),
    ],
)
def test_what_cannot_be_drawn_is_said(folder, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    places = {"{runs}": folder / "runs", "{one}": folder / "one.h5"}
    done = call("plot", *(places.get(argument, argument) for argument in arguments))
    assert done.exit_code == 2, done.output
    assert said in done.stderr, done.stderr
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_flags_choose_what_is_drawn(folder, tmp_path, monkeypatch):
    seen = {}

    def draw(found, kind, **chosen):
        seen.update(chosen, found=found, kind=kind)

    def save(figure, path, **options):
        seen.update(options)
        return path

    monkeypatch.setattr("asapnb.cli.plot.draw", draw)
    monkeypatch.setattr("asapnb.cli.plot.save", save)
    call("plot", folder / "runs", "--kind", "speed-up", "--by", "rule", "--by", "workers", "--x", "steps", "--loss",
         "smoothed", "--target-loss", 2.5, "--baseline", "rule=inverse", "--where", "workers=6", "--where", "seed=1",
         "--dpi", 75, "--force", "-o", tmp_path / "x.png")  # fmt: skip
    assert {run.value("workers") for run in seen["found"]} == {6}
    assert np.unique([run.value("seed") for run in seen["found"]]).tolist() == [1]
    assert (seen["kind"], seen["by"], seen["x"], seen["curve"]) == (
        "speed-up",
        ("rule", "workers"),
        "steps",
        "smoothed",
    )
    assert (seen["target"].loss, seen["baseline"], seen["dpi"], seen["force"]) == (2.5, {"rule": "inverse"}, 75, True)


def test_help_names_every_kind_and_flag():
    text = call("plot", "--help").output
    assert all(kind in text for kind in KINDS)
    assert all(option.opts[0] in text for option in command.params[1:])
