"""Cells of text tables to numbers and times, with every problem on a list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from crossmargin.basics.errors import Problem
from crossmargin.basics.names import LONGEST_NAME
from crossmargin.basics.times import parse_utc

LARGEST = 1e15
"""Largest magnitude of a price: beyond it a unit is wrong, and products of prices and quantities would lose sense."""
SMALLEST = 1e-15
"""Smallest magnitude of a price that is not 0."""
MOST_VOL = 1000.0
"""Largest Black volatility, as a decimal: 100,000%."""
_MISSING = frozenset({"", "-", "null", "None", "NaN", "nan", "N/A", "n/a"})
"""Ways in which files say that there is no value. Missing, not 0: the policy decides what stands in."""


def shown(text: str, most: int = 80) -> str:
    """`text` for a message: what cannot be shown escaped, what is long shortened."""
    visible = text if text.isprintable() else repr(text)[1:-1]
    return visible if len(visible) <= most else visible[:most] + "\N{HORIZONTAL ELLIPSIS}"


def names_fit(names: Sequence[str]) -> bool:
    """Whether `name_fault` finds nothing in any of these names, which may be a million."""
    return max(map(len, names), default=0) <= LONGEST_NAME and "".join(names).isprintable()


class Cells:
    """Reads cells of one table and collects what is wrong."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems

    def wrong(self, row: int | None, column: str, found: str, needed: str = "") -> None:
        """Put a problem on the list."""
        self.problems.append(Problem(found=found, needed=needed, file=self.file, row=row, column=column))

    def number(
        self, text: str, row: int | None, column: str, *, low: float = -LARGEST, high: float = LARGEST
    ) -> float | None:
        """A number from `low` to `high`, or `None` if the cell is empty or a problem."""
        if text in _MISSING:
            return None
        try:
            if "_" in text or not text.isascii():  # Python reads 1_000 and digits of every script
                raise ValueError
            value = float(text)
        except ValueError:
            self.wrong(row, column, f"'{shown(text)}' is not a number", "Write a decimal number, or leave it empty.")
            return None
        if not math.isfinite(value):
            self.wrong(row, column, f"'{shown(text)}' is not finite", "Leave it empty if there is no value.")
        elif value < low:
            self.wrong(row, column, f"{shown(text)} is below {low:g}", "Check the sign and the unit.")
        elif value > high:
            self.wrong(row, column, f"{shown(text)} is above {high:g}", "Check the unit.")
        elif value and abs(value) < SMALLEST:
            self.wrong(row, column, f"{shown(text)} is closer to 0 than {SMALLEST:g}", "Check the unit.")
        else:
            return value
        return None

    def time(self, text: str, row: int | None, column: str) -> datetime | None:
        """A time with its zone, in UTC."""
        try:
            return parse_utc(text)
        except (ValueError, OverflowError) as error:
            self.wrong(
                row,
                column,
                f"'{shown(text)}' is no time ({shown(str(error))})",
                "Write it like 2026-01-31T08:00:00Z.",
            )
            return None
