"""The grid method, top to bottom, for all risk units at once.

    scan risk     = worst loss over the grid
    requirement   = max(scan risk + roll charge, short option minimum)
    maintenance   = factor * requirement

The one decision that a reader would question: the roll charge is added also where the portfolio has no calendar
spread, as venues do it; an outright position pays for the basis of its expiry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.across_units import common_scan
from crossmargin.aggregation.sweep import segment_sum, worst_loss
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.methodologies.venue_grids.scenario_grid.book import GridBook
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import AcrossUnits, GridParameters
from crossmargin.methodologies.venue_grids.scenario_grid.steps import RollLedger, roll_charge, short_option_minimum


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridBreakdown:
    """Every figure of the calculation, US dollars.

    Parameters
    ----------
    scan_risk : ndarray of shape (n_units,)
        Worst loss of the unit, at least 0; under `common` what the unit brings to the account's worst scenario, which
        is negative for a recognised gain.
    scenario_worst : ndarray of shape (n_units,)
        The scenario of `scan_risk`.
    scan_pnl : ndarray of shape (n_units,)
        P&L of the unit in that scenario.
    roll_charge, short_option_minimum : ndarray of shape (n_units,)
        Charges.
    unit_requirement : ndarray of shape (n_units,)
        What the unit needs by itself; under `common` its share of the account's requirement.
    account_scan : ndarray of shape (n_accounts,)
        Sum of scan risk over the account's units; under `common` the worst common loss, at least 0.
    requirement, maintenance : ndarray of shape (n_accounts,)
        Of the margin account.
    minimum_binds : ndarray of shape (n_units,)
        Whether the short option minimum is what counts for the unit.
    scan_counts : ndarray of shape (n_units,)
        Whether P&L of the worst scenario counts: not where the floor at 0 replaced it.
    recognition : ndarray of shape (n_units,)
        Fraction of the unit's P&L that counts: 1, or less for a gain under `common`.
    """

    scan_risk: FloatArray
    scenario_worst: IntArray
    scan_pnl: FloatArray
    roll_charge: FloatArray
    roll_ledger: RollLedger
    short_option_minimum: FloatArray
    unit_requirement: FloatArray
    account_scan: FloatArray
    requirement: FloatArray
    maintenance: FloatArray
    minimum_binds: BoolArray
    scan_counts: BoolArray
    recognition: FloatArray


def scenario_grid_requirement(book: GridBook, parameters: GridParameters) -> GridBreakdown:
    """Requirement of each risk unit and margin account.

    Parameters
    ----------
    book : GridBook
        Risk units and the unit P&L of what they hold.
    parameters : GridParameters
        The parameter set.

    Returns
    -------
    GridBreakdown
        Every figure; arrays of shape `(n_units,)` or `(n_accounts,)`.
    """
    contracts, holdings = book.contracts, book.holdings
    roll, ledger = roll_charge(book.by_expiry, contracts.delta, contracts.roll_move)
    minimum = short_option_minimum(book.short, contracts.short_minimum)
    account, n_accounts = book.unit_account, len(book.account_offsets) - 1

    if parameters.across_units is AcrossUnits.INDEPENDENT:
        loss, scenario = worst_loss(holdings, contracts.swept)
        scan_risk = np.maximum(0.0, loss)  # Gains never reduce the requirement.
        scan_pnl, scan_counts, recognition = -loss, loss >= 0, np.ones(holdings.n_units)
        minimum_binds = scan_risk + roll < minimum
        unit_requirement = np.maximum(scan_risk + roll, minimum)
        account_scan = segment_sum(scan_risk, account, n_accounts)
        requirement = segment_sum(unit_requirement, account, n_accounts)
    else:
        groups = _scenario_groups(book)
        scan = common_scan(
            holdings, contracts.swept, groups, gain_share=parameters.gain_share, gain_cap=parameters.gain_cap
        )
        n_groups = len(groups) - 1
        group = np.repeat(np.arange(n_groups), np.diff(groups))
        alone = (np.diff(groups) == 1)[group]  # nothing to share a gain with
        scan_risk = np.where(alone, scan.loss[group], -scan.unit_recognised) + 0.0
        scenario, scan_pnl, scan_counts = scan.scenario[group], scan.unit_pnl, (scan.loss > 0)[group]
        recognition = np.divide(scan.unit_recognised, scan_pnl, out=np.ones(holdings.n_units), where=scan_pnl != 0)
        before_minimum = scan.loss + segment_sum(roll, group, n_groups)
        group_minimum = segment_sum(minimum, group, n_groups)
        minimum_binds = (before_minimum < group_minimum)[group]
        unit_requirement = np.where(minimum_binds, minimum, np.where(scan_counts, scan_risk, 0.0) + roll)
        group_account = account[groups[:-1]]
        account_scan = segment_sum(scan.loss, group_account, n_accounts)
        requirement = segment_sum(np.maximum(before_minimum, group_minimum), group_account, n_accounts)

    return GridBreakdown(
        scan_risk=scan_risk,
        scenario_worst=scenario,
        scan_pnl=scan_pnl + 0.0,
        roll_charge=roll,
        roll_ledger=ledger,
        short_option_minimum=minimum,
        unit_requirement=unit_requirement,
        account_scan=account_scan,
        requirement=requirement,
        maintenance=parameters.maintenance_factor * requirement,
        minimum_binds=minimum_binds,
        scan_counts=scan_counts,
        recognition=recognition,
    )


def _scenario_groups(book: GridBook) -> IntArray:
    """Offsets of the units that share a scenario: those of an account, but one by one in a gross account.

    The positions of a gross account are of different clients: one's gain is no cover for another's loss, and each
    has its own worst scenario.
    """
    starts = np.zeros(book.holdings.n_units, dtype=np.bool_)
    occupied = np.diff(book.account_offsets) > 0
    starts[book.account_offsets[:-1][occupied]] = True
    starts |= book.gross[book.unit_account]
    return np.append(np.flatnonzero(starts), book.holdings.n_units).astype(np.int64)


def contract_shares(
    book: GridBook,
    breakdown: GridBreakdown,
    unit: IntArray,
    instrument: IntArray,
    segment: IntArray,
    is_short: BoolArray,
) -> FloatArray:
    """What one more contract adds to the requirement of its unit, along the present portfolio.

    P&L is a sum over contracts, and an absolute value is its sign times a sum: so quantity times share, summed over
    the positions of an account, is its requirement exactly.

    Parameters
    ----------
    unit, instrument : ndarray of shape (n,)
        Pairs to answer for.
    segment : ndarray of shape (n,)
        Their segment of the roll ledger; -1 where the unit holds nothing of that expiry.
    is_short : ndarray of shape (n,)
        Whether the unit is short of the instrument.

    Returns
    -------
    ndarray of shape (n,)
        Dollars for one long contract.
    """
    contracts, ledger = book.contracts, breakdown.roll_ledger
    counted = np.where(breakdown.scan_counts, breakdown.recognition, 0.0)[unit]
    scan = -counted * contracts.unit_pnl[instrument, breakdown.scenario_worst[unit]]
    roll_per_delta = np.append(np.sign(ledger.net_delta) * ledger.move, 0.0)  # the last is for segment -1
    roll = roll_per_delta[segment] * contracts.delta[instrument]
    minimum = np.where(is_short, -contracts.short_minimum[instrument], 0.0)
    return np.where(breakdown.minimum_binds[unit], minimum, scan + roll)


def position_contributions(book: GridBook, breakdown: GridBreakdown) -> tuple[FloatArray, FloatArray]:
    """P&L in the worst scenario and contribution of each position, both of shape `(n_positions,)`."""
    held = book.holdings
    unit = held.unit()
    pnl_worst = held.quantity * book.contracts.unit_pnl[held.instrument, breakdown.scenario_worst[unit]]
    share = contract_shares(
        book, breakdown, unit, held.instrument, book.by_expiry.of_position, np.asarray(held.quantity < 0)
    )
    return pnl_worst, held.quantity * share


def member_contributions(book: GridBook, breakdown: GridBreakdown, members: GridBook, n_members: int) -> FloatArray:
    """Share of each member account in its margin account, shape `(n_members,)`.

    A member pays for each contract what a contract adds to the margin account: where members are on opposite sides,
    the one that hedges has a negative share. What nets away between members costs neither of them.

    Parameters
    ----------
    book, breakdown : GridBook, GridBreakdown
        The margined units.
    members : GridBook
        The members' own positions, each a unit.
    """
    contracts, ledger, netted = book.contracts, breakdown.roll_ledger, book.holdings
    unit = located(book.unit_key, members.unit_key)
    margined = unit >= 0
    unit, instrument = unit[margined], members.holdings.instrument[margined]
    quantity = members.holdings.quantity[margined]

    n_expiries, n_instruments = len(contracts.roll_move), len(contracts.value)
    segment = located(ledger.unit * n_expiries + ledger.expiry, unit * n_expiries + contracts.expiry[instrument])
    position = located(netted.unit() * n_instruments + netted.instrument, unit * n_instruments + instrument)
    is_short = np.append(netted.quantity < 0, False)[position]  # the last is for position -1: netted away
    share = contract_shares(book, breakdown, unit, instrument, segment, is_short)
    return segment_sum(quantity * share, members.owner[margined], n_members)


def located(sorted_keys: IntArray, wanted: IntArray) -> IntArray:
    """Index of each wanted key in `sorted_keys` (its last among equals), -1 where it is absent."""
    index = np.searchsorted(sorted_keys, wanted, side="right") - 1
    present = index >= 0
    present[present] = sorted_keys[index[present]] == wanted[present]
    return np.where(present, index, -1)
