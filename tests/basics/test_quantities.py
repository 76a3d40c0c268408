"""Exact quantities: decimals to steps of 1e-8 and back; nothing is rounded silently."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import QuantityError
from crossmargin.basics.quantities import (
    QUANTITY_LIMIT,
    STEPS_PER_UNIT,
    decimal_steps,
    float_steps,
    format_quantity,
    quantity_steps,
    steps_to_decimal,
    steps_to_float,
)

STEPS = st.integers(-QUANTITY_LIMIT, QUANTITY_LIMIT)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("0.1", 10_000_000),
        ("-2", -200_000_000),
        (" 3.5 ", 350_000_000),
        ("1e-8", 1),
        ("-0.00000001", -1),
        ("1E3", 100_000_000_000),
        ("+7", 700_000_000),
        ("0", 0),
        ("-0.0", 0),
        ("0e-30", 0),
        ("90000000000", QUANTITY_LIMIT),
        ("1.000000000000000000000", 100_000_000),
    ],
)
def test_text_is_read_exactly(text: str, steps: int) -> None:
    assert quantity_steps(text) == steps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "quantity is empty"),
        ("   ", "quantity is empty"),
        ("two", "'two' is not a finite number"),
        ("1,5", "'1,5' is not a finite number"),
        ("nan", "not a finite number"),
        ("sNaN", "not a finite number"),
        ("-inf", "not a finite number"),
        ("0.000000001", "finer than 1e-8"),
        ("1.123456789", "finer than 1e-8"),
        ("1e-400", "out of range"),
        ("1e400", "out of range"),
        ("90000000000.00000001", "out of range"),
        ("1" * 65, "65 characters"),
    ],
)
def test_what_is_no_exact_quantity_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(QuantityError, match=message):
        quantity_steps(text)


@given(steps=STEPS)
def test_decimal_and_text_come_back(steps: int) -> None:
    assert decimal_steps(steps_to_decimal(steps)) == steps
    text = format_quantity(steps)
    assert quantity_steps(text) == steps
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith("0"))


@given(steps=STEPS)
def test_float_is_the_nearest_double(steps: int) -> None:
    ours = float(steps_to_float(np.array([steps]))[0])
    nearest = float(Decimal(steps) / STEPS_PER_UNIT)
    if abs(steps) < 2**53:
        assert ours == nearest
    else:
        assert ours == pytest.approx(nearest, rel=3e-16)


@given(steps=st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=30))
def test_doubles_of_a_file_come_back_exactly(steps: list[int]) -> None:
    """A file that stores 0.1 as a double means 0.1: every multiple of 1e-8 up to 45 million survives."""
    back, exact = float_steps(np.array(steps) / 1e8)
    assert exact.all()
    assert back.tolist() == steps


def test_doubles_that_say_something_finer_are_marked() -> None:
    values = np.array([0.1, 0.1 + 0.2, 0.3, 1e-9, np.nan, np.inf, -np.inf, 1e11, -0.0])
    steps, exact = float_steps(values)
    assert exact.tolist() == [True, False, True, False, False, False, False, False, True]
    assert steps[0] == 10_000_000
    assert steps[-1] == 0


@pytest.mark.parametrize(
    ("steps", "text"), [(0, "0"), (25_000_000, "0.25"), (-200_000_000, "-2"), (10**17, "1000000000")]
)
def test_quantities_are_written_plainly(steps: int, text: str) -> None:
    assert format_quantity(steps) == text


def test_sums_are_exact_where_doubles_are_not() -> None:
    assert 0.1 + 0.2 - 0.3 != 0
    assert quantity_steps("0.1") + quantity_steps("0.2") + quantity_steps("-0.3") == 0
