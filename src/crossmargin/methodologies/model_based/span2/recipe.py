"""A SPAN 2-like margin, top to bottom, for all risk units at once.

    historical    = measure of the losses in filtered scenarios
    stress        = measure of the losses on stressed days and in hypothetical moves
    liquidity     = sum over positions of (impact x day's deviation x sqrt(days of volume) + half spread)
    concentration = sum over positions of rate x day's deviation x days of volume beyond the threshold
    wrong way     = loss if the underlyings that fall with the account's holder do
    requirement   = x historical + (1 - x) stress + liquidity + concentration + wrong way + volatility
    maintenance   = factor x requirement

CME Clearing publishes the sum, and what each part is about. The functions for liquidity and concentration, the weight
and every figure are ours, and the charge for wrong-way risk is altogether.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.charges import (
    daily_volatility,
    days_of_volume,
    sum_of_positions,
    volatility_charge,
    volatility_share,
)
from crossmargin.methodologies.model_based.contracts import ModelContracts, SetTable
from crossmargin.methodologies.model_based.measures import Tails, pnl_in, shares, tails
from crossmargin.methodologies.model_based.parameters import Measure
from crossmargin.methodologies.model_based.span2.parameters import Closing, Span2Parameters, WrongWay

FILTERED, STRESS, WRONG_WAY = "filtered", "stress", "wrong way"
"""Names of the sets of scenarios."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClosingBreakdown:
    """What it costs to close each position, US dollars, `(n_positions,)`.

    Parameters
    ----------
    days : ndarray
        Days of volume.
    deviation : ndarray
        Of its value over a day.
    impact, spread, concentration : ndarray
        The three charges.
    """

    days: FloatArray
    deviation: FloatArray
    impact: FloatArray
    spread: FloatArray
    concentration: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Span2Breakdown:
    """Every figure of the calculation; arrays of shape `(n_units,)`, US dollars.

    Parameters
    ----------
    historical : Tails
        In filtered scenarios.
    stress : Tails or None
        On stressed days and in hypothetical moves; `None` where it has no weight.
    mixed : ndarray
        `x historical + (1 - x) stress`.
    closing : ClosingBreakdown
        By position.
    liquidity, concentration : ndarray
        Sums of it.
    wrong_way : Tails or None
        Loss with the account's default; `None` where nothing is named.
    wrong_way_charge, volatility : ndarray
        Charges; 0 where there is none.
    requirement, maintenance : ndarray
        `0 <= maintenance <= requirement`.
    """

    historical: Tails
    stress: Tails | None
    mixed: FloatArray
    closing: ClosingBreakdown
    liquidity: FloatArray
    concentration: FloatArray
    wrong_way: Tails | None
    wrong_way_charge: FloatArray
    volatility: FloatArray
    requirement: FloatArray
    maintenance: FloatArray


def span2_requirement(book: UnitBook, contracts: ModelContracts, parameters: Span2Parameters) -> Span2Breakdown:
    """Requirement of each risk unit."""
    held, x = book.holdings, parameters.historical_share
    historical = tails(held, contracts.sets[FILTERED].swept, parameters.measure)
    stress = None
    mixed = x * historical.value
    if STRESS in contracts.sets:
        stress = tails(held, contracts.sets[STRESS].swept, parameters.stress_measure)
        mixed = mixed + (1 - x) * stress.value
    closing = closing_cost(held, contracts, parameters.closing, parameters.generation.horizon_days)
    liquidity = sum_of_positions(held, closing.impact + closing.spread)
    concentration = sum_of_positions(held, closing.concentration)
    wrong_way, wrong_way_charge = None, np.zeros(book.n_units)
    if WRONG_WAY in contracts.sets:
        wrong_way = wrong_way_loss(book, contracts.sets[WRONG_WAY], parameters.wrong_way)
        wrong_way_charge = wrong_way.value
    volatility = volatility_charge(book, contracts)
    requirement = mixed + liquidity + concentration + wrong_way_charge + volatility
    return Span2Breakdown(
        historical=historical,
        stress=stress,
        mixed=mixed,
        closing=closing,
        liquidity=liquidity,
        concentration=concentration,
        wrong_way=wrong_way,
        wrong_way_charge=wrong_way_charge,
        volatility=volatility,
        requirement=read_only(requirement),
        maintenance=read_only(parameters.maintenance_factor * requirement),
    )


def closing_cost(held: Holdings, contracts: ModelContracts, closing: Closing, horizon_days: int) -> ClosingBreakdown:
    """What it costs to close each position: nothing is netted, for every contract has a market of its own."""
    size = np.abs(held.quantity)
    days = days_of_volume(held, contracts.volume)
    of_one = daily_volatility(contracts.sets[FILTERED].unit_pnl, horizon_days)
    deviation = size * of_one[held.instrument]
    return ClosingBreakdown(
        days=days,
        deviation=deviation,
        impact=square_root_impact(deviation, days, closing.impact),
        spread=size * contracts.spread[held.instrument],
        concentration=closing.rate * deviation * np.maximum(days - closing.threshold_days, 0.0),
    )


def square_root_impact(deviation: FloatArray, days: FloatArray, impact: float) -> FloatArray:
    """`impact x deviation x sqrt(days)`: selling four times as much moves the price twice as far."""
    return np.asarray(impact * deviation * np.sqrt(days))


def wrong_way_loss(book: UnitBook, table: SetTable, wrong_way: WrongWay) -> Tails:
    """Loss of each unit in the scenario of its account: what falls with one says nothing of the others."""
    place = {group: k for k, group in enumerate(wrong_way.together)}
    of_account = np.array([place[wrong_way.of(name)] for name in book.account_names], dtype=np.int64)
    scenario = of_account[book.unit_account]
    loss = -sum_of_positions(book.holdings, pnl_in(book.holdings, table.unit_pnl, scenario))
    return Tails(value=np.maximum(loss, 0.0), raw=loss + 0.0, scenario=scenario)


def position_shares(
    book: UnitBook, contracts: ModelContracts, parameters: Span2Parameters, b: Span2Breakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the worst filtered scenario and contribution of each position, both `(n_positions,)`.

    Measures are allocated by Euler's rule; what a position is charged for its size is its own.
    """
    held, x = book.holdings, parameters.historical_share
    unit = held.unit()

    def of(name: str, found: Tails, measure: Measure) -> FloatArray:
        table = contracts.sets[name]
        return np.asarray(shares(held, table.unit_pnl, table.swept, measure) * found.counts[unit])

    share = x * of(FILTERED, b.historical, parameters.measure)
    if b.stress is not None:
        share = share + (1 - x) * of(STRESS, b.stress, parameters.stress_measure)
    if b.wrong_way is not None:
        falls = contracts.sets[WRONG_WAY].unit_pnl[held.instrument, b.wrong_way.scenario[unit]]
        share = share - np.where(b.wrong_way.counts[unit], falls, 0.0)
    if contracts.vega_charged.any():
        share = share + volatility_share(book, contracts)
    own = b.closing.impact + b.closing.spread + b.closing.concentration
    worst: IntArray = b.historical.scenario
    return pnl_in(held, contracts.sets[FILTERED].unit_pnl, worst), held.quantity * share + own
