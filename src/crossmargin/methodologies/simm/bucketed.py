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

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.methodologies.simm.aggregation import (
    across_buckets,
    applied,
    clipped,
    concentrated_gradient,
    concentrated_square,
    runs,
    total,
)
from crossmargin.methodologies.simm.margins import CurvatureTerms, Form, Margin, curvature_terms
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
    """Risk factors of every scope after netting, in the order of the rows; one axis, `n_factors`.

    Parameters
    ----------
    rows : Rows
        What was netted.
    of_row : ndarray of shape (n_rows,)
        The factor that each row went into.
    bucket, qualifier, tenor : ndarray
        Which.
    amount : ndarray
        US dollars.
    issuer : ndarray
        Number of the qualifier in its scope's bucket: concentration is by these.
    name : ndarray
        Number of the name that correlations are by: the issuer, or its group.
    cell : ndarray
        Number of the scope's bucket, among those that are present.
    cell_of_issuer, cell_of_name, cell_scope, cell_bucket : ndarray
        What they belong to.
    scope_of_cell : ndarray of shape (n_cells,)
        Number of each cell's scope among those that are present.
    scopes : ndarray of shape (n_present_scopes,)
        Those.
    """

    rows: Rows
    of_row: IntArray
    bucket: IntArray
    qualifier: IntArray
    tenor: IntArray
    amount: FloatArray
    issuer: IntArray
    name: IntArray
    cell: IntArray
    cell_of_issuer: IntArray
    cell_of_name: IntArray
    cell_scope: IntArray
    cell_bucket: IntArray
    scope_of_cell: IntArray
    scopes: IntArray

    @property
    def bucket_of_issuer(self) -> IntArray:
        """Bucket of each issuer."""
        return self.cell_bucket[self.cell_of_issuer]


def netted(rows: Rows, *, by_group: bool = False) -> Factors:
    """Amounts of equal keys added up, and what each factor belongs to; rows in their canonical order."""
    of_row, first = runs(rows.scope, rows.bucket, rows.qualifier, rows.group, rows.sub_curve, rows.tenor)
    scope, bucket, qualifier, group = (one[first] for one in (rows.scope, rows.bucket, rows.qualifier, rows.group))
    cell, first_of_cell = runs(scope, bucket)
    issuer, first_of_issuer = runs(cell, qualifier)
    if by_group:
        _, first_of_name, name = np.unique(
            cell * (int(group.max(initial=0)) + 1) + group, return_index=True, return_inverse=True
        )
    else:
        name, first_of_name = issuer, first_of_issuer
    scope_of_cell, first_of_scope = runs(scope[first_of_cell])
    return Factors(
        rows=rows,
        of_row=of_row,
        bucket=bucket,
        qualifier=qualifier,
        tenor=rows.tenor[first],
        amount=total(rows.amount, of_row, len(first)),
        issuer=issuer,
        name=name,
        cell=cell,
        cell_of_issuer=cell[first_of_issuer],
        cell_of_name=cell[first_of_name],
        cell_scope=scope[first_of_cell],
        cell_bucket=bucket[first_of_cell],
        scope_of_cell=scope_of_cell,
        scopes=scope[first_of_cell][first_of_scope],
    )


def concentration(found: Factors, risk: FloatArray, threshold: FloatArray, applies: bool) -> FloatArray:
    """CR of every factor: that of its issuer.

    Parameters
    ----------
    risk : ndarray of shape (n_factors,)
        Sensitivity, or vega risk.
    threshold : ndarray of shape (n_issuers,)
        Of each issuer's bucket, US dollars.
    applies : bool
        Whether the calibration has concentration factors; 1 for all if not.
    """
    if not applies:
        return np.ones(len(risk))
    net = np.abs(total(risk, found.issuer, len(found.cell_of_issuer)))
    return np.asarray(np.maximum(1.0, np.sqrt(net / threshold))[found.issuer])


def linear_margin(found: Factors, weight: FloatArray, cr: FloatArray, family: Family, n_scopes: int) -> Margin:
    """Delta, vega or base correlation margin.

    Parameters
    ----------
    weight : ndarray of shape (n_factors,)
        Weighted sensitivity for a dollar, CR included.
    cr : ndarray of shape (n_factors,)
        Concentration factors.
    """
    x = weight * found.amount
    k = np.sqrt(square_within(found, x, cr, family))
    s = clipped(total(x, found.cell, len(k)), k)
    root = _root(found, k, s, family)
    return Margin(
        value=_dense(found, root + _residual(found, k, family), n_scopes),
        scope=found.cell_scope,
        bucket=found.cell_bucket,
        k=k,
        rows=found.rows,
        form=lambda: _form(found, weight, x, cr, family, s, _dense(found, root, n_scopes)),
    )


def curvature_margin(
    found: Factors,
    weight: FloatArray,
    family: Family,
    curvature_scale: float,
    n_scopes: int,
    *,
    by_issuer: bool,
    sign: float,
) -> Margin:
    """Curvature margin; the residual bucket has a theta of its own.

    Parameters
    ----------
    weight : ndarray of shape (n_factors,)
        Curvature risk for a dollar, on the call side.
    by_issuer : bool
        Whether theta's denominator nets over tenors of a qualifier before its absolute value.
    sign : float
        1 on the call side, -1 on the post side.
    """
    weight = sign * weight
    cvr = weight * found.amount
    squared = family.squared()
    k = np.sqrt(square_within(found, cvr, None, squared))
    signed = total(cvr, found.cell, len(k))
    s = clipped(signed, k)
    if by_issuer:
        net = total(cvr, found.issuer, len(found.cell_of_issuer))
        absolute = total(np.abs(net), found.cell_of_issuer, len(k))
        direction = np.sign(net)[found.issuer]
    else:
        absolute = total(np.abs(cvr), found.cell, len(k))
        direction = np.sign(cvr)
    is_residual = found.cell_bucket == family.residual
    terms = curvature_terms(
        sum_cvr=_both(found, signed, is_residual, n_scopes),
        sum_absolute=_both(found, absolute, is_residual, n_scopes),
        root=np.stack(
            [_dense(found, one, n_scopes) for one in (_root(found, k, s, squared), _residual(found, k, squared))]
        ),
        direction=direction,
        scale=curvature_scale,
        divisor=1.0,
    )
    return Margin(
        value=terms.value[0] + terms.value[1],
        scope=found.cell_scope,
        bucket=found.cell_bucket,
        k=k,
        rows=found.rows,
        form=lambda: _form(found, weight, cvr, None, squared, s, terms.root[0], terms),
    )


def _form(
    found: Factors,
    weight: FloatArray,
    x: FloatArray,
    cr: FloatArray | None,
    family: Family,
    s: FloatArray,
    root: FloatArray,
    curvature: CurvatureTerms | None = None,
) -> Form:
    cross = applied(_by_bucket(found, s, family), family.gamma)[found.cell_bucket, found.scope_of_cell]
    return Form(
        of_row=found.of_row,
        weight=weight[found.of_row],
        cell=found.cell,
        x=x,
        concentration=np.ones(len(x)) if cr is None else cr,
        correlated=correlated_within(found, x, cr, family),
        s=s,
        cross=cross,
        is_residual=found.cell_bucket == family.residual,
        root=root,
        curvature=curvature,
    )


def square_within(found: Factors, x: FloatArray, cr: FloatArray | None, family: Family) -> FloatArray:
    """K^2 of every cell, at least 0, `(n_cells,)`.

    Parameters
    ----------
    x : ndarray of shape (n_factors,)
        Weighted sensitivities, or curvature risks.
    cr : ndarray of shape (n_factors,), or None
        Concentration factors, the same for all factors of an issuer; `None` if there are none.
    """
    n_cells, n_names = len(found.cell_scope), len(found.cell_of_name)
    same, different = family.same[found.cell_bucket], family.different[found.cell_bucket]
    squares = total(x * x, found.cell, n_cells)
    if family.by_group and cr is not None:
        of_names = concentrated_square(x, cr, found.name, n_names)
    else:
        of_names = total(x, found.name, n_names) ** 2
    by_name = total(of_names, found.cell_of_name, n_cells)
    if cr is None:
        of_all = total(x, found.cell, n_cells) ** 2
    else:
        of_all = concentrated_square(*_by_issuer(found, x, cr), found.cell_of_issuer, n_cells)
    return np.maximum((1 - same) * squares + (same - different) * by_name + different * of_all, 0.0)


def correlated_within(found: Factors, x: FloatArray, cr: FloatArray | None, family: Family) -> FloatArray:
    """Each factor's cell as it is correlated with the factor: half the derivative of K^2, `(n_factors,)`."""
    n_cells, n_names = len(found.cell_scope), len(found.cell_of_name)
    same, different = family.same[found.bucket], family.different[found.bucket]
    if family.by_group and cr is not None:
        of_name = concentrated_gradient(x, cr, found.name, n_names)
    else:
        of_name = total(x, found.name, n_names)[found.name]
    if cr is None:
        of_all = total(x, found.cell, n_cells)[found.cell]
    else:
        of_all = concentrated_gradient(*_by_issuer(found, x, cr), found.cell_of_issuer, n_cells)[found.issuer]
    return np.asarray((1 - same) * x + (same - different) * of_name + different * of_all)


def _by_issuer(found: Factors, x: FloatArray, cr: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sum of each issuer's factors, all of which have one CR."""
    n_issuers = len(found.cell_of_issuer)
    of_issuer = np.ones(n_issuers)
    of_issuer[found.issuer] = cr
    return total(x, found.issuer, n_issuers), of_issuer


def _root(found: Factors, k: FloatArray, s: FloatArray, family: Family) -> FloatArray:
    """Across the buckets of each present scope but the residual one."""
    return np.sqrt(across_buckets(_by_bucket(found, k, family), _by_bucket(found, s, family), family.gamma))


def _by_bucket(found: Factors, of_cell: FloatArray, family: Family) -> FloatArray:
    """By bucket and present scope, the residual one left at 0."""
    dense = np.zeros((len(family.same), len(found.scopes)))
    dense[found.cell_bucket, found.scope_of_cell] = np.where(found.cell_bucket == family.residual, 0.0, of_cell)
    return dense


def _residual(found: Factors, k: FloatArray, family: Family) -> FloatArray:
    """K of each present scope's residual bucket."""
    own = np.where(found.cell_bucket == family.residual, k, 0.0)
    return total(own, found.scope_of_cell, len(found.scopes))


def _both(found: Factors, of_cell: FloatArray, is_residual: BoolArray, n_scopes: int) -> FloatArray:
    """Sums of every scope's buckets but the residual one, and of that, `(2, n_scopes)`."""
    return total(of_cell, found.cell_scope + np.where(is_residual, n_scopes, 0), 2 * n_scopes).reshape(2, n_scopes)


def _dense(found: Factors, of_scope: FloatArray, n_scopes: int) -> FloatArray:
    """What present scopes have, and 0 for the others."""
    dense = np.zeros(n_scopes)
    dense[found.scopes] = of_scope
    return dense
