"""Standard margin, top to bottom, for all risk units at once.

    perpetual, future  = notional x rate (the rate may rise with the position)
    option, alone      = what it is worth when long; a part of spot, less how far it is out of the money, when short
    options of expiry  = lesser of the sum of them alone and their maximum loss, where the venue has one
    maximum loss       = value now - worst payoff over settlements at 0 and every strike + unpaired calls x forward
    collateral         = the part of its value that does not count
    requirement        = sum of these + charges for a stablecoin off its peg and for unsure oracles (initial only)

A requirement is equity less the venue's net margin: so what an option is worth does not appear in that of a short one
(equity has it already), and all of it does in that of a long one, which the venue gives no credit for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings, Segments, segment_sum, segments
from crossmargin.basics.arrays import BoolArray, FloatArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.standard_margin.contracts import StandardContracts
from crossmargin.methodologies.standard_margin.steps import delta_one_charge, worst_payoff


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExpiryFigures:
    """Options of a unit in one expiry; arrays of shape `(n_expiry_segments,)`, dollars.

    The last segment of a unit may be of what is no option: all of its figures are 0.

    Parameters
    ----------
    alone_maintenance, alone_initial : ndarray
        Sum of the options each alone.
    value : ndarray
        What they are worth now.
    payoff : ndarray
        The worst of their payoffs, at most 0.
    settlement : ndarray
        Where it is; below 0 where nothing is lost.
    unpaired : ndarray
        Calls short beyond the long ones, units of the underlying, at least 0.
    forward : ndarray
        What they are valued at.
    loss_maintenance, loss_initial : ndarray
        Maximum loss: value less payoff, and unpaired calls, at least 0; infinite where there is no such rule.
    requirement_maintenance, requirement_initial : ndarray
        The lesser of the two.
    """

    alone_maintenance: FloatArray
    alone_initial: FloatArray
    value: FloatArray
    payoff: FloatArray
    settlement: FloatArray
    unpaired: FloatArray
    forward: FloatArray
    unpaired_maintenance: FloatArray
    unpaired_initial: FloatArray
    loss_maintenance: FloatArray
    loss_initial: FloatArray
    requirement_maintenance: FloatArray
    requirement_initial: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StandardBreakdown:
    """Every figure of the calculation, dollars.

    Parameters
    ----------
    by_expiry : Segments
        The units cut by expiry.
    alone_maintenance, alone_initial : ndarray of shape (n_positions,)
        Charge of each position by itself, before peg and oracles: of perpetuals, options and collateral.
    depeg_of, oracle_of : ndarray of shape (n_positions,)
        The same of the two charges.
    expiries : ExpiryFigures
        Options by expiry.
    delta_one_maintenance, delta_one_initial : ndarray of shape (n_units,)
        Perpetuals and futures.
    option_maintenance, option_initial : ndarray of shape (n_units,)
        Options.
    haircut_maintenance, haircut_initial : ndarray of shape (n_units,)
        Collateral.
    depeg, oracle : ndarray of shape (n_units,)
        Initial level only.
    requirement_maintenance, requirement_initial : ndarray of shape (n_units,)
        Of the unit.
    """

    by_expiry: Segments
    alone_maintenance: FloatArray
    alone_initial: FloatArray
    depeg_of: FloatArray
    oracle_of: FloatArray
    expiries: ExpiryFigures
    delta_one_maintenance: FloatArray
    delta_one_initial: FloatArray
    option_maintenance: FloatArray
    option_initial: FloatArray
    haircut_maintenance: FloatArray
    haircut_initial: FloatArray
    depeg: FloatArray
    oracle: FloatArray
    requirement_maintenance: FloatArray
    requirement_initial: FloatArray


def by_expiry(holdings: Holdings, contracts: StandardContracts) -> Segments:
    """Cut units by expiry; what is no option is in a segment of its own."""
    return segments(holdings, contracts.inputs.expiry)


def standard_requirement(book: UnitBook, cut: Segments, contracts: StandardContracts) -> StandardBreakdown:
    """Requirement of each risk unit at both levels."""
    held = book.holdings
    row, quantity, unit, n = held.instrument, held.quantity, held.unit(), book.n_units
    size, short = np.abs(quantity), np.maximum(-quantity, 0.0)
    is_option = contracts.coins[row] != 0

    delta_one = [
        delta_one_charge(size, contracts.notional[row], rate[row], contracts.rate_slope[row])
        for rate in (contracts.rate_maintenance, contracts.rate_initial)
    ]
    long_value = np.maximum(quantity, 0.0) * contracts.option_value[row]
    option = [long_value + short * of_short[row] for of_short in (contracts.short_maintenance, contracts.short_initial)]
    # Owing an asset is charged as holding it is: a debt that no scenario moves must not be free.
    haircut = [
        size * contracts.collateral_value[row] * part[row]
        for part in (contracts.haircut_maintenance, contracts.haircut_initial)
    ]
    exposed = np.where(is_option, short, size)
    depeg_of, oracle_of = exposed * contracts.depeg[row], exposed * contracts.oracle[row]

    expiries = expiry_figures(cut, contracts, option[0], option[1])

    def of_units(values: FloatArray) -> FloatArray:
        return read_only(segment_sum(values, unit, n))

    def of_expiries(values: FloatArray) -> FloatArray:
        return read_only(segment_sum(values, cut.unit, n))

    by_kind = {
        "delta_one": [of_units(values) for values in delta_one],
        "option": [of_expiries(expiries.requirement_maintenance), of_expiries(expiries.requirement_initial)],
        "haircut": [of_units(values) for values in haircut],
    }
    depeg, oracle = of_units(depeg_of), of_units(oracle_of)
    maintenance, initial = (sum((kind[level] for kind in by_kind.values()), np.zeros(n)) for level in (0, 1))
    return StandardBreakdown(
        by_expiry=cut,
        alone_maintenance=read_only(delta_one[0] + option[0] + haircut[0]),
        alone_initial=read_only(delta_one[1] + option[1] + haircut[1]),
        depeg_of=read_only(depeg_of),
        oracle_of=read_only(oracle_of),
        expiries=expiries,
        delta_one_maintenance=by_kind["delta_one"][0],
        delta_one_initial=by_kind["delta_one"][1],
        option_maintenance=by_kind["option"][0],
        option_initial=by_kind["option"][1],
        haircut_maintenance=by_kind["haircut"][0],
        haircut_initial=by_kind["haircut"][1],
        depeg=depeg,
        oracle=oracle,
        requirement_maintenance=read_only(maintenance),
        requirement_initial=read_only(initial + depeg + oracle),
    )


def expiry_figures(
    cut: Segments, contracts: StandardContracts, alone_maintenance: FloatArray, alone_initial: FloatArray
) -> ExpiryFigures:
    """Options of each expiry: each alone, or their maximum loss together, whichever asks for less.

    Parameters
    ----------
    alone_maintenance, alone_initial : ndarray of shape (n_positions,)
        Requirement of each option by itself, 0 for what is none, in the order of the units' own holdings.
    """
    held, n = cut.holdings, len(cut.unit)
    row, quantity, segment = held.instrument, held.quantity, held.unit()
    alone = [segment_sum(values, cut.of_position, n) for values in (alone_maintenance, alone_initial)]
    value = segment_sum(quantity * contracts.option_value[row], segment, n)
    payoff, settlement = np.zeros(n), np.full(n, -1.0)
    offset = _looked_at_together(cut, contracts)
    chosen = offset[segment]
    if chosen.any():
        kept = np.flatnonzero(chosen)
        offsets = np.concatenate(([0], np.cumsum(np.diff(held.offsets)[offset])))
        coins = quantity[kept] * contracts.coins[row[kept]]
        payoff[offset], settlement[offset] = worst_payoff(
            offsets,
            coins,
            # An option in which only orders rest is no place to settle at: its strike stands in for 0, which is one.
            np.where(coins != 0, contracts.inputs.strike[row[kept]], 0.0),
            contracts.inputs.is_call[row[kept]],
        )
    net_calls = segment_sum(quantity * contracts.call_coins[row], segment, n)
    unpaired = np.where(offset, np.maximum(-net_calls, 0.0), 0.0)
    forward, times_maintenance, times_initial = (
        _of_expiry(column, cut)
        for column in (contracts.inputs.forward, contracts.unpaired_maintenance, contracts.unpaired_initial)
    )
    # Options quoted against each other may be worth less than the worst that they can pay: never below 0.
    loss = [
        np.where(offset, np.maximum(value - payoff + times * forward * unpaired, 0.0), np.inf)
        for times in (times_maintenance, times_initial)
    ]
    return ExpiryFigures(
        alone_maintenance=alone[0],
        alone_initial=alone[1],
        value=value,
        payoff=payoff,
        settlement=settlement,
        unpaired=unpaired,
        forward=forward,
        unpaired_maintenance=times_maintenance,
        unpaired_initial=times_initial,
        loss_maintenance=loss[0],
        loss_initial=loss[1],
        requirement_maintenance=read_only(np.minimum(alone[0], loss[0])),
        requirement_initial=read_only(np.minimum(alone[1], loss[1])),
    )


def _looked_at_together(cut: Segments, contracts: StandardContracts) -> BoolArray:
    """Expiries under a rule of maximum loss in which something is short: long options alone need their value."""
    held = cut.holdings
    under_rule = contracts.offsets[held.instrument] & (held.quantity < 0)
    found = np.zeros(len(cut.unit), dtype=np.bool_)
    found[held.unit()[under_rule]] = True
    return found


def _of_expiry(column: FloatArray, cut: Segments) -> FloatArray:
    """What the options of a segment have in common; the largest, where they are quoted in different currencies."""
    held = cut.holdings
    found = np.zeros(len(cut.unit))
    np.maximum.at(found, held.unit(), column[held.instrument])
    return found


def position_shares(
    book: UnitBook, contracts: StandardContracts, b: StandardBreakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L at the worst settlement where that counts, and contribution to the initial requirement; `(n_positions,)`.

    Where the maximum loss of an expiry counts, an option has its value less its own payoff there, and calls share the
    unpaired ones by size; elsewhere a position has its own charge. The contributions of a unit sum to its requirement.
    """
    held, e = book.holdings, b.expiries
    row, quantity, segment = held.instrument, held.quantity, b.by_expiry.of_position
    together = (e.loss_initial < e.alone_initial)[segment]
    at, strike = e.settlement[segment], contracts.inputs.strike[row]
    move = np.where(contracts.inputs.is_call[row], at - strike, strike - at)
    payoff = np.where(at >= 0, quantity * contracts.coins[row] * np.maximum(move, 0.0), 0.0)
    gain = payoff - quantity * contracts.option_value[row]
    naked = (e.unpaired * e.unpaired_initial * e.forward > 0)[segment]
    calls = -quantity * contracts.call_coins[row] * (e.unpaired_initial * e.forward)[segment]
    loss = np.where(e.loss_initial[segment] > 0, np.where(naked, calls, 0.0) - gain, 0.0)
    contribution = np.where(together, loss, b.alone_initial) + b.depeg_of + b.oracle_of
    return np.where(together, gain, 0.0) + 0.0, contribution


def orders_charge_each(book: UnitBook, contracts: StandardContracts) -> FloatArray:
    """What resting orders add when each is charged as a position of its own; `(n_accounts,)`, at least 0.

    A rate that rises with size reads the position with all orders on top of it: filled, none asks for more than that.
    """
    held = book.holdings
    row, size, resting = held.instrument, np.abs(held.quantity), book.buys + book.sells
    notional, rate, slope = contracts.notional[row], contracts.rate_initial[row], contracts.rate_slope[row]
    delta_one = delta_one_charge(size + resting, notional, rate, slope) - delta_one_charge(size, notional, rate, slope)
    option = book.buys * contracts.option_value[row] + book.sells * contracts.short_initial[row]
    haircut = resting * contracts.collateral_value[row] * contracts.haircut_initial[row]
    exposed = np.where(contracts.coins[row] != 0, book.sells, resting)
    charge = delta_one + option + haircut + exposed * (contracts.depeg[row] + contracts.oracle[row])
    return book.by_account(segment_sum(np.maximum(charge, 0.0), held.unit(), book.n_units))
