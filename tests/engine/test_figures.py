"""Block by block is the whole, to the bit; one account of many explains itself with the same figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmargin.aggregation import sweep
from crossmargin.answers import result as answers
from crossmargin.answers.result import MarginResult
from crossmargin.basics.errors import UnsupportedError
from crossmargin.basics.threads import using_threads
from crossmargin.engine import figures
from crossmargin.engine.evaluate import evaluate, prepare
from crossmargin.engine.figures import AccountFigures, Standings, account_figures, prepare_in_quarantine
from crossmargin.methodologies.registry import METHODOLOGIES, methodology
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
        columns += [getattr(found.standing, name).tobytes() for name in Standings.__slots__]
    return columns


@settings(max_examples=40, deadline=None)
@given(
    rows=books.rows_of(),
    with_cash=st.booleans(),
    block=st.integers(1, 4),
    threads=st.integers(1, 3),
    compiled=st.booleans(),
    name=st.sampled_from(sorted(METHODOLOGIES)),
)
def test_blocks_threads_and_kernels_change_no_bit(
    rows: list[Row], with_cash: bool, block: int, threads: int, compiled: bool, name: str
) -> None:
    book = books.book(rows, BALANCES if with_cash else None)
    method = methodology(name)
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


def test_what_is_wrong_with_the_market_itself_still_refuses_everything() -> None:
    book = books.book([books.row("a", "BTC-PERPETUAL", 10)], [{"account": "a", "asset": "ETH", "amount": "1"}])
    market = books.market().subset(["BTC-PERPETUAL"])
    with pytest.raises(Exception, match="no spot of ETH"):
        prepare_in_quarantine(book, market, methodology("scenario-grid"))
