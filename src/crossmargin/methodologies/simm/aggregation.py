"""Sums that every risk class has: correlated squares within buckets, across buckets, and of curvature.

    within a bucket    K^2 = sum over k, l of rho_kl f_kl x_k x_l        f_kl = min(CR_k, CR_l) / max(CR_k, CR_l)
    across buckets     sum of K_b^2 + sum over b != c of gamma_bc S_b S_c,     S_b = sum of x, clipped to -K_b and K_b

Correlations within a bucket are one number for factors of one name and another for two, so that K^2 falls apart into
sums over names and over the bucket, and the concentration factor separates once factors are sorted by CR:

    sum over k, l of f_kl x_k x_l = sum of x_k^2 + 2 sum over l of (x_l / CR_l) (sum over k before l of x_k CR_k)

Exact, and n log n where the double sum is n squared. The running sums start anew in each bucket, so that no portfolio's
figure has another's in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray


def summed(keys: Sequence[IntArray], amount: FloatArray) -> tuple[list[IntArray], FloatArray, IntArray]:
    """Amounts of equal keys added up.

    Parameters
    ----------
    keys : sequence of ndarray of shape (n_rows,)
        Columns, at least 0.
    amount : ndarray of shape (n_rows,)
        What is added.

    Returns
    -------
    keys, amount
        One entry a distinct key, in the order of the columns.
    of_row : ndarray of shape (n_rows,)
        The entry that each row went into.
    """
    code = np.zeros(len(amount), dtype=np.int64)
    for column in keys:
        # Numbered anew column by column: products of their sizes would overflow.
        size = int(column.max(initial=0)) + 1
        _, code = np.unique(code * size + column, return_inverse=True)
    n = int(code.max(initial=-1)) + 1
    first = np.full(n, len(code), dtype=np.int64)
    np.minimum.at(first, code, np.arange(len(code)))
    return [column[first] for column in keys], total(amount, code, n), code


def total(values: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Sum by segment, in the order of the values."""
    return np.bincount(segment, weights=values, minlength=n_segments).astype(np.float64)


def same_width(segment: IntArray, n_segments: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Segments with the same number of entries, and those entries, `(n, width)`; `segment` rises."""
    width = np.bincount(segment, minlength=n_segments)
    first = np.concatenate(([0], np.cumsum(width)[:-1]))
    for w in np.unique(width[width > 0]).tolist():
        chosen = np.flatnonzero(width == w)
        yield chosen, first[chosen][:, None] + np.arange(w)


def concentrated_square(x: FloatArray, cr: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Sum over all pairs of a segment of `f x_k x_l`, `(n_segments,)`.

    Parameters
    ----------
    x, cr : ndarray of shape (n,)
        Weighted sensitivities, and concentration factors of at least 1.
    segment : ndarray of shape (n,)
        Whose.
    """
    order = np.lexsort((cr, segment))
    x, cr, segment = x[order], cr[order], segment[order]
    found = np.zeros(n_segments)
    for chosen, entries in same_width(segment, n_segments):
        own, factor = x[entries], cr[entries]
        if entries.shape[1] == 1:
            found[chosen] = own[:, 0] ** 2
            continue
        scaled = own * factor
        before = np.cumsum(scaled, axis=1) - scaled
        found[chosen] = (own * own).sum(axis=1) + 2 * (own / factor * before).sum(axis=1)
    return found


def concentrated_gradient(x: FloatArray, cr: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Half the derivative of `concentrated_square` by each `x`: sum over l of `f_kl x_l`, `(n,)`."""
    order = np.lexsort((cr, segment))
    xs, crs, segments = x[order], cr[order], segment[order]
    half = np.zeros(len(x))
    for _, entries in same_width(segments, n_segments):
        own, factor = xs[entries], crs[entries]
        up = np.cumsum(own * factor, axis=1)  # those up to and with k, which are smaller: x CR / CR_k
        down = np.cumsum((own / factor)[:, ::-1], axis=1)[:, ::-1] - own / factor
        half[entries] = up / factor + down * factor
    found = np.empty_like(half)
    found[order] = half
    return found


def correlated_square(
    x: FloatArray,
    cr: FloatArray,
    name: IntArray,
    bucket_of_name: IntArray,
    same: FloatArray,
    different: FloatArray,
) -> FloatArray:
    """K^2 of every bucket, at least 0, `(n_buckets,)`.

    Parameters
    ----------
    x, cr : ndarray of shape (n,)
        Of each factor.
    name : ndarray of shape (n,)
        The name (qualifier, or group of them) of each factor.
    bucket_of_name : ndarray of shape (n_names,)
        Bucket of each name.
    same, different : ndarray of shape (n_buckets,)
        Correlation of two factors of one name, and of two names.
    """
    n_buckets, n_names = len(same), len(bucket_of_name)
    bucket = bucket_of_name[name]
    squares = total(x * x, bucket, n_buckets)
    by_name = total(concentrated_square(x, cr, name, n_names), bucket_of_name, n_buckets)
    of_all = concentrated_square(x, cr, bucket, n_buckets)
    return np.maximum((1 - same) * squares + (same - different) * by_name + different * of_all, 0.0)


def clipped(s: FloatArray, k: FloatArray) -> FloatArray:
    """`S` of each bucket: its sum, within its own K."""
    return np.clip(s, -k, k)


def across_buckets(k: FloatArray, s: FloatArray, gamma: FloatArray) -> FloatArray:
    """Sum of squares and cross terms, at least 0, `(n_scopes,)`.

    Parameters
    ----------
    k, s : ndarray of shape (n_scopes, n_buckets)
        `S` clipped.
    gamma : ndarray of shape (n_buckets, n_buckets)
        0 on the diagonal.
    """
    found = np.zeros(len(k))
    present = np.flatnonzero(k.any(axis=1))
    k, s = k[present].T.copy(), s[present].T.copy()
    square = np.zeros(len(present))
    for b in range(len(k)):
        cross = np.zeros(len(present))
        for c in np.flatnonzero(gamma[b]).tolist():
            cross += gamma[b, c] * s[c]
        square += k[b] ** 2 + s[b] * cross
    found[present] = np.maximum(square, 0.0)
    return found


def curvature_multiple(curvature_scale: float, cvr: FloatArray, absolute: FloatArray) -> FloatArray:
    """Lambda: `scale (1 + theta) - theta` with `theta = min(sum CVR / sum |CVR|, 0)`."""
    theta = np.minimum(np.divide(cvr, absolute, out=np.zeros_like(cvr), where=absolute > 0), 0.0)
    return np.asarray(curvature_scale * (1 + theta) - theta)
