"""A PRISMA-like margin, top to bottom, for all risk units (an account's positions in a liquidation group) at once.

sub-sample    = scenarios whose runs of days do not overlap; of each
  risk        = pure market risk + correlation break (filtered scenarios only) + model error
measure set   = mean (or the largest, or the median) of its sub-samples' risks
market risk   = greater of the filtered set and weight x the stress set
events        = sum of the worst losses on named event days, where there are any
liquidity     = diversification factor x sum over positions of (size factor x VaR alone + half spread)
volatility    = vega of each underlying x a move, where volatilities have no history
requirement   = market risk + events + liquidity + volatility
maintenance   = factor x requirement

Units go through in blocks, and windows one after the other: nothing of the size units x scenarios x windows exists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings, blocks, scenario_pnl, tail_scenarios
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.charges import days_of_volume, sum_of_positions, volatility_charge
from crossmargin.methodologies.model_based.contracts import ModelContracts, SetTable
from crossmargin.methodologies.model_based.prisma.parameters import PrismaParameters
from crossmargin.methodologies.model_based.prisma.steps import (
    aggregated,
    correlation_break,
    diversification_factor,
    liquidity_factor,
    mean_excess_risk,
    model_error,
    robust_factor,
    value_at_risk,
)
from crossmargin.scenarios.factor_scenarios import FactorScenarios

FILTERED, STRESS, EVENT = "filtered", "stress", "event"
"""Names of the sets of scenarios."""
BLOCK_UNITS = 1024
"""Units whose P&L in all scenarios is at hand at once: with 750 of them 6 MB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasureSet:
    """Market risk of units in one set of scenarios, by sub-sample; arrays `(n_units, n_sub_samples)`, US dollars.

    Parameters
    ----------
    sizes : tuple of int
        Scenarios of each sub-sample.
    var_low : ndarray
        Value at risk at the low level.
    pure : ndarray
        Pure market risk: the same, scaled to the target.
    excess, broken : ndarray
        Mean excess risk of windows, and the correlation-break adjustment; 0 where there is none.
    risk : ndarray
        Of the sub-sample, with the model error.
    value : ndarray of shape (n_units,)
        Of the set.
    scenario : ndarray of shape (n_units,)
        The one at the low level in the sub-sample of the largest pure risk: the worse of the two around it.
    """

    sizes: tuple[int, ...]
    var_low: FloatArray
    pure: FloatArray
    excess: FloatArray
    broken: FloatArray
    risk: FloatArray
    value: FloatArray
    scenario: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiquidityBreakdown:
    """What it costs to close positions, US dollars.

    Parameters
    ----------
    days, factor : ndarray of shape (n_positions,)
        Days of volume, and the part of its value at risk that a position is charged.
    var_alone, premium, spread : ndarray of shape (n_positions,)
        Value at risk of the position alone; that part of it; half of what ask is above bid.
    var_together, var_apart, alpha : ndarray of shape (n_units,)
        Value at risk of the unit, sum of those of its positions, diversification factor.
    premium_sum, spread_sum, charge : ndarray of shape (n_units,)
        Sums over positions, and the charge.
    """

    days: FloatArray
    factor: FloatArray
    var_alone: FloatArray
    premium: FloatArray
    spread: FloatArray
    var_together: FloatArray
    var_apart: FloatArray
    alpha: FloatArray
    premium_sum: FloatArray
    spread_sum: FloatArray
    charge: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrismaBreakdown:
    """Every figure of the calculation; arrays of shape `(n_units,)`, US dollars.

    Parameters
    ----------
    scaling : float
        Student's t at the target over that at the low level.
    error_alone : ndarray of shape (n_positions,)
        Error of the price of each position.
    error : ndarray
        Model error.
    filtered, stress : MeasureSet
        The two sets; `None` where stress has no weight.
    stressed : ndarray
        Weight times the stress set.
    market_risk : ndarray
        The greater of the two.
    event_loss, event_day : ndarray of shape (n_units, n_worst)
        Worst losses on event days, largest first, at least 0, and which days.
    event : ndarray
        Their sum.
    liquidity : LiquidityBreakdown
        What it costs to close positions.
    volatility : ndarray
        Charge for volatilities without a history.
    requirement, maintenance : ndarray
        `0 <= maintenance <= requirement`.
    """

    scaling: float
    error_alone: FloatArray
    error: FloatArray
    filtered: MeasureSet
    stress: MeasureSet | None
    stressed: FloatArray
    market_risk: FloatArray
    event_loss: FloatArray
    event_day: IntArray
    event: FloatArray
    liquidity: LiquidityBreakdown
    volatility: FloatArray
    requirement: FloatArray
    maintenance: FloatArray

    @property
    def stress_binds(self) -> BoolArray:
        """Units whose market risk is that of the stress set."""
        return np.asarray(self.stressed > self.filtered.value)


def prisma_requirement(book: UnitBook, contracts: ModelContracts, parameters: PrismaParameters) -> PrismaBreakdown:
    """Requirement of each risk unit."""
    held = book.holdings
    pure = parameters.pure
    scaling = robust_factor(pure.level_low, pure.level_target, pure.degrees_of_freedom)
    error_alone = position_errors(held, contracts, parameters)
    error = model_error(error_alone, held.unit(), held.n_units)
    filtered = measure_set(held, contracts.sets[FILTERED], error, scaling, parameters, breaks=True)
    stress, stressed = None, np.zeros(book.n_units)
    if parameters.stress_weight:
        stress = measure_set(held, contracts.sets[STRESS], error, scaling, parameters, breaks=False)
        stressed = parameters.stress_weight * stress.value
    market_risk = np.maximum(filtered.value, stressed)
    event_loss, event_day = event_losses(held, contracts, parameters)
    event = np.zeros(book.n_units)
    for k in range(event_loss.shape[1]):
        event += event_loss[:, k]
    liquidity = liquidity_charge(held, contracts, parameters)
    volatility = volatility_charge(book, contracts)
    requirement = market_risk + event + liquidity.charge + volatility
    return PrismaBreakdown(
        scaling=scaling,
        error_alone=error_alone,
        error=error,
        filtered=filtered,
        stress=stress,
        stressed=stressed,
        market_risk=market_risk,
        event_loss=event_loss,
        event_day=event_day,
        event=event,
        liquidity=liquidity,
        volatility=volatility,
        requirement=read_only(requirement),
        maintenance=read_only(parameters.maintenance_factor * requirement),
    )


def sub_samples(scenarios: FactorScenarios) -> tuple[IntArray, ...]:
    """Scenarios of each sub-sample, in the order of their dates."""
    number = scenarios.sub_sample
    return tuple(np.flatnonzero(number == k) for k in range(int(number.max(initial=-1)) + 1))


def position_errors(held: Holdings, contracts: ModelContracts, parameters: PrismaParameters) -> FloatArray:
    """Error of the price of each position, at least 0, `(n_positions,)`: a part of the value of what it is of."""
    rate = np.array([parameters.model_error[kind] for kind in contracts.inputs.instruments.kind.tolist()])
    of_one = (rate * contracts.notional).astype(np.float64)
    return np.asarray(np.abs(held.quantity) * of_one[held.instrument])


def measure_set(
    held: Holdings, table: SetTable, error: FloatArray, scaling: float, parameters: PrismaParameters, *, breaks: bool
) -> MeasureSet:
    """Market risk of every unit in one set of scenarios.

    Parameters
    ----------
    error : ndarray of shape (n_units,)
        Model error of each unit.
    scaling : float
        Of the low level to the target.
    breaks : bool
        Whether windows are asked whether correlations broke in them.
    """
    pure_risk, cb = parameters.pure, parameters.correlation_break
    samples = sub_samples(table.scenarios)
    shape = (held.n_units, len(samples))
    var_low, excess, at_quantile = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
    for first, last in blocks(held.n_units, BLOCK_UNITS):
        pnl = scenario_pnl(held, table.swept, np.arange(first, last))
        for k, rows in enumerate(samples):
            of_sample = pnl.take(rows, axis=1)
            var_low[first:last, k] = value_at_risk(of_sample, pure_risk.level_low)
            at_quantile[first:last, k] = rows[_at_quantile(of_sample, var_low[first:last, k])]
            if breaks:
                excess[first:last, k] = mean_excess_risk(of_sample, cb.level, cb.window)
    pure = var_low * scaling
    broken = np.zeros(shape)
    if breaks:
        broken = correlation_break(excess, pure, kappa=cb.kappa, least=cb.least, most=cb.most)
    risk = pure + broken + error[:, None]
    worst_sample = pure.argmax(axis=1)
    return MeasureSet(
        sizes=tuple(len(rows) for rows in samples),
        var_low=var_low,
        pure=pure,
        excess=excess,
        broken=broken,
        risk=risk,
        value=aggregated(risk, pure_risk.aggregate),
        scenario=at_quantile[np.arange(held.n_units), worst_sample],
    )


def _at_quantile(pnl: FloatArray, var: FloatArray) -> IntArray:
    """The scenario of each unit whose loss is the least that is still at its value at risk or beyond."""
    beyond = np.where(pnl <= -var[:, None], pnl, -np.inf)
    return np.asarray(beyond.argmax(axis=1))


def event_losses(
    held: Holdings, contracts: ModelContracts, parameters: PrismaParameters
) -> tuple[FloatArray, IntArray]:
    """Worst losses of each unit on event days, largest first and at least 0, and the days, `(n_units, n_worst)`."""
    if not parameters.events.worst:
        return np.zeros((held.n_units, 0)), np.zeros((held.n_units, 0), dtype=np.int64)
    table = contracts.sets[EVENT]
    n_worst = min(parameters.events.worst, len(table.scenarios))
    pnl, days = tail_scenarios(held, table.swept, n_worst)
    return np.maximum(-pnl, 0.0) + 0.0, days


def aggregated_var(pnl: FloatArray, scenarios: FactorScenarios, parameters: PrismaParameters) -> FloatArray:
    """Value at risk as liquidity takes it: at its level, not scaled, of sub-samples as the measure sets' are."""
    by_sample = [value_at_risk(pnl.take(rows, axis=1), parameters.liquidity.level) for rows in sub_samples(scenarios)]
    return aggregated(np.stack(by_sample, axis=-1), parameters.pure.aggregate)


def liquidity_charge(held: Holdings, contracts: ModelContracts, parameters: PrismaParameters) -> LiquidityBreakdown:
    """What it costs to close the positions of each unit."""
    table = contracts.sets[FILTERED]
    var_together = np.zeros(held.n_units)
    for first, last in blocks(held.n_units, BLOCK_UNITS):
        pnl = scenario_pnl(held, table.swept, np.arange(first, last))
        var_together[first:last] = aggregated_var(pnl, table.scenarios, parameters)
    # A position alone is its size times one contract on its side.
    of_long = np.zeros(len(contracts.names))
    of_short = np.zeros(len(contracts.names))
    for first, last in blocks(len(contracts.names), BLOCK_UNITS):
        of_long[first:last] = aggregated_var(table.unit_pnl[first:last], table.scenarios, parameters)
        of_short[first:last] = aggregated_var(-table.unit_pnl[first:last], table.scenarios, parameters)
    size = np.abs(held.quantity)
    var_alone = size * np.where(held.quantity > 0, of_long[held.instrument], of_short[held.instrument])
    days = days_of_volume(held, contracts.volume)
    factor = liquidity_factor(days, parameters.liquidity.factor_by_days)
    premium = factor * var_alone
    spread = size * contracts.spread[held.instrument]
    var_apart = sum_of_positions(held, var_alone)
    alpha = diversification_factor(var_together, var_apart, parameters.liquidity.floor)
    premium_sum, spread_sum = sum_of_positions(held, premium), sum_of_positions(held, spread)
    return LiquidityBreakdown(
        days=days,
        factor=factor,
        var_alone=var_alone,
        premium=premium,
        spread=spread,
        var_together=var_together,
        var_apart=var_apart,
        alpha=alpha,
        premium_sum=premium_sum,
        spread_sum=spread_sum,
        charge=alpha * (premium_sum + spread_sum),
    )
