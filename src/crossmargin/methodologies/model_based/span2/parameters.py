"""Parameters of `span2-like`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import CrossmarginError, raise_problems
from crossmargin.history.factors import KINDS, factor_of
from crossmargin.methodologies.model_based import parameters as common
from crossmargin.methodologies.model_based.parameters import Factors, Generation, Measure, Periods
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of, shown
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "span2-like"
PACKAGE = "crossmargin.methodologies.model_based.span2"
EVERY = "*"
"""Subject of a move that is of all factors of its kind."""
_FIELDS = (
    "factors",
    "generation",
    "measure",
    "historical_weight",
    "stress_statistic",
    "stress_periods",
    "hypothetical",
    "liquidity",
    "concentration",
    "wrong_way",
    "maintenance_factor",
)
_MOST_MOVES = 1000
Moves = Mapping[str, Mapping[str, float]]
"""By title of a hypothetical scenario: how much each factor, or each factor of a kind, moves."""


class StressStatistic(StrEnum):
    """What is asked for of the stress scenarios: the loss in the worst, or the measure that history has."""

    WORST = "worst"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span2Parameters:
    """A parameter set.

    Parameters
    ----------
    generation, measure
        Historical scenarios, and what is asked for of their losses.
    historical_weight : float
        The `x` of `x` historical and `1 - x` stress.
    stress_statistic : StressStatistic
        What is asked for of the losses under stress.
    stress_periods : mapping of str to (int, int)
        Named stressed days.
    hypothetical : mapping of str to mapping of str to float
        Scenarios that are made up. A move of what changes relatively is a part of its level (-0.2 falls by a fifth),
        of another factor a difference; `price:*` is every price that is not named itself.
    impact : float
        The `Y` of the square-root rule: daily volatilities that selling one day's volume costs.
    threshold_days, concentration_rate : float
        Days of volume above which a position is concentrated, and daily volatilities it is charged for each day more.
    wrong_way_rate : float
        Part of the long value that is charged where it is of the account's own kind; 0 charges nothing.
    wrong_way : mapping of str to frozenset of str
        By margin account: the underlyings that fall when its holder fails.
    maintenance_factor : float
        Maintenance over initial.
    """

    info: ParametersInfo
    factors: Factors
    generation: Generation
    measure: Measure
    historical_weight: float
    stress_statistic: StressStatistic
    stress_periods: Periods
    hypothetical: Moves
    impact: float
    threshold_days: float
    concentration_rate: float
    wrong_way_rate: float
    wrong_way: Mapping[str, frozenset[str]]
    maintenance_factor: float

    @property
    def grows_with_size(self) -> bool:
        """Whether twice the position can be charged more than twice as much."""
        return self.impact > 0 or self.concentration_rate > 0


OVERRIDES = {
    "level": ("measure", "level"),
    "measure": ("measure", "tool"),
    "observations": ("generation", "observations"),
    "horizon_days": ("generation", "horizon_days"),
    "horizon_rule": ("generation", "horizon_rule"),
    "vol_without_history": ("factors", "without_vol"),
    "historical_weight": ("historical_weight",),
    "stress_statistic": ("stress_statistic",),
    "impact": ("liquidity", "impact"),
    "threshold_days": ("concentration", "threshold_days"),
    "concentration_rate": ("concentration", "rate"),
    "wrong_way_rate": ("wrong_way", "rate"),
}
"""What can be set by name beside a document, and where it stands in it."""


def load_parameters(source: str | Path | dict[str, Any] | None, **overrides: Any) -> Span2Parameters:
    """Parameters of a set that ships, a file or a document, with some of them set by name.

    Raises
    ------
    ParameterError
        With everything that is wrong.
    """
    document = common.overridden(document_of(source, PACKAGE, f"{FAMILY}-2026"), OVERRIDES, overrides)
    name = name_of(document)
    read = ParameterReader(name)
    read.header(document, FAMILY, _FIELDS)
    weight = read.number(document, "historical_weight", name, 0.0, 1.0)
    periods, moves = common.read_periods(read, document), _moves(read, document)
    if weight < 1 and not periods and not moves:
        read.wrong(
            "historical_weight",
            f"is {weight:g}, and there are neither stress periods nor hypothetical scenarios",
            "Stress has the rest of the weight: name some, or make it 1.",
        )
    generation = common.read_generation(read, document)
    if generation.simulation is not None:
        read.wrong("generation.simulation", "is not null", "Historical scenarios are dates of the history.")
    liquidity = read.section(document, "liquidity", ("impact",))
    concentration = read.section(document, "concentration", ("threshold_days", "rate"))
    wrong_way = read.section(document, "wrong_way", ("rate", "accounts"))
    parameters = Span2Parameters(
        info=info_of(document),
        factors=common.read_factors(read, document),
        generation=generation,
        measure=common.read_measure(read, document),
        historical_weight=weight,
        stress_statistic=common.choice(read, document, "stress_statistic", name, StressStatistic)
        or StressStatistic.WORST,
        stress_periods=periods,
        hypothetical=moves,
        impact=read.number(liquidity, "impact", "liquidity", 0.0, 100.0),
        threshold_days=read.number(concentration, "threshold_days", "concentration", 0.0, 1e6),
        concentration_rate=read.number(concentration, "rate", "concentration", 0.0, 100.0),
        wrong_way_rate=read.number(wrong_way, "rate", "wrong_way", 0.0, 1.0),
        wrong_way=_accounts(read, wrong_way),
        maintenance_factor=read.number(document, "maintenance_factor", name, 0.0, 1.0),
    )
    raise_problems(read.problems)
    return parameters


def _moves(read: ParameterReader, document: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The section `hypothetical`; whether a move is a part or a difference is known with the factor."""
    stated = document.get("hypothetical")
    if not isinstance(stated, Mapping) or len(stated) > _MOST_MOVES:
        read.wrong(
            "hypothetical",
            f"is {shown(stated)}",
            f"An object of at most {_MOST_MOVES} scenarios by title; {{}} if there is none.",
        )
        return {}
    found: dict[str, dict[str, float]] = {}
    for title, moves in stated.items():
        where = f"hypothetical.{title}"
        if not _is_name(title) or not isinstance(moves, Mapping) or not moves:
            read.wrong(where, f"is {shown(moves)}", 'A title, and moves by factor: {"price:*": "-0.2"}.')
            continue
        found[title] = {}
        for text in moves:
            value = read.number(moves, text, where, -1e6, 1e6)
            if name := _factor(read, f"{where}.{text}", str(text)):
                if name in found[title]:
                    read.wrong(f"{where}.{text}", f"moves '{name}' again", "One move of each factor.")
                found[title][name] = value
    return found


def _factor(read: ParameterReader, where: str, text: str) -> str:
    """The factor, or `kind:*`, that a text names; empty, with a problem, if it names none."""
    kind, _, subject = text.strip().partition(":")
    if subject.strip() == EVERY:
        if kind.strip().lower() not in KINDS:
            read.wrong(where, f"is of no kind of factor: '{kind}'", f"Kinds are {', '.join(KINDS)}.")
            return ""
        return f"{kind.strip().lower()}:{EVERY}"
    try:
        return factor_of(text).name
    except CrossmarginError as error:
        read.wrong(where, error.problems[0].found, error.problems[0].needed)
        return ""


def _accounts(read: ParameterReader, section: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    stated = section.get("accounts")
    if not isinstance(stated, Mapping):
        read.wrong("wrong_way.accounts", f"is {shown(stated)}", "Underlyings by margin account; {} if there is none.")
        return {}
    found = {}
    for account, underlyings in stated.items():
        if (
            not _is_name(account)
            or not isinstance(underlyings, list)
            or not underlyings
            or not all(_is_name(underlying) for underlying in underlyings)
        ):
            read.wrong(f"wrong_way.accounts.{account}", f"is {shown(underlyings)}", 'Underlyings: ["ACME"].')
        else:
            found[str(account)] = frozenset(underlyings)
    return found


def _is_name(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 256 and text.isprintable()


def as_change(move: float, *, relative: bool) -> float:
    """A move as the scenarios of a factor have it: `ln(1 + move)` of what changes relatively.

    Raises
    ------
    ValueError
        If a level would not stay above 0.
    """
    if not relative:
        return move
    if move <= -1:
        raise ValueError
    return math.log1p(move)
