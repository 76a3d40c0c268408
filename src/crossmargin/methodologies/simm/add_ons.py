"""What is added beyond the product classes: multipliers, fixed amounts, and factors on notionals.

    multiplier       (m - 1) times the product class
    fixed amount     as stated; several add up
    notional         factor in percent times the notional of the same qualifier

Ours: of several multipliers of one product class, or factors of one qualifier, the greatest counts, and a notice says
so. Open Source Risk Engine takes the one that stands first in its file, with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

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
        `m - 1` of each product class, a number.
    multiplied : ndarray of shape (n_portfolios, n_product_classes)
        `(m - 1)` times the product class.
    fixed : ndarray
        Stated amounts.
    notional : ndarray
        Factor in percent times the notional of the same qualifier.
    rows : Rows
        Fixed amounts, and notionals.
    of_row : ndarray of shape (n_rows,)
        What each of them adds.
    repeated : tuple of (int, str)
        Portfolio, and the product class or qualifier of which it states several multipliers or factors.
    """

    multiplier: FloatArray
    multiplied: FloatArray
    fixed: FloatArray
    notional: FloatArray
    rows: Rows
    of_row: FloatArray
    repeated: tuple[tuple[int, str], ...]

    @property
    def total(self) -> FloatArray:
        """All together."""
        return np.asarray(np.cumsum(self.multiplied, axis=1)[:, -1] + self.fixed + self.notional)


def add_ons(rows: Rows, of_product: FloatArray) -> AddOns:
    """Add-ons of every portfolio.

    Parameters
    ----------
    of_product : ndarray of shape (n_portfolios, n_product_classes)
        Margin of each product class, US dollars.
    """
    n, n_classes = of_product.shape
    assert n_classes == len(PRODUCT_CLASSES)
    stated, factor = rows.of(RiskType.MULTIPLIER), rows.of(RiskType.NOTIONAL_FACTOR)
    flat = np.zeros(of_product.size)
    flat[stated.scope] = stated.amount - 1.0  # rows of one scope stand from the smallest to the greatest
    multiplier = flat.reshape(of_product.shape)
    keys = list(zip((factor.scope // n_classes).tolist(), factor.qualifier.tolist(), strict=True))
    of_key = dict(zip(keys, (factor.amount / 100.0).tolist(), strict=True))
    repeated = [(scope // n_classes, PRODUCT_CLASSES[scope % n_classes]) for scope in _twice(stated.scope.tolist())]
    repeated += [(portfolio, rows.names[code]) for portfolio, code in _twice(keys)]
    added = rows.of(RiskType.FIXED_AMOUNT, RiskType.NOTIONAL)
    held = zip((added.scope // n_classes).tolist(), added.qualifier.tolist(), strict=True)
    is_fixed = added.risk_type == RiskType.FIXED_AMOUNT
    rate = np.where(is_fixed, 1.0, np.array([of_key.get(key, 0.0) for key in held]))
    of_row = rate * added.amount
    portfolio = added.scope // n_classes
    return AddOns(
        multiplier=multiplier,
        multiplied=multiplier * of_product,
        fixed=total(np.where(is_fixed, of_row, 0.0), portfolio, n),
        notional=total(np.where(is_fixed, 0.0, of_row), portfolio, n),
        rows=added,
        of_row=of_row,
        repeated=tuple(repeated),
    )


_Key = TypeVar("_Key")


def _twice(keys: Sequence[_Key]) -> list[_Key]:
    """Keys that stand there more than once; equal ones stand together."""
    return sorted({key for key, following in pairwise(keys) if key == following})  # type: ignore[type-var]


def stated_twice(portfolio: str, what: str) -> str:
    """The notice of a parameter that `AddOns.repeated` has."""
    return f"Portfolio '{portfolio}' states several multipliers or factors of '{what}'; the greatest counts."
