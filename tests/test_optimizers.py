"""Optimizers and ordered momentum: texts, laws, and runs that are recomputed from their rows, to the bit."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import OPTIMIZED, optimized, ordered, recompute, rounds, synchronous, updated
from problems import CONSISTENT, quadratic, train

import asapnb as ab
from asapnb.kernels.steps import OPTIMIZERS as COMPILED
from asapnb.optimizers import OPTIMIZERS, Optimizer, parse_optimizer
from asapnb.optimizers.optimizer import option, register

STEPS = {
    "adam": {"optimizer": ab.Adam(beta1=0.8, beta2=0.9)},
    "amsgrad": {"optimizer": "amsgrad(beta2=0.9, epsilon=0.001)"},
    **{name: {"optimizer": name} for name in OPTIMIZERS if name not in ("sgd", "adam", "amsgrad")},
    "ordered": {"momentum": 0.8, "momentum_kind": "ordered"},
}
USUAL = {"step_size": 0.02, "weight_decay": 0.01, "rule": "inverse"}


# --- texts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_prints_what_is_read_again(name):
    made = OPTIMIZERS[name]()
    assert parse_optimizer(repr(made)) == parse_optimizer(name) == made
    assert len(made.source) > 10
    shown = ab.simulate(quadratic(), optimizer=name.upper(), updates=3, workers=2).config["optimizer"]
    assert parse_optimizer(shown) == made


@given(st.floats(0, 0.99), st.floats(0, 0.999), st.floats(1e-12, 1))
def test_options_are_printed_exactly(beta1, beta2, epsilon):
    made = ab.Adam(beta1, beta2=beta2, epsilon=epsilon)
    assert parse_optimizer(str(made)) == made


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (
            {"optimizer": "adem"},
            "unknown optimizer 'adem'; available: adagrad, adam, amsgrad, sgd. Did you mean 'adam'",
        ),
        ({"optimizer": "adam(beta=1)"}, "unknown parameter of adam 'beta'"),
        ({"optimizer": "adam(beta1=1)"}, "beta1 of adam is 1: must be a finite number of at least 0 and below 1"),
        ({"optimizer": "adam(beta2=0.99999999)"}, "beta2 of adam is 0.99999999: .* below 1, in float32"),
        ({"optimizer": "adagrad(epsilon=1e-60)"}, "epsilon of adagrad is 1e-60: .* above 0, in float32"),
        ({"optimizer": 3}, r"optimizer is 3: give the text of one, such as 'adam\(beta1=0.9\)'"),
        ({"optimizer": "adam", "scheme": "hogwild"}, r"optimizer is adam\(.*: the updates of Hogwild.* race"),
        ({"momentum": 0.5, "momentum_kind": "ordered", "scheme": "hogwild"}, "'ordered': the updates of Hogwild"),
        ({"optimizer": "adam", "momentum": 0.5}, r"optimizer is adam\(.*\) and momentum is 0.5"),
        ({"optimizer": "adagrad", "direct_share": 0.5}, r"optimizer is adagrad\(.*\) and direct_share is 0.5"),
        ({"momentum": 0.5, "momentum_kind": "ordered", "direct_share": 0.5}, "is 'ordered' and direct_share is 0.5"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_said(given, error):
    for run in (ab.train, ab.simulate):
        with pytest.raises(ab.UsageError, match=error):
            run(quadratic(), updates=5, **given)


def test_every_optimizer_has_a_step_a_twin_a_name_and_a_row_in_the_page():
    names = {*OPTIMIZERS} - {"sgd"}
    assert {*COMPILED} == names
    assert {*OPTIMIZED} >= names
    assert {one.__name__ for one in OPTIMIZERS.values()} <= {*ab.optimizers.__all__}
    page = (
        (Path(__file__).parents[1] / "docs/reference/optimizers.md")
        .read_text()
        .partition("## Optimizers")[2]
        .partition("\n## ")[0]
    )
    rows = re.findall(r"^\| `(\w+.*?)` \|.*?\| (\d)[^|]* \|", page, re.MULTILINE)
    assert {parse_optimizer(text): int(vectors) for text, vectors in rows} == {
        one(): one.moments for one in OPTIMIZERS.values()
    }


def test_an_optimizer_without_a_compiled_step_or_with_too_many_options_is_an_error(monkeypatch):
    monkeypatch.setattr(ab.optimizers.optimizer, "OPTIMIZERS", {})

    @register
    class Mine(Optimizer):
        """x."""

        name, moments, source = "mine", 1, "nowhere"

    for run in (ab.train, ab.simulate):
        with pytest.raises(ab.UsageError, match="optimizer is mine: it has no compiled step"):
            run(quadratic(), optimizer=Mine(), updates=5)
    four = {"__annotations__": dict.fromkeys("abcd", float), "name": "four"}
    with pytest.raises(ab.UsageError, match="'four' has 4 options: at most 3"):
        register(type("Four", (Optimizer,), {**four, **{key: option(default=0.5) for key in "abcd"}}))


# --- laws --------------------------------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 4), st.sampled_from([0.0, 0.3, 0.9]))
def test_ordered_momentum_is_that_of_rounds_whatever_the_order_of_arrival(data, workers, momentum):
    """Once all gradients have come, parameters and velocity are those of rounds of groups of versions."""
    updates = data.draw(st.integers(1, 14))
    read = [data.draw(st.integers(0, made - 1)) for made in range(1, updates + 1)]
    gradients = [
        np.float64(value) for value in data.draw(st.lists(st.integers(-9, 9), min_size=updates, max_size=updates))
    ]
    config = {"workers": workers, "momentum": momentum}
    x, velocity = np.zeros(1), np.zeros(1)
    for made, (version, g) in enumerate(zip(read, gradients, strict=True), 1):
        x = ordered(x, velocity, g, np.float64(0.5), config, made, version)
    expected, v = np.zeros(1), np.zeros(1)
    for group in range(-(-(updates - 1) // workers) + 1):
        g = sum(
            (g for version, g in zip(read, gradients, strict=True) if -(-version // workers) == group), np.float64(0)
        )
        expected, v = updated(expected, v, g, 0.5, config) if momentum else (expected - 0.5 * g, -0.5 * g)
    np.testing.assert_allclose(x, expected, atol=1e-9)
    np.testing.assert_allclose(velocity, v, atol=1e-9)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.sampled_from([0.1, 0.9]))
def test_ordered_momentum_of_fresh_gradients_is_momentum(gradients, momentum):
    config = {"workers": 1, "momentum": momentum}
    x, velocity, y, v = (np.zeros(1) for _ in range(4))
    for version, g in enumerate(gradients):
        x = ordered(x, velocity, np.float64(g), np.float64(0.1), config, version + 1, version)
        y, v = updated(y, v, np.float64(g), 0.1, config)
    assert (x, velocity) == (y, v)


def steps_of(optimizer, gradients):
    x, moments = [np.zeros(1)], np.zeros((3, 1))
    for version, g in enumerate(gradients, 1):
        x.append(optimized(x[-1], moments, np.array([g]), np.float64(0.1), optimizer, version))
    return np.ravel(x)


@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=9), st.integers(-20, 20))
def test_steps_do_not_depend_on_the_size_of_gradients(gradients, power):
    for name in ("adam", "amsgrad", "adagrad"):
        optimizer = parse_optimizer(f"{name}(epsilon=1e-300)")
        larger = steps_of(optimizer, [2.0**power * g for g in gradients])
        np.testing.assert_allclose(larger, steps_of(optimizer, gradients), rtol=1e-12)


@given(st.floats(0.1, 9), st.integers(1, 30))
def test_equal_gradients_give_steps_of_known_size(gradient, updates):
    adam = steps_of(ab.Adam(epsilon=1e-300), [gradient] * updates)
    np.testing.assert_allclose(np.diff(adam), -0.1, rtol=1e-9)  # without their bias the means are the gradient
    adagrad = steps_of(ab.AdaGrad(epsilon=1e-300), [gradient] * updates)
    np.testing.assert_allclose(np.diff(adagrad), -0.1 / np.sqrt(np.arange(1, updates + 1)), rtol=1e-9)


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=20))
def test_amsgrad_never_lets_its_divisor_fall(gradients):
    optimizer = ab.AMSGrad(beta1=0, beta2=0.5, epsilon=1e-3)
    moments, peak = np.zeros((3, 1)), 0.0
    for version, g in enumerate(gradients, 1):
        optimized(np.zeros(1), moments, np.array([g]), np.float64(0.1), optimizer, version)
        assert moments[2, 0] >= peak
        peak = moments[2, 0]


# --- runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [*CONSISTENT, ab.Leashed(check_early=True)], ids=repr)
@pytest.mark.parametrize("given", STEPS.values(), ids=STEPS)
def test_threads_make_the_parameters_of_the_rows_and_a_replay_too(given, scheme):
    run = train(quadratic(), scheme, workers=3, updates=60, **USUAL, **given)
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])
    again = ab.replay(run, quadratic())
    assert again.params["final"].tobytes() == run.params["final"].tobytes()


@pytest.mark.parametrize("scheme", ["lock-based", "leashed(persistence=0)", "parameter-server(discard_after=3)"])
@pytest.mark.parametrize("given", STEPS.values(), ids=STEPS)
def test_a_simulated_run_is_recomputed_from_its_rows(given, scheme):
    problem, timing = quadratic(), "compute=gamma(mean=1, cv=0.5), update=0.1, retry=0.1"
    run = ab.simulate(problem, scheme, workers=4, updates=60, timing=timing, **USUAL, **given)
    np.testing.assert_array_equal(recompute(problem, run), run.params["final"])


@pytest.mark.parametrize("given", STEPS.values(), ids=STEPS)
def test_rounds_have_one_set_of_moments(given):
    problem = quadratic()
    run = train(problem, "synchronous", workers=3, updates=30, **USUAL, **given)
    np.testing.assert_array_equal(synchronous(problem, run), run.params["final"])
    waited = ab.simulate(problem, ab.Synchronous(wait_for=2), workers=3, updates=30, **USUAL, **given)
    np.testing.assert_array_equal(rounds(problem, waited), waited.params["final"])
    alone = train(problem, "sequential", updates=30, **USUAL, **given)
    np.testing.assert_array_equal(recompute(problem, alone), alone.params["final"])


def alternating(staleness, workers):
    """Every other staleness has the scale 0."""
    return np.arange(len(staleness)) % 2 == 0


@pytest.mark.parametrize("given", STEPS.values(), ids=STEPS)
def test_a_gradient_of_scale_zero_leaves_the_moments_of_an_optimizer(given):
    run = ab.simulate(quadratic(), "lock-based", alternating, 4, updates=60, prior="counts([1, 1, 1, 1])", **given)
    dropped = run.updates["dropped"] == 2
    assert 10 < dropped.sum() < 50
    np.testing.assert_array_equal(recompute(quadratic(), run), run.params["final"])


@pytest.mark.parametrize("name", [name for name in STEPS if name == "ordered" or OPTIMIZERS[name].moments])
@pytest.mark.parametrize("scheme", ["lock-based", "leashed", "synchronous"])
def test_a_run_goes_on_with_what_its_steps_carry_on(name, scheme, tmp_path):
    given, carried = {**USUAL, **STEPS[name]}, "velocity" if name == "ordered" else "moments"
    vectors = 1 if name == "ordered" else OPTIMIZERS[name].moments
    first = train(quadratic(), scheme, workers=2, updates=20, out=tmp_path / "run.h5", **given)
    assert first.params[carried].shape == (vectors, quadratic().n_params)
    assert ab.load_run(tmp_path / "run.h5").params[carried].any()
    run = ab.resume(tmp_path / "run.h5", problem=quadratic(), updates=50)
    assert run.attributes["resumed"] == [{"version": 20, "velocity": True}]
    again = synchronous if scheme == "synchronous" else recompute
    np.testing.assert_array_equal(again(quadratic(), run), run.params["final"])


def test_another_optimizer_is_a_matter_of_a_replay():
    run = ab.simulate(quadratic(), workers=4, updates=40, step_size=0.02)
    other = ab.replay(run, quadratic(), optimizer="adam")
    assert (other.updates["tau"] == run.updates["tau"]).all()
    assert (other.params["final"] != run.params["final"]).any()
    same = ab.simulate(quadratic(), workers=4, updates=40, step_size=0.02, optimizer="adam")
    np.testing.assert_array_equal(other.params["final"], same.params["final"])


def test_no_largest_stable_step_is_said_to_be_known():
    for steps, what in (({"optimizer": "adam"}, "adam"), ({"momentum": 0.5, "momentum_kind": "ordered"}, "ordered")):
        found = ab.forecast(workers=4, updates=50, L=1.0, noise=1.0, **steps)
        assert found.largest_step is None
        assert any(f"The largest stable step of {what}" in note for note in found.notes)
        assert (found.noise_loss is None) == ("optimizer" in steps)
    with pytest.raises(ab.UsageError, match="unknown momentum_kind 'ordered'"):
        ab.theory.stable_step("constant", workers=2, momentum=0.5, momentum_kind="ordered")


def test_a_contestant_of_the_arena_may_have_an_optimizer():
    assert ab.arena.contestant("constant", optimizer="adagrad").name == "constant, optimizer=adagrad"
