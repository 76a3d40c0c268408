"""Terms refuse what makes no sense, all of it at once."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crossmargin.basics.errors import InputError
from crossmargin.instruments import (
    DatedFuture,
    Delivery,
    On,
    Payoff,
    Perpetual,
    Right,
    Spot,
    Style,
    VanillaOption,
)

EXPIRY = datetime(2026, 3, 27, 8, tzinfo=UTC)


def option(**changes: Any) -> VanillaOption:
    terms: dict[str, Any] = {
        "name": "X",
        "underlying": "BTC",
        "quote_currency": "USD",
        "settlement_currency": "BTC",
        "payoff": Payoff.INVERSE,
        "multiplier": Decimal(1),
        "expiry": EXPIRY,
        "strike": Decimal(90_000),
        "right": Right.CALL,
        "style": Style.EUROPEAN,
        "delivery": Delivery.CASH,
        "on": On.INDEX,
    }
    return VanillaOption(**(terms | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"multiplier": Decimal(0)},
            r"instrument 'X': multiplier is Decimal\('0'\). Give a finite Decimal above 0",
        ),
        ({"multiplier": Decimal(-1)}, "multiplier is"),
        ({"multiplier": Decimal("NaN")}, "multiplier is"),
        ({"multiplier": Decimal("Infinity")}, "multiplier is"),
        ({"multiplier": 1.0}, "multiplier is 1.0"),
        ({"strike": Decimal("NaN")}, "strike is"),
        ({"strike": Decimal("-Infinity")}, "strike is"),
        ({"strike": 5}, "strike is 5"),
        ({"expiry": datetime(2026, 3, 27, 8)}, "expiry is 2026-03-27T08:00:00, which is not in UTC"),  # noqa: DTZ001
        ({"expiry": datetime(2026, 3, 27, 8, tzinfo=ZoneInfo("America/New_York"))}, "not in UTC"),
        ({"expiry": EXPIRY + timedelta(microseconds=1)}, "no whole second"),
        ({"name": ""}, "name is ''"),
        ({"underlying": " BTC"}, "underlying is ' BTC'"),
        ({"quote_currency": ""}, "quote_currency is ''"),
        ({"settlement_currency": ""}, "settlement_currency is ''"),
        ({"settlement_currency": "USD"}, "an inverse contract quoted in USD cannot be settled in it"),
    ],
)
def test_refuses_what_makes_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        option(**changes)


def test_all_problems_are_one_error() -> None:
    with pytest.raises(InputError) as caught:
        option(multiplier=Decimal(0), strike=Decimal("NaN"), settlement_currency="USD")
    assert len(caught.value.problems) == 3
    assert [problem.column for problem in caught.value.problems] == [
        "multiplier",
        "settlement_currency",
        "strike",
    ]


@pytest.mark.parametrize("strike", [Decimal(-37), Decimal(0), Decimal("0.001")])
def test_a_strike_may_be_zero_or_negative(strike: Decimal) -> None:
    assert option(strike=strike).strike == strike


def test_futures_and_perpetuals_are_checked_too() -> None:
    common: dict[str, Any] = {
        "name": "F",
        "underlying": "BTC",
        "quote_currency": "USD",
        "settlement_currency": "BTC",
        "payoff": Payoff.INVERSE,
        "multiplier": Decimal(0),
    }
    with pytest.raises(InputError, match="multiplier is"):
        Perpetual(**common)
    with pytest.raises(InputError, match="not in UTC"):
        DatedFuture(**common, expiry=datetime(2026, 3, 27, 8, tzinfo=timezone(timedelta(hours=2))))


def test_spot_is_linear() -> None:
    with pytest.raises(InputError, match="spot cannot be inverse"):
        Spot(
            name="BTC",
            underlying="BTC",
            quote_currency="USD",
            settlement_currency="BTC",
            payoff=Payoff.INVERSE,
        )


def test_terms_are_values() -> None:
    contract = option()
    assert contract == option()
    assert hash(contract) == hash(option())
    assert pickle.loads(pickle.dumps(contract)) == contract
    with pytest.raises(FrozenInstanceError):
        contract.strike = Decimal(1)  # type: ignore[misc]
