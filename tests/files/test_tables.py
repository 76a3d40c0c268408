"""Text tables: every way to write the same table, and every way to write none."""

from __future__ import annotations

import gzip
import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crossmargin.basics.errors import FileFormatError, InputError
from crossmargin.files import tables
from crossmargin.files.tables import cell_text, frame_as_text, is_json, parse_csv, read_frame, read_table, read_text

HEADER = "account,instrument,quantity\n"
ROW = "a,BTC-27MAR26-90000-C,-2\n"
COLUMNS = {"account": ["a"], "instrument": ["BTC-27MAR26-90000-C"], "quantity": ["-2"]}


def _file(tmp_path: Path, content: bytes | str, name: str = "positions.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROW,
        b"\xef\xbb\xbf" + (HEADER + ROW).encode(),
        (HEADER + ROW).replace(",", ";"),
        (HEADER + ROW).replace(",", "\t"),
        (HEADER + ROW).replace(",", "|"),
        (HEADER + ROW).replace("\n", "\r\n"),
        (HEADER + ROW).replace("\n", "\r"),
        (HEADER + ROW).rstrip("\n"),
        "\n\r\n" + HEADER + "\n  \n" + ROW + "\n\n",
        " account , instrument,quantity \n a ,BTC-27MAR26-90000-C ,\t-2 \n",
        '"account","instrument","quantity"\n"a","BTC-27MAR26-90000-C","-2"\n',
        gzip.compress((HEADER + ROW).encode(), mtime=0),
        gzip.compress(HEADER.encode(), mtime=0) + gzip.compress(ROW.encode(), mtime=0),
    ],
)
def test_the_same_table_however_it_is_written(tmp_path: Path, content: bytes | str) -> None:
    assert read_table(_file(tmp_path, content)).columns == COLUMNS


def test_a_quoted_delimiter_in_the_header_does_not_count() -> None:
    assert list(parse_csv('"a;b;c;d",e,f\n1,2,3\n', "x.csv").columns) == ["a;b;c;d", "e", "f"]


def test_rows_are_the_lines_where_records_begin() -> None:
    text = "\n" + HEADER + '"a\nb",x,1\n\n\nc,x,2\n"d",x,"3\r\n4"\ne,x,5\n'
    table = parse_csv(text, "x.csv")
    assert table.header_row == 2
    assert [table.row(k) for k in range(len(table))] == [3, 7, 8, 10]
    for k, cell in enumerate(table.columns["account"]):
        assert text.splitlines()[table.row(k) - 1].strip('"').startswith(cell[0])


def test_large_text_has_the_same_rows_and_lines() -> None:
    rows = [f"account-{k},BTC-27MAR26-90000-C,{k}" for k in range(300_000)]
    rows[250_000] = ""
    table = parse_csv(HEADER + "\n".join(rows) + "\n", "x.csv")  # 9 MB
    assert len(table) == 299_999
    assert table.columns["quantity"][-1] == "299999"
    assert (table.row(0), table.row(249_999), table.row(250_000)) == (2, 250_001, 250_003)


def test_ragged_rows_are_problems_and_the_others_are_read() -> None:
    table = parse_csv(HEADER + "a,x,1,\nb,x,2\nc,x\n\nd\n", "x.csv")
    assert table.columns["account"] == ["b"]
    assert [(p.row, p.found) for p in table.problems] == [
        (2, "4 cells under a header of 3"),
        (4, "2 cells under a header of 3"),
        (6, "1 cells under a header of 3"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"positions\.csv: is empty\. It needs a header and at least one row"),
        ("  \n\n \n", r"is empty\. It needs"),
        (HEADER, r"has a header and no rows"),
        ("account,instrument,quantity,\na,b,1,\n", r"row 1: column 4 has no name"),
        ("account,quantity,account\na,1,b\n", r"row 1: column 'account' stands twice in the header"),
        ("\n\naccount, account\na,1\n", r"row 3: column 'account' stands twice"),
        (",".join(f"c{k}" for k in range(1001)) + "\n", r"1,001 columns; at most 1,000 are read"),
        (HEADER + ROW + '"a,b,1\n' + ROW, r"row 3: is no CSV \(unexpected end of data\)\. Check the quotes"),
        (HEADER + '"a"b,c,1\n', r"row 2: is no CSV"),
        (HEADER + "x" * 70_000 + ",b,1\n", r"row 2: is no CSV \(field larger than field limit \(65536\)\)"),
        ((HEADER + ROW).encode("utf-16"), r"is UTF-16, not UTF-8 text\. Save it as CSV UTF-8"),
        ((HEADER + ROW).encode("utf-16-le"), r"is binary data, not UTF-8 text"),
        (HEADER.encode() + b"caf\xe9,b,1\n", r"row 2: byte 0xe9 is not UTF-8 \(another encoding, perhaps Latin-1\)"),
        (gzip.compress((HEADER + ROW).encode(), mtime=0)[:-9], r"is broken gzip"),
        (gzip.compress((HEADER + ROW).encode(), mtime=0)[:-8] + bytes(8), r"is broken gzip \(CRC check failed"),
        (gzip.compress((HEADER + ROW).encode(), mtime=0) + b"more", r"is broken gzip"),
        (b"\x1f\x8b" + b"x" * 50, r"is broken gzip \(Unknown compression method\)"),
        (b"\x1f\x8b", r"is broken gzip"),
        (gzip.compress(b"", mtime=0), r"is empty"),
        (b"PAR1", r"is no Parquet that can be read"),
        (b"PAR1" + bytes(100) + b"PAR1", r"is no Parquet that can be read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes | str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_table(_file(tmp_path, content))


def test_places_that_are_no_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"nowhere.csv: there is no such file"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(FileFormatError, match="there is no such file"):
        read_table(Path("a\0b"))
    with pytest.raises(FileFormatError, match=r"is a folder. Name a file"):
        read_table(tmp_path)
    with pytest.raises(FileFormatError, match="null: is a pipe or a device"):
        read_table(Path("/dev/null"))
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileFormatError, match=r"is a pipe or a device. Save its content to a file first"):
        read_table(tmp_path / "fifo")  # and does not wait for a writer
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FileFormatError, match="there is no such file"):
        read_table(tmp_path / "loop")
    (tmp_path / "link").symlink_to(_file(tmp_path, HEADER + ROW))
    assert read_table(tmp_path / "link").columns == COLUMNS


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    path = _file(tmp_path, HEADER + ROW)
    path.chmod(0)
    with pytest.raises(FileFormatError, match=r"cannot be read .Permission denied"):
        read_table(path)


def test_limits_are_checked_before_anything_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = _file(tmp_path, gzip.compress(HEADER.encode() + ROW.encode() * 1_000_000, mtime=0))
    monkeypatch.setattr(tables, "MOST_TEXT_BYTES", 5_000_000)
    with pytest.raises(FileFormatError, match=r"unfolds to more than 5,000,000 bytes of text. Use Parquet"):
        read_table(bomb)
    monkeypatch.setattr(tables, "MOST_BYTES", 1000)
    with pytest.raises(FileFormatError, match=r"bytes. At most 1,000 are read"):
        read_table(bomb)
    zeros = _file(tmp_path, gzip.compress(bytes(50_000_000), mtime=0), "zeros.gz")
    monkeypatch.undo()
    with pytest.raises(FileFormatError, match="is binary data"):
        read_text(zeros)


def test_a_missing_column_names_the_one_that_was_meant() -> None:
    table = parse_csv("\nAccount,instrument,qty\na,b,1\n", "x.csv")
    with pytest.raises(InputError) as caught:
        table.require(("account", "instrument", "quantity"), "positions")
    first, second = caught.value.problems
    assert (first.row, first.column, first.needed) == (2, "account", "Write 'Account' as 'account'.")
    assert second.needed == "A positions file has the columns account, instrument, quantity."


def test_cells_of_frames_are_the_text_that_a_csv_would_hold() -> None:
    values = [None, 0.1, np.float64(0.1), 3, np.int64(3), "x", Decimal("0.10"), date(2026, 1, 2), True]
    assert [cell_text(v) for v in values] == ["", "0.1", "0.1", "3", "3", "x", "0.10", "2026-01-02", "True"]


def test_frames_are_refused_where_a_cell_is_no_text_or_number(tmp_path: Path) -> None:
    frame = pl.DataFrame({" a ": [[1]], "b": [b"x"], "c": [1]})
    with pytest.raises(FileFormatError, match=r"column 'a' holds List\(Int64\)[\s\S]*column 'b' holds Binary"):
        frame_as_text(frame, "x")
    with pytest.raises(FileFormatError, match="column 'a' stands twice"):
        frame_as_text(pl.DataFrame({"a ": [1], "a": [2]}), "x")
    with pytest.raises(FileFormatError, match="has no rows"):
        frame_as_text(pl.DataFrame({"a": []}), "x")
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": [1, None]}).write_parquet(path)
    table = frame_as_text(read_frame(path), path.name)
    assert (table.columns, table.row(0), table.header_row) == ({"a": ["1", ""]}, 1, None)


def test_json_is_recognised_by_its_first_character(tmp_path: Path) -> None:
    assert is_json(_file(tmp_path, b"\xef\xbb\xbf \n{}"))
    assert is_json(_file(tmp_path, gzip.compress(b"[]", mtime=0)))
    assert not is_json(_file(tmp_path, HEADER))
    assert not is_json(tmp_path / "nowhere")
