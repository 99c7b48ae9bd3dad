"""Every public function takes numbers in the same way: each kind of number, and nothing else."""

import ast
import importlib
import inspect
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from simulations import simulate

import asapnb as ab
from asapnb import analysis, forecasting, plots, problems, rules, schedules, staleness, timing
from asapnb.errors import RuleError, UsageError

ROOT = Path(__file__).parents[1]
SCALARS = ("int", "float", "int | None", "float | None")
LAW = staleness.geometric(m=4)
KNOWN = {"L": 0.5, "gap": 1.5, "noise": 0.5}
DATA = ab.load_dataset("fashion-mnist-mini")
BOWL = {"dimension": 2, "noise": 0.5, "samples": 6, "seed": 3}
ROWS = {"noise": 0.5, "samples": 6, "dimension": 3, "rank": 2, "seed": 3}


def estimated(half_life=None, window=None):
    found = staleness.StalenessEstimator(half_life, window)
    found.observe([3, 1, 4, 1, 5])
    return found.distribution()


def counted(workers, worker):
    found = staleness.WorkerHistogram(workers)
    found.observe([0, 1, 1], [2, 7, 1])
    return found.distribution(worker)


def saved(dpi, tmp=[]):  # noqa: B006 (one folder for all)
    return plots.save(plots.scale("geometric(m=4)", ["tail"]), f"{tmp[0]}/figure.png", force=True, dpi=dpi)


def layers(units, channels, kernel, size, stride, padding, p, slope):
    made = [
        problems.Conv(channels, kernel, stride, padding), problems.LeakyReLU(slope), problems.MaxPool(size, stride),
        problems.AveragePool(size, stride), problems.Dropout(p), problems.Dense(units),
    ]  # fmt: skip
    return problems.network(DATA, [*made, problems.Dense(10)])


def exact(example):
    """Arguments that are the same in float32."""
    return {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in example.items()}


# Arguments of every public function that takes a number, by module; the numbers are exact in float32
CALLS = {
    "rules": {
        "adadelay": {"c": 0.5},
        "check": {"rule": "tail", "staleness": LAW, "workers": 4, "tolerance": 0.5},
        "delay_adaptive": {"threshold": 2.0},
        "every": {"n": 200, "half_life": 2000.0},
        "exponential": {"beta": 0.5},
        "exponential_profile": {"kappa": 2.0},
        "fleet": {"percentile": 99.5},
        "hinge": {"a": 10.0, "b": 4.0},
        "once": {"start": 3, "end": 1000},
        "polynomial": {"a": 0.5},
        "power": {"q": 2.0},
        "quantile_cut": {"rho": 0.5},
        "raw_scales": {"rule": rules.tail(), "staleness": LAW, "workers": 4},
        "ringmaster": {"R": 16},
        "scale_table": {"rule": "tail", "staleness": LAW, "workers": 4},
        "tail": {"amplitude": 0.5},
        "wu_adaptive": {"variant": 1, "budget": 4.0, "alpha": 0.5},
        "Rule.mean_scale": {"self": rules.tail(), "staleness": LAW, "workers": 4},
        "Rule.effective_delay": {"self": rules.tail(), "staleness": LAW, "workers": 4},
        "Rule.scale_variance": {"self": rules.tail(), "staleness": LAW, "workers": 4},
        "ScaleTables": {"rule": "concurrency", "workers": 4},
    },
    "schedules": {
        "StepSchedule.settled": {"self": schedules.cosine(), "total": 9},
        "constant": {"value": 0.5},
        "cosine": {"length": 9, "end": 0.5},
        "inverse_sqrt": {"c": 0.5},
        "polynomial": {"power": 2.0, "length": 9, "end": 0.5},
        "step_decay": {"every": 3, "rate": 0.5},
        "tabulate": {"schedule": schedules.cosine(), "total": 9},
        "warmup": {"n": 4, "start": 0.5},
    },
    "timing": {
        "Time.scaled": {"self": timing.gamma(2, 0.5), "factor": 2.0},
        "Time.sample": {"self": timing.gamma(2, 0.5), "seed": 3, "size": 4},
        "Timing.times": {"self": timing.Timing(), "purpose": "compute", "workers": 4},
        "Timing.compiled": {"self": timing.Timing(), "workers": 4},
        "as_timing": {"value": "timing.toml", "workers": 2},
        "load_timing": {"path": "timing.toml", "workers": 2},
        "parse_timing": {"text": "timing.toml", "workers": 2},
        "quantile_parts": {"quantile": np.sqrt, "parts": 4},
        **{name: exact(law.examples[0]) for name, law in timing.times.LAWS.items()},
        "machine": {"cores": 4, "smt": 1.5, "cv": 0.5, "mean": 1.5},
        "slowed": {"time": 1.0, "factor": 2.0},
    },
    "staleness": {
        "StalenessDistribution.padded": {"self": LAW, "length": 9},
        "StalenessDistribution.quantile": {"self": LAW, "q": 0.5},
        "StalenessEstimator.distribution": {"self": staleness.StalenessEstimator(), "length": 4},
        "cmp": {"rate": 2.0, "dispersion": 1.5, "rest": 2.0**-40},
        "constant": {"tau": 3},
        "exponential_workers": {"rates": [1, 2], "rest": 2.0**-40},
        "geometric": {"m": 4.0, "rest": 2.0**-40},
        "poisson": {"mean": 4.0, "rest": 2.0**-40},
        "uniform": {"low": 1, "high": 3},
    },
    "problems": {
        "Problem.init": {"self": problems.log_cosh(2, start="normal(1)"), "seed": 3},
        "Problem.evaluate": {"self": problems.mlp(DATA, (4,)), "params": problems.mlp(DATA, (4,)).init(), "limit": 9},
        "Problem.metrics": {"self": problems.mlp(DATA, (4,)), "params": problems.mlp(DATA, (4,)).init(), "limit": 9},
        "Problem.batches": {"self": problems.log_cosh(2), "seed": 3, "epoch": 2, "batch_size": 8},
        "Problem.batches_per_epoch": {"self": problems.log_cosh(2), "batch_size": 8},
        "Problem.workspace_size": {"self": problems.mlp(DATA, (4,)), "batch_size": 8},
        "bounded": BOWL,
        "least_squares": ROWS,
        "log_cosh": BOWL,
        "logistic": {**ROWS, "ridge": 0.5},
        "quadratic": {"eigenvalues": [1.0, 2.0], "noise": 0.5, "samples": 6, "seed": 3},
        "rosenbrock": BOWL,
        "sine_pl": BOWL,
    },
    "theory": {
        "concurrency_bound": {"steps": [0.25] * 9, "staleness": [0] * 9, **KNOWN},
        "constant_best": {"tau": 3},
        "constant_limit": {"tau": 3},
        "constant_radius": {"step": 0.5, "tau": 1},
        "constant_variance": {"step": 0.25, "tau": 1, "noise": 0.5},
        "convex_bound": {"steps": [0.125] * 9, "L": 0.5, "distance": 1.5, "noise": 0.5, "workers": 4, "tau_max": 3},
        "effective_delay": {"rule": "concurrency", "staleness": LAW, "workers": 4},
        "exponential_growth": {"step": 0.25, "workers": 4, "rest": 0.25},
        "exponential_limit": {"workers": 4, "rest": 0.25},
        "exponential_variance": {"step": 0.25, "workers": 4, "noise": 0.5, "rest": 0.25},
        "exponential_workers": {"rates": [1, 2], "update": 2},
        "fleet_beta": {"threshold": 2.0},
        "fresh_buffer": {"delays": LAW, "share": 0.5},
        "buffered_staleness": {"delays": LAW, "buffer": 3},
        "implicit_momentum": {"rule": "constant", "staleness": LAW, "workers": 4},
        "independent_growth": {"staleness": LAW, "step": 0.25, "workers": 4, "rest": 0.25},
        "independent_limit": {"staleness": LAW, "workers": 4, "rest": 0.25},
        "independent_variance": {"staleness": LAW, "step": 0.25, "workers": 4, "noise": 0.5, "rest": 0.25},
        "interval_staleness": {"workers": 4, "interval": 9},
        "interval_time": {"workers": 4, "interval": 9, "mean": 1.5},
        "leashed_fluid": {"workers": 4, "compute": 1.5, "update": 0.5},
        "machine_repairman": {"workers": 4, "compute": 1.5, "service": 0.5},
        "mean_exponential": {"beta": 0.5, "workers": 4},
        "mean_fleet": {"workers": 4},
        "mean_inverse": {"workers": 4},
        "nonconvex_bound": {"steps": [0.125] * 9, **KNOWN, "workers": 4, "tau_max": 3},
        "pl_bound": {"steps": [0.125] * 9, **KNOWN, "mu": 0.25, "tau_max": 3},
        "pl_mean_bound": {
            "step_size": 2.0**-12, "updates": 9, "rule": "tail", "staleness": LAW, **KNOWN, "mu": 0.25, "workers": 4,
        },
        "round_time": {"workers": 4, "mean": 1.5, "shift": 0.5, "wait_for": 2},
        "staleness_given_time": {"time": [0.5, 2.0], "mean_time": 1.5, "workers": 4},
        "strongly_convex_updates": {
            "step_size": 2.0**-8, "rule": "concurrency", "staleness": LAW, "c": 1.5, "L": 1.5, "M": 0.5,
            "distance": 1.5, "target": 0.25, "workers": 4,
        },
        "tail_effective_delay": {"staleness": LAW, "amplitude": 0.5},
        "tail_mean": {"staleness": LAW, "amplitude": 0.5, "cdf": "exclusive"},
        "tail_variance": {"staleness": LAW, "amplitude": 0.5},
    },
    "analysis": {
        "Record.curve": {"self": "record", "loss": "smoothed", "window": 5},
        "Target": {"fraction": 0.5},
        "bootstrap": {"statistic": lambda w: w @ np.arange(3.0), "sizes": [3], "confidence": 0.5, "resamples": 9,
                      "seed": 3},
        "crossing": {"record": "record", "target": analysis.Target(0.5), "loss": "smoothed", "window": 5},
        "escape": {"record": "record", "share": 0.75, "loss": "smoothed", "window": 5},
        "incidence_bands": {"times": [1, 2], "outcomes": ["a", "b"], "events": ["a"], "confidence": 0.5},
        "restricted_mean": {"times": [1, 2], "observed": [True, False], "budget": 1.5},
        "wilson": {"k": 2.0, "n": 4.0, "confidence": 0.5},
    },
    "plots": {
        "path": {"run": "record", "update": 9},
        "scale": {"source": "geometric(m=4)", "rules": ["tail"], "workers": 4},
        "timeline": {"run": "record", "first": 3, "rows": 9},
    },
    "schemes": {
        "Hogwild": {"blocks": 4},
        "Leashed": {"persistence": 1},
        "LockBased": {"buffer": 2, "discard_after": 3},
        "ParameterServer": {"bound": 2, "discard_after": 3, "restart": True, "buffer": 2},
        "Synchronous": {"wait_for": 2},
    },
    "forecasting": {
        "forecast": {
            "workers": 2, "step_size": 0.5, "batch_size": 4, "epochs": 2, "seed": 3, "timing_seed": 5,
            "L": 1.5, "noise": 0.5, "n_params": 7, "n_samples": 40, "samples": 9,
        },
        "gradient_variance": {"problem": problems.log_cosh(2, noise=0.5), "batch_size": 2, "pairs": 3, "seed": 3},
        "smoothness": {
            "problem": problems.log_cosh(2), "samples": 4, "iterations": 10, "tolerance": 0.5, "seed": 3,
        },
    },
    "sweep": {},
}  # fmt: skip
# More ways to call: where arguments exclude each other, where a class must be used to be checked
MORE = [
    (rules.mindthestep, {"model": "geometric", "momentum": 0.5, "p": 0.25, "clip": 4.0, "drop_after": 20}),
    (rules.mindthestep, {"model": "poisson", "mean": 4.0}),
    (rules.mindthestep, {"model": "cmp", "rate": 4.0, "dispersion": 1.5}),
    (rules.check, {"rule": "constant", "seed": 3, "tries": 4}),
    (staleness.geometric, {"p": 0.25}),
    (forecasting.forecast, {"L": 1.5, "updates": 9}),
    (forecasting.forecast, {"workers": "1", "momentum": 0.5, "direct_share": 0.5, "updates": 9}),  # one: a formula
    (analysis.Target, {"loss": 0.5}),
    (estimated, {"half_life": 2.5}),
    (estimated, {"window": 3}),
    (counted, {"workers": 2, "worker": 1}),
    (layers, {"units": 3, "channels": 2, "kernel": 5, "size": 2, "stride": 1, "padding": 1, "p": 0.5, "slope": 0.25}),
    (saved, {"dpi": 20.0}),
]
# Public parameters that CALLS and MORE leave out, and why
ELSEWHERE = {
    "are written in a declaration, and not by users": ("schemes option",),
    "are results, whose numbers the package makes": (
        "rules AdaDelay Budget AdaDelay.factor Budget.factor AdaDelay.numbers Budget.numbers Finding Report",
        "timing Component", "staleness Fit",
        "staleness StalenessDistribution", "problems Constants Parameter Problem Problem.initial",
        "forecasting Constant Estimate Figures Forecast Known Objective",
        "theory HeavyBall Repairman", "analysis BestStep Crossing Interval SpeedUp",
        "sweep Outcome Progress Grid Sweep Sweep.seed_of",
    ),
    "are called with a number of workers that was checked": (
        "schemes Scheme.gradients Scheme.check_workers Synchronous.gradients Synchronous.check_workers",
    ),
    "are in MORE": (
        "rules mindthestep", "staleness StalenessEstimator WorkerHistogram WorkerHistogram.distribution",
        "problems AveragePool Conv Dense Dropout LeakyReLU MaxPool", "plots save",
    ),
    "hand on to what is here": (
        "analysis best_step_size comparison speed_up", "plots loss speed_up survival time_to_target",
        "problems custom", "sweep run_sweep",
    ),
}  # fmt: skip


def is_scalar(parameter):
    return str(parameter.annotation) in SCALARS


def taken(function):
    """The parameters of one function that are single numbers."""
    return {name for name, parameter in inspect.signature(function).parameters.items() if is_scalar(parameter)}


def public(module):
    """Functions, classes and methods of a module's names that take single numbers."""
    home = importlib.import_module(f"asapnb.{module}")
    for name in home.__all__:
        thing = getattr(home, name)
        if callable(thing):
            own = vars(thing) if inspect.isclass(thing) else {}
            methods = {
                f"{name}.{key}": item for key, item in own.items() if key[0] != "_" and inspect.isfunction(item)
            }
            yield from ((key, item) for key, item in {name: thing, **methods}.items() if taken(item))


@pytest.mark.parametrize("module", CALLS)
def test_no_public_number_is_left_out(module):
    elsewhere = {f"{line.split()[0]}.{name}" for lines in ELSEWHERE.values() for line in lines
                 for name in line.split()[1:]}  # fmt: skip
    more = {(function, name) for function, given in MORE for name in given}
    for name, function in public(module):
        if f"{module}.{name}" not in elsewhere:
            missing = {
                key for key in taken(function) - CALLS[module].get(name, {}).keys() if (function, key) not in more
            }
            assert not missing, f"{module}.{name}: {missing}"


CASES = [
    *(
        (function, arguments, name)
        for module, calls in CALLS.items()
        for (path, function) in public(module)
        for arguments in [calls.get(path, {})]
        for name in sorted(arguments.keys() & taken(function))
    ),
    *((f, given, name) for f, given in MORE for name, value in given.items() if isinstance(value, int | float)),
]


@pytest.fixture(scope="module", autouse=True)
def record(tmp_path_factory):
    """A run of two parameters, and a folder with a file of timings to read."""
    saved.__defaults__[0].append(tmp_path_factory.mktemp("figures"))
    return analysis.records(simulate(ab.problems.quadratic([1.0, 2.0]), updates=40, batch_size=1))[0]


@pytest.fixture
def called(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    timing.save_timing("timing.toml", {1: timing.Timing(), 2: timing.Timing(2.0)})

    def call(function, arguments):
        given = {
            name: record if isinstance(value, str) and value == "record" else value
            for name, value in arguments.items()
        }
        return known(function(**given))

    return call


def known(thing):
    """What there is to tell of a result, so that equal ones are equal."""
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.tolist()
    if isinstance(thing, tuple | list):
        return [known(item) for item in thing]
    if isinstance(thing, staleness.StalenessDistribution):
        return thing.pmf.tolist(), thing.truncated
    if isinstance(thing, problems.Problem):
        return thing.config, thing.inputs.tolist()[:99], thing.layout
    if isinstance(thing, rules.ScaleTables):
        return thing.workers, known(thing.current)
    return type(thing).__name__ if type(thing).__name__ == "Figure" else repr(thing)


def label(case):
    return f"{getattr(case[0], '__qualname__', case[0])}-{case[2]}"


@pytest.mark.parametrize("case", CASES, ids=label)
def test_equal_numbers_do_the_same(case, called):
    function, arguments, name = case
    plain = arguments[name]
    same = [np.int64(plain), np.uint16(plain)] if isinstance(plain, int) else [np.float32(plain), Fraction(plain)]
    if isinstance(plain, float) and plain.is_integer():
        same += [int(plain), np.int64(plain)]
    expected = called(function, arguments)
    for value in same:
        assert called(function, arguments | {name: value}) == expected, repr(value)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_what_is_no_number_is_refused(case, called):
    function, arguments, name = case
    parameter = inspect.signature(function).parameters.get(name)
    for value in (True, np.True_, "x", "1", math.nan, math.inf, None, [1], 1j):
        if value is None and ("None" in str(parameter.annotation) or function in (estimated, counted, saved)):
            continue  # which stands for a default
        with pytest.raises((UsageError, RuleError)) as caught:
            called(function, arguments | {name: value})
        assert type(caught.value) in (UsageError, RuleError), repr(value)


# --- in one place ---------------------------------------------------------------------------------------------------

OTHER_USES = {  # where a type decides how something is written, stored or laid out, or what a file may hold
    "asapnb/analysis/choosing.py",
    "asapnb/analysis/records.py",
    "asapnb/analysis/tables.py",
    "asapnb/arena/results.py",
    "asapnb/config.py",
    "asapnb/data/options.py",
    "asapnb/data/recorded.py",
    "asapnb/data/table.py",
    "asapnb/errors.py",
    "asapnb/formatting.py",
    "asapnb/identity/piece.py",
    "asapnb/problems/emit.py",
    "asapnb/problems/plan.py",
    "asapnb/problems/text.py",
    "asapnb/record/attributes.py",
    "asapnb/record/changes.py",
    "asapnb/record/lease.py",
    "asapnb/record/structure.py",
    "asapnb/record/text.py",
    "asapnb/report/points.py",
    "asapnb/rules/framework.py",
    "asapnb/text.py",
    "asapnb/timing/timing.py",
    "asapnb/training/apart.py",
    "asapnb/training/attributes.py",
    "asapnb/training/watching.py",
}


def type_tests(tree):
    """Lines that ask whether something is a bool, an int, a float or the like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            asked = {getattr(part, "id", getattr(part, "attr", None)) for part in ast.walk(node.args[1])}
            if asked & {
                "bool",
                "bool_",
                "int",
                "integer",
                "float",
                "floating",
                "Real",
                "Integral",
                "Number",
                "number",
            }:
                yield node.lineno


def test_numbers_are_checked_in_one_module():
    files = [path for root in ("asapnb", "cli") for path in sorted(ROOT.glob(f"{root}/**/*.py"))]
    found = {str(path.relative_to(ROOT)) for path in files if any(type_tests(ast.parse(path.read_text())))}
    assert found == OTHER_USES | {"asapnb/numbers.py"}
