"""Exchange rates into dollars: what one unit of a currency is worth, from a mapping or a file `currency,usd`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.files.cells import shown
from crossmargin.files.tables import TextTable, as_text_table, read_table

COLUMNS = ("currency", "usd")
CURRENCY = re.compile("[A-Z]{3}")
_LEAST, _MOST = 1e-9, 1e9
"""Dollars for one unit of any currency: outside of these it is the rate of something else."""


def read_fx_rates(source: Any) -> dict[str, float]:
    """Dollars for one unit of each currency; the dollar itself is always there.

    Parameters
    ----------
    source
        A mapping of currency to dollars, or a file or table with the columns `currency` and `usd`; `None` is none.

    Raises
    ------
    InputError
        Listing every rate that is none, every currency that is none or is stated twice.
    """
    rates = {"USD": 1.0}
    if source is None:
        return rates
    problems: list[Problem] = []
    for currency, text, place in _stated(source):
        code = currency.strip().upper()
        value = _number(text)
        if not CURRENCY.fullmatch(code):
            problems.append(
                Problem(found=f"'{shown(currency)}' is no currency", needed="Three letters, like EUR.", **place)
            )
        elif not (math.isfinite(value) and _LEAST <= value <= _MOST):
            needed = "Dollars for one unit, like 1.0854."
            problems.append(Problem(found=f"the rate of {code} is '{shown(str(text))}'", needed=needed, **place))
        elif code == "USD" and value != 1.0:
            problems.append(Problem(found=f"a dollar is {value} dollars", needed="Leave USD out, or state 1.", **place))
        elif code in rates and code != "USD":
            problems.append(Problem(found=f"{code} stands twice", needed="State each currency once.", **place))
        else:
            rates[code] = value
    raise_problems(problems)
    return rates


def _stated(source: Any) -> list[tuple[str, Any, dict[str, Any]]]:
    """Currency, rate and where it stands."""
    if isinstance(source, Mapping) and not set(source) & set(COLUMNS):
        return [(str(currency), rate, {"file": "fx"}) for currency, rate in source.items()]
    table = read_table(Path(source)) if isinstance(source, str | Path) else as_text_table(source, "fx")
    table = _lower(table)
    table.require(COLUMNS, "rates")
    raise_problems(table.problems)
    pairs = zip(table.columns["currency"], table.columns["usd"], strict=True)
    return [(one, rate, {"file": table.file, "row": table.row(k)}) for k, (one, rate) in enumerate(pairs)]


def _lower(table: TextTable) -> TextTable:
    columns = {name.lower(): cells for name, cells in table.columns.items()}
    if len(columns) < len(table.columns):
        raise InputError(Problem(found="a column stands twice", needed="currency and usd, once.", file=table.file))
    return TextTable(
        file=table.file,
        columns=columns,
        first_row=table.first_row,
        lines=table.lines,
        header_row=table.header_row,
        problems=table.problems,
    )


def _number(text: Any) -> float:
    if isinstance(text, bool) or "_" in str(text):
        return math.nan
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return math.nan
