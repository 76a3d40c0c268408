"""The charges of OKX portfolio margin, MR1 to MR9, each a small function on arrays of many units.

Every charge is what maintenance asks for, in dollars and at least 0. Those on a net figure (MR3, MR4, MR5) take its
absolute value expiry by expiry or curve by curve: long of one never frees short of another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crossmargin.aggregation.sweep import Holdings, LaidOut, Segments, unit_sum, worst_loss
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.methodologies.venue_grids.okx.parameters import PAIRS, STABLE, TierTable


def spot_shock(holdings: Holdings, unit_pnl: FloatArray | LaidOut) -> tuple[FloatArray, IntArray]:
    """MR1: the largest loss over price and volatility moves.

    Parameters
    ----------
    holdings : Holdings
        Units and their positions.
    unit_pnl : ndarray of shape (n_instruments, n_scenarios), or LaidOut
        Gain of one long contract, dollars.

    Returns
    -------
    charge : ndarray of shape (n_units,)
        At least 0: gains never reduce the requirement.
    scenario : ndarray of shape (n_units,)
        The worst one, the lowest index among ties.
    """
    loss, scenario = worst_loss(holdings, unit_pnl)
    return np.maximum(0.0, loss), scenario


def theta_decay(holdings: Holdings, unit_decay: FloatArray) -> FloatArray:
    """MR2: what is lost when time passes and nothing else happens, shape `(n_units,)`.

    Parameters
    ----------
    unit_decay : ndarray of shape (n_instruments,)
        Gain of one long contract over the time step, dollars.
    """
    return np.maximum(0.0, 0.0 - unit_sum(holdings, unit_decay))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ledger:
    """A net figure of every (unit, expiry) that holds something, and the shift that it is charged at.

    Parameters
    ----------
    unit, expiry : ndarray of shape (n_segments,)
        Which unit and which expiry; by unit, then expiry.
    net : ndarray of shape (n_segments,)
        Dollars, long plus short.
    shift : ndarray of shape (n_segments,)
        Relative move.
    """

    unit: IntArray
    expiry: IntArray
    net: FloatArray
    shift: FloatArray

    @property
    def charge(self) -> FloatArray:
        """`|net| * shift` of each segment: what the charge of a unit is the sum of."""
        return np.abs(self.net) * self.shift


def by_expiry_charge(by_expiry: Segments, of_one: FloatArray, shift: FloatArray) -> tuple[FloatArray, Ledger]:
    """MR3 and MR4: every expiry moves on its own, and none offsets another.

    Parameters
    ----------
    by_expiry : Segments
        The units cut by expiry.
    of_one : ndarray of shape (n_instruments,)
        Of one long contract, dollars: vega for volatility doubling (MR3), delta (MR4).
    shift : ndarray of shape (n_expiries,)
        Relative move of each expiry's volatility, or of its basis.

    Returns
    -------
    charge : ndarray of shape (n_units,)
        Sum over the unit's expiries of the absolute net figure times the move.
    ledger : Ledger
        What it is made of.
    """
    net = unit_sum(by_expiry.holdings, of_one)
    ledger = Ledger(unit=by_expiry.unit, expiry=by_expiry.label, net=net, shift=shift[by_expiry.label])
    return by_expiry.sum_by_unit(np.abs(net), shift), ledger


def rate_risk(holdings: Holdings, unit_loss: FloatArray) -> tuple[FloatArray, FloatArray]:
    """MR5: each component of the rate curve moves either way.

    Parameters
    ----------
    unit_loss : ndarray of shape (n_instruments, n_curves)
        Gain of one long contract when the component shifts up, dollars.

    Returns
    -------
    charge : ndarray of shape (n_units,)
        Sum over components of the absolute net gain.
    net : ndarray of shape (n_units, n_curves)
        Net gain of each component.
    """
    net = np.zeros((holdings.n_units, unit_loss.shape[1]))
    charge = np.zeros(holdings.n_units)
    for k in range(unit_loss.shape[1]):
        net[:, k] = unit_sum(holdings, unit_loss[:, k])
        charge += np.abs(net[:, k])
    return charge, net


def extreme_move(holdings: Holdings, unit_pnl: FloatArray, counted: float) -> tuple[FloatArray, FloatArray, IntArray]:
    """MR6: a part of the larger loss of an extreme move down or up.

    Parameters
    ----------
    unit_pnl : ndarray of shape (n_instruments, 2)
        Gain of one long contract after the move down and up, dollars.
    counted : float
        The part of the loss that is charged.

    Returns
    -------
    charge, loss : ndarray of shape (n_units,)
        What is charged, and the loss before that; at least 0.
    direction : ndarray of shape (n_units,)
        0 for down, 1 for up.
    """
    loss, direction = worst_loss(holdings, unit_pnl)
    loss = np.maximum(0.0, loss)
    return counted * loss, loss, direction


def raw_minimum_charge(holdings: Holdings, unit_charge: FloatArray) -> FloatArray:
    """MR7 before its tiers: cost of closing every position, long or short, shape `(n_units,)`.

    Parameters
    ----------
    unit_charge : ndarray of shape (n_instruments,)
        Slippage and fees of one contract, dollars.
    """
    gross = replace(holdings, quantity=read_only(np.abs(holdings.quantity)))
    return unit_sum(gross, unit_charge)


def tier_amounts(amount: FloatArray, tiers: TierTable, row: IntArray) -> FloatArray:
    """How much of each amount lies in each tier, shape `(n, n_tiers)`.

    Parameters
    ----------
    amount : ndarray of shape (n,)
        Dollars, at least 0.
    row : ndarray of shape (n,)
        Row of `tiers` that each falls under.
    """
    return np.maximum(0.0, np.minimum(amount[:, None], tiers.ends[row]) - tiers.starts[row])


def tier_charge(amounts: FloatArray, rates: FloatArray) -> FloatArray:
    """Marginal tiers: what lies in each at its own rate, tier after tier, shape `(n,)`.

    Continuous at every tier's end, and rising where rates do.

    Parameters
    ----------
    amounts, rates : ndarray of shape (n, n_tiers)
        As `tier_amounts` gives them, and the rate of each.
    """
    charge = np.zeros(len(amounts))
    for k in range(amounts.shape[1]):
        charge += amounts[:, k] * rates[:, k]
    return charge


def cash_delta(by_currency: Segments, n_units: int, delta: FloatArray) -> FloatArray:
    """Net delta of each unit by the currency of its contracts, shape `(n_units, 3)`: in USDT, USDC and USD.

    Parameters
    ----------
    by_currency : Segments
        The units cut by currency, labels as in `STABLE`.
    delta : ndarray of shape (n_instruments,)
        Dollar delta of one long contract.
    """
    net = np.zeros((n_units, len(STABLE)))
    net[by_currency.unit, by_currency.label] = unit_sum(by_currency.holdings, delta)
    return net


def hedged_sizes(net: FloatArray) -> FloatArray:
    """MR9: what is long in one currency against short in another, pair by pair in the rulebook's order.

    What a pair has matched is not left for the next.

    Parameters
    ----------
    net : ndarray of shape (n_units, 3)
        Net delta by currency, dollars.

    Returns
    -------
    ndarray of shape (n_units, 3)
        Dollars of each pair, at least 0.
    """
    left = net.copy()
    hedged = np.zeros((len(net), len(PAIRS)))
    for k, pair in enumerate(PAIRS):
        one, other = (STABLE.index(currency) for currency in pair)
        opposite = np.sign(left[:, one]) * np.sign(left[:, other]) < 0
        size = np.where(opposite, np.minimum(np.abs(left[:, one]), np.abs(left[:, other])), 0.0)
        for side in (one, other):
            left[:, side] -= np.sign(left[:, side]) * size
        hedged[:, k] = size
    return hedged


def derivatives_maintenance(
    worst: FloatArray, vega: FloatArray, basis: FloatArray, rate: FloatArray, minimum: FloatArray, stable: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The requirement of a unit: `max(worst + MR3 + MR4 + MR5, MR7) + MR9`.

    Parameters
    ----------
    worst, vega, basis, rate, minimum, stable : ndarray of shape (n_units,)
        `max(MR1, MR2, MR6)`, MR3, MR4, MR5, MR7 after its tiers, and MR9.

    Returns
    -------
    stressed, maintenance : ndarray of shape (n_units,)
        The first argument of the maximum, and the requirement.
    """
    stressed = worst + vega + basis + rate
    return stressed, np.maximum(stressed, minimum) + stable


def borrowing(account: IntArray, debt: FloatArray, rate: FloatArray, n_accounts: int) -> FloatArray:
    """MR8: a share of every debt of an account, once, shape `(n_accounts,)`.

    Parameters
    ----------
    account : ndarray of shape (n_cash,)
        Whose each balance is.
    debt : ndarray of shape (n_cash,)
        Dollars owed, at least 0.
    rate : ndarray of shape (n_cash,)
        Of that debt.
    """
    return np.bincount(account, weights=debt * rate, minlength=n_accounts).astype(np.float64)
