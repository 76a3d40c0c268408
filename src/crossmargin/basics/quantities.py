"""Exact quantities: decimals as whole multiples of 1e-8 in a signed 64-bit integer.

Positions are netted on these integers, so `0.1 + 0.2 - 0.3` is no position, and become `float64` once, when a
method multiplies them with its unit P&L table. Finer than 1e-8 is refused rather than rounded.
"""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import Problem, QuantityError

STEPS_PER_UNIT = 10**8
QUANTITY_LIMIT = 9 * 10**18
"""Largest magnitude in steps, for one row and for a sum: 90 billion units. Below 2**63 with room to detect."""

_WIDE = Context(prec=60)
_LONGEST_TEXT = 64


def quantity_steps(text: str) -> int:
    """Steps of 1e-8 in a decimal number written as text.

    Raises
    ------
    QuantityError
        If `text` is no finite decimal number, is finer than 1e-8 or too large.
    """
    if len(text) > _LONGEST_TEXT:
        raise QuantityError(f"a quantity of {len(text)} characters; at most {_LONGEST_TEXT} are read")
    try:
        if not text.isascii() or "_" in text:  # Decimal reads 1_000 and other scripts' digits; people mistype them
            raise InvalidOperation
        number = Decimal(text.strip())
    except InvalidOperation:
        raise QuantityError(_not_a_number(text)) from None
    return decimal_steps(number)


def decimal_steps(number: Decimal) -> int:
    """Steps of 1e-8 in a `Decimal`; errors as `quantity_steps`."""
    if not number.is_finite():
        raise QuantityError(_not_a_number(str(number)))
    if number and not -40 < number.adjusted() < 20:
        raise QuantityError(_out_of_range(str(number)))
    steps = _WIDE.multiply(number, STEPS_PER_UNIT)
    whole = int(steps)
    if whole != steps:
        raise QuantityError(
            Problem(
                found=f"quantity {number} is finer than 1e-8",
                needed="Round it to 8 decimals: quantities are exact, nothing is rounded silently.",
                kind=QuantityError,
            )
        )
    if abs(whole) > QUANTITY_LIMIT:
        raise QuantityError(_out_of_range(str(number)))
    return whole


def float_steps(values: FloatArray) -> tuple[IntArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Steps of 1e-8 in float quantities, and which of them are the nearest double to such a multiple.

    A file that stores 0.1 as a double means 0.1. A double that is not the nearest one to any multiple of 1e-8
    says something finer, and is marked as not exact, as are NaN, infinities and what is too large.
    """
    finite = np.isfinite(values) & (np.abs(values) <= QUANTITY_LIMIT / STEPS_PER_UNIT)
    safe = np.where(finite, values, 0.0)
    steps = np.rint(safe * STEPS_PER_UNIT).astype(np.int64)
    exact = steps / STEPS_PER_UNIT == safe
    # Beyond 2**52 steps the product rounds too: the right multiple may be a neighbour.
    for neighbour in (steps - 1, steps + 1):
        closer = ~exact & (neighbour / STEPS_PER_UNIT == safe)
        steps = np.where(closer, neighbour, steps)
        exact |= closer
    return steps, exact & finite


def steps_to_float(steps: IntArray) -> FloatArray:
    """Quantities in units, once: correctly rounded for |steps| < 2**53."""
    return steps / np.float64(STEPS_PER_UNIT)


def steps_to_decimal(steps: int) -> Decimal:
    """Exact decimal quantity."""
    return _WIDE.divide(Decimal(int(steps)), STEPS_PER_UNIT).normalize(_WIDE) + 0


def format_quantity(steps: int) -> str:
    """Exact quantity without exponent or trailing zeros: `-2`, `0.25`."""
    return f"{steps_to_decimal(steps):f}"


def _not_a_number(text: str) -> Problem:
    shown = text.strip()
    found = "quantity is empty" if not shown else f"quantity '{shown}' is not a finite number"
    return Problem(found=found, needed="Write a decimal number such as -2 or 0.25.", kind=QuantityError)


def _out_of_range(text: str) -> Problem:
    return Problem(
        found=f"quantity {text} is out of range",
        needed=f"At most {QUANTITY_LIMIT // STEPS_PER_UNIT:,} units in steps of 1e-8.",
        kind=QuantityError,
    )
