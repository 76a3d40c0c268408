"""Derive's portfolio margin, top to bottom, for all risk units at once.

    expiry P&L  = value in the scenario x static discount by its sign - value now      (a skew scenario: minus its size)
    unit P&L    = dampening x (expiries + perpetual + collateral that cancels risk)
    worst       = least of all scenarios and of the bases' own losses
    requirement = -worst x factor + charges by size

A unit is a margin account's sub-book of one underlying, which at the venue is an account of its own; what cancels the
risk of no underlying stands in a unit called `collateral`. Maintenance has its own factor and no charge for oracles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crossmargin.aggregation.sweep import Holdings, Segments, scenario_pnl, segment_sum, segments, unit_sum
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.venue_grids.derive.contracts import DeriveContracts, Row
from crossmargin.methodologies.venue_grids.derive.parameters import DeriveParameters
from crossmargin.methodologies.venue_grids.derive.steps import (
    confidence_charge,
    initial_factor,
    naked_shorts,
    worst_scenario,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeriveUnits:
    """The units cut by expiry, and by strike and expiry."""

    by_expiry: Segments
    by_strike: Segments


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeriveBreakdown:
    """Every figure of the calculation, dollars; arrays of shape `(n_units,)` unless said.

    Parameters
    ----------
    worst : ndarray
        Least P&L over scenarios and basis, at most 0.
    scenario : ndarray
        Which it is; the number of scenarios for the basis.
    basis : ndarray
        P&L of the bases, at most 0.
    factor_initial, factor_maintenance : ndarray
        Times the worst.
    size_factor_initial : ndarray
        Times the charges by size at initial level; they are never multiplied at maintenance.
    perpetual_maintenance, perpetual_initial : ndarray
        Charges for the perpetual's size; the initial one is added to that of maintenance.
    option_maintenance, option_initial : ndarray
        Charges for naked short options, likewise.
    collateral_maintenance, collateral_initial : ndarray
        Haircuts, likewise.
    oracle : ndarray
        Charge for oracles that are unsure, initial level only.
    perpetual_coins, naked_notional : ndarray
        What the charges are of: net coins, and naked short coins at spot.
    naked_by_strike : ndarray of shape (n_strike_segments,)
        Naked short coins by unit, expiry and strike.
    requirement_initial, requirement_maintenance : ndarray
        Of the unit.
    """

    units: DeriveUnits
    linear: FloatArray
    worst: FloatArray
    scenario: IntArray
    basis: FloatArray
    factor_initial: FloatArray
    factor_maintenance: FloatArray
    size_factor_initial: FloatArray
    perpetual_maintenance: FloatArray
    perpetual_initial: FloatArray
    option_maintenance: FloatArray
    option_initial: FloatArray
    collateral_maintenance: FloatArray
    collateral_initial: FloatArray
    oracle: FloatArray
    perpetual_coins: FloatArray
    naked_notional: FloatArray
    naked_by_strike: FloatArray
    requirement_initial: FloatArray
    requirement_maintenance: FloatArray

    @property
    def size_maintenance(self) -> FloatArray:
        """Charges by size that both levels have."""
        return self.perpetual_maintenance + self.option_maintenance + self.collateral_maintenance

    @property
    def size_initial(self) -> FloatArray:
        """Charges by size that initial has besides, before oracles."""
        return self.perpetual_initial + self.option_initial + self.collateral_initial


def derive_units(holdings: Holdings, contracts: DeriveContracts) -> DeriveUnits:
    """Cut units by expiry and by strike; what is no option is in a segment of its own."""
    return DeriveUnits(
        by_expiry=segments(holdings, contracts.inputs.expiry), by_strike=segments(holdings, contracts.strike_label)
    )


def derive_requirement(
    book: UnitBook, units: DeriveUnits, contracts: DeriveContracts, parameters: DeriveParameters
) -> DeriveBreakdown:
    """Requirement of each risk unit at both levels."""
    inputs, held = contracts.inputs, book.holdings
    spot, contingency = _spot(contracts, book), _contingency_columns(contracts, parameters)
    group = book.layout.unit_group

    linear = unit_sum(held, contracts.linear)
    worst, scenario, basis = worst_scenario(units.by_expiry, linear, contracts)
    factor = initial_factor(
        parameters.initial_factor, inputs.stable_price, contingency["peg_threshold"], contingency["peg_factor"]
    )[group]

    perpetual_coins = unit_sum(held, contracts.perpetual_coins)
    perpetual_notional = np.abs(perpetual_coins) * spot
    naked = naked_shorts(unit_sum(units.by_strike.holdings, contracts.coins))
    naked_notional = units.by_strike.sum_by_unit(naked, _strike_spot(contracts))
    perpetual, option = (
        [notional * contingency[f"{what}_{level}"][group] for level in ("maintenance", "initial")]
        for what, notional in (("perpetual", perpetual_notional), ("option", naked_notional))
    )
    collateral = [
        _collateral_sum(book, contracts, haircut) for haircut in (inputs.haircut_maintenance, inputs.haircut_initial)
    ]
    oracle = oracle_charge(book, units, contracts, contingency, spot, perpetual_notional)

    size_factor = factor if parameters.contingencies_scaled else np.ones(len(factor))
    breakdown = DeriveBreakdown(
        units=units,
        linear=linear,
        worst=worst,
        scenario=scenario,
        basis=basis,
        factor_initial=factor,
        factor_maintenance=np.full(len(factor), parameters.maintenance_factor),
        size_factor_initial=size_factor,
        perpetual_maintenance=perpetual[0],
        perpetual_initial=perpetual[1],
        option_maintenance=option[0],
        option_initial=option[1],
        collateral_maintenance=collateral[0],
        collateral_initial=collateral[1],
        oracle=oracle,
        perpetual_coins=perpetual_coins,
        naked_notional=naked_notional,
        naked_by_strike=naked,
        requirement_initial=worst,  # both are put in below, from what stands here
        requirement_maintenance=worst,
    )
    maintenance = -worst * breakdown.factor_maintenance + breakdown.size_maintenance
    size = breakdown.size_maintenance + breakdown.size_initial
    initial = -worst * breakdown.factor_initial + size * breakdown.size_factor_initial + breakdown.oracle
    return replace(
        breakdown,
        requirement_initial=read_only(initial + 0.0),
        requirement_maintenance=read_only(maintenance + 0.0),
    )


def _spot(contracts: DeriveContracts, book: UnitBook) -> FloatArray:
    """Index price of each unit's underlying; 0 where it has none."""
    return np.append(contracts.inputs.spot, 0.0)[book.layout.unit_group]


def _contingency_columns(contracts: DeriveContracts, parameters: DeriveParameters) -> dict[str, FloatArray]:
    """Each contingency parameter by group: the underlyings, and the collateral that has none.

    For that collateral the thresholds of oracles are the strictest of all underlyings'.
    """
    own = [parameters.underlyings[name].contingencies for name in contracts.inputs.underlyings]
    every = [one.contingencies for one in parameters.underlyings.values()]
    strictest = ("confidence_threshold", "confidence_charge", "peg_threshold", "peg_factor")
    return {
        name: np.array([getattr(one, name) for one in own] + [max(getattr(one, name) for one in every)])
        if name in strictest
        else np.array([getattr(one, name) for one in own] + [0.0])
        for name in every[0].__dataclass_fields__
    }


def _strike_spot(contracts: DeriveContracts) -> FloatArray:
    """Index price by strike label; 0 for what is no option."""
    inputs = contracts.inputs
    found = np.zeros(int(contracts.strike_label.max(initial=-1)) + 1)
    options = np.flatnonzero(inputs.kind == Row.OPTION)
    found[contracts.strike_label[options]] = inputs.spot[inputs.underlying[options]]
    return found


def _collateral_sum(book: UnitBook, contracts: DeriveContracts, fraction: FloatArray) -> FloatArray:
    """Sum over each unit of the fraction of the value of what is held as collateral; a debt has no haircut."""
    of_one = contracts.collateral_value * fraction
    held = book.holdings
    rows = np.flatnonzero(of_one[held.instrument] != 0)
    if not len(rows):
        return np.zeros(book.n_units)
    amount = np.maximum(held.quantity[rows], 0.0)
    return segment_sum(amount * of_one[held.instrument[rows]], held.unit()[rows], book.n_units)


def oracle_charge(
    book: UnitBook,
    units: DeriveUnits,
    contracts: DeriveContracts,
    contingency: dict[str, FloatArray],
    spot: FloatArray,
    perpetual_notional: FloatArray,
) -> FloatArray:
    """Charge for oracles that are unsure: on the perpetual, on every expiry, and on every collateral.

    The perpetual looks at its own oracle and the index's; an expiry besides at forward, rate and volatility; collateral
    at its own and the index's, and *not* at the perpetual's, which the venue reads later.
    """
    inputs, held, group = contracts.inputs, book.holdings, book.layout.unit_group
    threshold, charge = contingency["confidence_threshold"], contingency["confidence_charge"]
    sure = min(
        float(column.min(initial=1.0))
        for column in (inputs.confidence, inputs.spot_confidence, inputs.expiry_confidence)
    )
    if sure >= threshold.max(initial=0.0):
        return np.zeros(book.n_units)
    of_spot = np.append(inputs.spot_confidence, 1.0)[group]
    unit = held.unit()

    of_perpetual = of_spot.copy()
    # A perpetual in which only orders rest, or that netted away, is nothing that an oracle could be wrong about.
    perpetuals = np.flatnonzero((inputs.kind[held.instrument] == Row.PERPETUAL) & (held.quantity != 0))
    np.minimum.at(of_perpetual, unit[perpetuals], inputs.confidence[held.instrument[perpetuals]])
    total = perpetual_notional * confidence_charge(of_perpetual, threshold[group], charge[group])

    by_expiry = units.by_expiry
    size = replace(by_expiry.holdings, quantity=read_only(np.abs(by_expiry.holdings.quantity)))
    notional = unit_sum(size, contracts.coins) * spot[by_expiry.unit]
    sure_of_expiry = np.minimum(of_perpetual[by_expiry.unit], np.append(inputs.expiry_confidence, 1.0)[by_expiry.label])
    of_unit = group[by_expiry.unit]
    charged = notional * confidence_charge(sure_of_expiry, threshold[of_unit], charge[of_unit])
    total = total + segment_sum(charged, by_expiry.unit, book.n_units)

    collateral = np.flatnonzero(contracts.collateral_value[held.instrument] != 0)
    owner = unit[collateral]
    sure_of_asset = np.minimum(
        inputs.confidence[held.instrument[collateral]], _spot_beside(book, of_spot, len(inputs.underlyings))[owner]
    )
    value = np.maximum(held.quantity[collateral], 0.0) * contracts.collateral_value[held.instrument[collateral]]
    charged = value * confidence_charge(sure_of_asset, threshold[group[owner]], charge[group[owner]])
    return total + segment_sum(charged, owner, book.n_units)


def _spot_beside(book: UnitBook, of_spot: FloatArray, n_underlyings: int) -> FloatArray:
    """Confidence of the index that collateral is looked at with: the least of the account's underlyings."""
    least = np.ones(book.n_accounts)
    np.minimum.at(least, book.unit_account, of_spot)
    return np.where(book.layout.unit_group == n_underlyings, least[book.unit_account], of_spot)


def position_shares(
    book: UnitBook, contracts: DeriveContracts, breakdown: DeriveBreakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the scenario that counts, and contribution to the initial requirement; both `(n_positions,)`.

    Everything is a sum of sizes and of signs times sums: the contributions of a unit sum to its requirement exactly.
    """
    held, inputs = book.holdings, contracts.inputs
    unit, row, quantity = held.unit(), held.instrument, held.quantity
    group = book.layout.unit_group[unit]
    n_scenarios = len(contracts.dampening)
    scenario = breakdown.scenario[unit]
    by_basis = scenario == n_scenarios
    column = np.where(by_basis, 0, scenario)
    segment = breakdown.units.by_expiry.of_position
    values, label = _segment_values(breakdown, contracts)
    now = contracts.values[row, -1]

    # In a scenario: the sign of the expiry says which discount, the sign of its P&L how a skew counts.
    shocked = values[segment, column]
    discount = np.where(shocked >= 0, contracts.discount_long[label[segment]], contracts.discount_short[label[segment]])
    gain = contracts.values[row, column] * discount - now
    turned = np.where(shocked * discount - values[segment, -1] > 0, -1.0, 1.0)
    gain = np.where(contracts.is_skew[column], gain * turned, gain)
    gain = contracts.dampening[column] * (gain + contracts.linear[row] * contracts.scenario_move[column])

    up, down = values[segment, -3] - values[segment, -1], values[segment, -2] - values[segment, -1]
    of_one = np.where(up <= down, contracts.values[row, -3], contracts.values[row, -2]) - now
    of_one = np.where(np.minimum(up, down) < 0, of_one, 0.0) * contracts.basis_factor[label[segment]]
    pnl = quantity * np.where(by_basis, of_one, gain) + 0.0

    size = np.sign(breakdown.perpetual_coins)[unit] * contracts.perpetual_coins[row] * quantity
    perpetual = _spread(breakdown.perpetual_maintenance + breakdown.perpetual_initial, size, unit)
    naked = breakdown.naked_by_strike[breakdown.units.by_strike.of_position] > 0
    coins = np.where(naked, -contracts.coins[row] * quantity, 0.0)
    option = _spread(breakdown.option_maintenance + breakdown.option_initial, coins, unit)
    amount = np.maximum(quantity, 0.0) * contracts.collateral_value[row]
    haircut = amount * (inputs.haircut_maintenance + inputs.haircut_initial)[row]
    notional = np.abs(quantity) * (contracts.coins + contracts.perpetual_coins)[row]
    notional = notional * np.append(inputs.spot, 0.0)[group] + amount
    oracle = _spread(breakdown.oracle, notional, unit)
    by_size = (perpetual + option + haircut) * breakdown.size_factor_initial[unit]
    return pnl, -pnl * breakdown.factor_initial[unit] + by_size + oracle


def _segment_values(breakdown: DeriveBreakdown, contracts: DeriveContracts) -> tuple[FloatArray, IntArray]:
    by_expiry = breakdown.units.by_expiry
    return scenario_pnl(by_expiry.holdings, contracts.swept), by_expiry.label


def _spread(charge: FloatArray, key: FloatArray, unit: IntArray) -> FloatArray:
    """A unit's charge over its positions in proportion to `key`; of units without any key there is no charge."""
    total = segment_sum(key, unit, len(charge))
    of_one = np.divide(charge, total, out=np.zeros(len(charge)), where=total != 0)
    return key * of_one[unit]
