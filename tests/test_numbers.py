"""What counts as a number, everywhere."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from asapnb.errors import UsageError
from asapnb.numbers import choice, integer, real, switch


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_an_integer_is_what_can_be_an_index(value):
    found = integer("n", value, 1, 3)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, Fraction(3), [3], 0, 4, np.array([3])])
def test_what_is_no_integer_in_the_range_is_refused(value):
    with pytest.raises(UsageError, match=r"^n is .*: must be an integer from 1 to 3 \(why\)$"):
        integer("n", value, 1, 3, note=" (why)")


def test_an_integer_without_a_largest_value():
    assert integer("n", 10**30) == 10**30
    with pytest.raises(UsageError, match="n is -1: must be an integer of at least 0"):
        integer("n", -1)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int16(1), Fraction(1)])
def test_a_real_number_is_of_any_exact_or_floating_type(value):
    found = real("x", value, 0, 1)
    assert (found, type(found)) == (1.0, float)


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, [1.0], Decimal(1), math.nan, math.inf, 10**400])
def test_what_is_no_finite_real_number_is_refused(value):
    with pytest.raises(UsageError, match=r"^x is .*: must be a finite number$"):
        real("x", value)


def test_the_ends_of_a_range_count_unless_they_are_excluded():
    assert [real("x", end, 0, 1) for end in (0, 1)] == [0.0, 1.0]
    with pytest.raises(UsageError, match="x is 0: must be a finite number above 0 and of at most 1"):
        real("x", 0, 0, 1, above=True)
    with pytest.raises(UsageError, match="x is 1: must be a finite number of at least 0 and below 1"):
        real("x", 1, 0, 1, below=True)


@pytest.mark.parametrize("value", [1e-60, 1e60, 1 - 1e-12])
def test_a_range_holds_after_rounding_to_the_dtype(value):
    assert real("x", value, 0, above=True) == value
    with pytest.raises(UsageError, match="in float32"):
        real("x", value, 0, 1, above=True, below=True, dtype=np.dtype(np.float32))


def test_switches_and_choices():
    assert [switch("on", value) for value in (True, np.False_)] == [True, False]
    for value in (1, "true", None):
        with pytest.raises(UsageError, match=r"on is .*: must be True or False"):
            switch("on", value)
    assert choice("kind", "a", ("a", "b")) == "a"
    for value in ("c", 1, None):
        with pytest.raises(UsageError, match="unknown kind"):
            choice("kind", value, ("a", "b"))
