"""Accounts in the unified structures of ccxt: positions, orders, balances. ccxt itself is not needed.

A position has `contracts` of `contractSize` and a `side`. An order has no size of its contracts: it is that of a
position in the same symbol, or of `markets` (`exchange.markets`) beside it. The total of a balance counts, less what is
borrowed (`debt`); venues differ in whether unrealised profit is in it, and where it is, the positions must not state it
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from crossmargin.basics.errors import CrossmarginError, UnsupportedError
from crossmargin.basics.names import name_fault
from crossmargin.files.account_rows import ZERO, BalanceRow, HeldRow, Record, exact_number
from crossmargin.files.cells import shown
from crossmargin.files.venue_accounts import deribit_position, resting
from crossmargin.instruments.ccxt import deribit_name, parse_ccxt
from crossmargin.instruments.terms import Instrument, Spot

_BESIDE_ASSETS = frozenset({"info", "timestamp", "datetime", "free", "used", "total", "debt"})
_PARTS = frozenset({"free", "used", "total", "debt"})
Sizes = dict[str, Decimal]
"""Contract size by symbol."""


def ccxt_position(record: Record, sizes: Sizes) -> HeldRow | None:
    """One position; `None` where it is flat, or with a problem on the list. Its contract size goes to `sizes`."""
    raw = record.values.get("info")
    if (
        record.values.get("contracts") is None
        and isinstance(raw, Mapping)
        and {"instrument_name", "size"} <= raw.keys()
    ):
        return deribit_position(replace(record, values=raw))  # ccxt leaves the size of Deribit's positions there
    terms = _terms(record)
    mode = record.values.get("marginMode")
    contracts = record.number("contracts")
    profit = record.number("unrealizedPnl", optional=True)
    if contracts is not None and not contracts:
        return None  # flat: some venues list every market
    size = record.number("contractSize", optional=True)
    if size is None and terms is not None:
        size = sizes.get(terms.name)
        if size is None:
            record.wrong("contractSize", "is missing", "Give it, or `markets` beside the positions.")
    side = record.choice("side", "long", "short")
    if mode == "isolated":
        record.wrong(
            "marginMode",
            "an isolated position, which has margin of its own",
            "Leave it out: what is margined together is what is held under cross margin.",
            UnsupportedError,
        )
        return None
    if terms is None or contracts is None or size is None or side is None:
        return None
    if size <= 0:
        record.wrong("contractSize", f"is {size}", "A contract has a size above 0.")
        return None
    if contracts < 0 and side == "long":
        record.wrong("side", f"is long, and contracts is {contracts}", "They say one thing.")
        return None
    sizes.setdefault(terms.name, size)
    signed = abs(contracts) if side == "long" else -abs(contracts)
    return HeldRow(
        record=record,
        column="symbol",
        names=_names(terms),
        size_column="contracts",
        size=signed * size,
        unrealised=profit or ZERO,
    )


def ccxt_order(record: Record, sizes: Sizes) -> HeldRow | None:
    """One order; `None` where nothing of it rests, or with a problem on the list."""
    status = record.values.get("status")
    if status is not None and record.choice("status", "open", "closed", "canceled", "expired", "rejected") != "open":
        return None
    terms = _terms(record)
    side = record.choice("side", "buy", "sell")
    column = "remaining" if record.values.get("remaining") is not None else "amount"
    amount = record.number(column)
    filled = ZERO
    if column == "amount":
        filled = record.number("filled", optional=True) or ZERO
    size = record.number("contractSize", optional=True)
    if terms is None or side is None or amount is None:
        return None
    if size is None:
        size = Decimal(1) if isinstance(terms, Spot) else sizes.get(terms.name)
    if size is None or size <= 0:
        record.wrong(
            "symbol",
            f"the contract size of '{terms.name}' is {'not known' if size is None else size}",
            "Give `markets` beside the orders, a position in it, or the order's own contractSize.",
        )
        return None
    return resting(record, "symbol", _names(terms), side, (amount - filled) * size, column)


def ccxt_balances(record: Record) -> Iterator[BalanceRow]:
    """The balances of `fetch_balance`; assets of which there is nothing are left out."""
    values = record.values
    totals = values.get("total")
    debts = values.get("debt")
    assets = dict.fromkeys([*(totals if isinstance(totals, Mapping) else ()), *values])
    for asset in assets:
        if asset in _BESIDE_ASSETS:
            continue
        if not isinstance(asset, str) or not asset.strip() or name_fault(asset):
            record.wrong(shown(str(asset)), "is no name of an asset", "Give the balance as fetch_balance does.")
            continue
        parts = values.get(asset)
        stated: dict[str, Any] = dict(parts) if isinstance(parts, Mapping) else {}
        if isinstance(totals, Mapping) and totals.get(asset) is not None:
            stated["total"] = totals[asset]
        if isinstance(debts, Mapping) and debts.get(asset) is not None:
            stated["debt"] = debts[asset]
        fields = replace(record, values={f"{asset}.{name}": value for name, value in stated.items()})
        column = f"{asset}.total"
        if stated.get("total") is None and not (stated.get("free") is None and stated.get("used") is None):
            free, used = (fields.number(f"{asset}.{name}", optional=True) for name in ("free", "used"))
            total: Decimal | None = (free or ZERO) + (used or ZERO)
        else:
            total = fields.number(column)
        debt = fields.number(f"{asset}.debt", optional=True)
        if total is None:
            continue
        amount = total - (debt or ZERO)
        if amount:
            yield BalanceRow(record=record, column=column, asset_column=asset, asset=asset.upper(), amount=amount)


def is_ccxt_balance(values: Mapping[Any, Any]) -> bool:
    """Whether this is what `fetch_balance` gives."""
    return isinstance(values.get("total"), Mapping) or any(
        isinstance(part, Mapping) and bool(part.keys() & _PARTS)
        for asset, part in values.items()
        if asset not in _BESIDE_ASSETS
    )


def is_ccxt_position(values: Mapping[Any, Any]) -> bool:
    """Whether a row is a position: orders have no contracts."""
    return "symbol" in values and bool(values.keys() & {"contracts", "contractSize", "unrealizedPnl", "marginMode"})


def is_ccxt_order(values: Mapping[Any, Any]) -> bool:
    """Whether a row is an order."""
    return {"symbol", "side"} <= values.keys() and bool(values.keys() & {"amount", "remaining"})


def market_sizes(markets: Any) -> Sizes:
    """Contract sizes out of `exchange.markets`, those that it has."""
    if not isinstance(markets, Mapping):
        return {}
    found = {
        symbol: exact_number(entry.get("contractSize"))
        for symbol, entry in markets.items()
        if isinstance(symbol, str) and isinstance(entry, Mapping)
    }
    return {symbol: size for symbol, size in found.items() if size is not None and size > 0}


def _terms(record: Record) -> Instrument | None:
    symbol = record.text("symbol")
    if symbol is None:
        return None
    try:
        return parse_ccxt(symbol)
    except CrossmarginError as error:
        record.wrong("symbol", error.problems[0].found, error.problems[0].needed, type(error))
        return None


def _names(terms: Instrument) -> tuple[str, ...]:
    """Deribit's name first, where its contract size is known: then a chain of Deribit's lists it."""
    known = deribit_name(terms)
    return (terms.name,) if known is None else (known, terms.name)
