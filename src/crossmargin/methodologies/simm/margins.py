"""What a risk class's calculation gives: figures by scope and bucket, the rows behind them, and slopes by them.

The slope is asked for by allocations alone, so that it is calculated when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.methodologies.simm.rows import Rows

DELTA, VEGA, CURVATURE, BASE_CORRELATION = "Delta", "Vega", "Curvature", "BaseCorr"
"""Margin types, as the field's reports spell them."""
MARGIN_TYPES = (DELTA, VEGA, CURVATURE, BASE_CORRELATION)


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
    slope : callable
        Change of the scope's value for a dollar more in each row, `(n_rows,)`, concentration factors held: amounts
        times slopes sum to the value.
    """

    value: FloatArray
    scope: IntArray
    bucket: IntArray
    k: FloatArray
    rows: Rows
    slope: Callable[[], FloatArray]


def nothing(rows: Rows, n_scopes: int) -> Margin:
    """A margin of 0: there are no rows, or none that counts."""
    none = np.zeros(0, dtype=np.int64)
    n_rows = len(rows)
    return Margin(
        value=np.zeros(n_scopes), scope=none, bucket=none, k=np.zeros(0), rows=rows, slope=lambda: np.zeros(n_rows)
    )
