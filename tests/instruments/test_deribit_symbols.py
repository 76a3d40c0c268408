"""Deribit names: real examples, malformed ones with their messages, and round trips."""

from __future__ import annotations

import csv
import gzip
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import InputError, SymbolError, UnsupportedError
from crossmargin.instruments import (
    DatedFuture,
    Delivery,
    Instrument,
    On,
    Payoff,
    Perpetual,
    Right,
    Spot,
    Style,
    VanillaOption,
    deribit_symbol,
    parse_deribit,
)

FILES = (
    "deribit_chain_20260114T0922Z.csv.gz",
    "deribit_chain_20260205T2129Z.csv.gz",
    "deribit_chain_20260624T1717Z.csv.gz",
    "deribit_eth_chain_20240108.csv.gz",
)


def test_inverse_option() -> None:
    assert parse_deribit("BTC-27MAR26-90000-C") == VanillaOption(
        name="BTC-27MAR26-90000-C",
        underlying="BTC",
        quote_currency="USD",
        settlement_currency="BTC",
        payoff=Payoff.INVERSE,
        multiplier=Decimal(1),
        expiry=datetime(2026, 3, 27, 8, tzinfo=UTC),
        strike=Decimal(90_000),
        right=Right.CALL,
        style=Style.EUROPEAN,
        delivery=Delivery.CASH,
        on=On.INDEX,
    )


def test_a_day_of_one_digit() -> None:
    option = parse_deribit("ETH-9JAN24-1900-P")
    assert isinstance(option, VanillaOption)
    assert option.expiry == datetime(2024, 1, 9, 8, tzinfo=UTC)
    assert option.right is Right.PUT


@pytest.mark.parametrize(
    ("symbol", "kind", "underlying", "quote", "settlement", "payoff", "multiplier"),
    [
        ("BTC-27MAR26", DatedFuture, "BTC", "USD", "BTC", Payoff.INVERSE, "10"),
        ("ETH-27MAR26", DatedFuture, "ETH", "USD", "ETH", Payoff.INVERSE, "1"),
        ("BTC-PERPETUAL", Perpetual, "BTC", "USD", "BTC", Payoff.INVERSE, "10"),
        ("ETH-PERPETUAL", Perpetual, "ETH", "USD", "ETH", Payoff.INVERSE, "1"),
        ("BTC_USDC-PERPETUAL", Perpetual, "BTC", "USDC", "USDC", Payoff.LINEAR, "0.001"),
        ("SOL_USDC-27MAR26-150-C", VanillaOption, "SOL", "USDC", "USDC", Payoff.LINEAR, "10"),
        ("XRP_USDC-30JUN25-2d5-C", VanillaOption, "XRP", "USDC", "USDC", Payoff.LINEAR, "1000"),
        ("MATIC_USDC-30AUG24-0d52-P", VanillaOption, "MATIC", "USDC", "USDC", Payoff.LINEAR, "1000"),
        ("AVAX_USDC-27MAR26-13d5-P", VanillaOption, "AVAX", "USDC", "USDC", Payoff.LINEAR, "100"),
        ("TRX_USDC-27MAR26-0d3-C", VanillaOption, "TRX", "USDC", "USDC", Payoff.LINEAR, "10000"),
        ("BTC_USDC", Spot, "BTC", "USDC", "USDC", Payoff.LINEAR, "1"),
        ("BTC_USDT", Spot, "BTC", "USDT", "USDT", Payoff.LINEAR, "1"),
        ("ETH_BTC", Spot, "ETH", "BTC", "BTC", Payoff.LINEAR, "1"),
    ],
)
def test_real_names(
    symbol: str, kind: type, underlying: str, quote: str, settlement: str, payoff: Payoff, multiplier: str
) -> None:
    instrument = parse_deribit(symbol)
    assert type(instrument) is kind
    assert instrument.name == symbol
    assert instrument.underlying == underlying
    assert instrument.quote_currency == quote
    assert instrument.settlement_currency == settlement
    assert instrument.payoff is payoff
    assert instrument.multiplier == Decimal(multiplier)
    assert deribit_symbol(instrument) == symbol


@pytest.mark.parametrize(
    ("symbol", "strike"),
    [
        ("XRP_USDC-30JUN25-2d5-C", "2.5"),
        ("XRP_USDC-30JUN25-0d55-C", "0.55"),
        ("SOL_USDC-27MAR26-150-C", "150"),
    ],
)
def test_d_is_the_decimal_point(symbol: str, strike: str) -> None:
    option = parse_deribit(symbol)
    assert isinstance(option, VanillaOption)
    assert option.strike == Decimal(strike)


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("", "'' is no coin"),
        ("BTC", "'BTC' alone names no instrument"),
        ("btc-27mar26-90000-c", "names are upper case; did you mean 'BTC-27MAR26-90000-C'"),
        ("xrp_usdc-30jun25-2d5-c", "names are upper case; did you mean 'XRP_USDC-30JUN25-2d5-C'"),
        ("BTC-27MRZ26-90000-C", "'MRZ' in '27MRZ26' is no month; months are JAN, FEB"),
        ("BTC-31FEB26-90000-C", "FEB 2026 has no day 31"),
        ("BTC-29FEB26", "FEB 2026 has no day 29"),
        ("BTC-09JAN26-90000-C", "the day in '09JAN26' has no leading zero; write 9JAN26"),
        ("BTC-0JAN26-90000-C", "the day in '0JAN26'"),
        ("BTC-27MAR2026-90000-C", "'27MAR2026' is no expiry; an expiry is like 27MAR26"),
        ("BTC-20260327-90000-C", "'20260327' is no expiry"),
        ("BTC-PERP", "'PERP' is no expiry"),
        ("BTC-27MAR26-ATM-C", "'ATM' is no strike; a strike is like 90000, or 2d5 for 2.5"),
        ("XRP_USDC-30JUN25-2.5-C", "'2.5' is no strike"),
        ("XRP_USDC-30JUN25-2d50-C", "'2d50' is no strike"),
        ("BTC-27MAR26-090000-C", "'090000' is no strike"),
        ("BTC-27MAR26-0-C", "'0' is no strike"),
        ("BTC-27MAR26--90000-C", "it has 5 parts; an option has 4"),
        ("BTC-27MAR26-90000-X", "'X' is neither C"),
        ("BTC-27MAR26-90000", "it has 3 parts; an option has 4: coin, expiry, strike, C or P"),
        ("BTC-PERPETUAL-90000-C", "'PERPETUAL' is no expiry"),
        ("BTC_USD-PERPETUAL", "contracts in USD have no '_USD'; write BTC"),
        ("BTC_EURR-PERPETUAL", "linear contracts are in USDC or USDT, not EURR"),
        ("BTC_-PERPETUAL", "'' is no currency"),
        ("BTC_BTC", "BTC cannot be quoted in itself"),
        ("BTC 27MAR26-90000-C", "'BTC 27MAR26' is no coin"),
    ],
)
def test_malformed(symbol: str, message: str) -> None:
    with pytest.raises(SymbolError, match="is no Deribit name") as caught:
        parse_deribit(symbol)
    assert message in str(caught.value)
    assert "like BTC-27MAR26-90000-C" in str(caught.value)


@pytest.mark.parametrize(
    "symbol",
    ["BTC-CS-19MAY26-70000_75000", "BTC-FS-27MAR26_PERP", "BTC-STRG-29MAY26-72000_80000", "BTC-COMBO-1"],
)
def test_combos_are_given_by_their_legs(symbol: str) -> None:
    with pytest.raises(UnsupportedError, match=r"is a combo\. Give its legs"):
        parse_deribit(symbol)


@pytest.mark.parametrize("symbol", ["BTC_USDC-27MAR26", "BTC_USDC-27MAR26-90000-C", "SOL-PERPETUAL"])
def test_an_unknown_contract_size_is_not_guessed(symbol: str) -> None:
    with pytest.raises(UnsupportedError, match=f"contract size of '{symbol}'.* is not known. State it as `multiplier`"):
        parse_deribit(symbol)
    assert parse_deribit(symbol, multiplier=Decimal("0.01")).multiplier == Decimal("0.01")


def test_a_stated_size_may_not_contradict_deribit() -> None:
    assert parse_deribit("BTC-PERPETUAL", multiplier=Decimal("10.0")).multiplier == 10
    with pytest.raises(InputError, match="multiplier 1, but Deribit's contract size is 10"):
        parse_deribit("BTC-PERPETUAL", multiplier=Decimal(1))


def test_terms_that_deribit_does_not_list() -> None:
    option = parse_deribit("BTC-27MAR26-90000-C")
    assert isinstance(option, VanillaOption)
    with pytest.raises(SymbolError, match=r"would differ in style american \(Deribit: european\)"):
        deribit_symbol(replace(option, style=Style.AMERICAN))
    with pytest.raises(SymbolError, match="would differ in expiry"):
        deribit_symbol(replace(option, expiry=option.expiry.replace(hour=9)))
    with pytest.raises(SymbolError, match="would differ in expiry"):
        deribit_symbol(replace(option, expiry=option.expiry.replace(year=1926)))
    with pytest.raises(SymbolError, match="it has 5 parts"):
        deribit_symbol(replace(option, strike=Decimal(-5)))
    with pytest.raises(SymbolError, match="multiplier 2"):
        deribit_symbol(replace(option, multiplier=Decimal(2)))


EXPIRIES = st.dates(date(2000, 1, 1), date(2099, 12, 31)).map(
    lambda day: datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
)
STRIKES = st.decimals(min_value="0.0001", max_value=10_000_000, places=4, allow_nan=False, allow_infinity=False)
SIZES = st.sampled_from([Decimal("0.01"), Decimal(1), Decimal(25)])


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    underlying = draw(st.sampled_from(["BTC", "ETH", "DOGE", "PAXG", "1INCH"]))
    inverse = underlying in ("BTC", "ETH") and draw(st.booleans())
    quote = "USD" if inverse else "USDT"
    kind = draw(st.sampled_from([Spot, DatedFuture, Perpetual, VanillaOption]))
    sizes = {"BTC": Decimal(10), "ETH": Decimal(1)}
    common = {"name": "any", "underlying": underlying, "quote_currency": quote}
    if kind is Spot:
        return Spot(**common | {"quote_currency": "USDC"}, settlement_currency="USDC")
    common["settlement_currency"] = underlying if inverse else quote
    payoff = Payoff.INVERSE if inverse else Payoff.LINEAR
    if kind is VanillaOption:
        return VanillaOption(
            **common,
            payoff=payoff,
            multiplier=Decimal(1) if inverse else draw(SIZES),
            expiry=draw(EXPIRIES),
            strike=draw(STRIKES),
            right=draw(st.sampled_from(Right)),
            style=Style.EUROPEAN,
            delivery=Delivery.CASH,
            on=On.INDEX,
        )
    multiplier = sizes[underlying] if inverse else draw(SIZES)
    if kind is Perpetual:
        return Perpetual(**common, payoff=payoff, multiplier=multiplier)
    return DatedFuture(**common, payoff=payoff, multiplier=multiplier, expiry=draw(EXPIRIES))


@given(instruments())
def test_terms_to_symbol_to_terms(instrument: Instrument) -> None:
    symbol = deribit_symbol(instrument)
    assert parse_deribit(symbol, multiplier=instrument.multiplier) == replace(instrument, name=symbol)


@given(st.text(alphabet="BTCE_-27MAR690dPX ", max_size=25))
def test_any_text_is_terms_or_an_error_of_ours(text: str) -> None:
    try:
        instrument = parse_deribit(text)
    except (SymbolError, UnsupportedError):
        return
    assert deribit_symbol(instrument) == text


@pytest.mark.parametrize("file", FILES)
def test_every_name_of_a_real_chain(data_dir: Path, file: str) -> None:
    with gzip.open(data_dir / file, "rt") as lines:
        rows = list(csv.DictReader(lines))
    assert rows
    for row in rows:
        option = parse_deribit(row["instrument"])
        assert isinstance(option, VanillaOption)
        assert deribit_symbol(option) == row["instrument"]
        assert option.expiry == datetime.fromisoformat(row["expiry"])
        assert option.strike == Decimal(row["strike"])
        assert option.right == row["option_type"]
