"""Deribit's portfolio margin, top to bottom, for all risk units at once.

    x                  = P&L of a unit in each scenario, extended ones weighted by range / |move|
    y                  = losses whole, gains by their share and at most the cap; then extended ones damped
    worst case         = least y, at most 0          (cross: the least sum over units that share scenarios)
    risk matrix margin = worst case + roll shock + delta shock
    initial            = risk matrix margin + resting orders
    maintenance        = 0.8 x risk matrix margin

A unit is a currency pair of a margin account: inverse contracts of a coin in coin, linear ones in dollars. The decision
a reader would question: in a single pair the share of gains never shows, for a scenario that gains is no worst case; it
is for the sum over pairs (`cross`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings, Segments, group_blocks, scenario_pnl, segments
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.venue_grids.deribit.contracts import DeribitContracts
from crossmargin.methodologies.venue_grids.deribit.parameters import LINEAR, DeribitParameters
from crossmargin.methodologies.venue_grids.deribit.steps import (
    Aggregation,
    delta_shock,
    extended_dampening,
    recognised,
    shocked_delta,
)
from crossmargin.methodologies.venue_grids.scenario_grid.steps import RollLedger, roll_charge


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeribitBreakdown:
    """Every figure of the calculation, dollars; arrays of shape `(n_units,)` unless said.

    Parameters
    ----------
    scenario : ndarray
        The scenario that counts; units that share scenarios have the same.
    pnl, counted : ndarray
        P&L of the unit in it, and what of it counts: `counted` summed over units that share it is minus the worst case.
    worst_counts : ndarray
        Whether the worst case is above 0: where it is not, nothing of `counted` is charged.
    group_offsets : ndarray of shape (n_groups + 1,)
        Units that share a scenario.
    roll_shock : ndarray
        Charge for the basis.
    roll_ledger : RollLedger
        What it is made of.
    delta : ndarray
        Dollar delta that the delta shock is of.
    delta_is_reduced : ndarray
        Whether long options made it smaller.
    delta_shock : ndarray
        Charge for its size.
    risk_matrix : ndarray
        Sum of the three.
    """

    scenario: IntArray
    pnl: FloatArray
    counted: FloatArray
    worst_counts: np.ndarray
    group_offsets: IntArray
    roll_shock: FloatArray
    roll_ledger: RollLedger
    delta: FloatArray
    delta_is_reduced: np.ndarray
    delta_shock: FloatArray
    risk_matrix: FloatArray

    @property
    def worst_case(self) -> FloatArray:
        """What each unit brings to the worst case: negative for a gain that covers another unit's loss."""
        return np.where(self.worst_counts, -self.counted, 0.0) + 0.0


def deribit_units(holdings: Holdings, contracts: DeribitContracts) -> Segments:
    """The units cut by expiry."""
    return segments(holdings, contracts.expiry)


def deribit_requirement(
    book: UnitBook, by_expiry: Segments, contracts: DeribitContracts, parameters: DeribitParameters
) -> DeribitBreakdown:
    """The risk matrix margin of every unit."""
    group_offsets = scenario_groups(book, contracts, parameters)
    scenario, pnl, counted, worst_counts = _worst(book, contracts, parameters, group_offsets)
    roll, ledger = roll_charge(by_expiry, contracts.delta, contracts.roll_move)
    long_options, others = _deltas(book, contracts)
    delta = shocked_delta(long_options, others)
    shock = delta_shock(delta, *_shock_columns(book, contracts, parameters))
    brought = np.where(worst_counts, -counted, 0.0)
    return DeribitBreakdown(
        scenario=scenario,
        pnl=pnl,
        counted=counted,
        worst_counts=worst_counts,
        group_offsets=group_offsets,
        roll_shock=roll,
        roll_ledger=ledger,
        delta=delta,
        delta_is_reduced=delta != others,
        delta_shock=shock,
        risk_matrix=read_only(brought + roll + shock),
    )


def scenario_groups(book: UnitBook, contracts: DeribitContracts, parameters: DeribitParameters) -> IntArray:
    """Offsets of the units that share a scenario: one by one, but with `cross` those of the set in an account.

    Units of one account stand next to each other in the order of their groups, and groups of the set come first
    (`contracts`). A gross account's units share nothing: they are of different clients.
    """
    unit_group = book.layout.unit_group
    alone = np.ones(book.n_units, dtype=np.bool_)
    if parameters.cross:
        in_set = np.array([name in parameters.correlation_set for name in contracts.group_underlying], dtype=np.bool_)
        together = in_set[unit_group] & ~np.asarray(book.gross)[book.unit_account]
        if book.grouping.value == "netted":
            account = book.unit_account
            follows = np.zeros(book.n_units, dtype=np.bool_)
            follows[1:] = (account[1:] == account[:-1]) & together[1:] & together[:-1]
            alone = ~follows
    return np.append(np.flatnonzero(alone), book.n_units).astype(np.int64)


def aggregation(book: UnitBook, contracts: DeribitContracts, parameters: DeribitParameters) -> Aggregation:
    """The rule of each unit's currency, shapes by group: `(n_groups,)` and `(n_groups, n_scenarios)`."""
    currencies = [parameters.currencies[name] for name in contracts.group_currency]
    damping = []
    for underlying, name, currency in zip(
        contracts.group_underlying, contracts.group_currency, currencies, strict=True
    ):
        grid = contracts.scenarios[underlying]
        damping.append(
            extended_dampening(
                grid.price_move,
                grid.extended,
                parameters.ranges[underlying].price_range,
                currency.extended_dampener,
                in_coin=name != LINEAR,
            )
        )
    return Aggregation(
        share=np.array([one.offset_share for one in currencies]),
        cap=np.array([one.offset_cap for one in currencies]),
        dampening=np.array(damping).reshape(len(currencies), contracts.unit_pnl.shape[1]),
    )


def counted_pnl(
    book: UnitBook, contracts: DeribitContracts, parameters: DeribitParameters, units: IntArray
) -> tuple[FloatArray, FloatArray]:
    """P&L of some units in each scenario before and after aggregation, both `(n, n_scenarios)`."""
    pnl = scenario_pnl(book.holdings, contracts.swept, units)
    rule, group = aggregation(book, contracts, parameters), book.layout.unit_group[units]
    return pnl, recognised(
        pnl, Aggregation(share=rule.share[group], cap=rule.cap[group], dampening=rule.dampening[group])
    )


def _worst(
    book: UnitBook, contracts: DeribitContracts, parameters: DeribitParameters, group_offsets: IntArray
) -> tuple[IntArray, FloatArray, FloatArray, np.ndarray]:
    """Worst scenario of each group of units, and in it each unit's P&L and what of it counts."""
    n = book.n_units
    scenario, pnl_there, counted_there = np.zeros(n, dtype=np.int64), np.zeros(n), np.zeros(n)
    counts = np.zeros(n, dtype=np.bool_)
    for first_group, last_group in group_blocks(group_offsets):
        first, last = int(group_offsets[first_group]), int(group_offsets[last_group])
        pnl, counted = counted_pnl(book, contracts, parameters, np.arange(first, last))
        size = np.diff(group_offsets[first_group : last_group + 1])
        start = group_offsets[first_group:last_group] - first
        total = np.zeros((last_group - first_group, pnl.shape[1]))
        for k in range(int(size.max(initial=0))):  # unit by unit: one order of addition in every book
            active = np.flatnonzero(size > k)
            total[active] += counted[start[active] + k]
        worst = total.argmin(axis=1)
        group = np.repeat(np.arange(last_group - first_group), size)
        rows = np.arange(last - first)
        scenario[first:last] = worst[group]
        pnl_there[first:last] = pnl[rows, worst[group]]
        counted_there[first:last] = counted[rows, worst[group]]
        counts[first:last] = (total[np.arange(len(worst)), worst] < 0)[group]
    return scenario, pnl_there, counted_there, counts


def _deltas(book: UnitBook, contracts: DeribitContracts) -> tuple[FloatArray, FloatArray]:
    """Dollar delta of long options, and of all else, of each unit."""
    held = book.holdings
    delta = held.quantity * contracts.delta[held.instrument]
    long_option = contracts.is_option[held.instrument] & (held.quantity > 0)
    unit = held.unit()
    return tuple(  # type: ignore[return-value]
        np.bincount(unit, np.where(chosen, delta, 0.0), book.n_units).astype(np.float64)
        for chosen in (long_option, ~long_option)
    )


def _shock_columns(
    book: UnitBook, contracts: DeribitContracts, parameters: DeribitParameters
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Index, slope, threshold and most of each unit's delta shock."""
    own = [parameters.delta_shock[name] for name in contracts.group_underlying]
    table = contracts.inputs.instruments
    index_of = dict(zip((table.underlyings[u] for u in table.underlying), contracts.inputs.index, strict=True))
    group = book.layout.unit_group
    columns = (
        [float(abs(index_of[name])) for name in contracts.group_underlying],
        [one.slope for one in own],
        [one.threshold for one in own],
        [one.most for one in own],
    )
    return tuple(np.array(column, dtype=np.float64)[group] for column in columns)  # type: ignore[return-value]


def position_shares(
    book: UnitBook, contracts: DeribitContracts, breakdown: DeribitBreakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the scenario that counts, and contribution to the risk matrix margin; both `(n_positions,)`.

    A unit's recognised P&L is spread as its P&L is; the roll shock by signed delta of each expiry; the delta shock over
    the positions whose delta it is of. Contributions of a unit sum to its requirement.
    """
    held, b = book.holdings, breakdown
    unit = held.unit()
    pnl = held.quantity * contracts.unit_pnl[held.instrument, b.scenario[unit]] + 0.0
    counts = np.divide(b.counted, b.pnl, out=np.zeros(book.n_units), where=b.pnl != 0)
    counts = np.where(b.worst_counts, counts, 0.0)
    delta = held.quantity * contracts.delta[held.instrument]
    ledger = b.roll_ledger
    per_delta = np.sign(ledger.net_delta) * ledger.move
    roll = per_delta[book.cut.of_position] * delta
    long_option = contracts.is_option[held.instrument] & (held.quantity > 0)
    key = np.where(long_option & ~b.delta_is_reduced[unit], 0.0, delta)
    of_delta = np.divide(b.delta_shock, b.delta, out=np.zeros(book.n_units), where=b.delta != 0)
    return pnl, -pnl * counts[unit] + roll + key * of_delta[unit]
