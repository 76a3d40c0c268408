"""Runners: one vector through the real code, figure by figure.

A runner returns the figures of `expected` that it has checked. What the code cannot answer yet stands in
`vector_table`, figure by figure too, so that nothing of a vector is left out silently.
"""

from __future__ import annotations

import numpy as np
import pytest

from crossmargin.aggregation.sweep import Holdings, scenario_pnl, worst_loss
from tests.reference.loader import Vector


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
