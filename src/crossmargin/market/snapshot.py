"""The market at one moment: what was quoted, and what was not.

A `Market` holds what its source said and nothing else: a price that was not quoted is NaN here, never 0 and never
a guess. Which conservative value stands in for a missing one is decided later, by a named `MissingPolicy`, only
for what is held, and on the record (`revaluation.inputs`).

What one might question: a market may list contracts without quoting any (`Listing`). Only the methodology of its source
can then value them, and the market answers for their names, its currency and its time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import (
    CrossmarginError,
    ExpiredInstrumentError,
    MissingQuoteError,
    Problem,
    UnknownInstrumentError,
    UnsupportedError,
    raise_problems,
)
from crossmargin.basics.times import SECONDS_PER_YEAR, epoch_seconds, format_utc
from crossmargin.instruments.symbols import canonical_name, parse_symbol
from crossmargin.instruments.table import NO_EXPIRY, InstrumentTable, Kind
from crossmargin.instruments.terms import Instrument, Right, Spot, VanillaOption
from crossmargin.market.listing import Listing


class VolSource(StrEnum):
    """Which volatility reprices an option, where there are two.

    `QUOTED`: the source's own, which is the exchange's marking volatility (Deribit). `MARK`: the one implied by
    the mark against our forward, since the source's was computed from dividends and rates that it does not state
    (Cboe); the source's own is then the first stand-in.
    """

    QUOTED = "quoted"
    MARK = "mark"


class Reason(StrEnum):
    """Why a row of a source is not in the market."""

    EXPIRED = "expired"
    UNSUPPORTED = "unsupported"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A row of the source that is not in the market: by name, with the reason in words."""

    name: str
    reason: Reason
    detail: str
    row: int | None = None

    def problem(self, *, file: str = "", row: int | None = None, column: str = "") -> Problem:
        """The problem of somebody who holds this."""
        kinds: dict[Reason, type[CrossmarginError]] = {
            Reason.EXPIRED: ExpiredInstrumentError,
            Reason.UNSUPPORTED: UnsupportedError,
            Reason.UNREADABLE: MissingQuoteError,
        }
        return Problem(
            found=f"'{self.name}' cannot be margined: {self.detail}",
            needed="Remove the position, or use a market in which it is priced.",
            file=file,
            row=row,
            column=column,
            kind=kinds[self.reason],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One instrument's row: prices as its venue quotes them, `None` where nothing was quoted.

    Parameters
    ----------
    instrument : Instrument
        Terms.
    bid, ask, mark : float or None
        Price in the quote currency, or in coin for an inverse option.
    vol : float or None
        Implied volatility as a decimal a year; in price units a year if `vol_normal`.
    vol_normal : bool
        Whether `vol` is a Bachelier volatility: for prices that may be negative.
    forward : float or None
        Forward price of the underlying at the option's expiry, quote currency.
    discount : float
        Value today of one unit of quote currency paid at expiry.
    """

    instrument: Instrument
    bid: float | None = None
    ask: float | None = None
    mark: float | None = None
    vol: float | None = None
    vol_normal: bool = False
    forward: float | None = None
    discount: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Market:
    """One snapshot, by instrument name.

    Parameters
    ----------
    as_of : datetime
        UTC.
    source : str
        Where it comes from, for people.
    instruments : InstrumentTable
        What is quoted, `n_instruments` rows.
    bid, ask, mark, vol, forward, discount : ndarray of shape (n_instruments,)
        As in `Quote`; NaN where nothing was quoted.
    vol_normal : ndarray of shape (n_instruments,)
        Whether `vol` is a Bachelier volatility.
    index : mapping of str to float
        Index price of each underlying, in its quote currency.
    prices : mapping of str to float
        Market currency for one unit of an asset or currency.
    vol_source : VolSource
        Which volatility reprices an option.
    excluded : tuple of Excluded
        Rows of the source that are not in the market.
    notes : tuple of str
        What the reader inferred: stands in every explanation.
    currency : str
        That `prices` are in, and everything that is valued in this market.
    facts : mapping of str to mapping of str to float
        Statements about the market as a whole, kind by kind and by name: `confidence` of an oracle (0 to 1; 1 where
        none is stated), `open_interest` (contracts), `deposits` and `borrows` (units of an asset), `twap`.
    listing : Listing or None
        Contracts that the source values itself: then they are what the market lists, and `instruments` is empty.
    """

    as_of: datetime
    source: str
    instruments: InstrumentTable
    bid: FloatArray
    ask: FloatArray
    mark: FloatArray
    vol: FloatArray
    vol_normal: BoolArray
    forward: FloatArray
    discount: FloatArray
    index: Mapping[str, float]
    prices: Mapping[str, float] = field(default_factory=dict)
    vol_source: VolSource = VolSource.QUOTED
    excluded: tuple[Excluded, ...] = ()
    notes: tuple[str, ...] = ()
    currency: str = "USD"
    listing: Listing | None = None
    facts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def of_listing(
        cls,
        listing: Listing,
        *,
        as_of: datetime,
        source: str,
        currency: str,
        prices: Mapping[str, float] | None = None,
        notes: Sequence[str] = (),
    ) -> Market:
        """A market of what `listing` lists, without a quote: for the methodology that values it."""
        nothing = read_only(np.zeros(0))
        return cls(
            as_of=as_of,
            source=source,
            instruments=InstrumentTable.from_instruments(()),
            bid=nothing,
            ask=nothing,
            mark=nothing,
            vol=nothing,
            forward=nothing,
            discount=nothing,
            vol_normal=read_only(np.zeros(0, dtype=np.bool_)),
            index={},
            prices={**(prices or {}), currency: 1.0},
            notes=tuple(notes),
            currency=currency,
            listing=listing,
        )

    @classmethod
    def from_quotes(
        cls,
        quotes: Iterable[Quote],
        *,
        as_of: datetime,
        source: str,
        index: Mapping[str, float],
        prices: Mapping[str, float] | None = None,
        vol_source: VolSource = VolSource.QUOTED,
        excluded: Sequence[Excluded] = (),
        notes: Sequence[str] = (),
        facts: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Market:
        """A market of `quotes`, in the order of their names; one row a name."""
        rows = sorted(quotes, key=lambda quote: quote.instrument.name)

        def column(values: Iterable[float | None]) -> FloatArray:
            return read_only(np.array([np.nan if v is None else v for v in values], dtype=np.float64))

        return cls(
            as_of=as_of,
            source=source,
            instruments=InstrumentTable.from_instruments(quote.instrument for quote in rows),
            bid=column(q.bid for q in rows),
            ask=column(q.ask for q in rows),
            mark=column(q.mark for q in rows),
            vol=column(q.vol for q in rows),
            vol_normal=read_only(np.array([q.vol_normal for q in rows], dtype=np.bool_)),
            forward=column(q.forward for q in rows),
            discount=column(q.discount for q in rows),
            index=dict(sorted(index.items())),
            prices={"USD": 1.0} | dict(prices or {}),
            vol_source=vol_source,
            excluded=tuple(excluded),
            notes=tuple(notes),
            facts=facts or {},
        )

    def fact(self, kind: str, name: str, default: float) -> float:
        """What is stated of `name`, or `default`."""
        return self.facts.get(kind, {}).get(name, default)

    @cached_property
    def expiry_years(self) -> FloatArray:
        """Years of 365 days from `as_of` to expiry, shape (n_instruments,); infinite where there is none."""
        expiry = self.instruments.expiry_seconds
        seconds = np.where(expiry == NO_EXPIRY, np.inf, expiry - epoch_seconds(self.as_of))
        return read_only(seconds / SECONDS_PER_YEAR)

    @cached_property
    def without_vol(self) -> IntArray:
        """Rows of options without a quoted volatility."""
        return np.flatnonzero((self.instruments.kind == Kind.OPTION) & np.isnan(self.vol))

    @cached_property
    def spot_of(self) -> Mapping[str, str]:
        """The spot instrument that each coin is itself: quoted in market currency, one unit of it a contract."""
        found: dict[str, str] = {}
        for instrument in self.instruments.instruments:
            if (
                isinstance(instrument, Spot)
                and instrument.quote_currency == self.currency
                and instrument.multiplier == 1
            ):
                found.setdefault(instrument.underlying, instrument.name)
        return found

    @cached_property
    def excluded_by_name(self) -> Mapping[str, Excluded]:
        """Excluded rows by instrument name."""
        return {row.name: row for row in self.excluded}

    @cached_property
    def _row_of(self) -> Mapping[str, int]:
        return {name: row for row, name in enumerate(self.instruments.names)}

    def __repr__(self) -> str:
        what = "a listing" if self.listing is not None else f"{len(self.instruments.names)} instruments"
        return f"<Market of {what}, {self._moment}>"

    def __contains__(self, name: object) -> bool:
        return name in (self._row_of if self.listing is None else self.listing)

    def spelled(self, name: str) -> str:
        """The one spelling of `name` in this market; no check, and what is not recognised only loses outer blanks."""
        return canonical_name(name) if self.listing is None else self.listing.spelled(name)

    def rows(self, names: Sequence[str]) -> IntArray:
        """Row of each name.

        Raises
        ------
        UnknownInstrumentError, ExpiredInstrumentError, UnsupportedError, MissingQuoteError, InputError
            With one problem for each name that cannot be margined in this market; of a listing, that none can.
        """
        if self.listing is not None and len(names):
            raise UnsupportedError(
                Problem(
                    found=f"the market of {self._moment} lists contracts that only the method of its file values",
                    needed="Name that method, or give a market of quotes with --market.",
                    kind=UnsupportedError,
                )
            )
        found = [self._row_of.get(name, -1) for name in names]
        if -1 in found:
            raise_problems([problem for name in names if (problem := self.problem_with(name)) is not None])
        return np.array(found, dtype=np.int64)

    def problem_with(self, name: str, *, file: str = "", row: int | None = None, column: str = "") -> Problem | None:
        """Why a position in `name` cannot be margined in this market; `None` if it can."""
        if self.listing is not None:
            return self.listing.problem_with(name, file=file, row=row, column=column)
        if name in self._row_of:
            return None
        if name in self.excluded_by_name:
            return self.excluded_by_name[name].problem(file=file, row=row, column=column)
        try:
            terms = parse_symbol(name)
        except CrossmarginError as error:
            # No contract that we know, and none that the market names either.
            return replace(error.problems[0], file=file, row=row, column=column, kind=type(error))
        expiry = getattr(terms, "expiry", None)
        if expiry is not None and expiry <= self.as_of:
            return Excluded(
                name=name,
                reason=Reason.EXPIRED,
                detail=f"it expired at {format_utc(expiry)}, before {self._moment}",
            ).problem(file=file, row=row, column=column)
        return Problem(
            found=f"instrument '{name}' is not in the market of {self._moment}",
            needed=self._suggestion(terms),
            kind=UnknownInstrumentError,
            file=file,
            row=row,
            column=column,
        )

    @property
    def _moment(self) -> str:
        return f"{format_utc(self.as_of)} ({self.source})"

    def _suggestion(self, terms: Instrument) -> str:
        """The listed contract that was probably meant: the nearest strike, or the most similar name."""
        table = self.instruments
        if terms.underlying not in table.underlyings:
            return f"It is a market of {', '.join(table.underlyings)}."
        same = table.underlying == table.underlyings.index(terms.underlying)
        if isinstance(terms, VanillaOption):
            alike = np.flatnonzero(same & (table.kind == Kind.OPTION) & (table.is_call == (terms.right is Right.CALL)))
            if len(alike):
                away = np.abs(table.expiry_seconds[alike] - epoch_seconds(terms.expiry))
                expiry = alike[away == away.min()]
                nearest = expiry[np.argmin(np.abs(table.strike[expiry] - float(terms.strike)))]
                return f"The nearest that it lists is '{table.names[nearest]}'."
        others = [table.names[k] for k in np.flatnonzero(same & (table.kind != Kind.OPTION))]
        close = get_close_matches(terms.name, others, n=1, cutoff=0.75)
        return f"Did you mean '{close[0]}'?" if close else "Check the name, or add its quote to the market."

    def by_underlying(self, names: Sequence[str]) -> dict[str, list[str]]:
        """`names` by their underlying, in order; none for a listing, which says of no underlying that it moved."""
        if self.listing is not None:
            return {}
        table = self.instruments.take(self.rows(names))
        found: dict[str, list[str]] = {underlying: [] for underlying in table.underlyings}
        for name, underlying in zip(table.names, table.underlying.tolist(), strict=True):
            found[table.underlyings[underlying]].append(name)
        return found

    def subset(self, names: Iterable[str]) -> Market:
        """This market with only the instruments `names`, and the indices and prices as they are."""
        rows = np.array(sorted(self._row_of[name] for name in set(names)), dtype=np.int64)
        kept = self.instruments.take(rows)
        return replace(
            self,
            instruments=kept,
            bid=read_only(self.bid[rows]),
            ask=read_only(self.ask[rows]),
            mark=read_only(self.mark[rows]),
            vol=read_only(self.vol[rows]),
            vol_normal=read_only(self.vol_normal[rows]),
            forward=read_only(self.forward[rows]),
            discount=read_only(self.discount[rows]),
            index={name: self.index[name] for name in kept.underlyings if name in self.index},
            excluded=(),
        )

    def moved_underlyings(self, newer: Market) -> frozenset[str] | None:
        """Underlyings whose instruments may be worth something else in `newer`; `None` for all of them.

        Those with another quote or index, and those of instruments quoted in a currency with another price.
        The time, the currency, what is listed or a rule of reading touches everything.
        """
        same = (
            self.as_of == newer.as_of
            and self.currency == newer.currency
            and self._listing_digest == newer._listing_digest
            and self.vol_source is newer.vol_source
            and self.facts == newer.facts
            and self.instruments.instruments == newer.instruments.instruments
        )
        if not same:
            return None
        differs = np.zeros(len(self.instruments), dtype=np.bool_)
        for name in ("bid", "ask", "mark", "vol", "forward", "discount", "vol_normal"):
            old, new = getattr(self, name), getattr(newer, name)
            differs |= (old != new) & ~(np.isnan(old) & np.isnan(new))
        repriced = _differing(self.prices, newer.prices)
        if repriced:
            quoted_in = (one.quote_currency in repriced for one in self.instruments.instruments)
            differs |= np.fromiter(quoted_in, dtype=np.bool_, count=len(differs))
        moved = {self.instruments.underlyings[k] for k in np.unique(self.instruments.underlying[differs]).tolist()}
        return frozenset(moved | _differing(self.index, newer.index))

    @property
    def _listing_digest(self) -> str:
        return "" if self.listing is None else self.listing.digest

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that can move a number, as `sha256:...`."""
        digest = hashlib.sha256()
        digest.update(format_utc(self.as_of).encode())
        digest.update(repr(self.vol_source).encode())
        for mapping in (self.index, self.prices):
            digest.update(repr(sorted((name, float(price).hex()) for name, price in mapping.items())).encode())
        digest.update("\n".join(repr(i) for i in self.instruments.instruments).encode())
        for column in (self.bid, self.ask, self.mark, self.vol, self.forward, self.discount, self.vol_normal):
            digest.update(np.ascontiguousarray(column).tobytes())
        if self.currency != "USD":  # so that a market keeps the fingerprint that it had before there were others
            digest.update(f"currency {self.currency}".encode())
        digest.update(self._listing_digest.encode())
        for kind, stated in sorted(self.facts.items()):
            digest.update(repr((kind, sorted((name, float(v).hex()) for name, v in stated.items()))).encode())
        return f"sha256:{digest.hexdigest()}"


def _differing(old: Mapping[str, float], new: Mapping[str, float]) -> set[str]:
    return {name for name in {**old, **new} if old.get(name) != new.get(name)}
