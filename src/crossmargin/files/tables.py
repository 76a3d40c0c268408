"""Text tables: CSV (plain or gzip), Parquet and what people hold in memory, as columns of strings with row numbers.

Everything is read as text, so that a quantity is the decimal that was written and a bad cell can be shown as it
stands. Limits are checked before anything is parsed. CSV of every size goes through the standard library, which starts
at once and knows the line of every record; Parquet through polars.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from crossmargin.basics.errors import FileFormatError, InputError, Problem, raise_problems

if TYPE_CHECKING:
    import polars as pl

MOST_BYTES = 8 * 1024**3
"""Largest file."""
MOST_TEXT_BYTES = 2 * 1024**3
"""Largest text, also what a gzip file may unfold to; more rows than that are for Parquet."""
MOST_COLUMNS = 1000
LONGEST_CELL = 65_536
_HEAD_BYTES = 65_536
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_DELIMITERS = ",;\t|"
_QUOTED = re.compile('"[^"]*"')
_NUMBERS = ("quantity", "amount", "open_buys", "open_sells", "unrealised_pnl")
"""Columns in which a NaN is a wrong number; in others it is an absent text."""


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
        Line at which each record begins, where blank lines or line breaks in cells make it other than counting on.
    header_row : int or None
        Line of the header; `None` where there is no header line.
    problems : tuple of Problem
        Rows that are left out because their number of cells is wrong: for whoever checks the others.
    """

    file: str
    columns: dict[str, list[str]]
    first_row: int = 2
    lines: list[int] | None = None
    header_row: int | None = 1
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def row(self, record: int) -> int:
        """Row number of a record in the file, for messages."""
        return self.lines[record] if self.lines else self.first_row + record

    def require(self, names: Sequence[str], what: str) -> None:
        """Raise `FileFormatError` naming every column of `names` that is missing."""
        spelled = {name.lower(): name for name in self.columns}
        raise_problems(
            [
                Problem(
                    found=f"column '{name}' is missing; the header is {', '.join(self.columns) or 'empty'}",
                    needed=f"Write '{spelled[name]}' as '{name}'."
                    if name in spelled
                    else f"A {what} file has the columns {', '.join(names)}.",
                    file=self.file,
                    row=self.header_row,
                    column=name,
                    kind=FileFormatError,
                )
                for name in names
                if name not in self.columns
            ]
        )


def head(path: Path, n_bytes: int = _HEAD_BYTES) -> bytes:
    """First bytes of a file, unfolded if it is gzip.

    Raises
    ------
    FileFormatError
        If there is no such file, it is empty, too large or broken gzip.
    """
    with _opened(path) as stream:
        return stream.read(n_bytes)


def is_parquet(start: bytes) -> bool:
    """Whether these first bytes are those of a Parquet file."""
    return start.startswith(_PARQUET)


def is_json(path: Path) -> bool:
    """Whether a file begins as a JSON object or list does; not, where it cannot be read: its reader says why."""
    try:
        return head(path).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    except FileFormatError:
        return False


def read_text(path: Path, most_bytes: int | None = None) -> str:
    """The whole file as text, unfolded if it is gzip; errors as `head` and `decode`."""
    most = MOST_TEXT_BYTES if most_bytes is None else most_bytes
    _refuse_binary(head(path), path.name)
    chunks, total = [], 0
    with _opened(path) as stream:
        while chunk := stream.read(1 << 20):
            total += len(chunk)
            if total > most:
                raise FileFormatError(
                    _problem(path, f"is or unfolds to more than {most:,} bytes of text", "Use Parquet.")
                )
            chunks.append(chunk)
    return decode(b"".join(chunks), path.name)


def read_table(path: Path) -> TextTable:
    """Read a CSV or Parquet file as text columns.

    Raises
    ------
    FileFormatError
        For a wrong encoding, a duplicate or empty header, no rows: all of a kind at once.
    """
    if is_parquet(head(path)):
        return frame_as_text(read_frame(path), path.name)
    return parse_csv(read_text(path), path.name)


def decode(raw: bytes, file: str) -> str:
    """UTF-8 text, with or without a byte-order mark.

    Raises
    ------
    FileFormatError
        Naming the encoding that it looks like.
    """
    _refuse_binary(raw[:_HEAD_BYTES], file)
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


def _refuse_binary(start: bytes, file: str) -> None:
    guess = ""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        guess = "UTF-16"
    elif b"\x00" in start:
        guess = "binary data"
    if guess:
        raise FileFormatError(_problem(file, f"is {guess}, not UTF-8 text", "Save it as CSV UTF-8."))


def parse_csv(text: str, file: str) -> TextTable:
    """Columns of CSV text; the delimiter is the one that splits the header into most columns."""
    # newline="" ends lines at \n, \r\n and \r alike, and leaves those inside quotes as they are.
    first_line = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    if not first_line:
        raise FileFormatError(_problem(file, "is empty", "It needs a header and at least one row."))
    delimiter = max(_DELIMITERS, key=_QUOTED.sub("", first_line).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    limit_before = csv.field_size_limit(LONGEST_CELL)
    header: list[str] = []
    header_row = 1
    problems: list[Problem] = []
    cells: list[str] = []  # row by row; not a list a row, which is slow by the million
    lines: list[int] = []
    begins = 1
    try:
        for record in reader:
            row, begins = begins, reader.line_num + 1
            if not header:
                if any(cell.strip() for cell in record):
                    header, header_row = checked_header([c.strip() for c in record], file, row), row
            elif len(record) == len(header):
                cells += record
                lines.append(row)
            elif len(record) > 1 or any(cell.strip() for cell in record):  # a blank line is no row
                problems.append(_ragged(file, row, len(record), len(header)))
    except csv.Error as error:
        raise FileFormatError(
            Problem(
                found=f"is no CSV ({error})",
                needed="Check the quotes of this row.",
                file=file,
                row=begins,
                kind=FileFormatError,
            )
        ) from None
    finally:
        csv.field_size_limit(limit_before)
    if not cells:
        raise_problems(problems)
        raise FileFormatError(_problem(file, "has a header and no rows", "It needs at least one row."))
    columns = {name: [cell.strip() for cell in cells[k :: len(header)]] for k, name in enumerate(header)}
    return TextTable(file=file, columns=columns, lines=lines, header_row=header_row, problems=tuple(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """A frame, or a Parquet file that is read as several.

    Parameters
    ----------
    schema : mapping of str to DataType
        Columns as they are called in the file.
    height : int
        Rows altogether.
    parts : callable
        Given the columns that are wanted, the frames with these columns, one after the other.
    """

    schema: Mapping[str, pl.DataType]
    height: int
    parts: Callable[[Sequence[str]], Iterator[pl.DataFrame]]

    @classmethod
    def of(cls, frame: pl.DataFrame, batch_rows: int | None = None) -> Frames:
        """A frame that is there already, whole or as slices of `batch_rows`."""

        def parts(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
            return frame.select(columns).iter_slices(batch_rows or frame.height)

        return cls(schema=frame.schema, height=frame.height, parts=parts)

    def batches(self, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
        """The frames with these columns, by the name that they get, under that name."""
        for frame in self.parts(list(columns.values())):
            yield frame.rename({written: name for name, written in columns.items()})


def parquet_frames(path: Path, batch_rows: int, large: int) -> Frames:
    """A Parquet file as one frame; as frames of `batch_rows` where it has `large` rows or more."""
    import polars as pl

    with _parquet_problems(path):
        lazy = pl.scan_parquet(path, glob=False)
        height = int(lazy.select(pl.len()).collect().item())
    if height < large:
        return Frames.of(read_frame(path))

    def parts(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        for start in range(0, height, batch_rows):
            with _parquet_problems(path):
                part = lazy.select(columns).slice(start, batch_rows).collect()
            yield part

    return Frames(schema=lazy.collect_schema(), height=height, parts=parts)


def read_frame(path: Path) -> pl.DataFrame:
    """A Parquet file as a polars frame."""
    import polars as pl

    with _parquet_problems(path):
        return pl.read_parquet(path, glob=False)


@contextmanager
def _parquet_problems(path: Path) -> Iterator[None]:
    """Whatever keeps a Parquet file from being read is a `FileFormatError`."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = (str(error).splitlines() or ["damaged"])[0]
        raise FileFormatError(_problem(path, f"is no Parquet that can be read ({reason})", "Write it again.")) from None


def checked_columns(schema: Mapping[str, pl.DataType], file: str, height: int) -> dict[str, str]:
    """Names of columns without outer blanks, and as they are written; errors as `checked_frame`."""
    import polars as pl

    header = checked_header([name.strip() for name in schema], file, None)
    raise_problems(
        [
            Problem(
                found=f"column '{name}' holds {dtype}",
                needed="Every cell is one text or number.",
                file=file,
                column=name,
                kind=FileFormatError,
            )
            for name, dtype in zip(header, schema.values(), strict=True)
            if dtype.is_nested() or dtype in (pl.Binary, pl.Object)
        ]
    )
    if not height:
        raise FileFormatError(_problem(file, "has no rows", "It needs at least one row."))
    return dict(zip(header, schema, strict=True))


def checked_frame(frame: pl.DataFrame, file: str) -> pl.DataFrame:
    """A frame with rows and unique headers without outer blanks, no column of lists, objects or bytes."""
    names = checked_columns(frame.schema, file, frame.height)
    return frame.rename({written: name for name, written in names.items()})


def frame_as_text(frame: pl.DataFrame, file: str) -> TextTable:
    """A frame as text columns; an absent value is the empty text."""
    frame = checked_frame(frame, file)
    return TextTable(
        file=file,
        columns={name: [_text(value, name) for value in frame[name].to_list()] for name in frame.columns},
        first_row=1,
        header_row=None,
    )


def cell_text(value: object) -> str:
    """A value of a frame as the text that a CSV would hold; nothing is the empty text."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # those of pandas
        return ""
    if isinstance(value, float):
        return repr(float(value))
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat()) if isoformat else str(value)


def is_nan(value: object) -> bool:
    """Whether this is a floating-point NaN, which is how pandas says that a text is missing."""
    return isinstance(value, float) and math.isnan(value)


def checked_header(header: list[str], file: str, row: int | None) -> list[str]:
    """The header as it is; raise `FileFormatError` where a name is empty or stands twice, or there are too many."""
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
            Problem(found=found, needed="Name every column once.", file=file, row=row, kind=FileFormatError)
            for found in problems
        ]
    )
    return header


def is_polars(source: Any) -> bool:
    """Whether this is a polars frame; polars is not loaded to find out."""
    return type(source).__module__.startswith("polars") and hasattr(source, "to_dicts")


def as_text_table(source: Any, what: str) -> TextTable:
    """Any table that people hold, as text columns.

    Parameters
    ----------
    source
        A polars or pandas frame, an Arrow table, a mapping of columns or a sequence of records.
    what : str
        What it holds, for messages.

    Raises
    ------
    InputError
        If it is none of these, has no rows, or its columns do not make a table.
    """
    if is_polars(source):
        return frame_as_text(source, what)
    if isinstance(source, Mapping):
        columns = [(name, _cells(cells, str(name), what)) for name, cells in source.items()]
    elif hasattr(source, "to_pydict"):  # Arrow
        columns = list(source.to_pydict().items())
    elif hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas, by position: a header may stand twice
        columns = [(name, source.iloc[:, k].tolist()) for k, name in enumerate(source.columns)]
    elif isinstance(source, Sequence) and all(isinstance(record, Mapping) for record in source):
        keys = dict.fromkeys(key for record in source for key in record)
        columns = [(key, [record.get(key) for record in source]) for key in keys]
    else:
        raise InputError(
            Problem(
                found=f"{what} are given as {type(source).__name__}",
                needed="Give a path, a polars or pandas frame, an Arrow table, a mapping of columns or a list of "
                "records.",
            )
        )
    header = checked_header([str(name).strip() for name, _ in columns], what, None)
    if not columns or not columns[0][1]:
        raise FileFormatError(
            Problem(found="no rows", needed="Give at least one row.", file=what, kind=FileFormatError)
        )
    if len({len(cells) for _, cells in columns}) > 1:
        lengths = ", ".join(f"{name} {len(cells)}" for name, (_, cells) in zip(header, columns, strict=True))
        raise FileFormatError(
            Problem(
                found=f"columns of different lengths ({lengths})",
                needed="Give every column one cell a row.",
                file=what,
                kind=FileFormatError,
            )
        )
    return TextTable(
        file=what,
        columns={
            name: [_text(value, name) for value in cells] for name, (_, cells) in zip(header, columns, strict=True)
        },
        first_row=1,
        header_row=None,
    )


def _cells(cells: Any, name: str, what: str) -> list[Any]:
    if isinstance(cells, str | bytes) or not hasattr(cells, "__iter__"):
        raise FileFormatError(
            Problem(
                found=f"column '{name}' is {type(cells).__name__}",
                needed="Give a list of cells.",
                file=what,
                column=name,
                kind=FileFormatError,
            )
        )
    return list(cells)


def _text(value: object, column: str) -> str:
    """A cell as text. A NaN in a column of names is how numpy and pandas say that there is none."""
    if is_nan(value) and column not in _NUMBERS:
        return ""
    return cell_text(value).strip()


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


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unfolded if it is gzip; whatever keeps them from being read is a `FileFormatError`."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        raise FileFormatError(_problem(path, "there is no such file", "Check the path.")) from None
    if stat.S_ISDIR(status.st_mode):
        raise FileFormatError(_problem(path, "is a folder", "Name a file."))
    if not stat.S_ISREG(status.st_mode):
        raise FileFormatError(_problem(path, "is a pipe or a device", "Save its content to a file first."))
    if status.st_size == 0:
        raise FileFormatError(_problem(path, "is empty", "It needs a header and at least one row."))
    if status.st_size > MOST_BYTES:
        raise FileFormatError(_problem(path, f"has {status.st_size:,} bytes", f"At most {MOST_BYTES:,} are read."))
    try:
        with path.open("rb") as stream:
            zipped = stream.read(2) == _GZIP
            stream.seek(0)
            if zipped:
                with gzip.open(stream) as unfolded:
                    yield unfolded  # type: ignore[misc]  # gzip opened to read binary
            else:
                yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(_problem(path, f"is broken gzip ({error})", "Compress it again.")) from None
    except OSError as error:
        raise FileFormatError(
            _problem(path, f"cannot be read ({error.strerror or error})", "Check its permissions.")
        ) from None
