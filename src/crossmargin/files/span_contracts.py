"""Contracts with prices and ranges, in a table, to a SPAN parameter file with arrays of ours.

For a venue that publishes scan ranges and ships no file. One row a contract:

    product, kind, expiry, price_scan      every contract; kind is PHY, FUT, OOP or OOF; PHY has no expiry
    price                                  of a future, physical or option; of an option the model's if left out
    strike, right, vol, vol_scan, underlying_price      every option
    exchange, currency, value_factor, delta_scale, commodity, underlying_expiry      where they are other than usual

What a reader might question: nothing is known here of spreads. Calendar charges, minimums and credits are added to the
file by whoever has them, or stay 0.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.files.cells import Cells, shown
from crossmargin.files.tables import TextTable, read_table
from crossmargin.methodologies.span.generate import ArrayRules, Model, linear_arrays, option_arrays
from crossmargin.methodologies.span.listing import period_of
from crossmargin.methodologies.span.parameters import (
    N_SCENARIOS,
    Commodity,
    Contracts,
    Kind,
    Product,
    SpanFile,
    span_file,
)
from crossmargin.revaluation.black import bachelier, black76

REQUIRED = ("product", "kind", "expiry", "price_scan")
OPTION_COLUMNS = ("strike", "right", "vol", "vol_scan", "underlying_price")
OPTIONAL = ("price", "exchange", "currency", "value_factor", "delta_scale", "commodity", "underlying_expiry")
_RIGHTS = {"C": 1, "CE": 1, "CALL": 1, "P": -1, "PE": -1, "PUT": -1}
_KINDS = {kind.name: kind for kind in (Kind.PHY, Kind.FUT, Kind.OOP, Kind.OOF)}
_DECIMALS = 4
"""Of money in arrays: finer than any tick, and short enough to read."""


@dataclass(slots=True)
class _Rows:
    """Columns of the contracts that are right, as they are read."""

    product: list[Product] = field(default_factory=list)
    period: list[str] = field(default_factory=list)
    underlying: list[str] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    numbers: dict[str, list[float]] = field(default_factory=dict)
    years: list[float] = field(default_factory=list)


def generate_span_file(source: Path, *, business_date: date, rules: ArrayRules, complex_code: str = "OWN") -> SpanFile:
    """Read contracts and make their arrays.

    Parameters
    ----------
    source : Path
        CSV file.
    business_date : date
        Of the prices: times to expiry are counted from it, in days over 365.
    rules : ArrayRules
        Scenarios, look-ahead, model.
    complex_code : str
        Code of the exchange complex in the file.

    Raises
    ------
    InputError, ParameterError
        With everything that is wrong, row by row.
    """
    table = read_table(source)
    table.require(REQUIRED, "contracts")
    problems: list[Problem] = list(table.problems)
    cells = Cells(table.file, problems)
    known = {*REQUIRED, *OPTION_COLUMNS, *OPTIONAL}
    for name in table.columns:
        if name not in known:
            cells.wrong(table.header_row, shown(name), f"column '{shown(name)}' is not known",
                        f"Known: {', '.join((*REQUIRED, *OPTION_COLUMNS, *OPTIONAL))}.")  # fmt: skip
    rows = _Rows()
    for k in range(len(table)):
        record = {name: column[k] for name, column in table.columns.items() if column[k]}
        _read(table, k, record, rows, cells, business_date, rules)
    raise_problems(problems)
    if not rows.product:
        raise InputError(Problem(found="no contract", needed="Give one row a contract.", file=table.file))
    digest = hashlib.sha256(source.read_bytes() + repr((rules, business_date)).encode()).hexdigest()
    return _file(rows, rules, source=table.file, digest=f"sha256:{digest}", complex=complex_code,
                 business_date=business_date)  # fmt: skip


def _read(
    table: TextTable, k: int, record: dict[str, str], rows: _Rows, cells: Cells, today: date, rules: ArrayRules
) -> None:
    """One contract; what is wrong with it goes to the problems of `cells`."""
    row = table.row(k)
    n_before = len(cells.problems)
    kind = _KINDS.get(record.get("kind", "").upper())
    if kind is None:
        cells.wrong(row, "kind", f"kind '{shown(record.get('kind', ''))}'", f"One of {', '.join(_KINDS)}.")
        return
    if not record.get("product"):
        cells.wrong(row, "product", "product is empty", "Give every contract its product.")
    period = "" if kind is Kind.PHY else (period_of(record.get("expiry", "").upper()) or "")
    if kind is not Kind.PHY and not period:
        found = f"expiry '{shown(record.get('expiry', ''))}' is no date"
        cells.wrong(row, "expiry", found, "Write 2026-06-30, 20260630 or 202606.")
    numbers = {"price_scan": _number(cells, record, row, "price_scan", above_0=True)}
    for name, usual in (("value_factor", 1.0), ("delta_scale", 1.0)):
        numbers[name] = _number(cells, record, row, name, above_0=True) if name in record else usual
    needs_price = not kind.is_option
    numbers["price"] = _number(cells, record, row, "price") if needs_price or "price" in record else math.nan
    right = 0
    if kind.is_option:
        right = _RIGHTS.get(record.get("right", "").upper(), 0)
        if not right:
            cells.wrong(row, "right", f"right '{shown(record.get('right', ''))}'", "C or P.")
        for name in ("strike", "underlying_price"):
            numbers[name] = _number(cells, record, row, name, above_0=rules.model is Model.BLACK76)
        for name in ("vol", "vol_scan"):
            numbers[name] = _number(cells, record, row, name, low=0.0)
        if len(period) not in (0, 8):
            cells.wrong(row, "expiry", f"expiry '{record['expiry']}' of an option has no day", "Write 2026-06-30.")
    expiry = _date(period)
    if expiry is not None and expiry < today:
        cells.wrong(row, "expiry", f"it expired on {expiry}, before {today}", "Leave out what has expired.")
    if len(cells.problems) > n_before:
        return
    rows.product.append(
        Product(
            exchange=record.get("exchange", "OWN"),
            code=record["product"],
            kind=kind,
            name=record.get("commodity", record["product"]),
            currency=record.get("currency", "USD"),
        )
    )
    rows.period.append(period)
    underlying = period_of(record.get("underlying_expiry", "").upper()) or ""
    rows.underlying.append((underlying or period) if kind is Kind.OOF else "")
    rows.right.append(right)
    rows.years.append((expiry - today).days / 365 if expiry is not None else math.nan)
    for name in ("price_scan", "value_factor", "delta_scale", "price", "strike", "underlying_price", "vol", "vol_scan"):
        rows.numbers.setdefault(name, []).append(numbers.get(name, math.nan))


def _number(
    cells: Cells, record: dict[str, str], row: int, column: str, *, low: float = -1e15, above_0: bool = False
) -> float:
    """A number of a record; NaN, with a problem, where there is none or it is too low."""
    n_before = len(cells.problems)
    value = cells.number(record.get(column, ""), row, column, low=0.0 if above_0 else low)
    if value is None:
        if len(cells.problems) == n_before:
            cells.wrong(row, column, f"{column} is empty", "It is needed.")
        return math.nan
    if above_0 and value == 0:
        cells.wrong(row, column, f"{column} is 0", "A number above 0.")
    return value


def _date(period: str) -> date | None:
    if len(period) != 8 or not period.isdigit():
        return None
    try:
        return date(int(period[:4]), int(period[4:6]), int(period[6:]))
    except ValueError:
        return None


def _file(rows: _Rows, rules: ArrayRules, **stated: Any) -> SpanFile:
    """Arrays of all contracts, and the file that holds them."""
    columns = {name: np.array(values, dtype=np.float64) for name, values in rows.numbers.items()}
    is_option = np.array([product.kind.is_option for product in rows.product])
    loss = np.empty((len(is_option), N_SCENARIOS))
    delta = np.ones(len(is_option))
    of, others = np.flatnonzero(is_option), np.flatnonzero(~is_option)
    loss[others] = linear_arrays(columns["price_scan"][others], columns["value_factor"][others], rules)

    def options(name: str) -> FloatArray:
        return columns[name][of]

    if len(of):
        loss[of], delta[of] = option_arrays(
            underlying=options("underlying_price"),
            strike=options("strike"),
            is_call=np.array(rows.right)[of] > 0,
            vol=options("vol"),
            years=np.array(rows.years)[of],
            price=options("price"),
            price_scan=options("price_scan"),
            vol_scan=options("vol_scan"),
            value_factor=options("value_factor"),
            rules=rules,
        )
        missing = of[np.isnan(columns["price"][of])]
        if len(missing):
            columns["price"][missing] = _model_price(columns, rows, missing, rules)
    commodities = _commodities(rows.product)
    codes = [one.code for one in commodities]
    products = list(dict.fromkeys(rows.product))
    periods = sorted({"", *rows.period, *rows.underlying})
    place = {period: k for k, period in enumerate(periods)}

    def periods_of(names: Sequence[str]) -> Any:
        return np.array([place[name] for name in names], dtype=np.int64)

    number = {product: k for k, product in enumerate(products)}
    underlying = periods_of(rows.underlying)
    own = periods_of(rows.period)
    return span_file(
        products=[replace(product, commodity=codes.index(product.name)) for product in products],
        periods=periods,
        contracts=Contracts(
            product=np.array([number[product] for product in rows.product], dtype=np.int64),
            period=own,
            underlying_period=underlying,
            delta_period=np.where(underlying > 0, underlying, own),
            right=np.array(rows.right, dtype=np.int8),
            strike=columns["strike"],
            price=columns["price"],
            value_factor=columns["value_factor"],
            delta=np.round(delta, _DECIMALS) + 0.0,
            delta_scale=columns["delta_scale"],
            price_scan=columns["price_scan"],
            vol_scan=columns["vol_scan"],
            loss=np.round(loss, _DECIMALS) + 0.0,
        ),
        commodities=commodities,
        spreads={},
        form="arrays of our own",
        scenarios=rules.scenarios,
        **stated,
    )


def _model_price(columns: dict[str, FloatArray], rows: _Rows, of: Any, rules: ArrayRules) -> FloatArray:
    value = black76 if rules.model is Model.BLACK76 else bachelier
    total_vol = columns["vol"][of] * np.sqrt(np.array(rows.years)[of])
    is_call = np.array(rows.right)[of] > 0
    return np.round(value(columns["underlying_price"][of], columns["strike"][of], total_vol, is_call), 8)


def _commodities(products: Sequence[Product]) -> list[Commodity]:
    """A combined commodity for each name that products are put under; its currency is that of all of them.

    Raises
    ------
    InputError
        If products of one commodity are in several currencies.
    """
    currencies: dict[str, set[str]] = {}
    for product in products:
        currencies.setdefault(product.name, set()).add(product.currency)
    raise_problems(
        [
            Problem(
                found=f"commodity '{name}' has products in {', '.join(sorted(of))}", needed="One currency for each."
            )
            for name, of in currencies.items()
            if len(of) > 1
        ]
    )
    return [Commodity(code=name, name=name, currency=next(iter(of))) for name, of in sorted(currencies.items())]
