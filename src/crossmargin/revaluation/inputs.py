"""What pricing needs of every held instrument, with each stand-in for a missing quote on the record.

The policy is applied here and nowhere else, and only to what is held. All stand-ins come back as `Fill`s, all
refusals as one error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import (
    ExpiredInstrumentError,
    MissingQuoteError,
    Problem,
    UnsupportedError,
    raise_problems,
)
from crossmargin.basics.times import format_utc
from crossmargin.instruments.table import InstrumentTable, Kind
from crossmargin.market.policy import (
    STABLECOINS,
    MissingMark,
    MissingPerpetual,
    MissingPolicy,
    MissingTouch,
    MissingVol,
)
from crossmargin.market.snapshot import Market, VolSource
from crossmargin.market.stand_ins import Fill, asset_price
from crossmargin.revaluation.black import bachelier, black76, implied_total_vol

PRICED_COLUMNS = ("index", "forward", "vol", "vol_normal", "expiry_years", "discount", "mark", "quote_usd")
"""Columns of `PricingInputs` that a market sets."""
MOST_VOL = 20.0
MOST_TOTAL_VOL = 4.0
"""Above 2,000% a year, or 400% to expiry, a quoted volatility is one in percent: it would make every option worth its
underlying, and a margin nothing."""
MOST_MARK_FROM_MODEL = 0.25
"""Part of the forward by which a mark and the volatility quoted beside it may disagree before one of them is in other
units: a mark in dollars for coin, a volatility in percent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PricingInputs:
    """Columns of the held instruments, nothing missing; every array has shape `(n_instruments,)`.

    Parameters
    ----------
    instruments : InstrumentTable
        The held rows.
    market_row : ndarray
        Row of each in its market.
    index : ndarray
        Index price of the underlying, quote currency.
    forward : ndarray
        Forward of an option, price of a future or perpetual, index of a spot; quote currency.
    vol : ndarray
        Volatility of an option (0 for others); Black, or Bachelier where `vol_normal`.
    expiry_years : ndarray
        Years to expiry; infinite where there is none.
    discount : ndarray
        Discount factor to expiry.
    mark : ndarray
        Price as the venue quotes it (coin for an inverse option).
    quote_usd : ndarray
        US dollars for one unit of quote currency.
    """

    instruments: InstrumentTable
    market_row: IntArray
    index: FloatArray
    forward: FloatArray
    vol: FloatArray
    vol_normal: BoolArray
    expiry_years: FloatArray
    discount: FloatArray
    mark: FloatArray
    quote_usd: FloatArray
    fills: tuple[Fill, ...]

    @property
    def is_option(self) -> BoolArray:
        """Which rows are options."""
        return np.asarray(self.instruments.kind == Kind.OPTION)


def undiscounted_value(
    forward: FloatArray, strike: FloatArray, total_vol: FloatArray, is_call: BoolArray, is_normal: BoolArray
) -> FloatArray:
    """Forward value of options: Black-76, or Bachelier where `is_normal`; arrays of one shape."""
    if not is_normal.any():
        return black76(forward, strike, total_vol, is_call)
    if is_normal.all():
        return bachelier(forward, strike, total_vol, is_call)
    shape = np.broadcast_shapes(forward.shape, strike.shape, total_vol.shape)
    columns = [np.broadcast_to(c, shape) for c in (forward, strike, total_vol, is_call)]
    value = np.empty(shape)
    for chosen, price in ((~is_normal, black76), (is_normal, bachelier)):
        where = np.broadcast_to(chosen, shape)
        value[where] = price(*(column[where] for column in columns))
    return value


def pricing_inputs(
    market: Market, names: tuple[str, ...], policy: MissingPolicy, *, converted: frozenset[str] = frozenset()
) -> PricingInputs:
    """The inputs of the instruments `names`, or one error with all that cannot be priced.

    Parameters
    ----------
    converted : frozenset of str
        Quote currencies, beside the dollar and its stablecoins, whose move against it the caller's scenarios have.

    Raises
    ------
    MissingQuoteError
        If something is missing that the policy does not replace, or cannot.
    UnsupportedError
        For American options, and for a quote currency without a dollar price.
    UnknownInstrumentError, ExpiredInstrumentError
        As `Market.rows`.
    """
    row = market.rows(names)
    held = market.instruments.take(row)
    fills: list[Fill] = []
    problems: list[Problem] = []
    index = _index_prices(market, held, problems)
    quote_usd = _quote_usd(market, held, policy, fills, problems, converted)
    is_option = np.asarray(held.kind == Kind.OPTION)
    problems += _expired(market, row, held)
    problems += [
        Problem(
            found=f"'{held.names[k]}' is an American option",
            needed="American options have their terms but no pricer yet; European ones (SPX, NDX, XSP, Deribit) work.",
            kind=UnsupportedError,
            instrument=held.names[k],
        )
        for k in np.flatnonzero(held.is_american)
    ]
    _check_touches(market, row, held, policy, problems)
    problems += _unusable_figures(market, row, held, index)
    _check_option_forwards(market, row, held, problems)
    raise_problems(problems)

    forward = np.where(is_option, market.forward[row], market.mark[row])
    forward = np.where(held.kind == Kind.SPOT, index, forward)
    mark = np.where(held.kind == Kind.SPOT, index, market.mark[row])
    problems = []
    _fill_delta_one_marks(market, row, held, index, policy, forward, mark, fills, problems)
    vol = _vols(market, row, held, policy, fills, problems)
    raise_problems(problems)
    inputs = PricingInputs(
        instruments=held,
        market_row=read_only(row),
        index=read_only(index),
        forward=read_only(forward),
        vol=read_only(vol),
        vol_normal=read_only(market.vol_normal[row]),
        expiry_years=read_only(market.expiry_years[row]),
        discount=read_only(market.discount[row]),
        mark=mark,
        quote_usd=read_only(quote_usd),
        fills=(),
    )
    return _with_option_marks(market, inputs, policy, fills)


def _expired(market: Market, row: IntArray, held: InstrumentTable) -> list[Problem]:
    """What a market still lists although its own time is past the expiry: a snapshot whose time was moved on."""

    def at(k: int) -> str:
        return format_utc(datetime.fromtimestamp(int(held.expiry_seconds[k]), UTC))

    return [
        Problem(
            found=f"'{held.names[k]}' expired at {at(k)}, before the market of {format_utc(market.as_of)} "
            f"({market.source})",
            needed="Remove the position, or use a market in which it is priced.",
            kind=ExpiredInstrumentError,
            instrument=held.names[k],
        )
        for k in np.flatnonzero(market.expiry_years[row] <= 0).tolist()
    ]


def _index_prices(market: Market, held: InstrumentTable, problems: list[Problem]) -> FloatArray:
    missing = [name for name in held.underlyings if name not in market.index]
    problems += [
        Problem(
            found=f"no index price for underlying '{name}' at {format_utc(market.as_of)} ({market.source})",
            needed="Add its index price to the market.",
            kind=MissingQuoteError,
            instruments=held.names_of(name),
        )
        for name in missing
    ]
    by_underlying = np.array([market.index.get(name, np.nan) for name in held.underlyings], dtype=np.float64)
    return by_underlying[held.underlying] if len(held.names) else np.zeros(0)


def _quote_usd(
    market: Market,
    held: InstrumentTable,
    policy: MissingPolicy,
    fills: list[Fill],
    problems: list[Problem],
    converted: frozenset[str],
) -> FloatArray:
    quoted_in: dict[str, list[str]] = {}
    for instrument in held.instruments:
        quoted_in.setdefault(instrument.quote_currency, []).append(instrument.name)
    rate: dict[str, float] = {}
    for currency, names in quoted_in.items():
        if currency != "USD" and currency not in STABLECOINS and currency not in converted:
            problems.append(
                Problem(
                    found=f"'{names[0]}' is quoted in {currency}, whose move against the dollar no scenario has",
                    needed=f"Quote currencies are USD, {', '.join(STABLECOINS)}.",
                    kind=UnsupportedError,
                    instrument=names[0],
                    instruments=tuple(names),
                )
            )
            rate[currency] = np.nan
            continue
        rate[currency] = asset_price(
            market, currency, policy, fills, problems, needed_by=names[0], instruments=tuple(names)
        )
    return np.array([rate[instrument.quote_currency] for instrument in held.instruments], dtype=np.float64)


def _check_touches(
    market: Market, row: IntArray, held: InstrumentTable, policy: MissingPolicy, problems: list[Problem]
) -> None:
    if policy.touch is not MissingTouch.ERROR:
        return
    for side, column in (("bid", market.bid), ("ask", market.ask)):
        problems += [
            _missing(market, held.names[k], side, "Use the touch policy 'leave', or add the quote.")
            for k in np.flatnonzero(np.isnan(column[row]) & (held.kind != Kind.SPOT))
        ]


def _unusable_figures(market: Market, row: IntArray, held: InstrumentTable, index: FloatArray) -> list[Problem]:
    """Figures that no market has: infinite, negative where that means nothing, NaN where nothing may be missing.

    The readers of files refuse them at their door; a `Market` may also come from somebody's own code.
    """
    forward, mark, vol, discount = (c[row] for c in (market.forward, market.mark, market.vol, market.discount))
    delta_one = (held.kind == Kind.FUTURE) | (held.kind == Kind.PERPETUAL)
    known_index = np.array([held.underlyings[u] in market.index for u in held.underlying], dtype=np.bool_)
    total_vol = vol * np.sqrt(np.maximum(market.expiry_years[row], 0.0))
    no_percent = ~market.vol_normal[row] & ((vol > MOST_VOL) | (total_vol > MOST_TOTAL_VOL))
    wrong = {
        "bid": np.isinf(market.bid[row]),
        "ask": np.isinf(market.ask[row]),
        "mark price": np.isinf(mark) | (held.is_inverse & ((mark < 0) | (delta_one & (mark == 0)))),
        "vol": np.isinf(vol) | (vol <= 0) | no_percent,
        "forward price": np.isinf(forward) | (held.is_inverse & (forward <= 0)),
        "discount factor": ~np.isfinite(discount) | (discount <= 0),
        "index price": known_index & (~np.isfinite(index) | (index == 0) | (held.is_inverse & (index < 0))),
    }
    values = {"bid": market.bid[row], "ask": market.ask[row], "mark price": mark, "vol": vol}
    values |= {"forward price": forward, "discount factor": discount, "index price": index}
    return [
        Problem(
            found=f"{what} {values[what][k]:g} of '{held.names[k]}' in the market of {format_utc(market.as_of)}",
            needed="A volatility is a decimal: 0.84 is 84%."
            if what == "vol"
            else "Give the figure that was quoted, or none.",
            instrument=held.names[k],
        )
        for what, rows in wrong.items()
        for k in np.flatnonzero(rows)
    ]


def middle_price(market: Market, row: IntArray) -> FloatArray:
    """Middle of bid and ask; NaN where a side is missing, or where they cross and say no price."""
    bid, ask = market.bid[row], market.ask[row]
    return np.where(bid <= ask, 0.5 * (bid + ask), np.nan)


def _check_option_forwards(market: Market, row: IntArray, held: InstrumentTable, problems: list[Problem]) -> None:
    is_option = (held.kind == Kind.OPTION) & ~held.is_american  # those are refused as they are
    forward = market.forward[row]
    problems += [
        _missing(market, held.names[k], "forward price", "Add the forward of its expiry to the market.")
        for k in np.flatnonzero(is_option & np.isnan(forward))
    ]
    positive = (forward > 0) & (held.strike > 0)
    problems += [
        Problem(
            found=f"'{held.names[k]}' has forward {forward[k]:g} and strike {held.strike[k]:g}: Black-76 needs both "
            "positive",
            needed="Quote its volatility as a Bachelier one (vol_model 'bachelier').",
            kind=UnsupportedError,
            instrument=held.names[k],
        )
        for k in np.flatnonzero(is_option & ~np.isnan(forward) & ~positive & ~market.vol_normal[row])
    ]


def _fill_delta_one_marks(
    market: Market,
    row: IntArray,
    held: InstrumentTable,
    index: FloatArray,
    policy: MissingPolicy,
    forward: FloatArray,
    mark: FloatArray,
    fills: list[Fill],
    problems: list[Problem],
) -> None:
    """Stand-ins for the marks of futures and perpetuals, into `forward` and `mark`."""
    delta_one = (held.kind == Kind.FUTURE) | (held.kind == Kind.PERPETUAL)
    middle = middle_price(market, row)
    for k in np.flatnonzero(delta_one & np.isnan(mark)):
        name = held.names[k]
        if policy.mark is MissingMark.MODEL and not np.isnan(middle[k]):
            value, rule = middle[k], "middle of bid and ask"
        elif held.kind[k] == Kind.PERPETUAL and policy.perpetual is MissingPerpetual.INDEX:
            value, rule = index[k], "index price"
        else:
            problems.append(_missing(market, name, "price", "Add its mark price to the market."))
            continue
        mark[k] = forward[k] = value
        fills.append(Fill(instrument=name, field="mark", rule=rule, value=float(value)))


def _vols(
    market: Market,
    row: IntArray,
    held: InstrumentTable,
    policy: MissingPolicy,
    fills: list[Fill],
    problems: list[Problem],
) -> FloatArray:
    """Volatility of every held option; 0 for the rest."""
    vol = np.zeros(len(row))
    options = np.flatnonzero(held.kind == Kind.OPTION)
    may_imply = policy.vol is MissingVol.NEAREST
    vol[options], implied = own_vols(market, row[options], may_imply=may_imply)
    fills += [
        Fill(instrument=held.names[k], field="vol", rule="implied by its own price", value=float(vol[k]))
        for k in options[implied & np.isnan(market.vol[row[options]])].tolist()
        if market.vol_source is VolSource.QUOTED
    ]
    if may_imply:
        for k in options[np.isnan(vol[options])].tolist():
            donor = _nearest_with_vol(market, int(row[k]))
            if donor is not None:
                name, value = donor
                vol[k] = value
                rule = f"that of the nearest strike, {name}"
                fills.append(Fill(instrument=held.names[k], field="vol", rule=rule, value=value, donor=name))
    for k in np.flatnonzero(np.isnan(vol)):
        problems.append(
            _missing(
                market,
                held.names[k],
                "implied volatility",
                "Add the quote; the default policy takes that of the nearest strike, where the expiry has one.",
            )
        )
    return vol


def implied_vols(market: Market, row: IntArray) -> FloatArray:
    """Volatility implied by the mark, or by the middle of bid and ask; NaN where neither holds time value.

    Parameters
    ----------
    row : ndarray of shape (n_options,)
        Rows of `market`.
    """
    price = np.where(np.isnan(market.mark[row]), middle_price(market, row), market.mark[row])
    options = market.instruments.take(row)
    in_quote_currency = np.where(options.is_inverse, price * market.forward[row], price)
    total = implied_total_vol(
        in_quote_currency / market.discount[row], market.forward[row], options.strike, options.is_call
    )
    years = market.expiry_years[row]
    return np.where(total > 0, total / np.sqrt(years), np.nan)


def own_vols(market: Market, row: IntArray, *, may_imply: bool) -> tuple[FloatArray, BoolArray]:
    """Volatility that each option's own quotes give, NaN where they give none, and whether it was implied.

    In the order of `Market.vol_source`: the source's own first, or the one that the mark implies first.
    """
    quoted = market.vol[row]
    implied_first = market.vol_source is VolSource.MARK
    if not (implied_first or may_imply):
        return quoted, np.zeros(len(row), dtype=np.bool_)
    wanted = np.flatnonzero(
        (np.isnan(quoted) | implied_first) & ~market.vol_normal[row] & ~np.isnan(market.forward[row])
    )
    implied = np.full(len(row), np.nan)
    implied[wanted] = implied_vols(market, row[wanted])
    use_implied = ~np.isnan(implied) & (np.isnan(quoted) | implied_first)
    return np.where(use_implied, implied, quoted), use_implied


def _nearest_with_vol(market: Market, row: int) -> tuple[str, float] | None:
    """Name and volatility of the nearest strike that has one, in the same expiry; the higher one of two as near."""
    table = market.instruments
    same = np.flatnonzero(
        (table.underlying == table.underlying[row])
        & (table.expiry_seconds == table.expiry_seconds[row])
        & (table.kind == Kind.OPTION)
        & (table.is_inverse == table.is_inverse[row])
        & (market.vol_normal == market.vol_normal[row])
    )
    vol, _ = own_vols(market, same, may_imply=True)
    same, vol = same[~np.isnan(vol)], vol[~np.isnan(vol)]
    if not len(same):
        return None
    distance = np.abs(table.strike[same] - table.strike[row])
    nearest = np.flatnonzero(distance == distance.min())
    best = nearest[np.argmax(vol[nearest])]
    return table.names[int(same[best])], float(vol[best])


def _with_option_marks(
    market: Market, inputs: PricingInputs, policy: MissingPolicy, fills: list[Fill]
) -> PricingInputs:
    """Stand-ins for option marks: the middle of the touch, then the model price."""
    mark = inputs.mark.copy()
    row, held = inputs.market_row, inputs.instruments
    raise_problems(_contradictions(market, inputs))
    missing = np.flatnonzero(inputs.is_option & np.isnan(mark))
    problems = []
    if len(missing):
        middle = middle_price(market, row)
        model = model_price(inputs)
        for k in missing.tolist():
            if policy.mark is MissingMark.ERROR:
                problems.append(
                    _missing(market, held.names[k], "mark price", "Add it, or use the default policy: the model price.")
                )
                continue
            touched = not np.isnan(middle[k])
            mark[k] = middle[k] if touched else model[k]
            # Where options have no mark but the middle of their quotes (Cboe), that is no stand-in to report.
            if not (touched and market.vol_source is VolSource.MARK):
                rule = "middle of bid and ask" if touched else "model price at its volatility"
                fills.append(Fill(instrument=held.names[k], field="mark", rule=rule, value=float(mark[k])))
    raise_problems(problems)
    return PricingInputs(
        instruments=held,
        market_row=inputs.market_row,
        index=inputs.index,
        forward=inputs.forward,
        vol=inputs.vol,
        vol_normal=inputs.vol_normal,
        expiry_years=inputs.expiry_years,
        discount=inputs.discount,
        mark=read_only(mark),
        quote_usd=inputs.quote_usd,
        fills=tuple(fills),
    )


def _contradictions(market: Market, inputs: PricingInputs) -> list[Problem]:
    """Options whose mark and volatility cannot both be right."""
    quoted = inputs.is_option & ~np.isnan(inputs.mark) & (market.vol_source is VolSource.QUOTED)
    if not quoted.any():
        return []
    model = model_price(inputs)
    size = np.where(inputs.instruments.is_inverse, 1.0, np.abs(inputs.forward))
    return [
        Problem(
            found=f"mark {inputs.mark[k]:g} and vol {inputs.vol[k]:g} of '{inputs.instruments.names[k]}' contradict "
            f"each other: at that vol it is worth {model[k]:g}",
            needed="A vol is a decimal (0.84 is 84%); an inverse option's mark is in coin.",
            instrument=inputs.instruments.names[k],
        )
        for k in np.flatnonzero(quoted & (np.abs(model - inputs.mark) > MOST_MARK_FROM_MODEL * size))
    ]


def model_price(inputs: PricingInputs) -> FloatArray:
    """Price by the model as the venue would quote it (coin for an inverse option); the forward for the rest."""
    is_option = inputs.is_option
    price = inputs.forward.copy()
    if is_option.any():

        def chosen(column: FloatArray) -> FloatArray:
            return np.ascontiguousarray(column[is_option])

        value = chosen(inputs.discount) * undiscounted_value(
            chosen(inputs.forward),
            chosen(inputs.instruments.strike),
            chosen(inputs.vol) * np.sqrt(chosen(inputs.expiry_years)),
            inputs.instruments.is_call[is_option],
            inputs.vol_normal[is_option],
        )
        inverse = inputs.instruments.is_inverse[is_option]
        price[is_option] = value / np.where(inverse, chosen(inputs.forward), 1.0)
    return price


def _missing(market: Market, name: str, what: str, needed: str) -> Problem:
    return Problem(
        found=f"no {what} for '{name}' in the market of {format_utc(market.as_of)} ({market.source})",
        needed=needed,
        kind=MissingQuoteError,
        instrument=name,
    )
