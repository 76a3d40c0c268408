"""What a careful person writes first: the margin of one account in plain Python, one number at a time.

It is a peer and not an oracle: it gets contracts that are checked and complete, and answers only two totals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from crossmargin.methodologies.venue_grids.scenario_grid.book import GridBook
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import GridParameters

MONTH_YEARS = 30.0 / 365.0


class Contract(NamedTuple):
    """A held inverse option, as Python scalars."""

    underlying: str
    expiry: int
    quantity: float
    multiplier: float
    index: float
    forward: float
    strike: float
    vol: float
    years: float
    is_call: bool


class Scenario(NamedTuple):
    """A shift of price and volatility, and the fraction of its P&L that counts."""

    price_move: float
    vol_direction: int
    weight: float


class Totals(NamedTuple):
    """Requirement of the account, and the sum of its positions each margined alone; dollars."""

    initial: float
    isolated: float


def contracts(book: GridBook) -> list[Contract]:
    """The positions of a margined book; all of them inverse options quoted in dollars."""
    inputs, held = book.contracts.inputs, book.holdings
    table = inputs.instruments
    assert bool(inputs.is_option.all() and table.is_inverse.all() and (inputs.quote_usd == 1).all())
    assert bool((inputs.discount == 1).all() and not inputs.vol_normal.any())
    return [
        Contract(
            underlying=table.underlyings[table.underlying[k]],
            expiry=int(table.expiry_seconds[k]),
            quantity=float(quantity),
            multiplier=float(table.multiplier[k]),
            index=float(inputs.index[k]),
            forward=float(inputs.forward[k]),
            strike=float(table.strike[k]),
            vol=float(inputs.vol[k]),
            years=float(inputs.expiry_years[k]),
            is_call=bool(table.is_call[k]),
        )
        for k, quantity in zip(held.instrument.tolist(), held.quantity.tolist(), strict=True)
    ]


def scenarios(book: GridBook) -> dict[str, list[Scenario]]:
    """The grid of each underlying; no time steps."""
    found = {}
    for name, grid in book.contracts.scenarios.items():
        assert not grid.time_step_years.any()
        columns = (grid.price_move.tolist(), grid.vol_direction.tolist(), grid.weight.tolist())
        found[name] = [Scenario(*row) for row in zip(*columns, strict=True)]
    return found


def normal(x: float) -> float:
    """Normal distribution function."""
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def black(forward: float, strike: float, total_vol: float, is_call: bool) -> tuple[float, float]:
    """Forward value of an option, and its delta by the forward."""
    sign = 1.0 if is_call else -1.0
    if total_vol <= 0.0:
        inside = sign * (forward - strike)
        return max(0.0, inside), sign if inside > 0.0 else 0.0
    d1 = math.log(forward / strike) / total_vol + 0.5 * total_vol
    delta = sign * normal(sign * d1)
    return forward * delta - sign * strike * normal(sign * (d1 - total_vol)), delta


def naive_margin(
    held: Sequence[Contract], grids: Mapping[str, Sequence[Scenario]], parameters: GridParameters
) -> Totals:
    """`scenario-grid`, independent units, and `isolated`, position by position and scenario by scenario."""
    pnl = {name: [0.0] * len(grid) for name, grid in grids.items()}
    deltas: dict[str, dict[int, float]] = {name: {} for name in grids}
    moves: dict[tuple[str, int], float] = {}
    minimum = dict.fromkeys(grids, 0.0)
    isolated = 0.0
    for c in held:
        ranges, charges = parameters.ranges[c.underlying], parameters.charges[c.underlying]
        power = ranges.vol_power_short if c.years <= MONTH_YEARS else ranges.vol_power_long
        scale = (MONTH_YEARS / max(c.years, ranges.vol_days_floor / 365.0)) ** power
        vols = (
            c.vol * max(0.0, 1.0 - ranges.vol_range_down * scale),
            c.vol,
            max(ranges.vol_floor_up, c.vol * (1.0 + ranges.vol_range_up * scale)),
        )
        root = math.sqrt(c.years)
        value, delta = black(c.forward, c.strike, c.vol * root, c.is_call)
        dollars = value / c.forward * c.index
        of_unit, worst = pnl[c.underlying], math.inf
        for s, (price_move, vol_direction, weight) in enumerate(grids[c.underlying]):
            forward, index = c.forward * (1.0 + price_move), c.index * (1.0 + price_move)
            shifted, _ = black(forward, c.strike, vols[vol_direction + 1] * root, c.is_call)
            gain = c.quantity * c.multiplier * (shifted / forward * index - dollars) * weight
            of_unit[s] += gain
            worst = min(worst, gain)
        dollar_delta = c.quantity * c.multiplier * c.index * delta
        move = max(charges.roll_move_minimum, charges.roll_annualised_move * c.years)
        short = max(0.0, -c.quantity) * c.multiplier * c.index * charges.short_option_minimum
        ledger = deltas[c.underlying]
        ledger[c.expiry] = ledger.get(c.expiry, 0.0) + dollar_delta
        moves[c.underlying, c.expiry] = move
        minimum[c.underlying] += short
        isolated += max(max(0.0, -worst) + abs(dollar_delta) * move, short)
    initial = 0.0
    for name, gains in pnl.items():
        roll = sum(abs(delta) * moves[name, expiry] for expiry, delta in deltas[name].items())
        initial += max(max(0.0, -min(gains)) + roll, minimum[name])
    return Totals(initial=initial, isolated=isolated)
