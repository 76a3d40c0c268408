"""Histories from files and frames, and what is refused of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crossmargin.basics.errors import CrossmarginError, InputError
from crossmargin.files.history import read_history
from crossmargin.history.factors import Change

WIDE = "date,price:BTC,vol:BTC\n2024-01-02,44957.1,0.62\n2024-01-03,42836.5,\n2024-01-04,44179.2,0.60\n"
LONG = """date,factor,value,roll
2024-01-04,price:BTC,44179.2,
2024-01-02,price:BTC,44957.1,
2024-01-03,BTC,42836.5,true
2024-01-02,vol:BTC,0.62,
2024-01-04,vol:BTC,0.60,false
""".replace("2024-01-03,BTC", "2024-01-03,price:BTC")


def file_of(folder: Path, text: str, name: str = "history.csv") -> Path:
    """A file of `text`."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    """What is said of a file that is refused."""
    with pytest.raises(CrossmarginError) as caught:
        read_history(file_of(folder, text))
    return str(caught.value)


def test_wide_and_long_are_the_same_history(tmp_path: Path) -> None:
    wide = read_history(file_of(tmp_path, WIDE))
    long = read_history(file_of(tmp_path, LONG.replace("true", "")))
    assert wide.fingerprint == long.fingerprint
    assert wide.names == ("price:BTC", "vol:BTC")
    assert np.isnan(wide.level[1, 1])


def test_a_roll_is_marked_where_it_stands(tmp_path: Path) -> None:
    history = read_history(file_of(tmp_path, LONG))
    assert history.rolled.tolist() == [[False, False], [True, False], [False, False]]


def test_every_way_in_gives_the_same_history(tmp_path: Path) -> None:
    path = file_of(tmp_path, WIDE)
    expected = read_history(path).fingerprint
    frame = pl.read_csv(path)
    frame.write_parquet(tmp_path / "history.parquet")
    with gzip.open(tmp_path / "history.csv.gz", "wt") as file:
        file.write(WIDE)
    assert read_history(frame).fingerprint == expected
    assert read_history(tmp_path / "history.parquet").fingerprint == expected
    assert read_history(tmp_path / "history.csv.gz").fingerprint == expected
    history = read_history(path)
    assert read_history(history) is history


def test_a_name_without_a_kind_is_a_price(tmp_path: Path) -> None:
    assert read_history(file_of(tmp_path, WIDE.replace("price:BTC", "BTC"))).names == ("price:BTC", "vol:BTC")


def test_times_state_their_zone(tmp_path: Path) -> None:
    history = read_history(file_of(tmp_path, "time,BTC\n2024-01-02T22:00:00+01:00,1\n2024-01-03T21:00:00Z,2\n"))
    assert np.diff(history.times).tolist() == [86_400]
    assert "2024-01-02T21:00:00" in refused(tmp_path, "time,BTC\n2024-01-02T21:00:00,1\n2024-01-03T21:00:00Z,2\n")


def test_how_a_factor_changes_can_be_said(tmp_path: Path) -> None:
    history = read_history(file_of(tmp_path, WIDE), changes={"BTC": "absolute"})
    assert [factor.change for factor in history.factors] == [Change.ABSOLUTE, Change.RELATIVE]
    with pytest.raises(InputError, match="relative or absolute"):
        read_history(file_of(tmp_path, WIDE), changes={"BTC": "percent"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WIDE.replace("42836.5", "closed"), "'closed' is not a number"),
        (WIDE.replace("42836.5", "inf"), "inf"),
        (WIDE.replace("2024-01-03", "03.01.2024"), "03.01.2024"),
        (WIDE.replace("2024-01-03", "2024-01-02"), "2024-01-02 stands twice"),
        (WIDE.replace("vol:BTC", "smile:BTC"), "names no risk factor"),
        (WIDE.replace("vol:BTC", "BTC"), "are one factor"),
        (WIDE.replace("date", "when"), "no column of dates"),
        ("date\n2024-01-02\n", "no column of a factor"),
        ("date,BTC\n", "has a header and no rows"),
        (LONG.replace("2024-01-03", "2024-01-02"), "a second value of 'price:BTC'"),
        (LONG.replace("roll", "rolled"), "unknown column 'rolled'"),
        (LONG.replace("true", "maybe"), "maybe"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_all_of_it_at_once_with_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_history(file_of(tmp_path, WIDE.replace("42836.5", "x").replace("0.60", "y").replace("44957.1", "z")))
    assert [problem.row for problem in caught.value.problems] == [2, 3, 4]


def test_a_time_without_a_zone_is_told_from_what_is_no_date(tmp_path: Path) -> None:
    assert "states no zone" in refused(tmp_path, "time,BTC\n2024-01-02T21:00:00,1\n")
    assert "is no date" in refused(tmp_path, "time,BTC\n02/01/2024,1\n")
