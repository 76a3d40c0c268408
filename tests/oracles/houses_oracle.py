"""The slow loops of span2-like and stans-like: one unit, plain lists and exact fractions of a tail.

They read unit P&L of each contract, what trades and is quoted of it, and parameters as a document has them, and share
no code with the methods.
"""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from typing import Any

import numpy as np

Table = dict[str, list[float]]
"""P&L of one contract in each scenario."""


def pnl_of(held: dict[str, float], table: Table) -> list[float]:
    n = len(next(iter(table.values())))
    return [math.fsum(q * table[name][s] for name, q in held.items()) for s in range(n)]


def shortfall(pnl: list[float], level: str) -> float:
    """Mean of the worst `(1 - level) n`, the last in part; at least the worst; at least 0."""
    size = max(Fraction(1), (1 - Fraction(level)) * len(pnl))
    left, total = size, Fraction(0)
    for one in sorted(pnl):
        part = min(Fraction(1), left)
        total -= part * Fraction(one)
        left -= part
        if not left:
            break
    return max(0.0, float(total / size))


def deviation(pnl: list[float], horizon_days: int) -> float:
    return math.sqrt(math.fsum(p * p for p in pnl) / len(pnl) / horizon_days)


def span2(
    held: dict[str, float],
    sets: dict[str, Table],
    volume: dict[str, float],
    spread: dict[str, float],
    document: dict[str, Any],
    falls_with: int,
) -> dict[str, float]:
    """Every component; `volume` lacks the names of which nothing is known, `falls_with` is the account's scenario."""
    x = float(document["historical_share"])
    found = {"historical": x * shortfall(pnl_of(held, sets["filtered"]), document["measure"]["level"])}
    if x < 1:
        found["stress"] = (1 - x) * shortfall(pnl_of(held, sets["stress"]), document["stress_measure"]["level"])
    impact, rate = float(document["liquidity"]["impact"]), float(document["concentration"]["rate"])
    threshold = float(document["concentration"]["threshold_days"])
    horizon = int(document["generation"]["horizon_days"])
    found |= {"liquidity": 0.0, "concentration": 0.0}
    for name, q in held.items():
        days = abs(q) / volume[name] if name in volume else 1.0
        sigma = abs(q) * deviation(sets["filtered"][name], horizon)
        found["liquidity"] += impact * sigma * math.sqrt(days) + abs(q) * spread.get(name, 0.0)
        if days > threshold:
            found["concentration"] += rate * sigma * (days - threshold)
    if "wrong way" in sets:
        found["wrong_way"] = max(0.0, -pnl_of(held, sets["wrong way"])[falls_with])
    return found


def at_zero(table: Table, underlying: dict[str, str]) -> Table:
    """The scenarios of each underlying in an order that hangs on its name."""
    n = len(next(iter(table.values())))
    found = {}
    for name, pnl in table.items():
        seed = int(hashlib.sha256(underlying[name].encode()).hexdigest()[:16], 16)
        found[name] = [pnl[s] for s in np.random.default_rng(seed).permutation(n).tolist()]
    return found


def at_one(table: Table, underlying: dict[str, str], change: dict[str, list[float]]) -> Table:
    """The scenarios of each underlying in the order of the change of its price."""
    found = {}
    for name, pnl in table.items():
        moves = change[underlying[name]]
        found[name] = [pnl[s] for s in sorted(range(len(pnl)), key=lambda s: moves[s])]
    return found


def stans(
    held: dict[str, float],
    table: Table,
    underlying: dict[str, str],
    change: dict[str, list[float]],
    spread: dict[str, float],
    document: dict[str, Any],
) -> dict[str, float]:
    """Every component, and beside them what the add-on is made of."""
    base = shortfall(pnl_of(held, table), document["level"])
    high = document["add_on_level"]
    dependence = [
        shortfall(pnl_of(held, one), high)
        for one in (table, at_zero(table, underlying), at_one(table, underlying, change))
    ]
    alone = {
        u: shortfall(pnl_of({name: q for name, q in held.items() if underlying[name] == u}, table), high)
        for u in {underlying[name] for name in held}
    }
    beyond = max(0.0, max(*dependence, *alone.values()) - base)
    return {
        "base": base,
        "add_on": float(document["add_on_weight"]) * beyond,
        "liquidation": math.fsum(abs(q) * spread.get(name, 0.0) for name, q in held.items()),
    }
