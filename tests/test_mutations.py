"""Damaged and hostile run files: every use refuses them with an error of asapnb, or works; none changes them."""

import pytest
from asapnb.cli import main
from click.testing import CliRunner
from mutations import mutated

import asapnb as ab
from asapnb.analysis import compare, records
from asapnb.config import load_config
from asapnb.errors import AsapnbError
from asapnb.plots.kinds import draw, kind_for

SEEDS, PER_TEST = 75, 15  # `make fuzz` has thousands


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two run files, as bytes: of real threads, and of a simulation with momentum, views and a microscope."""
    folder = tmp_path_factory.mktemp("runs")
    problem = "quadratic([1.0, 4.0], noise=0.1)"
    common = {"problem": problem, "workers": 3, "updates": 60, "eval_every": 20, "step_size": 0.01, "batch_size": 4}
    ab.config.run_config({**common, "scheme": "leashed(persistence=0)"}, "train", out=folder / "a.h5")
    ab.config.run_config(
        {**common, "scheme": "hogwild", "momentum": 0.5, "microscope": 7, "rule": "tail"},
        "simulate",
        out=folder / "b.h5",
    )
    return [(folder / name).read_bytes() for name in ("a.h5", "b.h5")]


def read_all(path):
    """Every property and column."""
    run = ab.load_run(path)
    for group in (run.updates, run.evals, run.microscope, run.params):
        for name in group:
            group[name]
    return run.rule_tables, run.staleness, run.staleness_counts, run.config, run.summary(), repr(run)


def drawn(path):
    found = records(path)
    return draw(found, kind_for(found))


USES = {
    "load": read_all,
    "show": lambda path: CliRunner().invoke(main, ["show", str(path)], catch_exceptions=False),
    "show --json": lambda path: CliRunner().invoke(main, ["show", str(path), "--json"], catch_exceptions=False),
    "compare": lambda path: str(compare(path)),
    "plot": drawn,
    "replay": lambda path: ab.replay(ab.load_run(path)),
    "configuration": load_config,
}


@pytest.mark.parametrize("start", range(0, SEEDS, PER_TEST))
def test_a_changed_file_is_refused_or_used_and_stays_as_it_is(start, runs, tmp_path):
    faults = []
    for seed in range(start, start + PER_TEST):
        path = tmp_path / f"{seed}.h5"
        path.write_bytes(runs[seed % len(runs)])
        what, before = mutated(path, seed), path.read_bytes()
        for use, call in USES.items():
            try:
                call(path)
            except AsapnbError:
                pass
            except Exception as error:
                faults.append(f"seed {seed}, {what}: {use}: {type(error).__name__}: {error}")
            if path.read_bytes() != before:
                faults.append(f"seed {seed}, {what}: {use} changed the file")
        if (fault := resumed(path, before)) is not None:
            faults.append(f"seed {seed}, {what}: resume {fault}")
    assert not faults, "\n".join(faults)


def resumed(path, before):
    """What is wrong with how a file is gone on with; None if nothing is."""
    try:
        run = ab.resume(path, updates=70)
    except AsapnbError:
        return None if path.read_bytes() == before else "refused and changed it"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if run.summary()["updates"] >= 70 else f"ended after {run.summary()['updates']} updates"
