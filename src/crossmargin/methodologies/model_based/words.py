"""Words and nodes that explanations of the family share; nothing is calculated here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.measures import Tails
from crossmargin.methodologies.model_based.parameters import Measure, Tool
from crossmargin.methodologies.protocol import Level
from crossmargin.scenarios.factor_scenarios import FactorScenarios

USD = "USD"
MOST_NAMED = 5
"""Positions that stand by themselves in an explanation; the smaller ones are one line."""


def measure_words(measure: Measure) -> str:
    """`expected shortfall at 99%`."""
    what = "expected shortfall" if measure.tool is Tool.ES else "value at risk"
    level = f"{measure.level * 100:f}"
    return f"{what} at {level.rstrip('0').rstrip('.') if '.' in level else level}%"


def tail_node(
    method: str, scenarios: FactorScenarios, measure: Measure, found: Tails, unit: int, what: str = ""
) -> Explanation:
    """What a measure asks for of a unit's losses in a set of scenarios.

    Parameters
    ----------
    what : str
        Of which scenarios, if they are not simply all: begins with a blank.
    """
    words = scenarios.words(int(found.scenario[unit]))
    worst = "" if not found.counts[unit] else f"; the worst is '{words}'" if measure.tool is Tool.ES else f": '{words}'"
    return Explanation(
        label=f"{measure_words(measure)}{what} in {len(scenarios):,} scenarios{worst}",
        value=float(found.value[unit]),
        unit=USD,
        source=f"{method}: losses of the whole portfolio, scenario by scenario",
        note="" if found.counts[unit] else "it gains in its worst scenarios: nothing is asked for",
    )


def weighted(method: str, weight: float, part: Explanation) -> Explanation:
    """A part of what `part` asks for."""
    return Explanation(
        label=f"{100 * weight:g}% of {part.label}",
        value=weight * part.value,
        unit=USD,
        rule="product",
        parts=(Explanation(label="weight", value=weight), part),
        source=part.source or method,
    )


def volatility_node(method: str, charge: float, move: float) -> Explanation:
    """The charge for volatilities without a history, which move by `move` of themselves."""
    return Explanation(
        label="volatility without a history: net vega of each underlying",
        value=charge,
        unit=USD,
        source=f"{method}: volatility moves by {move:.0%} of itself, the wrong way",
    )


def spread_node(
    method: str, total: float, book: UnitBook, contracts: ModelContracts, unit: int, charge: FloatArray
) -> Explanation:
    """Half of what ask is above bid, position by position."""
    held = book.holdings

    def factors(k: int) -> tuple[Explanation, ...]:
        return (
            Explanation(label="contracts", value=abs(float(held.quantity[k]))),
            Explanation(
                label="half the spread of one", value=float(contracts.spread[int(held.instrument[k])]), unit=USD
            ),
        )

    return by_position(
        "from mid to bid or ask", total, book, contracts, unit, charge, factors, f"{method}: half of bid to ask"
    )


def at_level(
    method: str, name: str, initial: Explanation, maintenance: float, factor: float, level: Level
) -> Explanation:
    """The requirement at a level, where maintenance is `factor` times initial."""
    if level == "initial":
        return initial
    return Explanation(
        label=f"maintenance of {name}",
        value=maintenance,
        unit=USD,
        rule="product",
        parts=(Explanation(label="maintenance factor", value=factor), initial),
        source=f"{method}: maintenance is a fraction of initial",
    )


def by_position(
    label: str,
    total: float,
    book: UnitBook,
    contracts: ModelContracts,
    unit: int,
    charge: FloatArray,
    factors: Callable[[int], tuple[Explanation, ...]],
    source: str,
) -> Explanation:
    """A charge that is a sum over positions, each of which is a product of `factors`.

    Parameters
    ----------
    charge : ndarray of shape (n_positions,)
        Of each position.
    factors : callable
        Gives the factors of a position by its index.
    """
    held = book.holdings
    first, last = int(held.offsets[unit]), int(held.offsets[unit + 1])
    rows = np.arange(first, last)[charge[first:last] != 0]
    order = rows[np.argsort(-charge[rows], kind="stable")]
    named, rest = order[:MOST_NAMED], order[MOST_NAMED:]
    parts = [
        Explanation(
            label=f"{format_quantity(int(book.layout.steps[k]))} x {contracts.names[int(held.instrument[k])]}",
            value=float(charge[k]),
            unit=USD,
            rule="product",
            parts=factors(k),
            source=source,
        )
        for k in named.tolist()
    ]
    if len(rest):
        count = f"{len(rest)} other position" + "s" * (len(rest) > 1)
        parts.append(Explanation(label=count, value=float(np.sum(charge[rest])), unit=USD, source=source))
    return Explanation(
        label=label, value=total, unit=USD, rule="sum" if parts else "", parts=tuple(parts), source=source
    )
