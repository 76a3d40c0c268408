"""Our own plain market: one CSV row an instrument, every column named for what it holds.

Required: `as_of` (the same in every row, or `--as-of` chooses) and `instrument`. Prices: `index_price` (of the
underlying), `forward_price` (of an option), `bid_price`, `ask_price`, `mark_price` (coin for an inverse option), `vol`
(decimal), `vol_model` (`black` or `bachelier`), `discount`. Terms, for names that say none: `kind`, `underlying`,
`payoff`, `quote_currency`, `settlement_currency`, `multiplier`, `expiry`, `strike`, `option_type`, `style`, `delivery`,
`on`. An empty cell is "not quoted". It is also what a case document holds.

A row of kind `fact` quotes nothing: it states `value` of `instrument` (a contract, an asset or an underlying) for the
market as a whole, `fact` saying what: see `FACTS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from crossmargin.basics.errors import CrossmarginError, FileFormatError, InputError, Problem, raise_problems
from crossmargin.basics.names import name_fault
from crossmargin.basics.times import format_utc, parse_utc
from crossmargin.files.cells import LARGEST, MOST_VOL, SMALLEST, Cells, shown
from crossmargin.files.tables import TextTable
from crossmargin.instruments.symbols import canonical_name, parse_symbol
from crossmargin.instruments.terms import (
    DatedFuture,
    Delivery,
    Instrument,
    On,
    Payoff,
    Perpetual,
    Right,
    Spot,
    Style,
    VanillaOption,
)
from crossmargin.market.snapshot import Excluded, Market, Quote, Reason, VolSource

TERM_COLUMNS = (
    "kind",
    "underlying",
    "payoff",
    "quote_currency",
    "settlement_currency",
    "multiplier",
    "expiry",
    "strike",
    "option_type",
    "style",
    "delivery",
    "on",
)
PRICE_COLUMNS = (
    "index_price",
    "forward_price",
    "bid_price",
    "ask_price",
    "mark_price",
    "vol",
    "vol_model",
    "discount",
)
FACT_COLUMNS = ("fact", "value")
FACTS: Mapping[str, tuple[float, float]] = {
    "confidence": (0.0, 1.0),
    "open_interest": (0.0, LARGEST),
    "average_daily_volume": (SMALLEST, LARGEST),
    "deposits": (0.0, LARGEST),
    "borrows": (0.0, LARGEST),
    "twap": (SMALLEST, LARGEST),
    "stable_price": (SMALLEST, LARGEST),
    "lowest_ask": (SMALLEST, LARGEST),
    "highest_bid": (SMALLEST, LARGEST),
}
"""Kinds of facts, and from where to where each may be: an oracle's confidence (1 is full), open interest and a day's
volume in contracts, deposits and borrows in units, and prices. `Market.facts` says what each is of."""
_LONGEST_DECIMAL = 64
COLUMNS = ("as_of", "instrument", *TERM_COLUMNS, *PRICE_COLUMNS, *FACT_COLUMNS)


def from_table(table: TextTable, *, as_of: datetime | None) -> Market:
    """A market out of plain rows."""
    table.require(("as_of", "instrument"), "plain market")
    problems: list[Problem] = []
    cells = Cells(table.file, problems)
    unknown = [name for name in table.columns if name not in COLUMNS]
    for name in unknown:
        cells.wrong(
            table.header_row,
            shown(name),
            f"column '{shown(name)}' is not known",
            f"Write it '{name.lower()}'." if name.lower() in COLUMNS else f"Known: {', '.join(COLUMNS)}.",
        )
    moments = {text: cells.time(text, table.row(k), "as_of") for k, text in _first_of(table.columns["as_of"])}
    known = sorted({moment for moment in moments.values() if moment is not None})
    if len(known) > 1 and as_of is None:
        cells.wrong(None, "as_of", f"{len(known)} different times in one market", "Choose one with --as-of.")
    if known and as_of is not None and as_of not in known:
        cells.wrong(
            None,
            "as_of",
            f"no snapshot of {format_utc(as_of)}",
            f"The file holds {', '.join(map(format_utc, known[:3]))}{' and more' * (len(known) > 3)}.",
        )
    raise_problems(problems)
    moment = as_of or known[0]
    records = (
        (table.row(k), {name: cells_of[k] for name, cells_of in table.columns.items() if cells_of[k]})
        for k in range(len(table))
        if moments[table.columns["as_of"][k]] == moment
    )
    return from_records(records, as_of=moment, source=f"market {table.file}", file=table.file)


def from_records(
    records: Iterable[tuple[int, Mapping[str, str]]],
    *,
    as_of: datetime,
    source: str,
    file: str,
    index: Mapping[str, float] | None = None,
    prices: Mapping[str, float] | None = None,
    vol_source: VolSource = VolSource.QUOTED,
    notes: Iterable[str] = (),
    facts: Mapping[str, Mapping[str, float]] | None = None,
) -> Market:
    """A market out of numbered records of text; what is absent is not quoted."""
    problems: list[Problem] = []
    cells = Cells(file, problems)
    quotes: dict[str, Quote] = {}
    excluded: list[Excluded] = []
    index = dict(index or {})
    prices = dict(prices or {})
    stated = {kind: dict(of_kind) for kind, of_kind in (facts or {}).items()}
    for row, record in records:
        if record.get("kind") == "fact":
            _add_fact(cells, row, record, stated)
            continue
        for column in FACT_COLUMNS:
            if record.get(column):
                cells.wrong(row, column, f"'{shown(record[column])}' in a row that is no fact", "Its kind is 'fact'.")
        number = {
            name: cells.number(record.get(name, ""), row, name, low=-LARGEST if name in _SIGNED else 0.0)
            for name in PRICE_COLUMNS
            if name != "vol_model"
        }
        try:
            instrument = terms_of(record)
        except CrossmarginError as error:
            problems += [
                Problem(
                    found=p.found,
                    needed=p.needed,
                    file=file,
                    row=row,
                    column=p.column or "instrument",
                    kind=p.kind,
                )
                for p in error.problems
            ]
            continue
        model = record.get("vol_model", "black")
        if model not in ("black", "bachelier"):
            cells.wrong(row, "vol_model", f"'{shown(model)}'", "'black' or 'bachelier'.")
        _check_quote(cells, row, instrument, number, is_black=model == "black")
        if instrument.name in quotes:
            cells.wrong(row, "instrument", f"'{instrument.name}' stands twice", "One row an instrument.")
        at = number["index_price"]
        if at is not None and index.setdefault(instrument.underlying, at) != at:
            cells.wrong(
                row,
                "index_price",
                f"{at:g} for {instrument.underlying}, which is {index[instrument.underlying]:g} above",
                "One index price an underlying.",
            )
        expiry = getattr(instrument, "expiry", None)
        if expiry is not None and expiry <= as_of:
            detail = f"it expired at {format_utc(expiry)}, the market is of {format_utc(as_of)}"
            excluded.append(Excluded(name=instrument.name, reason=Reason.EXPIRED, detail=detail, row=row))
            continue
        if isinstance(instrument, Spot) and instrument.quote_currency == "USD":
            price = at if at is not None else number["mark_price"]
            if price is not None:
                prices.setdefault(instrument.underlying, price)  # a case states its own
                index.setdefault(instrument.underlying, price)
        quotes[instrument.name] = Quote(
            instrument=instrument,
            bid=number["bid_price"],
            ask=number["ask_price"],
            mark=number["mark_price"],
            vol=number["vol"],
            vol_normal=model == "bachelier",
            forward=number["forward_price"],
            discount=1.0 if number["discount"] is None else number["discount"],
        )
    _check_indices(cells, quotes.values(), index)
    raise_problems(problems)
    if not quotes:
        raise FileFormatError(
            Problem(
                found="no row can be margined",
                needed="Every row has expired.",
                file=file,
                kind=FileFormatError,
            )
        )
    return Market.from_quotes(
        quotes.values(),
        as_of=as_of,
        source=source,
        index=index,
        prices=prices,
        vol_source=vol_source,
        excluded=excluded,
        notes=tuple(notes),
        facts=stated,
    )


def _add_fact(cells: Cells, row: int, record: Mapping[str, str], stated: dict[str, dict[str, float]]) -> None:
    """Put what a row states of the market as a whole to the facts."""
    kind, name = record.get("fact", ""), canonical_name(record.get("instrument", ""))
    if kind not in FACTS:
        cells.wrong(row, "fact", f"fact '{shown(kind)}'", f"One of {', '.join(FACTS)}.")
        return
    if not name or name_fault(name):
        cells.wrong(row, "instrument", f"'{shown(name)}' is no name", "Name what the fact is of.")
        return
    beside = [column for column in record if column not in ("as_of", "instrument", "kind", *FACT_COLUMNS)]
    for column in beside:
        cells.wrong(row, column, f"'{shown(record[column])}' in a fact, which has no price", "Leave it empty.")
    low, high = FACTS[kind]
    before = len(cells.problems)
    value = cells.number(record.get("value", ""), row, "value", low=low, high=high)
    if value is None and len(cells.problems) == before:
        cells.wrong(row, "value", f"no value of {kind} of '{name}'", "A fact states a number.")
    if name in stated.get(kind, {}):
        cells.wrong(row, "fact", f"{kind} of '{name}' stands twice", "State it once.")
    elif value is not None:
        stated.setdefault(kind, {})[name] = value


def _check_quote(
    cells: Cells, row: int, instrument: Instrument, number: Mapping[str, float | None], *, is_black: bool
) -> None:
    """Prices that the kind of contract cannot have."""
    is_option = isinstance(instrument, VanillaOption)
    inverse = instrument.payoff is Payoff.INVERSE
    for column, value in number.items():
        if value is None:
            continue
        is_touch = column in ("bid_price", "ask_price", "mark_price")
        if is_option and is_touch and value < 0:
            cells.wrong(row, column, f"{value:g} is the price of an option", "An option is worth 0 or more.")
        elif inverse and value <= 0 and (column == "forward_price" or (is_touch and not is_option)):
            cells.wrong(row, column, f"{value:g} is the price of an inverse contract", "It needs a price above 0.")
        elif column == "vol" and value == 0:
            cells.wrong(row, column, "0 is no volatility", "Leave it empty if there is none.")
        elif column == "vol" and is_black and value > MOST_VOL:
            cells.wrong(row, column, f"{value:g} is above {MOST_VOL:g}", "Write a decimal: 0.8 is 80%.")
        elif column == "discount" and not 0 < value <= _MOST_DISCOUNT:
            cells.wrong(row, column, f"{value:g} is no discount factor", f"Above 0, at most {_MOST_DISCOUNT:g}.")


def _check_indices(cells: Cells, quotes: Iterable[Quote], index: Mapping[str, float]) -> None:
    """An index at or below 0 is for linear contracts and Bachelier volatilities only."""
    reported = set()
    for quote in quotes:
        instrument = quote.instrument
        at = index.get(instrument.underlying)
        if at is None or at > 0 or instrument.underlying in reported:
            continue
        is_black = isinstance(instrument, VanillaOption) and not quote.vol_normal
        if is_black or instrument.payoff is Payoff.INVERSE:
            reported.add(instrument.underlying)
            cells.wrong(
                None,
                "index_price",
                f"{at:g} of {instrument.underlying}, which '{instrument.name}' is on",
                "Black volatilities and inverse contracts need a price above 0.",
            )


_MOST_DISCOUNT = 10.0
_SIGNED = ("index_price", "forward_price", "bid_price", "ask_price", "mark_price")
"""Columns that may be negative: crude oil was, once."""


def terms_of(record: Mapping[str, str]) -> Instrument:
    """Terms of a record: from its columns if it names a `kind`, otherwise from its symbol.

    Raises
    ------
    InputError
        Naming the column that is wrong.
    """
    name = record.get("instrument", "")
    for column in ("instrument", "underlying", "quote_currency", "settlement_currency"):
        if fault := name_fault(record.get(column, "")):
            raise InputError(Problem(found=f"{column} {fault[0]}", needed=fault[1], column=column))
    kind = record.get("kind", "")
    multiplier = _decimal(record, "multiplier")
    if not kind:
        return parse_symbol(name, multiplier=multiplier)
    underlying = record.get("underlying") or name
    payoff = _choice(record, "payoff", Payoff, Payoff.LINEAR)
    quote = record.get("quote_currency") or "USD"
    common: dict[str, Any] = {
        "name": canonical_name(name),
        "underlying": underlying,
        "quote_currency": quote,
        "settlement_currency": record.get("settlement_currency") or (underlying if payoff is Payoff.INVERSE else quote),
        "payoff": payoff,
        "multiplier": Decimal(1) if multiplier is None else multiplier,
    }
    if kind == "spot":
        return Spot(**common)
    if kind == "perpetual":
        return Perpetual(**common)
    expiry = _expiry(record)
    if kind == "future":
        return DatedFuture(**common, expiry=expiry)
    if kind == "option":
        strike = _decimal(record, "strike")
        if strike is None:
            raise InputError(Problem(found="an option without a strike", needed="Give it.", column="strike"))
        return VanillaOption(
            **common,
            expiry=expiry,
            strike=strike,
            right=_choice(record, "option_type", Right, None),
            style=_choice(record, "style", Style, Style.EUROPEAN),
            delivery=_choice(record, "delivery", Delivery, Delivery.CASH),
            on=_choice(record, "on", On, On.INDEX),
        )
    raise InputError(Problem(found=f"kind '{shown(kind)}'", needed="spot, future, perpetual or option.", column="kind"))


def record_of(quote_row: int, market: Market) -> dict[str, str]:
    """The record of a market row: what `from_records` reads back to the same bits."""
    instrument = market.instruments.instruments[quote_row]
    record = {"instrument": instrument.name, "underlying": instrument.underlying}
    kinds = {Spot: "spot", Perpetual: "perpetual", DatedFuture: "future", VanillaOption: "option"}
    record["kind"] = kinds[type(instrument)]
    record["payoff"] = instrument.payoff.value
    record["quote_currency"] = instrument.quote_currency
    record["settlement_currency"] = instrument.settlement_currency
    record["multiplier"] = f"{instrument.multiplier:f}"
    if isinstance(instrument, DatedFuture | VanillaOption):
        record["expiry"] = format_utc(instrument.expiry)
    if isinstance(instrument, VanillaOption):
        record["strike"] = f"{instrument.strike:f}"
        record["option_type"] = instrument.right.value
        record["style"] = instrument.style.value
        record["delivery"] = instrument.delivery.value
        record["on"] = instrument.on.value
        record["vol_model"] = "bachelier" if market.vol_normal[quote_row] else "black"
    for column, values in (
        ("forward_price", market.forward),
        ("bid_price", market.bid),
        ("ask_price", market.ask),
        ("mark_price", market.mark),
        ("vol", market.vol),
        ("discount", market.discount),
    ):
        value = float(values[quote_row])
        if not np.isnan(value):
            record[column] = repr(value)
    return record


def _first_of(values: list[str]) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    for k, value in enumerate(values):
        first.setdefault(value, k)
    return [(k, value) for value, k in first.items()]


def _decimal(record: Mapping[str, str], column: str) -> Decimal | None:
    text = record.get(column, "")
    if not text:
        return None
    try:
        value = Decimal(text if text.isascii() and "_" not in text and len(text) <= _LONGEST_DECIMAL else "")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise InputError(Problem(found=f"'{shown(text)}' is not a number", needed="Write a decimal.", column=column))
    if value and not Decimal(SMALLEST) <= abs(value) <= Decimal(LARGEST):
        raise InputError(
            Problem(
                found=f"{column} {text} is out of range",
                needed=f"Its magnitude is from {SMALLEST:g} to {LARGEST:g}.",
                column=column,
            )
        )
    return value


def _expiry(record: Mapping[str, str]) -> datetime:
    text = record.get("expiry", "")
    try:
        return parse_utc(text)
    except (ValueError, OverflowError) as error:
        raise InputError(
            Problem(
                found=f"expiry '{shown(text)}' ({shown(str(error))})",
                needed="Write it like 2026-03-27T08:00:00Z.",
                column="expiry",
            )
        ) from None


def _choice(record: Mapping[str, str], column: str, options: Any, default: Any) -> Any:
    text = record.get(column, "")
    if not text and default is not None:
        return default
    try:
        return options(text)
    except ValueError:
        raise InputError(
            Problem(found=f"{column} '{shown(text)}'", needed=f"One of {', '.join(options)}.", column=column)
        ) from None
