"""The slow loop of prisma-like: one unit, plain lists, quantiles of numpy (`hazen`) and Student's t of scipy.stats.

It reads unit P&L of each contract, sub-samples and parameters as a document has them, and shares no code with the
method.
"""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

Table = dict[str, list[float]]
"""P&L of one contract in each scenario."""
AGGREGATES = {"mean": statistics.fmean, "largest": max, "median": statistics.median}


def var(pnl: list[float], level: float) -> float:
    return max(0.0, -float(np.quantile(np.array(pnl), 1 - level, method="hazen")))


def pnl_of(held: dict[str, float], table: Table) -> list[float]:
    n = len(next(iter(table.values())))
    return [math.fsum(q * table[name][s] for name, q in held.items()) for s in range(n)]


def in_samples(values: list[float], sample: list[int]) -> list[list[float]]:
    return [[v for v, k in zip(values, sample, strict=True) if k == one] for one in range(max(sample) + 1)]


def market_risk(pnl: list[float], sample: list[int], error: float, document: dict[str, Any], *, breaks: bool) -> float:
    m, cb = document["measure"], document["correlation_break"]
    low, target, nu = float(m["level_low"]), float(m["level_target"]), float(m["degrees_of_freedom"])
    risks = []
    for one in in_samples(pnl, sample):
        pure = var(one, low) * float(stats.t.ppf(target, nu) / stats.t.ppf(low, nu))
        broken = 0.0
        if breaks:
            window, level = int(cb["window"]), float(cb["level"])
            whole = var(one, level)
            excesses = [var(one[k : k + window], level) - whole for k in range(len(one) - window + 1)]
            squares = [e * e for e in excesses if e > 0]
            mean_excess = math.sqrt(statistics.fmean(squares)) if squares else 0.0
            broken = min(max(float(cb["kappa"]) * mean_excess, float(cb["least"]) * pure), float(cb["most"]) * pure)
        risks.append(pure + broken + error)
    return float(AGGREGATES[m["aggregate"]](risks))


def liquidity(
    held: dict[str, float], table: Table, sample: list[int], days: dict[str, float], spread: dict[str, float],
    document: dict[str, Any],
) -> float:  # fmt: skip
    own, aggregate = document["liquidity"], AGGREGATES[document["measure"]["aggregate"]]
    level = float(own["level"])

    def at_risk(pnl: list[float]) -> float:
        return float(aggregate([var(one, level) for one in in_samples(pnl, sample)]))

    knots = [(float(a), float(b)) for a, b in own["factor_by_days"]]

    def factor(d: float) -> float:
        if len(knots) == 1 or d <= knots[0][0]:
            return knots[0][1]
        for (a, fa), (b, fb) in pairwise(knots):
            if d <= b:
                return fa + (fb - fa) * (d - a) / (b - a)
        (a, fa), (b, fb) = knots[-2:]
        return fb + (fb - fa) / (b - a) * (d - b)

    alone = {name: at_risk(pnl_of({name: q}, table)) for name, q in held.items()}
    apart = math.fsum(alone.values())
    alpha = max(float(own["floor"]), at_risk(pnl_of(held, table)) / apart) if apart > 0 else 1.0
    return alpha * math.fsum(factor(days[name]) * alone[name] + abs(q) * spread[name] for name, q in held.items())


def events(pnl: list[float], worst: int) -> float:
    return math.fsum(max(0.0, -p) for p in sorted(pnl)[:worst])
