"""Runners of the venue rules that public documentation states with an example: OKX's tiers, and single rules."""

from __future__ import annotations

import numpy as np
import pytest

from crossmargin.methodologies.venue_grids.okx import steps
from crossmargin.methodologies.venue_grids.okx.parameters import Tiers, TierTable
from tests.reference.loader import Vector

_FIRST = np.zeros(1, dtype=np.int64)
"""One unit, under the first row of the tiers."""


def _charge(amount: float, stated: list[list[float]]) -> float:
    """Marginal charge of an amount, through the methodology's own steps; tiers are [from, to, rate]."""
    assert all(one[1] == other[0] for one, other in zip(stated, stated[1:], strict=False)), "tiers with a gap"
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


