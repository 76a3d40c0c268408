"""Deribit chains: CSV or Parquet of option rows; what makes a market of the rows of any of Deribit's forms.

Prices are in coin for inverse options. The forward of an expiry is the one that its marks imply by put-call parity,
since quoted forwards and marks of a fast market are of slightly different moments; where that is not possible it is
the median of the quoted ones. The price of a listed future is the median of the rows that name it. A perpetual is
listed for every coin: without a price in the file its policy is `MissingPerpetual`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from statistics import median

import numpy as np

from crossmargin.basics.errors import CrossmarginError, FileFormatError, Problem, raise_problems
from crossmargin.basics.names import name_fault
from crossmargin.basics.times import format_utc
from crossmargin.files.cells import MOST_VOL, Cells, shown
from crossmargin.files.tables import TextTable
from crossmargin.instruments.deribit import parse_deribit
from crossmargin.instruments.terms import (
    DatedFuture,
    Instrument,
    Payoff,
    Perpetual,
    Right,
    Spot,
    VanillaOption,
)
from crossmargin.market.parity import inverse_parity_forward
from crossmargin.market.snapshot import Excluded, Market, Quote, Reason

CHAIN_COLUMNS = ("snapshot_time", "instrument", "bid_price", "ask_price", "mark_price", "underlying_price")
_MOST_DISAGREEMENT = 0.05
"""Index prices of one underlying in one snapshot that are further apart than this are not one snapshot."""


@dataclass(slots=True)
class Row:
    """One quoted row, of either source."""

    name: str
    row: int
    bid: float | None
    ask: float | None
    mark: float | None
    vol: float | None
    forward: float | None
    forward_name: str
    index: float | None


def spot(coin: str) -> Spot:
    """The coin itself, priced at its index: what a coin balance is as a position."""
    return Spot(
        name=coin,
        underlying=coin,
        quote_currency="USD",
        settlement_currency="USD",
        payoff=Payoff.LINEAR,
        multiplier=Decimal(1),
    )


def from_chain(table: TextTable, *, as_of: datetime | None) -> Market:
    """A market out of the rows of one snapshot."""
    table.require(CHAIN_COLUMNS, "Deribit chain")
    problems: list[Problem] = []
    cells = Cells(table.file, problems)
    columns = table.columns
    empty = [""] * len(table)
    times: dict[str, datetime | None] = {}
    rows = []
    for k, text in enumerate(columns["snapshot_time"]):
        if text not in times:
            times[text] = cells.time(text, table.row(k), "snapshot_time")
        if as_of is not None and times[text] is not None and times[text] != as_of:
            continue
        row = table.row(k)
        rows.append(
            Row(
                name=columns["instrument"][k],
                row=row,
                bid=cells.number(columns["bid_price"][k], row, "bid_price", low=0),
                ask=cells.number(columns["ask_price"][k], row, "ask_price", low=0),
                mark=cells.number(columns["mark_price"][k], row, "mark_price", low=0),
                vol=cells.number(columns.get("mark_iv", empty)[k], row, "mark_iv", low=0, high=MOST_VOL),
                forward=cells.number(columns["underlying_price"][k], row, "underlying_price", low=0),
                forward_name=columns.get("underlying_name", empty)[k],
                index=cells.number(columns.get("index_price", empty)[k], row, "index_price", low=0),
            )
        )
    raise_problems(problems)
    known = sorted(moment for moment in times.values() if moment is not None)
    if as_of is None and len(known) > 1:
        raise FileFormatError(
            Problem(
                found=f"{len(known)} snapshots, {format_utc(known[0])} to {format_utc(known[-1])}",
                needed="Choose one with --as-of.",
                file=table.file,
                column="snapshot_time",
                kind=FileFormatError,
            )
        )
    if not rows:
        raise FileFormatError(
            Problem(
                found=f"no snapshot of {format_utc(as_of) if as_of else ''}",
                needed=f"The file holds {', '.join(format_utc(moment) for moment in known[:3])}"
                + (" and more." if len(known) > 3 else "."),
                file=table.file,
                column="snapshot_time",
                kind=FileFormatError,
            )
        )
    return market_of_rows(rows, as_of or known[0], f"Deribit chain {table.file}", table.file, ())


def market_of_rows(
    rows: list[Row],
    as_of: datetime,
    source: str,
    file: str,
    notes: Iterable[str],
    stated_index: Mapping[str, float] | None = None,
) -> Market:
    """Terms, indices and futures out of the rows; rows that cannot be margined are listed.

    An index price that is stated beside the rows counts, and not what the rows say of it.
    """
    quotes: dict[str, Quote] = {}
    excluded: list[Excluded] = []
    problems: list[Problem] = []
    index_quotes: dict[str, list[float]] = {name: [value] for name, value in (stated_index or {}).items()}
    future_prices: dict[str, list[float]] = {}
    for row in rows:
        if row.name in quotes:
            problems.append(
                Problem(
                    found=f"'{row.name}' stands twice",
                    needed="One row an instrument.",
                    file=file,
                    row=row.row,
                    column="instrument",
                )
            )
            continue
        instrument = _terms(row, as_of, excluded)
        if instrument is None:
            continue
        if row.index:
            index_quotes.setdefault(instrument.underlying, []).append(row.index)
        is_option = isinstance(instrument, VanillaOption)
        # A listed future is named by its options; a synthetic forward ("SYN.", "index_price") is not traded.
        if is_option and row.forward and row.forward_name.startswith(f"{instrument.underlying}-"):
            future_prices.setdefault(row.forward_name, []).append(row.forward)
        # A future or perpetual at 0 is not quoted; an option may be worth nothing.
        bid, ask, mark = (price if is_option else price or None for price in (row.bid, row.ask, row.mark))
        quotes[row.name] = Quote(
            instrument=instrument,
            bid=bid,
            ask=ask,
            mark=mark,
            vol=(row.vol or None) if is_option else None,
            forward=(row.forward or None) if is_option else None,
        )
    raise_problems(problems)
    index = {}
    for underlying, values in index_quotes.items():
        index[underlying] = (stated_index or {}).get(underlying, median(values))
        if max(values) > (1 + _MOST_DISAGREEMENT) * min(values):
            problems.append(
                Problem(
                    found=f"index prices of {underlying} from {min(values):g} to {max(values):g} in one snapshot",
                    needed="Give the rows of one moment.",
                    file=file,
                    column="index_price",
                )
            )
    raise_problems(problems)
    if not quotes:
        reasons = f"; row {excluded[0].row}: {excluded[0].name}: {excluded[0].detail}" if excluded else ""
        raise FileFormatError(Problem(found=f"no row can be margined{reasons}", file=file, kind=FileFormatError))
    noted = list(notes)
    for name, prices in future_prices.items():
        if name in quotes:
            continue
        future = _future(name)
        if future is None or future.expiry <= as_of:
            noted.append(f"options name '{shown(name)}' as their forward, which is no future that trades")
        else:
            quotes[name] = Quote(instrument=future, mark=median(prices))
    noted += _set_forwards(quotes)
    for coin in index:
        perpetual = f"{coin}-PERPETUAL"
        if perpetual not in quotes and _is_known(perpetual):
            quotes[perpetual] = Quote(instrument=parse_deribit(perpetual))
        quotes.setdefault(coin, Quote(instrument=spot(coin)))
    for side, count in (
        ("bid", sum(q.bid is None for q in quotes.values() if isinstance(q.instrument, VanillaOption))),
        ("ask", sum(q.ask is None for q in quotes.values() if isinstance(q.instrument, VanillaOption))),
    ):
        if count:
            noted.append(f"{count} options have no {side}: left missing, nothing is put in its place")
    return Market.from_quotes(
        quotes.values(),
        as_of=as_of,
        source=source,
        index=index,
        prices=index,
        excluded=excluded,
        notes=noted,
    )


def _set_forwards(quotes: dict[str, Quote]) -> list[str]:
    """One forward for each expiry, in place; what to note about it."""
    expiries: dict[tuple[str, str, datetime, Payoff], list[str]] = {}
    for name, quote in quotes.items():
        option = quote.instrument
        if isinstance(option, VanillaOption):
            key = (option.underlying, option.quote_currency, option.expiry, option.payoff)
            expiries.setdefault(key, []).append(name)
    implied = 0
    for (_, _, _, payoff), names in expiries.items():
        quoted = [forward for name in names if (forward := quotes[name].forward) is not None]
        if not quoted:
            continue
        implied_forward: float | None = None
        if payoff is Payoff.INVERSE:
            implied_forward = _implied_forward([quotes[name] for name in names], median(quoted))
            implied += implied_forward is not None
        for name in names:
            quotes[name] = replace(quotes[name], forward=median(quoted) if implied_forward is None else implied_forward)
    if not implied:
        return []
    return [f"forwards of {implied} of {len(expiries)} expiries are those that the marks imply by put-call parity"]


def _implied_forward(quotes: list[Quote], quoted: float) -> float | None:
    marks: dict[float, dict[Right, float]] = {}
    for quote in quotes:
        option = quote.instrument
        # A mark of 0 is a price below the venue's last digit: too coarse to say a forward.
        if isinstance(option, VanillaOption) and quote.mark:
            marks.setdefault(float(option.strike), {})[option.right] = quote.mark
    strikes = sorted(marks)
    call, put = (np.array([marks[k].get(right, np.nan) for k in strikes]) for right in (Right.CALL, Right.PUT))
    return inverse_parity_forward(np.array(strikes), call, put, quoted)


def _terms(row: Row, as_of: datetime, excluded: list[Excluded]) -> Instrument | None:
    """Terms of a row, or `None` with the reason on the list."""
    if fault := name_fault(row.name):
        excluded.append(
            Excluded(name=shown(row.name), reason=Reason.UNSUPPORTED, detail=f"its name {fault[0]}", row=row.row)
        )
        return None
    try:
        instrument = parse_deribit(row.name)
    except CrossmarginError as error:
        problem = error.problems[0]
        excluded.append(Excluded(name=row.name, reason=Reason.UNSUPPORTED, detail=problem.found, row=row.row))
        return None
    expiry = getattr(instrument, "expiry", None)
    if expiry is not None and expiry <= as_of:
        excluded.append(
            Excluded(
                name=row.name,
                reason=Reason.EXPIRED,
                detail=f"it expired at {format_utc(expiry)}, the market is of {format_utc(as_of)}",
                row=row.row,
            )
        )
        return None
    return instrument


def _future(name: str) -> DatedFuture | None:
    try:
        instrument = parse_deribit(name)
    except CrossmarginError:
        return None
    return instrument if isinstance(instrument, DatedFuture) else None


def _is_known(name: str) -> bool:
    try:
        return isinstance(parse_deribit(name), Perpetual)
    except CrossmarginError:
        return False
