"""One contract of everything, now and in every scenario: what the recipe sweeps.

Options are worth their (discounted) Black-76 value on a forward of which only the part that is still to be averaged
moves; perpetuals and collateral that cancels risk move with the price one for one. The static discount is not here: it
depends on whether a whole expiry is worth something or owed, which is for the recipe.

The decision a reader would question: an inverse contract is taken as the linear one of the same dollar behaviour,
an option on as many coins, a perpetual on as many coins as its notional buys. Derive lists none; this lets the same
book be compared, and the answer says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import LaidOut, laid_out
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.times import DAYS_PER_YEAR, SECONDS_PER_YEAR
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.by_unit import kept_fills
from crossmargin.methodologies.venue_grids.derive.parameters import DeriveParameters, Skew, VolMove, VolShock
from crossmargin.revaluation.black import black76

AVERAGING_SECONDS = 1800.0
"""The settlement price is the average of the last half hour: what of it has passed no longer moves."""
_SHOCK_DAYS = 30.0


class Row(IntEnum):
    """What a priced row is."""

    OPTION = 0
    PERPETUAL = 1
    COLLATERAL = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeriveInputs:
    """What prices the rows; dollars, where a unit of the account's stablecoin is a dollar.

    Parameters
    ----------
    names : tuple of str
        Of the rows.
    kind : ndarray of shape (n_rows,)
        A `Row`.
    underlying : ndarray of shape (n_rows,)
        Index into `underlyings`; `len(underlyings)` for collateral that cancels no risk.
    size : ndarray of shape (n_rows,)
        Units of the underlying, or of the asset, in one contract.
    price : ndarray of shape (n_rows,)
        Of a perpetual and of collateral, for one unit; 0 for options.
    confidence : ndarray of shape (n_rows,)
        Of that price, 0 to 1.
    haircut_maintenance, haircut_initial : ndarray of shape (n_rows,)
        Of collateral; 0 for the rest.
    expiry : ndarray of shape (n_rows,)
        Index of an option's expiry; `n_expiries` for the rest.
    strike, vol : ndarray of shape (n_rows,)
        Of options.
    is_call : ndarray of shape (n_rows,)
        Of options.
    underlyings : tuple of str
        Names, each with parameters.
    spot, spot_confidence : ndarray of shape (n_underlyings,)
        Index price.
    expiry_labels : tuple of str
        Names of expiries.
    expiry_underlying : ndarray of shape (n_expiries,)
        Index into `underlyings`.
    seconds, rate, expiry_confidence : ndarray of shape (n_expiries,)
        Until it; interest rate a year; the least confidence of forward, rate and volatility.
    forward_fixed, forward_variable : ndarray of shape (n_expiries,)
        Parts of the forward: what has been averaged, and what still moves.
    stable_price : float
        Dollars for one unit of the stablecoin.
    has_inverse : bool
        Whether some row is an inverse contract, taken as a linear one.
    """

    names: tuple[str, ...]
    kind: IntArray
    underlying: IntArray
    size: FloatArray
    price: FloatArray
    confidence: FloatArray
    haircut_maintenance: FloatArray
    haircut_initial: FloatArray
    expiry: IntArray
    strike: FloatArray
    vol: FloatArray
    is_call: BoolArray
    underlyings: tuple[str, ...]
    spot: FloatArray
    spot_confidence: FloatArray
    expiry_labels: tuple[str, ...]
    expiry_underlying: IntArray
    seconds: FloatArray
    rate: FloatArray
    expiry_confidence: FloatArray
    forward_fixed: FloatArray
    forward_variable: FloatArray
    stable_price: float
    has_inverse: bool = False
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeriveContracts:
    """One contract of each row; arrays of shape `(n_rows,)` unless said, dollars.

    Parameters
    ----------
    inputs : DeriveInputs
        What they were priced from.
    values : ndarray of shape (n_rows, n_scenarios + 3)
        Value of an option in each scenario, with the basis up, with the basis down, and now; 0 for the rest.
    swept : LaidOut
        The same as the sweep reads it.
    linear : ndarray
        Gain for a price move of 1 (100%), of what moves one for one.
    option_value : ndarray
        Value of an option now.
    coins : ndarray
        Units of the underlying in an option; 0 for the rest.
    perpetual_coins : ndarray
        The same of a perpetual.
    collateral_value : ndarray
        Value of collateral.
    strike_label : ndarray
        Which strike of which expiry: of options that offset each other's contingency; the last label for the rest.
    scenario_move : ndarray of shape (n_scenarios,)
        Relative price move.
    dampening : ndarray of shape (n_scenarios,)
        Fraction that counts.
    is_skew : ndarray of shape (n_scenarios,)
        Whether an expiry's P&L counts as a loss either way.
    discount_long, discount_short : ndarray of shape (n_expiries + 1,)
        Static discount of an expiry that is worth something, and of one that is owed; 1 for what has none.
    basis_factor : ndarray of shape (n_expiries + 1,)
        Fraction of the basis loss that counts.
    """

    inputs: DeriveInputs
    values: FloatArray
    swept: LaidOut
    linear: FloatArray
    option_value: FloatArray
    coins: FloatArray
    perpetual_coins: FloatArray
    collateral_value: FloatArray
    strike_label: IntArray
    scenario_move: FloatArray
    dampening: FloatArray
    is_skew: BoolArray
    discount_long: FloatArray
    discount_short: FloatArray
    basis_factor: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """Rows, in order."""
        return self.inputs.names

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every stand-in for a missing quote."""
        return self.inputs.fills


def contracts_of(inputs: DeriveInputs, parameters: DeriveParameters) -> DeriveContracts:
    """Value one contract of each row in every scenario."""
    years = inputs.seconds / SECONDS_PER_YEAR
    rate = np.maximum(inputs.rate, 0.0)
    discount = np.exp(-rate * years) if parameters.options_discounted else np.ones(len(years))
    values = np.zeros((len(inputs.names), len(parameters.scenarios) + 3))
    for u, name in enumerate(inputs.underlyings):
        rows = np.flatnonzero((inputs.kind == Row.OPTION) & (inputs.underlying == u))
        if len(rows):
            values[rows] = _option_values(inputs, rows, years, discount, parameters, name)
    long, short = static_discounts(inputs, parameters, years, rate, discount)
    basis = [parameters.underlyings[inputs.underlyings[u]].basis for u in inputs.expiry_underlying.tolist()]
    factor = np.array([one.add_factor + one.mult_factor * t for one, t in zip(basis, years.tolist(), strict=True)])
    is_option = inputs.kind == Row.OPTION
    is_perpetual = inputs.kind == Row.PERPETUAL
    is_collateral = inputs.kind == Row.COLLATERAL
    amount = inputs.size * inputs.price
    moves = is_perpetual | (is_collateral & (inputs.underlying < len(inputs.underlyings)))
    return DeriveContracts(
        inputs=inputs,
        values=read_only(values),
        swept=laid_out(values),
        linear=read_only(np.where(moves, amount, 0.0)),
        option_value=read_only(values[:, -1].copy()),
        coins=read_only(np.where(is_option, inputs.size, 0.0)),
        perpetual_coins=read_only(np.where(is_perpetual, inputs.size, 0.0)),
        collateral_value=read_only(np.where(is_collateral, amount, 0.0)),
        strike_label=read_only(_strike_labels(inputs)),
        scenario_move=read_only(np.array([one.price_multiplier - 1 for one in parameters.scenarios])),
        dampening=read_only(np.array([one.dampening for one in parameters.scenarios])),
        is_skew=read_only(np.array([one.vol.is_skew for one in parameters.scenarios])),
        discount_long=read_only(np.append(long, 1.0)),
        discount_short=read_only(np.append(short, 1.0)),
        basis_factor=read_only(np.append(factor, 0.0)),
    )


def _strike_labels(inputs: DeriveInputs) -> IntArray:
    """A call and a put of one strike and expiry share a label."""
    keys = np.stack((inputs.expiry.astype(np.float64), np.where(inputs.kind == Row.OPTION, inputs.strike, np.inf)))
    _, label = np.unique(keys, axis=1, return_inverse=True)
    return label.reshape(-1).astype(np.int64)


def _option_values(
    inputs: DeriveInputs,
    rows: IntArray,
    years: FloatArray,
    discount: FloatArray,
    parameters: DeriveParameters,
    underlying: str,
) -> FloatArray:
    """Value of options in the scenarios, with the basis up and down, and now: `(n, n_scenarios + 3)`."""
    own = parameters.underlyings[underlying]
    expiry = inputs.expiry[rows]
    fixed, variable, time = (column[expiry, None] for column in (inputs.forward_fixed, inputs.forward_variable, years))
    vol, strike = inputs.vol[rows, None], inputs.strike[rows, None]
    multipliers = [one.price_multiplier for one in parameters.scenarios]
    multipliers += [own.basis.price_up, own.basis.price_down, 1.0]
    forward = fixed + variable * np.array(multipliers)
    by_move = {
        VolMove.SAME: vol,
        VolMove.UP: vol_up(vol, time, own.vol_shock),
        VolMove.DOWN: vol_down(vol, time, own.vol_shock),
        **{
            move: vol * skew_multiplier(strike, fixed + variable, time, own.skew, move)
            for move in VolMove
            if move.is_skew
        },
    }
    moved = [by_move[one.vol] for one in parameters.scenarios] + [vol, vol, vol]
    shape = forward.shape
    value = black76(
        np.ascontiguousarray(forward),
        np.ascontiguousarray(np.broadcast_to(strike, shape)),
        np.concatenate(moved, axis=1) * np.sqrt(time),
        np.ascontiguousarray(np.broadcast_to(inputs.is_call[rows, None], shape)),
    )
    return value * discount[expiry, None] * inputs.size[rows, None]


def vol_shock_scale(years: FloatArray, shock: VolShock) -> FloatArray:
    """`(30 days / T) ** power`: short expiries move more."""
    days = years * DAYS_PER_YEAR
    power = np.where(days <= _SHOCK_DAYS, shock.power_short, shock.power_long)
    return np.asarray((_SHOCK_DAYS / np.maximum(days, shock.days_floor)) ** power)


def vol_up(vol: FloatArray, years: FloatArray, shock: VolShock) -> FloatArray:
    """Volatility after an up move, which has a floor: a calm market can jump."""
    return np.maximum(shock.floor_up, vol * (1 + shock.range_up * vol_shock_scale(years, shock)))


def vol_down(vol: FloatArray, years: FloatArray, shock: VolShock) -> FloatArray:
    """Volatility after a down move, at least 0 and without any other floor."""
    return vol * np.maximum(0.0, 1 - shock.range_down * vol_shock_scale(years, shock))


def skew_multiplier(
    strike: FloatArray, forward: FloatArray, years: FloatArray, skew: Skew, move: VolMove
) -> FloatArray:
    """Factor on volatility of a skew scenario, by distance of the strike from the forward.

    Rises with `k / k*` to the cap above the forward and falls likewise below it. Not a clamp: a cap below 0 is reached
    at once, on both sides.
    """
    root = np.sqrt(years)
    k = np.log(strike / forward)
    base, slope = skew.linear_cap, skew.linear_cap_slope
    if move is VolMove.ABSOLUTE:
        k, base, slope = np.abs(k), skew.absolute_cap, skew.absolute_cap_slope
    cap = base + slope * root
    k_star = np.maximum(skew.k_star_minimum, root * skew.width_scale * (skew.vol_static + skew.vol_slope * root))
    ratio = k * cap / k_star
    multiplier = 1 + np.where(k >= 0, np.minimum(cap, ratio), np.maximum(-cap, ratio))
    return np.asarray(np.maximum(0.0, multiplier))


def static_discounts(
    inputs: DeriveInputs, parameters: DeriveParameters, years: FloatArray, rate: FloatArray, discount: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Factors on the value of an expiry in a scenario: below 1 where it is worth something, above where it is owed.

    What is owed is marked up at most to its undiscounted value. An expiry that has come has no discount left.
    """
    own = [parameters.underlyings[inputs.underlyings[u]].discount for u in inputs.expiry_underlying.tolist()]

    def column(name: str) -> FloatArray:
        return np.array([getattr(one, name) for one in own], dtype=np.float64)

    long = column("long_base") * np.exp(-years * (rate * column("long_mult") + column("long_add")))
    short = column("short_base") * np.exp(years * (rate * column("short_mult") + column("short_add")))
    expired = inputs.seconds <= 0
    return np.where(expired, 1.0, long), np.where(expired, 1.0, np.minimum(1 / discount, short))


def repriced(whole: DeriveContracts, part: DeriveContracts, parameters: DeriveParameters) -> DeriveContracts:
    """`whole` with the rows of `part`, priced in a newer market: the same terms, other figures."""
    old, new = whole.inputs, part.inputs
    row = {name: k for k, name in enumerate(old.names)}
    at = np.array([row[name] for name in new.names], dtype=np.int64)

    def joined(name: str, where: Any) -> FloatArray:
        values = getattr(old, name).copy()
        values[where] = getattr(new, name)
        return read_only(values)

    underlying = [old.underlyings.index(name) for name in new.underlyings]
    expiry = [old.expiry_labels.index(label) for label in new.expiry_labels]
    by_row = ("size", "price", "confidence", "haircut_maintenance", "haircut_initial", "vol")
    by_underlying = ("spot", "spot_confidence")
    by_expiry = ("seconds", "rate", "expiry_confidence", "forward_fixed", "forward_variable")
    columns: dict[str, Any] = {name: joined(name, at) for name in by_row}
    columns |= {name: joined(name, underlying) for name in by_underlying}
    columns |= {name: joined(name, expiry) for name in by_expiry}
    inputs = replace(
        old,
        **columns,
        stable_price=new.stable_price,
        fills=tuple(dict.fromkeys((*kept_fills(old.fills, new.names), *new.fills))),
    )
    return contracts_of(inputs, parameters)
