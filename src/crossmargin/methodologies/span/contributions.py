"""Whose positions a requirement is due to: an allocation, since greedy spreads have no exact attribution.

A position has its loss in the active scenario of its unit, and of every charge and credit the part of the delta that it
brings to the month in which the spread took it. What binds instead has its own key: the minimum by short options, the
cap by option value. Shares of a unit are then scaled to its requirement, so that rounding and account type are in them,
and they sum to it.
"""

from __future__ import annotations

import numpy as np

from crossmargin.aggregation.sweep import segment_sum
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.methodologies.span.book import SpanBook
from crossmargin.methodologies.span.recipe import SpanBreakdown


def position_contributions(book: SpanBook, breakdown: SpanBreakdown) -> tuple[FloatArray, FloatArray]:
    """P&L in the active scenario and contribution of each position, both of shape `(n_positions,)`.

    In the currency of the answer; contributions of an account sum to its initial requirement.
    """
    held, contracts = book.holdings, book.contracts
    unit = held.unit()
    rate = contracts.model.rate_of[book.commodity[unit]]
    scenario = breakdown.ledger.scenario[breakdown.ledger.stands_in[unit]]
    pnl = -held.quantity * contracts.loss[held.instrument, scenario] * rate + 0.0
    share = _shares(book, breakdown, unit, held.instrument, book.month_of_position, held.quantity < 0)
    raw = _usable(breakdown, unit, held.quantity * share)
    exposure = np.abs(held.quantity) * contracts.exposure_any[held.instrument]
    exposure += np.maximum(0.0, -held.quantity) * contracts.exposure_short[held.instrument]
    return pnl, (raw * _scale(breakdown, unit, raw)[unit] + exposure) * rate


def member_contributions(book: SpanBook, breakdown: SpanBreakdown, members: SpanBook, n_members: int) -> FloatArray:
    """Share of each member account in its margin account, shape `(n_members,)`.

    A member has for each contract what a contract brings to the margin account; what nets away between members costs
    neither of them.

    Parameters
    ----------
    members : SpanBook
        The members' own positions, each a unit.
    """
    held, contracts, alone = book.holdings, book.contracts, members.holdings
    _, contribution = position_contributions(book, breakdown)
    unit = np.searchsorted(book.layout.unit_key, members.layout.unit_key)
    n_contracts = max(len(contracts.names), 1)
    key = held.unit() * n_contracts + held.instrument
    order = np.argsort(key, kind="stable")
    wanted = unit * n_contracts + alone.instrument
    place = np.minimum(np.searchsorted(key[order], wanted), max(len(key) - 1, 0))
    there = key[order][place] == wanted if len(key) else np.zeros(len(wanted), dtype=np.bool_)
    position = order[place[there]]
    of_one = contribution[position] / held.quantity[position]
    return segment_sum(alone.quantity[there] * of_one, members.layout.owner[there], n_members)


def _shares(
    book: SpanBook, breakdown: SpanBreakdown, unit: IntArray, contract: IntArray, month: IntArray, is_short: BoolArray
) -> FloatArray:
    """What one more contract brings to its unit before account type and rounding, performance bond currency."""
    contracts, ledger, levels = book.contracts, breakdown.ledger, breakdown.levels
    stands_in = ledger.stands_in[unit]
    loss = contracts.loss[contract, ledger.scenario[stands_in]]
    scan = np.where(ledger.scan_risk[stands_in] > 0, loss, 0.0)
    by_month = month_money(book, breakdown)
    of_delta = np.divide(by_month, ledger.original, out=np.zeros(len(by_month)), where=ledger.original != 0)
    spreads = contracts.delta[contract] * of_delta[month]
    minimum = -np.where(is_short, contracts.som_call[contract] + contracts.som_put[contract], 0.0)
    capped = levels.only_long & (levels.initial < levels.initial_raw)
    return np.where(
        capped[stands_in],
        contracts.option_value[contract],
        np.where(levels.minimum_binds[stands_in], minimum, scan + spreads),
    )


def month_money(book: SpanBook, breakdown: SpanBreakdown) -> FloatArray:
    """Charges less credits of each unit's months, shape `(n_unit_months,)`."""
    ledger, rules = breakdown.ledger, book.contracts.model.rules.ledger
    n_entries = int(ledger.n_recorded[1])
    money = segment_sum(ledger.entry_money[:n_entries], ledger.entry_month[:n_entries], len(book.month))
    outright = np.abs(_outright(ledger.original, ledger.consumed))
    spot = ledger.consumed * rules.spot_spread_rate[book.month] + outright * rules.spot_outright_rate[book.month]
    return money + spot


def _outright(original: FloatArray, consumed: FloatArray) -> FloatArray:
    """Delta that neither super nor calendar spreads took: what the delivery charge found outright."""
    return np.maximum(0.0, np.abs(original) - consumed)


def _usable(breakdown: SpanBreakdown, unit: IntArray, raw: FloatArray) -> FloatArray:
    """Shares that can be scaled: of a unit whose shares cancel (after a scan in a target) their magnitudes."""
    stands_in, n = breakdown.ledger.stands_in, len(breakdown.ledger.stands_in)
    total, size = (segment_sum(values, stands_in[unit], n) for values in (raw, np.abs(raw)))
    cancels = np.abs(total) <= 1e-9 * size
    return np.where(cancels[stands_in][unit], np.abs(raw), raw)


def _scale(breakdown: SpanBreakdown, unit: IntArray, raw: FloatArray) -> FloatArray:
    """Factor by which the shares of each unit come to its requirement, shape `(n_units,)`."""
    stands_in = breakdown.ledger.stands_in
    n = len(stands_in)
    total = segment_sum(raw, stands_in[unit], n)
    wanted = breakdown.levels.initial
    factor = np.divide(wanted, total, out=np.zeros(n), where=total != 0)
    return factor[stands_in]
