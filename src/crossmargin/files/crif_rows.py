"""A CRIF table of any form, as columns by their CRIF name with the row number of each record.

Amounts stay numbers where they are numbers; everything else is text. A large CSV goes through polars, if every line has
as many cells as the header and no cell breaks a line, so that the line of a record is known by counting; any other CSV
goes through the reader of all tables, which knows the line of every record and says which has too few cells. Both give
the same columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import FileFormatError, Problem, raise_problems
from crossmargin.files.tables import (
    TextTable,
    as_text_table,
    checked_frame,
    checked_header,
    head,
    is_parquet,
    is_polars,
    parse_csv,
    read_frame,
    read_text,
)

if TYPE_CHECKING:
    import polars as pl

REQUIRED = ("PortfolioID", "RiskType")
ALIASES = {
    "PortfolioID": ("portfolioid",),
    "RiskType": ("risktype",),
    "TradeID": ("tradeid",),
    "ProductClass": ("productclass", "assetclass"),
    "Qualifier": ("qualifier",),
    "Bucket": ("bucket",),
    "Label1": ("label1",),
    "Label2": ("label2",),
    "AmountCurrency": ("amountcurrency", "currency"),
    "Amount": ("amount",),
    "AmountUSD": ("amountusd",),
    "IMModel": ("immodel",),
    "CollectRegulations": ("collectregulations",),
    "PostRegulations": ("postregulations",),
    "EndDate": ("enddate",),
}
"""Spellings of each header, in lower case without blanks, underscores and hyphens."""
AMOUNTS = ("Amount", "AmountUSD")
_CANONICAL = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
_FILLING = re.compile(r"[ _\-]")
_DELIMITERS = b",;\t|"
_QUOTE, _LINE = 34, 10
_QUOTED = re.compile(rb'"[^"]*"')
_SMALL = 200_000
"""Bytes below which a CSV is read without polars, which takes longer to load."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrifRows:
    """Rows of a CRIF.

    Parameters
    ----------
    file : str
        Name for messages.
    columns : mapping of str to Series
        By CRIF name, those that the table has: text, but for amounts that are numbers.
    row_numbers : ndarray of int
        Of each record, as people count: the header of a CSV is row 1.
    others : mapping of str to Series
        Columns that CRIF does not have, by their header as it is written and in whatever type they come.
    problems : tuple of Problem
        Rows that are no records.
    """

    file: str
    columns: Mapping[str, pl.Series]
    row_numbers: IntArray
    others: Mapping[str, pl.Series]
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.row_numbers)


def crif_rows(source: Any) -> CrifRows:
    """The rows of a CSV or Parquet file, a polars or pandas frame, an Arrow table, a mapping of columns or records.

    Raises
    ------
    FileFormatError
        If it is no table, or `PortfolioID` or `RiskType` is missing or a header stands twice, in whatever spelling.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if is_parquet(head(path)):
            return _of_frame(checked_frame(read_frame(path), path.name), path.name)
        return _of_csv(read_text(path), path.name)
    if is_polars(source):
        return _of_frame(checked_frame(source, "CRIF"), "CRIF")
    return _of_text(as_text_table(source, "CRIF"))


def _of_csv(text: str, file: str) -> CrifRows:
    if len(text) >= _SMALL:
        frame = _plain_csv(text, file)
        if frame is not None:
            return _of_frame(frame, file, first_row=2)
    return _of_text(parse_csv(text, file))


def _of_frame(frame: pl.DataFrame, file: str, first_row: int = 1) -> CrifRows:
    names = _canonical(frame.columns, file, first_row - 1 or None)
    rows = np.arange(first_row, first_row + frame.height, dtype=np.int64)
    columns = {name: as_column(frame[written], name) for name, written in names.items()}
    used = set(names.values())
    others = {name: frame[name] for name in frame.columns if name not in used}
    return CrifRows(file=file, columns=columns, row_numbers=rows, others=others)


def _of_text(table: TextTable) -> CrifRows:
    import polars as pl

    names = _canonical(list(table.columns), table.file, table.header_row)
    rows = np.array(table.lines if table.lines else range(table.first_row, table.first_row + len(table)), np.int64)
    columns = {name: pl.Series(name, table.columns[written], dtype=pl.String) for name, written in names.items()}
    used = set(names.values())
    others = {
        name: pl.Series(name, cells, dtype=pl.String) for name, cells in table.columns.items() if name not in used
    }
    return CrifRows(
        file=table.file,
        columns=columns,
        row_numbers=rows,
        others=others,
        problems=table.problems,
    )


def _canonical(header: Sequence[str], file: str, row: int | None) -> dict[str, str]:
    """Headers of CRIF that there are, and as they are written."""
    written: dict[str, list[str]] = {}
    for name in header:
        canonical = _CANONICAL.get(_FILLING.sub("", name.strip()).lower())
        if canonical is not None:
            written.setdefault(canonical, []).append(name)
    problems = [
        Problem(
            found=f"{' and '.join(repr(one) for one in names)} are both {name}",
            needed="Keep one of them.",
            file=file,
            row=row,
            column=name,
            kind=FileFormatError,
        )
        for name, names in written.items()
        if len(names) > 1
    ]
    problems += [
        Problem(
            found=f"column '{name}' is missing; the header is {', '.join(header)[:400] or 'empty'}",
            needed=f"A CRIF has at least {' and '.join(REQUIRED)}.",
            file=file,
            row=row,
            column=name,
            kind=FileFormatError,
        )
        for name in REQUIRED
        if name not in written
    ]
    raise_problems(problems)
    return {name: names[0] for name, names in written.items()}


def as_column(column: pl.Series, name: str) -> pl.Series:
    """A column of a frame: an amount as the numbers that it holds, anything else as text."""
    import polars as pl

    if name in AMOUNTS and column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype.is_float():  # a bucket that pandas or numpy made a float; a NaN is an absent text
        whole = column.cast(pl.Int64, strict=False)
        text = pl.select(pl.when(whole == column).then(whole.cast(pl.String)).otherwise(column.cast(pl.String)))
        return pl.select(pl.when(column.is_nan()).then(None).otherwise(text.to_series())).to_series().fill_null("")
    return column.cast(pl.String).fill_null("")


def _plain_csv(text: str, file: str) -> pl.DataFrame | None:
    """A CSV whose lines are its records, as text columns; `None` if it is none."""
    import polars as pl

    raw = text.encode().rstrip(b"\r\n")
    first = raw.split(b"\n", 1)[0]
    delimiter = max(_DELIMITERS, key=_QUOTED.sub(b"", first).count)
    if not first.strip() or raw.count(b"\r") != raw.count(b"\r\n") or raw.count(b'"') % 2:
        return None
    header = next(csv.reader(io.StringIO(first.decode().rstrip("\r")), delimiter=chr(delimiter)))
    if not _lines_are_records(raw, delimiter, len(header)):
        return None
    names = checked_header([name.strip() for name in header], file, 1)
    try:
        frame = pl.read_csv(
            raw, separator=chr(delimiter), infer_schema=False, has_header=False, skip_rows=1, empty_string_is_null=False
        )
    except pl.exceptions.PolarsError:
        return None  # the other reader says which row
    if frame.width != len(names) or frame.height != raw.count(b"\n"):
        return None
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _lines_are_records(raw: bytes, delimiter: int, n_columns: int) -> bool:
    """Whether every line has `n_columns` cells, and no quoted cell goes over the end of its line."""
    content = np.frombuffer(raw, dtype=np.uint8)
    marks = np.flatnonzero((content == delimiter) | (content == _LINE))
    quotes = np.flatnonzero(content == _QUOTE)
    if len(quotes):
        inside = (np.searchsorted(quotes, marks) & 1).astype(np.bool_)
        if (content[marks[inside]] == _LINE).any():
            return False
        marks = marks[~inside]
    ends = np.append(np.flatnonzero(content[marks] == _LINE), len(marks))
    return bool((ends == np.arange(1, len(ends) + 1) * n_columns - 1).all())
