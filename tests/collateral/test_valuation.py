"""Collateral: dollars after haircut, once; a coin whose price the scenarios move is also a position."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.errors import MissingQuoteError, UnsupportedError
from crossmargin.collateral import valuation
from crossmargin.collateral.valuation import collateral_value, schedule, spot_trades
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.plain_market import from_records
from crossmargin.market.policy import MissingPolicy, UnpricedStablecoin
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.book import Balances
from tests import books
from tests.books import Row

POLICY = MissingPolicy()
CALL = "BTC-27MAR26-100000-C"


def cash(account: str, asset: str, amount: Any) -> Row:
    return {"account": account, "asset": asset, "amount": str(amount)}


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
    for item in cover.items:
        assert item.value == item.amount * item.price * (1 - item.haircut)
    assert [round(sum(item.value for item in cover.items if item.margin_account == a), 9) for a in (0, 1)] == (
        cover.value.round(9).tolist()
    )


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
