"""Breakdown to explanation: arranges the kept figures; what it adds up is only what it shows together."""

from __future__ import annotations

import math

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.protocol import Level
from crossmargin.methodologies.venue_grids.scenario_grid.book import GridBook
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import AcrossUnits, GridParameters
from crossmargin.methodologies.venue_grids.scenario_grid.recipe import GridBreakdown
from crossmargin.scenarios.grid import scenario_words

SOURCE = "crossmargin scenario-grid"
MOST_NAMED = 5
"""Positions named on each side, losing and gaining; the others are one line."""


def scenario_in_words(book: GridBook, unit: int, scenario: int) -> str:
    """Scenario of a unit as a person says it."""
    contracts = book.contracts
    name = contracts.inputs.instruments.underlyings[int(book.unit_underlying[unit])]
    return scenario_words(name, contracts.scenarios[name], scenario)


def explain_account(
    account: str,
    units: range,
    index: int,
    book: GridBook,
    breakdown: GridBreakdown,
    pnl_worst: np.ndarray,
    parameters: GridParameters,
    level: Level,
) -> Explanation:
    """The requirement of one margin account at a level, as a tree."""
    label = f"initial requirement of {account}"
    by_itself = parameters.across_units is AcrossUnits.INDEPENDENT or len(units) <= 1 or bool(book.gross[index])
    if by_itself:
        initial = Explanation(
            label=label,
            value=float(breakdown.requirement[index]),
            unit="USD",
            rule="sum" if len(units) else "",
            parts=tuple(_unit(book, breakdown, pnl_worst, u) for u in units),
            source=f"{SOURCE}: units are independent",
        )
    else:
        initial = _common(label, book, breakdown, pnl_worst, units, index, parameters)
    if level == "initial":
        return initial
    factor = Explanation(label="maintenance factor", value=parameters.maintenance_factor, source=parameters.info.name)
    return Explanation(
        label=f"maintenance requirement of {account}",
        value=float(breakdown.maintenance[index]),
        unit="USD",
        rule="product",
        parts=(initial, factor),
        source=f"{SOURCE}: maintenance",
    )


def _unit(book: GridBook, breakdown: GridBreakdown, pnl_worst: np.ndarray, u: int) -> Explanation:
    scan = float(breakdown.scan_risk[u])
    roll = float(breakdown.roll_charge[u])
    return Explanation(
        label=f"risk unit {book.unit_name(u)}",
        value=float(breakdown.unit_requirement[u]),
        unit="USD",
        rule="greater of",
        parts=(
            Explanation(
                label="scan risk and roll charge",
                value=scan + roll,
                unit="USD",
                rule="sum",
                parts=(_scan(book, breakdown, pnl_worst, u), _roll(book, breakdown, u)),
            ),
            _minimum(book, breakdown, u),
        ),
        source=f"{SOURCE}: requirement of a unit",
    )


def _common(
    label: str,
    book: GridBook,
    breakdown: GridBreakdown,
    pnl_worst: np.ndarray,
    units: range,
    index: int,
    parameters: GridParameters,
) -> Explanation:
    scan = float(breakdown.account_scan[index])
    charges = tuple(_roll(book, breakdown, u) for u in units)
    minima = tuple(_minimum(book, breakdown, u) for u in units)
    return Explanation(
        label=label,
        value=float(breakdown.requirement[index]),
        unit="USD",
        rule="greater of",
        parts=(
            _summed(
                "scan risk and roll charges",
                (
                    _summed(
                        "scan risk in the worst common scenario",
                        tuple(_recognised(book, breakdown, pnl_worst, u, parameters) for u in units),
                        value=scan,
                        rule="sum, at least 0",
                    ),
                    *charges,
                ),
            ),
            _summed("short option minima", minima),
        ),
        source=f"{SOURCE}: units in common, gain share {parameters.gain_share:g}",
    )


def _recognised(
    book: GridBook, breakdown: GridBreakdown, pnl_worst: np.ndarray, u: int, parameters: GridParameters
) -> Explanation:
    """A unit's part of the common scan: its loss, or minus the recognised part of its gain."""
    name = book.unit_name(u)
    if breakdown.scan_pnl[u] <= 0:
        return _scan(book, breakdown, pnl_worst, u)
    words = scenario_in_words(book, u, int(breakdown.scenario_worst[u]))
    gain = Explanation(
        label=f"gain of {name} in '{words}'",
        value=float(breakdown.scan_pnl[u]),
        unit="USD",
        rule="sum",
        parts=_named_positions(book, pnl_worst, u),
    )
    cap = parameters.gain_cap if math.isfinite(parameters.gain_cap) else float(breakdown.scan_pnl[u])
    return Explanation(
        label=f"recognised gain of {name}",
        value=float(breakdown.scan_risk[u]),
        unit="USD",
        rule="share of the gain, at most the cap: minus min(first x second, third)",
        parts=(
            gain,
            Explanation(label="share of gains", value=parameters.gain_share),
            Explanation(
                label="cap",
                value=cap,
                unit="USD",
                note="" if math.isfinite(parameters.gain_cap) else "no cap: the whole gain",
            ),
        ),
    )


def _scan(book: GridBook, breakdown: GridBreakdown, pnl_worst: np.ndarray, u: int) -> Explanation:
    words = scenario_in_words(book, u, int(breakdown.scenario_worst[u]))
    positions = _named_positions(book, pnl_worst, u)
    return Explanation(
        label=f"scan risk of {book.unit_name(u)}, worst in '{words}'",
        value=float(breakdown.scan_risk[u]),
        unit="USD",
        rule="loss: minus the sum, at least 0" if positions else "",
        parts=positions,
        source=f"{SOURCE}: scan risk",
    )


def _named_positions(book: GridBook, pnl_worst: np.ndarray, u: int) -> tuple[Explanation, ...]:
    """The largest losing and gaining positions by name, the others together."""
    first, last = int(book.holdings.offsets[u]), int(book.holdings.offsets[u + 1])
    order = first + np.argsort(pnl_worst[first:last], kind="stable")
    losing = [k for k in order.tolist() if pnl_worst[k] < 0][:MOST_NAMED]
    gaining = [k for k in reversed(order.tolist()) if pnl_worst[k] > 0][:MOST_NAMED]
    named = [*losing, *gaining]
    rest = [k for k in range(first, last) if k not in set(named)]
    names = book.contracts.inputs.instruments.names
    stand_ins: dict[str, str] = {}
    for fill in book.contracts.inputs.fills:
        stand_ins[fill.instrument] = "; ".join(filter(None, (stand_ins.get(fill.instrument), fill.in_words)))
    parts = []
    for k in named:
        name = names[int(book.holdings.instrument[k])]
        parts.append(
            Explanation(
                label=f"P&L of {format_quantity(int(book.steps[k]))} {name}",
                value=float(pnl_worst[k]),
                unit="USD",
                note=stand_ins.get(name, ""),
            )
        )
    if rest:
        total = math.fsum(float(pnl_worst[k]) for k in rest)
        count = f"{len(rest)} other position" + ("s" if len(rest) > 1 else "")
        parts.append(Explanation(label=f"P&L of {count}", value=total, unit="USD"))
    return tuple(parts)


def _roll(book: GridBook, breakdown: GridBreakdown, u: int) -> Explanation:
    ledger = breakdown.roll_ledger
    labels = book.contracts.expiry_labels
    parts = tuple(
        Explanation(
            label=f"roll of {labels[int(ledger.expiry[k])]}",
            value=float(ledger.charge[k]),
            unit="USD",
            rule="product",
            parts=(
                Explanation(
                    label="absolute net delta",
                    value=abs(float(ledger.net_delta[k])),
                    unit="USD",
                    rule="absolute value of the sum",
                    parts=(Explanation(label="net delta", value=float(ledger.net_delta[k]), unit="USD"),),
                ),
                Explanation(label="basis move", value=float(ledger.move[k])),
            ),
        )
        for k in np.flatnonzero(ledger.unit == u).tolist()
    )
    return Explanation(
        label=f"roll charge of {book.unit_name(u)}",
        value=float(breakdown.roll_charge[u]),
        unit="USD",
        rule="sum" if parts else "",
        parts=parts,
        source=f"{SOURCE}: roll charge",
    )


def _minimum(book: GridBook, breakdown: GridBreakdown, u: int) -> Explanation:
    first, last = int(book.holdings.offsets[u]), int(book.holdings.offsets[u + 1])
    # The products of which the minimum is the sum.
    by_position = book.short.quantity[first:last] * book.contracts.short_minimum[book.holdings.instrument[first:last]]
    names = book.contracts.inputs.instruments.names
    parts = tuple(
        Explanation(
            label=f"{format_quantity(-int(book.steps[k]))} short {names[int(book.holdings.instrument[k])]}",
            value=float(by_position[k - first]),
            unit="USD",
        )
        for k in range(first, last)
        if by_position[k - first] > 0
    )
    return Explanation(
        label=f"short option minimum of {book.unit_name(u)}",
        value=float(breakdown.short_option_minimum[u]),
        unit="USD",
        rule="sum" if parts else "",
        parts=parts,
        source=f"{SOURCE}: short option minimum",
    )


def _summed(
    label: str, parts: tuple[Explanation, ...], *, value: float | None = None, rule: str = "sum"
) -> Explanation:
    """A node over `parts`; its value is theirs by plain addition unless the breakdown holds it."""
    total = math.fsum(part.value for part in parts) if value is None else value
    return Explanation(label=label, value=total, unit="USD", rule=rule if parts else "", parts=parts)
