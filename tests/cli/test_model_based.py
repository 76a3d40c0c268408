"""Methods with a history from the command line: margin, explain, compare, case, failed hedges, correlations."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_cli import Run, _refused, run  # noqa: F401 - a fixture

MARKET = """\
as_of,instrument,kind,underlying,payoff,quote_currency,settlement_currency,multiplier,index_price,mark_price
2026-02-25T12:00:00Z,A-PERP,perpetual,A,linear,USD,USD,1,100,100
2026-02-25T12:00:00Z,B-PERP,perpetual,B,linear,USD,USD,1,50,50
"""
POSITIONS = "account,instrument,quantity\nhedged,A-PERP,100\nhedged,B-PERP,-180\nlong,A-PERP,100\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Positions, market and 600 days of two prices, in the current folder."""
    rng = np.random.default_rng(6)
    one, other = 0.02 * rng.standard_t(5, (2, 600))
    days = np.datetime64("2026-02-25") - np.arange(600)[::-1]
    lines = ["date,price:A,price:B"]
    a, b = 100 * np.exp(np.cumsum(one)), 50 * np.exp(np.cumsum(0.8 * one + 0.6 * other))
    lines += [f"{day},{x:.6f},{y:.6f}" for day, x, y in zip(days, a, b, strict=True)]
    (tmp_path / "history.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "market.csv").write_text(MARKET)
    (tmp_path / "positions.csv").write_text(POSITIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


BOOK = ("positions.csv", "--market", "market.csv")
MODEL = (*BOOK, "--methodology", "filtered-es", "--history", "history.csv", "--option", "observations=500")


def test_margin_and_what_it_rests_on(run: Run, folder: Path) -> None:  # noqa: F811
    answer = run("margin", *MODEL, "--json")
    assert answer.code == 0
    document = json.loads(answer.out)
    assert document["provenance"]["history_hash"].startswith("sha256:")
    required = {one["account"]: float(one["requirement_initial"]) for one in document["accounts"]}
    assert 0 < required["hedged"] < required["long"]


def test_another_history_is_another_hash(run: Run, folder: Path) -> None:  # noqa: F811
    before = json.loads(run("margin", *MODEL, "--json").out)["provenance"]["history_hash"]
    text = (folder / "history.csv").read_text().splitlines()
    text[100] = text[100][:-1] + ("1" if text[100][-1] != "1" else "2")
    (folder / "history.csv").write_text("\n".join(text) + "\n")
    assert json.loads(run("margin", *MODEL, "--json").out)["provenance"]["history_hash"] != before


def test_without_a_history(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("margin", *BOOK, "--methodology", "filtered-es"), "no history of risk factors", "--history FILE")


def test_a_history_for_a_method_that_takes_none(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("margin", *BOOK, "--history", "history.csv"), "a history for 'scenario-grid', which takes none")


def test_what_is_wrong_with_a_history_is_said_by_row(run: Run, folder: Path) -> None:  # noqa: F811
    text = (folder / "history.csv").read_text().splitlines()
    text[3], text[5] = text[3].replace(",", ",x", 1), text[4]
    (folder / "history.csv").write_text("\n".join(text) + "\n")
    _refused(run("margin", *MODEL), "history.csv, row 4, column 'price:A'", "is not a number")


def test_a_missing_history_file(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("margin", *BOOK, "--methodology", "filtered-es", "--history", "nowhere.csv"), "nowhere.csv")


def test_compare_gives_the_history_to_those_that_take_one(run: Run, folder: Path) -> None:  # noqa: F811
    names = "filtered-es,historical-es"
    answer = run("compare", *BOOK, "--methodologies", names, "--history", "history.csv", "--option", "observations=500")
    assert answer.code == 0
    assert "filtered-es" in answer.out
    assert "historical-es" in answer.out


def test_hedge_failure_in_words_and_in_json(run: Run, folder: Path) -> None:  # noqa: F811
    answer = run("hedge-failure", *MODEL)
    assert answer.code == 0
    assert "each at its worst" in answer.out
    assert "the history has none of those that the parameters name" in answer.out
    document = json.loads(run("hedge-failure", *MODEL, "--json").out)
    hedged = next(one for one in document["accounts"] if one["account"] == "hedged")
    assert float(hedged["one"]) < float(hedged["estimated"]) < float(hedged["against"])
    assert hedged["window"] is None


def test_hedge_failure_refuses_what_makes_no_sense(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("hedge-failure", *MODEL, "--offset-cap", "1.2", "--gap", "nan"), "--offset-cap 1.2", "--gap nan")
    _refused(run("hedge-failure", *BOOK, "--methodology", "isolated"), "no scenarios that could be put together")


def test_correlations_in_words_and_in_json(run: Run, folder: Path) -> None:  # noqa: F811
    answer = run("correlations", "history.csv")
    assert answer.code == 0
    assert "price:A, price:B" in answer.out
    document = json.loads(run("correlations", "history.csv", "--observations", "300", "--json").out)
    (pair,) = document["pairs"]
    assert pair["n"] == 300
    assert 0.6 < float(pair["correlation"]) < 0.95
    assert float(pair["lowest"]) <= float(pair["rolling_low"])


def test_correlations_refuse_what_is_not_there(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("correlations", "history.csv", "--factors", "A,C"), "no factor 'price:C'")
    _refused(run("correlations", "history.csv", "--stress", "x"), "stressed period 'x'")


@pytest.mark.parametrize("method", ["filtered-es", "historical-es", "monte-carlo-es"])
def test_a_small_book_imports_nothing_heavy(folder: Path, method: str) -> None:
    program = f"""
import sys
from crossmargin.cli.main import main
try:
    main({[*("margin", *BOOK), "--methodology", method, "--history", "history.csv", "--option", "observations=500"]!r})
except SystemExit as done:
    assert done.code == 0, done.code
heavy = {{"numba", "scipy", "sklearn", "skfolio", "statsmodels", "arch", "pyvinecopulib", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
