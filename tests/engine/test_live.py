"""A live book says, after every event, what a full evaluation of the same book and market says: the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmargin.basics.errors import CrossmarginError, InputError, UnknownInstrumentError, UnsupportedError
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine import live
from crossmargin.engine.evaluate import evaluate
from crossmargin.engine.events import Deposit, Event, MarketMove, ParameterChange, Trade
from crossmargin.engine.live import LiveBook
from crossmargin.files.positions import read_positions
from crossmargin.instruments.table import InstrumentTable
from crossmargin.instruments.terms import VanillaOption
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.requirements import AccountRequirements
from crossmargin.portfolio.book import Book
from tests import books, listed

CALL, PUT, ETH_CALL = "BTC-27MAR26-100000-C", "BTC-20FEB26-85000-P", "ETH-27MAR26-3100-C"
MEMBERS = ("a", "b", "c", "desk_1", "desk_2", "omnibus")
INSTRUMENTS = (CALL, PUT, ETH_CALL, "BTC-PERPETUAL", "BTC-27MAR26", "SPX   260320P06800000", "ETH-PERPETUAL")
DOCUMENT = methodology("scenario-grid").info.document


POSITIONS = [
    {"account": "a", "instrument": CALL, "quantity": "2"},
    {"account": "a", "instrument": ETH_CALL, "quantity": "-5"},
    {"account": "b", "instrument": PUT, "quantity": "-1.5"},
    {"account": "c", "instrument": "SPX   260320P06800000", "quantity": "3"},
    {"account": "desk_1", "instrument": CALL, "quantity": "-2", "netting_set": "desks"},
    {"account": "desk_2", "instrument": "BTC-PERPETUAL", "quantity": "40000", "netting_set": "desks"},
    {"account": "omnibus", "instrument": CALL, "quantity": "4", "account_type": "gross"},
    {"account": "omnibus", "instrument": CALL, "quantity": "-3", "account_type": "gross"},
]
BALANCES = [
    {"account": "a", "asset": "USD", "amount": "50000"},
    {"account": "a", "asset": "BTC", "amount": "0.25"},
    {"account": "desk_2", "asset": "USDC", "amount": "1000"},
]


def book_of(positions: list[dict[str, str]], balances: list[dict[str, str]]) -> Book:
    columns = ("account", "instrument", "quantity", "netting_set", "account_type")
    return read_positions({name: [row.get(name, "") for row in positions] for name in columns}, balances)


def start() -> Book:
    """Net accounts, two linked desks, an omnibus account, cash and coin."""
    return book_of(POSITIONS, BALANCES)


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
    underlyings = {name: dict(values) for name, values in DOCUMENT["underlyings"].items()}
    underlyings[underlying]["roll_move_minimum"] = str(minimum)
    overrides = {} if gain_share is None else {"across_units": "common", "gain_share": gain_share}
    return methodology("scenario-grid", {**DOCUMENT, "underlyings": underlyings}, **overrides)


def relisted(market: Market) -> Market:
    """The same names, but one option expires an hour later."""
    table = market.instruments
    row = table.names.index(CALL)
    option = table.instruments[row]
    assert isinstance(option, VanillaOption)
    instruments = list(table.instruments)
    instruments[row] = replace(option, expiry=option.expiry + timedelta(hours=1))
    return replace(market, instruments=InstrumentTable.from_instruments(instruments))


def bits(parts: Sequence[np.ndarray]) -> list[bytes]:
    return [part.tobytes() for part in parts]


def of_live(book: LiveBook) -> list[bytes]:
    r, s = book.requirements, book.standing
    found = [getattr(r, one.name) for one in fields(AccountRequirements)]
    if s is not None:
        found += [s.collateral_value, s.equity, s.excess, s.coverage, s.state_code]
    return bits(found)


def of_full(book: Book, market: Market, method: Methodology) -> list[bytes]:
    e = evaluate(book, market, method)
    r, s = e.requirements, e.standing
    found = [getattr(r, one.name) for one in fields(AccountRequirements)]
    if s is not None:
        found += [s.collateral_value, s.equity, s.excess, s.coverage, s.state_code]
    return bits(found)


def assert_current(kept: LiveBook) -> None:
    """It says what a full evaluation of its book says, explanation included."""
    assert of_live(kept) == of_full(kept.book(), kept.market, kept.methodology)
    for k in range(len(kept.margin_accounts)):
        alone = kept.evaluation_of(k).requirements
        assert alone.requirement_initial[0] == kept.requirements.requirement_initial[k]


class Twin:
    """The same events on plain rows: the book is read anew from all of them, and evaluated whole."""

    def __init__(self, method: Methodology) -> None:
        self.positions, self.balances = list(POSITIONS), list(BALANCES)
        self.market, self.method = books.market(), method

    @property
    def book(self) -> Book:
        return book_of(self.positions, self.balances).held_only()

    def apply(self, event: Event) -> None:
        match event:
            case Trade():
                row = {"account": event.account, "instrument": event.instrument, "quantity": shown(event.steps)}
                stated = [old for old in self.positions if old["account"] == event.account]
                kept = ("netting_set", "account_type")
                row |= {name: old[name] for old in stated[:1] for name in kept if name in old}
                self.positions.append(row)
            case Deposit():
                self.balances.append({"account": event.account, "asset": event.asset, "amount": shown(event.steps)})
            case MarketMove():
                self.market = event.market
            case ParameterChange():
                self.method = event.methodology


def shown(steps: int) -> str:
    return str(Decimal(steps) / STEPS_PER_UNIT)


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
    st.tuples(st.just("relisted")),
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
        case ("relisted",):
            return MarketMove(market=relisted(market))
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
            before = copy(twin)
            before.positions, before.balances = list(twin.positions), list(twin.balances)
            if event is None:
                book.fold()
            else:
                twin.apply(event)
            try:
                expected = of_full(twin.book, twin.market, twin.method)
            except CrossmarginError:  # something held has expired: both refuse, and nothing has happened
                assert event is not None
                with pytest.raises(CrossmarginError):
                    book.apply(event)
                twin = before
                expected = of_full(twin.book, twin.market, twin.method)
            else:
                if event is not None:
                    book.apply(event)
            assert book.margin_accounts == twin.book.margin_accounts
            assert of_live(book) == expected, what
    for account, name in enumerate(book.margin_accounts):
        alone = book.evaluation_of(account)
        full = evaluate(twin.book.select(twin.book.margin_account_index(name)), twin.market, twin.method)
        assert set(alone.fills) == set(full.fills)
        assert alone.requirements.requirement_isolated.tolist() == full.requirements.requirement_isolated.tolist()


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


def test_an_expired_contract_is_refused_by_name_and_nothing_happens() -> None:
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    before = of_live(book)
    later = replace(book.market, as_of=book.market.as_of + timedelta(days=6))
    with pytest.raises(CrossmarginError, match="'BTC-20FEB26-85000-P' expired at 2026-02-20T08:00:00Z"):
        book.apply(MarketMove(market=later))
    assert of_live(book) == before
    book.apply(Trade(account="b", instrument=PUT, steps=3 * STEPS_PER_UNIT // 2))
    book.apply(MarketMove(market=later))
    assert of_live(book) == of_full(book.book(), later, book.methodology)


def test_many_trades_of_one_account_are_no_longer_than_what_it_holds() -> None:
    """And sums that were right one by one are right together."""
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    large = 4 * 10**18
    for steps in (large, -large, large, -large) * 3:
        book.apply(Trade(account="b", instrument=CALL, steps=steps))
    book.apply(MarketMove(market=moved(book.market, "BTC", 0.01, 0.0)))
    assert of_live(book) == of_full(book.book(), book.market, book.methodology)


def test_moves_of_many_sets_of_underlyings_keep_no_more_than_a_book() -> None:
    rows = [{"account": f"n{k}", "instrument": "ETH-PERPETUAL", "quantity": "100"} for k in range(5)]
    book = LiveBook(book_of([*POSITIONS, *rows], BALANCES), books.market(), methodology("scenario-grid"))
    for names in (["BTC"], ["ETH"], ["SPX"], ["BTC", "ETH"], ["ETH", "SPX"], ["BTC", "SPX"], ["BTC", "ETH", "SPX"]):
        market = book.market
        for name in names:
            market = moved(market, name, 0.01, 0.0)
        book.apply(MarketMove(market=market))
        assert of_live(book) == of_full(book.book(), book.market, book.methodology)
        kept = [part for part in book._holding.values() if part is not book._base]
        assert sum(len(part.accounts) for part in kept) <= len(book.margin_accounts)


def test_a_gross_account_keeps_what_was_bought_and_sold_apart() -> None:
    """Also where both came to the same since the book was arranged."""
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    for steps in (3 * STEPS_PER_UNIT, -3 * STEPS_PER_UNIT):
        book.apply(Trade(account="omnibus", instrument=CALL, steps=steps))
    quantities = {"omnibus": ("7", "-6")}
    rows = [row for row in POSITIONS if row["account"] != "omnibus"]
    rows += [
        {"account": "omnibus", "instrument": CALL, "quantity": quantity, "account_type": "gross"}
        for quantity in quantities["omnibus"]
    ]
    expected = of_full(book_of(rows, BALANCES), book.market, book.methodology)
    assert of_live(book) == expected
    book.apply(MarketMove(market=book.market))
    assert of_live(book) == expected
    book.fold()
    assert of_full(book.book(), book.market, book.methodology) == of_live(book) == expected


def test_who_has_collateral_of_another_value_is_told() -> None:
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    cheaper = replace(book.market, prices={**book.market.prices, "USDC": 0.99})
    affected = {book.margin_accounts[k] for k in book.apply(MarketMove(market=cheaper)).tolist()}
    assert affected == {"desks"}


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (lambda: Trade(account="a", instrument=CALL, steps=1.5), "1.5 steps. Steps of 1e-8 are whole"),
        (lambda: Trade(account="a", instrument=CALL, steps=True), "True steps"),
        (lambda: Trade(account="a", instrument=CALL, steps=0), "0 steps. Leave out"),
        (lambda: Trade(account="a", instrument=CALL, steps=2**63), "At most 9000000000000000000"),
        (lambda: Trade(account=" a ", instrument=CALL, steps=1), "outer blanks"),
        (lambda: Trade(account="", instrument=CALL, steps=1), "empty"),
        (lambda: Trade(account="a\x00b", instrument=CALL, steps=1), "cannot be shown"),
        (lambda: Trade(account="a", instrument=None, steps=1), "of type NoneType"),
        (lambda: Deposit(account="a" * 300, asset="USD", steps=1), "has 300 characters"),
        (lambda: MarketMove(market=None), "NoneType, which is no Market"),
        (lambda: ParameterChange(methodology="isolated"), "'isolated', which is no methodology"),
    ],
)
def test_an_event_is_checked_when_it_is_made(made: Any, match: str) -> None:
    with pytest.raises(CrossmarginError, match=match):
        made()


def test_what_is_no_event_and_what_is_past_is_refused() -> None:
    book = LiveBook(start(), books.market(), methodology("scenario-grid"))
    before = of_live(book)
    for nothing in ("x", None, {"account": "a"}):
        with pytest.raises(CrossmarginError, match="is no event"):
            book.apply(nothing)  # type: ignore[arg-type]  # that is what is tested
    earlier = replace(book.market, as_of=book.market.as_of - timedelta(seconds=1))
    with pytest.raises(CrossmarginError, match="before the present one"):
        book.apply(MarketMove(market=earlier))
    assert of_live(book) == before


def test_a_book_in_a_market_that_only_lists_prices_what_is_held() -> None:
    book = books.book([books.row("a", listed.CALL, -2), books.row("b", listed.FUTURE, 3)])
    method = listed.method()
    kept = LiveBook(book, method.market, method)
    assert_current(kept)
    first = kept.apply(Trade(account="a", instrument=listed.FUTURE, steps=STEPS_PER_UNIT))
    assert first.tolist() == [0]  # priced already, as somebody holds it
    everybody = kept.apply(Trade(account="b", instrument=listed.PUT, steps=-STEPS_PER_UNIT))
    assert everybody.tolist() == [0, 1]
    kept.apply(Deposit(account="b", asset="INR", steps=5_000 * STEPS_PER_UNIT))
    assert_current(kept)
    with pytest.raises(UnknownInstrumentError, match="'BTC-PERPETUAL' is not in the file of charges"):
        kept.apply(Trade(account="a", instrument="BTC-PERPETUAL", steps=1))
    assert_current(kept)


def test_a_newer_file_is_a_change_of_parameters_and_brings_its_market() -> None:
    method = listed.method()
    cash = [{"account": "a", "asset": "INR", "amount": "2000"}]
    book = read_positions([books.row("a", listed.CALL, -2)], cash, market=method.market)
    kept = LiveBook(book, method.market, method)
    before = kept.requirements
    newer = listed.method(listed.FILE.replace("12:00:00", "12:30:00").replace("12.5,800", "40,1200"))
    with pytest.raises(InputError, match="'charges', whose prices come from its parameter file"):
        kept.apply(MarketMove(market=newer.market))
    kept.apply(ParameterChange(methodology=newer))
    assert kept.market is newer.market
    assert (before.requirement_initial[0], kept.requirements.requirement_initial[0]) == (1_600.0, 2_400.0)
    assert_current(kept)
    with pytest.raises(InputError, match="before the present one"):
        kept.apply(ParameterChange(methodology=method))
    with pytest.raises(UnsupportedError, match="only the method of its file values"):
        kept.apply(ParameterChange(methodology=methodology("scenario-grid")))
    assert kept.methodology is newer
    assert_current(kept)
