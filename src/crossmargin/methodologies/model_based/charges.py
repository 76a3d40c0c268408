"""Charges beside the losses in scenarios that several methods of the family have: volatility without history, size.

The decision a reader would question: where nobody says how much of a contract trades a day, a position is taken as one
whole day's volume, however small it is. What is unknown is not taken as liquid.
"""

from __future__ import annotations

import math

import numpy as np

from crossmargin.aggregation.sweep import Holdings, unit_sum
from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts

UNKNOWN_DAYS = 1.0
"""Days of volume that a position is taken as, where no volume is stated."""


def volatility_charge(book: UnitBook, contracts: ModelContracts) -> FloatArray:
    """What the options of each underlying lose, net, when a volatility without a history moves against the unit."""
    if not contracts.vega_charged.any():
        return np.zeros(book.n_units)
    cut = book.cut.segments
    net = np.abs(unit_sum(cut.holdings, contracts.vega_charged))
    return np.asarray(cut.sum_by_unit(net, np.ones(len(contracts.underlyings))))


def volatility_share(book: UnitBook, contracts: ModelContracts) -> FloatArray:
    """What one contract of each position brings to `volatility_charge`, `(n_positions,)`."""
    cut = book.cut.segments
    sign = np.sign(unit_sum(cut.holdings, contracts.vega_charged))
    return np.asarray(sign[cut.of_position] * contracts.vega_charged[book.holdings.instrument])


def require_volumes(contracts: ModelContracts) -> None:
    """Raise `InputError` for every stated volume that is not positive: nobody can trade in what does not trade."""
    raise_problems(
        [
            Problem(
                found=f"an average daily volume of {contracts.volume[k]:g} of '{contracts.names[k]}'",
                needed="State contracts a day, above 0; or nothing, and a position is taken as one day's volume.",
                instrument=contracts.names[k],
                kind=InputError,
            )
            for k in np.flatnonzero(contracts.volume <= 0).tolist()
        ]
    )


def days_of_volume(held: Holdings, volume: FloatArray) -> FloatArray:
    """How many days' volume each position is, `(n_positions,)`; `UNKNOWN_DAYS` where no volume is stated.

    Parameters
    ----------
    volume : ndarray of shape (n_instruments,)
        Contracts a day; NaN where nothing is stated.
    """
    days = np.abs(held.quantity) / volume[held.instrument]
    return read_only(np.where(np.isnan(days), UNKNOWN_DAYS, days))


def notes_on_volumes(contracts: ModelContracts) -> tuple[str, ...]:
    """The note on instruments of which no volume is stated."""
    unknown = [
        name for name, volume in zip(contracts.names, contracts.volume.tolist(), strict=True) if volume != volume
    ]
    if not unknown:
        return ()
    named = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
    return (f"no average_daily_volume of {named}: each position in them is taken as one day's volume",)


def daily_volatility(unit_pnl: FloatArray, horizon_days: int) -> FloatArray:
    """Root mean square gain of one contract over a day, dollars, `(n_instruments,)`.

    Read off its scenarios, so that it is that of an option's value and not of its underlying.

    Parameters
    ----------
    unit_pnl : ndarray of shape (n_instruments, n_scenarios)
        Gain of one long contract over the horizon.
    """
    n_scenarios = unit_pnl.shape[1]
    # Row by row: each sum has the same bits whatever else is priced.
    squares = [float(np.add.reduce(row * row)) for row in unit_pnl]
    return read_only(np.array([math.sqrt(s / n_scenarios / horizon_days) for s in squares], dtype=np.float64))


def sum_of_positions(held: Holdings, charge: FloatArray) -> FloatArray:
    """Sum of what each position is charged, by unit, in the order of positions."""
    return np.bincount(held.unit(), weights=charge, minlength=held.n_units).astype(np.float64)
