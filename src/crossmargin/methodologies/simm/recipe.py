"""The sensitivity method, top to bottom, for any number of portfolios at once.

    total          = sum over product classes + add-ons
    product class  = sqrt( sum over risk classes r, s of psi_rs IM_r IM_s )
    risk class     = delta + vega + curvature (+ base correlation, of qualifying credit)

Nothing offsets between product classes. The two sides differ in the sign of the curvature risks alone. Everything is
calculated in US dollars, in which thresholds are stated, and converted at the end: each step is of one order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import product

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import InputError, Problem
from crossmargin.methodologies.simm import bucketed, fx, rates
from crossmargin.methodologies.simm.add_ons import AddOns, add_ons, stated_twice
from crossmargin.methodologies.simm.aggregation import quadratic
from crossmargin.methodologies.simm.margins import (
    BASE_CORRELATION,
    CURVATURE,
    DELTA,
    MARGIN_TYPES,
    VEGA,
    Margin,
    nothing,
)
from crossmargin.methodologies.simm.parameters import RiskClass, SimmParameters
from crossmargin.methodologies.simm.report import SimmReport, report
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES, RiskType, Rows, coded
from crossmargin.portfolio.sensitivities import Sensitivities

_TYPES = {
    RiskClass.CREDIT_QUALIFYING: (RiskType.CREDIT_Q, RiskType.CREDIT_VOL),
    RiskClass.CREDIT_NON_QUALIFYING: (RiskType.CREDIT_NON_Q, RiskType.CREDIT_VOL_NON_Q),
    RiskClass.EQUITY: (RiskType.EQUITY, RiskType.EQUITY_VOL),
    RiskClass.COMMODITY: (RiskType.COMMODITY, RiskType.COMMODITY_VOL),
}
"""Delta and volatility rows of the classes whose buckets are listed."""
_CURVES = (RiskType.IR_CURVE, RiskType.INFLATION, RiskType.BASIS)
_RATE_VOLATILITIES = (RiskType.IR_VOL, RiskType.INFLATION_VOL)


class Side(StrEnum):
    """Whose margin: what this party collects, or what it posts."""

    CALL = "call"
    POST = "post"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimmBreakdown:
    """Every figure of one side, all portfolios; amounts in `currency`.

    Parameters
    ----------
    portfolios : tuple of str
        Netting sets.
    total : ndarray of shape (n_portfolios,)
        With add-ons.
    currency : str
        Calculation currency.
    side : Side
        Whose margin.
    product_class : ndarray of shape (n_portfolios, n_product_classes)
        Without add-ons.
    risk_class : ndarray of shape (n_portfolios, n_product_classes, n_risk_classes)
        Sum of their margin types.
    margins : mapping of (RiskClass, str) to Margin
        US dollars, by scope (portfolio times product classes, plus product class).
    add_ons : AddOns
        What is added.
    parameters : SimmParameters
        The calibration.
    usd_per_unit : float
        Of `currency`.
    rows : Rows
        What was margined, in its canonical order.
    n_rows : int
        Rows of the sensitivities, those that were left out included.
    rejected : tuple of Problem
        Rows that were left out.
    notices : tuple of str
        What the numbers rest on.
    """

    portfolios: tuple[str, ...]
    total: FloatArray
    currency: str
    side: Side
    product_class: FloatArray
    risk_class: FloatArray
    margins: Mapping[tuple[RiskClass, str], Margin]
    add_ons: AddOns
    parameters: SimmParameters
    usd_per_unit: float
    rows: Rows
    n_rows: int
    rejected: tuple[Problem, ...]
    notices: tuple[str, ...]

    def margin(self, risk_class: RiskClass, margin_type: str) -> FloatArray:
        """One margin type of one risk class, `(n_portfolios, n_product_classes)`, in the calculation currency."""
        value = self.margins[risk_class, margin_type].value
        return np.asarray(value.reshape(len(self.portfolios), len(PRODUCT_CLASSES)) / self.usd_per_unit)

    def bucket_names(self, risk_class: RiskClass, margin: Margin) -> tuple[str, ...]:
        """What the buckets of a margin are called, by index; empty where there is one alone."""
        if risk_class is RiskClass.INTEREST_RATE:
            return margin.rows.names
        return () if risk_class is RiskClass.FX else self.parameters.bucketed[risk_class].buckets

    def report(self) -> SimmReport:
        """Long form, as the field prints it: `All` where a column is summed over."""
        return report(self)


def simm(
    sensitivities: Sensitivities,
    parameters: SimmParameters,
    *,
    side: Side,
    calculation_currency: str = "USD",
    usd_per_unit: float = 1.0,
    skip_rejected: bool = False,
) -> SimmBreakdown:
    """Initial margin of every portfolio.

    Parameters
    ----------
    sensitivities : Sensitivities
        Rows of any number of portfolios; those of the schedule are left to it.
    parameters : SimmParameters
        A calibration at one margin period of risk.
    side : Side
        `CALL` is what this party collects.
    calculation_currency : str
        In which the margin is; its own foreign exchange rows are no risk.
    usd_per_unit : float
        US dollars for one unit of it.
    skip_rejected : bool
        Margin without the rows that the calibration does not know, and say so.

    Raises
    ------
    InputError
        With every row that is rejected, unless they are skipped.
    UnsupportedError
        If the calibration has no correlations of currencies for the calculation currency.

    References
    ----------
    isda-simm: the method and its parameters (see docs/sources.md)
    """
    found = simm_sides(
        sensitivities,
        parameters,
        sides=(side,),
        calculation_currency=calculation_currency,
        usd_per_unit=usd_per_unit,
        skip_rejected=skip_rejected,
    )
    return found[side]


def simm_sides(
    sensitivities: Sensitivities,
    parameters: SimmParameters,
    *,
    sides: Sequence[Side] = tuple(Side),
    calculation_currency: str = "USD",
    usd_per_unit: float = 1.0,
    skip_rejected: bool = False,
    known: Mapping[Side, SimmBreakdown] | None = None,
) -> dict[Side, SimmBreakdown]:
    """What `simm` gives on several sides; what does not depend on the side is calculated once.

    Parameters
    ----------
    sides : sequence of Side
        Which.
    known : mapping of Side to SimmBreakdown, optional
        An answer of before a change, with the same portfolios, parameters and currency: margins whose rows are the same
        are taken from it. No figure depends on it.
    """
    given = _Given.of(sensitivities, parameters, calculation_currency, usd_per_unit, skip_rejected)
    known = known or {}
    linear = _linear(given, next(iter(known.values()), None))
    return {side: _one_side(given, linear, side, known.get(side)) for side in sides}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Given:
    """What is asked, rows in their canonical order."""

    rows: Rows
    n_rows: int
    portfolios: tuple[str, ...]
    parameters: SimmParameters
    currency: str
    usd_per_unit: float
    rejected: tuple[Problem, ...]

    @classmethod
    def of(
        cls,
        sensitivities: Sensitivities,
        parameters: SimmParameters,
        currency: str,
        usd_per_unit: float,
        skip_rejected: bool,
    ) -> _Given:
        if not (math.isfinite(usd_per_unit) and usd_per_unit > 0):
            raise InputError(Problem(found=f"{usd_per_unit} US dollars for one {currency}", needed="A rate above 0."))
        rows, rejected = coded(sensitivities, parameters)
        if rejected and not skip_rejected:
            raise InputError(rejected)
        return cls(
            rows=rows,
            n_rows=sensitivities.n_rows,
            portfolios=sensitivities.portfolio.names,
            parameters=parameters,
            currency=currency,
            usd_per_unit=usd_per_unit,
            rejected=rejected,
        )

    @property
    def n_scopes(self) -> int:
        """Portfolios times product classes."""
        return len(self.portfolios) * len(PRODUCT_CLASSES)


_Key = tuple[RiskClass, str]
_Margins = dict[_Key, Margin]


def _one_side(given: _Given, linear: _Margins, side: Side, known: SimmBreakdown | None) -> SimmBreakdown:
    """The levels above margin types."""
    found = linear | _curvatures(given, 1.0 if side is Side.CALL else -1.0, known)
    margins = {key: found[key] for key in product(RiskClass, MARGIN_TYPES) if key in found}
    shape = (len(given.portfolios), len(PRODUCT_CLASSES))
    by_class = np.zeros((len(RiskClass), given.n_scopes))
    for (risk_class, _), margin in margins.items():
        by_class[risk_class] += margin.value
    of_product = psi_root(by_class, given.parameters.psi).reshape(shape)
    added = add_ons(given.rows, of_product)
    total = np.cumsum(of_product, axis=1)[:, -1] + added.total
    return SimmBreakdown(
        portfolios=given.portfolios,
        total=read_only(total / given.usd_per_unit),
        currency=given.currency,
        side=side,
        product_class=read_only(of_product / given.usd_per_unit),
        risk_class=read_only(by_class.T.reshape(*shape, len(RiskClass)) / given.usd_per_unit),
        margins=margins,
        add_ons=added,
        parameters=given.parameters,
        usd_per_unit=given.usd_per_unit,
        rows=given.rows,
        n_rows=given.n_rows,
        rejected=given.rejected,
        notices=(
            *given.parameters.caveats,
            *(stated_twice(given.portfolios[portfolio], what) for portfolio, what in added.repeated),
        ),
    )


def psi_root(by_class: FloatArray, psi: FloatArray) -> FloatArray:
    """`sqrt(sum of psi_rs IM_r IM_s)` of every scope, `(n,)`.

    Parameters
    ----------
    by_class : ndarray of shape (6, n)
        Margin of each risk class, at least 0.
    psi : ndarray of shape (6, 6)
        Correlation of risk classes, 1 on the diagonal.
    """
    return np.asarray(np.sqrt(np.maximum(quadratic(by_class, psi), 0.0)))


def _linear(given: _Given, known: SimmBreakdown | None) -> _Margins:
    """Delta, vega and base correlation: the same on both sides."""
    p, n = given.parameters, given.n_scopes
    calculated: dict[_Key, tuple[tuple[RiskType, ...], Callable[[Rows], Margin]]] = {
        (RiskClass.INTEREST_RATE, DELTA): (_CURVES, lambda rows: rates.delta_margin(rows, p, n)),
        (RiskClass.INTEREST_RATE, VEGA): (_RATE_VOLATILITIES, lambda rows: rates.vega_margin(rows, p, n)),
        (RiskClass.CREDIT_QUALIFYING, BASE_CORRELATION): (
            (RiskType.BASE_CORRELATION,),
            lambda rows: base_correlation_margin(rows, p, n),
        ),
        (RiskClass.FX, DELTA): ((RiskType.FX,), lambda rows: fx.delta_margin(rows, p, given.currency, n)),
        (RiskClass.FX, VEGA): ((RiskType.FX_VOL,), lambda rows: fx_vega_margin(rows, p, n)),
    }
    for one, (of_delta, of_volatility) in _TYPES.items():
        calculated[one, DELTA] = (of_delta,), partial(delta_margin, risk_class=one, parameters=p, n_scopes=n)
        calculated[one, VEGA] = (of_volatility,), partial(vega_margin, risk_class=one, parameters=p, n_scopes=n)
    return {key: _margin(given, key, types, made, known) for key, (types, made) in calculated.items()}


def _curvatures(given: _Given, sign: float, known: SimmBreakdown | None) -> _Margins:
    """Curvature, at the sign of a side."""
    p, n = given.parameters, given.n_scopes
    calculated: dict[RiskClass, tuple[tuple[RiskType, ...], Callable[[Rows], Margin]]] = {
        RiskClass.INTEREST_RATE: (_RATE_VOLATILITIES, lambda rows: rates.curvature_margin(rows, p, n, sign=sign)),
        RiskClass.FX: ((RiskType.FX_VOL,), lambda rows: fx_curvature_margin(rows, p, n, sign)),
    }
    for one, (_, of_volatility) in _TYPES.items():
        made = partial(curvature_margin, risk_class=one, parameters=p, n_scopes=n, sign=sign)
        calculated[one] = (of_volatility,), made
    return {
        (one, CURVATURE): _margin(given, (one, CURVATURE), types, made, known)
        for one, (types, made) in calculated.items()
    }


def _margin(
    given: _Given,
    key: _Key,
    types: tuple[RiskType, ...],
    calculated: Callable[[Rows], Margin],
    known: SimmBreakdown | None,
) -> Margin:
    """A margin of the rows of these types; the known one if it is of the same rows."""
    rows = given.rows.of(*types)
    if not len(rows):
        return nothing(rows, given.n_scopes)
    before = None if known is None else known.margins[key]
    if before is not None and len(before.value) == given.n_scopes and before.rows.same(rows):
        return replace(before, rows=replace(before.rows, source=rows.source))
    return calculated(rows)


# Credit, equity and commodity


def delta_margin(rows: Rows, risk_class: RiskClass, parameters: SimmParameters, n_scopes: int) -> Margin:
    """Delta of a class whose buckets are listed: `WS = RW s CR`."""
    p, family = parameters.bucketed[risk_class], _family(risk_class, parameters)
    found = bucketed.netted(rows, by_group=family.by_group)
    threshold = p.delta_threshold[found.bucket_of_issuer]
    cr = bucketed.concentration(found, found.amount, threshold, parameters.has_concentration)
    return bucketed.linear_margin(found, p.risk_weight[found.bucket] * cr, cr, family, n_scopes)


def vega_margin(rows: Rows, risk_class: RiskClass, parameters: SimmParameters, n_scopes: int) -> Margin:
    """Vega of a class whose buckets are listed: `WS = VRW VR CR`, `VR = HVR sigma s`."""
    p, family = parameters.bucketed[risk_class], _family(risk_class, parameters)
    found = bucketed.netted(rows, by_group=family.by_group)
    vega = p.historical_volatility_ratio * _volatility(found, risk_class, parameters)
    threshold = p.vega_threshold[found.bucket_of_issuer]
    cr = bucketed.concentration(found, vega * found.amount, threshold, parameters.has_concentration)
    return bucketed.linear_margin(found, p.vega_risk_weight[found.bucket] * vega * cr, cr, family, n_scopes)


def curvature_margin(
    rows: Rows, risk_class: RiskClass, parameters: SimmParameters, n_scopes: int, sign: float
) -> Margin:
    """Curvature of a class whose buckets are listed: `CVR = SF(t) sigma s`, without a historical ratio."""
    p, family = parameters.bucketed[risk_class], _family(risk_class, parameters)
    found = bucketed.netted(rows, by_group=family.by_group)
    scaling = parameters.curvature_factors(p.tenors)[found.tenor]
    weight = scaling * _volatility(found, risk_class, parameters) * p.has_curvature[found.bucket]
    return bucketed.curvature_margin(
        found, weight, family, parameters.curvature_scale, n_scopes, by_issuer=p.scaled_volatility, sign=sign
    )


def _family(risk_class: RiskClass, parameters: SimmParameters) -> bucketed.Family:
    p = parameters.bucketed[risk_class]
    return bucketed.Family(
        same=p.correlation_same,
        different=p.correlation_different,
        gamma=p.bucket_correlation,
        residual=p.residual,
        by_group=risk_class is RiskClass.CREDIT_NON_QUALIFYING,
    )


def _volatility(found: bucketed.Factors, risk_class: RiskClass, parameters: SimmParameters) -> FloatArray:
    """Sigma, which the risk weight implies; 1 where amounts are weighted with volatility already."""
    p = parameters.bucketed[risk_class]
    if not p.scaled_volatility:
        return np.ones(len(found.amount))
    return np.asarray(p.risk_weight[found.bucket] * parameters.volatility_scale)


# Of one bucket: base correlation, and currency volatilities


def base_correlation_margin(rows: Rows, parameters: SimmParameters, n_scopes: int) -> Margin:
    """Base correlation: one bucket of indices, no concentration."""
    found = bucketed.netted(rows)
    weight = np.full(len(found.amount), parameters.base_correlation_risk_weight)
    family = _one_bucket(parameters.base_correlation_correlation)
    return bucketed.linear_margin(found, weight, np.ones(len(weight)), family, n_scopes)


def fx_vega_margin(rows: Rows, parameters: SimmParameters, n_scopes: int) -> Margin:
    """Vega of currency pairs, tenors of one fully correlated; thresholds by the categories of the two currencies."""
    p = parameters.fx
    found = bucketed.netted(rows)
    vega = p.historical_volatility_ratio * _pair_volatility(found, parameters)
    one, other = _of_pairs(found, p.category.group)
    threshold = np.ones(len(found.cell_of_issuer))
    threshold[found.issuer] = p.vega_threshold[one, other]
    cr = bucketed.concentration(found, vega * found.amount, threshold, parameters.has_concentration)
    return bucketed.linear_margin(
        found, p.vega_risk_weight * vega * cr, cr, _one_bucket(p.volatility_correlation), n_scopes
    )


def fx_curvature_margin(rows: Rows, parameters: SimmParameters, n_scopes: int, sign: float) -> Margin:
    """Curvature of currency pairs."""
    found = bucketed.netted(rows)
    weight = parameters.curvature_factors()[found.tenor] * _pair_volatility(found, parameters)
    family = _one_bucket(parameters.fx.volatility_correlation)
    return bucketed.curvature_margin(
        found, weight, family, parameters.curvature_scale, n_scopes, by_issuer=True, sign=sign
    )


def _one_bucket(different: float) -> bucketed.Family:
    return bucketed.Family(
        same=np.ones(1), different=np.array([different]), gamma=np.zeros((1, 1)), residual=-1, by_group=False
    )


def _pair_volatility(found: bucketed.Factors, parameters: SimmParameters) -> FloatArray:
    """Sigma of each pair, from the weight of its currencies' groups."""
    one, other = _of_pairs(found, parameters.fx.volatility.group)
    return np.asarray(parameters.fx.risk_weight[one, other] * parameters.volatility_scale)


def _of_pairs(found: bucketed.Factors, group: Callable[[str], int]) -> tuple[IntArray, IntArray]:
    """Group of either currency of each factor's pair."""
    names = found.rows.names
    return (
        fx.by_name(names, found.qualifier, lambda pair: group(pair[:3])),
        fx.by_name(names, found.qualifier, lambda pair: group(pair[3:])),
    )
