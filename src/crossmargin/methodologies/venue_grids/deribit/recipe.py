"""Deribit's portfolio margin, top to bottom, for all risk units at once.

    P&L of a pair       = sum over its contracts, in coin or dollars
    what of it counts   = gains by their share up to the cap; extended P&L less the dampener
    worst case          = the largest loss over core and extended scenarios, at least 0
    risk matrix margin  = worst case + roll shock + delta shock
    initial             = risk matrix margin (+ resting orders, by account)
    maintenance         = factor x risk matrix margin

A unit is a currency pair of a margin account; under `cross` an underlying, or all of the correlation set, whose pairs
then share one scenario. The decision a reader would question: pairs of a gross account never share one, since they are
of different clients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crossmargin.aggregation.sweep import (
    Holdings,
    Segments,
    group_blocks,
    scenario_pnl,
    segment_sum,
    segments,
    unit_sum,
)
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.venue_grids.deribit import steps
from crossmargin.methodologies.venue_grids.deribit.contracts import DeribitContracts
from crossmargin.methodologies.venue_grids.deribit.parameters import DeribitParameters


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeribitUnits:
    """The units cut by pair, and by expiry of a pair: depends on terms, and on no price."""

    by_pair: Segments
    by_expiry: Segments


def deribit_units(holdings: Holdings, contracts: DeribitContracts) -> DeribitUnits:
    """Cut units by pair and by expiry."""
    return DeribitUnits(by_pair=segments(holdings, contracts.pair), by_expiry=segments(holdings, contracts.expiry))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorstCase:
    """The scenario that counts, unit by unit and pair by pair, in the currency of the unit.

    Parameters
    ----------
    loss : ndarray of shape (n_units,)
        At least 0.
    scenario : ndarray of shape (n_units,)
        The lowest index among ties; -1 where pairs of a gross account have each their own.
    pair_scenario : ndarray of shape (n_pair_segments,)
        The scenario of each pair of a unit.
    pair_pnl, pair_offset, pair_counted : ndarray of shape (n_pair_segments,)
        P&L there; after share and cap; after the dampener.
    """

    loss: FloatArray
    scenario: IntArray
    pair_scenario: IntArray
    pair_pnl: FloatArray
    pair_offset: FloatArray
    pair_counted: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RollLedger:
    """Net delta of every (unit, expiry) that holds something, arrays of shape `(n_segments,)`.

    Parameters
    ----------
    unit, expiry : ndarray
        Which unit and which expiry; by unit, then expiry.
    net : ndarray
        Coins, long plus short.
    move : ndarray
        Relative move of the basis.
    coin_value : ndarray
        One coin in the currency of the unit.
    """

    unit: IntArray
    expiry: IntArray
    net: FloatArray
    move: FloatArray
    coin_value: FloatArray

    @property
    def charge(self) -> FloatArray:
        """`|net| * move * coin_value`: what the roll shock of a unit is the sum of."""
        return np.abs(self.net) * (self.move * self.coin_value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeltaLedger:
    """Delta shock of every pair of a unit, arrays of shape `(n_pair_segments,)`.

    Parameters
    ----------
    long_options, others, delta : ndarray
        Coins: of bought options, of all else, and what is shocked.
    rate : ndarray
        Relative move.
    coin_value : ndarray
        One coin in the currency of the unit.
    """

    long_options: FloatArray
    others: FloatArray
    delta: FloatArray
    rate: FloatArray
    coin_value: FloatArray

    @property
    def charge(self) -> FloatArray:
        """`|delta| * rate * coin_value`."""
        return np.abs(self.delta) * self.rate * self.coin_value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeribitBreakdown:
    """Every figure of the calculation, in the currency of the unit; arrays of shape `(n_units,)` unless said.

    Parameters
    ----------
    worst_case : WorstCase
        The scenario that counts.
    roll_shock, delta_shock : ndarray
        Charges; `roll`, `delta` are their ledgers by expiry and by pair.
    risk_matrix_margin, maintenance_margin : ndarray
        Of the positions, without what an account is charged beyond its units.
    in_usd : ndarray
        Dollars for one unit of currency.
    requirement_initial, requirement_maintenance : ndarray
        The same in dollars.
    """

    units: DeribitUnits
    worst_case: WorstCase
    roll_shock: FloatArray
    roll: RollLedger
    delta_shock: FloatArray
    delta: DeltaLedger
    risk_matrix_margin: FloatArray
    maintenance_margin: FloatArray
    in_usd: FloatArray
    requirement_initial: FloatArray
    requirement_maintenance: FloatArray


def deribit_requirement(
    book: UnitBook, units: DeribitUnits, contracts: DeribitContracts, parameters: DeribitParameters
) -> DeribitBreakdown:
    """Requirement of each risk unit at both levels."""
    worst = worst_case(units.by_pair, contracts, ~book.gross[book.unit_account])
    roll, roll_ledger = roll_shock(units.by_expiry, contracts)
    delta, delta_ledger = delta_shock(units.by_pair, contracts)
    none = np.zeros(book.n_units)
    margin = steps.risk_matrix_margin(worst.loss, roll, delta, none)
    maintenance = steps.maintenance_margin(margin, parameters.mm_factor)
    in_usd = contracts.group_usd[book.layout.unit_group]
    return DeribitBreakdown(
        units=units,
        worst_case=worst,
        roll_shock=roll,
        roll=roll_ledger,
        delta_shock=delta,
        delta=delta_ledger,
        risk_matrix_margin=margin,
        maintenance_margin=maintenance,
        in_usd=in_usd,
        requirement_initial=read_only(steps.initial_margin(margin, none, none, none) * in_usd),
        requirement_maintenance=read_only(maintenance * in_usd),
    )


def counted_pnl(
    by_pair: Segments, contracts: DeribitContracts, first: int, last: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """P&L of pairs `first` to `last`, after share and cap, and after the dampener, each `(n, n_scenarios)`."""
    pair = by_pair.label[first:last]
    pnl = scenario_pnl(by_pair.holdings, contracts.swept, np.arange(first, last))
    shared = steps.offset(pnl, contracts.share[pair, None], contracts.cap[pair])
    return pnl, shared, steps.dampened(shared, contracts.dampener[pair])


def unit_counted(counted: FloatArray, offsets: IntArray) -> FloatArray:
    """Sum of what pairs count over each unit, pair by pair: the sweep's order, one level up."""
    counts = np.diff(offsets)
    total = np.zeros((len(counts), counted.shape[1]))
    for k in range(int(counts.max(initial=0))):
        active = np.flatnonzero(counts > k)
        total[active] += counted[offsets[:-1][active] + k]
    return total


def worst_case(by_pair: Segments, contracts: DeribitContracts, shares_scenario: np.ndarray) -> WorstCase:
    """The largest loss of each unit.

    Parameters
    ----------
    shares_scenario : ndarray of bool of shape (n_units,)
        Whether the pairs of a unit move together; otherwise each has its own worst scenario.
    """
    n_units, n_segments = len(by_pair.unit_offsets) - 1, len(by_pair.unit)
    loss, scenario = np.zeros(n_units), np.zeros(n_units, dtype=np.int64)
    pair_scenario = np.zeros(n_segments, dtype=np.int64)
    there = [np.zeros(n_segments) for _ in range(3)]
    for first_unit, last_unit in group_blocks(by_pair.unit_offsets):
        offsets = by_pair.unit_offsets[first_unit : last_unit + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        tables = counted_pnl(by_pair, contracts, first, last)
        unit = by_pair.unit[first:last]
        total = unit_counted(tables[-1], offsets - first)
        worst = total.argmin(axis=1)
        own = tables[-1].argmin(axis=1)
        together = shares_scenario[unit]
        chosen = np.where(together, worst[unit - first_unit], own)
        rows = np.arange(last - first)
        for found, table in zip(there, tables, strict=True):
            found[first:last] = table[rows, chosen]
        pair_scenario[first:last] = chosen
        alone = np.maximum(0.0, 0.0 - tables[-1][rows, own])
        apart = segment_sum(alone, unit - first_unit, last_unit - first_unit)
        joined = np.maximum(0.0, 0.0 - total[np.arange(len(worst)), worst])
        loss[first_unit:last_unit] = np.where(shares_scenario[first_unit:last_unit], joined, apart)
        # Where pairs have each their own, there is one to name only if the unit has one pair.
        one = shares_scenario[first_unit:last_unit] | (np.diff(offsets) == 1)
        scenario[first_unit:last_unit] = np.where(one, worst, -1)
    pair_pnl, pair_offset, pair_counted = there
    return WorstCase(
        loss=loss,
        scenario=scenario,
        pair_scenario=pair_scenario,
        pair_pnl=pair_pnl,
        pair_offset=pair_offset,
        pair_counted=pair_counted,
    )


def roll_shock(by_expiry: Segments, contracts: DeribitContracts) -> tuple[FloatArray, RollLedger]:
    """Every expiry's basis moves by itself: net delta times its move, and no expiry offsets another."""
    net = unit_sum(by_expiry.holdings, contracts.coins)
    value = contracts.coin_value[contracts.expiry_pair]
    ledger = RollLedger(
        unit=by_expiry.unit,
        expiry=by_expiry.label,
        net=net,
        move=contracts.roll_move[by_expiry.label],
        coin_value=value[by_expiry.label],
    )
    return by_expiry.sum_by_unit(np.abs(net), contracts.roll_move * value), ledger


def delta_shock(by_pair: Segments, contracts: DeribitContracts) -> tuple[FloatArray, DeltaLedger]:
    """Large net deltas move the market that closes them; bought options reduce a delta, and never are one."""
    held, pair = by_pair.holdings, by_pair.label
    bought = _bought(held, contracts)
    long_options, others = (
        unit_sum(replace(held, quantity=read_only(np.where(chosen, held.quantity, 0.0))), contracts.coins)
        for chosen in (bought, ~bought)
    )
    delta = steps.delta_for_shock(long_options, others)
    ledger = DeltaLedger(
        long_options=long_options,
        others=others,
        delta=delta,
        rate=steps.delta_shock_rate(
            delta, contracts.m_inc[pair], contracts.threshold_coins[pair], contracts.max_shock[pair]
        ),
        coin_value=contracts.coin_value[pair],
    )
    return segment_sum(ledger.charge, by_pair.unit, len(by_pair.unit_offsets) - 1), ledger


def _bought(held: Holdings, contracts: DeribitContracts) -> np.ndarray:
    """Which positions are long options."""
    return np.asarray(contracts.is_option[held.instrument] & (held.quantity > 0))


def collateral_haircut(book: UnitBook, contracts: DeribitContracts) -> FloatArray:
    """What of balances does not count at initial level, dollars, shape `(n_accounts,)`; a debt has no haircut."""
    held = book.holdings
    value = contracts.spot_value[held.instrument] * contracts.haircut[held.instrument]
    account = book.unit_account[held.unit()]
    total = segment_sum(np.maximum(held.quantity, 0.0) * value, account, book.n_accounts)
    of_cash = np.array([contracts.cash_haircut.get(asset, 0.0) for asset in book.cash_assets], dtype=np.float64)
    if not of_cash.any():
        return total
    amount = np.maximum(book.cash_amount, 0.0)
    return total + segment_sum(amount * of_cash[book.cash_asset], book.cash_account, book.n_accounts)


def position_shares(
    book: UnitBook, contracts: DeribitContracts, breakdown: DeribitBreakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the scenario that counts and contribution to the initial requirement, dollars, both `(n_positions,)`.

    Everything is a sum of contracts, or its sign times one: P&L of a pair counts by one factor, a net delta by its
    sign, and the delta that is shocked is that of the positions it is made of.
    """
    held, worst = book.holdings, breakdown.worst_case
    unit, row, quantity = held.unit(), held.instrument, held.quantity
    of_pair = breakdown.units.by_pair.of_position
    pnl = quantity * contracts.unit_pnl[row, worst.pair_scenario[of_pair]]
    counted = _ratio(worst.pair_counted, worst.pair_pnl)
    counted = np.where(worst.loss[breakdown.units.by_pair.unit] > 0, counted, 0.0)

    roll, delta = breakdown.roll, breakdown.delta
    of_expiry = breakdown.units.by_expiry.of_position
    coins = quantity * contracts.coins[row]
    rolled = coins * (np.sign(roll.net) * (roll.move * roll.coin_value))[of_expiry]
    # Bought options are part of the shocked delta only where they have reduced it.
    takes_part = ~_bought(held, contracts) | (delta.delta != delta.others)[of_pair]
    shocked = np.where(takes_part, coins * _ratio(delta.charge, delta.delta)[of_pair], 0.0)
    contribution = -pnl * counted[of_pair] + rolled + shocked
    in_usd = breakdown.in_usd[unit]
    return read_only(pnl * in_usd + 0.0), read_only(contribution * in_usd + 0.0)


def _ratio(one: FloatArray, other: FloatArray) -> FloatArray:
    """`one / other`, 0 where `other` is 0."""
    return np.divide(one, other, out=np.zeros(len(one)), where=other != 0)
