"""What balances are worth as cover.

Cash counts at its dollar price less a haircut, once for each margin account. A coin whose price the scenarios move
needs no haircut: it is *also a position*, so its fall in a crash is charged where it happens, and it hedges what it
hedges (`spot_trades`). Collateral value and requirement then speak of the same coin: the value at today's price, and
what it could lose.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import MissingQuoteError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.quantities import steps_to_float
from crossmargin.basics.times import format_utc
from crossmargin.instruments.table import Kind
from crossmargin.instruments.terms import Spot
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, dollar_price
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralItem:
    """One asset of one margin account: dollars are `amount * price * (1 - haircut)`."""

    margin_account: int
    asset: str
    amount: float
    price: float
    haircut: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollateralValue:
    """Cover of each margin account.

    Parameters
    ----------
    value : ndarray of shape (n_margin_accounts,)
        US dollars, after haircut; negative when more is borrowed than held.
    items : tuple of CollateralItem
        What it is made of.
    fills : tuple of Fill
        Stand-ins for missing prices.
    """

    value: FloatArray
    items: tuple[CollateralItem, ...]
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is accepted: haircut by asset, and the assets that take part in the scenarios instead."""

    name: str
    date: str
    digest: str
    haircuts: Mapping[str, float]
    take_part: frozenset[str]


@cache
def schedule() -> Schedule:
    """The collateral schedule that ships."""
    text = resources.files(__package__).joinpath("schedule.json").read_text(encoding="utf-8")
    document = json.loads(text)
    return Schedule(
        name=document["name"],
        date=document["date"],
        digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        haircuts={asset: float(haircut) for asset, haircut in document["haircuts"].items()},
        take_part=frozenset(document["take_part"]),
    )


def spot_of(market: Market, asset: str) -> str | None:
    """The spot instrument that is the asset itself: quoted in dollars, one unit of it a contract."""
    for instrument in market.instruments.instruments:
        if (
            isinstance(instrument, Spot)
            and instrument.underlying == asset
            and instrument.quote_currency == "USD"
            and instrument.multiplier == 1
        ):
            return instrument.name
    return None


def spot_trades(book: Book, market: Market) -> list[tuple[str, str, int]]:
    """Balances that are also positions, as `(member, spot instrument, steps)`.

    Raises
    ------
    MissingQuoteError
        If the market has no spot of an asset that must take part: it would count whole and risk nothing.
    """
    if book.balances is None:
        return []
    balances = book.balances
    taking_part = {k: name for k, name in enumerate(balances.assets) if name in schedule().take_part}
    spots = {k: spot_of(market, name) for k, name in taking_part.items() if (balances.asset == k).any()}
    raise_problems(
        [
            Problem(
                found=f"no spot of {taking_part[k]} in the market of {format_utc(market.as_of)} ({market.source}), so "
                f"its balances cannot take part in the scenarios",
                needed=f"Add a row of kind 'spot', underlying {taking_part[k]}, quoted in USD, multiplier 1.",
                kind=MissingQuoteError,
            )
            for k, spot in spots.items()
            if spot is None
        ]
    )
    return [
        (book.accounts[account], spot, steps)
        for account, asset, steps in zip(
            balances.account.tolist(), balances.asset.tolist(), balances.steps.tolist(), strict=True
        )
        if steps and (spot := spots.get(asset)) is not None
    ]


def collateral_value(book: Book, market: Market, policy: MissingPolicy) -> CollateralValue:
    """Value the balances of `book`, and its spot positions, which are holdings too.

    Raises
    ------
    UnsupportedError
        For an asset that the schedule does not accept.
    MissingQuoteError
        For an asset without a dollar price.
    """
    fills: list[Fill] = []
    problems: list[Problem] = []
    items: list[CollateralItem] = []
    price: dict[str, float] = {}
    if book.balances is not None:
        balances = book.balances
        for asset in {balances.assets[k]: None for k in balances.asset.tolist()}:
            if asset not in schedule().haircuts:
                problems.append(
                    Problem(
                        found=f"'{asset}' is no collateral that the schedule accepts",
                        needed=f"It accepts {', '.join(schedule().haircuts)}.",
                        column="asset",
                        kind=UnsupportedError,
                    )
                )
                continue
            price[asset] = dollar_price(market, asset, policy, fills, problems, needed_by="balances")
        raise_problems(problems)
        margin_account = book.margin_account_of[balances.account]
        amounts = steps_to_float(balances.steps)
        for account, k, amount in zip(margin_account.tolist(), balances.asset.tolist(), amounts.tolist(), strict=True):
            asset = balances.assets[k]
            # A haircut makes an asset worth less and a debt no smaller.
            haircut = schedule().haircuts[asset] if amount > 0 else 0.0
            items.append(
                CollateralItem(
                    margin_account=account,
                    asset=asset,
                    amount=amount,
                    price=price[asset],
                    haircut=haircut,
                    value=amount * price[asset] * (1 - haircut),
                )
            )
    items += _spot_items(book, market, policy, fills, problems)
    raise_problems(problems)
    value = np.zeros(len(book.margin_accounts))
    for item in items:
        value[item.margin_account] += item.value
    return CollateralValue(value=read_only(value), items=tuple(items), fills=tuple(fills))


def _spot_items(
    book: Book, market: Market, policy: MissingPolicy, fills: list[Fill], problems: list[Problem]
) -> list[CollateralItem]:
    table = market.instruments.take(market.rows(book.instruments))
    spot = np.flatnonzero(table.kind == Kind.SPOT)
    if not len(spot):
        return []
    held = book.positions
    owner, quantity = held.owner(), steps_to_float(held.steps)
    items = []
    for k in np.flatnonzero(np.isin(held.instrument, spot)).tolist():
        instrument = table.instruments[int(held.instrument[k])]
        quote = dollar_price(market, instrument.quote_currency, policy, fills, problems, needed_by=instrument.name)
        price = market.index.get(instrument.underlying, float("nan")) * quote
        amount = float(quantity[k]) * float(instrument.multiplier)
        items.append(
            CollateralItem(
                margin_account=int(owner[k]),
                asset=instrument.name,
                amount=amount,
                price=price,
                haircut=0.0,
                value=amount * price,
            )
        )
    return items
