"""Books of many accounts: which accounts are printed, and the file that holds all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from crossmargin.answers import result as answers
from crossmargin.answers.account_table import account_table
from crossmargin.basics.threads import thread_count
from crossmargin.cli.main import main
from crossmargin.cli.writing import write_table
from crossmargin.engine import figures
from crossmargin.engine.evaluate import Evaluation, Prepared
from crossmargin.sample import sample_paths

PATHS = sample_paths()
SAMPLE = (str(PATHS.positions), "--market", str(PATHS.market))
BALANCED = (*SAMPLE, "--balances", str(PATHS.balances))
PUT = "BTC-26NOV21-58000-P"


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, 120 columns wide."""
    monkeypatch.setenv("COLUMNS", "120")

    def command(*arguments: object) -> Answer:
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return Answer(exited.value.code, captured.out, captured.err)

    return command


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int], Path]:
    """Positions of `n` accounts; account k is short k puts, so that the last requires most."""

    def written(n: int) -> Path:
        path = tmp_path / f"{n}.csv"
        rows = "".join(f"account {k:03},{PUT},-{k}\n" for k in range(1, n + 1))
        path.write_text("account,instrument,quantity\n" + rows, encoding="utf-8")
        return path

    return written


def listed(text: str) -> list[str]:
    """Accounts of a margin table, from top to bottom."""
    return re.findall(r"^(account \d+)", text, re.MULTILINE)


# ------------------------------------------------------------------------------------------------ the table


def test_up_to_fifty_accounts_are_all_printed_in_their_order(run: Run, many: Callable[[int], Path]) -> None:
    text = run("margin", many(50), *SAMPLE[1:]).out
    assert listed(text) == [f"account {k:03}" for k in range(1, 51)]
    assert "more account" not in text
    assert re.search(r"^total  ", text, re.MULTILINE)


def test_of_more_the_twenty_largest_and_how_many_more(run: Run, many: Callable[[int], Path]) -> None:
    text = run("margin", many(51), *SAMPLE[1:]).out
    assert listed(text) == [f"account {k:03}" for k in range(51, 31, -1)]
    assert "31 more accounts (--out FILE writes all)." in text
    assert re.search(r"^total of 51  ", text, re.MULTILINE)
    compared = run("compare", many(51), *SAMPLE[1:]).out
    assert listed(compared) == listed(text)
    assert "31 more accounts (--json has all)." in compared


@pytest.mark.parametrize(
    ("rows", "shown", "more"), [(0, 0, "8 more accounts"), (1, 1, "7 more"), (7, 7, "1 more account ("), (8, 8, "")]
)
def test_rows_says_how_many_and_the_totals_stay(run: Run, rows: int, shown: int, more: str) -> None:
    text, whole = run("margin", *SAMPLE, "--rows", rows).out, run("margin", *SAMPLE).out
    names = [account["account"] for account in json.loads(run("margin", *SAMPLE, "--json").out)["accounts"]]
    assert sum(bool(re.search(rf"^{name} ", text, re.MULTILINE)) for name in names) == shown
    assert more in text
    total, of_all = (re.search(r"^total.*$", t, re.MULTILINE) for t in (text, whole))
    assert total is not None
    assert of_all is not None
    assert total.group().replace("of 8", "").split() == of_all.group().split()


def test_more_rows_than_accounts_print_all(run: Run, many: Callable[[int], Path]) -> None:
    assert listed(run("margin", many(51), *SAMPLE[1:], "--rows", "1000").out) == [
        f"account {k:03}" for k in range(1, 52)
    ]


# ------------------------------------------------------------------------------------------------ the file


def read(path: Path) -> pl.DataFrame:
    """A table that was written, its columns typed as they are meant."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    texts = dict.fromkeys(("account", "state", "reasons"), pl.String)
    frame = pl.read_csv(path, schema_overrides=texts, infer_schema_length=0)
    return frame.with_columns(pl.col(name).cast(pl.Float64) for name in frame.columns if name not in texts)


@pytest.mark.parametrize("name", ["all.parquet", "all.csv", "ALL.CSV"])
@pytest.mark.parametrize("inputs", [SAMPLE, BALANCED], ids=["required", "standing"])
def test_out_has_every_account_to_the_last_bit(run: Run, tmp_path: Path, name: str, inputs: tuple[str, ...]) -> None:
    path = tmp_path / name
    answer = run("margin", *inputs, "--rows", "1", "--out", path)
    assert f"7 more accounts (all are in {path})." in answer.out
    accounts = json.loads(run("margin", *inputs, "--json").out)["accounts"]
    frame = read(path) if path.suffix != ".CSV" else read(path.rename(tmp_path / "all.csv"))
    assert frame["account"].to_list() == [account["account"] for account in accounts]
    figures = [name for name in frame.columns if name not in ("account", "state", "reasons")]
    assert {"requirement_initial", "requirement_maintenance", "requirement_isolated", "saving"} <= set(figures)
    assert ("equity" in figures) == (inputs is BALANCED)
    for figure in figures:
        stated = [account[figure] for account in accounts]
        assert frame[figure].to_list() == [None if text is None else float(text) for text in stated], figure
    assert frame["state"].to_list() == [account.get("state") for account in accounts]
    assert frame["reasons"].to_list() == [None] * 8
    assert [path.name for path in tmp_path.iterdir()] in (["all.parquet"], ["all.csv"])


def test_a_parquet_file_says_what_it_rests_on(run: Run, tmp_path: Path) -> None:
    run("margin", *BALANCED, "--out", tmp_path / "all.parquet")
    document = json.loads(run("margin", *BALANCED, "--json").out)
    said = json.loads(pl.read_parquet_metadata(tmp_path / "all.parquet")["crossmargin"])
    assert said == {"provenance": document["provenance"], "notes": document["notes"]}
    assert said["provenance"]["market_hash"].startswith("sha256:")


@pytest.mark.parametrize("asked", [("--json",), ("--report",), ("--rows", "1")])
def test_everything_is_done_on_the_threads_that_were_asked_for(
    run: Run, many: Callable[[int], Path], tmp_path: Path, asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON and the report of a large book margin its accounts again."""
    used: list[int] = []
    margined = Prepared.evaluation

    def noted(self: Prepared) -> Evaluation:
        used.append(thread_count())
        return margined(self)

    monkeypatch.setattr(Prepared, "evaluation", noted)
    for module in (answers, figures):
        monkeypatch.setattr(module, "BLOCK_ACCOUNTS", 2)
    if asked == ("--report",):
        asked = ("--report", str(tmp_path / "report.html"))
    assert run("margin", many(5), *SAMPLE[1:], "--threads", "7", *asked).code == 0
    assert set(used) == {7}
    assert len(used) == (6 if "--json" in asked else 4 if "--report" in asked else 3)


def test_json_beside_a_file_is_json_alone(run: Run, tmp_path: Path) -> None:
    answer = run("margin", *SAMPLE, "--out", tmp_path / "a.csv", "--json")
    assert len(json.loads(answer.out)["accounts"]) == len(read(tmp_path / "a.csv")) == 8
    assert answer.err == ""


def test_what_cannot_be_written_is_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    before = list(tmp_path.iterdir())
    for place, reason in (
        (tmp_path / "all.txt", "all.txt: a table is not written as '.txt'. End its name in .parquet or .csv."),
        (tmp_path / "all", "all: says no format for a table. End its name in .parquet or .csv."),
        (tmp_path / "folder.csv", "folder.csv: cannot be written (Is a directory)"),
        (tmp_path / "no" / "all.csv", "all.csv: cannot be written (No such file or directory)"),
    ):
        answer = run("margin", "no.csv", "--market", "no.csv", "--out", place)
        assert (answer.code, answer.out) == (2, "")
        assert reason in answer.err
        assert "1 problem" in answer.err
    both = run("margin", *SAMPLE, "--out", tmp_path / "a.txt", "--report", tmp_path / "no" / "r.html")
    assert "2 problems, nothing was margined" in both.err
    assert list(tmp_path.iterdir()) == before


def test_a_refused_book_leaves_the_old_file(run: Run, tmp_path: Path) -> None:
    positions, old = tmp_path / "p.csv", tmp_path / "all.csv"
    positions.write_text(f"account,instrument,quantity\na,{PUT},x\n", encoding="utf-8")
    old.write_text("old\n", encoding="utf-8")
    assert run("margin", positions, *SAMPLE[1:], "--out", old).code == 2
    assert old.read_text(encoding="utf-8") == "old\n"
    assert {path.name for path in tmp_path.iterdir()} == {"p.csv", "all.csv"}


COLUMNS: dict[str, Any] = {
    "account": ["b", "d"],
    "requirement_initial": [1.5, 0.0],
    "coverage_ratio": [2.0, float("inf")],
    "state": ["healthy", "call"],
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_account_without_figures_has_nulls_and_never_zeros(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"all{suffix}"
    reasons = {"c": "row 3: no vol; row 9: expired", "a": "no price"}
    write_table(path, account_table(COLUMNS, reasons, has_balances=True))
    found = read(path)
    shown = ("account", "requirement_initial", "coverage_ratio", "state", "reasons")
    assert found.select(shown).rows() == [
        ("a", None, None, "unmargined", "no price"),
        ("b", 1.5, 2.0, "healthy", None),
        ("c", None, None, "unmargined", "row 3: no vol; row 9: expired"),
        ("d", 0.0, None, "call", None),
    ]
    assert found.drop(shown).null_count().sum_horizontal().item() == 4 * (found.width - len(shown))


@pytest.mark.parametrize("has_balances", [False, True])
def test_the_columns_are_the_same_whoever_is_in_the_table(has_balances: bool) -> None:
    nobody = account_table({}, {}, has_balances=has_balances)
    refused = account_table({}, {"b": "why", "a": "so"}, has_balances=has_balances)
    margined = account_table({"account": ["b"], "saving": [3.0]}, {"a": "no price"}, has_balances=has_balances)
    assert nobody.schema == refused.schema == margined.schema
    assert nobody.width == (15 if has_balances else 11)
    assert refused["account"].to_list() == ["a", "b"]
    assert refused["state"].to_list() == ["unmargined"] * 2
    assert margined["saving"].to_list() == [None, 3.0]


@pytest.mark.parametrize("over", ["p.csv", "m.csv", "b.csv"])
def test_an_input_is_never_written_over(run: Run, tmp_path: Path, over: str) -> None:
    texts = {"p.csv": f"account,instrument,quantity\na,{PUT},1\n", "b.csv": "account,asset,amount\na,USD,1\n"}
    texts["m.csv"] = Path(SAMPLE[2]).read_text(encoding="utf-8")
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    files = (tmp_path / "p.csv", "--market", tmp_path / "m.csv", "--balances", tmp_path / "b.csv")
    found = run("margin", *files, "--out", tmp_path / "." / over)
    assert found.code == 2
    assert "an input would be written over" in found.err
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in texts} == texts


def test_the_table_and_the_page_are_two_files(run: Run, tmp_path: Path) -> None:
    both = tmp_path / "x.csv"
    found = run("margin", *SAMPLE, "--out", both, "--report", both)
    assert found.code == 2
    assert "the table and the page are one file" in found.err
    assert not both.exists()
