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
from typing import NamedTuple

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import MissingQuoteError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.quantities import steps_to_float
from crossmargin.basics.times import format_utc
from crossmargin.instruments.table import Kind
from crossmargin.instruments.terms import Spot
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, dollar_price
from crossmargin.portfolio.book import Balances, Book, PositionRows


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
    """Cover of each margin account, and the items that it is made of.

    The items are the balances in their order (by account, then asset), and after them the spot positions; arrays of
    shape `(n_items,)`, read-only. The value of an account is the running sum of its items in that order.

    Parameters
    ----------
    value : ndarray of shape (n_margin_accounts,)
        US dollars, after haircut; negative when more is borrowed than held.
    fills : tuple of Fill
        Stand-ins for missing prices.
    assets : tuple of str
        Names that `asset` indexes: the assets of the balances, then the instruments of the book.
    margin_account : ndarray of shape (n_items,)
        Whose it is.
    asset : ndarray of shape (n_items,)
        What it is.
    amount : ndarray of shape (n_items,)
        Units of the asset; negative is owed.
    price : ndarray of shape (n_items,)
        US dollars for one unit.
    haircut : ndarray of shape (n_items,)
        Fraction of the value that does not count.
    item_value : ndarray of shape (n_items,)
        US dollars: `amount * price * (1 - haircut)`.
    """

    value: FloatArray
    fills: tuple[Fill, ...]
    assets: tuple[str, ...]
    margin_account: IntArray
    asset: IntArray
    amount: FloatArray
    price: FloatArray
    haircut: FloatArray
    item_value: FloatArray

    def items_of(self, margin_account: int) -> tuple[CollateralItem, ...]:
        """What the cover of one margin account is made of, in the order in which it is summed."""
        return tuple(
            CollateralItem(
                margin_account=margin_account,
                asset=self.assets[int(self.asset[k])],
                amount=float(self.amount[k]),
                price=float(self.price[k]),
                haircut=float(self.haircut[k]),
                value=float(self.item_value[k]),
            )
            for k in np.flatnonzero(self.margin_account == margin_account).tolist()
        )

    def with_cash(self, margin_account: int, amount: float) -> CollateralValue:
        """The cover after `amount` US dollars came in to one margin account, or went out where negative."""
        dollar = self.assets.index("USD") if "USD" in self.assets else len(self.assets)
        value = self.value.copy()
        value[margin_account] += amount
        return CollateralValue(
            value=read_only(value),
            fills=self.fills,
            assets=self.assets if dollar < len(self.assets) else (*self.assets, "USD"),
            margin_account=read_only(np.append(self.margin_account, margin_account)),
            asset=read_only(np.append(self.asset, dollar)),
            amount=read_only(np.append(self.amount, amount)),
            price=read_only(np.append(self.price, 1.0)),
            haircut=read_only(np.append(self.haircut, 0.0)),
            item_value=read_only(np.append(self.item_value, amount)),
        )


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


def spot_rows(book: Book, market: Market) -> tuple[tuple[str, ...], PositionRows]:
    """Balances that are also positions: names of spot instruments, sorted, and the rows that index them.

    Of one row for each balance that is not 0 and takes part, in the order of the balances: what
    `book.with_positions` takes.

    Raises
    ------
    MissingQuoteError
        If the market has no spot of an asset that must take part: it would count whole and risk nothing.
    """
    balances = book.balances or Balances()
    held = np.bincount(balances.asset, minlength=len(balances.assets)) > 0
    taking_part = [k for k, name in enumerate(balances.assets) if held[k] and name in schedule().take_part]
    spots = {k: spot_of(market, balances.assets[k]) for k in taking_part}
    raise_problems(
        [
            Problem(
                found=f"no spot of {balances.assets[k]} in the market of {format_utc(market.as_of)} "
                f"({market.source}), so its balances cannot take part in the scenarios",
                needed=f"Add a row of kind 'spot', underlying {balances.assets[k]}, quoted in USD, multiplier 1.",
                kind=MissingQuoteError,
            )
            for k, spot in spots.items()
            if spot is None
        ]
    )
    named = {k: spot for k, spot in spots.items() if spot is not None}
    instruments = tuple(sorted(named.values()))
    instrument_of = np.full(len(balances.assets), -1, dtype=np.int64)
    for k, spot in named.items():
        instrument_of[k] = instruments.index(spot)
    instrument = instrument_of[balances.asset]
    kept = (instrument >= 0) & (balances.steps != 0)
    return instruments, PositionRows(
        account=read_only(balances.account[kept]),
        instrument=read_only(instrument[kept]),
        steps=read_only(balances.steps[kept]),
    )


def spot_trades(book: Book, market: Market) -> list[tuple[str, str, int]]:
    """`spot_rows` as `(member, spot instrument, steps)`; errors likewise."""
    instruments, rows = spot_rows(book, market)
    return [
        (book.accounts[account], instruments[instrument], steps)
        for account, instrument, steps in zip(
            rows.account.tolist(), rows.instrument.tolist(), rows.steps.tolist(), strict=True
        )
    ]


class _Items(NamedTuple):
    """Columns of items: as in `CollateralValue`."""

    assets: tuple[str, ...]
    margin_account: IntArray
    asset: IntArray
    amount: FloatArray
    price: FloatArray
    haircut: FloatArray


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
    cash = _balance_items(book, market, policy, fills, problems)
    raise_problems(problems)
    spot = _spot_items(book, market, policy, fills, problems)
    raise_problems(problems)
    margin_account = np.concatenate((cash.margin_account, spot.margin_account))
    amount, price, haircut = (
        np.concatenate(columns)
        for columns in ((cash.amount, spot.amount), (cash.price, spot.price), (cash.haircut, spot.haircut))
    )
    item_value = amount * price * (1 - haircut)
    return CollateralValue(
        # One addition after the other in the order of the items: an account has the same bits in every book.
        value=read_only(
            np.asarray(np.bincount(margin_account, item_value, len(book.margin_accounts)), dtype=np.float64)
        ),
        fills=tuple(fills),
        assets=(*cash.assets, *spot.assets),
        margin_account=read_only(margin_account),
        asset=read_only(np.concatenate((cash.asset, spot.asset + len(cash.assets)))),
        amount=read_only(amount),
        price=read_only(price),
        haircut=read_only(haircut),
        item_value=read_only(item_value),
    )


def _balance_items(
    book: Book, market: Market, policy: MissingPolicy, fills: list[Fill], problems: list[Problem]
) -> _Items:
    balances = book.balances or Balances()
    price = np.full(len(balances.assets), np.nan)
    haircut = np.zeros(len(balances.assets))
    for k in _as_they_come(balances.asset):
        asset = balances.assets[k]
        if asset in schedule().haircuts:
            price[k] = dollar_price(market, asset, policy, fills, problems, needed_by="balances")
            haircut[k] = schedule().haircuts[asset]
        else:
            problems.append(
                Problem(
                    found=f"'{asset}' is no collateral that the schedule accepts",
                    needed=f"It accepts {', '.join(schedule().haircuts)}.",
                    column="asset",
                    kind=UnsupportedError,
                )
            )
    amount = steps_to_float(balances.steps)
    return _Items(
        assets=balances.assets,
        margin_account=book.margin_account_of[balances.account],
        asset=balances.asset,
        amount=amount,
        price=price[balances.asset],
        # A haircut makes an asset worth less and a debt no smaller.
        haircut=np.where(amount > 0, haircut[balances.asset], 0.0),
    )


def _spot_items(
    book: Book, market: Market, policy: MissingPolicy, fills: list[Fill], problems: list[Problem]
) -> _Items:
    listed = market.rows(book.instruments)
    spot = np.flatnonzero(market.instruments.kind[listed] == Kind.SPOT)
    held = book.positions
    rows = np.flatnonzero(np.isin(held.instrument, spot))
    instrument = held.instrument[rows]
    price, multiplier = np.full(len(listed), np.nan), np.ones(len(listed))
    for k in _as_they_come(instrument):
        terms = market.instruments.instruments[int(listed[k])]
        quote = dollar_price(market, terms.quote_currency, policy, fills, problems, needed_by=terms.name)
        price[k] = market.index.get(terms.underlying, float("nan")) * quote
        multiplier[k] = float(terms.multiplier)
    return _Items(
        assets=book.instruments,
        margin_account=held.owner()[rows],
        asset=instrument,
        amount=steps_to_float(held.steps[rows]) * multiplier[instrument],
        price=price[instrument],
        haircut=np.zeros(len(rows)),
    )


def _as_they_come(codes: IntArray) -> list[int]:
    """The different `codes` in the order of their first appearance: prices are asked for, and problems said, in it."""
    different, first = np.unique(codes, return_index=True)
    return [int(code) for code in different[np.argsort(first)]]
