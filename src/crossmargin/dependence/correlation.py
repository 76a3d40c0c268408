"""Correlation of factors."""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray


def correlation_root(correlation: FloatArray) -> FloatArray:
    """Symmetric root of a positive semidefinite correlation: `root @ root.T` is it.

    A little below 0 is rounding and taken as 0.
    """
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
