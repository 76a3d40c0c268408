"""What each position brings to the requirement of its unit: Euler's allocation of the market risk, charges as charged.

Market risk is piecewise linear in the positions but for the correlation break, and that is the root of a mean of
squares of such pieces: of one order, so that its gradient times the positions is it. A scenario then has a weight, that
of the P&L in it: from the two order statistics of a quantile, from those of every window that counts, and from the
sub-sample's part in the aggregate.

The decision a reader would question: the diversification factor and the factor of a position's size are taken as they
stand: a position's part in the liquidity charge is what its own line says, alpha included.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from crossmargin.aggregation.sweep import Holdings, blocks, scenario_pnl
from crossmargin.basics.arrays import FloatArray
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.charges import volatility_share
from crossmargin.methodologies.model_based.contracts import ModelContracts, SetTable
from crossmargin.methodologies.model_based.measures import pnl_in
from crossmargin.methodologies.model_based.prisma.parameters import Break, PrismaParameters
from crossmargin.methodologies.model_based.prisma.recipe import (
    BLOCK_UNITS,
    EVENT,
    FILTERED,
    STRESS,
    MeasureSet,
    PrismaBreakdown,
    sub_samples,
)
from crossmargin.methodologies.model_based.prisma.steps import aggregate_weights, quantile_place, value_at_risk


def position_shares(
    book: UnitBook, contracts: ModelContracts, parameters: PrismaParameters, b: PrismaBreakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the scenario that is named as the worst, and contribution of each position, both `(n_positions,)`."""
    held = book.holdings
    unit = held.unit()
    stress_binds = b.stress_binds
    share = set_share(held, contracts.sets[FILTERED], b.filtered, b.scaling, parameters, breaks=True)
    if b.stress is not None:
        of_stress = set_share(held, contracts.sets[STRESS], b.stress, b.scaling, parameters, breaks=False)
        share = np.where(stress_binds[unit], parameters.stress_weight * of_stress, share)
    if b.event_day.shape[1]:
        share = share + event_share(held, contracts.sets[EVENT], b)
    if contracts.vega_charged.any():
        share = share + volatility_share(book, contracts)
    times = np.where(stress_binds, parameters.stress_weight, 1.0)
    contribution = held.quantity * share + times[unit] * error_share(held, b)
    contribution = contribution + b.liquidity.alpha[unit] * (b.liquidity.premium + b.liquidity.spread)
    return pnl_in(held, contracts.sets[FILTERED].unit_pnl, b.filtered.scenario), contribution + 0.0


def set_share(
    held: Holdings, table: SetTable, found: MeasureSet, scaling: float, parameters: PrismaParameters, *, breaks: bool
) -> FloatArray:
    """What one contract of each position brings to the market risk of a set, without model error, `(n_positions,)`."""
    samples = sub_samples(table.scenarios)
    of_sample = aggregate_weights(found.risk, parameters.pure.aggregate)
    by_scenario = np.ascontiguousarray(table.unit_pnl.T)
    unit = held.unit()
    share = np.zeros(len(unit))
    for first, last in blocks(held.n_units, BLOCK_UNITS):
        pnl = scenario_pnl(held, table.swept, np.arange(first, last))
        weights = np.zeros(pnl.shape)
        for k, rows in enumerate(samples):
            one = pnl.take(rows, axis=1)
            times, of_excess = pure_multiple(
                found.pure[first:last, k], found.excess[first:last, k], parameters.correlation_break, breaks=breaks
            )
            of_scenario = (scaling * times)[:, None] * quantile_weights(one, parameters.pure.level_low)
            if breaks:
                cb = parameters.correlation_break
                of_scenario += excess_weights(one, cb.level, cb.window, found.excess[first:last, k], of_excess)
            weights[:, rows] = of_sample[first:last, k, None] * of_scenario
        here = slice(int(held.offsets[first]), int(held.offsets[last]))
        own, instrument = unit[here] - first, held.instrument[here]
        # Scenario by scenario, so that a position's sum has one order whoever else is in the block.
        for s in np.flatnonzero(weights.any(axis=0)).tolist():
            share[here] -= weights[own, s] * by_scenario[s, instrument]
    return share


def quantile_weights(pnl: FloatArray, level: Decimal | float) -> FloatArray:
    """Weight of the P&L in each scenario: minus the weighted sum is the value at risk; all 0 where that is 0."""
    below, above, of_above = quantile_place(level, pnl.shape[-1])
    order = np.argsort(pnl, axis=-1, kind="stable")
    counts = (value_at_risk(pnl, level) > 0).astype(np.float64)
    weights, unit = np.zeros(pnl.shape), np.arange(len(pnl))
    weights[unit, order[:, below]] += (1 - of_above) * counts
    weights[unit, order[:, above]] += of_above * counts
    return weights


def pure_multiple(pure: FloatArray, excess: FloatArray, cb: Break, *, breaks: bool) -> tuple[FloatArray, FloatArray]:
    """How many times the pure risk counts, the correlation break where a bound holds it included; else that of excess.

    Returns
    -------
    of_pure, of_excess : ndarray of shape (n_units,)
        `of_pure * pure + of_excess * excess` is pure risk and correlation break.
    """
    if not breaks:
        return np.ones(len(pure)), np.zeros(len(pure))
    wanted, least, most = cb.kappa * excess, cb.least * pure, cb.most * pure
    at_most = np.maximum(wanted, least) > most
    at_least = ~at_most & (wanted <= least)
    of_pure = 1.0 + np.where(at_most, cb.most, np.where(at_least, cb.least, 0.0))
    return of_pure, np.where(at_most | at_least, 0.0, cb.kappa)


def excess_weights(
    pnl: FloatArray, level: Decimal | float, window: int, excess: FloatArray, times: FloatArray
) -> FloatArray:
    """Weight of the P&L in each scenario in `times` the mean excess risk, by the chain rule over its windows.

    Parameters
    ----------
    excess, times : ndarray of shape (n_units,)
        The mean excess risk, and how many times it counts; nothing is done where it does not.
    """
    weights = np.zeros(pnl.shape)
    chosen = np.flatnonzero((times > 0) & (excess > 0))
    if not len(chosen):
        return weights
    one = pnl[chosen]
    whole, of_whole = value_at_risk(one, level), quantile_weights(one, level)
    count, added, beyond = np.zeros(len(one)), np.zeros(one.shape), np.zeros(len(one))
    for first in range(one.shape[1] - window + 1):
        in_window = slice(first, first + window)
        above = value_at_risk(one[:, in_window], level) - whole
        positive = np.flatnonzero(above > 0)
        if len(positive):
            count[positive] += 1
            beyond[positive] += above[positive]
            added[positive, in_window] += above[positive, None] * quantile_weights(one[positive, in_window], level)
    scale = times[chosen] / (count * excess[chosen])
    weights[chosen] = scale[:, None] * (added - beyond[:, None] * of_whole)
    return weights


def error_share(held: Holdings, b: PrismaBreakdown) -> FloatArray:
    """Part of each position in the model error of its unit, `(n_positions,)`: as its square is to the sum of them."""
    error = b.error[held.unit()]
    return np.divide(b.error_alone * b.error_alone, error, out=np.zeros(len(error)), where=error > 0)


def event_share(held: Holdings, table: SetTable, b: PrismaBreakdown) -> FloatArray:
    """What one contract of each position loses on the event days that count for its unit, `(n_positions,)`."""
    unit = held.unit()
    share = np.zeros(len(unit))
    for k in range(b.event_day.shape[1]):
        counts = b.event_loss[unit, k] > 0
        share -= np.where(counts, table.unit_pnl[held.instrument, b.event_day[unit, k]], 0.0)
    return share
