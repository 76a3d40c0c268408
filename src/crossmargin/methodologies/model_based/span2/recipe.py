"""A SPAN 2-like margin, top to bottom, for all risk units at once.

historical    = expected shortfall (or value at risk) of filtered history, at least 0
stress        = loss in the worst (or the same measure) of stressed days and hypothetical scenarios, at least 0
market risk   = x historical + (1 - x) stress
liquidity     = sum over positions of Y x daily volatility x contracts x root of days of volume, and of half spreads
concentration = sum over positions of rate x daily volatility x contracts x days of volume beyond the threshold
volatility    = vega of each underlying x a move, where volatilities have no history
wrong way     = rate x net long value in underlyings that are said to fall when the account's holder fails
requirement   = their sum
maintenance   = factor x requirement

Only the first line of the sum is published, with the names of its terms; what each term is, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings, LaidOut, unit_sum, worst_loss
from crossmargin.basics.arrays import BoolArray, FloatArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.charges import (
    daily_volatility,
    days_of_volume,
    spread_charge,
    sum_of_positions,
    volatility_charge,
    volatility_share,
)
from crossmargin.methodologies.model_based.contracts import ModelContracts, SetTable
from crossmargin.methodologies.model_based.measures import Tails, pnl_in, shares, tails
from crossmargin.methodologies.model_based.parameters import Measure
from crossmargin.methodologies.model_based.span2.parameters import Span2Parameters, StressStatistic

HISTORICAL, STRESS = "historical", "stress"
"""Names of the sets of scenarios."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SizeCharges:
    """What size costs, US dollars.

    Parameters
    ----------
    days : ndarray of shape (n_positions,)
        Days of volume.
    volatility : ndarray of shape (n_positions,)
        Daily volatility of one contract.
    root_days, beyond : ndarray of shape (n_positions,)
        Root of the days, and days beyond the threshold.
    impact, spread, concentration : ndarray of shape (n_positions,)
        What each position is charged.
    impact_sum, spread_sum, concentration_sum : ndarray of shape (n_units,)
        Sums of them.
    """

    days: FloatArray
    volatility: FloatArray
    root_days: FloatArray
    beyond: FloatArray
    impact: FloatArray
    spread: FloatArray
    concentration: FloatArray
    impact_sum: FloatArray
    spread_sum: FloatArray
    concentration_sum: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WrongWay:
    """Long value in what falls with the account's holder, by unit and underlying (segments of the book's cut).

    Parameters
    ----------
    listed : ndarray of shape (n_segments,)
        Whether the parameters say so of this account and underlying.
    long_value : ndarray of shape (n_segments,)
        Net dollar delta where it is long and listed, else 0.
    in_unit, charge : ndarray of shape (n_units,)
        Its sum, and what each unit is charged.
    """

    listed: BoolArray
    long_value: FloatArray
    in_unit: FloatArray
    charge: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Span2Breakdown:
    """Every figure of the calculation; arrays of shape `(n_units,)`, US dollars.

    Parameters
    ----------
    historical : Tails
        In the scenarios of the history.
    stress : Tails or None
        Under stress; `None` where history has all of the weight.
    market_risk : ndarray
        Both by their weights.
    size : SizeCharges
        Liquidity and concentration.
    volatility : ndarray
        Charge for volatilities without a history.
    wrong_way : WrongWay or None
        `None` where the rate is 0 or no account of the book is named.
    requirement, maintenance : ndarray
        `0 <= maintenance <= requirement`.
    """

    historical: Tails
    stress: Tails | None
    market_risk: FloatArray
    size: SizeCharges
    volatility: FloatArray
    wrong_way: WrongWay | None
    requirement: FloatArray
    maintenance: FloatArray

    @property
    def liquidity(self) -> FloatArray:
        """Impact and spread."""
        return self.size.impact_sum + self.size.spread_sum


def span2_requirement(book: UnitBook, contracts: ModelContracts, parameters: Span2Parameters) -> Span2Breakdown:
    """Requirement of each risk unit."""
    held, x = book.holdings, parameters.historical_weight
    historical = tails(held, contracts.sets[HISTORICAL].swept, parameters.measure)
    stress = None
    market_risk = historical.value
    if STRESS in contracts.sets:
        stress = stress_tails(held, contracts.sets[STRESS].swept, parameters.measure, parameters.stress_statistic)
        market_risk = x * historical.value + (1 - x) * stress.value
    size = size_charges(held, contracts, parameters)
    volatility = volatility_charge(book, contracts)
    wrong_way = wrong_way_charge(book, contracts, parameters)
    requirement = market_risk + (size.impact_sum + size.spread_sum) + size.concentration_sum + volatility
    if wrong_way is not None:
        requirement = requirement + wrong_way.charge
    return Span2Breakdown(
        historical=historical,
        stress=stress,
        market_risk=market_risk,
        size=size,
        volatility=volatility,
        wrong_way=wrong_way,
        requirement=read_only(requirement),
        maintenance=read_only(parameters.maintenance_factor * requirement),
    )


def stress_tails(held: Holdings, table: LaidOut, measure: Measure, statistic: StressStatistic) -> Tails:
    """What is asked for of each unit's losses under stress.

    Of fewer scenarios than the level needs, the measure is the worst too.
    """
    if statistic is StressStatistic.MEASURE:
        return tails(held, table, measure)
    loss, scenario = worst_loss(held, table)
    return Tails(value=np.maximum(loss, 0.0), raw=loss, scenario=scenario)


def square_root_impact(
    impact: float, volatility: FloatArray, contracts: FloatArray, root_days: FloatArray
) -> FloatArray:
    """What a position moves its own price by as it is closed: more than in proportion to its size."""
    return np.asarray(impact * volatility * contracts * root_days)


def concentration(rate: float, volatility: FloatArray, contracts: FloatArray, beyond: FloatArray) -> FloatArray:
    """What a position is charged for being more than can be closed in time: linear in the days beyond."""
    return np.asarray(rate * volatility * contracts * beyond)


def size_charges(held: Holdings, contracts: ModelContracts, parameters: Span2Parameters) -> SizeCharges:
    """What it costs to close each position, and what is charged where it is large."""
    of_one = daily_volatility(contracts.sets[HISTORICAL].unit_pnl, parameters.generation.horizon_days)
    volatility, size = of_one[held.instrument], np.abs(held.quantity)
    days = days_of_volume(held, contracts.volume)
    root_days = np.sqrt(days)
    beyond = np.maximum(days - parameters.threshold_days, 0.0)
    impact = square_root_impact(parameters.impact, volatility, size, root_days)
    large = concentration(parameters.concentration_rate, volatility, size, beyond)
    spread = spread_charge(held, contracts)
    return SizeCharges(
        days=days,
        volatility=volatility,
        root_days=root_days,
        beyond=beyond,
        impact=impact,
        spread=spread,
        concentration=large,
        impact_sum=sum_of_positions(held, impact),
        spread_sum=sum_of_positions(held, spread),
        concentration_sum=sum_of_positions(held, large),
    )


def wrong_way_charge(book: UnitBook, contracts: ModelContracts, parameters: Span2Parameters) -> WrongWay | None:
    """What is charged on long value that would be gone when it is needed."""
    if not parameters.wrong_way_rate or parameters.wrong_way.keys().isdisjoint(book.account_names):
        return None
    cut = book.cut.segments
    account = book.unit_account[cut.unit]
    listed = np.array(
        [
            contracts.underlyings[u] in parameters.wrong_way.get(book.account_names[a], ())
            for a, u in zip(account.tolist(), cut.label.tolist(), strict=True)
        ],
        dtype=np.bool_,
    )
    long_value = np.where(listed, np.maximum(unit_sum(cut.holdings, contracts.delta), 0.0), 0.0)
    in_unit = np.bincount(cut.unit, weights=long_value, minlength=book.n_units).astype(np.float64)
    return WrongWay(listed=listed, long_value=long_value, in_unit=in_unit, charge=parameters.wrong_way_rate * in_unit)


def position_shares(
    book: UnitBook, contracts: ModelContracts, parameters: Span2Parameters, b: Span2Breakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the worst historical scenario and contribution of each position, both `(n_positions,)`.

    Losses are allocated by Euler's rule; what is charged by position stands with the position.
    """
    held, x = book.holdings, parameters.historical_weight
    unit = held.unit()
    base = contracts.sets[HISTORICAL]
    share = shares(held, base.unit_pnl, base.swept, parameters.measure) * b.historical.counts[unit]
    if b.stress is not None:
        share = x * share + (1 - x) * _stress_share(held, contracts.sets[STRESS], parameters, b.stress)
    if contracts.vega_charged.any():
        share = share + volatility_share(book, contracts)
    if b.wrong_way is not None:
        counts = (b.wrong_way.long_value > 0)[book.cut.segments.of_position]
        share = share + np.where(counts, parameters.wrong_way_rate * contracts.delta[held.instrument], 0.0)
    by_position = b.size.impact + b.size.spread + b.size.concentration
    return pnl_in(held, base.unit_pnl, b.historical.scenario), held.quantity * share + by_position


def _stress_share(held: Holdings, table: SetTable, parameters: Span2Parameters, found: Tails) -> FloatArray:
    unit = held.unit()
    if parameters.stress_statistic is StressStatistic.MEASURE:
        return shares(held, table.unit_pnl, table.swept, parameters.measure) * found.counts[unit]
    return np.asarray(-table.unit_pnl[held.instrument, found.scenario[unit]] * found.counts[unit])
