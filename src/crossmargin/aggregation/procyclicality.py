"""How a margin moves through the cycle, and the tools of RTS 153/2013 Art. 28(1) against it; on series of margins.

The decision a reader would question: which horizon a rise is measured over. `exact` is that of precisely `n` days,
`within` the largest over any horizon up to `n`; both are said, since published measures differ in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import InputError


def _series(margin: FloatArray) -> FloatArray:
    series = np.asarray(margin, dtype=np.float64)
    if series.ndim != 1 or len(series) < 2 or not (np.isfinite(series) & (series > 0)).all():
        raise InputError("procyclicality is of a series of two or more margins above 0")
    return series


@dataclass(frozen=True, slots=True, kw_only=True)
class Procyclicality:
    """Measures of one series.

    Parameters
    ----------
    peak_to_trough : float
        Largest over smallest margin.
    std_log_change : float
        Standard deviation of daily log changes (over n - 1).
    """

    peak_to_trough: float
    std_log_change: float


def procyclicality(margin: FloatArray) -> Procyclicality:
    """Measures of the whole cycle.

    References
    ----------
    murphy-2014: Murphy, Vasios, Vause, Bank of England FSP 29 (see docs/sources.md)
    """
    series = _series(margin)
    return Procyclicality(
        peak_to_trough=float(series.max() / series.min()),
        std_log_change=float(np.std(np.diff(np.log(series)), ddof=1)),
    )


def largest_increase(margin: FloatArray, days: int, *, within: bool = False) -> float:
    """Largest relative rise over exactly `days`, or over any horizon up to it."""
    series = _series(margin)
    if not 0 < days < len(series):
        raise InputError(f"a rise over {days} days in a series of {len(series)}")
    horizons = range(1, days + 1) if within else (days,)
    return float(max(np.max(series[n:] / series[:-n]) for n in horizons) - 1)


def buffered(margin: FloatArray, buffer: FloatArray | float, release: FloatArray | float = 0.0) -> FloatArray:
    """Art. 28(1)(a): raised by a part, of which `release` (0 to 1) is used up when margins rise."""
    return np.asarray(margin * (1 + np.asarray(buffer) * (1 - np.asarray(release))))


def with_stress(margin: FloatArray, stressed: FloatArray | float, weight: float) -> FloatArray:
    """Art. 28(1)(b): a part `weight` is that of stressed days."""
    return np.asarray((1 - weight) * margin + weight * np.asarray(stressed))


def floored(margin: FloatArray, long_run: FloatArray | float) -> FloatArray:
    """Art. 28(1)(c): not below that of a history of ten years."""
    return np.asarray(np.maximum(margin, long_run))
