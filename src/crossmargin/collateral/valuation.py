"""What balances are worth as cover.

Cash counts at its price in market currency less a haircut, once for each margin account. A coin whose price the
scenarios move needs no haircut: it is *also a position*, so its fall in a crash is charged where it happens, and it
hedges what it hedges (`spot_rows`). Collateral value and requirement then speak of the same coin: the value at today's
price, and what it could lose.

Prices come first, once for a whole book (`collateral_prices`): there is everything that can be refused. What the prices
make of any accounts of it (`CollateralPrices.value_of`) is arithmetic.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import MissingQuoteError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.quantities import steps_to_float
from crossmargin.basics.times import format_utc
from crossmargin.instruments.table import Kind
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, asset_price
from crossmargin.portfolio.book import Balances, Book, Carried, PositionRows, found_name
from crossmargin.portfolio.netting import occurring


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralItem:
    """One asset of one margin account: its value is `amount * price * (1 - haircut)`, in market currency."""

    margin_account: int
    asset: str
    amount: float
    price: float
    haircut: float
    value: float

    def to_dict(self) -> dict[str, str]:
        """As plain data, decimals as strings that read back to the same bits."""
        figures = {name: getattr(self, name) for name in ("amount", "price", "haircut", "value")}
        return {"asset": self.asset, **{name: repr(figure + 0.0) for name, figure in figures.items()}}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollateralValue:
    """Cover of each margin account, and the items that it is made of.

    The items are the balances in their order (by account, then asset), and after them the spot positions; arrays of
    shape `(n_items,)`, read-only. The value of an account is the running sum of its items in that order.

    Parameters
    ----------
    value : ndarray of shape (n_margin_accounts,)
        Market currency, after haircut; negative when more is borrowed than held.
    fills : tuple of Fill
        Stand-ins for missing prices.
    assets : tuple of str
        Names that `asset` indexes: the assets of the balances, then the spot instruments of the book.
    margin_account : ndarray of shape (n_items,)
        Whose it is.
    asset : ndarray of shape (n_items,)
        What it is.
    amount : ndarray of shape (n_items,)
        Units of the asset; negative is owed.
    price : ndarray of shape (n_items,)
        Market currency for one unit.
    haircut : ndarray of shape (n_items,)
        Fraction of the value that does not count.
    item_value : ndarray of shape (n_items,)
        Market currency: `amount * price * (1 - haircut)`.
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

    def with_cash(self, margin_account: int, amount: float, currency: str) -> CollateralValue:
        """The cover after `amount` of market currency came in to one margin account, or went out where negative."""
        cash = self.assets.index(currency) if currency in self.assets else len(self.assets)
        value = self.value.copy()
        value[margin_account] += amount
        return CollateralValue(
            value=read_only(value),
            fills=self.fills,
            assets=self.assets if cash < len(self.assets) else (*self.assets, currency),
            margin_account=read_only(np.append(self.margin_account, margin_account)),
            asset=read_only(np.append(self.asset, cash)),
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


def accepted(market: Market | None, scheduled: Schedule | None = None) -> Mapping[str, float]:
    """Haircut by asset that counts as cover in `market`: as scheduled; else the market's own currency counts whole."""
    haircuts = (scheduled or schedule()).haircuts
    # What a method that weighs balances itself has no weight for is outside of its figure: it is no cover there.
    if scheduled is not None or market is None or market.currency in haircuts:
        return haircuts
    return {**haircuts, market.currency: 0.0}


def taking_part(market: Market, scheduled: Schedule | None = None) -> dict[str, str]:
    """Assets whose balances are positions too, and the instrument that they are positions in.

    That is the spot of `market`; under a schedule of a methodology's own, which weighs balances itself and knows no
    market's names, an instrument called like the asset.
    """
    if scheduled is not None:
        return {asset: asset for asset in sorted(scheduled.take_part)}
    return {asset: spot for asset, spot in market.spot_of.items() if asset in schedule().take_part}


def spot_rows(book: Book, market: Market, scheduled: Schedule | None = None) -> tuple[tuple[str, ...], PositionRows]:
    """Balances that are also positions: names of instruments, sorted, and the rows that index them.

    Of one row for each balance that is not 0 and takes part, in the order of the balances: what
    `book.with_positions` takes.

    Raises
    ------
    MissingQuoteError
        If the market has no spot of an asset that must take part: it would count whole and risk nothing.
    """
    balances = book.balances or Balances()
    spots = taking_part(market, scheduled)
    part_takers = (scheduled or schedule()).take_part
    named, held = (
        np.bincount(assets, minlength=len(balances.assets)) > 0
        for assets in (balances.asset, balances.asset[balances.steps != 0])
    )
    coins = [k for k, name in enumerate(balances.assets) if named[k] and name in part_takers]
    # A balance of 0 is no position, but its asset is named: as it needs a price, it needs a spot.
    raise_problems([_no_spot(market, balances.assets[k]) for k in coins if balances.assets[k] not in spots])
    coins = [k for k in coins if held[k]]
    instruments = tuple(sorted(spots[balances.assets[k]] for k in coins))
    instrument_of = np.full(len(balances.assets), -1, dtype=np.int64)
    for k in coins:
        instrument_of[k] = instruments.index(spots[balances.assets[k]])
    instrument = instrument_of[balances.asset]
    kept = (instrument >= 0) & (balances.steps != 0)
    return instruments, PositionRows(
        account=read_only(balances.account[kept]),
        instrument=read_only(instrument[kept]),
        steps=read_only(balances.steps[kept]),
    )


def _no_spot(market: Market, asset: str) -> Problem:
    return Problem(
        found=f"no spot of {asset} in the market of {format_utc(market.as_of)} ({market.source}), "
        "so its balances cannot take part in the scenarios",
        needed=f"Add a row of kind 'spot', underlying {asset}, quoted in {market.currency}, multiplier 1."
        if market.listing is None
        else f"Cover in this market is {market.currency}.",
        kind=MissingQuoteError,
        asset=asset,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollateralPrices:
    """Market currency for one unit of everything that a book has as cover: for the book, and for any accounts of it.

    Parameters
    ----------
    price, haircut : ndarray of shape (n_assets,)
        Of each asset of the balances: market currency for one unit, and the fraction that does not count; NaN and 0
        where nobody has a balance in it.
    spot : ndarray of shape (n_spots,)
        Instruments of the book that are spot, ascending: these positions are cover too.
    spot_price, spot_multiplier : ndarray of shape (n_spots,)
        Market currency for one unit of the underlying; its units in one contract.
    settlement_price : ndarray of shape (n_carried_instruments,)
        Market currency for one unit of what each instrument's unrealised profit is paid in; NaN where there is none.
    fills : tuple of Fill
        Stand-ins for missing prices.
    """

    price: FloatArray
    haircut: FloatArray
    spot: IntArray
    spot_price: FloatArray
    spot_multiplier: FloatArray
    settlement_price: FloatArray
    fills: tuple[Fill, ...]

    def value_of(self, book: Book) -> CollateralValue:
        """What the balances and spot positions of `book` are worth: the book that was priced, or a block of it."""
        kinds = [self._balance_items(book)]
        kinds += [more for more in (self._spot_items(book), self._unrealised_items(book)) if len(more.amount)]
        margin_account, amount, price, haircut = (
            np.concatenate([getattr(items, name) for items in kinds])
            for name in ("margin_account", "amount", "price", "haircut")
        )
        first_asset = np.cumsum([0, *(len(items.assets) for items in kinds)])
        item_value = amount * price * (1 - haircut)
        return CollateralValue(
            # One addition after the other in the order of the items: an account has the same bits in every book.
            value=read_only(
                np.asarray(np.bincount(margin_account, item_value, len(book.margin_accounts)), dtype=np.float64)
            ),
            fills=self.fills,
            assets=tuple(name for items in kinds for name in items.assets),
            margin_account=read_only(margin_account),
            asset=read_only(
                np.concatenate([items.asset + at for items, at in zip(kinds, first_asset.tolist(), strict=False)])
            ),
            amount=read_only(amount),
            price=read_only(price),
            haircut=read_only(haircut),
            item_value=read_only(item_value),
        )

    def _balance_items(self, book: Book) -> _Items:
        balances = book.balances or Balances()
        amount = steps_to_float(balances.steps)
        return _Items(
            assets=balances.assets,
            margin_account=book.margin_account_of[balances.account],
            asset=balances.asset,
            amount=amount,
            price=self.price[balances.asset],
            # A haircut makes an asset worth less and a debt no smaller.
            haircut=np.where(amount > 0, self.haircut[balances.asset], 0.0),
        )

    def _spot_items(self, book: Book) -> _Items:
        held = book.positions
        if not len(self.spot):
            none = np.zeros(0, dtype=np.int64)
            return _Items((), none, none, np.zeros(0), np.zeros(0), np.zeros(0))
        is_spot = np.zeros(len(book.instruments), dtype=np.bool_)
        is_spot[self.spot] = True
        rows = np.flatnonzero(is_spot[held.instrument])
        which = np.searchsorted(self.spot, held.instrument[rows])
        return _Items(
            assets=tuple(book.instruments[k] for k in self.spot.tolist()),
            # The owner of a position is the last that begins at or before it.
            margin_account=np.searchsorted(held.offsets, rows, side="right") - 1,
            asset=which,
            amount=steps_to_float(held.steps[rows]) * self.spot_multiplier[which],
            price=self.spot_price[which],
            haircut=np.zeros(len(rows)),
        )

    def _unrealised_items(self, book: Book) -> _Items:
        """What open contracts have gained and not been paid yet: as much as it is, in what they are settled in."""
        carried = book.carried or Carried()
        rows = np.flatnonzero(carried.unrealised)
        return _Items(
            assets=tuple(f"{name} unrealised" for name in carried.instruments),
            margin_account=book.margin_account_of[carried.account[rows]],
            asset=carried.instrument[rows],
            amount=steps_to_float(carried.unrealised[rows]),
            price=self.settlement_price[carried.instrument[rows]],
            haircut=np.zeros(len(rows)),
        )


class _Items(NamedTuple):
    """Columns of items: as in `CollateralValue`."""

    assets: tuple[str, ...]
    margin_account: IntArray
    asset: IntArray
    amount: FloatArray
    price: FloatArray
    haircut: FloatArray


def collateral_prices(
    book: Book, market: Market, policy: MissingPolicy, scheduled: Schedule | None = None
) -> CollateralPrices:
    """Price what the balances of `book` are in, its spot positions, which are holdings too, and unrealised profit.

    Raises
    ------
    UnsupportedError
        For an asset that neither the schedule accepts nor is the market's currency.
    MissingQuoteError
        For an asset without a price, and a spot position without an index price.
    """
    fills: list[Fill] = []
    problems: list[Problem] = []
    haircuts = accepted(market, scheduled)
    named = "the schedule" if scheduled is None else f"'{scheduled.name}'"
    price, haircut = _asset_prices(book.balances or Balances(), market, haircuts, named, policy, fills, problems)
    spot, spot_price, multiplier = _spot_prices(book, market, policy, fills, problems)
    settlement = _settlement_prices(book.carried or Carried(), market, policy, fills, problems)
    raise_problems(problems)
    return CollateralPrices(
        price=read_only(price),
        haircut=read_only(haircut),
        spot=read_only(spot),
        spot_price=read_only(spot_price),
        spot_multiplier=read_only(multiplier),
        settlement_price=read_only(settlement),
        fills=tuple(dict.fromkeys(fills)),
    )


def collateral_value(
    book: Book, market: Market, policy: MissingPolicy, scheduled: Schedule | None = None
) -> CollateralValue:
    """`collateral_prices` of a book, and what they make of it; errors likewise."""
    return collateral_prices(book, market, policy, scheduled).value_of(book)


def _settlement_prices(
    carried: Carried, market: Market, policy: MissingPolicy, fills: list[Fill], problems: list[Problem]
) -> FloatArray:
    price = np.full(len(carried.instruments), np.nan)
    owed = np.zeros(len(carried.instruments), dtype=np.bool_)
    owed[carried.instrument[carried.unrealised != 0]] = True
    for k in np.flatnonzero(owed).tolist():
        name = carried.instruments[k]
        if market.listing is not None or name not in market:
            if (problem := market.problem_with(name)) is not None:
                problems.append(replace(problem, instrument=problem.instrument or name))
            continue
        row = int(market.rows((name,))[0])
        terms = market.instruments.instruments[row]
        if market.instruments.kind[row] in (Kind.OPTION, Kind.SPOT):
            problems.append(
                Problem(
                    found=f"unrealised profit of '{name}', whose whole value is credited already",
                    needed="State it of futures and perpetuals only; leave the cell of an option or a coin empty.",
                    instrument=name,
                )
            )
            continue
        price[k] = asset_price(
            market, terms.settlement_currency, policy, fills, problems, needed_by=name, instruments=(name,)
        )
    return price


def _asset_prices(
    balances: Balances,
    market: Market,
    haircuts: Mapping[str, float],
    named: str,
    policy: MissingPolicy,
    fills: list[Fill],
    problems: list[Problem],
) -> tuple[FloatArray, FloatArray]:
    price, haircut = np.full(len(balances.assets), np.nan), np.zeros(len(balances.assets))
    for k in np.flatnonzero(np.bincount(balances.asset, minlength=len(balances.assets))).tolist():
        asset = balances.assets[k]
        found: list[Problem] = []
        if asset in haircuts:
            price[k] = asset_price(market, asset, policy, fills, found, needed_by="balances")
            haircut[k] = haircuts[asset]
        else:
            found.append(
                Problem(
                    found=f"'{asset}' is no collateral that {named} accepts",
                    needed=f"It accepts {', '.join(haircuts)}.",
                    column="asset",
                    kind=UnsupportedError,
                )
            )
        problems += [replace(problem, asset=asset) for problem in found]
    return price, haircut


def _spot_prices(
    book: Book, market: Market, policy: MissingPolicy, fills: list[Fill], problems: list[Problem]
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Instruments of the book that are spot, market currency for one unit of each, and units a contract."""
    table = market.instruments
    named = {table.names[row]: row for row in np.flatnonzero(table.kind == Kind.SPOT).tolist()}
    place = {k: row for name, row in named.items() if (k := found_name(book.instruments, name)) is not None}
    if place:
        # What came to nothing stays listed in some books, and is worth nothing at any price.
        held = occurring(book.positions.instrument, len(book.instruments))
        place = {k: row for k, row in sorted(place.items()) if held[k]}
    price, multiplier = np.full(len(place), np.nan), np.ones(len(place))
    for n, row in enumerate(place.values()):
        terms = table.instruments[row]
        rate = asset_price(
            market, terms.quote_currency, policy, fills, problems, needed_by=terms.name, instruments=(terms.name,)
        )
        index = market.index.get(terms.underlying, float("nan"))
        if not math.isfinite(index):
            problems.append(
                Problem(
                    found=f"no index price of '{terms.underlying}' (needed by '{terms.name}') in the market of "
                    f"{format_utc(market.as_of)} ({market.source})",
                    needed="Add its index price to the market.",
                    kind=MissingQuoteError,
                    instrument=terms.name,
                )
            )
        price[n], multiplier[n] = index * rate, float(terms.multiplier)
    return np.array(list(place), dtype=np.int64), price, multiplier
