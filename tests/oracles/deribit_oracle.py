"""Deribit's portfolio margin of one account as a slow loop, from the rules as written down, on its own arithmetic.

Position by position and scenario by scenario, with its own Black-76 from `math.erf`; it shares nothing with the
engine but the terms of contracts and the market's quotes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from crossmargin.instruments.terms import DatedFuture, Instrument, Payoff, Right, Spot, VanillaOption
from crossmargin.market.snapshot import Market

YEAR = 365 * 86_400.0


def normal(x: float) -> float:
    """Cumulative normal."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def black(forward: float, strike: float, vol: float, years: float, call: bool) -> float:
    """Undiscounted Black-76."""
    total = vol * math.sqrt(years)
    if total <= 0:
        return max(0.0, forward - strike if call else strike - forward)
    d1 = math.log(forward / strike) / total + total / 2
    value = forward * normal(d1) - strike * normal(d1 - total)
    return value if call else value - forward + strike


class Position:
    """One position: what it gains in coin or in dollars when the price moves and volatility shifts."""

    def __init__(self, terms: Instrument, quantity: float, market: Market) -> None:
        row = market.instruments.names.index(terms.name)
        self.terms, self.quantity = terms, quantity
        self.inverse = terms.payoff is Payoff.INVERSE
        self.quote = 1.0 if terms.quote_currency == "USD" else market.prices[terms.quote_currency]
        self.index = market.index[terms.underlying]
        self.size, self.is_option = float(terms.multiplier), isinstance(terms, VanillaOption)
        expiry = terms.expiry if isinstance(terms, DatedFuture | VanillaOption) else None
        self.expiry = expiry
        self.years = (expiry - market.as_of).total_seconds() / YEAR if expiry else 0.0
        self.vol, self.discount = float(market.vol[row]), float(market.discount[row])
        self.price = float(market.forward[row] if self.is_option else market.mark[row])
        if isinstance(terms, Spot):
            self.price = self.index

    def shifted(self, up: int, pair: Mapping[str, Any], floor: float) -> float:
        """Volatility of a scenario."""
        days = max(self.years * 365, floor)
        power = float(pair["short_term_vega_power" if days <= 30 else "long_term_vega_power"])
        m = float((30 / days) ** power)
        if up > 0:
            grown = self.vol * (1 + float(pair["volatility_range_up"]) * m)
            return max(float(pair["min_volatility_for_shock_up"]), grown)
        return self.vol * max(0.0, 1 - float(pair["volatility_range_down"]) * m) if up < 0 else self.vol

    def value(self, move: float, vol: float) -> float:
        """Option value in quote currency, for one unit of the underlying."""
        assert isinstance(self.terms, VanillaOption)
        forward, strike = self.price * (1 + move), float(self.terms.strike)
        return self.discount * black(forward, strike, vol, self.years, self.terms.right is Right.CALL)

    def in_coin(self, move: float, vol: float) -> float:
        """Gain of an inverse contract in coin; spot is coin."""
        if isinstance(self.terms, Spot):
            return 0.0
        if not self.is_option:
            return self.quantity * self.size / self.price * (1 - 1 / (1 + move))
        now, then = self.value(0.0, self.vol) / self.price, self.value(move, vol) / (self.price * (1 + move))
        return self.quantity * self.size * (then - now)

    def in_dollars(self, move: float, vol: float) -> float:
        """Gain in dollars of holding it, coin converted at the index then and now."""
        if self.inverse and not self.is_option:
            return self.quantity * self.size / self.price * (1 - 1 / (1 + move)) * self.index * (1 + move)
        if self.inverse:
            now = self.value(0.0, self.vol) / self.price * self.index
            then = self.value(move, vol) / (self.price * (1 + move)) * self.index * (1 + move)
            return self.quantity * self.size * (then - now)
        if self.is_option:
            return self.quantity * self.size * self.quote * (self.value(move, vol) - self.value(0.0, self.vol))
        return self.quantity * self.size * self.quote * self.price * move

    @property
    def coins(self) -> float:
        """Delta in coins; of spot none."""
        if isinstance(self.terms, Spot):
            return 0.0
        if not self.is_option:
            return self.quantity * (self.size / self.price if self.inverse else self.size)
        assert isinstance(self.terms, VanillaOption)
        total = self.vol * math.sqrt(self.years)
        d1 = math.log(self.price / float(self.terms.strike)) / total + total / 2
        of_one = normal(d1) - (0.0 if self.terms.right is Right.CALL else 1.0)
        return self.quantity * self.size * self.discount * of_one


def scenarios(pair: Mapping[str, Any], document: Mapping[str, Any]) -> list[tuple[float, int, bool]]:
    """Move, direction of volatility, and whether it is of the extended table."""
    steps, reach = int(document["general"]["buckets_count"]), float(pair["price_range"])
    found = [(reach * k / steps, up, False) for k in range(-steps, steps + 1) for up in (-1, 0, 1)]
    return found + [(float(move), 1, True) for move in document["rules"]["extended_moves"]]


def pair_vector(
    own: list[Position],
    coin_balance: float,
    price: float,
    settled_in_coin: bool,
    pair: Mapping[str, Any],
    currency: Mapping[str, Any],
    document: Mapping[str, Any],
) -> list[float]:
    """What the P&L of a pair counts in each scenario: sum, then offset, then dampener."""
    reach, floor = float(pair["price_range"]), float(document["rules"]["vega_days_floor"])
    counted = []
    for move, up, extended in scenarios(pair, document):
        pnl = 0.0 if settled_in_coin else coin_balance * price * move
        for p in own:
            vol = p.shifted(up, pair, floor)
            pnl += p.in_coin(move, vol) if settled_in_coin else p.in_dollars(move, vol)
        edge = 1 + math.copysign(reach, move)
        if extended:
            part = float(pair["extended_table_factor"]) * reach / abs(move)
            pnl = pnl * price * (1 + move) * part / (price * edge) if settled_in_coin else pnl * part
        unit = price * (edge if extended else 1 + move) if settled_in_coin else 1.0
        if pnl > 0:
            pnl = min(float(currency["pnl_offset"]) * pnl, float(currency["max_offsetable_pnl"]) / unit)
        if extended:
            off = (max(abs(move) / reach, 1) - 1) * float(currency["extended_dampener"]) / unit
            pnl = math.copysign(max(abs(pnl) - off, 0.0), pnl)
        counted.append(pnl)
    return counted


def roll_shock(own: list[Position], value: float, currency: Mapping[str, Any], document: Mapping[str, Any]) -> float:
    """Net delta of every expiry by itself."""
    net: dict[Any, float] = defaultdict(float)
    years: dict[Any, float] = {}
    for p in own:
        net[p.expiry] += p.coins
        years[p.expiry] = p.years
    total = 0.0
    for expiry, coins in net.items():
        grown = float(currency["annualised_move_risk"]) * years[expiry]
        if document["rules"]["roll_form"] == "exp":
            grown = math.exp(grown) - 1
        total += abs(coins) * max(float(currency["min_annualised_move"]), grown) * value
    return total


def delta_shock(own: list[Position], price: float, value: float, pair: Mapping[str, Any]) -> float:
    """Of the delta that bought options have reduced."""
    bought = sum(p.coins for p in own if p.is_option and p.quantity > 0)
    rest = sum(p.coins for p in own if not (p.is_option and p.quantity > 0))
    d = min(max(bought + rest, rest), 0.0) if rest < 0 else max(min(bought + rest, rest), 0.0)
    above = max(abs(d) - float(pair["delta_total_liq_shock_threshold"]) / price, 0.0)
    return abs(d) * min(float(pair["m_inc"]) * above, float(pair["max_delta_shock"])) * value


def deribit_account(
    positions: Mapping[str, float], coins: Mapping[str, float], document: Mapping[str, Any], market: Market
) -> tuple[dict[str, tuple[float, float, float]], float, float]:
    """Worst case, roll and delta shock of each unit in dollars, and initial and maintenance of the account.

    `coins` are balances, which take part under `cross` only.
    """
    cross = document["rules"]["cross"]
    pairs: dict[tuple[str, str], list[Position]] = defaultdict(list)
    for name, quantity in positions.items():
        terms = market.instruments.instruments[market.instruments.names.index(name)]
        coin = terms.underlying
        in_coin = terms.payoff is Payoff.INVERSE or isinstance(terms, Spot)
        pairs[coin, "" if cross else coin if in_coin else terms.quote_currency].append(
            Position(terms, quantity, market)
        )
    if cross:
        for coin in coins:
            pairs[coin, ""]  # a balance alone is a pair too
    vectors: dict[str, list[list[float]]] = defaultdict(list)
    charges: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    in_usd: dict[str, float] = {}
    for (coin, settled), own in pairs.items():
        pair = document["currency_pair"][f"{coin.lower()}_usd"]
        currency = document["currency"][coin.lower() if settled in ("", coin) else "usd"]
        is_coin = settled == coin
        price = market.index[coin] * (1.0 if cross or is_coin else own[0].quote)
        value = 1.0 if is_coin else price
        name = coin if settled in ("", coin) else f"{coin}-{settled}"
        if cross and currency["correlation_set"]:
            name = "correlation set"
        balance = coins.get(coin, 0.0) if cross else 0.0
        vectors[name].append(pair_vector(own, balance, price, is_coin, pair, currency, document))
        charges[name][0] += roll_shock(own, value, currency, document)
        charges[name][1] += delta_shock(own, price, value, pair)
        in_usd[name] = price if is_coin else 1.0
    units = {}
    for name, tables in vectors.items():
        worst = max(0.0, *(-sum(column) for column in zip(*tables, strict=True)))
        roll, delta = charges[name]
        units[name] = (worst * in_usd[name], roll * in_usd[name], delta * in_usd[name])
    initial = sum(sum(unit) for unit in units.values())
    return units, initial, initial * float(document["general"]["mm_factor"])
