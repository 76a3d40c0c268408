"""The venue grid: price steps times volatility up, same and down, and damped extended price moves.

The shape that Deribit, Derive and Paradex share. The core is `2 * price_steps + 1` equal price steps over plus and
minus the price range, each under three volatilities; extended moves far outside of the range follow under volatility
up, and only a fraction of their P&L counts (`weight`). With a time step the core is repeated after it. Every
underlying of one parameter set has the same scenarios by name and its own range, so that "price -1/2 of the range,
vol up" of one can be combined with that of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.times import DAYS_PER_YEAR

VOL_TENOR_DAYS = 30.0
"""The tenor at which a volatility shift is quoted: shifts scale by `(30 days / T) ** power`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridShape:
    """What all underlyings of a parameter set share.

    Parameters
    ----------
    price_steps : int
        Price steps on each side of the unchanged price.
    extended_moves : tuple of float
        Relative price moves outside of the range, volatility up.
    extended_factor : float
        Fraction of the extended P&L that would count at a move equal to the range.
    time_step_days : float
        0, or the days after which the core grid is taken once more.
    """

    price_steps: int
    extended_moves: tuple[float, ...]
    extended_factor: float
    time_step_days: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRanges:
    """What each underlying has of its own; decimals (0.16 is 16%).

    Parameters
    ----------
    price_range : float
        Largest core price move, relative.
    vol_range_up, vol_range_down : float
        Relative volatility shift at 30 days.
    vol_power_short, vol_power_long : float
        Power of `30 days / T` for expiries up to and beyond 30 days.
    vol_floor_up : float
        Volatility up is at least this: a calm market can jump. It bounds the up shift only.
    vol_days_floor : float
        Expiries shorter than this many days scale as this many.
    extended_low, extended_high : float
        Extended moves of this underlying stop here: an index does not rise fivefold. A scenario that stops is the same
        scenario by name, and can still be combined with the whole move of another underlying.
    """

    price_range: float
    vol_range_up: float
    vol_range_down: float
    vol_power_short: float
    vol_power_long: float
    vol_floor_up: float
    vol_days_floor: float
    extended_low: float
    extended_high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridScenarios:
    """The scenarios of one underlying; every array has shape `(n_scenarios,)`.

    Parameters
    ----------
    price_move : ndarray
        Relative shift of the index and of every forward.
    vol_direction : ndarray
        +1 up, 0 same, -1 down.
    weight : ndarray
        Fraction of the P&L that counts.
    time_step_years : ndarray
        How much later.
    extended : ndarray
        Whether the scenario lies outside of the core grid.
    """

    price_move: FloatArray
    vol_direction: IntArray
    weight: FloatArray
    time_step_years: FloatArray
    extended: BoolArray

    def __len__(self) -> int:
        return len(self.price_move)


def grid_scenarios(shape: GridShape, ranges: GridRanges) -> GridScenarios:
    """All scenarios of one underlying, from the lowest price up, volatility down, same, up; extended moves last."""
    steps = np.arange(-shape.price_steps, shape.price_steps + 1) / shape.price_steps
    core_move = np.repeat(steps * ranges.price_range, 3)
    core_vol = np.tile(np.array([-1, 0, 1], dtype=np.int64), len(steps))
    times = [0.0] if shape.time_step_days == 0 else [0.0, shape.time_step_days / DAYS_PER_YEAR]
    extended = np.clip(np.array(shape.extended_moves, dtype=np.float64), ranges.extended_low, ranges.extended_high)
    n_core = len(core_move) * len(times)
    return GridScenarios(
        price_move=read_only(np.concatenate([core_move] * len(times) + [extended])),
        vol_direction=read_only(np.concatenate([core_vol] * len(times) + [np.ones(len(extended), dtype=np.int64)])),
        weight=read_only(
            np.concatenate([np.ones(n_core), shape.extended_factor * ranges.price_range / np.abs(extended)])
        ),
        time_step_years=read_only(
            np.concatenate([np.full(len(core_move), step) for step in times] + [np.zeros(len(extended))])
        ),
        extended=read_only(np.arange(n_core + len(extended)) >= n_core),
    )


def vol_multiplier(expiry_years: FloatArray, ranges: GridRanges) -> FloatArray:
    """`(30 days / T) ** power`: short expiries move more; shape of `expiry_years`."""
    days = np.maximum(expiry_years * DAYS_PER_YEAR, ranges.vol_days_floor)
    power = np.where(days <= VOL_TENOR_DAYS, ranges.vol_power_short, ranges.vol_power_long)
    return np.asarray((VOL_TENOR_DAYS / days) ** power, dtype=np.float64)


def shifted_vol(
    vol: FloatArray,
    vol_scale: FloatArray,
    expiry_years: FloatArray,
    scenarios: GridScenarios,
    ranges: GridRanges,
) -> FloatArray:
    """Volatility of each option in each scenario.

    Parameters
    ----------
    vol, expiry_years : ndarray of shape (n_options,)
        Volatility now and years to expiry now: the shift is that of today's tenor, also after a time step.
    vol_scale : ndarray of shape (n_options,)
        What one unit of relative volatility is: 1 for Black, |forward| for a Bachelier volatility in price units.

    Returns
    -------
    ndarray of shape (n_options, n_scenarios)
        Volatilities, never negative.
    """
    multiplier = vol_multiplier(expiry_years, ranges)
    up = np.maximum(ranges.vol_floor_up * vol_scale, vol * (1 + ranges.vol_range_up * multiplier))
    down = vol * np.maximum(0.0, 1 - ranges.vol_range_down * multiplier)
    by_direction = np.stack((down, vol, up))
    return np.ascontiguousarray(by_direction[scenarios.vol_direction + 1].T)


def scenario_words(underlying: str, scenarios: GridScenarios, index: int) -> str:
    """One scenario as a person says it: `BTC -12%, vol up`."""
    move = float(scenarios.price_move[index])
    price = f"{underlying} {move:+.4%}".rstrip("%").rstrip("0").rstrip(".") + "%" if move else f"{underlying} unchanged"
    vol = ("vol down", "vol same", "vol up")[int(scenarios.vol_direction[index]) + 1]
    words = f"{price}, {vol}"
    if scenarios.time_step_years[index]:
        words += f", after {scenarios.time_step_years[index] * DAYS_PER_YEAR:g} days"
    if scenarios.extended[index]:
        words += f", {float(scenarios.weight[index]):.1%} counted"
    return words
