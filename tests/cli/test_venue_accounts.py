"""The command line with accounts as venues report them: JSON in, and ccxt's shape out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossmargin.cli.main import main
from crossmargin.sample import sample_paths
from tests.files.fuzz_subjects import json_subjects

MARKET = str(sample_paths().market)


@pytest.fixture
def account(tmp_path: Path) -> str:
    path = tmp_path / "account.json"
    path.write_bytes(json_subjects()["ccxt account"])
    return str(path)


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exited:
        main(list(arguments))
    printed = capsys.readouterr()
    assert isinstance(exited.value.code, int)
    return exited.value.code, printed.out, printed.err


def test_every_command_takes_them(account: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "margin", account, "--market", MARKET)
    assert code == 1  # short of cover
    assert "alice" in out
    out_case = tmp_path / "case.json"
    for command in (
        ("explain", "--account", "alice"),
        ("compare", "--methodologies", "isolated,scenario-grid"),
        ("whatif", "--account", "alice", "--add", "BTC/USDT:USDT:-0.1"),
        ("case", "--account", "alice", "--out", str(out_case)),
    ):
        code, out, err = _run(capsys, command[0], account, "--market", MARKET, *command[1:])
        assert code in (0, 1), err
    _, whole, _ = _run(capsys, "margin", account, "--market", MARKET, "--json")
    _, again, _ = _run(capsys, "margin", str(out_case), "--json")
    for document in (whole, again):
        assert json.loads(document)["accounts"][0]["requirement_initial"]
    first, second = (json.loads(document)["accounts"][0] for document in (whole, again))
    assert first == second


def test_ccxt_out(account: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "margin", account, "--market", MARKET, "--ccxt")
    assert code == 1
    (answer,) = json.loads(out)
    assert answer["account"]["account"] == "alice"
    sides: dict[str, Any] = {position["symbol"]: position["side"] for position in answer["positions"]}
    assert sides == {"BTC/USD:BTC-211126-58000-P": "short", "BTC/USDT:USDT": "long"}
    code, out, err = _run(capsys, "margin", account, "--market", MARKET, "--ccxt", "--json")
    assert (code, out) == (2, "")
    assert "--ccxt beside --json" in err


def test_balances_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    positions, balances = tmp_path / "p.json", tmp_path / "b.json"
    positions.write_bytes(json_subjects()["Deribit sizes"])
    balances.write_text('{"result":{"currency":"BTC","balance":1.5}}', encoding="utf-8")
    code, out, err = _run(capsys, "margin", str(positions), "--market", MARKET, "--balances", str(balances), "--json")
    assert code == 0, err
    assert json.loads(out)["accounts"][0]["collateral_value"] == repr(1.5 * 66_500)


def test_a_row_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.json"
    path.write_text('[{"instrument_name":"BTC-PERPETUAL","size":"many","direction":"buy"}]', encoding="utf-8")
    code, out, err = _run(capsys, "margin", str(path), "--market", MARKET)
    assert (code, out) == (2, "")
    assert "p.json, row 1, column 'size': is 'many', which is no finite number" in err


def test_a_venue_that_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _run(capsys, "snapshot", "nowhere", "BTC", "--out", str(tmp_path / "c.json"))
    assert code == 2
    assert "no venue 'nowhere'" in err
    assert not list(tmp_path.iterdir())
