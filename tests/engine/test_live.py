"""A live book says, after every event, what a full evaluation of the same book and market says: the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmargin.basics.errors import CrossmarginError
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine import live
from crossmargin.engine.evaluate import evaluate
from crossmargin.engine.events import Deposit, Event, MarketMove, ParameterChange, Trade
from crossmargin.engine.live import LiveBook
from crossmargin.files.positions import read_positions
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.book import Book
from tests import books

CALL, PUT, ETH_CALL = "BTC-27MAR26-100000-C", "BTC-20FEB26-85000-P", "ETH-27MAR26-3100-C"
MEMBERS = ("a", "b", "c", "desk_1", "desk_2", "omnibus")
INSTRUMENTS = (CALL, PUT, ETH_CALL, "BTC-PERPETUAL", "BTC-27MAR26", "SPX   260320P06800000", "ETH-PERPETUAL")
DOCUMENT = methodology("scenario-grid").info.document


def start() -> Book:
    """Net accounts, two linked desks, an omnibus account, cash and coin."""
    rows = [
        {"account": "a", "instrument": CALL, "quantity": "2"},
        {"account": "a", "instrument": ETH_CALL, "quantity": "-5"},
        {"account": "b", "instrument": PUT, "quantity": "-1.5"},
        {"account": "c", "instrument": "SPX   260320P06800000", "quantity": "3"},
        {"account": "desk_1", "instrument": CALL, "quantity": "-2", "netting_set": "desks"},
        {"account": "desk_2", "instrument": "BTC-PERPETUAL", "quantity": "40000", "netting_set": "desks"},
        {"account": "omnibus", "instrument": CALL, "quantity": "4", "account_type": "gross"},
        {"account": "omnibus", "instrument": CALL, "quantity": "-3", "account_type": "gross"},
    ]
    columns = ("account", "instrument", "quantity", "netting_set", "account_type")
    return read_positions(
        {name: [row.get(name, "") for row in rows] for name in columns},
        [
            {"account": "a", "asset": "USD", "amount": "50000"},
            {"account": "a", "asset": "BTC", "amount": "0.25"},
            {"account": "desk_2", "asset": "USDC", "amount": "1000"},
        ],
    )


def moved(market: Market, underlying: str, price: float, vol: float) -> Market:
    """The market after the price of `underlying` moved by a fraction and its vols by a difference."""
    table = market.instruments
    its = table.underlying == table.underlyings.index(underlying)
    grown = np.where(its, 1 + price, 1.0)
    return replace(
        market,
        index={**market.index, underlying: market.index[underlying] * (1 + price)},
        prices=market.prices
        if underlying == "SPX"
        else {**market.prices, underlying: market.index[underlying] * (1 + price)},
        mark=market.mark * grown,
        forward=market.forward * grown,
        vol=np.where(its, np.maximum(market.vol + vol, 0.01), market.vol),
    )


def with_roll(underlying: str, minimum: float, gain_share: str | None = None) -> Methodology:
    """The default parameters with another least roll move of one underlying."""
    document: dict[str, Any] = {**DOCUMENT}
    group = next(name for name in ("charges", "underlyings") if name in document)
    assert underlying in document[group], document.keys()
    document[group] = {name: dict(values) for name, values in document[group].items()}
    _set(document[group][underlying], "roll_move_minimum", str(minimum))
    overrides = {} if gain_share is None else {"across_units": "common", "gain_share": gain_share}
    return methodology("scenario-grid", document, **overrides)


def _set(values: dict[str, Any], name: str, value: str) -> None:
    if name in values:
        values[name] = type(values[name])(value)
        return
    inner = next(key for key, inside in values.items() if isinstance(inside, dict) and name in inside)
    values[inner] = {**values[inner], name: type(values[inner][name])(value)}


def bits(parts: Sequence[np.ndarray]) -> list[bytes]:
    return [part.tobytes() for part in parts]


def of_live(book: LiveBook) -> list[bytes]:
    r, s = book.requirements, book.standing
    found = [r.requirement_initial, r.requirement_maintenance, r.net_option_value]
    if s is not None:
        found += [s.collateral_value, s.equity, s.excess, s.coverage, s.state_code]
    return bits(found)


def of_full(book: Book, market: Market, method: Methodology) -> list[bytes]:
    e = evaluate(book, market, method)
    r, s = e.requirements, e.standing
    found = [r.requirement_initial, r.requirement_maintenance, r.net_option_value]
    if s is not None:
        found += [s.collateral_value, s.equity, s.excess, s.coverage, s.state_code]
    return bits(found)


class Twin:
    """The same events on plain rows: the book is built anew from all of them, and evaluated whole."""

    def __init__(self, method: Methodology) -> None:
        self.book, self.market, self.method = start(), books.market(), method

    def apply(self, event: Event) -> None:
        match event:
            case Trade():
                self.book = self.book.with_trades([(event.account, event.instrument, event.steps)])
            case Deposit():
                self.book = self.book.with_deposits([(event.account, event.asset, event.steps)])
            case MarketMove():
                self.market = event.market
            case ParameterChange():
                self.method = event.methodology


STEPS = st.sampled_from([-3, -1, 1, 2]).map(lambda n: n * STEPS_PER_UNIT)
WHAT = st.one_of(
    st.tuples(st.just("trade"), st.sampled_from((*MEMBERS, "new_1", "new_2")), st.sampled_from(INSTRUMENTS), STEPS),
    st.tuples(st.just("deposit"), st.sampled_from(MEMBERS), st.sampled_from(["USD", "BTC", "ETH"]), STEPS),
    st.tuples(
        st.just("move"),
        st.sampled_from(["BTC", "ETH", "SPX"]),
        st.sampled_from([-0.1, -0.01, 0.02]),
        st.sampled_from([0.0, 0.05]),
    ),
    st.tuples(st.just("time"), st.integers(1, 48)),
    st.tuples(st.just("parameters"), st.sampled_from(["BTC", "ETH"]), st.sampled_from([0.001, 0.004])),
    st.tuples(st.just("common"), st.sampled_from(["0", "0.5", "1"])),
    st.tuples(st.just("isolated")),
    st.tuples(st.just("fold")),
)


def event_of(what: tuple[Any, ...], market: Market) -> Event | None:
    match what:
        case ("trade", account, instrument, steps):
            return Trade(account=account, instrument=instrument, steps=steps)
        case ("deposit", account, asset, steps):
            return Deposit(account=account, asset=asset, steps=steps)
        case ("move", underlying, price, vol):
            return MarketMove(market=moved(market, underlying, price, vol))
        case ("time", hours):
            return MarketMove(market=replace(market, as_of=market.as_of + timedelta(hours=hours)))
        case ("parameters", underlying, minimum):
            return ParameterChange(methodology=with_roll(underlying, minimum))
        case ("common", share):
            return ParameterChange(methodology=with_roll("BTC", 0.002, share))
        case ("isolated",):
            return ParameterChange(methodology=methodology("isolated"))
    return None


@settings(max_examples=60, deadline=None)
@given(events=st.lists(WHAT, min_size=1, max_size=14), fold_from=st.sampled_from([1, 2, 10_000]))
def test_any_sequence_of_events_leaves_what_a_full_evaluation_says(
    events: list[tuple[Any, ...]], fold_from: int
) -> None:
    twin = Twin(methodology("scenario-grid"))
    book = LiveBook(twin.book, twin.market, twin.method)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "FOLD_FROM", fold_from)
        for what in events:
            event = event_of(what, twin.market)
            if event is None:
                book.fold()
            else:
                twin.apply(event)
                book.apply(event)
            assert book.margin_accounts == twin.book.margin_accounts
            assert of_live(book) == of_full(twin.book, twin.market, twin.method), what


def test_only_what_depends_on_an_event_is_calculated_again() -> None:
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    names = book.margin_accounts

    def affected(event: Event) -> set[str]:
        return {names[k] for k in book.apply(event).tolist()}

    assert affected(Trade(account="desk_2", instrument=CALL, steps=STEPS_PER_UNIT)) == {"desks"}
    book.fold()
    assert affected(Deposit(account="b", asset="USD", steps=5)) == {"b"}
    book.fold()
    assert affected(MarketMove(market=moved(book.market, "SPX", 0.01, 0.0))) == {"c"}
    assert affected(MarketMove(market=moved(book.market, "ETH", 0.01, 0.0))) == {"a"}
    assert affected(ParameterChange(methodology=with_roll("SPX", 0.004))) == {"c"}
    assert affected(MarketMove(market=book.market)) == set()
    later = replace(book.market, as_of=book.market.as_of + timedelta(hours=1))
    assert affected(MarketMove(market=later)) == set(names)


@pytest.mark.parametrize(
    "event",
    [
        Trade(account="a", instrument="BTC-27MAR26-123456-C", steps=1),
        Trade(account="a", instrument="no such thing", steps=1),
        Deposit(account="a", asset="DOGE", steps=1),
        Trade(account="a", instrument=CALL, steps=9 * 10**18),
    ],
)
def test_an_event_that_cannot_be_margined_raises_and_changes_nothing(event: Event) -> None:
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    before = of_live(book)
    with pytest.raises(CrossmarginError):
        book.apply(event)
    assert of_live(book) == before == of_full(start(), books.market(), methodology("scenario-grid"))
    assert book.book().accounts == start().accounts


def test_a_market_that_lost_a_quote_matters_only_to_who_holds_it() -> None:
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    market = book.market
    gone = replace(
        market, forward=np.where(np.arange(len(market.forward)) == market.rows((PUT,))[0], np.nan, market.forward)
    )
    before = of_live(book)
    with pytest.raises(CrossmarginError, match="forward price for 'BTC-20FEB26-85000-P'"):
        book.apply(MarketMove(market=gone))
    assert of_live(book) == before
    book.apply(Trade(account="b", instrument=PUT, steps=3 * STEPS_PER_UNIT // 2))
    book.apply(MarketMove(market=gone))
    assert of_live(book) == of_full(book.book(), gone, book.methodology)
    with pytest.raises(CrossmarginError, match="forward price"):
        book.apply(Trade(account="b", instrument=PUT, steps=1))


def test_the_explanation_of_an_account_is_its_figure() -> None:
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    book.apply(Trade(account="a", instrument=PUT, steps=-STEPS_PER_UNIT))
    book.apply(MarketMove(market=moved(book.market, "BTC", -0.03, 0.02)))
    for account in range(len(book.margin_accounts)):
        evaluation = book.evaluation_of(account)
        tree = evaluation.methodology.explain(evaluation.requirements, 0)
        assert tree.value == book.requirements.requirement_initial[account]
        standing = book.standing_of(account)
        assert standing is not None
        assert evaluation.standing is not None
        assert evaluation.standing.equity.tolist() == standing.equity.tolist()


def test_a_listing_that_the_method_cannot_price_does_not_slow_the_others() -> None:
    """What the market lists is priced ahead, but for an underlying without parameters that nobody holds."""
    only = {**DOCUMENT, "underlyings": {name: DOCUMENT["underlyings"][name] for name in ("BTC", "ETH")}}
    held = read_positions([{"account": "a", "instrument": CALL, "quantity": "1"}])
    book = LiveBook(held, books.market(), methodology("scenario-grid", only))
    affected = book.apply(Trade(account="a", instrument=ETH_CALL, steps=STEPS_PER_UNIT))
    assert affected.tolist() == [0]
    assert "SPX" not in str(book.evaluation_of(0).margined.instruments)
    with pytest.raises(CrossmarginError, match="no parameters for underlying 'SPX'"):
        book.apply(Trade(account="a", instrument="SPX   260320P06800000", steps=STEPS_PER_UNIT))


def test_a_coin_s_price_is_no_business_of_who_holds_another_coin() -> None:
    market = books.market()
    assert market.moved_underlyings(moved(market, "BTC", 0.01, 0.0)) == {"BTC"}
    dollar_less = replace(market, prices={**market.prices, "USD": 0.99})
    assert market.moved_underlyings(dollar_less) == {"BTC", "ETH", "SPX"}  # all are quoted in dollars
    unused = replace(market, prices={**market.prices, "USDC": 0.99})
    assert market.moved_underlyings(unused) == frozenset()
    assert market.moved_underlyings(replace(market, as_of=market.as_of + timedelta(seconds=1))) is None
