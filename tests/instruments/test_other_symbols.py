"""Names of Derive and unified symbols of ccxt: their terms, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from crossmargin.basics.errors import CrossmarginError, InputError, SymbolError
from crossmargin.instruments.ccxt import ccxt_symbol, deribit_name, parse_ccxt
from crossmargin.instruments.derive import parse_derive
from crossmargin.instruments.symbols import canonical_name, parse_symbol
from crossmargin.instruments.terms import (
    DatedFuture,
    Instrument,
    Payoff,
    Perpetual,
    Right,
    Spot,
    VanillaOption,
)

EXPIRY = datetime(2026, 3, 27, 8, tzinfo=UTC)


def test_derive() -> None:
    option = parse_symbol("BTC-20260327-90000-C")
    assert isinstance(option, VanillaOption)
    assert (option.underlying, option.expiry, option.strike, option.right) == ("BTC", EXPIRY, 90000, Right.CALL)
    assert (option.payoff, option.settlement_currency, option.multiplier) == (Payoff.LINEAR, "USDC", 1)
    perpetual = parse_symbol(" ETH-PERP ")
    assert isinstance(perpetual, Perpetual)
    assert (perpetual.name, perpetual.payoff, perpetual.multiplier) == ("ETH-PERP", Payoff.LINEAR, 1)
    assert canonical_name(" BTC-20260327-90000-C ") == "BTC-20260327-90000-C"
    for name in ("XRP-20260327-2.5-P", "XRP-20260327-2_5-P"):
        strike = parse_derive(name)
        assert isinstance(strike, VanillaOption)
        assert strike.strike == Decimal("2.5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BTC-20260230-90000-C", "'20260230' is no date"),
        ("BTC-20260327-0-C", "'0' is no strike"),
        ("BTC-00000000-1-C", "'00000000' is no date"),
    ],
)
def test_names_of_derive_that_are_none(name: str, message: str) -> None:
    with pytest.raises(SymbolError, match=message):
        parse_symbol(name)
    with pytest.raises(SymbolError, match="neither an option nor a perpetual"):
        parse_derive("BTC-PERPETUAL")
    with pytest.raises(InputError, match="Derive counts in units"):
        parse_symbol("BTC-PERP", multiplier=Decimal(10))


CCXT: list[tuple[str, type, Payoff, str, str | None]] = [
    ("BTC/USDT", Spot, Payoff.LINEAR, "USDT", "BTC_USDT"),
    ("BTC/USDT:USDT", Perpetual, Payoff.LINEAR, "USDT", None),
    ("BTC/USDC:USDC", Perpetual, Payoff.LINEAR, "USDC", "BTC_USDC-PERPETUAL"),
    ("BTC/USD:BTC", Perpetual, Payoff.INVERSE, "BTC", "BTC-PERPETUAL"),
    ("ETH/USD:USDC", Perpetual, Payoff.LINEAR, "USDC", None),
    ("SOL/USD:SOL", Perpetual, Payoff.INVERSE, "SOL", None),
    ("BTC/USDT:USDT-260327", DatedFuture, Payoff.LINEAR, "USDT", None),
    ("ETH/USD:ETH-260306", DatedFuture, Payoff.INVERSE, "ETH", "ETH-6MAR26"),
    ("BTC/USD:BTC-260327-90000-C", VanillaOption, Payoff.INVERSE, "BTC", "BTC-27MAR26-90000-C"),
    ("SOL/USDC:USDC-260327-152.5-P", VanillaOption, Payoff.LINEAR, "USDC", "SOL_USDC-27MAR26-152d5-P"),
    ("1000SHIB/USDT:USDT", Perpetual, Payoff.LINEAR, "USDT", None),
]


@pytest.mark.parametrize(("symbol", "kind", "payoff", "settlement", "deribit"), CCXT)
def test_ccxt(symbol: str, kind: type[Instrument], payoff: Payoff, settlement: str, deribit: str | None) -> None:
    terms = parse_symbol(symbol)
    assert isinstance(terms, kind)
    assert (terms.name, terms.payoff, terms.settlement_currency) == (symbol, payoff, settlement)
    assert terms.multiplier == 1
    assert ccxt_symbol(terms) == symbol
    assert deribit_name(terms) == deribit
    assert parse_symbol(symbol, multiplier=Decimal("0.01")).multiplier == Decimal("0.01")


@pytest.mark.parametrize("name", ["BTC-PERPETUAL", "BTC-27MAR26-90000-C", "ETH-27MAR26", "SOL_USDC-27MAR26-2d5-C"])
def test_deribit_names_go_to_ccxt_and_back(name: str) -> None:
    assert deribit_name(parse_ccxt(ccxt_symbol(parse_symbol(name)))) == name


@pytest.mark.parametrize(
    "symbol",
    [
        "BTC/USD:BTC-260230",
        "BTC/USD:BTC-260327-0-C",
        "BTC/USD:BTC-260327-90000-X",
        "BTC/USD:BTC-260327-90000",
        "btc/usd:btc",
        "BTC/USD:",
        "BTC/BTC:BTC",
        "BTC/USD:BTC-27MAR26",
        "/USD:BTC",
        "BTC/USD:BTC-260327-1e5-C",
    ],
)
def test_symbols_that_are_none(symbol: str) -> None:
    with pytest.raises(CrossmarginError):
        parse_symbol(symbol)
