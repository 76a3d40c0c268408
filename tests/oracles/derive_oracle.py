"""Derive's portfolio margin of one sub-book, number by number: written from the rulebook, without an array.

Its own Black-76 from `math.erfc`, its own scenarios, its own order. What prices the rows is taken as it was read from
the market; everything that is calculated is calculated again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from crossmargin.methodologies.venue_grids.derive.contracts import DeriveInputs, Row
from crossmargin.methodologies.venue_grids.derive.parameters import DeriveParameters, UnderlyingParameters, VolMove

YEAR = 365 * 86_400.0


class Margin(NamedTuple):
    """Requirements of the sub-book, and the least P&L of its scenarios and bases."""

    initial: float
    maintenance: float
    worst: float


def black(forward: float, strike: float, total_vol: float, is_call: bool) -> float:
    """Undiscounted Black-76."""
    if total_vol <= 0:
        return max(0.0, forward - strike if is_call else strike - forward)
    d1 = math.log(forward / strike) / total_vol + total_vol / 2
    d2 = d1 - total_vol
    sign = 1.0 if is_call else -1.0
    return sign * (forward * _phi(sign * d1) - strike * _phi(sign * d2))


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def moved_vol(
    vol: float, strike: float, forward: float, years: float, move: VolMove, own: UnderlyingParameters
) -> float:
    """Volatility of an option in a scenario."""
    days = years * 365.0
    shock, skew = own.vol_shock, own.skew
    power = shock.power_short if days <= 30 else shock.power_long
    scale = (30.0 / max(days, shock.days_floor)) ** power
    root = math.sqrt(years)
    if move is VolMove.UP:
        return max(shock.floor_up, vol * (1 + shock.range_up * scale))
    if move is VolMove.DOWN:
        return vol * max(0.0, 1 - shock.range_down * scale)
    if move is VolMove.SAME:
        return vol
    k = math.log(strike / forward)
    cap = skew.linear_cap + skew.linear_cap_slope * root
    if move is VolMove.ABSOLUTE:
        k, cap = abs(k), skew.absolute_cap + skew.absolute_cap_slope * root
    k_star = max(skew.k_star_minimum, root * skew.width_scale * (skew.vol_static + skew.vol_slope * root))
    turn = min(cap, k * cap / k_star) if k >= 0 else max(-cap, k * cap / k_star)
    return vol * max(0.0, 1 + turn)


def sub_book_margin(
    inputs: DeriveInputs, parameters: DeriveParameters, underlying: int, held: Sequence[tuple[int, float]]
) -> Margin:
    """Margin of the positions `(row, quantity)` in one underlying; oracles are sure of themselves.

    Parameters
    ----------
    underlying : int
        Index into `inputs.underlyings`.
    """
    own = parameters.underlyings[inputs.underlyings[underlying]]
    spot = float(inputs.spot[underlying])
    expiries = sorted({int(inputs.expiry[row]) for row, _ in held if inputs.kind[row] == Row.OPTION})

    def value(expiry: int, multiplier: float, move: VolMove) -> float:
        years = float(inputs.seconds[expiry]) / YEAR
        discount = math.exp(-max(0.0, float(inputs.rate[expiry])) * years) if parameters.options_discounted else 1.0
        fixed, variable = float(inputs.forward_fixed[expiry]), float(inputs.forward_variable[expiry])
        total = 0.0
        for row, quantity in held:
            if inputs.kind[row] == Row.OPTION and inputs.expiry[row] == expiry:
                strike = float(inputs.strike[row])
                vol = moved_vol(float(inputs.vol[row]), strike, fixed + variable, years, move, own)
                price = black(fixed + variable * multiplier, strike, vol * math.sqrt(years), bool(inputs.is_call[row]))
                total += quantity * float(inputs.size[row]) * price * discount
        return total

    now = {expiry: value(expiry, 1.0, VolMove.SAME) for expiry in expiries}
    linear = coins = 0.0
    for row, quantity in held:
        if inputs.kind[row] != Row.OPTION:
            linear += quantity * float(inputs.size[row]) * float(inputs.price[row])
        if inputs.kind[row] == Row.PERPETUAL:
            coins += quantity * float(inputs.size[row])

    worst = 0.0
    for scenario in parameters.scenarios:
        pnl = linear * (scenario.price_multiplier - 1)
        for expiry in expiries:
            shocked = value(expiry, scenario.price_multiplier, scenario.vol)
            gain = shocked * _static(inputs, parameters, own, expiry, shocked) - now[expiry]
            pnl += -abs(gain) if scenario.vol.is_skew else gain
        worst = min(worst, pnl * scenario.dampening)
    basis = 0.0
    for expiry in expiries:
        up = value(expiry, own.basis.price_up, VolMove.SAME) - now[expiry]
        down = value(expiry, own.basis.price_down, VolMove.SAME) - now[expiry]
        years = float(inputs.seconds[expiry]) / YEAR
        basis += min(up, down, 0.0) * (own.basis.add_factor + own.basis.mult_factor * years)
    worst = min(worst, basis)

    by_strike: dict[tuple[int, float], float] = {}
    haircut_maintenance = haircut_initial = 0.0
    for row, quantity in held:
        if inputs.kind[row] == Row.OPTION:
            key = (int(inputs.expiry[row]), float(inputs.strike[row]))
            by_strike[key] = by_strike.get(key, 0.0) + quantity * float(inputs.size[row])
        if inputs.kind[row] == Row.COLLATERAL:
            worth = max(0.0, quantity) * float(inputs.size[row]) * float(inputs.price[row])
            haircut_maintenance += worth * float(inputs.haircut_maintenance[row])
            haircut_initial += worth * float(inputs.haircut_initial[row])
    naked = sum(max(0.0, -amount) for amount in by_strike.values()) * spot
    charges = own.contingencies
    size = abs(coins) * spot * charges.perpetual_maintenance + naked * charges.option_maintenance + haircut_maintenance
    more = abs(coins) * spot * charges.perpetual_initial + naked * charges.option_initial + haircut_initial
    factor = parameters.initial_factor
    factor += max(0.0, charges.peg_threshold - inputs.stable_price) * charges.peg_factor
    scale = factor if parameters.contingencies_scaled else 1.0
    return Margin(
        initial=-worst * factor + (size + more) * scale,
        maintenance=-worst * parameters.maintenance_factor + size,
        worst=worst,
    )


def _static(
    inputs: DeriveInputs, parameters: DeriveParameters, own: UnderlyingParameters, expiry: int, value: float
) -> float:
    """Static discount of an expiry worth `value`."""
    years, rate = float(inputs.seconds[expiry]) / YEAR, max(0.0, float(inputs.rate[expiry]))
    if years <= 0:
        return 1.0
    d = own.discount
    if value >= 0:
        return d.long_base * math.exp(-years * (rate * d.long_mult + d.long_add))
    most = math.exp(rate * years) if parameters.options_discounted else 1.0
    return min(most, d.short_base * math.exp(years * (rate * d.short_mult + d.short_add)))
