"""Parameters of `stans-like`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import raise_problems
from crossmargin.methodologies.model_based import parameters as common
from crossmargin.methodologies.model_based.parameters import Factors, Generation, Measure, Periods, Tool
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "stans-like"
PACKAGE = "crossmargin.methodologies.model_based.stans"
_FIELDS = (
    "factors",
    "generation",
    "level",
    "add_on_level",
    "add_on_weight",
    "maintenance_factor",
    "stress_periods",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StansParameters:
    """A parameter set.

    Parameters
    ----------
    generation : Generation
        Simulated scenarios.
    base, add_on : Measure
        Expected shortfall of the base, and of the losses that the add-on looks at.
    add_on_weight : float
        Part of what they are beyond the base that is added.
    maintenance_factor : float
        Maintenance over initial.
    stress_periods : mapping of str to (int, int)
        Named stressed days, for `hedge-failure`.
    """

    info: ParametersInfo
    factors: Factors
    generation: Generation
    base: Measure
    add_on: Measure
    add_on_weight: float
    maintenance_factor: float
    stress_periods: Periods


OVERRIDES = {
    "level": ("level",),
    "add_on_weight": ("add_on_weight",),
    "observations": ("generation", "observations"),
    "horizon_days": ("generation", "horizon_days"),
    "draws": ("generation", "simulation", "draws"),
    "dependence": ("generation", "simulation", "dependence"),
    "seed": ("generation", "simulation", "seed"),
    "vol_without_history": ("factors", "without_vol"),
}
"""What can be set by name beside a document, and where it stands in it."""


def load_parameters(source: str | Path | dict[str, Any] | None, **overrides: Any) -> StansParameters:
    """Parameters of a set that ships, a file or a document, with some of them set by name.

    Raises
    ------
    ParameterError
        With everything that is wrong.
    """
    document = common.overridden(document_of(source, PACKAGE, "stans-like-2026"), OVERRIDES, overrides)
    read = ParameterReader(name_of(document))
    read.header(document, FAMILY, _FIELDS)
    name = name_of(document)
    generation = common.read_generation(read, document)
    if generation.simulation is None:
        read.wrong("generation.simulation", "is null", "Losses are simulated: give draws, seed and dependence.")

    def shortfall(key: str) -> Measure:
        level: Decimal = common.level_of(read, document, key, name)
        return Measure(tool=Tool.ES, level=level)

    parameters = StansParameters(
        info=info_of(document),
        factors=common.read_factors(read, document),
        generation=generation,
        base=shortfall("level"),
        add_on=shortfall("add_on_level"),
        add_on_weight=read.number(document, "add_on_weight", name, 0.0, 10.0),
        maintenance_factor=read.number(document, "maintenance_factor", name, 0.0, 1.0),
        stress_periods=common.read_periods(read, document),
    )
    raise_problems(read.problems)
    return parameters
