"""Resting orders and unrealised profit beside positions, and facts of a market: from tables, and through a case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import crossmargin as cm
from crossmargin.basics.errors import CrossmarginError, InputError
from crossmargin.files.case import cut_case, parse_case, write_case
from crossmargin.files.market import read_market
from crossmargin.files.positions import read_positions
from crossmargin.portfolio.book import Book
from crossmargin.sample import sample_market

PUT, FUTURE = "BTC-26NOV21-58000-P", "BTC-26NOV21"
ROWS = [
    {"account": "a", "instrument": PUT, "quantity": "-2", "open_buys": "0.1", "open_sells": "", "unrealised_pnl": ""},
    {"account": "a", "instrument": PUT, "quantity": "0", "open_buys": "0.2", "open_sells": "3", "unrealised_pnl": ""},
    {
        "account": "b",
        "instrument": FUTURE,
        "quantity": "5",
        "open_buys": "",
        "open_sells": "",
        "unrealised_pnl": "-0.3",
    },
    {"account": "b", "instrument": FUTURE, "quantity": "1", "open_buys": "", "open_sells": "", "unrealised_pnl": "0.1"},
    {"account": "c", "instrument": FUTURE, "quantity": "0", "open_buys": "7", "open_sells": "", "unrealised_pnl": ""},
]


def _carried(book: Book) -> dict[tuple[str, str], tuple[int, int, int]]:
    c = book.carried
    assert c is not None
    return {
        (book.accounts[c.account[k]], c.instruments[c.instrument[k]]): (
            int(c.buys[k]),
            int(c.sells[k]),
            int(c.unrealised[k]),
        )
        for k in range(len(c.account))
    }


EXPECTED = {
    ("a", PUT): (30_000_000, 300_000_000, 0),
    ("b", FUTURE): (0, 0, -20_000_000),
    ("c", FUTURE): (700_000_000, 0, 0),
}


def test_columns_add_up_exactly_in_every_table(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS)
    csv, parquet = tmp_path / "p.csv", tmp_path / "p.parquet"
    frame.write_csv(csv)
    typed = frame.with_columns(
        pl.col(name).replace("", None).cast(pl.Float64)
        for name in frame.columns
        if name not in ("account", "instrument")
    )
    typed.write_parquet(parquet)
    for source in (ROWS, frame, typed, csv, parquet):
        book = read_positions(source)
        assert _carried(book) == EXPECTED
        assert book.accounts == ("a", "b", "c")
        assert book.to_price == (FUTURE, PUT)
    assert read_positions(frame.drop("open_buys", "open_sells", "unrealised_pnl")).carried is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"open_buys": "-1"}, "row 1, column 'open_buys': open_buys -1 is negative. Write contracts"),
        ({"open_sells": "x"}, "row 1, column 'open_sells': open_sells 'x' is not a finite number"),
        ({"unrealised_pnl": "nan"}, "row 1, column 'unrealised_pnl': unrealised_pnl 'NaN' is not a finite number"),
        ({"unrealised_pnl": float("nan")}, "column 'unrealised_pnl': unrealised_pnl 'NaN' is not a finite number"),
        ({"unrealised_pnl": "0.000000001"}, "unrealised_pnl 1E-9 is finer than 1e-8"),
    ],
)
def test_cells_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_positions([ROWS[0] | changes, *ROWS[1:]])


def test_sums_that_are_too_large_are_said_by_name() -> None:
    row = ROWS[0] | {"open_buys": "80000000000"}
    with pytest.raises(CrossmarginError, match="orders to buy of 'a' in 'BTC-26NOV21-58000-P' add up to more than"):
        read_positions([row, row])


def test_an_account_in_quarantine_leaves_with_its_orders() -> None:
    rows = [*ROWS, ROWS[0] | {"quantity": "x"}]
    result = cm.margin(rows, sample_market(), on_error="quarantine", methodology="isolated")
    assert result.accounts == ("b", "c")
    assert _carried(result.prepared.book) == {key: value for key, value in EXPECTED.items() if key[0] != "a"}


def test_a_case_keeps_what_is_carried() -> None:
    balances = [{"account": name, "asset": "USD", "amount": 1000} for name in "abc"]
    result = cm.margin(ROWS, sample_market(), balances=balances)
    for account in "abc":
        document = write_case(cut_case(result.evaluation, result.index(account)))
        again = parse_case(document, "c.json")
        assert _carried(again.book) == {key: value for key, value in EXPECTED.items() if key[0] == account}
        answer = cm.margin(again.book, again.market)
        k = result.index(account)
        assert answer.figures.standing is not None
        assert result.figures.standing is not None
        assert answer.figures.standing.equity[0] == result.figures.standing.equity[k]
        assert answer.requirement_initial(account) == result.requirement_initial(account)


MARKET = "as_of,instrument,kind,index_price,mark_price,fact,value\n2026-01-01T00:00:00Z,BTC-PERPETUAL,,100,101,,\n"


def _market(tmp_path: Path, *rows: str) -> Any:
    path = tmp_path / "m.csv"
    path.write_text(MARKET + "".join(f"2026-01-01T00:00:00Z,{row}\n" for row in rows), encoding="utf-8")
    return read_market(path)


def test_facts_of_a_market(tmp_path: Path) -> None:
    market = _market(tmp_path, "BTC,fact,,,confidence,0.9", "ETH-PERP,fact,,,open_interest,1e5", "ETH,fact,,,twap,3.5")
    assert market.facts == {"confidence": {"BTC": 0.9}, "open_interest": {"ETH-PERP": 1e5}, "twap": {"ETH": 3.5}}
    assert market.instruments.names == ("BTC-PERPETUAL",)
    assert market.fingerprint != _market(tmp_path).fingerprint


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("BTC,fact,,,colour,1", "row 3, column 'fact': fact 'colour'. One of confidence, open_interest"),
        ("BTC,fact,,,confidence,1.5", "row 3, column 'value': 1.5 is above 1"),
        ("BTC,fact,,,twap,0", "column 'value': 0 is below 1e-15"),
        ("BTC,fact,,,confidence,nan", "row 3, column 'value': no value of confidence of 'BTC'"),
        ("BTC,fact,,,confidence,", "row 3, column 'value': no value of confidence of 'BTC'"),
        (",fact,,,confidence,1", "row 3, column 'instrument': '' is no name"),
        ("BTC,fact,5,,confidence,1", "row 3, column 'index_price': '5' in a fact, which has no price"),
        ("BTC,spot,,,confidence,1", "row 3, column 'fact': 'confidence' in a row that is no fact"),
        ("BTC,fact,,,confidence,1\n2026-01-01T00:00:00Z,BTC,fact,,,confidence,1", "row 4, .*'BTC' stands twice"),
    ],
)
def test_facts_that_cannot_be(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _market(tmp_path, row)


def test_a_large_parquet_file_is_read_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossmargin.files import columns

    monkeypatch.setattr(columns, "_BATCH_ROWS", 2)
    monkeypatch.setattr(columns, "LARGE", 1)
    path = tmp_path / "p.parquet"
    pl.DataFrame(ROWS).write_parquet(path)
    book = read_positions(path)
    assert _carried(book) == EXPECTED
    assert np.array_equal(book.member_positions.steps, read_positions(ROWS).member_positions.steps)
