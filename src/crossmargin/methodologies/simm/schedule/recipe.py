"""Initial margin by the schedule, of all portfolios at once.

Gross margin is the rate of each trade's class and maturity on its notional. It is netted only by the net-to-gross ratio
of replacement costs: `requirement = gross x (0.4 + 0.6 x net / gross replacement cost)`. What one might question: on
the post side the counterparty's replacement cost counts, so present values change their sign and nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.methodologies.simm.aggregation import total
from crossmargin.methodologies.simm.schedule.parameters import PRODUCT_CLASSES, ScheduleParameters
from crossmargin.methodologies.simm.schedule.trades import ScheduleTrades, years_to


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScheduleBreakdown:
    """Every figure of the method; US dollars.

    Parameters
    ----------
    maturity_years, rate, trade_gross : ndarray of shape (n_trades,)
        Years to the end of each trade, its rate and its margin.
    class_gross : ndarray of shape (n_portfolios, n_classes)
        Gross margin by product class.
    gross, gross_current, net_current, net_to_gross, requirement : ndarray of shape (n_portfolios,)
        Gross margin, replacement costs (as seen by whoever the margin protects), their ratio, and what is required.
    """

    maturity_years: FloatArray
    rate: FloatArray
    trade_gross: FloatArray
    class_gross: FloatArray
    gross: FloatArray
    gross_current: FloatArray
    net_current: FloatArray
    net_to_gross: FloatArray
    requirement: FloatArray


def schedule_requirement(
    trades: ScheduleTrades, as_of: np.datetime64, parameters: ScheduleParameters, *, post: bool
) -> ScheduleBreakdown:
    """What each portfolio must hold under the schedule.

    Parameters
    ----------
    trades : ScheduleTrades
        In canonical order.
    as_of : datetime64[D]
        From when maturities count.
    post : bool
        What is posted to the counterparty, rather than what is collected from it.

    Raises
    ------
    InputError
        Naming every trade that has ended before `as_of`.

    References
    ----------
    im-schedule: note 1 of Table A (see docs/sources.md)
    """
    maturity = years_to(trades.end_date, as_of)
    _refuse_ended(trades, maturity, as_of)
    rate = rates_of(trades.product_class, maturity, parameters)
    trade_gross = rate * np.abs(trades.notional)
    n_portfolios, n_classes = len(trades.portfolios), len(PRODUCT_CLASSES)
    cells = trades.portfolio * n_classes + trades.product_class
    class_gross = total(trade_gross, cells, n_portfolios * n_classes).reshape(n_portfolios, n_classes)
    gross = total(trade_gross, trades.portfolio, n_portfolios)
    gross_current, net_current = replacement_costs(trades, -1.0 if post else 1.0)
    ratio = net_to_gross_ratio(net_current, gross_current)
    return ScheduleBreakdown(
        maturity_years=maturity,
        rate=rate,
        trade_gross=trade_gross,
        class_gross=class_gross,
        gross=gross,
        gross_current=gross_current,
        net_current=net_current,
        net_to_gross=ratio,
        requirement=gross * (parameters.gross_share + parameters.net_share * ratio),
    )


def rates_of(product_class: IntArray, maturity_years: FloatArray, parameters: ScheduleParameters) -> FloatArray:
    """The rate of each trade, by class and band of maturity; a bound belongs to the shorter band."""
    band = np.searchsorted(parameters.maturity_years, maturity_years, side="left")
    return parameters.rates[product_class, band]


def replacement_costs(trades: ScheduleTrades, sign: float) -> tuple[FloatArray, FloatArray]:
    """Gross (of the trades that are worth something) and net replacement cost of each portfolio, both >= 0."""
    worth = sign * trades.present_value
    n_portfolios = len(trades.portfolios)
    gross = total(np.maximum(worth, 0.0), trades.portfolio, n_portfolios)
    net = np.maximum(total(worth, trades.portfolio, n_portfolios), 0.0)
    return gross, net


def net_to_gross_ratio(net: FloatArray, gross: FloatArray) -> FloatArray:
    """Net over gross replacement cost; 1 where nothing is worth anything, which nets nothing."""
    # A sum of the same worths in another grouping may exceed the gross by a rounding.
    return np.where(gross > 0.0, np.minimum(net / np.where(gross > 0.0, gross, 1.0), 1.0), 1.0)


def _refuse_ended(trades: ScheduleTrades, maturity: FloatArray, as_of: np.datetime64) -> None:
    raise_problems(
        [
            Problem(
                found=f"trade '{trades.trades[k]}' ended on {trades.end_date[k]}, before {as_of}",
                needed="Leave it out, or state the date of the rows with as_of.",
                account=trades.portfolios[int(trades.portfolio[k])],
                kind=InputError,
            )
            for k in np.flatnonzero(maturity < 0.0).tolist()
        ]
    )
