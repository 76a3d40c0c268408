"""The OKX requirement of every risk unit, top to bottom, and the share of each position in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings, Segments, segments
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import Problem, UnsupportedError, raise_problems
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.venue_grids.okx import steps
from crossmargin.methodologies.venue_grids.okx.book import OkxContracts
from crossmargin.methodologies.venue_grids.okx.parameters import PAIRS, STABLE, BorrowRate, OkxParameters

SPOT_SHOCK, THETA, EXTREME = 0, 1, 2
"""Which of MR1, MR2 and MR6 is the worst of a unit; of equal ones the first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OkxUnits:
    """The units cut by expiry and by currency: depends on terms, and on no price."""

    by_expiry: Segments
    by_currency: Segments


def okx_units(holdings: Holdings, contracts: OkxContracts) -> OkxUnits:
    """Cut units as MR3 and MR4, and as MR9 need them."""
    return OkxUnits(by_expiry=segments(holdings, contracts.expiry), by_currency=segments(holdings, contracts.currency))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OkxBreakdown:
    """Every figure of the calculation, dollars of maintenance unless said; arrays of shape `(n_units,)` unless said.

    Parameters
    ----------
    mr1 : ndarray
        Spot shock; `mr1_scenario` is its worst scenario.
    mr2 : ndarray
        Theta decay.
    mr3, mr4 : ndarray
        Vega and basis risk; `vega`, `basis` are their ledgers by expiry.
    mr5 : ndarray
        Rate risk; `rate_net` of shape `(n_units, n_curves)` is the net gain of each component.
    mr6 : ndarray
        Extreme move: the counted part of `extreme_loss`, in direction `extreme_direction` (0 down, 1 up).
    worst : ndarray
        The greatest of MR1, MR2 and MR6; `worst_is` says which.
    stressed : ndarray
        `worst` and MR3 to MR5 together.
    charge_raw, mr7 : ndarray
        Minimum charge before and after its tiers; `charge_amounts` of shape `(n_units, n_tiers)` lie in each.
    cash_delta : ndarray of shape (n_units, 3)
        Net delta by currency.
    hedged, pair_charge : ndarray of shape (n_units, 3)
        MR9: what each pair has matched, and its charge; `hedged_amounts` `(n_units, 3, n_tiers)` lie in each tier.
    mr9 : ndarray
        Stablecoin risk.
    maintenance, initial : ndarray
        The requirements of the unit.
    minimum_binds : ndarray
        Whether MR7 is above `stressed`.
    debt : ndarray of shape (n_cash,)
        MR8: dollars owed in each balance, at least 0.
    debt_maintenance, debt_initial : ndarray of shape (n_cash,)
        Rate of each.
    mr8_maintenance, mr8_initial : ndarray of shape (n_accounts,)
        Borrowing, once an account.
    """

    mr1: FloatArray
    mr1_scenario: IntArray
    mr2: FloatArray
    mr3: FloatArray
    vega: steps.Ledger
    mr4: FloatArray
    basis: steps.Ledger
    mr5: FloatArray
    rate_net: FloatArray
    mr6: FloatArray
    extreme_loss: FloatArray
    extreme_direction: IntArray
    worst: FloatArray
    worst_is: IntArray
    stressed: FloatArray
    charge_raw: FloatArray
    charge_amounts: FloatArray
    mr7: FloatArray
    cash_delta: FloatArray
    hedged: FloatArray
    hedged_amounts: FloatArray
    pair_charge: FloatArray
    mr9: FloatArray
    maintenance: FloatArray
    initial: FloatArray
    minimum_binds: BoolArray
    debt: FloatArray
    debt_maintenance: FloatArray
    debt_initial: FloatArray
    mr8_maintenance: FloatArray
    mr8_initial: FloatArray


def okx_requirement(
    book: UnitBook, units: OkxUnits, contracts: OkxContracts, parameters: OkxParameters
) -> OkxBreakdown:
    """Requirement of each risk unit, and what each account is charged for borrowing.

    Parameters
    ----------
    book : UnitBook
        Risk units: a margin account's positions in one coin.
    units : OkxUnits
        The same, cut.
    contracts : OkxContracts
        What one contract of each instrument does.
    parameters : OkxParameters
        The parameter set.

    Raises
    ------
    UnsupportedError
        If a position is hedged by one in another stablecoin, or an asset is borrowed, and the parameter that charges
        it is not given.
    """
    held = book.holdings
    coin = book.layout.unit_group

    mr1, scenario = steps.spot_shock(held, contracts.swept)
    mr2 = steps.theta_decay(held, contracts.decay)
    mr3, vega = steps.by_expiry_charge(units.by_expiry, contracts.vega, contracts.vega_shift)
    mr4, basis = steps.by_expiry_charge(units.by_expiry, contracts.delta, contracts.basis_move)
    mr5, rate_net = steps.rate_risk(held, contracts.rate_gain)
    mr6, extreme_loss, direction = steps.extreme_move(held, contracts.extreme, parameters.extreme_counted)
    alternatives = np.stack((mr1, mr2, mr6))
    worst_is = np.argmax(alternatives, axis=0)
    worst = alternatives.max(axis=0)

    charge_raw = steps.raw_minimum_charge(held, contracts.unit_charge)
    charge_amounts = steps.tier_amounts(charge_raw, contracts.charge_tiers, coin)
    mr7 = steps.tier_charge(charge_amounts, contracts.charge_tiers.rates[coin])

    cash_delta = steps.cash_delta(units.by_currency, book.n_units, contracts.delta)
    hedged = steps.hedged_sizes(cash_delta)
    hedged_amounts, pair_charge = _pair_charges(hedged, contracts)
    mr9 = pair_charge[:, 0] + pair_charge[:, 1] + pair_charge[:, 2]

    stressed, maintenance = steps.derivatives_maintenance(worst, mr3, mr4, mr5, mr7, mr9)
    debt, debt_maintenance, debt_initial = _debts(book, contracts, parameters)
    _refuse(book, contracts, parameters, hedged, debt)
    return OkxBreakdown(
        mr1=mr1,
        mr1_scenario=scenario,
        mr2=mr2,
        mr3=mr3,
        vega=vega,
        mr4=mr4,
        basis=basis,
        mr5=mr5,
        rate_net=rate_net,
        mr6=mr6,
        extreme_loss=extreme_loss,
        extreme_direction=direction,
        worst=worst,
        worst_is=worst_is.astype(np.int64),
        stressed=stressed,
        charge_raw=charge_raw,
        charge_amounts=charge_amounts,
        mr7=mr7,
        cash_delta=cash_delta,
        hedged=hedged,
        hedged_amounts=hedged_amounts,
        pair_charge=pair_charge,
        mr9=mr9,
        maintenance=maintenance,
        initial=parameters.initial_factor * maintenance,
        minimum_binds=stressed < mr7,
        debt=debt,
        debt_maintenance=debt_maintenance,
        debt_initial=debt_initial,
        mr8_maintenance=steps.borrowing(book.cash_account, debt, debt_maintenance, book.n_accounts),
        mr8_initial=steps.borrowing(book.cash_account, debt, debt_initial, book.n_accounts),
    )


def _pair_charges(hedged: FloatArray, contracts: OkxContracts) -> tuple[FloatArray, FloatArray]:
    """MR9: what of each pair lies in each tier `(n_units, 3, n_tiers)`, and what it is charged `(n_units, 3)`."""
    n_units = len(hedged)
    if contracts.ladders is None:
        return np.zeros((n_units, len(PAIRS), 1)), np.zeros((n_units, len(PAIRS)))
    ladders = contracts.ladders
    amounts = np.zeros((n_units, len(PAIRS), ladders.rates.shape[1]))
    charge = np.zeros((n_units, len(PAIRS)))
    for k in range(len(PAIRS)):
        row = np.full(n_units, k, dtype=np.int64)
        amounts[:, k] = steps.tier_amounts(hedged[:, k], ladders, row)
        charge[:, k] = steps.tier_charge(amounts[:, k], ladders.rates[row])
    return amounts, charge


_NO_RATE = BorrowRate(maintenance=0.0, initial=0.0)


def _debts(
    book: UnitBook, contracts: OkxContracts, parameters: OkxParameters
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """MR8: dollars owed in each balance, and its rates; an asset without rates is infinitely dear until refused."""
    rates = [parameters.borrowing.get(asset, _NO_RATE) for asset in book.cash_assets]
    price = np.array([contracts.debt_price.get(asset, np.inf) for asset in book.cash_assets], dtype=np.float64)
    maintenance = np.array([rate.maintenance for rate in rates], dtype=np.float64)
    initial = np.array([rate.initial for rate in rates], dtype=np.float64)
    owed, asset = np.maximum(0.0, 0.0 - book.cash_amount), book.cash_asset
    debt = np.multiply(owed, price[asset], out=np.zeros(len(owed)), where=owed > 0)
    return debt, maintenance[asset], initial[asset]


def _refuse(
    book: UnitBook, contracts: OkxContracts, parameters: OkxParameters, hedged: FloatArray, debt: FloatArray
) -> None:
    """Raise for what only positions and balances show to be needed."""
    problems: list[Problem] = []
    if contracts.ladders is None and hedged.any():
        units = np.flatnonzero(hedged.any(axis=1))
        coins = tuple(sorted({contracts.coins[k] for k in book.layout.unit_group[units].tolist()}))
        problems.append(
            parameters.not_given(
                ("stablecoin_ladders",),
                tuple(
                    name for name, k in zip(contracts.names, contracts.coin, strict=True) if contracts.coins[k] in coins
                ),
                f"contracts on {', '.join(coins)} in one stablecoin against others in another",
            )
        )
    owed = {book.cash_assets[k] for k in book.cash_asset[debt > 0].tolist()}
    for asset in sorted(owed - set(parameters.borrowing)):
        refused = parameters.not_given((f"borrowing.{asset}",), (), f"a debt in {asset}")
        problems.append(Problem(found=refused.found, needed=refused.needed, kind=UnsupportedError, asset=asset))
    raise_problems(problems)


def scenario_table(contracts: OkxContracts, counted: float) -> FloatArray:
    """Gain of one long contract in everything that MR1, MR2 and MR6 look at, `(n_instruments, n_scenarios + 3)`.

    The scenarios of MR1, then the time step, then the extreme move down and up, of which a part counts.
    """
    return np.concatenate((contracts.shocked, contracts.decay[:, None], counted * contracts.extreme), axis=1)


def scenario_worst(breakdown: OkxBreakdown, n_grid: int) -> IntArray:
    """Column of `scenario_table` that sets the worst loss of each unit, shape `(n_units,)`."""
    return np.where(
        breakdown.worst_is == SPOT_SHOCK,
        breakdown.mr1_scenario,
        np.where(breakdown.worst_is == THETA, n_grid, n_grid + 1 + breakdown.extreme_direction),
    ).astype(np.int64)


def position_shares(
    book: UnitBook, units: OkxUnits, contracts: OkxContracts, breakdown: OkxBreakdown, parameters: OkxParameters
) -> tuple[FloatArray, FloatArray]:
    """P&L in the worst scenario and contribution to the initial requirement of each position, `(n_positions,)`.

    P&L is a sum over positions, an absolute value its sign times a sum, and marginal tiers their average rate times an
    amount: so contributions of a unit sum to its requirement. Either side of a stablecoin pair bears half its charge.
    """
    held = book.holdings
    unit, instrument = held.unit(), held.instrument
    table = scenario_table(contracts, parameters.extreme_counted)
    column = scenario_worst(breakdown, len(contracts.grid))
    pnl = held.quantity * table[instrument, column[unit]]

    segment = units.by_expiry.of_position
    share = np.where(breakdown.worst > 0, 1.0, 0.0)[unit] * -table[instrument, column[unit]]
    for ledger, of_one in ((breakdown.vega, contracts.vega), (breakdown.basis, contracts.delta)):
        share += (np.sign(ledger.net) * ledger.shift)[segment] * of_one[instrument]
    for k in range(breakdown.rate_net.shape[1]):
        share += np.sign(breakdown.rate_net[:, k])[unit] * contracts.rate_gain[instrument, k]

    average = _ratio(breakdown.mr7, breakdown.charge_raw)
    minimum = np.sign(held.quantity) * contracts.unit_charge[instrument] * average[unit]
    share = np.where(breakdown.minimum_binds[unit], minimum, share)

    by_currency = np.zeros((book.n_units, len(STABLE)))
    for k, pair in enumerate(PAIRS):
        for side in map(STABLE.index, pair):
            by_currency[:, side] += _ratio(0.5 * breakdown.pair_charge[:, k], breakdown.cash_delta[:, side])
    share = share + by_currency[unit, contracts.currency[instrument]] * contracts.delta[instrument]
    return read_only(pnl), read_only(parameters.initial_factor * held.quantity * share)


def _ratio(one: FloatArray, other: FloatArray) -> FloatArray:
    """`one / other`, 0 where `other` is 0."""
    return np.divide(one, other, out=np.zeros(len(one)), where=other != 0)
