"""Accounts as venues and ccxt report them: what comes of each shape, and every field that can be wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import crossmargin as cm
from crossmargin.basics.errors import CrossmarginError, InputError
from crossmargin.basics.quantities import format_quantity
from crossmargin.files.market import read_market
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import Book
from crossmargin.sample import sample_market

PUT = "BTC-26NOV21-58000-P"
DERIBIT: dict[str, Any] = {
    "jsonrpc": "2.0",
    "result": [
        {
            "instrument_name": "BTC-PERPETUAL",
            "kind": "future",
            "direction": "sell",
            "size": -5005,
            "size_currency": -0.0752631579,
            "floating_profit_loss": 0.000012345678,
            "average_price": 66_000.5,
        },
        {"instrument_name": PUT, "kind": "option", "direction": "buy", "size": 1.5, "floating_profit_loss": 0.2},
        {"instrument_name": "BTC-31DEC21", "kind": "future", "direction": "zero", "size": 0, "size_currency": 0},
    ],
}
DERIVE: dict[str, Any] = {
    "subaccount_id": 37799,
    "label": "",
    "positions": [
        {"instrument_name": "BTC-20211126-58000-P", "amount": "-2.5", "unrealized_pnl": "12"},
        {"instrument_name": "BTC-PERP", "amount": "1", "unrealized_pnl": "100.5", "pending_funding": "-0.25"},
        {"instrument_name": "ETH-PERP", "amount": "0", "unrealized_pnl": "0", "pending_funding": "0"},
    ],
    "collaterals": [
        {"asset_name": "USDC", "amount": "47899.000191362549", "pending_interest": "-0.5"},
        {"asset_name": "BTC", "amount": "0.1"},
    ],
    "open_orders": [
        {
            "instrument_name": "BTC-PERP",
            "direction": "sell",
            "amount": "0.5",
            "filled_amount": "0.2",
            "order_status": "open",
        },
        {
            "instrument_name": "BTC-PERP",
            "direction": "buy",
            "amount": "9",
            "filled_amount": "0",
            "order_status": "expired",
        },
    ],
}
CCXT_POSITIONS: list[dict[str, Any]] = [
    {
        "symbol": "BTC/USD:BTC-211126-58000-P",
        "side": "short",
        "contracts": 200.0,
        "contractSize": 0.01,
        "unrealizedPnl": 0.1,
        "marginMode": "cross",
        "info": {},
    },
    {"symbol": "BTC/USDT:USDT", "side": "long", "contracts": 30, "contractSize": 0.01, "unrealizedPnl": -12.5},
    {"symbol": "BTC/USD:BTC", "side": "long", "contracts": 3, "contractSize": 100.0, "unrealizedPnl": 0.01},
    {"symbol": "ETH/USDT:USDT", "side": None, "contracts": 0.0, "contractSize": 0.1, "unrealizedPnl": None},
]
CCXT_BALANCE: dict[str, Any] = {
    "info": {"anything": [1]},
    "timestamp": None,
    "datetime": None,
    "free": {"USDT": 900.5, "BTC": None, "BNB": 0.0},
    "used": {"USDT": 100.0, "BTC": None, "BNB": 0.0},
    "total": {"USDT": 1000.5, "BTC": None, "BNB": 0.0},
    "debt": {"USDT": 0.5},
    "USDT": {"free": 900.5, "used": 100.0, "total": 1000.5},
    "BTC": {"free": 0.25, "used": 0.05, "total": None},
    "BNB": {"free": 0.0, "used": 0.0, "total": 0.0},
}
CCXT_ORDERS: list[dict[str, Any]] = [
    {
        "symbol": "BTC/USDT:USDT",
        "side": "buy",
        "amount": 5,
        "remaining": 4.0,
        "filled": 1.0,
        "price": 1.0,
        "status": "open",
    },
    {"symbol": "BTC/USDT:USDT", "side": "sell", "amount": 7, "remaining": None, "filled": 2, "status": "open"},
    {"symbol": "BTC/USDT:USDT", "side": "sell", "amount": 7, "remaining": 0.0, "status": "closed"},
]


def _held(book: Book) -> dict[str, str]:
    p = book.member_positions
    return {book.instruments[p.instrument[k]]: format_quantity(int(p.steps[k])) for k in range(len(p.steps))}


def _carried(book: Book) -> dict[str, tuple[str, str, str]]:
    c = book.carried
    if c is None:
        return {}
    return {
        c.instruments[c.instrument[k]]: (
            format_quantity(int(c.buys[k])),
            format_quantity(int(c.sells[k])),
            format_quantity(int(c.unrealised[k])),
        )
        for k in range(len(c.account))
    }


def _cash(book: Book) -> dict[str, str] | None:
    b = book.balances
    if b is None:
        return None
    return {b.assets[b.asset[k]]: format_quantity(int(b.steps[k])) for k in range(len(b.steps))}


@pytest.fixture(params=["live", "file"])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A document as Python objects, and as a JSON file: both say the same."""

    def as_given(document: Any, name: str = "account.json") -> Any:
        if request.param == "live":
            return document
        path = tmp_path / name
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return as_given


def test_positions_of_deribit_are_counted_in_contracts(given: Any) -> None:
    book = cm.read_positions(given(DERIBIT))
    assert book.accounts == ("main",)
    assert _held(book) == {"BTC-PERPETUAL": "-500.5", PUT: "1.5"}  # 5,005 dollars are 500.5 contracts of 10
    assert _carried(book) == {"BTC-PERPETUAL": ("0", "0", "0.00001234")}  # rounded down; an option's is in its value
    assert book.balances is None
    assert _held(cm.read_positions(given(DERIBIT["result"]))) == _held(book)


def test_sizes_by_instrument(given: Any) -> None:
    book = cm.read_positions(given({"BTC-PERPETUAL": -1000.0, PUT: 2, "BTC-26NOV21-48000-P": 0}))
    assert _held(book) == {"BTC-PERPETUAL": "-100", PUT: "2"}
    with pytest.raises(CrossmarginError, match=r"column 'BTC_USDC-PERPETUAL': the size of .* may be in coin"):
        cm.read_positions(given({"BTC_USDC-PERPETUAL": 1}))


def test_a_linear_future_of_deribit_counts_its_coins() -> None:
    row = {"instrument_name": "BTC_USDC-PERPETUAL", "direction": "buy", "size": 6_650, "size_currency": 0.1}
    assert _held(cm.read_positions([row])) == {"BTC_USDC-PERPETUAL": "100"}
    with pytest.raises(InputError, match="row 1, column 'size_currency': is None, which is no finite number"):
        cm.read_positions([row | {"size_currency": None}])


def test_a_subaccount_of_derive(given: Any) -> None:
    book = cm.read_positions(given(DERIVE))
    assert book.accounts == ("37799",)
    assert _held(book) == {"BTC-20211126-58000-P": "-2.5", "BTC-PERP": "1"}
    assert _carried(book) == {"BTC-PERP": ("0", "0.3", "100.25")}
    assert _cash(book) == {"BTC": "0.1", "USDC": "47898.50019136"}
    assert cm.read_positions(given({"id": 1, "result": DERIVE})).accounts == ("37799",)
    assert cm.read_positions(given(DERIVE), account="alice").accounts == ("alice",)


def test_two_subaccounts_are_two_accounts(given: Any) -> None:
    book = cm.read_positions(given([DERIVE, DERIVE | {"subaccount_id": 5}]))
    assert book.accounts == ("37799", "5")


def test_ccxt(given: Any) -> None:
    book = cm.read_positions(given(CCXT_POSITIONS), given(CCXT_BALANCE, "b.json"), orders=given(CCXT_ORDERS, "o.json"))
    assert _held(book) == {PUT: "-2", "BTC/USDT:USDT": "0.3", "BTC-PERPETUAL": "30"}
    assert _carried(book) == {"BTC/USDT:USDT": ("0.04", "0.05", "-12.5"), "BTC-PERPETUAL": ("0", "0", "0.01")}
    assert _cash(book) == {"BTC": "0.3", "USDT": "1000"}
    together = {"account": "main", "positions": CCXT_POSITIONS, "balance": CCXT_BALANCE, "orders": CCXT_ORDERS}
    again = cm.read_positions(given(together, "together.json"))
    assert (_held(again), _carried(again), _cash(again)) == (_held(book), _carried(book), _cash(book))


def test_the_size_of_an_order_without_a_position_is_in_the_markets(given: Any) -> None:
    document = {"orders": CCXT_ORDERS, "markets": {"BTC/USDT:USDT": {"contractSize": 0.1}, "X": {"contractSize": None}}}
    assert _carried(cm.read_positions(given(document))) == {"BTC/USDT:USDT": ("0.4", "0.5", "0")}
    with pytest.raises(InputError, match="orders, row 1, column 'symbol': the contract size of 'BTC/USDT:USDT' is not"):
        cm.read_positions(given({"orders": CCXT_ORDERS}))


def test_a_position_of_deribit_in_ccxt_is_read_from_what_deribit_said() -> None:
    row = {"symbol": "BTC/USD:BTC", "contracts": None, "contractSize": 10, "info": DERIBIT["result"][0]}
    assert _held(cm.read_positions([row])) == {"BTC-PERPETUAL": "-500.5"}


def test_an_account_that_holds_nothing_is_an_account(given: Any) -> None:
    for document in ({"result": []}, {"positions": []}):
        book = cm.read_positions(given(document))
        assert (book.accounts, _held(book)) == (("main",), {})
    result = cm.margin(given({"positions": [], "balance": {"USDC": 5}}), sample_market())
    assert result.figures.standing is not None
    assert result.figures.standing.equity.tolist() == [5.0]


def test_the_market_says_what_a_contract_is_called(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(
        "as_of,instrument,index_price,mark_price,multiplier\n"
        "2021-10-20T21:24:34Z,BTC/USDT:USDT,66500,66510,0.01\n"
        "2021-10-20T21:24:34Z,BTC/USD:BTC,66500,66490,\n",
        encoding="utf-8",
    )
    book = cm.read_positions(CCXT_POSITIONS[1:3], market=read_market(path))
    assert _held(book) == {"BTC/USDT:USDT": "30", "BTC/USD:BTC": "300"}


def test_what_is_not_listed_takes_its_twin() -> None:
    market = sample_market()
    result = cm.margin(DERIVE, market)
    seen = result.prepared.market
    assert any("BTC-20211126-58000-P those of BTC-26NOV21-58000-P" in note for note in seen.notes)
    row = {name: k for k, name in enumerate(seen.instruments.names)}
    for column in ("vol", "forward", "discount"):
        values = getattr(seen, column)
        assert values[row["BTC-20211126-58000-P"]] == values[row[PUT]]
    assert seen.mark[row["BTC-PERP"]] == seen.mark[row["BTC-PERPETUAL"]]
    assert [fill.instrument for fill in result.figures.fills if fill.field == "mark"] == ["BTC-20211126-58000-P"]
    assert "marks" not in market.notes  # and the market that was given is as it was
    assert "BTC-PERP" not in market
    listed = cm.margin([{"account": "a", "instrument": "BTC-PERP", "quantity": 1}], market)
    frame = cm.read_positions([{"account": "a", "instrument": "BTC-PERP", "quantity": 1}])
    assert cm.margin(frame, market).requirement_initial("a") == listed.requirement_initial("a") > 0
    with pytest.raises(InputError, match=r"'BTC-20211126-58500-P' is not in the market .* The nearest"):
        cm.margin([{"instrument_name": "BTC-20211126-58500-P", "amount": "1"}], market)


def test_a_linear_option_is_worth_what_the_inverse_one_is_in_dollars() -> None:
    """The same risk. A price in coin is one over the forward, and a coin is worth the index: only these two differ."""
    rows = [
        {"account": a, "instrument": n, "quantity": -1} for a, n in (("coin", PUT), ("usdc", "BTC-20211126-58000-P"))
    ]
    result = cm.margin(rows, sample_market())
    coin, usdc = (result.requirement_initial(name) for name in ("coin", "usdc"))
    market = result.prepared.market
    forward = market.forward[market.instruments.names.index(PUT)]
    assert coin == pytest.approx(usdc * market.index["BTC"] / forward, rel=1e-12)


POSITION_FAULTS: list[tuple[dict[str, Any], str]] = [
    (
        {"instrument_name": "BTC-PERPETUAL", "size": "x", "direction": "sell"},
        "column 'size': is 'x', which is no finite",
    ),
    ({"instrument_name": "BTC-PERPETUAL", "size": True, "direction": "sell"}, "column 'size': is True"),
    ({"instrument_name": "BTC-PERPETUAL", "size": float("nan"), "direction": "sell"}, "column 'size': is nan"),
    ({"instrument_name": "BTC-PERPETUAL", "size": "Infinity", "direction": "sell"}, "column 'size': is 'Infinity'"),
    ({"instrument_name": "BTC-PERPETUAL", "size": 1e300, "direction": "sell"}, "column 'size': 1E.300 is out of range"),
    ({"instrument_name": "BTC-PERPETUAL", "size": 10, "direction": "up"}, "'direction': is 'up'. One of buy, sell"),
    ({"instrument_name": "BTC-PERPETUAL", "size": -10, "direction": "buy"}, "'direction': is buy, and size is -10"),
    ({"instrument_name": "BTC-PERPETUAL", "size": 10, "direction": "zero"}, "'direction': is zero, and size is 10"),
    ({"instrument_name": None, "size": 10, "direction": "buy"}, "column 'instrument_name': is None"),
    (
        {"instrument_name": "BTC-99XXX21", "size": 10, "direction": "buy"},
        "column 'instrument_name': 'BTC-99XXX21' is no",
    ),
    (
        {"instrument_name": "BTC-PERPETUAL", "size": "0.00000001", "direction": "buy"},
        "no number of contracts that are 10",
    ),
    ({"instrument_name": "BTC-PERP", "amount": "x"}, "column 'amount': is 'x'"),
    ({"instrument_name": "BTC-PERP", "amount": "1", "unrealized_pnl": "y"}, "column 'unrealized_pnl': is 'y'"),
    ({"symbol": "BTC/USDT:USDT", "contracts": 1, "side": "long"}, "column 'contractSize': is missing"),
    ({"symbol": "BTC/USDT:USDT", "contracts": 1, "contractSize": 0, "side": "long"}, "column 'contractSize': is 0"),
    ({"symbol": "BTC/USDT:USDT", "contracts": 1, "contractSize": 1, "side": None}, "column 'side': is None"),
    ({"symbol": "BTC/USDT:USDT", "contracts": -1, "contractSize": 1, "side": "long"}, "is long, and contracts is -1"),
    (
        {"symbol": "BTC-USDT", "contracts": 1, "contractSize": 1, "side": "long"},
        "column 'symbol': 'BTC-USDT' is no symbol",
    ),
    (
        {"symbol": "BTC/USDT:USDT", "contracts": 1, "contractSize": 1, "side": "long", "marginMode": "isolated"},
        "column 'marginMode': an isolated position",
    ),
    ({"colour": 1}, "is no position that we know: its fields are colour"),
]


@pytest.mark.parametrize(("row", "message"), POSITION_FAULTS)
def test_positions_that_cannot_be_used_are_named(row: dict[str, Any], message: str) -> None:
    first = {"instrument_name": "BTC-PERPETUAL", "size": 10, "direction": "buy"}
    with pytest.raises(CrossmarginError, match=f"^positions, row 2.*{message}"):
        cm.read_positions([first, row])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"instrument_name": "BTC-PERP", "direction": "buy", "amount": "1", "filled_amount": "2"},
            "'amount': -1 would rest",
        ),
        ({"instrument_name": "BTC-PERP", "direction": "long", "amount": "1"}, "'direction': is 'long'"),
        ({"instrument_name": "BTC-PERP", "direction": "buy", "amount": None}, "'amount': is None"),
        (
            {"instrument_name": "BTC-PERP", "direction": "buy", "amount": 1, "order_status": "x"},
            "'order_status': is 'x'",
        ),
        ({"symbol": "BTC/USDT:USDT", "side": "long", "amount": 1}, "'side': is 'long'"),
        ({"symbol": "BTC/USDT:USDT", "side": "buy", "amount": 1, "status": "?"}, "'status': is '.'. One of open"),
        ({"symbol": "BTC/USDT:USDT", "side": "buy", "remaining": "NaN"}, "'remaining': is 'NaN'"),
        ({"price": 1}, "is no order that we know"),
    ],
)
def test_orders_that_cannot_be_used_are_named(row: dict[str, Any], message: str) -> None:
    with pytest.raises(CrossmarginError, match=f"^orders, row 1.*{message}"):
        cm.read_positions({"positions": [], "orders": [row], "markets": {"BTC/USDT:USDT": {"contractSize": 1}}})


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ({"DOGE": {"total": 1}}, "balance, column 'DOGE': 'DOGE' is no collateral that the schedule accepts"),
        ({"USDT": {"total": "x"}}, "balance, column 'USDT.total': is 'x'"),
        ({"USDT": {"free": None, "used": None, "total": None}}, "column 'USDT.total': is None"),
        ({"USDT": {"total": 1, "debt": "?"}}, "column 'USDT.debt': is '.'"),
        ({"USDC": True}, "column 'USDC': is True"),
        ([{"asset_name": "USDC"}], "balance, row 1: is no balance that we know"),
        ([{"asset_name": None, "amount": 1}], "row 1, column 'asset_name': is None"),
        ([5], "row 1: is 5, and no object"),
        ({"USDC": 1e19}, "column 'USDC': 1E.19 is out of range"),
    ],
)
def test_balances_that_cannot_be_used_are_named(balance: Any, message: str) -> None:
    with pytest.raises(CrossmarginError, match=message):
        cm.read_positions({"positions": [], "balance": balance})


def test_every_problem_of_every_part_is_in_one_error(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    rows = [row for row, _ in POSITION_FAULTS if row.get("size") != row.get("size") or "size" in row]
    rows = [row for row in rows if row["size"] == row["size"]]
    path.write_text(json.dumps({"positions": rows, "balance": {"DOGE": 1}, "orders": [{"x": 1}]}), encoding="utf-8")
    with pytest.raises(CrossmarginError) as caught:
        cm.margin(path, sample_market())
    places = [(p.file, p.row, p.column) for p in caught.value.problems]
    assert len([place for place in places if place[0] == "account.json, positions"]) == len(rows)
    assert ("account.json, balance", None, "DOGE") in places
    assert ("account.json, orders", 1, "") in places


def test_quarantine_leaves_out_the_account_that_a_row_is_of() -> None:
    bad = DERIVE | {"subaccount_id": 5, "positions": [{"instrument_name": "BTC-PERP", "amount": "x"}]}
    result = cm.margin([DERIVE, bad], sample_market(), on_error="quarantine")
    assert result.accounts == ("37799",)
    assert [one.account for one in result.unmargined] == ["5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "account.json: is JSON, but no case, and no positions that a venue answers"),
        ("[]", "account.json: is JSON, but no case"),
        ("[1]", "account.json: is JSON, but no case"),
        ('{"error":{"code":13009,"message":"unauthorized"}}', "is an error reply of the venue .13009, unauthorized"),
        ('{"positions":5}', "account.json: is JSON, but no case"),
        ('{"positions":[],"orders":7}', "account.json, orders: is int, and no list of objects"),
        ('{"positions":[{"size":1,"size":2}]}', "'size' stands twice in one object"),
        ('{"positions":[{"instrument_name":"BTC-PERP","amount":NaN}]}', "NaN is no number here"),
        (
            '{"positions":[{"instrument_name":"BTC-PERP","amount":1e9999999999999999999}]}',
            "account.json: is no JSON|range",
        ),
        ('{"positions":' + "[" * 1000, "is nested more than 64 deep"),
        ('{"account":["x"],"positions":[]}', "column 'account': is .'x'.. Give a name"),
        ('{"account":"a\\u0000","positions":[]}', "column 'account': account 'a.x00' has characters"),
        ("[" + "9" * 5000 + "]", "is no JSON .Exceeds the limit"),
    ],
)
def test_json_that_is_no_account(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "account.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        cm.read_positions(path)


def test_a_list_of_our_own_rows_in_json(tmp_path: Path) -> None:
    path, cash = tmp_path / "rows.json", tmp_path / "cash.json"
    path.write_text('[{"account":"a","instrument":"BTC-PERPETUAL","quantity":1.5,"open_buys":2}]', encoding="utf-8")
    cash.write_text('[{"account":"a","asset":"USDC","amount":1e2}]', encoding="utf-8")
    book = cm.read_positions(path, cash)
    assert (_held(book), _carried(book), _cash(book)) == (
        {"BTC-PERPETUAL": "1.5"},
        {"BTC-PERPETUAL": ("2", "0", "0")},
        {"USDC": "100"},
    )


def test_what_does_not_belong_together() -> None:
    with pytest.raises(InputError, match="balances beside positions that state their own"):
        cm.read_positions(DERIVE, CCXT_BALANCE)
    table = [{"account": "a", "instrument": "BTC-PERPETUAL", "quantity": 1}]
    with pytest.raises(InputError, match="open orders beside a table of positions"):
        cm.read_positions(table, orders=CCXT_ORDERS)
    with pytest.raises(InputError, match="the name of an account beside a table"):
        cm.read_positions(table, account="a")
    with pytest.raises(InputError, match="orders beside a book"):
        cm.read_positions(cm.read_positions(table), orders=CCXT_ORDERS)


def test_balances_alone(given: Any) -> None:
    assert cm.read_balances(given(CCXT_BALANCE), account="a") == [
        {"account": "a", "asset": "USDT", "amount": "1000"},
        {"account": "a", "asset": "BTC", "amount": "0.3"},
    ]
    summary = {"result": {"currency": "BTC", "balance": 1.25, "equity": 2, "options_value": 0.75}}
    assert cm.read_balances(given(summary)) == [{"account": "main", "asset": "BTC", "amount": "1.25"}]
    summaries = {
        "result": {"id": 3, "summaries": [{"currency": "BTC", "balance": 1}, {"currency": "ETH", "balance": 2}]}
    }
    assert [one["asset"] for one in cm.read_balances(given(summaries))] == ["BTC", "ETH"]
    assert cm.read_balances(given(DERIVE))[0]["amount"] == "47898.50019136"
    assert cm.read_balances(given({"USDC": 5, "wsteth": "0.1"}))[1]["asset"] == "WSTETH"
    assert cm.read_balances([{"account": "a", "asset": "usd", "amount": 1}]) == [
        {"account": "a", "asset": "USD", "amount": "1"}
    ]


def test_a_debt_is_rounded_up() -> None:
    assert cm.read_balances({"USDC": "-0.000000001"}) == [{"account": "main", "asset": "USDC", "amount": "-0.00000001"}]


def test_numbers_are_what_they_are_written_as(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text('{"positions":[{"instrument_name":"BTC-PERP","amount":0.1}]}', encoding="utf-8")
    assert _held(cm.read_positions(path)) == {"BTC-PERP": "0.1"}
    row = {"instrument_name": "BTC-PERP", "amount": Decimal("0.1")}
    assert _held(cm.read_positions([row, row | {"amount": 0.2}, row | {"amount": "-0.3"}])) == {}


def test_a_methodology_with_a_schedule_of_its_own_says_what_is_cover() -> None:
    document = DERIVE | {"collaterals": [{"asset_name": "WSTETH", "amount": "1"}]}
    with pytest.raises(CrossmarginError, match="collaterals, row 1, column 'asset_name': 'WSTETH' is no collateral"):
        cm.margin(document, sample_market())


@pytest.mark.parametrize("methodology", ["scenario-grid", "derive-pmrm2"])
def test_an_answer_in_the_shape_of_ccxt(methodology: str) -> None:
    market: Market = sample_market()
    result = cm.margin(DERIVE, market, methodology=methodology)
    answer = result.to_ccxt("37799")
    json.dumps(answer, allow_nan=False)
    summary, positions = answer["account"], answer["positions"]
    assert {p["symbol"]: (p["side"], p["contracts"], p["contractSize"]) for p in positions} == {
        "BTC/USDC:USDC-211126-58000-P": ("short", 2.5, 1.0),
        "BTC/USDC:USDC": ("long", 1.0, 1.0),
    }
    shares = [p["initialMargin"] for p in positions]
    shares += [*summary["info"]["balances"].values(), *summary["info"]["charges"].values()]
    assert sum(shares) == pytest.approx(summary["initialMargin"], rel=1e-12)
    assert summary["initialMargin"] == result.requirement_initial("37799")
    assert summary["excess"] == summary["equity"] - summary["initialMargin"]
    assert summary["marginRatio"] == pytest.approx(summary["maintenanceMargin"] / summary["equity"])
    assert summary["timestamp"] == int(market.as_of.timestamp() * 1000)
    for position in positions:
        assert position["marginMode"] == "cross"
        assert position["collateral"] == summary["collateral"]
        assert position["notional"] == 66_500 * position["contracts"]
        assert position["initialMarginPercentage"] == position["initialMargin"] / position["notional"]
    assert [p["unrealizedPnl"] for p in positions] == [None, 100.25]
    assert list(summary["info"]["balances"]) == ["BTC"]


def test_without_balances_there_is_no_equity_to_state() -> None:
    answer = cm.margin(DERIBIT, sample_market()).to_ccxt("main")
    assert [answer["account"][name] for name in ("equity", "excess", "collateral", "marginRatio")] == [None] * 4
    assert [p["notional"] for p in answer["positions"]] == [99_750.0, 5_005.0]


TIERS: dict[str, Any] = {
    "BTC/USDT:USDT": [
        {"tier": 1, "minNotional": 0, "maxNotional": 50_000, "maintenanceMarginRate": 0.004, "maxLeverage": 125},
        {"tier": 2, "minNotional": 50_000, "maxNotional": None, "maintenanceMarginRate": 0.005, "maxLeverage": 100},
    ]
}


def test_leverage_tiers(given: Any) -> None:
    from crossmargin.files.leverage_tiers import tier_of

    tiers = cm.read_leverage_tiers(given(TIERS))["BTC/USDT:USDT"]
    assert tier_of(tiers, Decimal(50_000)).maintenance_rate == Decimal("0.004")
    assert tier_of(tiers, Decimal(50_001)).initial_rate == Decimal("0.01")
    assert tiers[1].notional_max == Decimal("Infinity")
    with pytest.raises(InputError, match="a notional of -1 is in no tier"):
        tier_of(tiers, Decimal(-1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minNotional": 40_000}, "row 2, column 'minNotional': begins at 40000, where the one before has not ended"),
        ({"maintenanceMarginRate": 0.003}, "row 2, column 'maintenanceMarginRate': 0.003 is below the one before"),
        ({"maxLeverage": 126}, "row 2, column 'maxLeverage': 126 is above the one before"),
        ({"maxLeverage": 0.5}, "row 2, column 'maxLeverage': is 0.5. 1 or more"),
        ({"maintenanceMarginRate": 1.5}, "row 2, column 'maintenanceMarginRate': is 1.5. A fraction"),
        ({"maintenanceMarginRate": 0.02}, "row 2, column 'maxLeverage': 100 asks for less than maintenance"),
        ({"minNotional": None}, "row 2, column 'minNotional': is None"),
    ],
)
def test_leverage_tiers_that_are_no_schedule(changes: dict[str, Any], message: str) -> None:
    first, second = TIERS["BTC/USDT:USDT"]
    with pytest.raises(InputError, match=f"leverage tiers, BTC/USDT:USDT, {message}"):
        cm.read_leverage_tiers({"BTC/USDT:USDT": [first, second | changes]})
    for wrong in ({}, [], {"BTC/USDT:USDT": []}, {"BTC/USDT:USDT": [1]}, {5: []}):
        with pytest.raises(InputError):
            cm.read_leverage_tiers(wrong)
