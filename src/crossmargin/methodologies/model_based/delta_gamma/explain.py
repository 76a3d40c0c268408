"""Figures of the breakdown as a tree; nothing is calculated here."""

from __future__ import annotations

import math

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.model_based.delta_gamma.parameters import DeltaGammaParameters
from crossmargin.methodologies.model_based.delta_gamma.recipe import DeltaGammaBreakdown
from crossmargin.methodologies.model_based.words import USD, maintenance_of, measure_words, volatility_node
from crossmargin.methodologies.protocol import Level


def explain_unit(
    name: str, method: str, parameters: DeltaGammaParameters, b: DeltaGammaBreakdown, unit: int, level: Level
) -> Explanation:
    """The requirement of a unit."""
    parts = [_loss(method, parameters, b, unit)]
    if b.volatility[unit]:
        parts.append(volatility_node(method, float(b.volatility[unit]), parameters.factors.vol_charge))
    initial = Explanation(
        label=f"requirement of {name}",
        value=float(b.requirement[unit]),
        unit=USD,
        rule="sum",
        parts=tuple(parts),
        source=f"{method}: charges are added",
    )
    if level == "initial":
        return initial
    return maintenance_of(name, method, float(b.maintenance[unit]), parameters.maintenance_factor, initial)


def _loss(method: str, parameters: DeltaGammaParameters, b: DeltaGammaBreakdown, unit: int) -> Explanation:
    source = f"{method}: normal factors, deltas and gammas; Cornish and Fisher"
    deviation = float(b.deviation[unit])
    by_delta = math.sqrt(max(float(b.cumulants.linear[unit]), 0.0))
    turned = ", the largest at this level or any lower one: the expansion turns" if b.multiple.turned[unit] else ""
    size = Explanation(
        label=f"deviation of the value over {parameters.horizon_days} days",
        value=deviation,
        unit=USD,
        note=f"{by_delta:,.2f} of it by deltas alone" if b.cumulants.linear[unit] != b.cumulants.k2[unit] else "",
    )
    times = Explanation(
        label=f"deviations, {measure_words(parameters.measure)}",
        value=float(b.multiple.value[unit]),
        note=f"skew {b.skew[unit]:.3f}, excess kurtosis {b.kurtosis[unit]:.3f}{turned}",
    )
    spread = Explanation(
        label="below the mean",
        value=deviation * float(b.multiple.value[unit]),
        unit=USD,
        rule="product",
        parts=(size, times),
        source=source,
    )
    earned, counted = float(b.cumulants.k1[unit]), float(b.mean[unit])
    mean = Explanation(
        label="what gammas earn on average, with the sign turned",
        value=-counted + 0.0,
        unit=USD,
        note=""
        if counted == earned
        else f"{earned:,.2f} of gain is no credit: the time decay that pays for it is left out",
    )
    return Explanation(
        label=f"{measure_words(parameters.measure)} of deltas and gammas",
        value=max(0.0, float(b.loss[unit])),
        unit=USD,
        rule="sum, at least 0",
        parts=(spread, mean),
        source=source,
    )
