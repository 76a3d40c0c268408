"""Changes of risk factors from date to date, by rules that are stated.

* A market that was closed for a few days did not move on them, and moves by the whole on the day that it opens.
* Over a longer gap (a suspension) nothing is known of the days without a price; the day on which it trades again has
  the
  whole change.
* A roll is no move of any contract: the change before it stands in, so that the day does not look calm.
* Before its first and after its last observation nothing is known of a factor, and nothing is put in its place here.

The decision a reader would question: unknown is NaN, by factor and by date. Whoever needs the factor says what stands
in, or refuses; whoever does not is not concerned. So nobody's scenarios depend on what somebody else holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.times import SECONDS_PER_DAY
from crossmargin.history.factors import Change, Factor
from crossmargin.history.histories import FactorHistories

LONGEST_CLOSURE_DAYS = 7
"""A gap of at most so many days is a closed market: holidays are shorter, suspensions longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FactorChanges:
    """Changes of factors, each into a date.

    Parameters
    ----------
    factors : tuple of Factor
        Whose; how each change is measured stands there.
    times : ndarray of shape (n_changes,)
        The date that each change leads into, seconds since 1970-01-01 UTC.
    values : ndarray of shape (n_changes, n_factors)
        NaN where it is unknown.
    stood_in : ndarray of shape (n_changes, n_factors)
        Where the change before a roll stands in.
    """

    factors: tuple[Factor, ...]
    times: IntArray
    values: FloatArray
    stood_in: BoolArray

    def last(self, n: int) -> FactorChanges:
        """The latest `n` changes."""
        first = max(len(self.times) - n, 0)
        return replace(self, times=self.times[first:], values=self.values[first:], stood_in=self.stood_in[first:])


def factor_changes(histories: FactorHistories, *, longest_closure_days: float = LONGEST_CLOSURE_DAYS) -> FactorChanges:
    """Changes from each date of the calendar to the next.

    Parameters
    ----------
    histories : FactorHistories
        Levels; relative factors are positive (`FactorHistories.fitted`).
    longest_closure_days : float
        Gaps up to this are a closed market.
    """
    n_dates, n_factors = histories.level.shape
    values = np.full((max(n_dates - 1, 0), n_factors), np.nan)
    stood_in = np.zeros(values.shape, dtype=np.bool_)
    longest = longest_closure_days * SECONDS_PER_DAY
    for k, factor in enumerate(histories.factors):
        level = histories.level[:, k]
        seen = np.flatnonzero(~np.isnan(level))
        if len(seen) < 2:
            continue
        steps = _steps(level[seen], factor.change)
        # A roll that stands on a date without a level is in the step to the next level.
        rolls = np.concatenate(([0], np.cumsum(histories.rolled[:, k])))
        rolled = rolls[seen[1:] + 1] > rolls[seen[:-1] + 1]
        if rolled.any():
            known = np.flatnonzero(~rolled)
            before = np.searchsorted(known, np.flatnonzero(rolled)) - 1
            steps[rolled] = np.where(before >= 0, steps[known[np.maximum(before, 0)]] if len(known) else np.nan, np.nan)
            stood_in[seen[1:][rolled] - 1, k] = True
        column = values[:, k]
        closed = np.repeat(np.diff(histories.times[seen]) <= longest, np.diff(seen))
        column[seen[0] : seen[-1]][closed] = 0.0
        column[seen[1:] - 1] = steps
    return FactorChanges(
        factors=histories.factors,
        times=read_only(histories.times[1:]),
        values=read_only(values),
        stood_in=read_only(stood_in),
    )


def _steps(level: FloatArray, change: Change) -> FloatArray:
    if change is Change.ABSOLUTE:
        return np.diff(level)
    assert (level > 0).all(), "a relative factor is positive: see FactorHistories.fitted"
    return np.asarray(np.log(level[1:] / level[:-1]))
