"""Breakdown of a unit to explanation: arranges the kept figures."""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.protocol import Level
from crossmargin.methodologies.venue_grids.deribit.contracts import DeribitContracts
from crossmargin.methodologies.venue_grids.deribit.parameters import DeribitParameters
from crossmargin.methodologies.venue_grids.deribit.recipe import DeribitBreakdown

SOURCE = "deribit-pm"
MOST_NAMED = 8
"""Positions named by themselves, the largest losses and gains; the others are one line."""


def explain_unit(
    name: str,
    words: str,
    book: UnitBook,
    contracts: DeribitContracts,
    b: DeribitBreakdown,
    parameters: DeribitParameters,
    pnl: FloatArray,
    u: int,
    level: Level,
) -> Explanation:
    """The risk matrix margin of one pair, and at maintenance its part."""
    matrix = Explanation(
        label=f"risk matrix margin of {name}",
        value=float(b.risk_matrix[u]),
        unit="USD",
        rule="sum",
        parts=(_worst(words, book, contracts, b, pnl, u), _roll(contracts, b, u), _delta(b, u)),
        source=f"{SOURCE}: risk matrix",
    )
    if level == "initial":
        return matrix
    factor = Explanation(
        label="maintenance factor", value=parameters.maintenance_factor, source=f"{SOURCE}: maintenance"
    )
    return Explanation(
        label=f"maintenance of {name}",
        value=float(parameters.maintenance_factor * b.risk_matrix[u]),
        unit="USD",
        rule="product",
        parts=(matrix, factor),
        source=f"{SOURCE}: maintenance",
    )


def _worst(
    words: str, book: UnitBook, contracts: DeribitContracts, b: DeribitBreakdown, pnl: FloatArray, u: int
) -> Explanation:
    """What the unit brings to the worst case; where that is not all of its P&L, the note says how it comes about."""
    if not b.worst_counts[u]:
        return Explanation(label="worst case: no scenario loses", value=0.0, unit="USD", source=f"{SOURCE}: worst case")
    whole = float(b.counted[u]) == float(b.pnl[u])
    lines = _positions(book, contracts, pnl, u)
    if whole:
        return Explanation(
            label=f"worst case, in '{words}'",
            value=float(b.worst_case[u]),
            unit="USD",
            rule="minus the product",
            parts=(
                Explanation(label="P&L", value=float(b.pnl[u]), unit="USD", rule="sum" if lines else "", parts=lines),
            ),
            source=f"{SOURCE}: worst case",
        )
    return Explanation(
        label=f"worst case, in '{words}'",
        value=float(b.worst_case[u]),
        unit="USD",
        source=f"{SOURCE}: worst case",
        note=f"of a P&L of {float(b.pnl[u]):,.2f} there count {float(b.counted[u]):,.2f}: share, cap and dampener",
    )


def _positions(book: UnitBook, contracts: DeribitContracts, pnl: FloatArray, u: int) -> tuple[Explanation, ...]:
    held = book.holdings
    rows = np.arange(int(held.offsets[u]), int(held.offsets[u + 1]))
    rows = rows[np.argsort(-np.abs(pnl[rows]), kind="stable")]
    named, rest = rows[:MOST_NAMED], rows[MOST_NAMED:]
    parts = [
        Explanation(
            label=f"{format_quantity(int(book.layout.steps[k]))} x {contracts.names[int(held.instrument[k])]}",
            value=float(pnl[k]),
            unit="USD",
        )
        for k in named.tolist()
    ]
    if len(rest):
        parts.append(Explanation(label=f"{len(rest)} other positions", value=float(np.sum(pnl[rest])), unit="USD"))
    return tuple(parts)


def _roll(contracts: DeribitContracts, b: DeribitBreakdown, u: int) -> Explanation:
    ledger = b.roll_ledger
    parts = tuple(
        Explanation(
            label=f"roll of {contracts.expiry_labels[int(ledger.expiry[k])]}",
            value=float(ledger.charge[k]),
            unit="USD",
            rule="product",
            parts=(
                Explanation(label="absolute net delta", value=abs(float(ledger.net_delta[k])), unit="USD"),
                Explanation(label="basis move", value=float(ledger.move[k])),
            ),
        )
        for k in np.flatnonzero(ledger.unit == u).tolist()
    )
    return Explanation(
        label="roll shock",
        value=float(b.roll_shock[u]),
        unit="USD",
        rule="sum" if parts else "",
        parts=parts,
        source=f"{SOURCE}: roll shock, no expiry offsets another",
    )


def _delta(b: DeribitBreakdown, u: int) -> Explanation:
    return Explanation(
        label="delta shock",
        value=float(b.delta_shock[u]),
        unit="USD",
        source=f"{SOURCE}: delta shock (inferred)",
        note=f"of a delta of {float(b.delta[u]):,.2f}",
    )
