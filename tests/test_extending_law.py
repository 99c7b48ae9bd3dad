"""docs/how-to/extending/law.md: its law does what every law of asapnb is tested for."""

import pytest
from pages import run_page
from test_timing_laws import CHECKS, draws_are_those_of_the_twin

import asapnb as ab
from asapnb.timing.times import LAWS, TIMES


@pytest.fixture
def law(tmp_path, monkeypatch):
    """The law that the page declares; it is forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    run_page("docs/how-to/extending/law.md")
    yield LAWS["arcsine"]
    del LAWS["arcsine"], TIMES["arcsine"]


def test_the_law_of_the_page_is_like_any_other(law, tmp_path):
    assert ab.timing.parse_times("arcsine(low=1.0, high=3.0)").variance == 0.5
    for example in law.examples:
        for check in CHECKS:
            if check is not draws_are_those_of_the_twin:  # which is for the kinds that the sampler has
                check(law.build(example), tmp_path)
