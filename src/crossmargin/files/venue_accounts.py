"""Accounts as Deribit and Derive report them: positions, open orders, balances.

Deribit (`private/get_positions`): `size` is in the coin for options and in US dollars for inverse futures, and
`direction` is its sign. Of linear futures the coin amount is `size_currency`; their `size` has been stated both ways,
so it is not read. Orders (`private/get_open_orders`) state `amount` in dollars for inverse futures and in the coin for
all else. Balances are `balance` of `private/get_account_summary`, to which the equity of options and the session's
profit are not added yet.

Derive (`private/get_subaccount`): `amount` is in units of the underlying, and signed. Funding that is not settled
(`pending_funding`) belongs to the unrealised profit of a perpetual, interest that is not (`pending_interest`) to the
amount of a collateral: Derive adds both to the value of the portfolio.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from crossmargin.basics.errors import CrossmarginError, UnsupportedError
from crossmargin.files.account_rows import ZERO, BalanceRow, HeldRow, Record
from crossmargin.files.cells import shown
from crossmargin.instruments.derive import DERIVE_NAME
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.instruments.terms import DatedFuture, Payoff, Perpetual

_RESTING = ("open",)
_NOT_RESTING = ("filled", "rejected", "cancelled", "canceled", "expired", "untriggered", "triggered", "closed")


def deribit_position(record: Record) -> HeldRow | None:
    """One row of `private/get_positions`; `None` where it is flat, or with a problem on the list."""
    name = record.text("instrument_name")
    direction = record.choice("direction", "buy", "sell", "zero")
    column = "size_currency" if name is not None and _is_linear_future(name) else "size"
    size = record.number(column)
    profit = record.number("floating_profit_loss", optional=True)
    if name is None or direction is None or size is None:
        return None
    if (size < 0 and direction == "buy") or (size and direction == "zero"):
        record.wrong("direction", f"is {direction}, and {column} is {size}", "They say one thing.")
        return None
    if not size:
        return None
    return HeldRow(
        record=record,
        column="instrument_name",
        names=(name,),
        size_column=column,
        size=abs(size) if direction == "buy" else -abs(size),
        unrealised=profit or ZERO,
    )


def sized_position(record: Record, name: str) -> HeldRow | None:
    """One entry of `{instrument: size}`, as `private/simulate_portfolio` takes them: signed, sized as positions are."""
    size = record.number(name)
    if _is_linear_future(name) and DERIVE_NAME.fullmatch(name) is None and "/" not in name:
        record.wrong(
            name,
            f"the size of '{shown(name)}' may be in coin or in its quote currency",
            "Give it as private/get_positions does, with size_currency.",
            UnsupportedError,
        )
        return None
    if not size:
        return None
    return HeldRow(record=record, column=name, names=(name,), size_column=name, size=size)


def derive_position(record: Record) -> HeldRow | None:
    """One of the `positions` of `private/get_subaccount`; `None` where it is flat, or with a problem on the list."""
    name = record.text("instrument_name")
    amount = record.number("amount")
    profit = record.number("unrealized_pnl", optional=True)
    funding = record.number("pending_funding", optional=True)
    if name is None or amount is None or not (amount or profit or funding):
        return None
    return HeldRow(
        record=record,
        column="instrument_name",
        names=(name,),
        size_column="amount",
        size=amount,
        unrealised=(profit or ZERO) + (funding or ZERO),
    )


def venue_order(record: Record) -> HeldRow | None:
    """One open order of Deribit or Derive; `None` where nothing of it rests, or with a problem on the list."""
    for column in ("order_state", "order_status"):
        if record.values.get(column) is not None:
            state = record.choice(column, *_RESTING, *_NOT_RESTING)
            if state not in _RESTING:
                return None
    name = record.text("instrument_name")
    direction = record.choice("direction", "buy", "sell")
    amount = record.number("amount")
    filled = record.number("filled_amount", optional=True)
    if name is None or direction is None or amount is None:
        return None
    return resting(record, "instrument_name", (name,), direction, amount - (filled or ZERO), "amount")


def resting(
    record: Record, column: str, names: tuple[str, ...], side: str, size: Decimal, size_column: str
) -> HeldRow | None:
    """What rests of an order, on its side; less than nothing is a problem."""
    if size < 0:
        record.wrong(size_column, f"{size} would rest", "No more is filled than was ordered, and amounts are above 0.")
        return None
    if not size:
        return None
    buys, sells = (size, ZERO) if side == "buy" else (ZERO, size)
    return HeldRow(record=record, column=column, names=names, size_column=size_column, buys=buys, sells=sells)


def venue_balance(record: Record) -> BalanceRow | None:
    """One balance: Derive's `asset_name, amount`, Deribit's `currency, balance`, or our own `asset, amount`."""
    asset_column = next((name for name in ("asset_name", "asset", "currency") if name in record.values), "asset")
    column = "balance" if asset_column == "currency" and "balance" in record.values else "amount"
    asset = record.text(asset_column)
    amount = record.number(column)
    interest = record.number("pending_interest", optional=True)
    if asset is None or amount is None:
        return None
    return BalanceRow(
        record=record,
        column=column,
        asset_column=asset_column,
        asset=asset.upper(),
        amount=amount + (interest or ZERO),
    )


def is_balance(values: Mapping[str, object]) -> bool:
    """Whether a row is a balance."""
    return any({asset, amount} <= values.keys() for asset, amount in _BALANCE_FIELDS)


_BALANCE_FIELDS = (("asset_name", "amount"), ("asset", "amount"), ("currency", "balance"))


def _is_linear_future(name: str) -> bool:
    try:
        terms = parse_symbol(name, multiplier=None)
    except UnsupportedError:  # a linear future of a size that we do not know is one too
        head = name.split("-")
        return "_" in head[0] and len(head) == 2
    except CrossmarginError:
        return False
    return isinstance(terms, DatedFuture | Perpetual) and terms.payoff is Payoff.LINEAR
