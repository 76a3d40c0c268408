"""CRIF in: every form of table, every spelling of headers, every row that is wrong by number and reason."""

from __future__ import annotations

import gzip
import io
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossmargin.answers.crif_book import CrifBook
from crossmargin.basics.errors import CrossmarginError, FileFormatError, InputError
from crossmargin.files import crif_rows as crif_rows_module
from crossmargin.files.crif import read_crif
from crossmargin.files.crif_labels import RISK_TYPES
from crossmargin.files.crif_rows import CrifRows, crif_rows
from crossmargin.files.simm_document import read_simm_parameters
from crossmargin.methodologies.simm.parameters import RiskClass

COLUMNS = ("PortfolioID", "ProductClass", "RiskType", "Qualifier", "Bucket", "Label1", "Label2")
MONEY = ("AmountCurrency", "Amount", "AmountUSD")
GOOD: dict[str, tuple[str, str, str, str, str]] = {
    "Risk_IRCurve": ("RatesFX", "USD", "1", "5y", "OIS"),
    "Risk_Inflation": ("RatesFX", "GBP", "", "", ""),
    "Risk_XCcyBasis": ("RatesFX", "EUR", "", "", ""),
    "Risk_IRVol": ("RatesFX", "USD", "", "10y", ""),
    "Risk_InflationVol": ("RatesFX", "EUR", "", "2w", ""),
    "Risk_CreditQ": ("Credit", "ISIN:A", "3", "5y", "EUR"),
    "Risk_CreditVol": ("Credit", "ISIN:A", "3", "3y", ""),
    "Risk_CreditNonQ": ("Credit", "ISIN:B", "2", "10y", "CMBX"),
    "Risk_CreditVolNonQ": ("Credit", "ISIN:B", "2", "1y", "CMBX"),
    "Risk_BaseCorr": ("Credit", "CDX IG", "", "", ""),
    "Risk_Equity": ("Equity", "ISIN:E", "Residual", "", ""),
    "Risk_EquityVol": ("Equity", "ISIN:E", "12", "6m", ""),
    "Risk_Commodity": ("Commodity", "Coal", "17", "", ""),
    "Risk_CommodityVol": ("Commodity", "Coal", "1", "30y", ""),
    "Risk_FX": ("RatesFX", "EUR", "", "", ""),
    "Risk_FXVol": ("RatesFX", "EURUSD", "", "3m", ""),
    "Param_ProductClassMultiplier": ("", "Equity", "", "", ""),
    "Param_AddOnNotionalFactor": ("", "Exotics", "", "", ""),
    "Notional": ("", "Exotics", "", "", ""),
    "Param_AddOnFixedAmount": ("", "", "", "", ""),
}
FX = {"EUR": 1.25, "JPY": 0.008}


def row(kind: str, **changes: str) -> dict[str, str]:
    """A good row of a risk type, with changes."""
    labels = zip(("ProductClass", "Qualifier", "Bucket", "Label1", "Label2"), GOOD[kind], strict=True)
    cells = {"PortfolioID": "P", "RiskType": kind, "AmountCurrency": "USD", "Amount": "1500", "AmountUSD": "1500"}
    return {**cells, **dict(labels), **changes}


def table(*rows: dict[str, str]) -> str:
    """Rows as CSV text."""
    names = dict.fromkeys([*COLUMNS, *MONEY, *(name for one in rows for name in one)])
    lines = [",".join(names), *(",".join(one.get(name, "") for name in names) for one in rows)]
    return "\n".join(lines) + "\n"


def records(book: CrifBook) -> list[tuple[Any, ...]]:
    """Every sensitivity as portfolio, risk type, labels and dollars, in the order of the rows."""
    labels = [[column.names[code] for code in column.codes.tolist()] for column in book.labels.values()]
    return list(
        zip(
            [book.portfolios[k] for k in book.portfolio.tolist()],
            [book.risk_type.names[k] for k in book.risk_type.codes.tolist()],
            *labels,
            book.amount_usd.tolist(),
            strict=True,
        )
    )


def of_text(text: str, tmp_path: Path, **options: Any) -> CrifBook:
    path = tmp_path / "crif.csv"
    path.write_bytes(text.encode())
    return read_crif(path, **options)


def problems_of(text: str, tmp_path: Path, **options: Any) -> list[tuple[int | None, str, str]]:
    with pytest.raises(InputError) as caught:
        of_text(text, tmp_path, **options)
    return [(one.row, one.column, one.found) for one in caught.value.problems]


def test_every_risk_type_is_read(tmp_path: Path):
    assert set(GOOD) == set(RISK_TYPES) - {"PV"}
    book = of_text(table(*(row(kind) for kind in GOOD)), tmp_path)
    assert [one[1] for one in records(book)] == list(GOOD)
    assert book.amount_usd.tolist() == [1500.0] * len(GOOD)
    assert (book.rejected, book.notices) == ((), ())
    assert book.row_numbers.tolist() == list(range(2, len(GOOD) + 2))
    assert book.of_portfolio.tolist() == [kind.startswith("Param_") for kind in GOOD]


@pytest.mark.parametrize(
    "header",
    [
        "PortfolioID,RiskType,ProductClass,Qualifier,AmountUSD",
        "portfolio_id,risk_type,product_class,qualifier,amount_usd",
        "Portfolio ID,Risk Type,Asset_Class,QUALIFIER,Amount USD",
        "PORTFOLIOID, risk-type ,productclass,Qualifier,AMOUNTUSD",
        "\ufeffPortfolioID,RiskType,ProductClass,Qualifier,AmountUSD",
    ],
)
def test_headers_in_any_spelling(header: str, tmp_path: Path):
    book = of_text(f"{header}\nP,Risk_FX,RatesFX,EUR,12.5\n", tmp_path)
    assert records(book) == [("P", "Risk_FX", "RatesFX", "EUR", "", "", "", 12.5)]


def test_only_two_headers_are_required(tmp_path: Path):
    found = problems_of("PortfolioID,RiskType\nP,Risk_FX\n", tmp_path)
    assert [column for _, column, _ in found] == ["ProductClass", "Qualifier", "Amount"]
    with pytest.raises(FileFormatError, match=r"column 'PortfolioID' is missing.*\n.*column 'RiskType' is missing"):
        of_text("Qualifier\nEUR\n", tmp_path)


def test_a_header_in_two_spellings_is_refused(tmp_path: Path):
    text = "PortfolioID,portfolio_id,RiskType,Currency,AmountCurrency\nP,P,Risk_FX,USD,USD\n"
    with pytest.raises(FileFormatError, match="'PortfolioID' and 'portfolio_id' are both PortfolioID") as caught:
        of_text(text, tmp_path)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("changes", "column", "found"),
    [
        ({"RiskType": "Risk_Fish"}, "RiskType", "risk type 'Risk_Fish'"),
        ({"RiskType": ""}, "RiskType", "no risk type"),
        ({"PortfolioID": " "}, "PortfolioID", "no portfolio"),
        ({"ProductClass": "Bonds"}, "ProductClass", "product class 'Bonds' of SIMM"),
        ({"ProductClass": ""}, "ProductClass", "no product class of SIMM"),
        ({"Qualifier": "DOLLAR"}, "Qualifier", "'DOLLAR' is no currency"),
        ({"Qualifier": ""}, "Qualifier", "'' is no currency"),
        ({"Label1": "4y"}, "Label1", "tenor '4y' of Risk_IRCurve"),
        ({"Label1": ""}, "Label1", "no tenor of Risk_IRCurve"),
        ({"Amount": "a lot"}, "Amount", "'a lot' is not a number"),
        ({"Amount": "1,500".replace(",", " ")}, "Amount", "'1 500' is not a number"),
        ({"Amount": "nan"}, "Amount", "'nan' is not finite"),
        ({"AmountUSD": "-inf"}, "AmountUSD", "'-inf' is not finite"),
        ({"AmountUSD": "1e400"}, "AmountUSD", "'1e400' is not finite"),
        ({"AmountUSD": "1e19"}, "AmountUSD", "'1e19' is too large"),
        ({"Amount": "", "AmountUSD": ""}, "Amount", "no amount"),
        ({"AmountUSD": "", "AmountCurrency": ""}, "AmountCurrency", "no currency of the amount"),
        ({"AmountUSD": "", "AmountCurrency": "CHF"}, "AmountCurrency", "no exchange rate of 'CHF'"),
        ({"AmountUSD": "", "AmountCurrency": "Franc"}, "AmountCurrency", "no exchange rate of 'Franc'"),
        ({"IMModel": "GRID"}, "IMModel", "IM model 'GRID'"),
        ({"IMModel": "Schedule"}, "IMModel", "Risk_IRCurve under the schedule"),
    ],
)
def test_a_row_that_is_wrong_by_number_and_reason(changes: dict[str, str], column: str, found: str, tmp_path: Path):
    text = table(row("Risk_IRCurve"), row("Risk_IRCurve", **changes), row("Risk_IRCurve"))
    assert problems_of(text, tmp_path, fx=FX) == [(3, column, found)]
    book = of_text(text, tmp_path, fx=FX, skip_rejected=True)
    assert [(one.row, one.column, one.found) for one in book.rejected] == [(3, column, found)]
    assert book.row_numbers.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("kind", "changes", "found"),
    [
        ("Risk_FXVol", {"Qualifier": "EURUS"}, "'EURUS' is no currency pair"),
        ("Risk_FXVol", {"Qualifier": "EUR/USD"}, "'EUR/USD' is no currency pair"),
        ("Risk_FXVol", {"Qualifier": "EUREUR"}, "'EUREUR' is a pair of one currency"),
        ("Risk_FXVol", {"Qualifier": "CNHCNY"}, "'CNHCNY' is a pair of one currency"),
        ("Risk_CreditQ", {"Bucket": "13"}, "bucket '13' of Risk_CreditQ"),
        ("Risk_CreditQ", {"Label1": "2w"}, "tenor '2w' of Risk_CreditQ"),
        ("Risk_CreditNonQ", {"Bucket": "3"}, "bucket '3' of Risk_CreditNonQ"),
        ("Risk_Equity", {"Bucket": ""}, "no bucket of Risk_Equity"),
        ("Risk_Equity", {"Qualifier": ""}, "no qualifier"),
        ("Risk_Commodity", {"Bucket": "Residual"}, "bucket 'Residual' of Risk_Commodity"),
        ("Param_ProductClassMultiplier", {"Qualifier": "Bonds"}, "product class 'Bonds' that has a multiplier"),
        ("Param_ProductClassMultiplier", {"Amount": "0.9"}, "a multiplier of 0.9"),
        ("Param_AddOnNotionalFactor", {"Qualifier": ""}, "no qualifier"),
        ("Param_AddOnNotionalFactor", {"Amount": "-0.1"}, "a factor of -0.1"),
        ("Risk_IRCurve", {"Label2": "SOFR"}, "sub-curve 'SOFR' of Risk_IRCurve"),
        ("Risk_IRCurve", {"Label2": ""}, "no sub-curve of Risk_IRCurve"),
    ],
)
def test_labels_that_no_row_of_the_type_has(kind: str, changes: dict[str, str], found: str, tmp_path: Path):
    assert [text for _, _, text in problems_of(table(row(kind, **changes)), tmp_path)][:1] == [found]


def test_everything_that_is_wrong_at_once(tmp_path: Path):
    bad = row("Risk_EquityVol", Bucket="99", Label1="99y", Amount="x", ProductClass="?")
    found = problems_of(table(bad, row("Risk_FX"), row("Risk_FX", RiskType="?", Qualifier="?"), bad), tmp_path)
    assert [(number, column) for number, column, _ in found] == [
        (2, "ProductClass"), (2, "Bucket"), (2, "Label1"), (2, "Amount"),
        (4, "RiskType"),
        (5, "ProductClass"), (5, "Bucket"), (5, "Label1"), (5, "Amount"),
    ]  # fmt: skip


def test_the_calibration_says_which_labels_there_are(tmp_path: Path):
    parameters = read_simm_parameters()
    rates, equity = parameters.rates, parameters.bucketed[RiskClass.EQUITY]
    fewer = replace(
        parameters,
        rates=replace(rates, sub_curves=("SOFR", *rates.sub_curves[1:])),
        bucketed={**parameters.bucketed, RiskClass.EQUITY: replace(equity, buckets=("13", *equity.buckets[1:]))},
    )
    rows = [row("Risk_IRCurve", Label2="sofr"), row("Risk_EquityVol", Bucket="13"), row("Risk_IRCurve")]
    found = problems_of(table(*rows, row("Risk_Equity", Bucket="01", Amount="x")), tmp_path, parameters=fewer)
    assert found == [
        (4, "Label2", "sub-curve 'OIS' of Risk_IRCurve"),
        (5, "Bucket", "bucket '01' of Risk_Equity"),
        (5, "Amount", "'x' is not a number"),
    ]
    book = of_text(table(*rows[:2]), tmp_path, parameters=fewer)
    assert [one[4:7] for one in records(book)] == [("", "5y", "SOFR"), ("13", "6m", "")]


def test_rows_number_lines_of_the_file(tmp_path: Path):
    text = table(row("Risk_FX"), row("Risk_FX", Amount="x"))
    blank = text.replace("\nP,RatesFX", "\n\nP,RatesFX", 1)
    assert problems_of(blank, tmp_path)[0][0] == 4
    broken = text.replace("P,RatesFX,Risk_FX,EUR", '"P",RatesFX,Risk_FX,"EUR"\n', 1)
    # A break outside of quotes makes two rows of one, each with too few cells; the next keeps its line.
    assert [one[0] for one in problems_of(broken, tmp_path)] == [2, 3, 4]


def test_dollars_as_stated_or_at_the_rate(tmp_path: Path):
    text = table(
        row("Risk_FX", AmountCurrency="EUR", Amount="100", AmountUSD="110"),
        row("Risk_FX", AmountCurrency="EUR", Amount="100", AmountUSD=""),
        row("Risk_FX", AmountCurrency="jpy", Amount="-1000", AmountUSD=""),
        row("Risk_FX", AmountCurrency="", Amount="", AmountUSD="7"),
        row("Risk_FX", AmountCurrency="USD", Amount="8", AmountUSD=""),
        row("Param_ProductClassMultiplier", AmountCurrency="", Amount="1.5", AmountUSD=""),
    )
    assert of_text(text, tmp_path, fx=FX).amount_usd.tolist() == [110.0, 125.0, -8.0, 7.0, 8.0, 1.5]


def test_rates_of_a_file(tmp_path: Path):
    rates = tmp_path / "fx.csv"
    rates.write_text("Currency,USD\nEUR,1.25\nUSD,1\n")
    text = table(row("Risk_FX", AmountCurrency="EUR", Amount="100", AmountUSD=""))
    assert of_text(text, tmp_path, fx=rates).amount_usd.tolist() == [125.0]


@pytest.mark.parametrize(
    ("fx", "message"),
    [
        ({"EUR": "one"}, "the rate of EUR is 'one'"),
        ({"EUR": 0}, "the rate of EUR is '0'"),
        ({"EUR": float("nan")}, "the rate of EUR is 'nan'"),
        ({"EURUSD": 1.2}, "'EURUSD' is no currency"),
        ({"EUR": 1.2, "eur": 1.3}, "EUR stands twice"),
        ({"USD": 1.1}, "a dollar is 1.1 dollars"),
        ({"currency": ["EUR"], "rate": [1.2]}, "column 'usd' is missing"),
    ],
)
def test_rates_that_are_none(fx: Any, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        of_text(table(row("Risk_FX")), tmp_path, fx=fx)


def test_a_label_that_is_not_used_is_ignored_with_a_notice(tmp_path: Path):
    changed = row("Risk_FX", Label1="5y", Label2="OIS", Bucket="1")
    book = of_text(table(row("Risk_FX"), changed, changed, row("Risk_Inflation", Label1="1y")), tmp_path)
    plain = of_text(table(*[row("Risk_FX")] * 3, row("Risk_Inflation")), tmp_path)
    assert records(book) == records(plain)
    assert book.notices == (
        "Risk_FX has no use for Bucket: ignored (2 rows, the first of them row 3)",
        "Risk_Inflation has no use for Label1: ignored (row 5)",
        "Risk_FX has no use for Label1: ignored (2 rows, the first of them row 3)",
        "Risk_FX has no use for Label2: ignored (2 rows, the first of them row 3)",
    )


def test_currencies_and_pairs_are_spelled_one_way(tmp_path: Path):
    rows = [
        row("Risk_FX", Qualifier="CNH"), row("Risk_FXVol", Qualifier="USDEUR"), row("Risk_FXVol", Qualifier="usdcnh"),
        row("Risk_IRVol", Label1="10Y"), row("Risk_IRCurve", Label2="libor3M"), row("Risk_Equity", Bucket="RESIDUAL"),
        row("Risk_Equity", Bucket="05"), row("risk_fx" if False else "Risk_FX", RiskType="RISK_fx"),
    ]  # fmt: skip
    book = of_text(table(*rows), tmp_path)
    assert [one[3:7] for one in records(book)] == [
        ("CNY", "", "", ""), ("EURUSD", "", "3m", ""), ("CNYUSD", "", "3m", ""),
        ("USD", "", "10y", ""), ("USD", "", "5y", "Libor3m"), ("ISIN:E", "Residual", "", ""),
        ("ISIN:E", "5", "", ""), ("EUR", "", "", ""),
    ]  # fmt: skip
    assert book.notices == ("CNH is taken as CNY",)


def test_a_parameter_stands_once(tmp_path: Path):
    twice = [row("Param_ProductClassMultiplier", Amount="1.5"), row("Param_ProductClassMultiplier", Amount="1.7")]
    other = row("Param_ProductClassMultiplier", PortfolioID="Q")
    found = problems_of(table(*twice, other), tmp_path)
    assert found == [(3, "RiskType", "Param_ProductClassMultiplier of 'Equity' stands in row 2 already")]
    fixed = [row("Param_AddOnFixedAmount"), row("Param_AddOnFixedAmount")]
    assert len(of_text(table(*fixed), tmp_path)) == 2  # amounts of money add up


def test_regulations_by_name(tmp_path: Path):
    names = ('"USPR,ESA"', '"[ESA, USPR]"', "", "ESA;ZZZ")
    rows = [row("Risk_FX", collect_regulations=one, post_regulations="SEC") for one in names]
    book = of_text(table(*rows), tmp_path)
    assert [book.collect.names[k] for k in book.collect.codes.tolist()] == ["ESA,USPR", "ESA,USPR", "", "ESA,ZZZ"]
    assert book.post.names == ("SEC",)
    assert book.notices == ("regulations of names that are not known here: ZZZ",)


def test_a_known_regulation_is_the_same_in_any_spelling(tmp_path: Path):
    rows = [row("Risk_FX", collect_regulations=one) for one in ("ESA", "esa", "Esa;EXCLUDED", "sec-UNSEG")]
    book = of_text(table(*rows), tmp_path)
    names = [book.collect.names[k] for k in book.collect.codes.tolist()]
    assert names == ["ESA", "ESA", "ESA,Excluded", "SEC-unseg"]
    assert book.notices == ()


def test_amounts_that_contradict_each_other_are_said(tmp_path: Path):
    book = of_text(table(row("Risk_FX", Amount="1500", AmountUSD="1400")), tmp_path)
    assert book.amount_usd.tolist() == [1400.0]
    assert book.notices == ("Amount in dollars and AmountUSD differ: AmountUSD counts (row 2)",)


def test_columns_that_nobody_uses_are_said(tmp_path: Path):
    notices = of_text(table(row("Risk_FX", Trader="Ann")), tmp_path).notices
    assert notices == ("columns that no figure uses (contributions may be by them): Trader",)


def schedule_row(kind: str, trade: str = "T", **changes: str) -> dict[str, str]:
    cells = {"PortfolioID": "P", "RiskType": kind, "TradeID": trade, "ProductClass": "Rates", "IMModel": "Schedule"}
    return {**cells, "AmountUSD": "100", "EndDate": "2026-03-01", **changes}


def test_trades_of_the_schedule(tmp_path: Path):
    rows = [
        schedule_row("Notional", "b", EndDate="01/03/2026"),
        schedule_row("PV", "b", AmountUSD="-5"),
        schedule_row("PV", "a", EndDate="", AmountUSD="3"),
        schedule_row("Notional", "a", AmountUSD="200", EndDate="2030-01-01T00:00:00", ProductClass="Rates"),
        row("Risk_FX"),
    ]
    book = of_text(table(*rows), tmp_path)
    assert book.trades.trades == ("a", "b")
    assert book.trades.notional.tolist() == [200.0, 100.0]
    assert book.trades.present_value.tolist() == [3.0, -5.0]
    assert book.trades.end_date.astype(str).tolist() == ["2030-01-01", "2026-03-01"]
    assert len(book) == 1


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([schedule_row("Notional")], ["trade 'T' has no present value"]),
        ([schedule_row("PV")], ["trade 'T' has no notional"]),
        ([schedule_row("Notional"), schedule_row("PV", EndDate="2026-03-02")], ["has EndDate 2026-03-02 here"]),
        ([schedule_row("Notional"), schedule_row("PV", ProductClass="FX")], ["has ProductClass FX here"]),
        ([schedule_row("Notional", EndDate=""), schedule_row("PV")], ["no end date", "trade 'T' has no notional"]),
        ([schedule_row("Notional", EndDate="soon"), schedule_row("PV")], ["'soon' is no date", "has no notional"]),
        ([schedule_row("Notional"), schedule_row("PV"), schedule_row("PV")], ["a second present value of trade 'T'"]),
        ([schedule_row("Notional", ""), schedule_row("PV", "")], ["no trade", "no trade"]),
        ([schedule_row("Notional", ProductClass="RatesFX")], ["product class 'RatesFX' of the schedule"]),
        ([schedule_row("PV", IMModel="SIMM")], ["PV that is not under the schedule"]),
    ],
)
def test_trades_that_are_incomplete(rows: list[dict[str, str]], found: list[str], tmp_path: Path):
    told = [text for _, _, text in problems_of(table(*rows), tmp_path)]
    assert len(told) == len(found)
    assert all(part in text for part, text in zip(found, told, strict=True)), told


def test_no_row_is_right(tmp_path: Path):
    with pytest.raises(InputError, match="no row is right"):
        of_text(table(row("Risk_FX", Amount="x")), tmp_path, skip_rejected=True)


SAMPLE = table(
    *(row(kind) for kind in GOOD),
    row("Risk_FX", AmountCurrency="EUR", AmountUSD="", Amount="-12.75"),
    row("Risk_FXVol", PortfolioID="Q", Qualifier="USDJPY"),
)


def test_every_form_of_table_says_the_same(tmp_path: Path):
    import pandas as pd

    expected = records(of_text(SAMPLE, tmp_path, fx=FX))
    frame = pl.read_csv(io.StringIO(SAMPLE), infer_schema=False)
    typed = pl.read_csv(io.StringIO(SAMPLE))
    parquet, zipped = tmp_path / "crif.parquet", tmp_path / "crif.csv.gz"
    typed.write_parquet(parquet)
    zipped.write_bytes(gzip.compress(SAMPLE.encode()))
    semicolons = tmp_path / "semicolons.csv"
    semicolons.write_bytes(SAMPLE.replace(",", ";").replace("\n", "\r\n").encode())
    sources = [
        parquet, str(zipped), semicolons, frame, typed, frame.to_dicts(), frame.to_dict(as_series=False),
        pd.read_csv(io.StringIO(SAMPLE)), pd.read_csv(io.StringIO(SAMPLE), dtype=str),
    ]  # fmt: skip
    for source in sources:
        assert records(read_crif(source, fx=FX)) == expected


def test_rows_of_a_frame_count_from_one():
    frame = pl.DataFrame({"PortfolioID": ["P", "P"], "RiskType": ["?", "Risk_FX"]})
    with pytest.raises(InputError) as caught:
        read_crif(frame)
    assert caught.value.problems[0].row == 1
    assert caught.value.problems[0].file == "CRIF"


def test_a_nan_of_a_frame_is_no_amount():
    frame = pl.DataFrame([row("Risk_FX")]).with_columns(Amount=pl.lit(float("nan")), AmountUSD=pl.lit(None, pl.Float64))
    with pytest.raises(InputError, match="column 'Amount': 'nan' is not finite"):
        read_crif(frame)


def test_a_label_that_a_frame_made_a_float():
    frame = pl.DataFrame([row("Risk_Equity"), row("Risk_FX")]).with_columns(Bucket=pl.Series([5.0, float("nan")]))
    assert [one[4] for one in records(read_crif(frame))] == ["5", ""]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"PortfolioID,RiskType\n",
        SAMPLE.encode("utf-16"),
        b"\x00\x01\x02",
        b'PortfolioID,RiskType\n"P,Q\n',
    ],
)
def test_files_that_hold_no_table(content: bytes, tmp_path: Path):
    path = tmp_path / "crif.csv"
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        read_crif(path)


def test_latin_1_is_named(tmp_path: Path):
    path = tmp_path / "crif.csv"
    path.write_bytes(table(row("Risk_Equity", Qualifier="Société")).encode("latin-1"))
    with pytest.raises(FileFormatError, match="is not UTF-8"):
        read_crif(path)


def test_a_large_file_is_read_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "crif.csv"
    lines = SAMPLE.splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[1:] * 400]))
    assert path.stat().st_size > crif_rows_module._SMALL
    fast = records(read_crif(path, fx={**FX}, skip_rejected=True))
    monkeypatch.setattr(crif_rows_module, "_SMALL", 1 << 40)
    assert records(read_crif(path, fx={**FX}, skip_rejected=True)) == fast


cells = st.text(st.sampled_from("ab, \"'\n\r;\té\u2028x0"), max_size=6)


def quoted(text: str, always: bool) -> str:
    return '"' + text.replace('"', '""') + '"' if always or set(text) & set(',"\n\r') else text


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(cells, st.booleans()), min_size=2, max_size=4), min_size=1, max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "\ufeff", "\n"]),
    st.booleans(),
    st.booleans(),
)
def test_both_readers_of_csv_agree(rows: list[list[tuple[str, bool]]], ending: str, start: str, ends: bool, raw: bool):
    """What the fast one reads is what the other reads; what it leaves to the other is fine."""
    lines = ["PortfolioID,RiskType,Qualifier"]
    lines += [",".join(cell if raw else quoted(cell, always) for cell, always in line) for line in rows]
    text = (start + ending.join(lines) + (ending if ends else "")).removeprefix("\ufeff")
    fast = crif_rows_module._plain_csv(text, "f")
    if fast is None:
        return
    expected = crif_rows_module._of_text(crif_rows_module.parse_csv(text, "f"))
    found = crif_rows_module._of_frame(fast, "f", first_row=2)
    assert _content(found) == _content(expected)


def _content(rows: CrifRows) -> tuple[list[int], dict[str, list[str]]]:
    columns = {name: [cell.strip() for cell in column.to_list()] for name, column in rows.columns.items()}
    return rows.row_numbers.tolist(), columns


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_files_are_read_or_refused(seed: int, tmp_path: Path):
    """Whatever happens to the bytes, the answer is a book or an error that we raise on purpose."""
    rng = random.Random(seed)
    content = bytearray(SAMPLE.encode())
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(content))
        what = rng.randrange(4)
        if what == 0:
            content[at] = rng.randrange(256)
        elif what == 1:
            del content[at : at + rng.randint(1, 40)]
        elif what == 2:
            content[at:at] = rng.choice([b'"', b",", b"\n", b"\r", b"nan", b"1e999", b"\xef\xbb\xbf", b"\xff", b";"])
        else:
            content += content[at:]
        if not content:
            break
    path = tmp_path / "damaged.csv"
    path.write_bytes(bytes(content))
    try:
        book = read_crif(path, fx=FX, skip_rejected=True)
    except CrossmarginError:
        return
    assert np.isfinite(book.amount_usd).all()
    n_records = len(crif_rows(path))
    assert len(book) + len({one.row for one in book.rejected}) >= n_records


def test_a_million_of_anything_is_refused_before_it_is_parsed(tmp_path: Path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{k}" for k in range(2000)) + "\n" + "," * 1999 + "\n")
    with pytest.raises(FileFormatError, match="at most 1,000 are read"):
        read_crif(path)
