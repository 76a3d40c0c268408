"""The sensitivity method, top to bottom, for any number of portfolios at once.

    total          = sum over product classes + add-ons
    product class  = sqrt( sum over risk classes r, s of psi_rs IM_r IM_s )
    risk class     = delta + vega + curvature (+ base correlation, of qualifying credit)

Nothing offsets between product classes. The two sides differ in the sign of the curvature risks alone. Everything is
calculated in US dollars, in which thresholds are stated, and converted at the end: each step is of one order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import InputError, Problem
from crossmargin.methodologies.simm import bucketed, fx, rates
from crossmargin.methodologies.simm.add_ons import AddOns, add_ons
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
    psi : ndarray of shape (6, 6)
        Between risk classes.
    usd_per_unit : float
        Of `currency`.
    names : tuple of str
        Qualifiers behind the codes of the rates' buckets.
    buckets : mapping of RiskClass to tuple of str
        Names of the others.
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
    psi: FloatArray
    usd_per_unit: float
    names: tuple[str, ...]
    buckets: Mapping[RiskClass, tuple[str, ...]]
    rejected: tuple[Problem, ...]
    notices: tuple[str, ...]

    def margin(self, risk_class: RiskClass, margin_type: str) -> FloatArray:
        """One margin type of one risk class, `(n_portfolios, n_product_classes)`, in the calculation currency."""
        value = self.margins[risk_class, margin_type].value
        return np.asarray(value.reshape(len(self.portfolios), len(PRODUCT_CLASSES)) / self.usd_per_unit)

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
) -> dict[Side, SimmBreakdown]:
    """Several sides at once: what does not turn its sign is calculated once; arguments and errors as `simm`."""
    rows, rejected = coded(sensitivities, parameters)
    if rejected and not skip_rejected:
        raise InputError(rejected)
    portfolios = sensitivities.portfolio.names
    names = sensitivities.qualifier.names
    n_scopes = len(portfolios) * len(PRODUCT_CLASSES)
    of_sign: dict[RiskClass, Callable[[float], Margin]] = {}
    shared = {(one, kind): nothing(np.zeros(n_scopes)) for one in RiskClass for kind in MARGIN_TYPES}
    for risk_class, (both, curvature) in {
        RiskClass.INTEREST_RATE: _rates(rows, names, parameters, n_scopes),
        **{one: _bucketed(rows, one, parameters, n_scopes) for one in _TYPES},
        RiskClass.FX: _fx(rows, names, parameters, calculation_currency, n_scopes),
    }.items():
        shared |= both
        of_sign[risk_class] = curvature
    shared[RiskClass.CREDIT_QUALIFYING, BASE_CORRELATION] = _base_correlation(rows, parameters, n_scopes)
    answers = {}
    for side in sides:
        sign = 1.0 if side is Side.CALL else -1.0
        margins = shared | {(one, CURVATURE): curvature(sign) for one, curvature in of_sign.items()}
        by_class = np.stack(
            [sum((margins[one, kind].value for kind in MARGIN_TYPES), np.zeros(n_scopes)) for one in RiskClass], axis=1
        )
        shape = (len(portfolios), len(PRODUCT_CLASSES))
        of_product = psi_root(by_class, parameters.psi).reshape(shape)
        added = add_ons(rows, of_product, names)
        answers[side] = SimmBreakdown(
            portfolios=portfolios,
            total=read_only((of_product.sum(axis=1) + added.total) / usd_per_unit),
            currency=calculation_currency,
            side=side,
            product_class=read_only(of_product / usd_per_unit),
            risk_class=read_only(by_class.reshape(*shape, len(RiskClass)) / usd_per_unit),
            margins=margins,
            add_ons=added,
            psi=parameters.psi,
            usd_per_unit=usd_per_unit,
            names=names,
            buckets={one: parameters.bucketed[one].buckets for one in _TYPES},
            rejected=rejected,
            notices=parameters.caveats,
        )
    return answers


def psi_root(by_class: FloatArray, psi: FloatArray) -> FloatArray:
    """`sqrt(sum of psi_rs IM_r IM_s)` of every row, `(n,)`.

    Parameters
    ----------
    by_class : ndarray of shape (n, 6)
        Margin of each risk class, at least 0.
    """
    found = np.zeros(len(by_class))
    for r in range(len(psi)):
        for s in range(len(psi)):
            found += psi[r, s] * by_class[:, r] * by_class[:, s]
    return np.sqrt(np.maximum(found, 0.0))


_Margins = tuple[dict[tuple[RiskClass, str], Margin], Callable[[float], Margin]]
"""Delta and vega of a risk class, and its curvature at the sign of a side."""


def _rates(rows: Rows, names: tuple[str, ...], parameters: SimmParameters, n_scopes: int) -> _Margins:
    one = RiskClass.INTEREST_RATE
    of_delta = rows.of(RiskType.IR_CURVE, RiskType.INFLATION, RiskType.BASIS)
    of_vol = rows.of(RiskType.IR_VOL, RiskType.INFLATION_VOL)
    return {
        (one, DELTA): rates.delta_margin(of_delta, names, parameters, n_scopes),
        (one, VEGA): rates.vega_margin(of_vol, names, parameters, n_scopes),
    }, lambda sign: rates.curvature_margin(of_vol, parameters, sign, n_scopes)


def _bucketed(rows: Rows, risk_class: RiskClass, parameters: SimmParameters, n_scopes: int) -> _Margins:
    """Delta, vega and curvature of credit, equity or commodity."""
    p = parameters.bucketed[risk_class]
    family = bucketed.Family(
        same=p.correlation_same,
        different=p.correlation_different,
        gamma=p.bucket_correlation,
        residual=p.residual,
        by_group=risk_class is RiskClass.CREDIT_NON_QUALIFYING,
    )
    of_delta, of_vol = (bucketed.netted(rows.of(kind), family.by_group) for kind in _TYPES[risk_class])
    applies = parameters.has_concentration
    cr = bucketed.concentration(of_delta, of_delta.amount, _at_issuer(of_delta, p.delta_threshold), applies)
    delta = bucketed.linear_margin(
        of_delta, p.risk_weight[of_delta.bucket] * of_delta.amount * cr, cr, family, n_scopes
    )
    sigma = p.risk_weight[of_vol.bucket] * parameters.volatility_scale if p.scaled_volatility else 1.0
    vr = p.historical_volatility_ratio * sigma * of_vol.amount
    cr = bucketed.concentration(of_vol, vr, _at_issuer(of_vol, p.vega_threshold), applies)
    vega = bucketed.linear_margin(of_vol, p.vega_risk_weight[of_vol.bucket] * vr * cr, cr, family, n_scopes)
    scaling = _scaling(p.tenors, parameters)[of_vol.tenor]
    cvr = scaling * sigma * of_vol.amount * p.has_curvature[of_vol.bucket]

    def curvature(sign: float) -> Margin:
        return bucketed.curvature_margin(
            of_vol, sign * cvr, family, parameters.curvature_scale, n_scopes, by_issuer=p.scaled_volatility
        )

    return {(risk_class, DELTA): delta, (risk_class, VEGA): vega}, curvature


def _at_issuer(found: bucketed.Factors, threshold: FloatArray) -> FloatArray:
    return threshold[found.cell_bucket[found.cell_of_issuer]]


def _scaling(tenors: tuple[str, ...], parameters: SimmParameters) -> FloatArray:
    """Curvature scaling of a class's own tenors; those of rates where it has none."""
    return parameters.curvature_factors(tenors or parameters.rates.tenors)


def _base_correlation(rows: Rows, parameters: SimmParameters, n_scopes: int) -> Margin:
    """Base correlation: one bucket of indices, no concentration."""
    family = _one_bucket(1.0, parameters.base_correlation_correlation)
    found = bucketed.netted(rows.of(RiskType.BASE_CORRELATION), False)
    ws = parameters.base_correlation_risk_weight * found.amount
    return bucketed.linear_margin(found, ws, np.ones(len(ws)), family, n_scopes)


def _one_bucket(same: float, different: float) -> bucketed.Family:
    return bucketed.Family(
        same=np.array([same]), different=np.array([different]), gamma=np.zeros((1, 1)), residual=-1, by_group=False
    )


def _fx(
    rows: Rows,
    names: tuple[str, ...],
    parameters: SimmParameters,
    calculation_currency: str,
    n_scopes: int,
) -> _Margins:
    """Delta by groups of currencies; vega and curvature with a factor a currency pair."""
    p, one = parameters.fx, RiskClass.FX
    found = bucketed.netted(rows.of(RiskType.FX_VOL), False)
    held, place = np.unique(found.qualifier, return_inverse=True)
    pairs = [(names[code][:3], names[code][3:]) for code in held.tolist()]
    group = np.array([[p.volatility.group(a), p.volatility.group(b)] for a, b in pairs], dtype=np.int64)
    category = np.array([[p.category.group(a), p.category.group(b)] for a, b in pairs], dtype=np.int64)
    group, category = group.reshape(-1, 2)[place], category.reshape(-1, 2)[place]
    sigma = p.risk_weight[group[:, 0], group[:, 1]] * parameters.volatility_scale
    family = _one_bucket(1.0, p.volatility_correlation)
    vr = p.historical_volatility_ratio * sigma * found.amount
    threshold = np.ones(len(found.cell_of_issuer))
    threshold[found.issuer] = p.vega_threshold[category[:, 0], category[:, 1]]
    cr = bucketed.concentration(found, vr, threshold, parameters.has_concentration)
    vega = bucketed.linear_margin(found, p.vega_risk_weight * vr * cr, cr, family, n_scopes)
    cvr = parameters.curvature_factors()[found.tenor] * sigma * found.amount

    def curvature(sign: float) -> Margin:
        return bucketed.curvature_margin(
            found, sign * cvr, family, parameters.curvature_scale, n_scopes, by_issuer=True
        )

    delta = fx.delta_margin(rows.of(RiskType.FX), names, parameters, calculation_currency, n_scopes)
    return {(one, DELTA): delta, (one, VEGA): vega}, curvature
