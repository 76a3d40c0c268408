"""Rows of a CRIF to codes and dollars, with every row that is wrong.

Nothing is looked at row by row: a label once for each risk type that it stands beside (`crif_labels`), an amount with
its whole column. What is wrong is kept as masks and said at the end, in the order of the rows. Money is what AmountUSD
says where it says something, and else Amount at the rate of its currency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.basics.errors import InputError, Problem
from crossmargin.basics.names import name_fault
from crossmargin.files.cells import shown
from crossmargin.files.crif_labels import FACTOR, KINDS, MULTIPLIER, PURE_NUMBERS, RISK_TYPES, Fault, Rule, Unused
from crossmargin.files.crif_rows import CrifRows

if TYPE_CHECKING:
    import polars as pl

LARGEST = 1e18
"""Largest amount: beyond it a unit is wrong, and the squares that SIMM takes would lose sense."""
_DIFFERS = 1e-6
"""Part of an amount in dollars by which AmountUSD may differ from it without a notice."""


class Texts(NamedTuple):
    """Distinct texts of a column and the index of each row's."""

    names: list[str]
    codes: IntArray


@dataclass(slots=True, kw_only=True)
class Findings:
    """What is wrong, by row and column, and what is merely said.

    `wrong` are the rows that are rejected; `unknown` those of them whose risk type is none, so that nothing can be said
    of their labels.
    """

    file: str
    row_numbers: IntArray
    wrong: BoolArray
    unknown: BoolArray
    problems: list[tuple[int, str, str, str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, rows: CrifRows) -> Findings:
        none = np.zeros(len(rows), dtype=np.bool_)
        return cls(file=rows.file, row_numbers=rows.row_numbers, wrong=none, unknown=none.copy())

    def reject(self, mask: BoolArray, column: str, say: Callable[[int], tuple[str, str]]) -> None:
        """Every row of `mask` is wrong; `say` what was found and what is needed, given the index of the row."""
        self.wrong |= mask
        for k in np.flatnonzero(mask).tolist():
            found, needed = say(k)
            self.problems.append((k, column, found, needed))

    def reject_row(self, k: int, column: str, found: str, needed: str) -> None:
        """One row is wrong."""
        self.wrong[k] = True
        self.problems.append((k, column, found, needed))

    def notice(self, mask: BoolArray, what: str) -> None:
        """Say something of the rows of `mask`, if it has any."""
        n = int(np.count_nonzero(mask))
        if n:
            first = int(self.row_numbers[int(np.argmax(mask))])
            rows = f"row {first}" if n == 1 else f"{n:,} rows, the first of them row {first}"
            self.notices.append(f"{what} ({rows})")

    def rejected(self, portfolio: Texts) -> list[Problem]:
        """Every problem, in the order of the rows."""
        self.problems.sort(key=lambda problem: problem[0])  # stable: within a row in the order of the checks
        return [
            Problem(
                found=found,
                needed=needed,
                file=self.file,
                row=int(self.row_numbers[k]),
                column=column,
                account=_readable(portfolio.names[int(portfolio.codes[k])]),
                kind=InputError,
            )
            for k, column, found, needed in self.problems
        ]


def _readable(name: str) -> str:
    return name if name and name_fault(name) is None else ""


def column_texts(rows: CrifRows, column: str) -> Texts:
    """A column as distinct texts; where it is missing every text is empty."""
    return texts(rows.columns.get(column), len(rows))


def texts(series: pl.Series | None, n_rows: int) -> Texts:
    """Distinct texts without outer blanks; every text is empty where there is no column."""
    import polars as pl

    if series is None:
        return Texts([""], np.zeros(n_rows, dtype=np.int64))
    written = series.unique()
    codes = series.cast(pl.Enum(written)).to_physical().to_numpy().astype(np.int64)
    place: dict[str, int] = {}
    renumber = np.array([place.setdefault(text.strip(), len(place)) for text in written.to_list()], dtype=np.int64)
    return Texts(list(place), renumber[codes])


def risk_types(rows: CrifRows, findings: Findings) -> IntArray:
    """Index into `KINDS` of each row's risk type; of an unknown one 0, and the row is rejected."""
    found = column_texts(rows, "RiskType")
    place = {name.lower(): k for k, name in enumerate(RISK_TYPES)}
    index = np.array([place.get(name.lower(), -1) for name in found.names], dtype=np.int64)[found.codes]

    def say(k: int) -> tuple[str, str]:
        text = found.names[int(found.codes[k])]
        return f"risk type '{shown(text)}'" if text else "no risk type", f"One of {', '.join(RISK_TYPES)}."

    findings.unknown = index < 0
    findings.reject(findings.unknown, "RiskType", say)
    return np.maximum(index, 0)


def portfolios(rows: CrifRows, findings: Findings) -> Texts:
    """Portfolio of each row, rejected where it has no name."""
    found = column_texts(rows, "PortfolioID")
    faults = [name_fault(name) if name else ("", "") for name in found.names]

    def say(k: int) -> tuple[str, str]:
        code = int(found.codes[k])
        fault = faults[code]
        assert fault is not None
        if not found.names[code]:
            return "no portfolio", "Give every row its PortfolioID."
        return f"the portfolio {fault[0]}", fault[1]

    is_wrong = np.array([fault is not None for fault in faults], dtype=np.bool_)
    findings.reject(is_wrong[found.codes], "PortfolioID", say)
    return found


def labels(rows: CrifRows, column: str, kind: IntArray, rule: Rule, findings: Findings) -> Texts:
    """A label of each row by a rule of `crif_labels`; empty where it is wrong or not used."""
    found = column_texts(rows, column)
    n = len(found.names)
    cell = kind * n + found.codes
    present = np.zeros(len(KINDS) * n, dtype=np.bool_)
    present[cell] = True
    cells = np.flatnonzero(present)
    place: dict[str, int] = {"": 0}
    code_of = np.zeros(len(present), dtype=np.int64)
    fault_of: dict[int, Fault] = {}
    unused: dict[int, list[int]] = {}
    for one in cells.tolist():
        answer = rule(KINDS[one // n], found.names[one % n])
        if isinstance(answer, Fault):
            fault_of[one] = answer
        elif isinstance(answer, Unused):
            unused.setdefault(one // n, []).append(one)
        else:
            code_of[one] = place.setdefault(answer, len(place))
    if fault_of:
        is_fault = np.zeros(len(present), dtype=np.bool_)
        is_fault[list(fault_of)] = True
        findings.reject(is_fault[cell] & ~findings.unknown, column, lambda k: fault_of[int(cell[k])])
    for kind_index, ignored in unused.items():
        is_ignored = np.zeros(len(present), dtype=np.bool_)
        is_ignored[ignored] = True
        findings.notice(is_ignored[cell] & ~findings.wrong, f"{KINDS[kind_index]} has no use for {column}: ignored")
    return Texts(list(place), code_of[cell])


def amounts_usd(rows: CrifRows, kind: IntArray, fx: Mapping[str, float], findings: Findings) -> FloatArray:
    """Dollars of each row; of a factor or a multiplier the number itself. 0 where the row is rejected."""
    amount, has_amount, wrong_amount = _numbers(rows, "Amount", findings)
    stated, has_stated, wrong_stated = _numbers(rows, "AmountUSD", findings)
    silent = wrong_amount | wrong_stated | findings.unknown  # of these rows it is said already what is wrong
    currency = column_texts(rows, "AmountCurrency")
    codes = [name.upper() for name in currency.names]
    rate = np.array([fx.get(code, np.nan) for code in codes])[currency.codes]
    is_number = np.isin(kind, [KINDS.index(name) for name in PURE_NUMBERS])
    findings.reject(~(has_amount | has_stated) & ~silent, "Amount", lambda _: _NO_AMOUNT)

    def say(k: int) -> tuple[str, str]:
        name = currency.names[int(currency.codes[k])]
        if not name:
            return "no currency of the amount", "State AmountCurrency, or AmountUSD."
        code = shown(name.upper())
        return (
            f"no exchange rate of '{shown(name)}'",
            f"Say what one {code} is worth in dollars: --fx FILE (fx=...), or AmountUSD in the row.",
        )

    converted = has_amount & ~has_stated & ~is_number & ~silent
    findings.reject(converted & np.isnan(rate), "AmountCurrency", say)
    in_dollars = np.array([code == "USD" for code in codes], dtype=np.bool_)[currency.codes]
    both = has_amount & has_stated & in_dollars & ~is_number & ~findings.wrong
    differs = both & (np.abs(amount - stated) > _DIFFERS * np.maximum(np.abs(amount), np.abs(stated)) + 0.01)
    findings.notice(differs, "Amount in dollars and AmountUSD differ: AmountUSD counts")
    money = np.where(has_stated, stated, amount * np.where(np.isnan(rate), 0.0, rate))
    value = np.where(is_number, np.where(has_amount, amount, stated), money)
    too_large = (np.abs(value) > LARGEST) & ~silent
    findings.reject(too_large, "Amount", lambda k: (f"{value[k]:g} dollars", f"At most {LARGEST:g}."))
    below_one = (kind == KINDS.index(MULTIPLIER)) & (has_amount | has_stated) & (value < 1.0) & ~silent
    findings.reject(below_one, "Amount", lambda k: (f"a multiplier of {value[k]:g}", "1 or more."))
    negative = (kind == KINDS.index(FACTOR)) & (value < 0.0) & ~silent
    findings.reject(negative, "Amount", lambda k: (f"a factor of {value[k]:g}", "0 or more."))
    result: FloatArray = np.where(findings.wrong, 0.0, value)
    return result


_NO_AMOUNT = ("no amount", "Give AmountUSD, or Amount and AmountCurrency.")


def _numbers(rows: CrifRows, column: str, findings: Findings) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Numbers of a column, 0 where there is none; where there is one; and where there is what is none: rejected."""
    import polars as pl

    series = rows.columns.get(column)
    if series is None:
        nowhere = np.zeros(len(rows), dtype=np.bool_)
        return np.zeros(len(rows)), nowhere, nowhere
    if series.dtype == pl.String:
        stripped = series.str.strip_chars()
        absent = (stripped == "").to_numpy()
        parsed = stripped.cast(pl.Float64, strict=False)
        values = _floats(parsed)
        is_text = ~absent & parsed.is_null().to_numpy()
    else:
        absent = series.is_null().to_numpy()
        values = _floats(series)
        is_text = np.zeros(len(rows), dtype=np.bool_)
    findings.reject(is_text, column, lambda k: (f"'{shown(str(series[k]))}' is not a number", "A decimal number."))
    odd = ~absent & ~is_text & ~(np.abs(values) <= LARGEST)  # also a NaN

    def say(k: int) -> tuple[str, str]:
        what = "is not finite" if not np.isfinite(values[k]) else "is too large"
        return f"'{shown(str(series[k]))}' {what}", f"A number up to {LARGEST:g}."

    findings.reject(odd, column, say)
    wrong = is_text | odd
    has = ~absent & ~wrong
    return np.where(has, values, 0.0), has, wrong


def _floats(series: pl.Series) -> npt.NDArray[np.float64]:
    return series.fill_null(0.0).to_numpy().astype(np.float64)
