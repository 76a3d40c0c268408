"""OCC symbols: real examples, malformed ones with their messages, and round trips."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import InputError, SymbolError, UnsupportedError
from crossmargin.instruments import (
    Delivery,
    On,
    Payoff,
    Right,
    Style,
    VanillaOption,
    canonical_name,
    occ_symbol,
    parse_occ,
)

FILES = (
    "cboe_spx_chain_20220204.csv.gz",
    "cboe_ndx_chain_20220204.csv.gz",
    "cboe_spx_chain_20230914.csv.gz",
    "cboe_xsp_chain_20230914.csv.gz",
    "cboe_spy_chain_20230914.csv.gz",
)
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    "spelling",
    ["SPXW  230915C04500000", "SPXW230915C04500000", "SPXW 230915C04500000", " SPXW   230915C04500000\n"],
)
def test_one_contract_however_it_is_padded(spelling: str) -> None:
    assert parse_occ(spelling) == VanillaOption(
        name="SPXW  230915C04500000",
        underlying="SPX",
        quote_currency="USD",
        settlement_currency="USD",
        payoff=Payoff.LINEAR,
        multiplier=Decimal(100),
        expiry=datetime(2023, 9, 15, 20, tzinfo=UTC),
        strike=Decimal(4500),
        right=Right.CALL,
        style=Style.EUROPEAN,
        delivery=Delivery.CASH,
        on=On.INDEX,
    )
    assert canonical_name(spelling) == "SPXW  230915C04500000"


@pytest.mark.parametrize(
    ("root", "underlying", "style", "delivery", "on", "time"),
    [
        ("SPX", "SPX", "european", "cash", "index", "09:30"),
        ("SPXW", "SPX", "european", "cash", "index", "16:00"),
        ("XSP", "XSP", "european", "cash", "index", "16:00"),
        ("NDX", "NDX", "european", "cash", "index", "09:30"),
        ("NDXP", "NDX", "european", "cash", "index", "16:00"),
        ("RUT", "RUT", "european", "cash", "index", "09:30"),
        ("RUTW", "RUT", "european", "cash", "index", "16:00"),
        ("MRUT", "MRUT", "european", "cash", "index", "16:00"),
        ("DJX", "DJX", "european", "cash", "index", "09:30"),
        ("OEX", "OEX", "american", "cash", "index", "16:00"),
        ("XEO", "OEX", "european", "cash", "index", "16:00"),
        ("VIX", "VIX", "european", "cash", "index", "09:30"),
        ("VIXW", "VIX", "european", "cash", "index", "09:30"),
        ("SPY", "SPY", "american", "physical", "spot", "16:00"),
        ("BRKB", "BRKB", "american", "physical", "spot", "16:00"),
        ("F", "F", "american", "physical", "spot", "16:00"),
    ],
)
def test_the_root_says_the_rest(root: str, underlying: str, style: str, delivery: str, on: str, time: str) -> None:
    option = parse_occ(f"{root}260116P00012500")
    assert (option.underlying, option.style, option.delivery, option.on) == (underlying, style, delivery, on)
    assert f"{option.expiry.astimezone(NEW_YORK):%Y-%m-%d %H:%M}" == f"2026-01-16 {time}"
    assert option.strike == Decimal("12.5")
    assert option.right is Right.PUT
    assert option.name == f"{root:<6}260116P00012500"
    assert occ_symbol(option) == option.name


def test_new_york_time_moves_with_the_season() -> None:
    assert parse_occ("SPY230915C00450000").expiry == datetime(2023, 9, 15, 20, tzinfo=UTC)
    assert parse_occ("SPY231215C00450000").expiry == datetime(2023, 12, 15, 21, tzinfo=UTC)
    assert parse_occ("SPX231215C04500000").expiry == datetime(2023, 12, 15, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("", "it does not end in YYMMDD"),
        ("SPXW230915C450000", "it does not end in YYMMDD, C or P, and 8 digits of strike"),
        ("SPXW230915X04500000", "it does not end in YYMMDD"),
        ("SPXW231315C04500000", "'231315' is no date"),
        ("SPXW230931C04500000", "'230931' is no date"),
        ("SPXW230229C04500000", "'230229' is no date"),
        ("spxw230915c04500000", "symbols are upper case; did you mean 'SPXW230915C04500000'"),
        ("BRK.B230915C00350000", "its root 'BRK.B' has something other than letters"),
        ("SPXWEEK230915C04500000", "its root 'SPXWEEK' is longer than 6 characters"),
        ("230915C04500000", "it has no root"),
        ("SPXW230915C00000000", "its strike is 0"),
    ],
)
def test_malformed(symbol: str, message: str) -> None:
    with pytest.raises(SymbolError, match="is no OCC symbol") as caught:
        parse_occ(symbol)
    assert message in str(caught.value)
    assert "like 'SPXW  230915C04500000'" in str(caught.value)


@pytest.mark.parametrize("symbol", ["AAPL1 230915C00150000", "AAPL7230915C00150000", "2SPX230915C04500000"])
def test_adjusted_contracts_are_not_covered(symbol: str) -> None:
    with pytest.raises(UnsupportedError, match="deliverable unknown"):
        parse_occ(symbol)


def test_an_index_without_terms_is_no_share() -> None:
    with pytest.raises(UnsupportedError, match=r"index whose terms are not in our table \(root 'XND'\)"):
        parse_occ("XND230915C00150000")


def test_a_stated_multiplier_must_be_the_listed_one() -> None:
    assert parse_occ("SPY230915C00450000", multiplier=Decimal("100.0")).multiplier == 100
    with pytest.raises(InputError, match="multiplier 10, but an OCC option is on 100"):
        parse_occ("SPY230915C00450000", multiplier=Decimal(10))


def test_terms_that_occ_has_no_symbol_for() -> None:
    option = parse_occ("SPY230915C00450000")
    with pytest.raises(SymbolError, match=r"would differ in multiplier 10 \(OCC: 100\)"):
        occ_symbol(replace(option, multiplier=Decimal(10)))
    with pytest.raises(SymbolError, match="a strike of -1 does not fit"):
        occ_symbol(replace(option, strike=Decimal(-1)))
    with pytest.raises(SymbolError, match=r"a strike of 0\.0001 does not fit"):
        occ_symbol(replace(option, strike=Decimal("0.0001")))
    with pytest.raises(SymbolError, match=r"a strike of 100000 does not fit"):
        occ_symbol(replace(option, strike=Decimal(100_000)))
    with pytest.raises(SymbolError, match="deliverable unknown"):
        occ_symbol(replace(option, underlying="SPY1"))


def test_the_name_decides_between_roots_of_the_same_terms() -> None:
    weekly = parse_occ("VIXW230913C00015000")
    assert occ_symbol(weekly) == "VIXW  230913C00015000"
    with pytest.raises(SymbolError, match="it could be any of"):
        occ_symbol(replace(weekly, name="my option"))


def test_the_time_of_day_decides_between_spx_and_spxw() -> None:
    for symbol in ("SPX   231215C04500000", "SPXW  231215C04500000"):
        assert occ_symbol(replace(parse_occ(symbol), name="my option")) == symbol


def test_every_root_has_a_source() -> None:
    data = json.loads(files("crossmargin.instruments").joinpath("occ_roots.json").read_text("utf-8"))
    assert set(data["roots"]) == {root for source in data["sources"] for root in source["covers"]}
    assert not set(data["roots"]) & set(data["index_roots_without_terms"]["roots"])


ROOTS = st.sampled_from(["SPX", "SPXW", "XSP", "NDX", "NDXP", "RUT", "RUTW", "DJX", "OEX", "XEO", "SPY", "F", "GOOG"])
DATES = st.dates(date(2000, 1, 1), date(2099, 12, 31))
STRIKES = st.integers(1, 10**8 - 1)


@given(ROOTS, DATES, st.sampled_from("CP"), STRIKES, st.integers(0, 6))
def test_symbol_to_terms_to_symbol(root: str, day: date, right: str, strike: int, blanks: int) -> None:
    tail = f"{day:%y%m%d}{right}{strike:08d}"
    option = parse_occ(root + " " * blanks + tail)
    assert option.name == f"{root:<6}{tail}"
    assert occ_symbol(replace(option, name="any")) == option.name
    assert parse_occ(option.name) == option
    assert canonical_name(root + tail) == option.name


@given(st.text(alphabet="SPXW1230915C045000 .c", max_size=22))
def test_any_text_is_terms_or_an_error_of_ours(text: str) -> None:
    try:
        option = parse_occ(text)
    except (SymbolError, UnsupportedError):
        return
    assert occ_symbol(option) == canonical_name(text)


@pytest.mark.parametrize("file", FILES)
def test_every_symbol_of_a_real_chain(data_dir: Path, file: str) -> None:
    with gzip.open(data_dir / file, "rt") as lines:
        rows = list(csv.DictReader(lines))
    assert rows
    for row in rows:
        option = parse_occ(row["instrument"])
        assert occ_symbol(option).replace(" ", "") == row["instrument"]
        assert f"{option.expiry.astimezone(NEW_YORK):%Y-%m-%d}" == row["expiry"]
        assert float(option.strike) == float(row["strike"])
        assert option.right == row["option_type"]
