"""Rows of sensitivities as numbers that a calibration knows: buckets, tenors, sub-curves; the others are refused.

A row's label that its risk type does not use is ignored. Rows are put in one canonical order, by the names of their
risk factors, so that a portfolio's figure depends neither on the order in which its rows come nor on who else is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, run_starts
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
CREDIT_TENOR_TYPES = (RiskType.CREDIT_Q, RiskType.CREDIT_VOL, RiskType.CREDIT_NON_Q, RiskType.CREDIT_VOL_NON_Q)
TENOR_TYPES = (
    RiskType.IR_CURVE,
    RiskType.IR_VOL,
    RiskType.INFLATION_VOL,
    RiskType.EQUITY_VOL,
    RiskType.COMMODITY_VOL,
    RiskType.FX_VOL,
)
CURRENCY_TYPES = (
    RiskType.IR_CURVE,
    RiskType.INFLATION,
    RiskType.BASIS,
    RiskType.IR_VOL,
    RiskType.INFLATION_VOL,
    RiskType.FX,
)
"""Types whose label 1 is a tenor of credit, one of rates, and whose qualifier is a currency."""
_ADD_ONS = (RiskType.MULTIPLIER, RiskType.NOTIONAL_FACTOR, RiskType.NOTIONAL, RiskType.FIXED_AMOUNT)
SCHEDULE = "schedule"
"""Model of the rows that are not of this method, in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Accepted rows in their canonical order; one axis, `n_rows`.

    Parameters
    ----------
    source : ndarray
        Row of the sensitivities, from 0.
    risk_type : ndarray
        `RiskType`, rising.
    scope : ndarray
        Portfolio times product classes, plus product class; rising within a risk type.
    qualifier : ndarray
        Index of its name.
    bucket, tenor, sub_curve : ndarray
        Index in the calibration; 0 where the risk type has none.
    group : ndarray
        Index of label 2 among `groups`, for credit; 0 for the others.
    amount : ndarray
        US dollars.
    names, groups : tuple of str
        Qualifiers and labels, in alphabetical order.
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
    names: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.amount)

    def same(self, other: Rows) -> bool:
        """Whether these are the same rows, wherever they come from."""
        columns = ("risk_type", "scope", "bucket", "tenor", "sub_curve", "amount")
        return (
            all(np.array_equal(getattr(self, name), getattr(other, name)) for name in columns)
            and _same_texts(self.qualifier, self.names, other.qualifier, other.names)
            and _same_texts(self.group, self.groups, other.group, other.groups)
        )

    def of(self, *types: RiskType) -> Rows:
        """Those of some risk types, type by type."""
        ranges = [np.searchsorted(self.risk_type, (one, one + 1)).tolist() for one in types]
        if len(ranges) == 1:
            chosen: slice | IntArray = slice(*ranges[0])
        else:
            chosen = np.concatenate([np.arange(first, end) for first, end in ranges])
        return self.take(chosen)

    def take(self, chosen: slice | IntArray) -> Rows:
        """The rows at these places."""
        return Rows(
            source=self.source[chosen],
            risk_type=self.risk_type[chosen],
            scope=self.scope[chosen],
            qualifier=self.qualifier[chosen],
            bucket=self.bucket[chosen],
            tenor=self.tenor[chosen],
            sub_curve=self.sub_curve[chosen],
            group=self.group[chosen],
            amount=self.amount[chosen],
            names=self.names,
            groups=self.groups,
        )


def coded(sensitivities: Sensitivities, parameters: SimmParameters) -> tuple[Rows, tuple[Problem, ...]]:
    """Rows that the calibration knows, and a problem for each of the others.

    Rows of another model (`Schedule`) are left out: they are margined by it.
    """
    s = sensitivities
    n = s.n_rows
    problems: list[tuple[int, Problem]] = []
    refused = np.zeros(n, dtype=np.bool_)
    every = np.ones(n, dtype=np.bool_)
    ours = ~_cells(s.im_model, every, lambda name: name.strip().casefold() == SCHEDULE)
    risk_type = _numbers(s.risk_type, every, {name: int(kind) for name, kind in RISK_TYPES.items()})
    is_type = {kind: risk_type == kind for kind in RiskType}

    def among(*types: RiskType) -> BoolArray:
        """Rows of these types."""
        found = np.zeros(n, dtype=np.bool_)
        for kind in types:
            found |= is_type[kind]
        return found

    def refuse_each(rows: BoolArray, column: str, found: Callable[[int], str], needed: str) -> None:
        """Refuse `rows`, of a column as a CRIF calls it, saying what was found in each."""
        for k in np.flatnonzero(rows & ours & ~refused).tolist():
            refused[k] = True
            problems.append((k, Problem(found=found(k), needed=needed, row=int(s.row[k]), column=column)))

    def refuse(rows: BoolArray, column: str, cells: Coded, what: str, needed: str) -> None:
        """Refuse `rows`, naming the cell."""

        def found(k: int) -> str:
            cell = cells.names[int(cells.codes[k])]
            return f"{what} '{cell}'" if cell else f"no {what}"

        refuse_each(rows, column, found, needed)

    refuse(risk_type < 0, "RiskType", s.risk_type, "risk type", f"One of {', '.join(RISK_TYPES)}.")
    amount = s.amount_usd
    refuse_each(~np.isfinite(amount), "AmountUSD", lambda k: f"an amount of {amount[k]} USD", "A finite number.")
    negative = is_type[RiskType.MULTIPLIER] & (amount < 0)
    refuse_each(negative, "Amount", lambda k: f"a multiplier of {amount[k]}", "0 or more.")
    negative = is_type[RiskType.NOTIONAL_FACTOR] & (amount < 0)
    refuse_each(negative, "Amount", lambda k: f"a factor of {amount[k]}", "0 or more.")
    classes = {name: k for k, name in enumerate(PRODUCT_CLASSES)}
    named = f"One of {', '.join(PRODUCT_CLASSES)}."
    # A multiplier names its product class as its qualifier; the other parameters have none.
    of_multiplier = is_type[RiskType.MULTIPLIER]
    has_class = ~among(*_ADD_ONS)
    of_qualifier = _numbers(s.qualifier, of_multiplier, classes)
    product_class = _numbers(s.product_class, has_class, classes)
    refuse(of_multiplier & (of_qualifier < 0), "Qualifier", s.qualifier, "product class", named)
    refuse(has_class & (product_class < 0), "ProductClass", s.product_class, "product class", named)
    product_class = np.maximum(np.where(of_multiplier, of_qualifier, product_class), 0)
    bucket = np.zeros(n, dtype=np.int64)
    for kind, risk_class in RISK_CLASS_OF.items():
        chosen = is_type[kind]
        known = parameters.bucketed[risk_class].buckets
        found = _numbers(s.bucket, chosen, {name: k for k, name in enumerate(known)})
        refuse(chosen & (found < 0), "Bucket", s.bucket, "bucket", f"One of {', '.join(known)}.")
        bucket = np.where(chosen, np.maximum(found, 0), bucket)
    tenor = np.zeros(n, dtype=np.int64)
    for kinds, known in (
        (CREDIT_TENOR_TYPES, parameters.bucketed[RiskClass.CREDIT_QUALIFYING].tenors),
        (TENOR_TYPES, parameters.rates.tenors),
    ):
        chosen = among(*kinds)
        found = _numbers(s.label1, chosen, {name: k for k, name in enumerate(known)}, str.lower)
        refuse(chosen & (found < 0), "Label1", s.label1, "tenor", f"Label 1 is one of {', '.join(known)}.")
        tenor = np.where(chosen, np.maximum(found, 0), tenor)
    curves = parameters.rates.sub_curves
    of_curve = is_type[RiskType.IR_CURVE]
    sub_curve = _numbers(s.label2, of_curve, {name.lower(): k for k, name in enumerate(curves)}, str.lower)
    refuse(of_curve & (sub_curve < 0), "Label2", s.label2, "sub-curve", f"Label 2 is one of {', '.join(curves)}.")
    of_currency, of_pair = among(*CURRENCY_TYPES), is_type[RiskType.FX_VOL]
    currency = _cells(s.qualifier, of_currency, lambda name: len(name) == 3 and name.isalpha())
    refuse(of_currency & ~currency, "Qualifier", s.qualifier, "currency", "Three letters, like EUR.")
    pair = _cells(s.qualifier, of_pair, lambda name: len(name) == 6 and name.isalpha() and name[:3] != name[3:])
    refuse(of_pair & ~pair, "Qualifier", s.qualifier, "currency pair", "Two currencies: EURUSD.")
    unnamed = (s.qualifier.codes == _code_of(s.qualifier, "")) & ~is_type[RiskType.FIXED_AMOUNT]
    refuse(unnamed, "Qualifier", s.qualifier, "qualifier", "The name of the risk factor.")
    problems.sort(key=lambda one: one[0])

    rows = np.flatnonzero(ours & ~refused)
    names, qualifier = _alphabetical(s.qualifier, of_pair)
    groups, label2 = _alphabetical(s.label2, np.zeros(n, dtype=np.bool_))
    group = np.where(among(*CREDIT_TENOR_TYPES), label2, 0)
    scope = s.portfolio.codes * len(PRODUCT_CLASSES) + product_class
    sub_curve = np.maximum(sub_curve, 0)
    order = rows[
        canonical_order(
            [one[rows] for one in (risk_type, scope, bucket, qualifier, group, sub_curve, tenor)], s.amount_usd[rows]
        )
    ]
    accepted = Rows(
        source=order,
        risk_type=risk_type[order],
        scope=scope[order],
        qualifier=qualifier[order],
        bucket=bucket[order],
        tenor=tenor[order],
        sub_curve=sub_curve[order],
        group=group[order],
        amount=s.amount_usd[order],
        names=names,
        groups=groups,
    )
    return accepted, tuple(problem for _, problem in problems)


def canonical_order(keys: Sequence[IntArray], amount: FloatArray) -> IntArray:
    """Order by keys; equal keys from the smallest amount, each beside its opposite.

    So that sums neither depend on the order in which rows come nor leave anything of rows that cancel.
    """
    key = packed(keys)
    order = np.argsort(key)
    key = key[order]
    starts = run_starts(key)
    tied = ~starts
    tied[:-1] |= ~starts[1:]
    at = np.flatnonzero(tied)
    rows = order[at]
    order[at] = rows[np.lexsort((amount[rows], np.abs(amount[rows]), key[at]))]
    return order


def packed(keys: Sequence[IntArray]) -> IntArray:
    """One number for each row that orders rows as the columns do, the first one first."""
    code = np.zeros(len(keys[0]), dtype=np.int64)
    largest = 0
    for column in keys:
        size = int(column.max(initial=0)) + 1
        largest = largest * size + size - 1
        if largest >= 2**62:
            _, code = np.unique(code, return_inverse=True)
            largest = (int(code.max(initial=0)) + 1) * size - 1
            assert largest < 2**62, "more keys than rows can have"
        code = code * size + column
    return code


def pair_name(name: str) -> str:
    """A currency pair in alphabetical order: `USDEUR` is `EURUSD`."""
    one, other = sorted((name[:3].upper(), name[3:].upper()))
    return one + other


def _alphabetical(column: Coded, of_pair: BoolArray) -> tuple[tuple[str, ...], IntArray]:
    """Names in alphabetical order, and each row's place among them; rows of currency pairs by the ordered pair."""
    names = list(column.names)
    of_name = np.arange(len(names))
    if of_pair.any():
        number = {name: k for k, name in enumerate(names)}
        for k in np.unique(column.codes[of_pair]).tolist():
            of_name[k] = number.setdefault(pair_name(names[k]), len(number))
        names = list(number)
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    code = np.where(of_pair, of_name[column.codes], column.codes)
    return tuple(map(names.__getitem__, order)), place[code]


def _same_texts(codes: IntArray, names: Sequence[str], other: IntArray, other_names: Sequence[str]) -> bool:
    if names == other_names:
        return np.array_equal(codes, other)
    (used, place), (other_used, other_place) = (np.unique(one, return_inverse=True) for one in (codes, other))
    # Both are in alphabetical order, so that the same texts have the same places.
    return np.array_equal(place, other_place) and all(
        names[k] == other_names[j] for k, j in zip(used.tolist(), other_used.tolist(), strict=True)
    )


def _used(column: Coded, rows: BoolArray) -> list[int]:
    """Codes that stand in `rows`."""
    return np.flatnonzero(np.bincount(column.codes[rows], minlength=len(column.names))).tolist()


def _numbers(column: Coded, rows: BoolArray, known: Mapping[str, int], spelled: Callable[[str], str] = str) -> IntArray:
    """Number of each cell of `rows`, -1 for one that is not known; each name is looked up once."""
    of_name = np.full(len(column.names), -1, dtype=np.int64)
    for code in _used(column, rows):
        of_name[code] = known.get(spelled(column.names[code].strip()), -1)
    return of_name[column.codes]


def _cells(column: Coded, rows: BoolArray, holds: Callable[[str], object]) -> BoolArray:
    """Whether each cell of `rows` passes a test that is made once a name."""
    of_name = np.zeros(len(column.names), dtype=np.bool_)
    for code in _used(column, rows):
        of_name[code] = bool(holds(column.names[code]))
    return of_name[column.codes]


def _code_of(column: Coded, name: str) -> int:
    """Code of a name, -1 where no cell can have it."""
    return column.names.index(name) if name in column.names else -1
