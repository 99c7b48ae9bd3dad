import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_staleness import from_counts

from asapnb.errors import UsageError
from asapnb.staleness import cmp, constant, fit, fits, geometric, ks, poisson

MODELS = {"geometric": geometric, "poisson": poisson, "cmp": cmp}


def log_likelihood(counts, model, parameters):
    """By the formula of each model, the normalising sum of cmp over many terms."""
    k = np.arange(len(counts))
    log_factorial = np.array([math.lgamma(i + 1) for i in range(4000)])
    if model == "geometric":
        logs = math.log(parameters["p"]) + k * math.log1p(-parameters["p"])
    else:
        rate, dispersion = (*parameters.values(), 1.0)[:2]
        terms = np.arange(4000) * math.log(rate) - dispersion * log_factorial
        logs = terms[: len(k)] - np.logaddexp.reduce(terms)
    return float(counts @ logs)


# at least two values that are not neighbours, else no cmp is the most likely one
histograms = st.lists(st.integers(0, 50), max_size=40).map(lambda rest: np.array([3, 1, 2, *rest]))


@settings(max_examples=30)
@given(histograms)
def test_no_other_parameters_are_more_likely(counts):
    from scipy.optimize import minimize

    for model, build in MODELS.items():
        found = fit(counts, model)
        assert found.log_likelihood == pytest.approx(log_likelihood(counts, model, found.parameters), rel=1e-10)
        assert found.aic == 2 * len(found.parameters) - 2 * found.log_likelihood
        assert found.ks == ks(from_counts(counts), found.distribution)
        np.testing.assert_array_equal(found.distribution.pmf, build(**found.parameters).pmf)
        assert found.distribution.mean() == pytest.approx(from_counts(counts).mean(), rel=1e-8)
    rate, dispersion = found.parameters.values()

    def loss(x):
        return -log_likelihood(counts, "cmp", {"rate": math.exp(x[0]), "dispersion": x[1]}) / counts.sum()

    high = -1e-6 if dispersion == 0 else 50.0  # without dispersion there is no pmf for rates from 1 on
    best = minimize(loss, (min(math.log(rate), high), dispersion), bounds=[(-20, high), (0, 60)], method="L-BFGS-B")
    assert -best.fun * counts.sum() <= found.log_likelihood + 1e-7
    np.testing.assert_allclose((math.log(rate), dispersion), best.x, atol=5e-3 * (1 + dispersion))


@pytest.mark.parametrize(
    ("truth", "model", "parameters"),
    [
        (geometric(m=16), "geometric", {"p": 1 / 16}),
        (poisson(15), "poisson", {"mean": 15}),
        (cmp(225, 2), "cmp", {"rate": 225, "dispersion": 2}),
        (cmp(1.5, 0.3), "cmp", {"rate": 1.5, "dispersion": 0.3}),
    ],
)
def test_the_model_and_its_parameters_are_recovered(truth, model, parameters):
    drawn = np.bincount(truth.sample(7, 100_000))
    best, *others = fits(drawn)
    assert best.model == model
    assert [found.aic for found in others] == sorted(found.aic for found in others)
    assert best.aic <= others[0].aic
    for name, value in parameters.items():
        assert best.parameters[name] == pytest.approx(value, rel=0.05)
    assert best.ks < 0.01
    assert abs(best.chi2 - best.degrees) < 5 * math.sqrt(2 * best.degrees)
    # of the pmf itself, as many updates as a run may have: the parameters to many digits, and no distance left
    exact = fit(1e12 * truth.pmf, model)
    for name, value in parameters.items():
        assert exact.parameters[name] == pytest.approx(value, rel=1e-9)
    assert exact.ks < 1e-11


def test_chi_square_shares_cells_of_few():
    # geometric(1/2) of 64 expects 32, 16, 8 and 8 beyond, cells of at least 5: the last two split no further
    found = fit([40, 8, 8, 4, 2, 1, 0, 1], "geometric")
    expected = 64 * found.distribution.pmf
    cells = [expected[0], expected[1], expected[2], expected[3:].sum()]
    assert expected[3:].sum() - expected[3] < 5 <= cells[3]
    assert found.degrees == 4 - 1 - 1
    assert found.chi2 == pytest.approx(sum((s - e) ** 2 / e for s, e in zip([40, 8, 8, 8], cells, strict=True)))


def test_data_at_the_edge_of_the_models():
    for found in fits([5]):
        assert found.log_likelihood == found.ks == 0
        assert found.distribution.support == 0
    always = fit(constant(15).pmf * 30, "cmp")  # less variance than any cmp has
    assert always.parameters["dispersion"] == 100
    assert always.distribution.mean() == pytest.approx(15, rel=1e-9)
    spread = fit([90, *[0] * 98, 10], "cmp")  # more than any: the geometric
    assert spread.parameters["dispersion"] == 0
    assert spread.log_likelihood == pytest.approx(fit([90, *[0] * 98, 10], "geometric").log_likelihood, rel=1e-12)
    huge = fit(np.bincount([300, 330, 280, 305]), "cmp")
    assert huge.distribution.mean() == pytest.approx(303.75, rel=1e-9)


@pytest.mark.parametrize(
    ("counts", "model", "message"),
    [
        ([1, 2], "gaussian", "unknown model of staleness 'gaussian'; available: cmp, geometric, poisson"),
        ([0, 0], "poisson", "counts sum to 0.0"),
        ([[1, 2]], "poisson", "must be a list of numbers"),
        ([1, -1], "cmp", r"counts\[1\] is -1.0"),
    ],
)
def test_bad_fits(counts, model, message):
    with pytest.raises(UsageError, match=message):
        fit(counts, model)
