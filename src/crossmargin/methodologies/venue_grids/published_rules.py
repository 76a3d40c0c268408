"""Single margin rules of venues that publish the rule with an example, and not the rest of their rulebook.

No methodology is made of them, since what stands beside them at the venue is not public in full: they are functions to
call, and none of them is a whole requirement of an account.
"""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray


def paradex_minimum_delta(deltas: FloatArray, spot: float, *, net_rate: float, hedged_rate: float) -> dict[str, float]:
    """Paradex portfolio margin: the least requirement of one underlying, whatever its scenarios lose.

    The requirement is a rate on the net delta and a smaller one on what is hedged: `(gross - |net|) / 2`.

    Parameters
    ----------
    deltas : ndarray of shape (n_positions,)
        Delta of each position, units of the underlying.
    spot : float
        Price of the underlying, US dollars.
    net_rate, hedged_rate : float
        Decimals; Paradex states 0.02 and 0.01.

    Returns
    -------
    dict
        `net_delta` (signed), `gross_delta` and `hedged_delta` in units; `requirement` in dollars, at least 0.

    References
    ----------
    Paradex documentation, "Portfolio Margin": minimum delta requirement

    Examples
    --------
    >>> paradex_minimum_delta(np.array([1.0, -1.5]), 70_000, net_rate=0.02, hedged_rate=0.01)["requirement"]
    1400.0
    """
    net, gross = float(np.sum(deltas)), float(np.sum(np.abs(deltas)))
    hedged = (gross - abs(net)) / 2
    return {
        "net_delta": net,
        "gross_delta": gross,
        "hedged_delta": hedged,
        "requirement": spot * (net_rate * abs(net) + hedged_rate * hedged),
    }


def bybit_short_option(
    index: FloatArray,
    strike: FloatArray,
    is_call: BoolArray,
    mark: FloatArray,
    order_price: FloatArray,
    *,
    initial_most: float,
    initial_least: float,
    maintenance_rate: float,
    liquidation_fee: float,
) -> tuple[FloatArray, FloatArray]:
    """Bybit unified account, cross margin: requirement for one unit of underlying in a short option.

    Parameters
    ----------
    index, strike, mark, order_price : ndarray of shape (n_options,)
        Index price, strike, mark price of the option and the price at which it is (or was) sold, US dollars.
    is_call : ndarray of bool of shape (n_options,)
        Calls; the rest are puts. Bybit's example is a put, and a call is taken the same way.
    initial_most, initial_least, maintenance_rate, liquidation_fee : float
        Decimals; Bybit states 0.15, 0.1, 0.03 and 0.002.

    Returns
    -------
    initial, maintenance : ndarray of shape (n_options,)
        US dollars, with what the option is worth; `maintenance <= initial`.

    References
    ----------
    Bybit help centre, "Comparison of Spread Strategies in Cross Margin and Portfolio Margin", 2024-10-23
    """
    out_of_the_money = np.maximum(0.0, np.where(is_call, strike - index, index - strike))
    maintenance = np.maximum(maintenance_rate * index, maintenance_rate * mark) + mark + liquidation_fee * index
    initial = np.maximum(initial_most * index - out_of_the_money, initial_least * index)
    initial = initial + np.maximum(order_price, mark)
    return np.maximum(initial, maintenance), maintenance


def vega_cross_maintenance(
    position: FloatArray,
    mark: FloatArray,
    *,
    linear_slippage_factor: float,
    risk_factor_long: float,
    risk_factor_short: float,
) -> FloatArray:
    """Vega protocol, cross margin: maintenance of one market without open orders.

    Parameters
    ----------
    position : ndarray of shape (n_markets,)
        Signed.
    mark : ndarray of shape (n_markets,)
        Mark price.
    linear_slippage_factor, risk_factor_long, risk_factor_short : float
        Of the market, decimals.

    Returns
    -------
    ndarray of shape (n_markets,)
        Settlement asset, at least 0.

    References
    ----------
    vegaprotocol/specs 0019-MCAL (MIT). Its figure for a slippage factor of 100 contradicts its formula.
    """
    risk = np.where(position > 0, risk_factor_long, risk_factor_short)
    return np.asarray(np.abs(position) * mark * (linear_slippage_factor + risk), dtype=np.float64)


def hyperliquid_borrowable(balance: FloatArray, oracle_price: FloatArray, loan_to_value: FloatArray) -> FloatArray:
    """Hyperliquid portfolio margin: what may be borrowed against a token balance, quote currency.

    Parameters
    ----------
    balance, oracle_price, loan_to_value : ndarray of shape (n_tokens,)
        Tokens held, price of one, and the fraction of their value that may be borrowed (0.5 in the example).

    References
    ----------
    Hyperliquid documentation, support/faq/portfolio-margin
    """
    return balance * oracle_price * loan_to_value
