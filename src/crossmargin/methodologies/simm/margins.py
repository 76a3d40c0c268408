"""What a risk class's calculation gives: figures by scope and bucket, and the quadratic form behind them.

    K_b^2   = sum over the bucket's factors of x h       h = sum over its factors l of rho f x_l
    root^2  = sum over buckets of K_b^2 + S_b C_b        C_b = sum over other buckets c of gamma f S_c

Written so, every factor and every bucket has a term of its own, and terms are as many as factors, not as pairs of them.
Only allocations and explanations ask for the form, so that it is calculated when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.methodologies.simm.aggregation import curvature_multiple, curvature_theta
from crossmargin.methodologies.simm.rows import Rows

DELTA, VEGA, CURVATURE, BASE_CORRELATION = "Delta", "Vega", "Curvature", "BaseCorr"
"""Margin types, as the field's reports spell them."""
MARGIN_TYPES = (DELTA, VEGA, CURVATURE, BASE_CORRELATION)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurvatureTerms:
    """What curvature adds around the root: `max(sum CVR + lambda root, 0) / divisor`, the residual bucket apart.

    Parameters
    ----------
    sum_cvr, sum_absolute, theta, multiple, root, value : ndarray of shape (2, n_scopes)
        Of all buckets but the residual one, and of that; `multiple` is lambda, `value` is before the divisor.
    direction : ndarray of shape (n_factors,)
        Sign with which each risk counts in the denominator of theta.
    scale : float
        Of lambda: `scale (1 + theta) - theta`.
    divisor : float
        1, or for rates the square of their volatility ratio.
    """

    sum_cvr: FloatArray
    sum_absolute: FloatArray
    theta: FloatArray
    multiple: FloatArray
    root: FloatArray
    value: FloatArray
    direction: FloatArray
    scale: float
    divisor: float


def curvature_terms(
    *,
    sum_cvr: FloatArray,
    sum_absolute: FloatArray,
    root: FloatArray,
    direction: FloatArray,
    scale: float,
    divisor: float,
) -> CurvatureTerms:
    """Theta, lambda and the value of each part, from sums and roots of shape `(2, n_scopes)`."""
    theta = curvature_theta(sum_cvr, sum_absolute)
    multiple = curvature_multiple(scale, theta)
    return CurvatureTerms(
        sum_cvr=sum_cvr,
        sum_absolute=sum_absolute,
        theta=theta,
        multiple=multiple,
        root=root,
        value=np.maximum(sum_cvr + multiple * root, 0.0),
        direction=direction,
        scale=scale,
        divisor=divisor,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """Factors and buckets of a margin; buckets in the order of its own.

    Parameters
    ----------
    of_row : ndarray of shape (n_rows,)
        The factor that each row went into.
    weight : ndarray of shape (n_rows,)
        What a dollar in the row gives its factor's `x`: risk weights, and concentration.
    cell : ndarray of shape (n_factors,)
        The bucket of each factor.
    x : ndarray of shape (n_factors,)
        Weighted sensitivity, or curvature risk.
    concentration : ndarray of shape (n_factors,)
        CR.
    correlated : ndarray of shape (n_factors,)
        `h`: the bucket's factors as they are correlated with this one.
    s, cross : ndarray of shape (n_buckets,)
        Sum of the bucket within its own K, and `C`.
    is_residual : ndarray of shape (n_buckets,)
        Buckets that are added outside the root.
    root : ndarray of shape (n_scopes,)
        Of the others.
    curvature : CurvatureTerms, optional
        If it is one.
    """

    of_row: IntArray
    weight: FloatArray
    cell: IntArray
    x: FloatArray
    concentration: FloatArray
    correlated: FloatArray
    s: FloatArray
    cross: FloatArray
    is_residual: BoolArray
    root: FloatArray
    curvature: CurvatureTerms | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Margin:
    """One margin type of one risk class.

    Parameters
    ----------
    value : ndarray of shape (n_scopes,)
        US dollars, at least 0.
    scope, bucket : ndarray of shape (n_present,)
        The buckets that some scope has: whose, and which (of rates the index of a currency's name).
    k : ndarray of shape (n_present,)
        Margin of each bucket alone.
    rows : Rows
        The rows that it is made of.
    form : callable
        What is behind it.
    """

    value: FloatArray
    scope: IntArray
    bucket: IntArray
    k: FloatArray
    rows: Rows
    form: Callable[[], Form]


def nothing(rows: Rows, n_scopes: int) -> Margin:
    """A margin of 0, since no row counts."""
    index, number = np.zeros(0, dtype=np.int64), np.zeros(0)
    form = Form(
        of_row=index,
        weight=number,
        cell=index,
        x=number,
        concentration=number,
        correlated=number,
        s=number,
        cross=number,
        is_residual=np.zeros(0, dtype=np.bool_),
        root=np.zeros(n_scopes),
    )
    return Margin(
        value=np.zeros(n_scopes), scope=index, bucket=index, k=number, rows=rows.take(index), form=lambda: form
    )
