"""Cboe delayed quotes: one table an underlying, dollars, OCC symbols.

What such a file does not say is inferred, and said so: the time (from a date in the file's name, taken as the New York
close, or `--as-of`), and forward and discount factor of each expiry (put-call parity on its own quotes). An option's
mark is the middle of its bid and ask; its volatility is the one that this mark implies, and Cboe's own where the mark
holds no time value.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from crossmargin.basics.errors import CrossmarginError, FileFormatError, Problem, raise_problems
from crossmargin.basics.times import SECONDS_PER_YEAR, format_utc
from crossmargin.files.cells import MOST_VOL, Cells, shown
from crossmargin.files.tables import TextTable
from crossmargin.instruments.occ import parse_occ
from crossmargin.instruments.terms import Right, Style, VanillaOption
from crossmargin.market.parity import ParityFit, parity_forward
from crossmargin.market.snapshot import Excluded, Market, Quote, Reason, VolSource

COLUMNS = ("root", "instrument", "bid_price", "ask_price", "iv", "underlying_last")
_DATE_IN_NAME = re.compile(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?!\d)")
_CLOSE_HOUR = 16
_MOST_CARRY = 0.7
"""Log growth to an expiry beyond which an interpolated forward is none."""


def from_quotes(table: TextTable, *, as_of: datetime | None) -> Market:
    """A market out of a Cboe quote table."""
    table.require(COLUMNS, "Cboe quote")
    notes = []
    if as_of is None:
        as_of = _inferred_time(table.file)
        notes.append(
            f"the file states no time: {format_utc(as_of)} is the New York close of the date in its name (inferred)"
        )
    problems: list[Problem] = []
    cells = Cells(table.file, problems)
    excluded: list[Excluded] = []
    options: dict[str, VanillaOption] = {}
    bid: dict[str, float | None] = {}
    ask: dict[str, float | None] = {}
    vol: dict[str, float | None] = {}
    last: dict[str, list[float]] = {}
    columns = table.columns
    american = 0
    for k, symbol in enumerate(columns["instrument"]):
        row = table.row(k)
        price = cells.number(columns["underlying_last"][k], row, "underlying_last", low=0)
        quoted = cells.number(columns["bid_price"][k], row, "bid_price", low=0)
        offered = cells.number(columns["ask_price"][k], row, "ask_price", low=0)
        own_vol = cells.number(columns["iv"][k], row, "iv", low=0, high=MOST_VOL)
        try:
            option = parse_occ(symbol)
        except CrossmarginError as error:
            excluded.append(
                Excluded(name=shown(symbol), reason=Reason.UNSUPPORTED, detail=error.problems[0].found, row=row)
            )
            continue
        if option.name in options:
            cells.wrong(row, "instrument", f"'{option.name}' stands twice", "One row an instrument.")
            continue
        if option.expiry <= as_of:
            detail = f"it expired at {format_utc(option.expiry)}, the market is of {format_utc(as_of)}"
            excluded.append(Excluded(name=option.name, reason=Reason.EXPIRED, detail=detail, row=row))
            continue
        american += option.style is Style.AMERICAN
        options[option.name] = option
        # An offer of 0 is no offer, and then a bid of 0 says nothing either.
        bid[option.name] = quoted if offered else (quoted or None)
        ask[option.name] = offered or None
        vol[option.name] = own_vol or None
        if price:
            last.setdefault(option.underlying, []).append(price)
    raise_problems(problems)
    if not options:
        detail = f"; row {excluded[0].row}: {excluded[0].name}: {excluded[0].detail}" if excluded else ""
        raise FileFormatError(Problem(found=f"no row can be margined{detail}", file=table.file, kind=FileFormatError))
    index = {name: values[0] for name, values in last.items()}
    for name, values in last.items():
        if min(values) != max(values):
            cells.wrong(
                None,
                "underlying_last",
                f"prices of {name} from {min(values):g} to {max(values):g} in one snapshot",
                "Give the rows of one moment.",
            )
    raise_problems(problems)
    fits = _parity_fits(options, bid, ask, index)
    notes.append("forward and discount factor of each expiry by put-call parity on the quotes of the file")
    if interpolated := _interpolate(fits, index, as_of):
        notes.append(f"{interpolated} expiries give no parity forward: interpolated between their neighbours")
    if american:
        notes.append(f"{american} American options have terms but no pricer yet")
    quotes = []
    for name, option in options.items():
        fit = fits.get((option.underlying, option.expiry))
        quotes.append(
            Quote(
                instrument=option,
                bid=bid[name],
                ask=ask[name],
                vol=vol[name],
                forward=fit.forward if fit else None,
                discount=fit.discount if fit else 1.0,
            )
        )
    return Market.from_quotes(
        quotes,
        as_of=as_of,
        source=f"Cboe quotes {table.file}",
        index=index,
        vol_source=VolSource.MARK,
        excluded=excluded,
        notes=notes,
    )


def _inferred_time(file: str) -> datetime:
    found = _DATE_IN_NAME.search(file)
    try:
        if found is None:
            raise ValueError
        year, month, day = (int(part) for part in found.groups())
        local = datetime(year, month, day, tzinfo=ZoneInfo("America/New_York")) + timedelta(hours=_CLOSE_HOUR)
    except ValueError:
        raise FileFormatError(
            Problem(
                found="a Cboe quote file states no time, and its name holds no date",
                needed="Give it with --as-of, like 2023-09-14T20:00:00Z.",
                file=file,
                kind=FileFormatError,
            )
        ) from None
    return local.astimezone(UTC)


def _parity_fits(
    options: dict[str, VanillaOption],
    bid: dict[str, float | None],
    ask: dict[str, float | None],
    index: dict[str, float],
) -> dict[tuple[str, datetime], ParityFit | None]:
    """Parity forward of each European expiry."""
    middles: dict[tuple[str, datetime], dict[float, dict[Right, float]]] = {}
    for name, option in options.items():
        low, high = bid[name], ask[name]
        if option.style is Style.AMERICAN:
            continue
        by_strike = middles.setdefault((option.underlying, option.expiry), {})
        if low is None or high is None or low > high:
            continue
        by_strike.setdefault(float(option.strike), {})[option.right] = 0.5 * (low + high)
    fits = {}
    for (underlying, expiry), by_strike in middles.items():
        strikes = sorted(by_strike)
        call, put = (np.array([by_strike[k].get(right, np.nan) for k in strikes]) for right in (Right.CALL, Right.PUT))
        fit = None
        if underlying in index:
            fit = parity_forward(np.array(strikes), call, put, index[underlying])
        fits[underlying, expiry] = fit if fit and fit.forward > 0 else None
    return fits


def _interpolate(fits: dict[tuple[str, datetime], ParityFit | None], index: dict[str, float], as_of: datetime) -> int:
    """Fill expiries without a fit, in place: growth and discount rate linear in time, flat at the ends."""
    filled = 0
    for underlying in {name for name, _ in fits}:
        years = {key: (key[1] - as_of).total_seconds() / SECONDS_PER_YEAR for key in fits if key[0] == underlying}
        known = [(years[key], fit) for key in sorted(years) if (fit := fits[key]) is not None]
        if not known:
            continue
        at = [t for t, _ in known]
        growth = [math.log(fit.forward / index[underlying]) / t for t, fit in known]
        rate = [-math.log(fit.discount) / t for t, fit in known]
        for key, t in years.items():
            carry, interest = (float(np.interp(t, at, line)) * t for line in (growth, rate))
            # Minutes before an expiry its growth a year is noise, and says nothing of the years after it.
            if fits[key] is None and max(abs(carry), abs(interest)) <= _MOST_CARRY:
                fits[key] = ParityFit(
                    forward=index[underlying] * math.exp(carry), discount=math.exp(-interest), n_strikes=0
                )
                filled += 1
    return filled
