"""The calculation in long form, as the field's reports print it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.methodologies.simm.margins import BASE_CORRELATION, MARGIN_TYPES
from crossmargin.methodologies.simm.parameters import RISK_CLASS_NAMES, RiskClass
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES
from crossmargin.portfolio.sensitivities import Coded

if TYPE_CHECKING:
    from crossmargin.methodologies.simm.recipe import SimmBreakdown

ALL, ADDITIONAL = "All", "AdditionalIM"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimmReport:
    """The levels of the calculation in long form; one axis of lines, amounts in the currency of the breakdown."""

    portfolio: Coded
    product_class: Coded
    risk_class: Coded
    margin_type: Coded
    bucket: Coded
    amount: FloatArray


Line = tuple[str, str, str, str, str, float]


def report(b: SimmBreakdown) -> SimmReport:
    """Every level of every portfolio; levels in which there is nothing are left out, but for the total.

    A margin type over all risk classes is their root under psi: a line of the report, and no part of the sum.
    """
    lines: list[Line] = []
    margins = {key: b.margin(*key) for key in b.margins}
    by_bucket = _by_bucket(b)
    for p, name in enumerate(b.portfolios):
        lines += _of_portfolio(b, p, name, margins, by_bucket)
    columns = list(zip(*lines, strict=True)) if lines else [()] * 6
    texts = [Coded.of([str(cell) for cell in column]) for column in columns[:5]]
    return SimmReport(
        portfolio=texts[0],
        product_class=texts[1],
        risk_class=texts[2],
        margin_type=texts[3],
        bucket=texts[4],
        amount=np.array(columns[5], dtype=np.float64),
    )


def _of_portfolio(
    b: SimmBreakdown,
    p: int,
    name: str,
    margins: dict[tuple[RiskClass, str], FloatArray],
    by_bucket: dict[tuple[RiskClass, str, int], list[tuple[str, float]]],
) -> list[Line]:
    from crossmargin.methodologies.simm.recipe import psi_root

    lines: list[Line] = []
    sums: dict[tuple[str, str], float] = {}
    for c, product_class in enumerate(PRODUCT_CLASSES):
        own = np.array(
            [
                [margins[one, kind][p, c] if (one, kind) in margins else 0.0 for one in RiskClass]
                for kind in MARGIN_TYPES
            ]
        )
        if not own.any() and not any((one, kind, p * len(PRODUCT_CLASSES) + c) in by_bucket for one, kind in margins):
            continue
        for r, risk_class in enumerate(RISK_CLASS_NAMES):
            for t, margin_type in enumerate(MARGIN_TYPES):
                cells = by_bucket.get((RiskClass(r), margin_type, p * len(PRODUCT_CLASSES) + c))
                if cells is None:
                    continue
                lines += [(name, product_class, risk_class, margin_type, bucket, k) for bucket, k in cells]
                lines.append((name, product_class, risk_class, margin_type, ALL, float(own[t, r])))
                _add(sums, risk_class, margin_type, float(own[t, r]))
            if any(line[2] == risk_class and line[1] == product_class for line in lines):
                value = float(b.risk_class[p, c, r])
                lines.append((name, product_class, risk_class, ALL, ALL, value))
                _add(sums, risk_class, ALL, value)
        for t, margin_type in enumerate(MARGIN_TYPES):
            if any(line[3] == margin_type and line[1] == product_class for line in lines):
                value = float(psi_root(own[t][:, None], b.parameters.psi)[0])
                lines.append((name, product_class, ALL, margin_type, ALL, value))
                _add(sums, ALL, margin_type, value)
        value, beyond = float(b.product_class[p, c]), float(b.add_ons.multiplied[p, c] / b.usd_per_unit)
        lines += _added(name, product_class, beyond) if beyond else []
        lines.append((name, product_class, ALL, ALL, ALL, value + beyond))
    for (risk_class, margin_type), value in sums.items():
        lines.append((name, ALL, risk_class, margin_type, ALL, value))
    for of_kind, amount in (
        ("AddOnNotionalFactor", float(b.add_ons.notional[p] / b.usd_per_unit)),
        ("AddOnFixedAmount", float(b.add_ons.fixed[p] / b.usd_per_unit)),
    ):
        lines += [*_added(name, of_kind, amount), (name, of_kind, ALL, ALL, ALL, amount)] if amount else []
    added = float(b.add_ons.total[p] / b.usd_per_unit)
    lines += _added(name, ALL, added) if added else []
    lines.append((name, ALL, ALL, ALL, ALL, float(b.total[p])))
    return lines


def _added(name: str, product_class: str, amount: float) -> list[Line]:
    return [(name, product_class, ALL, ADDITIONAL, ALL, amount)]


def _add(sums: dict[tuple[str, str], float], risk_class: str, margin_type: str, value: float) -> None:
    sums[risk_class, margin_type] = sums.get((risk_class, margin_type), 0.0) + value


def _by_bucket(b: SimmBreakdown) -> dict[tuple[RiskClass, str, int], list[tuple[str, float]]]:
    """Margin of each bucket alone, by risk class, margin type and scope."""
    found: dict[tuple[RiskClass, str, int], list[tuple[str, float]]] = {}
    for (risk_class, kind), margin in b.margins.items():
        buckets = b.bucket_names(risk_class, margin)
        for scope, bucket, k in zip(margin.scope.tolist(), margin.bucket.tolist(), margin.k.tolist(), strict=True):
            if not buckets or kind == BASE_CORRELATION:
                found.setdefault((risk_class, kind, scope), [])
            else:
                found.setdefault((risk_class, kind, scope), []).append((buckets[bucket], k / b.usd_per_unit))
    return found
