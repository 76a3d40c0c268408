"""What is added beyond the product classes: multipliers, fixed amounts, and factors on notionals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.methodologies.simm.aggregation import total
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES, RiskType, Rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AddOns:
    """US dollars, each `(n_portfolios,)`.

    Parameters
    ----------
    multiplier : ndarray of shape (n_portfolios, n_product_classes)
        `(m - 1)` times the product class.
    fixed : ndarray
        Stated amounts.
    notional : ndarray
        Factor in percent times the notional of the same qualifier.
    """

    multiplier: FloatArray
    fixed: FloatArray
    notional: FloatArray

    @property
    def total(self) -> FloatArray:
        """All together."""
        return np.asarray(self.multiplier.sum(axis=1) + self.fixed + self.notional)


def add_ons(rows: Rows, of_product: FloatArray, names: tuple[str, ...]) -> AddOns:
    """Add-ons of every portfolio.

    Parameters
    ----------
    of_product : ndarray of shape (n_portfolios, n_product_classes)
        Margin of each product class, US dollars.
    """
    n, n_classes = of_product.shape
    multiplier = rows.of(RiskType.MULTIPLIER)
    beyond = np.zeros(of_product.size)
    beyond[multiplier.scope] = multiplier.amount - 1.0
    fixed = rows.of(RiskType.FIXED_AMOUNT)
    factor, notional = rows.of(RiskType.NOTIONAL_FACTOR), rows.of(RiskType.NOTIONAL)
    width = max(len(names), 1)
    of_key = dict(zip((factor.scope // n_classes * width + factor.qualifier).tolist(), factor.amount, strict=True))
    keys = (notional.scope // n_classes * width + notional.qualifier).tolist()
    rate = np.array([of_key.get(key, 0.0) for key in keys])
    assert n_classes == len(PRODUCT_CLASSES)
    return AddOns(
        multiplier=beyond.reshape(of_product.shape) * of_product,
        fixed=total(fixed.amount, fixed.scope // n_classes, n),
        notional=total(rate / 100.0 * notional.amount, notional.scope // n_classes, n),
    )
