"""SPAN risk parameter files in the expanded unpacked format: `.pa2` of `U2` to a `SpanFile`.

Records other than risk arrays are read one by one, whatever their order, and put together at the end, when the risk
exponent of each combined commodity and the decimals of each product are known. Decisions that a reader would question:

- The risk exponent scales charges, rates for short options, arrays and price scan ranges, all of which the file states
  in whole units of the performance bond currency; a flat inter-commodity credit is money as it stands.
- The high-precision settlement price is used where the file says that only it holds the price (flag `Y`), or where the
  other one is blank. With flag `N` both are the same number.
- A credit rate that holds for house or for unsegregated accounts only is left out: which of them an account is, is not
  known here, and without the credit the requirement is the higher one.
- What is left out is counted in `SpanFile.skipped` by record id, with a slash and the code where it is one method.

References
----------
cme-span: "Risk parameter file layouts for the positional formats", expanded format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import CrossmarginError, FileFormatError, Problem, UnsupportedError, raise_problems
from crossmargin.files.cells import shown
from crossmargin.files.span_pa2_arrays import FIRST, SECOND, Arrays, Lines, read_arrays
from crossmargin.files.span_pa2_layouts import LONGEST_LINE, field_of, parse_record, record_kind
from crossmargin.files.span_pa2_records import KINDS, Definition, ProductKey, Records, SeriesTerms, named
from crossmargin.methodologies.span.parameters import (
    Commodity,
    Contracts,
    Kind,
    Product,
    SpanFile,
    SpotRate,
    Spread,
    Tier,
    WeightedRisk,
    span_file,
)
from crossmargin.portfolio.book import CustomerType

__all__ = ["parse_pa2", "parse_record"]

_MOST_SHOWN = 50
"""Problems that a message lists."""
_FORMAT = "U2"
_OTHER_FORMATS = {
    "U": "the standard unpacked format",
    "P": "the packed format",
    "UP": "the Paris expanded format",
}
_NEED_EXPANDED = "Get the file in the expanded unpacked format (U2), or in XML (.spn)."


def parse_pa2(data: bytes, source: str, digest: str) -> SpanFile:
    """Read a `.pa2` file.

    Parameters
    ----------
    data : bytes
        Its content, not compressed.
    source : str
        Its name, for messages.
    digest : str
        SHA-256 of the content, `sha256:...`.

    Returns
    -------
    SpanFile
        All amounts in money.

    Raises
    ------
    FileFormatError
        With every line that cannot be read, up to 50.
    UnsupportedError
        If it is in another of the positional formats.
    ParameterError
        If its records contradict one another.
    """
    _refuse_other_files(data, source)
    lines = Lines(data)
    if not len(lines):
        _refuse("is empty", "A .pa2 file begins with a record 0.", source)
    found = Records(source)
    header = _read_header(lines, found)
    is_array = np.zeros(len(lines), dtype=np.bool_)
    for kind in (FIRST, SECOND):
        is_array[lines.begin_with(kind)] = True
    for k in np.flatnonzero(lines.lengths > LONGEST_LINE).tolist():
        found.wrong(
            int(lines.rows[k]),
            f"a line has {int(lines.lengths[k]):,} columns",
            f"No record has more than {LONGEST_LINE}: lines end with LF or CRLF.",
        )
    for k in np.flatnonzero(~is_array)[1:].tolist():
        found.read(lines.text(k), int(lines.rows[k]))
    found.check()
    arrays = read_arrays(lines, source, found.problems)
    contracts = _contracts(arrays, lines, found)
    _raise_first(found.problems)
    products, periods = found.products, found.periods
    return span_file(
        products=[_product(key, found) for key in products],
        periods=list(periods),
        contracts=contracts,
        commodities=[_commodity(definition) for definition in found.definitions.values()],
        spreads=found.spreads,
        source=source,
        digest=digest,
        form=f"pa2 {_FORMAT}",
        conversions=found.conversions,
        skipped=dict(sorted(found.skipped.items())),
        **header,
    )


def _refuse(found: str, needed: str, source: str, kind: type[CrossmarginError] = FileFormatError) -> NoReturn:
    raise kind(Problem(found=found, needed=needed, file=source, kind=kind))


def _refuse_other_files(data: bytes, source: str) -> None:
    """Name what a file is that is no text of records."""
    if data[:1] in (b"\xf0", b"\xf1"):  # the digits 0 and 1 in EBCDIC
        _refuse("is in the packed format", _NEED_EXPANDED, source, UnsupportedError)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        _refuse("is XML", "Name it .spn.", source)


def _read_header(lines: Lines, found: Records) -> dict[str, Any]:
    """What the record 0 says of the file."""
    line, row = lines.text(0), int(lines.rows[0])
    if record_kind(line) != "0":
        # The standard formats begin with a record 1, whose exchange code follows without a blank.
        if line[:1] == "1" and line[1:2].strip():
            _refuse(
                f"begins with '{shown(line[:20])}': the standard format", _NEED_EXPANDED, found.source, UnsupportedError
            )
        _refuse(f"begins with '{shown(line[:20])}'", "A .pa2 file begins with a record 0.", found.source)
    record = found.record("0", line, row)
    code = record.text("format")
    if code in _OTHER_FORMATS:
        _refuse(f"is in {_OTHER_FORMATS[code]} ('{code}')", _NEED_EXPANDED, found.source, UnsupportedError)
    if code and code != _FORMAT:
        record.wrong(f"the format code is '{shown(code)}'", _NEED_EXPANDED, "format")
        raise_problems(found.problems)
    when = record.text("settlement_or_intraday")
    if when not in ("S", "I", ""):
        record.wrong(f"the settlement or intraday flag is '{shown(when)}'", "S or I.", "settlement or intraday")
    stated = record.text("business_date")
    business_date = _date(stated)
    if business_date is None and stated:
        record.wrong(f"'{shown(stated)}' is no date", "Write it as CCYYMMDD.", "business date")
    return {
        "complex": record.text("complex"),
        "business_date": business_date or date.min,
        "is_settlement": when == "S",
        "limit_option_value": record.text("limit_option_value") == "Y",
    }


def _date(text: str) -> date | None:
    if len(text) != len("CCYYMMDD") or not (text.isascii() and text.isdecimal()):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a business date has no zone
    except ValueError:
        return None


def _raise_first(problems: Sequence[Problem]) -> None:
    """Raise the first problems of a file, and say how many there are."""
    if len(problems) > _MOST_SHOWN:
        more = Problem(found=f"and {len(problems) - _MOST_SHOWN:,} more problems", kind=FileFormatError)
        problems = [*problems[:_MOST_SHOWN], more]
    raise_problems(problems)


def _product(key: ProductKey, found: Records) -> Product:
    exchange, code, kind = key
    family, prices = found.families.get(key), found.prices.get(key)
    commodities = {one: k for k, one in enumerate(found.definitions)}
    return Product(
        exchange=exchange,
        code=code,
        kind=kind,
        name=prices.name if prices else "",
        commodity=commodities[family.commodity] if family else -1,
        currency=prices.currency if prices else "",
        premium_style=family.premium_style if family else True,
        exercise=prices.exercise if prices else "",
    )


def _commodity(definition: Definition) -> Commodity:
    """A combined commodity, its charges in money."""

    def money(rate: float) -> float:
        return rate * 10.0**definition.exponent

    def in_money(spreads: Iterable[Spread]) -> tuple[Spread, ...]:
        charged = (
            Spread(priority=one.priority, method=one.method, rate=money(one.rate), legs=one.legs) for one in spreads
        )
        return tuple(sorted(charged, key=lambda spread: spread.priority))

    tiers: dict[str, Any] = {
        name: tuple(Tier(number=one.number, first=one.first, last=one.last, rate=money(one.rate)) for one in some)
        for name, some in definition.tiers.items()
    }
    if "som_tiers" not in tiers and definition.short_option_rate is not None:
        tiers["som_tiers"] = (Tier(number=1, rate=money(definition.short_option_rate)),)
    one_each = dict.fromkeys(CustomerType, 1.0)
    return Commodity(
        code=definition.code,
        currency=definition.currency,
        group=definition.group,
        limit_option_value=definition.limit_option_value,
        weighted_risk=definition.weighted_risk or WeightedRisk.NORMAL,
        short_options=definition.short_options,
        scan_each_month=definition.scan_each_month,
        series_spreads=in_money(definition.series_spreads),
        tier_spreads=in_money(definition.tier_spreads),
        spot_rates=tuple(
            SpotRate(period=one.period, spread_rate=money(one.spread_rate), outright_rate=money(one.outright_rate))
            for one in definition.spot_rates
        ),
        adjustment=one_each | definition.adjustment,
        initial_ratio=one_each | definition.initial_ratio,
        **tiers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """What all contracts of a series have in common."""

    product: int
    period: int
    underlying_period: int
    delta_period: int
    is_option: bool
    settlement_decimals: int
    strike_decimals: int
    array_power: int
    value_factor: float
    delta_scale: float
    price_scan: float
    price_scan_percent: float
    vol_scan: float


_POWERS = np.array([float(10**k) for k in range(32)])
_NONE = float("nan")
_UNKNOWN = _Series(
    product=0,
    period=0,
    underlying_period=0,
    delta_period=0,
    is_option=False,
    settlement_decimals=0,
    strike_decimals=0,
    array_power=0,
    value_factor=0.0,
    delta_scale=1.0,
    price_scan=_NONE,
    price_scan_percent=_NONE,
    vol_scan=_NONE,
)
"""Stands in the place of a series that cannot be read or is skipped, whose contracts are left out."""


def _contracts(arrays: Arrays, lines: Lines, found: Records) -> Contracts:
    """The contracts of all arrays, which name products and periods; what cannot be is put on the list of problems."""
    for key in found.families:
        found.products.setdefault(key, len(found.products))
    counts = np.bincount(arrays.series, minlength=len(arrays.first_lines))
    made = [_series(lines, k, int(n), found) for k, n in zip(arrays.first_lines, counts, strict=True)]
    is_known = np.array([one is not None for one in made], dtype=np.bool_)
    known = [one or _UNKNOWN for one in made]
    kept = np.flatnonzero(is_known[arrays.series])
    series = arrays.series[kept]

    def of_series(name: str, kind: type = np.int64) -> Any:
        return np.array([getattr(one, name) for one in known], dtype=kind)[series]

    is_option = of_series("is_option", np.bool_)
    letter = arrays.right[kept]
    right = np.where(letter == ord("C"), 1, np.where(letter == ord("P"), -1, 0)).astype(np.int8)
    right[~is_option] = 0
    has_strike = arrays.has_strike[kept] & is_option
    rows = lines.rows[arrays.lines[kept]]
    _check_options(rows[is_option & (right == 0)], "is a call or a put", "C or P in column 29.", found)
    _check_options(rows[is_option & ~has_strike], "has a strike", "Digits in columns 48-54.", found)
    strike_units = np.where(has_strike, arrays.strike[kept], 0)
    _check_once(known, series, right, strike_units, rows, found)
    price = _with_point(arrays.settlement[kept], of_series("settlement_decimals"))
    price[~arrays.has_settlement[kept]] = _NONE
    strike = _with_point(strike_units, of_series("strike_decimals"))
    strike[~has_strike] = _NONE
    own_factor = arrays.value_factor[kept]
    value_factor = np.where(own_factor != 0, own_factor, of_series("value_factor", float))
    price_scan = np.full(len(kept), _NONE)
    np.divide(of_series("price_scan", float), value_factor, out=price_scan, where=value_factor != 0)
    percent = of_series("price_scan_percent", float)
    price_scan = np.where(np.isnan(percent), price_scan, np.abs(price) * percent / 100)
    loss = arrays.values[kept].astype(np.float64)
    power = of_series("array_power")
    if power.any():
        loss = _with_point(loss, -power[:, None])
    return Contracts(
        product=of_series("product"),
        period=of_series("period"),
        underlying_period=of_series("underlying_period"),
        delta_period=of_series("delta_period"),
        right=right,
        strike=strike,
        price=price,
        value_factor=value_factor,
        delta=arrays.delta[kept] / 10 ** field_of(SECOND, "delta").decimals,
        delta_scale=of_series("delta_scale", float),
        price_scan=price_scan,
        vol_scan=of_series("vol_scan", float),
        loss=loss,
    )


def _series(lines: Lines, k: int, n_contracts: int, found: Records) -> _Series | None:
    """What a line 81 says of its series; `None` if that is a problem, or of a type that is not known."""
    record = found.record(FIRST, lines.text(k), int(lines.rows[k]))
    exchange, commodity, stated = record.text("exchange"), record.text("commodity"), record.text("type")
    kind = KINDS.get(stated)
    if kind is None and stated:
        for one in (FIRST, SECOND):
            found.skipped[f"{one}/{stated}"] += n_contracts
    if kind is None or not exchange or not commodity:
        return None
    product = exchange, commodity, kind
    before = len(found.problems)
    _, contract, option = key = found.series_key(record, product)
    if len(found.problems) > before:
        return None
    needs_contract = kind not in (Kind.PHY, Kind.OOP)
    if (needs_contract and not contract) or (kind.is_option and not option):
        record.wrong(
            f"{named(product)} without the month of its {'contract' if not contract else 'option'}",
            "CCYYMM in columns 30-35, and for an option in columns 39-44.",
        )
        return None
    prices = found.prices.get(product)
    if prices is None:
        record.wrong(
            f"no record P says how many decimals the prices of {named(product)} have",
            "Every product with arrays has a record P.",
        )
        return None
    family, terms = found.families.get(product), found.terms.get(key, SeriesTerms())
    exponent = found.definitions[family.commodity].exponent if family else 0
    own, underlying = (option, contract if needs_contract else "") if kind.is_option else (contract, "")
    own_place, underlying_place = (found.periods.setdefault(one, len(found.periods)) for one in (own, underlying))
    scan = _NONE if terms.price_scan is None else terms.price_scan
    return _Series(
        product=found.products.setdefault(product, len(found.products)),
        period=own_place,
        underlying_period=underlying_place,
        # An option on a future is counted where its future is; every other contract where it is itself.
        delta_period=underlying_place if kind is Kind.OOF else own_place,
        is_option=kind.is_option,
        settlement_decimals=prices.settlement_decimals,
        strike_decimals=prices.strike_decimals,
        array_power=exponent - (family.array_decimals if family else 0),
        value_factor=terms.value_factor or prices.value_factor,
        delta_scale=terms.delta_scale,
        price_scan=_NONE if terms.price_scan_is_percent else scan * 10.0**exponent,
        price_scan_percent=scan if terms.price_scan_is_percent else _NONE,
        vol_scan=_NONE if terms.vol_scan is None else terms.vol_scan,
    )


def _with_point(units: IntArray | FloatArray, decimals: IntArray) -> FloatArray:
    """`units / 10**decimals`, exactly rounded, also for decimals below 0."""
    power = _POWERS[np.abs(decimals)]
    placed: FloatArray = np.where(decimals >= 0, units / power, units * power)
    return placed


def _check_options(rows: IntArray, what: str, needed: str, found: Records) -> None:
    for row in rows[: _MOST_SHOWN + 1].tolist():
        found.wrong(row, f"nothing says that this option {what}", needed)


def _check_once(
    known: Sequence[_Series],
    series: IntArray,
    right: npt.NDArray[np.int8],
    strike: IntArray,
    rows: IntArray,
    found: Records,
) -> None:
    """Each contract stands once: one number for each, of what names it."""
    number: dict[tuple[int, ...], int] = {}
    named = ((one.product, one.period, one.underlying_period) for one in known)
    number_of = np.array([number.setdefault(name, len(number)) for name in named], dtype=np.int64)
    strikes = 10 ** (field_of(SECOND, "strike").last - field_of(SECOND, "strike").first + 1)
    code = ((number_of[series] * 3 + right + 1) * (2 * strikes)) + strike + strikes
    order = np.argsort(code, kind="stable")
    again = np.flatnonzero(code[order][1:] == code[order][:-1])
    for k in again[: _MOST_SHOWN + 1].tolist():
        found.wrong(
            int(rows[order[k + 1]]),
            f"the contract of line {rows[order[k]]} stands here again",
            "List each contract once.",
        )
