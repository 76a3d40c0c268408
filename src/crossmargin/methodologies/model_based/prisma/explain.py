"""Figures of the breakdown as a tree; nothing is calculated here."""

from __future__ import annotations

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.parameters import percent
from crossmargin.methodologies.model_based.prisma.parameters import PrismaParameters
from crossmargin.methodologies.model_based.prisma.recipe import (
    EVENT,
    FILTERED,
    STRESS,
    MeasureSet,
    PrismaBreakdown,
)
from crossmargin.methodologies.model_based.prisma.steps import Aggregate
from crossmargin.methodologies.model_based.words import USD, by_position, maintenance_of, volatility_node
from crossmargin.methodologies.protocol import Level

_RULE = {Aggregate.MEAN: "mean", Aggregate.LARGEST: "greater of", Aggregate.MEDIAN: "median"}
_WORDS = {Aggregate.MEAN: "mean", Aggregate.LARGEST: "largest", Aggregate.MEDIAN: "median"}


def explain_unit(
    name: str,
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: PrismaParameters,
    b: PrismaBreakdown,
    unit: int,
    level: Level,
) -> Explanation:
    """The requirement of a unit."""
    parts = [_market_risk(method, contracts, parameters, b, unit)]
    if b.event_loss.shape[1]:
        parts.append(_events(method, contracts, b, unit))
    parts.append(_liquidity(method, book, contracts, parameters, b, unit))
    if b.volatility[unit]:
        parts.append(volatility_node(method, float(b.volatility[unit]), parameters.factors.vol_charge))
    initial = Explanation(
        label=f"requirement of {name}",
        value=float(b.requirement[unit]),
        unit=USD,
        rule="sum",
        parts=tuple(parts),
        source=f"{method}: market risk and what it costs to close are added",
    )
    if level == "initial":
        return initial
    return maintenance_of(name, method, float(b.maintenance[unit]), parameters.maintenance_factor, initial)


def _market_risk(
    method: str, contracts: ModelContracts, parameters: PrismaParameters, b: PrismaBreakdown, unit: int
) -> Explanation:
    filtered = _set(method, "filtered scenarios", contracts, parameters, b, b.filtered, FILTERED, unit)
    if b.stress is None:
        return filtered
    stress = _set(method, "stress periods", contracts, parameters, b, b.stress, STRESS, unit)
    weight = parameters.stress_weight
    if weight != 1:
        stress = Explanation(
            label=f"{weight:.0%} of stress periods",
            value=float(b.stressed[unit]),
            unit=USD,
            rule="product",
            parts=(Explanation(label="weight", value=weight), stress),
            source=f"{method}: weight of the stress set",
        )
    return Explanation(
        label="market risk",
        value=float(b.market_risk[unit]),
        unit=USD,
        rule="greater of",
        parts=(filtered, stress),
        source=f"{method}: stress periods are the floor",
    )


def _set(
    method: str,
    what: str,
    contracts: ModelContracts,
    parameters: PrismaParameters,
    b: PrismaBreakdown,
    found: MeasureSet,
    name: str,
    unit: int,
) -> Explanation:
    aggregate, n = parameters.pure.aggregate, len(found.sizes)
    samples = tuple(_sub_sample(method, contracts, parameters, b, found, name, unit, k) for k in range(n))
    return Explanation(
        label=f"{what}: {_WORDS[aggregate]} of {n} sub-sample" + "s" * (n > 1),
        value=float(found.value[unit]),
        unit=USD,
        rule=_RULE[aggregate],
        parts=samples,
        source=f"{method}: aggregate of the sub-samples",
    )


def _sub_sample(
    method: str,
    contracts: ModelContracts,
    parameters: PrismaParameters,
    b: PrismaBreakdown,
    found: MeasureSet,
    name: str,
    unit: int,
    k: int,
) -> Explanation:
    pure, cb = parameters.pure, parameters.correlation_break
    value = float(found.pure[unit, k])
    parts = [
        Explanation(
            label="pure market risk",
            value=value,
            unit=USD,
            rule="product",
            parts=(
                Explanation(
                    label=f"value at risk at {percent(pure.level_low)}",
                    value=float(found.var_low[unit, k]),
                    unit=USD,
                    source=f"{method}: between the losses around it, at plotting positions (i - 1/2) / n",
                ),
                Explanation(
                    label=f"Student's t at {percent(pure.level_target)} over that",
                    value=b.scaling,
                    source=f"{method}: {pure.degrees_of_freedom:g} degrees of freedom",
                ),
            ),
            source=f"{method}: robust scaling",
        )
    ]
    if name == FILTERED:
        least, most = (
            Explanation(
                label=f"{part:.0%} of pure market risk",
                value=part * value,
                unit=USD,
                source=f"{method}: bounds of the correlation break",
            )
            for part in (cb.least, cb.most)
        )
        wanted = Explanation(
            label=f"{cb.kappa:g} x mean excess risk",
            value=cb.kappa * float(found.excess[unit, k]),
            unit=USD,
            rule="product",
            parts=(
                Explanation(label="kappa", value=cb.kappa),
                Explanation(
                    label=f"mean excess risk of {found.sizes[k] - cb.window + 1} windows of {cb.window}",
                    value=float(found.excess[unit, k]),
                    unit=USD,
                ),
            ),
            source=f"{method}: value at risk of windows beyond that of all, at {percent(cb.level)}",
        )
        parts.append(
            Explanation(
                label="correlation break",
                value=float(found.broken[unit, k]),
                unit=USD,
                rule="lesser of",
                parts=(
                    Explanation(
                        label="at least the lower bound",
                        value=max(wanted.value, least.value),
                        unit=USD,
                        rule="greater of",
                        parts=(wanted, least),
                    ),
                    most,
                ),
                source=f"{method}: correlation-break adjustment",
            )
        )
    if b.error[unit]:
        parts.append(
            Explanation(
                label="model error",
                value=float(b.error[unit]),
                unit=USD,
                source=f"{method}: root of the sum of squares of the positions' errors",
            )
        )
    return Explanation(
        label=f"sub-sample {k + 1}, of {found.sizes[k]:,} scenarios",
        value=float(found.risk[unit, k]),
        unit=USD,
        rule="sum",
        parts=tuple(parts),
        source=f"{method}: market risk of a sub-sample",
    )


def _events(method: str, contracts: ModelContracts, b: PrismaBreakdown, unit: int) -> Explanation:
    scenarios = contracts.sets[EVENT].scenarios
    n = b.event_loss.shape[1]
    return Explanation(
        label=f"the worst {n} of {len(scenarios):,} event days",
        value=float(b.event[unit]),
        unit=USD,
        rule="sum",
        parts=tuple(
            Explanation(label=scenarios.words(int(b.event_day[unit, k])), value=float(b.event_loss[unit, k]), unit=USD)
            for k in range(n)
        ),
        source=f"{method}: event scenarios",
    )


def _liquidity(
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: PrismaParameters,
    b: PrismaBreakdown,
    unit: int,
) -> Explanation:
    found, held = b.liquidity, book.holdings
    level = percent(parameters.liquidity.level)

    def of_size(k: int) -> tuple[Explanation, ...]:
        return (
            Explanation(label=f"factor at {found.days[k]:,.4g} days of volume", value=float(found.factor[k])),
            Explanation(label=f"value at risk at {level}, alone", value=float(found.var_alone[k]), unit=USD),
        )

    def of_spread(k: int) -> tuple[Explanation, ...]:
        instrument = int(held.instrument[k])
        return (
            Explanation(label="contracts", value=abs(float(held.quantity[k]))),
            Explanation(label="half the spread of one", value=float(contracts.spread[instrument]), unit=USD),
        )

    source = f"{method}: liquidity"
    parts = [by_position("size", float(found.premium_sum[unit]), book, contracts, unit, found.premium, of_size, source)]
    if found.spread_sum[unit]:
        total = float(found.spread_sum[unit])
        parts.append(
            by_position("from mid to bid or ask", total, book, contracts, unit, found.spread, of_spread, source)
        )
    undiversified = Explanation(
        label="each position by itself",
        value=float(found.premium_sum[unit] + found.spread_sum[unit]),
        unit=USD,
        rule="sum",
        parts=tuple(parts),
        source=source,
    )
    return Explanation(
        label="liquidity",
        value=float(found.charge[unit]),
        unit=USD,
        rule="product",
        parts=(_alpha(method, parameters, b, unit, level), undiversified),
        source=source,
    )


def _alpha(method: str, parameters: PrismaParameters, b: PrismaBreakdown, unit: int, level: str) -> Explanation:
    found, label = b.liquidity, "diversification factor"
    source = f"{method}: at least {parameters.liquidity.floor:g}"
    if not found.var_apart[unit] > 0:
        note = "no position loses anything alone: nothing is diversified"
        return Explanation(label=label, value=float(found.alpha[unit]), source=source, note=note)
    ratio = Explanation(
        label=f"value at risk at {level}, all together over the sum of each alone",
        value=float(found.var_together[unit] / found.var_apart[unit]),
        rule="first over second",
        parts=(
            Explanation(label="together", value=float(found.var_together[unit]), unit=USD),
            Explanation(label="alone", value=float(found.var_apart[unit]), unit=USD),
        ),
        source=source,
    )
    return Explanation(
        label=label,
        value=float(found.alpha[unit]),
        rule="greater of",
        parts=(ratio, Explanation(label="floor", value=parameters.liquidity.floor)),
        source=source,
    )
