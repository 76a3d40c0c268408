"""Interest rates: a bucket a currency, with tenors on sub-curves, one inflation factor and one of cross-currency basis.

    delta       WS = RW(group, tenor) s CR; inflation RW s CR; basis RW s           CR over curve and inflation amounts
    vega        WS = VRW s CR, CR over all volatility amounts of the currency
    curvature   CVR = SF(t) s; correlations squared, no concentration; the whole divided by HVR^2

Between currencies the correlation is one number, times min(CR) / max(CR) for delta and vega. Arrays of factors have
shape `(n_factors, n_cells)`, a cell being a currency of a scope: the factors are the tenors of each sub-curve, then
inflation, then basis, in whose order all sums run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.methodologies.simm.aggregation import (
    applied,
    clipped,
    concentrated_gradient,
    concentrated_square,
    quadratic,
    rows_added,
    total,
)
from crossmargin.methodologies.simm.margins import CurvatureTerms, Form, Margin, curvature_terms
from crossmargin.methodologies.simm.parameters import RateParameters, SimmParameters
from crossmargin.methodologies.simm.rows import RiskType, Rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RateFactors:
    """Amounts of every scope's currencies after netting.

    Parameters
    ----------
    rows : Rows
        What was netted.
    flat : ndarray of shape (n_rows,)
        Place of each row's factor in `amount`, flattened.
    scope, currency : ndarray of shape (n_cells,)
        Whose, and the index of the currency's name.
    amount : ndarray of shape (n_factors, n_cells)
        US dollars.
    """

    rows: Rows
    flat: IntArray
    scope: IntArray
    currency: IntArray
    amount: FloatArray


def netted(rows: Rows, factor: IntArray, n_factors: int) -> RateFactors:
    """Amounts by factor and currency; `factor` has shape `(n_rows,)`."""
    n_names = len(rows.names)
    cells, cell = np.unique(rows.scope * n_names + rows.qualifier, return_inverse=True)
    flat = factor * len(cells) + cell
    return RateFactors(
        rows=rows,
        flat=flat,
        scope=cells // n_names,
        currency=cells % n_names,
        amount=total(rows.amount, flat, n_factors * len(cells)).reshape(n_factors, len(cells)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RateCorrelations:
    """Correlation of factors in the order of `RateFactors`, and of currencies.

    Tenors of two sub-curves have the tenors' correlation times that of sub-curves. What comes after them, inflation
    and basis, has one correlation with everything that stands before it.
    """

    tenors: FloatArray
    sub_curve: float
    after: tuple[float, ...]
    currency: float

    def squared(self) -> RateCorrelations:
        """Of curvature."""
        return RateCorrelations(
            tenors=self.tenors**2,
            sub_curve=self.sub_curve**2,
            after=tuple(one**2 for one in self.after),
            currency=self.currency**2,
        )

    def square(self, x: FloatArray) -> FloatArray:
        """K^2 of every cell, at least 0, from weighted sensitivities of shape `(n_factors, n_cells)`."""
        curves, rest = self._curves(x)
        found = self.sub_curve * quadratic(rows_added(curves), self.tenors)
        for curve in curves:
            if curve.any():
                found += (1 - self.sub_curve) * quadratic(curve, self.tenors)
        before = rows_added(rows_added(curves))
        for rho, own in zip(self.after, rest, strict=True):
            found += own * (own + 2 * rho * before)
            before = before + own
        return np.maximum(found, 0.0)

    def half_gradient(self, x: FloatArray) -> FloatArray:
        """Half the derivative of `square` by each factor."""
        curves, rest = self._curves(x)
        of_all = self.sub_curve * applied(rows_added(curves), self.tenors)
        of_curves = [of_all + (1 - self.sub_curve) * applied(curve, self.tenors) for curve in curves]
        half = np.concatenate([*of_curves, rest])
        n_curves = len(curves) * len(self.tenors)
        before = rows_added(rows_added(curves))
        for k, (rho, own) in enumerate(zip(self.after, rest, strict=True)):
            half[n_curves + k] += rho * before
            half[: n_curves + k] += rho * own
            before = before + own
        return half

    def _curves(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = len(x) - len(self.after)
        return x[:n].reshape(-1, len(self.tenors), x.shape[1]), x[n:]


def delta_margin(rows: Rows, parameters: SimmParameters, n_scopes: int) -> Margin:
    """Delta margin of every scope, from rows of the curve, of inflation and of basis."""
    p = parameters.rates
    n_curve = len(p.sub_curves) * len(p.tenors)
    factor = rows.sub_curve * len(p.tenors) + rows.tenor
    factor = np.where(rows.risk_type == RiskType.INFLATION, n_curve, factor)
    factor = np.where(rows.risk_type == RiskType.BASIS, n_curve + 1, factor)
    found = netted(rows, factor, n_curve + 2)
    group = _groups(found, p.volatility.group)
    cr = _concentration(found, found.amount[: n_curve + 1], p.delta_threshold, parameters)
    weight = np.empty_like(found.amount)
    weight[:n_curve] = np.tile(p.risk_weight.T[:, group] * cr, (len(p.sub_curves), 1))
    weight[n_curve] = p.inflation_risk_weight * cr
    weight[n_curve + 1] = p.basis_risk_weight
    correlations = RateCorrelations(
        tenors=p.tenor_correlation,
        sub_curve=p.sub_curve_correlation,
        after=(p.inflation_correlation, p.basis_correlation),
        currency=p.currency_correlation,
    )
    return _linear_margin(found, weight, cr, correlations, n_scopes)


def volatilities(rows: Rows, p: RateParameters) -> RateFactors:
    """Volatility amounts by tenor, and those of inflation, whose tenors are one factor, last."""
    of_inflation = rows.risk_type == RiskType.INFLATION_VOL
    return netted(rows, np.where(of_inflation, len(p.tenors), rows.tenor), len(p.tenors) + 1)


def _volatility_correlations(p: RateParameters) -> RateCorrelations:
    return RateCorrelations(
        tenors=p.tenor_correlation,
        sub_curve=1.0,
        after=(p.inflation_correlation,),
        currency=p.currency_correlation,
    )


def vega_margin(rows: Rows, parameters: SimmParameters, n_scopes: int) -> Margin:
    """Vega margin of every scope; amounts are weighted with volatility already."""
    p = parameters.rates
    found = volatilities(rows, p)
    cr = _concentration(found, found.amount, p.vega_threshold, parameters)
    weight = np.broadcast_to(p.vega_risk_weight * cr, found.amount.shape)
    return _linear_margin(found, weight, cr, _volatility_correlations(p), n_scopes)


def _linear_margin(
    found: RateFactors, weight: FloatArray, cr: FloatArray, correlations: RateCorrelations, n_scopes: int
) -> Margin:
    x = weight * found.amount
    k = np.sqrt(correlations.square(x))
    s = clipped(rows_added(x), k)
    root = _root(found, k, s, cr, correlations.currency, n_scopes)
    return Margin(
        value=root,
        scope=found.scope,
        bucket=found.currency,
        k=k,
        rows=found.rows,
        form=lambda: _form(found, weight.reshape(-1)[found.flat], x, cr, correlations, s, root),
    )


def curvature_margin(rows: Rows, parameters: SimmParameters, n_scopes: int, *, sign: float) -> Margin:
    """Curvature margin of every scope; `sign` is 1 on the call side, -1 on the post side."""
    p = parameters.rates
    # Inflation of a currency is one factor, but each of its rows is scaled by its own tenor.
    scaling = sign * parameters.curvature_factors()[rows.tenor]
    found = volatilities(rows, p)
    cvr = total(rows.amount * scaling, found.flat, found.amount.size).reshape(found.amount.shape)
    correlations = _volatility_correlations(p).squared()
    k = np.sqrt(correlations.square(cvr))
    signed = rows_added(cvr)
    s = clipped(signed, k)
    cr = np.ones(len(k))
    root = _root(found, k, s, cr, correlations.currency, n_scopes)
    terms = curvature_terms(
        sum_cvr=_without_residual(total(signed, found.scope, n_scopes)),
        sum_absolute=_without_residual(total(rows_added(np.abs(cvr)), found.scope, n_scopes)),
        root=_without_residual(root),
        direction=np.sign(cvr).reshape(-1),
        scale=parameters.curvature_scale,
        divisor=p.historical_volatility_ratio**2,
    )
    return Margin(
        value=terms.value[0] / terms.divisor,
        scope=found.scope,
        bucket=found.currency,
        k=k,
        rows=rows,
        form=lambda: _form(found, scaling, cvr, cr, correlations, s, root, terms),
    )


def _without_residual(of_scope: FloatArray) -> FloatArray:
    return np.stack([of_scope, np.zeros(len(of_scope))])


def _root(found: RateFactors, k: FloatArray, s: FloatArray, cr: FloatArray, gamma: float, n_scopes: int) -> FloatArray:
    """Across the currencies of each scope, each pair of them twice."""
    cross = gamma * (concentrated_square(s, cr, found.scope, n_scopes) - total(s * s, found.scope, n_scopes))
    return np.sqrt(np.maximum(total(k * k, found.scope, n_scopes) + cross, 0.0))


def _form(
    found: RateFactors,
    weight: FloatArray,
    x: FloatArray,
    cr: FloatArray,
    correlations: RateCorrelations,
    s: FloatArray,
    root: FloatArray,
    curvature: CurvatureTerms | None = None,
) -> Form:
    """The factors are all that a currency might have; those without a row weigh nothing."""
    n_factors, n_cells = x.shape
    return Form(
        of_row=found.flat,
        weight=weight,
        cell=np.tile(np.arange(n_cells), n_factors),
        x=x.reshape(-1),
        concentration=np.tile(cr, n_factors),
        correlated=correlations.half_gradient(x).reshape(-1),
        s=s,
        cross=correlations.currency * (concentrated_gradient(s, cr, found.scope, len(root)) - s),
        is_residual=np.zeros(n_cells, dtype=np.bool_),
        root=root,
        curvature=curvature,
    )


def _groups(found: RateFactors, group: Callable[[str], int]) -> IntArray:
    """Group of each cell's currency; each name is looked up once."""
    used, place = np.unique(found.currency, return_inverse=True)
    return np.array([group(found.rows.names[code]) for code in used.tolist()], dtype=np.int64)[place]


def _concentration(
    found: RateFactors, amount: FloatArray, threshold: FloatArray, parameters: SimmParameters
) -> FloatArray:
    """CR of each cell: over the net of these factors."""
    if not parameters.has_concentration:
        return np.ones(amount.shape[1])
    limit = threshold[_groups(found, parameters.rates.concentration.group)]
    return np.asarray(np.maximum(1.0, np.sqrt(np.abs(rows_added(amount)) / limit)))
