"""Unit P&L: what one long contract gains in each scenario, and what it is worth now.

Two measures are offered, and every table says which it holds:

* `USD`: change in the dollar value of holding the contract. An inverse contract's coin amounts are converted at the
  index of the scenario, so the fall of a coin-valued option in dollars when the coin falls is in it.
* a coin (say `BTC`): change of the amount in that coin, as an inverse contract settles it; what settles in dollars is
  converted at the index of the scenario.

A cell depends on its instrument, its scenario and the market only, and is computed elementwise: its bits do not
depend on what else is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import UnsupportedError
from crossmargin.basics.times import DAYS_PER_YEAR
from crossmargin.instruments.table import Kind
from crossmargin.revaluation.black import bachelier_greeks, black76_greeks
from crossmargin.revaluation.inputs import PricingInputs, undiscounted_value
from crossmargin.scenarios.grid import GridRanges, GridScenarios, shifted_vol


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitPnl:
    """Gain of one long contract in each scenario.

    Parameters
    ----------
    values : ndarray of shape (n_instruments, n_scenarios)
        Positive is a gain; before any scenario weight.
    currency : str
        What `values` are in.
    """

    values: FloatArray
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitGreeks:
    """Sensitivities of one long contract in US dollars, each of shape `(n_instruments,)`.

    Parameters
    ----------
    delta : ndarray
        For a relative price move of 1 (100%), linearised: the dollar delta.
    gamma : ndarray
        Second derivative for the same move.
    vega : ndarray
        For volatility up by 1.00 (divide by 100 for one vol point); in Bachelier terms for one price unit a year.
    theta : ndarray
        For one calendar day passing, the rate of the discount factor included.
    """

    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray


def _dollars_per_point(inputs: PricingInputs) -> FloatArray:
    """US dollars by which one contract gains when its priced quantity rises by one unit of quote currency.

    For an option the priced quantity is its value; for the rest the price of the underlying. An inverse option
    worth `v` quote currency at forward `F` is `v / F` coin, worth `v / F * index` dollars; an inverse future of fixed
    notional `N` gains `N * (index / F) * move` dollars at the shifted index, that is `N * index / F**2` a point.
    """
    table = inputs.instruments
    forward = np.where(table.is_inverse, inputs.forward, 1.0)  # a linear contract's may be 0 or negative
    inverse_option = table.multiplier * inputs.index / forward
    inverse_delta_one = table.multiplier * inputs.index / forward**2
    inverse = np.where(inputs.is_option, inverse_option, inverse_delta_one)
    return np.where(table.is_inverse, inverse, table.multiplier) * inputs.quote_usd


def unit_value(inputs: PricingInputs) -> FloatArray:
    """Dollar value of one long contract at its mark: an option's premium, a spot's price, 0 for a future.

    Futures and perpetuals are worth nothing at their mark: what they gained is settled into the balances.
    """
    table = inputs.instruments
    coin_or_quote = inputs.mark * table.multiplier
    dollars = np.where(table.is_inverse, coin_or_quote * inputs.index, coin_or_quote) * inputs.quote_usd
    has_value = (table.kind == Kind.OPTION) | (table.kind == Kind.SPOT)
    return np.where(has_value, dollars, 0.0)


def unit_pnl(
    inputs: PricingInputs,
    scenarios: Mapping[str, GridScenarios],
    ranges: Mapping[str, GridRanges],
    *,
    currency: str = "USD",
) -> UnitPnl:
    """The unit P&L table of price-and-volatility grids.

    Parameters
    ----------
    inputs : PricingInputs
        What is held.
    scenarios, ranges : mapping by underlying
        The grid of each; all of the same length.
    currency : str
        `USD`, or the coin of inverse contracts.

    Returns
    -------
    UnitPnl
        `(n_instruments, n_scenarios)`.

    Raises
    ------
    UnsupportedError
        If `currency` is a coin and something held has another underlying.
    """
    table = inputs.instruments
    n_scenarios = len(next(iter(scenarios.values()))) if scenarios else 0
    if currency != "USD" and any(name != currency for name in table.underlyings):
        raise UnsupportedError(f"a unit P&L table in {currency} cannot hold {', '.join(table.underlyings)}")
    values = np.zeros((len(table.names), n_scenarios))
    per_point = _dollars_per_point(inputs)
    if currency != "USD":
        per_point = per_point / (inputs.index * inputs.quote_usd)
    for u, name in enumerate(table.underlyings):
        grid = scenarios[name]
        # Dollars and what is paid in them buy less coin where the coin has risen; coin is coin.
        growth = 1.0 if currency == "USD" else 1 + grid.price_move
        options = np.flatnonzero((table.underlying == u) & inputs.is_option)
        others = np.flatnonzero((table.underlying == u) & ~inputs.is_option)
        # A relative move of a negative price moves it by that fraction of its size.
        size = np.abs(inputs.forward[others]) * per_point[others]
        values[others] = size[:, None] * grid.price_move / growth
        if len(options):
            now, then = _option_values(inputs, options, grid, ranges[name])
            now = now[:, None]
            in_coin = then / growth - now  # an inverse option's value is coin already: v / F, with F grown
            gain = np.where(table.is_inverse[options, None], in_coin, (then - now) / growth)
            values[options] = per_point[options, None] * gain
    return UnitPnl(values=read_only(values), currency=currency)


def _option_values(
    inputs: PricingInputs, options: np.ndarray, grid: GridScenarios, ranges: GridRanges
) -> tuple[FloatArray, FloatArray]:
    """Discounted model value of `options` now `(n,)` and in each scenario `(n, n_scenarios)`, quote currency."""
    table = inputs.instruments
    forward, vol = inputs.forward[options], inputs.vol[options]
    years, discount = inputs.expiry_years[options], inputs.discount[options]
    strike, is_call, normal = table.strike[options], table.is_call[options], inputs.vol_normal[options]
    vol_scale = np.where(normal, np.abs(forward), 1.0)
    vol_then = shifted_vol(vol, vol_scale, years, grid, ranges)
    years_then = np.maximum(years[:, None] - grid.time_step_years, 0.0)
    forward_then = forward[:, None] + np.abs(forward)[:, None] * grid.price_move
    now = discount * undiscounted_value(forward, strike, vol * np.sqrt(years), is_call, normal)
    # The rate stays: less time to expiry discounts less. Where no time passes the factor is the same to the bit.
    passed = grid.time_step_years > 0
    discount_then = np.where(passed, discount[:, None] ** (years_then / years[:, None]), discount[:, None])
    then = discount_then * undiscounted_value(
        forward_then, strike[:, None], vol_then * np.sqrt(years_then), is_call[:, None], normal[:, None]
    )
    return now, then


def unit_greeks(inputs: PricingInputs) -> UnitGreeks:
    """Dollar sensitivities of one long contract, at the model's values."""
    table = inputs.instruments
    per_point = _dollars_per_point(inputs)
    size = np.abs(inputs.forward)
    delta = size * per_point
    gamma, vega, theta = np.zeros_like(delta), np.zeros_like(delta), np.zeros_like(delta)
    for normal, greeks in ((False, black76_greeks), (True, bachelier_greeks)):
        rows = np.flatnonzero(inputs.is_option & (inputs.vol_normal == normal))
        if not len(rows):
            continue
        of_one = greeks(
            inputs.forward[rows],
            table.strike[rows],
            inputs.vol[rows],
            inputs.expiry_years[rows],
            table.is_call[rows],
        )
        scale = per_point[rows] * inputs.discount[rows]
        delta[rows] = scale * of_one.delta * size[rows]
        gamma[rows] = scale * of_one.gamma * size[rows] ** 2
        vega[rows] = scale * of_one.vega
        # A day less to expiry also discounts less: what the option is worth earns the rate.
        rate = -np.log(inputs.discount[rows]) / inputs.expiry_years[rows]
        value = undiscounted_value(
            inputs.forward[rows],
            table.strike[rows],
            inputs.vol[rows] * np.sqrt(inputs.expiry_years[rows]),
            table.is_call[rows],
            inputs.vol_normal[rows],
        )
        theta[rows] = scale * (of_one.theta + rate * value) / DAYS_PER_YEAR
    return UnitGreeks(delta=read_only(delta), gamma=read_only(gamma), vega=read_only(vega), theta=read_only(theta))
