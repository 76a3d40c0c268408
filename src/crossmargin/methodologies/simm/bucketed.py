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
from functools import partial

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.methodologies.simm.aggregation import (
    across_buckets,
    applied,
    clipped,
    concentrated_gradient,
    concentrated_square,
    curvature_multiple,
    curvature_theta,
    ratio,
    runs,
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
    if not len(weight):
        return nothing(found.rows, n_scopes)
    x = weight * found.amount
    k = np.sqrt(square_within(found, x, cr, family))
    s = clipped(total(x, found.cell, len(k)), k)
    root = np.sqrt(across_buckets(_dense(found, k, family), _dense(found, s, family), family.gamma))
    value = np.zeros(n_scopes)
    value[found.scopes] = root + _residual(found, k, family)
    return Margin(
        value=value,
        scope=found.cell_scope,
        bucket=found.cell_bucket,
        k=k,
        rows=found.rows,
        slope=partial(_linear_slope, found, weight, cr, family, k, s, root),
    )


def _linear_slope(
    found: Factors, weight: FloatArray, cr: FloatArray, family: Family, k: FloatArray, s: FloatArray, root: FloatArray
) -> FloatArray:
    return np.asarray((_root_slope(found, weight * found.amount, cr, family, k, s, root) * weight)[found.of_row])


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
    if not len(weight):
        return nothing(found.rows, n_scopes)
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
    root = np.sqrt(across_buckets(_dense(found, k, squared), _dense(found, s, squared), squared.gamma))
    is_residual = found.cell_bucket == family.residual
    parts = tuple(
        _CurvaturePart.of(found, part, signed, absolute, of_part, curvature_scale)
        for part, of_part in ((~is_residual, root), (is_residual, _residual(found, k, squared)))
    )
    value = np.zeros(n_scopes)
    value[found.scopes] = parts[0].value + parts[1].value
    return Margin(
        value=value,
        scope=found.cell_scope,
        bucket=found.cell_bucket,
        k=k,
        rows=found.rows,
        slope=partial(_curvature_slope, found, weight, squared, k, s, root, parts, direction, curvature_scale),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _CurvaturePart:
    """Either every bucket but the residual one, or that: `max(sum CVR + lambda root, 0)`, `(n_present_scopes,)`."""

    cells: BoolArray
    absolute: FloatArray
    theta: FloatArray
    multiple: FloatArray
    root: FloatArray
    value: FloatArray

    @classmethod
    def of(
        cls,
        found: Factors,
        cells: BoolArray,
        signed: FloatArray,
        absolute: FloatArray,
        root: FloatArray,
        curvature_scale: float,
    ) -> _CurvaturePart:
        n = len(found.scopes)
        sum_cvr = total(np.where(cells, signed, 0.0), found.scope_of_cell, n)
        sum_absolute = total(np.where(cells, absolute, 0.0), found.scope_of_cell, n)
        theta = curvature_theta(sum_cvr, sum_absolute)
        multiple = curvature_multiple(curvature_scale, theta)
        return cls(
            cells=cells,
            absolute=sum_absolute,
            theta=theta,
            multiple=multiple,
            root=root,
            value=np.maximum(sum_cvr + multiple * root, 0.0),
        )


def _curvature_slope(
    found: Factors,
    weight: FloatArray,
    family: Family,
    k: FloatArray,
    s: FloatArray,
    root: FloatArray,
    parts: tuple[_CurvaturePart, ...],
    direction: FloatArray,
    curvature_scale: float,
) -> FloatArray:
    """Theta moves with the risks too; it is of order 0 in them, so that slopes still sum to the margin."""
    of_root = _root_slope(found, weight * found.amount, None, family, k, s, root)
    slope = np.zeros(len(weight))
    scope = found.scope_of_cell[found.cell]
    for part in parts:
        of_theta = np.where(
            part.theta[scope] < 0, ratio(1.0 - part.theta[scope] * direction, part.absolute[scope]), 0.0
        )
        own = 1.0 + part.multiple[scope] * of_root + part.root[scope] * (curvature_scale - 1.0) * of_theta
        slope += np.where(part.cells[found.cell] & (part.value[scope] > 0), own, 0.0)
    return np.asarray((slope * weight)[found.of_row])


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


def half_gradient(found: Factors, x: FloatArray, cr: FloatArray | None, family: Family) -> FloatArray:
    """Half the derivative of each cell's K^2 by its factors, `(n_factors,)`; see `square_within`."""
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


def _root_slope(
    found: Factors,
    x: FloatArray,
    cr: FloatArray | None,
    family: Family,
    k: FloatArray,
    s: FloatArray,
    root: FloatArray,
) -> FloatArray:
    """Derivative of the root across buckets, or of the residual bucket's K, by each factor, `(n_factors,)`."""
    half = half_gradient(found, x, cr, family)
    cross = applied(_dense(found, s, family), family.gamma)[found.cell_bucket, found.scope_of_cell]
    inside = np.abs(total(x, found.cell, len(k))) <= k  # where S is clipped it moves with K
    of_s = np.where(inside[found.cell], 1.0, ratio(half * np.sign(s)[found.cell], k[found.cell]))
    half = np.where(k[found.cell] > 0, half, 0.0)
    of_root = ratio(
        half + cross[found.cell] * np.where(k[found.cell] > 0, of_s, 0.0), root[found.scope_of_cell][found.cell]
    )
    is_residual = (found.cell_bucket == family.residual)[found.cell]
    return np.where(is_residual, ratio(half, k[found.cell]), of_root)


def _dense(found: Factors, of_cell: FloatArray, family: Family) -> FloatArray:
    """By bucket and present scope, the residual one left at 0."""
    dense = np.zeros((len(family.same), len(found.scopes)))
    dense[found.cell_bucket, found.scope_of_cell] = np.where(found.cell_bucket == family.residual, 0.0, of_cell)
    return dense


def _residual(found: Factors, k: FloatArray, family: Family) -> FloatArray:
    """K of each present scope's residual bucket."""
    own = np.where(found.cell_bucket == family.residual, k, 0.0)
    return total(own, found.scope_of_cell, len(found.scopes))
