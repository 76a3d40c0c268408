"""Text tables from files: CSV (plain or gzip) and Parquet, as columns of strings with their row numbers.

Everything is read as text, so that a quantity is the decimal that was written and a bad cell can be shown as it
stands. Limits are checked before anything is parsed. Small CSV files go through the standard library, which starts at
once; larger ones and Parquet through polars, with the same result.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crossmargin.basics.errors import FileFormatError, Problem, raise_problems

MOST_BYTES = 8 * 1024**3
"""Largest file, and largest text that a gzip file may unfold to."""
MOST_COLUMNS = 1000
LONGEST_CELL = 65_536
SMALL_BYTES = 8 * 1024**2
"""CSV text up to this size goes through the standard library."""
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A table as text.

    Parameters
    ----------
    file : str
        Name for messages.
    columns : mapping of str to list of str
        By header, cells with outer blanks removed.
    first_row : int
        Row number of the first record: 2 under a header, 1 where there is no header line.
    lines : list of int or None
        Line of each record, where blank lines or line breaks in cells make it other than counting on.
    """

    file: str
    columns: dict[str, list[str]]
    first_row: int = 2
    lines: list[int] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def row(self, record: int) -> int:
        """Row number of a record in the file, for messages."""
        return self.lines[record] if self.lines else self.first_row + record

    def require(self, names: Sequence[str], what: str) -> None:
        """Raise `FileFormatError` naming every column of `names` that is missing."""
        missing = [name for name in names if name not in self.columns]
        raise_problems(
            [
                Problem(
                    found=f"column '{name}' is missing; the header is {', '.join(self.columns)}",
                    needed=f"A {what} file has the columns {', '.join(names)}.",
                    file=self.file,
                    row=1,
                    column=name,
                    kind=FileFormatError,
                )
                for name in missing
            ]
        )


def head(path: Path, n_bytes: int = 65_536) -> bytes:
    """First bytes of a file, unfolded if it is gzip.

    Raises
    ------
    FileFormatError
        If there is no such file, it is empty, too large or broken gzip.
    """
    try:
        size = path.stat().st_size
    except OSError:
        raise FileFormatError(_problem(path, "there is no such file", "Check the path.")) from None
    if path.is_dir():
        raise FileFormatError(_problem(path, "is a folder", "Name a file."))
    if size == 0:
        raise FileFormatError(_problem(path, "is empty", "It needs a header and at least one row."))
    if size > MOST_BYTES:
        raise FileFormatError(_problem(path, f"has {size:,} bytes", f"At most {MOST_BYTES:,} are read."))
    try:
        with _opened(path) as stream:
            return stream.read(n_bytes)
    except OSError as error:
        raise FileFormatError(_problem(path, f"cannot be read ({error.strerror or error})", "")) from None
    except (EOFError, zlib.error):
        raise FileFormatError(_problem(path, "is broken gzip", "Compress it again.")) from None


def is_parquet(start: bytes) -> bool:
    """Whether these first bytes are those of a Parquet file."""
    return start.startswith(_PARQUET)


def read_bytes(path: Path) -> bytes:
    """The whole file, unfolded if it is gzip, never more than `MOST_BYTES`."""
    head(path, 1)
    chunks, total = [], 0
    try:
        with _opened(path) as stream:
            while chunk := stream.read(1 << 20):
                total += len(chunk)
                if total > MOST_BYTES:
                    raise FileFormatError(_problem(path, f"unfolds to more than {MOST_BYTES:,} bytes", ""))
                chunks.append(chunk)
    except (EOFError, zlib.error, OSError):
        raise FileFormatError(_problem(path, "is broken gzip", "Compress it again.")) from None
    return b"".join(chunks)


def read_table(path: Path) -> TextTable:
    """Read a CSV or Parquet file as text columns.

    Raises
    ------
    FileFormatError
        For a wrong encoding, a duplicate or empty header, ragged rows, no rows: all of a kind at once.
    """
    start = head(path)
    if is_parquet(start):
        return parquet_as_text(path)
    return parse_csv(decode(read_bytes(path), path.name), path.name)


def decode(raw: bytes, file: str) -> str:
    """UTF-8 text, with or without a byte-order mark.

    Raises
    ------
    FileFormatError
        Naming the encoding that it looks like.
    """
    guess = ""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        guess = "UTF-16"
    elif b"\x00" in raw[:65_536]:
        guess = "binary data"
    if guess:
        raise FileFormatError(_problem(file, f"is {guess}, not UTF-8 text", "Save it as CSV UTF-8."))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        raise FileFormatError(
            Problem(
                found=f"byte 0x{raw[error.start]:02x} is not UTF-8 (another encoding, perhaps Latin-1)",
                needed="Save it as CSV UTF-8.",
                file=file,
                row=row,
                kind=FileFormatError,
            )
        ) from None


def parse_csv(text: str, file: str) -> TextTable:
    """Columns of CSV text; the delimiter is the one that splits the header into most columns."""
    first_line = text.split("\n", 1)[0]
    if not text.strip():
        raise FileFormatError(_problem(file, "is empty", "It needs a header and at least one row."))
    delimiter = max(_DELIMITERS, key=first_line.count)
    if len(text) > SMALL_BYTES:
        return _large_csv(text, file, delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    csv.field_size_limit(LONGEST_CELL)
    problems: list[Problem] = []
    records: list[list[str]] = []
    lines: list[int] = []
    try:
        header = _checked_header([cell.strip() for cell in next(reader)], file)
        for record in reader:
            if not record:  # a blank line is no row
                continue
            if len(record) != len(header):
                problems.append(_ragged(file, reader.line_num, len(record), len(header)))
                continue
            records.append(record)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise FileFormatError(
            Problem(found=f"is no CSV ({error})", file=file, row=reader.line_num, kind=FileFormatError)
        ) from None
    raise_problems(problems)
    if not records:
        raise FileFormatError(_problem(file, "has a header and no rows", "It needs at least one row."))
    columns = {
        name: [cell.strip() for cell in cells]
        for name, cells in zip(header, zip(*records, strict=True), strict=True)
    }
    return TextTable(file=file, columns=columns, lines=lines)


def _large_csv(text: str, file: str, delimiter: str) -> TextTable:
    import polars as pl

    header = _checked_header(
        [c.strip() for c in next(csv.reader([text.split("\n", 1)[0]], delimiter=delimiter))], file
    )
    try:
        frame = pl.read_csv(
            text.encode(), separator=delimiter, infer_schema=False, missing_utf8_is_empty_string=True
        )
    except pl.exceptions.PolarsError as error:
        raise FileFormatError(_problem(file, f"is no CSV ({str(error).splitlines()[0]})", "")) from None
    return TextTable(
        file=file,
        columns={
            name: frame[source].str.strip_chars().to_list()
            for name, source in zip(header, frame.columns, strict=True)
        },
    )


def parquet_as_text(path: Path) -> TextTable:
    """A Parquet file as text columns; an absent value is the empty text."""
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FileFormatError(_problem(path, f"is no Parquet ({str(error).splitlines()[0]})", "")) from None
    _checked_header(frame.columns, path.name)
    if not frame.height:
        raise FileFormatError(_problem(path, "has no rows", "It needs at least one row."))
    return TextTable(
        file=path.name,
        columns={name: [cell_text(value) for value in frame[name].to_list()] for name in frame.columns},
        first_row=1,
    )


def cell_text(value: object) -> str:
    """A value of a frame as the text that a CSV would hold; nothing is the empty text."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat else str(value)


def _checked_header(header: list[str], file: str) -> list[str]:
    problems = []
    seen: set[str] = set()
    for k, name in enumerate(header, start=1):
        if not name:
            problems.append(f"column {k} has no name")
        elif name in seen:
            problems.append(f"column '{name}' stands twice in the header")
        seen.add(name)
    if len(header) > MOST_COLUMNS:
        problems.append(f"{len(header):,} columns; at most {MOST_COLUMNS:,} are read")
    raise_problems(
        [
            Problem(found=found, needed="Name every column once.", file=file, row=1, kind=FileFormatError)
            for found in problems
        ]
    )
    return header


def _ragged(file: str, row: int, found: int, needed: int) -> Problem:
    return Problem(
        found=f"{found} cells under a header of {needed}",
        needed="Give every row one cell for each column; quote a cell that holds the delimiter.",
        file=file,
        row=row,
        kind=FileFormatError,
    )


def _problem(path: Path | str, found: str, needed: str) -> Problem:
    return Problem(found=found, needed=needed, file=os.path.basename(path), kind=FileFormatError)


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        zipped = stream.read(2) == _GZIP
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]
