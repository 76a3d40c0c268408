"""A case is the account itself: the same bits as in its book, and every broken field is refused by name."""

from __future__ import annotations

import copy
import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

import crossmargin as cm
from crossmargin.answers.result import MarginResult
from crossmargin.basics.errors import CrossmarginError, FileFormatError, InputError, UnsupportedError
from crossmargin.engine.evaluate import evaluate
from crossmargin.files.case import case_schema, cut_case, parse_case, read_case, write_case
from crossmargin.files.market import read_market
from crossmargin.market.policy import STRICT
from crossmargin.sample import sample_market, sample_paths
from tests import books, listed


def _answer_of_case(text: str) -> MarginResult:
    case = parse_case(text, "case.json")
    return MarginResult.of(evaluate(case.book, case.market, case.method, case.policy))


def _assert_same_bits(result: MarginResult) -> None:
    for k in range(len(result.accounts)):
        text = write_case(cut_case(result.evaluation, k))
        again = _answer_of_case(text)
        assert again.to_dict()["accounts"] == [result.account_dict(k)]
        assert write_case(cut_case(again.evaluation, 0)) == text


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"methodology": "isolated"},
        {"across_units": "common", "gain_share": "0.7", "gain_cap": "10000"},
        {"time_step_days": "1"},
    ],
)
def test_every_account_of_the_sample(options: dict[str, Any]) -> None:
    paths = sample_paths()
    _assert_same_bits(cm.margin(paths.positions, sample_market(), balances=paths.balances, **options))


def _random_book(names: list[str], seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rng = random.Random(seed)
    positions = []
    for a in range(9):
        linked = f"set{a // 3}" if a % 3 else ""
        held = [(rng.choice(names), rng.choice((-3, -1, 0.5, 2, 7))) for _ in range(5)]
        held.append((rng.choice(("BTC-PERPETUAL", "ETH-PERPETUAL", "BTC-27MAR26")), rng.randint(-9999, 9999)))
        positions += [
            {"account": f"a{a}", "instrument": name, "quantity": q, "netting_set": linked} for name, q in held
        ]
    balances = [
        {"account": f"a{a}", "asset": rng.choice(("USD", "BTC", "ETH", "USDC")), "amount": rng.randint(-5, 50)}
        for a in range(12)
    ]
    return positions, balances


@pytest.mark.parametrize("lost", [0.0, 0.25])
@pytest.mark.parametrize("options", [{}, {"across_units": "common", "gain_share": "0.5"}])
def test_books_on_the_crash_chain_with_stand_ins(
    data_dir: Path, tmp_path: Path, lost: float, options: dict[str, Any]
) -> None:
    rng = random.Random(20260205)
    path = tmp_path / "chain.csv"
    with gzip.open(data_dir / "deribit_chain_20260205T2129Z.csv.gz", "rt", encoding="utf-8") as stream:
        records = list(csv.DictReader(stream))
    for record in records:
        if rng.random() < lost:  # without a mark there is no vol to imply: the nearest strike lends its own
            record["mark_iv"] = record["mark_price"] = ""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, records[0])
        writer.writeheader()
        writer.writerows(records)
    positions, balances = _random_book([record["instrument"] for record in records], 7)
    result = cm.margin(positions, read_market(path), balances=balances, **options)
    assert bool([f for f in result.evaluation.fills if f.donor]) == (lost > 0)
    _assert_same_bits(result)


def test_books_on_an_index_chain(data_dir: Path) -> None:
    market = read_market(data_dir / "cboe_spx_chain_20220204.csv.gz")
    rng = random.Random(1)
    names = [name for name in market.instruments.names if "2202" not in name]
    positions = [
        {"account": f"a{k % 4}", "instrument": rng.choice(names), "quantity": rng.choice((-2, 1, 3))} for k in range(24)
    ]
    _assert_same_bits(cm.margin(positions, market))


MARKET = """as_of,instrument,kind,underlying,quote_currency,index_price,forward_price,mark_price,vol
2026-01-01T00:00:00Z,BTC,spot,BTC,USD,90000,,89000,
2026-01-01T00:00:00Z,USDC,spot,USDC,USD,0.98,,,
2026-01-01T00:00:00Z,BTC_USDC-PERPETUAL,,,,90000,,90010,
2026-01-01T00:00:00Z,BTC-PERPETUAL,,,,90000,,90020,
2026-01-01T00:00:00Z,BTC-27MAR26-90000-C,,,,90000,91000,,0.5
"""


def _market(tmp_path: Path) -> Any:
    path = tmp_path / "market.csv"
    path.write_text(MARKET, encoding="utf-8")
    return read_market(path)


def test_prices_of_currencies_and_of_spot_stay_what_they_were(tmp_path: Path) -> None:
    rows = [("A", "BTC_USDC-PERPETUAL", 1000), ("B", "BTC-27MAR26-90000-C", -1), ("C", "BTC", 2)]
    positions = [{"account": a, "instrument": i, "quantity": q} for a, i, q in rows]
    _assert_same_bits(cm.margin(positions, _market(tmp_path)))
    _assert_same_bits(cm.margin(positions, _market(tmp_path), balances=[{"account": "B", "asset": "BTC", "amount": 1}]))


def test_members_without_positions_keep_their_agreement(tmp_path: Path) -> None:
    columns = ("account", "instrument", "quantity", "netting_set", "segregation", "account_type", "customer_type")
    rows = [
        ("A", "BTC-27MAR26-90000-C", 1, "s", "client", "", "hedger"),
        ("A", "BTC-27MAR26-90000-C", -1, "s", "client", "", ""),
        ("B", "BTC-PERPETUAL", 100, "s", "client", "", ""),
        ("C", "BTC-PERPETUAL", 0, "", "", "", "member"),
        ("G", "BTC-PERPETUAL", 10, "", "", "gross", "speculator"),
        ("G", "BTC-PERPETUAL", -10, "", "", "gross", ""),
    ]
    positions = [dict(zip(columns, row, strict=True)) for row in rows]
    balances = [
        {"account": account, "asset": asset, "amount": amount}
        for account, asset, amount in (("A", "USD", 1000), ("A", "BTC", 1), ("D", "BTC", 2), ("E", "USD", 5))
    ]
    result = cm.margin(positions, _market(tmp_path), balances=balances)
    assert result.accounts == ("C", "D", "E", "G", "s")
    _assert_same_bits(result)
    types = result.prepared.book.customer_types
    for k in range(len(result.accounts)):
        case = parse_case(write_case(cut_case(result.evaluation, k)), "case.json")
        assert case.book.customer_types.tolist() == [types[k]]


def test_there_is_no_case_of_prices_from_a_parameter_file(charges_file: Path) -> None:
    method = listed.method()
    evaluation = evaluate(books.book([books.row("a", listed.CALL, 1)]), method.market, method)
    refusal = r"a case of 'charges', whose prices come from its parameter file"
    with pytest.raises(UnsupportedError, match=refusal):
        cut_case(evaluation, 0)
    document = _document()
    document["methodology"] = {"name": listed.NAME, "parameters": {}}
    with pytest.raises(UnsupportedError, match=refusal):
        parse_case(json.dumps(document), "case.json")


def test_a_strict_policy_stays_strict(tmp_path: Path) -> None:
    positions = [{"account": "A", "instrument": "BTC-PERPETUAL", "quantity": 1}]
    result = cm.margin(positions, _market(tmp_path), policy=STRICT)
    case = parse_case(write_case(cut_case(result.evaluation, 0)), "case.json")
    assert case.policy == STRICT


def _document(account: int = 0) -> dict[str, Any]:
    paths = sample_paths()
    result = cm.margin(paths.positions, sample_market(), balances=paths.balances)
    return json.loads(write_case(cut_case(result.evaluation, account)))


def test_the_schema_accepts_what_is_cut() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for account in range(8):
        jsonschema.validate(_document(account), case_schema())


def test_the_order_of_keys_does_not_matter(tmp_path: Path) -> None:
    document = _document(3)
    path = tmp_path / "sorted.json"
    path.write_text(json.dumps(document, sort_keys=True), encoding="utf-8")
    assert read_case(path).book.accounts == parse_case(json.dumps(document), "x").book.accounts


JUNK: list[Any] = [None, "", "x", 5, -1, 1.5, True, [], {}, [1], {"a": 1}, "1e9999", "NaN", "9" * 64, "a\x1bb", "-0"]


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document; of a list only its first element."""
    inside: list[tuple[Any, ...]] = [place] if place else []
    if isinstance(value, dict):
        for key in value:
            inside += _places(value[key], (*place, key))
    elif isinstance(value, list) and value:
        inside += _places(value[0], (*place, 0))
    return inside


def test_a_case_broken_anywhere_is_refused_or_still_answers() -> None:
    original = _document(0)
    refused = 0
    for place in _places(original):
        for junk in (*JUNK, KeyError):
            document = copy.deepcopy(original)
            parent = document
            for key in place[:-1]:
                parent = parent[key]
            if junk is KeyError:
                del parent[place[-1]]
            else:
                parent[place[-1]] = junk
            try:
                _answer_of_case(json.dumps(document)).to_json()
            except CrossmarginError:
                refused += 1
    assert refused > 700


def test_all_problems_of_a_case_at_once() -> None:
    document = _document(0)
    document["as_of"] = "2021-10-20T21:24:34"
    document["positions"][0]["quantity"] = "1e-9"
    document["balances"][0]["asset"] = "DOGE"
    document["methodology"]["parameters"]["maintenance_factor"] = "2"
    document["market"]["index"]["BTC"] = "1e300"
    with pytest.raises(CrossmarginError) as caught:
        parse_case(json.dumps(document), "c.json")
    text = str(caught.value)
    for expected in (
        "c.json, column 'as_of': '2021-10-20T21:24:34' is no time",
        "c.json, column 'market.index.BTC': 1e300 is above 1e+15",
        "c.json, positions, row 1, column 'quantity': quantity 1E-9 is finer than 1e-8",
        "c.json, balances, row 1, column 'asset': 'DOGE' is no collateral",
        "maintenance_factor': is '2'. A number from 0 to 1",
    ):
        assert expected in text


def test_fields_are_named_by_their_place() -> None:
    document = _document(0)
    document["positions"][0]["quantity"] = 5
    document["market"]["quotes"][0]["strikes"] = "1"
    with pytest.raises(InputError) as caught:
        parse_case(json.dumps(document), "c.json")
    assert [(p.column, p.found) for p in caught.value.problems] == [
        ("positions.0.quantity", "Input should be a valid string (found 5)"),
        ("market.quotes.0.strikes", "Extra inputs are not permitted (found '1')"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "c.json: is JSON, but no case. A case has the format 'crossmargin-case/1'"),
        ('{"format":"crossmargin-case/1"', "Invalid JSON"),
        ('{"format":"crossmargin-case/2"}', "column 'format': Input should be 'crossmargin-case/1'"),
        ('["crossmargin-case/1"]', "Input should be an object"),
        ('{"format":"crossmargin-case/1","a":' + "[" * 100_000, "Invalid JSON: recursion limit exceeded"),
    ],
)
def test_what_is_no_case(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_case(text, "c.json")


def test_a_case_of_nothing_is_refused() -> None:
    document = _document(0)
    document["positions"] = []
    document["balances"] = []
    with pytest.raises(InputError, match=r"the case holds no position, balance or member. Give at least one"):
        parse_case(json.dumps(document), "c.json")


def test_a_case_file_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(_document(0)), encoding="utf-8")
    monkeypatch.setattr("crossmargin.files.case.MOST_BYTES", 1000)
    with pytest.raises(FileFormatError, match=r"c.json: is or unfolds to more than 1,000 bytes"):
        read_case(path)
