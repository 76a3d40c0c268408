"""Parameters of the sensitivity method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmargin.methodologies.protocol import ParametersInfo

DEFAULT = "simm-2.8+2506"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimmParameters:
    """A calibration at one margin period of risk."""

    info: ParametersInfo


def load_parameters(source: str | Path | Mapping[str, Any] | None = None, *, mpor_days: int = 10) -> SimmParameters:
    """Read a calibration: by the name of one that ships (`simm-2.8+2506`), from a JSON file, or from a document."""
    raise NotImplementedError


def set_in_force(day: str) -> str:
    """Name of the shipped calibration in force on an ISO date."""
    raise NotImplementedError
