"""Cumulants of `d'x + x'Gx / 2` for normal `x`, and their gradients: for many units at once, `G` diagonal.

    k1 = tr(GC) / 2                          k3 = tr((GC)^3)   +  3 d'C GC d
    k2 = tr((GC)^2) / 2 + d'Cd               k4 = 3 tr((GC)^4) + 12 d'C (GC)^2 d

Sums run factor by factor in one order, never through a matrix product of the whole batch: the same bits for a unit
whoever stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cumulants:
    """The first four, each `(n_units,)`, and the part of the second that is of deltas.

    Parameters
    ----------
    k1, k2, k3, k4 : ndarray
        Dollars to the power of the order.
    linear : ndarray
        `d'Cd`.
    """

    k1: FloatArray
    k2: FloatArray
    k3: FloatArray
    k4: FloatArray
    linear: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gradients:
    """Derivatives of the four cumulants by `d` and by `G`, each `(4, n_units, n_factors)`."""

    delta: FloatArray
    gamma: FloatArray


def cumulants(d: FloatArray, g: FloatArray, c: FloatArray) -> Cumulants:
    """Cumulants of each unit.

    Parameters
    ----------
    d, g : ndarray of shape (n_units, n_factors)
        Of the factors that each unit has; they may be other ones in each row.
    c : ndarray of shape (n_units, n_factors, n_factors)
        Covariance of each unit's factors.
    """
    v = _times(c, d)
    linear = _dot(d, v)
    nothing = np.zeros(len(d))
    if not g.any():
        return Cumulants(k1=nothing, k2=linear, k3=nothing, k4=nothing, linear=linear)
    a = g[:, :, None] * c
    a2 = _product(a, a)
    gv = g * v
    u = _times(c, gv)
    return Cumulants(
        k1=0.5 * _trace(a),
        k2=linear + 0.5 * _trace(a2),
        k3=_trace_of_product(a2, a) + 3 * _dot(gv, v),
        k4=3 * _trace_of_product(a2, a2) + 12 * _dot(gv, u),
        linear=linear,
    )


def gradients(d: FloatArray, g: FloatArray, c: FloatArray) -> Gradients:
    """Derivatives of the cumulants; arrays as for `cumulants`."""
    v = _times(c, d)
    gv = g * v
    u = _times(c, gv)
    a = g[:, :, None] * c
    ca = _product(c, a)
    ca2 = _product(ca, a)
    nothing = np.zeros_like(d)
    diagonal = np.einsum("nii->ni", c)
    return Gradients(
        delta=np.stack([nothing, 2 * v, 6 * u, 24 * _times(c, g * u)]),
        gamma=np.stack(
            [
                0.5 * diagonal,
                np.einsum("nii->ni", ca) + 0.0,
                3 * np.einsum("nii->ni", ca2) + 3 * v * v,
                12 * _diagonal_of_product(ca2, a) + 24 * v * u,
            ]
        ),
    )


def _times(m: FloatArray, x: FloatArray) -> FloatArray:
    """`m x`, column by column."""
    found = np.zeros_like(x)
    for j in range(x.shape[1]):
        found += m[:, :, j] * x[:, j, None]
    return found


def _dot(x: FloatArray, y: FloatArray) -> FloatArray:
    found = np.zeros(len(x))
    for j in range(x.shape[1]):
        found += x[:, j] * y[:, j]
    return found


def _product(m: FloatArray, n: FloatArray) -> FloatArray:
    found = np.zeros_like(m)
    for j in range(m.shape[1]):
        found += m[:, :, j, None] * n[:, j, None, :]
    return found


def _trace(m: FloatArray) -> FloatArray:
    found = np.zeros(len(m))
    for j in range(m.shape[1]):
        found += m[:, j, j]
    return found


def _diagonal_of_product(m: FloatArray, n: FloatArray) -> FloatArray:
    found = np.zeros(m.shape[:2])
    for j in range(m.shape[1]):
        found += m[:, :, j] * n[:, j, :]
    return found


def _trace_of_product(m: FloatArray, n: FloatArray) -> FloatArray:
    diagonal = _diagonal_of_product(m, n)
    found = np.zeros(len(m))
    for j in range(m.shape[1]):
        found += diagonal[:, j]
    return found
