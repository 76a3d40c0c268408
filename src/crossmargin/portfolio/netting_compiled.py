"""The compiled loops of netting, for books of more than a million rows. Imported only there: it loads numba."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from crossmargin.basics.arrays import BoolArray, IntArray, offsets_from_counts
from crossmargin.basics.compiled import Int, Ints, IntsOut, Nothing, compiled
from crossmargin.basics.quantities import QUANTITY_LIMIT
from crossmargin.basics.threads import for_each_range, thread_count
from crossmargin.portfolio.netting import Codes, Netted, net_by_sorting

_MOST_RANGES = 8

_Codes = npt.NDArray[np.int32]
_CODES = types.Array(types.int32, 1, "C", readonly=True)
_BOOLS = types.Array(types.bool_, 1, "C", readonly=True)
_BOOLS_OUT = types.Array(types.bool_, 1, "C")


def net_by_counting(owner: Codes, instrument: Codes, steps: IntArray, gross: BoolArray, n_instruments: int) -> Netted:
    """`net` by counting: as `net_by_sorting`, to the same arrays."""
    n_owners = len(gross)
    assert max(n_owners, n_instruments) < 2**31
    own, held = (np.ascontiguousarray(codes, dtype=np.int32) for codes in (owner, instrument))
    starts = np.zeros(n_owners + 1, dtype=np.int64)
    # Compiled loops do not check their indices.
    in_range = counted(own, held, n_instruments, starts)
    assert in_range, "a row names an owner or instrument that is not there"
    grouped_instrument, grouped_steps = np.empty(len(steps), dtype=np.int64), np.empty(len(steps), dtype=np.int64)
    counts = np.zeros(n_owners, dtype=np.int64)
    doubtful = np.zeros(n_owners, dtype=np.bool_)
    # Each range reads all rows and writes those of its own owners, so more of them soon stop paying.
    n_ranges = min(_MOST_RANGES, thread_count())
    bounds = np.searchsorted(starts, np.linspace(0, len(steps), n_ranges + 1)[1:-1]).tolist()
    ranges = [(a, b) for a, b in zip([0, *bounds], [*bounds, n_owners], strict=True) if a < b]
    next_place = starts[:-1].copy()

    def net_range(first: int, last: int) -> None:
        grouped(own, held, steps, first, last, next_place, grouped_instrument, grouped_steps)
        added(
            first,
            last,
            QUANTITY_LIMIT,
            starts,
            gross,
            n_instruments,
            grouped_instrument,
            grouped_steps,
            counts,
            doubtful,
        )

    for_each_range(net_range, ranges)
    if doubtful.any():
        theirs = doubtful[own]
        found = net_by_sorting(own[theirs], held[theirs], steps[theirs], gross, n_instruments)
        if found.too_large:
            return found
        # What is not too large came out right, whether it wrapped on the way or not.
    offsets = offsets_from_counts(counts)
    for first, last in ranges[1:]:
        start, length = int(starts[first]), int(offsets[last] - offsets[first])
        moved(start, int(offsets[first]), length, grouped_instrument, grouped_steps)
    for array in (grouped_instrument, grouped_steps):
        array.resize(int(offsets[-1]), refcheck=False)  # gives back what netted away, without a copy
    return Netted(offsets, grouped_instrument, grouped_steps, [])


@compiled(types.bool_, _CODES, _CODES, Int, IntsOut)
def counted(owner: _Codes, instrument: _Codes, n_instruments: int, starts: IntArray) -> bool:
    """Where the rows of each owner will begin, into `starts`; whether all indices are in range."""
    n_owners = len(starts) - 1
    for k in range(len(owner)):
        if owner[k] < 0 or owner[k] >= n_owners or instrument[k] < 0 or instrument[k] >= n_instruments:
            return False
        starts[owner[k] + 1] += 1
    for k in range(n_owners):
        starts[k + 1] += starts[k]
    return True


@compiled(Nothing, _CODES, _CODES, Ints, Int, Int, IntsOut, IntsOut, IntsOut)
def grouped(
    owner: _Codes,
    instrument: _Codes,
    steps: IntArray,
    first: int,
    last: int,
    next_place: IntArray,
    grouped_instrument: IntArray,
    grouped_steps: IntArray,
) -> None:
    """Put the rows of the owners `first` to `last` into their places."""
    for k in range(len(owner)):
        own = owner[k]
        if first <= own < last:
            at = next_place[own]
            next_place[own] = at + 1
            grouped_instrument[at] = instrument[k]
            grouped_steps[at] = steps[k]


@compiled(Nothing, Int, Int, types.uint64, Ints, _BOOLS, Int, IntsOut, IntsOut, IntsOut, _BOOLS_OUT)
def added(
    first: int,
    last: int,
    limit: int,
    starts: IntArray,
    gross: BoolArray,
    n_instruments: int,
    instrument: IntArray,
    steps: IntArray,
    counts: IntArray,
    doubtful: BoolArray,
) -> None:
    """Net the rows of each owner in place, packed from where those of `first` begin.

    `doubtful` says whose magnitudes add up to more than `limit`, so that a sum may be too large. The limit is an
    argument: a global would be compiled in, and kernels on disk do not notice when another module changes. An owner
    never has more positions than rows, so what is written never overtakes what is read.
    """
    total = np.zeros(2 * n_instruments, dtype=np.int64)  # long (or net) and short of each instrument
    magnitude = np.zeros(2 * n_instruments, dtype=np.uint64)
    met_by = np.full(n_instruments, -1, dtype=np.int64)
    met = np.empty(n_instruments, dtype=np.int64)
    at = starts[first]
    for own in range(first, last):
        n_met = 0
        for k in range(starts[own], starts[own + 1]):
            which = instrument[k]
            if met_by[which] != own:
                met_by[which] = own
                met[n_met] = which
                n_met += 1
                total[2 * which] = total[2 * which + 1] = 0
                magnitude[2 * which] = magnitude[2 * which + 1] = 0
            side = 2 * which + (1 if gross[own] and steps[k] < 0 else 0)
            # Stops growing once above the limit, so that it cannot wrap either.
            if magnitude[side] <= limit:
                magnitude[side] += np.uint64(abs(steps[k]))
            if magnitude[side] > limit:
                doubtful[own] = True
            total[side] += steps[k]
        gap = 1
        while gap < n_met // 3:
            gap = 3 * gap + 1
        while gap > 0:  # Shell's sort: as short as insertion, and good enough for thousands
            for k in range(gap, n_met):
                moving, place = met[k], k
                while place >= gap and met[place - gap] > moving:
                    met[place] = met[place - gap]
                    place -= gap
                met[place] = moving
            gap //= 3
        before = at
        for k in range(n_met):
            for side in range(2 * met[k], 2 * met[k] + 2):
                if total[side] != 0:
                    instrument[at] = met[k]
                    steps[at] = total[side]
                    at += 1
        counts[own] = at - before


@compiled(Nothing, Int, Int, Int, IntsOut, IntsOut)
def moved(start: int, to: int, length: int, instrument: IntArray, steps: IntArray) -> None:
    """Move rows down, which a copy of overlapping slices would do through a second buffer."""
    for k in range(length):
        instrument[to + k] = instrument[start + k]
        steps[to + k] = steps[start + k]
