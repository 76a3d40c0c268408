"""Rows of sensitivities as numbers that a calibration knows: buckets, tenors, sub-curves; the others are refused.

A row's label that its risk type does not use is ignored. Equal keys are added up before anything else: what the field
calls netting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.basics.errors import Problem
from crossmargin.methodologies.simm.parameters import RiskClass, SimmParameters
from crossmargin.portfolio.sensitivities import Coded, Sensitivities

PRODUCT_CLASSES = ("RatesFX", "Credit", "Equity", "Commodity", "Rates", "FX")
"""Product classes; the last two are what some systems make of the first."""


class RiskType(IntEnum):
    """Risk types, in the order of the specification."""

    IR_CURVE = 0
    INFLATION = 1
    BASIS = 2
    IR_VOL = 3
    INFLATION_VOL = 4
    CREDIT_Q = 5
    CREDIT_VOL = 6
    CREDIT_NON_Q = 7
    CREDIT_VOL_NON_Q = 8
    BASE_CORRELATION = 9
    EQUITY = 10
    EQUITY_VOL = 11
    COMMODITY = 12
    COMMODITY_VOL = 13
    FX = 14
    FX_VOL = 15
    MULTIPLIER = 16
    NOTIONAL_FACTOR = 17
    NOTIONAL = 18
    FIXED_AMOUNT = 19


RISK_TYPES: dict[str, RiskType] = {
    "Risk_IRCurve": RiskType.IR_CURVE,
    "Risk_Inflation": RiskType.INFLATION,
    "Risk_XCcyBasis": RiskType.BASIS,
    "Risk_IRVol": RiskType.IR_VOL,
    "Risk_InflationVol": RiskType.INFLATION_VOL,
    "Risk_CreditQ": RiskType.CREDIT_Q,
    "Risk_CreditVol": RiskType.CREDIT_VOL,
    "Risk_CreditNonQ": RiskType.CREDIT_NON_Q,
    "Risk_CreditVolNonQ": RiskType.CREDIT_VOL_NON_Q,
    "Risk_BaseCorr": RiskType.BASE_CORRELATION,
    "Risk_Equity": RiskType.EQUITY,
    "Risk_EquityVol": RiskType.EQUITY_VOL,
    "Risk_Commodity": RiskType.COMMODITY,
    "Risk_CommodityVol": RiskType.COMMODITY_VOL,
    "Risk_FX": RiskType.FX,
    "Risk_FXVol": RiskType.FX_VOL,
    "Param_ProductClassMultiplier": RiskType.MULTIPLIER,
    "Param_AddOnNotionalFactor": RiskType.NOTIONAL_FACTOR,
    "Notional": RiskType.NOTIONAL,
    "Param_AddOnFixedAmount": RiskType.FIXED_AMOUNT,
}
"""As a CRIF spells them."""
RISK_CLASS_OF: dict[RiskType, RiskClass] = {
    RiskType.CREDIT_Q: RiskClass.CREDIT_QUALIFYING,
    RiskType.CREDIT_VOL: RiskClass.CREDIT_QUALIFYING,
    RiskType.CREDIT_NON_Q: RiskClass.CREDIT_NON_QUALIFYING,
    RiskType.CREDIT_VOL_NON_Q: RiskClass.CREDIT_NON_QUALIFYING,
    RiskType.EQUITY: RiskClass.EQUITY,
    RiskType.EQUITY_VOL: RiskClass.EQUITY,
    RiskType.COMMODITY: RiskClass.COMMODITY,
    RiskType.COMMODITY_VOL: RiskClass.COMMODITY,
}
"""Class of the types whose buckets are listed."""
_CREDIT_TENORS = (RiskType.CREDIT_Q, RiskType.CREDIT_VOL, RiskType.CREDIT_NON_Q, RiskType.CREDIT_VOL_NON_Q)
_RATE_TENORS = (
    RiskType.IR_CURVE,
    RiskType.IR_VOL,
    RiskType.INFLATION_VOL,
    RiskType.EQUITY_VOL,
    RiskType.COMMODITY_VOL,
    RiskType.FX_VOL,
)
_CURRENCIES = (
    RiskType.IR_CURVE,
    RiskType.INFLATION,
    RiskType.BASIS,
    RiskType.IR_VOL,
    RiskType.INFLATION_VOL,
    RiskType.FX,
)
_ADD_ONS = (RiskType.MULTIPLIER, RiskType.NOTIONAL_FACTOR, RiskType.NOTIONAL, RiskType.FIXED_AMOUNT)
SCHEDULE = "schedule"
"""Model of the rows that are not of this method, in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Accepted rows; one axis, `n_rows`.

    Parameters
    ----------
    source : ndarray
        Row of the sensitivities.
    risk_type : ndarray
        `RiskType`.
    scope : ndarray
        Portfolio times product classes, plus product class.
    qualifier : ndarray
        Code of its name; for FX volatilities of the pair.
    bucket, tenor, sub_curve : ndarray
        Index in the calibration; 0 where the risk type has none.
    group : ndarray
        Code of label 2: the group of names of non-qualifying credit.
    amount : ndarray
        US dollars.
    """

    source: IntArray
    risk_type: IntArray
    scope: IntArray
    qualifier: IntArray
    bucket: IntArray
    tenor: IntArray
    sub_curve: IntArray
    group: IntArray
    amount: FloatArray

    def of(self, *types: RiskType) -> Rows:
        """Those of some risk types, in the order in which they stand."""
        chosen = np.flatnonzero(np.logical_or.reduce([self.risk_type == kind for kind in types]))
        return Rows(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})


def coded(sensitivities: Sensitivities, parameters: SimmParameters) -> tuple[Rows, tuple[Problem, ...]]:
    """Rows that the calibration knows, and a problem for each of the others.

    Rows of another model (`Schedule`) are left out: they are margined by it.
    """
    s = sensitivities
    n = s.n_rows
    problems: list[tuple[int, Problem]] = []
    refused = np.zeros(n, dtype=np.bool_)
    ours = ~_cells(s.im_model, lambda name: name.strip().casefold() == SCHEDULE)
    risk_type = _numbers(s.risk_type, {name: int(kind) for name, kind in RISK_TYPES.items()})

    def refuse(rows: BoolArray, column: Coded, what: str, needed: str) -> None:
        """Refuse `rows`, naming the cell of `column`."""
        for k in np.flatnonzero(rows & ours & ~refused).tolist():
            cell = column.names[int(column.codes[k])]
            refused[k] = True
            problems.append(
                (k, Problem(found=f"{what} '{cell}'" if cell else f"no {what}", needed=needed, row=int(s.row[k])))
            )

    refuse(risk_type < 0, s.risk_type, "risk type", f"One of {', '.join(RISK_TYPES)}.")
    product_class = _numbers(s.product_class, {name: k for k, name in enumerate(PRODUCT_CLASSES)})
    has_class = ~np.isin(risk_type, (RiskType.NOTIONAL_FACTOR, RiskType.NOTIONAL, RiskType.FIXED_AMOUNT))
    named = f"One of {', '.join(PRODUCT_CLASSES)}."
    of_multiplier = risk_type == RiskType.MULTIPLIER
    # A multiplier names its product class as its qualifier.
    classes = {name: k for k, name in enumerate(PRODUCT_CLASSES)}
    of_qualifier = _numbers(s.qualifier, classes) if of_multiplier.any() else np.zeros(n, dtype=np.int64)
    refuse(of_multiplier & (of_qualifier < 0), s.qualifier, "product class", named)
    refuse(has_class & ~of_multiplier & (product_class < 0), s.product_class, "product class", named)
    product_class = np.where(of_multiplier, of_qualifier, np.maximum(product_class, 0))
    bucket = np.zeros(n, dtype=np.int64)
    for kind, risk_class in RISK_CLASS_OF.items():
        chosen = risk_type == kind
        known = parameters.bucketed[risk_class].buckets
        found = _numbers(s.bucket, {name: k for k, name in enumerate(known)})
        refuse(chosen & (found < 0), s.bucket, "bucket", f"One of {', '.join(known)}.")
        bucket = np.where(chosen, np.maximum(found, 0), bucket)
    tenor = np.zeros(n, dtype=np.int64)
    for kinds, known in (
        (_CREDIT_TENORS, parameters.bucketed[RiskClass.CREDIT_QUALIFYING].tenors),
        (_RATE_TENORS, parameters.rates.tenors),
    ):
        chosen = np.isin(risk_type, kinds)
        found = _numbers(s.label1, {name: k for k, name in enumerate(known)}, str.lower)
        refuse(chosen & (found < 0), s.label1, "tenor", f"Label 1 is one of {', '.join(known)}.")
        tenor = np.where(chosen, np.maximum(found, 0), tenor)
    curves = parameters.rates.sub_curves
    sub_curve = _numbers(s.label2, {name.lower(): k for k, name in enumerate(curves)}, str.lower)
    of_curve = risk_type == RiskType.IR_CURVE
    refuse(of_curve & (sub_curve < 0), s.label2, "sub-curve", f"Label 2 is one of {', '.join(curves)}.")
    for of_types, holds, what, needed in (
        (_CURRENCIES, lambda name: len(name) == 3 and name.isalpha(), "currency", "Three letters, like EUR."),
        ((RiskType.FX_VOL,), _is_pair, "currency pair", "Two currencies: EURUSD."),
    ):
        chosen = np.isin(risk_type, of_types)
        refuse(chosen & ~_cells(s.qualifier, holds, chosen), s.qualifier, what, needed)
    nameless = s.qualifier.codes == (s.qualifier.names.index("") if "" in s.qualifier.names else -1)
    refuse((risk_type != RiskType.FIXED_AMOUNT) & nameless, s.qualifier, "qualifier", "The name of the risk factor.")
    rows = np.flatnonzero(ours & ~refused)
    scope = s.portfolio.codes * len(PRODUCT_CLASSES) + product_class
    accepted = Rows(
        source=rows,
        risk_type=risk_type[rows],
        scope=scope[rows],
        qualifier=_qualifiers(s.qualifier, risk_type == RiskType.FX_VOL)[rows],
        bucket=bucket[rows],
        tenor=tenor[rows],
        sub_curve=np.where(of_curve, sub_curve, 0)[rows],
        group=s.label2.codes[rows],
        amount=s.amount_usd[rows],
    )
    problems.sort(key=lambda one: one[0])
    return accepted, tuple(problem for _, problem in problems)


def pair_name(name: str) -> str:
    """A currency pair in alphabetical order: `USDEUR` is `EURUSD`."""
    one, other = sorted((name[:3].upper(), name[3:].upper()))
    return one + other


def _qualifiers(qualifier: Coded, of_pairs: BoolArray) -> IntArray:
    """Codes in which pairs that are one, whichever way round, have one code."""
    codes = qualifier.codes
    if not of_pairs.any():
        return codes
    first: dict[str, int] = {}
    of = np.arange(len(qualifier.names))
    for k in np.unique(codes[of_pairs]).tolist():
        of[k] = first.setdefault(pair_name(qualifier.names[k]), k)
    return np.where(of_pairs, of[codes], codes)


def _numbers(column: Coded, known: Mapping[str, int], spelled: Callable[[str], str] = str) -> IntArray:
    """Number of each cell, -1 for one that is not known; each name is looked up once."""
    of_name = np.array([known.get(spelled(name.strip()), -1) for name in column.names], dtype=np.int64)
    return of_name[column.codes] if len(of_name) else np.zeros(0, dtype=np.int64)


def _cells(column: Coded, holds: Callable[[str], object], rows: BoolArray | None = None) -> BoolArray:
    """Whether each cell passes a test that is made once a name; of those that occur in `rows`, false elsewhere."""
    of_name = np.zeros(len(column.names), dtype=np.bool_)
    for code in range(len(column.names)) if rows is None else np.unique(column.codes[rows]).tolist():
        of_name[code] = bool(holds(column.names[code]))
    return of_name[column.codes] if len(of_name) else np.zeros(0, dtype=np.bool_)


def _is_pair(name: str) -> bool:
    return len(name) == 6 and name.isalpha() and name[:3] != name[3:]
