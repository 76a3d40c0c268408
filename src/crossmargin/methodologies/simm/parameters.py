"""Calibrations of the sensitivity method: risk weights, correlations and thresholds, frozen, dated, read from JSON.

A calibration changes twice a year, its buckets and currency groups included, so everything that a version says is
data; the code knows only the names of the risk classes. One document holds both margin periods of risk (10 days and 1
day); `SimmParameters` is one document at one of them, as arrays.

The numbers are ISDA's published parameters and ISDA licenses the use of its method: see docs/sources.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import ParameterError, Problem, raise_problems
from crossmargin.methodologies.parameter_files import (
    ParameterReader,
    document_of,
    info_of,
    name_of,
    shipped_sets,
    shown,
)
from crossmargin.methodologies.protocol import ParametersInfo

DEFAULT = "simm-2.8+2506"
MARGIN_PERIODS = (10, 1)
"""Margin periods of risk in days that a document has."""
DAYS_A_YEAR = 365.0
RESIDUAL = "Residual"
_OTHER = "other"
_MILLION = 1e6


class RiskClass(IntEnum):
    """Risk classes, in the order of every axis of risk classes."""

    INTEREST_RATE = 0
    CREDIT_QUALIFYING = 1
    CREDIT_NON_QUALIFYING = 2
    EQUITY = 3
    COMMODITY = 4
    FX = 5


RISK_CLASS_NAMES = ("InterestRate", "CreditQualifying", "CreditNonQualifying", "Equity", "Commodity", "FX")
"""As the field's reports spell them."""
_SECTIONS = ("interest_rate", "credit_qualifying", "credit_non_qualifying", "equity", "commodity", "fx")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """Currencies in groups: `of[currency]`, or `other` for one that is not listed."""

    names: tuple[str, ...]
    of: Mapping[str, int]
    other: int

    def group(self, currency: str) -> int:
        """Index of the currency's group."""
        return self.of.get(currency, self.other)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RateParameters:
    """Interest rates; axes: volatility group, tenor, concentration group.

    Parameters
    ----------
    risk_weight : ndarray of shape (3, n_tenors)
        Basis points.
    delta_threshold, vega_threshold : ndarray of shape (n_concentration_groups,)
        USD per basis point, and USD.
    """

    tenors: tuple[str, ...]
    sub_curves: tuple[str, ...]
    volatility: Groups
    risk_weight: FloatArray
    inflation_risk_weight: float
    basis_risk_weight: float
    vega_risk_weight: float
    historical_volatility_ratio: float
    tenor_correlation: FloatArray
    sub_curve_correlation: float
    inflation_correlation: float
    basis_correlation: float
    currency_correlation: float
    concentration: Groups
    delta_threshold: FloatArray
    vega_threshold: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BucketParameters:
    """Credit, equity or commodity; every array has the axis `n_buckets`.

    Parameters
    ----------
    buckets : tuple of str
        Names as in a CRIF; the residual bucket, where there is one, is called `Residual`.
    tenors : tuple of str
        Tenors of delta and vega; empty where delta has none and vega has those of interest rates.
    risk_weight, vega_risk_weight : ndarray of shape (n_buckets,)
        Basis points (credit) or percent; a fraction.
    historical_volatility_ratio : float
        1 where the class has none.
    correlation_same, correlation_different : ndarray of shape (n_buckets,)
        Within a bucket: of one name (or group of names) and of two.
    bucket_correlation : ndarray of shape (n_buckets, n_buckets)
        Between buckets: 0 on the diagonal and for the residual bucket, which is added outside the root.
    delta_threshold, vega_threshold : ndarray of shape (n_buckets,)
        USD per basis point or percent, and USD.
    has_curvature : ndarray of shape (n_buckets,)
        1, or 0 for the bucket of volatility indices.
    scaled_volatility : bool
        Whether a vega amount is per point of volatility, and is multiplied by the volatility that the risk weight
        implies; credit amounts already are.
    residual : int
        Index of the residual bucket, -1 if there is none.
    """

    buckets: tuple[str, ...]
    tenors: tuple[str, ...]
    risk_weight: FloatArray
    vega_risk_weight: FloatArray
    historical_volatility_ratio: float
    correlation_same: FloatArray
    correlation_different: FloatArray
    bucket_correlation: FloatArray
    delta_threshold: FloatArray
    vega_threshold: FloatArray
    has_curvature: FloatArray
    scaled_volatility: bool
    residual: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FxParameters:
    """Foreign exchange; axes: volatility groups (2), concentration categories (3).

    Parameters
    ----------
    risk_weight : ndarray of shape (2, 2)
        Percent, by the groups of the two currencies.
    correlation : mapping of int to ndarray of shape (2, 2), or None
        By the group of the calculation currency; `None` where the calibration does not know it.
    delta_threshold : ndarray of shape (3,)
        USD per percent.
    vega_threshold : ndarray of shape (3, 3)
        USD, by the categories of the pair.
    """

    volatility: Groups
    risk_weight: FloatArray
    vega_risk_weight: float
    historical_volatility_ratio: float
    correlation: Mapping[int, FloatArray | None]
    volatility_correlation: float
    category: Groups
    delta_threshold: FloatArray
    vega_threshold: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimmParameters:
    """A calibration at one margin period of risk.

    Parameters
    ----------
    mpor_days : int
        Margin period of risk, 10 or 1.
    horizon_days : float
        Calendar days over which weights are calibrated: 14 or 1.4.
    has_concentration : bool
        Whether concentration factors apply.
    volatility_scale : float
        Implied volatility for each point of risk weight: sqrt(365 / horizon) / normal quantile.
    curvature_scale : float
        The excess of the curvature quantile: squared normal quantile - 1.
    psi : ndarray of shape (6, 6)
        Correlation of risk classes, 1 on the diagonal.
    bucketed : mapping of RiskClass to BucketParameters
        Credit, equity and commodity.
    caveats : tuple of str
        What is doubtful about the numbers; every answer repeats it.
    """

    info: ParametersInfo
    mpor_days: int
    horizon_days: float
    has_concentration: bool
    volatility_scale: float
    curvature_scale: float
    psi: FloatArray
    rates: RateParameters
    bucketed: Mapping[RiskClass, BucketParameters]
    base_correlation_risk_weight: float
    base_correlation_correlation: float
    fx: FxParameters
    caveats: tuple[str, ...]

    def curvature_factors(self, tenors: tuple[str, ...] = ()) -> FloatArray:
        """Scaling SF(t) = 0.5 min(1, horizon / t) of each tenor, those of rates if none are given: (n_tenors,)."""
        days = np.array([tenor_days(tenor) for tenor in tenors or self.rates.tenors])
        return np.asarray(0.5 * np.minimum(1.0, self.horizon_days / days), dtype=np.float64)


def tenor_days(tenor: str) -> float:
    """Days of `2w`, `3m` or `10y`: weeks of 7, months of 365/12 and years of 365 days."""
    unit = {"w": 7.0, "m": DAYS_A_YEAR / 12.0, "y": DAYS_A_YEAR}[tenor[-1:]]
    return int(tenor[:-1]) * unit


@cache
def _shipped(name: str, mpor_days: int) -> SimmParameters:
    """A set that ships, read once."""
    return _parse(document_of(name, __package__, DEFAULT), mpor_days)


def load_parameters(source: str | Path | Mapping[str, Any] | None = None, *, mpor_days: int = 10) -> SimmParameters:
    """Read a calibration.

    Parameters
    ----------
    source : str, Path, mapping or None
        Name of one that ships (`simm-2.8+2506`), its version alone (`2.8+2506`), a JSON file, or a document. `None` is
        `simm-2.8+2506`.
    mpor_days : int
        Margin period of risk: 10, or 1 for what is settled daily.

    Raises
    ------
    ParameterError
        With everything that is wrong in the document.
    """
    shipped = shipped_sets(__package__)
    name = DEFAULT if source is None else source
    if isinstance(name, str) and f"simm-{name}" in shipped:
        name = f"simm-{name}"
    if isinstance(name, str) and name in shipped:
        return _shipped(name, mpor_days)
    return _parse(document_of(name, __package__, DEFAULT), mpor_days)


def set_in_force(day: str) -> str:
    """Name of the shipped calibration in force on a day.

    Parameters
    ----------
    day : str
        ISO date (2026-03-31).

    Raises
    ------
    ParameterError
        If every calibration that ships is younger.
    """
    dated = sorted((_shipped(name, 10).info.date, name) for name in shipped_sets(__package__))
    older = [name for date, name in dated if date <= day]
    if not older:
        raise ParameterError(
            Problem(
                found=f"no calibration in force on {day}",
                needed=f"The oldest that ships, '{dated[0][1]}', begins on {dated[0][0]}; name a JSON file.",
                kind=ParameterError,
            )
        )
    return older[-1]


_TOP = ("title", "caveats", "general", "risk_class_correlation", *_SECTIONS)
_RATE_FIELDS = (
    "tenors",
    "sub_curves",
    "volatility_group",
    "risk_weight",
    "inflation_risk_weight",
    "basis_risk_weight",
    "vega_risk_weight",
    "historical_volatility_ratio",
    "tenor_correlation",
    "sub_curve_correlation",
    "inflation_correlation",
    "basis_correlation",
    "currency_correlation",
    "concentration_group",
    "delta_threshold_usd_million",
    "vega_threshold_usd_million",
)
_BUCKET_FIELDS = (
    "buckets",
    "risk_weight",
    "vega_risk_weight",
    "correlation_same",
    "correlation_different",
    "bucket_correlation",
    "delta_threshold_usd_million",
    "vega_threshold_usd_million",
)
_MORE_FIELDS: Mapping[RiskClass, tuple[str, ...]] = {
    RiskClass.CREDIT_QUALIFYING: ("tenors", "base_correlation_risk_weight", "base_correlation_correlation"),
    RiskClass.CREDIT_NON_QUALIFYING: ("tenors",),
    RiskClass.EQUITY: ("historical_volatility_ratio", "without_curvature"),
    RiskClass.COMMODITY: ("historical_volatility_ratio",),
}
_FX_FIELDS = (
    "volatility_group",
    "risk_weight",
    "vega_risk_weight",
    "historical_volatility_ratio",
    "correlation",
    "volatility_correlation",
    "concentration_category",
    "delta_threshold_usd_million",
    "vega_threshold_usd_million",
)
_LARGEST_WEIGHT = 1e6
_LARGEST_THRESHOLD = 1e9
_MOST_BUCKETS = 100


class _Reader(ParameterReader):
    """Arrays and groups out of a section, at one margin period."""

    def __init__(self, name: str, mpor_days: int) -> None:
        super().__init__(name)
        self.period = str(mpor_days)

    def numbers(
        self, value: object, where: str, n: int, low: float, high: float, *, what: str = "numbers"
    ) -> FloatArray:
        """A list of `n` numbers; zeros where it is not."""
        if not isinstance(value, list) or len(value) != n:
            self.wrong(where, f"is {shown(value)}", f"A list of {n} {what}.")
            return np.zeros(n)
        return read_only(
            np.array([self.number({str(k): one}, str(k), where, low, high) for k, one in enumerate(value)])
        )

    def at_period(self, section: Mapping[str, Any], key: str, where: str) -> object:
        """What stands under the margin period."""
        return self.section(section, key, tuple(map(str, MARGIN_PERIODS)), f"{where}.").get(self.period)

    def weight(self, section: Mapping[str, Any], key: str, where: str) -> float:
        """One number for each margin period."""
        periods = self.section(section, key, tuple(map(str, MARGIN_PERIODS)), f"{where}.")
        return self.number(periods, self.period, f"{where}.{key}", 0.0, _LARGEST_WEIGHT)

    def correlations(self, value: object, where: str, names: Sequence[str]) -> FloatArray:
        """A symmetric matrix with ones on its diagonal."""
        n = len(names)
        if not isinstance(value, list) or len(value) != n:
            self.wrong(where, f"is {shown(value)}", f"A list of {n} rows.")
            return np.eye(n)
        matrix = np.array([self.numbers(row, f"{where}.{names[k]}", n, -1.0, 1.0) for k, row in enumerate(value)])
        if not (matrix == matrix.T).all() or not (np.diag(matrix) == 1.0).all():
            self.wrong(where, "is no correlation matrix", "Symmetric, with 1 on the diagonal.")
        return read_only(matrix)

    def texts(self, value: object, where: str) -> tuple[str, ...]:
        """A list of distinct names."""
        if (
            not isinstance(value, list)
            or not all(isinstance(one, str) and one for one in value)
            or len(set(value)) != len(value)
            or len(value) > _MOST_BUCKETS
        ):
            self.wrong(where, f"is {shown(value)}", f"A list of at most {_MOST_BUCKETS} distinct names.")
            return ()
        return tuple(value)

    def groups(self, section: Mapping[str, Any], key: str, where: str, names: tuple[str, ...]) -> Groups:
        """Currencies by group, one of which is everything else."""
        stated = self.section(section, key, names, f"{where}.")
        of: dict[str, int] = {}
        other = [k for k, name in enumerate(names) if stated.get(name) == _OTHER]
        for k, name in enumerate(names):
            if k in other:
                continue
            for currency in self.texts(stated.get(name), f"{where}.{key}.{name}"):
                if currency in of:
                    self.wrong(f"{where}.{key}.{name}", f"{currency} stands in two groups", "One group a currency.")
                of[currency] = k
        if len(other) != 1:
            self.wrong(f"{where}.{key}", f"has {len(other)} groups '{_OTHER}'", "One: of currencies not listed.")
        return Groups(names=names, of=of, other=other[0] if other else 0)


def _parse(document: dict[str, Any], mpor_days: int) -> SimmParameters:
    if mpor_days not in MARGIN_PERIODS:
        raise ParameterError(
            Problem(
                found=f"a margin period of risk of {mpor_days} days",
                needed=f"A calibration has {' and '.join(map(str, MARGIN_PERIODS))} days.",
                kind=ParameterError,
            )
        )
    read = _Reader(name_of(document), mpor_days)
    read.header(document, "simm", _TOP)
    caveats = document.get("caveats", [])
    if not isinstance(caveats, list) or not all(isinstance(one, str) for one in caveats):
        read.wrong("caveats", f"is {shown(caveats)}", "A list of texts; it may be empty.")
        caveats = []
    general = read.section(
        document, "general", ("horizon_days", "concentration", "confidence_volatility", "confidence_curvature")
    )
    periods = tuple(map(str, MARGIN_PERIODS))
    horizons = read.section(general, "horizon_days", periods, "general.")
    horizon = read.number(horizons, read.period, "general.horizon_days", 0.1, 3650.0)
    concentration = read.section(general, "concentration", periods, "general.").get(read.period)
    if not isinstance(concentration, bool):
        read.wrong("general.concentration", f"is {shown(concentration)}", "true or false for each margin period.")
    volatility = read.number(general, "confidence_volatility", "general", 0.501, 0.999999)
    curvature = read.number(general, "confidence_curvature", "general", 0.501, 0.999999)

    classes = read.section(document, "risk_class_correlation", ("classes", "matrix"))
    if classes.get("classes") != list(_SECTIONS):
        read.wrong(
            "risk_class_correlation.classes", f"is {shown(classes.get('classes'))}", f"The list {', '.join(_SECTIONS)}."
        )
    psi = read.correlations(classes.get("matrix"), "risk_class_correlation.matrix", _SECTIONS)
    rates = _rates(read, document)
    bucketed: dict[RiskClass, BucketParameters] = {
        one: _buckets(read, document, one) for one in RiskClass if one not in (RiskClass.INTEREST_RATE, RiskClass.FX)
    }
    credit = document.get("credit_qualifying")
    credit = credit if isinstance(credit, Mapping) else {}
    base_weight = read.weight(credit, "base_correlation_risk_weight", "credit_qualifying")
    base_correlation = read.number(credit, "base_correlation_correlation", "credit_qualifying", -1.0, 1.0)
    fx = _fx(read, document)
    raise_problems(read.problems)
    return SimmParameters(
        info=info_of(document),
        mpor_days=mpor_days,
        horizon_days=horizon,
        has_concentration=bool(concentration),
        volatility_scale=math.sqrt(DAYS_A_YEAR / horizon) / NormalDist().inv_cdf(volatility),
        curvature_scale=NormalDist().inv_cdf(curvature) ** 2 - 1.0,
        psi=psi,
        rates=rates,
        bucketed=bucketed,
        base_correlation_risk_weight=base_weight,
        base_correlation_correlation=base_correlation,
        fx=fx,
        caveats=tuple(caveats),
    )


def _tenors(read: _Reader, value: object, where: str) -> tuple[str, ...]:
    tenors = read.texts(value, where)
    wrong = [one for one in tenors if one[-1:] not in ("w", "m", "y") or not one[:-1].isdecimal()]
    if wrong:
        read.wrong(where, f"has {', '.join(map(shown, wrong))}", "Tenors are written 2w, 3m, 10y.")
        return ()
    return tenors


def _rates(read: _Reader, document: Mapping[str, Any]) -> RateParameters:
    where = "interest_rate"
    stated = read.section(document, where, _RATE_FIELDS)
    tenors = _tenors(read, stated.get("tenors"), f"{where}.tenors")
    volatility = read.groups(stated, "volatility_group", where, ("regular", "low", "high"))
    by_group = read.at_period(stated, "risk_weight", where)
    weights = read.section({"risk_weight": by_group}, "risk_weight", volatility.names, f"{where}.")
    groups = tuple(str(k) for k in range(1, 5))
    thresholds = {
        key: read.section(stated, f"{key}_threshold_usd_million", groups, f"{where}.") for key in ("delta", "vega")
    }
    return RateParameters(
        tenors=tenors,
        sub_curves=read.texts(stated.get("sub_curves"), f"{where}.sub_curves"),
        volatility=volatility,
        risk_weight=read_only(
            np.array(
                [
                    read.numbers(weights.get(one), f"{where}.risk_weight.{one}", len(tenors), 0.0, _LARGEST_WEIGHT)
                    for one in volatility.names
                ]
            )
        ),
        inflation_risk_weight=read.weight(stated, "inflation_risk_weight", where),
        basis_risk_weight=read.weight(stated, "basis_risk_weight", where),
        vega_risk_weight=read.weight(stated, "vega_risk_weight", where),
        historical_volatility_ratio=_ratio(read, stated, where),
        tenor_correlation=read.correlations(stated.get("tenor_correlation"), f"{where}.tenor_correlation", tenors),
        sub_curve_correlation=read.number(stated, "sub_curve_correlation", where, 0.0, 1.0),
        inflation_correlation=read.number(stated, "inflation_correlation", where, -1.0, 1.0),
        basis_correlation=read.number(stated, "basis_correlation", where, -1.0, 1.0),
        currency_correlation=read.number(stated, "currency_correlation", where, 0.0, 1.0),
        concentration=read.groups(stated, "concentration_group", where, groups),
        delta_threshold=_thresholds(read, thresholds["delta"], f"{where}.delta_threshold_usd_million", groups),
        vega_threshold=_thresholds(read, thresholds["vega"], f"{where}.vega_threshold_usd_million", groups),
    )


def _ratio(read: _Reader, stated: Mapping[str, Any], where: str) -> float:
    """A historical volatility ratio: the curvature of rates is divided by its square."""
    periods = read.section(stated, "historical_volatility_ratio", tuple(map(str, MARGIN_PERIODS)), f"{where}.")
    return read.number(periods, read.period, f"{where}.historical_volatility_ratio", 0.01, 100.0)


def _thresholds(read: _Reader, stated: Mapping[str, Any], where: str, groups: tuple[str, ...]) -> FloatArray:
    return read_only(_MILLION * np.array([read.number(stated, one, where, 1e-9, _LARGEST_THRESHOLD) for one in groups]))


def _buckets(read: _Reader, document: Mapping[str, Any], risk_class: RiskClass) -> BucketParameters:
    where, more = _SECTIONS[risk_class], _MORE_FIELDS[risk_class]
    stated = read.section(document, where, (*_BUCKET_FIELDS, *more))
    buckets = read.texts(stated.get("buckets"), f"{where}.buckets")
    n, residual = len(buckets), buckets.index(RESIDUAL) if RESIDUAL in buckets else -1

    def numbers(key: str, low: float, high: float) -> FloatArray:
        return read.numbers(stated.get(key), f"{where}.{key}", n, low, high)

    def weights(key: str) -> FloatArray:
        return read.numbers(read.at_period(stated, key, where), f"{where}.{key}", n, 0.0, _LARGEST_WEIGHT)

    across = np.array(
        read.correlations(stated.get("bucket_correlation"), f"{where}.bucket_correlation", buckets)
    ) - np.eye(n)
    if residual >= 0 and across[residual].any():
        read.wrong(f"{where}.bucket_correlation", "correlates the residual bucket", "It is added outside the root.")
    flat = read.texts(stated.get("without_curvature", []), f"{where}.without_curvature")
    for unknown in sorted(set(flat) - set(buckets)):
        read.wrong(f"{where}.without_curvature", f"names bucket {shown(unknown)}", "A bucket of the class.")
    return BucketParameters(
        buckets=buckets,
        tenors=_tenors(read, stated.get("tenors"), f"{where}.tenors") if "tenors" in more else (),
        risk_weight=weights("risk_weight"),
        vega_risk_weight=weights("vega_risk_weight"),
        historical_volatility_ratio=_ratio(read, stated, where) if "historical_volatility_ratio" in more else 1.0,
        correlation_same=numbers("correlation_same", 0.0, 1.0),
        correlation_different=numbers("correlation_different", 0.0, 1.0),
        bucket_correlation=read_only(across),
        delta_threshold=_MILLION * numbers("delta_threshold_usd_million", 1e-9, _LARGEST_THRESHOLD),
        vega_threshold=_MILLION * numbers("vega_threshold_usd_million", 1e-9, _LARGEST_THRESHOLD),
        has_curvature=read_only(np.array([0.0 if one in flat else 1.0 for one in buckets])),
        scaled_volatility=risk_class in (RiskClass.EQUITY, RiskClass.COMMODITY),
        residual=residual,
    )


def _fx(read: _Reader, document: Mapping[str, Any]) -> FxParameters:
    where = "fx"
    stated = read.section(document, where, _FX_FIELDS)
    groups, categories = ("high", "regular"), ("1", "2", "3")

    def by_pair(parent: object, key: str, place: str, low: float, high: float) -> FloatArray:
        outer = read.section({key: parent}, key, groups, f"{place}.")
        return read_only(
            np.array(
                [
                    [
                        read.number(
                            read.section(outer, a, groups, f"{place}.{key}."), b, f"{place}.{key}.{a}", low, high
                        )
                        for b in groups
                    ]
                    for a in groups
                ]
            )
        )

    correlations = read.section(stated, "correlation", groups, f"{where}.")
    vega = stated.get("vega_threshold_usd_million")
    rows = vega if isinstance(vega, list) and len(vega) == len(categories) else [None] * len(categories)
    return FxParameters(
        volatility=read.groups(stated, "volatility_group", where, groups),
        risk_weight=by_pair(read.at_period(stated, "risk_weight", where), "risk_weight", where, 0.0, _LARGEST_WEIGHT),
        vega_risk_weight=read.weight(stated, "vega_risk_weight", where),
        historical_volatility_ratio=_ratio(read, stated, where),
        correlation={
            k: None
            if correlations.get(one) is None
            else by_pair(correlations[one], one, f"{where}.correlation", -1.0, 1.0)
            for k, one in enumerate(groups)
        },
        volatility_correlation=read.number(stated, "volatility_correlation", where, 0.0, 1.0),
        category=read.groups(stated, "concentration_category", where, categories),
        delta_threshold=_thresholds(
            read,
            read.section(stated, "delta_threshold_usd_million", categories, f"{where}."),
            f"{where}.delta_threshold_usd_million",
            categories,
        ),
        vega_threshold=read_only(
            _MILLION
            * np.array(
                [
                    read.numbers(row, f"{where}.vega_threshold_usd_million", len(categories), 1e-9, _LARGEST_THRESHOLD)
                    for row in rows
                ]
            )
        ),
    )
