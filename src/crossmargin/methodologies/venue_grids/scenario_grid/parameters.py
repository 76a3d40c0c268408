"""Parameters of venue grids: frozen, versioned, read from a JSON document that names its sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import ParameterError, Problem, UnsupportedError, raise_problems
from crossmargin.instruments.table import InstrumentTable
from crossmargin.methodologies.parameter_files import (
    ParameterReader,
    document_of,
    info_of,
    name_of,
    overrides_of,
    shown,
)
from crossmargin.methodologies.protocol import ParametersInfo
from crossmargin.scenarios.grid import GridRanges, GridShape

DEFAULT = "venue-grid-2026"
OVERRIDES = ("across_units", "gain_share", "gain_cap", "time_step_days")
"""What can be set by name beside a document."""


class AcrossUnits(StrEnum):
    """How risk units of one margin account combine; see `aggregation.across_units`."""

    INDEPENDENT = "independent"
    COMMON = "common"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """What one underlying is charged beside the scan; decimals.

    Parameters
    ----------
    roll_annualised_move : float
        Relative move of one expiry's basis in a year.
    roll_move_minimum : float
        The least such move, also of a perpetual.
    short_option_minimum : float
        Fraction of the index price for each unit of underlying in a short option.
    """

    roll_annualised_move: float
    roll_move_minimum: float
    short_option_minimum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GridParameters:
    """A whole parameter set; `gain_cap` is infinite where there is none."""

    info: ParametersInfo
    currency: str
    shape: GridShape
    across_units: AcrossUnits
    gain_share: float
    gain_cap: float
    maintenance_factor: float
    ranges: Mapping[str, GridRanges]
    charges: Mapping[str, Charges]

    def changed_underlyings(self, older: GridParameters) -> frozenset[str] | None:
        """Underlyings with other ranges or charges than in `older`; `None` if anything common differs."""
        common = ("currency", "shape", "across_units", "gain_share", "gain_cap", "maintenance_factor")
        if any(getattr(self, name) != getattr(older, name) for name in common):
            return None
        return frozenset(
            name
            for name in {*self.ranges, *older.ranges, *self.charges, *older.charges}
            if self.ranges.get(name) != older.ranges.get(name) or self.charges.get(name) != older.charges.get(name)
        )

    def not_covered(self, instruments: InstrumentTable) -> list[Problem]:
        """A problem for every underlying without parameters, about all of its instruments."""
        return [
            Problem(
                found=f"no parameters for underlying '{name}' in '{self.info.name}'",
                needed=f"It covers {', '.join(self.ranges)}; add '{name}' in a parameter file of your own.",
                kind=UnsupportedError,
                instruments=instruments.names_of(name),
            )
            for name in instruments.underlyings
            if name not in self.ranges
        ]


def load_parameters(source: str | Path | Mapping[str, Any] | None, **overrides: Any) -> GridParameters:
    """Read a parameter set: by the name of one that ships, from a JSON file, or from a document.

    Parameters
    ----------
    source : str, Path, mapping or None
        `None` is `venue-grid-2026`.
    overrides
        `across_units`, `gain_share`, `gain_cap`, `time_step_days`: replace the document's; the digest covers them.

    Raises
    ------
    ParameterError
        With everything that is wrong in the document.
    """
    document = document_of(source, __package__, DEFAULT)
    given = overrides_of(overrides, OVERRIDES)
    if given:
        document = _overridden(document, given)
    return _parse(document)


def _overridden(document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    across, shape = (
        dict(section) if isinstance(section := document.get(key), Mapping) else {} for key in ("across_units", "shape")
    )
    for name, value in given.items():
        if name == "across_units":
            across["rule"] = str(value)
        elif name in ("gain_share", "gain_cap"):
            across[name] = str(value)
        else:
            shape[name] = str(value)
    shared = sorted({"gain_share", "gain_cap"} & set(given))
    if shared and across.get("rule") != AcrossUnits.COMMON:
        raise ParameterError(
            Problem(
                found=f"{' and '.join(shared)} without the rule 'common': it would have no effect",
                needed="Also set across_units (--across-units) to 'common'.",
                kind=ParameterError,
            )
        )
    return document | {"across_units": across, "shape": shape}


_RANGE_LIMITS = {
    "price_range": (1e-6, 0.999),
    "vol_range_up": (0.0, 100.0),
    "vol_range_down": (0.0, 1.0),
    "vol_power_short": (0.0, 5.0),
    "vol_power_long": (0.0, 5.0),
    "vol_floor_up": (0.0, 100.0),
    "vol_days_floor": (1e-6, 10_000.0),
    "extended_low": (-0.999, 0.0),
    "extended_high": (0.0, 1000.0),
}
_CHARGE_LIMITS = {
    "roll_annualised_move": (0.0, 10.0),
    "roll_move_minimum": (0.0, 1.0),
    "short_option_minimum": (0.0, 1.0),
}
_TOP = ("currency", "shape", "across_units", "maintenance_factor", "underlyings")


def _parse(document: dict[str, Any]) -> GridParameters:
    name = name_of(document)
    read = ParameterReader(name)
    read.header(document, "scenario-grid", _TOP)
    if document.get("currency") != "USD":
        read.wrong("currency", f"is {shown(document.get('currency'))}", "This family margins in USD.")

    shape_section = read.section(
        document, "shape", ("price_steps", "extended_moves", "extended_factor", "time_step_days")
    )
    moves = shape_section.get("extended_moves")
    if not isinstance(moves, list) or len(moves) > 1000:
        read.wrong(
            "shape.extended_moves", f"is {shown(moves)}", "A list of at most 1,000 of relative moves; it may be empty."
        )
        moves = []
    extended = tuple(
        read.number({str(k): move}, str(k), "shape.extended_moves", -0.999, 1000.0) for k, move in enumerate(moves)
    )
    if 0.0 in extended:
        read.wrong("shape.extended_moves", "holds 0", "An extended move is damped by its size.")
    steps = read.number(shape_section, "price_steps", "shape", 1, 1000)
    if steps != int(steps):
        read.wrong("shape.price_steps", f"is {steps:g}", "A whole number.")
    shape = GridShape(
        price_steps=int(steps),
        extended_moves=extended,
        extended_factor=read.number(shape_section, "extended_factor", "shape", 0.0, 100.0),
        time_step_days=read.number(shape_section, "time_step_days", "shape", 0.0, 365.0),
    )
    across = read.section(document, "across_units", ("rule", "gain_share", "gain_cap"))
    rule = across.get("rule")
    if rule not in list(AcrossUnits):
        read.wrong("across_units.rule", f"is {shown(rule)}", f"One of {', '.join(AcrossUnits)}.")
        rule = AcrossUnits.INDEPENDENT
    ranges, charges = _underlyings(document, read)
    for underlying, own in ranges.items():
        for move in extended:
            stopped = min(max(move, own.extended_low), own.extended_high)
            if move and shape.extended_factor * own.price_range > abs(stopped):
                read.wrong(
                    "shape.extended_moves",
                    f"{stopped:g} of {underlying} would count more than whole: it is inside the range",
                    f"Moves of at least {shape.extended_factor * own.price_range:g}.",
                )
    gain_share = read.number(across, "gain_share", "across_units", 0.0, 1.0)
    capped = across.get("gain_cap") is not None
    gain_cap = read.number(across, "gain_cap", "across_units", 0.0, 1e18) if capped else math.inf
    maintenance_factor = read.number(document, "maintenance_factor", name, 0.0, 1.0)
    raise_problems(read.problems)
    return GridParameters(
        info=info_of(document),
        currency="USD",
        shape=shape,
        across_units=AcrossUnits(rule),
        gain_share=gain_share,
        gain_cap=gain_cap,
        maintenance_factor=maintenance_factor,
        ranges=ranges,
        charges=charges,
    )


def _underlyings(document: dict[str, Any], read: ParameterReader) -> tuple[dict[str, GridRanges], dict[str, Charges]]:
    fields = (*_RANGE_LIMITS, *_CHARGE_LIMITS)
    stated = document.get("underlyings")
    if not isinstance(stated, dict) or not stated:
        read.wrong("underlyings", "is missing, empty or no object", "One entry for each underlying.")
        return {}, {}
    ranges, charges = {}, {}
    for underlying in sorted(map(str, stated)):
        where = f"underlyings.{underlying}"
        section = read.section(stated, underlying, fields, where="underlyings.")
        ranges[underlying] = GridRanges(
            **{key: read.number(section, key, where, *limits) for key, limits in _RANGE_LIMITS.items()}
        )
        charges[underlying] = Charges(
            **{key: read.number(section, key, where, *limits) for key, limits in _CHARGE_LIMITS.items()}
        )
    return ranges, charges
