"""Markets from files: every row is in the market or listed with its reason; what cannot be is refused."""

from __future__ import annotations

import copy
import csv
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crossmargin.basics.errors import CrossmarginError, FileFormatError, InputError
from crossmargin.files.market import read_market
from crossmargin.instruments.symbols import canonical_name, parse_symbol
from crossmargin.instruments.terms import VanillaOption
from crossmargin.market.snapshot import Reason

DERIBIT = {
    "deribit_chain_20260114T0922Z.csv.gz": "2026-01-14T09:22:33Z",
    "deribit_chain_20260205T2129Z.csv.gz": "2026-02-05T21:29:37Z",
    "deribit_chain_20260624T1717Z.csv.gz": None,
    "deribit_eth_chain_20240108.csv.gz": "2024-01-08T11:19:41Z",
}
CBOE = [
    "cboe_spx_chain_20220204.csv.gz",
    "cboe_ndx_chain_20220204.csv.gz",
    "cboe_spx_chain_20230914.csv.gz",
    "cboe_xsp_chain_20230914.csv.gz",
    "cboe_spy_chain_20230914.csv.gz",
]


def _records(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("name", [*DERIBIT, *CBOE])
def test_every_row_loads_or_is_listed_with_its_reason(data_dir: Path, name: str) -> None:
    market = read_market(data_dir / name)
    records = _records(data_dir / name)
    listed = set(market.instruments.names)
    excluded = {row.row: row for row in market.excluded}
    assert len(excluded) == len(market.excluded)
    in_market = 0
    for row, record in enumerate(records, start=2):
        symbol = canonical_name(record["instrument"])
        if row in excluded:
            assert excluded[row].name == symbol
            assert excluded[row].detail
        else:
            assert symbol in listed, (row, symbol)
            in_market += 1
    assert in_market + len(excluded) == len(records)
    reasons = Counter(row.reason for row in market.excluded)
    for row in market.excluded:
        if row.reason is Reason.EXPIRED:
            expiry = getattr(parse_symbol(row.name), "expiry")  # noqa: B009
            assert expiry <= market.as_of
    assert set(reasons) <= {Reason.EXPIRED, Reason.UNSUPPORTED}
    american = int(market.instruments.is_american.sum())
    assert american == (in_market if "spy" in name else 0)


@pytest.mark.parametrize(("name", "as_of"), [(n, t) for n, t in DERIBIT.items() if t])
def test_a_deribit_chain_states_its_time(data_dir: Path, name: str, as_of: str) -> None:
    market = read_market(data_dir / name)
    assert market.as_of == datetime.fromisoformat(as_of)
    with pytest.raises(FileFormatError, match=r"no snapshot of 2020-01-01T00:00:00Z. The file holds 20"):
        read_market(data_dir / name, as_of="2020-01-01T00:00:00Z")


def test_missing_quotes_of_the_crash_stay_missing(data_dir: Path) -> None:
    name = "deribit_chain_20260205T2129Z.csv.gz"
    market, records = read_market(data_dir / name), _records(data_dir / name)
    row_of = {name: k for k, name in enumerate(market.instruments.names)}
    for record in records:
        if record["instrument"] not in row_of:
            continue
        k = row_of[record["instrument"]]
        for column, values in (("bid_price", market.bid), ("ask_price", market.ask), ("mark_price", market.mark)):
            assert np.isnan(values[k]) == (record[column] == "")
            if record[column]:
                assert values[k] == float(record[column])
    options = [isinstance(i, VanillaOption) for i in market.instruments.instruments]
    assert int(np.isnan(market.bid[options]).sum()) <= 605
    assert any("options have no bid: left missing" in note for note in market.notes)


def test_a_panel_of_many_snapshots_needs_a_choice(data_dir: Path, tmp_path: Path) -> None:
    frame = pl.read_parquet(data_dir / "deribit_option_panel_2026q1.parquet")
    times = frame["snapshot_time"].unique().sort()[:2]
    path = tmp_path / "panel.parquet"
    frame.filter(pl.col("snapshot_time").is_in(times.implode())).write_parquet(path)
    with pytest.raises(FileFormatError, match=r"column 'snapshot_time': 2 snapshots, .* Choose one with --as-of"):
        read_market(path)


def _entry(name: str, **changes: Any) -> dict[str, Any]:
    coin = name[:3]
    forward = 95_000.0 if coin == "BTC" else 3_400.0
    return {
        "instrument_name": name,
        "base_currency": coin,
        "quote_currency": coin,
        "bid_price": 0.05,
        "ask_price": 0.06,
        "mark_price": 0.055,
        "mid_price": 0.055,
        "mark_iv": 50.25,
        "underlying_price": forward,
        "underlying_index": f"{coin}-27MAR26",
        "estimated_delivery_price": forward - 100,
        "creation_timestamp": 1768382520123,
        "interest_rate": 0.0,
        "open_interest": 2.0,
        "volume": 1,
        "high": None,
    } | changes


def _summary() -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "result": [
            _entry("BTC-27MAR26-90000-C"),
            _entry("BTC-27MAR26-90000-P", bid_price=None, ask_price=None),
            _entry("BTC-27MAR26", mark_price=95_010.0, bid_price=95_000, ask_price=95_020, mark_iv=None),
            _entry("BTC-PERPETUAL", mark_price=94_905.0, bid_price=0, ask_price=94_910, mark_iv=None),
            _entry("ETH-27MAR26-3000-C"),
            _entry("BTC-FS-27MAR26_PERP"),
            _entry("BTC-9JAN26-90000-C"),
        ],
        "usIn": 1,
    }


def _read(tmp_path: Path, document: Any, **options: Any) -> Any:
    path = tmp_path / "summary.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return read_market(path, **options)


def test_the_book_summary_of_options_and_futures_of_two_coins(tmp_path: Path) -> None:
    market = _read(tmp_path, _summary())
    assert market.as_of == datetime(2026, 1, 14, 9, 22, 0, 123000, tzinfo=UTC)
    row = {name: k for k, name in enumerate(market.instruments.names)}
    assert market.vol[row["BTC-27MAR26-90000-C"]] == 0.5025
    assert np.isnan(market.bid[row["BTC-27MAR26-90000-P"]])
    assert np.isnan(market.vol[row["BTC-27MAR26"]])
    assert (market.mark[row["BTC-27MAR26"]], market.mark[row["BTC-PERPETUAL"]]) == (95_010.0, 94_905.0)
    assert np.isnan(market.bid[row["BTC-PERPETUAL"]])  # a bid of 0 for a perpetual is none
    assert market.index == {"BTC": 94_900.0, "ETH": 3_300.0}
    assert [(e.name, e.reason.value, e.row) for e in market.excluded] == [
        ("BTC-FS-27MAR26_PERP", "unsupported", 6),
        ("BTC-9JAN26-90000-C", "expired", 7),
    ]
    assert _read(tmp_path, _summary()["result"]).fingerprint == market.fingerprint
    zipped = tmp_path / "summary.json.gz"
    zipped.write_bytes(gzip.compress(json.dumps(_summary()).encode(), mtime=0))
    assert read_market(zipped, market_format="deribit-summary").fingerprint == market.fingerprint


def test_a_time_that_contradicts_the_summary_is_noted(tmp_path: Path) -> None:
    market = _read(tmp_path, _summary(), as_of="2026-01-02T00:00:00Z")
    assert "the file states 2026-01-14T09:22:00.123000Z; 2026-01-02T00:00:00Z was asked for" in market.notes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instrument_name": None}, "row 1, column 'instrument_name': is None. Every entry names its instrument"),
        ({"instrument_name": "ETH-27MAR26-3000-C"}, "row 5, column 'instrument': 'ETH-27MAR26-3000-C' stands twice"),
        ({"mark_price": "abc"}, "row 1, column 'mark_price': 'abc' is not a number"),
        ({"mark_price": True}, "column 'mark_price': True is not a number"),
        ({"mark_price": [1]}, r"column 'mark_price': \[1\] is not a number"),
        ({"mark_price": -1}, "column 'mark_price': -1 is below 0"),
        ({"mark_iv": 1e300}, "column 'mark_iv': 1e\\+300 is above 100000. Check the unit"),
        ({"underlying_price": 1e300}, "is above 1e\\+15"),
        ({"underlying_price": 1e-300}, "1e-300 is closer to 0 than 1e-15"),
        ({"estimated_delivery_price": 1}, "index prices of BTC from 1 to 94900 in one snapshot"),
        ({"creation_timestamp": "soon"}, "column 'creation_timestamp': 'soon' is not a number"),
        ({"creation_timestamp": 9e14}, "creation_timestamp 9e\\+14 is no time in milliseconds"),
    ],
)
def test_entries_of_a_summary_that_cannot_be(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    document = _summary()
    document["result"][0] |= changes
    with pytest.raises(InputError, match=f"summary.json, .*{message}"):
        _read(tmp_path, document)


def test_a_forward_named_after_no_future_is_noted_and_not_listed(tmp_path: Path) -> None:
    document = _summary()
    document["result"][0]["underlying_index"] = "BTC-XX"
    document["result"][1]["underlying_index"] = "BTC-9JAN26"
    market = _read(tmp_path, document)
    assert [n for n in market.notes if "no future that trades" in n] == [
        "options name 'BTC-XX' as their forward, which is no future that trades",
        "options name 'BTC-9JAN26' as their forward, which is no future that trades",
    ]
    assert "BTC-9JAN26" not in market


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"result":[{"instrument_name":"BTC-PERPETUAL","mark_price":NaN}]}', "is no JSON .NaN is no number here"),
        ('{"result":[{"instrument_name":"BTC-PERPETUAL","mark_price":1e999}]}', "'inf' is not finite"),
        ("[" * 100_000, "is nested more than 64 deep"),
        ('{"a":' * 100_000, "is nested more than 64 deep"),
        ('[{"instrument_name":"BTC-PERPETUAL","mark_price":1,"mark_price":2}]', "'mark_price' stands twice"),
        ('{"error":{"code":10028,"message":"too_many_requests"}}', "is an error reply of the venue .10028, too_many"),
        ('{"format":"crossmargin-case/1"}', "has the format 'crossmargin-case/1'. A market in JSON has"),
        ('[{"instrument_name":"BTC-PERPETUAL","mark_price":' + "9" * 5000 + "}]", "is no JSON .Exceeds the limit"),
        ('[{"instrument_name":"BTC-PERPETUAL","mark_price":' + "9" * 400 + "}]", "9…' is not finite"),
        ("{}", "is no book summary: its 'result' is no list of objects"),
        ('{"result":null}', "is no book summary"),
        ("[1,2]", "is no book summary"),
        ("[]", "is no book summary"),
        ('{"result":[{"instrument_name":"BTC-PERPETUAL"}]}', "no entry has a creation_timestamp. Give the time"),
        ('[{"instrument_name":"?","creation_timestamp":1768382520000}]', r"no row can be margined; row 1: \?: "),
        ('[{"instrument_name":"' + "X" * 999 + '","creation_timestamp":1768382520000}]', "its name has 999 characters"),
        ('{"result":[{"instrument_name":"BTC', "is no JSON .Unterminated string"),
    ],
)
def test_json_that_is_no_summary(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FileFormatError if "finite" not in message else InputError, match=message):
        _read(tmp_path, text)


PLAIN = "as_of,instrument,index_price,forward_price,mark_price,vol\n"


def _plain(tmp_path: Path, text: str, **options: Any) -> Any:
    path = tmp_path / "plain.csv"
    path.write_text(text, encoding="utf-8")
    return read_market(path, **options)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("66500,67000,,0", "row 2, column 'vol': 0 is no volatility. Leave it empty"),
        ("66500,67000,,1e9", "column 'vol': 1e\\+09 is above 1000. Write a decimal: 0.8 is 80%"),
        ("66500,67000,,-1", "column 'vol': -1 is below 0"),
        ("66500,67000,,80%", "column 'vol': '80%' is not a number"),
        ("66500,67000,,8_0", "column 'vol': '8_0' is not a number"),
        ("66500,67000,,٣", "column 'vol': '٣' is not a number"),
        ("66500,0,,0.8", "column 'forward_price': 0 is the price of an inverse contract"),
        ("66500,-5,,0.8", "column 'forward_price': -5 is the price of an inverse contract"),
        ("0,67000,,0.8", "column 'index_price': 0 of BTC, which 'BTC-26NOV21-58000-P' is on"),
        ("-1,67000,,0.8", "column 'index_price': -1 of BTC"),
        ("66500,67000,-1,0.8", "column 'mark_price': -1 is the price of an option"),
        ("inf,67000,,0.8", "column 'index_price': 'inf' is not finite"),
        ("1e300,67000,,0.8", "column 'index_price': 1e300 is above 1e\\+15"),
        ("66500,1e-300,,0.8", "column 'forward_price': 1e-300 is closer to 0 than 1e-15"),
    ],
)
def test_prices_that_no_option_has(tmp_path: Path, cells: str, message: str) -> None:
    with pytest.raises(InputError, match=f"plain.csv, .*{message}"):
        _plain(tmp_path, PLAIN + f"2021-10-20T21:24:34Z,BTC-26NOV21-58000-P,{cells}\n")


def test_a_perpetual_at_no_price_is_refused(tmp_path: Path) -> None:
    for mark in ("0", "-5", "1e-320"):
        with pytest.raises(InputError, match="row 2, column 'mark_price': "):
            _plain(tmp_path, PLAIN + f"2021-10-20T21:24:34Z,BTC-PERPETUAL,66500,,{mark},\n")


CRUDE_COLUMNS = [
    "as_of",
    "instrument",
    "kind",
    "underlying",
    "payoff",
    "quote_currency",
    "settlement_currency",
    "multiplier",
    "expiry",
    "strike",
    "option_type",
    "style",
    "delivery",
    "on",
    "index_price",
    "forward_price",
    "mark_price",
    "vol",
    "vol_model",
    "discount",
]
CRUDE = [
    "2020-04-20T18:00:00Z",
    "CLM20 P5",
    "option",
    "CL",
    "linear",
    "USD",
    "USD",
    "1000",
    "2020-05-14T18:30:00Z",
    "5",
    "put",
    "european",
    "cash",
    "future",
    "-37.63",
    "-10",
    "",
    "40",
    "bachelier",
    "1",
]


def _crude(tmp_path: Path, **changes: str) -> Any:
    row = dict(zip(CRUDE_COLUMNS, CRUDE, strict=True)) | changes
    return _plain(tmp_path, ",".join(row) + "\n" + ",".join(row.values()) + "\n")


def test_negative_oil_loads_with_its_terms(tmp_path: Path) -> None:
    market = _crude(tmp_path)
    option = market.instruments.instruments[0]
    assert (float(option.strike), float(option.multiplier), option.on.value) == (5.0, 1000.0, "future")
    assert (market.index["CL"], market.forward[0], bool(market.vol_normal[0])) == (-37.63, -10.0, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multiplier": "0"}, "column 'multiplier': .* multiplier is Decimal"),
        ({"multiplier": "1e999999"}, "column 'multiplier': multiplier 1e999999 is out of range"),
        ({"multiplier": "1_000"}, "column 'multiplier': '1_000' is not a number"),
        ({"multiplier": "1" * 65}, "is not a number"),
        ({"strike": "1e400"}, "column 'strike': strike 1e400 is out of range"),
        ({"strike": "1e-400"}, "column 'strike': strike 1e-400 is out of range"),
        ({"strike": "nan"}, "column 'strike': 'nan' is not a number"),
        ({"strike": ""}, "column 'strike': an option without a strike"),
        ({"expiry": ""}, "column 'expiry': expiry ''"),
        ({"expiry": "2020-05-14T18:30:00"}, "states no time zone"),
        ({"expiry": "9999-12-31T23:59:59-14:00"}, "is beyond the calendar"),
        ({"expiry": "2019-05-14T18:30:00Z"}, "no row can be margined. Every row has expired"),
        ({"option_type": "C"}, "column 'option_type': option_type 'C'. One of call, put"),
        ({"kind": "swap"}, "column 'kind': kind 'swap'. spot, future, perpetual or option"),
        ({"payoff": "inverse"}, "an inverse contract quoted in USD cannot be settled in it"),
        ({"underlying": "C\x1bL"}, "column 'underlying': underlying 'C.x1bL' has characters that cannot be shown"),
        ({"quote_currency": "x" * 300}, "column 'quote_currency': quote_currency has 300 characters"),
        ({"vol_model": "normal"}, "column 'vol_model': 'normal'. 'black' or 'bachelier'"),
        ({"vol_model": "black"}, "-37.63 of CL, which 'CLM20 P5' is on. Black volatilities and inverse contracts"),
        ({"discount": "0"}, "column 'discount': 0 is no discount factor. Above 0, at most 10"),
        ({"as_of": "0001-01-01T00:00:00+14:00"}, "row 2, column 'as_of': .* is no time .* is beyond the calendar"),
        ({"as_of": "2020-04-20T18:00:00"}, "is no time .*states no time zone"),
        ({"as_of": ""}, "row 2, column 'as_of': '' is no time"),
    ],
)
def test_terms_that_make_no_sense(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _crude(tmp_path, **changes)


def test_a_plain_market_of_two_times_needs_a_choice(tmp_path: Path) -> None:
    text = PLAIN + "2026-01-01T00:00:00Z,BTC-PERPETUAL,1,,1,\n2026-01-02T00:00:00Z,BTC-PERPETUAL,2,,2,\n"
    with pytest.raises(FileFormatError, match="no market format"):
        _plain(tmp_path, text.replace("as_of", "time"))
    with pytest.raises(InputError, match=r"2 different times in one market. Choose one with --as-of"):
        _plain(tmp_path, text)
    assert _plain(tmp_path, text, as_of="2026-01-02T00:00:00Z").mark.tolist() == [2.0]
    with pytest.raises(
        InputError, match=r"no snapshot of 2026-01-03T00:00:00Z. The file holds 2026-01-01T00:00:00Z, 2026"
    ):
        _plain(tmp_path, text, as_of="2026-01-03T00:00:00Z")


def test_unknown_columns_of_a_plain_market(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 1, column 'Vol': column 'Vol' is not known. Write it 'vol'"):
        _plain(tmp_path, "as_of,instrument,Vol\n2026-01-01T00:00:00Z,BTC-PERPETUAL,1\n")


CBOE_HEADER = "root,instrument,bid_price,ask_price,iv,underlying_last\n"
CBOE_ROW = "SPXW,SPXW230915C04500000,10,11,0.15,4505.1\n"


def _cboe(tmp_path: Path, text: str, name: str = "quotes.csv", **options: Any) -> Any:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_market(path, **options)


def test_a_cboe_file_states_no_time(tmp_path: Path) -> None:
    for name in ("quotes.csv", "quotes_20231340.csv", "quotes_1202309140.csv"):
        with pytest.raises(FileFormatError, match=r"states no time, and its name holds no date. Give it with --as-of"):
            _cboe(tmp_path, CBOE_HEADER + CBOE_ROW, name)
    market = _cboe(tmp_path, CBOE_HEADER + CBOE_ROW, "quotes_2023-09-14.csv")
    assert market.as_of == datetime(2023, 9, 14, 20, tzinfo=UTC)
    assert _cboe(tmp_path, CBOE_HEADER + CBOE_ROW, as_of="2023-09-14T20:00:00Z").fingerprint == market.fingerprint


def test_a_cboe_file_without_a_price_of_its_underlying_still_loads(tmp_path: Path) -> None:
    market = _cboe(tmp_path, CBOE_HEADER + CBOE_ROW.replace("4505.1", ""), as_of="2023-09-14T20:00:00Z")
    assert market.index == {}
    assert np.isnan(market.forward[0])


def test_cboe_rows_of_two_moments_are_refused(tmp_path: Path) -> None:
    other = "SPXW,SPXW230915P04500000,10,11,0.15,4506\nSPXW,SPXW230915C04500000,1,2,,4505.1\n"
    with pytest.raises(InputError, match="row 4, column 'instrument': 'SPXW  230915C04500000' stands twice"):
        _cboe(tmp_path, CBOE_HEADER + CBOE_ROW + other, as_of="2023-09-14T20:00:00Z")
    with pytest.raises(InputError, match=r"prices of SPX from 4505.1 to 4506 in one snapshot"):
        _cboe(tmp_path, CBOE_HEADER + CBOE_ROW + other.partition("\n")[0] + "\n", as_of="2023-09-14T20:00:00Z")


def test_a_second_before_expiry_the_far_forwards_are_not_invented(tmp_path: Path) -> None:
    rows = ""
    for strike in (4490, 4495, 4500, 4505, 4510):
        for side, sign in (("C", 1), ("P", -1)):
            intrinsic = max(0.0, (4505.1 - strike) * sign)
            rows += f"SPXW,SPXW230915{side}0{strike}000,{intrinsic + 5},{intrinsic + 6},,4500\n"
    far = "SPXW,SPXW280915C04500000,10,11,0.15,4500\n"
    market = _cboe(tmp_path, CBOE_HEADER + rows + far, as_of="2023-09-15T19:59:59Z")
    row = market.instruments.names.index("SPXW  280915C04500000")
    assert np.isnan(market.forward[row])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"market_format": "excel"}, "no market format 'excel'. One of deribit-chain, deribit-summary, cboe, plain"),
        ({"market_format": "cboe"}, "column 'root' is missing.*\n.*column 'bid_price' is missing"),
        ({"market_format": "deribit-chain"}, "column 'snapshot_time' is missing"),
        ({"market_format": "deribit-summary"}, "is a table, which 'deribit-summary' is not"),
        ({"as_of": "garbage"}, "as-of time: Invalid isoformat string: 'garbage'"),
        ({"as_of": "2026-01-01"}, "as-of time: '2026-01-01' states no time zone"),
        ({"as_of": "9999-12-31T23:59:59-14:00"}, "as-of time: .* is beyond the calendar"),
        ({"as_of": datetime(2026, 1, 1)}, "as-of time without a zone"),  # noqa: DTZ001
        ({"as_of": datetime.min.replace(tzinfo=UTC)}, "no snapshot of 0001-01-01T00:00:00Z"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _plain(tmp_path, PLAIN + "2026-01-01T00:00:00Z,BTC-PERPETUAL,1,,1,\n", **options)


def test_json_under_another_format_name(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"summary.json: is JSON, which 'plain' is not"):
        _read(tmp_path, _summary(), market_format="plain")


def test_reading_does_not_change_the_document(tmp_path: Path) -> None:
    document = _summary()
    before = copy.deepcopy(document)
    _read(tmp_path, document)
    assert document == before


def test_what_is_not_listed_gets_the_nearest_that_is(data_dir: Path) -> None:
    market = read_market(data_dir / "deribit_chain_20260205T2129Z.csv.gz")
    expected = {
        "BTC-27MAR26-90001-C": "The nearest that it lists is 'BTC-27MAR26-90000-C'",
        "BTC-28MAR26-90000-P": "The nearest that it lists is 'BTC-27MAR26-90000-P'",
        "SPXW  260320C04500000": "It is a market of BTC, ETH",
        "BTC-28MAR26": "Did you mean 'BTC-27MAR26'?",
    }
    for name, hint in expected.items():
        problem = market.problem_with(name, file="p.csv", row=7, column="instrument")
        assert problem is not None
        assert hint in str(problem)
        assert str(problem).startswith("p.csv, row 7, column 'instrument': instrument")
    with pytest.raises(CrossmarginError, match="'NOPE' is no instrument name that we know"):
        market.rows(["NOPE"])
