"""Levels of risk factors, date by date, as they were observed.

Every factor stands on the calendar of them all: a date on which it was not observed is NaN, never a repeated price.
What one might question: a factor that ended (a coin that was delisted) stays in. Nobody's past becomes safer because
something failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.basics.times import format_utc
from crossmargin.history.factors import Change, Factor

FEWEST_OBSERVED = 0.5
"""Part of the calendar, between its first and last date, on which a factor must have been observed: with less its dates
are probably those of another clock (hours for days, another time of day), and nothing would move together."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FactorHistories:
    """Levels of risk factors on one calendar.

    Parameters
    ----------
    factors : tuple of Factor
        In the order of their names.
    times : ndarray of shape (n_dates,)
        Seconds since 1970-01-01 UTC, rising.
    level : ndarray of shape (n_dates, n_factors)
        NaN where it was not observed.
    rolled : ndarray of shape (n_dates, n_factors)
        Where the step into this date is no move of the market: another contract, another unit.
    source : str
        For people.
    """

    factors: tuple[Factor, ...]
    times: IntArray
    level: FloatArray
    rolled: BoolArray
    source: str = ""
    place: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        names = [factor.name for factor in self.factors]
        problems = [
            Problem(found=f"factor '{name}' stands twice in {self._shown}", needed="Give each factor one history.")
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
        shape = (len(self.times), len(self.factors))
        if self.level.shape != shape or self.rolled.shape != shape:
            raise InputError(f"levels of shape {self.level.shape} for {shape[0]} dates and {shape[1]} factors")
        problems += self._about_dates()
        problems += [
            Problem(
                found=f"level {self.level[t, k]:g} of '{names[k]}' on {self.date(t)} in {self._shown}",
                needed="Leave out what was not observed.",
            )
            for t, k in zip(*np.nonzero(np.isinf(self.level)), strict=True)
        ]
        raise_problems(problems)
        for name in ("times", "level", "rolled"):
            object.__setattr__(self, name, read_only(getattr(self, name)))
        object.__setattr__(self, "place", {name: k for k, name in enumerate(names)})

    @classmethod
    def of(
        cls,
        factors: Sequence[Factor],
        times: IntArray,
        level: FloatArray,
        rolled: BoolArray | None = None,
        source: str = "",
    ) -> FactorHistories:
        """Histories in whatever order they come: factors by name, dates as they rise.

        Raises
        ------
        InputError
            For a factor or a date that stands twice, an infinite level, and a factor whose dates are not those of the
            others.
        """
        order = sorted(range(len(factors)), key=lambda k: factors[k].name)
        by_date = np.argsort(times, kind="stable")
        if rolled is None:
            rolled = np.zeros(level.shape, dtype=np.bool_)
        made = cls(
            factors=tuple(factors[k] for k in order),
            times=np.asarray(times, dtype=np.int64)[by_date],
            level=np.asarray(level, dtype=np.float64)[by_date][:, order],
            rolled=rolled[by_date][:, order],
            source=source,
        )
        raise_problems(made._misaligned())
        return made

    @property
    def _shown(self) -> str:
        return self.source or "the history"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the factors."""
        return tuple(factor.name for factor in self.factors)

    def date(self, index: int) -> str:
        """A date of the calendar in words."""
        return date_words(int(self.times[index]))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that a figure can depend on."""
        digest = hashlib.sha256()
        for factor in self.factors:
            digest.update(f"{factor.name} {factor.change}\n".encode())
        for array in (self.times, self.level, self.rolled):
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"sha256:{digest.hexdigest()}"

    def __repr__(self) -> str:
        span = f", {self.date(0)} to {self.date(-1)}" if len(self.times) else ""
        return f"<FactorHistories of {len(self.factors)} factors on {len(self.times)} dates{span}>"

    def up_to(self, moment: datetime) -> FactorHistories:
        """What was known at `moment`: later dates are not there, nor is what they say of a factor."""
        last = int(np.searchsorted(self.times, int(moment.timestamp()), side="right"))
        if last == len(self.times):
            return self
        return replace(self, times=self.times[:last], level=self.level[:last], rolled=self.rolled[:last])

    def between(self, first: datetime, last: datetime) -> FactorHistories:
        """Dates from `first` to `last`, both included."""
        chosen = (self.times >= int(first.timestamp())) & (self.times <= int(last.timestamp()))
        return replace(self, times=self.times[chosen], level=self.level[chosen], rolled=self.rolled[chosen])

    def of_factors(self, names: Sequence[str]) -> FactorHistories:
        """Some of the factors, on the whole calendar.

        Raises
        ------
        InputError
            Naming all that there are not.
        """
        missing = [name for name in names if name not in self.place]
        raise_problems(
            [
                Problem(found=f"no history of '{name}' in {self._shown}", needed=f"It has {', '.join(self.names)}.")
                for name in missing
            ]
        )
        chosen = sorted({self.place[name] for name in names})
        return replace(
            self,
            factors=tuple(self.factors[k] for k in chosen),
            level=self.level[:, chosen],
            rolled=self.rolled[:, chosen],
        )

    def fitted(self) -> tuple[FactorHistories, tuple[str, ...]]:
        """The same with an absolute change for every factor that was at or below 0, and a note on each."""
        # NaN compares as no.
        low = np.any(self.level <= 0, axis=0)
        changed = [k for k, factor in enumerate(self.factors) if low[k] and factor.change is Change.RELATIVE]
        if not changed:
            return self, ()
        factors = tuple(
            replace(factor, change=Change.ABSOLUTE) if k in changed else factor for k, factor in enumerate(self.factors)
        )
        notes = []
        for k in changed:
            t = int(np.nanargmin(self.level[:, k]))
            notes.append(
                f"{self.factors[k].name} was at {self.level[t, k]:g} on {self.date(t)}: its changes are absolute"
            )
        return replace(self, factors=factors), tuple(notes)

    def _about_dates(self) -> list[Problem]:
        steps = np.diff(self.times)
        if np.any(steps < 0):
            raise InputError(f"dates of {self._shown} that do not rise")
        return [
            Problem(
                found=f"{self.date(t)} stands twice in {self._shown}",
                needed="Give each date one row.",
            )
            for t in np.flatnonzero(steps == 0).tolist()
        ]

    def _misaligned(self) -> list[Problem]:
        """Factors that were observed on few of the dates between their first and their last."""
        seen = ~np.isnan(self.level)
        problems = []
        for k, factor in enumerate(self.factors):
            at = np.flatnonzero(seen[:, k])
            span = at[-1] - at[0] + 1 if len(at) else 0
            if not len(at):
                problems.append(
                    Problem(found=f"'{factor.name}' has no level in {self._shown}", needed="Leave the column out.")
                )
            elif len(at) < FEWEST_OBSERVED * span:
                problems.append(
                    Problem(
                        found=f"'{factor.name}' was observed on {len(at)} of the {span} dates from {self.date(at[0])} "
                        f"to {self.date(at[-1])} of {self._shown}",
                        needed="Its dates are not those of the other factors: bring all to one calendar, or give it a "
                        "history of its own.",
                    )
                )
        return problems


def date_words(seconds: int) -> str:
    """A moment as a date where it is one, else as a time in UTC."""
    text = format_utc(datetime.fromtimestamp(seconds, UTC))
    return text.removesuffix("T00:00:00Z")
