"""The terms of many instruments as columns, in canonical order, for steps that take arrays.

Canonical order is by name, so that the same instruments give the same rows and the same bits, in whatever
order they came. The frozen terms stay at hand: columns are for calculating, `instrument(row)` for all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import InputError, Problem, ShapeError, UnknownInstrumentError
from crossmargin.instruments.symbols import canonical_name
from crossmargin.instruments.terms import (
    DatedFuture,
    Instrument,
    Payoff,
    Perpetual,
    Right,
    Spot,
    Style,
    VanillaOption,
)

# Spot and perpetuals: later than any time, so `expiry_seconds > now` needs no special case.
NO_EXPIRY = 2**63 - 1


class Kind(IntEnum):
    """Which of the four classes a row is."""

    SPOT = 0
    FUTURE = 1
    PERPETUAL = 2
    OPTION = 3


_KINDS: dict[type[Instrument], Kind] = {
    Spot: Kind.SPOT,
    DatedFuture: Kind.FUTURE,
    Perpetual: Kind.PERPETUAL,
    VanillaOption: Kind.OPTION,
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InstrumentTable:
    """Instruments as read-only columns of length `n_instruments`, sorted by name, each name once.

    Built by `from_instruments`, which is what guarantees the order.

    Parameters
    ----------
    instruments : tuple of Instrument
        The terms, row by row.
    names : tuple of str
        Canonical names, ascending.
    underlyings : tuple of str
        Ids of the underlyings that occur, ascending.
    kind : ndarray of int8
        A `Kind`.
    underlying : ndarray of int32
        Index into `underlyings`.
    expiry_seconds : ndarray of int64
        Seconds since 1970-01-01 UTC; `NO_EXPIRY` for spot and perpetuals.
    strike : ndarray of float64
        In quote currency; NaN where there is none.
    is_call, is_inverse, is_american : ndarray of bool
        False also where the question makes no sense.
    multiplier : ndarray of float64
        Contract size as in the terms: its unit depends on kind and payoff.
    """

    instruments: tuple[Instrument, ...] = field(repr=False)
    names: tuple[str, ...]
    underlyings: tuple[str, ...]
    kind: npt.NDArray[np.int8] = field(repr=False)
    underlying: npt.NDArray[np.int32] = field(repr=False)
    expiry_seconds: IntArray = field(repr=False)
    strike: FloatArray = field(repr=False)
    is_call: BoolArray = field(repr=False)
    is_inverse: BoolArray = field(repr=False)
    is_american: BoolArray = field(repr=False)
    multiplier: FloatArray = field(repr=False)
    _row_of: dict[str, int] = field(repr=False)

    @classmethod
    def from_instruments(cls, instruments: Iterable[Instrument]) -> InstrumentTable:
        """Columns of `instruments`, in whatever order they come; the same terms twice are one row.

        Raises
        ------
        InputError
            If two different terms share a name; one error with all such names.
        """
        by_name: dict[str, Instrument] = {}
        clashes: dict[str, Instrument] = {}
        for instrument in instruments:
            first = by_name.setdefault(instrument.name, instrument)
            if first is not instrument and first != instrument:
                clashes.setdefault(instrument.name, instrument)
        if clashes:
            raise InputError(
                Problem(
                    found=f"two instruments are named '{name}' but differ: {by_name[name]} and {other}",
                    needed="Give each contract its own name",
                )
                for name, other in sorted(clashes.items())
            )
        rows = tuple(by_name[name] for name in sorted(by_name))
        n = len(rows)
        kind = np.fromiter((_KINDS[type(row)] for row in rows), dtype=np.int8, count=n)
        underlyings = tuple(sorted({row.underlying for row in rows}))
        index_of = {underlying: index for index, underlying in enumerate(underlyings)}
        expiry_seconds = np.full(n, NO_EXPIRY, dtype=np.int64)
        strike = np.full(n, np.nan)
        is_call = np.zeros(n, dtype=np.bool_)
        is_american = np.zeros(n, dtype=np.bool_)
        for i, row in enumerate(rows):
            if isinstance(row, VanillaOption):
                expiry_seconds[i] = int(row.expiry.timestamp())
                strike[i] = float(row.strike)
                is_call[i] = row.right == Right.CALL
                is_american[i] = row.style == Style.AMERICAN
            elif isinstance(row, DatedFuture):
                expiry_seconds[i] = int(row.expiry.timestamp())
        return cls(
            instruments=rows,
            names=tuple(row.name for row in rows),
            underlyings=underlyings,
            kind=read_only(kind),
            underlying=read_only(np.fromiter((index_of[row.underlying] for row in rows), np.int32, n)),
            expiry_seconds=read_only(expiry_seconds),
            strike=read_only(strike),
            is_call=read_only(is_call),
            is_inverse=read_only(np.fromiter((row.payoff == Payoff.INVERSE for row in rows), np.bool_, n)),
            is_american=read_only(is_american),
            multiplier=read_only(np.fromiter((float(row.multiplier) for row in rows), np.float64, n)),
            _row_of={row.name: i for i, row in enumerate(rows)},
        )

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int] | IntArray | BoolArray) -> InstrumentTable:
        """The table of some rows: ascending row numbers, or a mask of shape `(n_instruments,)`.

        Raises
        ------
        ShapeError
            If a mask has another length, a row does not exist, or rows are not strictly ascending: the order
            of a table is canonical.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == np.bool_:
            if chosen.shape != (len(self),):
                raise ShapeError(f"a mask of shape {chosen.shape} for a table of {len(self)} instruments")
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        if chosen.ndim != 1 or np.any(np.diff(chosen) <= 0):
            raise ShapeError("rows to take are not strictly ascending; sort them and drop what is there twice")
        if len(chosen) and not (chosen[0] >= 0 and chosen[-1] < len(self)):
            raise ShapeError(f"rows {chosen[0]} to {chosen[-1]} of a table of {len(self)} instruments")
        if len(chosen) == len(self):
            return self
        names = tuple(self.names[i] for i in chosen)
        present, underlying = np.unique(self.underlying[chosen], return_inverse=True)
        return InstrumentTable(
            instruments=tuple(self.instruments[i] for i in chosen),
            names=names,
            underlyings=tuple(self.underlyings[i] for i in present),
            kind=read_only(self.kind[chosen]),
            underlying=read_only(underlying.astype(np.int32)),
            expiry_seconds=read_only(self.expiry_seconds[chosen]),
            strike=read_only(self.strike[chosen]),
            is_call=read_only(self.is_call[chosen]),
            is_inverse=read_only(self.is_inverse[chosen]),
            is_american=read_only(self.is_american[chosen]),
            multiplier=read_only(self.multiplier[chosen]),
            _row_of={name: i for i, name in enumerate(names)},
        )

    def names_of(self, underlying: str) -> tuple[str, ...]:
        """Instruments of an underlying, in order."""
        rows = np.flatnonzero(self.underlying == self.underlyings.index(underlying))
        return tuple(self.names[k] for k in rows.tolist())

    def row(self, name: str) -> int:
        """Row of the instrument named `name`.

        Raises
        ------
        UnknownInstrumentError
            If the table has none of that name.
        """
        row = self._row_of.get(name)
        if row is None:
            raise UnknownInstrumentError(self._unknown(name))
        return row

    def rows(self, names: Iterable[str]) -> IntArray:
        """Rows of the instruments named, in the order asked.

        Raises
        ------
        UnknownInstrumentError
            If the table lacks any of them; one error with all of them.
        """
        asked = list(names)
        found = [self._row_of.get(name, -1) for name in asked]
        if -1 in found:
            missing = dict.fromkeys(name for name, row in zip(asked, found, strict=True) if row < 0)
            raise UnknownInstrumentError(self._unknown(name) for name in missing)
        return np.array(found, dtype=np.int64)

    def instrument(self, row: int) -> Instrument:
        """The terms in a row, exactly as they were given."""
        return self.instruments[row]

    def _unknown(self, name: str) -> Problem:
        canonical = canonical_name(name)
        hint = f"It has '{canonical}'; use that name" if canonical in self._row_of else "Add it, or correct the name"
        return Problem(found=f"no instrument '{name}' among the {len(self)} of this table", needed=hint)
