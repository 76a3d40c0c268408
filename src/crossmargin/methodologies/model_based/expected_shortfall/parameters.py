"""Parameters of `historical-es`, `filtered-es` and `monte-carlo-es`: one form, in which the generator differs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import raise_problems
from crossmargin.methodologies.model_based import parameters as common
from crossmargin.methodologies.model_based.parameters import Factors, Generation, Measure, Periods
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "expected-shortfall"
PACKAGE = "crossmargin.methodologies.model_based.expected_shortfall"
_FIELDS = (
    "factors",
    "generation",
    "measure",
    "maintenance_factor",
    "offset_cap",
    "floor_rate",
    "anti_procyclicality",
    "stress_periods",
)
_APC_FIELDS = ("tool", "buffer", "release_from", "release_to", "stressed_weight", "long_run_observations")


class AntiProcyclicality(StrEnum):
    """Which of the three tools of RTS 153/2013 Art. 28(1) is used, if any.

    `BUFFER`: the requirement is raised by a part, which is released as it rises over its long-run level.
    `STRESSED_WEIGHT`: a part of it is that of stressed days. `LONG_RUN_FLOOR`: it is at least that of a long history.
    """

    NONE = "none"
    BUFFER = "buffer"
    STRESSED_WEIGHT = "stressed_weight"
    LONG_RUN_FLOOR = "long_run_floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Apc:
    """An anti-procyclicality tool.

    Parameters
    ----------
    tool : AntiProcyclicality
        Which.
    buffer : float
        Part by which the requirement is raised in calm days.
    release_from, release_to : float
        Multiple of the long-run requirement at which the buffer begins to be released, and at which it is gone.
    stressed_weight : float
        Part that stressed days have.
    long_run_observations : int
        Daily changes of the long history.
    """

    tool: AntiProcyclicality
    buffer: float
    release_from: float
    release_to: float
    stressed_weight: float
    long_run_observations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortfallParameters:
    """A parameter set.

    Parameters
    ----------
    generation, measure
        Scenarios, and what is asked for of their losses.
    maintenance_factor : float
        Maintenance over initial.
    offset_cap : float or None
        Most of the difference between underlyings apart and together that netting may save: 0.8 for EMIR's 80%; `None`
        caps nothing.
    floor_rate : float
        Least requirement, as a part of the gross value of what is held.
    apc : Apc
        Anti-procyclicality.
    stress_periods : mapping of str to (int, int)
        Named stressed days.
    """

    info: ParametersInfo
    factors: Factors
    generation: Generation
    measure: Measure
    maintenance_factor: float
    offset_cap: float | None
    floor_rate: float
    apc: Apc
    stress_periods: Periods


OVERRIDES = {
    "level": ("measure", "level"),
    "measure": ("measure", "tool"),
    "observations": ("generation", "observations"),
    "horizon_days": ("generation", "horizon_days"),
    "horizon_rule": ("generation", "horizon_rule"),
    "mirrored": ("generation", "mirrored"),
    "vol_without_history": ("factors", "without_vol"),
    "offset_cap": ("offset_cap",),
    "anti_procyclicality": ("anti_procyclicality", "tool"),
}
"""What can be set by name beside a document, and where it stands in it."""


def load_parameters(source: str | Path | dict[str, Any] | None, default: str, **overrides: Any) -> ShortfallParameters:
    """Parameters of a set that ships, a file or a document, with some of them set by name.

    Raises
    ------
    ParameterError
        With everything that is wrong.
    """
    document = common.overridden(document_of(source, PACKAGE, default), OVERRIDES, overrides)
    read = ParameterReader(name_of(document))
    read.header(document, FAMILY, _FIELDS)
    apc = read.section(document, "anti_procyclicality", _APC_FIELDS)
    where = "anti_procyclicality"
    tool = common.choice(read, apc, "tool", where, AntiProcyclicality) or AntiProcyclicality.NONE
    release_from = read.number(apc, "release_from", where, 0.0, 1e6)
    release_to = read.number(apc, "release_to", where, 0.0, 1e6)
    if release_to <= release_from:
        read.wrong(f"{where}.release_to", f"is {release_to:g}", f"More than release_from, {release_from:g}.")
    stress_periods = common.read_periods(read, document)
    if tool is AntiProcyclicality.STRESSED_WEIGHT and not stress_periods:
        read.wrong("stress_periods", "is empty", "Stressed days have a weight: name them.")
    name = name_of(document)
    capped = document.get("offset_cap") is not None
    parameters = ShortfallParameters(
        info=info_of(document),
        factors=common.read_factors(read, document),
        generation=common.read_generation(read, document),
        measure=common.read_measure(read, document),
        maintenance_factor=read.number(document, "maintenance_factor", name, 0.0, 1.0),
        offset_cap=read.number(document, "offset_cap", name, 0.0, 1.0) if capped else None,
        floor_rate=read.number(document, "floor_rate", name, 0.0, 1.0),
        apc=Apc(
            tool=tool,
            buffer=read.number(apc, "buffer", where, 0.0, 10.0),
            release_from=release_from,
            release_to=release_to,
            stressed_weight=read.number(apc, "stressed_weight", where, 0.0, 1.0),
            long_run_observations=common.whole(read, apc, "long_run_observations", where, 1, 1_000_000),
        ),
        stress_periods=stress_periods,
    )
    raise_problems(read.problems)
    return parameters
