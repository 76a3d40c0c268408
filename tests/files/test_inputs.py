"""Which market a book is margined in, and that everything that is wrong with all inputs is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

import crossmargin as cm
from crossmargin.answers.compare import compare
from crossmargin.basics.errors import CrossmarginError, InputError, UnsupportedError
from crossmargin.files.inputs import read_inputs
from crossmargin.files.positions import read_positions
from crossmargin.methodologies.registry import methodology
from crossmargin.sample import sample_paths
from tests import books, listed
from tests.listed import CALL, FUTURE, PUT

ROWS = [
    {"account": "a", "instrument": CALL.lower(), "quantity": "-2"},
    {"account": "a", "instrument": FUTURE, "quantity": "1"},
    {"account": "b", "instrument": PUT, "quantity": "3"},
]


def test_a_method_that_is_its_own_market_needs_no_other() -> None:
    method = listed.method()
    for market in (None, method.market):
        inputs = read_inputs(ROWS, market, methods=(method,))
        assert inputs.market is method.market
        assert inputs.book.instruments == (CALL, FUTURE, PUT)


def test_another_market_beside_it_is_refused() -> None:
    method = listed.method()
    with pytest.raises(InputError) as caught:
        read_inputs(ROWS, books.market(), methods=(method,), as_of="2026-02-15T12:00:00Z")
    assert [problem.found for problem in caught.value.problems] == [
        "a market beside 'charges', whose prices come from its parameter file",
        "a time of the market beside 'charges', whose prices come from its parameter file",
    ]
    assert "Leave --market" in str(caught.value)


def test_no_market_at_all_is_refused_where_the_method_has_none() -> None:
    with pytest.raises(InputError, match="a market given as NoneType"):
        cm.margin(ROWS)


def test_methods_of_different_markets_are_not_compared() -> None:
    grid, charges = methodology("scenario-grid"), listed.method()
    with pytest.raises(
        InputError, match=r"different markets: 'charges' from charges.txt, 'scenario-grid' from a market"
    ):
        cm.compare(ROWS, methodologies=(charges, grid))
    book = books.book([books.row("a", CALL, 1)])
    with pytest.raises(
        InputError, match=r"the market test market for 'charges', whose prices are those of charges\.txt"
    ):
        compare(book, books.market(), (charges,))
    assert compare(book, listed.method().market, (charges, listed.method())).names == ("charges", "charges")


def test_the_method_says_what_it_cannot_price_beside_other_problems() -> None:
    positions = [
        {"account": "a", "instrument": CALL, "quantity": "x"},
        {"account": "b", "instrument": "NIFTY 2026-03-26 FUT", "quantity": "1"},
    ]
    with pytest.raises(CrossmarginError) as caught:
        read_inputs(positions, methods=(listed.method(),))
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [(1, "quantity"), (2, "instrument")]


def test_a_book_that_was_read_before_is_spelled_as_the_market_spells() -> None:
    book = read_positions(ROWS)
    assert CALL.lower() in book.instruments
    assert read_inputs(book, methods=(listed.method(),)).book.instruments == (CALL, FUTURE, PUT)
    assert read_inputs(book, books.market()).book is book


def test_the_verbs_work_without_a_market(charges_file: Path) -> None:
    options = {"methodology": listed.NAME, "parameters": charges_file}
    balances = [{"account": "a", "asset": "INR", "amount": "4000"}]
    result = cm.margin(ROWS, balances=balances, share="0.5", **options)
    assert result.table().to_dicts()[0] == {
        "account": "a",
        "requirement_initial": 3100.0,
        "requirement_maintenance": 1550.0,
        "requirement_isolated": 3100.0,
        "saving": 0.0,
        "saving_ratio": 0.0,
        "net_option_value": -25.0,
        "total_initial": 3125.0,
        "total_maintenance": 1575.0,
        "collateral_value": 4000.0,
        "equity": 3975.0,
        "excess": 875.0,
        "coverage_ratio": 3975 / 3100,
        "state": "healthy",
    }
    assert result.figures.currency == "INR"
    # Long option value counts at initial and, under this method, not at maintenance.
    assert (result.figures.total_initial[1], result.figures.total_maintenance[1]) == (2640.0, 1350.0)
    assert cm.explain(ROWS, account="b", **options).value == 2700.0
    assert cm.compare(ROWS, methodologies=(listed.NAME,), parameters=charges_file).names == (listed.NAME,)
    answer = cm.what_if(ROWS, account="a", add={CALL.lower(): 1}, balances=balances, **options)
    assert answer.trades == ((CALL, "1"),)
    assert answer.cash_paid == 12.5
    assert answer.after.collateral is not None
    assert answer.after.collateral.items_of(0)[-1].to_dict() == {
        "asset": "INR", "amount": "-12.5", "price": "1.0", "haircut": "0.0", "value": "-12.5"
    }  # fmt: skip


def test_cover_is_in_the_currency_of_the_market(charges_file: Path) -> None:
    options = {"methodology": listed.NAME, "parameters": charges_file}
    with pytest.raises(CrossmarginError, match="no price in INR for 'USD'") as caught:
        cm.margin(ROWS, balances=[{"account": "a", "asset": "USD", "amount": "1"}], **options)
    assert "Cover in this market is INR." in str(caught.value)
    paths = sample_paths()
    with pytest.raises(UnsupportedError, match="'INR' is no collateral"):
        cm.margin(paths.positions, paths.market, balances=[{"account": "vertical", "asset": "INR", "amount": "1"}])
