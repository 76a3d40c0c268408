"""A margin account that something is wrong with is left out whole, listed with its reasons, and changes nobody else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import CrossmarginError, InputError, MissingQuoteError, Problem
from crossmargin.portfolio.book import Attributes
from crossmargin.portfolio.quarantine import Unmargined, quarantine
from tests.portfolio.test_book import ATTRIBUTES, ROWS, Row, bits, build, held

LINKED = {"a": Attributes(netting_set="s"), "b": Attributes(netting_set="s")}
BOOK = build([("a", "X", 1), ("b", "X", -1), ("b", "Y", 2), ("c", "Y", 3), ("d", "Z", 4)], LINKED)


def _vol(instrument: str) -> Problem:
    return Problem(found=f"no vol for {instrument}", instrument=instrument, kind=MissingQuoteError)


def _bad(account: str) -> Problem:
    return Problem(found=f"{account} is bad", account=account)


@pytest.mark.parametrize("name", ["a", "b", "s"])
def test_a_problem_of_a_member_takes_its_whole_netting_set(name: str) -> None:
    book, left_out = quarantine(BOOK, [_bad(name)])
    assert left_out == (Unmargined(account="s", members=("a", "b"), problems=(_bad(name),)),)
    assert held(book) == [("c", "Y", 3), ("d", "Z", 4)]
    assert book.instruments == ("Y", "Z")


def test_a_problem_of_an_instrument_takes_everybody_who_holds_it() -> None:
    book, left_out = quarantine(BOOK, [_vol("Y"), _bad("c"), _bad("c")])
    assert [(one.account, one.members, len(one.problems)) for one in left_out] == [
        ("c", ("c",), 3),
        ("s", ("a", "b"), 1),
    ]
    assert held(book) == [("d", "Z", 4)]


def test_what_nets_to_nothing_in_a_set_is_still_held_by_its_members() -> None:
    assert ("s", "X", 0) not in held(BOOK)
    _, left_out = quarantine(BOOK, [_vol("X")])
    assert [one.account for one in left_out] == ["s"]


def test_an_instrument_that_nobody_holds_any_more_takes_nobody() -> None:
    book = build([("a", "X", 1), ("a", "X", -1), ("b", "Y", 1)])
    assert book.instruments == ("X", "Y")
    rest, left_out = quarantine(book, [_vol("X")])
    assert (left_out, rest.instruments, rest.accounts) == ((), ("Y",), ("a", "b"))


def test_a_problem_of_both_is_about_the_account() -> None:
    both = Problem(found="too large", account="c", instrument="Y")
    _, left_out = quarantine(BOOK, [both])
    assert [one.account for one in left_out] == ["c"]


@pytest.mark.parametrize("rest", [Problem(found="no index"), _bad("nobody"), _vol("W")])
def test_a_problem_of_nobody_refuses_with_all(rest: Problem) -> None:
    with pytest.raises(CrossmarginError) as caught:
        quarantine(BOOK, [_bad("c"), rest])
    assert caught.value.problems == (_bad("c"), rest)
    assert type(caught.value) is InputError


def test_no_problem_is_the_book_and_all_of_them_an_empty_one() -> None:
    assert quarantine(BOOK, []) == (BOOK, ())
    book, left_out = quarantine(BOOK, [_bad(name) for name in BOOK.margin_accounts])
    assert (book.accounts, book.margin_accounts, book.instruments, held(book)) == ((), (), (), [])
    assert [one.account for one in left_out] == list(BOOK.margin_accounts)


@given(rows=ROWS, balances=ROWS, attributes=ATTRIBUTES, data=st.data())
def test_the_others_stay_as_they_are(
    rows: list[Row], balances: list[Row], attributes: dict[str, Attributes], data: st.DataObject
) -> None:
    book = build(rows, attributes, balances)
    names = st.sampled_from([*book.accounts, *book.margin_accounts, "a"])
    instruments = st.sampled_from(book.instruments or ("none",))
    problems = data.draw(st.lists(st.one_of(names.map(_bad), instruments.map(_vol)), max_size=3))
    try:
        rest, left_out = quarantine(book, problems)
    except CrossmarginError:
        known = {*book.accounts, *book.margin_accounts, *book.instruments}
        assert any((p.account or p.instrument) not in known for p in problems)
        return
    out = {one.account for one in left_out}
    for one in left_out:
        assert one.members == book.members(book.margin_account_index(one.account))
        concerned = {one.account, *one.members}
        owned = {i for owner, i, _ in held(book, members=True) if owner in one.members}
        assert one.problems == tuple(p for p in problems if p.account in concerned or p.instrument in owned)
    assert set(rest.margin_accounts) == set(book.margin_accounts) - out
    assert held(rest) == [row for row in held(book) if row[0] not in out]
    expected = book.without(np.array([book.margin_accounts.index(name) for name in out], dtype=np.int64))
    assert not problems or bits(rest) == bits(expected)


def test_a_problem_about_several_instruments_takes_out_whoever_holds_one() -> None:
    problem = Problem(found="no parameters for the underlying of X and Z", instruments=("X", "Z"))
    kept, left_out = quarantine(BOOK, [problem])
    assert kept.margin_accounts == ("c",)
    assert [(one.account, one.problems) for one in left_out] == [("d", (problem,)), ("s", (problem,))]


COINS = build(
    [("a", "X", 1), ("b", "X", -1)], LINKED, [("a", "ETH", 2), ("c", "ETH", 0), ("d", "ETH", -1), ("e", "USD", 1)]
)


def test_a_problem_of_an_asset_takes_whoever_has_a_balance_in_it() -> None:
    unpriced = Problem(found="no price of ETH", asset="ETH")
    rest, left_out = quarantine(COINS, [unpriced])
    assert [(one.account, one.problems) for one in left_out] == [(name, (unpriced,)) for name in ("c", "d", "s")]
    assert rest.margin_accounts == ("e",)
    with pytest.raises(InputError, match="no price of BTC"):
        quarantine(COINS, [Problem(found="no price of BTC", asset="BTC")])
    with pytest.raises(InputError, match="no price of ETH"):
        quarantine(BOOK, [unpriced])


def test_who_has_a_coin_holds_its_spot_where_balances_take_part() -> None:
    _, left_out = quarantine(COINS, [_vol("ETH_SPOT")], {"ETH": "ETH_SPOT", "BTC": "BTC_SPOT"})
    assert [one.account for one in left_out] == ["d", "s"]
    with pytest.raises(MissingQuoteError):
        quarantine(COINS, [_vol("ETH_SPOT")])


def test_reasons_are_one_line_of_words() -> None:
    problems = (Problem(found="no vol", file="p.csv", row=3), Problem(found="too large", needed="Check it."))
    one = Unmargined(account="a\x1b", members=("a\x1b",), problems=problems)
    assert one.in_words == "p.csv, row 3: no vol; too large. Check it"
    assert one.to_dict() == {
        "account": "a\x1b",
        "members": ["a\x1b"],
        "reasons": ["p.csv, row 3: no vol", "too large. Check it."],
    }
