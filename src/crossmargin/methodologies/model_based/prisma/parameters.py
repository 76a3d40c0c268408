"""Parameters of `prisma-like`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import raise_problems
from crossmargin.instruments.table import Kind
from crossmargin.methodologies.model_based import parameters as common
from crossmargin.methodologies.model_based.parameters import Factors, Generation, Periods, least_scenarios
from crossmargin.methodologies.model_based.prisma.steps import Aggregate
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of, shown
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "prisma-like"
PACKAGE = "crossmargin.methodologies.model_based.prisma"
_FIELDS = (
    "factors",
    "generation",
    "measure",
    "correlation_break",
    "model_error",
    "stress_weight",
    "stress_periods",
    "events",
    "liquidity",
    "liquidation_groups",
    "maintenance_factor",
)
_KINDS = tuple(kind.name.lower() for kind in Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class PureRisk:
    """What is asked for of the losses of a sub-sample.

    Parameters
    ----------
    level_low, level_target : Decimal
        Level of the value at risk that is read off, and the one that it is scaled to.
    degrees_of_freedom : float
        Of the Student's t by which it is scaled.
    aggregate : Aggregate
        What is made of the sub-samples' figures.
    """

    level_low: Decimal
    level_target: Decimal
    degrees_of_freedom: float
    aggregate: Aggregate


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The correlation-break adjustment.

    Parameters
    ----------
    level : Decimal
        Level of the values at risk of windows and of all.
    window : int
        Scenarios of a window.
    kappa : float
        Times the mean excess risk.
    least, most : float
        Bounds, as parts of the pure market risk.
    """

    level: Decimal
    window: int
    kappa: float
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Named days whose worst losses are added.

    Parameters
    ----------
    worst : int
        How many of them; 0 adds nothing.
    periods : mapping of str to (int, int)
        The days.
    """

    worst: int
    periods: Periods


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidity:
    """What it costs to close positions.

    Parameters
    ----------
    level : Decimal
        Of the values at risk of positions alone and of all together, not scaled.
    floor : float
        Least diversification factor.
    factor_by_days : tuple of (float, float)
        Days of volume, and the part of its value at risk that a position of that size is charged.
    """

    level: Decimal
    floor: float
    factor_by_days: tuple[tuple[float, float], ...]

    @property
    def grows_with_size(self) -> bool:
        """Whether twice the position can be charged more than twice as much."""
        return len({factor for _, factor in self.factor_by_days}) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PrismaParameters:
    """A parameter set.

    Parameters
    ----------
    model_error : mapping of int to float
        By `Kind`: error of the price of one contract, as a part of the dollar value of what it is of.
    stress_weight : float
        Times the market risk of the stress periods; 0 does without them.
    liquidation_groups : mapping of str to str
        Group of an underlying; those that are not named are one group.
    maintenance_factor : float
        Maintenance over initial.
    """

    info: ParametersInfo
    factors: Factors
    generation: Generation
    pure: PureRisk
    correlation_break: Break
    model_error: Mapping[int, float]
    stress_weight: float
    stress_periods: Periods
    events: Events
    liquidity: Liquidity
    liquidation_groups: Mapping[str, str]
    maintenance_factor: float


OVERRIDES = {
    "level": ("measure", "level_target"),
    "aggregate": ("measure", "aggregate"),
    "observations": ("generation", "observations"),
    "horizon_days": ("generation", "horizon_days"),
    "vol_without_history": ("factors", "without_vol"),
    "kappa": ("correlation_break", "kappa"),
    "stress_weight": ("stress_weight",),
}
"""What can be set by name beside a document, and where it stands in it."""


def load_parameters(source: str | Path | dict[str, Any] | None, **overrides: Any) -> PrismaParameters:
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
    errors = read.section(document, "model_error", _KINDS)
    stress_weight = read.number(document, "stress_weight", name, 0.0, 100.0)
    stress_periods = common.read_periods(read, document)
    if stress_weight and not stress_periods:
        read.wrong("stress_periods", "is empty", "Stress periods have a weight: name them, or make it 0.")
    parameters = PrismaParameters(
        info=info_of(document),
        factors=common.read_factors(read, document),
        generation=_generation(read, document),
        pure=_pure_risk(read, document),
        correlation_break=_break(read, document),
        model_error={kind: read.number(errors, kind.name.lower(), "model_error", 0.0, 1.0) for kind in Kind},
        stress_weight=stress_weight,
        stress_periods=stress_periods,
        events=_events(read, document),
        liquidity=_liquidity(read, document),
        liquidation_groups=_groups(read, document),
        maintenance_factor=read.number(document, "maintenance_factor", name, 0.0, 1.0),
    )
    raise_problems(read.problems)
    return parameters


def _generation(read: ParameterReader, document: Mapping[str, Any]) -> Generation:
    generation = common.read_generation(read, document)
    if generation.simulation is not None:
        read.wrong("generation.simulation", "is not null", "Windows roll over dates; draws have none.")
    if generation.mirrored:
        read.wrong("generation.mirrored", "is true", "Windows roll over dates, each of which stands once.")
    return generation


def _pure_risk(read: ParameterReader, document: Mapping[str, Any]) -> PureRisk:
    section = read.section(document, "measure", ("level_low", "level_target", "degrees_of_freedom", "aggregate"))
    low, target = (common.level_of(read, section, key, "measure") for key in ("level_low", "level_target"))
    if not Decimal("0.5") < low <= target:
        read.wrong("measure.level_low", f"is {low}", f"A level above 0.5, and at most level_target, {target}.")
    return PureRisk(
        level_low=low,
        level_target=target,
        degrees_of_freedom=read.number(section, "degrees_of_freedom", "measure", 1.0, 1e6),
        aggregate=common.choice(read, section, "aggregate", "measure", Aggregate) or Aggregate.MEAN,
    )


def _break(read: ParameterReader, document: Mapping[str, Any]) -> Break:
    where = "correlation_break"
    section = read.section(document, where, ("level", "window", "kappa", "least", "most"))
    level = common.level_of(read, section, "level", where)
    window = common.whole(read, section, "window", where, 1, 100_000)
    least, most = (read.number(section, key, where, 0.0, 100.0) for key in ("least", "most"))
    if window * (1 - level) < 1:
        needed = f"At {level} a window needs {least_scenarios(level)} scenarios."
        read.wrong(f"{where}.window", f"is {window}", needed)
    if most < least:
        read.wrong(f"{where}.most", f"is {most:g}", f"At least the lower bound, {least:g}.")
    return Break(
        level=level, window=window, kappa=read.number(section, "kappa", where, 0.0, 100.0), least=least, most=most
    )


def _events(read: ParameterReader, document: Mapping[str, Any]) -> Events:
    section = read.section(document, "events", ("worst", "periods"))
    worst = common.whole(read, section, "worst", "events", 0, 1000)
    periods = common.read_periods(read, section, "periods")
    if worst and not periods:
        read.wrong("events.periods", "is empty", "Losses of event days are added: name the days, or make worst 0.")
    return Events(worst=worst, periods=periods)


def _liquidity(read: ParameterReader, document: Mapping[str, Any]) -> Liquidity:
    section = read.section(document, "liquidity", ("level", "floor", "factor_by_days"))
    return Liquidity(
        level=common.level_of(read, section, "level", "liquidity"),
        floor=read.number(section, "floor", "liquidity", 0.0, 1.0),
        factor_by_days=_knots(read, section),
    )


def _knots(read: ParameterReader, section: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    stated = section.get("factor_by_days")
    try:
        if not isinstance(stated, list) or not 1 <= len(stated) <= 100:
            raise ValueError
        knots = tuple((float(days), float(factor)) for days, factor in stated)
        if not all(math.isfinite(value) and value >= 0 for knot in knots for value in knot):
            raise ValueError
        if any(b[0] <= a[0] or b[1] < a[1] for a, b in pairwise(knots)):
            raise ValueError
    except (TypeError, ValueError):
        read.wrong(
            "liquidity.factor_by_days",
            f"is {shown(stated)}",
            'Pairs of days of volume, ascending, and a factor that does not fall: [["0", "0"], ["1", "0.2"]].',
        )
        return ((0.0, 0.0),)
    return knots


def _groups(read: ParameterReader, document: Mapping[str, Any]) -> dict[str, str]:
    stated = document.get("liquidation_groups")
    if not isinstance(stated, Mapping):
        read.wrong("liquidation_groups", f"is {shown(stated)}", "An object, group by underlying; {} is one for all.")
        return {}
    groups = {}
    for underlying, group in stated.items():
        if not isinstance(group, str) or not group or not group.isprintable() or len(group) > 64:
            read.wrong(f"liquidation_groups.{underlying}", f"is {shown(group)}", "The name of a group.")
        else:
            groups[str(underlying)] = group
    return groups
