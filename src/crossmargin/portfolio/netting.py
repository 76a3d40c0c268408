"""Exact netting of position rows: in any order, with duplicates, to owner by owner and instrument by instrument.

Two ways to the same arrays. Sorting in numpy starts at once. Above `LARGE` rows the loops of `netting_compiled` are
worth the half second that loading a compiler takes: they count the rows of each owner, put every row in its owner's
place, and add it up there, which reads each row twice and sorts nothing longer than what one owner holds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import BoolArray, IntArray, offsets_from_counts, run_starts
from crossmargin.basics.quantities import QUANTITY_LIMIT

LARGE = 1_000_000
"""Rows from which the compiled loops are used."""

Codes = IntArray | npt.NDArray[np.int32]
"""Indices of rows; 32 bits where there are many of them."""


class Netted(NamedTuple):
    """Sums by owner and instrument, or why there are none.

    `offsets` of shape `(n_owners + 1,)`, `instrument` and `steps` of shape `(n_positions,)`, as in `Positions`.
    `too_large` lists owner and instrument, by owner then instrument, of which a sum is larger than `QUANTITY_LIMIT`,
    long or short; the sums are then empty. It does not matter how large the rows are that add up.
    """

    offsets: IntArray
    instrument: IntArray
    steps: IntArray
    too_large: list[tuple[int, int]]


def net(owner: Codes, instrument: Codes, steps: IntArray, gross: BoolArray, n_instruments: int) -> Netted:
    """Sum exactly by owner and instrument, long and short apart for gross owners; drop what nets to nothing.

    Parameters
    ----------
    owner, instrument, steps : ndarray of shape (n_rows,)
        From 0 to `len(gross)` and `n_instruments`, half open; signed steps of 1e-8, at most `QUANTITY_LIMIT` each.
    gross : ndarray of shape (n_owners,)
        Whether an owner's long and short rows stay apart.
    """
    # What adds up per instrument must not be larger than what is added.
    if len(steps) >= LARGE and n_instruments <= 2 * len(steps):
        from crossmargin.portfolio.netting_compiled import net_by_counting

        return net_by_counting(owner, instrument, steps, gross, n_instruments)
    return net_by_sorting(owner, instrument, steps, gross, n_instruments)


def occurring(codes: Codes, n: int) -> BoolArray:
    """Which of the indices 0 to `n`, half open, occur; block by block, as numpy widens what it indexes with."""
    found = np.zeros(n, dtype=np.bool_)
    for start in range(0, len(codes), LARGE):
        found[codes[start : start + LARGE]] = True
    return found


def net_by_sorting(owner: Codes, instrument: Codes, steps: IntArray, gross: BoolArray, n_instruments: int) -> Netted:
    """`net` in numpy: one sort of a key of owner, instrument and side."""
    own, held = owner.astype(np.int64, copy=False), instrument.astype(np.int64, copy=False)
    n_owners, sides = len(gross), 2 if gross.any() else 1
    if n_owners * n_instruments * sides >= 2**63:  # the key would wrap: count only the instruments that are there
        distinct, held = np.unique(held, return_inverse=True)
        found = net_by_sorting(own, held, steps, gross, len(distinct))
        return found._replace(
            instrument=distinct[found.instrument], too_large=[(o, int(distinct[k])) for o, k in found.too_large]
        )
    key = own * n_instruments + held
    if sides == 2:
        key = key * 2 + (gross[own] & (steps < 0))
    ordered = bool(np.all(key[1:] > key[:-1]))
    if not ordered or (len(steps) and max(-int(steps.min()), int(steps.max())) > QUANTITY_LIMIT):
        order = np.argsort(key, kind="stable")
        key, steps = key[order], steps[order]
        first = np.flatnonzero(run_starts(key))
        if too_large := sums_too_large(steps, first):
            pairs = [divmod(int(key[first[k]]) // sides, n_instruments) for k in too_large]
            nothing = np.zeros(0, dtype=np.int64)
            return Netted(np.zeros(n_owners + 1, dtype=np.int64), nothing, nothing, list(dict.fromkeys(pairs)))
        key, steps = key[first], np.add.reduceat(steps, first)
    kept = steps != 0
    key, steps = key[kept], steps[kept]
    own, held = np.divmod(key // sides, max(n_instruments, 1))
    counts = np.bincount(own, minlength=n_owners).astype(np.int64)
    return Netted(offsets_from_counts(counts), held, steps, [])


def sums_too_large(steps: IntArray, first: IntArray) -> list[int]:
    """Which groups of rows, the one `k` from `first[k]` to the next, add up to more than the limit, long or short.

    The one rule for every sum of positions and of balances. A sum of 64 bits wraps silently, and what does not exceed
    the limit comes out right however often it wrapped on the way. The magnitudes, summed as floats, cannot wrap but
    round: they say of which groups the sum might be too large, and of those Python's integers decide.
    """
    could_be = np.add.reduceat(np.abs(steps.astype(np.float64)), first) > QUANTITY_LIMIT * (1 - 1e-6)
    last = np.append(first[1:], len(steps))
    return [
        k for k in np.flatnonzero(could_be).tolist() if abs(sum(steps[first[k] : last[k]].tolist())) > QUANTITY_LIMIT
    ]
