"""Breakdown to explanation: product class, risk class, margin type, bucket, factor. It arranges only.

A root of correlated figures is shown with a term a figure: the figure times what all figures are as they are correlated
with it. The terms sum to the square; a term over the root is what the figure contributes, a hedge less than nothing.
All is in US dollars, as it was calculated, and converted at the top.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.simm.aggregation import applied, total
from crossmargin.methodologies.simm.margins import MARGIN_TYPES, CurvatureTerms, Form, Margin
from crossmargin.methodologies.simm.parameters import RISK_CLASS_NAMES, RiskClass, SimmParameters
from crossmargin.methodologies.simm.recipe import SimmBreakdown
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES, RiskType, Rows

SOURCE = "isda-simm"
MOST_NAMED = 6
"""Factors of a bucket that are shown if nobody says how many; the others are one term."""
_ROOT = "square root of the sum, at least 0"
_USD, _SQUARED = "USD", "USD\N{SUPERSCRIPT TWO}"


def explain_simm(b: SimmBreakdown, portfolio: int, label: str, *, most: int = MOST_NAMED) -> Explanation:
    """The total of one portfolio as a tree.

    Parameters
    ----------
    portfolio : int
        Index into those of the breakdown.
    label : str
        What the total is, in words.
    most : int
        Factors of each bucket that are shown, the largest terms first.
    """
    parts = [part for c in range(len(PRODUCT_CLASSES)) for part in _product_class(b, portfolio, c, most)]
    parts += _add_ons(b, portfolio)
    usd = Explanation(
        label=label if b.currency == _USD else "in US dollars",
        value=float(b.total[portfolio] * b.usd_per_unit),
        unit=_USD,
        rule="sum" if parts else "",
        parts=tuple(parts),
        source=SOURCE,
        note="" if parts else "no sensitivities",
    )
    if b.currency == _USD:
        return usd
    rate = Explanation(label=f"US dollars for one {b.currency}", value=b.usd_per_unit)
    return Explanation(
        label=label,
        value=float(b.total[portfolio]),
        unit=b.currency,
        rule="first over second",
        parts=(usd, rate),
        source=SOURCE,
    )


def _product_class(b: SimmBreakdown, portfolio: int, c: int, most: int) -> Iterator[Explanation]:
    """The root over risk classes, and what a multiplier adds to it."""
    scope = portfolio * len(PRODUCT_CLASSES) + c
    name = PRODUCT_CLASSES[c]
    present = [one for one in RiskClass if any(scope in m.scope for (of, _), m in b.margins.items() if of is one)]
    if not present:
        return
    own = b.risk_class[portfolio, c] * b.usd_per_unit
    value = float(b.product_class[portfolio, c] * b.usd_per_unit)
    correlated = applied(own[:, None], b.parameters.psi)[:, 0]
    classes = [_risk_class(b, one, scope, float(own[one]), most) for one in present]
    yield _root_of(f"{name}: risk classes, correlated", value, classes, [float(correlated[one]) for one in present])
    beyond = float(b.add_ons.multiplier[portfolio, c])
    if beyond:
        yield Explanation(
            label=f"{name}: multiplier",
            value=float(b.add_ons.multiplied[portfolio, c]),
            unit=_USD,
            rule="product",
            parts=(
                Explanation(label="multiplier beyond 1", value=beyond),
                Explanation(label=name, value=value, unit=_USD),
            ),
        )


def _risk_class(b: SimmBreakdown, risk_class: RiskClass, scope: int, value: float, most: int) -> Explanation:
    margins = [(kind, b.margins[risk_class, kind]) for kind in MARGIN_TYPES if (risk_class, kind) in b.margins]
    parts = [_margin(b, risk_class, kind, m, scope, most) for kind, m in margins if scope in m.scope]
    return Explanation(
        label=RISK_CLASS_NAMES[risk_class], value=value, unit=_USD, rule="sum" if parts else "", parts=tuple(parts)
    )


def _margin(b: SimmBreakdown, risk_class: RiskClass, kind: str, m: Margin, scope: int, most: int) -> Explanation:
    view = _View(m, m.form(), risk_class, b.parameters, scope, most)
    form, value = view.form, float(m.value[scope])
    cells = np.flatnonzero(m.scope == scope)
    residual = [k for k in cells.tolist() if form.is_residual[k]]
    others = [k for k in cells.tolist() if not form.is_residual[k]]
    roots = []
    if others:
        roots.append((0, view.root(others)))
    roots += [(1, view.bucket(k)) for k in residual]
    if form.curvature is None:
        parts = tuple(root for _, root in roots)
        return Explanation(label=kind, value=value, unit=_USD, rule="sum", parts=parts)
    terms = form.curvature
    curved = tuple(_curvature(terms, part, scope, root) for part, root in roots)
    if terms.divisor == 1.0:
        return Explanation(label=kind, value=value, unit=_USD, rule="sum", parts=curved)
    divisor = Explanation(label="square of the historical volatility ratio", value=terms.divisor)
    return Explanation(label=kind, value=value, unit=_USD, rule="first over second", parts=(*curved, divisor))


def _curvature(terms: CurvatureTerms, part: int, scope: int, root: Explanation) -> Explanation:
    """`max(sum CVR + lambda root, 0)` of the residual bucket, or of all others."""
    multiple = float(terms.multiple[part, scope])
    beyond = Explanation(
        label="lambda times the root",
        value=multiple * root.value,
        unit=_USD,
        rule="product",
        parts=(
            Explanation(label="lambda", value=multiple, note=f"theta is {float(terms.theta[part, scope]):.6g}"),
            root,
        ),
    )
    of_sum = Explanation(label="sum of curvature risks", value=float(terms.sum_cvr[part, scope]), unit=_USD)
    return Explanation(
        label="residual bucket" if part else "buckets",
        value=float(terms.value[part, scope]),
        unit=_USD,
        rule="sum, at least 0",
        parts=(of_sum, beyond),
    )


class _View:
    """Buckets and factors of one margin of one scope."""

    def __init__(
        self, m: Margin, form: Form, risk_class: RiskClass, parameters: SimmParameters, scope: int, most: int
    ) -> None:
        self.m, self.form, self.scope, self.most = m, form, scope, most
        self.risk_class, self.parameters = risk_class, parameters
        # Rows of this scope alone: a form is of every scope.
        self.rows_of = np.flatnonzero(m.rows.scope == scope)
        self.net: FloatArray = total(m.rows.amount[self.rows_of], form.of_row[self.rows_of], len(form.cell))

    def root(self, cells: Sequence[int]) -> Explanation:
        """Across buckets: a term K^2 for each, and one with its correlated others."""
        if len(cells) == 1:
            return self.bucket(cells[0])
        terms = []
        for k in cells:
            own = self.bucket(k)
            square = Explanation(label="K squared", value=own.value**2, unit=_SQUARED, rule="square", parts=(own,))
            s, cross = float(self.form.s[k]), float(self.form.cross[k])
            with_others = Explanation(
                label="with other buckets",
                value=s * cross,
                unit=_SQUARED,
                rule="product",
                parts=(
                    Explanation(label="sum of the bucket, within K", value=s, unit=_USD),
                    Explanation(label="sums of the others, as correlated with it", value=cross, unit=_USD),
                ),
            )
            terms.append(
                Explanation(
                    label=self.bucket_name(k),
                    value=square.value + with_others.value,
                    unit=_SQUARED,
                    rule="sum",
                    parts=(square, with_others),
                )
            )
        value = float(self.form.root[self.scope])
        return Explanation(label="buckets, correlated", value=value, unit=_USD, rule=_ROOT, parts=tuple(terms))

    def bucket(self, k: int) -> Explanation:
        """K of one bucket: its factors, the largest terms first."""
        form, value = self.form, float(self.m.k[k])
        own = self.rows_of[form.cell[form.of_row[self.rows_of]] == k]
        factors = np.unique(form.of_row[own])
        terms = form.x[factors] * form.correlated[factors]
        order = np.argsort(-np.abs(terms), kind="stable")
        shown = order[: self.most]
        nodes = [self.factor(int(factors[f]), own[form.of_row[own] == factors[f]]) for f in shown.tolist()]
        h = [float(form.correlated[factors[f]]) for f in shown.tolist()]
        rest = order[self.most :]
        return _root_of(self.bucket_name(k), value, nodes, h, _further(len(rest), float(terms[rest].sum())))

    def factor(self, factor: int, rows: IntArray) -> Explanation:
        """A weighted sensitivity: the net amount times its weight and concentration factor."""
        form, of = self.form, self.m.rows
        label = _factor_name(of, int(rows[0]), self.risk_class, self.parameters)
        value, cr = float(form.x[factor]), float(form.concentration[factor])
        amount = Explanation(label="net sensitivity", value=float(self.net[factor]), unit=_USD)
        weight = form.weight[rows]
        if (weight != weight[0]).any():
            note = "rows of several tenors are one factor, each with the weight of its own"
            return Explanation(label=label, value=value, unit=_USD, note=note)
        parts = [amount, Explanation(label="weight", value=float(weight[0]) / cr)]
        if cr != 1.0:
            parts.append(Explanation(label="concentration factor", value=cr))
        return Explanation(label=label, value=value, unit=_USD, rule="product", parts=tuple(parts))

    def bucket_name(self, k: int) -> str:
        """What a bucket is called."""
        bucket = int(self.m.bucket[k])
        if self.risk_class is RiskClass.INTEREST_RATE:
            return self.m.rows.names[bucket]
        if self.risk_class is RiskClass.FX or (self.m.rows.risk_type[:1] == RiskType.BASE_CORRELATION).any():
            return "all in one bucket"
        name = self.parameters.bucketed[self.risk_class].buckets[bucket]
        return f"bucket {name}" if name.isdigit() else f"{name.lower()} bucket"


def _root_of(
    label: str,
    value: float,
    figures: Sequence[Explanation],
    correlated: Sequence[float],
    rest: Explanation | None = None,
) -> Explanation:
    """The root of a sum of terms, each a figure times all figures as they are correlated with it."""
    if len(figures) == 1 and rest is None:
        own = figures[0]
        rule = "sum" if own.value >= 0 else "absolute value of the sum"
        return Explanation(label=label, value=value, unit=_USD, rule=rule, parts=(own,))
    terms = [
        Explanation(
            label=f"{own.label}, term",
            value=own.value * h,
            unit=_SQUARED,
            rule="product",
            parts=(own, Explanation(label="all, as correlated with it", value=h, unit=_USD)),
        )
        for own, h in zip(figures, correlated, strict=True)
    ]
    parts = (*terms, rest) if rest is not None else tuple(terms)
    return Explanation(label=label, value=value, unit=_USD, rule=_ROOT, parts=parts)


def _further(n: int, terms: float) -> Explanation | None:
    return Explanation(label=f"{n:,} further factors", value=terms, unit=_SQUARED) if n else None


def _factor_name(rows: Rows, row: int, risk_class: RiskClass, parameters: SimmParameters) -> str:
    """Qualifier, tenor, and the curve or group."""
    kind = RiskType(int(rows.risk_type[row]))
    name, words = rows.names[int(rows.qualifier[row])], []
    if kind in (RiskType.INFLATION, RiskType.INFLATION_VOL):
        words.append("inflation")
    elif kind is RiskType.BASIS:
        words.append("cross-currency basis")
    elif kind not in (RiskType.EQUITY, RiskType.COMMODITY, RiskType.FX, RiskType.BASE_CORRELATION):
        of_class = parameters.bucketed[risk_class].tenors if risk_class in parameters.bucketed else ()
        words.append((of_class or parameters.rates.tenors)[int(rows.tenor[row])])
    if kind is RiskType.IR_CURVE:
        words.append(parameters.rates.sub_curves[int(rows.sub_curve[row])])
    group = rows.groups[int(rows.group[row])] if risk_class.name.startswith("CREDIT") and rows.groups else ""
    return " ".join([name, *words, *([group] if group else [])])


def _add_ons(b: SimmBreakdown, portfolio: int) -> Iterator[Explanation]:
    """What is stated beyond the product classes."""
    for label, value in (
        ("fixed amounts", float(b.add_ons.fixed[portfolio])),
        ("factors on notionals", float(b.add_ons.notional[portfolio])),
    ):
        if value:
            yield Explanation(label=label, value=value, unit=_USD)
