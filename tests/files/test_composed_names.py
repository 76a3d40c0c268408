"""Tables by symbol: the name of an instrument out of its parts, the same from every kind of table."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import CrossmarginError, FileFormatError, UnknownInstrumentError
from crossmargin.files import columns as columns_of_files
from crossmargin.files.columns import Coded
from crossmargin.files.composed_names import ComposedNames, NameParts
from crossmargin.files.positions import read_positions
from tests import listed

INDIAN = """ACCOUNT,SYMBOL,INSTRUMENT,EXPIRY_DATE,OPTION_TYPE,STRIKE_PRICE,Quantity
a,NIFTY,OPTIDX,2026-02-26,CE,23000.00,-50
a,NIFTY,FUTIDX,2026-02-26,,,75
b,RELIANCE,OPTSTK,2026-03-26,PE,1422.50,250
"""
NAMES = ("NIFTY FUTIDX 2026-02-26", "NIFTY OPTIDX 2026-02-26 CE 23000", "RELIANCE OPTSTK 2026-03-26 PE 1422.5")


def _csv(folder: Path, text: str) -> Path:
    path = folder / "p.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_by_symbol(tmp_path: Path) -> None:
    book = read_positions(_csv(tmp_path, INDIAN))
    assert book.instruments == NAMES
    assert (book.positions.steps // 10**8).tolist() == [75, -50, 250]


def test_a_table_without_an_instrument_has_its_parts_in_one_order(tmp_path: Path) -> None:
    header = "account,strike,right,product,exchange,type,expiry,quantity"
    text = f"{header}\na, 5000 ,C,ES,CME, OOF ,202603,1\na,,,ES,CME,FUT,202603,2\n"
    assert read_positions(_csv(tmp_path, text)).instruments == ("CME ES FUT 202603", "CME ES OOF 202603 C 5000")


@pytest.mark.parametrize(
    ("expiry", "strike"),
    [
        (["2026-02-26", "2026-02-26", "2026-03-26"], ["23000", "", "1422.5"]),
        ([date(2026, 2, 26), date(2026, 2, 26), date(2026, 3, 26)], [23000.0, None, 1422.5]),
        (
            [datetime(2026, 2, 26, tzinfo=UTC), datetime(2026, 2, 26, tzinfo=UTC), datetime(2026, 3, 26, tzinfo=UTC)],
            [23000.0, float("nan"), 1422.5],
        ),
        (["2026-02-26", "2026-02-26", "2026-03-26"], [Decimal("23000.00"), None, Decimal("1422.50")]),
    ],
)
@pytest.mark.parametrize("large", [1, 10**9])
def test_frames_of_any_type_give_the_names_of_text(
    tmp_path: Path, expiry: list[Any], strike: list[Any], large: int
) -> None:
    cells = {
        "account": ["a", "a", "b"],
        "Symbol": ["NIFTY", "NIFTY", "RELIANCE"],
        "instrument": ["OPTIDX", "FUTIDX", "OPTSTK"],
        "expiry": expiry,
        "opttype": ["CE", None, "PE"],
        "strike": strike,
        "quantity": [-50, 75, 250],
    }
    frame = pl.DataFrame(cells)
    frame.write_parquet(tmp_path / "p.parquet")
    with mock.patch.multiple(columns_of_files, LARGE=large, _BATCH_ROWS=2):
        for source in (tmp_path / "p.parquet", frame, cells):
            book = read_positions(source)
            assert book.instruments == NAMES
            assert (book.positions.steps // 10**8).tolist() == [75, -50, 250]


def test_a_whole_strike_of_integers_and_an_expiry_in_floats() -> None:
    frame = pl.DataFrame(
        {
            "account": ["a"] * 2,
            "symbol": ["ES"] * 2,
            "expiry": [202603.0, None],
            "strike": [5000, 0],
            "quantity": [1, 2],
        }
    )
    assert read_positions(frame).instruments == ("ES 0", "ES 202603 5000")


def test_the_market_says_which_contract_it_is_and_problems_name_what_was_composed(tmp_path: Path) -> None:
    text = (
        "account,symbol,expiry,type,right,strike,quantity\na,nifty,2026-02-26,,ce,23000,1\na,nifty,2026-02-26,fut,,,1\n"
    )
    market = listed.method(
        listed.FILE.replace(" FUT", " X").replace("NIFTY 2026-02-26 X", "NIFTY FUT 2026-02-26")
    ).market
    assert read_positions(_csv(tmp_path, text), market=market).instruments == (listed.CALL, "NIFTY FUT 2026-02-26")
    wrong = _csv(tmp_path, text + "b,NIFTY,2026-02-26,,CE,25000,1\n")
    with pytest.raises(UnknownInstrumentError, match=r"p\.csv.*4.*'NIFTY 2026-02-26 CE 25000' is not in the file"):
        read_positions(wrong, market=market)
    empty = _csv(tmp_path, "account,symbol,strike,quantity\na,,,1\n")
    with pytest.raises(CrossmarginError, match="instrument is empty"):
        read_positions(empty)


def test_an_instrument_alone_is_a_name_as_ever(tmp_path: Path) -> None:
    name = "BTC-27MAR26-90000-C"
    text = f"account,instrument,expiry,strike,product,quantity\na,{name},27MAR26,90000,options,1\n"
    assert read_positions(_csv(tmp_path, text)).instruments == (name,)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("account,symbol,strike", "column 'quantity' is missing"),
        ("account,symbol,qty", "column 'quantity' is missing"),
        ("symbol,quantity", "column 'account' is missing"),
        ("ACCOUNT,symbol", r"column 'quantity' is missing.*A positions file has the columns ACCOUNT, quantity"),
        ("account,Instrument,quantity", "Write 'Instrument' as 'instrument'"),
        ("account,expiry,quantity", "column 'instrument' is missing"),
        ("account,symbol,strike,STRIKE_PRICE,quantity", r"columns 'strike', 'STRIKE_PRICE' all say the strike"),
        ("account,symbol,product,quantity", r"columns 'symbol', 'product' all say the symbol"),
        ("account,symbol,side,quantity", "column 'side' would say the direction"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_positions(_csv(tmp_path, header + "\n" + ",".join("1" for _ in header.split(",")) + "\n"))


CELLS = st.lists(st.tuples(*[st.sampled_from(["", "A", "b", "C d"])] * 3), min_size=1, max_size=20)


@given(batches=st.lists(CELLS, min_size=1, max_size=3))
def test_names_are_those_of_a_loop_over_rows(batches: list[list[tuple[str, str, str]]]) -> None:
    parts = NameParts.of(("symbol", "type", "right"), "p.csv")
    assert parts is not None
    composed = ComposedNames(parts, str.lower)
    known: list[list[str]] = [[], [], []]
    for rows in batches:
        coded = {}
        for column, names, cells in zip(("symbol", "type", "right"), known, zip(*rows, strict=True), strict=True):
            names += [cell for cell in dict.fromkeys(cells) if cell not in names]
            coded[column] = Coded(names, np.array([names.index(cell) for cell in cells], dtype="int32"))
        found = [composed.names[k] for k in composed.codes(coded).tolist()]
        assert found == [" ".join(cell for cell in row if cell).lower() for row in rows]
    assert len(composed.names) == len(set(composed.names))
