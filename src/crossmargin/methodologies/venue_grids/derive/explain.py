"""Breakdown of a unit to explanation: arranges the kept figures."""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.protocol import Level
from crossmargin.methodologies.venue_grids.derive.contracts import DeriveContracts
from crossmargin.methodologies.venue_grids.derive.recipe import DeriveBreakdown

MOST_NAMED = 8
"""Positions named by themselves, the largest losses and gains; the others are one line."""


def explain_unit(
    method: str,
    name: str,
    scenario: str,
    book: UnitBook,
    contracts: DeriveContracts,
    b: DeriveBreakdown,
    pnl: FloatArray,
    u: int,
    level: Level,
) -> Explanation:
    """The requirement of one sub-book: the worst scenario times its factor, and the charges by size."""
    initial = level == "initial"
    factor = b.factor_initial if initial else b.factor_maintenance
    parts = []
    if scenario:
        parts.append(
            Explanation(
                label="loss in the worst scenario, times its factor",
                value=float(-b.worst[u] * factor[u]),
                unit="USD",
                rule="product",
                parts=(
                    _loss(method, scenario, book, contracts, b, pnl, u),
                    Explanation(label=f"{level} factor", value=float(factor[u]), source=f"{method}: margin factors"),
                ),
                source=f"{method}: worst of all scenarios and the basis",
            )
        )
    scale = float(b.size_factor_initial[u]) if initial else 1.0
    charges = (
        ("perpetual", b.perpetual_maintenance, b.perpetual_initial, "|net perpetual| at spot"),
        (
            "naked short options",
            b.option_maintenance,
            b.option_initial,
            "coins short at a strike, net of long, at spot",
        ),
        ("haircut of collateral", b.collateral_maintenance, b.collateral_initial, "its value"),
    )
    for label, of_maintenance, of_initial, note in charges:
        value = float(of_maintenance[u] + (of_initial[u] if initial else 0.0))
        if value:
            parts.append(
                Explanation(
                    label=f"charge for {label}" if "haircut" not in label else label,
                    value=value * scale,
                    unit="USD",
                    source=f"{method}: contingencies",
                    note=f"by size: {note}" + (f", times {scale:g}" if scale != 1 else ""),
                )
            )
    if initial and b.oracle[u]:
        parts.append(
            Explanation(
                label="charge for unsure oracles", value=float(b.oracle[u]), unit="USD", source=f"{method}: confidence"
            )
        )
    return Explanation(
        label=f"sub-book {name}",
        value=float((b.requirement_initial if initial else b.requirement_maintenance)[u]),
        unit="USD",
        rule="sum" if parts else "",
        parts=tuple(parts),
        source=f"{method}: one sub-book an underlying",
    )


def _loss(
    method: str,
    scenario: str,
    book: UnitBook,
    contracts: DeriveContracts,
    b: DeriveBreakdown,
    pnl: FloatArray,
    u: int,
) -> Explanation:
    held = book.holdings
    rows = np.arange(int(held.offsets[u]), int(held.offsets[u + 1]))
    rows = rows[pnl[rows] != 0]
    order = rows[np.argsort(-np.abs(pnl[rows]), kind="stable")]
    named, rest = order[:MOST_NAMED], order[MOST_NAMED:]
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
    return Explanation(
        label=f"loss in '{scenario}'",
        value=float(-b.worst[u]) + 0.0,
        unit="USD",
        rule="loss: minus the sum, at least 0" if parts else "",
        parts=tuple(parts),
        source=f"{method}: scenarios",
    )
