"""Parameters that all model-based methods have in common: factors, horizon, scenarios, what is measured of the losses.

A document of the family names its generator and its measure; a house's method adds sections of its own. Figures that a
public source states say which; the others are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar

from crossmargin.basics.errors import CrossmarginError, ParameterError, Problem, UnknownOptionError
from crossmargin.history.factors import Change, factor_of
from crossmargin.methodologies.parameter_files import ParameterReader, name_of, overrides_of, shown
from crossmargin.scenarios.factor_scenarios import Horizon


class Volatility(StrEnum):
    """How the volatility of a factor is filtered: exponentially weighted, or GARCH(1, 1) with its long-run variance."""

    EWMA = "ewma"
    GARCH = "garch"


class Dependence(StrEnum):
    """How simulated factors depend on each other.

    `GAUSSIAN`; `T`, one tail event for all; `GROUPED_T`, one for each kind of factors; `VINE`, pair by pair.
    """

    GAUSSIAN = "gaussian"
    T = "t"
    GROUPED_T = "grouped_t"
    VINE = "vine"


class WithoutVol(StrEnum):
    """What is done about an option whose volatility has no history.

    `REFUSE` it; `CHARGE` the net vega of its underlying for a relative move of `vol_charge`, either way; `STILL`: leave
    its volatility where it is, which the answer says.
    """

    REFUSE = "refuse"
    CHARGE = "charge"
    STILL = "still"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityFilter:
    """A filter of variances.

    Parameters
    ----------
    model : Volatility
        Which.
    decay : float
        Lambda of the exponential weights.
    alpha, beta : float
        Of GARCH(1, 1); the constant makes the long-run variance that of the seed: what came later is not known then.
    seed_days : int
        First changes of a factor, whose mean square starts the filter; none of them is a scenario.
    """

    model: Volatility
    decay: float
    alpha: float
    beta: float
    seed_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """How scenarios are drawn.

    Parameters
    ----------
    draws, seed : int
        How many, and where the generator starts.
    dependence : Dependence
        Copula.
    degrees_of_freedom : float
        Of its t, and of the marginal distributions; infinite is the normal one.
    correlation_decay : float
        Lambda of the exponential weights of the correlations; 1 weighs all days alike.
    """

    draws: int
    seed: int
    dependence: Dependence
    degrees_of_freedom: float
    correlation_decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How scenarios come of a history.

    Parameters
    ----------
    observations : int
        Latest daily changes that are used.
    horizon_days : int
        Days until a defaulter's positions are closed.
    horizon_rule : Horizon
        How days are put together.
    mirrored : bool
        Whether every scenario also stands with its sign turned.
    volatility : VolatilityFilter or None
        By which changes are rescaled; `None` takes them as they were.
    damped : bool
        Whether they are rescaled half way only.
    simulation : Simulation or None
        `None` where scenarios are dates.
    """

    observations: int
    horizon_days: int
    horizon_rule: Horizon
    mirrored: bool
    volatility: VolatilityFilter | None
    damped: bool
    simulation: Simulation | None


class Tool(StrEnum):
    """Statistic of the losses."""

    ES = "es"
    VAR = "var"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is asked for of the losses in equally likely scenarios.

    Parameters
    ----------
    tool : Tool
        Expected shortfall, or value at risk: the loss that the worst `(1 - level) n` scenarios exceed, the next one
        itself where that is a whole number (`inverted_cdf`: no interpolation).
    level : Decimal
        Confidence.
    """

    tool: Tool
    level: Decimal

    @property
    def least_scenarios(self) -> int:
        """Fewest scenarios of which one is beyond the level."""
        return least_scenarios(self.level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """What a method says of its factors.

    Parameters
    ----------
    changes : mapping of str to Change
        By factor, where it is not what its kind says.
    proxies : mapping of str to (str, float)
        What stands in where a factor is unknown: another, and how much of its change.
    without_vol : WithoutVol
        What is done about options without a history of volatility.
    vol_charge : float
        Relative move of their volatility that is charged.
    longest_closure_days, stale_days : float
        Longest gap of a closed market; longest time from the last observation of a factor to the market.
    """

    changes: Mapping[str, Change]
    proxies: Mapping[str, tuple[str, float]]
    without_vol: WithoutVol
    vol_charge: float
    longest_closure_days: float
    stale_days: float


FACTOR_FIELDS = ("changes", "proxies", "without_vol", "vol_charge", "longest_closure_days", "stale_days")
_VOLATILITY_FIELDS = ("model", "decay", "alpha", "beta", "seed_days")
_SIMULATION_FIELDS = ("draws", "seed", "dependence", "degrees_of_freedom", "correlation_decay")
_GENERATION_FIELDS = (
    "observations",
    "horizon_days",
    "horizon_rule",
    "mirrored",
    "volatility",
    "damped",
    "simulation",
)
Periods = Mapping[str, tuple[int, int]]
"""First and last second of named periods."""


def read_factors(read: ParameterReader, document: Mapping[str, Any]) -> Factors:
    """The section `factors`."""
    section = read.section(document, "factors", FACTOR_FIELDS)
    changes: dict[str, Change] = {}
    for name, stated in _mapping(read, section, "changes", "factors").items():
        if (own := _factor(read, f"factors.changes.{name}", name)) and (
            change := choice(read, {"change": stated}, "change", f"factors.changes.{name}", Change)
        ):
            changes[own] = change
    proxies: dict[str, tuple[str, float]] = {}
    for name, stated in _mapping(read, section, "proxies", "factors").items():
        where = f"factors.proxies.{name}"
        own = _factor(read, where, name)
        proxy = read.section({where: stated}, where, ("factor", "beta"))
        other = _factor(read, f"{where}.factor", proxy.get("factor", "")) if proxy else ""
        beta = read.number(proxy, "beta", where, -100.0, 100.0) if proxy else 0.0
        if own and other:
            proxies[own] = (other, beta)
    return Factors(
        changes=changes,
        proxies=proxies,
        without_vol=choice(read, section, "without_vol", "factors", WithoutVol) or WithoutVol.REFUSE,
        vol_charge=read.number(section, "vol_charge", "factors", 0.0, 10.0),
        longest_closure_days=read.number(section, "longest_closure_days", "factors", 0.0, 366.0),
        stale_days=read.number(section, "stale_days", "factors", 0.0, 3660.0),
    )


def read_generation(read: ParameterReader, document: Mapping[str, Any], key: str = "generation") -> Generation:
    """A section that says how scenarios are made."""
    section = read.section(document, key, _GENERATION_FIELDS)
    return Generation(
        observations=whole(read, section, "observations", key, 1, 1_000_000),
        horizon_days=whole(read, section, "horizon_days", key, 1, 250),
        horizon_rule=choice(read, section, "horizon_rule", key, Horizon) or Horizon.OVERLAPPING,
        mirrored=flag(read, section, "mirrored", key),
        volatility=_volatility(read, section, key),
        damped=flag(read, section, "damped", key),
        simulation=_simulation(read, section, key),
    )


def _volatility(read: ParameterReader, section: Mapping[str, Any], key: str) -> VolatilityFilter | None:
    if section.get("volatility") is None:
        return None
    where = f"{key}.volatility"
    own = read.section(section, "volatility", _VOLATILITY_FIELDS, where=f"{key}.")
    model = choice(read, own, "model", where, Volatility) or Volatility.EWMA
    is_ewma = model is Volatility.EWMA
    decay = read.number(own, "decay", where, 0.0, 1.0) if is_ewma else 0.0
    if is_ewma and decay in (0.0, 1.0):
        read.wrong(f"{where}.decay", f"is {decay:g}", "Above 0 and below 1: with either, nothing is filtered.")
    alpha, beta = (0.0 if is_ewma else read.number(own, name, where, 0.0, 1.0) for name in ("alpha", "beta"))
    if alpha + beta >= 1:
        read.wrong(where, f"alpha {alpha:g} and beta {beta:g} add up to 1 or more", "Together they are below 1.")
    return VolatilityFilter(
        model=model,
        decay=decay,
        alpha=alpha,
        beta=beta,
        seed_days=whole(read, own, "seed_days", where, 2, 10_000),
    )


def _simulation(read: ParameterReader, section: Mapping[str, Any], key: str) -> Simulation | None:
    if section.get("simulation") is None:
        return None
    where = f"{key}.simulation"
    own = read.section(section, "simulation", _SIMULATION_FIELDS, where=f"{key}.")
    correlation_decay = read.number(own, "correlation_decay", where, 0.0, 1.0)
    if not correlation_decay:
        read.wrong(f"{where}.correlation_decay", "is 0", "Above 0: a single day has no correlation.")
    return Simulation(
        draws=whole(read, own, "draws", where, 1, 1_000_000),
        seed=whole(read, own, "seed", where, 0, 2**63 - 1),
        dependence=choice(read, own, "dependence", where, Dependence) or Dependence.GAUSSIAN,
        degrees_of_freedom=read.number(own, "degrees_of_freedom", where, 2.01, 1e6),
        correlation_decay=correlation_decay,
    )


def read_measure(read: ParameterReader, document: Mapping[str, Any], key: str = "measure") -> Measure:
    """A section with a statistic and its level."""
    section = read.section(document, key, ("tool", "level"))
    return Measure(
        tool=choice(read, section, "tool", key, Tool) or Tool.ES, level=level_of(read, section, "level", key)
    )


def level_of(read: ParameterReader, section: Mapping[str, Any], key: str, where: str) -> Decimal:
    """A confidence level, exact."""
    stated = section.get(key)
    try:
        level = Decimal(str(stated))
        if not (level.is_finite() and Decimal("0.5") <= level < 1):
            raise InvalidOperation
    except InvalidOperation:
        read.wrong(f"{where}.{key}", f"is {shown(stated)}", "A level from 0.5 to below 1, as a string: '0.99'.")
        return Decimal("0.99")
    return level


def read_periods(
    read: ParameterReader, document: Mapping[str, Any], key: str = "stress_periods"
) -> dict[str, tuple[int, int]]:
    """Named periods: first and last date of each, both included."""
    found: dict[str, tuple[int, int]] = {}
    for title, stated in _mapping(read, document, key, "").items():
        try:
            first, last = (date.fromisoformat(str(text)) for text in stated)
            if first > last:
                raise ValueError
        except (TypeError, ValueError):
            read.wrong(
                f"{key}.{title}", f"is {shown(stated)}", 'Two dates, the first not later: ["2020-03-09", "2020-03-20"].'
            )
            continue
        begin = datetime.combine(first, time(), UTC)
        end = datetime.combine(last, time(23, 59, 59), UTC)
        found[title] = (int(begin.timestamp()), int(end.timestamp()))
    return found


def overridden(
    document: dict[str, Any], places: Mapping[str, tuple[str, ...]], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """`document` with what is set by name in its place; so that its hash says so.

    Raises
    ------
    UnknownOptionError
        Naming every override that there is not, or that is of a section which the document does without.
    """
    given = overrides_of(overrides, places)
    without = {name: section for name in given if (section := _left_out(document, places[name]))}
    if without:
        raise UnknownOptionError(
            [
                Problem(
                    found=f"'{name}' is set, and {name_of(document)} has no '{section}'",
                    needed="Leave it out, or give it in a parameter file of your own (--parameters).",
                    kind=ParameterError,
                )
                for name, section in without.items()
            ],
            tuple(without),
        )
    for name, value in given.items():
        document = _with(document, places[name], value)
    return document


def _left_out(document: Mapping[str, Any], place: tuple[str, ...]) -> str:
    """The section of `place` that is stated as null, if one is."""
    section: Any = document
    for depth, key in enumerate(place[:-1], start=1):
        if not isinstance(section, Mapping) or key not in section:
            return ""
        section = section[key]
        if section is None:
            return ".".join(place[:depth])
    return ""


def _with(section: Mapping[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    head, *rest = place
    inner = section.get(head)
    if rest:
        value = _with(inner if isinstance(inner, Mapping) else {}, tuple(rest), value)
    elif not isinstance(value, str | bool | None):
        value = str(value)
    return {**section, head: value}


def least_scenarios(level: Decimal) -> int:
    """Fewest scenarios of which one is beyond the level: 99.5% needs 200."""
    return math.ceil(1 / (1 - Fraction(level)))


def percent(level: Decimal) -> str:
    """`99.5%`; every digit, for 99.99999% is not 100%."""
    return f"{(level * 100).normalize():f}%"


def whole(read: ParameterReader, section: Mapping[str, Any], key: str, where: str, low: int, high: int) -> int:
    """A whole number."""
    value = read.number(section, key, where, low, high)
    if value != int(value):
        read.wrong(f"{where}.{key}", f"is {value:g}", "A whole number.")
    return int(value)


def flag(read: ParameterReader, section: Mapping[str, Any], key: str, where: str) -> bool:
    """True or false."""
    stated = section.get(key)
    if isinstance(stated, str) and stated.lower() in ("true", "false"):
        stated = stated.lower() == "true"
    if not isinstance(stated, bool):
        read.wrong(f"{where}.{key}", f"is {shown(stated)}", "true or false.")
        return False
    return stated


_Enum = TypeVar("_Enum", bound=StrEnum)


def choice(read: ParameterReader, section: Mapping[str, Any], key: str, where: str, kind: type[_Enum]) -> _Enum | None:
    """One of the words of `kind`; `None`, with a problem, if it is none of them."""
    stated = section.get(key)
    try:
        return kind(str(stated))
    except ValueError:
        read.wrong(f"{where}.{key}", f"is {shown(stated)}", f"One of {', '.join(kind)}.")
        return None


def _mapping(read: ParameterReader, section: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    stated = section.get(key)
    if not isinstance(stated, Mapping):
        read.wrong(f"{where}.{key}" if where else key, f"is {shown(stated)}", "An object; {} if there is none.")
        return {}
    return {str(name): value for name, value in stated.items()}


def _factor(read: ParameterReader, where: str, stated: Any) -> str:
    try:
        return factor_of(str(stated)).name
    except CrossmarginError as error:
        read.wrong(where, error.problems[0].found, error.problems[0].needed)
        return ""
