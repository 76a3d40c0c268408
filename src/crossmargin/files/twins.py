"""Contracts that a market does not list, priced from the one that it lists of the same risk in another form.

Who holds options of Derive has no file of Derive's quotes, and Deribit lists the same expiries and strikes in coin. An
option on the same underlying with the same expiry, strike and right has the same forward and volatility whatever it
pays in; a future of the same expiry, and a perpetual, the same price. So a held contract that is not listed takes
these from its twin, and the market says so in a note that stands in every explanation.

What one might question: an option's own price is not taken over, since the twin's is in another currency. It is a
missing mark, and the policy for those decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import CrossmarginError
from crossmargin.basics.times import epoch_seconds
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.instruments.terms import DatedFuture, Instrument, Perpetual, VanillaOption
from crossmargin.market.snapshot import Market, Quote

_DOLLARS = frozenset({"USD", "USDC", "USDT"})
_NAMED = 3
_Risk = tuple[object, ...]


def with_twins(market: Market, names: Iterable[str]) -> Market:
    """`market` with those of `names` that it lists in another form alone; the same market where there are none."""
    if market.listing is not None:
        return market
    missing = sorted({name for name in names if name not in market and name not in market.excluded_by_name})
    wanted = {name: terms for name in missing if (terms := _terms(name)) is not None}
    if not wanted:
        return market
    listed: dict[_Risk, int] = {}
    for row, instrument in enumerate(market.instruments.instruments):
        if (risk := _risk(instrument)) is not None:
            listed.setdefault(risk, row)
    twins = {name: listed[risk] for name, terms in wanted.items() if (risk := _risk(terms)) in listed}
    if not twins:
        return market
    quotes = [_quote(market, row) for row in range(len(market.instruments.names))]
    quotes += [_as_twin(wanted[name], quotes[row]) for name, row in twins.items()]
    return Market.from_quotes(
        quotes,
        as_of=market.as_of,
        source=market.source,
        index=market.index,
        prices=market.prices,
        vol_source=market.vol_source,
        excluded=market.excluded,
        notes=(*market.notes, _note({name: market.instruments.names[row] for name, row in twins.items()})),
        facts=market.facts,
    )


def _terms(name: str) -> Instrument | None:
    try:
        terms = parse_symbol(name)
    except CrossmarginError:
        return None
    return terms if terms.name == name else None


def _risk(instrument: Instrument) -> _Risk | None:
    """What two contracts share that one price, or one forward and volatility, is for; `None` where there is none."""
    if instrument.quote_currency not in _DOLLARS:
        return None
    kind = (type(instrument), instrument.underlying)
    if isinstance(instrument, Perpetual):
        return kind
    if isinstance(instrument, DatedFuture):
        return (*kind, epoch_seconds(instrument.expiry))
    if isinstance(instrument, VanillaOption):
        expiry = epoch_seconds(instrument.expiry)
        return (*kind, expiry, instrument.strike, instrument.right, instrument.style, instrument.on)
    return None


def _quote(market: Market, row: int) -> Quote:
    def value(column: FloatArray) -> float | None:
        number = float(column[row])
        return None if math.isnan(number) else number

    return Quote(
        instrument=market.instruments.instruments[row],
        bid=value(market.bid),
        ask=value(market.ask),
        mark=value(market.mark),
        vol=value(market.vol),
        vol_normal=bool(market.vol_normal[row]),
        forward=value(market.forward),
        discount=float(market.discount[row]),
    )


def _as_twin(instrument: Instrument, of: Quote) -> Quote:
    if isinstance(instrument, VanillaOption):
        return Quote(
            instrument=instrument, vol=of.vol, vol_normal=of.vol_normal, forward=of.forward, discount=of.discount
        )
    return Quote(instrument=instrument, bid=of.bid, ask=of.ask, mark=of.mark)


def _note(twins: Mapping[str, str]) -> str:
    shown = [f"{name} those of {twin}" for name, twin in list(twins.items())[:_NAMED]]
    more = f", and {len(twins) - _NAMED} more" if len(twins) > _NAMED else ""
    return (
        f"contracts that the market does not list take forward and volatility, or price, of the one of the same terms "
        f"that it lists: {', '.join(shown)}{more}"
    )
