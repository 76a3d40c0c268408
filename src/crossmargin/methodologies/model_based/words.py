"""Words and nodes that explanations of the family share; nothing is calculated here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.parameters import Measure, Tool

USD = "USD"
MOST_NAMED = 5
"""Positions that stand by themselves in an explanation; the smaller ones are one line."""


def measure_words(measure: Measure) -> str:
    """`expected shortfall at 99%`."""
    what = "expected shortfall" if measure.tool is Tool.ES else "value at risk"
    return f"{what} at {measure.level * 100:f}%".replace(".0%", "%")


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
