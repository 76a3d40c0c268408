"""What a risk class's calculation gives: figures by bucket and by scope, kept for reports, trees and allocation."""

from __future__ import annotations

from dataclasses import dataclass

from crossmargin.basics.arrays import FloatArray, IntArray

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
        The buckets that some scope has: whose, and which (of rates the code of a currency's name).
    k : ndarray of shape (n_present,)
        Margin of each bucket alone.
    """

    value: FloatArray
    scope: IntArray
    bucket: IntArray
    k: FloatArray


def nothing(value: FloatArray) -> Margin:
    """A margin of no rows."""
    none = value[:0].astype("int64")
    return Margin(value=value, scope=none, bucket=none, k=value[:0])
