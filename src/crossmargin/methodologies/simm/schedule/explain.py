"""Breakdown of the schedule to explanation: arranged from the kept figures."""

from __future__ import annotations

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.simm.schedule.parameters import PRODUCT_CLASSES, ScheduleParameters
from crossmargin.methodologies.simm.schedule.recipe import ScheduleBreakdown
from crossmargin.methodologies.simm.schedule.trades import ScheduleTrades

SOURCE = "im-schedule"


def explain_schedule(
    trades: ScheduleTrades, b: ScheduleBreakdown, parameters: ScheduleParameters, portfolio: int
) -> Explanation:
    """The requirement of one portfolio as a tree, US dollars."""
    return Explanation(
        label="schedule margin",
        value=float(b.requirement[portfolio]),
        unit="USD",
        rule="product",
        source=SOURCE,
        parts=(_gross(trades, b, portfolio), _share(b, parameters, portfolio)),
    )


def _gross(trades: ScheduleTrades, b: ScheduleBreakdown, portfolio: int) -> Explanation:
    rows = np.flatnonzero(trades.portfolio == portfolio).tolist()
    parts = tuple(
        Explanation(
            label=f"{trades.trades[k]}, {PRODUCT_CLASSES[int(trades.product_class[k])]}, to {trades.end_date[k]}",
            value=float(b.trade_gross[k]),
            unit="USD",
            rule="product",
            parts=(
                Explanation(
                    label="rate", value=float(b.rate[k]), note=f"{float(b.maturity_years[k]):.4f} years to its end"
                ),
                Explanation(label="notional", value=abs(float(trades.notional[k])), unit="USD"),
            ),
        )
        for k in rows
    )
    return Explanation(label="gross margin", value=float(b.gross[portfolio]), unit="USD", rule="sum", parts=parts)


def _share(b: ScheduleBreakdown, parameters: ScheduleParameters, portfolio: int) -> Explanation:
    ratio = float(b.net_to_gross[portfolio])
    gross = float(b.gross_current[portfolio])
    label = "net-to-gross ratio"
    node = Explanation(label=label, value=ratio, note="1: no trade has a replacement cost")
    if gross > 0.0:
        node = Explanation(
            label=label,
            value=ratio,
            rule="first over second",
            parts=(
                Explanation(label="net replacement cost", value=float(b.net_current[portfolio]), unit="USD"),
                Explanation(label="gross replacement cost", value=gross, unit="USD"),
            ),
        )
    netted = Explanation(
        label="share that is netted",
        value=parameters.net_share * ratio,
        rule="product",
        parts=(Explanation(label="net share", value=parameters.net_share), node),
    )
    return Explanation(
        label="part of the gross margin that is required",
        value=parameters.gross_share + parameters.net_share * ratio,
        rule="sum",
        parts=(Explanation(label="gross share", value=parameters.gross_share), netted),
    )
