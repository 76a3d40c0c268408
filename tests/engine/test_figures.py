"""Block by block is the whole, to the bit; one account of many explains itself with the same figures."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crossmargin.aggregation import sweep
from crossmargin.answers import result as answers
from crossmargin.answers.result import MarginResult
from crossmargin.basics.errors import (
    InputError,
    MissingQuoteError,
    Problem,
    QuantityError,
    UnknownAccountError,
    UnsupportedError,
)
from crossmargin.basics.threads import using_threads
from crossmargin.engine import figures
from crossmargin.engine.evaluate import evaluate, prepare
from crossmargin.engine.figures import AccountFigures, account_figures, prepare_in_quarantine
from crossmargin.market.policy import MissingPolicy, UnpricedStablecoin
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import METHODOLOGIES, methodology
from crossmargin.portfolio.quarantine import OnError, Unmargined
from crossmargin.standing.standing import Standing
from tests import books
from tests.books import Row

BALANCES = [
    {"account": "ann", "asset": "USD", "amount": "10000"},
    {"account": "bob", "asset": "BTC", "amount": "0.5"},
    {"account": "zoe", "asset": "ETH", "amount": "-3"},
]
COLUMNS = ("requirement_initial", "requirement_maintenance", "requirement_isolated", "net_option_value")


def bits(found: AccountFigures) -> list[bytes]:
    columns = [getattr(found, name).tobytes() for name in COLUMNS]
    if found.standing is not None:
        columns += [getattr(found.standing, name).tobytes() for name in (one.name for one in fields(Standing))]
    return columns


@settings(max_examples=40, deadline=None)
@given(
    rows=books.rows_of(),
    with_cash=st.booleans(),
    block=st.integers(1, 4),
    threads=st.integers(1, 3),
    compiled=st.booleans(),
    name=st.sampled_from(
        sorted(n for n in (*METHODOLOGIES, *books.WITH_HISTORY) if any(books.holds(n, one) for one in books.NAMES))
    ),
)
def test_blocks_threads_and_kernels_change_no_bit(
    rows: list[Row], with_cash: bool, block: int, threads: int, compiled: bool, name: str
) -> None:
    rows = [row for row in rows if books.holds(name, row["instrument"])]
    assume(rows)
    book = books.book(rows, BALANCES if with_cash else None)
    method = books.made(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_is_small", lambda multiplications: True)
        expected = AccountFigures.of(evaluate(book, books.market(), method))
    with pytest.MonkeyPatch.context() as patch, using_threads(threads):
        patch.setattr(figures, "BLOCK_ACCOUNTS", block)
        patch.setattr(sweep, "_is_small", lambda multiplications: not compiled)
        found = account_figures(prepare(book, books.market(), method))
    assert found.margin_accounts == expected.margin_accounts
    assert bits(found) == bits(expected)
    assert set(found.fills) == set(expected.fills)


@settings(max_examples=20, deadline=None)
@given(rows=books.rows_of())
def test_a_large_answer_says_what_a_small_one_says(rows: list[Row]) -> None:
    book = books.book(rows, BALANCES)
    small = MarginResult.of(evaluate(book, books.market(), methodology("scenario-grid")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "BLOCK_ACCOUNTS", 1)
        patch.setattr(figures, "BLOCK_ACCOUNTS", 1)
        large = MarginResult.of_book(book, books.market(), methodology("scenario-grid"))
        assert large.whole is None or len(book.margin_accounts) == 1
        assert large.columns() == small.columns()
        assert large.to_json() == small.to_json()
        for account in small.accounts:
            assert large.explain(account) == small.explain(account)
            assert large.requirement_isolated(account) == small.requirement_isolated(account)
            assert large.scenarios(account).pnl.tobytes() == small.scenarios(account).pnl.tobytes()


def test_progress_is_told_to_the_end() -> None:
    book = books.book([books.row(f"account-{k}", "BTC-PERPETUAL", 10) for k in range(9)])
    told: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "BLOCK_ACCOUNTS", 2)
        account_figures(prepare(book, books.market(), methodology("scenario-grid")), lambda *done: told.append(done))
    assert len(told) == 5
    assert max(told) == (9, 9)


def test_an_underlying_without_parameters_leaves_out_who_holds_it() -> None:
    document = methodology("scenario-grid").info.document
    only_btc = {**document, "underlyings": {"BTC": document["underlyings"]["BTC"]}}
    method = methodology("scenario-grid", only_btc)
    book = books.book([books.row("a", "BTC-PERPETUAL", 10), books.row("b", "ETH-PERPETUAL", 10)])
    with pytest.raises(UnsupportedError, match="no parameters for underlying 'ETH'"):
        prepare(book, books.market(), method)
    prepared, left_out = prepare_in_quarantine(book, books.market(), method)
    assert prepared.book.margin_accounts == ("a",)
    assert [(one.account, len(one.problems)) for one in left_out] == [("b", 1)]
    alone = evaluate(books.book([books.row("a", "BTC-PERPETUAL", 10)]), books.market(), method)
    assert np.array_equal(
        prepared.evaluation().requirements.requirement_initial, alone.requirements.requirement_initial
    )


def cash(account: str, asset: str, amount: str) -> Row:
    return {"account": account, "asset": asset, "amount": amount}


def only_btc() -> Methodology:
    document = methodology("scenario-grid").info.document
    return methodology("scenario-grid", {**document, "underlyings": {"BTC": document["underlyings"]["BTC"]}})


POSITIONS = [books.row(name, "BTC-PERPETUAL", 10) for name in ("a", "b", "c")]


def test_a_coin_without_parameters_leaves_out_who_has_some_of_it() -> None:
    """The spot is in the margined book only: it is the accounts with such a balance that hold it."""
    balances = [cash("a", "USD", "5"), cash("b", "ETH", "0.1"), cash("c", "ETH", "0"), cash("d", "ETH", "-1")]
    book = books.book(POSITIONS, balances)
    with pytest.raises(UnsupportedError, match="no parameters for underlying 'ETH'"):
        prepare(book, books.market(), only_btc())
    prepared, left_out = prepare_in_quarantine(book, books.market(), only_btc())
    assert [one.account for one in left_out] == ["b", "d"]
    assert all("no parameters for underlying 'ETH'" in one.in_words for one in left_out)
    others = books.book([POSITIONS[0], POSITIONS[2]], [balances[0], balances[2]])
    assert bits(account_figures(prepared)) == bits(AccountFigures.of(evaluate(others, books.market(), only_btc())))


def test_a_coin_without_a_spot_leaves_out_who_has_some_of_it() -> None:
    book = books.book(POSITIONS, [cash("a", "ETH", "1"), cash("b", "USD", "1")])
    market = books.market().subset(["BTC-PERPETUAL"])
    with pytest.raises(MissingQuoteError, match="no spot of ETH"):
        prepare(book, market, methodology("scenario-grid"))
    prepared, left_out = prepare_in_quarantine(book, market, methodology("scenario-grid"))
    assert [(one.account, one.problems[0].asset) for one in left_out] == [("a", "ETH")]
    assert prepared.book.margin_accounts == ("b", "c")


def test_a_member_with_the_coin_takes_out_its_set() -> None:
    rows = [books.row(name, "BTC-PERPETUAL", 10, netting_set="s") for name in ("a", "b")]
    book = books.book([*rows, books.row("c", "ETH", -1)], [cash("b", "ETH", "1"), cash("c", "ETH", "1")])
    prepared, left_out = prepare_in_quarantine(book, books.market(), only_btc())
    # Also where position and balance come to nothing.
    assert [(one.account, one.members) for one in left_out] == [("c", ("c",)), ("s", ("a", "b"))]
    assert prepared.book.margin_accounts == ()


@pytest.mark.parametrize("block", [1, 2, 4096])
def test_cover_without_a_price_is_refused_before_the_work_whatever_the_blocks(block: int) -> None:
    balances = [cash("a", "USDC", "1"), cash("b", "USDT", "1"), cash("c", "USD", "3")]
    book = books.book(POSITIONS, balances)
    strict = MissingPolicy(stablecoin=UnpricedStablecoin.ERROR)
    method = methodology("scenario-grid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "BLOCK_ACCOUNTS", block)
        patch.setattr(figures, "BLOCK_ACCOUNTS", block)
        with pytest.raises(MissingQuoteError) as caught:
            prepare(book, books.market(), method, strict)
        assert [(p.asset, "no dollar price" in p.found) for p in caught.value.problems] == [
            ("USDC", True),
            ("USDT", True),
        ]
        result = MarginResult.of_book(book, books.market(), method, strict, on_error=OnError.QUARANTINE)
    assert result.accounts == ("c",)
    assert [one.account for one in result.unmargined] == ["a", "b"]
    assert result.figures.standing is not None
    assert result.figures.standing.equity.tolist() == [3.0]


def test_everything_that_cannot_be_margined_or_valued_is_one_error() -> None:
    book = books.book([books.row("a", "ETH-PERPETUAL", 1)], [cash("a", "USDC", "1")])
    with pytest.raises(InputError) as caught:
        prepare(book, books.market(), only_btc(), MissingPolicy(stablecoin=UnpricedStablecoin.ERROR))
    assert [p.found.partition(" for ")[0] for p in caught.value.problems] == ["no parameters", "no dollar price"]


def test_a_price_that_position_and_cover_lack_is_missed_once() -> None:
    """What has no index price cannot be priced; that it is no cover either is no second problem."""
    market = replace(books.market(), index={"ETH": 3_100.0, "SPX": 6_800.0})
    with pytest.raises(MissingQuoteError, match="no index price for underlying 'BTC'") as caught:
        prepare(books.book([books.row("a", "BTC", 1)], [cash("a", "USD", "1")]), market, methodology("scenario-grid"))
    assert len(caught.value.problems) == 1


@dataclass(frozen=True)
class WithoutACalendar:
    """A methodology that misses something that no instrument is to blame for."""

    method: Any

    def price(self, *arguments: Any) -> Any:
        raise UnsupportedError("the market says no settlement calendar")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.method, name)


def test_what_is_wrong_with_the_market_itself_still_refuses_everything() -> None:
    book = books.book(POSITIONS, [cash("a", "ETH", "1")])
    method: Any = WithoutACalendar(methodology("scenario-grid"))
    with pytest.raises(UnsupportedError, match="no settlement calendar"):
        prepare_in_quarantine(book, books.market(), method)


def test_the_unmargined_are_by_name_whoever_found_them() -> None:
    early = Unmargined(account="m", members=("m", "z"), problems=(Problem(found="unread", kind=QuantityError),))
    book = books.book(POSITIONS, [cash("b", "ETH", "1"), cash("x", "ETH", "1")])
    result = MarginResult.of_book(book, books.market(), only_btc(), on_error=OnError.QUARANTINE, unmargined=(early,))
    assert [one.account for one in result.unmargined] == ["b", "m", "x"]
    for name in ("m", "z"):
        with pytest.raises(QuantityError, match="unread"):
            result.explain(name)
    with pytest.raises(UnsupportedError, match="no parameters"):
        result.index("x")
    with pytest.raises(UnknownAccountError):
        result.index("nobody")
