"""The shuffle without Ray: every row in one shard, every margin account whole, row numbers those of the file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from crossmargin.basics.errors import FileFormatError
from crossmargin.cluster.margin import _assets, _balance_lines, _by_shard
from crossmargin.cluster.shards import ROW, Layout, Plan, joined, layout_of, names_of, plan, split, survey
from crossmargin.cluster.work import Work, margin_shard, price_once, total
from crossmargin.files.positions import read_positions
from crossmargin.market.policy import MissingPolicy
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.quarantine import OnError
from crossmargin.standing.standing import Thresholds
from tests import books, listed
from tests.cluster import files

METHOD = methodology("scenario-grid")


def shuffled(path: Path, n_shards: int, rows_per_range: int) -> tuple[Plan, list[list[object]]]:
    """Plan, and the pieces of each shard."""
    layout = layout_of(path)
    ranges = layout.ranges(rows_per_range)
    dealt = plan(layout, [survey(layout, *one) for one in ranges], n_shards)
    by_range = [split(dealt, *one) for one in ranges]
    return dealt, [[pieces[k] for pieces in by_range] for k in range(dealt.n_shards)]


def written(folder: Path, frame: pl.DataFrame) -> Path:
    path = folder / "positions.parquet"
    frame.write_parquet(path, row_group_size=700)
    return path


@pytest.mark.parametrize(("n_shards", "rows_per_range"), [(1, 10**6), (2, 999), (7, 500), (40, 3000)])
def test_every_row_is_in_one_shard_and_every_margin_account_in_one(
    tmp_path: Path, n_shards: int, rows_per_range: int
) -> None:
    frame = files.rows()
    path = written(tmp_path, frame)
    dealt, shards = shuffled(path, n_shards, rows_per_range)
    found = [joined(pieces) for pieces in shards]
    assert sorted(row for shard in found for row in shard[ROW].to_list()) == list(range(1, frame.height + 1))
    back = pl.concat([shard.with_columns(pl.col("instrument").cast(pl.String)) for shard in found]).sort(ROW)
    assert back.drop(ROW).equals(frame)

    book = read_positions(path)
    margin_accounts = [names_of(dealt, pieces) for pieces in shards]
    assert [name for names in margin_accounts for name in names] == list(book.margin_accounts)
    for names in margin_accounts:
        for name, members in names.items():
            assert members == book.members(book.margin_account_index(name))
    assert n_shards == 1 or max(map(len, margin_accounts)) < 2.5 * len(book.margin_accounts) / n_shards


def test_a_file_by_symbol_is_dealt_and_margined_like_one_of_names(tmp_path: Path) -> None:
    contracts = [(listed.CALL, "ce", 23000.0), (listed.PUT, "pe", 22000.0), (listed.FUTURE, "fut", None)]
    method = listed.method()
    n = 300
    chosen = [contracts[k % 3] for k in range(n)]
    common = {"account": [f"a{k % 40}" for k in range(n)], "quantity": [(k % 7 - 3) * 5 + 1 for k in range(n)]}
    parts = {
        " Symbol ": ["nifty"] * n,
        "expiry_date": ["2026-02-26"] * n,
        "opttype": [right for _, right, _ in chosen],
        "strike": [strike for _, _, strike in chosen],
    }
    by_name = written(tmp_path, pl.DataFrame(common | {"instrument": [name for name, _, _ in chosen]}))
    expected, _ = files.in_process(by_name, method, market=method.market)
    by_symbol = written(tmp_path, pl.DataFrame(common | parts).rename({"account": "ACCOUNT"}))
    dealt, shards = shuffled(by_symbol, 3, 100)
    assert {method.market.spelled(name) for name in dealt.instruments} == {name for name, _, _ in contracts}
    of_all = work(by_symbol, dealt, method=method)
    answers = [margin_shard(of_all, (), pieces) for pieces in shards]
    together = pl.concat([pl.read_ipc(bytes(answer.table)) for answer in answers if answer.table is not None])
    assert together.equals(expected)


@pytest.mark.parametrize("with_cash", [False, True])
@pytest.mark.parametrize("n_shards", [1, 5])
def test_shards_one_after_the_other_are_the_answer_of_one_process(
    tmp_path: Path, n_shards: int, with_cash: bool
) -> None:
    path = written(tmp_path, files.rows())
    balances = files.balances(tmp_path) if with_cash else None
    dealt, shards = shuffled(path, n_shards, 1000)
    lines = _balance_lines(balances) if balances else []
    answers = [
        margin_shard(work(path, dealt, balances), cash, pieces)
        for cash, pieces in zip(_by_shard(dealt, lines), shards, strict=True)
    ]
    assert not any(answer.problems for answer in answers)
    together = pl.concat([pl.read_ipc(bytes(answer.table)) for answer in answers if answer.table is not None])
    expected, result = files.in_process(path, METHOD, balances)
    assert together.equals(expected)
    assert sum(answer.n_accounts for answer in answers) == len(result.accounts)
    assert {fill for answer in answers for fill in answer.fills} == set(result.figures.fills)


def work(path: Path, dealt: Plan, balances: Path | None = None, method: Methodology = METHOD) -> Work:
    market = method.market or books.market()
    assets = _assets(_balance_lines(balances), market, method) if balances else ()
    return Work(
        positions_file=path.name,
        balances_file=balances and balances.name,
        market=market,
        method=method,
        policy=MissingPolicy(),
        thresholds=Thresholds(),
        on_error=OnError.REFUSE,
        prices=price_once(path.name, dealt.instruments, assets, market, method, MissingPolicy()),
    )


def test_what_is_wrong_with_a_row_has_its_number_in_the_file(tmp_path: Path) -> None:
    frame = files.rows().with_columns(quantity=pl.col("quantity").cast(pl.String))
    wrong = [5, 1717, 2901]
    cells = frame["quantity"].to_list()
    for row in wrong:
        cells[row - 1] = "many"
    path = written(tmp_path, frame.with_columns(quantity=pl.Series(cells)))
    dealt, shards = shuffled(path, 4, 800)
    answers = [margin_shard(work(path, dealt), [], pieces) for pieces in shards]
    problems = [problem for answer in answers for problem in answer.problems]
    assert sorted(problem.row or 0 for problem in problems) == wrong
    assert {problem.file for problem in problems} == {"positions.parquet"}
    assert all("many" in problem.found for problem in problems)


def test_sets_that_an_account_ties_together_are_dealt_as_one(tmp_path: Path) -> None:
    rows = [("a", "s1"), ("b", "s1"), ("b", "s9"), ("c", "s9"), ("c", "s5"), ("d", "s7")]
    frame = pl.DataFrame(
        {
            "account": [name for name, _ in rows] + [f"p{k}" for k in range(50)],
            "instrument": "BTC-PERPETUAL",
            "quantity": 10.0,
            "netting_set": [name for _, name in rows] + [None] * 50,
        }
    )
    dealt, _ = shuffled(written(tmp_path, frame), 10, 20)
    shard = dict(zip("abcd", dealt.shard_of(pl.Series(list("abcd"))).tolist(), strict=True))
    assert shard["a"] == shard["b"] == shard["c"]
    assert dict(dealt.sets.sort("account").rows()) == {"a": "s1", "b": "s1", "c": "s1", "d": "s7"}


def test_an_account_called_like_a_set_is_where_the_set_is(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "account": ["m", "z"] + [f"p{k}" for k in range(60)],
            "instrument": "BTC-PERPETUAL",
            "quantity": 10.0,
            "netting_set": [None, "m"] + [None] * 60,
        }
    )
    path = written(tmp_path, frame)
    dealt, shards = shuffled(path, 20, 20)
    problems = [p for pieces in shards for p in margin_shard(work(path, dealt), [], pieces).problems]
    assert [problem.found for problem in problems] == ["'m' is both a netting set and an account outside of it"]


def test_accounts_may_be_numbers_and_have_outer_blanks(tmp_path: Path) -> None:
    numbers = pl.DataFrame({"account": [3, 20, 100, 3], "instrument": "BTC-PERPETUAL", "quantity": [10, 20, 30, 40]})
    path = written(tmp_path, numbers)
    dealt, shards = shuffled(path, 3, 2)
    assert [name for pieces in shards for name in names_of(dealt, pieces)] == ["100", "20", "3"]
    blank = numbers.with_columns(account=pl.Series(["b ", "a", " b", "b"])).rename({"account": " account"})
    path = written(tmp_path, blank)
    dealt, shards = shuffled(path, 3, 2)
    assert [name for pieces in shards for name in names_of(dealt, pieces)] == ["a", "b"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"account": ["a"], "quantity": [1]}, "column 'instrument' is missing"),
        ({"account": ["a"], "instrument": ["x"], "quantity": [1], "side": ["buy"]}, "would say the direction"),
        ({"account": [["a"]], "instrument": ["x"], "quantity": [1]}, r"holds List\(String\)"),
        ({"account": pl.Series([], dtype=pl.String), "instrument": [], "quantity": []}, "has no rows"),
    ],
)
def test_a_file_of_something_else_is_refused_before_anything_starts(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(FileFormatError, match=message):
        layout_of(written(tmp_path, pl.DataFrame(columns)))


def test_a_csv_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "positions.csv").write_text("account,instrument,quantity\na,BTC-PERPETUAL,1\n")
    with pytest.raises(FileFormatError, match="is no Parquet file"):
        layout_of(tmp_path / "positions.csv")
    path = written(tmp_path, files.rows())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileFormatError, match=r"positions\.parquet: is no Parquet that can be read"):
        layout_of(path)
    whole = Layout(path=tmp_path / "absent.parquet", columns={"account": "account"}, n_rows=3)
    with pytest.raises(FileFormatError, match="rows 1 to 3 cannot be read"):
        survey(whole, 0, 3)


def test_ranges_cover_the_file() -> None:
    for n_rows, rows_per_range in ((1, 10), (10, 10), (11, 10), (99, 7)):
        ranges = Layout(path=Path("x"), columns={}, n_rows=n_rows).ranges(rows_per_range)
        assert ranges[0][0] == 0
        assert ranges[-1][1] == n_rows
        assert all(before[1] == after[0] for before, after in pairwise(ranges))
        assert max(last - first for first, last in ranges) <= rows_per_range


def test_a_total_is_exact_in_any_order() -> None:
    values = pl.Series([1e16, 1.0, None, -1e16, 1.0])
    assert total([values]) == total([values.reverse()]) == total([values[:2], values[2:]]) == 2.0
