"""How a portfolio bends: P&L over price with volatilities unchanged, now and some days later.

The same revaluation as the margin, on a line of scenarios instead of the venue's grid, with the prices, volatilities
and stand-ins that the margin used: at a price move of the grid, today and with volatility unchanged, the curve is the
grid's own figure to the last bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from crossmargin.aggregation.sweep import Holdings, scenario_pnl
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import UnsupportedError
from crossmargin.basics.quantities import steps_to_float
from crossmargin.basics.times import DAYS_PER_YEAR
from crossmargin.methodologies.venue_grids.scenario_grid.method import GridResult, ScenarioGrid
from crossmargin.revaluation.inputs import PRICED_COLUMNS
from crossmargin.revaluation.unit_pnl import unit_pnl
from crossmargin.scenarios.grid import GridScenarios

if TYPE_CHECKING:
    from crossmargin.engine.evaluate import Evaluation
    from crossmargin.revaluation.inputs import PricingInputs


def pnl_curve(
    evaluation: Evaluation, account_index: int, underlying: str, moves: FloatArray, days: float
) -> FloatArray:
    """P&L of an account's positions in one underlying over its price.

    Parameters
    ----------
    evaluation : Evaluation
        Of the scenario-grid family.
    account_index : int
        Margin account.
    underlying : str
        Which positions; both sides of a gross account together.
    moves : ndarray of shape (n_moves,)
        Relative price moves; volatilities stay as they are.
    days : float
        Calendar days that pass; 0 is now.

    Returns
    -------
    ndarray of shape (n_moves,)
        US dollars, positive is a gain; 0 where the account holds nothing in `underlying`.

    Raises
    ------
    UnsupportedError
        If the methodology keeps no pricing inputs.
    """
    held = evaluation.requirements.contributions
    first, last = held.account_offsets[account_index : account_index + 2].tolist()
    return _curve(evaluation, np.arange(first, last), underlying, moves, days)


def unit_curve(evaluation: Evaluation, unit: int, moves: FloatArray, days: float) -> FloatArray:
    """P&L of one risk unit over the price of its underlying; otherwise as `pnl_curve`."""
    result = _result(evaluation)
    underlying = result.book.contracts.inputs.instruments.underlyings[int(result.book.unit_underlying[unit])]
    positions = np.flatnonzero(evaluation.requirements.contributions.unit == unit)
    return _curve(evaluation, positions, underlying, moves, days)


def _curve(evaluation: Evaluation, positions: IntArray, underlying: str, moves: FloatArray, days: float) -> FloatArray:
    inputs = _result(evaluation).book.contracts.inputs
    assert isinstance(evaluation.methodology, ScenarioGrid)
    ranges = evaluation.methodology.parameters.ranges
    held = evaluation.requirements.contributions
    table = inputs.instruments
    if underlying not in table.underlyings:
        return np.zeros(len(moves))
    inside = table.underlying[held.instrument[positions]] == table.underlyings.index(underlying)
    positions = positions[inside]
    if not len(positions):
        return np.zeros(len(moves))
    rows, instrument = np.unique(held.instrument[positions], return_inverse=True)
    line = GridScenarios(
        price_move=read_only(np.asarray(moves, dtype=np.float64)),
        vol_direction=np.zeros(len(moves), dtype=np.int64),
        weight=np.ones(len(moves)),
        time_step_years=np.full(len(moves), days / DAYS_PER_YEAR),
        extended=np.zeros(len(moves), dtype=np.bool_),
    )
    of_one = unit_pnl(_taken(inputs, rows), {underlying: line}, {underlying: ranges[underlying]})
    holdings = Holdings(
        offsets=np.array([0, len(positions)], dtype=np.int64),
        instrument=instrument.reshape(-1).astype(np.int64),
        quantity=steps_to_float(held.steps[positions]),
    )
    return np.asarray(scenario_pnl(holdings, of_one.values)[0] + 0.0)


def _result(evaluation: Evaluation) -> GridResult:
    result = evaluation.requirements.breakdown
    if not isinstance(result, GridResult):
        raise UnsupportedError(
            f"methodology '{evaluation.methodology.name}' keeps no pricing inputs, so it has no P&L curve"
        )
    return result


def _taken(inputs: PricingInputs, rows: IntArray) -> PricingInputs:
    """The inputs of some instruments, `rows` ascending."""
    taken = {name: read_only(getattr(inputs, name)[rows]) for name in ("market_row", *PRICED_COLUMNS)}
    return replace(inputs, instruments=inputs.instruments.take(rows), **taken)
