"""Sums that every risk class has: correlated squares within buckets, across buckets, and of curvature.

    within a bucket    K^2 = sum over k, l of rho_kl f_kl x_k x_l        f_kl = min(CR_k, CR_l) / max(CR_k, CR_l)
    across buckets     sum of K_b^2 + sum over b != c of gamma_bc S_b S_c,     S_b = sum of x, clipped to -K_b and K_b

Correlations within a bucket are one number for factors of one name and another for two, so that K^2 falls apart into
sums over names and over the bucket, and the concentration factor separates once factors are sorted by CR:

    sum over k, l of f_kl x_k x_l = sum of x_k^2 + 2 sum over l of (x_l / CR_l) (sum over k before l of x_k CR_k)

Exact, and n log n where the double sum is n squared. Every sum runs in one order and starts anew in each segment, so
that a portfolio's bits have nothing of another's in them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, offsets_from_counts, run_starts


def total(values: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Sum by segment, in the order of the values."""
    return np.bincount(segment, weights=values, minlength=n_segments).astype(np.float64, copy=False)


def runs(*keys: IntArray) -> tuple[IntArray, IntArray]:
    """Number of each row's run of equal keys, and the row with which each run starts."""
    starts = run_starts(keys[0])
    for key in keys[1:]:
        starts |= run_starts(key)
    return np.cumsum(starts) - 1, np.flatnonzero(starts)


def rows_added(rows: FloatArray) -> FloatArray:
    """Sum over the first axis, row after row: numpy's own order would depend on how many columns there are."""
    found = np.zeros(rows.shape[1:])
    for row in rows:
        found += row
    return found


def concentrated_square(x: FloatArray, cr: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Sum over all pairs of a segment of `f x_k x_l`, `(n_segments,)`.

    Parameters
    ----------
    x, cr : ndarray of shape (n,)
        Weighted sensitivities, and concentration factors of at least 1.
    segment : ndarray of shape (n,)
        Whose.
    """
    found = total(x, segment, n_segments) ** 2  # where nothing is concentrated, f is 1
    for order, owner in _concentrated(cr, segment, n_segments):
        own, factor = x[order], cr[order]
        scaled = own * factor
        before = np.cumsum(scaled, axis=1) - scaled
        found[owner] = np.cumsum(own * own + 2 * own / factor * before, axis=1)[:, -1]
    return found


def concentrated_gradient(x: FloatArray, cr: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Half the derivative of `concentrated_square` by each `x`: sum over l of `f_kl x_l`, `(n,)`."""
    half = total(x, segment, n_segments)[segment]
    for order, _ in _concentrated(cr, segment, n_segments):
        own, factor = x[order], cr[order]
        up = np.cumsum(own * factor, axis=1)  # those up to and with k, which are smaller: x CR / CR_k
        down = np.cumsum((own / factor)[:, ::-1], axis=1)[:, ::-1] - own / factor
        half[order] = up / factor + down * factor
    return half


def _concentrated(cr: FloatArray, segment: IntArray, n_segments: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Entries of the segments in which some CR is over 1, by rising CR, `(n, width)`, and those segments.

    Segments of one width come together: cumulative sums along rows of a matrix start anew in each.
    """
    is_concentrated = np.zeros(n_segments, dtype=np.bool_)
    is_concentrated[segment[cr > 1.0]] = True
    entry = np.flatnonzero(is_concentrated[segment])
    if not len(entry):
        return
    entry = entry[np.lexsort((cr[entry], segment[entry]))]
    width = np.bincount(segment[entry], minlength=n_segments)
    first = offsets_from_counts(width)
    for w in np.unique(width[width > 0]).tolist():
        chosen = np.flatnonzero(width == w)
        yield entry[first[chosen][:, None] + np.arange(w)], chosen


def quadratic(x: FloatArray, matrix: FloatArray) -> FloatArray:
    """`x' M x` of every column of `x`, term by term in one order, `(n,)`.

    Parameters
    ----------
    x : ndarray of shape (m, n)
        Vectors, side by side.
    matrix : ndarray of shape (m, m)
        Symmetric.
    """
    found = np.zeros(x.shape[1])
    for k, row in enumerate(x):
        own = matrix[k, k] * row
        for j in range(k + 1, len(x)):
            if matrix[k, j]:
                own += 2 * matrix[k, j] * x[j]
        found += row * own
    return found


def applied(x: FloatArray, matrix: FloatArray) -> FloatArray:
    """`M x` of every column, in one order, `(m, n)`."""
    found = np.zeros_like(x)
    for k in range(len(x)):
        for j, row in enumerate(x):
            if matrix[k, j]:
                found[k] += matrix[k, j] * row
    return found


def clipped(s: FloatArray, k: FloatArray) -> FloatArray:
    """`S` of each bucket: its sum, within its own K."""
    return np.clip(s, -k, k)


def across_buckets(k: FloatArray, s: FloatArray, gamma: FloatArray) -> FloatArray:
    """Sum of squares and cross terms, at least 0, `(n_scopes,)`.

    Parameters
    ----------
    k, s : ndarray of shape (n_buckets, n_scopes)
        `S` clipped.
    gamma : ndarray of shape (n_buckets, n_buckets)
        0 on the diagonal.
    """
    return np.maximum(rows_added(k * k) + quadratic(s, gamma), 0.0)


def curvature_multiple(curvature_scale: float, theta: FloatArray) -> FloatArray:
    """Lambda: `scale (1 + theta) - theta`."""
    return np.asarray(curvature_scale * (1 + theta) - theta)


def curvature_theta(cvr: FloatArray, absolute: FloatArray) -> FloatArray:
    """`min(sum CVR / sum |CVR|, 0)`: -1 where every risk is short."""
    return np.minimum(np.divide(cvr, absolute, out=np.zeros_like(cvr), where=absolute > 0), 0.0)


def ratio(numerator: FloatArray, root: FloatArray) -> FloatArray:
    """Derivative of a root by what stands under it, halved; 0 where the root is 0, which is its floor."""
    return np.divide(numerator, root, out=np.zeros(np.broadcast(numerator, root).shape), where=root > 0)
