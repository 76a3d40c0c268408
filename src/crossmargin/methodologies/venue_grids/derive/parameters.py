"""Parameters of Derive's portfolio margin, read from a JSON document that names its sources.

Both generations are one method with other figures. The first discounts no option, marks up no short one, has no tail
and no skew scenarios, and multiplies its contingencies by the initial factor (`contingencies_scaled`); the second adds
them after the factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import Problem, UnsupportedError, raise_problems
from crossmargin.instruments.table import InstrumentTable
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of, shown
from crossmargin.methodologies.protocol import ParametersInfo

SECOND, FIRST = "derive-pmrm2", "derive-pmrm1"
"""Families of parameter documents: a set of one generation is no set of the other."""


class VolMove(StrEnum):
    """What a scenario does to volatility: up, same, down, or a rotation of the skew around the forward."""

    UP = "up"
    SAME = "same"
    DOWN = "down"
    LINEAR = "linear"
    ABSOLUTE = "abs"

    @property
    def is_skew(self) -> bool:
        """Whether the P&L of every expiry counts as a loss, in whichever direction it rotates."""
        return self in (VolMove.LINEAR, VolMove.ABSOLUTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario: `price_multiplier` times spot and forwards, what volatility does, and the fraction that counts."""

    price_multiplier: float
    vol: VolMove
    dampening: float

    @property
    def words(self) -> str:
        """As a person says it."""
        if self.vol.is_skew:
            return {VolMove.LINEAR: "skew rotated", VolMove.ABSOLUTE: "wings lifted"}[self.vol]
        move = f"{100 * (self.price_multiplier - 1):+.2f}".rstrip("0").rstrip(".")
        price = "price unchanged" if self.price_multiplier == 1 else f"price {move}%"
        counted = "" if self.dampening == 1 else f", {self.dampening:.3g} of it counted"
        return f"{price}, vol {self.vol}{counted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolShock:
    """Volatility moves at 30 days, powers of `30 days / T` up to and beyond 30 days, and the floor of an up move."""

    range_up: float
    range_down: float
    power_short: float
    power_long: float
    days_floor: float
    floor_up: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticDiscount:
    """`base * exp(-years * (rate * mult + add))` of what is worth something; of a debt with a plus in the exponent."""

    long_base: float
    long_mult: float
    long_add: float
    short_base: float
    short_mult: float
    short_add: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """How far a skew scenario turns volatility: caps, and the distance from the forward at which they are reached."""

    linear_cap: float
    linear_cap_slope: float
    absolute_cap: float
    absolute_cap_slope: float
    k_star_minimum: float
    width_scale: float
    vol_static: float
    vol_slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Forwards against spot: two price multipliers, and the fraction of the loss that counts by years to expiry."""

    price_up: float
    price_down: float
    add_factor: float
    mult_factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contingencies:
    """Charges by size: decimals of spot notional; the initial ones are added to those of maintenance."""

    perpetual_maintenance: float
    perpetual_initial: float
    option_maintenance: float
    option_initial: float
    peg_threshold: float
    peg_factor: float
    confidence_threshold: float
    confidence_charge: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderlyingParameters:
    """What one underlying has of its own."""

    vol_shock: VolShock
    discount: StaticDiscount
    skew: Skew
    basis: Basis
    contingencies: Contingencies


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralParameters:
    """What one asset counts as collateral.

    Parameters
    ----------
    haircut_maintenance, haircut_initial : float
        Fractions of its value; the initial one is added to that of maintenance.
    cancels : str
        Underlying whose moves it makes with its whole value; empty where it only pays its haircut.
    is_cash : bool
        Whether it is the stablecoin that the account is kept in: no haircut, and no oracle.
    """

    haircut_maintenance: float
    haircut_initial: float
    cancels: str
    is_cash: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeriveParameters:
    """A whole parameter set.

    Parameters
    ----------
    initial_factor, maintenance_factor : float
        Times the worst scenario.
    options_discounted : bool
        Whether an option is worth its discounted forward value.
    contingencies_scaled : bool
        Whether the initial factor multiplies the charges by size too.
    scenarios : tuple of Scenario
        The same for every underlying.
    """

    info: ParametersInfo
    initial_factor: float
    maintenance_factor: float
    options_discounted: bool
    contingencies_scaled: bool
    scenarios: tuple[Scenario, ...]
    underlyings: Mapping[str, UnderlyingParameters]
    collateral: Mapping[str, CollateralParameters]

    @property
    def convex(self) -> bool:
        """Whether nothing bends down: no expiry is worth more after the discount than before, nor a debt less.

        Nor may oracles be charged for: whoever adds a perpetual whose oracle is unsure pays for it on every expiry.
        """
        return all(
            own.contingencies.confidence_threshold * own.contingencies.confidence_charge == 0
            and own.discount.long_base <= 1 <= own.discount.short_base
            and own.discount.long_add >= 0
            and own.discount.short_add >= 0
            for own in self.underlyings.values()
        )

    def not_covered(self, table: InstrumentTable) -> list[Problem]:
        """A problem for every underlying without parameters, about all of its instruments."""
        return [
            Problem(
                found=f"no parameters for underlying '{name}' in '{self.info.name}'",
                needed=f"It covers {', '.join(self.underlyings)}; add '{name}' in a parameter file of your own.",
                kind=UnsupportedError,
                instruments=table.names_of(name),
            )
            for name in table.underlyings
            if name not in self.underlyings
        ]


_LIMITS: dict[type, dict[str, tuple[float, float]]] = {
    VolShock: {
        "range_up": (0.0, 100.0),
        "range_down": (0.0, 10.0),
        "power_short": (0.0, 20.0),
        "power_long": (0.0, 20.0),
        "days_floor": (0.0, 10_000.0),
        "floor_up": (0.0, 100.0),
    },
    StaticDiscount: {
        "long_base": (0.0, 100.0),
        "long_mult": (0.0, 100.0),
        "long_add": (-10.0, 10.0),
        "short_base": (0.0, 100.0),
        "short_mult": (0.0, 100.0),
        "short_add": (-10.0, 10.0),
    },
    Skew: {
        "linear_cap": (-10.0, 10.0),
        "linear_cap_slope": (-10.0, 10.0),
        "absolute_cap": (-10.0, 10.0),
        "absolute_cap_slope": (-10.0, 10.0),
        "k_star_minimum": (0.0, 100.0),
        "width_scale": (0.0, 1000.0),
        "vol_static": (-100.0, 100.0),
        "vol_slope": (-100.0, 100.0),
    },
    Basis: {
        "price_up": (1.0, 1000.0),
        "price_down": (1e-9, 1.0),
        "add_factor": (0.0, 100.0),
        "mult_factor": (0.0, 100.0),
    },
    Contingencies: {
        "perpetual_maintenance": (0.0, 10.0),
        "perpetual_initial": (0.0, 10.0),
        "option_maintenance": (0.0, 10.0),
        "option_initial": (0.0, 10.0),
        "peg_threshold": (0.0, 1000.0),
        "peg_factor": (0.0, 1000.0),
        "confidence_threshold": (0.0, 1.0),
        "confidence_charge": (0.0, 100.0),
    },
}
_SECTIONS: dict[str, type] = {
    "vol_shock": VolShock,
    "static_discount": StaticDiscount,
    "skew": Skew,
    "basis": Basis,
    "contingencies": Contingencies,
}
_TOP = (
    "status",
    "initial_factor",
    "maintenance_factor",
    "options_discounted",
    "contingencies_scaled",
    "scenarios",
    "underlyings",
    "collateral",
)


def load_parameters(source: str | Path | Mapping[str, Any] | None, family: str) -> DeriveParameters:
    """Read a parameter set of a generation: by the name of one that ships, from a JSON file, or from a document.

    Raises
    ------
    ParameterError
        With everything that is wrong in the document.
    """
    document = document_of(source, __package__, f"{family}-mainnet")
    name = name_of(document)
    read = ParameterReader(name)
    read.header(document, family, _TOP)
    scenarios = _scenarios(document, read)
    underlyings = _underlyings(document, read)
    collateral = _collateral(document, read, tuple(underlyings))
    initial, maintenance = (
        read.number(document, key, name, 0.0, 100.0) for key in ("initial_factor", "maintenance_factor")
    )
    discounted, scaled = (_flag(document, key, read) for key in ("options_discounted", "contingencies_scaled"))
    raise_problems(read.problems)
    return DeriveParameters(
        info=info_of(document),
        initial_factor=initial,
        maintenance_factor=maintenance,
        options_discounted=discounted,
        contingencies_scaled=scaled,
        scenarios=scenarios,
        underlyings=underlyings,
        collateral=collateral,
    )


def _flag(section: Mapping[str, Any], key: str, read: ParameterReader, where: str = "") -> bool:
    found = section.get(key)
    if not isinstance(found, bool):
        read.wrong(f"{where}{key}", f"is {shown(found)}", "true or false.")
    return found is True


def _scenarios(document: Mapping[str, Any], read: ParameterReader) -> tuple[Scenario, ...]:
    stated = document.get("scenarios")
    if not isinstance(stated, list) or not 1 <= len(stated) <= 1000:
        read.wrong("scenarios", f"is {shown(stated)}", "A list of 1 to 1,000 scenarios.")
        return ()
    found = []
    for k, one in enumerate(stated):
        where = f"scenarios.{k + 1}"
        section = read.section({where: one}, where, ("price_multiplier", "vol", "dampening"))
        if section.get("vol") not in list(VolMove):
            read.wrong(f"{where}.vol", f"is {shown(section.get('vol'))}", f"One of {', '.join(VolMove)}.")
            continue
        scenario = Scenario(
            price_multiplier=read.number(section, "price_multiplier", where, 1e-9, 1000.0),
            vol=VolMove(section["vol"]),
            dampening=read.number(section, "dampening", where, 0.0, 100.0),
        )
        if scenario.vol.is_skew and scenario.price_multiplier != 1:
            read.wrong(
                f"{where}.price_multiplier", f"is {scenario.price_multiplier:g}", "1: a skew scenario moves no price."
            )
        found.append(scenario)
    return tuple(found)


def _underlyings(document: Mapping[str, Any], read: ParameterReader) -> dict[str, UnderlyingParameters]:
    stated = document.get("underlyings")
    if not isinstance(stated, dict) or not stated:
        read.wrong("underlyings", "is missing, empty or no object", "One entry for each underlying.")
        return {}
    found = {}
    for underlying in sorted(map(str, stated)):
        where = f"underlyings.{underlying}"
        own = read.section(stated, underlying, tuple(_SECTIONS), where="underlyings.")
        parts = {}
        for key, kind in _SECTIONS.items():
            names = tuple(one.name for one in fields(kind))
            section = read.section(own, key, names, where=f"{where}.")
            parts[key] = kind(
                **{name: read.number(section, name, f"{where}.{key}", *_LIMITS[kind][name]) for name in names}
            )
        found[underlying] = UnderlyingParameters(
            vol_shock=parts["vol_shock"],
            discount=parts["static_discount"],
            skew=parts["skew"],
            basis=parts["basis"],
            contingencies=parts["contingencies"],
        )
    return found


def _collateral(
    document: Mapping[str, Any], read: ParameterReader, underlyings: tuple[str, ...]
) -> dict[str, CollateralParameters]:
    stated = document.get("collateral")
    if not isinstance(stated, dict):
        read.wrong("collateral", f"is {shown(stated)}", "One entry for each asset that counts.")
        return {}
    found = {}
    for asset in sorted(map(str, stated)):
        where = f"collateral.{asset}"
        own = read.section(
            stated, asset, ("haircut_maintenance", "haircut_initial", "cancels", "is_cash"), where="collateral."
        )
        cancels = own.get("cancels", "")
        if cancels != "" and cancels not in underlyings:
            read.wrong(f"{where}.cancels", f"is {shown(cancels)}", f"Empty, or one of {', '.join(underlyings)}.")
        found[asset] = CollateralParameters(
            haircut_maintenance=read.number(own, "haircut_maintenance", where, 0.0, 1.0),
            haircut_initial=read.number(own, "haircut_initial", where, 0.0, 1.0),
            cancels=str(cancels),
            is_cash=_flag(own, "is_cash", read, f"{where}."),
        )
    return found
