"""`margin CRIF --methodology simm`: what it prints, writes and refuses, and the same from Python."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import crossmargin as cm
from tests.cli.test_cli import Run, _refused, run  # noqa: F401 - a fixture

HEADER = "TradeID,PortfolioID,ProductClass,RiskType,Qualifier,Bucket,Label1,Label2,AmountCurrency,Amount,AmountUSD"
GOOD = f"""{HEADER}
t1,desk,RatesFX,Risk_IRCurve,USD,1,2y,OIS,USD,1000,1000
t2,desk,RatesFX,Risk_IRCurve,USD,1,10y,OIS,USD,-800,-800
t3,desk,Equity,Risk_Equity,ISIN:A,5,,,USD,50000,50000
t4,other,RatesFX,Risk_FX,EUR,,,,EUR,1000,1100
"""
BAD = f"""{GOOD}t5,desk,Equity,Risk_Equity,ISIN:B,99,,,USD,1,1
t6,desk,RatesFX,Risk_IRCurve,USD,1,7y,OIS,USD,1,1
t7,desk,RatesFX,Risk_FXVol,EURO,,1y,,USD,1,1
t8,desk,RatesFX,Risk_FX,JPY,,,,JPY,100,
t9,desk,RatesFX,Risk_FX,JPY,,,,USD,many,
t10,desk,RatesFX,Risk_IRCurve,USD,1,2y,SOFR,USD,1,1
"""
SIMM = ("--methodology", "simm")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files, in the current folder."""
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "bad.csv").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    return tmp_path


def test_both_sides_of_every_portfolio(run: Run, folder: Path) -> None:  # noqa: F811
    answer = run("margin", "good.csv", *SIMM)
    assert answer.code == 0
    assert "SIMM 2.8+2506, 10 days, in USD" in answer.out
    document = json.loads(run("margin", "good.csv", *SIMM, "--json").out)
    assert [one["portfolio"] for one in document["portfolios"]] == ["desk", "other"]
    desk = document["portfolios"][0]["call"]
    assert set(desk["product_classes"]) == {"RatesFX", "Equity"}
    assert float(desk["requirement"]) == pytest.approx(sum(float(one) for one in desk["product_classes"].values()))


def test_python_says_the_same(run: Run, folder: Path) -> None:  # noqa: F811
    document = json.loads(run("margin", "good.csv", *SIMM, "--json", "--mpor", "1").out)
    answer = cm.simm("good.csv", mpor_days=1)
    assert answer.to_dict() == document
    assert cm.simm(pl.read_csv("good.csv"), mpor_days=1).to_dict()["portfolios"] == document["portfolios"]


def test_versions_dates_and_files(run: Run, folder: Path) -> None:  # noqa: F811
    by_version = cm.simm("good.csv", version="2.7+2412")
    assert cm.simm("good.csv", version="2025-10-01").to_dict() == by_version.to_dict()
    assert by_version.to_dict() != cm.simm("good.csv").to_dict()
    _refused(run("margin", "good.csv", *SIMM, "--version", "9.9"), "simm-9.9")
    _refused(run("margin", "good.csv", *SIMM, "--version", "1999-01-01"), "1999-01-01")
    _refused(run("margin", "good.csv", *SIMM, "--mpor", "5"), "margin period of risk of 5 days")


def test_a_day_that_is_none_is_no_version(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("margin", "good.csv", *SIMM, "--version", "2026-13-45"), "'2026-13-45' is no date")
    _refused(run("margin", "good.csv", *SIMM, "--version", "2026-3-31"), "is no date", "2026-03-31")


def test_a_doubtful_calibration_says_so_in_the_answer(run: Run, folder: Path) -> None:  # noqa: F811
    assert "Note: " in run("margin", "good.csv", *SIMM, "--version", "2.8+2512").out


def test_another_calculation_currency(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("margin", "good.csv", *SIMM, "--currency", "EUR"), "no rate of EUR", "--fx FILE")
    (folder / "fx.csv").write_text("currency,usd\nEUR,1.1\n")
    euros = json.loads(run("margin", "good.csv", *SIMM, "--currency", "eur", "--fx", "fx.csv", "--json").out)
    dollars = json.loads(run("margin", "good.csv", *SIMM, "--json").out)
    assert euros["currency"] == "EUR"
    here, there = (float(one["portfolios"][0]["call"]["requirement"]) for one in (euros, dollars))
    assert here == pytest.approx(there / 1.1, rel=1e-12)  # no currency risk in it
    assert float(euros["portfolios"][1]["call"]["requirement"]) == 0  # the calculation currency is no risk


def test_every_row_that_is_wrong_is_listed(run: Run, folder: Path) -> None:  # noqa: F811
    answer = run("margin", "bad.csv", *SIMM)
    _refused(answer, "6 problems", *(f"row {k}" for k in range(6, 12)), "99", "7y", "EURO", "JPY", "many", "SOFR")
    assert run("margin", "bad.csv", *SIMM, "--strict").err == answer.err


def test_they_can_be_left_out_and_are_said(run: Run, folder: Path) -> None:  # noqa: F811
    answer = run("margin", "bad.csv", *SIMM, "--skip-rejected")
    assert answer.code == 1
    assert answer.out.count("Rejected: ") == 6
    skipped = json.loads(run("margin", "bad.csv", *SIMM, "--skip-rejected", "--json").out)
    assert [f"bad.csv, row {k}, column" in one for k, one in enumerate(skipped["rejected"], 6)] == [True] * 6
    assert skipped["portfolios"] == json.loads(run("margin", "good.csv", *SIMM, "--json").out)["portfolios"]


def test_the_report_goes_to_a_file_in_the_fields_columns(run: Run, folder: Path) -> None:  # noqa: F811
    assert run("margin", "good.csv", *SIMM, "--out", "levels.csv").code == 0
    written = pl.read_csv("levels.csv")
    assert written.columns[:7] == [
        "Portfolio", "ProductClass", "RiskClass", "MarginType", "Bucket", "SimmSide", "Regulation",
    ]  # fmt: skip
    assert written.height == cm.simm("good.csv").report().height
    assert run("margin", "good.csv", *SIMM, "--out", "levels.parquet").code == 0
    assert pl.read_parquet("levels.parquet").height == written.height
    _refused(run("margin", "good.csv", *SIMM, "--out", "good.csv"), "good.csv")


def test_what_a_crif_does_not_need(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("margin", "good.csv", *SIMM, "--market", "m.csv", "--history", "h.csv"), "--market", "--history")
    _refused(run("margin", "good.csv", "--mpor", "1"), "without --methodology simm")
    _refused(run("margin", "good.csv", *SIMM, "--side", "call"), "--side here", "it says what `explain` shows")
    _refused(run("whatif", "good.csv", *SIMM, "--remove", "t1", "--by", "trade"), "it says what `margin` shows")


def test_empty_words_are_refused(run: Run, folder: Path) -> None:  # noqa: F811
    _refused(run("margin", "good.csv", *SIMM, "--currency", ""), "no calculation currency")
    _refused(run("margin", "good.csv", *SIMM, "--currency", "dollars"), "'DOLLARS' is no calculation currency")
    for by in ("", " , "):
        _refused(run("margin", "good.csv", *SIMM, "--by", by), "contributions by no column")
    _refused(run("whatif", "good.csv", *SIMM, "--remove", ""), "a trade without a name")
    assert run("margin", "good.csv", *SIMM, "--currency", "usd").out == run("margin", "good.csv", *SIMM).out


def test_the_schedule_needs_a_date(run: Run, folder: Path) -> None:  # noqa: F811
    rows = "PortfolioID,TradeID,ProductClass,RiskType,AmountCurrency,Amount,AmountUSD,IMModel,EndDate\n"
    rows += "p,t,Rates,Notional,USD,1000000,1000000,Schedule,2030-01-01\n"
    rows += "p,t,Rates,PV,USD,5000,5000,Schedule,2030-01-01\n"
    (folder / "schedule.csv").write_text(rows)
    _refused(run("margin", "schedule.csv", *SIMM), "trades under the schedule", "--as-of")
    answer = json.loads(run("margin", "schedule.csv", *SIMM, "--as-of", "2026-01-01", "--json").out)
    # 2% of a rates notional of four years; nothing nets on either side: without replacement cost the ratio is 1.
    assert float(answer["portfolios"][0]["call"]["schedule"]) == pytest.approx(20_000.0)
    assert float(answer["portfolios"][0]["post"]["schedule"]) == pytest.approx(20_000.0)


def test_contributions_by_factor_trade_or_column(run: Run, folder: Path) -> None:  # noqa: F811
    for by, shown in (("factor", "risk class"), ("trade", "TradeID"), ("TradeID, riskclass", "TradeID")):
        answer = run("margin", "good.csv", *SIMM, "--by", by)
        assert answer.code == 0
        assert shown in answer.out
        assert "contribution" in answer.out
    document = json.loads(run("margin", "good.csv", *SIMM, "--by", "trade", "--json").out)
    rows = [one for one in document["contributions"] if (one["Portfolio"], one["SimmSide"]) == ("desk", "Call")]
    needed = float(document["portfolios"][0]["call"]["requirement"])
    assert sum(float(one["Contribution"]) for one in rows) == pytest.approx(needed, rel=1e-12)
    assert run("margin", "good.csv", *SIMM, "--by", "trade", "--out", "by.csv").code == 0
    assert pl.read_csv("by.csv").height == len(document["contributions"])
    _refused(run("margin", "good.csv", *SIMM, "--by", "Desk"), "Desk")


def test_the_tree_of_one_portfolio(run: Run, folder: Path) -> None:  # noqa: F811
    answer = run("explain", "good.csv", "--account", "desk", *SIMM)
    assert answer.code == 0
    assert all(one in answer.out for one in ("RatesFX", "Equity", "Delta", "USD 2y OIS", "ISIN:A", "contribution"))
    document = json.loads(run("explain", "good.csv", "--account", "desk", *SIMM, "--side", "post", "--json").out)
    assert [one["portfolio"] for one in document["portfolios"]] == ["desk"]
    assert document["explanation"]["value"] == document["portfolios"][0]["post"]["requirement"]
    _refused(run("explain", "good.csv", "--account", "zz", *SIMM), "zz", "desk, other")
    _refused(run("explain", "good.csv", "--account", "desk", *SIMM, "--side", "both"), "--side both")
    _refused(run("explain", "good.csv", "--account", "desk", *SIMM, "--by", "trade"), "--by")


def test_what_if_trades_are_removed_and_added(run: Run, folder: Path) -> None:  # noqa: F811
    (folder / "add.csv").write_text(f"{HEADER}\nt9,desk,RatesFX,Risk_IRCurve,USD,1,10y,OIS,USD,500,500\n")
    (folder / "changed.csv").write_text(
        "".join(line for line in GOOD.splitlines(keepends=True) if not line.startswith("t3,"))
        + "t9,desk,RatesFX,Risk_IRCurve,USD,1,10y,OIS,USD,500,500\n"
    )
    change = ("whatif", "good.csv", *SIMM, "--remove", "t3", "--add", "add.csv")
    text = run(*change)
    assert text.code == 0
    assert "1 row removed and 1 row added" in text.out
    assert "other" not in text.out  # is not touched
    document = json.loads(run(*change, "--json").out)
    after = json.loads(run("margin", "changed.csv", *SIMM, "--json").out)["portfolios"][0]
    assert document["after"]["portfolios"][0]["call"]["requirement"] == after["call"]["requirement"]
    _refused(run("whatif", "good.csv", *SIMM, "--remove", "nope"), "nope")
    _refused(run("whatif", "good.csv", *SIMM), "--remove", "--add")
    _refused(run("whatif", "good.csv", *SIMM, "--add", "a.csv", "--add", "b.csv"), "--add given 2 times")
