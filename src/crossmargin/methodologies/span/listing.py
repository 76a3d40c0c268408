"""Contracts of a file by name: the file's own parts, or symbol, expiry, right and strike as people write them.

    NSE NIFTY OOP 20260630 C 24000      the one name: exchange, product, kind, period, right, strike
    NIFTY 30-Jun-2026 24000 CE          what a contract note says; exchange and kind may be left out
    CBT 06 FUT 202507                   the positional format's parts
    NIFTY26JUN24000CE, NIFTY26JUNFUT    a broker's symbol

What a name could mean twice, or nothing, is a problem that says what is listed; it is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import ExpiredInstrumentError, Problem, UnknownInstrumentError, UnsupportedError
from crossmargin.methodologies.span.parameters import Kind, SpanFile, contract_name

_SEPARATORS = re.compile(r"[\s:|,]+")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: k + 1 for k, name in enumerate(_MONTH_NAMES)}
_KINDS: dict[str, tuple[Kind, ...]] = {
    **{kind.name: (kind,) for kind in Kind},
    **dict.fromkeys(("FUTIDX", "FUTSTK", "FUTCOM", "FUTCUR", "FUTIVX", "FUTURE", "FUTURES"), (Kind.FUT,)),
    **dict.fromkeys(
        ("OPT", "OPTIDX", "OPTSTK", "OPTCUR", "OPTFUT", "OPTION", "OPTIONS"), (Kind.OOP, Kind.OOF, Kind.OOC)
    ),
    **dict.fromkeys(("SPOT", "PHYSICAL", "EQTY", "EQ"), (Kind.PHY,)),
}
_RIGHTS = {"C": 1, "CE": 1, "CALL": 1, "P": -1, "PE": -1, "PUT": -1}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BROKER = re.compile(
    r"(?P<code>[A-Z0-9&\-]+?)(?P<year>\d{2})"
    r"(?:(?P<month>JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)|(?P<week>[1-9OND])(?P<day>\d{2}))"
    r"(?:(?P<strike>\d+(?:\.\d+)?)(?P<right>CE|PE)|(?P<future>FUT))"
)
_WEEK_MONTHS = {**{str(k): k for k in range(1, 10)}, "O": 10, "N": 11, "D": 12}
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a text asks for; `None` and empty where it does not say."""

    codes: tuple[str, ...]
    exchange: str = ""
    kinds: tuple[Kind, ...] = ()
    period: str = ""
    underlying: str = ""
    right: int = 0
    strike: float | None = None
    unread: tuple[str, ...] = ()


class SpanListing:
    """The contracts of a file that are in a combined commodity, by name."""

    def __init__(self, file: SpanFile) -> None:
        self.file = file
        self._names_of_product: dict[int, dict[str, int]] = {}
        self._found: dict[str, int | None] = {}

    @property
    def digest(self) -> str:
        """That of the file."""
        return self.file.digest

    @cached_property
    def names(self) -> Sequence[str]:
        """Every name, ascending: as many strings as there are contracts."""
        return tuple(sorted(name for p in range(len(self.file.products)) for name in self._names(p)))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.row(name) is not None

    def __len__(self) -> int:
        return len(self.file.contracts)

    def spelled(self, name: str) -> str:
        """The one name of the contract that `name` means; what means none, or several, as it is."""
        row = self.row(name)
        return name.strip() if row is None else contract_name(self.file, row)

    def row(self, name: str) -> int | None:
        """Row of the contract that `name` means; `None` if it means none that can be margined, or several."""
        if name not in self._found:
            rows = self._rows(name)
            self._found[name] = rows[0] if len(rows) == 1 and self._in_commodity(rows[0]) else None
        return self._found[name]

    def problem_with(self, name: str, *, file: str = "", row: int | None = None, column: str = "") -> Problem | None:
        """Why a position in `name` cannot be margined; `None` if it can."""
        if self.row(name) is not None:
            return None
        kind: type[UnknownInstrumentError | ExpiredInstrumentError | UnsupportedError] = UnknownInstrumentError
        rows = self._rows(name)
        if len(rows) > 1:
            found, needed = f"'{name}' may be several contracts", f"Say which: {self._listed(rows)}."
        elif rows:
            found = f"'{contract_name(self.file, rows[0])}' is in no combined commodity of {self.file.source}"
            needed, kind = "The file has no rules by which to margin it.", UnsupportedError
        else:
            wanted = self._wanted(name)
            found, needed = self._why_not(name, wanted)
            day = f"{self.file.business_date:%Y%m%d}"
            if wanted.period and wanted.period < day[: len(wanted.period)]:
                found = f"'{name}' has expired before {self.file.business_date}, the date of {self.file.source}"
                kind, needed = ExpiredInstrumentError, "Remove the position, or use a file of a day on which it traded."
        return Problem(found=found, needed=needed, file=file, row=row, column=column, kind=kind, instrument=name)

    def _in_commodity(self, row: int) -> bool:
        return self.file.products[int(self.file.contracts.product[row])].commodity >= 0

    def _listed(self, rows: Iterable[int]) -> str:
        rows = list(rows)
        names = [f"'{contract_name(self.file, row)}'" for row in rows[:_MOST_NAMED]]
        return ", ".join(names) + (f" and {len(rows) - _MOST_NAMED:,} more" if len(rows) > _MOST_NAMED else "")

    @cached_property
    def _products(self) -> Mapping[str, tuple[int, ...]]:
        found: dict[str, list[int]] = {}
        for p, product in enumerate(self.file.products):
            found.setdefault(product.code.upper(), []).append(p)
        return {code: tuple(products) for code, products in found.items()}

    @cached_property
    def _exchanges(self) -> frozenset[str]:
        return frozenset(product.exchange.upper() for product in self.file.products)

    @cached_property
    def _product_offsets(self) -> IntArray:
        return np.searchsorted(self.file.contracts.product, np.arange(len(self.file.products) + 1))

    def _contracts_of(self, product: int) -> range:
        return range(int(self._product_offsets[product]), int(self._product_offsets[product + 1]))

    def _names(self, product: int) -> Mapping[str, int]:
        """Names of a product's contracts; made when the first of them is asked for."""
        if product not in self._names_of_product:
            self._names_of_product[product] = {contract_name(self.file, k): k for k in self._contracts_of(product)}
        return self._names_of_product[product]

    def _rows(self, name: str) -> list[int]:
        """Rows of all contracts that a text may mean."""
        wanted = self._wanted(name)
        products = self._products_of(wanted)
        for p in products:
            if (row := self._names(p).get(name)) is not None:
                return [row]
        if wanted.unread or not wanted.codes:
            return []
        return [row for p in products for row in self._matching(p, wanted)]

    def _products_of(self, wanted: _Wanted) -> list[int]:
        found = [p for code in wanted.codes for p in self._products.get(code.upper(), ())]
        return [
            p
            for p in found
            if (not wanted.exchange or self.file.products[p].exchange.upper() == wanted.exchange)
            and (not wanted.kinds or self.file.products[p].kind in wanted.kinds)
            and (not wanted.right or self.file.products[p].kind.is_option)
        ]

    def _matching(self, product: int, wanted: _Wanted) -> list[int]:
        """Contracts of a product that agree with everything that is said."""
        file, contracts = self.file, self.file.contracts
        of = self._contracts_of(product)
        rows = np.arange(of.start, of.stop)
        if file.products[product].kind.is_option:
            if not wanted.right or wanted.strike is None:
                return []
            rows = rows[(contracts.right[rows] == wanted.right) & (contracts.strike[rows] == wanted.strike)]
        elif wanted.right or wanted.strike is not None:
            return []
        if wanted.period:
            exact = [k for k in rows.tolist() if file.periods[contracts.period[k]] == wanted.period]
            found = exact or [
                k for k in rows.tolist() if _same_period(file.periods[contracts.period[k]], wanted.period)
            ]
        else:
            found = [k for k in rows.tolist() if not file.periods[contracts.period[k]]]
        if wanted.underlying:
            found = [k for k in found if file.periods[contracts.underlying_period[k]] == wanted.underlying]
        return found

    def _wanted(self, name: str) -> _Wanted:
        """What a text says, part by part; the parts may come in any order after the product's code."""
        text = name.strip()
        parts = [part for part in _SEPARATORS.split(text) if part]
        if len(parts) == 1 and (broker := _BROKER.fullmatch(text.upper())) is not None:
            return _of_broker(broker)
        if len(parts) == 1 and "-" in text and text.upper() not in self._products:
            parts = [part for part in text.split("-") if part]
        exchange = ""
        if len(parts) > 1 and parts[0].upper() in self._exchanges and parts[1].upper() in self._products:
            exchange, parts = parts[0].upper(), parts[1:]
        if not parts:
            return _Wanted(codes=())
        kinds: tuple[Kind, ...] = ()
        period = underlying = ""
        right, strike, unread = 0, None, []
        for part in parts[1:]:
            word = part.upper()
            of_option, _, of_future = word.partition("/")
            if word in _KINDS and not kinds:
                kinds = _KINDS[word]
            elif word in _RIGHTS and not right:
                right = _RIGHTS[word]
            elif not period and (said := period_of(word)) is not None:
                period = said
            elif not period and (said := period_of(of_option)) is not None and of_future:
                period, underlying = said, period_of(of_future) or ""
            elif strike is None and _NUMBER.fullmatch(word):
                strike = float(word)
            else:
                unread.append(part)
        return _Wanted(
            codes=(parts[0],),
            exchange=exchange,
            kinds=kinds,
            period=period,
            underlying=underlying,
            right=right,
            strike=strike,
            unread=tuple(unread),
        )

    def _why_not(self, name: str, wanted: _Wanted) -> tuple[str, str]:
        """What is wrong with a text that means no contract, and what is nearest to it."""
        file = self.file
        found = f"'{name}' is no contract of {file.source}"
        if not wanted.codes or wanted.codes[0].upper() not in self._products:
            from difflib import get_close_matches

            code = wanted.codes[0].upper() if wanted.codes else ""
            close = get_close_matches(code, list(self._products), n=3, cutoff=0.6)
            hint = f"Did you mean {' or '.join(close)}?" if close else "It lists other products."
            return found, f"The file has no product '{code}'. {hint}"
        if wanted.unread:
            said = " ".join(wanted.unread)
            return (
                found,
                f"'{said}' is not understood: write product, expiry, right and strike, like {self._example()}.",
            )
        products = self._products_of(wanted)
        if not products:
            kinds = sorted({file.products[p].kind.name for p in self._products[wanted.codes[0].upper()]})
            return found, f"Of '{wanted.codes[0]}' the file lists {', '.join(kinds)}."
        if not wanted.right and wanted.strike is None:  # no option is asked for, unless there are only options
            products = [p for p in products if not file.products[p].kind.is_option] or products
        rows = np.array([k for p in products for k in self._contracts_of(p)], dtype=np.int64)
        contracts = file.contracts
        if not len(rows):
            return found, "The file lists no contract of it."
        if wanted.right and wanted.strike is None:
            return found, "An option needs a strike."
        if wanted.strike is not None and not wanted.right:
            return found, "An option needs its right: C or P."
        periods = [file.periods[k] for k in contracts.period[rows].tolist()]
        same = np.array([_same_period(period, wanted.period) for period in periods])
        if not same.any():
            listed = sorted({period for period in periods if period})
            shown = ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "")
            return found, f"Its expiries there: {shown}." if listed else "It has no expiry there."
        rows = rows[same]
        if wanted.strike is not None:
            rows = rows[contracts.right[rows] == wanted.right]
            if not len(rows):
                return found, "The file lists no such right of that expiry."
            nearest = rows[np.argsort(np.abs(contracts.strike[rows] - wanted.strike), kind="stable")[:2]]
            return found, f"The nearest strikes: {self._listed(nearest.tolist())}."
        return found, f"Of that expiry the file lists {self._listed(rows.tolist())}."

    def _example(self) -> str:
        return f"'{contract_name(self.file, len(self.file.contracts) - 1)}'" if len(self.file.contracts) else "its name"


def _same_period(period: str, wanted: str) -> bool:
    """Whether a listed period is the one that is asked for: a month alone means any day of it, and the other way."""
    shorter = min(len(period), len(wanted))
    return bool(wanted) and shorter >= 6 and period[:shorter] == wanted[:shorter]


def _of_broker(match: re.Match[str]) -> _Wanted:
    year = f"20{match['year']}"
    if match["month"]:
        period = f"{year}{_MONTHS[match['month']]:02d}"
    else:
        period = f"{year}{_WEEK_MONTHS[match['week']]:02d}{match['day']}"
    if match["future"]:
        return _Wanted(codes=(match["code"],), kinds=(Kind.FUT,), period=period)
    return _Wanted(codes=(match["code"],), period=period, right=_RIGHTS[match["right"]], strike=float(match["strike"]))


_PERIOD_FORMS = (
    re.compile(r"(?P<y>20\d{2})(?P<m>\d{2})(?P<d>\d{2})?"),
    re.compile(r"(?P<y>20\d{2})-(?P<m>\d{2})(?:-(?P<d>\d{2}))?(?:T.*)?"),
    re.compile(r"(?:(?P<d>\d{1,2})[- ]?)?(?P<n>[A-Z]{3})[- ]?(?P<y>(?:20)?\d{2})"),
    re.compile(r"(?P<d>\d{2})/(?P<m>\d{2})/(?P<y>20\d{2})"),
    re.compile(r"(?P<y>20\d{2})(?P<m>\d{2})(?P<code>[A-Z][A-Z0-9])"),
)


def period_of(text: str) -> str | None:
    """A period as people write it in the file's form: `20260630`, `202606`; `None` if it is none.

    `2026-06-30`, `2026-06`, `30-Jun-2026`, `30JUN26`, `JUN26`, `30/06/2026` (the day first) and the file's own.
    """
    for form in _PERIOD_FORMS:
        match = form.fullmatch(text)
        if match is None:
            continue
        said = match.groupdict()
        month = int(said["m"]) if said.get("m") else _MONTHS.get(said.get("n") or "", 0)
        day = int(said.get("d") or 0)
        if not 1 <= month <= 12 or not 0 <= day <= 31:
            return None
        year = said["y"] if len(said["y"]) == 4 else f"20{said['y']}"
        return f"{year}{month:02d}" + (f"{day:02d}" if day else said.get("code") or "")
    return None
