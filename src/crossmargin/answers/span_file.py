"""What a SPAN parameter file holds and what in it looks odd: for whoever loads a file of their own for the first time.

An oddity is no error. Exchanges may do any of these on purpose; but a reader that misunderstood a column would show
here, so look before trusting a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossmargin.methodologies.span.parameters import Kind, SpanFile, contract_name
from crossmargin.methodologies.span.rules import rules_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something odd, and the contracts or rules that it is about."""

    what: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSummary:
    """A parameter file in words."""

    source: str
    form: str
    complex: str
    business_date: str
    is_settlement: bool
    currencies: tuple[str, ...]
    contracts: dict[str, int]
    rules: dict[str, int]
    skipped: dict[str, int]
    never_formed: tuple[str, ...]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__ if name != "findings"},
            "findings": [{"what": one.what, "names": list(one.names)} for one in self.findings],
        }


def file_summary(file: SpanFile) -> FileSummary:
    """Count what `file` holds, and look for what should not be in one."""
    kinds = Counter(file.products[p].kind.name for p in file.contracts.product.tolist())
    rules = {
        "combined commodities": len(file.commodities),
        "scanning tiers": sum(len(one.scan_tiers) for one in file.commodities),
        "calendar spreads, series to series": sum(len(one.series_spreads) for one in file.commodities),
        "calendar spreads, tier to tier": sum(len(one.tier_spreads) for one in file.commodities),
        "delivery-month rates": sum(len(one.spot_rates) for one in file.commodities),
        "super spreads": len(file.super_spreads),
        "inter-commodity spreads": len(file.inter_spreads),
        "inter-clearing spreads": len(file.interclear_spreads),
    }
    return FileSummary(
        source=file.source,
        form=file.form,
        complex=file.complex,
        business_date=file.business_date.isoformat(),
        is_settlement=file.is_settlement,
        currencies=tuple(sorted({one.currency for one in file.commodities})),
        contracts=dict(sorted(kinds.items())),
        rules={name: count for name, count in rules.items() if count},
        skipped=dict(sorted(file.skipped.items())),
        never_formed=rules_of(file).dropped,
        findings=tuple(_findings(file)),
    )


def _findings(file: SpanFile) -> Iterator[Finding]:
    contracts = file.contracts
    kinds = np.array([int(product.kind) for product in file.products] or [0])[contracts.product]
    is_option = contracts.right != 0

    def named(what: str, odd: np.ndarray) -> Iterator[Finding]:
        rows = np.flatnonzero(odd).tolist()
        if rows:
            yield Finding(what=what, names=tuple(contract_name(file, k) for k in rows))

    if len(contracts):
        worst = contracts.loss.max(axis=1)
        value = contracts.price * contracts.value_factor
        # Of a long option no scenario can take more than its price; a cent of rounding is none.
        yield from named(
            "long options that lose more than their price", is_option & (worst > value + 0.01 * (1 + value))
        )
        yield from named("options whose composite delta is outside -1 to 1", is_option & (np.abs(contracts.delta) > 1))
        wrong_sign = is_option & (contracts.delta * contracts.right < 0)
        yield from named("options whose composite delta has the wrong sign", wrong_sign)
        futures = kinds == Kind.FUT
        up, down = contracts.loss[:, 10], contracts.loss[:, 12]
        yield from named("futures that do not lose when the price falls", futures & ~(down > 0))
        lopsided = futures & (np.abs(up + down) > 0.1 * np.maximum(np.abs(up), np.abs(down)))
        yield from named("futures that move by more than a tenth more one way", lopsided)
        multiple, cover = file.scenarios.price[14], file.scenarios.cover[14]
        expected = multiple * cover * (down - up) / 2
        extreme = (contracts.loss[:, 15] - contracts.loss[:, 14]) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            differs = futures & (down > 0) & (np.abs(extreme / expected - 1) > 0.02)
        yield from named(
            f"futures whose extreme scenarios are not {multiple:g} ranges at {cover:.0%} (they are used as shipped)",
            differs,
        )
        yield from named("options without a price, which can not be margined", is_option & np.isnan(contracts.price))
    unplaced = [f"{one.exchange} {one.code} {one.kind.name}" for one in file.products if one.commodity < 0]
    if unplaced:
        yield Finding(what="products in no combined commodity, which can not be margined", names=tuple(unplaced))
    rules = rules_of(file)
    if rules.unsupported:
        names = tuple(f"{file.commodities[c].code}: {why}" for c, why in sorted(rules.unsupported.items()))
        yield Finding(what="combined commodities that can not be margined", names=names)
