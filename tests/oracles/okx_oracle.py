"""OKX portfolio margin of one account, the slow way: one position, one scenario and one expiry at a time.

Independent of the package below its public types: Black-76 from `math.erf`, parameters straight from the document, and
no array. Only terms and quotes of a market are read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from crossmargin.instruments.terms import DatedFuture, Instrument, Payoff, Right, Spot, VanillaOption
from crossmargin.market.snapshot import Market

YEAR = 365 * 86_400


def black(forward: float, strike: float, total: float, call: bool) -> float:
    """Undiscounted Black-76."""
    if total <= 0:
        return max(0.0, forward - strike if call else strike - forward)
    d1 = math.log(forward / strike) / total + total / 2
    sign = 1 if call else -1
    return sign * (forward * normal(sign * d1) - strike * normal(sign * (d1 - total)))


def normal(x: float) -> float:
    """Cumulative normal."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def between(curve: Mapping[str, Any], key: str, days: float) -> float:
    """Linear between the days, flat outside."""
    xs, ys = [float(x) for x in curve["days"]], [float(y) for y in curve[key]]
    if days <= xs[0]:
        return ys[0]
    for (x0, y0), (x1, y1) in zip(zip(xs, ys, strict=True), zip(xs[1:], ys[1:], strict=True), strict=False):
        if days <= x1:
            return y0 + (y1 - y0) * (days - x0) / (x1 - x0)
    return ys[-1]


def by_class(section: Mapping[str, Any], field: str, coin: str) -> Any:
    """What the coin's class has, else the others."""
    for own in section["classes"]:
        if coin in own["coins"]:
            return own[field]
    return section["others"][field]


def tiered(amount: float, tiers: list[list[str]]) -> float:
    """Each dollar at the rate of its tier."""
    total = 0.0
    for k, (start, rate) in enumerate(tiers):
        end = float(tiers[k + 1][0]) if k + 1 < len(tiers) else math.inf
        total += max(0.0, min(amount, end) - float(start)) * float(rate)
    return total


class Position:
    """One position, in dollars."""

    def __init__(self, terms: Instrument, quantity: float, market: Market) -> None:
        row = market.instruments.names.index(terms.name)
        self.quantity, self.terms, self.coin = quantity, terms, terms.underlying
        self.rate = market.prices[terms.quote_currency]
        self.is_option, self.is_spot = isinstance(terms, VanillaOption), isinstance(terms, Spot)
        quoted = {
            one.quote_currency
            for one in market.instruments.instruments
            if one.underlying == self.coin and not isinstance(one, Spot)
        }
        self.index = market.index[self.coin] * (market.prices[quoted.pop()] if len(quoted) == 1 else 1.0)
        self.expiry = terms.expiry if isinstance(terms, DatedFuture | VanillaOption) else None
        self.years = (self.expiry - market.as_of).total_seconds() / YEAR if self.expiry else 0.0
        self.vol, self.discount = float(market.vol[row]), float(market.discount[row])
        self.forward = float(market.forward[row] if self.is_option else market.mark[row])
        size = float(terms.multiplier)
        self.size = size / self.forward if terms.payoff is Payoff.INVERSE and not self.is_option else size

    def worth(self, move: float = 0.0, vol: float | None = None, passed: float = 0.0) -> float:
        """Of one contract, up to what no scenario changes."""
        if not self.is_option:
            return self.size * self.index * (1 + move)
        assert isinstance(self.terms, VanillaOption)
        years = max(0.0, self.years - passed)
        forward = self.forward + self.index / self.rate * move
        total = (self.vol if vol is None else vol) * math.sqrt(years)
        value = black(forward, float(self.terms.strike), total, self.terms.right is Right.CALL)
        discount: float = self.discount ** (years / self.years)
        return self.size * self.rate * discount * value

    def gain(self, move: float = 0.0, vol: float | None = None, passed: float = 0.0) -> float:
        """Of the position."""
        if self.is_spot:
            return self.quantity * self.size * self.index * move
        return self.quantity * (self.worth(move, vol, passed) - self.worth())

    @property
    def delta(self) -> float:
        """Dollars for the forward doubling, linearised; 0 of spot."""
        if self.is_spot:
            return 0.0
        if not self.is_option:
            return self.quantity * self.size * self.forward * self.rate
        assert isinstance(self.terms, VanillaOption)
        total = self.vol * math.sqrt(self.years)
        d1 = math.log(self.forward / float(self.terms.strike)) / total + total / 2
        of_one = normal(d1) - (0.0 if self.terms.right is Right.CALL else 1.0)
        return self.quantity * self.size * self.rate * self.discount * of_one * self.forward

    @property
    def vega(self) -> float:
        """Dollars for volatility doubling, linearised."""
        if not self.is_option:
            return 0.0
        assert isinstance(self.terms, VanillaOption)
        total = self.vol * math.sqrt(self.years)
        d1 = math.log(self.forward / float(self.terms.strike)) / total + total / 2
        density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
        return self.quantity * self.size * self.rate * self.discount * self.forward * density * total


def okx_unit(positions: list[Position], document: Mapping[str, Any], market: Market) -> dict[str, float]:
    """Every MR of one coin, and its requirements."""
    coin = positions[0].coin
    losses = [0.0]
    for size in (0.0, *(float(x) for x in by_class(document["spot_shock"], "moves", coin))):
        for move in (size, -size):
            for up in (-1, 0, 1):
                for form in ("relative", "points"):
                    losses.append(-sum(p.gain(move, shifted(p, up, form, document)) for p in positions))
    mr1 = max(losses)
    mr2 = max(0.0, -sum(p.gain(passed=float(document["time_step_hours"]) / 24 / 365) for p in positions))
    extreme = float(by_class(document["extreme_move"], "move", coin))
    lost = max(0.0, *(-sum(p.gain(sign * extreme) for p in positions) for sign in (1, -1)))
    mr6 = lost * float(document["extreme_move"]["counted"])

    vega: dict[Any, float] = defaultdict(float)
    delta: dict[Any, float] = defaultdict(float)
    for p in positions:
        vega[p.expiry] += p.vega
        delta[p.expiry] += p.delta
    years = {p.expiry: p.years for p in positions}
    mr3 = sum(abs(v) * between(document["vega_shift"], "relative", 365 * years[e]) for e, v in vega.items() if e)
    floor = float(document["basis"]["floors"].get(coin, "nan"))
    annual = float(by_class(document["basis"], "annualised_move", coin))
    mr4 = sum(abs(d) * max(floor, annual * years[e]) for e, d in delta.items() if d)
    mr5 = 0.0
    for curve in document["rate_shifts"].values():
        mr5 += abs(
            sum(
                p.years * (p.delta - p.quantity * p.worth()) * between(curve, "shift", 365 * p.years)
                for p in positions
                if p.is_option
            )
        )
    charge = document["minimum_charge"]
    raw = 0.0
    for p in positions:
        if p.is_option:
            raw += abs(p.quantity) * p.size * p.index * float(charge["option_rates"][coin])
        elif not p.is_spot:
            raw += abs(p.delta) * float(charge["rates"][coin])
    mr7 = tiered(raw, by_class(charge["tiers"], "tiers", coin))
    mr9 = stablecoins(positions, document, market)
    maintenance = max(max(mr1, mr2, mr6) + mr3 + mr4 + mr5, mr7) + mr9
    return {
        "mr1_spot_shock": mr1,
        "mr2_theta_decay": mr2,
        "mr3_vega": mr3,
        "mr4_basis": mr4,
        "mr5_rates": mr5,
        "mr6_extreme_move": mr6,
        "mr7_minimum_charge": mr7,
        "mr9_stablecoins": mr9,
        "initial_add_on": maintenance * (float(document["initial_factor"]) - 1),
        "maintenance": maintenance,
    }


def shifted(p: Position, direction: int, form: str, document: Mapping[str, Any]) -> float:
    """Volatility of a scenario."""
    if not p.is_option:
        return 0.0
    shift = between(document["volatility_shift"], form, 365 * p.years)
    return max(0.0, p.vol * (1 + direction * shift) if form == "relative" else p.vol + direction * shift)


def stablecoins(positions: list[Position], document: Mapping[str, Any], market: Market) -> float:
    """MR9: dollar for dollar, in the order of pairs."""
    left = dict.fromkeys(("USDT", "USDC", "USD"), 0.0)
    for p in positions:
        left[p.terms.quote_currency] += p.delta
    total = 0.0
    for one, other in (("USDT", "USD"), ("USDT", "USDC"), ("USDC", "USD")):
        if left[one] > 0 > left[other] or left[one] < 0 < left[other]:
            size = min(abs(left[one]), abs(left[other]))
            for side in (one, other):
                left[side] -= math.copysign(size, left[side])
            index = market.prices[one] / market.prices[other]
            index = min(index, 1 / index)
            ladder = document["stablecoin_ladders"][f"{one}-{other}"]
            bracket = next(own for own in ladder if index >= float(own["index_from"]))
            total += tiered(size, bracket["tiers"])
    return total


def okx_account(
    positions: Mapping[str, float], debts: Mapping[str, float], document: Mapping[str, Any], market: Market
) -> tuple[dict[str, dict[str, float]], float, float]:
    """Figures of each coin, and initial and maintenance requirement of the account; `debts` in units, above 0."""
    by_coin: dict[str, list[Position]] = defaultdict(list)
    for name, quantity in positions.items():
        if quantity:
            terms = market.instruments.instruments[market.instruments.names.index(name)]
            by_coin[terms.underlying].append(Position(terms, quantity, market))
    units = {coin: okx_unit(own, document, market) for coin, own in by_coin.items()}
    maintenance = sum(unit["maintenance"] for unit in units.values())
    initial = maintenance * float(document["initial_factor"])
    for asset, amount in debts.items():
        owed = amount * market.prices[asset]
        maintenance += owed * float(document["borrowing"][asset]["maintenance"])
        initial += owed * float(document["borrowing"][asset]["initial"])
    return units, initial, maintenance
