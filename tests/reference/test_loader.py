"""The loader and the table themselves: other folders, companions, and nothing left out silently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.reference import loader, vector_table
from tests.reference.loader import ROOT, Vector, find
from tests.reference.vector_table import RUN, runner_of, use_of_file, why_not_yet

# Our own numbers: a short perpetual of 2 coins, -10%..+10% in two steps; 2 x (1/(1+s) - 1) by hand.
PERPETUAL: dict[str, Any] = {
    "id": "ours_short_perpetual",
    "inputs": {
        "currency": "BTC",
        "index": {"btc_usd": 50_000},
        "mark": {"BTC-PERPETUAL": 50_100},
        "positions_base_currency": {"BTC-PERPETUAL": -2.0},
    },
    "parameters": {
        "general": {"mm_factor": 0.8, "buckets_count": 1},
        "currency": {"btc": {"min_annualised_move": 0.01, "annualised_move_risk": 0.075}},
        "currency_pair": {
            "btc_usd": {
                "price_range": 0.1,
                "min_volatility_for_shock_up": 0.5,
                "volatility_range_up": 0.5,
                "volatility_range_down": 0.25,
                "extended_table_factor": 1,
                "short_term_vega_power": 0.3,
                "long_term_vega_power": 0.13,
            }
        },
    },
    "expected": {"instrument_by_price_bucket": {"BTC-PERPETUAL": [2 / 9, 0, -2 / 11]}, "roll_shock": 0.02},
}


def pme(*vectors: dict[str, Any]) -> str:
    document = {"system": "Deribit Portfolio Margin (PME)", "tolerance": {"absolute": 1e-9}}
    return json.dumps(document | {"n_vectors": len(vectors), "vectors": vectors})


def suite(folder: Path) -> tuple[int, str]:
    """The suite as somebody runs it on a folder of theirs."""
    environment = os.environ | {loader.VARIABLE: str(folder), "PYTHONPATH": str(ROOT / "src")}
    environment.pop("CI", None)
    command = [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", "tests/reference/test_vectors.py"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout


def test_another_folder_with_a_few_files_runs_the_same_suite(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "mine.json").write_text(pme(PERPETUAL))
    (tmp_path / "new.json").write_text(json.dumps([{"id": "new_one", "function": "phases_of_the_moon"}]))
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    code, output = suite(tmp_path)
    assert code == 0, output
    assert "test_vector[ours_short_perpetual] PASSED" in output
    assert "kind 'new / phases_of_the_moon' (vector 'new_one') is neither run nor listed" in output
    assert "file 'table.csv' is neither run nor listed" in output
    assert "1 passed, 2 skipped" in output


def test_a_wrong_number_in_another_folder_fails_by_its_id(tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(PERPETUAL))
    wrong["id"], wrong["expected"]["roll_shock"] = "off_by_a_hair", 0.02 + 3e-9
    unknown = json.loads(json.dumps(PERPETUAL))
    unknown["id"], unknown["expected"]["phase_shock"] = "one_more_figure", 0.0
    (tmp_path / "mine.json").write_text(pme(PERPETUAL, wrong, unknown))
    (tmp_path / "broken.json").write_text("{")
    code, output = suite(tmp_path)
    assert code == 1
    assert "test_vector[ours_short_perpetual] PASSED" in output
    assert "test_vector[off_by_a_hair] FAILED" in output
    assert "test_vector[one_more_figure] FAILED" in output
    assert "neither checked nor listed as not yet: phase_shock" in output
    assert "broken.json is no JSON" in output


@pytest.mark.parametrize(("ci", "code", "word"), [(None, 0, "skipped"), ("true", 1, "errors")])
def test_an_absent_folder_skips_and_fails_in_ci(tmp_path: Path, ci: str | None, code: int, word: str) -> None:
    environment = os.environ | {loader.VARIABLE: str(tmp_path / "nowhere"), "PYTHONPATH": str(ROOT / "src")}
    environment.pop("CI", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/reference/test_vectors.py"]
    run = subprocess.run(
        command, cwd=ROOT, env=environment | ({"CI": ci} if ci else {}), capture_output=True, text=True, check=False
    )
    assert run.returncode == code, run.stdout
    assert f"2 {word}" in run.stdout
    assert "names no folder" in run.stdout


def vector_in(folder: Path) -> Vector:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.json").write_text(json.dumps([{"id": "x", "function": "f"}]))
    root = folder.parents[0]
    return next(v for v in find(root)[0] if v.id == "x")


def test_a_companion_is_looked_for_beside_the_vector_then_in_the_default_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = tmp_path / "default"
    (default / "stats").mkdir(parents=True)
    (default / "stats" / "pnl.csv").write_text("default")
    (default / "stats" / "only_here.csv").write_text("default")
    (default / "other").mkdir()
    (default / "other" / "only_here.csv").write_text("another of that name")
    (default / "other" / "elsewhere.csv").write_text("default")
    monkeypatch.setattr(loader, "DEFAULT", default)
    vector = vector_in(tmp_path / "theirs" / "stats")
    (vector.path.parent / "pnl.csv").write_text("theirs")
    assert vector.companion("pnl.csv").read_text() == "theirs"
    assert vector.companion("only_here.csv").read_text() == "default"
    assert vector.companion("elsewhere.csv").read_text() == "default"
    with pytest.raises(FileNotFoundError, match=r"vector 'x' names 'nowhere\.csv'"):
        vector.companion("nowhere.csv")


def test_an_unlisted_kind_fails_in_the_default_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.reference.test_vectors import test_vector

    vector = vector_in(tmp_path / "theirs" / "stats")
    with pytest.raises(pytest.skip.Exception, match=r"kind 'mine / f' .* is neither run nor listed"):
        test_vector(vector, tmp_path / "theirs")
    monkeypatch.setattr(loader, "DEFAULT", tmp_path / "theirs")
    with pytest.raises(pytest.fail.Exception, match=r"kind 'mine / f' .* is neither run nor listed"):
        test_vector(vector, tmp_path / "theirs")


def test_the_same_form_in_a_file_of_another_name_runs(tmp_path: Path) -> None:
    positions = [{"quantity": -2, "risk_array": [0, 5, -7]}, {"quantity": 1, "risk_array": [1, 0, 2]}]
    expected = {"scan_risk": 16, "active_scenario": 3, "summary_array": [1, -10, 16]}
    body = {"id": "x", "kind": "scan_risk", "positions": positions, "expected": expected, "tolerance": "0"}
    (tmp_path / "any name.json").write_text(json.dumps({"meta": {}, "vectors": [body]}))
    (vector,) = find(tmp_path)[0]
    run = runner_of(vector.kind)
    assert run is not None
    assert run.runner(vector) == set(expected)
    expected["active_scenario"] = 2
    with pytest.raises(AssertionError):
        run.runner(replace(vector, body=body))


def test_vectors_that_share_an_id_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps([{"id": "same"}, {"id": f"only in {name}"}]))
    assert [v.id for v in find(tmp_path)[0]] == ["a.json::same", "only in a.json", "b.json::same", "only in b.json"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"vectors": [{"id": "x"}, {"name": "no id"}]}', "entries [1] have no id"),
        ('{"n_vectors": 3, "vectors": [{"id": "x"}]}', "says 3 vectors and has 1"),
        ("not json", "is no JSON"),
    ],
)
def test_a_broken_file_is_reported(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "f.json").write_text(content)
    (other,) = find(tmp_path)[1]
    assert problem in other.problem


# ---------------------------------------------------------------------------------------------- the default folder


@pytest.fixture(scope="module")
def default_folder() -> Path:
    if not loader.DEFAULT.is_dir():
        pytest.skip("the default reference folder is absent")
    return loader.DEFAULT


def test_no_line_of_the_table_is_dead(default_folder: Path) -> None:
    """Every kind and file on the lists exists: a misspelled line would hide a vector for ever."""
    vectors, others = find(default_folder)
    kinds = {vector.kind for vector in vectors}
    assert set(RUN) <= kinds
    for pattern in vector_table.NOT_YET:
        assert any(vector_table.fnmatchcase(kind, pattern) for kind in kinds), pattern
    for pattern in vector_table.FILES:
        assert any(vector_table.fnmatchcase(other.id, pattern) for other in others), pattern
    assert [other for other in others if other.problem] == []


def test_nothing_both_runs_and_waits(default_folder: Path) -> None:
    vectors, others = find(default_folder)
    for vector in vectors:
        assert (runner_of(vector.kind) is None) != (why_not_yet(vector.kind) is None), vector.kind
    assert all(use_of_file(other.id) for other in others)
    assert len({vector.id for vector in vectors}) == len(vectors) > 600
