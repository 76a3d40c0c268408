"""Scenarios of risk factors: what every factor does in each, and how such sets are made.

A set is a table of changes, a row a scenario and a column a factor, measured as the factor's `Change` says. Factors
of one row move together: in sets made of history the correlation is in the dates, and nobody has estimated it.

The decision a reader would question: a scenario's date belongs to the history and not to a book. A factor that is not
known on a date is NaN in that row for whoever holds it, and the row stays for everybody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import InputError, ShapeError
from crossmargin.history.changes import FactorChanges
from crossmargin.history.factors import Factor
from crossmargin.history.histories import date_words

NO_DATE = -(2**63)
"""Time of a scenario that is of no date."""


class Horizon(StrEnum):
    """How changes over several days come of changes over one.

    `OVERLAPPING`: every run of so many days, one for each day; neighbours share days, so that they are fewer than
    they look. `SEPARATE`: runs that share no day, counted back from the latest. `SQUARE_ROOT`: one day, times the
    root of the number of days: exact for independent days of one variance.
    """

    OVERLAPPING = "overlapping"
    SEPARATE = "separate"
    SQUARE_ROOT = "square_root"


@dataclass(frozen=True, kw_only=True, eq=False)
class FactorScenarios:
    """Changes of factors in each scenario.

    Parameters
    ----------
    name : str
        Of the set, for people.
    factors : tuple of Factor
        In the order of their names.
    shifts : ndarray of shape (n_scenarios, n_factors)
        Log ratio or difference, as each factor changes; NaN where it is unknown.
    times : ndarray of shape (n_scenarios,)
        The date on which each ended, seconds since 1970-01-01 UTC; `NO_DATE` for one of no date.
    sub_sample : ndarray of shape (n_scenarios,)
        Which of the sub-samples each belongs to, 0 and up: of overlapping runs of days, those of one number share none.
    labels : tuple of str
        What each is called, where it is no date; empty for sets made of dates.
    """

    name: str
    factors: tuple[Factor, ...]
    shifts: FloatArray
    times: IntArray
    sub_sample: IntArray
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.times)
        if self.shifts.shape != (n, len(self.factors)) or len(self.sub_sample) != n:
            raise ShapeError(f"shifts of shape {self.shifts.shape} for {n} scenarios of {len(self.factors)} factors")
        for name in ("shifts", "times", "sub_sample"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Column of each factor."""
        return {factor.name: k for k, factor in enumerate(self.factors)}

    def words(self, scenario: int) -> str:
        """What a scenario is called."""
        if self.labels:
            return self.labels[scenario]
        return f"{self.name} {date_words(int(self.times[scenario]))}"


def historical(changes: FactorChanges, *, name: str = "as on") -> FactorScenarios:
    """Each date's changes as they were."""
    n = len(changes.times)
    return FactorScenarios(
        name=name,
        factors=changes.factors,
        shifts=changes.values,
        times=changes.times,
        sub_sample=np.zeros(n, dtype=np.int64),
    )


def filtered(
    changes: FactorChanges,
    volatility: FloatArray,
    volatility_now: FloatArray,
    *,
    damped: bool = False,
    name: str = "rescaled from",
) -> FactorScenarios:
    """Each date's changes, brought from that date's volatility to today's: filtered historical simulation.

    Parameters
    ----------
    changes : FactorChanges
        The changes.
    volatility : ndarray of shape (n_changes, n_factors)
        What was expected of each change the day before it; NaN where nothing was.
    volatility_now : ndarray of shape (n_factors,)
        What is expected of the next.
    damped : bool
        Scale half way only: by `(then + now) / (2 then)`.

    References
    ----------
    filtered historical simulation: model-based margin, docs/methodologies/filtered-es.md
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = (volatility + volatility_now) / (2 * volatility) if damped else volatility_now / volatility
    # A factor that never moved (a pegged rate) has no volatility to be scaled by: its changes are 0 and stay so.
    scale = np.where(volatility > 0, scale, np.where(np.isnan(volatility), np.nan, 1.0))
    return replace(historical(changes, name=name), shifts=changes.values * scale)


def over_horizon(scenarios: FactorScenarios, days: int, rule: Horizon) -> FactorScenarios:
    """Scenarios over several days out of scenarios over one, in the order of their dates.

    Sub-sample `k` of overlapping runs are those that end `k` days before a whole number of runs from the latest.
    """
    if days < 1:
        raise InputError(f"a horizon of {days} days")
    if days == 1:
        return scenarios
    n = len(scenarios)
    if rule is Horizon.SQUARE_ROOT:
        return replace(scenarios, shifts=scenarios.shifts * np.sqrt(days))
    if n < days:
        raise InputError(f"{n} daily changes for a horizon of {days} days")
    n_runs = n - days + 1
    shifts = scenarios.shifts[:n_runs].copy()
    for k in range(1, days):
        shifts += scenarios.shifts[k : k + n_runs]
    sub_sample = np.arange(n_runs)[::-1] % days
    runs = replace(scenarios, shifts=shifts, times=scenarios.times[days - 1 :], sub_sample=sub_sample)
    if rule is Horizon.SEPARATE:
        apart = np.flatnonzero(sub_sample == 0)
        return replace(
            runs, shifts=shifts[apart], times=runs.times[apart], sub_sample=np.zeros(len(apart), dtype=np.int64)
        )
    return runs


def mirrored(scenarios: FactorScenarios) -> FactorScenarios:
    """The scenarios, and each again with every sign turned: as likely up as down, whatever history was."""
    words = [scenarios.words(k) for k in range(len(scenarios))]
    return FactorScenarios(
        name=scenarios.name,
        factors=scenarios.factors,
        shifts=np.concatenate((scenarios.shifts, -scenarios.shifts)),
        times=np.concatenate((scenarios.times, scenarios.times)),
        sub_sample=np.concatenate((scenarios.sub_sample, scenarios.sub_sample)),
        labels=(*words, *(f"{word}, mirrored" for word in words)),
    )


def drawn(factors: tuple[Factor, ...], shifts: FloatArray, *, name: str = "draw") -> FactorScenarios:
    """Simulated scenarios, of no date."""
    n = len(shifts)
    return FactorScenarios(
        name=name,
        factors=factors,
        shifts=shifts,
        times=np.full(n, NO_DATE),
        sub_sample=np.zeros(n, dtype=np.int64),
        labels=tuple(f"{name} {k + 1}" for k in range(n)),
    )


def stress_days(
    scenarios: FactorScenarios, periods: Mapping[str, tuple[int, int]], *, name: str = "stress"
) -> FactorScenarios:
    """Scenarios whose dates fall into named periods; a date of two periods stands once, under the first.

    Parameters
    ----------
    periods : mapping of str to (int, int)
        First and last date of each, both included, seconds since 1970-01-01 UTC.
    """
    chosen: dict[int, str] = {}
    for title, (first, last) in periods.items():
        for k in np.flatnonzero((scenarios.times >= first) & (scenarios.times <= last)).tolist():
            chosen.setdefault(k, f"{title}, {date_words(int(scenarios.times[k]))}")
    rows = np.array(sorted(chosen), dtype=np.int64)
    return FactorScenarios(
        name=name,
        factors=scenarios.factors,
        shifts=scenarios.shifts[rows],
        times=scenarios.times[rows],
        sub_sample=np.zeros(len(rows), dtype=np.int64),
        labels=tuple(chosen[k] for k in rows.tolist()),
    )


def hypothetical(
    factors: tuple[Factor, ...], moves: Mapping[str, Mapping[str, float]], *, name: str = "hypothetical"
) -> FactorScenarios:
    """Scenarios that somebody made up: by title, the change of some factors; the others stay.

    Parameters
    ----------
    moves : mapping of str to mapping of str to float
        Change by factor; `price:*` is every factor of a kind that is not named itself.
    """
    shifts = np.zeros((len(moves), len(factors)))
    for row, by_factor in zip(shifts, moves.values(), strict=True):
        for k, factor in enumerate(factors):
            row[k] = by_factor.get(factor.name, by_factor.get(f"{factor.kind}:*", 0.0))
    return FactorScenarios(
        name=name,
        factors=factors,
        shifts=shifts,
        times=np.full(len(moves), NO_DATE),
        sub_sample=np.zeros(len(moves), dtype=np.int64),
        labels=tuple(moves),
    )


def joined(sets: Sequence[FactorScenarios], *, name: str) -> FactorScenarios:
    """Several sets of the same factors as one."""
    first = sets[0]
    if any(one.factors != first.factors for one in sets):
        raise ShapeError("sets of different factors cannot be joined")
    return FactorScenarios(
        name=name,
        factors=first.factors,
        shifts=np.concatenate([one.shifts for one in sets]),
        times=np.concatenate([one.times for one in sets]),
        sub_sample=np.concatenate([one.sub_sample for one in sets]),
        labels=tuple(one.words(k) for one in sets for k in range(len(one))),
    )
