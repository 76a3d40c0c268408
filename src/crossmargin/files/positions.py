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
from crossmargin.files.cells import name_fault, shown
from crossmargin.files.tables import (
    TextTable,
    cell_text,
    checked_frame,
    checked_header,
    frame_as_text,
    head,
    is_nan,
    is_parquet,
    read_frame,
    read_table,
)
from crossmargin.instruments.symbols import canonical_name
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import AccountType, Attributes, Balances, Book, Origin, PositionRows, build_book

if TYPE_CHECKING:
    import polars as pl

REQUIRED = ("account", "instrument", "quantity")
SIDE_COLUMNS = ("side", "direction", "buy_sell", "long_short")
ATTRIBUTES = ("netting_set", "segregation", "account_type")
BALANCE_COLUMNS = ("account", "asset", "amount")
_NUMBERS = ("quantity", "amount")
_TOLD_APART = 2**26 * STEPS_PER_UNIT
"""Steps below which two multiples of 1e-8 are two doubles; a larger double is read as the decimal it prints as."""


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

    def origins(self) -> dict[str, Origin]:
        """First row of each instrument."""
        first = np.zeros(len(self.instruments), dtype=np.int64)
        # Written from the last row to the first: what stays is the first.
        first[self.rows.instrument[::-1]] = self.row_numbers[::-1]
        return {name: Origin(self.file, row) for name, row in zip(self.instruments, first.tolist(), strict=True)}


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
            return _from_frame(read_frame(path), path.name, problems)
        return _from_text(read_table(path), problems)
    if _is_polars(source):
        return _from_frame(source, name, problems)
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


def read_book(positions: Any, balances: Any, problems: list[Problem], market: Market | None = None) -> Book | None:
    """A book out of positions and balances; what is wrong with either is added to `problems`.

    The rows that are right are put together even where others are wrong, so that one error lists everything.
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
    parsed = parse_positions(positions, problems, market)
    cash = None if balances is None else parse_balances(balances, problems)
    if parsed is None:
        return None
    try:
        return assemble(parsed, cash)
    except CrossmarginError as error:
        problems += error.problems
        return None


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
    accounts = tuple(sorted({*parsed.accounts, *members, *(row.account for row in cash or ())}))
    index = {name: k for k, name in enumerate(accounts)}
    attributes = {**members, **parsed.attributes}
    rows = parsed.rows
    if len(accounts) > len(parsed.accounts):
        renumber = np.array([index[name] for name in parsed.accounts], dtype=np.int64)
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
                )
                for row in cash
                if row.account in sets
            ]
        )
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
            *_name_problems(account, "account", table.file, row),
            *_name_problems(asset, "asset", table.file, row),
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
                )
            )
        steps = _steps(amount, "amount", table.file, row, found)
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


def _from_text(table: TextTable, problems: list[Problem]) -> PositionsInput:
    """Positions of a text table, row by row; rows with a wrong name are left out, their problem being on the list."""
    _check_header(table)
    problems += table.problems
    accounts, instruments, quantities = (table.columns[name] for name in REQUIRED)
    steps_of: dict[str, int] = {}
    steps = np.zeros(len(quantities), dtype=np.int64)
    for k, quantity in enumerate(quantities):
        if quantity not in steps_of:
            value = _steps(quantity, "quantity", table.file, table.row(k), problems)
            if value is None:
                continue
            steps_of[quantity] = value
        steps[k] = steps_of[quantity]
    wrong: set[int] = set()
    for column, names in (("account", accounts), ("instrument", instruments)):
        faulty = {name for name in set(names) if _name_problems(name, column, "", None)}
        if faulty:
            for k, name in enumerate(names):
                if name in faulty:
                    problems += _name_problems(name, column, table.file, table.row(k))
                    wrong.add(k)
    kept = [k for k in range(len(quantities)) if k not in wrong]
    account_names, account = _coded([accounts[k] for k in kept], str)
    instrument_names, instrument = _coded([instruments[k] for k in kept], canonical_name)
    return PositionsInput(
        accounts=account_names,
        instruments=instrument_names,
        rows=PositionRows(account=account, instrument=instrument, steps=steps[kept]),
        attributes=_attributes(table, problems),
        file=table.file,
        row_numbers=np.array([table.row(k) for k in kept], dtype=np.int64),
    )


def _from_frame(frame: pl.DataFrame, file: str, problems: list[Problem]) -> PositionsInput:
    """Positions of a polars frame, by columns; as text, row by row, where anything is not plain."""
    import polars as pl

    frame = checked_frame(frame, file)
    header = TextTable(file=file, columns={name: [] for name in frame.columns}, header_row=None)
    _check_header(header)
    stated = [name for name in ATTRIBUTES if name in frame.columns]
    steps = _plain_steps(frame["quantity"])
    if steps is None or not all(_is_plain_name(frame[name]) for name in ("account", "instrument", *stated)):
        return _from_text(frame_as_text(frame, file), problems)
    accounts, account = _coded_series(frame["account"].cast(pl.String), str)
    instruments, instrument = _coded_series(frame["instrument"].cast(pl.String), canonical_name)
    if any(
        _name_problems(name, column, file, None)
        for column, names in (("account", accounts), ("instrument", instruments))
        for name in names
    ):
        return _from_text(frame_as_text(frame, file), problems)
    stated = [name for name in stated if frame[name].null_count() < frame.height]
    attributes = {}
    if stated:
        # One line for each account and value, numbered as in the frame, is all that attributes need.
        numbered = frame.select("account", *stated).with_row_index("row", offset=1)
        distinct = numbered.unique(subset=["account", *stated], keep="first", maintain_order=True)
        text = frame_as_text(distinct.drop("row"), file)
        attributes = _attributes(replace(text, lines=distinct["row"].to_list()), problems)
    return PositionsInput(
        accounts=accounts,
        instruments=instruments,
        rows=PositionRows(account=account, instrument=instrument, steps=steps),
        attributes=attributes,
        file=file,
        row_numbers=np.arange(1, frame.height + 1),
    )


def _plain_steps(quantity: pl.Series) -> IntArray | None:
    """Steps of a numeric column; `None` where its values need to be looked at one by one."""
    import polars as pl

    if quantity.null_count():
        return None
    if quantity.dtype.is_integer():
        least, largest = int(quantity.min()), int(quantity.max())  # type: ignore[arg-type]  # an integer column
        if max(-least, largest) > QUANTITY_LIMIT // STEPS_PER_UNIT:
            return None
        return np.asarray(quantity.cast(pl.Int64).to_numpy() * STEPS_PER_UNIT)
    if quantity.dtype == pl.Float64:
        steps, exact = float_steps(quantity.to_numpy())
        return steps if bool(np.all(exact & (np.abs(steps) < _TOLD_APART))) else None
    return None


def _is_plain_name(names: pl.Series) -> bool:
    """Whether a column of names is text or whole numbers, which read the same whichever way they are taken."""
    import polars as pl

    if names.name not in ATTRIBUTES and names.null_count():
        return False
    return names.dtype.is_integer() or names.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)


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
            if (account, name) not in stated and name != "account_type":
                problems += _name_problems(value, name, table.file, row)
            if name == "account_type" and value not in list(AccountType):
                problems.append(
                    Problem(
                        found=f"account type '{shown(value)}'",
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
    reason = {k: market.problem_with(name, file=parsed.file, column="instrument") for k, name in unlisted.items()}
    rows = np.flatnonzero(np.isin(parsed.rows.instrument, list(unlisted)))
    return [
        replace(problem, row=int(parsed.row_numbers[k]))
        for k in rows.tolist()
        if (problem := reason[int(parsed.rows.instrument[k])]) is not None
    ]


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
    if not name:
        found, needed = f"{column} is empty", f"Give every row its {column}."
    elif fault := name_fault(name):
        found, needed = f"{column} {fault[0]}", fault[1]
    else:
        return []
    return [Problem(found=found, needed=needed, file=file, row=row, column=column)]


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
