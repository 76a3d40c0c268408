"""Credit, equity and commodity: buckets that are listed, names within them; currency volatilities, as one bucket.

    delta       WS = RW_bucket s CR_name                    CR = max(1, sqrt(|sum of a name's s| / T_bucket))
    vega        WS = VRW_bucket VR CR_name                  VR = HVR sigma s, or s where amounts are weighted already
    curvature   CVR = SF(t) sigma s                         no concentration; correlations squared

The residual bucket's margin is added outside the root. Two factors of one name have the first correlation of the
bucket, of two names the second; in non-qualifying credit a name is the group (label 2), though concentration is by
qualifier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.methodologies.simm.aggregation import (
    across_buckets,
    clipped,
    correlated_square,
    curvature_multiple,
    summed,
    total,
)
from crossmargin.methodologies.simm.margins import Margin, nothing
from crossmargin.methodologies.simm.rows import Rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """What is the same for every row of a risk class's margin type; arrays of shape `(n_buckets,)`.

    Parameters
    ----------
    same, different : ndarray
        Correlation of two factors of one name, and of two names.
    gamma : ndarray of shape (n_buckets, n_buckets)
        Between buckets; 0 on the diagonal and for the residual bucket.
    residual : int
        The bucket that is added outside the root; -1 if there is none.
    by_group : bool
        Whether a name is what label 2 says.
    """

    same: FloatArray
    different: FloatArray
    gamma: FloatArray
    residual: int
    by_group: bool

    @property
    def n_buckets(self) -> int:
        """How many there are."""
        return len(self.same)

    def squared(self) -> Family:
        """Of curvature: every correlation squared."""
        return Family(
            same=self.same**2,
            different=self.different**2,
            gamma=self.gamma**2,
            residual=self.residual,
            by_group=self.by_group,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    """Risk factors of every scope after netting; one axis, `n_factors`.

    Parameters
    ----------
    scope, bucket, qualifier, tenor : ndarray
        Whose, and which.
    name : ndarray
        Number of the name that correlations are by; in `bucket_of_name`.
    amount : ndarray
        US dollars.
    cell : ndarray
        Number of the scope's bucket: into the present ones.
    cell_scope, cell_bucket : ndarray of shape (n_cells,)
        Those.
    of_row : ndarray of shape (n_rows,)
        The factor that each row went into.
    """

    scope: IntArray
    bucket: IntArray
    qualifier: IntArray
    tenor: IntArray
    name: IntArray
    cell_of_name: IntArray
    issuer: IntArray
    cell_of_issuer: IntArray
    amount: FloatArray
    cell: IntArray
    cell_scope: IntArray
    cell_bucket: IntArray
    of_row: IntArray


def netted(rows: Rows, by_group: bool) -> Factors:
    """Amounts of equal keys added up, and what each factor belongs to."""
    keys, amount, of_row = summed(
        [rows.scope, rows.bucket, rows.qualifier, rows.tenor, rows.sub_curve, rows.group], rows.amount
    )
    scope, bucket, qualifier, tenor, _, group = keys
    (cell_scope, cell_bucket), _, cell = summed([scope, bucket], amount)
    (cell_of_issuer, _), _, issuer = summed([cell, qualifier], amount)
    (cell_of_name, _), _, name = summed([cell, group if by_group else qualifier], amount)
    return Factors(
        scope=scope,
        bucket=bucket,
        qualifier=qualifier,
        tenor=tenor,
        name=name,
        cell_of_name=cell_of_name,
        issuer=issuer,
        cell_of_issuer=cell_of_issuer,
        amount=amount,
        cell=cell,
        cell_scope=cell_scope,
        cell_bucket=cell_bucket,
        of_row=of_row,
    )


def concentration(found: Factors, risk: FloatArray, threshold: FloatArray, applies: bool) -> FloatArray:
    """CR of every factor: that of its issuer.

    Parameters
    ----------
    risk : ndarray of shape (n_factors,)
        Sensitivity, or vega risk.
    threshold : ndarray of shape (n_issuers,)
        Of each issuer's bucket, US dollars.
    """
    if not applies:
        return np.ones(len(risk))
    net = np.abs(total(risk, found.issuer, len(found.cell_of_issuer)))
    return np.asarray(np.maximum(1.0, np.sqrt(net / threshold))[found.issuer])


def linear_margin(found: Factors, ws: FloatArray, cr: FloatArray, family: Family, n_scopes: int) -> Margin:
    """Delta or vega margin of weighted sensitivities."""
    k, s = _cells(found, ws, cr, family)
    dense_k, dense_s = _dense(found, k, n_scopes, family), _dense(found, s, n_scopes, family)
    value = np.sqrt(across_buckets(dense_k, dense_s, family.gamma))
    if family.residual >= 0:
        value = value + _residual(found, k, n_scopes, family)
    return Margin(value=value, scope=found.cell_scope, bucket=found.cell_bucket, k=k)


def curvature_margin(
    found: Factors, cvr: FloatArray, family: Family, curvature_scale: float, n_scopes: int, *, by_issuer: bool
) -> Margin:
    """Curvature margin of curvature risks.

    Parameters
    ----------
    by_issuer : bool
        Whether theta's denominator nets over tenors of a qualifier before its absolute value.
    """
    if not len(cvr):
        return nothing(np.zeros(n_scopes))
    squared = family.squared()
    k, s = _cells(found, cvr, np.ones(len(cvr)), squared)
    if by_issuer:
        net = np.abs(total(cvr, found.issuer, len(found.cell_of_issuer)))
        absolute = total(net, found.cell_of_issuer, len(found.cell_scope))
    else:
        absolute = total(np.abs(cvr), found.cell, len(found.cell_scope))
    signed = total(cvr, found.cell, len(found.cell_scope))
    value = np.zeros(n_scopes)
    of_residual = found.cell_bucket == family.residual
    for part in (~of_residual, of_residual):
        if not part.any():
            continue
        scope = found.cell_scope[part]
        sum_cvr, sum_abs = total(signed[part], scope, n_scopes), total(absolute[part], scope, n_scopes)
        kept = np.where(part, k, 0.0)
        if part is of_residual:
            root = _residual(found, k, n_scopes, family)
        else:
            root = np.sqrt(
                across_buckets(
                    _dense(found, kept, n_scopes, squared),
                    _dense(found, np.where(part, s, 0.0), n_scopes, squared),
                    squared.gamma,
                )
            )
        multiple = curvature_multiple(curvature_scale, sum_cvr, sum_abs)
        value += np.maximum(sum_cvr + multiple * root, 0.0)
    return Margin(value=value, scope=found.cell_scope, bucket=found.cell_bucket, k=k)


def _cells(found: Factors, x: FloatArray, cr: FloatArray, family: Family) -> tuple[FloatArray, FloatArray]:
    """K and clipped S of the buckets that are present."""
    same, different = family.same[found.cell_bucket], family.different[found.cell_bucket]
    k = np.sqrt(correlated_square(x, cr, found.name, found.cell_of_name, same, different))
    return k, clipped(total(x, found.cell, len(found.cell_scope)), k)


def _dense(found: Factors, of_cell: FloatArray, n_scopes: int, family: Family) -> FloatArray:
    """By scope and bucket, the residual one left at 0."""
    dense = np.zeros((n_scopes, family.n_buckets))
    dense[found.cell_scope, found.cell_bucket] = np.where(found.cell_bucket == family.residual, 0.0, of_cell)
    return dense


def _residual(found: Factors, k: FloatArray, n_scopes: int, family: Family) -> FloatArray:
    return total(np.where(found.cell_bucket == family.residual, k, 0.0), found.cell_scope, n_scopes)
