"""Readers of files and texts, each with valid inputs and the way to change them at random; see `fuzz.py`.

A reader may accept an input or refuse it with an `AsapnbError`. Anything else is a fault.
"""

import contextlib
import gzip
import random
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from changes import changed_bytes, changed_text

import asapnb as ab
from asapnb.config import load_config, parse_value
from asapnb.data.formats import read_cifar, read_idx
from asapnb.errors import AsapnbError
from asapnb.problems.text import PROBLEMS, parse_problem
from asapnb.record import load_checkpoint, save_checkpoint
from asapnb.rules import ScaleTables, as_rule, examples
from asapnb.schemes import SCHEMES, as_scheme
from asapnb.staleness.models import parse_staleness
from asapnb.sweep import load_sweep
from asapnb.sweep.manifest import begin, note, readable_manifest
from asapnb.sweep.points import Outcome
from asapnb.timing import load_timing, parse_timing
from asapnb.timing.times import LAWS

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@dataclass(frozen=True)
class Target:
    """A reader: valid inputs, how one is changed, and what reads it.

    `read` gets a text, or the path of a file in an empty folder that holds the input under `name`.
    """

    valid: Callable[[], list]
    change: Callable[[random.Random, list], str | bytes]
    read: Callable[[object], object]
    name: str | None = None

    def input(self, seed: str) -> bytes:
        """The changed input of a seed."""
        given = self.change(random.Random(seed), valid(self))
        return given if isinstance(given, bytes) else given.encode("utf-8", "surrogatepass")

    def give(self, content: bytes, folder: Path) -> None:
        """Let it read an input; raises what it raises."""
        if self.name is None:
            self.read(content.decode("utf-8", "surrogatepass"))
        else:
            (folder / self.name).write_bytes(content)
            self.read(folder / self.name)


@cache
def valid(target: Target) -> list:
    """The valid inputs of a target, made once."""
    return target.valid()


def fault_of(target: Target, content: bytes, folder: Path) -> str | None:
    """What is wrong with the way in which a target reads an input; None if nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.give(content, folder)
    except AsapnbError:
        return None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.name}: {error!s:.100}"
    return None


def _files(make: Callable[[Path], object]) -> list[bytes]:
    """The contents of the files that `make` leaves in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        return [path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()]


def _runs(folder: Path) -> None:
    problem = ab.problems.quadratic([1, 10], noise=0.1)
    ab.train(problem, "leashed(persistence=1)", "tail", 2, updates=80, momentum=0.9, out=folder / "train.h5")
    ab.simulate(problem, "hogwild", "inverse", 4, updates=60, microscope=5, out=folder / "simulate.h5")
    ab.replay(ab.simulate(problem, "lock-based", workers=3, updates=40), rule="tail", out=folder / "replay.h5")


def _checkpoints(folder: Path) -> None:
    _runs(folder)
    for run in list(folder.glob("*.h5")):
        save_checkpoint(run, {"params": np.zeros(2)}, {"version": 3, "t": 1.0, "beyond_table": 0})
        run.unlink()


def _manifests(folder: Path) -> None:
    manifest = begin(load_sweep(EXPERIMENTS / "smoke.toml"), folder, resume=False, force=False, extend=False)
    for point in manifest.points:
        note(folder, Outcome(point.name, "finished", 0.5, "2026-01-01T00:00:00+00:00", "here", asapnb=ab.__version__))


def _idx(folder: Path) -> None:
    images = bytes([0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2]) + bytes(range(24))
    (folder / "a").write_bytes(images)
    (folder / "b").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 4, 7, 2, 1, 0]))
    (folder / "c").write_bytes(gzip.compress(images, mtime=0))


def _data(folder: Path) -> None:
    """One table in all formats, arrays, and an image."""
    import pandas as pd
    from PIL import Image

    table = pd.DataFrame({"pH": np.arange(8) / 7, "n": np.arange(8), "colour": list("rw") * 4, "y": list("aabb") * 2})
    table.loc[3, "pH"] = np.nan
    table.to_csv(folder / "a.csv", index=False)
    table.to_csv(folder / "b.csv", index=False, header=False, sep=";")
    table.to_parquet(folder / "c.parquet")
    table.to_feather(folder / "d.feather")
    np.savez(folder / "e.npz", x=np.arange(16.0).reshape(8, 2), y=np.arange(8) % 2)
    np.savez_compressed(folder / "f.npz", X_train=np.zeros((4, 2, 2), np.uint8), y_train=np.array(list("abab")))
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(folder / "g.png")


def _of_kind(ending: str) -> Callable[[], list[bytes]]:
    def made(folder: Path) -> None:
        _data(folder)
        for path in folder.iterdir():
            if not path.name.endswith(ending):
                path.unlink()

    return lambda: _files(made)


def _read_data(path: Path) -> None:
    """With a target by name and by place, or as one of the images of a folder."""
    text = str(path)
    texts = [f"{text}(target=y, one_hot=True, missing=mean, standardize=True)", f"{text}(target=-1, missing=drop)"]
    if path.suffix == ".png":
        shutil.rmtree(path.parent / "images", ignore_errors=True)
        for name in ("one", "two"):
            (path.parent / "images" / name).mkdir(parents=True)
            shutil.copy(path, path.parent / "images" / name)
        texts = [str(path.parent / "images")]
    for one in texts:
        with contextlib.suppress(AsapnbError):
            ab.load_dataset(one)


def _read_run(path: Path) -> None:
    """All that a run has."""
    run = ab.load_run(path)
    all_of = [run.config, run.staleness, run.staleness_counts, run.rule_tables]
    all_of += [dict(columns) for columns in (run.updates, run.evals, run.microscope)]
    for name in run.params:
        with contextlib.suppress(AsapnbError):  # one that was killed has no final parameters
            all_of.append(run.params[name])
    repr([*all_of, run.summary(), run])


def _read_checkpoint(path: Path) -> None:
    load_checkpoint(path.with_suffix(""))


def _read_manifest(path: Path) -> None:
    readable_manifest(path.parent)


def _texts(*patterns: str) -> list[str]:
    return [path.read_text() for pattern in patterns for path in sorted(EXPERIMENTS.glob(pattern))]


def _read_idx(path: Path) -> None:
    """As it is, and as a gzipped file."""
    packed = path.rename(path.with_suffix(".gz"))
    with contextlib.suppress(AsapnbError):
        read_idx(packed)
    read_idx(packed.rename(path))


def _read_rule(text: str) -> None:
    """The rule, with the tables of a short run."""
    ScaleTables(as_rule(text), workers=4).observe([0, 1, 3, 3, 9])


def _laws() -> list[str]:
    times = [repr(law.build(example)) for law in LAWS.values() for example in law.examples]
    return [*times, f"compute=[{times[1]}, 2.0], update=1e-5, read=0.1", f"Timing(compute={times[2]})"]


def _schemes() -> list[str]:
    options = ["leashed(persistence=1, check_early=true)", "hogwild(view=snapshot)", "parameter-server(bound=3)"]
    return [*SCHEMES, *options]


TIMING_FILE = """[about]
machine = "a laptop"
[workers.1]
compute = "exponential(1)"
[workers.8]
compute = ["lognormal(mean=1, cv=0.3)", 2.0]
update = 0.05
"""
DATA = [
    "wine.csv(target='quality', test=0.2, seed=3, standardize=True)",
    "~/a b.npz(inputs=[x, 'y z'], target=-1, regression=True)",
    "photos(size=[8, 8], test='other photos')",
]
RUN_FILE = """problem = "mlp(hidden=[8])"
scheme = "leashed(persistence=1)"
rule = "tail(amplitude=0.5, refresh=every(200, half_life=2000))"
workers = 8
step_size = 0.05
updates = 100
momentum = 0.9
target_loss = 0.3
reshuffle = false
eval_samples = "none"
"""


@cache
def targets() -> dict[str, Target]:
    """Every reader, by name."""
    return {
        "run-file": Target(lambda: _files(_runs), changed_bytes, _read_run, "run.h5"),
        "checkpoint": Target(lambda: _files(_checkpoints), changed_bytes, _read_checkpoint, "run.h5.checkpoint"),
        "manifest": Target(
            lambda: [found.decode() for found in _files(_manifests)], changed_text, _read_manifest, "manifest.jsonl"
        ),
        "run-toml": Target(lambda: [RUN_FILE, *_texts("*.toml")], changed_text, load_config, "run.toml"),
        "sweep-toml": Target(lambda: _texts("*.toml", "*/*.toml"), changed_text, load_sweep, "sweep.toml"),
        "timing-toml": Target(lambda: [TIMING_FILE], changed_text, lambda path: load_timing(path, 4), "t.toml"),
        "idx": Target(lambda: _files(_idx), changed_bytes, _read_idx, "images"),
        "cifar": Target(lambda: [bytes(range(256)) * 12 + b"\0"], changed_bytes, read_cifar, "batch.bin"),
        "csv": Target(_of_kind(".csv"), changed_bytes, _read_data, "t.csv"),
        "parquet": Target(_of_kind(".parquet"), changed_bytes, _read_data, "t.parquet"),
        "feather": Target(_of_kind(".feather"), changed_bytes, _read_data, "t.feather"),
        "npz": Target(_of_kind(".npz"), changed_bytes, _read_data, "t.npz"),
        "image": Target(_of_kind(".png"), changed_bytes, _read_data, "t.png"),
        "data": Target(lambda: DATA, changed_text, ab.load_dataset),
        "rule": Target(lambda: [repr(rule) for rule in examples().values()], changed_text, _read_rule),
        "scheme": Target(_schemes, changed_text, as_scheme),
        "problem": Target(lambda: [entry.example for entry in PROBLEMS.values()], changed_text, parse_problem),
        "timing": Target(_laws, changed_text, lambda text: parse_timing(text, 4)),
        "staleness": Target(
            lambda: ["geometric(m=16)", "poisson(3)", "0.5, 0.25, 0.25"], changed_text, parse_staleness
        ),
        "setting": Target(
            lambda: ["8", ".5", "[1, 2]", "tail(amplitude=0.5)", "{'a': 1}"], changed_text, parse_value
        ),
    }
