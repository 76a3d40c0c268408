"""Histories of risk factors from CSV, Parquet or frames: a column a factor, or a row an observation.

    date,price:BTC,price:ETH,rate:USD-10Y          date,factor,value,roll
    2024-01-02,44957.1,2357.2,0.0394               2024-01-02,price:CL,70.38,
    2024-01-03,42836.5,,0.0391                     2024-01-22,price:CL,74.76,true

An empty cell was not observed. A date is its midnight in UTC; a time states its zone. `roll` marks an observation whose
step from the one before is no move of the market.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.basics.errors import CrossmarginError, FileFormatError, Problem, raise_problems
from crossmargin.basics.times import parse_utc
from crossmargin.files.cells import Cells, shown
from crossmargin.files.tables import TextTable, as_text_table, read_table
from crossmargin.history.factors import Change, Factor, factor_of
from crossmargin.history.histories import FactorHistories

TIME_COLUMNS = ("date", "time", "time_utc", "timestamp")
"""Headers of the column of dates, the first that is there."""
MOST_CELLS = 20_000_000
MOST_PROBLEMS = 100
"""Wrong cells that are listed; a file with more is of something else."""
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no", "")


def read_history(source: Any, changes: Mapping[str, str] | None = None) -> FactorHistories:
    """Factor histories of a file, a frame or our own type.

    Parameters
    ----------
    source
        CSV (also gzip), Parquet, a polars or pandas frame, or `FactorHistories` as they are.
    changes : mapping of str to str, optional
        `relative` or `absolute` by factor, where it is not what its kind says.

    Raises
    ------
    InputError, FileFormatError
        With everything that is wrong: cells that are no numbers or dates, a date or a factor that stands twice, a
        factor whose dates are not those of the others.
    """
    if isinstance(source, FactorHistories):
        return source
    table = read_table(Path(source)) if isinstance(source, str | Path) else as_text_table(source, "history")
    raise_problems(table.problems)
    reader = _Reader(table, changes or {})
    if len(table) * len(table.columns) > MOST_CELLS:
        raise FileFormatError(f"{table.file}: more than {MOST_CELLS:,} cells; a history of days has far fewer")
    if not len(table):
        raise FileFormatError(Problem(found="no row below the header", needed="Add observations.", file=table.file))
    spelled = {name.lower() for name in table.columns}
    return reader.long() if {"factor", "value"} <= spelled else reader.wide()


class _Reader:
    """Takes a table apart and collects what is wrong with it."""

    def __init__(self, table: TextTable, changes: Mapping[str, str]) -> None:
        self.table = table
        self.problems: list[Problem] = []
        self.spelled = {name.lower(): name for name in table.columns}
        self.time_column = next((self.spelled[name] for name in TIME_COLUMNS if name in self.spelled), "")
        if not self.time_column:
            raise FileFormatError(
                Problem(
                    found="no column of dates",
                    needed=f"Call it {', '.join(TIME_COLUMNS[:-1])} or {TIME_COLUMNS[-1]}.",
                    file=table.file,
                    kind=FileFormatError,
                )
            )
        self.changes = self._changes(changes)

    def wide(self) -> FactorHistories:
        """A column a factor."""
        names = [name for name in self.table.columns if name != self.time_column]
        factors = self._factors(names)
        times = self._times()
        self._raise()
        level = np.array([self._numbers(name, self.table.columns[name]) for name in names]).T
        if not names:
            self._wrong(None, "", "no column of a factor", "Add one, like price:BTC.")
        self._duplicates(times)
        self._raise()
        return FactorHistories.of([factors[name] for name in names], times, level, source=self.table.file)

    def long(self) -> FactorHistories:
        """A row an observation."""
        columns = self.table.columns
        known = {self.time_column, *(self.spelled[name] for name in ("factor", "value"))}
        extra = sorted(set(columns) - known - {self.spelled.get("roll", "")})
        if extra:
            self._wrong(None, extra[0], f"unknown column '{extra[0]}'", "A row has date, factor, value and maybe roll.")
        cells = columns[self.spelled["factor"]]
        factors = self._factors(list(dict.fromkeys(cells)))
        times = self._times()
        value = self._numbers("value", columns[self.spelled["value"]])
        roll = self._flags(columns[self.spelled["roll"]]) if "roll" in self.spelled else np.zeros(len(times), np.bool_)
        self._raise()
        calendar, row = np.unique(times, return_inverse=True)
        of_name = {name: k for k, name in enumerate(factors)}
        column = np.array([of_name[name] for name in cells])
        key = row * len(factors) + column
        order = np.argsort(key, kind="stable")
        again = order[1:][key[order][1:] == key[order][:-1]]
        for k in sorted(again.tolist())[:MOST_PROBLEMS]:
            self._wrong(k, self.time_column, f"a second value of '{cells[k]}' on its date", "Give each date one.")
        self._raise()
        level = np.full((len(calendar), len(factors)), np.nan)
        rolled = np.zeros(level.shape, dtype=np.bool_)
        level[row, column] = value
        rolled[row, column] = roll
        return FactorHistories.of(list(factors.values()), calendar, level, rolled, source=self.table.file)

    def _changes(self, stated: Mapping[str, str]) -> dict[str, Change]:
        found: dict[str, Change] = {}
        for name, change in stated.items():
            try:
                found[factor_of(str(name)).name] = Change(change)
            except ValueError:
                self._wrong(None, str(name), f"change {shown(str(change))}", "It is relative or absolute.")
            except CrossmarginError as error:
                self.problems += error.problems
        return found

    def _factors(self, names: Sequence[str]) -> dict[str, Factor]:
        found: dict[str, Factor] = {}
        for name in names:
            try:
                factor = factor_of(name)
            except CrossmarginError as error:
                self._wrong(None, name, error.problems[0].found, error.problems[0].needed)
                continue
            found[name] = factor_of(name, self.changes.get(factor.name))
        spelled: dict[str, str] = {}
        for name, factor in found.items():
            if factor.name in spelled:
                self._wrong(None, name, f"'{name}' and '{spelled[factor.name]}' are one factor", "Give it one history.")
            spelled[factor.name] = name
        return found

    def _times(self) -> IntArray:
        cells = self.table.columns[self.time_column]
        known: dict[str, int] = {}
        times = np.zeros(len(cells), dtype=np.int64)
        for k, text in enumerate(cells):
            if text not in known:
                try:
                    known[text] = _seconds(text)
                except (ValueError, OverflowError):
                    found = f"{shown(text)} states no zone" if _is_local(text) else f"{shown(text)} is no date"
                    self._wrong(k, self.time_column, found, "Write 2026-01-31 or 2026-01-31T08:00:00Z.")
                    known[text] = 0
            times[k] = known[text]
        return times

    def _duplicates(self, times: IntArray) -> None:
        order = np.argsort(times, kind="stable")
        again = order[1:][times[order][1:] == times[order][:-1]]
        for k in sorted(again.tolist())[:MOST_PROBLEMS]:
            self._wrong(
                k, self.time_column, f"{self.table.columns[self.time_column][k]} stands twice", "One row a date."
            )

    def _numbers(self, column: str, cells: Sequence[str]) -> FloatArray:
        values = np.full(len(cells), np.nan)
        read = Cells(self.table.file, self.problems)
        for k, text in enumerate(cells):
            value = read.number(text, self.table.row(k), column)
            if value is not None:
                values[k] = value
            if len(self.problems) >= MOST_PROBLEMS:
                self._raise()
        return values

    def _flags(self, cells: Sequence[str]) -> BoolArray:
        for k, text in enumerate(cells):
            if text.lower() not in (*_TRUE, *_FALSE):
                self._wrong(k, "roll", f"{shown(text)}", "Write true or false.")
        return np.array([text.lower() in _TRUE for text in cells], dtype=np.bool_)

    def _wrong(self, record: int | None, column: str, found: str, needed: str) -> None:
        row = None if record is None else self.table.row(record)
        self.problems.append(Problem(found=found, needed=needed, file=self.table.file, row=row, column=column))
        if len(self.problems) >= MOST_PROBLEMS:
            self._raise()

    def _raise(self) -> None:
        raise_problems(self.problems)


def _seconds(text: str) -> int:
    if len(text) == len("2026-01-31"):
        day = date.fromisoformat(text)
        return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return int(parse_utc(text.replace(" ", "T", 1)).timestamp())


def _is_local(text: str) -> bool:
    """Whether it is a time that could be anywhere."""
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False
