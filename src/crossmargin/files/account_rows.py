"""What venues say of an account, in rows of one shape: positions, orders, unrealised profit, balances.

A venue counts in its own units (dollars, coins, contracts of its own size). Here every size is in the unit that one of
our contracts is a multiple of: the underlying, or the quote currency of an inverse future. Dividing by that multiple is
exact or refused. Profit and balances are stated to more digits than we hold (1e-8) and are rounded down: an account is
never better off by it.

The decision a reader would question: unrealised profit is taken of futures and perpetuals alone. That of an option is
in its market value, which is credited as option value, and would count twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from typing import Any

import numpy as np

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import (
    CrossmarginError,
    Problem,
    QuantityError,
    UnsupportedError,
)
from crossmargin.basics.names import name_fault
from crossmargin.basics.quantities import QUANTITY_LIMIT, STEPS_PER_UNIT, decimal_steps
from crossmargin.files.balances import BalancesInput
from crossmargin.files.cells import shown
from crossmargin.files.position_rows import Beside, PositionsInput
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.instruments.terms import DatedFuture, Instrument, Perpetual
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import PositionRows

ZERO = Decimal(0)
_WIDE = Context(prec=80)
_LONGEST_NUMBER = 80
_RANGE = range(-40, 20)
"""Powers of ten of the first digit: beyond them no number is a size or an amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of a venue's list, which reads its fields and puts what is wrong with them on a list.

    Parameters
    ----------
    values : mapping
        The row as it came.
    file : str
        Source and list, for messages.
    row : int or None
        Place in the list, from 1.
    account : str
        Whose it is.
    problems : list of Problem
        Grows by everything found.
    """

    values: Mapping[Any, Any]
    file: str
    row: int | None
    account: str
    problems: list[Problem]

    def wrong(self, column: str, found: str, needed: str, kind: type[CrossmarginError] | None = None) -> None:
        """Put a problem with a field on the list."""
        self.problems.append(
            Problem(
                found=found,
                needed=needed,
                file=self.file,
                row=self.row,
                column=column,
                kind=kind,
                account=self.account,
            )
        )

    def text(self, column: str) -> str | None:
        """The text of a field; `None` if it has none, which is a problem."""
        value = self.values.get(column)
        if not isinstance(value, str) or not value.strip():
            self.wrong(column, f"is {shown(repr(value))}", "Every row has it, as text.")
            return None
        if fault := name_fault(value):
            self.wrong(column, f"{column} {fault[0]}", fault[1])
            return None
        return value.strip()

    def choice(self, column: str, *options: str) -> str | None:
        """The text of a field that is one of `options`, in any case of letters; `None` if it is not, a problem."""
        value = self.values.get(column)
        if isinstance(value, str) and value.lower() in options:
            return value.lower()
        self.wrong(column, f"is {shown(repr(value))}", f"One of {', '.join(options)}.")
        return None

    def number(self, column: str, *, optional: bool = False) -> Decimal | None:
        """The exact number of a field; `None` where it is a problem, or may be absent and is."""
        value = self.values.get(column)
        if value is None and optional:
            return None
        number = exact_number(value)
        if number is None:
            self.wrong(column, f"is {shown(repr(value))}, which is no finite number", "Give the number as it came.")
        elif number and number.adjusted() not in _RANGE:
            self.wrong(column, f"{shown(str(number))} is out of range", "Check the number.", QuantityError)
            number = None
        return number


def exact_number(value: Any) -> Decimal | None:
    """A number as it was written: text, `int`, `Decimal`, or a float as the decimal that it prints as.

    `None` if it is none, or not finite.
    """
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | Decimal):
            number = Decimal(value)
        elif isinstance(value, float):
            number = Decimal(repr(float(value)))
        elif isinstance(value, str) and value.isascii() and "_" not in value and len(value) <= _LONGEST_NUMBER:
            number = Decimal(value.strip())
        else:
            return None
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """A position, or an order, or both.

    Parameters
    ----------
    record : Record
        Where it stands.
    column : str
        Field that names the instrument.
    names : tuple of str
        What the instrument may be called here: the first that the market lists.
    size_column : str
        Field that says how much.
    size, buys, sells : Decimal
        Position (long is positive) and resting orders, in units of the underlying, or of the quote currency for an
        inverse future or perpetual.
    unrealised : Decimal
        Profit that is not settled, settlement currency.
    """

    record: Record
    column: str
    names: tuple[str, ...]
    size_column: str
    size: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    unrealised: Decimal = ZERO

    def name_in(self, market: Market | None) -> str:
        """What it is called in `market`; if it is not there, the first name that says a contract."""
        if market is not None and (listed := next((name for name in self.names if name in market), None)) is not None:
            return listed
        for name in self.names:
            try:
                return parse_symbol(name).name
            except CrossmarginError:
                continue
        return self.names[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """Cash or coin; `column` is the field that says how much."""

    record: Record
    column: str
    asset_column: str
    asset: str
    amount: Decimal


@dataclass(slots=True, kw_only=True)
class AccountRows:
    """Everything that a document says of accounts.

    Parameters
    ----------
    file : str
        For messages.
    accounts : dict of str to None
        Named, in order; one may hold nothing.
    held : list of HeldRow
        Positions and orders.
    balances : list of BalanceRow or None
        `None` where no balances are stated: then there is no equity to speak of.
    """

    file: str
    accounts: dict[str, None] = field(default_factory=dict)
    held: list[HeldRow] = field(default_factory=list)
    balances: list[BalanceRow] | None = None

    def positions(self, market: Market | None, problems: list[Problem]) -> PositionsInput:
        """The positions and orders as checked rows, in contracts; what is wrong is added to `problems`."""
        names: list[str] = []
        kept: list[HeldRow] = []
        columns: list[tuple[int, int, int, int]] = []
        for row in self.held:
            steps = _steps(row, name := row.name_in(market), market)
            if steps is not None:
                names.append(name)
                kept.append(row)
                columns.append(steps)
        accounts = tuple(sorted({row.record.account for row in kept}))
        instruments = tuple(sorted(set(names)))
        place = {name: k for k, name in enumerate(instruments)}
        owner = {name: k for k, name in enumerate(accounts)}
        steps_of = np.array(columns, dtype=np.int64).reshape(len(kept), 4)
        return PositionsInput(
            accounts=accounts,
            instruments=instruments,
            rows=PositionRows(
                account=_indices(owner[row.record.account] for row in kept),
                instrument=_indices(place[name] for name in names),
                steps=steps_of[:, 0].copy(),
            ),
            attributes={},
            file=self.file,
            row_numbers=_indices(row.record.row or 1 for row in kept),
            beside=Beside(*(steps_of[:, k].copy() for k in (1, 2, 3))) if steps_of[:, 1:].any() else None,
        )

    def cash(self, accepts: Collection[str]) -> BalancesInput | None:
        """The balances as checked rows; `None` if none are stated."""
        if self.balances is None:
            return None
        kept: list[BalanceRow] = []
        steps: list[int] = []
        for row in self.balances:
            if row.asset not in accepts:
                row.record.wrong(
                    row.asset_column,
                    f"'{shown(row.asset)}' is no collateral that the schedule accepts",
                    f"It accepts {', '.join(accepts)}.",
                    UnsupportedError,
                )
            elif (amount := _rounded_down(row.amount, row.record, row.column)) is not None:
                kept.append(row)
                steps.append(amount)
        accounts = tuple(sorted({row.record.account for row in kept}))
        assets = tuple(sorted({row.asset for row in kept}))
        return BalancesInput(
            accounts=accounts,
            assets=assets,
            account=_indices(accounts.index(row.record.account) for row in kept),
            asset=_indices(assets.index(row.asset) for row in kept),
            steps=_indices(steps),
            file=self.file,
            row_numbers=_indices(row.record.row or 1 for row in kept),
        )


def _indices(values: Any) -> IntArray:
    return np.array(list(values), dtype=np.int64)


def _steps(row: HeldRow, name: str, market: Market | None) -> tuple[int, int, int, int] | None:
    """Quantity, orders to buy and to sell, and unrealised profit in steps; `None` with a problem on the list."""
    terms = _terms(row, name, market)
    if terms is None:
        return None
    found = []
    for size in (row.size, row.buys, row.sells):
        contracts = _WIDE.divide(size, terms.multiplier)
        try:
            if _WIDE.multiply(contracts, terms.multiplier) != size:
                raise QuantityError("finer than 1e-8")
            found.append(decimal_steps(contracts))
        except QuantityError as error:
            row.record.wrong(
                row.size_column,
                f"{size.normalize():f} is no number of contracts that are {terms.multiplier.normalize():f} each "
                f"('{name}'): {error.problems[0].found}",
                "Contracts are counted in steps of 1e-8.",
                QuantityError,
            )
            return None
    unrealised: int | None = 0
    if isinstance(terms, DatedFuture | Perpetual):
        unrealised = _rounded_down(row.unrealised, row.record, "unrealised profit")
    return None if unrealised is None else (found[0], found[1], found[2], unrealised)


def _terms(row: HeldRow, name: str, market: Market | None) -> Instrument | None:
    """Terms of what is held; `None` with the reason on the list where it cannot be margined."""
    if market is not None and market.listing is None and name in market:
        return market.instruments.instruments[int(market.rows((name,))[0])]
    problem = None if market is None else market.problem_with(name)
    try:
        terms = parse_symbol(name)
    except CrossmarginError as error:
        problem = problem or replace(error.problems[0], kind=type(error))
    if problem is not None:
        row.record.wrong(row.column, problem.found, problem.needed, problem.kind)
        return None
    return terms


def _rounded_down(amount: Decimal, record: Record, column: str) -> int | None:
    """Steps of 1e-8 in `amount`, of a finer one those below it."""
    steps = int(_WIDE.multiply(amount, STEPS_PER_UNIT).to_integral_value(ROUND_FLOOR))
    if abs(steps) > QUANTITY_LIMIT:
        record.wrong(column, f"{shown(str(amount))} is out of range", "Check the number.", QuantityError)
        return None
    return steps


def names_held(rows: Sequence[HeldRow], market: Market) -> list[str]:
    """What everything is called in `market`, or would be."""
    return list(dict.fromkeys(row.name_in(market) for row in rows))
