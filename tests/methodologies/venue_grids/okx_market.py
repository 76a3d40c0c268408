"""Markets of OKX contracts for tests: the one of OKX's own API example, and one with options."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from crossmargin.basics.errors import Problem, raise_problems
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.positions import read_book
from crossmargin.instruments.terms import (
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
)
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.registry import methodology

EXAMPLE_AS_OF = datetime(2025, 1, 15, 10, 26, 41, tzinfo=UTC)
USDT = 0.99954


def perpetual(coin: str, currency: str, size: str) -> Perpetual:
    """As OKX lists it; in USD it is margined in coin."""
    inverse = currency == "USD"
    return Perpetual(
        name=f"{coin}-{currency}-SWAP",
        underlying=coin,
        quote_currency=currency,
        settlement_currency=coin if inverse else currency,
        payoff=Payoff.INVERSE if inverse else Payoff.LINEAR,
        multiplier=Decimal(size),
    )


def future(coin: str, currency: str, size: str, expiry: datetime) -> DatedFuture:
    """As OKX lists it."""
    inverse = currency == "USD"
    return DatedFuture(
        name=f"{coin}-{currency}-{expiry:%y%m%d}",
        underlying=coin,
        quote_currency=currency,
        settlement_currency=coin if inverse else currency,
        payoff=Payoff.INVERSE if inverse else Payoff.LINEAR,
        multiplier=Decimal(size),
        expiry=expiry,
    )


def option(coin: str, expiry: datetime, strike: int, right: Right) -> VanillaOption:
    """As OKX lists it: margined in coin, 0.01 coin a contract."""
    return VanillaOption(
        name=f"{coin}-USD-{expiry:%y%m%d}-{strike}-{right.value[0].upper()}",
        underlying=coin,
        quote_currency="USD",
        settlement_currency=coin,
        payoff=Payoff.INVERSE,
        multiplier=Decimal("0.01"),
        expiry=expiry,
        strike=Decimal(strike),
        right=right,
        style=Style.EUROPEAN,
        delivery=Delivery.CASH,
        on=On.INDEX,
    )


def spot(coin: str) -> Spot:
    """Of a coin or stablecoin, in dollars."""
    return Spot(name=f"{coin}-USD", underlying=coin, quote_currency="USD", settlement_currency="USD")


def example_market() -> Market:
    """The market of the example: marks as printed there; index and USDT follow from its figures."""
    quotes = [
        Quote(instrument=perpetual("BTC", "USDT", "0.01"), mark=97093.7),
        Quote(instrument=perpetual("LTC", "USDT", "1"), mark=102.0),
    ]
    return Market.from_quotes(
        quotes,
        as_of=EXAMPLE_AS_OF,
        source="OKX API example",
        index={"BTC": 97078.9, "LTC": 101.9951},
        prices={"USDT": USDT},
    )


NEAR, FAR = datetime(2025, 1, 31, 8, tzinfo=UTC), datetime(2025, 6, 27, 8, tzinfo=UTC)
STRIKES = (70_000, 95_000, 130_000)


def quotes_of_btc() -> list[Quote]:
    """Perpetuals and futures in three currencies, and options of two expiries."""
    found: list[tuple[Instrument, float]] = [
        (perpetual("BTC", "USDT", "0.01"), 97_100.0),
        (perpetual("BTC", "USDC", "0.01"), 97_060.0),
        (perpetual("BTC", "USD", "100"), 97_050.0),
        (future("BTC", "USDT", "0.01", NEAR), 97_500.0),
        (future("BTC", "USD", "100", FAR), 101_000.0),
    ]
    quotes = [Quote(instrument=terms, mark=mark) for terms, mark in found]
    for expiry, forward, vol in ((NEAR, 97_450.0, 0.55), (FAR, 101_000.0, 0.62)):
        for strike in STRIKES:
            quotes += [
                Quote(
                    instrument=option("BTC", expiry, strike, right),
                    vol=vol + abs(strike - 95_000) / 500_000,
                    forward=forward,
                    discount=0.999 if expiry == NEAR else 0.985,
                )
                for right in Right
            ]
    return quotes


def market(usdt: float = 0.9997, usdc: float = 1.0001) -> Market:
    """BTC with everything, LTC with a perpetual."""
    quotes = [*quotes_of_btc(), Quote(instrument=perpetual("LTC", "USDT", "1"), mark=102.0)]
    quotes += [Quote(instrument=spot("BTC")), Quote(instrument=spot("LTC"))]
    return Market.from_quotes(
        quotes,
        as_of=EXAMPLE_AS_OF,
        source="OKX test market",
        index={"BTC": 97_040.0, "LTC": 101.95},
        prices={"USDT": usdt, "USDC": usdc, "BTC": 97_040.0, "LTC": 101.95},
    )


LADDER = [
    {"index_from": "0.995", "tiers": [["0", "0.005"], ["1000000", "0.01"]]},
    {"index_from": "0.98", "tiers": [["0", "0.02"], ["1000000", "0.03"]]},
    {"index_from": "0", "tiers": [["0", "0.4"]]},
]
COMPLETE: dict[str, Any] = {
    "extends": "okx-pm-unverified-2023",
    "name": "okx-pm-test",
    "version": "1",
    "date": "2025-01-15",
    "title": "Invented figures for tests",
    "basis": {"floors": {"ETH": "0.003"}},
    "minimum_charge": {"rates": {"ETH": "0.005"}, "option_rates": {"BTC": "0.001", "ETH": "0.0012"}},
    "rate_shifts": {
        "level": {"days": ["0"], "shift": ["0.02"]},
        "slope": {"days": ["0", "365"], "shift": ["0.03", "-0.01"]},
    },
    "stablecoin_ladders": {"USDT-USD": LADDER, "USDT-USDC": LADDER, "USDC-USD": LADDER},
    "borrowing": {
        "USDC": {"maintenance": "0.02", "initial": "0.1"},
        "BTC": {"maintenance": "0.03", "initial": "0.1"},
        "ETH": {"maintenance": "0.03", "initial": "0.12"},
    },
}
"""Every parameter given: what no source states is invented here, for tests alone."""


def rows(positions: dict[str, Any], account: str = "ann", **attributes: str) -> list[dict[str, str]]:
    """Records of one account's positions."""
    return [
        {"account": account, "instrument": name, "quantity": str(quantity), **attributes}
        for name, quantity in positions.items()
    ]


def run(
    positions: dict[str, Any],
    balances: dict[str, Any] | None = None,
    *,
    where: Market | None = None,
    parameters: Any = None,
) -> Evaluation:
    """One account, margined."""
    cash = None
    if balances is not None:
        cash = [{"account": "ann", "asset": asset, "amount": str(amount)} for asset, amount in balances.items()]
    method = methodology("okx-pm", COMPLETE if parameters is None else parameters)
    assert method.schedule is not None
    problems: list[Problem] = []
    book = read_book(rows(positions), cash, problems, accepts=method.schedule.haircuts)
    raise_problems(problems)
    assert book is not None
    return evaluate(book, where or market(), method)
