"""A large Parquet file, read batch by batch, is the book and the problems of the same rows in one frame."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import CrossmarginError, FileFormatError
from crossmargin.files import name_codes
from crossmargin.files.name_codes import NameCodes
from crossmargin.files.positions import parse_positions, read_positions
from crossmargin.files.tables import frame_as_text
from crossmargin.instruments.symbols import canonical_name

CALL = "BTC-27MAR26-90000-C"
NAMES = st.sampled_from(["a", " a", "b ", "c", "é", "x" * 300, "\x1b", "", None])
INSTRUMENTS = st.sampled_from([CALL, " " + CALL, "SPXW230915C04500000", "SPXW  230915C04500000", "", None])
SETS = st.sampled_from(["s", "t", " s", "", None, "x" * 300])
TYPES = st.sampled_from(["net", "gross", "", None, "GROSS"])
QUANTITIES = {
    pl.Float64: st.one_of(st.none(), st.floats(), st.integers(-100, 100).map(lambda k: k / 10)),
    pl.Float32: st.one_of(st.none(), st.floats(width=32), st.integers(-100, 100).map(float)),
    pl.Int64: st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5)),
    pl.UInt8: st.one_of(st.none(), st.integers(0, 255)),
    pl.UInt64: st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 5)),
    pl.String: st.sampled_from(
        [None, "", " 2 ", "1", "-0.5", "1e3", "+5", "-.5", "x", "0.123456789", "0.12345678", "9e10", "90000000001"]
    ),
    pl.Boolean: st.sampled_from([True, None]),
    pl.Decimal(38, 8): st.one_of(st.none(), st.integers(-(10**25), 10**25).map(lambda k: Decimal(k).scaleb(-8))),
    pl.Decimal(20, 2): st.one_of(st.none(), st.integers(-(10**18), 10**18).map(lambda k: Decimal(k).scaleb(-2))),
    pl.Decimal(30, 12): st.one_of(st.none(), st.integers(-(10**6), 10**6).map(lambda k: Decimal(k).scaleb(-9))),
    pl.Null: st.none(),
}  # fmt: skip


@st.composite
def _frames(draw: st.DrawFn) -> pl.DataFrame:
    kind = draw(st.sampled_from(list(QUANTITIES)))
    rows = draw(st.lists(st.tuples(NAMES, INSTRUMENTS, QUANTITIES[kind], SETS, SETS, TYPES), min_size=1, max_size=12))
    columns = ("account", "instrument", "quantity", "netting_set", "segregation", "account_type")
    dtypes = dict.fromkeys(columns, pl.String) | {"quantity": kind}
    stated = draw(st.sampled_from([columns, columns[:3], columns[:4], (*columns[:3], "account_type")]))
    return pl.DataFrame(rows, schema=dtypes, orient="row").select(stated)


def _outcome(source: Any) -> Any:
    problems: list[Any] = []
    parsed = parse_positions(source, problems, name="p.parquet")
    try:
        book = read_positions(source)
    except CrossmarginError as error:
        book = [type(error)]
    else:
        arrays = (book.positions.offsets, book.positions.instrument, book.positions.steps, book.gross)
        book = [book.accounts, book.instruments, book.attributes, book.origins.keys(), *(a.tolist() for a in arrays)]
    if parsed is None:
        return [str(p) for p in problems]
    columns = (parsed.rows.account, parsed.rows.instrument, parsed.rows.steps, parsed.row_numbers)
    return [
        [(str(p), p.account, p.kind) for p in problems],
        [parsed.accounts, parsed.instruments, dict(parsed.attributes), sorted(parsed.contested), parsed.origins()],
        [[int(k) for k in column] for column in columns],
        book,
    ]


@given(frame=_frames(), batch_rows=st.integers(1, 5))
def test_batches_one_frame_and_text_agree(frame: pl.DataFrame, batch_rows: int) -> None:
    expected = _outcome(frame)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.parquet"
        frame.write_parquet(path, row_group_size=3)
        with (
            mock.patch("crossmargin.files.columns.LARGE", 0),
            mock.patch("crossmargin.files.columns._BATCH_ROWS", batch_rows),
        ):
            assert _outcome(path) == expected
    text = frame_as_text(frame, "p.parquet").columns
    assert _outcome({name: list(cells) for name, cells in text.items()}) == expected


def test_columns_that_are_not_asked_for_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame({" account ": ["a"], "instrument": [CALL], "quantity": [1], "comment": ["x"]}).write_parquet(path)
    monkeypatch.setattr("crossmargin.files.columns.LARGE", 0)
    read: list[Any] = []
    select = pl.LazyFrame.select

    def spy(self: pl.LazyFrame, columns: Any) -> pl.LazyFrame:
        read.append(columns)
        return select(self, columns)

    monkeypatch.setattr(pl.LazyFrame, "select", spy)
    assert read_positions(path).accounts == ("a",)
    assert [columns for columns in read if isinstance(columns, list)] == [[" account ", "instrument", "quantity"]]


def test_a_large_file_that_breaks_off_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.parquet"
    n = 20_000
    rng = np.random.default_rng(3)
    frame = {"account": [f"a{k}" for k in range(n)], "instrument": [CALL] * n, "quantity": rng.random(n)}
    pl.DataFrame(frame).write_parquet(path, compression="zstd", row_group_size=1000)
    whole = bytearray(path.read_bytes())
    whole[5_000:60_000] = bytes(55_000)
    path.write_bytes(bytes(whole))
    monkeypatch.setattr("crossmargin.files.columns.LARGE", 0)
    with pytest.raises(FileFormatError, match=r"p.parquet: is no Parquet that can be read \("):
        read_positions(path)


# --------------------------------------------------------------------------------------------------- codes of names


@given(batches=st.lists(st.lists(st.text("abAé ", max_size=4), max_size=20), max_size=6), bits=st.integers(0, 64))
def test_codes_stand_for_the_spelling_of_every_row_whatever_the_hash(batches: list[list[str]], bits: int) -> None:
    good = name_codes._hashes

    def poor(names: pl.Series, seed: int) -> Any:
        """The first three seeds keep a few bits of the hash, so that names share one."""
        hashes = good(names, seed)
        return hashes & np.uint64(2**bits - 1) if seed < 3 else hashes

    with mock.patch.object(name_codes, "_hashes", poor), mock.patch.object(name_codes, "_SMALLEST_TABLE", 2):
        coder = NameCodes(str.strip)
        found = [coder.codes(pl.Series(batch, dtype=pl.String)).tolist() for batch in batches]
    assert [[coder.names[k] for k in codes] for codes in found] == [[name.strip() for name in b] for b in batches]
    assert len(set(coder.names)) == len(coder.names)


def test_spellings_of_one_instrument_have_one_code() -> None:
    coder = NameCodes(canonical_name)
    first = coder.codes(pl.Series([CALL, "SPXW  230915C04500000"])).tolist()
    assert coder.codes(pl.Series(["SPXW230915C04500000", CALL + " ", "X"])).tolist() == [first[1], first[0], 2]


def test_a_small_file_loads_no_compiler(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame({"account": ["a"], "instrument": [CALL], "quantity": [1.5]}).write_parquet(path)
    code = (
        "import sys\nfrom crossmargin.files.positions import read_positions\n"
        f"print(read_positions({str(path)!r}).accounts, 'numba' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "('a',) False\n"
