"""Positions and balances from files and frames to rows that a book is built from.

`account, instrument, quantity`, and optionally `netting_set`, `segregation`, `account_type`. Every problem of a file
is found in one pass; a market may be given so that what it does not list is found in the same pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import (
    CrossmarginError,
    FileFormatError,
    InputError,
    PortfolioError,
    Problem,
    QuantityError,
    raise_problems,
)
from crossmargin.basics.quantities import float_steps, quantity_steps
from crossmargin.files.tables import TextTable, cell_text, head, is_parquet, read_table
from crossmargin.instruments.symbols import canonical_name
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import AccountType, Attributes, Balances, Book, PositionRows, build_book

if TYPE_CHECKING:
    import polars as pl

REQUIRED = ("account", "instrument", "quantity")
ATTRIBUTES = ("netting_set", "segregation", "account_type")
BALANCE_COLUMNS = ("account", "asset", "amount")
LONGEST_NAME = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PositionsInput:
    """Checked rows, ready to become a book.

    `row_numbers` are those of the file, for messages.
    """

    accounts: tuple[str, ...]
    instruments: tuple[str, ...]
    rows: PositionRows
    attributes: Mapping[str, Attributes]
    file: str
    row_numbers: IntArray


def parse_positions(
    source: Any, problems: list[Problem], market: Market | None = None
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
    """
    try:
        parsed = _from_source(source, problems)
    except CrossmarginError as error:
        problems += error.problems
        return None
    if parsed is not None and market is not None:
        problems += _not_in_market(parsed, market)
    return parsed


def _from_source(source: Any, problems: list[Problem]) -> PositionsInput | None:
    if isinstance(source, str | Path):
        path = Path(source)
        if is_parquet(head(path, 4)):
            import polars as pl

            try:
                frame = pl.read_parquet(path)
            except (pl.exceptions.PolarsError, OSError) as error:
                reason = str(error).splitlines()[0]
                raise FileFormatError(
                    Problem(found=f"is no Parquet ({reason})", file=path.name, kind=FileFormatError)
                ) from None
            return _from_frame(frame, path.name, problems)
        return _from_text(read_table(path), problems)
    if _is_polars(source):
        return _from_frame(source, "positions", problems)
    return _from_text(_as_text_table(source, "positions"), problems)


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
    if isinstance(source, Book) and balances is None:
        return source
    problems: list[Problem] = []
    parsed = parse_positions(source, problems, market)
    cash = None if balances is None else parse_balances(balances, problems)
    raise_problems(problems)
    assert parsed is not None
    return assemble(parsed, cash)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """One balance: exact amount in steps of 1e-8."""

    account: str
    asset: str
    steps: int


def assemble(parsed: PositionsInput, cash: Sequence[BalanceRow] | None) -> Book:
    """Positions and balances to a book; accounts that hold only cash are accounts too."""
    accounts, rows = parsed.accounts, parsed.rows
    balances = None
    if cash is not None:
        sets = {a.netting_set for a in parsed.attributes.values()} - {None}
        raise_problems(
            [
                Problem(
                    found=f"balance of '{name}', which is a netting set",
                    needed="Name the member account that holds it.",
                    column="account",
                    kind=PortfolioError,
                )
                for name in sorted({row.account for row in cash} & sets - set(accounts))
            ]
        )
        everybody = tuple(sorted({*accounts, *(row.account for row in cash)}))
        index = {name: k for k, name in enumerate(everybody)}
        renumber = np.array([index[name] for name in accounts], dtype=np.int64)
        rows = PositionRows(account=renumber[rows.account], instrument=rows.instrument, steps=rows.steps)
        accounts = everybody
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
            attributes=parsed.attributes,
            balances=balances,
        )
    except CrossmarginError as error:
        raise type(error)(
            Problem(
                found=p.found,
                needed=p.needed,
                file=p.file or parsed.file,
                row=p.row,
                column=p.column,
                kind=p.kind,
            )
            for p in error.problems
        ) from None


def parse_balances(source: Any, problems: list[Problem]) -> list[BalanceRow]:
    """Check balances and collect what is wrong with them."""
    try:
        table = (
            read_table(Path(source)) if isinstance(source, str | Path) else _as_text_table(source, "balances")
        )
        table.require(BALANCE_COLUMNS, "balances")
    except CrossmarginError as error:
        problems += error.problems
        return []
    rows = []
    accounts, assets, amounts = (table.columns[name] for name in BALANCE_COLUMNS)
    for k, (account, asset, amount) in enumerate(zip(accounts, assets, amounts, strict=True)):
        row = table.row(k)
        found = [
            *_name_problems(account, "account", table.file, row),
            *_name_problems(asset, "asset", table.file, row),
        ]
        steps = _steps(amount, "amount", table.file, row, found)
        problems += found
        if not found and steps is not None:
            rows.append(BalanceRow(account=account, asset=asset.upper(), steps=steps))
    return rows


def _from_text(table: TextTable, problems: list[Problem]) -> PositionsInput | None:
    """Positions of a text table, row by row."""
    table.require(REQUIRED, "positions")
    before = len(problems)
    account_names, instrument_names, quantities = (table.columns[name] for name in REQUIRED)
    steps_of: dict[str, int] = {}
    steps: list[int] = []
    checked: set[tuple[str, str]] = set()
    for k, quantity in enumerate(quantities):
        row = table.row(k)
        for column, name in (("account", account_names[k]), ("instrument", instrument_names[k])):
            if (column, name) not in checked:
                found = _name_problems(name, column, table.file, row)
                problems += found
                if not found:
                    checked.add((column, name))
        if quantity not in steps_of:
            value = _steps(quantity, "quantity", table.file, row, problems)
            if value is None:
                steps.append(0)
                continue
            steps_of[quantity] = value
        steps.append(steps_of[quantity])
    attributes = _attributes(table, problems)
    if len(problems) > before:
        # Rows that are right are still checked against the market, so that one error lists everything.
        kept = [k for k in range(len(quantities)) if account_names[k] and instrument_names[k]]
    else:
        kept = list(range(len(quantities)))
    accounts, account = _coded([account_names[k] for k in kept], str)
    instruments, instrument = _coded([instrument_names[k] for k in kept], canonical_name)
    return PositionsInput(
        accounts=accounts,
        instruments=instruments,
        rows=PositionRows(
            account=account, instrument=instrument, steps=np.array([steps[k] for k in kept], dtype=np.int64)
        ),
        attributes=attributes,
        file=table.file,
        row_numbers=np.array([table.row(k) for k in kept], dtype=np.int64),
    )


def _from_frame(frame: pl.DataFrame, file: str, problems: list[Problem]) -> PositionsInput | None:
    """Positions of a polars frame, by columns; rows are looked at one by one only where something is wrong."""
    import polars as pl

    header = TextTable(file=file, columns={name: [] for name in frame.columns}, first_row=1)
    header.require(REQUIRED, "positions")
    if not frame.height:
        raise FileFormatError(
            Problem(found="has no rows", needed="It needs at least one row.", file=file, kind=FileFormatError)
        )
    quantity = frame["quantity"]
    if quantity.dtype.is_float() and not quantity.null_count():
        steps, exact = float_steps(quantity.cast(pl.Float64).to_numpy())
    elif quantity.dtype.is_integer() and not quantity.null_count():
        steps, exact = float_steps(quantity.cast(pl.Float64).to_numpy())
        exact &= quantity.cast(pl.Float64).cast(quantity.dtype).eq(quantity).to_numpy()
    else:
        return _from_text(_frame_as_text(frame, file), problems)
    names = {c: frame[c].cast(pl.String) for c in ("account", "instrument")}
    if not exact.all() or any(series.null_count() for series in names.values()):
        return _from_text(_frame_as_text(frame, file), problems)
    stated = [
        name for name in ATTRIBUTES if name in frame.columns and frame[name].null_count() < frame.height
    ]
    attributes = {}
    if stated:
        # One line for each account and value, numbered as in the frame, is all that attributes need.
        numbered = frame.select("account", *stated).with_row_index("row", offset=1)
        distinct = numbered.unique(subset=["account", *stated], keep="first", maintain_order=True)
        text = _frame_as_text(distinct.drop("row"), file)
        attributes = _attributes(replace(text, lines=distinct["row"].to_list()), problems)
    accounts, account = _coded_series(names["account"], str)
    instruments, instrument = _coded_series(names["instrument"], canonical_name)
    for column, coded in (("account", accounts), ("instrument", instruments)):
        for name in coded:
            problems += _name_problems(name, column, file, None)
    return PositionsInput(
        accounts=accounts,
        instruments=instruments,
        rows=PositionRows(account=account, instrument=instrument, steps=steps),
        attributes=attributes,
        file=file,
        row_numbers=np.arange(1, frame.height + 1),
    )


def _coded(names: Sequence[str], spelling: Callable[[str], str]) -> tuple[tuple[str, ...], IntArray]:
    """Sorted unique spellings, and the index of each row's."""
    canonical = {name: spelling(name) for name in set(names)}
    unique = tuple(sorted(set(canonical.values())))
    index = {name: k for k, name in enumerate(unique)}
    code = {name: index[spelled] for name, spelled in canonical.items()}
    return unique, np.array([code[name] for name in names], dtype=np.int64)


def _coded_series(series: pl.Series, spelling: Callable[[str], str]) -> tuple[tuple[str, ...], IntArray]:
    """The same for a polars column: only its unique names become Python text."""
    import polars as pl

    names = series.unique()
    spelled = [spelling(name.strip()) for name in names.to_list()]
    unique = tuple(sorted(set(spelled)))
    index = {name: k for k, name in enumerate(unique)}
    code = pl.Series([index[name] for name in spelled], dtype=pl.Int64)
    return unique, series.replace_strict(names, code).to_numpy()


def _attributes(table: TextTable, problems: list[Problem]) -> dict[str, Attributes]:
    """What is stated of each account; a blank states nothing, two values contradict each other."""
    present = [name for name in ATTRIBUTES if name in table.columns]
    stated: dict[tuple[str, str], tuple[str, int]] = {}
    reported: set[tuple[str, str, str]] = set()
    for name in present:
        for k, (account, value) in enumerate(zip(table.columns["account"], table.columns[name], strict=True)):
            if not value or not account:
                continue
            row = table.row(k)
            if name == "account_type" and value not in list(AccountType):
                problems.append(
                    Problem(
                        found=f"account type '{value}'",
                        needed=f"One of {', '.join(AccountType)}.",
                        file=table.file,
                        row=row,
                        column=name,
                        kind=PortfolioError,
                    )
                )
                continue
            first, first_row = stated.setdefault((account, name), (value, row))
            if first != value and (account, name, value) not in reported:
                reported.add((account, name, value))
                problems.append(
                    Problem(
                        found=f"account '{account}' has {name} '{value}' here and '{first}' in row {first_row}",
                        needed="An account has one value of each attribute.",
                        file=table.file,
                        row=row,
                        column=name,
                        kind=PortfolioError,
                    )
                )
    attributes = {}
    for account in {account for account, _ in stated}:
        value_of = {name: stated[account, name][0] for name in present if (account, name) in stated}
        attributes[account] = Attributes(
            netting_set=value_of.get("netting_set"),
            segregation=value_of.get("segregation"),
            account_type=AccountType(value_of.get("account_type", AccountType.NET)),
        )
    return attributes


def _not_in_market(parsed: PositionsInput, market: Market) -> list[Problem]:
    """One problem for each row whose instrument cannot be margined."""
    unlisted = {k: name for k, name in enumerate(parsed.instruments) if name not in market}
    if not unlisted:
        return []
    problems = []
    for k in np.flatnonzero(np.isin(parsed.rows.instrument, list(unlisted))).tolist():
        problem = market.problem_with(
            unlisted[int(parsed.rows.instrument[k])],
            file=parsed.file,
            row=int(parsed.row_numbers[k]),
            column="instrument",
        )
        if problem is not None:
            problems.append(problem)
    return problems


def _steps(text: str, column: str, file: str, row: int, problems: list[Problem]) -> int | None:
    try:
        return quantity_steps(text)
    except QuantityError as error:
        problem = error.problems[0]
        found = problem.found if column == "quantity" else problem.found.replace("quantity", column, 1)
        problems.append(
            Problem(found=found, needed=problem.needed, file=file, row=row, column=column, kind=QuantityError)
        )
        return None


def _name_problems(name: str, column: str, file: str, row: int | None) -> list[Problem]:
    found = ""
    if not name:
        found = f"{column} is empty"
    elif len(name) > LONGEST_NAME:
        found = f"{column} has {len(name):,} characters; at most {LONGEST_NAME} are read"
    elif not name.isprintable():
        found = f"{column} {name!r} has characters that cannot be shown"
    if not found:
        return []
    return [Problem(found=found, needed=f"Give every row its {column}.", file=file, row=row, column=column)]


def _is_polars(source: Any) -> bool:
    return type(source).__module__.startswith("polars") and hasattr(source, "to_dicts")


def _frame_as_text(frame: pl.DataFrame, file: str) -> TextTable:
    return TextTable(
        file=file,
        columns={
            name: [cell_text(value).strip() for value in frame[name].to_list()] for name in frame.columns
        },
        first_row=1,
    )


def _as_text_table(source: Any, what: str) -> TextTable:
    """Any table that people hold, as text columns."""
    if isinstance(source, Mapping):
        columns = {str(name): list(cells) for name, cells in source.items()}
    elif hasattr(source, "to_pydict"):  # Arrow
        columns = source.to_pydict()
    elif hasattr(source, "columns") and hasattr(source, "__getitem__"):  # pandas, polars
        columns = {str(name): list(source[name]) for name in source.columns}
    elif isinstance(source, Sequence) and all(isinstance(record, Mapping) for record in source):
        names = list(dict.fromkeys(str(key) for record in source for key in record))
        columns = {name: [record.get(name) for record in source] for name in names}
    else:
        raise InputError(
            Problem(
                found=f"{what} are given as {type(source).__name__}",
                needed="Give a path, a polars or pandas frame, an Arrow table, a mapping of columns or a list of records.",
            )
        )
    if not columns or not next(iter(columns.values())):
        raise FileFormatError(
            Problem(found="no rows", needed="Give at least one row.", file=what, kind=FileFormatError)
        )
    if len({len(cells) for cells in columns.values()}) > 1:
        raise FileFormatError(Problem(found="columns of different lengths", file=what, kind=FileFormatError))
    return TextTable(
        file=what,
        columns={name: [cell_text(v).strip() for v in cells] for name, cells in columns.items()},
        first_row=1,
    )
