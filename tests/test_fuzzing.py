"""A few changed inputs for each reader of files and texts; `make fuzz` tries many more, in processes that may die."""

from dataclasses import replace

import pytest
from fuzzing import fault_of, targets

INPUTS = 40


@pytest.mark.parametrize("name", targets())
def test_a_reader_accepts_an_input_or_refuses_it_with_an_error_of_ours(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = targets()[name]
    for number in range(INPUTS):
        content = target.input(f"{name}-test-{number}")
        fault = fault_of(target, content, tmp_path)
        assert fault is None, f"{content!r:.2000}: {fault}"


def test_a_fault_is_found(tmp_path):
    """The harness itself: a reader that raises what is no error of ours."""
    broken = replace(targets()["scheme"], read=lambda text: 1 / 0)
    assert "ZeroDivisionError" in fault_of(broken, broken.input("a"), tmp_path)
