"""Positions and balances from files and frames to rows that a book is built from.

`account, instrument, quantity`, and optionally `netting_set`, `segregation`, `account_type`. Every problem of a file
is found in one pass; a market may be given so that what it does not list is found in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crossmargin.basics.arrays import BoolArray, IntArray
from crossmargin.basics.errors import (
    CrossmarginError,
    FileFormatError,
    InputError,
    PortfolioError,
    Problem,
    QuantityError,
    UnsupportedError,
    raise_problems,
)
from crossmargin.basics.quantities import (
    QUANTITY_LIMIT,
    STEPS_PER_UNIT,
    float_steps,
    quantity_steps,
)
from crossmargin.collateral.valuation import schedule
from crossmargin.files.cells import name_fault, names_fit, shown
from crossmargin.files.tables import (
    Frames,
    TextTable,
    cell_text,
    checked_columns,
    checked_header,
    frame_as_text,
    head,
    is_nan,
    is_parquet,
    parquet_frames,
    read_table,
)
from crossmargin.instruments.symbols import canonical_name
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import (
    AccountType,
    Attributes,
    Balances,
    Book,
    Origin,
    PositionRows,
    build_book,
    found_name,
    merged_names,
)
from crossmargin.portfolio.netting import LARGE, Codes, occurring
from crossmargin.portfolio.quarantine import OnError, Unmargined

if TYPE_CHECKING:
    import polars as pl

    from crossmargin.files.name_codes import NameCodes

REQUIRED = ("account", "instrument", "quantity")
SIDE_COLUMNS = ("side", "direction", "buy_sell", "long_short")
ATTRIBUTES = ("netting_set", "segregation", "account_type")
BALANCE_COLUMNS = ("account", "asset", "amount")
_NUMBERS = ("quantity", "amount")
_BATCH_ROWS = 500_000
"""Rows of a large file that are held as text at once."""
_PLAIN_DECIMAL = r"^-?[0-9]{1,10}(\.[0-9]{1,8})?$"
_TOLD_APART = 2**26 * STEPS_PER_UNIT
"""Steps below which two multiples of 1e-8 are two doubles; a larger double is read as the decimal it prints as."""


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
    """

    accounts: tuple[str, ...]
    instruments: tuple[str, ...]
    rows: PositionRows
    attributes: Mapping[str, Attributes]
    file: str
    row_numbers: Sequence[int] | IntArray
    contested: tuple[tuple[str, str], ...] = ()

    def origins(self) -> dict[str, Origin]:
        """First row of each instrument."""
        first = np.full(len(self.instruments), -1, dtype=np.int64)
        n_missing = len(first)
        for start in range(0, len(self.rows.instrument), _BATCH_ROWS):
            if not n_missing:
                break
            batch = self.rows.instrument[start : start + _BATCH_ROWS]
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
    source: Any, problems: list[Problem], market: Market | None = None, *, name: str = "positions"
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
        To check that what is held can be margined.
    name : str
        What to call a source that is no file, in messages.
    """
    found: list[Problem] = []
    parsed: PositionsInput | None = None
    try:
        parsed = _from_source(source, found, name)
    except CrossmarginError as error:
        found += error.problems
    if parsed is not None and market is not None:
        found += _not_in_market(parsed, market)
    problems += sorted(found, key=lambda problem: problem.row or 0)
    return parsed


def _from_source(source: Any, problems: list[Problem], name: str) -> PositionsInput:
    if isinstance(source, str | Path):
        path = Path(source)
        if is_parquet(head(path)):
            return _from_frames(parquet_frames(path, _BATCH_ROWS, LARGE), path.name, problems)
        return _from_text(read_table(path), problems)
    if _is_polars(source):
        batch_rows = _BATCH_ROWS if source.height >= LARGE else None
        return _from_frames(Frames.of(source, batch_rows), name, problems)
    return _from_text(_as_text_table(source, name), problems)


def read_positions(source: Any, balances: Any = None, *, market: Market | None = None) -> Book:
    """Positions, and balances if given, as a book.

    Parameters
    ----------
    source, balances
        Paths of CSV or Parquet files, polars or pandas frames, Arrow tables, mappings of columns or sequences of
        records. Positions have `account, instrument, quantity` (contracts, signed: long is positive) and optionally
        `netting_set, segregation, account_type`; balances have `account, asset, amount`.
    market : Market, optional
        To check in the same pass that everything held can be margined.

    Raises
    ------
    InputError
        Or the subclass that all problems share; with every problem, its file, row and column.
    """
    problems: list[Problem] = []
    book = read_book(source, balances, problems, market)
    raise_problems(problems)
    assert book is not None
    return book


def read_book(
    positions: Any,
    balances: Any,
    problems: list[Problem],
    market: Market | None = None,
    *,
    on_error: OnError = OnError.REFUSE,
    unmargined: list[Unmargined] | None = None,
) -> Book | None:
    """A book out of positions and balances; what is wrong with either is added to `problems`.

    The rows that are right are put together even where others are wrong, so that one error lists everything.

    Parameters
    ----------
    on_error : OnError
        With `QUARANTINE`, and as long as every problem is about an account, the margin accounts concerned are left out
        and added to `unmargined`; nothing is added to `problems`.
    """
    if isinstance(positions, Book):
        if balances is not None:
            problems.append(
                Problem(
                    found="balances beside a book, which has its own",
                    needed="Give both to `read_positions`.",
                )
            )
        return positions
    found: list[Problem] = []
    parsed = parse_positions(positions, found, market)
    cash = None if balances is None else parse_balances(balances, found)
    if on_error is OnError.QUARANTINE and parsed is not None and all(problem.account for problem in found):
        book, left_out = _quarantined(parsed, cash, found)
        if book is not None:
            if unmargined is not None:
                unmargined += left_out
            return book
    problems += found
    if parsed is None:
        return None
    try:
        return assemble(parsed, cash)
    except CrossmarginError as error:
        problems += error.problems
        return None


def _quarantined(
    parsed: PositionsInput, cash: list[BalanceRow] | None, problems: Sequence[Problem]
) -> tuple[Book | None, list[Unmargined]]:
    """The book of the margin accounts that no problem is about, and the others; `None` where that does not help."""
    left_out: list[Unmargined] = []
    while True:
        known = {one.account for one in left_out}
        rest, rest_cash, left_out = _set_aside(parsed, cash, problems)
        if problems and known == {one.account for one in left_out}:
            return None, []
        try:
            return assemble(rest, rest_cash), left_out
        except CrossmarginError as error:  # of what is put together: sets that contradict themselves, large sums
            if not all(problem.account for problem in error.problems):
                return None, []
            problems = [*problems, *error.problems]


def _set_aside(
    parsed: PositionsInput, cash: list[BalanceRow] | None, problems: Sequence[Problem]
) -> tuple[PositionsInput, list[BalanceRow] | None, list[Unmargined]]:
    """Positions and balances without the margin accounts that problems are about."""
    set_of = {name: stated.netting_set for name, stated in parsed.attributes.items() if stated.netting_set}
    sets = {*set_of.values(), *(name for _, name in parsed.contested)}
    contested: dict[str, list[str]] = {}
    for account, netting_set in parsed.contested:
        contested.setdefault(account, []).append(netting_set)
    reasons: dict[str, list[Problem]] = {}
    for problem in problems:
        name = problem.account
        of_set = [name] if name in sets else []
        for margin_account in dict.fromkeys((set_of.get(name, name), *of_set, *contested.get(name, ()))):
            reasons.setdefault(margin_account, []).append(problem)

    def is_out(account: str) -> bool:
        return set_of.get(account, account) in reasons

    out = np.zeros(len(parsed.accounts), dtype=np.bool_)
    if set_of:
        out = _flags(parsed.accounts, is_out)
    else:
        out[[k for name in reasons if (k := found_name(parsed.accounts, name)) is not None]] = True
    members: dict[str, set[str]] = {name: set() for name in reasons}
    accounts = {*compress(parsed.accounts, out.tolist()), *parsed.attributes}
    # Who has only wrong rows or balances is a member too, but a set that is named there is not.
    accounts |= {*(row.account for row in cash or ()), *(problem.account for problem in problems)} - sets
    for account in filter(is_out, accounts):
        members[set_of.get(account, account)].add(account)
    left_out = [
        Unmargined(account=name, members=tuple(sorted(members[name])), problems=tuple(reasons[name]))
        for name in sorted(reasons)
    ]
    if cash is not None:
        cash = [row for row in cash if not is_out(row.account)]
    if out.any():
        rows, kept = parsed.rows, ~out[parsed.rows.account]
        number = np.cumsum(~out, dtype=np.int32) - 1
        parsed = replace(
            parsed,
            accounts=tuple(compress(parsed.accounts, (~out).tolist())),
            rows=PositionRows(
                account=number[rows.account[kept]], instrument=rows.instrument[kept], steps=rows.steps[kept]
            ),
            row_numbers=_numbers(parsed.row_numbers, kept),
        )
    attributes = {name: stated for name, stated in parsed.attributes.items() if not is_out(name)}
    return replace(parsed, attributes=attributes), cash, left_out


def _numbers(row_numbers: Sequence[int] | IntArray, kept: BoolArray) -> IntArray:
    """Row numbers of the rows that are kept."""
    if isinstance(row_numbers, range):
        return np.flatnonzero(kept) + row_numbers.start
    return np.asarray(row_numbers, dtype=np.int64)[kept]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """One balance: exact amount in steps of 1e-8, and where it stands."""

    account: str
    asset: str
    steps: int
    file: str = ""
    row: int | None = None


def assemble(
    parsed: PositionsInput,
    cash: Sequence[BalanceRow] | None,
    members: Mapping[str, Attributes] | None = None,
) -> Book:
    """Positions and balances to a book; accounts that hold only cash are accounts too.

    `members` are accounts to have whatever they hold, with their attributes.
    """
    members = members or {}
    known = set(parsed.accounts) if members or cash else set()
    further = sorted({*members, *(row.account for row in cash or ())} - known)
    attributes = {**members, **parsed.attributes} if members else parsed.attributes
    accounts, rows = parsed.accounts, parsed.rows
    if further:
        accounts, renumber, _ = merged_names(parsed.accounts, further)
        rows = PositionRows(account=renumber[rows.account], instrument=rows.instrument, steps=rows.steps)
    balances = None
    if cash is not None:
        sets = {a.netting_set for a in attributes.values()} - {None} - {*parsed.accounts, *members}
        raise_problems(
            [
                Problem(
                    found=f"balance of '{row.account}', which is a netting set",
                    needed="Name the member account that holds it.",
                    file=row.file,
                    row=row.row,
                    column="account",
                    kind=PortfolioError,
                    account=row.account,
                )
                for row in cash
                if row.account in sets
            ]
        )
        index = {name: k for k, name in enumerate(accounts)}
        assets = tuple(sorted({row.asset for row in cash}))
        asset_index = {name: k for k, name in enumerate(assets)}
        balances = Balances(
            assets=assets,
            account=np.array([index[row.account] for row in cash], dtype=np.int64),
            asset=np.array([asset_index[row.asset] for row in cash], dtype=np.int64),
            steps=np.array([row.steps for row in cash], dtype=np.int64),
        )
    try:
        return build_book(
            accounts=accounts,
            instruments=parsed.instruments,
            rows=rows,
            attributes=attributes,
            balances=balances,
            origins=parsed.origins(),
        )
    except CrossmarginError as error:
        origins = parsed.origins()
        raise type(error)(
            replace(p, file=p.file or parsed.file, row=origins[p.instrument].row if p.instrument else p.row)
            for p in error.problems
        ) from None


def parse_balances(source: Any, problems: list[Problem], *, name: str = "balances") -> list[BalanceRow]:
    """Check balances and collect what is wrong with them."""
    try:
        table = read_table(Path(source)) if isinstance(source, str | Path) else _as_text_table(source, name)
        table.require(BALANCE_COLUMNS, "balances")
    except CrossmarginError as error:
        problems += error.problems
        return []
    problems += table.problems
    rows = []
    accounts, assets, amounts = (table.columns[name] for name in BALANCE_COLUMNS)
    for k, (account, asset, amount) in enumerate(zip(accounts, assets, amounts, strict=True)):
        row = table.row(k)
        found = [
            *_name_problems(account, "account", table.file, row, account),
            *_name_problems(asset, "asset", table.file, row, account),
        ]
        if not found and asset.upper() not in schedule().haircuts:
            found.append(
                Problem(
                    found=f"'{asset}' is no collateral that the schedule accepts",
                    needed=f"It accepts {', '.join(schedule().haircuts)}.",
                    file=table.file,
                    row=row,
                    column="asset",
                    kind=UnsupportedError,
                    account=account,
                )
            )
        steps = _steps(amount, "amount", table.file, row, found, account)
        problems += found
        if not found and steps is not None:
            rows.append(BalanceRow(account=account, asset=asset.upper(), steps=steps, file=table.file, row=row))
    return rows


def _check_header(table: TextTable) -> None:
    """The required columns are there, and none that would turn a quantity's sign around."""
    table.require(REQUIRED, "positions")
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


class _Coded(NamedTuple):
    """Distinct names in any order, and the index of each row's."""

    names: Sequence[str]
    codes: Codes


class _Stated:
    """What one column of attributes states of each account: the first value, and what contradicts it."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.value = np.zeros(0, dtype=np.int32)
        """Of each account, the index of its value; -1 where nothing is stated."""
        self.record = np.zeros(0, dtype=np.int64)
        """Of each account, the record that states it first."""
        self.values: Sequence[str] = ()
        self._n_values = 0
        self._blank_account = self._blank_value = -1
        self.contradictions: dict[tuple[int, int], int] = {}
        """First record of each account with each other value."""
        self.invalid: list[tuple[int, int, int]] = []
        """Account, value and record of each account type that there is not."""

    def add(self, start: int, accounts: _Coded, values: _Coded) -> None:
        """Take the records from `start` on; blank accounts and values state nothing."""
        # Names only grow in number: where the blank one stands is looked up among the new ones.
        self._blank_account = _place_of_blank(accounts.names, len(self.value), self._blank_account)
        self._blank_value = _place_of_blank(values.names, self._n_values, self._blank_value)
        self.values, self._n_values = values.names, len(values.names)
        n_new = len(accounts.names) - len(self.value)
        self.value = np.concatenate((self.value, np.full(n_new, -1, dtype=np.int32)))
        self.record = np.concatenate((self.record, np.zeros(n_new, dtype=np.int64)))
        account, value = accounts.codes, values.codes
        rows = np.flatnonzero((value != self._blank_value) & (account != self._blank_account))
        if self.column == "account_type":
            known = _flags(values.names, lambda name: name in list(AccountType))[value[rows]]
            self.invalid += [(int(account[k]), int(value[k]), start + k) for k in rows[~known].tolist()]
            rows = rows[known]
        first = rows[self.value[account[rows]] < 0][::-1]
        # Written from the last record to the first: what stays is the first.
        self.value[account[first]], self.record[account[first]] = value[first], start + first
        for k in rows[self.value[account[rows]] != value[rows]].tolist():
            self.contradictions.setdefault((int(account[k]), int(value[k])), start + k)

    def problems(self, accounts: Sequence[str], file: str, row_numbers: Sequence[int]) -> list[Problem]:
        """What is wrong with the column."""
        found = []
        if self.column != "account_type" and not names_fit(self.values):
            wrong = _flags(self.values, lambda name: name_fault(name) is not None)
            for account in np.flatnonzero((self.value >= 0) & wrong[self.value]).tolist():
                value, row = self.values[self.value[account]], row_numbers[self.record[account]]
                found += _name_problems(value, self.column, file, row, accounts[account])
        for account, value, record in self.invalid:
            found.append(
                Problem(
                    found=f"account type '{shown(self.values[value])}'",
                    needed=f"One of {', '.join(AccountType)}.",
                    file=file,
                    row=row_numbers[record],
                    column=self.column,
                    kind=PortfolioError,
                    account=accounts[account],
                )
            )
        for (account, value), record in self.contradictions.items():
            first, first_row = self.values[self.value[account]], row_numbers[self.record[account]]
            found.append(
                Problem(
                    found=f"account '{accounts[account]}' has {self.column} '{self.values[value]}' here and "
                    f"'{first}' in row {first_row}",
                    needed="An account has one value of each attribute.",
                    file=file,
                    row=row_numbers[record],
                    column=self.column,
                    kind=PortfolioError,
                    account=accounts[account],
                )
            )
        return found


def _from_text(table: TextTable, problems: list[Problem]) -> PositionsInput:
    """Positions of a text table."""
    _check_header(table)
    problems += table.problems
    row_numbers = table.lines or range(table.first_row, table.first_row + len(table))
    accounts = _coded(table.columns["account"], str)
    instruments = _coded(table.columns["instrument"], canonical_name)
    quantities = _coded(table.columns["quantity"], str)
    values = {text: _steps_or_none(text) for text in quantities.names}
    steps = np.array([values[text] or 0 for text in quantities.names], dtype=np.int64)[quantities.codes]
    wrong = np.flatnonzero(_flags(quantities.names, lambda text: values[text] is None)[quantities.codes])
    for k in wrong.tolist():
        account = accounts.names[accounts.codes[k]]
        _steps(quantities.names[quantities.codes[k]], "quantity", table.file, row_numbers[k], problems, account)
    stated = [_Stated(name) for name in ATTRIBUTES if name in table.columns]
    for column in stated:
        column.add(0, accounts, _coded(table.columns[column.column], str))
    return _checked(table.file, row_numbers, accounts, instruments, steps, stated, problems)


def _from_frames(frames: Frames, file: str, problems: list[Problem]) -> PositionsInput:
    """Positions of a polars frame, or of a Parquet file one batch after the other, by columns."""
    names = checked_columns(frames.schema, file, frames.height)
    _check_header(TextTable(file=file, columns={name: [] for name in names}, header_row=None))
    stated = [_Stated(name) for name in ATTRIBUTES if name in names]
    columns = (*REQUIRED, *(column.column for column in stated))
    coders: dict[str, NameCodes | _NamesOfOne] = {
        name: _coder(frames.height, canonical_name if name == "instrument" else str.strip)
        for name in columns
        if name != "quantity"
    }
    account, instrument = np.empty(frames.height, dtype=np.int32), np.empty(frames.height, dtype=np.int32)
    steps = np.empty(frames.height, dtype=np.int64)
    start = 0
    for frame in frames.batches({name: names[name] for name in columns}):
        rows = slice(start, start + frame.height)
        coded = {name: _Coded(coder.names, coder.codes(_texts(frame[name]))) for name, coder in coders.items()}
        account[rows], instrument[rows] = coded["account"].codes, coded["instrument"].codes
        steps[rows], doubtful = _plain_steps(frame["quantity"])
        for k, value in zip(doubtful.tolist(), frame["quantity"].gather(doubtful).to_list(), strict=True):
            name = coders["account"].names[account[start + k]]
            read = _steps(cell_text(value).strip(), "quantity", file, start + k + 1, problems, name)
            steps[start + k] = 0 if read is None else read
        for column in stated:
            column.add(start, coded["account"], coded[column.column])
        start += frame.height
    assert start == frames.height
    return _checked(
        file,
        range(1, frames.height + 1),
        _Coded(coders["account"].names, account),
        _Coded(coders["instrument"].names, instrument),
        steps,
        stated,
        problems,
    )


def _checked(
    file: str,
    row_numbers: Sequence[int],
    accounts: _Coded,
    instruments: _Coded,
    steps: IntArray,
    stated: Sequence[_Stated],
    problems: list[Problem],
) -> PositionsInput:
    """Rows in the order of names; those with a wrong name are left out, their problem being on the list."""
    kept: BoolArray | None = None
    for column, coded in (("account", accounts), ("instrument", instruments)):
        if all(coded.names) and names_fit(coded.names):
            continue
        wrong = _flags(coded.names, lambda name: not name or name_fault(name) is not None)[coded.codes]
        kept = ~wrong if kept is None else kept & ~wrong
        for k in np.flatnonzero(wrong).tolist():
            name, account = coded.names[coded.codes[k]], accounts.names[accounts.codes[k]]
            problems += _name_problems(name, column, file, row_numbers[k], account)
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
        attributes = _attributes(stated, accounts.names)
    numbers: Sequence[int] | IntArray = row_numbers
    if kept is not None:
        accounts, instruments = (_Coded(coded.names, coded.codes[kept]) for coded in (accounts, instruments))
        steps, numbers = steps[kept], _numbers(row_numbers, kept)
    account_names, account = _in_order(accounts)
    instrument_names, instrument = _in_order(instruments)
    return PositionsInput(
        accounts=account_names,
        instruments=instrument_names,
        rows=PositionRows(account=account, instrument=instrument, steps=steps),
        attributes=attributes,
        file=file,
        row_numbers=numbers,
        contested=tuple(contested),
    )


def _attributes(stated: Sequence[_Stated], accounts: Sequence[str]) -> dict[str, Attributes]:
    """What is stated of each account of which anything is; accounts of which the same is stated share it."""
    key = np.zeros(len(accounts), dtype=np.int64)
    columns = {column.column: column for column in stated}
    for column in stated:
        key = key * (len(column.values) + 1) + column.value + 1  # 0 where nothing is stated
    chosen = np.flatnonzero(key)
    _, example, which = np.unique(key[chosen], return_index=True, return_inverse=True)

    def value(name: str, account: int) -> str:
        column = columns.get(name)
        return column.values[column.value[account]] if column is not None and column.value[account] >= 0 else ""

    types = {"": AccountType.NET, **{str(kind): kind for kind in AccountType}}
    distinct = [
        Attributes(
            netting_set=value("netting_set", account) or None,
            segregation=value("segregation", account) or None,
            account_type=types[value("account_type", account)],
        )
        for account in chosen[example].tolist()
    ]
    return dict(zip(map(accounts.__getitem__, chosen.tolist()), map(distinct.__getitem__, which.tolist()), strict=True))


def _plain_steps(quantity: pl.Series) -> tuple[IntArray, IntArray]:
    """Steps of a column, and the rows whose values need to be read one by one, which have 0.

    Whole numbers, decimals of 8 places and plain decimal text are read as they are; doubles as the multiple of 1e-8
    whose nearest double they are.
    """
    import polars as pl

    if quantity.dtype == pl.String:
        plain = quantity.str.contains(_PLAIN_DECIMAL).fill_null(False)
        quantity = pl.select(pl.when(plain).then(quantity)).to_series().cast(pl.Decimal(38, 8))
    scale = 0
    if quantity.dtype.is_integer() or isinstance(quantity.dtype, pl.Decimal):
        if isinstance(quantity.dtype, pl.Decimal):
            scale = quantity.dtype.scale
            quantity = quantity.to_physical()
        whole = quantity.cast(pl.Int64, strict=False)  # null where it does not fit
        units, times = whole.fill_null(0).to_numpy(), 1
        doubtful = whole.is_null().to_numpy()
        if 10**scale > STEPS_PER_UNIT:
            units, finer = np.divmod(units, 10**scale // STEPS_PER_UNIT)
            doubtful = doubtful | (finer != 0)
        else:
            times = STEPS_PER_UNIT // 10**scale
        most = QUANTITY_LIMIT // times
        doubtful = doubtful | (units > most) | (units < -most)
        steps = np.where(doubtful, 0, units) * times
    elif quantity.dtype.is_float():
        # A double, as which Python reads a narrower number too.
        steps, exact = float_steps(quantity.cast(pl.Float64).fill_null(float("nan")).to_numpy())
        doubtful = ~exact | (np.abs(steps) >= _TOLD_APART)
    else:
        steps, doubtful = np.zeros(len(quantity), dtype=np.int64), np.ones(len(quantity), dtype=np.bool_)
    return steps, np.flatnonzero(doubtful)


def _texts(names: pl.Series) -> pl.Series:
    """A column of names as text, without what is absent: nothing is the empty text."""
    import polars as pl

    if names.dtype.is_integer() or names.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return names.cast(pl.String).fill_null("")
    return pl.Series([cell_text(value) for value in names.to_list()], dtype=pl.String)


def _coder(n_rows: int, spelling: Callable[[str], str]) -> NameCodes | _NamesOfOne:
    """What numbers the names of a column; a compiled table where there are many rows."""
    if n_rows < LARGE:
        return _NamesOfOne(spelling)
    from crossmargin.files.name_codes import NameCodes

    return NameCodes(spelling)


class _NamesOfOne:
    """Numbers the names of one batch; as `NameCodes`, at once."""

    def __init__(self, spelling: Callable[[str], str]) -> None:
        self.names: list[str] = []
        self._spelling = spelling

    def codes(self, names: pl.Series) -> Codes:
        import polars as pl

        assert not self.names
        written = names.unique()
        number: dict[str, int] = {}
        numbers = [number.setdefault(self._spelling(name), len(number)) for name in written.to_list()]
        self.names += number
        return names.replace_strict(written, pl.Series(numbers, dtype=pl.Int32)).to_numpy()


def _coded(cells: Sequence[str], spelling: Callable[[str], str]) -> _Coded:
    """Distinct spellings of cells, and the index of each one's."""
    number: dict[str, int] = {}
    code = {cell: number.setdefault(spelling(cell), len(number)) for cell in dict.fromkeys(cells)}
    return _Coded(list(number), np.fromiter(map(code.__getitem__, cells), dtype=np.int32, count=len(cells)))


def _in_order(coded: _Coded) -> tuple[tuple[str, ...], Codes]:
    """Names that occur, in order, and the index of each row's; the codes may be written over."""
    order = sorted(np.flatnonzero(occurring(coded.codes, len(coded.names))).tolist(), key=coded.names.__getitem__)
    now = np.full(len(coded.names), -1, dtype=np.int32)
    now[order] = np.arange(len(order), dtype=np.int32)
    codes = coded.codes
    for start in range(0, len(codes), _BATCH_ROWS):  # in place: rows may be many
        batch = codes[start : start + _BATCH_ROWS]
        batch[:] = now[batch]
    return tuple(map(coded.names.__getitem__, order)), codes


def _place_of_blank(names: Sequence[str], n_known: int, known: int) -> int:
    """Index of the empty name, -1 if there is none, where the first `n_known` are looked through."""
    return next((k for k in range(n_known, len(names)) if not names[k]), known)


def _flags(names: Sequence[str], applies: Callable[[str], bool]) -> BoolArray:
    return np.fromiter(map(applies, names), dtype=np.bool_, count=len(names))


def _not_in_market(parsed: PositionsInput, market: Market) -> list[Problem]:
    """One problem for each row whose instrument cannot be margined."""
    unlisted = _flags(parsed.instruments, lambda name: name not in market)
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


def _steps(text: str, column: str, file: str, row: int, problems: list[Problem], account: str) -> int | None:
    try:
        return quantity_steps(text)
    except QuantityError as error:
        problem = error.problems[0]
        found = problem.found if column == "quantity" else problem.found.replace("quantity", column, 1)
        problems.append(
            Problem(
                found=found,
                needed=problem.needed,
                file=file,
                row=row,
                column=column,
                kind=QuantityError,
                account=_readable(account),
            )
        )
        return None


def _steps_or_none(text: str) -> int | None:
    try:
        return quantity_steps(text)
    except QuantityError:
        return None


def _name_problems(name: str, column: str, file: str, row: int | None, account: str) -> list[Problem]:
    if not name:
        found, needed = f"{column} is empty", f"Give every row its {column}."
    elif fault := name_fault(name):
        found, needed = f"{column} {fault[0]}", fault[1]
    else:
        return []
    return [Problem(found=found, needed=needed, file=file, row=row, column=column, account=_readable(account))]


def _readable(account: str) -> str:
    """The name of an account where its cell holds one."""
    return account if account and name_fault(account) is None else ""


def _is_polars(source: Any) -> bool:
    return type(source).__module__.startswith("polars") and hasattr(source, "to_dicts")


def _as_text_table(source: Any, what: str) -> TextTable:
    """Any table that people hold, as text columns."""
    if _is_polars(source):
        return frame_as_text(source, what)
    if isinstance(source, Mapping):
        columns = [(name, _cells(cells, str(name), what)) for name, cells in source.items()]
    elif hasattr(source, "to_pydict"):  # Arrow
        columns = list(source.to_pydict().items())
    elif hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas, by position: a header may stand twice
        columns = [(name, source.iloc[:, k].tolist()) for k, name in enumerate(source.columns)]
    elif isinstance(source, Sequence) and all(isinstance(record, Mapping) for record in source):
        keys = dict.fromkeys(key for record in source for key in record)
        columns = [(key, [record.get(key) for record in source]) for key in keys]
    else:
        raise InputError(
            Problem(
                found=f"{what} are given as {type(source).__name__}",
                needed="Give a path, a polars or pandas frame, an Arrow table, a mapping of columns or a list of "
                "records.",
            )
        )
    header = checked_header([str(name).strip() for name, _ in columns], what, None)
    if not columns or not columns[0][1]:
        raise FileFormatError(
            Problem(found="no rows", needed="Give at least one row.", file=what, kind=FileFormatError)
        )
    if len({len(cells) for _, cells in columns}) > 1:
        lengths = ", ".join(f"{name} {len(cells)}" for name, (_, cells) in zip(header, columns, strict=True))
        raise FileFormatError(
            Problem(
                found=f"columns of different lengths ({lengths})",
                needed="Give every column one cell a row.",
                file=what,
                kind=FileFormatError,
            )
        )
    return TextTable(
        file=what,
        columns={
            name: [_text(value, name) for value in cells] for name, (_, cells) in zip(header, columns, strict=True)
        },
        first_row=1,
        header_row=None,
    )


def _cells(cells: Any, name: str, what: str) -> list[Any]:
    if isinstance(cells, str | bytes) or not hasattr(cells, "__iter__"):
        raise FileFormatError(
            Problem(
                found=f"column '{name}' is {type(cells).__name__}",
                needed="Give a list of cells.",
                file=what,
                column=name,
                kind=FileFormatError,
            )
        )
    return list(cells)


def _text(value: object, column: str) -> str:
    """A cell as text. A NaN in a column of names is how pandas says that there is none."""
    if is_nan(value) and column not in _NUMBERS:
        return ""
    return cell_text(value).strip()
