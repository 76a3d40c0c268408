"""How far the correlations of a history can be trusted: every pair of its factors, the least constant first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.dependence.trust import PairTrust, pair_trust
from crossmargin.history.changes import factor_changes
from crossmargin.history.factors import factor_of
from crossmargin.history.histories import FactorHistories, date_words
from crossmargin.methodologies.model_based.base import ModelBased
from crossmargin.methodologies.model_based.parameters import Periods
from crossmargin.methodologies.model_based.scenario_sets import require_days
from crossmargin.methodologies.registry import methodology

if TYPE_CHECKING:
    import polars as pl

MOST_PAIRS = 200_000
"""Pairs that are looked at: those of 632 factors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationReport:
    """Figures of every pair.

    Parameters
    ----------
    pairs : tuple of (str, str)
        Names of the two factors; widest rolling range first, those with too few dates last.
    trust : tuple of PairTrust
        Their figures.
    low_on, high_on : tuple of str
        Dates on which the runs of the smallest and largest rolling correlation end; empty where there is none.
    window, decay, confidence
        As asked for.
    first, last : str
        Dates of the changes that were used.
    source, fingerprint : str
        The history.
    notes : tuple of str
        What was decided about factors.
    """

    pairs: tuple[tuple[str, str], ...]
    trust: tuple[PairTrust, ...]
    low_on: tuple[str, ...]
    high_on: tuple[str, ...]
    window: int
    decay: float
    confidence: float
    first: str
    last: str
    source: str
    fingerprint: str
    notes: tuple[str, ...]

    def table(self) -> pl.DataFrame:
        """A row a pair; `stressed_low` and `stressed_high` over the named periods."""
        import polars as pl

        columns: dict[str, list[Any]] = {"one": [a for a, _ in self.pairs], "other": [b for _, b in self.pairs]}
        for name in (*_FIGURES, "lowest", "highest"):
            columns[name] = [getattr(t, name) for t in self.trust]
        columns["low_on"], columns["high_on"] = list(self.low_on), list(self.high_on)
        columns["stressed_low"] = [min(t.stressed.values(), default=math.nan) for t in self.trust]
        columns["stressed_high"] = [max(t.stressed.values(), default=math.nan) for t in self.trust]
        return pl.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """As plain data; figures as decimal strings, null where there is none."""
        return {
            "pairs": [
                {"one": one, "other": other, "n": t.n}
                | {name: _text(getattr(t, name)) for name in (*_FIGURES[1:], "lowest", "highest")}
                | {"low_on": low or None, "high_on": high or None}
                | {"stressed": {name: _text(value) for name, value in t.stressed.items()}}
                for (one, other), t, low, high in zip(self.pairs, self.trust, self.low_on, self.high_on, strict=True)
            ],
            "window": self.window,
            "decay": repr(self.decay),
            "confidence": repr(self.confidence),
            "first": self.first,
            "last": self.last,
            "history": self.source,
            "history_hash": self.fingerprint,
            "notes": list(self.notes),
        }


_FIGURES = tuple(f.name for f in fields(PairTrust) if f.name not in ("stressed", "low_at", "high_at"))


def _text(value: float) -> str | None:
    return None if math.isnan(value) else repr(value)


def correlations(
    history: FactorHistories,
    *,
    factors: Sequence[str] = (),
    observations: int | None = None,
    window: int = 60,
    decay: float = 0.97,
    confidence: float = 0.95,
    periods: Periods | None = None,
) -> CorrelationReport:
    """Trust in every pair of factors.

    Changes are those that a model would use, over one day each; one that stands in for a roll is left out.

    Parameters
    ----------
    history : FactorHistories
        Levels.
    factors : sequence of str
        Which; all if empty.
    observations : int, optional
        Latest changes that are used; all if `None`.
    window, decay, confidence
        See `dependence.trust`.
    periods : mapping of str to (int, int)
        First and last second of named stressed periods.

    Raises
    ------
    InputError
        If the history is not of days; if factors are not in it, or are fewer than two; if the figures asked for make
        no sense.
    """
    require_days(history)
    fitted, notes = history.fitted()
    changes = factor_changes(fitted)
    if observations is not None:
        changes = changes.last(observations)
    chosen = _chosen(fitted, factors)
    problems = []
    if not 4 <= window <= max(len(changes.times), 4):
        problems.append(
            Problem(
                found=f"runs of {window} dates in a history of {len(changes.times)} changes",
                needed="A run has at least 4 dates, and no more than there are.",
            )
        )
    if not 0 < decay <= 1:
        problems.append(Problem(found=f"a decay of {decay:g}", needed="It is above 0 and at most 1."))
    if not 0 < confidence < 1:
        problems.append(Problem(found=f"a confidence of {confidence:g}", needed="It is between 0 and 1: 0.95."))
    raise_problems(problems)
    values = np.where(changes.stood_in, np.nan, changes.values)
    times = changes.times
    masks = {name: (times >= first) & (times <= last) for name, (first, last) in (periods or {}).items()}
    found = [
        (
            (fitted.factors[a].name, fitted.factors[b].name),
            pair_trust(values[:, a], values[:, b], window=window, decay=decay, confidence=confidence, periods=masks),
        )
        for a, b in combinations(chosen, 2)
    ]
    found.sort(key=lambda one: _width(one[1]))
    return CorrelationReport(
        pairs=tuple(pair for pair, _ in found),
        trust=tuple(trust for _, trust in found),
        low_on=tuple(date_words(int(times[t.low_at])) if t.low_at >= 0 else "" for _, t in found),
        high_on=tuple(date_words(int(times[t.high_at])) if t.high_at >= 0 else "" for _, t in found),
        window=window,
        decay=decay,
        confidence=confidence,
        first=date_words(int(times[0])) if len(times) else "",
        last=date_words(int(times[-1])) if len(times) else "",
        source=history.source,
        fingerprint=history.fingerprint,
        notes=notes,
    )


def stress_periods(stated: Sequence[str] = ()) -> Periods:
    """Periods as people write them, `NAME=FIRST..LAST`, both dates included; those of `filtered-es` if there are none.

    Raises
    ------
    InputError
        Naming every one that is none.
    """
    if not stated:
        method = methodology("filtered-es")
        assert isinstance(method, ModelBased)
        return method.stress_days
    found: dict[str, tuple[int, int]] = {}
    problems = []
    for text in stated:
        name, _, dates = text.partition("=")
        try:
            first, last = (date.fromisoformat(part.strip()) for part in dates.split(".."))
            if not name.strip() or first > last:
                raise ValueError
        except ValueError:
            problems.append(
                Problem(
                    found=f"stressed period '{text}'",
                    needed="Write NAME=FIRST..LAST, the first date not later: March 2020=2020-03-09..2020-03-20.",
                )
            )
            continue
        begin, end = (datetime.combine(day, at, UTC) for day, at in ((first, time()), (last, time(23, 59, 59))))
        found[name.strip()] = (int(begin.timestamp()), int(end.timestamp()))
    raise_problems(problems)
    return found


def _width(trust: PairTrust) -> float:
    """Sorts the widest range first, and what is unknown last."""
    width = trust.rolling_high - trust.rolling_low
    return math.inf if math.isnan(width) else -width


def _chosen(history: FactorHistories, wanted: Sequence[str]) -> list[int]:
    names = [factor_of(name).name for name in wanted]
    unknown = [name for name in names if name not in history.place]
    raise_problems(
        [
            Problem(found=f"no factor '{name}' in {history.source or 'the history'}", needed=_known(history))
            for name in dict.fromkeys(unknown)
        ]
    )
    chosen = sorted({history.place[name] for name in names}) if names else list(range(len(history.factors)))
    if len(chosen) < 2:
        raise InputError(
            Problem(found=f"{len(chosen)} factor to be correlated", needed="A correlation is of two: name more.")
        )
    if len(chosen) * (len(chosen) - 1) // 2 > MOST_PAIRS:
        raise InputError(
            Problem(
                found=f"{len(chosen):,} factors, more than {MOST_PAIRS:,} pairs",
                needed="Choose some with --factors.",
            )
        )
    return chosen


def _known(history: FactorHistories) -> str:
    names = [factor.name for factor in history.factors]
    return f"It has {', '.join(names[:8])}{' and others' if len(names) > 8 else ''}."
