"""Runners of Deribit's portfolio margin: a response of its simulation, figure by figure, through the engine.

The response's `model_params` are the parameter set as they are. Positions are stated in coin; as contracts they are
rounded to the engine's 1e-8, which moves a margin by less than 1e-11 of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

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

RULES: dict[str, Any] = {
    "extended_moves": ["-0.66", "-0.33", "0.5", "1", "2", "3", "4", "5"],
    "roll_form": "linear",
    "cross": False,
    "vega_days_floor": "1",
    "settlement_window_minutes": "30",
    "correlation_contingency": "0",
}


def deribit_pme(vector: Vector) -> set[str]:
    """Every figure of the response that positions make; those of orders and of the account are taken as given."""
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
    assert priced.currency_of(0) == expected["unit"]

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
        # What the response states of orders and of the account is no part of the positions.
        "initial_margin": steps.initial_margin(
            found.risk_matrix_margin,
            *(np.array([float(expected[name])]) for name in ("open_orders_margin", "mmp_margin", "spot_margin")),
        )[unit],
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
    # The engine's own answer is the same in dollars, and the isolated sum is never below what nets.
    index = float(inputs["index"][f"{expected['unit'].lower()}_usd"])
    assert result.requirements.requirement_initial[0] / index == pytest.approx(expected["risk_matrix_margin"], **close)
    assert result.requirements.requirement_maintenance[0] / index == pytest.approx(
        expected["maintenance_margin"], **close
    )
    return done


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
    document = {
        "format": "crossmargin-parameters/1",
        "family": "deribit-pm",
        "name": vector.id,
        "version": "1",
        "date": "2026-02-15",
        "rules": RULES,
        **vector.body["parameters"],
    }
    method = methodology("deribit-pm", document)
    assert isinstance(method, DeribitPortfolioMargin)
    return method
