"""Bad input: one error with everything that is wrong, and never anything but our own errors, whatever the bytes."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import crossmargin as cm
from crossmargin.basics.errors import CrossmarginError, InputError, ParameterError, PortfolioError
from crossmargin.files import deribit_summary
from crossmargin.files.case import cut_case, read_case, write_case
from crossmargin.files.inputs import read_inputs
from crossmargin.files.market import read_market
from crossmargin.files.positions import read_positions
from crossmargin.methodologies.venue_grids.scenario_grid import parameters
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import load_parameters
from crossmargin.sample import sample_market, sample_paths
from tests.files.fuzz_subjects import json_subjects

SHIPPED = Path(parameters.__file__).parent / "venue-grid-2026.json"


def test_one_error_lists_all_problems_of_all_files(tmp_path: Path) -> None:
    positions, balances, market = (tmp_path / name for name in ("p.csv", "b.csv", "m.csv"))
    positions.write_text(
        "account,instrument,quantity,netting_set,segregation\n"
        "a,BTC-26NOV21-58000-P,1,s,x\n"
        "\n"
        "b,BTC-26NOV21-58000-P,nan,s,y\n"
        "c,btc-26nov21-58000-p,1,,\n"
        "d,BTC-26NOV21-58001-P,1,,\n"
        "e,BTC-1JAN20-58000-P,1,,\n"
        "f,SPXW  211126C04500000,1,\n",
        encoding="utf-8",
    )
    balances.write_text("account,asset,amount\na,USD,1\na,DOGE,1\na,USD,inf\n", encoding="utf-8")
    with pytest.raises(CrossmarginError) as caught:
        read_inputs(positions, sample_market(), balances)
    found = [(p.file, p.row, p.column) for p in caught.value.problems]
    assert found == [
        ("p.csv", 4, "quantity"),
        ("p.csv", 5, "instrument"),
        ("p.csv", 6, "instrument"),
        ("p.csv", 7, "instrument"),
        ("p.csv", 8, ""),
        ("b.csv", 3, "asset"),
        ("b.csv", 4, "amount"),
        ("p.csv", None, "segregation"),
    ]
    market.write_text("as_of,instrument,vol\n2026-01-01T00:00:00Z,BTC-PERPETUAL,x\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"m\.csv, row 2, column 'vol'[\s\S]*p\.csv, row 4, column 'quantity'"):
        read_inputs(positions, market, balances)
    with pytest.raises(InputError, match=r"no\.csv: there is no such file[\s\S]*no2\.csv: there is no such file"):
        read_inputs(tmp_path / "no2.csv", tmp_path / "no.csv")


def test_contradictions_of_netting_sets() -> None:
    columns = ("account", "instrument", "quantity", "netting_set", "segregation", "account_type")
    rows = [
        ("a", "BTC-PERPETUAL", 1, "s", "x", ""),
        ("b", "BTC-PERPETUAL", 1, "s", "", ""),
        ("c", "BTC-PERPETUAL", 1, "t", "", "gross"),
        ("d", "BTC-PERPETUAL", 1, "e", "", ""),
        ("e", "BTC-PERPETUAL", 1, "", "", ""),
    ]
    with pytest.raises(PortfolioError) as caught:
        read_positions([dict(zip(columns, row, strict=True)) for row in rows])
    assert [p.found for p in caught.value.problems] == [
        "'e' is both a netting set and an account outside of it",
        "netting set 's' has 2 segregation ids ('x', none): a='x', b=none",
        "gross account 'c' is in netting set 't'",
    ]


def test_a_position_in_a_row_that_was_left_out_says_why(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(
        "as_of,instrument,index_price,mark_price\n2026-01-01T00:00:00Z,BTC-PERPETUAL,1,1\n"
        "2026-01-01T00:00:00Z,BTC-26DEC25,1,1\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError, match="'BTC-26DEC25' cannot be margined: it expired at 2025-12-26T08:00:00Z"):
        read_inputs([{"account": "a", "instrument": "BTC-26DEC25", "quantity": 1}], path)


def test_every_one_of_ten_thousand_wrong_names_is_listed(data_dir: Path) -> None:
    market = read_market(data_dir / "cboe_spx_chain_20220204.csv.gz")
    rows = [{"account": "a", "instrument": f"SPXW  991217C{k:08d}", "quantity": 1} for k in range(1, 10_001)]
    with pytest.raises(InputError, match="row 10000, column 'instrument'") as caught:
        read_positions(rows, market=market)
    assert len(caught.value.problems) == 10_000


# ------------------------------------------------------------------------------------------------ parameters


def _parameters(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    for place, value in changes.items():
        parent, *path = document, *place.split("__")
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "column 'colour': is no parameter of this family"),
        ({"shape__colour": 1}, "column 'shape.colour': is no parameter"),
        ({"underlyings__BTC__colour": 1}, "column 'underlyings.BTC.colour': is no parameter"),
        ({"format": "x"}, "format 'x', family 'scenario-grid'. A parameter document has format"),
        ({"shape": None}, "column 'shape': is missing or no object"),
        ({"shape": [1]}, "column 'shape': is missing or no object"),
        ({"underlyings": {}}, "column 'underlyings': is missing, empty or no object"),
        ({"underlyings__BTC": 5}, "column 'underlyings.BTC': is missing or no object"),
        ({"underlyings__BTC__price_range": "NaN"}, "price_range': is 'NaN'. A number from 1e-06 to 0.999"),
        ({"underlyings__BTC__price_range": float("nan")}, "price_range': is nan"),
        ({"underlyings__BTC__price_range": True}, "price_range': is True"),
        ({"underlyings__BTC__price_range": [0.1]}, "price_range': is a list"),
        ({"underlyings__BTC__price_range": "0_1"}, "price_range': is '0_1'"),
        ({"underlyings__BTC__price_range": 10**400}, "price_range': is 1000"),
        ({"underlyings__BTC__price_range": 10**5000}, "price_range': is a number that is too long"),
        ({"underlyings__BTC__price_range": "x" * 10_000}, r"price_range': is 'x{79}\.\.\. A number"),
        ({"shape__extended_moves": "x"}, "column 'shape.extended_moves': is 'x'. A list"),
        ({"shape__extended_moves": [0]}, "column 'shape.extended_moves': holds 0"),
        ({"shape__extended_moves": ["0.5"] * 1001}, "column 'shape.extended_moves': is a list"),
        ({"shape__price_steps": "2.5"}, "column 'shape.price_steps': is 2.5. A whole number"),
        ({"shape__price_steps": "1e9"}, "column 'shape.price_steps': is '1e9'"),
        ({"across_units": []}, "column 'across_units': is missing or no object"),
        ({"across_units__rule": ["common"]}, "column 'across_units.rule': is a list. One of independent, common"),
        ({"across_units__gain_cap": "-1"}, "column 'across_units.gain_cap': is '-1'"),
        ({"currency": "EUR"}, "column 'currency': is 'EUR'. This family margins in USD"),
        ({"version": 1}, "column 'version': is 1. A text"),
        ({"name": "a\x1b[31m"}, "column 'name': is 'a.x1b.31m'. A text"),
        ({"name": {}}, "column 'name': is an object. A text"),
    ],
)
def test_parameters_that_are_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        load_parameters(_parameters(**changes))


def test_all_problems_of_a_parameter_file_at_once() -> None:
    changes = {"shape__price_steps": "0", "maintenance_factor": "2", "underlyings__ETH__vol_range_up": ""}
    with pytest.raises(ParameterError) as caught:
        load_parameters(_parameters(**changes))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("section", [None, [], "x", 5])
def test_overrides_of_a_broken_document(section: Any) -> None:
    with pytest.raises(ParameterError, match=r"column 'shape.price_steps': is None"):
        load_parameters(_parameters(shape=section), time_step_days="1")


def test_parameter_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    for content, message in (
        (b"", "p.json: is not JSON"),
        (b"[]", "p.json: is not a JSON object"),
        (b"\xff\xfe", "p.json: is not UTF-8 text"),
        (b"[" * 100_000, "p.json: is not JSON"),
        (b" " * (4 * 1024**2 + 1), "p.json: larger than 4,194,304 bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(ParameterError, match=message):
            load_parameters(path)
    for missing in (tmp_path, tmp_path / "no.json", "no-such-set", "", ".", "a\0b", "../venue-grid-2026"):
        with pytest.raises(ParameterError, match="no parameter set and no file called"):
            load_parameters(missing)


# ------------------------------------------------------------------------------------------------ fuzz

MUTANTS = 1000


def _mutant(content: bytes, rng: random.Random) -> bytes:
    """A few bytes flipped, deleted, doubled, cut or replaced by what often breaks a parser."""
    raw = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(raw)) if raw else 0
        span = rng.choice((1, 1, 1, 2, 8, 40))
        match rng.randrange(7):
            case 0:
                raw[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del raw[at : at + span]
            case 2:
                raw[at:at] = raw[at : at + span]
            case 3:
                raw[at:at] = rng.choice(
                    (
                        b",",
                        b'"',
                        b"\n",
                        b"\r",
                        b"-",
                        b"0",
                        b"9" * 30,
                        b"e99",
                        b"nan",
                        b"NaN",
                        b"\x00",
                        b"\xff",
                        b"{",
                        b"[",
                    )
                )
            case 4 if raw:
                raw[at] ^= 1 << rng.randrange(8)
            case 5 if rng.random() < 0.1:
                del raw[at:]
            case _:
                other = rng.randrange(len(raw)) if raw else 0
                raw[at : at + span] = raw[other : other + span]
    return bytes(raw)


def _positions_csv() -> bytes:
    return (
        b"account,instrument,quantity,netting_set,segregation,account_type\n"
        b'a,BTC-26NOV21-58000-P,-10,s,x,net\nb,BTC-PERPETUAL,66500,s,x,\n"c d",BTC-31DEC21-80000-C,0.1,,,gross\n\n'
        b"d,SPXW  230915C04500000,1e2,,,\n"
    )


def _positions_parquet() -> bytes:
    out = io.BytesIO()
    pl.read_csv(_positions_csv().replace(b"\n\n", b"\n")).write_parquet(out, compression="uncompressed")
    return out.getvalue()


def _chain_csv() -> bytes:
    rows = [
        f"2026-02-05T21:29:37Z,BTC-27MAR26-{strike}-{right},{mark - 0.001},{mark + 0.001},{mark},0.84,"
        "63705.52,BTC-27MAR26,63853.73"
        for strike, call in ((60000, 0.15), (65000, 0.12), (70000, 0.09))
        for right, mark in (("C", call), ("P", round(call - 1 + strike / 63705.52, 8)))
    ]
    header = (
        "snapshot_time,instrument,bid_price,ask_price,mark_price,mark_iv,underlying_price,underlying_name,index_price"
    )
    return "\n".join((header, *rows, "")).encode()


def _cboe_csv() -> bytes:
    rows = [
        f"SPXW,SPXW220318{side}0{strike}000,{price},{price + 1},0.2,4500.53"
        for strike in (4400, 4450, 4500, 4550, 4600)
        for side, price in (("C", 4700 - strike), ("P", strike - 4200))
    ]
    return "\n".join(("root,instrument,bid_price,ask_price,iv,underlying_last", *rows, "")).encode()


def _summary_json() -> bytes:
    entries = [
        {
            "instrument_name": f"BTC-27MAR26-{strike}-C",
            "bid_price": 0.1,
            "ask_price": None,
            "mark_price": 0.12,
            "mark_iv": 84.1,
            "underlying_price": 63705.52,
            "underlying_index": "BTC-27MAR26",
            "estimated_delivery_price": 63853.73,
            "creation_timestamp": 1770326977000,
        }
        for strike in (60000, 65000)
    ]
    return json.dumps({"result": entries}).encode()


def _case_json() -> bytes:
    paths = sample_paths()
    result = cm.margin(paths.positions, sample_market(), balances=paths.balances)
    return write_case(cut_case(result.evaluation, result.index("linked_desks"))).encode()


def _margined(path: Path) -> object:
    """An account all the way to its rows, in a market and out of one."""
    book = read_positions(path)
    read_inputs(path, sample_market())
    return book


_JSON_READERS: dict[str, Callable[[Path], object]] = {
    "ccxt balance": cm.read_balances,
    "leverage tiers": cm.read_leverage_tiers,
    "chain file": read_market,
}
PARSERS: dict[str, tuple[str, Callable[[], bytes], Callable[[Path], object]]] = {
    "positions CSV": ("p.csv", _positions_csv, read_positions),
    "positions gzip": ("p.csv.gz", lambda: gzip.compress(_positions_csv(), mtime=0), read_positions),
    "positions Parquet": ("p.parquet", _positions_parquet, read_positions),
    "balances CSV": (
        "b.csv",
        lambda: b"account,asset,amount\na,USD,100\nb,BTC,-1.5\nc,usdc,1e3\n",
        lambda path: read_positions([{"account": "a", "instrument": "BTC-PERPETUAL", "quantity": 1}], path),
    ),
    "Deribit chain": ("chain.csv", _chain_csv, read_market),
    "Deribit summary": ("summary.json", _summary_json, read_market),
    "Cboe quotes": ("cboe_20220204.csv", _cboe_csv, read_market),
    "plain market": (
        "plain.csv",
        lambda: b"\n".join(sample_paths().market.read_bytes().splitlines()[:20]),
        read_market,
    ),
    "market with facts": (
        "plain.csv",
        lambda: (
            b"as_of,instrument,kind,index_price,mark_price,fact,value\n2026-01-01T00:00:00Z,BTC-PERPETUAL,,100,101,,\n"
            b"2026-01-01T00:00:00Z,BTC,fact,,,confidence,0.9\n2026-01-01T00:00:00Z,ETH,fact,,,open_interest,1e5\n"
        ),
        read_market,
    ),
    "positions with orders": (
        "p.csv",
        lambda: (
            b"account,instrument,quantity,open_buys,open_sells,unrealised_pnl\n"
            b"a,BTC-PERPETUAL,-10,1,,0.5\nb,BTC-PERPETUAL,0,,2.5,-0.00000001\n"
        ),
        read_positions,
    ),
    **{
        name: (f"{name}.json", partial(json_subjects().__getitem__, name), _JSON_READERS.get(name, _margined))
        for name in json_subjects()
    },
    "case": ("case.json", _case_json, read_case),
    "parameters": ("parameters.json", SHIPPED.read_bytes, load_parameters),
}


@pytest.mark.parametrize("name", PARSERS)
def test_mutants_of_valid_files_raise_nothing_but_our_errors(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, content, read = PARSERS[name]
    valid = content()
    path = tmp_path / file
    path.write_bytes(valid)
    read(path)
    rng = random.Random(name)
    refused = 0
    for _ in range(MUTANTS):
        path.write_bytes(_mutant(valid, rng))
        try:
            read(path)
        except CrossmarginError:
            refused += 1
    assert refused > MUTANTS / 10
    capfd.readouterr()  # polars reports a panic of its own on stderr before we turn it into an error


def test_mutants_of_whole_markets_never_give_an_answer_that_is_no_number(tmp_path: Path) -> None:
    """What passes the door is margined to finite figures, or refused there: NaN is never an answer."""
    positions = [
        {"account": "a", "instrument": "BTC-27MAR26-60000-C", "quantity": -3},
        {"account": "a", "instrument": "BTC-27MAR26-70000-P", "quantity": 2},
        {"account": "a", "instrument": "BTC-PERPETUAL", "quantity": 100},
    ]
    valid, rng, path = _chain_csv(), random.Random(3), tmp_path / "chain.csv"
    answered = 0
    for _ in range(300):
        path.write_bytes(_mutant(valid, rng))
        try:
            result = cm.margin(positions, path)
        except CrossmarginError:
            continue
        answered += 1
        requirement = result.requirement_initial("a")
        assert 0 < requirement < 1e30
        result.to_json()
    assert answered > 30


_NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e300, -0.0, 10**30, "", "x", "NaN", "1e999", "1_0", "٣", " 1 ", [], {}, [1], {"a": 1},
    "BTC-PERPETUAL", "BTC/USDT:USDT", {"total": 1}, [[]], "a\x00", "y" * 300, float("nan"), float("inf"), b"1",
)  # fmt: skip


def _somewhere(document: Any, rng: random.Random) -> Any:
    """The document with one node, or one name, in place of another."""
    if rng.random() < 0.15 or not isinstance(document, dict | list) or not document:
        return rng.choice(_NASTY)
    if isinstance(document, list):
        k = rng.randrange(len(document))
        return [*document[:k], _somewhere(document[k], rng), *document[k + (rng.random() < 0.9) :]]
    key = rng.choice(list(document))
    if rng.random() < 0.2:
        return {
            rng.choice(("x", "", "symbol", "positions", 5, None)) if k == key else k: v for k, v in document.items()
        }
    return document | {key: _somewhere(document[key], rng)}


@pytest.mark.parametrize("name", json_subjects())
def test_objects_with_anything_anywhere_raise_nothing_but_our_errors(name: str) -> None:
    """What a client hands over as Python objects is no safer than a file."""
    rng, valid, refused = random.Random(name), json.loads(json_subjects()[name]), 0
    for _ in range(MUTANTS):
        document = _somewhere(valid, rng)
        try:
            if name == "leverage tiers":
                cm.read_leverage_tiers(document if isinstance(document, dict) else {})
            elif name == "chain file":
                deribit_summary.from_summary(document, file="chain.json", as_of=None)
            else:
                (cm.read_balances if name == "ccxt balance" else read_positions)(document)
        except CrossmarginError:
            refused += 1
    assert MUTANTS / 10 < refused < MUTANTS
