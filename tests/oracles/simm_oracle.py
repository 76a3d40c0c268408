"""The sensitivity method once more, slowly: one portfolio, one side, loops over pairs, parameters as published.

Nothing of the engine is used, its reader of calibrations neither: `Calibration` reads the reference documents. Order of
the text: what a row is, weights, the three margin types, risk classes, product classes, add-ons.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

RISK_CLASSES = ("InterestRate", "CreditQualifying", "CreditNonQualifying", "Equity", "Commodity", "FX")
PRODUCT_CLASSES = ("RatesFX", "Rates", "FX", "Credit", "Equity", "Commodity")
RESIDUAL = "Residual"
_DELTA_OF = {
    "CreditQualifying": "Risk_CreditQ",
    "CreditNonQualifying": "Risk_CreditNonQ",
    "Equity": "Risk_Equity",
    "Commodity": "Risk_Commodity",
}
_VEGA_OF = {
    "CreditQualifying": "Risk_CreditVol",
    "CreditNonQualifying": "Risk_CreditVolNonQ",
    "Equity": "Risk_EquityVol",
    "Commodity": "Risk_CommodityVol",
}
_SCALED = ("Equity", "Commodity", "FX")
"""Classes whose volatility rows are not weighted with volatility yet."""


@dataclass(frozen=True)
class Row:
    """A sensitivity, in US dollars."""

    product_class: str
    risk_type: str
    qualifier: str
    bucket: str
    label1: str
    label2: str
    amount: float


@dataclass(frozen=True)
class Factor:
    """A weighted sensitivity `x` in its bucket, and the concentration behind it."""

    bucket: str
    x: float
    cr: float
    name: str
    tenor: str = ""
    curve: str = ""


class Calibration:
    """A reference document at a margin period."""

    def __init__(self, path: Path, days: int) -> None:
        self.days = days
        self.of: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    def weight(self, risk_class: str, name: str) -> Any:
        """A number, or numbers by bucket, of the margin period."""
        return self.of[risk_class][f"{name}_by_mpor"][str(self.days)]

    def group(self, risk_class: str, table: str, currency: str) -> str:
        """In which list of a table a currency stands; `Other` holds all that stand in none."""
        lists: dict[str, list[str]] = self.of[risk_class][table]
        other = next(number for number, names in lists.items() if "Other" in names)
        return next((number for number, names in lists.items() if currency in names), other)

    def cr(self, net: float, threshold_millions: float) -> float:
        """Concentration factor; there is none at a margin period of a day."""
        return max(1.0, sqrt(abs(net) / (threshold_millions * 1e6))) if self.days == 10 else 1.0

    def sigma(self, risk_weight: float) -> float:
        """Volatility that a risk weight implies."""
        return risk_weight * sqrt(365 / (14 if self.days == 10 else 1.4)) / NormalDist().inv_cdf(0.99)

    def scaling(self, tenor: str) -> float:
        """SF(t)."""
        number, unit = int(tenor[:-1]), tenor[-1]
        t = 14.0 if unit == "w" else number * 365 / 12 if unit == "m" else number * 365
        return 0.5 * min(1.0, 14 / t) if self.days == 10 else 0.5 * 1.4 / t


def simm(
    rows: Sequence[Row], calibration: Calibration, *, post: bool = False, currency: str = "USD", spot: float = 1.0
) -> dict[tuple[str, ...], float]:
    """Every figure by its level: (), (product class,), (.., risk class), (.., margin type); in `currency`."""
    found: dict[tuple[str, ...], float] = {}
    total = 0.0
    for product_class in PRODUCT_CLASSES:
        own = _summed([row for row in rows if row.product_class == product_class])
        margin = {}
        for risk_class in RISK_CLASSES:
            types = _margin_types(own, risk_class, calibration, post, currency)
            margin[risk_class] = sum(types.values())
            found |= {(product_class, risk_class, name): value / spot for name, value in types.items()}
            found[product_class, risk_class] = margin[risk_class] / spot
        square = 0.0
        for r, s in product(RISK_CLASSES, repeat=2):
            psi = 1.0 if r == s else calibration.of["psi_risk_class"][r][s]
            square += psi * margin[r] * margin[s]
        found[(product_class,)] = sqrt(square) / spot
        multiplier = [
            row.amount
            for row in rows
            if row.risk_type == "Param_ProductClassMultiplier" and row.qualifier == product_class
        ]
        total += sqrt(square) * (multiplier[0] if multiplier else 1.0)
    total += sum(row.amount for row in rows if row.risk_type == "Param_AddOnFixedAmount")
    for factor in (row for row in rows if row.risk_type == "Param_AddOnNotionalFactor"):
        notional = sum(row.amount for row in rows if (row.risk_type, row.qualifier) == ("Notional", factor.qualifier))
        total += factor.amount / 100 * notional
    return found | {(): total / spot}


def _summed(rows: Sequence[Row]) -> list[Row]:
    """Equal keys added up. Only labels that the type uses are in the keys here."""
    amounts: dict[tuple[str, ...], float] = defaultdict(float)
    for r in rows:
        amounts[r.product_class, r.risk_type, r.qualifier, r.bucket, r.label1, r.label2] += r.amount
    return [Row(*key, amount) for key, amount in amounts.items()]


def _margin_types(rows: Sequence[Row], risk_class: str, c: Calibration, post: bool, currency: str) -> dict[str, float]:
    sign = -1.0 if post else 1.0
    if risk_class == "InterestRate":
        return {
            "Delta": _rates_delta(rows, c),
            "Vega": _rates_vega(rows, c),
            "Curvature": _rates_curvature(rows, c, sign),
        }
    if risk_class == "FX":
        return {
            "Delta": _fx_delta(rows, c, currency),
            "Vega": _fx_vega(rows, c),
            "Curvature": _fx_curvature(rows, c, sign),
        }
    found = {
        "Delta": _listed_delta(rows, risk_class, c),
        "Vega": _listed_vega(rows, risk_class, c),
        "Curvature": _listed_curvature(rows, risk_class, c, sign),
    }
    if risk_class == "CreditQualifying":
        found["BaseCorr"] = _base_correlation(rows, c)
    return found


# Sums over pairs

Correlation = Callable[[Factor, Factor], float]
Gamma = Callable[[str, str], float]


def _k_and_s(factors: Sequence[Factor], rho: Correlation) -> tuple[float, float]:
    square = 0.0
    for k, m in product(factors, repeat=2):
        f = min(k.cr, m.cr) / max(k.cr, m.cr)
        square += (1.0 if k is m else rho(k, m)) * f * k.x * m.x
    margin = sqrt(max(square, 0.0))
    return margin, max(-margin, min(margin, sum(factor.x for factor in factors)))


def _root(factors: Sequence[Factor], rho: Correlation, gamma: Gamma, *, of_bucket: bool = False) -> float:
    """Over buckets; `of_bucket`: whether the concentration of a bucket counts between them (rates)."""
    buckets = sorted({factor.bucket for factor in factors})
    held = {b: [factor for factor in factors if factor.bucket == b] for b in buckets}
    found = {b: _k_and_s(held[b], rho) for b in buckets}
    square = sum(margin**2 for margin, _ in found.values())
    for b, d in product(buckets, repeat=2):
        if b != d:
            g = 1.0
            if of_bucket:
                one, other = (max(factor.cr for factor in held[name]) for name in (b, d))
                g = min(one, other) / max(one, other)
            square += gamma(b, d) * g * found[b][1] * found[d][1]
    return sqrt(max(square, 0.0))


def _with_residual(factors: Sequence[Factor], rho: Correlation, gamma: Gamma) -> float:
    inside = [factor for factor in factors if factor.bucket != RESIDUAL]
    return _root(inside, rho, gamma) + _root([f for f in factors if f.bucket == RESIDUAL], rho, gamma)


def _curvature(factors: Sequence[Factor], absolute: float, rho: Correlation, gamma: Gamma) -> float:
    """Of factors that are curvature risks; `absolute` is the sum of magnitudes as the class counts them."""
    if not absolute:
        return 0.0
    total = sum(factor.x for factor in factors)
    theta = min(total / absolute, 0.0)
    multiple = (NormalDist().inv_cdf(0.995) ** 2 - 1) * (1 + theta) - theta
    root = _root(factors, lambda k, m: rho(k, m) ** 2, lambda b, d: gamma(b, d) ** 2)
    return max(total + multiple * root, 0.0)


# Rates


def _rates_rho(c: Calibration) -> Correlation:
    p = c.of["InterestRate"]

    def rho(k: Factor, m: Factor) -> float:
        if "basis" in (k.name, m.name):
            return float(p["xccy_corr"])
        if "inflation" in (k.name, m.name):
            return 1.0 if k.name == m.name else float(p["inflation_corr"])
        tenor = 1.0 if k.tenor == m.tenor else p["tenor_corr"][k.tenor][m.tenor]
        return float(tenor * (1.0 if k.curve == m.curve else p["subcurve_corr"]))

    return rho


def _rates_gamma(c: Calibration) -> Gamma:
    return lambda b, d: float(c.of["InterestRate"]["gamma"])


def _rates_threshold(c: Calibration, table: str, currency: str) -> float:
    group = c.group("InterestRate", "concentration_currency_bucket", currency)
    return float(c.of["InterestRate"][table][group])


def _rates_delta(rows: Sequence[Row], c: Calibration) -> float:
    factors = []
    for currency in sorted({r.qualifier for r in rows if r.risk_type in _RATES}):
        own = [r for r in rows if r.qualifier == currency]
        counted = sum(r.amount for r in own if r.risk_type in ("Risk_IRCurve", "Risk_Inflation"))
        cr = c.cr(counted, _rates_threshold(c, "delta_threshold_musd_per_bp", currency))
        weights = c.weight("InterestRate", "delta_rw")[c.group("InterestRate", "rw_currency_bucket", currency)]
        for r in own:
            if r.risk_type == "Risk_IRCurve":
                x = weights[r.label1] * r.amount * cr
                factors.append(Factor(currency, x, cr, "curve", r.label1, r.label2))
            elif r.risk_type == "Risk_Inflation":
                x = c.weight("InterestRate", "inflation_rw") * r.amount * cr
                factors.append(Factor(currency, x, cr, "inflation"))
            elif r.risk_type == "Risk_XCcyBasis":
                x = c.weight("InterestRate", "xccy_basis_rw") * r.amount
                factors.append(Factor(currency, x, cr, "basis"))
    return _root(factors, _rates_rho(c), _rates_gamma(c), of_bucket=True)


_RATES = ("Risk_IRCurve", "Risk_Inflation", "Risk_XCcyBasis")
_RATES_VOL = ("Risk_IRVol", "Risk_InflationVol")


def _rates_vega(rows: Sequence[Row], c: Calibration) -> float:
    factors = []
    for currency in sorted({r.qualifier for r in rows if r.risk_type in _RATES_VOL}):
        own = [r for r in rows if r.qualifier == currency and r.risk_type in _RATES_VOL]
        cr = c.cr(sum(r.amount for r in own), _rates_threshold(c, "vega_threshold_musd", currency))
        for r in own:
            x = c.weight("InterestRate", "vega_rw") * r.amount * cr
            name = "curve" if r.risk_type == "Risk_IRVol" else "inflation"
            factors.append(Factor(currency, x, cr, name, r.label1))
    return _root(factors, _rates_rho(c), _rates_gamma(c), of_bucket=True)


def _rates_curvature(rows: Sequence[Row], c: Calibration, sign: float) -> float:
    factors, absolute = [], 0.0
    inflation: dict[str, float] = defaultdict(float)
    for r in rows:
        cvr = sign * c.scaling(r.label1) * r.amount if r.risk_type in _RATES_VOL else 0.0
        if r.risk_type == "Risk_IRVol":
            factors.append(Factor(r.qualifier, cvr, 1.0, "curve", r.label1))
            absolute += abs(cvr)
        elif r.risk_type == "Risk_InflationVol":
            inflation[r.qualifier] += cvr
    # The inflation volatility of a currency is one factor, and counts net over tenors, as the reference has it (ir_07).
    absolute += sum(abs(cvr) for cvr in inflation.values())
    factors += [Factor(currency, cvr, 1.0, "inflation") for currency, cvr in inflation.items()]
    return _curvature(factors, absolute, _rates_rho(c), _rates_gamma(c)) / c.weight("InterestRate", "hvr") ** 2


# Credit, equity and commodity: buckets are listed


def _listed_rho(risk_class: str, c: Calibration) -> Correlation:
    intra = c.of[risk_class]["intra_corr"]

    def rho(k: Factor, m: Factor) -> float:
        if risk_class == "CreditQualifying":
            same = k.name == m.name
        elif risk_class == "CreditNonQualifying":
            same = k.curve == m.curve
        else:
            return 1.0 if k.name == m.name else float(intra[k.bucket])
        kind = "residual" if k.bucket == RESIDUAL else "aggregate"
        return float(intra[kind]["same" if same else "different"])

    return rho


def _listed_gamma(risk_class: str, c: Calibration) -> Gamma:
    return lambda b, d: float(c.of[risk_class]["gamma"][b][d])


def _concentrations(
    rows: Sequence[Row], amount: Callable[[Row], float], threshold: Callable[[Row], float], c: Calibration
) -> dict[tuple[str, str], float]:
    net: dict[tuple[str, str], float] = defaultdict(float)
    limit: dict[tuple[str, str], float] = {}
    for r in rows:
        net[r.bucket, r.qualifier] += amount(r)
        limit[r.bucket, r.qualifier] = threshold(r)
    return {key: c.cr(value, limit[key]) for key, value in net.items()}


def _listed_delta(rows: Sequence[Row], risk_class: str, c: Calibration) -> float:
    own = [r for r in rows if r.risk_type == _DELTA_OF[risk_class]]
    thresholds = c.of[risk_class]["delta_threshold_musd_per_unit"]
    cr = _concentrations(own, lambda r: r.amount, lambda r: thresholds[r.bucket], c)
    factors = []
    for r in own:
        own_cr = cr[r.bucket, r.qualifier]
        x = c.weight(risk_class, "delta_rw")[r.bucket] * r.amount * own_cr
        factors.append(Factor(r.bucket, x, own_cr, r.qualifier, r.label1, r.label2))
    return _with_residual(factors, _listed_rho(risk_class, c), _listed_gamma(risk_class, c))


def _listed_vega(rows: Sequence[Row], risk_class: str, c: Calibration) -> float:
    own = [r for r in rows if r.risk_type == _VEGA_OF[risk_class]]
    thresholds, weights = c.of[risk_class]["vega_threshold_musd"], c.weight(risk_class, "vega_rw")

    def of_bucket(numbers: Any, bucket: str) -> float:
        return float(numbers[bucket] if isinstance(numbers, dict) else numbers)

    def vega_risk(r: Row) -> float:
        if risk_class not in _SCALED:
            return r.amount
        return float(c.weight(risk_class, "hvr") * c.sigma(c.weight(risk_class, "delta_rw")[r.bucket]) * r.amount)

    cr = _concentrations(own, vega_risk, lambda r: of_bucket(thresholds, r.bucket), c)
    factors = []
    for r in own:
        own_cr = cr[r.bucket, r.qualifier]
        x = of_bucket(weights, r.bucket) * vega_risk(r) * own_cr
        factors.append(Factor(r.bucket, x, own_cr, r.qualifier, r.label1, r.label2))
    return _with_residual(factors, _listed_rho(risk_class, c), _listed_gamma(risk_class, c))


def _listed_curvature(rows: Sequence[Row], risk_class: str, c: Calibration, sign: float) -> float:
    factors = []
    for r in rows:
        if r.risk_type == _VEGA_OF[risk_class]:
            sigma = c.sigma(c.weight(risk_class, "delta_rw")[r.bucket]) if risk_class in _SCALED else 1.0
            cvr = sign * c.scaling(r.label1) * sigma * r.amount
            if (risk_class, r.bucket) == ("Equity", "12"):
                cvr = 0.0
            factors.append(Factor(r.bucket, cvr, 1.0, r.qualifier, r.label1, r.label2))
    rho, gamma = _listed_rho(risk_class, c), _listed_gamma(risk_class, c)
    inside, outside = ([f for f in factors if (f.bucket == RESIDUAL) is apart] for apart in (False, True))
    return sum(_curvature(part, _magnitude(part, risk_class), rho, gamma) for part in (inside, outside))


def _magnitude(factors: Sequence[Factor], risk_class: str) -> float:
    """Sum of |CVR|, of rows; where rows are weighted with volatility here, of names, net over their tenors."""
    net: dict[tuple[str, ...], float] = defaultdict(float)
    for k, f in enumerate(factors):
        net[(f.bucket, f.name) if risk_class in _SCALED else (str(k),)] += f.x
    return sum(abs(value) for value in net.values())


def _base_correlation(rows: Sequence[Row], c: Calibration) -> float:
    weight = c.weight("CreditQualifying", "base_corr_rw")
    factors = [Factor("1", weight * r.amount, 1.0, r.qualifier) for r in rows if r.risk_type == "Risk_BaseCorr"]
    return _root(factors, lambda k, m: float(c.of["CreditQualifying"]["base_corr_corr"]), lambda b, d: 0.0)


# Currencies


def _fx_weight(c: Calibration, one: str, other: str) -> float:
    groups = (c.group("FX", "volatility_group", name) for name in (one, other))
    return float(c.weight("FX", "delta_rw")[next(groups)][next(groups)])


def _fx_delta(rows: Sequence[Row], c: Calibration, currency: str) -> float:
    factors = []
    for r in rows:
        if r.risk_type == "Risk_FX" and r.qualifier != currency:
            category = c.group("FX", "concentration_category", r.qualifier)
            cr = c.cr(r.amount, c.of["FX"]["delta_threshold_musd_per_pct"][category])
            factors.append(Factor("1", _fx_weight(c, r.qualifier, currency) * r.amount * cr, cr, r.qualifier))
    own = c.group("FX", "volatility_group", currency)

    def rho(k: Factor, m: Factor) -> float:
        one, other = (c.group("FX", "volatility_group", f.name) for f in (k, m))
        return float(c.of["FX"]["corr_by_calc_ccy_group"][own][one][other])

    return _root(factors, rho, lambda b, d: 0.0)


def _fx_volatility_rho(c: Calibration) -> Correlation:
    return lambda k, m: 1.0 if k.name == m.name else float(c.of["FX"]["vol_corr"])


def _fx_vega(rows: Sequence[Row], c: Calibration) -> float:
    own = [r for r in rows if r.risk_type == "Risk_FXVol"]

    def vega_risk(r: Row) -> float:
        return float(c.weight("FX", "hvr") * c.sigma(_fx_weight(c, r.qualifier[:3], r.qualifier[3:])) * r.amount)

    def threshold(r: Row) -> float:
        pair = tuple(
            sorted(int(c.group("FX", "concentration_category", n)) for n in (r.qualifier[:3], r.qualifier[3:]))
        )
        number = {(1, 1): 1, (1, 2): 2, (1, 3): 3, (2, 2): 4, (2, 3): 5, (3, 3): 6}[pair]
        return float(c.of["FX"]["vega_threshold_musd"][str(number)])

    cr = _concentrations(own, vega_risk, threshold, c)
    factors = []
    for r in own:
        own_cr = cr[r.bucket, r.qualifier]
        factors.append(Factor("1", c.weight("FX", "vega_rw") * vega_risk(r) * own_cr, own_cr, r.qualifier, r.label1))
    return _root(factors, _fx_volatility_rho(c), lambda b, d: 0.0)


def _fx_curvature(rows: Sequence[Row], c: Calibration, sign: float) -> float:
    factors = []
    for r in rows:
        if r.risk_type == "Risk_FXVol":
            sigma = c.sigma(_fx_weight(c, r.qualifier[:3], r.qualifier[3:]))
            factors.append(Factor("1", sign * c.scaling(r.label1) * sigma * r.amount, 1.0, r.qualifier, r.label1))
    return _curvature(factors, _magnitude(factors, "FX"), _fx_volatility_rho(c), lambda b, d: 0.0)
