"""Sensitivities: the rows of a common risk interchange format (CRIF) file as columns, before a methodology reads them.

A sensitivity margin does not see contracts but what the parties agreed to send each other: one amount a trade, risk
factor and tenor. The columns are what such a file states, in one canonical spelling. Text is held once a name and a
code a row, since a file of millions of rows has thousands of names.

What a reader has to see to: spelling, currencies converted to USD, numbers finite. What depends on a calibration (is
there such a bucket, such a tenor) is for the methodology, which names the row that it refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import Problem, ShapeError

TEXT_COLUMNS = (
    "portfolio",
    "trade",
    "product_class",
    "risk_type",
    "qualifier",
    "bucket",
    "label1",
    "label2",
    "amount_currency",
    "collect_regulations",
    "post_regulations",
    "im_model",
    "end_date",
    "tag",
)
"""Columns of text, in the order of the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column of text.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Index into `names` of each row's cell.
    names : tuple of str
        What the cells say, each once, in any order; an empty cell is the name `""`. Some may occur in no row.

    Raises
    ------
    ShapeError
        If a code points at no name, or a name stands there twice.
    """

    codes: IntArray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        codes = np.asarray(self.codes, dtype=np.int64)
        if codes.ndim != 1 or (len(codes) and not (codes.min() >= 0 and codes.max() < len(self.names))):
            raise ShapeError(
                Problem(
                    found=f"codes of shape {codes.shape} that point outside {len(self.names)} names",
                    needed="One code a row, each the index of a name.",
                    kind=ShapeError,
                )
            )
        if len(set(self.names)) != len(self.names):
            raise ShapeError(Problem(found="a name that stands twice among the names of a column", kind=ShapeError))
        object.__setattr__(self, "codes", read_only(codes))
        object.__setattr__(self, "names", tuple(self.names))

    @classmethod
    def of(cls, cells: Sequence[str]) -> Coded:
        """The column of these cells, names in order of first sight."""
        number: dict[str, int] = {}
        codes = np.fromiter((number.setdefault(cell, len(number)) for cell in cells), dtype=np.int64, count=len(cells))
        return cls(codes, tuple(number))

    @classmethod
    def constant(cls, cell: str, n_rows: int) -> Coded:
        """A column that says the same in every row."""
        return cls(np.zeros(n_rows, dtype=np.int64), (cell,))

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: IntArray) -> Coded:
        """The cells of `rows` (indices, or a mask of all rows); the names stay."""
        return Coded(self.codes[rows], self.names)

    def texts(self) -> list[str]:
        """The cells as text."""
        return [self.names[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sensitivities:
    """Rows of sensitivities of any number of portfolios; one axis, `n_rows`, for every column.

    Parameters
    ----------
    portfolio, trade : Coded
        Netting set, and the trade behind the row; no trade is `""`.
    product_class, risk_type : Coded
        As the CRIF spells them: `RatesFX`, `Credit`, ..., `Risk_IRCurve`, `Param_AddOnFixedAmount`, ...
    qualifier, bucket, label1, label2 : Coded
        Risk factor; currencies in capitals, CNH as CNY, an FX volatility's pair in alphabetical order.
    amount_currency : Coded
        Currency of `amount`.
    amount : ndarray of shape (n_rows,)
        As stated; NaN where only USD was stated.
    amount_usd : ndarray of shape (n_rows,)
        In USD; the multiplier or factor itself for parameter rows. Finite.
    collect_regulations, post_regulations, im_model, end_date : Coded
        As stated, `""` where nothing is.
    tag : Coded
        A label of the caller's own, by which an allocation may be grouped.
    row : ndarray of shape (n_rows,)
        Row in the source, as messages name it: 1 is the header of a file that has one.

    Raises
    ------
    ShapeError
        If columns disagree on `n_rows`.
    """

    portfolio: Coded
    trade: Coded
    product_class: Coded
    risk_type: Coded
    qualifier: Coded
    bucket: Coded
    label1: Coded
    label2: Coded
    amount_currency: Coded
    amount: FloatArray
    amount_usd: FloatArray
    collect_regulations: Coded
    post_regulations: Coded
    im_model: Coded
    end_date: Coded
    tag: Coded
    row: IntArray

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ShapeError(
                Problem(
                    found=f"columns of different lengths ({', '.join(f'{k} {n}' for k, n in lengths.items())})",
                    needed="Give every column one cell a row.",
                    kind=ShapeError,
                )
            )
        object.__setattr__(self, "amount", read_only(np.asarray(self.amount, dtype=np.float64)))
        object.__setattr__(self, "amount_usd", read_only(np.asarray(self.amount_usd, dtype=np.float64)))
        object.__setattr__(self, "row", read_only(np.asarray(self.row, dtype=np.int64)))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.amount_usd)

    @classmethod
    def of(
        cls, amount_usd: FloatArray, **columns: Coded | FloatArray | IntArray | Sequence[str] | str
    ) -> Sensitivities:
        """Rows from what there is: a column that is not given is empty, one text stands for every row.

        Parameters
        ----------
        amount_usd : ndarray of shape (n_rows,)
            In USD.
        columns
            Any other column; `amount` and its currency default to the USD amounts, `row` counts from 1.
        """
        amount_usd = np.asarray(amount_usd, dtype=np.float64)
        n_rows = len(amount_usd)
        defaults = dict.fromkeys(TEXT_COLUMNS, "") | {"amount_currency": "USD"}
        made: dict[str, object] = {"amount": amount_usd, "row": np.arange(1, n_rows + 1)}
        for name, value in (defaults | columns).items():
            if name not in TEXT_COLUMNS or isinstance(value, Coded):
                made[name] = value
            elif isinstance(value, str):
                made[name] = Coded.constant(value, n_rows)
            else:
                made[name] = Coded.of([str(cell) for cell in value])
        return cls(amount_usd=amount_usd, **made)  # type: ignore[arg-type]  # an unknown name is a TypeError

    def take(self, rows: IntArray) -> Sensitivities:
        """The rows at these indices (or under a mask), in that order."""
        columns: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {
            name: one.take(rows) if isinstance(one, Coded) else one[rows] for name, one in columns.items()
        }
        return Sensitivities(**taken)

    def concatenated(self, *others: Sensitivities) -> Sensitivities:
        """These rows, then those of `others`."""
        made: dict[str, Any] = {}
        for field in fields(self):
            parts = [getattr(table, field.name) for table in (self, *others)]
            made[field.name] = joined(parts) if isinstance(parts[0], Coded) else np.concatenate(parts)
        return Sensitivities(**made)


def joined(columns: Sequence[Coded]) -> Coded:
    """One column after the other, under common names."""
    number: dict[str, int] = {}
    codes = []
    for column in columns:
        new = np.array([number.setdefault(name, len(number)) for name in column.names], dtype=np.int64)
        codes.append(new[column.codes] if len(column) else column.codes)
    return Coded(np.concatenate(codes), tuple(number))
