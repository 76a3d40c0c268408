"""Figures of the breakdown as a tree; nothing is calculated here."""

from __future__ import annotations

import math

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.span2.parameters import Span2Parameters
from crossmargin.methodologies.model_based.span2.recipe import FILTERED, STRESS, WRONG_WAY, Span2Breakdown
from crossmargin.methodologies.model_based.words import USD, by_position, maintenance_of, tail_node, volatility_node
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
    parts = [_mixed(method, contracts, parameters, b, unit), _liquidity(method, book, contracts, parameters, b, unit)]
    if b.concentration[unit]:
        parts.append(_concentration(method, book, contracts, parameters, b, unit))
    account = book.account_names[int(book.unit_account[unit])]
    if b.wrong_way is not None and parameters.wrong_way.of(account):
        counts = bool(b.wrong_way.counts[unit])
        scenario = contracts.sets[WRONG_WAY].scenarios.words(int(b.wrong_way.scenario[unit]))
        parts.append(
            Explanation(
                label=f"wrong way: what falls with the account: loss: '{scenario}'",
                value=float(b.wrong_way.value[unit]),
                unit=USD,
                source=f"{method}: ours",
                note="" if counts else "it gains there: nothing is asked for",
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
        source=f"{method}: losses, mixed, and what it costs to close are added",
    )
    if level == "initial":
        return initial
    return maintenance_of(name, method, float(b.maintenance[unit]), parameters.maintenance_factor, initial)


def _mixed(
    method: str, contracts: ModelContracts, parameters: Span2Parameters, b: Span2Breakdown, unit: int
) -> Explanation:
    source = f"{method}: x historical + (1 - x) stress"
    x = parameters.historical_share
    tails = [(x, FILTERED, b.historical, parameters.measure, "history, filtered")]
    if b.stress is not None:
        tails.append((1 - x, STRESS, b.stress, parameters.stress_measure, "stress"))
    return Explanation(
        label="history and stress",
        value=float(b.mixed[unit]),
        unit=USD,
        rule="sum",
        parts=tuple(
            Explanation(
                label=f"{weight:.0%} of {words}",
                value=float(weight * found.value[unit]),
                unit=USD,
                rule="product",
                parts=(
                    Explanation(label="weight", value=weight),
                    tail_node(words, contracts.sets[name].scenarios, found, measure, unit, source=source),
                ),
                source=source,
            )
            for weight, name, found, measure, words in tails
        ),
        source=source,
    )


def _liquidity(
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: Span2Parameters,
    b: Span2Breakdown,
    unit: int,
) -> Explanation:
    closing = b.closing
    source = f"{method}: root of days of volume, ours"
    spread = float(closing.spread[int(book.holdings.offsets[unit]) : int(book.holdings.offsets[unit + 1])].sum())
    impact = by_position(
        "impact of selling: impact x deviation over a day x root of days of volume",
        float(b.liquidity[unit]) - spread,
        book,
        contracts,
        unit,
        closing.impact,
        lambda k: (
            Explanation(label="impact", value=parameters.closing.impact),
            Explanation(label="deviation of its value over a day", value=float(closing.deviation[k]), unit=USD),
            Explanation(
                label=f"root of {closing.days[k]:,.2f} days of volume", value=math.sqrt(float(closing.days[k]))
            ),
        ),
        source,
    )
    half = Explanation(
        label="half of what ask is above bid", value=spread, unit=USD, source=f"{method}: quotes of the market"
    )
    return Explanation(
        label="liquidity",
        value=float(b.liquidity[unit]),
        unit=USD,
        rule="sum",
        parts=(impact, half) if spread else (impact,),
        source=source,
    )


def _concentration(
    method: str,
    book: UnitBook,
    contracts: ModelContracts,
    parameters: Span2Parameters,
    b: Span2Breakdown,
    unit: int,
) -> Explanation:
    closing, given = b.closing, parameters.closing
    return by_position(
        f"concentration beyond {given.threshold_days:g} days of volume",
        float(b.concentration[unit]),
        book,
        contracts,
        unit,
        closing.concentration,
        lambda k: (
            Explanation(label="rate", value=given.rate),
            Explanation(label="deviation of its value over a day", value=float(closing.deviation[k]), unit=USD),
            Explanation(
                label=f"days of volume beyond {given.threshold_days:g}",
                value=max(float(closing.days[k]) - given.threshold_days, 0.0),
            ),
        ),
        f"{method}: days of volume beyond the threshold, ours",
    )
