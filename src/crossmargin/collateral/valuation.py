"""What balances are worth as cover.

Cash counts at its dollar price less a haircut, once for each margin account. A coin whose price the scenarios move
needs no haircut: it is *also a position*, so its fall in a crash is charged where it happens, and it hedges what it
hedges (`spot_trades`). Collateral value and requirement then speak of the same coin: the value at today's price, and
what it could lose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import Problem, UnsupportedError, raise_problems
from crossmargin.basics.quantities import steps_to_float
from crossmargin.instruments.table import Kind
from crossmargin.instruments.terms import Spot
from crossmargin.market.policy import STABLECOINS, MissingPolicy
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


@cache
def haircuts() -> Mapping[str, float]:
    """Haircut of every eligible asset."""
    document = json.loads(resources.files(__package__).joinpath("schedule.json").read_text(encoding="utf-8"))
    return {asset: float(haircut) for asset, haircut in document["haircuts"].items()}


def is_scenario_asset(market: Market, asset: str) -> bool:
    """Whether the market lists the asset itself as a spot instrument, so that scenarios move it.

    A stablecoin that is listed has a price, but no scenarios.
    """
    if asset not in market or asset in STABLECOINS:
        return False
    instrument = market.instruments.instruments[int(market.rows([asset])[0])]
    return isinstance(instrument, Spot) and instrument.underlying == asset


def spot_trades(book: Book, market: Market) -> list[tuple[str, str, int]]:
    """Balances that are also positions, as `(member, spot instrument, steps)`."""
    if book.balances is None:
        return []
    balances = book.balances
    return [
        (book.accounts[account], balances.assets[asset], steps)
        for account, asset, steps in zip(
            balances.account.tolist(), balances.asset.tolist(), balances.steps.tolist(), strict=True
        )
        if steps and is_scenario_asset(market, balances.assets[asset])
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
            if asset not in haircuts():
                problems.append(
                    Problem(
                        found=f"'{asset}' is no collateral that the schedule accepts",
                        needed=f"It accepts {', '.join(haircuts())}.",
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
            haircut = haircuts()[asset] if amount > 0 else 0.0
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
