"""Balances read by columns are those read row by row: the same rows, and the same problems in the same order."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import CrossmarginError, FileFormatError, Problem, QuantityError, UnsupportedError
from crossmargin.basics.names import name_fault
from crossmargin.basics.quantities import QUANTITY_LIMIT, STEPS_PER_UNIT, quantity_steps
from crossmargin.collateral.valuation import schedule
from crossmargin.files.balances import BALANCE_COLUMNS, BalancesInput, parse_balances
from crossmargin.files.positions import read_positions
from crossmargin.files.tables import TextTable, frame_as_text
from crossmargin.portfolio.book import Book

CALL = "BTC-27MAR26-90000-C"
ACCOUNTS = st.sampled_from(["a", " a", "b ", "c", "é", "x" * 300, "\x1b", "", None])
ASSETS = st.sampled_from(["USD", "usd", " Usd ", "BTC", "DOGE", "doge", "", None, "\x1b", "U" * 300, "USDC"])
AMOUNTS = {
    pl.Float64: st.one_of(st.none(), st.floats(), st.integers(-100, 100).map(lambda k: k / 10), st.just(9e10)),
    pl.Int64: st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5)),
    pl.String: st.sampled_from([None, "", " 2 ", "1", "-0.5", "1e3", "x", "0.123456789", "9e10", "90000000001"]),
    pl.Decimal(38, 8): st.one_of(st.none(), st.integers(-(10**25), 10**25).map(lambda k: Decimal(k).scaleb(-8))),
}  # fmt: skip


@st.composite
def _frames(draw: st.DrawFn) -> pl.DataFrame:
    kind = draw(st.sampled_from(list(AMOUNTS)))
    rows = draw(st.lists(st.tuples(ACCOUNTS, ASSETS, AMOUNTS[kind]), min_size=1, max_size=12))
    dtypes = dict(zip(BALANCE_COLUMNS, (pl.String, pl.String, kind), strict=True))
    return pl.DataFrame(rows, schema=dtypes, orient="row")


def _row_by_row(table: TextTable) -> Any:
    """The oracle: every cell of every row, one after the other."""
    rows, problems = [], []
    for k, (account, asset, amount) in enumerate(zip(*(table.columns[name] for name in BALANCE_COLUMNS), strict=True)):
        readable = account if account and not name_fault(account) else ""
        place: dict[str, Any] = {"file": table.file, "row": k + 1, "account": readable}
        found = []
        for name, column in ((account, "account"), (asset, "asset")):
            if not name:
                text, needed = f"{column} is empty", f"Give every row its {column}."
            elif fault := name_fault(name):
                text, needed = f"{column} {fault[0]}", fault[1]
            else:
                continue
            found.append(Problem(found=text, needed=needed, column=column, **place))
        if not found and asset.upper() not in schedule().haircuts:
            text, needed = f"'{asset}' is no collateral that the schedule accepts", ", ".join(schedule().haircuts)
            needed = f"It accepts {needed}."
            found.append(Problem(found=text, needed=needed, column="asset", kind=UnsupportedError, **place))
        try:
            steps = quantity_steps(amount)
        except QuantityError as error:
            text = error.problems[0].found.replace("quantity", "amount", 1)
            needed = error.problems[0].needed
            found.append(Problem(found=text, needed=needed, column="amount", kind=QuantityError, **place))
        if not found:
            rows.append((account, asset.upper(), steps, k + 1))
        problems += found
    return rows, problems


def _by_columns(source: Any, name: str = "b.parquet") -> Any:
    problems: list[Problem] = []
    parsed = parse_balances(source, problems, name=name)
    assert parsed.accounts == tuple(sorted(set(parsed.accounts)))
    assert parsed.assets == tuple(sorted(set(parsed.assets)))
    rows = [
        (parsed.accounts[account], parsed.assets[asset], int(steps), parsed.origin(k).row)
        for k, (account, asset, steps) in enumerate(zip(parsed.account, parsed.asset, parsed.steps, strict=True))
    ]
    assert ({row[0] for row in rows}, {row[1] for row in rows}) == (set(parsed.accounts), set(parsed.assets))
    return rows, problems


@given(frame=_frames(), batch_rows=st.integers(1, 5))
def test_columns_batches_and_text_are_what_every_row_says(frame: pl.DataFrame, batch_rows: int) -> None:
    table = frame_as_text(frame, "b.parquet")
    expected = _row_by_row(table)
    assert _by_columns(frame) == expected
    assert _by_columns({name: list(cells) for name, cells in table.columns.items()}) == expected
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b.parquet"
        frame.write_parquet(path, row_group_size=3)
        assert _by_columns(path) == expected
        with (
            mock.patch("crossmargin.files.balances.LARGE", 0),
            mock.patch("crossmargin.files.columns._BATCH_ROWS", batch_rows),
        ):
            assert _by_columns(path) == expected
    with mock.patch("crossmargin.files.columns._hashes", lambda names: names.hash().to_numpy() % 2):
        assert _by_columns(frame) == expected


def test_only_doubtful_rows_are_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    n_rows = 50_000
    frame = pl.DataFrame(
        {
            "account": [f"a{k % 1000}" for k in range(n_rows)],
            "asset": ["DOGE" if k == 17 else "usd" for k in range(n_rows)],
            "amount": [1e-9 if k == 40_005 else float(k % 7) for k in range(n_rows)],
        }
    )
    looked_at: list[Any] = []

    def spy(name: str, column: str, *place: Any) -> list[Problem]:
        looked_at.append((name, column))
        return []

    monkeypatch.setattr("crossmargin.files.balances.name_problems", spy)
    problems: list[Problem] = []
    assert len(parse_balances(frame, problems).steps) == n_rows - 2
    assert looked_at == [("a17", "account"), ("DOGE", "asset"), ("a5", "account"), ("usd", "asset")]
    assert [(problem.row, problem.column) for problem in problems] == [(18, "asset"), (40_006, "amount")]


NAMES = st.sampled_from(["a", "b", "c", "d", "s", "zz"])


@given(
    held=st.lists(st.tuples(NAMES, st.sampled_from(["", "s", "t"])), min_size=1, max_size=5),
    cash=st.lists(st.tuples(NAMES, st.sampled_from(["USD", "BTC"]), st.integers(-3, 3)), max_size=8),
)
def test_balances_and_positions_meet_in_one_book(held: list[tuple[str, str]], cash: list[tuple[str, str, int]]) -> None:
    set_of = dict(held)
    positions = [{"account": a, "instrument": CALL, "quantity": 1, "netting_set": set_of[a]} for a, _ in held]
    balances = {name: list(cells) for name, cells in zip(BALANCE_COLUMNS, zip(*cash, strict=True), strict=False)}
    sets, accounts = set(set_of.values()) - {""}, set(set_of)
    of_set = [k for k, row in enumerate(cash, 1) if row[0] in sets - accounts]
    if of_set or any(set_of.get(name) == "" for name in sets):
        with pytest.raises(CrossmarginError) as caught:
            read_positions(positions, balances if cash else None)
        assert [p.row for p in caught.value.problems if p.file == "balances"] == of_set
        return
    book = read_positions(positions, balances if cash else None)
    assert book.accounts == tuple(sorted(accounts | {row[0] for row in cash}))
    sums: dict[tuple[str, str], int] = {}
    for account, asset, amount in cash:
        sums[account, asset] = sums.get((account, asset), 0) + amount * STEPS_PER_UNIT
    assert _balances(book) == sums


def _balances(book: Book) -> dict[tuple[str, str], int]:
    if (rows := book.balances) is None:
        return {}
    columns = zip(rows.account.tolist(), rows.asset.tolist(), rows.steps.tolist(), strict=True)
    return {(book.accounts[account], rows.assets[asset]): steps for account, asset, steps in columns}


def test_sums_that_are_too_large_are_where_they_begin() -> None:
    most = QUANTITY_LIMIT // STEPS_PER_UNIT
    rows = [("b", "USD", 1), ("a", "BTC", most), ("a", "USD", most), ("b", "USD", -1), ("a", "usd", 1), ("s", "BTC", 1)]
    balances = [dict(zip(BALANCE_COLUMNS, row, strict=True)) for row in rows]
    positions = [{"account": "c", "instrument": CALL, "quantity": most, "netting_set": "s"} for _ in range(2)]
    with pytest.raises(CrossmarginError) as caught:
        read_positions(positions, balances)
    assert [(p.file, p.row, p.account) for p in caught.value.problems] == [
        ("balances", 6, "s"),
        ("positions", 1, "c"),
        ("balances", 3, "a"),
    ]
    # What comes back below the limit was never too large.
    balances[5] = {"account": "a", "asset": "USD", "amount": -2}
    assert _balances(read_positions(positions[:1], balances))["a", "USD"] == QUANTITY_LIMIT - STEPS_PER_UNIT


def test_what_is_no_table_of_balances_gives_no_rows() -> None:
    for source, message in (
        ({"account": ["a"], "asset": ["USD"]}, "column 'amount' is missing"),
        (pl.DataFrame({"account": ["a"], "asset": ["USD"], "Amount": [1]}), "Write 'Amount' as 'amount'"),
        (pl.DataFrame({"account": ["a"], "asset": [["USD"]], "amount": [1]}), "column 'asset' holds List"),
        ([], "no rows"),
        (5, "balances are given as int"),
    ):
        problems: list[Problem] = []
        parsed = parse_balances(source, problems)
        assert isinstance(parsed, BalancesInput)
        assert (parsed.accounts, len(parsed.steps)) == ((), 0)
        assert message in str(problems[0])


def test_a_large_file_that_breaks_off_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, n = tmp_path / "b.parquet", 20_000
    frame = pl.DataFrame({"account": [f"a{k * 7919 % n}" for k in range(n)], "asset": ["USD"] * n, "amount": range(n)})
    frame.write_parquet(path, compression="zstd", row_group_size=1000)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 4 : len(whole) // 2] = bytes(len(whole) // 2 - len(whole) // 4)
    path.write_bytes(bytes(whole))
    monkeypatch.setattr("crossmargin.files.balances.LARGE", 0)
    with pytest.raises(FileFormatError, match=r"b.parquet: is no Parquet that can be read \("):
        read_positions([{"account": "a", "instrument": CALL, "quantity": 1}], path)
