"""A SPAN parameter file of ours as `.spn` XML 4.00: what arrays that we made are handed on in.

It holds what `SpanFile` holds, so that reading it again gives the same file. Decimals are the shortest that read back
to the same number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from crossmargin.files.output import replacing
from crossmargin.methodologies.span.parameters import (
    Across,
    Commodity,
    Kind,
    Leg,
    Method,
    Scenarios,
    ShortOptions,
    SpanFile,
    Spread,
    Tier,
    WeightedRisk,
    strike_text,
)
from crossmargin.portfolio.book import CustomerType

_FAMILIES = {
    Kind.PHY: ("phyPf", "phy"),
    Kind.FUT: ("futPf", "fut"),
    Kind.CMB: ("cmbPf", "cmb"),
    Kind.OOP: ("oopPf", "opt"),
    Kind.OOF: ("oofPf", "opt"),
    Kind.OOC: ("oocPf", "opt"),
}
_CUSTOMERS = {CustomerType.MEMBER: "M", CustomerType.HEDGER: "H", CustomerType.SPECULATOR: "S"}
_BASE_RATE = 1


def write_spn(file: SpanFile, path: Path) -> None:
    """Write `file` to `path`, whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with replacing(path) as written, written.open("w", encoding="ascii", errors="xmlcharrefreplace") as out:
        out.writelines(f"{line}\n" for line in _lines(file))


def _lines(file: SpanFile) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="US-ASCII"?>'
    yield "<spanFile>"
    yield _element("fileFormat", "4.00")
    day = f"{file.business_date:%Y%m%d}"
    yield f"<pointInTime>{_element('date', day)}{_element('isSetl', int(file.is_settlement))}"
    yield f"<clearingOrg>{_element('ec', file.complex)}{_element('capAnov', int(file.limit_option_value))}"
    for (one, other), factor in sorted(file.conversions.items()):
        parts = _element("fromCur", one) + _element("toCur", other) + _element("factor", _number(factor))
        yield f"<curConv>{parts}</curConv>"
    yield from _rate_definitions()
    yield from _points(file.scenarios)
    yield from _exchanges(file)
    for c, commodity in enumerate(file.commodities):
        yield from _commodity(file, c, commodity)
    for name, spreads in (
        ("superSpreads", file.super_spreads),
        ("interSpreads", file.inter_spreads),
        ("interClearSpreads", file.interclear_spreads),
    ):
        yield f"<{name}>{''.join(map(_spread_between, spreads))}</{name}>"
    yield "</clearingOrg></pointInTime>"
    yield "</spanFile>"


def _element(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"


def _number(value: float) -> str:
    return strike_text(float(value))


def _rate_definitions() -> Iterator[str]:
    """A maintenance and an initial rate of each customer type, behind the base rate."""
    for number, who, is_maintenance in _rates():
        parts = (
            _element("r", number)
            + _element("isCust", int(who is not CustomerType.MEMBER))
            + _element("acctType", _CUSTOMERS[who])
            + _element("isM", int(is_maintenance))
            + _element("pbc", "CORE")
        )
        yield f"<pbRateDef>{parts}</pbRateDef>"


def _rates() -> Iterator[tuple[int, CustomerType, bool]]:
    number = _BASE_RATE
    for who in CustomerType:
        for is_maintenance in (True, False):
            number += 1
            yield number, who, is_maintenance


def _points(scenarios: Scenarios) -> Iterator[str]:
    yield f"<pointDef>{_element('r', _BASE_RATE)}"
    for k, (price, vol) in enumerate(zip(scenarios.price, scenarios.vol, strict=True)):
        moves = _move("priceScanDef", price) + _move("volScanDef", vol)
        yield (
            f"<scanPointDef>{_element('point', k + 1)}{moves}{_element('weight', _number(scenarios.cover[k]))}"
            f"{_element('pairedPoint', scenarios.paired[k] + 1)}</scanPointDef>"
        )
    yield "</pointDef>"


def _move(name: str, multiple: float) -> str:
    top, bottom = _fraction(multiple)
    parts = _element("mult", 1) + _element("numerator", _number(top)) + _element("denominator", bottom)
    return f"<{name}>{parts}</{name}>"


def _fraction(value: float) -> tuple[float, int]:
    """A multiple as numerator and denominator that divide to it again: thirds are thirds."""
    return next(((value * bottom, bottom) for bottom in (1, 3) if float(value * bottom).is_integer()), (value, 1))


def _exchanges(file: SpanFile) -> Iterator[str]:
    offsets = np.searchsorted(file.contracts.product, np.arange(len(file.products) + 1))
    ids = _contract_ids(file)
    exchanges: dict[str, list[int]] = {}
    for p, product in enumerate(file.products):
        exchanges.setdefault(product.exchange, []).append(p)
    for exchange, products in exchanges.items():
        yield f"<exchange>{_element('exch', exchange)}"
        for p in products:
            product = file.products[p]
            family, _ = _FAMILIES[product.kind]
            head = _element("pfId", p + 1) + _element("pfCode", product.code) + _element("name", product.name)
            head += _element("currency", product.currency)
            if product.kind.is_option:
                head += _element("exercise", product.exercise)
            head += _element("valueMeth", "EQTY" if product.premium_style else "FUT")
            yield f"<{family}>{head}"
            rows = range(int(offsets[p]), int(offsets[p + 1]))
            yield from _option_series(file, p, rows, ids) if product.kind.is_option else _linear(file, p, rows, ids)
            yield f"</{family}>"
        yield "</exchange>"


def _contract_ids(file: SpanFile) -> np.ndarray:
    """Number of each contract within its product, from 1."""
    first = np.searchsorted(file.contracts.product, file.contracts.product)
    return np.arange(len(file.contracts)) - first + 1


def _linear(file: SpanFile, product: int, rows: range, ids: np.ndarray) -> Iterator[str]:
    contracts = file.contracts
    _, name = _FAMILIES[file.products[product].kind]
    for k in rows:
        parts = _element("cId", ids[k]) + _element("pe", file.periods[contracts.period[k]] or "00000000")
        parts += _price(contracts.price[k]) + _scale(file, k) + _scan_rate(file, k) + _array(file, k)
        yield f"<{name}>{parts}</{name}>"


def _option_series(file: SpanFile, product: int, rows: range, ids: np.ndarray) -> Iterator[str]:
    """Options of one expiry, underlying future, size and ranges are a series."""
    contracts = file.contracts
    series: dict[tuple[str, ...], list[int]] = {}
    for k in rows:
        head = (
            _element("pe", file.periods[contracts.period[k]] or "00000000"),
            _scale(file, k),
            _underlying(file, product, k),
            _scan_rate(file, k),
        )
        series.setdefault(head, []).append(k)
    for common, options in series.items():
        yield f"<series>{''.join(common)}"
        for k in options:
            parts = _element("cId", ids[k]) + _element("o", "C" if contracts.right[k] > 0 else "P")
            parts += _element("k", _number(contracts.strike[k])) + _price(contracts.price[k]) + _array(file, k)
            yield f"<opt>{parts}</opt>"
        yield "</series>"


def _underlying(file: SpanFile, product: int, k: int) -> str:
    """The future that an option is on, by the number of its product and its own number."""
    period = file.contracts.underlying_period[k]
    if not file.periods[period]:
        return ""
    commodity = file.products[product].commodity
    for p, one in enumerate(file.products):
        if one.kind is Kind.FUT and one.commodity == commodity:
            of = np.flatnonzero((file.contracts.product == p) & (file.contracts.period == period))
            if len(of):
                number = int(of[0] - np.searchsorted(file.contracts.product, p)) + 1
                parts = _element("exch", one.exchange) + _element("pfId", p + 1) + _element("cId", number)
                return f"<undC>{parts}</undC>"
    return ""


def _price(price: float) -> str:
    return "" if np.isnan(price) else _element("p", _number(price))


def _scale(file: SpanFile, k: int) -> str:
    contracts = file.contracts
    return _element("sc", _number(contracts.delta_scale[k])) + _element("cvf", _number(contracts.value_factor[k]))


def _scan_rate(file: SpanFile, k: int) -> str:
    contracts = file.contracts
    parts = "".join(
        _element(name, _number(value))
        for name, value in (("priceScan", contracts.price_scan[k]), ("volScan", contracts.vol_scan[k]))
        if not np.isnan(value)
    )
    return f"<scanRate>{_element('r', _BASE_RATE)}{parts}</scanRate>" if parts else ""


def _array(file: SpanFile, k: int) -> str:
    contracts = file.contracts
    values = "".join(f"<a>{_number(value)}</a>" for value in contracts.loss[k].tolist())
    return f"<ra>{_element('r', _BASE_RATE)}{values}{_element('d', _number(contracts.delta[k]))}</ra>"


_WEIGHTED = {
    WeightedRisk.NORMAL: "NORMAL",
    WeightedRisk.SCAN_RANGE_CAP: "SCANRANGE_CAP",
    WeightedRisk.SCAN_RANGE: "SCANRANGE",
}


def _commodity(file: SpanFile, c: int, one: Commodity) -> Iterator[str]:
    head = _element("cc", one.code) + _element("name", one.name) + _element("currency", one.currency)
    head += _element("riskExponent", 0) + _element("capAnov", int(one.limit_option_value))
    head += _element("wfprMeth", _WEIGHTED[one.weighted_risk])
    head += _element("somMeth", "MAX" if one.short_options is ShortOptions.MAX else "GROSS")
    if one.group:
        head += f"<group>{_element('id', 1)}{_element('aVal', one.group)}</group>"
    yield f"<ccDef>{head}"
    for rate in one.spot_rates:
        parts = _element("r", _BASE_RATE) + _element("pe", rate.period)
        parts += _element("sprd", _number(rate.spread_rate)) + _element("outr", _number(rate.outright_rate))
        yield f"<spotRate>{parts}</spotRate>"
    for p, product in enumerate(file.products):
        if product.commodity == c:
            parts = _element("exch", product.exchange) + _element("pfId", p + 1) + _element("pfCode", product.code)
            yield f"<pfLink>{parts}{_element('pfType', product.kind.name)}{_element('sc', 1)}</pfLink>"
    yield from _adjustments(one)
    for name, tiers in (
        ("scanTiers", one.scan_tiers),
        ("intraTiers", one.intra_tiers),
        ("interTiers", one.inter_tiers),
    ):
        yield f"<{name}>{''.join(_tier(tier) for tier in tiers)}</{name}>"
    yield f"<somTiers>{''.join(_tier(tier, with_rate=True) for tier in one.som_tiers)}</somTiers>"
    for spread in (*one.series_spreads, *one.tier_spreads):
        yield _delta_spread(spread, {Method.FLAT: "F", Method.PER_MONTH: "P", Method.WEIGHTED: "W"}[spread.method])
    yield "</ccDef>"


def _adjustments(one: Commodity) -> Iterator[str]:
    base = dict[CustomerType, int]()
    for number, who, is_maintenance in _rates():
        if is_maintenance:
            base[who] = number
        value = one.adjustment[who] if is_maintenance else one.initial_ratio[who]
        below = _BASE_RATE if is_maintenance else base[who]
        parts = _element("r", number) + _element("baseR", below) + _element("val", _number(value))
        yield f"<adjRate>{parts}</adjRate>"


def _tier(tier: Tier, *, with_rate: bool = False) -> str:
    parts = _element("tn", tier.number)
    for name, period in (("sPe", tier.first), ("ePe", tier.last)):
        parts += _element(name, period) if period else ""
    if with_rate:
        parts += f"<rate>{_element('r', _BASE_RATE)}{_element('val', _number(tier.rate))}</rate>"
    return f"<tier>{parts}</tier>"


def _legs(legs: Iterable[Leg]) -> str:
    parts = []
    for leg in legs:
        name, of = ("pLeg", _element("pe", leg.period)) if leg.period else ("tLeg", _element("tn", leg.tier))
        body = _element("cc", leg.commodity) + of + _element("rs", leg.side) + _element("i", _number(leg.ratio))
        parts.append(f"<{name}>{body}</{name}>")
    return "".join(parts)


def _delta_spread(spread: Spread, method: str) -> str:
    rate = f"<rate>{_element('r', _BASE_RATE)}{_element('val', _number(spread.rate))}</rate>"
    if spread.method is Method.PER_MONTH:
        body = _element("psRate", _number(spread.rate)) + _element("pmRate", _number(spread.rate_per_month))
        rate = f"<pmpsRate>{_element('r', _BASE_RATE)}{body}</pmpsRate>"
    head = _element("spread", spread.priority) + _element("chargeMeth", method)
    return f"<dSpread>{head}{rate}{_legs(spread.legs)}</dSpread>"


def _spread_between(spread: Spread) -> str:
    if spread.method is not Method.SCANNING:
        assert spread.across is Across.COMMODITY, "XML has no such spread"
        methods = {Method.WEIGHTED: "W", Method.FLAT_CREDIT: "F", Method.FLAT: "F", Method.PER_MONTH: "P"}
        return _delta_spread(spread, methods[spread.method])
    assert spread.target is not None
    legs = "".join(_scan_leg(leg, is_target=False) for leg in spread.legs if leg.commodity != spread.target.commodity)
    rate = f"<rate>{_element('r', _BASE_RATE)}{_element('val', _number(spread.rate))}</rate>"
    head = _element("spread", spread.priority) + _element("chargeMeth", "S") + rate
    return f"<sSpread>{head}{_scan_leg(spread.target, is_target=True)}{legs}</sSpread>"


def _scan_leg(leg: Leg, *, is_target: bool) -> str:
    parts = _element("cc", leg.commodity) + _element("isTarget", int(is_target))
    return f"<sLeg>{parts}{_element('isRequired', int(leg.required))}{_element('i', _number(leg.ratio))}</sLeg>"
