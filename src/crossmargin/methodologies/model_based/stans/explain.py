"""Figures of the breakdown as a tree; nothing is calculated here."""

from __future__ import annotations

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.stans.parameters import StansParameters
from crossmargin.methodologies.model_based.stans.recipe import DEPENDENCE, SIMULATED, StansBreakdown
from crossmargin.methodologies.model_based.words import (
    USD,
    maintenance_of,
    measure_words,
    tail_node,
    volatility_node,
)
from crossmargin.methodologies.protocol import Level

_WORDS = {
    "simulated": "correlations as simulated",
    "at zero": "correlations of zero",
    "at one": "correlations of one",
}


def explain_unit(
    name: str,
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: StansParameters,
    b: StansBreakdown,
    unit: int,
    level: Level,
) -> Explanation:
    """The requirement of a unit."""
    scenarios = contracts.sets[SIMULATED].scenarios
    parts = [
        tail_node("base", scenarios, b.base, parameters.base, unit, source=f"{method}: losses of the whole portfolio"),
        _add_on(method, book, contracts, parameters, b, unit),
    ]
    if b.liquidation[unit]:
        parts.append(
            Explanation(
                label="liquidation: half of what ask is above bid",
                value=float(b.liquidation[unit]),
                unit=USD,
                source=f"{method}: quotes of the market",
            )
        )
    if b.volatility[unit]:
        parts.append(volatility_node(method, float(b.volatility[unit]), parameters.factors.vol_charge))
    initial = Explanation(
        label=f"requirement of {name}",
        value=float(b.requirement[unit]),
        unit=USD,
        rule="sum",
        parts=tuple(parts),
        source=f"{method}: base, add-on and the cost of closing are added",
    )
    if level == "initial":
        return initial
    return maintenance_of(name, method, float(b.maintenance[unit]), parameters.maintenance_factor, initial)


def _add_on(
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: StansParameters,
    b: StansBreakdown,
    unit: int,
) -> Explanation:
    """Weight times what the worse of dependence and concentration is beyond the base."""
    source = f"{method}: 25% of what dependence or concentration asks for beyond the base, as remembered"
    words = measure_words(parameters.add_on)
    dependence = Explanation(
        label=f"dependence: {words}",
        value=float(b.dependence_value[unit]),
        unit=USD,
        rule="greater of",
        parts=tuple(
            Explanation(label=_WORDS[name], value=float(found.value[unit]), unit=USD)
            for name, found in zip(DEPENDENCE, b.dependence, strict=True)
        ),
        source=source,
    )
    k = int(b.largest[unit])
    held = contracts.underlyings[int(book.cut.segments.label[k])] if k >= 0 else "nothing"
    concentration = Explanation(
        label=f"concentration: {words} of {held} alone",
        value=float(b.concentration_value[unit]),
        unit=USD,
        source=source,
    )
    worse = Explanation(
        label="the worse of dependence and concentration",
        value=max(dependence.value, concentration.value),
        unit=USD,
        rule="greater of",
        parts=(dependence, concentration),
        source=source,
    )
    base = Explanation(label="base, with the sign turned", value=-float(b.base.value[unit]), unit=USD)
    beyond = Explanation(
        label="beyond the base",
        value=max(0.0, worse.value + base.value),
        unit=USD,
        rule="sum, at least 0",
        parts=(worse, base),
        source=source,
    )
    return Explanation(
        label="add-on for dependence and concentration",
        value=float(b.add_on[unit]),
        unit=USD,
        rule="product",
        parts=(Explanation(label="weight", value=parameters.add_on_weight), beyond),
        source=source,
    )
