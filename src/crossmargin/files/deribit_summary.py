"""Deribit's public book summary as a market: saved as it came, or as the chain file that `snapshot` writes.

A chain file holds the entries of a summary as the venue sent them, and beside them what a summary does not say of
itself: the index price, the time, and where it comes from. Volatilities are in percent there, and decimals here. In a
bare summary the index of a coin is the `estimated_delivery_price` of its rows, the time the newest
`creation_timestamp`; where no entry has one, the time at which the venue received the question (`usIn`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from crossmargin.basics.errors import FileFormatError, Problem, raise_problems
from crossmargin.basics.times import format_utc
from crossmargin.files.cells import MOST_VOL, Cells, shown
from crossmargin.files.deribit import Row, market_of_rows
from crossmargin.market.snapshot import Market

CHAIN_FORMAT = "crossmargin-chain/1"
_COIN = re.compile(r"[A-Z0-9]{1,32}")
_MOST_ENTRIES = 100_000
_METHOD = "public/get_book_summary_by_currency"


def from_summary(document: Any, *, file: str, as_of: datetime | None) -> Market:
    """A market out of a chain file, or of `public/get_book_summary_by_currency`: options, futures, or both in one list.

    Raises
    ------
    FileFormatError
        If it is an error reply or no summary, or lacks the time or the index price of something that it lists.
    InputError
        With every cell that is wrong.
    """
    is_chain = isinstance(document, Mapping) and "format" in document
    entries = entries_of(document, file)
    problems: list[Problem] = []
    cells = Cells(file, problems)
    stated_index: dict[str, float] = {}
    stated: datetime | None = None
    source = f"Deribit book summary {file}"
    if is_chain:
        stated, stated_index = _stated(document, cells)
        source = f"Deribit chain {file}"
    rows, stamps = [], []
    for k, entry in enumerate(entries, start=1):
        name = entry.get("instrument_name")
        if not isinstance(name, str):
            cells.wrong(k, "instrument_name", f"is {shown(str(name))}", "Every entry names its instrument.")
            continue
        if stamp := _number(cells, entry, k, "creation_timestamp"):
            stamps.append(stamp)
        vol = _number(cells, entry, k, "mark_iv", high=100 * MOST_VOL)
        rows.append(
            Row(
                name=name,
                row=k,
                bid=_number(cells, entry, k, "bid_price"),
                ask=_number(cells, entry, k, "ask_price"),
                mark=_number(cells, entry, k, "mark_price"),
                vol=None if vol is None else vol / 100,
                forward=_number(cells, entry, k, "underlying_price"),
                forward_name=str(entry.get("underlying_index") or ""),
                index=_number(cells, entry, k, "estimated_delivery_price"),
            )
        )
    raise_problems(problems)
    stated = stated or newest(stamps, document, file)
    if as_of is None and stated is None:
        raise FileFormatError(
            Problem(
                found="no entry has a creation_timestamp",
                needed="Give the time with --as-of.",
                file=file,
                column="creation_timestamp",
                kind=FileFormatError,
            )
        )
    notes = []
    if as_of is not None and stated is not None and stated != as_of:
        notes.append(f"the file states {format_utc(stated)}; {format_utc(as_of)} was asked for")
    moment = as_of or stated
    assert moment is not None
    market = market_of_rows(rows, moment, source, file, notes, stated_index)
    _require_index(market, file)
    return market


def entries_of(document: Any, file: str) -> Sequence[Mapping[str, Any]]:
    """The entries of a summary, bare or in the reply that it came in.

    Raises
    ------
    FileFormatError
        If it is an error reply, or no list of objects.
    """
    if isinstance(document, Mapping):
        if isinstance(fault := document.get("error"), Mapping):
            found = ", ".join(shown(str(fault[key])) for key in ("code", "message") if key in fault)
            raise _error(file, f"is an error reply of the venue ({found})", "Ask again, and save the answer.")
        if document.get("format", CHAIN_FORMAT) != CHAIN_FORMAT:
            found = f"has the format '{shown(str(document['format']))}'"
            raise _error(file, found, f"A market in JSON has '{CHAIN_FORMAT}', or is the answer of {_METHOD}.")
    result = document.get("result", document) if isinstance(document, Mapping) else document
    if not isinstance(result, list) or not all(isinstance(entry, Mapping) for entry in result) or not result:
        raise _error(
            file,
            "is no book summary: its 'result' is no list of objects",
            f"Save the answer of {_METHOD} as it comes.",
        )
    if len(result) > _MOST_ENTRIES:
        raise _error(file, f"has {len(result):,} entries", f"At most {_MOST_ENTRIES:,} are read.")
    return result


def newest(stamps: Sequence[float], document: Any, file: str) -> datetime | None:
    """The newest of times in milliseconds; without any, when the venue received the question; `None` if not stated."""
    column, milliseconds = "creation_timestamp", max(stamps, default=0.0)
    received = document.get("usIn") if isinstance(document, Mapping) else None
    if not stamps and isinstance(received, int) and not isinstance(received, bool) and received > 0:
        column, milliseconds = "usIn", min(received, 10**18) / 1000
    if not milliseconds:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise FileFormatError(
            Problem(
                found=f"{column} {milliseconds:g} is no time in milliseconds",
                needed="Save the answer as it comes.",
                file=file,
                column=column,
                kind=FileFormatError,
            )
        ) from None


def _stated(document: Mapping[str, Any], cells: Cells) -> tuple[datetime | None, dict[str, float]]:
    """Time and index prices of a chain file; what is wrong with them is on the list of `cells`."""
    stated = cells.time(str(document.get("as_of", "")), None, "as_of")
    prices = document.get("index_price")
    index: dict[str, float] = {}
    if not isinstance(prices, Mapping) or not prices:
        cells.wrong(None, "index_price", "is no object of prices", "A chain file states the index price of each coin.")
        return stated, index
    for coin in prices:
        if not isinstance(coin, str) or not _COIN.fullmatch(coin):
            cells.wrong(None, "index_price", f"states a price of {shown(repr(coin))}", "Name a coin like BTC.")
            continue
        price = _number(cells, prices, None, coin)
        if price:
            index[coin] = price
        elif price == 0 or prices[coin] is None:
            cells.wrong(None, "index_price", f"is {prices[coin]} for {shown(coin)}", "A price is above 0.")
    return stated, index


def _number(cells: Cells, entry: Mapping[str, Any], row: int | None, key: str, **limits: float) -> float | None:
    value = entry.get(key)
    if isinstance(value, bool | list | dict):
        cells.wrong(row, key, f"{shown(str(value))} is not a number", "Save the answer as it comes.")
        return None
    return None if value is None else cells.number(str(value), row, key, low=0, **limits)


def _require_index(market: Market, file: str) -> None:
    """Nothing can be margined without the index price of what it is on."""
    without = [name for name in market.instruments.underlyings if name not in market.index]
    raise_problems(
        [
            Problem(
                found=f"no entry of {name} has an estimated_delivery_price, so its index price is missing",
                needed=f"Take the file with `crossmargin snapshot deribit {name}`, which asks for it too.",
                file=file,
                column="estimated_delivery_price",
                kind=FileFormatError,
            )
            for name in without
        ]
    )


def _error(file: str, found: str, needed: str) -> FileFormatError:
    return FileFormatError(Problem(found=found, needed=needed, file=file, kind=FileFormatError))
