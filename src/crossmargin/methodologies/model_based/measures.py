"""What is asked for of a unit's losses in equally likely scenarios, and each contract's share in it.

Expected shortfall is the coherent one of `aggregation.sweep.Tail`. Value at risk at level `a` of `n` scenarios is the
loss number `floor((1 - a) n) + 1`, worst first: the smallest that at most a part `1 - a` of the scenarios exceeds. Both
are at least 0 here: a book that gains in its worst scenarios needs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from crossmargin.aggregation.sweep import Holdings, LaidOut, Tail, expected_shortfall, tail_scenarios
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.basics.errors import InputError, Problem
from crossmargin.methodologies.model_based.parameters import Measure, Tool, percent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tails:
    """Measured losses of units in one set of scenarios.

    Parameters
    ----------
    value : ndarray of shape (n_units,)
        The measure, at least 0.
    raw : ndarray of shape (n_units,)
        The same before the floor at 0.
    scenario : ndarray of shape (n_units,)
        The worst scenario; of a value at risk, the one that is it.
    """

    value: FloatArray
    raw: FloatArray
    scenario: IntArray

    @property
    def counts(self) -> BoolArray:
        """Units whose loss counts: not where the floor replaced it."""
        return np.asarray(self.raw > 0)


def order_of_var(measure: Measure, n_scenarios: int) -> int:
    """Which loss, worst first and counted from 1, is the value at risk."""
    return int((1 - Fraction(measure.level)) * n_scenarios) + 1


def require_scenarios(measure: Measure, n_scenarios: int, name: str, more: str = "give a longer history") -> None:
    """Raise `InputError` if no scenario would be beyond the level: 99.5% needs 200; `more` says how there are more."""
    if n_scenarios < measure.least_scenarios:
        raise InputError(
            Problem(
                found=f"{n_scenarios} scenarios of '{name}' for a level of {percent(measure.level)}",
                needed=f"It needs {measure.least_scenarios}: {more}, or a lower level.",
            )
        )


def tails(holdings: Holdings, table: LaidOut, measure: Measure, units: IntArray | None = None) -> Tails:
    """The measure of every unit.

    Parameters
    ----------
    holdings : Holdings
        Units, or segments of them.
    table : LaidOut
        Unit P&L.
    """
    if measure.tool is Tool.ES:
        raw, scenario = expected_shortfall(holdings, table, Tail(level=measure.level), units)
    else:
        n = order_of_var(measure, table.n_scenarios)
        pnl, scenarios = tail_scenarios(holdings, table, n, units)
        raw, scenario = -pnl[:, n - 1] + 0.0, scenarios[:, n - 1]
    return Tails(value=np.maximum(raw, 0.0), raw=raw, scenario=scenario)


def tail_weights(measure: Measure, n_scenarios: int) -> FloatArray:
    """Weight of each loss, worst first, in the measure: they add up to 1."""
    if measure.tool is Tool.VAR:
        n = order_of_var(measure, n_scenarios)
        return np.concatenate((np.zeros(n - 1), [1.0]))
    tail = Tail(level=measure.level)
    return np.asarray(tail.weights(n_scenarios) / float(tail.size(n_scenarios)))


def shares(holdings: Holdings, unit_pnl: FloatArray, table: LaidOut, measure: Measure) -> FloatArray:
    """What one contract of each position brings to the measure of its unit, `(n_positions,)`: Euler's allocation.

    Quantity times share, summed over a unit, is the measure before its floor at 0.
    """
    weights = tail_weights(measure, table.n_scenarios)
    _, scenarios = tail_scenarios(holdings, table, len(weights))
    unit = holdings.unit()
    share = np.zeros(len(unit))
    for k, weight in enumerate(weights.tolist()):
        if weight:
            share -= weight * unit_pnl[holdings.instrument, scenarios[unit, k]]
    return share


def pnl_in(holdings: Holdings, unit_pnl: FloatArray, scenario: IntArray) -> FloatArray:
    """P&L of each position in the scenario of its unit, `(n_positions,)`."""
    return np.asarray(holdings.quantity * unit_pnl[holdings.instrument, scenario[holdings.unit()]])
