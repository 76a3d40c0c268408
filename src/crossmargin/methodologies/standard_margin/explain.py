"""Breakdown of a unit to explanation: arranges the kept figures."""

from __future__ import annotations

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.protocol import Level
from crossmargin.methodologies.standard_margin.contracts import Row, StandardContracts
from crossmargin.methodologies.standard_margin.recipe import StandardBreakdown

MOST_NAMED = 8
"""Positions named by themselves, those that ask for most; the others are one line."""


def explain_unit(
    method: str, name: str, book: UnitBook, contracts: StandardContracts, b: StandardBreakdown, u: int, level: Level
) -> Explanation:
    """The requirement of one unit: perpetuals and futures, options by expiry, haircuts, peg, oracles."""
    held, initial = book.holdings, level == "initial"
    rows = np.arange(int(held.offsets[u]), int(held.offsets[u + 1]))
    kind = contracts.inputs.kind[held.instrument[rows]]
    alone = b.alone_initial if initial else b.alone_maintenance
    parts = []
    delta_one = b.delta_one_initial if initial else b.delta_one_maintenance
    if delta_one[u]:
        parts.append(
            _sum(
                "perpetuals and futures",
                float(delta_one[u]),
                _positions(book, contracts, rows[kind == Row.DELTA_ONE], alone),
                f"{method}: rate of notional",
            )
        )
    span = range(int(b.by_expiry.unit_offsets[u]), int(b.by_expiry.unit_offsets[u + 1]))
    parts += [
        _expiry(method, book, contracts, b, rows, s, level)
        for s in span
        if b.by_expiry.label[s] < len(contracts.inputs.expiry_labels)
    ]
    haircut = b.haircut_initial if initial else b.haircut_maintenance
    if haircut[u]:
        parts.append(
            _sum(
                "part of collateral that does not count",
                float(haircut[u]),
                _positions(book, contracts, rows[kind == Row.COLLATERAL], alone),
                f"{method}: collateral factor",
            )
        )
    for label, values, of in (
        ("charge for the stablecoin off its peg", b.depeg, "perpetuals and short options at spot"),
        ("charge for unsure oracles", b.oracle, "perpetuals, short options and collateral at spot"),
    ):
        if initial and values[u]:
            parts.append(
                Explanation(
                    label=label, value=float(values[u]), unit="USD", source=f"{method}: initial margin", note=of
                )
            )
    return _sum(
        name,
        float((b.requirement_initial if initial else b.requirement_maintenance)[u]),
        parts,
        f"{method}: underlyings are summed",
    )


def _expiry(
    method: str,
    book: UnitBook,
    contracts: StandardContracts,
    b: StandardBreakdown,
    rows: IntArray,
    s: int,
    level: Level,
) -> Explanation:
    """Options of one expiry: each alone, or the lesser of that and their maximum loss."""
    e, initial = b.expiries, level == "initial"
    label = contracts.inputs.expiry_labels[int(b.by_expiry.label[s])]
    own = rows[b.by_expiry.of_position[rows] == s]
    alone = _sum(
        f"options of {label}, each alone",
        float((e.alone_initial if initial else e.alone_maintenance)[s]),
        _positions(book, contracts, own, b.alone_initial if initial else b.alone_maintenance),
        f"{method}: short options by formula, long ones at their value",
    )
    loss = float((e.loss_initial if initial else e.loss_maintenance)[s])
    if not np.isfinite(loss):
        return alone
    times = float((e.unpaired_initial if initial else e.unpaired_maintenance)[s])
    where = f"settled at {e.settlement[s]:,.10g}" if e.settlement[s] >= 0 else "nothing lost at any settlement"
    together = Explanation(
        label=f"maximum loss of {label}",
        value=loss,
        unit="USD",
        rule="sum, at least 0",
        parts=(
            Explanation(label="value now", value=float(e.value[s]), unit="USD"),
            Explanation(label="worst payoff, as a loss", value=float(-e.payoff[s]) + 0.0, unit="USD", note=where),
            Explanation(
                label="calls short beyond the long ones",
                value=times * float(e.forward[s]) * float(e.unpaired[s]),
                unit="USD",
                note=f"{e.unpaired[s]:,.10g} x forward {e.forward[s]:,.10g} x {times:g}",
            ),
        ),
        source=f"{method}: maximum loss",
    )
    return Explanation(
        label=f"options of {label}",
        value=float((e.requirement_initial if initial else e.requirement_maintenance)[s]),
        unit="USD",
        rule="lesser of",
        parts=(alone, together),
        source=f"{method}: the better of the two",
    )


def _sum(label: str, value: float, parts: list[Explanation], source: str) -> Explanation:
    return Explanation(
        label=label, value=value, unit="USD", rule="sum" if parts else "", parts=tuple(parts), source=source
    )


def _positions(book: UnitBook, contracts: StandardContracts, rows: IntArray, charge: FloatArray) -> list[Explanation]:
    """The charge of each position; the smaller ones in one line."""
    rows = rows[charge[rows] != 0]
    order = rows[np.argsort(-charge[rows], kind="stable")]
    named, rest = order[:MOST_NAMED], order[MOST_NAMED:]
    parts = [
        Explanation(
            label=f"{format_quantity(int(book.layout.steps[k]))} x {contracts.names[int(book.holdings.instrument[k])]}",
            value=float(charge[k]),
            unit="USD",
        )
        for k in named.tolist()
    ]
    if len(rest):
        parts.append(Explanation(label=f"{len(rest)} other positions", value=float(np.sum(charge[rest])), unit="USD"))
    return parts
