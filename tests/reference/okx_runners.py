"""Runners of the venue rules that public documentation states with an example: OKX's tiers, and single rules."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from crossmargin.methodologies.venue_grids import published_rules
from crossmargin.methodologies.venue_grids.okx import steps
from crossmargin.methodologies.venue_grids.okx.parameters import Tiers, TierTable
from tests.reference.loader import Vector

_FIRST = np.zeros(1, dtype=np.int64)
"""One unit, under the first row of the tiers."""


def _charge(amount: float, stated: list[list[float]]) -> float:
    """Marginal charge of an amount, through the methodology's own steps; tiers are [from, to, rate]."""
    assert all(one[1] == other[0] for one, other in pairwise(stated)), "tiers with a gap"
    assert amount <= stated[-1][1], "an amount above the last tier that is stated"
    tiers = TierTable.of((Tiers(starts=tuple(t[0] for t in stated), rates=tuple(t[2] for t in stated)),))
    amounts = steps.tier_amounts(np.array([amount], dtype=np.float64), tiers, _FIRST)
    return float(steps.tier_charge(amounts, tiers.rates[_FIRST])[0])


def okx_minimum_charge(vector: Vector) -> set[str]:
    """MR7 after its tiers, and the requirement that is the greater of it and the stress."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    charge = _charge(inputs["mr7_raw"], inputs["tiers"])
    assert charge == expected["mr7_adjusted"]
    one, none = np.ones(1), np.zeros(1)
    core = one * inputs["core_mr"]  # max(MR1, MR2, MR6) + MR3 + MR4 + MR5, whichever of them it is
    _, maintenance = steps.derivatives_maintenance(core, none, none, none, charge * one, none)
    assert maintenance[0] == expected["mmr"]
    return {"mr7_adjusted", "mmr"}


def okx_stablecoins(vector: Vector) -> set[str]:
    """MR9 of a size that is long in one stablecoin and short in another."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    size = float(inputs["cross_stable_hedged_usd"])
    hedged = steps.hedged_sizes(np.array([[size, 0.0, -size]]))
    assert hedged.tolist() == [[size, 0.0, 0.0]]
    assert _charge(hedged[0, 0], inputs["tiers"]) == pytest.approx(expected["mr9"], rel=1e-15)
    return {"mr9"}


def paradex_minimum_delta(vector: Vector) -> set[str]:
    """Net, gross and hedged delta, and the least requirement that they ask for."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    found = published_rules.paradex_minimum_delta(
        np.array(inputs["deltas"], dtype=np.float64),
        inputs["spot"],
        net_rate=inputs["net_rate"],
        hedged_rate=inputs["hedged_rate"],
    )
    found["min_delta_requirement"] = found.pop("requirement")
    for name, value in found.items():
        assert value == pytest.approx(expected[name], rel=1e-15), name
    return set(found)


def bybit_short_option(vector: Vector) -> set[str]:
    """Both levels of a short option."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    assert inputs["size"] < 0
    index, strike, mark, price = (
        np.array([inputs[name]], dtype=np.float64) for name in ("index", "strike", "mark", "order_price")
    )
    initial, maintenance = published_rules.bybit_short_option(
        index,
        strike,
        np.array([inputs["type"] == "call"]),
        mark,
        price,
        initial_most=inputs["im_max"],
        initial_least=inputs["im_min"],
        maintenance_rate=inputs["mm_rate"],
        liquidation_fee=inputs["liq_fee"],
    )
    size = abs(inputs["size"])
    assert size * maintenance[0] == pytest.approx(expected["mm"], rel=1e-15)
    assert size * initial[0] == pytest.approx(expected["im"], rel=1e-15)
    return {"mm", "im"}


def vega_cross(vector: Vector) -> set[str]:
    """Maintenance of a position in one market."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    found = published_rules.vega_cross_maintenance(
        np.array([inputs["position"]], dtype=np.float64),
        np.array([inputs["mark"]], dtype=np.float64),
        linear_slippage_factor=inputs["linear_slippage_factor"],
        risk_factor_long=inputs.get("risk_factor_long", float("nan")),
        risk_factor_short=inputs.get("risk_factor_short", float("nan")),
    )
    assert found[0] == pytest.approx(expected["maintenance_margin"], rel=1e-15)
    return {"maintenance_margin"}


def hyperliquid_borrowable(vector: Vector) -> set[str]:
    """What may be borrowed against a balance."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    balance, oracle, ltv = (np.array([inputs[name]], dtype=np.float64) for name in ("balance", "oracle", "ltv"))
    found = published_rules.hyperliquid_borrowable(balance, oracle, ltv)
    assert found[0] == pytest.approx(expected["borrowable"], rel=1e-15)
    return {"borrowable"}
