"""Cells of text tables to numbers and times, with every problem on a list."""

from __future__ import annotations

import math
from datetime import datetime

from crossmargin.basics.errors import Problem
from crossmargin.basics.times import parse_utc

_MISSING = frozenset({"", "-", "null", "None", "NaN", "nan", "N/A", "n/a"})
"""Ways in which files say that there is no value. Missing, not 0: the policy decides what stands in."""


class Cells:
    """Reads cells of one table and collects what is wrong."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems

    def wrong(self, row: int | None, column: str, found: str, needed: str = "") -> None:
        """Put a problem on the list."""
        self.problems.append(Problem(found=found, needed=needed, file=self.file, row=row, column=column))

    def number(self, text: str, row: int, column: str, *, low: float = -math.inf) -> float | None:
        """A finite number at least `low`, or `None` if the cell is empty or a problem."""
        if text in _MISSING:
            return None
        try:
            value = float(text)
        except ValueError:
            self.wrong(
                row, column, f"'{text[:80]}' is not a number", "Write a decimal number, or leave it empty."
            )
            return None
        if not math.isfinite(value):
            self.wrong(row, column, f"'{text}' is not finite", "Leave it empty if there is no value.")
            return None
        if value < low:
            self.wrong(row, column, f"{text} is below {low:g}", "Check the sign and the unit.")
            return None
        return value

    def time(self, text: str, row: int, column: str) -> datetime | None:
        """A time with its zone, in UTC."""
        try:
            return parse_utc(text)
        except ValueError as error:
            self.wrong(
                row, column, f"'{text[:80]}' is no time ({error})", "Write it like 2026-01-31T08:00:00Z."
            )
            return None
