"""Figures of the breakdown as a tree; nothing is calculated here."""

from __future__ import annotations

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.measures import Tails
from crossmargin.methodologies.model_based.span2.parameters import Span2Parameters, StressStatistic
from crossmargin.methodologies.model_based.span2.recipe import HISTORICAL, STRESS, Span2Breakdown, WrongWay
from crossmargin.methodologies.model_based.words import (
    USD,
    at_level,
    by_position,
    spread_node,
    tail_node,
    volatility_node,
    weighted,
)
from crossmargin.methodologies.protocol import Level


def explain_unit(
    name: str,
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: Span2Parameters,
    b: Span2Breakdown,
    unit: int,
    level: Level,
) -> Explanation:
    """The requirement of a unit."""
    parts = [_market_risk(method, contracts, parameters, b, unit)]
    if b.liquidity[unit]:
        parts.append(_liquidity(method, book, contracts, parameters, b, unit))
    if b.size.concentration_sum[unit]:
        parts.append(_concentration(method, book, contracts, parameters, b, unit))
    if b.volatility[unit]:
        parts.append(volatility_node(method, float(b.volatility[unit]), parameters.factors.vol_charge))
    if b.wrong_way is not None and b.wrong_way.charge[unit]:
        parts.append(_wrong_way(method, book, contracts, parameters, b.wrong_way, unit))
    initial = Explanation(
        label=f"requirement of {name}",
        value=float(b.requirement[unit]),
        unit=USD,
        rule="sum",
        parts=tuple(parts),
        source=f"{method}: x historical + (1 - x) stress + liquidity + concentration",
    )
    return at_level(method, name, initial, float(b.maintenance[unit]), parameters.maintenance_factor, level)


def _market_risk(
    method: str, contracts: ModelContracts, parameters: Span2Parameters, b: Span2Breakdown, unit: int
) -> Explanation:
    x, measure = parameters.historical_weight, parameters.measure
    scenarios = contracts.sets[HISTORICAL].scenarios
    historical = tail_node(method, scenarios, measure, b.historical, unit, " of history")
    if b.stress is None:
        return historical
    return Explanation(
        label="market risk",
        value=float(b.market_risk[unit]),
        unit=USD,
        rule="sum",
        parts=(
            weighted(method, x, historical),
            weighted(method, 1 - x, _stress(method, contracts, parameters, b.stress, unit)),
        ),
        source=f"{method}: x historical + (1 - x) stress",
    )


def _stress(
    method: str, contracts: ModelContracts, parameters: Span2Parameters, found: Tails, unit: int
) -> Explanation:
    scenarios = contracts.sets[STRESS].scenarios
    if parameters.stress_statistic is StressStatistic.MEASURE:
        return tail_node(method, scenarios, parameters.measure, found, unit, " of stress")
    loses = bool(found.counts[unit])
    words = f": '{scenarios.words(int(found.scenario[unit]))}'" if loses else ""
    return Explanation(
        label=f"the worst of {len(scenarios):,} stress scenarios{words}",
        value=float(found.value[unit]),
        unit=USD,
        source=f"{method}: losses of the whole portfolio, scenario by scenario",
        note="" if loses else "it gains in all of them: nothing is asked for",
    )


def _liquidity(
    method: str, book: UnitBook, contracts: ModelContracts, parameters: Span2Parameters, b: Span2Breakdown, unit: int
) -> Explanation:
    size, held = b.size, book.holdings

    def factors(k: int) -> tuple[Explanation, ...]:
        return (
            Explanation(label="Y, daily volatilities for one day of volume", value=parameters.impact),
            Explanation(label="daily volatility of one contract", value=float(size.volatility[k]), unit=USD),
            Explanation(label="contracts", value=abs(float(held.quantity[k]))),
            Explanation(label=f"root of {size.days[k]:,.4g} days of volume", value=float(size.root_days[k])),
        )

    source = f"{method}: square-root impact, ours"
    parts = []
    if size.impact_sum[unit]:
        total = float(size.impact_sum[unit])
        parts.append(by_position("impact of closing", total, book, contracts, unit, size.impact, factors, source))
    if size.spread_sum[unit]:
        parts.append(spread_node(method, float(size.spread_sum[unit]), book, contracts, unit, size.spread))
    return Explanation(
        label="liquidity",
        value=float(b.liquidity[unit]),
        unit=USD,
        rule="sum",
        parts=tuple(parts),
        source=f"{method}: liquidity",
    )


def _concentration(
    method: str, book: UnitBook, contracts: ModelContracts, parameters: Span2Parameters, b: Span2Breakdown, unit: int
) -> Explanation:
    size, held = b.size, book.holdings

    def factors(k: int) -> tuple[Explanation, ...]:
        return (
            Explanation(label="daily volatilities for each day", value=parameters.concentration_rate),
            Explanation(label="daily volatility of one contract", value=float(size.volatility[k]), unit=USD),
            Explanation(label="contracts", value=abs(float(held.quantity[k]))),
            Explanation(
                label=f"days of volume beyond {parameters.threshold_days:g}",
                value=float(size.beyond[k]),
                note=f"{size.days[k]:,.4g} days in all",
            ),
        )

    return by_position(
        "concentration",
        float(size.concentration_sum[unit]),
        book,
        contracts,
        unit,
        size.concentration,
        factors,
        f"{method}: concentration above a threshold, ours",
    )


def _wrong_way(
    method: str, book: UnitBook, contracts: ModelContracts, parameters: Span2Parameters, found: WrongWay, unit: int
) -> Explanation:
    cut = book.cut.segments
    account = book.account_names[int(book.unit_account[unit])]
    source = f"{method}: wrong-way add-on, ours"
    segments = range(int(cut.unit_offsets[unit]), int(cut.unit_offsets[unit + 1]))
    values = tuple(
        Explanation(
            label=f"net long value in {contracts.underlyings[int(cut.label[k])]}",
            value=float(found.long_value[k]),
            unit=USD,
            source=source,
        )
        for k in segments
        if found.long_value[k]
    )
    return Explanation(
        label=f"wrong way: what is said to fall when the holder of {account} fails (ours)",
        value=float(found.charge[unit]),
        unit=USD,
        rule="product",
        parts=(
            Explanation(label="rate", value=parameters.wrong_way_rate),
            Explanation(
                label="long value",
                value=float(found.in_unit[unit]),
                unit=USD,
                rule="sum",
                parts=values,
                source=source,
            ),
        ),
        source=source,
    )
