"""OCC option symbols to terms, and back.

    SPXW  230915C04500000     root in 6 places, YYMMDD, C or P, strike x 1000 in 8 digits: 21 characters
    SPXW230915C04500000       the same without padding; also with any number of blanks after the root

The symbol holds root, date, right and strike. All else (what it is on, style, delivery, time of day) follows
from the root: index roots are in `occ_roots.json`, with sources; every other root is a US share or fund
option: American, physical, 100 units, until 16:00 New York.

The decision a reader would question: an AM-settled option expires at 09:30 New York on the date in its
symbol, when the opening prices that settle it are struck, though it last traded the day before. Days that
close early (13:00 New York) are stamped 16:00 as well: three hours too long on about three days a year, and
no calendar to carry. Before February 2015 standard series have the Saturday after their last trading day in
the symbol; that date is taken as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache, lru_cache

from crossmargin.basics.errors import InputError, Problem, SymbolError, UnsupportedError
from crossmargin.instruments.terms import Delivery, On, Payoff, Right, Style, VanillaOption

OCC_TAIL = re.compile(r"[0-9]{6}[CPcp][0-9]{8}$")
MULTIPLIER = Decimal(100)
SPELLING = "Write it like 'SPXW  230915C04500000' or SPXW230915C04500000: root, YYMMDD, C or P, strike x 1000"

_SYMBOL = re.compile(r"([A-Z0-9]{1,6}) *([0-9]{6})([CP])([0-9]{8})")
_CANONICAL_LENGTH = 21
_ROOT_LENGTH = 6
_STRIKE_UNITS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RootTerms:
    """What the root of a symbol says about its options."""

    underlying: str
    style: Style
    delivery: Delivery
    on: On
    settlement_time: str  # New York, HH:MM


@dataclass(frozen=True, slots=True, kw_only=True)
class RootTable:
    """The content of `occ_roots.json`."""

    terms: Mapping[str, RootTerms]
    without_terms: frozenset[str]
    share_settlement_time: str


@cache
def root_table() -> RootTable:
    """Index roots, read once, when the first symbol is parsed."""
    import json
    from importlib.resources import files

    data = json.loads(files("crossmargin.instruments").joinpath("occ_roots.json").read_text("utf-8"))
    times = data["settlement_times"]
    terms = {
        root: RootTerms(
            underlying=row["underlying"],
            style=Style(row["style"]),
            delivery=Delivery(row["delivery"]),
            on=On.INDEX,
            settlement_time=times[row["settlement"]],
        )
        for root, row in data["roots"].items()
    }
    return RootTable(
        terms=terms,
        without_terms=frozenset(data["index_roots_without_terms"]["roots"]),
        share_settlement_time=times["PM"],
    )


@cache
def _new_york() -> tzinfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo("America/New_York")


def canonical_occ(symbol: str) -> str | None:
    """The padded 21-character spelling, or `None` if `symbol` is not written like an OCC symbol."""
    match = _SYMBOL.fullmatch(symbol.strip())
    if match is None:
        return None
    root, date, right, strike = match.groups()
    return f"{root:<6}{date}{right}{strike}"


def parse_occ(symbol: str, *, multiplier: Decimal | None = None) -> VanillaOption:
    """Terms of the option that OCC calls `symbol`, padded or compact.

    Parameters
    ----------
    symbol : str
        OCC symbol; the canonical name is the padded one.
    multiplier : Decimal or None
        Contract size where the caller states one; it must be 100.

    Raises
    ------
    SymbolError
        If it is no OCC symbol; the message says which part is wrong.
    UnsupportedError
        If the deliverable is not known: an adjusted contract, or an index root that we have no terms of.
    InputError
        If `multiplier` is another one.
    """
    match = _SYMBOL.fullmatch(symbol.strip())
    if match is None:
        raise _wrong(symbol, _what_is_wrong(symbol.strip()))
    root, date, right, strike_text = match.groups()
    terms = _root_terms(root, symbol)
    expiry = _expiry(date, terms.settlement_time)
    if expiry is None:
        raise _wrong(symbol, f"'{date}' is no date (YYMMDD)")
    strike = int(strike_text)
    if not strike:
        raise _wrong(symbol, "its strike is 0")
    if multiplier is not None and multiplier != MULTIPLIER:
        found = f"'{symbol}' is stated with multiplier {multiplier}, but an OCC option is on {MULTIPLIER}"
        raise InputError(Problem(found=found, needed="Leave it out, or correct it", column="multiplier"))
    return VanillaOption(
        name=f"{root:<6}{date}{right}{strike_text}",
        underlying=terms.underlying,
        quote_currency="USD",
        settlement_currency="USD",
        payoff=Payoff.LINEAR,
        multiplier=MULTIPLIER,
        expiry=expiry,
        strike=Decimal(strike) / _STRIKE_UNITS,
        right=Right.CALL if right == "C" else Right.PUT,
        style=terms.style,
        delivery=terms.delivery,
        on=terms.on,
    )


def _root_terms(root: str, symbol: str) -> RootTerms:
    table = root_table()
    known = table.terms.get(root)
    if known is not None:
        return known
    if not root.isalpha():
        found = f"'{symbol}' has a digit in its root '{root}': an adjusted, mini or FLEX contract, whose terms "
        needed = "Give it in the plain market file, with all its terms"
        raise UnsupportedError(Problem(found=found + "the symbol does not say (deliverable unknown)", needed=needed))
    if root in table.without_terms:
        found = f"'{symbol}' is an option on an index whose terms are not in our table (root '{root}')"
        needed = "Give it in the plain market file, with all its terms"
        raise UnsupportedError(Problem(found=found, needed=needed))
    return _share_terms(root)


@lru_cache(maxsize=8192)
def _share_terms(root: str) -> RootTerms:
    return RootTerms(
        underlying=root,
        style=Style.AMERICAN,
        delivery=Delivery.PHYSICAL,
        on=On.SPOT,
        settlement_time=root_table().share_settlement_time,
    )


@lru_cache(maxsize=4096)
def _expiry(date: str, time: str) -> datetime | None:
    """UTC of a New York time on a date of form YYMMDD; `None` if there is no such date."""
    year, month, day = 2000 + int(date[:2]), int(date[2:4]), int(date[4:])
    hour, minute = map(int, time.split(":"))
    try:
        return datetime(year, month, day, hour, minute, tzinfo=_new_york()).astimezone(UTC)
    except ValueError:
        return None


def _wrong(symbol: str, reason: str) -> SymbolError:
    return SymbolError(Problem(found=f"'{symbol}' is no OCC symbol: {reason}", needed=SPELLING))


def _what_is_wrong(symbol: str) -> str:
    """Why `symbol` does not have the form of an OCC symbol, as a clause."""
    if not OCC_TAIL.search(symbol):
        return "it does not end in YYMMDD, C or P, and 8 digits of strike"
    if symbol != symbol.upper():
        return f"symbols are upper case; did you mean '{symbol.upper()}'?"
    root = symbol[: -(_CANONICAL_LENGTH - _ROOT_LENGTH)].rstrip(" ")
    if not root:
        return "it has no root"
    if not re.fullmatch("[A-Z0-9]+", root):
        return f"its root '{root}' has something other than letters (BRK.B is written BRKB)"
    return f"its root '{root}' is longer than {_ROOT_LENGTH} characters"


def occ_symbol(option: VanillaOption) -> str:
    """OCC's symbol for `option`, from its terms.

    The present name only decides where several roots stand for the same terms (VIX and VIXW).

    Raises
    ------
    SymbolError
        If no OCC symbol means these terms, or several do.
    """
    strike = option.strike * _STRIKE_UNITS
    if strike != strike.to_integral_value() or not 0 < strike < 10**8:
        raise SymbolError(f"instrument '{option.name}' has no OCC symbol: a strike of {option.strike} does not fit")
    date = option.expiry.astimezone(_new_york())
    tail = f"{date:%y%m%d}{'C' if option.right == Right.CALL else 'P'}{int(strike):08d}"
    roots = [root for root, terms in root_table().terms.items() if terms.underlying == option.underlying]
    present = canonical_occ(option.name)
    fitting: list[str] = []
    differing: list[str] = []
    for root in roots or [option.underlying]:
        candidate = f"{root:<6}{tail}"
        try:
            meant = parse_occ(candidate)
        except (SymbolError, UnsupportedError) as error:
            differing.append(str(error))
            continue
        differences = [
            f"{field.name} {getattr(option, field.name)} (OCC: {getattr(meant, field.name)})"
            for field in fields(option)
            if field.name != "name" and getattr(option, field.name) != getattr(meant, field.name)
        ]
        if differences:
            differing.append(f"'{candidate}' would differ in {', '.join(differences)}")
        else:
            fitting.append(candidate)
    if present in fitting:
        return present
    if len(fitting) == 1:
        return fitting[0]
    reason = f"it could be any of {fitting}" if fitting else "; ".join(differing)
    raise SymbolError(f"instrument '{option.name}' has no OCC symbol of its own: {reason}")
