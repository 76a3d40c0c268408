"""Parameters of Deribit's portfolio margin, read from a JSON document that names its sources and what is inferred.

A *currency* is what P&L is paid in (the coin of inverse contracts, USDC of linear ones): it has the share of gains that
counts, its cap, the dampener and the basis moves. A *pair* is an underlying: it has the grid and the delta shock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import Problem, UnsupportedError, raise_problems
from crossmargin.instruments.table import InstrumentTable
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of, shown
from crossmargin.methodologies.protocol import ParametersInfo
from crossmargin.scenarios.grid import GridRanges, GridShape

FAMILY = "deribit-portfolio"
DEFAULT = "deribit-pm-2026"
LINEAR = "USDC"
"""Currency of linear contracts."""


class RollForm(StrEnum):
    """How a basis move grows with time to expiry: `annualised x T`, or `exp(annualised x T) - 1`."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """What one settlement currency has of its own.

    Parameters
    ----------
    offset_share : float
        Fraction of a gain that counts.
    offset_cap : float
        Most of it, US dollars; infinite where there is no cap.
    extended_dampener : float
        US dollars by which an extended move is damped for every range that it lies beyond the first.
    roll_annualised_move, roll_move_minimum : float
        Relative move of one expiry's basis in a year, and the least.
    """

    offset_share: float
    offset_cap: float
    extended_dampener: float
    roll_annualised_move: float
    roll_move_minimum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaShock:
    """Charge for the size of a delta: its slope by coin above a threshold of US dollars, and the most it moves."""

    slope: float
    threshold: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeribitParameters:
    """A whole parameter set.

    Parameters
    ----------
    cross : bool
        Whether all pairs of an underlying and balances of its coin share one matrix in dollars, and the underlyings
        of `correlation_set` their scenarios.
    maintenance_factor : float
        Times the risk matrix margin.
    roll_form : RollForm
        See there.
    """

    info: ParametersInfo
    cross: bool
    maintenance_factor: float
    roll_form: RollForm
    shape: GridShape
    currencies: Mapping[str, Currency]
    ranges: Mapping[str, GridRanges]
    delta_shock: Mapping[str, DeltaShock]
    correlation_set: frozenset[str]

    def not_covered(self, table: InstrumentTable) -> list[Problem]:
        """A problem for every underlying without parameters, about all of its instruments."""
        return [
            Problem(
                found=f"no parameters for underlying '{name}' in '{self.info.name}'",
                needed=f"It covers {', '.join(self.ranges)}; add '{name}' in a parameter file of your own.",
                kind=UnsupportedError,
                instruments=table.names_of(name),
            )
            for name in table.underlyings
            if name not in self.ranges
        ]


_CURRENCY_LIMITS = {
    "offset_share": (0.0, 1.0),
    "extended_dampener": (0.0, 1e15),
    "roll_annualised_move": (0.0, 10.0),
    "roll_move_minimum": (0.0, 1.0),
}
_PAIR_LIMITS = {
    "price_range": (1e-6, 0.999),
    "vol_range_up": (0.0, 100.0),
    "vol_range_down": (0.0, 1.0),
    "vol_power_short": (0.0, 20.0),
    "vol_power_long": (0.0, 20.0),
    "vol_floor_up": (0.0, 100.0),
    "vol_days_floor": (1e-6, 10_000.0),
}
_SHOCK_LIMITS = {
    "delta_shock_slope": (0.0, 1e6),
    "delta_shock_threshold": (0.0, 1e15),
    "delta_shock_most": (0.0, 1.0),
}


def load_parameters(source: str | Path | Mapping[str, Any] | None, *, cross: object = None) -> DeribitParameters:
    """Read a parameter set; `cross` replaces the document's if it is given.

    Raises
    ------
    ParameterError
        With everything that is wrong in the document.
    """
    document = document_of(source, __package__, DEFAULT)
    if cross is not None:
        document = document | {"cross": {"true": True, "false": False}.get(str(cross).lower(), cross)}
    name = name_of(document)
    read = ParameterReader(name)
    read.header(
        document,
        FAMILY,
        ("status", "inferred", "cross", "maintenance_factor", "roll_form", "shape", "currencies", "pairs"),
    )
    if not isinstance(document.get("cross"), bool):
        read.wrong("cross", f"is {shown(document.get('cross'))}", "true or false.")
    if document.get("roll_form") not in list(RollForm):
        read.wrong("roll_form", f"is {shown(document.get('roll_form'))}", f"One of {', '.join(RollForm)}.")
    maintenance_factor = read.number(document, "maintenance_factor", name, 0.0, 1.0)
    shape = _shape(document, read)
    currencies = _currencies(document, read)
    ranges, shocks, together = _pairs(document, read)
    raise_problems(read.problems)
    return DeribitParameters(
        info=info_of(document),
        cross=document["cross"],
        maintenance_factor=maintenance_factor,
        roll_form=RollForm(document["roll_form"]),
        shape=shape,
        currencies=currencies,
        ranges=ranges,
        delta_shock=shocks,
        correlation_set=together,
    )


def _shape(document: Mapping[str, Any], read: ParameterReader) -> GridShape:
    section = read.section(document, "shape", ("price_steps", "extended_moves", "extended_factor"))
    steps = read.number(section, "price_steps", "shape", 1, 1000)
    if steps != int(steps):
        read.wrong("shape.price_steps", f"is {steps:g}", "A whole number.")
    moves = section.get("extended_moves")
    if not isinstance(moves, list) or len(moves) > 1000:
        read.wrong("shape.extended_moves", f"is {shown(moves)}", "A list of at most 1,000 relative moves.")
        moves = []
    extended = tuple(
        read.number({str(k): move}, str(k), "shape.extended_moves", -0.999, 1000.0) for k, move in enumerate(moves)
    )
    if 0.0 in extended:
        read.wrong("shape.extended_moves", "holds 0", "An extended move is damped by its size.")
    factor = read.number(section, "extended_factor", "shape", 0.0, 100.0)
    return GridShape(price_steps=int(steps), extended_moves=extended, extended_factor=factor)


def _currencies(document: Mapping[str, Any], read: ParameterReader) -> dict[str, Currency]:
    stated = document.get("currencies")
    if not isinstance(stated, dict) or LINEAR not in stated:
        read.wrong("currencies", f"is {shown(stated)}", f"One entry for each coin, and {LINEAR} for linear contracts.")
        return {}
    found = {}
    for name in sorted(map(str, stated)):
        where = f"currencies.{name}"
        own = read.section(stated, name, (*_CURRENCY_LIMITS, "offset_cap"), where="currencies.")
        capped = own.get("offset_cap") is not None
        found[name] = Currency(
            offset_cap=read.number(own, "offset_cap", where, 0.0, 1e18) if capped else math.inf,
            **{key: read.number(own, key, where, *limits) for key, limits in _CURRENCY_LIMITS.items()},
        )
    return found


def _pairs(
    document: Mapping[str, Any], read: ParameterReader
) -> tuple[dict[str, GridRanges], dict[str, DeltaShock], frozenset[str]]:
    stated = document.get("pairs")
    if not isinstance(stated, dict) or not stated:
        read.wrong("pairs", f"is {shown(stated)}", "One entry for each underlying.")
        return {}, {}, frozenset()
    ranges, shocks, together = {}, {}, set()
    for name in sorted(map(str, stated)):
        where = f"pairs.{name}"
        own = read.section(stated, name, (*_PAIR_LIMITS, *_SHOCK_LIMITS, "correlation_set"), where="pairs.")
        of_grid = {key: read.number(own, key, where, *limits) for key, limits in _PAIR_LIMITS.items()}
        ranges[name] = GridRanges(**of_grid, extended_low=-0.999, extended_high=1000.0)
        slope, threshold, most = (read.number(own, key, where, *limits) for key, limits in _SHOCK_LIMITS.items())
        shocks[name] = DeltaShock(slope=slope, threshold=threshold, most=most)
        if not isinstance(own.get("correlation_set"), bool):
            read.wrong(f"{where}.correlation_set", f"is {shown(own.get('correlation_set'))}", "true or false.")
        elif own["correlation_set"]:
            together.add(name)
    return ranges, shocks, frozenset(together)
