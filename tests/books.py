"""Markets and random books for tests: BTC and ETH (inverse options, futures, perpetuals, spot) and SPX (linear)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from crossmargin.files.positions import read_positions
from crossmargin.history.factors import factor_of
from crossmargin.history.histories import FactorHistories
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.instruments.terms import Spot, VanillaOption
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import ENTRIES, methodology
from crossmargin.portfolio.book import Book
from tests.methodologies.venue_grids.okx_market import COMPLETE as OKX_INVENTED

AS_OF = datetime(2026, 2, 15, 12, tzinfo=UTC)
INDEX = {"BTC": 100_000.0, "ETH": 3_100.0, "SPX": 6_800.0}
_FUTURES = {
    "BTC-27MAR26": 100_700.0,
    "BTC-26JUN26": 102_300.0,
    "ETH-27MAR26": 3_118.0,
    "BTC-PERPETUAL": 100_050.0,
    "ETH-PERPETUAL": 3_098.5,
}
_EXPIRIES = {
    "BTC": {"20FEB26": 100_080.0, "27MAR26": 100_700.0, "26JUN26": 102_300.0},
    "ETH": {"27MAR26": 3_118.0},
    "SPX": {"260320": 6_815.0, "260918": 6_905.0},
}
_STRIKES = {
    "BTC": ("60000", "85000", "100000", "115000", "160000"),
    "ETH": ("2000", "3100", "4500"),
    "SPX": ("05400000", "06800000", "07600000"),
}


def _names() -> list[tuple[str, float, float]]:
    """Every option: name, forward and discount factor."""
    found = []
    for underlying, expiries in _EXPIRIES.items():
        for expiry, forward in expiries.items():
            for strike in _STRIKES[underlying]:
                for right in "CP":
                    if underlying == "SPX":
                        discount = 0.996 if expiry == "260320" else 0.978
                        found.append((f"SPX   {expiry}{right}{strike}", forward, discount))
                    else:
                        found.append((f"{underlying}-{expiry}-{strike}-{right}", forward, 1.0))
    return found


def _smile(strike: float, forward: float, years: float, at_the_money: float) -> float:
    k = math.log(strike / forward)
    return at_the_money * (1 - 0.25 * k + 0.5 * k * k + 0.02 / math.sqrt(years + 0.05))


@cache
def market() -> Market:
    """Three underlyings, nothing missing but the marks, which follow from the model."""
    quotes = [
        Quote(instrument=Spot(name=coin, underlying=coin, quote_currency="USD", settlement_currency="USD"))
        for coin in ("BTC", "ETH")
    ]
    quotes += [Quote(instrument=parse_symbol(name), mark=mark) for name, mark in _FUTURES.items()]
    for name, forward, discount in _names():
        option = parse_symbol(name)
        assert isinstance(option, VanillaOption)
        years = (option.expiry - AS_OF).total_seconds() / (365 * 86_400)
        base = {"BTC": 0.48, "ETH": 0.66, "SPX": 0.15}[option.underlying]
        vol = round(_smile(float(option.strike), forward, years, base), 6)
        quotes.append(Quote(instrument=option, vol=vol, forward=forward, discount=discount))
    return Market.from_quotes(
        quotes, as_of=AS_OF, source="test market", index=INDEX, prices={"BTC": INDEX["BTC"], "ETH": INDEX["ETH"]}
    )


NAMES = (*market().instruments.names,)
OPTIONS = tuple(name for name, _, _ in _names())


def size(name: str) -> int:
    """Contracts that are about one option: inverse futures are 10 or 1 dollars each."""
    if name in _FUTURES:
        return 10_000 if name.startswith("BTC") else 3_000
    return 1


# What a method has no rule for: by the start of a name with a bar behind it. All else it can hold.
_DATED_FUTURES = ("BTC-27MAR26|", "BTC-26JUN26|", "ETH-27MAR26|")
NOT_HELD: dict[str, tuple[str, ...]] = {
    "derive-pmrm2": ("SPX", *_DATED_FUTURES),
    "derive-pmrm1": ("SPX", *_DATED_FUTURES),
    "deribit-pm": ("SPX",),
    "okx-pm": ("SPX",),
    "derive-standard": ("SPX", *_DATED_FUTURES),
    "deribit-standard": ("SPX",),
    "dydx-v4": ("",),  # nothing of this market: every perpetual of it is inverse
}
# Of these no source states every parameter: tests that are about any figures take invented ones.
PARAMETERS: dict[str, Any] = {"okx-pm": OKX_INVENTED}


@cache
def history() -> FactorHistories:
    """Six years to the day of the market: prices and volatilities of all three, that move together."""
    n, generator = 2300, np.random.default_rng(20260215)
    last = int(AS_OF.replace(hour=0).timestamp())
    names = [f"{kind}:{underlying}" for underlying in INDEX for kind in ("price", "vol")]
    shared = generator.standard_t(4, n)
    daily = {"price:BTC": 0.025, "price:ETH": 0.035, "price:SPX": 0.008}
    columns = []
    for name in names:
        loading = 0.7 if name.startswith("price") else -0.5
        shock = loading * shared + generator.standard_normal(n) * 0.7
        start = INDEX[name[6:]] if name.startswith("price") else 0.5
        columns.append(start * np.exp(np.cumsum(shock * daily.get(name, 0.04))))
    times = last - 86_400 * np.arange(n)[::-1]
    return FactorHistories.of([factor_of(name) for name in names], times, np.stack(columns, axis=1), source="test")


def shortfall_document(tool: str) -> dict[str, Any]:
    """Parameters of filtered expected shortfall for that history, with an anti-procyclicality tool and a floor."""
    document = dict(methodology("filtered-es").info.document)
    document["anti_procyclicality"] = document["anti_procyclicality"] | {"tool": tool, "long_run_observations": "380"}
    document["generation"] = document["generation"] | {"observations": "250"}
    document["stress_periods"] = {"a week": ["2025-08-04", "2025-08-08"], "an older one": ["2021-05-17", "2021-05-21"]}
    return document | {"floor_rate": "0.01"}


def prisma_document(**changed: Any) -> dict[str, Any]:
    """Parameters of prisma-like for that history in which everything that is off is on, and size costs the same."""
    document = dict(methodology("prisma-like").info.document)
    document["generation"] = document["generation"] | {"observations": "330", "horizon_days": "3"}
    document["measure"] = document["measure"] | {"aggregate": "median"}
    document["liquidity"] = document["liquidity"] | {"level": "0.95", "factor_by_days": [["0", "0.1"]]}
    document["model_error"] = document["model_error"] | {"option": "0.002", "future": "0.001"}
    document["correlation_break"] = document["correlation_break"] | {"kappa": "2", "least": "0"}
    document["events"] = {"worst": "2", "periods": {"an older week": ["2021-05-17", "2021-05-21"]}}
    document["liquidation_groups"] = {"BTC": "coins", "ETH": "coins"}
    return document | {"maintenance_factor": "0.9"} | changed


def span2_document(**changed: Any) -> dict[str, Any]:
    """Parameters of span2-like for that history in which everything that is off is on."""
    document = dict(methodology("span2-like").info.document)
    document["generation"] = document["generation"] | {"observations": "250"}
    document["hypothetical"] = {"crash": {"price:*": "-0.4", "vol:*": "0.5"}, "rally": {"price:ETH": "0.3"}}
    # The laws call an account by another name, or its sides: what falls with it goes along.
    named = {name: ["BTC", "SPX"] for name in ("ann", "0ann", "zann")} | {
        name: ["BTC"] for name in ("cid", "long", "short")
    }
    document["wrong_way"] = {"underlyings": ["ETH"], "accounts": named | {"a set": ["SPX"]}, "fall": "0.6"}
    return document | changed


WITH_HISTORY = tuple(name for name, entry in ENTRIES.items() if entry.takes_history)
"""Methods that margin nothing without a history of factors."""
ON_HISTORY: dict[str, Any] = {"observations": "250"}
"""So that the history of the tests is long enough."""


def made(method: str) -> Methodology:
    """A method with parameters, and a history, for everything that it has a rule for."""
    if method in WITH_HISTORY:
        return methodology(method, PARAMETERS.get(method), history=history(), **ON_HISTORY)
    return methodology(method, PARAMETERS.get(method))


def holds(method: str, instrument: str) -> bool:
    """Whether a method has a rule for an instrument of the test market."""
    return not any(f"{instrument}|".startswith(start) for start in NOT_HELD.get(method, ()))


Row = dict[str, Any]


def row(account: str, instrument: str, quantity: Decimal | str | int, **attributes: str) -> Row:
    """One record of positions."""
    return {"account": account, "instrument": instrument, "quantity": str(quantity), **attributes}


def book(rows: list[Row], balances: list[Row] | None = None) -> Book:
    """Rows to a book, by the way that users' records take."""
    keys = dict.fromkeys(key for record in rows for key in record)
    return read_positions([{key: record.get(key, "") for key in keys} for record in rows], balances)


@cache  # Hypothesis validates a strategy anew each time that one is made
def quantities(name: str) -> st.SearchStrategy[Decimal]:
    """Signed, never 0, to 0.01 of an option or a whole future."""
    hundredths = st.integers(-3_000, 3_000).filter(bool)
    return hundredths.map(lambda n: (Decimal(n) / 100 * size(name)).normalize() + 0)


@st.composite
def rows_of(
    draw: st.DrawFn,
    accounts: tuple[str, ...] = ("ann", "bob", "cid", "dan"),
    *,
    names: tuple[str, ...] = NAMES,
    most: int = 14,
) -> list[Row]:
    """Rows in any order, duplicates among them; `bob` and `dan` are a netting set, `cid` may be gross."""
    plain = draw(st.booleans())
    of_names, of_accounts = st.sampled_from(names), st.sampled_from(accounts)
    found = []
    for _ in range(draw(st.integers(1, most))):
        name = draw(of_names)
        account = draw(of_accounts)
        attributes = {}
        if not plain and account in ("bob", "dan"):
            attributes["netting_set"] = "a set"
        if not plain and account == "cid":
            attributes["account_type"] = "gross"
        found.append(row(account, name, draw(quantities(name)), **attributes))
    return found


def one_account(**options: Any) -> st.SearchStrategy[list[Row]]:
    """Rows of a single net account."""
    return rows_of(("ann",), **options)
