"""Runners of Deribit's portfolio margin: a response of its simulation, figure by figure, through the engine.

The response's `model_params` are the parameter set as they are. Positions are stated in coin; as contracts they are
rounded to the engine's 1e-8, which moves a margin by less than 1e-11 of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.arrays import FloatArray
from crossmargin.engine.evaluate import evaluate
from crossmargin.files.positions import read_positions
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.venue_grids.deribit import steps
from crossmargin.methodologies.venue_grids.deribit.contracts import DeribitContracts
from crossmargin.methodologies.venue_grids.deribit.method import DeribitPortfolioMargin
from crossmargin.methodologies.venue_grids.deribit.recipe import DeribitBreakdown, counted_pnl, unit_counted
from tests.reference.loader import Vector

EXTENDED_MOVES = ["-0.66", "-0.33", "0.5", "1", "2", "3", "4", "5"]
NOT_STATED: dict[str, dict[str, Any]] = {
    "general": {"vol_scenarios_count": 3},
    "currency": {
        "pnl_offset": 0,
        "max_offsetable_pnl": 0,
        "extended_dampener": 0,
        "correlation_set": False,
        "equity_side_impact": "none",
        "haircut": 0,
    },
    "currency_pair": {"m_inc": 0, "delta_total_liq_shock_threshold": 0, "max_delta_shock": 0},
    "rules": {
        "extended_moves": EXTENDED_MOVES,
        "roll_form": "linear",
        "cross": False,
        "vega_days_floor": "1",
        "settlement_window_minutes": "30",
        "correlation_contingency": "0",
    },
}
"""What a vector need not state: none of the figures that it expects may rest on it then."""
CHARGES = ("open_orders_margin", "mmp_margin", "spot_margin")
"""What a response charges for orders and for the account, neither of which it lists."""


def deribit_pme(vector: Vector) -> set[str]:
    """Every figure of the response, or of a part of one."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    close: dict[str, Any] = {"abs": float(vector.document["tolerance"]["absolute"]), "rel": 0.0}
    market, method = _market(vector), _method(vector)
    rows = []
    for name, coins in inputs["positions_base_currency"].items():
        contracts = coins * float(inputs["mark"][name]) / float(parse_symbol(name).multiplier)
        rows.append({"account": "a", "instrument": name, "quantity": f"{contracts:.8f}"})
    result = evaluate(read_positions(rows), market, method)
    (unit,) = result.requirements.units.of(0)
    kept: Any = result.requirements.breakdown
    book, priced, found = kept.book, kept.priced, kept.measured.detail
    assert isinstance(found, DeribitBreakdown)
    assert isinstance(priced, DeribitContracts)
    currency = priced.currency_of(0)
    assert currency == expected.get("unit", inputs["currency"])

    tables = [table[0] for table in counted_pnl(book.cut.by_pair, priced, 0, 1)]
    core, extended = ~priced.extended, priced.extended
    checked: dict[str, Any] = {
        "pre_aggregated_by_price_bucket": tables[0][core],
        "aggregated_by_price_bucket": unit_counted(tables[2][None], np.array([0, 1]))[0][core],
        "extended_pre_aggregated": tables[0][extended],
        "extended_aggregated": tables[2][extended],
        "worst_case": found.worst_case.loss[unit],
        "roll_shock": found.roll_shock[unit],
        "delta_shock": found.delta_shock[unit],
        "correlation_contingency": method.parameters.correlation_contingency,
        "risk_matrix_margin": found.risk_matrix_margin[unit],
        "maintenance_margin": found.maintenance_margin[unit],
    }
    done = set()
    for name, value in checked.items():
        if name not in expected:
            continue
        # Nothing here depends on volatility: each of the three scenarios of a price is the bucket.
        wanted = np.repeat(expected[name], 3) if name.endswith("_by_price_bucket") else expected[name]
        assert value == pytest.approx(wanted, **close), name
        done.add(name)
    for name, buckets in expected.get("instrument_by_price_bucket", {}).items():
        (row,) = (k for k, own in enumerate(priced.names) if own == name)
        position = book.holdings.quantity[row] * priced.unit_pnl[row, core]
        assert position == pytest.approx(np.repeat(buckets, 3), **close), name
        done.add("instrument_by_price_bucket")
    # The engine's own answer is the same in dollars.
    index = float(inputs["index"][f"{currency.lower()}_usd"])
    for name, answer in (
        ("risk_matrix_margin", result.requirements.requirement_initial),
        ("maintenance_margin", result.requirements.requirement_maintenance),
    ):
        if name in expected:
            assert answer[0] / index == pytest.approx(expected[name], **close), name
    return done | _initial(found.risk_matrix_margin[unit : unit + 1], expected, close)


def _initial(risk_matrix_margin: FloatArray, expected: dict[str, Any], close: dict[str, Any]) -> set[str]:
    """Initial margin: what positions make and what the response charges beside them.

    Each of those charges is checked as what the initial margin has beyond all the others.
    """
    if "initial_margin" not in expected:
        return set()
    stated = [np.array([float(expected[name])]) for name in CHARGES]
    initial = steps.initial_margin(risk_matrix_margin, *stated)[0]
    assert initial == pytest.approx(expected["initial_margin"], **close)
    for k, name in enumerate(CHARGES):
        others = [np.zeros(1) if j == k else charge for j, charge in enumerate(stated)]
        rest = steps.initial_margin(risk_matrix_margin, *others)[0]
        assert expected["initial_margin"] - rest == pytest.approx(expected[name], **close), name
    return {"initial_margin", *CHARGES}


def _market(vector: Vector) -> Market:
    inputs = vector.body["inputs"]
    coin = inputs["currency"]
    # Only perpetuals are answered without a time; anything dated must say when it was.
    moment = inputs.get("timestamp_ms")
    assert moment is not None or all(name.endswith("PERPETUAL") for name in inputs["mark"])
    as_of = datetime.fromtimestamp((moment or 0) / 1000, UTC)
    quotes = [Quote(instrument=parse_symbol(name), mark=float(mark)) for name, mark in inputs["mark"].items()]
    index = {coin: float(inputs["index"][f"{coin.lower()}_usd"])}
    return Market.from_quotes(quotes, as_of=as_of, source=vector.id, index=index)


def _method(vector: Vector) -> DeribitPortfolioMargin:
    """The methodology with the vector's parameters, which are a parameter set as they are."""
    stated = vector.body["parameters"]
    document = {
        "format": "crossmargin-parameters/1",
        "family": "deribit-pm",
        "name": vector.id,
        "version": "1",
        "date": "2026-02-15",
        "general": NOT_STATED["general"] | stated["general"],
        "rules": NOT_STATED["rules"],
        **{
            section: {name: NOT_STATED[section] | own for name, own in stated[section].items()}
            for section in ("currency", "currency_pair")
        },
    }
    method = methodology("deribit-pm", document)
    assert isinstance(method, DeribitPortfolioMargin)
    return method
