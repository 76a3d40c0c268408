"""Calibrations of the sensitivity method by version, date or file; those of Open Source Risk Engine as ours.

Names of groups, the order of tenors and buckets, and what the engine has as code rather than data (tenors of credit,
the bucket without curvature, horizons) stand here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import InputError, Problem
from crossmargin.files.ore_calibration import is_ore_calibration, read_ore_calibration
from crossmargin.methodologies.simm.parameters import (
    DEFAULT,
    RISK_CLASS_NAMES,
    SimmParameters,
    load_parameters,
    set_in_force,
)

_PERIODS = ("10", "1")
_TENORS = ("2w", "1m", "3m", "6m", "1y", "2y", "3y", "5y", "10y", "15y", "20y", "30y")
_CREDIT_TENORS = ("1y", "2y", "3y", "5y", "10y")
_SUB_CURVES = ("OIS", "Libor1m", "Libor3m", "Libor6m", "Libor12m", "Prime", "Municipal")
_RATE_GROUPS = {"1": "regular", "2": "low", "3": "high"}
_FX_GROUPS = {"1": "high", "2": "regular"}
_FX_PAIRS = (("1", "2", "3"), ("2", "4", "5"), ("3", "5", "6"))
"""Which threshold a pair of currency categories has."""
_SECTIONS = ("interest_rate", "credit_qualifying", "credit_non_qualifying", "equity", "commodity", "fx")


def read_simm_parameters(version: str | None = None, parameters: Any = None, mpor_days: int = 10) -> SimmParameters:
    """A calibration: by version, by a date on which it is in force, or a document of one's own.

    Parameters
    ----------
    version : str, optional
        Like `2.8+2506`, or a date like 2026-03-31; the default calibration if neither is given.
    parameters
        Name of a set that ships, a JSON file, a document, or a calibration of Open Source Risk Engine in XML.
    mpor_days : int
        10 or 1.

    Raises
    ------
    ParameterError
        If there is no such calibration, or something is wrong in it.
    InputError
        If both are given, or a date is none.
    """
    if version is not None and parameters is not None:
        raise InputError(Problem(found="a version beside parameters", needed="Choose one."))
    if parameters is None and version is not None:
        is_date = re.fullmatch("[0-9]+-[0-9]+-[0-9]+", version) is not None
        parameters = set_in_force(_day(version)) if is_date else f"simm-{version.removeprefix('simm-')}"
    if isinstance(parameters, str | Path) and Path(parameters).is_file() and is_ore_calibration(Path(parameters)):
        parameters = parameter_document(read_ore_calibration(parameters))
    return load_parameters(DEFAULT if parameters is None else parameters, mpor_days=mpor_days)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InputError(
            Problem(found=f"the version '{text[:40]}' is no date", needed="A date like 2026-03-31, or a version.")
        ) from None


def parameter_document(found: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a calibration that `read_ore_calibration` has read.

    Parameters
    ----------
    found : mapping
        Sections by the engine's names of risk classes.
    """
    version = str(found["version"])
    return {
        "format": "crossmargin-parameters/1",
        "family": "simm",
        "name": f"simm-{version}",
        "version": version,
        "date": str(found["effective_date"]),
        "title": f"ISDA SIMM {version}, effective {found['effective_date']}",
        "sources": [str(found["provenance"]["source"]), str(found["provenance"]["method"])],
        "caveats": [],
        "general": {
            "horizon_days": {"10": 14.0, "1": 1.4},
            "concentration": {"10": True, "1": False},
            "confidence_volatility": 0.99,
            "confidence_curvature": 0.995,
        },
        "risk_class_correlation": {
            "classes": list(_SECTIONS),
            "matrix": _matrix(found["psi_risk_class"], RISK_CLASS_NAMES),
        },
        "interest_rate": _rates(found["InterestRate"]),
        "credit_qualifying": _credit(found["CreditQualifying"]),
        "credit_non_qualifying": _credit(found["CreditNonQualifying"]),
        "equity": _bucketed(found["Equity"]) | {"without_curvature": ["12"]},
        "commodity": _bucketed(found["Commodity"]),
        "fx": _fx(found["FX"]),
    }


def _matrix(stated: Mapping[str, Any], names: tuple[str, ...]) -> list[list[float]]:
    """Ones on the diagonal; 0 where nothing is stated, as for the residual bucket."""
    return [[1.0 if a == b else float(stated.get(a, {}).get(b, 0.0)) for b in names] for a in names]


def _groups(stated: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Currencies by group; the group of all others says so."""
    return {name: "other" if "Other" in stated[number] else sorted(stated[number]) for number, name in names.items()}


def _numbered(stated: Mapping[str, Any]) -> dict[str, str]:
    return {number: number for number in sorted(stated)}


def _rates(s: Mapping[str, Any]) -> dict[str, Any]:
    weights = s["delta_rw_by_mpor"]
    return {
        "tenors": list(_TENORS),
        "sub_curves": list(_SUB_CURVES),
        "volatility_group": _groups(s["rw_currency_bucket"], _RATE_GROUPS),
        "risk_weight": {
            period: {name: [weights[period][number][t] for t in _TENORS] for number, name in _RATE_GROUPS.items()}
            for period in _PERIODS
        },
        "inflation_risk_weight": _by_period(s["inflation_rw_by_mpor"]),
        "basis_risk_weight": _by_period(s["xccy_basis_rw_by_mpor"]),
        "vega_risk_weight": _by_period(s["vega_rw_by_mpor"]),
        "historical_volatility_ratio": _by_period(s["hvr_by_mpor"]),
        "tenor_correlation": _matrix(s["tenor_corr"], _TENORS),
        "sub_curve_correlation": s["subcurve_corr"],
        "inflation_correlation": s["inflation_corr"],
        "basis_correlation": s["xccy_corr"],
        "currency_correlation": s["gamma"],
        "concentration_group": _groups(
            s["concentration_currency_bucket"], _numbered(s["concentration_currency_bucket"])
        ),
        "delta_threshold_usd_million": dict(s["delta_threshold_musd_per_bp"]),
        "vega_threshold_usd_million": dict(s["vega_threshold_musd"]),
    }


def _by_period(stated: Mapping[str, Any]) -> dict[str, Any]:
    return {period: stated[period] for period in _PERIODS}


def _buckets(s: Mapping[str, Any]) -> tuple[str, ...]:
    """In the order of their numbers, the residual one last."""
    names = s["delta_rw_by_mpor"]["10"]
    return tuple(sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0)))


def _bucketed(s: Mapping[str, Any]) -> dict[str, Any]:
    """Equity and commodity: correlation of two names by bucket, ratio of volatilities."""
    buckets = _buckets(s)
    made = _weights(s, buckets)
    made["correlation_same"] = [1.0] * len(buckets)
    made["correlation_different"] = [float(s["intra_corr"].get(name, 0.0)) for name in buckets]
    made["historical_volatility_ratio"] = _by_period(s["hvr_by_mpor"])
    return made


def _credit(s: Mapping[str, Any]) -> dict[str, Any]:
    """Credit: correlations of one name and of two, those of the residual bucket apart; perhaps base correlation."""
    buckets = _buckets(s)
    made = _weights(s, buckets)
    for ours, theirs in (("correlation_same", "same"), ("correlation_different", "different")):
        made[ours] = [
            float(s["intra_corr"]["aggregate" if name.isdecimal() else "residual"][theirs]) for name in buckets
        ]
    made["tenors"] = list(_CREDIT_TENORS)
    if "base_corr_rw_by_mpor" in s:
        made["base_correlation_risk_weight"] = _by_period(s["base_corr_rw_by_mpor"])
        made["base_correlation_correlation"] = s["base_corr_corr"]
    return made


def _weights(s: Mapping[str, Any], buckets: tuple[str, ...]) -> dict[str, Any]:
    def each(stated: Any) -> list[float]:
        return [float(stated[name] if isinstance(stated, Mapping) else stated) for name in buckets]

    return {
        "buckets": list(buckets),
        "risk_weight": {period: each(s["delta_rw_by_mpor"][period]) for period in _PERIODS},
        "vega_risk_weight": {period: each(s["vega_rw_by_mpor"][period]) for period in _PERIODS},
        "bucket_correlation": _matrix(s["gamma"], buckets),
        "delta_threshold_usd_million": each(s["delta_threshold_musd_per_unit"]),
        "vega_threshold_usd_million": each(s["vega_threshold_musd"]),
    }


def _fx(s: Mapping[str, Any]) -> dict[str, Any]:
    def by_pair(stated: Mapping[str, Any] | None) -> dict[str, dict[str, float]] | None:
        if stated is None:  # a calibration that does not know a group of calculation currencies
            return None
        return {a: {b: stated[i][k] for k, b in _FX_GROUPS.items()} for i, a in _FX_GROUPS.items()}

    categories = s["concentration_category"]
    return {
        "volatility_group": _groups(s["volatility_group"], _FX_GROUPS),
        "risk_weight": {period: by_pair(s["delta_rw_by_mpor"][period]) for period in _PERIODS},
        "vega_risk_weight": _by_period(s["vega_rw_by_mpor"]),
        "historical_volatility_ratio": _by_period(s["hvr_by_mpor"]),
        "correlation": {name: by_pair(s["corr_by_calc_ccy_group"][number]) for number, name in _FX_GROUPS.items()},
        "volatility_correlation": s["vol_corr"],
        "concentration_category": _groups(categories, _numbered(categories)),
        "delta_threshold_usd_million": dict(s["delta_threshold_musd_per_pct"]),
        "vega_threshold_usd_million": [[s["vega_threshold_musd"][number] for number in row] for row in _FX_PAIRS],
    }
