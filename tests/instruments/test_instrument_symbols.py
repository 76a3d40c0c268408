"""Which convention a name is in is seen from its form."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from crossmargin.basics.errors import SymbolError
from crossmargin.instruments import canonical_name, parse_deribit, parse_occ, parse_symbol


@pytest.mark.parametrize(
    "name", ["SPXW  230915C04500000", "SPXW230915C04500000", "SPXW 230915C04500000", " F230915P00012000 "]
)
def test_occ(name: str) -> None:
    assert parse_symbol(name) == parse_occ(name)
    assert canonical_name(name) == parse_occ(name).name


@pytest.mark.parametrize(
    "name", ["BTC-27MAR26-90000-C", "BTC-27MAR26", "BTC-PERPETUAL", "ETH_BTC", "XRP_USDC-30JUN25-2d5-C"]
)
def test_deribit(name: str) -> None:
    assert parse_symbol(f" {name} ") == parse_deribit(name)
    assert canonical_name(f" {name} ") == name


def test_a_stated_multiplier_is_passed_on() -> None:
    name = "BTC_USDC-27MAR26"
    assert parse_symbol(name, multiplier=Decimal("0.001")) == parse_deribit(name, multiplier=Decimal("0.001"))
    assert parse_symbol("SPY230915C00450000", multiplier=Decimal(100)).multiplier == 100


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("btc-27mar26-90000-c", "did you mean 'BTC-27MAR26-90000-C'"),
        ("spxw230915c04500000", "did you mean 'SPXW230915C04500000'"),
        ("BTC-31FEB26", "FEB 2026 has no day 31"),
        ("BRK.B230915C00350000", "root 'BRK.B'"),
    ],
)
def test_the_convention_says_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(SymbolError) as caught:
        parse_symbol(name)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["", "AAPL", "AAPL 2026-12-18 C 200", "€", "SPXW230915C4500"])
def test_neither(name: str) -> None:
    with pytest.raises(SymbolError, match="is no instrument name that we know") as caught:
        parse_symbol(name)
    assert "'SPXW  230915C04500000'" in str(caught.value)
    assert "BTC-27MAR26-90000-C" in str(caught.value)
    assert canonical_name(name) == name


def test_terms_and_symbols_need_no_numpy() -> None:
    code = (
        "import sys, crossmargin.instruments as i; i.parse_symbol('BTC-27MAR26-90000-C'); "
        "print(sorted({'numpy', 'polars', 'zoneinfo'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
