"""Why a portfolio of a CRIF needs what it needs: each method's tree, under the regulation that asks for most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.simm.explain import MOST_NAMED, explain_simm
from crossmargin.methodologies.simm.recipe import Side
from crossmargin.methodologies.simm.regulations import UNSPECIFIED, RegulationUnits
from crossmargin.methodologies.simm.schedule.explain import explain_schedule

if TYPE_CHECKING:
    from crossmargin.answers.simm import SideAnswer, SimmAnswer


def explain_portfolio(
    answer: SimmAnswer, portfolio: str, side: Side = Side.CALL, *, most: int = MOST_NAMED
) -> Explanation:
    """The requirement of one portfolio on one side as a tree; every node recombines.

    Parameters
    ----------
    side : Side
        What is collected (`call`) or posted.
    most : int
        Factors of each bucket that are shown, the largest terms first; the others are one term.

    Raises
    ------
    InputError
        If there is no such portfolio.
    """
    p, one = answer.portfolio(portfolio), answer.sides[side]
    parts = []
    if one.unit[p] >= 0 and (one.units.unit == one.unit[p]).any():
        own = _units_of(one.units, p)
        trees = [
            explain_simm(one.breakdown, u, _label("sensitivities", one.units, u), most=most)
            if u == one.unit[p]
            else Explanation(
                label=_label("sensitivities", one.units, u), value=float(one.breakdown.total[u]), unit=answer.currency
            )
            for u in own
        ]
        parts.append(_greatest("sensitivities", float(one.simm[p]), trees, answer.currency))
    if one.schedule_unit is not None and one.schedule_unit[p] >= 0:
        parts.append(_schedule(answer, one, p))
    return Explanation(
        label=f"{portfolio}: initial margin to {'collect' if side is Side.CALL else 'post'}",
        value=float(one.requirement[p]),
        unit=answer.currency,
        rule="sum" if parts else "",
        parts=tuple(parts),
        note="" if parts else "nothing counts on this side",
    )


def _schedule(answer: SimmAnswer, one: SideAnswer, p: int) -> Explanation:
    units, schedule = one.schedule_units, one.schedule_breakdown
    assert units is not None
    assert schedule is not None
    assert one.schedule_unit is not None
    rate = one.breakdown.usd_per_unit
    trees = []
    for u in _units_of(units, p):
        label = _label("schedule", units, u)
        value = float(schedule.requirement[u])
        if u == one.schedule_unit[p]:
            assert one.schedule_trades is not None
            tree = explain_schedule(one.schedule_trades, schedule, answer.schedule, u)
        else:
            tree = Explanation(label=label, value=value, unit="USD")
        if answer.currency != "USD":
            dollars = Explanation(label=f"US dollars for one {answer.currency}", value=rate)
            tree = Explanation(
                label=label, value=value / rate, unit=answer.currency, rule="first over second", parts=(tree, dollars)
            )
        trees.append(tree)
    return _greatest("schedule", float(one.schedule[p]), trees, answer.currency)


def _units_of(units: RegulationUnits, p: int) -> list[int]:
    return np.flatnonzero(units.portfolio == p).tolist()


def _label(what: str, units: RegulationUnits, unit: int) -> str:
    names = units.regulations[unit]
    return what if names == (UNSPECIFIED,) else f"{what} under {', '.join(names)}"


def _greatest(what: str, value: float, trees: Sequence[Explanation], currency: str) -> Explanation:
    if len(trees) == 1:
        return trees[0]
    return Explanation(
        label=f"{what}: the regulation that asks for most",
        value=value,
        unit=currency,
        rule="greater of",
        parts=tuple(trees),
    )
