"""Parameters of `delta-gamma-parametric`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import raise_problems
from crossmargin.methodologies.model_based import parameters as common
from crossmargin.methodologies.model_based.parameters import Factors, Measure
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "delta-gamma-parametric"
PACKAGE = "crossmargin.methodologies.model_based.delta_gamma"
_FIELDS = ("factors", "covariance", "horizon_days", "measure", "credit_mean_gain", "maintenance_factor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariance:
    """How the covariance of daily changes is estimated.

    Parameters
    ----------
    observations : int
        Latest changes that are used, the seed among them.
    decay : float
        Lambda of the exponential weights.
    seed_days : int
        First of them, whose second moments start it.
    """

    observations: int
    decay: float
    seed_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaGammaParameters:
    """A parameter set.

    Parameters
    ----------
    covariance : Covariance
        Of the factors.
    horizon_days : int
        Days until positions are closed: the covariance is taken that many times.
    measure : Measure
        Statistic and level.
    credit_mean_gain : bool
        Whether what gammas earn on average lowers the loss, though the time decay that pays for it is left out.
    maintenance_factor : float
        Maintenance over initial.
    """

    info: ParametersInfo
    factors: Factors
    covariance: Covariance
    horizon_days: int
    measure: Measure
    credit_mean_gain: bool
    maintenance_factor: float


OVERRIDES = {
    "level": ("measure", "level"),
    "measure": ("measure", "tool"),
    "observations": ("covariance", "observations"),
    "decay": ("covariance", "decay"),
    "horizon_days": ("horizon_days",),
    "credit_mean_gain": ("credit_mean_gain",),
    "vol_without_history": ("factors", "without_vol"),
}
"""What can be set by name beside a document, and where it stands in it."""


def load_parameters(source: str | Path | dict[str, Any] | None, **overrides: Any) -> DeltaGammaParameters:
    """Parameters of a set that ships, a file or a document, with some of them set by name.

    Raises
    ------
    ParameterError
        With everything that is wrong.
    """
    document = common.overridden(document_of(source, PACKAGE, "delta-gamma-2026"), OVERRIDES, overrides)
    read = ParameterReader(name_of(document))
    read.header(document, FAMILY, _FIELDS)
    name, where = name_of(document), "covariance"
    section = read.section(document, where, ("observations", "decay", "seed_days"))
    covariance = Covariance(
        observations=common.whole(read, section, "observations", where, 2, 1_000_000),
        decay=read.number(section, "decay", where, 0.01, 0.9999),
        seed_days=common.whole(read, section, "seed_days", where, 1, 100_000),
    )
    if covariance.seed_days >= covariance.observations:
        read.wrong(
            f"{where}.seed_days", f"is {covariance.seed_days}", f"Fewer than observations, {covariance.observations}."
        )
    factors = common.read_factors(read, document)
    if factors.proxies:
        read.wrong("factors.proxies", "names some", "{}: a covariance is of factors that are known on every date.")
    parameters = DeltaGammaParameters(
        info=info_of(document),
        factors=factors,
        covariance=covariance,
        horizon_days=common.whole(read, document, "horizon_days", name, 1, 250),
        measure=common.read_measure(read, document),
        credit_mean_gain=common.flag(read, document, "credit_mean_gain", name),
        maintenance_factor=read.number(document, "maintenance_factor", name, 0.0, 1.0),
    )
    raise_problems(read.problems)
    return parameters
