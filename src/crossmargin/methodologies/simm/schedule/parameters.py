"""Parameters of the schedule: frozen, dated, from a data file that names its sources.

A rate is a fraction of the notional: one for all maturities, or one for each band of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import raise_problems
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of, shown
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "im-schedule"
PACKAGE = "crossmargin.methodologies.simm.schedule"
DEFAULT = "schedule-2016"
PRODUCT_CLASSES = ("Rates", "FX", "Credit", "Equity", "Commodity", "CrossCurrency", "Other")
"""Product classes that have a rate; `CrossCurrency` are swaps of two currencies."""
_FIELDS = ("maturity_years", "rates", "gross_share", "net_share")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScheduleParameters:
    """Rates and shares.

    Parameters
    ----------
    maturity_years : ndarray of shape (n_bands - 1,)
        Longest maturity of each band but the last.
    rates : ndarray of shape (n_classes, n_bands)
        Fraction of the notional, by `PRODUCT_CLASSES` and band.
    gross_share, net_share : float
        Weights of the gross margin, and of the gross margin times the net-to-gross ratio.
    """

    info: ParametersInfo
    maturity_years: FloatArray
    rates: FloatArray
    gross_share: float
    net_share: float

    def __post_init__(self) -> None:
        for name in ("maturity_years", "rates"):
            object.__setattr__(self, name, read_only(getattr(self, name)))


def load_parameters(source: str | Path | Mapping[str, Any] | None = None) -> ScheduleParameters:
    """Parameters of a set that ships, a file or a document.

    Raises
    ------
    ParameterError
        Listing everything that is wrong.
    """
    document = document_of(source, PACKAGE, DEFAULT)
    reader = ParameterReader(name_of(document))
    reader.header(document, FAMILY, _FIELDS)
    bounds = document.get("maturity_years")
    if not isinstance(bounds, list) or not bounds:
        reader.wrong("maturity_years", f"is {shown(bounds)}", "A list of years, rising.")
        bounds = ["1"]
    keyed = {str(k): one for k, one in enumerate(bounds)}
    years = [reader.number(keyed, key, "maturity_years", 0.0, 100.0) for key in keyed]
    if any(later <= earlier for earlier, later in pairwise(years)):
        reader.wrong("maturity_years", f"are {years}", "Each longer than the one before.")
    section = reader.section(document, "rates", PRODUCT_CLASSES)
    rates = np.array([_rates(reader, section, name, len(years) + 1) for name in PRODUCT_CLASSES])
    gross_share = reader.number(document, "gross_share", "document", 0.0, 1.0)
    net_share = reader.number(document, "net_share", "document", 0.0, 1.0)
    raise_problems(reader.problems)
    return ScheduleParameters(
        info=info_of(document),
        maturity_years=np.array(years),
        rates=rates,
        gross_share=gross_share,
        net_share=net_share,
    )


def _rates(reader: ParameterReader, section: Mapping[str, Any], name: str, n_bands: int) -> list[float]:
    """The rates of a product class, one a band."""
    stated = section.get(name)
    if not isinstance(stated, list):
        return [reader.number(section, name, "rates", 0.0, 1.0)] * n_bands
    if len(stated) != n_bands:
        reader.wrong(f"rates.{name}", f"has {len(stated)} rates", f"One for all, or {n_bands}: one for each band.")
        return [0.0] * n_bands
    keyed = {str(k): one for k, one in enumerate(stated)}
    return [reader.number(keyed, key, f"rates.{name}", 0.0, 1.0) for key in keyed]
