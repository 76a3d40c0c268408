"""Reading with what is wrong set aside: whole margin accounts, listed, and refused where no account is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crossmargin.basics.errors import CrossmarginError, InputError
from crossmargin.basics.quantities import QUANTITY_LIMIT, STEPS_PER_UNIT
from crossmargin.files.inputs import Inputs, read_inputs
from crossmargin.files.positions import read_book
from crossmargin.portfolio.book import Book
from crossmargin.portfolio.quarantine import OnError, Unmargined
from crossmargin.sample import sample_market

PUT = "BTC-26NOV21-58000-P"
COLUMNS = ("account", "instrument", "quantity", "netting_set", "segregation", "account_type")
TOO_MUCH = QUANTITY_LIMIT // STEPS_PER_UNIT


def _records(*rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, (*row, *[""] * (len(COLUMNS) - len(row))), strict=True)) for row in rows]


def _read(rows: list[dict[str, Any]], balances: Any = None) -> Inputs:
    return read_inputs(rows, sample_market(), balances, on_error=OnError.QUARANTINE)


def _reasons(inputs: Inputs) -> list[tuple[str, tuple[str, ...], list[str]]]:
    return [(one.account, one.members, [str(p) for p in one.problems]) for one in inputs.unmargined]


def test_every_kind_of_problem_takes_its_margin_account_and_no_other() -> None:
    inputs = _read(
        _records(
            ("good", PUT, 1),
            ("a", PUT, "x", "s"),  # a quantity that is none, of a member
            ("b", PUT, 1, "s"),
            ("c", "BTC-1JAN20-58000-P", 1),  # expired
            ("d", "", 1),  # no instrument
            ("d", PUT, 1),
            ("e", PUT, 1, "", "", "GROSS"),  # an account type that there is not
            ("f", PUT, TOO_MUCH),
            ("f", PUT, TOO_MUCH),
            ("g", PUT, 1, "t", "x"),  # two segregation ids in a set
            ("h", PUT, 1, "t", "y"),
            ("i", PUT, 1, "u", "", "gross"),  # a gross account in a set
            ("j", PUT, 1, "k"),  # a set called like an outsider
            ("k", PUT, 1),
        ),
        [
            {"account": "good", "asset": "USD", "amount": 1},
            {"account": "l", "asset": "DOGE", "amount": 1},
            {"account": "m", "asset": "USD", "amount": TOO_MUCH},
            {"account": "m", "asset": "USD", "amount": TOO_MUCH},
            {"account": "n", "asset": "USD", "amount": 5},
        ],
    )
    assert inputs.book.accounts == ("good", "n")
    assert inputs.book.balances is not None
    assert inputs.book.balances.steps.tolist() == [STEPS_PER_UNIT, 5 * STEPS_PER_UNIT]
    assert [(account, members) for account, members, _ in _reasons(inputs)] == [
        ("c", ("c",)),
        ("d", ("d",)),
        ("e", ("e",)),
        ("f", ("f",)),
        ("k", ("j", "k")),
        ("l", ("l",)),
        ("m", ("m",)),
        ("s", ("a", "b")),
        ("t", ("g", "h")),
        ("u", ("i",)),
    ]
    texts = {account: texts for account, _, texts in _reasons(inputs)}
    assert texts["s"] == [
        "positions, row 2, column 'quantity': quantity 'x' is not a finite number. "
        "Write a decimal number such as -2 or 0.25."
    ]
    assert "positions, row 4, column 'instrument': 'BTC-1JAN20-58000-P'" in texts["c"][0]
    assert texts["d"][0].startswith("positions, row 5, column 'instrument': instrument is empty")
    assert "balances, row 2, column 'asset': 'DOGE' is no collateral" in texts["l"][0]
    assert "netting set 't' has 2 segregation ids" in texts["t"][0]


def test_two_netting_sets_that_an_account_may_be_in_are_both_left_out() -> None:
    inputs = _read(
        _records(("a", PUT, 1, "s"), ("b", PUT, 1, "s"), ("a", PUT, 1, "t"), ("c", PUT, 1, "t"), ("d", PUT, 1))
    )
    assert inputs.book.accounts == ("d",)
    assert [(one.account, one.members) for one in inputs.unmargined] == [("s", ("a", "b")), ("t", ("c",))]
    assert all("account 'a' has netting_set 't' here" in texts[0] for _, _, texts in _reasons(inputs))


def test_a_balance_of_a_set_that_is_left_out_makes_no_account() -> None:
    rows = _records(("a", PUT, "x", "s"), ("b", PUT, 1, "s"), ("c", PUT, 1))
    inputs = _read(rows, [{"account": name, "asset": "USD", "amount": 1} for name in ("s", "b", "c")])
    assert inputs.book.accounts == ("c",)
    assert [(one.account, one.members) for one in inputs.unmargined] == [("s", ("a", "b"))]
    # Alone, the balance of a set is the problem.
    inputs = _read(rows[1:], [{"account": "s", "asset": "USD", "amount": 1}])
    assert inputs.book.accounts == ("c",)
    assert "balance of 's', which is a netting set" in _reasons(inputs)[0][2][0]


def test_what_is_left_is_as_if_the_others_had_never_been_there() -> None:
    good = _records(("x", PUT, 1, "w"), ("y", PUT, -3, "w"), ("z", PUT, 2, "", "", "gross"), ("z", PUT, -1))
    bad = _records(("a", PUT, 1), ("a", PUT, ""), ("b", "BTC-PERPETUAL", "1e-9", "v"), ("c", "BTC-PERPETUAL", 5, "v"))
    mixed = [bad[0], good[0], good[1], bad[1], bad[2], good[2], bad[3], good[3]]
    alone, rest = read_inputs(good, sample_market()).book, _read(mixed).book
    assert (rest.accounts, rest.margin_accounts, rest.instruments, rest.attributes) == (
        alone.accounts,
        alone.margin_accounts,
        alone.instruments,
        alone.attributes,
    )
    assert rest.positions.steps.tolist() == alone.positions.steps.tolist()
    assert rest.gross.tolist() == alone.gross.tolist()
    assert rest.origins[PUT].row == 2  # in the file that was given


def test_everybody_may_be_left_out() -> None:
    inputs = _read(_records(("a", PUT, "x"), ("b", PUT, "")))
    assert (inputs.book.accounts, inputs.book.positions.offsets.tolist()) == ((), [0])
    assert [one.account for one in inputs.unmargined] == ["a", "b"]


def test_nothing_wrong_leaves_nobody_out() -> None:
    assert _read(_records(("a", PUT, 1))).unmargined == ()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (_records(("a", PUT, "x"), ("", PUT, 1)), "row 2, column 'account': account is empty"),
        (_records(("a", PUT, "x"), ("a\x1b", PUT, "y")), r"row 2, column 'quantity'[\s\S]*row 2, column 'account'"),
        ([{"account": "a", "quantity": 1}], "column 'instrument' is missing"),
        (_records(), "no rows"),
    ],
)
def test_what_is_about_no_account_is_refused_with_all_the_rest(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _read(rows)
    if len(rows) > 1:
        with pytest.raises(InputError, match="row 1, column 'quantity'"):
            _read(rows)


def test_a_row_of_a_csv_with_a_cell_too_few_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"account,instrument,quantity\na,{PUT},x\nb,{PUT}\n", encoding="utf-8")
    with pytest.raises(CrossmarginError) as caught:
        read_inputs(path, sample_market(), on_error=OnError.QUARANTINE)
    assert [p.row for p in caught.value.problems] == [2, 3]


def test_a_bad_market_is_refused_with_the_problems_of_the_accounts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no such file[\s\S]*row 1, column 'quantity'"):
        read_inputs(_records(("a", PUT, "x")), tmp_path / "no.csv", on_error=OnError.QUARANTINE)


def test_a_frame_with_one_bad_row_is_read_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    n_rows = 50_000
    frame = pl.DataFrame(
        {
            "account": [f"a{k % 1000}" for k in range(n_rows)],
            "instrument": [PUT] * n_rows,
            "quantity": [float(k % 7) for k in range(n_rows)],
        }
    ).with_row_index("row")
    quantity = pl.when(pl.col("row") == 40_005).then(1e-9).otherwise(pl.col("quantity")).alias("quantity")
    looked_at: list[str] = []
    monkeypatch.setattr(
        "crossmargin.files.columns.cell_text", lambda value: looked_at.append(str(value)) or repr(value)
    )
    left_out: list[Unmargined] = []
    book = read_book(frame.with_columns(quantity), None, [], on_error=OnError.QUARANTINE, unmargined=left_out)
    assert looked_at == ["1e-09"]
    assert isinstance(book, Book)
    assert len(book.accounts) == 999
    assert [(one.account, one.problems[0].row) for one in left_out] == [("a5", 40_006)]
