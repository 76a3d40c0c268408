"""The grid method once more: naive, one account at a time, in plain Python and from the documents.

Written from `docs/design` sections 2 and 3 and the venue-grid parameter file, not from the source: no numpy, no
shared helper, loops that can be followed with a pencil. Two ways to use it:

* `margin` on the engine's own contract figures: the same additions in the order that the design fixes (position by
  position by name, then unit by unit), so that the engine must agree **to the bit**;
* `contract_figures`, which prices every contract here, with `math.erfc` and first principles (an inverse contract's
  coins are converted at the shifted index): the engine must agree to 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

DAYS_PER_YEAR = 365
SPOT, FUTURE, PERPETUAL, OPTION = "spot", "future", "perpetual", "option"


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Terms and market of one contract, as plain numbers; `price` is the forward of an option, else its own price."""

    name: str
    kind: str
    underlying: str
    inverse: bool
    multiplier: float
    index: float
    price: float
    quote_usd: float = 1.0
    strike: float = math.nan
    is_call: bool = False
    vol: float = 0.0
    normal: bool = False
    years: float = math.inf
    discount: float = 1.0
    mark: float | None = None


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One shift: relative price move, -1/0/+1 volatility, what fraction counts, how much later, and its words."""

    move: float
    vol: int
    weight: float
    years_later: float = 0.0
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one long contract does, dollars: P&L by scenario as it counts, delta, roll move, minimum if short."""

    underlying: str
    pnl: Sequence[float]
    delta: float
    expiry: float  # sorts: spot, perpetual, then dates
    roll_move: float
    short_minimum: float
    option_value: float


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Across units, and maintenance."""

    common: bool = False
    gain_share: float = 0.0
    gain_cap: float = math.inf
    maintenance_factor: float = 0.8


@dataclass(frozen=True, kw_only=True)
class Account:
    """A margin account: quantity by member and instrument, netted already inside a member unless gross."""

    members: Mapping[str, Sequence[tuple[str, Decimal]]]
    gross: bool = False


@dataclass(kw_only=True)
class Unit:
    """Figures of one risk unit."""

    name: str
    positions: list[tuple[str, float]]
    pnl: list[float]
    scenario: int
    scan_pnl: float
    scan_risk: float
    net_delta: dict[float, float]
    roll_charge: float
    minimum: float
    requirement: float = math.nan
    counted: float = 1.0
    contributions: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class Answer:
    """Figures of one margin account."""

    units: list[Unit]
    requirement: float
    maintenance: float
    isolated: float
    net_option_value: float
    account_scan: float


# ------------------------------------------------------------------------------------------- scenarios and prices


def scenarios(shape: Mapping[str, object], ranges: Mapping[str, object]) -> list[Scenario]:
    """Core grid (lowest price up; vol down, same, up), once more after the time step, then the extended moves."""
    steps, reach = int(shape["price_steps"]), float(ranges["price_range"])
    later = [0.0] + ([float(shape["time_step_days"])] if float(shape["time_step_days"]) else [])
    found = []
    for days in later:
        for k in range(-steps, steps + 1):
            for vol in (-1, 0, 1):
                found.append(Scenario(move=k / steps * reach, vol=vol, weight=1.0, years_later=days / DAYS_PER_YEAR))
    for text in shape["extended_moves"]:
        move = min(max(float(text), float(ranges["extended_low"])), float(ranges["extended_high"]))
        weight = float(shape["extended_factor"]) * reach / abs(move)
        found.append(Scenario(move=move, vol=1, weight=weight))
    return found


def vol_then(vol: float, scale: float, years: float, direction: int, ranges: Mapping[str, object]) -> float:
    """Shifted volatility; the floor bounds the up shift only."""
    days = max(years * DAYS_PER_YEAR, float(ranges["vol_days_floor"]))
    power = float(ranges["vol_power_short" if days <= 30 else "vol_power_long"])
    multiplier = (30 / days) ** power
    if direction > 0:
        return max(float(ranges["vol_floor_up"]) * scale, vol * (1 + float(ranges["vol_range_up"]) * multiplier))
    if direction < 0:
        return vol * max(0.0, 1 - float(ranges["vol_range_down"]) * multiplier)
    return vol


def normal_cdf(x: float) -> float:
    """Through erfc, which keeps its digits in the lower tail."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def option_price(contract: Contract, forward: float, vol: float, years: float) -> float:
    """Discounted Black-76, or Bachelier, quote currency a unit of underlying."""
    sign = 1 if contract.is_call else -1
    total = vol * math.sqrt(max(years, 0.0))
    discount = contract.discount ** (max(years, 0.0) / contract.years)
    if total <= 0:
        return discount * max(sign * (forward - contract.strike), 0.0)
    if contract.normal:
        d = (forward - contract.strike) / total
        density = math.exp(-d * d / 2) / math.sqrt(2 * math.pi)
        undiscounted = sign * (forward - contract.strike) * normal_cdf(sign * d) + total * density
    else:
        d1 = math.log(forward / contract.strike) / total + total / 2
        d2 = d1 - total
        undiscounted = sign * (forward * normal_cdf(sign * d1) - contract.strike * normal_cdf(sign * d2))
    return discount * undiscounted


def unit_pnl(contract: Contract, scenario: Scenario, ranges: Mapping[str, object], *, coin: bool = False) -> float:
    """Gain of one long contract, before the scenario's weight: dollars, or the coin that it is about."""
    index_now = contract.index
    index_then = index_now * (1 + scenario.move)
    price_then = contract.price + abs(contract.price) * scenario.move
    if contract.kind == OPTION:
        scale = abs(contract.price) if contract.normal else 1.0
        vol = vol_then(contract.vol, scale, contract.years, scenario.vol, ranges)
        now = option_price(contract, contract.price, contract.vol, contract.years)
        then = option_price(contract, price_then, vol, contract.years - scenario.years_later)
        if contract.inverse:
            coins_now, coins_then = now / contract.price, then / price_then
            if coin:
                return contract.multiplier * (coins_then - coins_now)
            dollars = coins_then * index_then - coins_now * index_now
        else:
            dollars = then - now
        gain = contract.multiplier * dollars * contract.quote_usd
    elif contract.kind == SPOT:
        gain = contract.multiplier * (index_then - index_now) * contract.quote_usd
    elif contract.inverse:
        coins = contract.multiplier * (1 / contract.price - 1 / price_then)
        if coin:
            return coins
        gain = coins * index_then * contract.quote_usd
    else:
        gain = contract.multiplier * (price_then - contract.price) * contract.quote_usd
    return gain / (index_then * contract.quote_usd) if coin else gain


def dollar_delta(contract: Contract) -> float:
    """Gain for a relative price move of 1, linearised; an inverse contract's coins at the shifted index."""
    if contract.kind == SPOT:
        return contract.multiplier * contract.index * contract.quote_usd
    per_price = 1.0
    if contract.kind == OPTION:
        total = contract.vol * math.sqrt(contract.years)
        if contract.normal:
            d = (contract.price - contract.strike) / total
        else:
            d = math.log(contract.price / contract.strike) / total + total / 2
        per_price = contract.discount * (normal_cdf(d) if contract.is_call else -normal_cdf(-d))
        if contract.inverse:
            per_price *= contract.index / contract.price
    elif contract.inverse:
        per_price = contract.index / contract.price**2
    return contract.multiplier * per_price * abs(contract.price) * contract.quote_usd


def contract_figures(contract: Contract, document: Mapping[str, object]) -> Figures:
    """Everything about one contract, priced here."""
    own = document["underlyings"][contract.underlying]
    if contract.kind == SPOT:
        expiry, roll_move = -2.0, 0.0
    elif contract.kind == PERPETUAL:
        expiry, roll_move = -1.0, float(own["roll_move_minimum"])
    else:
        expiry = contract.years
        roll_move = max(float(own["roll_move_minimum"]), float(own["roll_annualised_move"]) * contract.years)
    minimum = value = 0.0
    if contract.kind == OPTION:
        minimum = float(own["short_option_minimum"]) * contract.multiplier * contract.index * contract.quote_usd
        if contract.mark is None:
            value = option_price(contract, contract.price, contract.vol, contract.years)
            value *= contract.index / contract.price if contract.inverse else 1.0
        else:
            value = contract.mark * (contract.index if contract.inverse else 1.0)
        value *= contract.multiplier * contract.quote_usd
    return Figures(
        underlying=contract.underlying,
        pnl=[unit_pnl(contract, s, own) * s.weight for s in scenarios(document["shape"], own)],
        delta=dollar_delta(contract),
        expiry=expiry,
        roll_move=roll_move,
        short_minimum=minimum,
        option_value=value,
    )


# --------------------------------------------------------------------------------------------------- the margin


def _net(rows: Sequence[tuple[str, Decimal]], gross: bool) -> dict[tuple[str, int], Decimal]:
    """Exact sums by instrument and, in a gross account, side; nothing for what nets away."""
    held: dict[tuple[str, int], Decimal] = {}
    for name, quantity in rows:
        side = (1 if quantity > 0 else 2) if gross else 0
        held[name, side] = held.get((name, side), Decimal(0)) + quantity
    return {key: quantity for key, quantity in sorted(held.items()) if quantity}


def _unit(name: str, positions: list[tuple[str, float]], table: Mapping[str, Figures]) -> Unit:
    n_scenarios = len(table[positions[0][0]].pnl)
    pnl = []
    for s in range(n_scenarios):
        total = 0.0
        for instrument, quantity in positions:  # by name
            total += table[instrument].pnl[s] * quantity
        pnl.append(total)
    worst = 0
    for s in range(n_scenarios):
        if pnl[s] < pnl[worst]:  # the lowest index among ties
            worst = s
    net_delta: dict[float, float] = {}
    minimum = 0.0
    for instrument, quantity in positions:
        one = table[instrument]
        net_delta[one.expiry] = net_delta.get(one.expiry, 0.0) + quantity * one.delta
        minimum += max(0.0, -quantity) * one.short_minimum
    moves = {table[instrument].expiry: table[instrument].roll_move for instrument, _ in positions}
    roll = 0.0
    for expiry in sorted(net_delta):
        roll += abs(net_delta[expiry]) * moves[expiry]
    return Unit(
        name=name,
        positions=positions,
        pnl=pnl,
        scenario=worst,
        scan_pnl=pnl[worst],
        scan_risk=max(0.0, -pnl[worst]),
        net_delta=net_delta,
        roll_charge=roll,
        minimum=minimum,
    )


def _contributions(unit: Unit, table: Mapping[str, Figures], scan_counts: bool, minimum_binds: bool) -> None:
    for instrument, quantity in unit.positions:
        one = table[instrument]
        if minimum_binds:
            unit.contributions.append(max(0.0, -quantity) * one.short_minimum)
            continue
        scan = -quantity * one.pnl[unit.scenario] * unit.counted if scan_counts else 0.0
        net = unit.net_delta[one.expiry]
        sign = (net > 0) - (net < 0)
        unit.contributions.append(scan + sign * one.roll_move * quantity * one.delta)


def margin(account: Account, table: Mapping[str, Figures], rules: Rules) -> Answer:
    """Requirement of one margin account, and what it is made of."""
    every = [row for member in sorted(account.members) for row in account.members[member]]
    groups: dict[tuple[str, int], list[tuple[str, float]]] = {}
    for (instrument, side), quantity in _net(every, account.gross).items():
        groups.setdefault((table[instrument].underlying, side), []).append((instrument, float(quantity)))
    label = ("", " (long)", " (short)")
    units = [_unit(key[0] + label[key[1]], groups[key], table) for key in sorted(groups)]
    account_scan = requirement = 0.0
    if not rules.common or account.gross:  # of different clients: each side has its own worst scenario
        for unit in units:
            unit.requirement = max(unit.scan_risk + unit.roll_charge, unit.minimum)
            account_scan += unit.scan_risk
            requirement += unit.requirement
            _contributions(unit, table, unit.scan_pnl <= 0, unit.scan_risk + unit.roll_charge < unit.minimum)
    elif units:
        recognised: list[list[float]] = []
        for unit in units:
            share = rules.gain_share
            recognised.append([min(p * share, rules.gain_cap) if p > 0 else p for p in unit.pnl])
        totals = []
        for s in range(len(units[0].pnl)):
            total = 0.0
            for counted in recognised:
                total += counted[s]
            totals.append(total)
        worst = totals.index(min(totals))
        account_scan = max(0.0, -totals[worst])
        roll = minimum = 0.0
        for unit, counted in zip(units, recognised, strict=True):
            unit.scenario, unit.scan_pnl = worst, unit.pnl[worst]
            unit.scan_risk = -counted[worst] + 0.0
            unit.counted = counted[worst] / unit.scan_pnl if unit.scan_pnl else 1.0
            roll += unit.roll_charge
            minimum += unit.minimum
        requirement = max(account_scan + roll, minimum)
        binds = account_scan + roll < minimum
        for unit in units:
            _contributions(unit, table, account_scan > 0, binds)
            scan = unit.scan_risk if account_scan > 0 else 0.0
            unit.requirement = unit.minimum if binds else scan + unit.roll_charge
    isolated = value = 0.0
    by_unit: dict[tuple[str, int], list[tuple[str, str, float]]] = {}
    for member in sorted(account.members):
        for (instrument, side), quantity in _net(account.members[member], account.gross).items():
            key = (table[instrument].underlying, side)
            by_unit.setdefault(key, []).append((member, instrument, float(quantity)))
    for key in sorted(by_unit):
        for _, instrument, quantity in sorted(by_unit[key]):
            alone = _unit(instrument, [(instrument, quantity)], table)
            isolated += max(alone.scan_risk + alone.roll_charge, alone.minimum)
    for unit in units:
        unit_value = 0.0
        for instrument, quantity in unit.positions:
            unit_value += quantity * table[instrument].option_value
        value += unit_value
    return Answer(
        units=units,
        requirement=requirement,
        maintenance=rules.maintenance_factor * requirement,
        isolated=isolated,
        net_option_value=value,
        account_scan=account_scan,
    )
