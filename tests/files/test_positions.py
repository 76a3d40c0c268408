"""Positions and balances from any table to the same book, whichever way they come."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import (
    CrossmarginError,
    FileFormatError,
    InputError,
    PortfolioError,
    QuantityError,
    UnsupportedError,
)
from crossmargin.files.positions import read_positions
from crossmargin.portfolio.book import CUSTOMER_TYPES, AccountType, Book, CustomerType

CALL, PUT = "BTC-27MAR26-90000-C", "BTC-27MAR26-90000-P"
COLUMNS: dict[str, list[Any]] = {
    "account": ["b", "a", "a", "b"],
    "instrument": [CALL, PUT, CALL, CALL],
    "quantity": [0.1, -2.0, 1.0, 0.2],
}
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


def _same(one: Book, other: Book) -> bool:
    arrays = ((one.positions, other.positions), (one.member_positions, other.member_positions))
    return (one.accounts, one.margin_accounts, one.instruments, one.attributes) == (
        other.accounts,
        other.margin_accounts,
        other.instruments,
        other.attributes,
    ) and all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in arrays
        for name in ("offsets", "instrument", "steps")
    )


def _pandas(columns: dict[str, list[Any]]) -> Any:
    """A pandas frame where pandas is there; the same columns otherwise."""
    try:
        import pandas as pd
    except ImportError:
        return columns
    return pd.DataFrame(columns)


def _sources(tmp_path: Path, columns: dict[str, list[Any]]) -> dict[str, Any]:
    frame = pl.DataFrame(columns)
    frame.write_csv(tmp_path / "p.csv")
    frame.write_parquet(tmp_path / "p.parquet")
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {
        "csv": tmp_path / "p.csv",
        "parquet": str(tmp_path / "p.parquet"),
        "polars": frame,
        "pandas": _pandas(columns),
        "mapping": columns,
        "arrays": {name: np.array(cells) for name, cells in columns.items()},
        "records": records,
        "categorical": frame.with_columns(pl.col("account", "instrument").cast(pl.Categorical)),
        "decimal": frame.with_columns(pl.col("quantity").cast(pl.Decimal(30, 8))),
        "text": frame.with_columns(pl.col("quantity").cast(pl.String)),
        "blanks": frame.rename({"account": " account"}).with_columns(pl.col(" account") + " "),
    }


def test_every_kind_of_table_gives_the_same_book(tmp_path: Path) -> None:
    books = {name: read_positions(source) for name, source in _sources(tmp_path, COLUMNS).items()}
    expected = books["csv"]
    assert expected.accounts == ("a", "b")
    assert expected.positions.steps.tolist() == [100_000_000, -200_000_000, 30_000_000]
    assert [name for name, book in books.items() if not _same(book, expected)] == []


def test_attributes_come_from_any_kind_of_table(tmp_path: Path) -> None:
    columns = COLUMNS | {
        "netting_set": ["s", None, "s", None],
        "segregation": [None, "client", None, "client"],
        "account_type": ["net", None, None, None],
        "customer_type": [None, "hedger", None, None],
    }
    books = {name: read_positions(source) for name, source in _sources(tmp_path, columns).items() if name != "arrays"}
    assert books["csv"].margin_accounts == ("s",)
    assert books["csv"].attributes[0].segregation == "client"
    assert books["csv"].attributes[0].customer_type is CustomerType.HEDGER
    assert books["csv"].customer_types.tolist() == [CUSTOMER_TYPES.index(CustomerType.HEDGER)]
    assert [name for name, book in books.items() if not _same(book, books["csv"])] == []


_quantities = st.one_of(
    st.integers(-(10**9), 10**9).map(lambda k: k / 1e8),
    st.integers(-(9 * 10**18), 9 * 10**18).map(lambda k: k / 1e8),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.1, 0.1 + 0.2, -0.0, 2.0**26, 2.0**26 + 2.0**-27, 123456789.12345678, 1e-8, 1e-9, 9e10, 9.1e10]),
)
_names = st.sampled_from(["a", " a", "b ", "", " ", "\x1b", "x" * 300, "1", "é", "s"])


def _outcome(source: Any) -> Any:
    try:
        book = read_positions(source)
    except CrossmarginError as error:
        return [(type(error), str(error))]
    return (book.accounts, book.instruments, book.attributes, book.positions.steps.tolist())


@given(
    st.lists(
        st.tuples(_names, st.sampled_from([CALL, PUT, " " + CALL, "", "SPXW230915C04500000"]), _quantities, _names),
        min_size=1,
        max_size=6,
    )
)
def test_frames_and_text_agree_on_books_and_on_problems(rows: list[tuple[str, str, float, str]]) -> None:
    columns = dict(
        zip(("account", "instrument", "quantity", "netting_set"), map(list, zip(*rows, strict=True)), strict=True)
    )
    by_column = _outcome(pl.DataFrame(columns))
    as_text = {name: [str(float(c)) if name == "quantity" else c for c in cells] for name, cells in columns.items()}
    assert by_column == _outcome(as_text)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4))
def test_whole_numbers_are_exact_or_refused(quantities: list[int]) -> None:
    frame = pl.DataFrame({"account": "a", "instrument": CALL, "quantity": quantities})
    assert _outcome(frame) == _outcome({name: [str(c) for c in frame[name]] for name in frame.columns})


@pytest.mark.parametrize(
    "value", [2**53 + 1, 2**63 - 1, -(2**63), 90_000_000_001], ids=["2**53+1", "largest", "smallest", "over the limit"]
)
def test_large_whole_numbers_are_out_of_range(value: int) -> None:
    frame = pl.DataFrame({"account": ["a"], "instrument": [CALL], "quantity": [value]})
    with pytest.raises(InputError, match=f"row 1, column 'quantity': quantity {value} is out of range"):
        read_positions(frame)
    unsigned = frame.with_columns(quantity=pl.Series([2**64 - 1], dtype=pl.UInt64))
    with pytest.raises(InputError, match="quantity 18446744073709551615 is out of range"):
        read_positions(unsigned)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,000", "quantity '1,000' is not a finite number"),
        ("1e-9", "quantity 1E-9 is finer than 1e-8"),
        ("nan", "quantity 'NaN' is not a finite number"),
        ("inf", "quantity 'Infinity' is not a finite number"),
        ("--2", "quantity '--2' is not"),
        ("0x10", "quantity '0x10' is not"),
        ("", "quantity is empty. Write a decimal number"),
        ("9" * 400, "a quantity of 400 characters; at most 64 are read"),
        ("1e400", r"quantity 1E\+400 is out of range"),
        ("1e-400", "quantity 1E-400 is out of range"),
        ("$5", r"quantity '\$5' is not"),
        ("½", "quantity '½' is not"),
    ],
)
def test_quantities_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f'account,instrument,quantity\na,{CALL},1\n\na,{CALL},"{text}"\n', encoding="utf-8")
    with pytest.raises(InputError, match=f"p.csv, row 4, column 'quantity': {message}"):
        read_positions(path)


@pytest.mark.parametrize(("text", "steps"), [("1e3", 10**11), ("+5", 5 * 10**8), ("-.5", -5 * 10**7), ("1e-8", 1)])
def test_quantities_in_any_decimal_notation(text: str, steps: int) -> None:
    book = read_positions([{"account": "a", "instrument": CALL, "quantity": text}])
    assert book.positions.steps.tolist() == [steps]


def test_names_that_cannot_be_shown_or_are_missing() -> None:
    rows = [("a\x1b[31m", CALL), ("", CALL), ("x" * 10_000, CALL), ("😀 ü", CALL), ("a\u202eb", CALL), ("a", "B\tC")]
    with pytest.raises(InputError) as caught:
        read_positions([{"account": a, "instrument": i, "quantity": 1} for a, i in rows])
    assert [(p.row, p.column) for p in caught.value.problems] == [
        (1, "account"),
        (2, "account"),
        (3, "account"),
        (5, "account"),
        (6, "instrument"),
    ]
    assert "\x1b" not in str(caught.value)
    assert "account has 10,000 characters. At most 256 are read" in str(caught.value)


def test_a_name_of_a_netting_set_is_checked_like_any() -> None:
    with pytest.raises(InputError, match="row 1, column 'netting_set': netting_set has 300 characters"):
        read_positions([{"account": "a", "instrument": CALL, "quantity": 1, "netting_set": "s" * 300}])


def test_attributes_that_contradict_each_other() -> None:
    table = {
        "account": ["a", "a", "a", "b"],
        "instrument": [CALL] * 4,
        "quantity": [1] * 4,
        "netting_set": ["s", "", "t", ""],
        "account_type": ["", "", "", "GROSS"],
        "customer_type": ["member", "", "hedger", "client"],
    }
    expected = (
        r"row 3, column 'netting_set': account 'a' has netting_set 't' here and 's' in row 1[\s\S]*"
        r"row 3, column 'customer_type': account 'a' has customer_type 'hedger' here and 'member' in row 1[\s\S]*"
        r"row 4, column 'account_type': account type 'GROSS'\. One of net, gross\.[\s\S]*"
        r"row 4, column 'customer_type': customer type 'client'\. One of member, hedger, speculator"
    )
    with pytest.raises(PortfolioError, match=expected):
        read_positions(table)
    with pytest.raises(PortfolioError, match=expected):
        read_positions(pl.DataFrame(table))


def test_a_gross_account_keeps_long_and_short() -> None:
    book = read_positions(
        [{"account": "a", "instrument": CALL, "quantity": q, "account_type": "gross"} for q in (2, -1, 1)]
    )
    assert book.positions.steps.tolist() == [300_000_000, -100_000_000]
    assert book.attributes[0].account_type is AccountType.GROSS


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "positions are given as NoneType. Give a path, a polars"),
        (5, "given as int"),
        (["a"], "given as list"),
        (b"a,b", "given as bytes"),
        ([], "no rows"),
        ({}, "no rows"),
        ({"account": [], "instrument": [], "quantity": []}, "no rows"),
        ({"account": "a", "instrument": CALL, "quantity": 1}, "column 'account' is str. Give a list of cells"),
        ({"account": None}, "column 'account' is NoneType"),
        (
            {"account": ["a"], "instrument": [CALL], "quantity": [1, 2]},
            "different lengths .account 1, instrument 1, quantity 2",
        ),
        ([{1: "a", 2: CALL}], "column 'account' is missing; the header is 1, 2"),
        ([{"Account": "a", "instrument": CALL, "quantity": 1}], "Write 'Account' as 'account'"),
        ([{"": 1, "account": "a"}], "column 1 has no name"),
        (pl.DataFrame({"account": [["a"]], "instrument": [CALL], "quantity": [1]}), r"column 'account' holds List"),
        (pl.DataFrame({"account": ["a"], "instrument": [CALL], "quantity": [True]}), "quantity 'True' is not"),
        (pl.LazyFrame({"account": ["a"]}), "given as LazyFrame"),
    ],
)
def test_sources_that_are_no_positions(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_positions(source)


def test_missing_cells_of_pandas_are_empty_not_named_nan() -> None:
    pd = pytest.importorskip("pandas")
    twice = pd.DataFrame([["a", CALL, 1, 2]], columns=["account", "instrument", "quantity", "quantity"])
    with pytest.raises(InputError, match="column 'quantity' stands twice"):
        read_positions(twice)
    frame = pd.DataFrame({"account": ["a", None], "instrument": [CALL, CALL], "quantity": [1.5, None]})
    with pytest.raises(InputError, match=r"row 2, column 'quantity': quantity 'NaN'[\s\S]*account is empty") as caught:
        read_positions(frame)
    assert len(caught.value.problems) == 2
    whole = pd.DataFrame({"account": ["a"], "instrument": [CALL], "quantity": pd.array([pd.NA], dtype="Int64")})
    with pytest.raises(InputError, match="quantity is empty"):
        read_positions(whole)


def test_balances_are_checked_row_by_row() -> None:
    balances = [
        {"account": "a", "asset": "usd", "amount": Decimal("10.5")},
        {"account": "a", "asset": "DOGE", "amount": 1},
        {"account": "s", "asset": "USD", "amount": 1},
        {"account": "", "asset": "USD", "amount": "x"},
    ]
    positions = [{"account": "a", "instrument": CALL, "quantity": 1, "netting_set": "s"}]
    with pytest.raises(CrossmarginError) as caught:
        read_positions(positions, balances)
    found = [(p.row, p.column, p.found) for p in caught.value.problems]
    assert found == [
        (2, "asset", "'DOGE' is no collateral that the schedule accepts"),
        (4, "account", "account is empty"),
        (4, "amount", "amount 'x' is not a finite number"),
        (3, "account", "balance of 's', which is a netting set"),
    ]
    with pytest.raises(UnsupportedError, match="balances, row 1, column 'asset': 'DOGE' is no collateral"):
        read_positions(positions, balances[1:2])


def _located(error: CrossmarginError) -> list[tuple[str, int | None, str, str]]:
    return [(p.file, p.row, p.account, p.found.partition(" add up")[0]) for p in error.problems]


def test_a_sum_that_is_too_large_is_reported_where_its_account_begins(tmp_path: Path) -> None:
    positions, balances = tmp_path / "p.csv", tmp_path / "b.csv"
    positions.write_text(
        f"account,instrument,quantity,netting_set\nann,{CALL},1,\nbob,{PUT},1,\nbob,{CALL},9e10,\nbob,{CALL},1,\n"
        f"cy,{PUT},9e10,s\ndee,{CALL},9e10,s\nann,{CALL},2,\neve,{CALL},1,s\n",
        encoding="utf-8",
    )
    balances.write_text(
        "account,asset,amount\nann,USD,1\nzoe,BTC,9e10\nbob,BTC,5e10\nbob,USD,9e10\nann,USD,1\nbob,usd,1\n",
        encoding="utf-8",
    )
    with pytest.raises(PortfolioError) as caught:
        read_positions(positions, balances)
    # What is too large of a member is found before that of its set is added up.
    assert _located(caught.value) == [
        ("p.csv", 4, "bob", f"positions of 'bob' in '{CALL}'"),
        ("b.csv", 5, "bob", "balances of 'bob' in USD"),
    ]
    positions.write_text(positions.read_text(encoding="utf-8").replace("bob", "abe", 2), encoding="utf-8")
    with pytest.raises(PortfolioError) as caught:
        read_positions(positions)
    assert _located(caught.value) == [("p.csv", 7, "s", f"positions of 's' in '{CALL}'")]


def test_a_segregation_called_none_is_not_the_absence_of_one() -> None:
    rows = [
        {"account": "a", "instrument": CALL, "quantity": 1, "netting_set": "s", "segregation": "none"},
        {"account": "b", "instrument": CALL, "quantity": -1, "netting_set": "s", "segregation": ""},
    ]
    with pytest.raises(PortfolioError, match="netting set 's' has 2 segregation ids"):
        read_positions(rows)


def test_balances_add_up_and_make_accounts() -> None:
    balances = {"account": ["a", "z", "a"], "asset": ["USD", "BTC", "USD"], "amount": ["0.1", "-1", "0.2"]}
    book = read_positions([{"account": "m", "instrument": CALL, "quantity": 1}], balances)
    assert book.accounts == ("a", "m", "z")
    assert book.balances is not None
    assert book.balances.steps.tolist() == [30_000_000, -100_000_000]


def test_a_book_is_itself_and_has_its_own_balances() -> None:
    book = read_positions(COLUMNS)
    assert read_positions(book) is book
    with pytest.raises(InputError, match="balances beside a book, which has its own"):
        read_positions(book, [{"account": "a", "asset": "USD", "amount": 1}])


def test_a_file_without_rows_of_its_own_kind(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame(schema={"account": pl.String, "instrument": pl.String, "quantity": pl.Float64}).write_parquet(path)
    with pytest.raises(FileFormatError, match=r"p.parquet: has no rows. It needs at least one row"):
        read_positions(path)


def test_a_column_that_would_turn_the_sign_is_refused() -> None:
    """`1, short` margined as long would be the wrong side of the market."""
    with pytest.raises(FileFormatError, match="column 'side' would say the direction"):
        read_positions([{"account": "a", "instrument": "BTC-PERPETUAL", "quantity": "1", "side": "short"}])


def test_a_nan_where_a_name_should_be_is_no_name(tmp_path: Path) -> None:
    """In a polars frame, in Parquet, in a mapping: two accounts do not share a set called nan."""
    columns = {
        "account": ["a", "b"],
        "instrument": [CALL, CALL],
        "quantity": [1, -1],
        "netting_set": [math.nan, math.nan],
    }
    frame = pl.DataFrame(columns)
    frame.write_parquet(tmp_path / "p.parquet")
    for source in (columns, frame, tmp_path / "p.parquet"):
        assert read_positions(source).margin_accounts == ("a", "b")
    nameless = frame.with_columns(account=pl.Series([math.nan, math.nan]))
    with pytest.raises(InputError, match="account"):
        read_positions(nameless)


def test_decimals_of_any_scale() -> None:
    """Finer than a step is refused with its row; what is whole steps is read, however it is written."""
    for scale in (8, 9, 18, 26, 27, 30, 37):
        values = pl.Series(["1", "0"]).cast(pl.Decimal(38, scale))
        frame = pl.DataFrame({"account": ["a", "a"], "instrument": [CALL, "BTC-PERPETUAL"], "quantity": values})
        book = read_positions(frame)
        assert book.positions.steps.tolist() == [10**8]
        if scale > 8:
            least = pl.Series(["1", "0." + "0" * (scale - 1) + "1"]).cast(pl.Decimal(38, scale))
            finer = frame.with_columns(quantity=least)
            with pytest.raises(QuantityError, match="finer than 1e-8"):
                read_positions(finer)
