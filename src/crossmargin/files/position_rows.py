"""Positions from any table to checked rows that a book is built from.

`account, instrument, quantity`, and optionally `netting_set`, `segregation`, `account_type`, `customer_type`, and what
is carried beside a position: `open_buys`, `open_sells`, `unrealised_pnl`. A table by symbol names its instruments by
their parts (`composed_names`). Every problem of a table is found in one pass; a
market may be given so that what it does not list is found in the same pass, and names are spelled as it spells them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from crossmargin.basics.arrays import BoolArray, IntArray
from crossmargin.basics.errors import CrossmarginError, FileFormatError, Problem, raise_problems
from crossmargin.basics.quantities import format_quantity
from crossmargin.files.attributes import ATTRIBUTES, Stated, stated_attributes
from crossmargin.files.columns import (
    Coded,
    Columns,
    flags,
    in_order,
    kept_numbers,
    name_problems,
    read_steps,
    wrong_names,
)
from crossmargin.files.composed_names import ComposedNames, NameParts, written_as
from crossmargin.files.tables import TextTable
from crossmargin.files.twins import with_twins
from crossmargin.instruments.symbols import canonical_name
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import Attributes, Origin, PositionRows

REQUIRED = ("account", "instrument", "quantity")
BESIDE = ("open_buys", "open_sells", "unrealised_pnl")
"""Columns of what is carried beside a position; an empty cell states nothing, which is 0."""
_BESIDE_PARTS = ("account", "quantity")
"""Columns that a table by symbol must have: there `instrument` is one of the parts."""
SIDE_COLUMNS = ("side", "direction", "buy_sell", "long_short")
_BLOCK_ROWS = 500_000
"""Rows that are looked through at once: numpy widens what it indexes with."""


class Beside(NamedTuple):
    """What rows state beside their quantity, each of shape `(n_rows,)`, in steps of 1e-8: contracts of resting orders,
    at least 0 on either side, and unrealised profit in settlement currency."""

    buys: IntArray
    sells: IntArray
    unrealised: IntArray

    def of(self, rows: BoolArray) -> Beside:
        """That of some rows."""
        return Beside(*(column[rows] for column in self))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PositionsInput:
    """Checked rows, ready to become a book.

    Parameters
    ----------
    accounts, instruments, rows, attributes
        As `build_book` takes them. An account all of whose rows are wrong is not among `accounts`, but may have
        attributes.
    file : str
        For messages.
    row_numbers : sequence of int
        Those of the file, of each row.
    contested : tuple of (str, str)
        Accounts that state a second netting set, and that set: it may be the one they are in.
    beside : Beside or None
        Resting orders and unrealised profit of each row; `None` where the table states neither. A row with nothing but
        these has the quantity 0.
    """

    accounts: tuple[str, ...]
    instruments: tuple[str, ...]
    rows: PositionRows
    attributes: Mapping[str, Attributes]
    file: str
    row_numbers: Sequence[int] | IntArray
    contested: tuple[tuple[str, str], ...] = ()
    beside: Beside | None = None

    def origins(self) -> dict[str, Origin]:
        """First row of each instrument."""
        first = np.full(len(self.instruments), -1, dtype=np.int64)
        n_missing = len(first)
        for start in range(0, len(self.rows.instrument), _BLOCK_ROWS):
            if not n_missing:
                break
            batch = self.rows.instrument[start : start + _BLOCK_ROWS]
            new = np.flatnonzero(first[batch] < 0)[::-1]
            # Written from the last row to the first: what stays is the first.
            first[batch[new]] = start + new
            n_missing = int(np.count_nonzero(first < 0))
        return {
            name: Origin(self.file, int(self.row_numbers[row]))
            for name, row in zip(self.instruments, first.tolist(), strict=True)
            if row >= 0
        }


def parse_positions(
    source: Any,
    problems: list[Problem],
    market: Market | None = None,
    *,
    name: str = "positions",
    extended: list[Market] | None = None,
) -> PositionsInput | None:
    """Check positions and collect what is wrong with them; `None` when they make no book.

    Parameters
    ----------
    source
        Path of a CSV or Parquet file; or a polars or pandas frame, an Arrow table, a mapping of columns, or a sequence
        of records.
    problems : list of Problem
        Grows by everything found.
    market : Market, optional
        To spell what is held, and to check that it can be margined.
    name : str
        What to call a source that is no file, in messages.
    extended : list of Market, optional
        Gets the market with the twins of what is held (`twins`).
    """
    found: list[Problem] = []
    parsed: PositionsInput | None = None
    try:
        parsed = _read(Columns.of(source, name), canonical_name if market is None else market.spelled, found)
    except CrossmarginError as error:
        found += error.problems
    if parsed is not None and market is not None:
        if extended is not None:
            extended.append(market := with_twins(market, parsed.instruments))
        found += _not_in_market(parsed, market)
    problems += sorted(found, key=lambda problem: problem.row or 0)
    return parsed


def _read(table: Columns, spelled: Callable[[str], str], problems: list[Problem]) -> PositionsInput:
    """Positions of a table, by columns."""
    parts = NameParts.of(table.header.columns, table.file)
    composed = None if parts is None else ComposedNames(parts, spelled)
    written = written_as(table.header.columns, (*REQUIRED, *ATTRIBUTES, *BESIDE), parts)
    _check_header(table.header, REQUIRED if parts is None else [written.get(name, name) for name in _BESIDE_PARTS])
    problems += table.problems
    stated = [Stated(name) for name in ATTRIBUTES if name in written]
    names = [written[name] for name in ("account", *(one.column for one in stated))]
    spellings: dict[str, Callable[[str], str]] = dict.fromkeys(names, str.strip)
    spellings |= {"instrument": spelled} if parts is None else parts.spellings
    account, instrument = np.empty(len(table), dtype=np.int32), np.empty(len(table), dtype=np.int32)
    counted = [name for name in ("quantity", *BESIDE) if name in written]
    steps = {name: np.empty(len(table), dtype=np.int64) for name in counted}
    account_names: Sequence[str] = ()
    instrument_names: Sequence[str] = ()
    for start, coded, numbers in table.batches(spellings, [written[name] for name in counted]):
        rows = slice(start, start + len(numbers[written["quantity"]].steps))
        account_names, account[rows] = coded[written["account"]]
        if composed is None:
            instrument_names, instrument[rows] = coded["instrument"]
        else:
            instrument_names, instrument[rows] = composed.names, composed.codes(coded)
        for number in counted:
            steps[number][rows], doubtful = numbers[written[number]]
            for k, text in doubtful:
                if not text and number in BESIDE:
                    continue
                row, name = table.row_numbers[start + k], account_names[account[start + k]]
                read = read_steps(text, number, table.file, row, problems, name)
                steps[number][start + k] = 0 if read is None else read
        for column in stated:
            column.add(start, coded[written["account"]], coded[written[column.column]])
    accounts, instruments = Coded(account_names, account), Coded(instrument_names, instrument)
    beside: Beside | None = None
    if len(counted) > 1:
        nothing = np.zeros(len(table), dtype=np.int64)
        beside = Beside(*(steps.get(name, nothing) for name in BESIDE))
        problems += _negative_orders(beside, table, accounts)
    return _checked(table.file, table.row_numbers, accounts, instruments, steps["quantity"], beside, stated, problems)


def _negative_orders(beside: Beside, table: Columns, accounts: Coded) -> list[Problem]:
    """Orders to buy and to sell are two columns, each counted upwards."""
    return [
        Problem(
            found=f"{column} {format_quantity(int(resting[k]))} is negative",
            needed="Write contracts of resting orders as 0 or more, on either side.",
            file=table.file,
            row=table.row_numbers[k],
            column=column,
            account=accounts.names[accounts.codes[k]],
        )
        for column, resting in (("open_buys", beside.buys), ("open_sells", beside.sells))
        for k in np.flatnonzero(resting < 0).tolist()
    ]


def _check_header(table: TextTable, required: Sequence[str]) -> None:
    """The required columns are there, and none that would turn a quantity's sign around."""
    table.require(required, "positions")
    turning = [name for name in table.columns if name.strip().lower() in SIDE_COLUMNS]
    raise_problems(
        [
            Problem(
                found=f"column '{name}' would say the direction, which is the sign of the quantity",
                needed="Write short positions as negative quantities and leave the column out.",
                file=table.file,
                column=name,
                kind=FileFormatError,
            )
            for name in turning
        ]
    )


def _checked(
    file: str,
    row_numbers: Sequence[int],
    accounts: Coded,
    instruments: Coded,
    steps: IntArray,
    beside: Beside | None,
    stated: Sequence[Stated],
    problems: list[Problem],
) -> PositionsInput:
    """Rows in the order of names; those with a wrong name are left out, their problem being on the list."""
    kept: BoolArray | None = None
    for column, coded in (("account", accounts), ("instrument", instruments)):
        wrong_name = wrong_names(coded.names)
        if wrong_name is None:
            continue
        wrong = wrong_name[coded.codes]
        kept = ~wrong if kept is None else kept & ~wrong
        for k in np.flatnonzero(wrong).tolist():
            name, account = coded.names[coded.codes[k]], accounts.names[accounts.codes[k]]
            problems += name_problems(name, column, file, row_numbers[k], account)
    attributes: dict[str, Attributes] = {}
    contested: list[tuple[str, str]] = []
    for column_stated in stated:
        problems += column_stated.problems(accounts.names, file, row_numbers)
        if column_stated.column == "netting_set":
            contested += [
                (accounts.names[account], column_stated.values[value])
                for account, value in column_stated.contradictions
            ]
    if stated:
        attributes = stated_attributes(stated, accounts.names)
    numbers: Sequence[int] | IntArray = row_numbers
    if kept is not None:
        accounts, instruments = (Coded(coded.names, coded.codes[kept]) for coded in (accounts, instruments))
        steps, numbers = steps[kept], kept_numbers(row_numbers, kept)
        beside = None if beside is None else beside.of(kept)
    account_names, account = in_order(accounts)
    instrument_names, instrument = in_order(instruments)
    return PositionsInput(
        accounts=account_names,
        instruments=instrument_names,
        rows=PositionRows(account=account, instrument=instrument, steps=steps),
        attributes=attributes,
        file=file,
        row_numbers=numbers,
        contested=tuple(contested),
        beside=beside,
    )


def _not_in_market(parsed: PositionsInput, market: Market) -> list[Problem]:
    """One problem for each row whose instrument cannot be margined."""
    unlisted = flags(parsed.instruments, lambda name: name not in market)
    if not unlisted.any():
        return []
    reason = {
        k: market.problem_with(parsed.instruments[k], file=parsed.file, column="instrument")
        for k in np.flatnonzero(unlisted).tolist()
    }
    rows = parsed.rows
    return [
        replace(problem, row=int(parsed.row_numbers[k]), account=parsed.accounts[rows.account[k]])
        for k in np.flatnonzero(unlisted[rows.instrument]).tolist()
        if (problem := reason[int(rows.instrument[k])]) is not None
    ]
