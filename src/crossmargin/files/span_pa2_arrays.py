"""The risk arrays of a `.pa2` file, in bulk: records 81 and 82 joined, their digits read as columns of numbers.

A file of CME has about a million such records, nearly all of the plain shape: every number is digits, every sign is
`+`, `-` or blank. Those are read together as rows of bytes, by the same table of fields as every other record. What is
not of that shape is read again line by line, which either makes sense of it (leading blanks) or says what is wrong.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import Problem
from crossmargin.files.cells import shown
from crossmargin.files.span_pa2_layouts import LONGEST_LINE, Field, Record, field_of, repeated_of

Bytes: TypeAlias = npt.NDArray[np.uint8]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

FIRST, SECOND = "81", "82"
_BLOCK = 16_384
"""Records that are read together: their bytes stay in the processor's cache."""
_SCANNED = 1 << 22
"""Bytes searched together for line ends."""
_ZERO, _BLANK, _PLUS, _MINUS, _RETURN, _LINE_END = b"0 +-\r\n"
_FIRST_VALUES, _SECOND_VALUES = repeated_of(FIRST, "values_1_to_9"), repeated_of(SECOND, "values_10_to_16")
N_VALUES = _FIRST_VALUES.times + _SECOND_VALUES.times
_RIGHT = field_of(FIRST, "right").first - 1
_KEY = slice(field_of(FIRST, "exchange").first - 1, field_of(FIRST, "strike_raw").last)
"""What a pair of records has in common."""
_PRODUCT = slice(field_of(FIRST, "exchange").first - 1, field_of(FIRST, "type").last)
_PERIODS = slice(field_of(FIRST, "contract_month").first - 1, field_of(FIRST, "option_day").last)
_OWN_FACTOR = slice(
    field_of(SECOND, "value_factor").first - 1, field_of(SECOND, "value_factor_exponent").sign
)  # of a variable tick option


class Lines:
    """The lines of a file that are not blank: where they are in its bytes, how long they are, and their numbers.

    Parameters
    ----------
    data : bytes
        The file, in latin-1; lines end with LF or CRLF.
    """

    def __init__(self, data: bytes) -> None:
        # Room for the window of a last line that is short.
        self.bytes: Bytes = np.frombuffer(data + b" " * LONGEST_LINE, dtype=np.uint8)
        size = len(data)
        found = [
            start + np.flatnonzero(self.bytes[start : min(start + _SCANNED, size)] == _LINE_END)
            for start in range(0, size, _SCANNED)
        ]
        ends = np.concatenate([*found, np.array([size])])
        starts = np.concatenate([np.array([0]), ends[:-1] + 1])
        lengths = ends - starts
        lengths -= (lengths > 0) & (self.bytes[ends - 1] == _RETURN)
        # Every record has an id in its first column, so that a line which begins otherwise is looked at as a whole.
        written = (lengths > 0) & (self.bytes[starts] > _BLANK)
        for k in np.flatnonzero((lengths > 0) & ~written).tolist():
            line = data[starts[k] : starts[k] + lengths[k]]
            written[k] = bool(line.strip(b" \x1a"))
        self.starts: IntArray = starts[written]
        self.lengths: IntArray = lengths[written]
        self.rows: IntArray = np.flatnonzero(written) + 1

    def __len__(self) -> int:
        return len(self.starts)

    def text(self, k: int) -> str:
        """A line as text."""
        start = int(self.starts[k])
        return self.bytes[start : start + int(self.lengths[k])].tobytes().decode("latin-1")

    def begin_with(self, kind: str) -> IntArray:
        """The lines of a kind of record whose id has two characters."""
        one, two = kind.encode("latin-1")
        candidates = np.flatnonzero((self.bytes[self.starts] == one) & (self.bytes[self.starts + 1] == two))
        return candidates[self.lengths[candidates] >= len(kind)]

    def window(self, lines: IntArray, width: int) -> Bytes:
        """The first columns of some lines, shape (n_lines, width); blank where a line has ended."""
        rows = sliding_window_view(self.bytes, width)[self.starts[lines]]
        lengths = self.lengths[lines]
        for length in np.unique(lengths[lengths < width]).tolist():
            rows[lengths == length, length:] = _BLANK
        return rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrays:
    """Joined records 81 and 82 as columns, in the order of the file.

    Parameters
    ----------
    series : ndarray of shape (n_contracts,)
        Index into `first_lines`: contracts that differ in right and strike only have one in common.
    first_lines : list of int
        A line 81 of each series.
    lines : ndarray of shape (n_contracts,)
        Line 81 of each.
    right : ndarray of shape (n_contracts,)
        Its character.
    values : ndarray of shape (n_contracts, 16)
        As the file states them.
    delta, strike, settlement : ndarray of shape (n_contracts,)
        Digits with their sign.
    has_strike, has_settlement : ndarray of shape (n_contracts,)
        Whether the file states one.
    value_factor : ndarray of shape (n_contracts,)
        Of the contract itself; 0 where it has none.
    """

    series: IntArray
    first_lines: list[int]
    lines: IntArray
    right: Bytes
    values: npt.NDArray[np.int32]
    delta: IntArray
    strike: IntArray
    settlement: IntArray
    has_strike: BoolArray
    has_settlement: BoolArray
    value_factor: FloatArray


def read_arrays(lines: Lines, file: str, problems: list[Problem]) -> Arrays:
    """Join and read all records 81 and 82; problems go on the list, and their contracts are left out."""
    firsts, seconds = _joined(lines, file, problems)
    n = len(firsts)
    made = Arrays(
        series=np.zeros(n, dtype=np.int64),
        first_lines=[],
        lines=firsts,
        right=np.zeros(n, dtype=np.uint8),
        values=np.zeros((n, N_VALUES), dtype=np.int32),
        delta=np.zeros(n, dtype=np.int64),
        strike=np.zeros(n, dtype=np.int64),
        settlement=np.zeros(n, dtype=np.int64),
        has_strike=np.zeros(n, dtype=np.bool_),
        has_settlement=np.zeros(n, dtype=np.bool_),
        value_factor=np.zeros(n),
    )
    known: dict[bytes, int] = {}
    readable = np.ones(n, dtype=np.bool_)
    for start in range(0, n, _BLOCK):
        block = slice(start, min(start + _BLOCK, n))
        one = lines.window(firsts[block], field_of(FIRST, "hp_flag").last)
        two = lines.window(seconds[block], _OWN_FACTOR.stop)
        plain = _read_block(made, block, one, two)
        plain &= two[:, _OWN_FACTOR].max(axis=1) <= _ZERO  # blanks, signs and zeros: no factor of its own
        for k in (start + np.flatnonzero(~plain)).tolist():
            readable[k] = _read_pair(made, k, *_pair(lines, int(firsts[k]), int(seconds[k]), file, problems))
        _number_series(made, block, one, known)
    if readable.all():
        return made
    columns = {name: getattr(made, name) for name in Arrays.__slots__ if name != "first_lines"}
    return Arrays(first_lines=made.first_lines, **{name: values[readable] for name, values in columns.items()})


def _joined(lines: Lines, file: str, problems: list[Problem]) -> tuple[IntArray, IntArray]:
    """Lines 81 and 82 of the same contract, in the order of the file.

    An 82 stands right after its 81. Where it does not, the two are joined by all that they have in common, in order:
    strikes of opposite sign differ in the 82 only.
    """
    firsts, seconds = lines.begin_with(FIRST), lines.begin_with(SECOND)
    is_second = np.zeros(len(lines) + 1, dtype=np.bool_)
    is_second[seconds] = True
    followed = firsts[is_second[firsts + 1]]
    same = np.zeros(len(followed), dtype=np.bool_)
    for start in range(0, len(followed), _BLOCK):
        block = followed[start : start + _BLOCK]
        one, two = lines.window(block, _KEY.stop), lines.window(block + 1, _KEY.stop)
        same[start : start + _BLOCK] = (one[:, _KEY] == two[:, _KEY]).all(axis=1)
    joined = followed[same]
    is_second[joined + 1] = False
    apart = np.setdiff1d(firsts, joined, assume_unique=True)
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for k in seconds[is_second[seconds]].tolist():
        waiting[_key(lines, k)].append(k)
    found: list[tuple[int, int]] = []
    for k in apart.tolist():
        if waiting[_key(lines, k)]:
            found.append((k, waiting[_key(lines, k)].popleft()))
        else:
            _not_joined(FIRST, SECOND, lines, k, file, problems)
    for k in sorted(k for left in waiting.values() for k in left):
        _not_joined(SECOND, FIRST, lines, k, file, problems)
    one_way = np.concatenate([joined, np.array([k for k, _ in found], dtype=np.int64)])
    other = np.concatenate([joined + 1, np.array([k for _, k in found], dtype=np.int64)])
    order = np.argsort(one_way, kind="stable")
    return one_way[order], other[order]


def _key(lines: Lines, k: int) -> str:
    return lines.text(k)[_KEY].ljust(_KEY.stop - _KEY.start)


def _not_joined(kind: str, other: str, lines: Lines, k: int, file: str, problems: list[Problem]) -> None:
    record = Record(kind, lines.text(k), int(lines.rows[k]), file, problems)
    record.wrong(
        f"record '{kind}' of '{shown(' '.join(_key(lines, k).split()))}' has no record '{other}' of the same contract",
        f"An array is complete in both; record '{SECOND}' follows its '{FIRST}'.",
    )


def _pair(lines: Lines, one: int, two: int, file: str, problems: list[Problem]) -> tuple[Record, Record]:
    return (
        Record(FIRST, lines.text(one), int(lines.rows[one]), file, problems),
        Record(SECOND, lines.text(two), int(lines.rows[two]), file, problems),
    )


def _read_block(made: Arrays, block: slice, one: Bytes, two: Bytes) -> BoolArray:
    """Read rows of bytes into the columns; says of which rows every field is of the plain shape."""
    plain = np.ones(len(one), dtype=np.bool_)
    made.right[block] = one[:, _RIGHT]
    column = 0
    for rows, values in ((one, _FIRST_VALUES), (two, _SECOND_VALUES)):
        for repetition in range(values.times):
            units, fine, blank = _read_column(rows, values.fields[0].at(repetition))
            made.values[block, column] = units
            plain &= fine & ~blank
            column += 1
    made.delta[block], fine, blank = _read_column(two, field_of(SECOND, "delta"))
    plain &= fine & ~blank
    made.strike[block], fine, blank = _read_column(two, field_of(SECOND, "strike"))
    made.has_strike[block] = ~blank
    plain &= fine
    settlement, fine, none = _read_column(two, field_of(SECOND, "settlement"))
    precise, precise_fine, precise_none = _read_column(one, field_of(FIRST, "hp_settlement"))
    flag = one[:, field_of(FIRST, "hp_flag").first - 1]
    use_precise = ~precise_none & (none | (flag == ord("Y")))
    negative = two[:, field_of(SECOND, "settlement").sign - 1] == _MINUS
    made.settlement[block] = np.where(use_precise, np.where(negative, -precise, precise), settlement)
    made.has_settlement[block] = use_precise | ~none
    plain &= fine & precise_fine
    return plain


def _read_column(rows: Bytes, field: Field) -> tuple[IntArray, BoolArray, BoolArray]:
    """A field of many rows: its digits with their sign, whether it is blank or digits, and whether it is blank."""
    units = np.zeros(len(rows), dtype=np.int64)
    digits = np.ones(len(rows), dtype=np.bool_)
    blank = np.ones(len(rows), dtype=np.bool_)
    for column in range(field.first - 1, field.last):
        characters = rows[:, column]
        digit = characters - np.uint8(_ZERO)  # what is no digit wraps to above 9
        digits &= digit <= 9
        blank &= characters == _BLANK
        units *= 10
        units += digit
    if field.sign:
        signs = rows[:, field.sign - 1]
        negative = signs == _MINUS
        digits &= negative | (signs == _PLUS) | (signs == _BLANK)
        np.negative(units, out=units, where=negative)
    units[blank] = 0
    return units, digits | blank, blank


def _read_pair(made: Arrays, k: int, one: Record, two: Record) -> bool:
    """Read one contract, field by field; whether it could be."""
    before = len(one.problems)
    values = [slot.units("") for slot in (*one.each(_FIRST_VALUES.name), *two.each(_SECOND_VALUES.name))]
    delta, strike = two.units("delta"), two.units("strike")
    settlement, precise = two.units("settlement"), one.units("hp_settlement")
    factor = two.scaled("value_factor", "value_factor_exponent")
    if len(one.problems) > before:
        return False
    if precise is not None and (settlement is None or one.text("hp_flag") == "Y"):
        sign = two.line[field_of(SECOND, "settlement").sign - 1 : field_of(SECOND, "settlement").sign]
        settlement = -precise if sign == "-" else precise
    made.values[k] = [value or 0 for value in values]  # none is missing: each would be a problem
    made.delta[k] = delta or 0
    made.strike[k], made.has_strike[k] = strike or 0, strike is not None
    made.settlement[k], made.has_settlement[k] = settlement or 0, settlement is not None
    made.value_factor[k] = factor or 0.0
    return True


def _number_series(made: Arrays, block: slice, one: Bytes, known: dict[bytes, int]) -> None:
    """Number the series of a block: contracts of one series stand together, so that few rows need to be looked at."""
    new = np.ones(len(one), dtype=np.bool_)
    new[1:] = (one[1:, _PRODUCT] != one[:-1, _PRODUCT]).any(axis=1)
    new[1:] |= (one[1:, _PERIODS] != one[:-1, _PERIODS]).any(axis=1)
    begins = np.flatnonzero(new)
    numbers = []
    for k in begins.tolist():
        key = one[k, _PRODUCT].tobytes() + one[k, _PERIODS].tobytes()
        if key not in known:
            known[key] = len(made.first_lines)
            made.first_lines.append(int(made.lines[block.start + k]))
        numbers.append(known[key])
    counts = [end - start for start, end in pairwise([*begins.tolist(), len(one)])]
    made.series[block] = np.repeat(np.array(numbers, dtype=np.int64), counts)
