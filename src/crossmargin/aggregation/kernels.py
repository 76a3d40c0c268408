"""The sweep, compiled: the same loops as `loops`, to the bit, with the reductions fused into them.

How it is fast without changing a bit: a unit's P&L over a tile of scenarios lies in an accumulator in the first
level of cache; several positions are added in one pass over it, each product rounded, then each sum, in the order of
positions; and a tile of the table stays in cache while a block of units walks over it. Nothing of the size units x
scenarios exists. Rows of the table are padded to whole vectors. Indices are unsigned inside: a signed one would be
checked for being negative at every step.
"""

from __future__ import annotations

import math

import numpy as np
from numba import uint64

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.compiled import (
    Floats,
    FloatsOut,
    Int,
    Ints,
    IntsOut,
    IntTableOut,
    Nothing,
    TableOut,
    compiled,
    inlined,
)

TILE = 256
"""Scenarios in flight: 2 KB of accumulator; 2,000 instruments make a tile of 4 MB."""
_LANES = 16
"""Scenarios compared with the worst so far at once; few blocks of them beat it and are looked at one by one."""


@inlined
def _sum_positions(
    pnl: FloatArray,
    width: np.uint64,
    table: FloatArray,
    row_length: int,
    tile: int,
    instrument: IntArray,
    quantity: FloatArray,
    position: int,
    end: int,
) -> None:
    """Set `pnl[:width]` to the P&L of positions `position` to `end` in the scenarios from `tile` on."""
    for s in range(width):
        pnl[s] = 0.0
    while position + 4 <= end:
        a = uint64(instrument[position] * row_length + tile)
        b = uint64(instrument[position + 1] * row_length + tile)
        c = uint64(instrument[position + 2] * row_length + tile)
        d = uint64(instrument[position + 3] * row_length + tile)
        in_a, in_b = quantity[position], quantity[position + 1]
        in_c, in_d = quantity[position + 2], quantity[position + 3]
        for s in range(width):
            pnl[s] = pnl[s] + in_a * table[a + s] + in_b * table[b + s] + in_c * table[c + s] + in_d * table[d + s]
        position += 4
    while position < end:
        a = uint64(instrument[position] * row_length + tile)
        in_a = quantity[position]
        for s in range(width):
            pnl[s] = pnl[s] + in_a * table[a + s]
        position += 1


@inlined
def _tile_pnl(
    pnl: FloatArray,
    table: FloatArray,
    row_length: int,
    tile: int,
    n_scenarios: int,
    instrument: IntArray,
    quantity: FloatArray,
    first: int,
    end: int,
) -> int:
    """P&L of a unit over a tile, infinite behind its last scenario; how many scenarios it has."""
    n_here = min(TILE, n_scenarios - tile)
    width = uint64(min(TILE, row_length - tile))  # whole vectors: what pads the rows is summed too, and not looked at
    _sum_positions(pnl, width, table, row_length, tile, instrument, quantity, first, end)
    for s in range(n_here, (n_here + _LANES - 1) // _LANES * _LANES):
        pnl[s] = np.inf
    return n_here


@inlined
def _beats(
    pnl: FloatArray,
    lane: int,
    threshold: float,
) -> bool:
    """Whether some P&L of a block of lanes is below `threshold`."""
    least = pnl[lane]
    for s in range(1, _LANES):
        least = pnl[lane + s] if pnl[lane + s] < least else least
    return bool(least < threshold)


@inlined
def _tail_bound(
    pnl: FloatArray,
    n_here: int,
    n_tail: int,
    least: FloatArray,
) -> float:
    """A number that at least `n_tail` of `pnl[:n_here]` are below: above the `n_tail`-th smallest minimum of a lane."""
    if n_tail > _LANES or n_here < _LANES:
        return math.inf
    for s in range(_LANES):
        least[s] = pnl[s]
    for lane in range(_LANES, n_here, _LANES):
        for s in range(_LANES):
            least[s] = pnl[lane + s] if pnl[lane + s] < least[s] else least[s]
    for k in range(1, _LANES):
        value, place = least[k], k
        while place > 0 and least[place - 1] > value:
            least[place] = least[place - 1]
            place -= 1
        least[place] = value
    return math.nextafter(least[n_tail - 1], math.inf)


_HOLDINGS = (Ints, Ints, Floats)  # offsets, instrument, quantity
_TABLE = (Floats, Int, Int)  # rows one after the other, their padded length, scenarios
_UNITS = (Ints, Int, Int)  # chosen units, and which of them


@compiled(Nothing, *_HOLDINGS, *_TABLE, *_UNITS, TableOut)
def scenario_pnl(
    offsets: IntArray,
    instrument: IntArray,
    quantity: FloatArray,
    table: FloatArray,
    row_length: int,
    n_scenarios: int,
    units: IntArray,
    first: int,
    last: int,
    pnl: FloatArray,
) -> None:
    """See `loops.scenario_pnl`."""
    of_tile = np.empty(TILE + _LANES)
    for tile in range(0, n_scenarios, TILE):
        for k in range(first, last):
            start, end = offsets[units[k]], offsets[units[k] + 1]
            n_here = _tile_pnl(of_tile, table, row_length, tile, n_scenarios, instrument, quantity, start, end)
            for s in range(n_here):
                pnl[k, tile + s] = of_tile[s]


@compiled(Nothing, *_HOLDINGS, Floats, Int, Int, FloatsOut)
def unit_sum(
    offsets: IntArray,
    instrument: IntArray,
    quantity: FloatArray,
    of_one: FloatArray,
    first: int,
    last: int,
    sums: FloatArray,
) -> None:
    """See `loops.unit_sum`."""
    position = uint64(offsets[first])
    for k in range(first, last):
        end = uint64(offsets[k + 1])
        total = 0.0
        while position < end:
            total += quantity[position] * of_one[uint64(instrument[position])]
            position += uint64(1)
        sums[k] = total


@compiled(Nothing, *_HOLDINGS, *_TABLE, *_UNITS, FloatsOut, IntsOut)
def worst(
    offsets: IntArray,
    instrument: IntArray,
    quantity: FloatArray,
    table: FloatArray,
    row_length: int,
    n_scenarios: int,
    units: IntArray,
    first: int,
    last: int,
    pnl_worst: FloatArray,
    scenario: IntArray,
) -> None:
    """See `loops.worst`."""
    pnl = np.empty(TILE + _LANES)
    for k in range(first, last):
        pnl_worst[k] = np.inf
        scenario[k] = 0
    for tile in range(0, n_scenarios, TILE):
        for k in range(first, last):
            start, end = offsets[units[k]], offsets[units[k] + 1]
            n_here = _tile_pnl(pnl, table, row_length, tile, n_scenarios, instrument, quantity, start, end)
            least, where = pnl_worst[k], scenario[k]
            for lane in range(0, n_here, _LANES):
                if _beats(pnl, lane, least):
                    for s in range(lane, lane + _LANES):
                        if pnl[s] < least:
                            least, where = pnl[s], tile + s
            pnl_worst[k] = least
            scenario[k] = where


@compiled(Nothing, *_HOLDINGS, *_TABLE, *_UNITS, TableOut, IntTableOut)
def tail(
    offsets: IntArray,
    instrument: IntArray,
    quantity: FloatArray,
    table: FloatArray,
    row_length: int,
    n_scenarios: int,
    units: IntArray,
    first: int,
    last: int,
    tail_pnl: FloatArray,
    tail_scenario: IntArray,
) -> None:
    """See `loops.tail`: the worst so far are kept in order, and only what beats the last of them is put among them."""
    n_tail = tail_pnl.shape[1]
    pnl = np.empty(TILE + _LANES)
    least = np.empty(_LANES)
    for k in range(first, last):
        for place in range(n_tail):
            tail_pnl[k, place] = np.inf
    for tile in range(0, n_scenarios, TILE):
        for k in range(first, last):
            start, end = offsets[units[k]], offsets[units[k] + 1]
            n_here = _tile_pnl(pnl, table, row_length, tile, n_scenarios, instrument, quantity, start, end)
            threshold = tail_pnl[k, n_tail - 1]
            if tile == 0:
                threshold = _tail_bound(pnl, n_here, n_tail, least)
            for lane in range(0, n_here, _LANES):
                if not _beats(pnl, lane, threshold):
                    continue
                for s in range(lane, lane + _LANES):
                    value = pnl[s]
                    if value < threshold:
                        place = n_tail - 1
                        # Behind its equals: among ties the lower scenario comes first.
                        while place > 0 and tail_pnl[k, place - 1] > value:
                            tail_pnl[k, place] = tail_pnl[k, place - 1]
                            tail_scenario[k, place] = tail_scenario[k, place - 1]
                            place -= 1
                        tail_pnl[k, place] = value
                        tail_scenario[k, place] = tile + s
                        threshold = min(threshold, tail_pnl[k, n_tail - 1])
