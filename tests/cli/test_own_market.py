"""The command line with a methodology whose parameter file has the prices: no --market, and its own currency."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from crossmargin.cli.main import main
from tests import listed

Run = Callable[..., tuple[int, str, str]]
METHOD = ("--methodology", listed.NAME)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, on a wide terminal: exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "120")

    def command(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return exited.value.code, captured.out, captured.err

    return command


@pytest.fixture
def positions(tmp_path: Path) -> Path:
    """By symbol, with a customer type."""
    path = tmp_path / "positions.csv"
    path.write_text(
        "account,symbol,expiry,right,strike,quantity,customer_type\n"
        "a,nifty,2026-02-26,ce,23000,-2,hedger\n"
        "a,nifty,2026-02-26,fut,,1,\n"
        "b,nifty,2026-02-26,pe,22000.0,3,\n",
        encoding="utf-8",
    )
    return path


def test_margin_needs_no_market(run: Run, positions: Path, charges_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    code, out, err = run("margin", positions, *METHOD, "--parameters", charges_file, "--report", page)
    assert (code, err) == (0, "")
    assert "Margin in INR, charges 1 with charges.txt, as of 2026-02-15 12:00:00 UTC" in out
    head, rows = out.splitlines()[2], out.splitlines()[4:6]
    assert head.split()[-1] == "total"
    assert [row.split()[-1] for row in rows] == ["3,125.00", "2,640.00"]
    assert "USD" not in page.read_text(encoding="utf-8")


def test_with_balances_the_total_is_in_the_excess(
    run: Run, positions: Path, charges_file: Path, tmp_path: Path
) -> None:
    balances = tmp_path / "balances.csv"
    balances.write_text("account,asset,amount\na,INR,3124.99\nb,INR,10000\n", encoding="utf-8")
    arguments = (positions, *METHOD, "--parameters", charges_file, "--balances", balances)
    code, out, _ = run("margin", *arguments)
    assert code == 1
    assert "total" not in out.splitlines()[2]
    assert "call" in out.splitlines()[4]
    code, out, _ = run("explain", *arguments, "--account", "a")
    assert re.search(r"total after option value +3,125\.00", out)
    assert "INR" in out


def test_overrides_by_name(run: Run, positions: Path, charges_file: Path) -> None:
    arguments = ("margin", positions, *METHOD, "--parameters", charges_file, "--json")
    code, out, _ = run(*arguments, "--option", "share=0.5")
    assert (code, json.loads(out)["accounts"][1]["requirement_maintenance"]) == (0, "1350.0")
    code, _, err = run(
        *arguments, "--option", "the-share=1", "--option", "=2", "--option", "x", "--option", "the_share=1"
    )
    assert code == 2
    for text in ("--option =2", "--option x", "'the_share' is given twice", "NAME=VALUE"):
        assert text in err
    code, _, err = run(*arguments, "--option", "the-share=1")
    assert (code, "no override 'the_share'" in err) == (2, True)


def test_overrides_by_name_beside_those_by_option(run: Run, sample: tuple[str, ...]) -> None:
    by_option = run("margin", *sample, "--across-units", "common", "--gain-share", "0.5", "--json")
    assert (
        run("margin", *sample, "--option", "across-units=common", "--option", "gain_share=0.5", "--json") == by_option
    )
    code, _, err = run("margin", *sample, "--gain-share", "0.5", "--option", "gain-share=1")
    assert (code, "'gain_share' is given twice" in err) == (2, True)
    code, _, err = run("margin", *sample, "--option", "gain=1")
    assert (code, "gain" in err) == (2, True)


@pytest.fixture
def sample() -> tuple[str, ...]:
    """Positions and market of the sample."""
    from crossmargin.sample import sample_paths

    return str(sample_paths().positions), "--market", str(sample_paths().market)


def test_a_market_beside_it_or_no_file_is_refused(
    run: Run, positions: Path, charges_file: Path, sample: tuple[str, ...], tmp_path: Path
) -> None:
    given = (positions, *METHOD, "--parameters", charges_file)
    code, _, err = run("margin", *given, *sample[1:])
    assert (code, "a market beside 'charges', whose prices come from its parameter file" in err) == (2, True)
    assert "Leave --market" in err
    code, _, err = run("margin", positions, *METHOD)
    assert (code, "which takes a file of charges" in err, "--parameters FILE" in err) == (2, True, True)
    code, _, err = run("compare", positions, "--parameters", charges_file, "--methodologies", "charges,isolated")
    assert (code, "Compare methodologies of one market" in err) == (2, True)
    case = tmp_path / "case.json"
    assert run("case", *sample, "--account", "vertical", "--out", case)[0] == 0
    code, _, err = run("margin", case, *METHOD, "--parameters", charges_file)
    assert (code, "a market beside 'charges'" in err) == (2, True)
    code, _, err = run("case", *given, "--account", "a")
    assert (code, "whose prices come from its parameter file" in err) == (2, True)


def test_other_commands_need_no_market_either(run: Run, positions: Path, charges_file: Path) -> None:
    given = (positions, "--parameters", charges_file)
    assert run("compare", *given, "--methodologies", listed.NAME)[0] == 0
    code, out, _ = run("whatif", *given, *METHOD, "--account", "a", "--add", f"{listed.PUT.lower()}:1")
    assert (code, f"what if a adds 1 {listed.PUT}" in out) == (0, True)


def test_it_is_listed_without_its_file(run: Run, charges_file: Path) -> None:
    code, out, _ = run("methodologies")
    assert code == 0
    assert "charges 1 (own)" in out
    assert "parameters: a file of charges" in out
    listed_now = {row["name"]: row for row in json.loads(run("methodologies", "--json")[1])}
    assert listed_now["charges"]["parameters_hash"] is None
    assert listed_now["charges"]["traits"]["subadditive"] is True
    assert listed_now["scenario-grid"]["parameters"] == "venue-grid-2026"
