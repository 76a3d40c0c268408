"""Markets from files: which format it is, and a `Market` out of it.

Formats are recognised from content; `--market-format` overrules. Each has its reader in a module of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from crossmargin.basics.errors import FileFormatError, InputError, Problem, raise_problems
from crossmargin.basics.times import parse_utc
from crossmargin.files import cboe, deribit, deribit_summary, plain_market
from crossmargin.files.cells import shown
from crossmargin.files.json_text import read_json
from crossmargin.files.tables import (
    TextTable,
    frame_as_text,
    head,
    is_json,
    is_parquet,
    parse_csv,
    read_frame,
    read_text,
)
from crossmargin.market.snapshot import Market


class MarketFormat(StrEnum):
    """`DERIBIT_CHAIN`: CSV or Parquet of option rows. `DERIBIT_SUMMARY`: JSON of the public book summary, or the chain
    file that a snapshot is. `CBOE`: quote table of one underlying. `PLAIN`: our own."""

    DERIBIT_CHAIN = "deribit-chain"
    DERIBIT_SUMMARY = "deribit-summary"
    CBOE = "cboe"
    PLAIN = "plain"


def read_market(
    source: str | Path | Market, *, market_format: str | None = None, as_of: str | datetime | None = None
) -> Market:
    """Read a market snapshot.

    Parameters
    ----------
    source : str, Path or Market
        A file; CSV may be gzip.
    market_format : str, optional
        One of `MarketFormat`; recognised from content if not given.
    as_of : str or datetime, optional
        The time of the snapshot, with its zone, for a file that does not state one (Cboe), or to choose one of
        several in a Deribit file.

    Raises
    ------
    InputError
        With everything that makes the file no market.
    """
    if isinstance(source, Market):
        return source
    if not isinstance(source, str | Path):
        raise InputError(
            Problem(found=f"a market given as {type(source).__name__}", needed="Give a file, or a `Market`.")
        )
    path = Path(source)
    moment = _moment(as_of)
    wanted = _format(market_format)
    if is_parquet(head(path)):
        table = frame_as_text(read_frame(path), path.name)
    elif is_json(path):
        if wanted not in (None, MarketFormat.DERIBIT_SUMMARY):
            raise _mismatch(path.name, "JSON", wanted)
        return deribit_summary.from_summary(read_json(path), file=path.name, as_of=moment)
    else:
        table = parse_csv(read_text(path), path.name)
    raise_problems(table.problems)
    wanted = wanted or recognised(table)
    if wanted is MarketFormat.DERIBIT_CHAIN:
        return deribit.from_chain(table, as_of=moment)
    if wanted is MarketFormat.CBOE:
        return cboe.from_quotes(table, as_of=moment)
    if wanted is MarketFormat.PLAIN:
        return plain_market.from_table(table, as_of=moment)
    raise _mismatch(path.name, "a table", wanted)


def recognised(table: TextTable) -> MarketFormat:
    """The format that a table's header says."""
    has = set(table.columns)
    if {"snapshot_time", "instrument", "underlying_price"} <= has:
        return MarketFormat.DERIBIT_CHAIN
    if {"root", "instrument", "underlying_last"} <= has:
        return MarketFormat.CBOE
    if {"as_of", "instrument"} <= has:
        return MarketFormat.PLAIN
    raise FileFormatError(
        Problem(
            found=f"no market format that we know has the header {shown(', '.join(table.columns), 500)}",
            needed="A Deribit chain has snapshot_time, instrument, underlying_price; a Cboe table root, instrument, "
            "underlying_last; our own as_of, instrument. Or name it with --market-format.",
            file=table.file,
            row=table.header_row,
            kind=FileFormatError,
        )
    )


def _format(name: str | None) -> MarketFormat | None:
    if name is None:
        return None
    try:
        return MarketFormat(name)
    except ValueError:
        raise InputError(
            Problem(found=f"no market format '{shown(name)}'", needed=f"One of {', '.join(MarketFormat)}.")
        ) from None


def _moment(as_of: str | datetime | None) -> datetime | None:
    if as_of is None:
        return None
    if isinstance(as_of, str):
        try:
            return parse_utc(as_of)
        except (ValueError, OverflowError) as error:
            raise InputError(
                Problem(found=f"as-of time: {shown(str(error))}", needed="Write it like 2026-01-31T08:00:00Z.")
            ) from None
    if as_of.tzinfo is None:
        raise InputError(Problem(found="as-of time without a zone", needed="Give an aware datetime, in UTC."))
    try:
        return as_of.astimezone(UTC)
    except OverflowError as error:
        raise InputError(f"as-of time {as_of}: {error}") from None


def _mismatch(file: str, is_a: str, wanted: MarketFormat | None) -> FileFormatError:
    return FileFormatError(
        Problem(
            found=f"is {is_a}, which '{wanted}' is not",
            needed="Leave the market format out: it is recognised.",
            file=file,
            kind=FileFormatError,
        )
    )
