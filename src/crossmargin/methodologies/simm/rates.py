"""Interest rates: a bucket a currency, with tenors on sub-curves, one inflation factor and one of cross-currency basis.

    delta       WS = RW(group, tenor) s CR; inflation RW s CR; basis RW s           CR over curve and inflation amounts
    vega        WS = VRW s CR, CR over all volatility amounts of the currency
    curvature   CVR = SF(t) s; correlations squared, no concentration; the whole divided by HVR^2

Between currencies the correlation is one number, times min(CR) / max(CR) for delta and vega.
"""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.methodologies.simm.aggregation import (
    clipped,
    concentrated_square,
    curvature_multiple,
    summed,
    total,
)
from crossmargin.methodologies.simm.margins import Margin, nothing
from crossmargin.methodologies.simm.parameters import RateParameters, SimmParameters
from crossmargin.methodologies.simm.rows import RiskType, Rows


def delta_margin(rows: Rows, currencies: tuple[str, ...], parameters: SimmParameters, n_scopes: int) -> Margin:
    """Delta margin of every scope.

    Parameters
    ----------
    rows : Rows
        Of the curve, of inflation and of basis.
    currencies : tuple of str
        Names behind the codes of qualifiers.
    """
    p = parameters.rates
    (scope, currency), _, cell = summed([rows.scope, rows.qualifier], rows.amount)
    n = len(scope)
    if not n:
        return nothing(np.zeros(n_scopes))
    of_curve, of_inflation, of_basis = (
        rows.risk_type == kind for kind in (RiskType.IR_CURVE, RiskType.INFLATION, RiskType.BASIS)
    )
    group, concentrated_in = _groups(currencies, p)
    s = np.zeros((n, len(p.sub_curves), len(p.tenors)))
    np.add.at(s, (cell[of_curve], rows.sub_curve[of_curve], rows.tenor[of_curve]), rows.amount[of_curve])
    inflation = total(np.where(of_inflation, rows.amount, 0.0), cell, n)
    basis = total(np.where(of_basis, rows.amount, 0.0), cell, n)
    net = s.sum(axis=(1, 2)) + inflation
    cr = _concentration(net, p.delta_threshold[concentrated_in[currency]], parameters)
    ws = s * p.risk_weight[group[currency]][:, None, :] * cr[:, None, None]
    ws_inflation, ws_basis = inflation * p.inflation_risk_weight * cr, basis * p.basis_risk_weight
    by_tenor = ws.sum(axis=1)
    curve = by_tenor.sum(axis=1)
    phi = p.sub_curve_correlation
    square = phi * _quadratic(by_tenor, p.tenor_correlation)
    for curve_number in np.flatnonzero(s.any(axis=(0, 2))).tolist():
        square += (1 - phi) * _quadratic(ws[:, curve_number], p.tenor_correlation)
    square += ws_inflation**2 + 2 * p.inflation_correlation * ws_inflation * curve
    square += ws_basis**2 + 2 * p.basis_correlation * ws_basis * (curve + ws_inflation)
    k = np.sqrt(np.maximum(square, 0.0))
    value = _across_currencies(scope, k, clipped(curve + ws_inflation + ws_basis, k), cr, p, n_scopes)
    return Margin(value=np.sqrt(value), scope=scope, bucket=currency, k=k)


def vega_margin(rows: Rows, currencies: tuple[str, ...], parameters: SimmParameters, n_scopes: int) -> Margin:
    """Vega margin of every scope; amounts are weighted with volatility already."""
    p = parameters.rates
    (scope, currency), _, cell = summed([rows.scope, rows.qualifier], rows.amount)
    if not len(scope):
        return nothing(np.zeros(n_scopes))
    vol, inflation = _volatilities(rows, cell, len(scope), np.ones(len(p.tenors)))
    _, concentrated_in = _groups(currencies, p)
    net = vol.sum(axis=1) + inflation
    cr = _concentration(net, p.vega_threshold[concentrated_in[currency]], parameters)
    vol, inflation = vol * (p.vega_risk_weight * cr)[:, None], inflation * p.vega_risk_weight * cr
    k = _of_volatilities(vol, inflation, p.tenor_correlation, p.inflation_correlation)
    s = clipped(vol.sum(axis=1) + inflation, k)
    value = _across_currencies(scope, k, s, cr, p, n_scopes)
    return Margin(value=np.sqrt(value), scope=scope, bucket=currency, k=k)


def curvature_margin(rows: Rows, parameters: SimmParameters, sign: float, n_scopes: int) -> Margin:
    """Curvature margin of every scope."""
    p = parameters.rates
    (scope, currency), _, cell = summed([rows.scope, rows.qualifier], rows.amount)
    if not len(scope):
        return nothing(np.zeros(n_scopes))
    vol, inflation = _volatilities(rows, cell, len(scope), sign * parameters.curvature_factors())
    k = _of_volatilities(vol, inflation, p.tenor_correlation**2, p.inflation_correlation**2)
    signed = vol.sum(axis=1) + inflation
    # Inflation of a currency is one factor, whatever tenors its rows have.
    absolute = np.abs(vol).sum(axis=1) + np.abs(inflation)
    square = _cross(scope, clipped(signed, k), np.ones(len(k)), p.currency_correlation**2, n_scopes)
    root = np.sqrt(np.maximum(total(k * k, scope, n_scopes) + square, 0.0))
    sum_cvr = total(signed, scope, n_scopes)
    multiple = curvature_multiple(parameters.curvature_scale, sum_cvr, total(absolute, scope, n_scopes))
    value = np.maximum(sum_cvr + multiple * root, 0.0) / p.historical_volatility_ratio**2
    return Margin(value=value, scope=scope, bucket=currency, k=k)


def _groups(currencies: tuple[str, ...], p: RateParameters) -> tuple[IntArray, IntArray]:
    """Volatility group and concentration group of each name."""
    return (
        np.array([p.volatility.group(name) for name in currencies], dtype=np.int64),
        np.array([p.concentration.group(name) for name in currencies], dtype=np.int64),
    )


def _concentration(net: FloatArray, threshold: FloatArray, parameters: SimmParameters) -> FloatArray:
    if not parameters.has_concentration:
        return np.ones(len(net))
    return np.asarray(np.maximum(1.0, np.sqrt(np.abs(net) / threshold)))


def _quadratic(x: FloatArray, matrix: FloatArray) -> FloatArray:
    """`x' M x` of every row, term by term in one order."""
    column = x.T.copy()
    found = np.zeros(len(x))
    for k in range(len(column)):
        row = np.zeros(len(x))
        for j in range(len(column)):
            row += matrix[k, j] * column[j]
        found += column[k] * row
    return found


def _volatilities(rows: Rows, cell: IntArray, n: int, by_tenor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Amounts by currency and tenor, and those of inflation in one, each times what its tenor has."""
    scaled = rows.amount * by_tenor[rows.tenor]
    of_inflation = rows.risk_type == RiskType.INFLATION_VOL
    vol = np.zeros((n, len(by_tenor)))
    np.add.at(vol, (cell[~of_inflation], rows.tenor[~of_inflation]), scaled[~of_inflation])
    return vol, total(np.where(of_inflation, scaled, 0.0), cell, n)


def _of_volatilities(vol: FloatArray, inflation: FloatArray, tenors: FloatArray, rho: float) -> FloatArray:
    square = _quadratic(vol, tenors) + inflation**2 + 2 * rho * inflation * vol.sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _cross(scope: IntArray, s: FloatArray, cr: FloatArray, gamma: float, n_scopes: int) -> FloatArray:
    """Cross terms between currencies, each pair twice."""
    return np.asarray(gamma * (concentrated_square(s, cr, scope, n_scopes) - total(s * s, scope, n_scopes)))


def _across_currencies(
    scope: IntArray, k: FloatArray, s: FloatArray, cr: FloatArray, p: RateParameters, n_scopes: int
) -> FloatArray:
    cross = _cross(scope, s, cr, p.currency_correlation, n_scopes)
    return np.asarray(np.maximum(total(k * k, scope, n_scopes) + cross, 0.0))
