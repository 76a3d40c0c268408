"""A history and parameters to scenarios, as of the time of a market.

Nothing after that time is used, not even to decide how a factor changes. Every factor is filtered by itself; what binds
them is the date. The decision a reader would question: a set is made of all factors of the history, never of those that
somebody holds, so that nobody's scenarios depend on anybody's positions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import InputError, Problem
from crossmargin.basics.times import SECONDS_PER_DAY, format_utc
from crossmargin.dependence.volatility import ewma_variance, garch_filter
from crossmargin.history.changes import FactorChanges, factor_changes
from crossmargin.history.factors import Factor, factor_of
from crossmargin.history.histories import FactorHistories
from crossmargin.methodologies.model_based.parameters import Factors, Generation, Periods, Volatility, VolatilityFilter
from crossmargin.methodologies.model_based.simulation import simulated
from crossmargin.scenarios.factor_scenarios import (
    FactorScenarios,
    Horizon,
    filtered,
    historical,
    mirrored,
    over_horizon,
    stress_days,
)

MOST_DAYS_TWICE = 0.05
"""Part of the dates that may fall on the same day (UTC) as the one before: a clock that is put forward has one a year.
With more, dates are hours, or factors are observed at different times of the day, and nothing would move together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What was known at a time.

    Parameters
    ----------
    changes : FactorChanges
        Of every factor, on every date up to then.
    notes : tuple of str
        What was decided about factors.
    """

    changes: FactorChanges
    notes: tuple[str, ...]


def known_at(history: FactorHistories, moment: datetime, factors: Factors) -> Known:
    """The changes that were known at `moment`.

    Raises
    ------
    InputError
        If the history ends long before it, begins after it, or is not of days.
    """
    stated = tuple(
        replace(factor, change=factors.changes.get(factor.name, factor.change)) for factor in history.factors
    )
    past, notes = replace(history, factors=stated).up_to(moment).fitted()
    if len(past.times) < 2:
        raise InputError(
            Problem(
                found=f"{len(past.times)} dates up to {format_utc(moment)} in {history.source or 'the history'}",
                needed="Give a history that begins long before the market.",
            )
        )
    days = (moment.timestamp() - int(past.times[-1])) / SECONDS_PER_DAY
    if days > factors.stale_days:
        raise InputError(
            Problem(
                found=f"{history.source or 'the history'} ends on {past.date(-1)}, {days:.0f} days before the "
                f"market of {format_utc(moment)}",
                needed=f"Give a history that ends at most {factors.stale_days:g} days before it.",
            )
        )
    require_days(past)
    changes = factor_changes(past, longest_closure_days=factors.longest_closure_days)
    return Known(changes=_with_ended(past, changes, moment, factors), notes=notes)


def require_days(past: FactorHistories) -> None:
    """Raise `InputError` unless changes are those of days: those of two clocks would be none half of the time."""
    day = past.times // SECONDS_PER_DAY
    twice = int((np.diff(day) == 0).sum())
    if twice > MOST_DAYS_TWICE * len(day):
        raise InputError(
            Problem(
                found=f"{len(day)} dates on {len(day) - twice} days in {past.source or 'the history'}",
                needed="Changes are daily: give one level a day, and all factors at the same time of the day.",
            )
        )


def _with_ended(past: FactorHistories, changes: FactorChanges, moment: datetime, factors: Factors) -> FactorChanges:
    """No change since for factors whose last day is not long ago: their market was closed."""
    values = changes.values.copy()
    for k in range(len(past.factors)):
        seen = np.flatnonzero(~np.isnan(past.level[:, k]))
        if not len(seen) or seen[-1] == len(past.times) - 1:
            continue
        if (moment.timestamp() - int(past.times[seen[-1]])) / SECONDS_PER_DAY <= factors.longest_closure_days:
            values[seen[-1] :, k] = 0.0
    return replace(changes, values=values)


def volatility_of(changes: FactorChanges, wanted: VolatilityFilter) -> tuple[FloatArray, FloatArray]:
    """Volatility expected of each change the day before, `(n_changes, n_factors)`, and of the next, `(n_factors,)`.

    NaN for the first `seed_days` changes of a factor, which start its filter.
    """
    if wanted.model is Volatility.EWMA:
        variance, following = ewma_variance(changes.values, wanted.decay, seed_days=wanted.seed_days)
    else:
        variance, following = garch_filter(
            changes.values, alpha=wanted.alpha, beta=wanted.beta, seed_days=wanted.seed_days
        )
    return np.sqrt(variance), np.sqrt(following)


def scenario_set(
    known: Known, generation: Generation, *, name: str = "", option: str = "observations"
) -> FactorScenarios:
    """Scenarios of a history as parameters want them; `option` says how many, for who asks for too many.

    Raises
    ------
    InputError
        If there are fewer changes than are wanted.
    """
    changes = known.changes
    seed = generation.volatility.seed_days if generation.volatility is not None else 0
    least = generation.observations + seed
    if len(changes.times) < least:
        raise InputError(
            Problem(
                found=f"{len(changes.times)} daily changes up to the time of the market, for {generation.observations} "
                f"scenarios" + (f" and {seed} that start the filter" if seed else ""),
                needed=f"Give a longer history, or ask for fewer (--option {option}=N).",
            )
        )
    if generation.simulation is not None:
        volatility, now = _daily_volatility(changes, generation)
        with np.errstate(invalid="ignore", divide="ignore"):
            # What never moved stays as it is. A day that only starts a filter has no volatility yet: as it was, it
            # would look calm beside the others and thin out every correlation.
            still = np.where(np.isnan(volatility), np.nan, changes.values)
            standard = np.where(volatility > 0, changes.values / volatility, still)
        return simulated(changes, standard[-generation.observations :], now, generation, name=name or "draw")
    if generation.volatility is None:
        daily = historical(changes.last(generation.observations), name=name or "as on")
    else:
        volatility, now = volatility_of(changes, generation.volatility)
        daily = filtered(
            changes.last(generation.observations),
            volatility[-generation.observations :],
            now,
            damped=generation.damped,
            name=name or "rescaled from",
        )
    scenarios = over_horizon(daily, generation.horizon_days, generation.horizon_rule)
    return mirrored(scenarios) if generation.mirrored else scenarios


def _daily_volatility(changes: FactorChanges, generation: Generation) -> tuple[FloatArray, FloatArray]:
    """As `volatility_of`; without a filter, the root mean square of the changes that are used."""
    if generation.volatility is not None:
        return volatility_of(changes, generation.volatility)
    now = np.sqrt(np.mean(changes.last(generation.observations).values ** 2, axis=0))
    return np.broadcast_to(now, changes.values.shape), now


def stress_set(known: Known, periods: Periods, days: int, *, name: str = "stress") -> FactorScenarios:
    """What happened over every run of `days` that ended in one of the periods, not rescaled.

    Raises
    ------
    InputError
        If the history has no date of any of them.
    """
    runs = over_horizon(historical(known.changes), days, Horizon.OVERLAPPING)
    found = stress_days(runs, periods, name=name)
    if not len(found):
        raise InputError(
            Problem(
                found=f"no date of {', '.join(periods) or 'any stress period'} up to the time of the market",
                needed="Give a history that has them, or other stress periods in the parameters.",
            )
        )
    return found


def with_proxied(scenarios: FactorScenarios, factors: Factors) -> FactorScenarios:
    """`scenarios` with a column, all unknown, for each factor that only a proxy is to stand in for."""
    absent = [name for name in factors.proxies if name not in scenarios.place]
    if not absent:
        return scenarios
    added: tuple[Factor, ...] = tuple(factor_of(name, factors.changes.get(name)) for name in absent)
    order = sorted(range(len(scenarios.factors) + len(added)), key=lambda k: (*scenarios.factors, *added)[k].name)
    unknown = np.full((len(scenarios), len(added)), np.nan)
    shifts = np.concatenate((scenarios.shifts, unknown), axis=1)[:, order]
    return replace(scenarios, factors=tuple((*scenarios.factors, *added)[k] for k in order), shifts=shifts)
