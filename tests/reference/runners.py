"""Runners: one vector through the real code, figure by figure.

A runner returns the figures of `expected` that it has checked. What the code cannot answer yet stands in
`vector_table`, figure by figure too, so that nothing of a vector is left out silently.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from crossmargin.aggregation.sweep import Holdings, scenario_pnl, segments, worst_loss
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.venue_grids.scenario_grid.book import contract_table
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import load_parameters
from crossmargin.methodologies.venue_grids.scenario_grid.steps import roll_charge
from crossmargin.revaluation.unit_pnl import unit_pnl
from tests.reference.loader import Vector


def deribit_pme(vector: Vector) -> set[str]:
    """Price buckets, worst case and roll shock of a portfolio-margin response, in coin."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    coin = inputs["currency"]
    index = float(inputs["index"][f"{coin.lower()}_usd"])
    # Only perpetuals are answered without a time; anything dated must say when it was.
    moment = inputs.get("timestamp_ms")
    assert moment is not None or all(name.endswith("PERPETUAL") for name in inputs["mark"])
    as_of = datetime.fromtimestamp((moment or 0) / 1000, UTC)
    quotes = [Quote(instrument=parse_symbol(name), mark=float(mark)) for name, mark in inputs["mark"].items()]
    market = Market.from_quotes(quotes, as_of=as_of, source=vector.id, index={coin: index})
    parameters = load_parameters(_deribit_document(vector, coin))
    contracts = contract_table(market.instruments.names, market, parameters, MissingPolicy())
    table = contracts.inputs.instruments

    # Positions are stated in coin: contracts x size / price.
    stated = inputs["positions_base_currency"]
    quantity = np.array([stated[name] for name in table.names]) * contracts.inputs.mark / table.multiplier
    n = len(table.names)
    held = Holdings(offsets=np.array([0, n]), instrument=np.arange(n), quantity=quantity)
    in_coin = unit_pnl(contracts.inputs, contracts.scenarios, parameters.ranges, currency=coin).values
    by_instrument = {name: quantity[k] * in_coin[k] for k, name in enumerate(table.names)}

    close = {"abs": float(vector.document["tolerance"]["absolute"]), "rel": 0.0}
    done = set()
    for name, buckets in expected.get("instrument_by_price_bucket", {}).items():
        # Nothing here depends on volatility: each of the three scenarios of a price is the bucket.
        assert by_instrument[name] == pytest.approx(np.repeat(buckets, 3), **close), name
        done.add("instrument_by_price_bucket")
    if "pre_aggregated_by_price_bucket" in expected:
        together = scenario_pnl(held, in_coin)[0]
        buckets = expected["pre_aggregated_by_price_bucket"]
        assert together == pytest.approx(np.repeat(buckets, 3), **close)
        done.add("pre_aggregated_by_price_bucket")
    if "worst_case" in expected and not any(expected.get("extended_aggregated", [1])):
        # The extended table adds nothing in this response: the worst case is the worst of the grid.
        assert worst_loss(held, in_coin)[0][0] == pytest.approx(expected["worst_case"], **close)
        done.add("worst_case")
    if "roll_shock" in expected:
        by_expiry = segments(held, contracts.expiry)
        charge, _ = roll_charge(by_expiry, contracts.delta / index, contracts.roll_move)
        assert charge[0] == pytest.approx(expected["roll_shock"], **close)
        done.add("roll_shock")
    return done


def _deribit_document(vector: Vector, coin: str) -> dict[str, Any]:
    """The vector's parameters as a parameter set of ours: the core grid and the roll shock."""
    stated = vector.body["parameters"]
    currency, pair = stated["currency"][coin.lower()], stated["currency_pair"][f"{coin.lower()}_usd"]
    return {
        "format": "crossmargin-parameters/1",
        "family": "scenario-grid",
        "name": vector.id,
        "version": "1",
        "date": "2026-02-15",
        "currency": "USD",
        "shape": {
            "price_steps": stated["general"]["buckets_count"],
            "extended_moves": [],
            "extended_factor": pair["extended_table_factor"],
            "time_step_days": 0,
        },
        "across_units": {"rule": "independent", "gain_share": 0, "gain_cap": None},
        "maintenance_factor": stated["general"]["mm_factor"],
        "underlyings": {
            coin: {
                "price_range": pair["price_range"],
                "vol_range_up": pair["volatility_range_up"],
                "vol_range_down": pair["volatility_range_down"],
                "vol_power_short": pair["short_term_vega_power"],
                "vol_power_long": pair["long_term_vega_power"],
                "vol_floor_up": pair["min_volatility_for_shock_up"],
                "vol_days_floor": 1,
                "extended_low": "-0.66",
                "extended_high": "5",
                "roll_annualised_move": currency["annualised_move_risk"],
                "roll_move_minimum": currency["min_annualised_move"],
                "short_option_minimum": 0,
            }
        },
    }


def risk_array_scan(vector: Vector) -> set[str]:
    """Risk arrays (positive: a long contract loses) through the shared sweep: the worst of the summary array."""
    positions, expected = vector.body["positions"], vector.body["expected"]
    n = len(positions)
    arrays = np.array([position["risk_array"] for position in positions], dtype=np.float64)
    held = Holdings(
        offsets=np.array([0, n]),
        instrument=np.arange(n),
        quantity=np.array([position["quantity"] for position in positions], dtype=np.float64),
    )
    loss, scenario = worst_loss(held, -arrays)
    tolerance = str(vector.body["tolerance"]).split()[0]
    assert max(0.0, loss[0]) == pytest.approx(expected["scan_risk"], rel=1e-12, abs=float(tolerance))
    assert scenario[0] + 1 == expected["active_scenario"]  # scenarios are numbered from 1
    done = {"scan_risk", "active_scenario"}
    if "summary_array" in expected:
        # Printed figures, rounded position by position: within 1, as the vector says.
        summary = -scenario_pnl(held, -arrays)[0]
        assert summary == pytest.approx(np.array(expected["summary_array"]), abs=1.0, rel=0)
        done.add("summary_array")
    return done
