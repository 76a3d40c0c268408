"""Parameters of `span2-like`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import CrossmarginError, raise_problems
from crossmargin.history.factors import factor_of
from crossmargin.methodologies.model_based import parameters as common
from crossmargin.methodologies.model_based.parameters import Factors, Generation, Measure, Periods
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of, shown
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "span2-like"
PACKAGE = "crossmargin.methodologies.model_based.span2"
_FIELDS = (
    "factors",
    "generation",
    "measure",
    "historical_share",
    "stress_measure",
    "stress_periods",
    "hypothetical",
    "liquidity",
    "concentration",
    "wrong_way",
    "maintenance_factor",
)
EVERY = "*"
"""Subject of a move that is of every factor of its kind."""
MOST_ACCOUNTS = 10_000
"""Accounts with a rule of their own."""
LARGEST_MOVE = 100.0
"""Largest change of a factor in a hypothetical scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What size costs.

    Parameters
    ----------
    impact : float
        Days' deviations that selling one day's volume costs; other sizes by their root.
    threshold_days : float
        Days of volume from which a position is concentrated.
    rate : float
        Days' deviations for every day of volume beyond it.
    """

    impact: float
    threshold_days: float
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongWay:
    """Underlyings that fall when the holder of an account defaults: the venue's own token, a member's own shares.

    Parameters
    ----------
    underlyings : tuple of str
        Which, whoever defaults.
    accounts : mapping of str to tuple of str
        By margin account, those that fall when its holder does, beside them.
    fall : float
        By how much, as a part of their price.
    """

    underlyings: tuple[str, ...]
    accounts: Mapping[str, tuple[str, ...]]
    fall: float

    def of(self, account: str) -> tuple[str, ...]:
        """What falls with an account, in order of names."""
        return tuple(sorted({*self.underlyings, *self.accounts.get(account, ())}))

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        """Every group that falls together, that of most accounts first."""
        return tuple(dict.fromkeys((self.underlyings, *(self.of(account) for account in sorted(self.accounts)))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span2Parameters:
    """A parameter set.

    Parameters
    ----------
    generation, measure
        Filtered scenarios, and what is asked for of their losses.
    historical_share : float
        Weight `x` of that; the rest is of stress.
    stress_measure : Measure
        What is asked for of the losses in stress.
    stress_periods : mapping of str to (int, int)
        Named stressed days.
    hypothetical : mapping of str to mapping of str to float
        By title, changes of factors that somebody made up; `price:*` is every price that is not named.
    closing : Closing
        Liquidity and concentration.
    wrong_way : WrongWay
        Charge for what falls with the account.
    maintenance_factor : float
        Maintenance over initial.
    """

    info: ParametersInfo
    factors: Factors
    generation: Generation
    measure: Measure
    historical_share: float
    stress_measure: Measure
    stress_periods: Periods
    hypothetical: Mapping[str, Mapping[str, float]]
    closing: Closing
    wrong_way: WrongWay
    maintenance_factor: float


OVERRIDES = {
    "level": ("measure", "level"),
    "measure": ("measure", "tool"),
    "observations": ("generation", "observations"),
    "horizon_days": ("generation", "horizon_days"),
    "horizon_rule": ("generation", "horizon_rule"),
    "vol_without_history": ("factors", "without_vol"),
    "historical_share": ("historical_share",),
    "impact": ("liquidity", "impact"),
}
"""What can be set by name beside a document, and where it stands in it."""


def load_parameters(source: str | Path | dict[str, Any] | None, **overrides: Any) -> Span2Parameters:
    """Parameters of a set that ships, a file or a document, with some of them set by name.

    Raises
    ------
    ParameterError
        With everything that is wrong.
    """
    document = common.overridden(document_of(source, PACKAGE, "span2-like-2026"), OVERRIDES, overrides)
    read = ParameterReader(name_of(document))
    read.header(document, FAMILY, _FIELDS)
    name = name_of(document)
    liquidity = read.section(document, "liquidity", ("impact",))
    concentration = read.section(document, "concentration", ("threshold_days", "rate"))
    parameters = Span2Parameters(
        info=info_of(document),
        factors=common.read_factors(read, document),
        generation=common.read_generation(read, document),
        measure=common.read_measure(read, document),
        historical_share=read.number(document, "historical_share", name, 0.0, 1.0),
        stress_measure=common.read_measure(read, document, "stress_measure"),
        stress_periods=common.read_periods(read, document),
        hypothetical=_hypothetical(read, document),
        closing=Closing(
            impact=read.number(liquidity, "impact", "liquidity", 0.0, 100.0),
            threshold_days=read.number(concentration, "threshold_days", "concentration", 0.0, 1e6),
            rate=read.number(concentration, "rate", "concentration", 0.0, 100.0),
        ),
        wrong_way=_wrong_way(read, document),
        maintenance_factor=read.number(document, "maintenance_factor", name, 0.0, 1.0),
    )
    if parameters.historical_share < 1 and not (parameters.stress_periods or parameters.hypothetical):
        read.wrong("stress_periods", "is empty", "Stress has a weight: name days or hypothetical moves.")
    raise_problems(read.problems)
    return parameters


def _hypothetical(read: ParameterReader, document: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    stated = document.get("hypothetical")
    if not isinstance(stated, Mapping):
        read.wrong("hypothetical", f"is {shown(stated)}", "An object, moves by title; {} if there is none.")
        return {}
    found: dict[str, dict[str, float]] = {}
    for title, moves in stated.items():
        where = f"hypothetical.{title}"
        if not isinstance(moves, Mapping) or not moves:
            read.wrong(where, f"is {shown(moves)}", 'Changes by factor: {"price:*": "-0.3"}.')
            continue
        found[str(title)] = own = {}
        for stated_name in moves:
            name = _moved(read, where, str(stated_name))
            if name in own:
                read.wrong(f"{where}.{stated_name}", f"moves '{name}' again", "One move of each factor.")
            own[name] = read.number(moves, stated_name, where, -LARGEST_MOVE, LARGEST_MOVE)
    return found


def _moved(read: ParameterReader, where: str, stated: str) -> str:
    """`kind:*`, or the name of a factor."""
    try:
        return factor_of(stated).name
    except CrossmarginError as error:
        read.wrong(where, error.problems[0].found, error.problems[0].needed)
        return stated


def _wrong_way(read: ParameterReader, document: Mapping[str, Any]) -> WrongWay:
    section = read.section(document, "wrong_way", ("underlyings", "accounts", "fall"))
    stated = section.get("accounts", {})
    if not isinstance(stated, Mapping) or len(stated) > MOST_ACCOUNTS:
        needed = f"Underlyings by margin account, at most {MOST_ACCOUNTS:,}; {{}} if there is none."
        read.wrong("wrong_way.accounts", f"is {shown(stated)}", needed)
        stated = {}
    return WrongWay(
        underlyings=_underlyings(read, "wrong_way.underlyings", section.get("underlyings")),
        accounts={str(name): _underlyings(read, f"wrong_way.accounts.{name}", one) for name, one in stated.items()},
        fall=read.number(section, "fall", "wrong_way", 0.0, 0.999),
    )


def _underlyings(read: ParameterReader, where: str, stated: object) -> tuple[str, ...]:
    if not isinstance(stated, list) or not all(isinstance(one, str) and one for one in stated):
        read.wrong(where, f"is {shown(stated)}", "A list of underlyings; [] if there is none.")
        return ()
    return tuple(sorted(set(stated)))
