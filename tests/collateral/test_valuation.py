"""Collateral: dollars after haircut, once; a coin whose price the scenarios move is also a position."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import MissingQuoteError, UnsupportedError
from crossmargin.collateral import valuation
from crossmargin.collateral.valuation import collateral_prices, collateral_value, schedule, spot_rows
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.plain_market import from_records
from crossmargin.market.policy import MissingPolicy, UnpricedStablecoin
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.book import Balances, Book
from tests import books
from tests.books import Row

POLICY = MissingPolicy()
CALL = "BTC-27MAR26-100000-C"


def cash(account: str, asset: str, amount: Any) -> Row:
    return {"account": account, "asset": asset, "amount": str(amount)}


def spot_trades(book: Book, market: Market) -> list[tuple[str, str, int]]:
    """`spot_rows` by name."""
    instruments, rows = spot_rows(book, market)
    return [
        (book.accounts[account], instruments[instrument], int(steps))
        for account, instrument, steps in zip(rows.account, rows.instrument, rows.steps, strict=True)
    ]


def evaluated(rows: list[Row], balances: list[Row], market: Market | None = None) -> Evaluation:
    return evaluate(books.book(rows, balances), market or books.market(), methodology("scenario-grid"))


def test_cash_and_coin_in_dollars() -> None:
    book = books.book(
        [books.row("a", CALL, 1), books.row("b", CALL, 1)],
        [cash("a", "USD", "1000.5"), cash("a", "BTC", "0.25"), cash("a", "USDC", 10), cash("b", "ETH", -2)],
    )
    cover = collateral_value(book, books.market(), POLICY)
    assert cover.value.tolist() == pytest.approx([1000.5 + 25_000 + 10, -6_200], rel=1e-15)
    assert [(fill.instrument, fill.rule) for fill in cover.fills] == [("USDC", "par assumed")]
    for account, expected in ((0, ["BTC", "USD", "USDC"]), (1, ["ETH"])):
        items = cover.items_of(account)
        assert [item.asset for item in items] == expected
        assert {item.margin_account for item in items} == {account}
        for item in items:
            assert item.value == item.amount * item.price * (1 - item.haircut)
        assert sum(item.value for item in items) == cover.value[account]


@st.composite
def holdings(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Positions, some of them spot, and balances: members of sets, several assets, debts, amounts of every size."""
    rows = draw(books.rows_of(names=("BTC", "ETH", CALL)))
    amounts = st.decimals(Decimal("-1e9"), Decimal("1e9"), places=8)
    accounts = st.sampled_from(("ann", "bob", "cid", "dan", "eve"))
    assets = st.sampled_from(("USD", "USDC", "USDT", "BTC", "ETH"))
    cells = draw(st.lists(st.tuples(accounts, assets, amounts), min_size=1, max_size=25))
    return rows, [cash(*cell) for cell in cells]


@given(held=holdings(), haircut=st.sampled_from((0.0, 0.03, 0.15)))
def test_cover_has_the_bits_of_a_loop_over_items(held: tuple[list[Row], list[Row]], haircut: float) -> None:
    cut = replace(schedule(), haircuts=dict.fromkeys(schedule().haircuts, haircut))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(valuation, "schedule", lambda: cut)
        book = books.book(*held)
        cover = collateral_value(book, books.market(), POLICY)
    assert book.balances is not None
    balances, price = book.balances, dict(books.market().prices) | {"USD": 1.0, "USDC": 1.0, "USDT": 1.0}
    expected = [0.0] * len(book.margin_accounts)
    counted = [0] * len(book.margin_accounts)
    for account, asset, steps in zip(balances.account, balances.asset, balances.steps, strict=True):
        amount = int(steps) / 1e8
        owner = int(book.margin_account_of[account])
        expected[owner] += amount * price[balances.assets[asset]] * (1 - (haircut if amount > 0 else 0.0))
        counted[owner] += 1
    positions = book.positions
    for owner in range(len(book.margin_accounts)):
        for k in range(int(positions.offsets[owner]), int(positions.offsets[owner + 1])):
            name = book.instruments[int(positions.instrument[k])]
            if name in ("BTC", "ETH"):
                expected[owner] += int(positions.steps[k]) / 1e8 * books.INDEX[name]
                counted[owner] += 1
    assert cover.value.tolist() == expected
    for owner, total in enumerate(expected):
        items = cover.items_of(owner)
        running = 0.0
        for item in items:
            running += item.value
        assert (len(items), running) == (counted[owner], total)


def test_the_arrays_of_cover_are_read_only_and_agree_in_length() -> None:
    cover = collateral_value(books.book([books.row("a", "BTC", 2)], [cash("a", "USD", 5)]), books.market(), POLICY)
    columns = [cover.margin_account, cover.asset, cover.amount, cover.price, cover.haircut, cover.item_value]
    assert {column.shape for column in columns} == {(2,)}
    assert not any(column.flags.writeable for column in (cover.value, *columns))
    assert [cover.assets[k] for k in cover.asset] == ["USD", "BTC"]
    assert cover.item_value.tolist() == [5.0, 200_000.0]


def test_cash_that_comes_in_is_one_item_more_of_one_account() -> None:
    book = books.book([books.row("a", CALL, 1), books.row("b", CALL, 1)], [cash("a", "USD", 10), cash("b", "ETH", 2)])
    before = collateral_value(book, books.market(), POLICY)
    after = before.with_cash(1, -250.5, "USD")
    assert after.value.tolist() == [10.0, 6_200.0 - 250.5]
    assert before.value.tolist() == [10.0, 6_200.0]
    assert after.items_of(0) == before.items_of(0)
    *kept, paid = after.items_of(1)
    assert tuple(kept) == before.items_of(1)
    assert (paid.asset, paid.amount, paid.price, paid.haircut, paid.value) == ("USD", -250.5, 1.0, 0.0, -250.5)


def test_cash_in_dollars_that_nobody_held() -> None:
    book = books.book([books.row("a", CALL, 1)], [cash("a", "ETH", 1)])
    after = collateral_value(book, books.market(), POLICY).with_cash(0, 7.0, "USD")
    assert [(item.asset, item.value) for item in after.items_of(0)] == [("ETH", 3_100.0), ("USD", 7.0)]


def test_spot_quoted_in_a_coin_is_asked_for_its_price_once() -> None:
    """One stand-in for the dollar of a stablecoin, however many accounts hold what is quoted in it."""
    record = PLAIN_SPOT | {"instrument": "BTC_USDC", "quote_currency": "USDC"}
    market = from_records([(1, record)], as_of=books.AS_OF, source="test", file="test")
    rows = [books.row(name, "BTC_USDC", quantity) for name, quantity in (("a", 1), ("b", -2), ("c", 3))]
    cover = collateral_value(books.book(rows, [cash("a", "USD", 0)]), market, POLICY)
    assert cover.value.tolist() == [100_000.0, -200_000.0, 300_000.0]
    assert [fill.instrument for fill in cover.fills] == ["USDC"]
    strict = MissingPolicy(stablecoin=UnpricedStablecoin.ERROR)
    with pytest.raises(MissingQuoteError, match="needed by 'BTC_USDC'") as caught:
        collateral_value(books.book(rows, [cash("a", "USD", 0)]), market, strict)
    assert len(caught.value.problems) == 1


def test_a_stablecoin_without_price_can_be_refused_and_a_price_is_used() -> None:
    book = books.book([books.row("a", CALL, 1)], [cash("a", "USDC", 10)])
    with pytest.raises(MissingQuoteError, match="no dollar price for 'USDC'"):
        collateral_value(book, books.market(), MissingPolicy(stablecoin=UnpricedStablecoin.ERROR))
    priced = replace(books.market(), prices=dict(books.market().prices) | {"USDC": 0.9})
    cover = collateral_value(book, priced, POLICY)
    assert (cover.value.tolist(), cover.fills) == ([9.0], ())


def test_every_asset_that_is_no_collateral_is_named() -> None:
    book = replace(
        books.book([books.row("a", CALL, 1)]),
        balances=Balances(
            assets=("DOGE", "SHIB", "USD"),
            account=np.zeros(3, dtype=np.int64),
            asset=np.arange(3, dtype=np.int64),
            steps=np.full(3, 10**9, dtype=np.int64),
        ),
    )
    with pytest.raises(UnsupportedError) as caught:
        collateral_value(book, books.market(), POLICY)
    assert len(caught.value.problems) == 2
    assert "'DOGE' is no collateral that the schedule accepts" in str(caught.value)
    assert "'SHIB'" in str(caught.value)


def test_a_coin_without_a_price_is_refused() -> None:
    without = replace(books.market(), prices={"USD": 1.0})
    book = books.book([books.row("a", CALL, 1)], [cash("a", "ETH", 1)])
    with pytest.raises(MissingQuoteError, match="no dollar price for 'ETH'"):
        collateral_value(book, without, POLICY)


def test_a_haircut_lowers_an_asset_and_no_debt(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = replace(schedule(), haircuts={"USD": 0.1})
    monkeypatch.setattr(valuation, "schedule", lambda: cut)
    book = books.book(
        [books.row("a", CALL, 1), books.row("b", CALL, 1)], [cash("a", "USD", 100), cash("b", "USD", -100)]
    )
    assert collateral_value(book, books.market(), POLICY).value.tolist() == [90.0, -100.0]


def test_haircuts_are_fractions() -> None:
    assert all(0 <= haircut < 1 for haircut in schedule().haircuts.values())
    assert schedule().haircuts["USD"] == 0


def test_balances_of_the_members_of_a_set_count_once_for_the_set() -> None:
    rows = [books.row(name, CALL, 1, netting_set="s") for name in ("a", "b")]
    book = books.book(rows, [cash("a", "USD", 100), cash("b", "USD", -30), cash("b", "USD", 5)])
    assert collateral_value(book, books.market(), POLICY).value.tolist() == [75.0]


def test_a_coin_balance_is_also_a_position_that_the_scenarios_move() -> None:
    rows = [books.row("a", CALL, -1)]
    hedged = evaluated(rows, [cash("a", "BTC", 1)])
    bare = evaluated(rows, [cash("a", "USD", 100_000)])
    assert hedged.collateral is not None
    assert bare.collateral is not None
    assert hedged.collateral.value.tolist() == bare.collateral.value.tolist() == [100_000.0]
    # A coin covers a short call in a rally, and falls in a crash.
    assert hedged.requirements.requirement_initial[0] < bare.requirements.requirement_initial[0]
    assert "BTC" in hedged.margined.instruments
    assert "BTC" not in hedged.book.instruments
    as_position = evaluated([*rows, books.row("a", "BTC", 1)], [cash("a", "USD", 0)])
    assert as_position.requirements.requirement_initial[0] == hedged.requirements.requirement_initial[0]
    assert as_position.collateral is not None
    assert as_position.collateral.value.tolist() == [100_000.0]


def test_a_coin_that_is_position_and_balance_counts_as_two_coins_and_no_more() -> None:
    both = evaluated([books.row("a", "BTC", 1)], [cash("a", "BTC", 1)])
    two = evaluated([books.row("a", "BTC", 2)], [cash("a", "USD", 0)])
    assert both.collateral is not None
    assert two.collateral is not None
    assert both.collateral.value.tolist() == two.collateral.value.tolist() == [200_000.0]
    assert both.requirements.requirement_initial.tolist() == two.requirements.requirement_initial.tolist()


def test_a_coin_debt_is_a_short_position() -> None:
    short = evaluated([books.row("a", CALL, 1)], [cash("a", "BTC", -1), cash("a", "USD", 150_000)])
    assert short.collateral is not None
    assert short.collateral.value.tolist() == [50_000.0]
    assert "BTC" in short.margined.instruments
    assert short.requirements.requirement_initial[0] > 0


def test_cash_is_no_position() -> None:
    book = books.book([books.row("a", CALL, 1)], [cash("a", "USD", 1), cash("a", "BTC", 0), cash("a", "ETH", "0.5")])
    assert spot_trades(book, books.market()) == [("a", "ETH", 50_000_000)]
    assert spot_trades(books.book([books.row("a", CALL, 1)]), books.market()) == []


def test_spot_rows_index_sorted_names_in_the_order_of_the_balances() -> None:
    cells = [("a", "USD", 1), ("a", "BTC", 0), ("b", "ETH", "0.5"), ("c", "BTC", -2), ("c", "ETH", 3)]
    book = books.book([books.row("a", CALL, 1)], [cash(*cell) for cell in cells])
    assert spot_rows(book, books.market())[0] == ("BTC", "ETH")
    assert spot_trades(book, books.market()) == [
        ("b", "ETH", 5 * 10**7),
        ("c", "BTC", -2 * 10**8),
        ("c", "ETH", 3 * 10**8),
    ]


def test_a_balance_of_nothing_names_its_asset_and_is_no_position() -> None:
    """Only what is a position is priced as one: nobody could be left out for the spot that nobody holds."""
    book = books.book([books.row("a", "BTC-PERPETUAL", 1)], [cash("a", "ETH", 0), cash("a", "USD", 1)])
    assert spot_rows(book, books.market())[0] == ()
    with pytest.raises(MissingQuoteError, match="no spot of ETH"):
        spot_rows(book, books.market().subset(["BTC-PERPETUAL"]))


@given(held=holdings(), data=st.data())
def test_prices_of_a_book_value_any_block_of_it_with_the_same_bits(
    held: tuple[list[Row], list[Row]], data: st.DataObject
) -> None:
    book = books.book(*held)
    prices = collateral_prices(book, books.market(), POLICY)
    whole = prices.value_of(book)
    first = data.draw(st.integers(0, len(book.margin_accounts)))
    last = data.draw(st.integers(first, len(book.margin_accounts)))
    part = prices.value_of(book.block(first, last))
    assert part.value.tobytes() == whole.value[first:last].tobytes()
    assert part.fills == whole.fills
    for account in range(first, last):
        assert [item.to_dict() for item in part.items_of(account - first)] == [
            item.to_dict() for item in whole.items_of(account)
        ]


def test_what_cannot_be_priced_says_whom_it_is_about() -> None:
    rows = [books.row("a", "BTC", 1)]
    book = books.book(rows, [cash("a", "USDC", 1), cash("b", "ETH", 1)])
    market = replace(books.market(), prices={"USD": 1.0}, index={"ETH": 3_100.0, "SPX": 6_800.0})
    with pytest.raises(MissingQuoteError) as caught:
        collateral_prices(book, market, MissingPolicy(stablecoin=UnpricedStablecoin.ERROR))
    assert [(p.asset, p.instrument) for p in caught.value.problems] == [("ETH", ""), ("USDC", ""), ("", "BTC")]
    assert "no index price of 'BTC' (needed by 'BTC')" in str(caught.value)
    with pytest.raises(MissingQuoteError) as without_spot:
        spot_rows(book, books.market().subset(["BTC"]))
    assert [p.asset for p in without_spot.value.problems] == ["ETH"]


def test_a_balance_of_an_account_without_positions_has_a_standing() -> None:
    evaluation = evaluated([books.row("a", CALL, 1)], [cash("b", "USD", 7)])
    assert evaluation.book.margin_accounts == ("a", "b")
    assert evaluation.standing is not None
    assert evaluation.standing.equity.tolist()[1] == 7.0
    assert evaluation.requirements.requirement_initial[1] == 0.0
    assert np.isinf(evaluation.standing.coverage[1])


PLAIN_SPOT = {"as_of": "2026-02-15T12:00:00Z", "kind": "spot", "underlying": "BTC", "index_price": "100000"}


@pytest.mark.parametrize(
    "row", [{"quote_currency": "USDC"}, {"multiplier": "0.001"}], ids=["not in dollars", "not one coin a contract"]
)
def test_a_coin_that_cannot_take_part_is_no_cover(row: dict[str, str]) -> None:
    """Full value without a position would be the coin as cover with none of its risk."""
    record = PLAIN_SPOT | {"instrument": "BTC_SPOT"} | row
    market = from_records([(1, record)], as_of=books.AS_OF, source="test", file="test")
    book = books.book([books.row("a", "BTC_SPOT", 1)], [cash("a", "BTC", 10)])
    with pytest.raises(MissingQuoteError, match=r"no spot of BTC .* cannot take part"):
        spot_trades(book, market)


def test_a_coin_takes_part_under_whatever_name_its_spot_has() -> None:
    record = PLAIN_SPOT | {"instrument": "bitcoin"}
    market = from_records([(1, record)], as_of=books.AS_OF, source="test", file="test")
    book = books.book([books.row("a", "bitcoin", 1)], [cash("a", "BTC", 10)])
    assert spot_trades(book, market) == [("a", "bitcoin", 10 * 10**8)]


@pytest.mark.parametrize("price", [float("nan"), float("inf"), 0.0, -5.0])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    market = replace(books.market(), prices={"USD": 1.0, "USDC": price})
    book = books.book([books.row("a", CALL, 1)], [cash("a", "USDC", 100)])
    with pytest.raises(MissingQuoteError, match=r"dollar price .* of 'USDC'"):
        collateral_value(book, market, POLICY)
