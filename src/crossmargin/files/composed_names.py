"""Names of instruments out of the columns that say their parts: exchange, symbol, expiry, right, strike and so on.

A table by symbol, as exchanges and brokers in India write them, has no column that names a contract. Its cells, in one
order and joined by one blank, are a name as good as any: the market then says which contract it is (`Market.spelled`).
What one might question: a table that has `symbol` and `instrument` is of this kind too, since its `instrument` is a
kind of contract (FUTIDX, OPTSTK) and names nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import FileFormatError, Problem, raise_problems
from crossmargin.files.columns import Coded, coded_texts
from crossmargin.portfolio.netting import Codes

if TYPE_CHECKING:
    import polars as pl

PARTS: Mapping[str, tuple[str, ...]] = {
    "exchange": ("exchange",),
    "symbol": ("symbol", "product"),
    "instrument": ("instrument",),
    "type": ("type",),
    "expiry": ("expiry", "expiry_date"),
    "right": ("right", "option_type", "opttype"),
    "strike": ("strike", "strike_price"),
}
"""Parts in the order in which a name has them, each with the headers that it goes by."""
_NUMBERED = ("expiry", "strike")
"""Parts that may come as numbers or dates, and then have one spelling."""
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{0,18})?([eE][+-]?\d{1,2})?")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00(:00(\.0+)?)?(Z|\+00:00)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameParts:
    """Columns of a table that together name an instrument: headers by part, in the order of the name."""

    columns: Mapping[str, str]

    @classmethod
    def of(cls, header: Iterable[str], file: str) -> NameParts | None:
        """The parts that a header has; `None` where `instrument` names the contract, or nothing does.

        Raises
        ------
        FileFormatError
            If two columns are the same part.
        """
        written: dict[str, list[str]] = {}
        for name in header:
            written.setdefault(name.lower(), []).append(name)
        # `product` beside `instrument` may be anything, and then the instrument is a name as it always was.
        if "symbol" not in written and ("product" not in written or "instrument" in written):
            return None
        found = {
            part: [name for alias in aliases for name in written.get(alias, ())] for part, aliases in PARTS.items()
        }
        raise_problems(
            [
                Problem(
                    found=f"columns {', '.join(repr(name) for name in names)} all say the {part}",
                    needed="Leave all but one out.",
                    file=file,
                    column=names[1],
                    kind=FileFormatError,
                )
                for part, names in found.items()
                if len(names) > 1
            ]
        )
        return cls(columns={part: names[0] for part, names in found.items() if names})

    @property
    def spellings(self) -> dict[str, Callable[[str], str]]:
        """How cells are spelled in a name, by column."""
        return {column: _plain if part in _NUMBERED else str.strip for part, column in self.columns.items()}

    def of_frame(self, frame: pl.DataFrame) -> pl.Series:
        """The names that the rows of a frame compose, in no market's spelling; its columns are called by their part."""
        import polars as pl

        coded = {column: coded_texts(frame[part], self.spellings[column]) for part, column in self.columns.items()}
        names = ComposedNames(self, str.strip)
        codes = names.codes(coded)
        return pl.Series(names.names, dtype=pl.String).gather(codes)


def written_as(header: Collection[str], names: Iterable[str], parts: NameParts | None) -> dict[str, str]:
    """Those of the columns `names` that are there, each as the header writes it.

    In a table by symbol that is in any case of letters, and `instrument` is none of them.
    """
    if parts is None:
        return {name: name for name in names if name in header}
    in_small = {written.lower(): written for written in header} | {written: written for written in header}
    return {name: in_small[name] for name in names if name in in_small and name != "instrument"}


class ComposedNames:
    """Numbers the names that rows compose, batch after batch; `names` only grow."""

    def __init__(self, parts: NameParts, spelling: Callable[[str], str]) -> None:
        self.names: list[str] = []
        self._parts = parts
        self._spelling = spelling
        self._number: dict[str, int] = {}

    def codes(self, coded: Mapping[str, Coded]) -> Codes:
        """Number of each row's name, out of the cells of its columns."""
        columns = [coded[column] for column in self._parts.columns.values()]
        # Two columns at a time to the distinct pairs: no key is larger than rows times names.
        which: IntArray = np.zeros(len(columns[0].codes), dtype=np.int64)
        for column in columns:
            which = np.unique(which * len(column.names) + column.codes, return_inverse=True)[1].reshape(-1)
        _, example = np.unique(which, return_index=True)
        rows = zip(*([column.names[k] for k in column.codes[example].tolist()] for column in columns), strict=True)
        numbers = [self._numbered(cells) for cells in rows]
        return np.array(numbers, dtype=np.int32)[which]

    def _numbered(self, cells: Sequence[str]) -> int:
        name = self._spelling(" ".join(filter(None, cells)))
        if name not in self._number:
            self._number[name] = len(self.names)
            self.names.append(name)
        return self._number[name]


def _plain(text: str) -> str:
    """A number as the shortest decimal, midnight as its day, whatever else as it stands."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return f"{Decimal(text).normalize() + 0:f}"
    if midnight := _MIDNIGHT.fullmatch(text):
        return midnight[1]
    return text
