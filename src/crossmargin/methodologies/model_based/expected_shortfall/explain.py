"""Figures of the breakdown as a tree; nothing is calculated here."""

from __future__ import annotations

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.expected_shortfall.parameters import (
    AntiProcyclicality,
    ShortfallParameters,
)
from crossmargin.methodologies.model_based.expected_shortfall.recipe import (
    BASE,
    LONG_RUN,
    STRESS,
    ShortfallBreakdown,
)
from crossmargin.methodologies.model_based.measures import Tails
from crossmargin.methodologies.model_based.parameters import Tool
from crossmargin.methodologies.model_based.words import measure_words
from crossmargin.methodologies.protocol import Level

USD = "USD"


def explain_unit(
    name: str,
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: ShortfallParameters,
    b: ShortfallBreakdown,
    unit: int,
    level: Level,
) -> Explanation:
    """The requirement of a unit."""
    initial = _initial(name, method, book, contracts, parameters, b, unit)
    if level == "initial":
        return initial
    return Explanation(
        label=f"maintenance of {name}",
        value=float(b.maintenance[unit]),
        unit=USD,
        rule="product",
        parts=(Explanation(label="maintenance factor", value=parameters.maintenance_factor), initial),
        source=f"{method}: maintenance is a fraction of initial",
    )


def _initial(
    name: str,
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: ShortfallParameters,
    b: ShortfallBreakdown,
    unit: int,
) -> Explanation:
    parts = [_with_buffer(method, contracts, parameters, b, unit)]
    if b.volatility[unit]:
        parts.append(
            Explanation(
                label="volatility without a history: net vega of each underlying",
                value=float(b.volatility[unit]),
                unit=USD,
                source=f"{method}: volatility moves by {parameters.factors.vol_charge:.0%} of itself, the wrong way",
            )
        )
    if b.apart is not None:
        parts.append(_beyond_cap(method, book, contracts, parameters, b, unit))
    charged = float(b.with_buffer[unit] + b.volatility[unit] + b.beyond_cap[unit])
    of_scenarios = Explanation(
        label=f"requirement of {name} by its scenarios",
        value=charged,
        unit=USD,
        rule="sum",
        parts=tuple(parts),
        source=f"{method}: charges are added",
    )
    if not parameters.floor_rate:
        return Explanation(
            label=f"requirement of {name}",
            value=float(b.requirement[unit]),
            unit=USD,
            rule="sum",
            parts=tuple(parts),
            source=f"{method}: charges are added",
        )
    return Explanation(
        label=f"requirement of {name}",
        value=float(b.requirement[unit]),
        unit=USD,
        rule="greater of",
        parts=(
            of_scenarios,
            Explanation(
                label="floor on the gross value held",
                value=float(b.floor[unit]),
                unit=USD,
                source=f"{method}: {parameters.floor_rate:.2%} of the gross value",
            ),
        ),
        source=f"{method}: at least the floor",
    )


def _tail(
    method: str, contracts: ModelContracts, parameters: ShortfallParameters, t: Tails, name: str, unit: int
) -> Explanation:
    scenarios = contracts.sets[name].scenarios
    words = scenarios.words(int(t.scenario[unit]))
    worst = (
        ""
        if not t.counts[unit]
        else f"; the worst is '{words}'"
        if parameters.measure.tool is Tool.ES
        else f": '{words}'"
    )
    what = {BASE: "", STRESS: " of stressed days", LONG_RUN: " of the long history"}[name]
    return Explanation(
        label=f"{measure_words(parameters.measure)}{what} in {len(scenarios):,} scenarios{worst}",
        value=float(t.value[unit]),
        unit=USD,
        source=f"{method}: losses of the whole portfolio, scenario by scenario",
        note="" if t.counts[unit] else "it gains in its worst scenarios: nothing is asked for",
    )


def _with_buffer(
    method: str, contracts: ModelContracts, parameters: ShortfallParameters, b: ShortfallBreakdown, unit: int
) -> Explanation:
    base = _tail(method, contracts, parameters, b.loss, BASE, unit)
    apc = parameters.apc
    if apc.tool is AntiProcyclicality.NONE:
        return base
    assert b.other is not None
    source = f"{method}: RTS 153/2013 Art. 28(1)"
    value = float(b.with_buffer[unit])
    if apc.tool is AntiProcyclicality.BUFFER:
        long_run = float(b.other.value[unit])
        factor = Explanation(
            label=f"1 + buffer {apc.buffer:.0%} x (1 - {b.release[unit]:.1%} released)",
            value=float(1 + apc.buffer * (1 - b.release[unit])),
            source=source,
            note=f"released from {apc.release_from:g} to {apc.release_to:g} times the long-run loss of {long_run:,.2f}",
        )
        return Explanation(
            label="with the buffer", value=value, unit=USD, rule="product", parts=(base, factor), source=source
        )
    name = STRESS if apc.tool is AntiProcyclicality.STRESSED_WEIGHT else LONG_RUN
    other = _tail(method, contracts, parameters, b.other, name, unit)
    if apc.tool is AntiProcyclicality.LONG_RUN_FLOOR:
        return Explanation(
            label="not below the long history",
            value=value,
            unit=USD,
            rule="greater of",
            parts=(base, other),
            source=source,
        )
    w = apc.stressed_weight
    return Explanation(
        label="with stressed days",
        value=value,
        unit=USD,
        rule="sum",
        parts=tuple(
            Explanation(
                label=f"{weight:.0%} of {part.label}",
                value=weight * part.value,
                unit=USD,
                rule="product",
                parts=(Explanation(label="weight", value=weight), part),
                source=source,
            )
            for weight, part in ((1 - w, base), (w, other))
        ),
        source=source,
    )


def _beyond_cap(
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: ShortfallParameters,
    b: ShortfallBreakdown,
    unit: int,
) -> Explanation:
    assert b.apart is not None
    assert parameters.offset_cap is not None
    cut = book.cut.segments
    first, last = int(cut.unit_offsets[unit]), int(cut.unit_offsets[unit + 1])
    apart = tuple(
        Explanation(label=f"{contracts.underlyings[int(cut.label[k])]} alone", value=float(b.apart.value[k]), unit=USD)
        for k in range(first, last)
    )
    together = Explanation(label="together, with the sign turned", value=-float(b.loss.value[unit]), unit=USD)
    saved = Explanation(
        label="what netting across underlyings saves",
        value=max(0.0, float(b.apart_sum[unit] - b.loss.value[unit])),
        unit=USD,
        rule="sum, at least 0",
        parts=(*apart, together),
        source=f"{method}: each underlying alone, less all together",
    )
    return Explanation(
        label=f"beyond the offset cap of {parameters.offset_cap:.0%}",
        value=float(b.beyond_cap[unit]),
        unit=USD,
        rule="product",
        parts=(Explanation(label="part that is not recognised", value=1 - parameters.offset_cap), saved),
        source=f"{method}: RTS 153/2013 Art. 27, as remembered: a reduction of at most 80% of the difference",
    )
