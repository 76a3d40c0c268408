"""Small files to be mutated: parameter files of both forms, and accounts and chains as venues answer them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from benchmarks.span_files import spn
from tests.files import pa2_writer


@cache
def subjects() -> dict[str, bytes]:
    """By name."""
    return {"small.spn": spn(small=True), "small.pa2": pa2_writer.written(pa2_writer.small())}


def json_subjects() -> dict[str, bytes]:
    """By name: what `read_positions`, `read_balances`, `read_leverage_tiers` and `read_market` read."""
    positions = [
        {"instrument_name": "BTC-PERPETUAL", "direction": "sell", "size": -5005.0, "floating_profit_loss": 1.5e-05},
        {"instrument_name": "BTC-26NOV21-58000-P", "direction": "buy", "size": 1.5},
        {"instrument_name": "BTC_USDC-PERPETUAL", "direction": "buy", "size": 0.1, "size_currency": 0.1},
    ]
    derive = {
        "subaccount_id": 37799,
        "positions": [
            {"instrument_name": "BTC-20211126-58000-P", "amount": "-2.5", "unrealized_pnl": "12"},
            {"instrument_name": "BTC-PERP", "amount": "1", "unrealized_pnl": "100.5", "pending_funding": "-0.25"},
        ],
        "collaterals": [{"asset_name": "USDC", "amount": "47899.000191362549", "pending_interest": "-0.5"}],
        "open_orders": [
            {"instrument_name": "BTC-PERP", "direction": "sell", "amount": "0.5", "filled_amount": "0.2"},
        ],
    }
    symbol = "BTC/USDT:USDT"
    ccxt = {
        "account": "alice",
        "positions": [
            {"symbol": "BTC/USD:BTC-211126-58000-P", "side": "short", "contracts": 200.0, "contractSize": 0.01},
            {"symbol": symbol, "side": "long", "contracts": 30, "contractSize": 0.01, "unrealizedPnl": -12.5},
        ],
        "balance": {"USDT": {"free": 900.5, "used": 100.0, "total": 1000.5}, "total": {"USDT": 1000.5}, "info": {}},
        "orders": [{"symbol": symbol, "side": "buy", "amount": 5, "remaining": 4.0, "status": "open"}],
        "markets": {symbol: {"contractSize": 0.01}},
    }
    tiers = [
        {"tier": 1, "minNotional": 0, "maxNotional": 50000, "maintenanceMarginRate": 0.004, "maxLeverage": 125},
        {"tier": 2, "minNotional": 50000, "maxNotional": None, "maintenanceMarginRate": 0.005, "maxLeverage": 100},
    ]
    entries: list[dict[str, Any]] = [
        {
            "instrument_name": f"BTC-27MAR26-{strike}-C",
            "bid_price": 0.1,
            "ask_price": None,
            "mark_price": 0.12,
            "mark_iv": 84.1,
            "underlying_price": 63705.52,
            "underlying_index": "SYN.BTC-27MAR26",
            "creation_timestamp": 1770326977000,
        }
        for strike in (60000, 65000)
    ]
    chain = {
        "format": "crossmargin-chain/1",
        "as_of": "2026-02-05T21:29:37Z",
        "index_price": {"BTC": 63853.73},
        "result": entries,
    }
    documents = {
        "Deribit positions": {"jsonrpc": "2.0", "result": positions, "usIn": 1770326977000000},
        "Deribit sizes": {"BTC-PERPETUAL": -1000.0, "BTC-26NOV21-58000-P": 2},
        "Derive subaccount": derive,
        "ccxt account": ccxt,
        "ccxt balance": ccxt["balance"],
        "leverage tiers": {symbol: tiers},
        "chain file": chain,
    }
    return {name: json.dumps(document).encode() for name, document in documents.items()}
