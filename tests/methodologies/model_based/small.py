"""Small markets and histories whose requirements can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.positions import read_positions
from crossmargin.history.factors import factor_of
from crossmargin.history.histories import FactorHistories
from crossmargin.instruments.terms import (
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
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology

AS_OF = datetime(2026, 2, 25, 12, tzinfo=UTC)
DAY = 86_400


def history_of(levels: Mapping[str, Sequence[float]], rolled: Mapping[str, int] | None = None) -> FactorHistories:
    """Levels of the last days to the day of the market."""
    n = len(next(iter(levels.values())))
    last = int(AS_OF.replace(hour=0).timestamp())
    table = np.array([levels[name] for name in levels], dtype=float).T
    marks = np.zeros(table.shape, np.bool_)
    for name, row in (rolled or {}).items():
        marks[row, list(levels).index(name)] = True
    times = last - DAY * np.arange(n)[::-1]
    return FactorHistories.of([factor_of(name) for name in levels], times, table, marks, source="small")


def of_changes(**changes: Sequence[float]) -> FactorHistories:
    """Prices that end at 100 and had these log changes."""
    return history_of(
        {
            f"price:{name}": 100 * np.exp(np.concatenate(([0.0], np.cumsum(own))) - np.sum(own))
            for name, own in changes.items()
        }
    )


def spots(*names: str, **prices: float) -> Market:
    """One unit each; at 100 where nothing else is said."""
    at = dict.fromkeys(names, 100.0) | prices
    quotes = [
        Quote(instrument=Spot(name=name, underlying=name, quote_currency="USD", settlement_currency="USD"))
        for name in at
    ]
    return Market.from_quotes(quotes, as_of=AS_OF, source="small", index=dict(at), prices=dict(at))


def perpetual(name: str, price: float) -> Quote:
    """A linear perpetual of one unit."""
    return Quote(
        instrument=Perpetual(
            name=f"{name}-PERP",
            underlying=name,
            quote_currency="USD",
            settlement_currency="USD",
            payoff=Payoff.LINEAR,
            multiplier=Decimal(1),
        ),
        mark=price,
    )


def future(name: str, price: float, days: int = 30) -> Quote:
    """A linear future of one unit."""
    return Quote(
        instrument=DatedFuture(
            name=f"{name}-FUT",
            underlying=name,
            quote_currency="USD",
            settlement_currency="USD",
            payoff=Payoff.LINEAR,
            multiplier=Decimal(1),
            expiry=AS_OF + timedelta(days=days),
        ),
        mark=price,
    )


def option(name: str, strike: int, right: Right, vol: float, forward: float = 100.0, days: int = 30) -> Quote:
    """A European cash-settled option of one unit."""
    return Quote(
        instrument=VanillaOption(
            name=f"{name}-{strike}-{right.value[0].upper()}",
            underlying=name,
            quote_currency="USD",
            settlement_currency="USD",
            payoff=Payoff.LINEAR,
            multiplier=Decimal(1),
            expiry=AS_OF + timedelta(days=days),
            strike=Decimal(strike),
            right=right,
            style=Style.EUROPEAN,
            delivery=Delivery.CASH,
            on=On.INDEX,
        ),
        vol=vol,
        forward=forward,
    )


def of_quotes(*quotes: Quote, **index: float) -> Market:
    """A market of them."""
    return Market.from_quotes(list(quotes), as_of=AS_OF, source="small", index=index)


def asked(book: Mapping[str, Mapping[str, float]], market: Market, method: Methodology) -> dict[str, float]:
    """Initial requirement of each account, which holds quantities by name."""
    found = evaluated(book, market, method)
    return dict(zip(found.requirements.margin_accounts, found.requirements.requirement_initial.tolist(), strict=True))


def evaluated(book: Mapping[str, Mapping[str, float]], market: Market, method: Methodology) -> Evaluation:
    """The whole answer."""
    rows = [
        {"account": account, "instrument": name, "quantity": str(quantity)}
        for account, held in book.items()
        for name, quantity in held.items()
    ]
    return evaluate(read_positions(rows), market, method)


def plain(name: str, history: FactorHistories, **options: Any) -> Methodology:
    """One day, as many observations as there are changes, unless something else is said."""
    given = {"horizon_days": "1", "observations": str(len(history.times) - 1)} | options
    document = given.pop("document", None)
    return methodology(name, document, history=history, **given)


def document(name: str, **sections: Any) -> dict[str, Any]:
    """Parameters of a method that ships, with parts of sections replaced."""
    made = dict(methodology(name).info.document)
    for section, change in sections.items():
        merged = isinstance(change, dict) and section not in ("stress_periods", "hypothetical")
        made[section] = made[section] | change if merged else change
    return made
