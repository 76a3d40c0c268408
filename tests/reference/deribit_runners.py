"""Deribit's portfolio margin: every figure of the venue's own responses, in coin, through the recipe."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.arrays import read_only
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.venue_grids.deribit.method import deribit_pm
from crossmargin.methodologies.venue_grids.deribit.parameters import load_parameters
from crossmargin.methodologies.venue_grids.deribit.recipe import DeribitBreakdown, counted_pnl
from crossmargin.portfolio.book import PositionRows, build_book
from tests.reference.loader import Vector

MOVES = ("-0.66", "-0.33", "0.5", "1", "2", "3", "4", "5")


def deribit_pme(vector: Vector) -> set[str]:
    """A portfolio of a response: positions are stated in coin, contracts follow from marks."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    coin = inputs["currency"]
    index = float(inputs["index"][f"{coin.lower()}_usd"])
    # Only perpetuals are answered without a time; anything dated must say when it was.
    moment = inputs.get("timestamp_ms")
    assert moment is not None or all(name.endswith("PERPETUAL") for name in inputs["mark"])
    quotes = [Quote(instrument=parse_symbol(name), mark=float(mark)) for name, mark in inputs["mark"].items()]
    market = Market.from_quotes(
        quotes, as_of=datetime.fromtimestamp((moment or 0) / 1000, UTC), source=vector.id, index={coin: index}
    )
    method = deribit_pm(_document(vector, coin))
    names = market.instruments.names
    priced = method.price(names, market, MissingPolicy())
    n = len(names)
    rows = PositionRows(account=np.zeros(n, dtype=np.int64), instrument=np.arange(n), steps=np.full(n, 10**8))
    units = method.arrange(build_book(accounts=("a",), instruments=names, rows=rows, attributes={}), priced)
    stated = inputs["positions_base_currency"]
    quantity = np.array([stated[name] for name in names]) * priced.inputs.mark / priced.inputs.instruments.multiplier
    held = replace(units.holdings, quantity=read_only(quantity))
    units = replace(units, layout=replace(units.layout, holdings=held), cut=method.cut(held, priced))
    measured = method.measure(units, priced)
    b = measured.detail
    assert isinstance(b, DeribitBreakdown)

    close: dict[str, Any] = {"abs": float(vector.document["tolerance"]["absolute"]), "rel": 0.0}
    pnl, counted = (table[0] / index for table in counted_pnl(units, priced, method.parameters, np.array([0])))
    core = ~priced.scenarios[coin].extended
    # Nothing here depends on volatility: each of the three scenarios of a price is the bucket.
    tables = {
        "pre_aggregated_by_price_bucket": pnl[core][::3],
        "aggregated_by_price_bucket": counted[core][::3],
        "extended_pre_aggregated": pnl[~core],
        "extended_aggregated": counted[~core],
    }
    assert pnl[core] == pytest.approx(np.repeat(pnl[core][::3], 3), **close)
    figures = {
        "worst_case": b.worst_case[0],
        "roll_shock": b.roll_shock[0],
        "delta_shock": b.delta_shock[0],
        "risk_matrix_margin": b.risk_matrix[0],
        "maintenance_margin": measured.requirement_maintenance[0],
    }
    found: dict[str, Any] = {**tables, **{name: value / index for name, value in figures.items()}}
    done = set(found) & set(expected)
    for name in sorted(done):
        assert found[name] == pytest.approx(np.array(expected[name]), **close), name
    for name, buckets in expected.get("instrument_by_price_bucket", {}).items():
        row = names.index(name)
        assert quantity[row] * priced.unit_pnl[row][core][::3] / index == pytest.approx(np.array(buckets), **close)
        done.add("instrument_by_price_bucket")
    if "initial_margin" not in expected:
        return done
    # Open orders, the market maker protection and the spot reserve are the response's own; no rule for a correlation
    # contingency is public, and it is 0 in every response seen.
    beside = ("open_orders_margin", "mmp_margin", "spot_margin", "correlation_contingency")
    assert expected["correlation_contingency"] == 0
    initial = figures["risk_matrix_margin"] / index + sum(expected[name] for name in beside)
    # Printed to nine decimals.
    assert initial == pytest.approx(expected["initial_margin"], abs=max(close["abs"], 5e-10), rel=0)
    return {*done, *beside, "initial_margin"}


def _document(vector: Vector, coin: str) -> dict[str, Any]:
    """The response's parameters as a document of ours; what it does not state is as in the set that ships."""
    stated = vector.body["parameters"]
    pair = stated["currency_pair"][f"{coin.lower()}_usd"]
    base = load_parameters(None).info.document
    currencies = {
        name: base["currencies"][name]
        | {
            ours: own[theirs]
            for ours, theirs in {
                "offset_share": "pnl_offset",
                "offset_cap": "max_offsetable_pnl",
                "extended_dampener": "extended_dampener",
                "roll_annualised_move": "annualised_move_risk",
                "roll_move_minimum": "min_annualised_move",
            }.items()
            if theirs in own
        }
        for name, own in ((coin, stated["currency"][coin.lower()]), ("USDC", stated["currency"].get("usd", {})))
    }
    of_pair = {
        "price_range": "price_range",
        "vol_range_up": "volatility_range_up",
        "vol_range_down": "volatility_range_down",
        "vol_power_short": "short_term_vega_power",
        "vol_power_long": "long_term_vega_power",
        "vol_floor_up": "min_volatility_for_shock_up",
        "delta_shock_slope": "m_inc",
        "delta_shock_threshold": "delta_total_liq_shock_threshold",
        "delta_shock_most": "max_delta_shock",
    }
    own_pair = base["pairs"][coin] | {ours: pair[theirs] for ours, theirs in of_pair.items() if theirs in pair}
    own_pair["correlation_set"] = stated["currency"][coin.lower()].get("correlation_set", False)
    return base | {
        "name": vector.id,
        "maintenance_factor": stated["general"]["mm_factor"],
        "shape": {
            "price_steps": stated["general"]["buckets_count"],
            "extended_moves": list(MOVES),
            "extended_factor": pair["extended_table_factor"],
        },
        "currencies": currencies,
        "pairs": {coin: own_pair},
    }
