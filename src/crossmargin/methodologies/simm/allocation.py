"""What each row contributes to the total: Euler's rule, in closed form.

    contribution = s dTotal/ds          concentration factors held

With those held, every step is of order one in the sensitivities, or leaves order one as it is (theta is of order zero),
so that contributions sum to the total. What one might question: concentration factors grow with the root of a position,
and without holding them contributions would sum to more than is required. A multiplier multiplies the contributions of
its product class; fixed amounts and notionals contribute what they add. A hedge contributes less than nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.methodologies.simm.aggregation import applied, ratio, total
from crossmargin.methodologies.simm.margins import Form, Margin
from crossmargin.methodologies.simm.parameters import RiskClass
from crossmargin.methodologies.simm.recipe import SimmBreakdown
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES

ADD_ON = "AdditionalIM"
"""Margin type of what fixed amounts and notionals contribute."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contributions:
    """What rows contribute to one margin type of one risk class; one axis.

    Parameters
    ----------
    risk_class : RiskClass or None
        `None` of add-ons.
    margin_type : str
        `Delta`, `Vega`, `Curvature`, `BaseCorr` or `AdditionalIM`.
    source : ndarray
        Row of the sensitivities, from 0.
    scope : ndarray
        Portfolio times product classes, plus product class.
    weighted : ndarray
        Weighted sensitivity or curvature risk of the row, US dollars.
    concentration : ndarray
        Factor in it.
    amount : ndarray
        Contribution, in the calculation currency.
    """

    risk_class: RiskClass | None
    margin_type: str
    source: IntArray
    scope: IntArray
    weighted: FloatArray
    concentration: FloatArray
    amount: FloatArray


def contributions(b: SimmBreakdown) -> tuple[Contributions, ...]:
    """Contributions of all rows to the totals of their portfolios, margin by margin.

    A row of volatility contributes to vega and to curvature. Contributions of a portfolio sum to its total, up to the
    rounding of the sum.
    """
    n_classes = len(PRODUCT_CLASSES)
    by_class = b.risk_class.reshape(-1, len(RiskClass)).T
    of_product = b.product_class.reshape(-1)
    # The total moves with a risk class as the root does, and by the multiplier.
    share = ratio(applied(by_class, b.parameters.psi), of_product[None, :]) * (1.0 + b.add_ons.multiplier.reshape(-1))
    found = []
    for (risk_class, margin_type), margin in b.margins.items():
        if not len(margin.rows):
            continue
        form, rows = margin.form(), margin.rows
        slope = slopes(margin, form) * share[risk_class][rows.scope] / b.usd_per_unit
        found.append(
            Contributions(
                risk_class=risk_class,
                margin_type=margin_type,
                source=rows.source,
                scope=rows.scope,
                weighted=form.weight * rows.amount,
                concentration=form.concentration[form.of_row],
                amount=slope * rows.amount,
            )
        )
    rows = b.add_ons.rows
    if len(rows):
        found.append(
            Contributions(
                risk_class=None,
                margin_type=ADD_ON,
                source=rows.source,
                scope=rows.scope // n_classes * n_classes,
                weighted=b.add_ons.of_row,
                concentration=np.ones(len(rows)),
                amount=b.add_ons.of_row / b.usd_per_unit,
            )
        )
    return tuple(found)


def slopes(margin: Margin, form: Form) -> FloatArray:
    """Change of the scope's margin for a dollar more in each row, `(n_rows,)`, concentration factors held.

    Amounts times slopes sum to the margin. A margin at a floor or at a kink has the slope of its value as it is.
    """
    scope = margin.scope[form.cell]
    of_root = _root_slopes(margin, form, scope)
    terms = form.curvature
    if terms is None:
        return np.asarray(of_root[form.of_row] * form.weight)
    part = form.is_residual[form.cell].astype(np.int64)
    theta, absolute = terms.theta[part, scope], terms.sum_absolute[part, scope]
    of_theta = np.where(theta < 0, ratio(1.0 - theta * terms.direction, absolute), 0.0)
    own = 1.0 + terms.multiple[part, scope] * of_root + terms.root[part, scope] * (terms.scale - 1.0) * of_theta
    own = np.where(terms.value[part, scope] > 0, own, 0.0) / terms.divisor
    return np.asarray(own[form.of_row] * form.weight)


def _root_slopes(margin: Margin, form: Form, scope: IntArray) -> FloatArray:
    """Derivative of the root across buckets, or of the residual bucket's K, by each factor, `(n_factors,)`."""
    k, x_sum = margin.k, total(form.x, form.cell, len(margin.k))
    alive = (k > 0)[form.cell]
    half = np.where(alive, form.correlated, 0.0)
    inside = (np.abs(x_sum) <= k)[form.cell]  # where S is clipped it moves with K
    of_s = np.where(inside, 1.0, ratio(half * np.sign(form.s)[form.cell], k[form.cell]))
    of_root = ratio(half + np.where(alive, form.cross[form.cell] * of_s, 0.0), form.root[scope])
    return np.where(form.is_residual[form.cell], ratio(half, k[form.cell]), of_root)
