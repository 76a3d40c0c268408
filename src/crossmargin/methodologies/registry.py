"""Every methodology by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossmargin.basics.errors import InputError, Problem
from crossmargin.methodologies.protocol import Methodology, MethodologyFactory
from crossmargin.methodologies.scenario_grid.method import isolated, scenario_grid

METHODOLOGIES: dict[str, MethodologyFactory] = {"scenario-grid": scenario_grid, "isolated": isolated}


def methodology(name: str, parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> Methodology:
    """The methodology called `name` with its parameters.

    Raises
    ------
    InputError
        If there is none of that name.
    ParameterError
        If its parameters are wrong.
    """
    if name not in METHODOLOGIES:
        raise InputError(
            Problem(
                found=f"no methodology '{name}'",
                needed=f"There are {', '.join(METHODOLOGIES)}.",
            )
        )
    return METHODOLOGIES[name](parameters, **overrides)
