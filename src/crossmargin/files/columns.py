"""Columns of positions and balances: names to codes, numbers to exact steps, batch by batch.

A name is looked at once however many rows it stands in, and a number that is plainly one is read with its whole column.
What is left, the number that may be wrong, is handed on as the text that it is, to be read alone: so every table says
the same of a cell. A large Parquet file is held as text a batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import BoolArray, IntArray
from crossmargin.basics.errors import Problem, QuantityError
from crossmargin.basics.names import name_fault
from crossmargin.basics.quantities import QUANTITY_LIMIT, STEPS_PER_UNIT, float_steps, quantity_steps
from crossmargin.files.cells import names_fit
from crossmargin.files.tables import (
    Frames,
    TextTable,
    as_text_table,
    cell_text,
    checked_columns,
    head,
    is_nan,
    is_parquet,
    is_polars,
    parquet_frames,
    read_table,
)
from crossmargin.portfolio.netting import LARGE, Codes, occurring

if TYPE_CHECKING:
    import polars as pl

    from crossmargin.files.name_codes import NameCodes

_BATCH_ROWS = 500_000
"""Rows of a large file that are held as text at once."""
_PLAIN_DECIMAL = r"^-?[0-9]{1,10}(\.[0-9]{1,8})?$"
_MOST_STEPS = 10**18
"""A power of ten that 64 bits still hold."""
_TOLD_APART = 2**26 * STEPS_PER_UNIT
"""Steps below which two multiples of 1e-8 are two doubles; a larger double is read as the decimal it prints as."""


class Coded(NamedTuple):
    """Distinct names in any order, and the index of each row's."""

    names: Sequence[str]
    codes: Codes


class Numbers(NamedTuple):
    """Steps of a column of numbers, 0 where `doubtful` lists the row, counted in the batch, and the text: it may be a
    number and may be none."""

    steps: IntArray
    doubtful: list[tuple[int, str]]


class Batch(NamedTuple):
    """Rows of a table, from the record `start` on: columns of names and of numbers.

    The names of `coded` only grow from batch to batch.
    """

    start: int
    coded: Mapping[str, Coded]
    numbers: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Any table, to be read by columns.

    Parameters
    ----------
    header : TextTable
        The names of all columns, without rows.
    row_numbers : sequence of int
        Those of the file, of each record.
    problems : tuple of Problem
        Rows that are no records.
    batches : callable
        Given how names are spelled, by column, and the columns of numbers: the records, one batch after the other.
    """

    header: TextTable
    row_numbers: Sequence[int]
    problems: tuple[Problem, ...]
    batches: Callable[[Mapping[str, Callable[[str], str]], Sequence[str]], Iterator[Batch]]

    @property
    def file(self) -> str:
        """Name for messages."""
        return self.header.file

    def __len__(self) -> int:
        return len(self.row_numbers)

    @classmethod
    def of(cls, source: Any, what: str, *, large: int | None = None) -> Columns:
        """The columns of a CSV or Parquet file, a frame, an Arrow table, a mapping of columns or records.

        Parameters
        ----------
        source
            Path or table.
        what : str
            What to call a source that is no file, in messages.
        large : int, optional
            Rows from which a frame or a Parquet file is read in batches; `LARGE` if not given.

        Raises
        ------
        InputError
            If it is none of these or cannot be read as one.
        """
        large = LARGE if large is None else large
        if isinstance(source, str | Path):
            path = Path(source)
            if is_parquet(head(path)):
                return cls._of_frames(parquet_frames(path, _BATCH_ROWS, large), path.name, large)
            return cls._of_text(read_table(path))
        if is_polars(source):
            return cls._of_frames(Frames.of(source, _BATCH_ROWS if source.height >= large else None), what, large)
        return cls._of_text(as_text_table(source, what))

    @classmethod
    def _of_text(cls, table: TextTable) -> Columns:
        def batches(spellings: Mapping[str, Callable[[str], str]], numbers: Sequence[str]) -> Iterator[Batch]:
            coded = {name: _coded(table.columns[name], spelling) for name, spelling in spellings.items()}
            yield Batch(0, coded, {name: _numbers(table.columns[name]) for name in numbers})

        return cls(
            header=TextTable(
                file=table.file, columns={name: [] for name in table.columns}, header_row=table.header_row
            ),
            row_numbers=table.lines or range(table.first_row, table.first_row + len(table)),
            problems=table.problems,
            batches=batches,
        )

    @classmethod
    def _of_frames(cls, frames: Frames, file: str, large: int) -> Columns:
        written = checked_columns(frames.schema, file, frames.height)

        def batches(spellings: Mapping[str, Callable[[str], str]], numbers: Sequence[str]) -> Iterator[Batch]:
            coders = {name: _coder(frames.height >= large, spelling) for name, spelling in spellings.items()}
            start = 0
            for frame in frames.batches({name: written[name] for name in (*spellings, *numbers)}):
                coded = {name: Coded(coder.names, coder.codes(_texts(frame[name]))) for name, coder in coders.items()}
                yield Batch(start, coded, {name: _frame_numbers(frame[name]) for name in numbers})
                start += frame.height
            assert start == frames.height

        return cls(
            header=TextTable(file=file, columns={name: [] for name in written}, header_row=None),
            row_numbers=range(1, frames.height + 1),
            problems=(),
            batches=batches,
        )


def coded_texts(names: pl.Series, spelling: Callable[[str], str]) -> Coded:
    """Distinct spellings of a column of a frame, and the index of each row's."""
    coder = _NamesOfOne(spelling)
    codes = coder.codes(_texts(names))
    return Coded(coder.names, codes)


def in_order(coded: Coded) -> tuple[tuple[str, ...], Codes]:
    """Names that occur, in order, and the index of each row's; the codes may be written over."""
    order = sorted(np.flatnonzero(occurring(coded.codes, len(coded.names))).tolist(), key=coded.names.__getitem__)
    now = np.full(len(coded.names), -1, dtype=np.int32)
    now[order] = np.arange(len(order), dtype=np.int32)
    codes = coded.codes
    for start in range(0, len(codes), _BATCH_ROWS):  # in place: rows may be many
        batch = codes[start : start + _BATCH_ROWS]
        batch[:] = now[batch]
    return tuple(map(coded.names.__getitem__, order)), codes


def flags(names: Sequence[str], applies: Callable[[str], bool]) -> BoolArray:
    """Of which names something holds."""
    return np.fromiter(map(applies, names), dtype=np.bool_, count=len(names))


def wrong_names(names: Sequence[str]) -> BoolArray | None:
    """Of which names something is wrong; `None` if of none."""
    if all(names) and names_fit(names):
        return None
    return flags(names, lambda name: not name or name_fault(name) is not None)


def name_problems(name: str, column: str, file: str, row: int | None, account: str) -> list[Problem]:
    """What is wrong with a name in the row of an account."""
    if not name:
        found, needed = f"{column} is empty", f"Give every row its {column}."
    elif fault := name_fault(name):
        found, needed = f"{column} {fault[0]}", fault[1]
    else:
        return []
    return [Problem(found=found, needed=needed, file=file, row=row, column=column, account=_readable(account))]


def _readable(account: str) -> str:
    """The name of an account where its cell holds one."""
    return account if account and name_fault(account) is None else ""


def read_steps(text: str, column: str, file: str, row: int, problems: list[Problem], account: str) -> int | None:
    """Steps of the number that a cell holds; `None` if it holds none, which is added to `problems`."""
    try:
        return quantity_steps(text)
    except QuantityError as error:
        problem = error.problems[0]
        found = problem.found if column == "quantity" else problem.found.replace("quantity", column, 1)
        problems.append(
            Problem(
                found=found,
                needed=problem.needed,
                file=file,
                row=row,
                column=column,
                kind=QuantityError,
                account=_readable(account),
            )
        )
        return None


def kept_numbers(row_numbers: Sequence[int] | IntArray, kept: BoolArray) -> IntArray:
    """Row numbers of the rows that are kept."""
    if isinstance(row_numbers, range):
        return np.flatnonzero(kept) + row_numbers.start
    return np.asarray(row_numbers, dtype=np.int64)[kept]


def _numbers(cells: Sequence[str]) -> Numbers:
    """Numbers of a column of text; each distinct text is read once."""
    distinct = _coded(cells, str)
    values = [_steps_or_none(text) for text in distinct.names]
    steps = np.array([value or 0 for value in values], dtype=np.int64)[distinct.codes]
    wrong = np.array([value is None for value in values], dtype=np.bool_)[distinct.codes]
    return Numbers(steps, [(k, cells[k]) for k in np.flatnonzero(wrong).tolist()])


def _frame_numbers(column: pl.Series) -> Numbers:
    """Numbers of a column of a frame."""
    steps, rows = _plain_steps(column)
    texts = map(cell_text, column.gather(rows).to_list())
    return Numbers(steps, [(k, text.strip()) for k, text in zip(rows.tolist(), texts, strict=True)])


def _plain_steps(quantity: pl.Series) -> tuple[IntArray, IntArray]:
    """Steps of a column, and the rows whose values need to be read one by one, which have 0.

    Whole numbers, decimals of 8 places and plain decimal text are read as they are; doubles as the multiple of 1e-8
    whose nearest double they are.
    """
    import polars as pl

    if quantity.dtype == pl.String:
        plain = quantity.str.contains(_PLAIN_DECIMAL).fill_null(False)
        quantity = pl.select(pl.when(plain).then(quantity)).to_series().cast(pl.Decimal(38, 8))
    scale = 0
    if quantity.dtype.is_integer() or isinstance(quantity.dtype, pl.Decimal):
        if isinstance(quantity.dtype, pl.Decimal):
            scale = quantity.dtype.scale
            quantity = quantity.to_physical()
        whole = quantity.cast(pl.Int64, strict=False)  # null where it does not fit
        units, times = whole.fill_null(0).to_numpy(), 1
        doubtful = whole.is_null().to_numpy()
        if 10**scale > STEPS_PER_UNIT * _MOST_STEPS:  # no number of these units that fits makes a step
            units, doubtful = np.zeros_like(units), doubtful | (units != 0)
        elif 10**scale > STEPS_PER_UNIT:
            units, finer = np.divmod(units, 10**scale // STEPS_PER_UNIT)
            doubtful = doubtful | (finer != 0)
        else:
            times = STEPS_PER_UNIT // 10**scale
        most = QUANTITY_LIMIT // times
        doubtful = doubtful | (units > most) | (units < -most)
        steps = np.where(doubtful, 0, units) * times
    elif quantity.dtype.is_float():
        # A double, as which Python reads a narrower number too.
        steps, exact = float_steps(quantity.cast(pl.Float64).fill_null(float("nan")).to_numpy())
        doubtful = ~exact | (np.abs(steps) >= _TOLD_APART)
    else:
        steps, doubtful = np.zeros(len(quantity), dtype=np.int64), np.ones(len(quantity), dtype=np.bool_)
    return steps, np.flatnonzero(doubtful)


def _texts(names: pl.Series) -> pl.Series:
    """A column of names as text, without what is absent: nothing is the empty text."""
    import polars as pl

    if names.dtype.is_integer() or names.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return names.cast(pl.String).fill_null("")
    # A NaN where a name should be is how numpy and pandas say that there is none.
    return pl.Series(["" if is_nan(value) else cell_text(value) for value in names.to_list()], dtype=pl.String)


def _coder(in_batches: bool, spelling: Callable[[str], str]) -> NameCodes | _NamesOfOne:
    """What numbers the names of a column; a compiled table where they come in batches."""
    if not in_batches:
        return _NamesOfOne(spelling)
    from crossmargin.files.name_codes import NameCodes

    return NameCodes(spelling)


class _NamesOfOne:
    """Numbers the names of one batch, in their order but for spellings; as `NameCodes`, at once."""

    def __init__(self, spelling: Callable[[str], str]) -> None:
        self.names: list[str] = []
        self._spelling = spelling

    def codes(self, names: pl.Series) -> Codes:
        assert not self.names
        written, codes = _distinct(names)
        as_written = written.to_list()
        self.names += map(self._spelling, as_written)
        if self.names == as_written:
            return codes
        number: dict[str, int] = {}
        numbers = np.array([number.setdefault(name, len(number)) for name in self.names], dtype=np.int32)
        self.names[:] = number
        return numbers[codes]


def _distinct(names: pl.Series) -> tuple[pl.Series, Codes]:
    """Distinct names in order, and the index of each row's."""
    hashes, first, code = np.unique(_hashes(names), return_index=True, return_inverse=True)
    in_order = names.gather(first).sort()
    place = np.empty(len(hashes), dtype=np.int32)
    place[np.searchsorted(hashes, _hashes(in_order))] = np.arange(len(hashes), dtype=np.int32)
    codes = place[code]
    if not (in_order.gather(codes) == names).all():  # two names share a hash
        in_order = names.unique().sort()
        codes = names.replace_strict(in_order, np.arange(len(in_order), dtype=np.int32)).to_numpy()
    return in_order, codes


def _hashes(names: pl.Series) -> npt.NDArray[np.uint64]:
    return names.hash().to_numpy()


def _coded(cells: Sequence[str], spelling: Callable[[str], str]) -> Coded:
    """Distinct spellings of cells, and the index of each one's."""
    number: dict[str, int] = {}
    code = {cell: number.setdefault(spelling(cell), len(number)) for cell in dict.fromkeys(cells)}
    return Coded(list(number), np.fromiter(map(code.__getitem__, cells), dtype=np.int32, count=len(cells)))


def _steps_or_none(text: str) -> int | None:
    try:
        return quantity_steps(text)
    except QuantityError:
        return None
