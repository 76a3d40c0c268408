"""Answers about what moves together, as a person reads them: failed hedges, and correlations through time."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from crossmargin.answers.correlations import CorrelationReport
from crossmargin.answers.hedge_failure import HedgeFailureAnswer
from crossmargin.cli.show import LARGEST, accounts_left_out, largest_first
from crossmargin.cli.tables import Column, paragraphs, table
from crossmargin.reports import numbers

_HEDGE_CORRELATIONS = {
    "estimated": "as estimated",
    "zero": "at zero",
    "one": "at one",
    "against": "each at its worst",
    "window": "stressed days",
}
_HEDGE_CHARGES = {
    "capped": "offset capped",
    "correlation_break": "break add-on",
    "vol_spike": "vol spike",
    "vol_spike_gap": "vol spike with gap",
}


def hedge_failure_text(answer: HedgeFailureAnswer) -> str:
    """Loss of every account under each assumption about what hedges what, then what the words mean."""
    shown = largest_first(answer.figures["against"], None)
    names = [answer.accounts[a] for a in shown]

    def of_figures(headers: dict[str, str]) -> str:
        columns = [Column(header="account", cells=names, align="left")]
        for name, header in headers.items():
            values = answer.figures[name]
            cells = [numbers.money(float(values[a])) if values[a] == values[a] else numbers.UNKNOWN for a in shown]
            columns.append(Column(header=header, cells=cells))
        return table(columns)

    worst = [f"{answer.accounts[a]}: {answer.window_worst[a]}" for a in shown if answer.window_worst[a]]
    given = answer.assumptions
    lines = [
        f"Loss in USD under {answer.provenance['methodology']}, as of {answer.provenance['as_of']}",
        "",
        of_figures(_HEDGE_CORRELATIONS),
        "",
        of_figures(_HEDGE_CHARGES),
        *accounts_left_out(len(answer.accounts) - len(shown), "--json has all"),
        "",
        paragraphs(
            [
                "At zero, at one: correlation of the underlyings, the scenarios of each as they are.",
                "Each at its worst: every underlying loses in its own worst scenarios at once: hedges at minus one.",
                f"Offset capped: at most {given.offset_cap:.0%} of what netting saves. Break add-on: "
                f"{given.break_weight:.0%} of what the worse of zero and one asks for beyond the estimate.",
                f"Vol spike: all volatilities up by {given.vol_rise:.0%}; gap: prices by {given.gap:.0%} with it, "
                "the worse way.",
                *(
                    ["Stressed days: the history has none of those that the parameters name."]
                    if np.isnan(answer.figures["window"]).all()
                    else []
                ),
                *(f"Worst stressed day of {line}." for line in worst[:LARGEST]),
            ]
        ),
    ]
    return "\n".join(lines)


def correlations_text(report: CorrelationReport, rows: int) -> str:
    """Every pair's correlation beside what it has been, and what the words mean."""
    n = min(rows, len(report.pairs))
    pairs, trust = report.pairs[:n], report.trust[:n]

    def cells(figures: Iterable[float]) -> list[str]:
        return [numbers.UNKNOWN if value != value else numbers.money(value) for value in figures]

    def parts(figures: Iterable[float]) -> list[str]:
        return [numbers.UNKNOWN if value != value else numbers.percent(value) for value in figures]

    stressed = [list(t.stressed.values()) or [math.nan] for t in trust]
    lows, highs = cells([t.rolling_low for t in trust]), cells([t.rolling_high for t in trust])
    columns = [
        Column(header="pair", cells=[f"{one}, {other}" for one, other in pairs], align="left"),
        Column(header="days", cells=[f"{t.n:,}" for t in trust], goes=3),
        Column(header="now", cells=cells([t.now for t in trust])),
        Column(header="all", cells=cells([t.correlation for t in trust])),
        Column(
            header=f"{report.confidence:.0%} band",
            cells=_ranges(cells([t.band_low for t in trust]), cells([t.band_high for t in trust])),
        ),
        Column(header=f"{report.window} days", cells=_ranges(lows, highs)),
        Column(
            header="stressed",
            cells=_ranges(
                cells(min(v, default=math.nan) for v in stressed), cells(max(v, default=math.nan) for v in stressed)
            ),
        ),
        Column(
            header="outside",
            cells=parts(t.outside for t in trust),
        ),
        Column(
            header="joint",
            cells=[
                numbers.UNKNOWN if t.joint_falls != t.joint_falls else numbers.percent(t.joint_falls) for t in trust
            ],
        ),
    ]
    more = len(report.pairs) - n
    lines = [
        f"Correlations of {report.source or 'the history'}, changes of {report.first} to {report.last}",
        "",
        table(columns),
        *([f"{more:,} more pair{'s' if more > 1 else ''} (--rows N, or --json for all)."] if more else []),
        "",
        paragraphs(
            [
                f"Now: weights fall by {1 - report.decay:.0%} a day. All: every date, with the band of a constant "
                "correlation of independent days.",
                f"{report.window} days: lowest to highest of all such runs. Stressed: lowest to highest in the named "
                "periods.",
                "Outside: part of those runs whose own band excludes the correlation of all dates; "
                f"{1 - report.confidence:.0%} if it were constant.",
                "Joint: of the worst 5% of days of the one, how many were among the worst of the other.",
                *(f"Note: {note}." for note in report.notes),
            ]
        ),
    ]
    return "\n".join(lines)


def _ranges(low: list[str], high: list[str]) -> list[str]:
    """`low to high`, aligned; one figure where both are the same."""
    wide = max(map(len, high), default=0)
    return [a if a == b else f"{a} to {b.rjust(wide)}" for a, b in zip(low, high, strict=True)]
