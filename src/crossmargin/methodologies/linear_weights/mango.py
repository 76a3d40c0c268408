"""Mango v4: health, the weighted worth of an account in the worst case over its resting orders.

    health = sum over tokens of balance x price x weight + what reserved amounts of spot orders are worth at least

A perpetual is settled into its quote token before that token is weighed. The decision a reader would question: what is
reserved in spot orders is worth the lesser of all base and all quote, and is counted as if added last to the largest
balance that the tokens could reach, where it helps least.

References: mango-v4 (see docs/sources.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token of an account at one level: balance in units, prices of what is owned and owed, weights."""

    balance: float
    asset_price: float
    liability_price: float
    asset_weight: float
    liability_weight: float

    def worth(self, amount: float) -> float:
        """`amount` at its price and weight."""
        if amount >= 0:
            return amount * self.asset_price * self.asset_weight
        return amount * self.liability_price * self.liability_weight


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotOrders:
    """What is reserved in the resting orders of one market, base and quote tokens by index.

    `lowest_ask` and `highest_bid` are the account's own limit prices, `None` where nothing rests on that side: a sale
    brings no more than it asks for, a purchase no more than its bid buys.
    """

    base: int
    quote: int
    reserved_base: float
    reserved_quote: float
    lowest_ask: float | None = None
    highest_bid: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Perpetual:
    """A perpetual position at one level: base and quote in units, resting orders, weights; settled into a token."""

    base: float
    quote: float
    buys: float
    sells: float
    asset_price: float
    liability_price: float
    asset_weight: float
    liability_weight: float
    overall_weight: float
    settle: int

    @property
    def worth(self) -> float:
        """The lesser of all bids filled and all asks filled, quote; a positive one times the overall weight."""
        price = self.asset_price
        worst = min(self._filled(self.buys, price), self._filled(-self.sells, self.liability_price))
        return worst * self.overall_weight if worst > 0 else worst

    def _filled(self, bought: float, price: float) -> float:
        base = self.base + bought
        weighed = base * (
            self.asset_price * self.asset_weight if base >= 0 else self.liability_price * self.liability_weight
        )
        return weighed + self.quote - bought * price


def scaled_asset_weight(weight: float, scale_start: float, deposits_value: float) -> float:
    """Weight of deposits of which there are more in all than `scale_start`, quote; infinite: never scaled."""
    return weight * scale_start / deposits_value if deposits_value > scale_start else weight


def scaled_liability_weight(weight: float, scale_start: float, borrows_value: float) -> float:
    """Weight of borrows of which there are more in all than `scale_start`, quote; infinite: never scaled."""
    return weight * borrows_value / scale_start if borrows_value > scale_start else weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Health and what it is made of: by token (perpetuals settled into them), by market of spot orders."""

    tokens: tuple[float, ...]
    spot_orders: tuple[float, ...]
    perpetuals: tuple[float, ...]

    @property
    def value(self) -> float:
        """Sum; the perpetuals are in the tokens."""
        return sum(self.tokens) + sum(self.spot_orders)


def health(tokens: Sequence[Token], spot_orders: Sequence[SpotOrders], perpetuals: Sequence[Perpetual]) -> Health:
    """Health of an account at one level."""
    balance = [token.balance for token in tokens]
    settled = tuple(perpetual.worth for perpetual in perpetuals)
    for perpetual, worth in zip(perpetuals, settled, strict=True):
        # A perpetual's quote is worth as much as the dollar that the settle token is priced in.
        balance[perpetual.settle] += worth / tokens[perpetual.settle].asset_price
    as_base = [_as_base(orders, tokens) for orders in spot_orders]
    as_quote = [_as_quote(orders, tokens) for orders in spot_orders]
    most = list(balance)
    for orders, base, quote in zip(spot_orders, as_base, as_quote, strict=True):
        most[orders.base] += base
        most[orders.quote] += quote
    of_orders = tuple(
        min(
            _last_added(tokens[orders.base], most[orders.base], base),
            _last_added(tokens[orders.quote], most[orders.quote], quote),
        )
        for orders, base, quote in zip(spot_orders, as_base, as_quote, strict=True)
    )
    return Health(
        tokens=tuple(token.worth(amount) for token, amount in zip(tokens, balance, strict=True)),
        spot_orders=of_orders,
        perpetuals=settled,
    )


def _as_base(orders: SpotOrders, tokens: Sequence[Token]) -> float:
    """All that is reserved as base: at the oracle, and no more than the highest bid buys."""
    rate = tokens[orders.quote].asset_price / tokens[orders.base].liability_price
    at_oracle = orders.reserved_base + orders.reserved_quote * rate
    if orders.highest_bid is None:
        return at_oracle
    return min(at_oracle, orders.reserved_base + orders.reserved_quote / orders.highest_bid)


def _as_quote(orders: SpotOrders, tokens: Sequence[Token]) -> float:
    """All that is reserved as quote: at the oracle, and no more than the lowest ask brings."""
    rate = tokens[orders.base].asset_price / tokens[orders.quote].liability_price
    at_oracle = orders.reserved_quote + orders.reserved_base * rate
    if orders.lowest_ask is None:
        return at_oracle
    return min(at_oracle, orders.reserved_quote + orders.reserved_base * orders.lowest_ask)


def _last_added(token: Token, most: float, reserved: float) -> float:
    """What `reserved` adds to a token's worth if it is the last part of `most`."""
    asset = min(max(most, 0.0), reserved)
    return (
        asset * token.asset_price * token.asset_weight
        + (reserved - asset) * token.liability_price * token.liability_weight
    )
